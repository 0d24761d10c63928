"""Asking the rails: payouts that go out by themselves, and parcels of them.

Whatever is sent is written down first: its key, its moment, and of a parcel who is in it. A parcel's members are all
marked before its first message leaves, so while one of them is not, no message has left.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from smallpeck.kernel.writes import WriteConflict
from smallpeck.payouts import model, runs
from smallpeck.payouts.model import Answer, Fact, Payout, PayoutState
from smallpeck.payouts.rails.port import Cancelling, Destination, Item, Order, Parcel, Said
from smallpeck.payouts.recording import post_with, record
from smallpeck.payouts.runs import Ports
from smallpeck.payouts.service import release_entry

T = TypeVar("T")

MARK_ITEMS = 50
CLAIM_GRACE_SECONDS = 3 * 24 * 3600
"""How long after its time an unclaimed payout is left to come back by itself before the rail is told to send it."""
_TO_BE_SENT = frozenset({Fact.NEVER_HEARD, Fact.SEND_TO_ASK})
_IN_A_MESSAGE = frozenset({PayoutState.IN_RUN, PayoutState.SENDING, PayoutState.UNKNOWN})


def send_first(payout: Payout, ports: Ports) -> None:
    """Sends a payout that was never sent."""
    if payout.state is PayoutState.IN_RUN:
        _send(payout, ports)


def query_one(payout: Payout, ports: Ports) -> None:
    """Asks about a payout that goes out by itself, and sends it where it never reached the rail."""
    if payout.state is PayoutState.IN_RUN:
        _send(payout, ports)
        return
    if payout.state not in model.UNRESOLVED:
        return
    terms, now_ms = ports.terms[payout.rail], ports.clock.now_ms()
    answer = ports.rails[payout.rail].ask(_order(payout))
    worth = model.believed(
        payout, answer, window_seconds=terms.window_seconds, lists_all=terms.lists_all, now_ms=now_ms
    )
    payout = record(payout, worth, ports)
    if payout.state is PayoutState.UNCLAIMED:
        _take_back(payout, ports.rails[payout.rail], ports)
    elif payout.state is PayoutState.UNKNOWN:
        if not model.may_resend(payout, window_seconds=terms.window_seconds, now_ms=ports.clock.now_ms()):
            ports.signals.alarm("PayoutStuck", payout.payout_id)
        elif answer.fact in _TO_BE_SENT:
            _send(payout, ports)


def query_together(payouts: Sequence[Payout], ports: Ports) -> None:
    """Asks about some members of one parcel, and sends it (again) where that is what it takes."""
    first = payouts[0]
    run_id, number = _place(first)
    parcel = ports.payouts.parcel(run_id, number)
    if parcel is None or any(payout.state is PayoutState.IN_RUN for payout in payouts):
        send_parcel(run_id, number, ports)
        return
    open_ = [payout for payout in payouts if payout.state in model.UNRESOLVED]
    if not open_:
        return
    rail = ports.parcel_rails[first.rail]
    said = rail.ask(parcel, [_order(payout) for payout in open_])
    recorded = _record_said(parcel, open_, said, ports)
    window_seconds = ports.terms[first.rail].window_seconds
    for_each((one for one in recorded if one.state is PayoutState.UNCLAIMED), lambda one: _take_back(one, rail, ports))
    unknown = [payout for payout in recorded if payout.state is PayoutState.UNKNOWN]
    if not model.is_remembered(
        parcel.sending_started_at_ms, window_seconds=window_seconds, now_ms=ports.clock.now_ms()
    ):
        for payout in unknown:
            ports.signals.alarm("PayoutStuck", payout.payout_id)
    elif any(_said_of(said, payout).fact in _TO_BE_SENT for payout in unknown):
        send_parcel(run_id, number, ports)


def send_parcel(run_id: str, number: int, ports: Ports) -> None:
    """Sends a parcel with all members that have no outcome, again where that was done before."""
    members = [one for one in ports.payouts.in_parcel(run_id, number) if one.state in _IN_A_MESSAGE]
    found = [(payout, _destination(payout, ports)) for payout in members]
    for_each((payout for payout, destination in found if destination is None), lambda one: _nowhere(one, ports))
    going = {payout.payout_id: destination for payout, destination in found if destination is not None}
    if not going:
        return
    now_ms = ports.clock.now_ms()
    parcel = _written_down(members[0], now_ms, ports)
    window_seconds = ports.terms[parcel.rail].window_seconds
    unsent = any(payout.state is PayoutState.IN_RUN for payout in members)
    if not unsent and not model.is_remembered(
        parcel.sending_started_at_ms, window_seconds=window_seconds, now_ms=now_ms
    ):
        return
    marked = _mark([payout for payout in members if payout.payout_id in going], ports)
    if marked is None:
        # Somebody else works on the parcel, and sees it through.
        return
    items = [Item(_order(payout), going[payout.payout_id]) for payout in marked]
    said = ports.parcel_rails[parcel.rail].send(parcel, items)
    answers = {one.payout_id: model.answered_to_send(one, _said_of(said, one)) for one in marked}
    _record_said(parcel, marked, replace(said, answers=answers), ports)


def for_each(things: Iterable[T], act: Callable[[T], object]) -> None:
    """`act` on everything, so that one bad payout holds up no other; then the first error, if there was any."""
    errors: list[Exception] = []
    for one in things:
        try:
            act(one)
        except Exception as error:  # noqa: BLE001 - raised again below
            errors.append(error)
    if errors:
        raise errors[0]


def _send(payout: Payout, ports: Ports) -> None:
    destination = _destination(payout, ports)
    if destination is None:
        _nowhere(payout, ports)
        return
    sending = model.begin_send(payout, now_ms=ports.clock.now_ms())
    try:
        ports.unit.commit([model.change(payout, sending)])
    except WriteConflict:
        # Somebody else took it up meanwhile, and sees it through.
        return
    answer = ports.rails[payout.rail].pay(_order(sending), destination)
    record(sending, model.answered_to_send(sending, answer), ports)


def _written_down(member: Payout, now_ms: int, ports: Ports) -> Parcel:
    run_id, number = _place(member)
    key = runs.parcel_key(run_id, number)
    parcel = Parcel(key, member.rail, run_id, number, member.currency, sending_started_at_ms=now_ms)
    stored = ports.payouts.parcel(run_id, number)
    if stored is None:
        try:
            ports.unit.commit([runs.create_parcel(parcel)])
        except WriteConflict:
            stored = ports.payouts.parcel(run_id, number)
    return stored or parcel


def _mark(members: Sequence[Payout], ports: Ports) -> list[Payout] | None:
    """All members as sending, written down; None where somebody else has changed one of them meanwhile."""
    marked: list[Payout] = []
    for at in range(0, len(members), MARK_ITEMS):
        now_ms = ports.clock.now_ms()
        before = members[at : at + MARK_ITEMS]
        after = [model.begin_send(_unknown(payout, now_ms), now_ms=now_ms) for payout in before]
        try:
            ports.unit.commit([model.change(old, new) for old, new in zip(before, after, strict=True)])
        except WriteConflict:
            return None
        marked += after
    return marked


def _unknown(payout: Payout, now_ms: int) -> Payout:
    """A member that is marked was perhaps sent: what it is sent from now is that nobody knows."""
    if payout.state is not PayoutState.SENDING:
        return payout
    return model.learn(payout, Answer(Fact.UNCLEAR), now_ms=now_ms)


def _record_said(parcel: Parcel, payouts: Sequence[Payout], said: Said, ports: Ports) -> list[Payout]:
    if said.reference is not None and parcel.reference is None:
        # Where it was named meanwhile, it keeps that name.
        with suppress(WriteConflict):
            ports.unit.commit([runs.name_parcel(parcel, said.reference)])
    recorded: list[Payout] = []
    for_each(payouts, lambda payout: recorded.append(record(payout, _said_of(said, payout), ports)))
    return recorded


def _said_of(said: Said, payout: Payout) -> Answer:
    return said.answers.get(payout.payout_id, Answer(Fact.UNCLEAR))


def _take_back(payout: Payout, rail: object, ports: Ports) -> None:
    waits_seconds = ports.terms[payout.rail].unclaimed_seconds
    if waits_seconds is None or payout.sending_started_at_ms is None:
        return
    until_ms = payout.sending_started_at_ms + (waits_seconds + CLAIM_GRACE_SECONDS) * 1000
    if ports.clock.now_ms() < until_ms:
        return
    cancelling: Cancelling = rail  # type: ignore[assignment]
    if record(payout, cancelling.cancel(_order(payout)), ports).state is PayoutState.UNCLAIMED:
        ports.signals.alarm("PayoutStuck", payout.payout_id)


def _destination(payout: Payout, ports: Ports) -> Destination | None:
    destination = ports.destinations.at_version(payout.worker_id, payout.destination_version)
    return destination if destination is not None and destination.rail == payout.rail else None


def _nowhere(payout: Payout, ports: Ports) -> None:
    if payout.state is not PayoutState.IN_RUN:
        ports.signals.alarm("PayoutStuck", payout.payout_id)
        return
    now_ms = ports.clock.now_ms()
    released = model.abandon(payout, reason="no_destination", now_ms=now_ms)
    try:
        post_with(release_entry(payout, now_ms=now_ms), payout, released, ports)
    except WriteConflict:
        return


def _place(payout: Payout) -> tuple[str, int]:
    if payout.run_id is None or payout.parcel is None:
        raise ValueError("a member of a parcel has a run and a number in it")
    return payout.run_id, payout.parcel


def _order(payout: Payout) -> Order:
    if payout.rail_key is None or payout.run_id is None:
        raise ValueError("a payout is sent under a stored key, in a run")
    return Order(
        key=payout.rail_key,
        payout_id=payout.payout_id,
        run_id=payout.run_id,
        amount_micros=payout.sent_micros,
        currency=payout.currency,
        reference=payout.reference,
    )
