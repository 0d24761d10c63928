"""The steps of a payout run. Each may be run again at any time, after any crash, beside itself.

start -> freeze -> send (each chunk) -> end -> [wait -> query (each chunk) -> end] ...
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from smallpeck.kernel.errors import IdempotencyMismatch, Invalid, NotFound
from smallpeck.kernel.writes import Contention, UnitOfWork, WriteConflict
from smallpeck.ledger.posting import Entry
from smallpeck.ledger.service import Posted, post
from smallpeck.payouts import model
from smallpeck.payouts.model import Answer, Fact, Payout, PayoutState
from smallpeck.payouts.runs import (
    CHUNK,
    MAX_MEMBERS,
    MAX_ROUNDS,
    MAX_WAIT_SECONDS,
    Destination,
    Ending,
    MembershipOpen,
    Order,
    PayoutReads,
    Ports,
    Run,
    RunNotFound,
    RunState,
    Tally,
    Waits,
    change_run,
    create_member,
    create_run,
    next_run,
    run_id_of,
)
from smallpeck.payouts.service import release_entry, settle_entry

ATTEMPTS = 10
FREEZE_ITEMS = 40
TALLY_ITEMS = 100
EARLIER_AFTER_SECONDS = 900
FINAL_FACTS = frozenset({Fact.PAID, Fact.REFUSED, Fact.MISMATCH})


class Workflow(Protocol):
    """Who carries a run through its steps."""

    def start(self, run_id: str) -> None:
        """Starts the steps of a run; does nothing where they were started before."""
        ...


def start_run(
    *,
    operator_id: str,
    idempotency_key: str,
    waits: Waits,
    now_ms: int,
    payouts: PayoutReads,
    unit: UnitOfWork,
    workflow: Workflow,
) -> Run:
    """The run of this request, started now or before."""
    if not (0 <= waits.rounds <= MAX_ROUNDS and 1 <= waits.first_wait_seconds <= MAX_WAIT_SECONDS):
        raise Invalid(f"a run asks at most {MAX_ROUNDS} times, first after 1 to {MAX_WAIT_SECONDS} seconds")
    run = Run(run_id_of(operator_id, idempotency_key), operator_id, now_ms, waits)
    try:
        unit.commit([create_run(run)])
    except WriteConflict:
        run = read_run(run_id=run.run_id, payouts=payouts)
        if run.waits != waits:
            raise IdempotencyMismatch from None
    if run.state is RunState.COLLECTING:
        workflow.start(run.run_id)
    return run


def read_run(*, run_id: str, payouts: PayoutReads) -> Run:
    """The run; raises RunNotFound."""
    run = payouts.run(run_id)
    if run is None:
        raise RunNotFound("there is no such payout run")
    return run


def freeze(*, run_id: str, ports: Ports) -> Run:
    """Makes what is payable members of the run, up to its limit, then closes the membership for good."""
    run = read_run(run_id=run_id, payouts=ports.payouts)
    until_ms = ports.clock.now_ms()
    after: str | None = None
    while run.state is RunState.COLLECTING:
        room = MAX_MEMBERS - run.members
        if room:
            listed, after = ports.payouts.payable(until_ms=until_ms, after=after, limit=min(FREEZE_ITEMS, room))
            run = _take_all(run, listed[:room], ports)
        if after is None or not room:
            run = _close_membership(run, ports)
    return run


def send(*, run_id: str, chunk: int, ports: Ports) -> None:
    """Sends the members of a chunk that were never sent. Those that may have been are left to `query`."""
    for_each(_chunk(run_id, chunk, ports), lambda payout: _send_first(payout, ports))


def query(*, run_id: str, chunk: int, ports: Ports) -> None:
    """Asks the rails about the members of a chunk that have no outcome, and sends what never reached them."""
    for_each(_chunk(run_id, chunk, ports), lambda payout: _query(payout, ports))


def query_earlier(*, ports: Ports) -> int:
    """Asks about some of what earlier runs left without an outcome, the longest untouched first."""
    until_ms = ports.clock.now_ms() - EARLIER_AFTER_SECONDS * 1000
    found = ports.payouts.payouts(ports.payouts.unresolved(until_ms=until_ms, limit=CHUNK))
    open_ = [payout for payout in found.values() if payout.state in model.UNRESOLVED]
    run_ids = sorted({payout.run_id for payout in open_ if payout.run_id is not None})
    for run_id in run_ids:
        # A run that died while it was collecting never sent anything: its members go out from here.
        _close_membership(read_run(run_id=run_id, payouts=ports.payouts), ports)
    for_each(open_, lambda payout: _query(payout, ports))
    for run_id in run_ids:
        end(run_id=run_id, ports=ports)
    return len(open_)


def end(*, run_id: str, ports: Ports) -> Ending:
    """Counts how the members stand; with no outcome missing, compares with what the rails say they paid."""
    for _ in range(ATTEMPTS):
        run = _frozen_run(run_id, ports)
        tally, rails, open_chunks = _tally(run, ports)
        state = RunState.WAITING if tally.unresolved else RunState.FINISHED
        reconciled = None if tally.unresolved else _reconciled(run, tally, rails, ports)
        after = next_run(run, state=state, tally=tally, reconciled=reconciled)
        try:
            ports.unit.commit([change_run(run, after)])
        except WriteConflict:
            continue
        if tally.frozen:
            ports.signals.alarm("PayoutFrozen", run_id)
        if reconciled is False:
            ports.signals.alarm("RailTotalsDiffer", run_id)
        return Ending(after, tuple(sorted(open_chunks)))
    raise Contention("the run is busy; try again")


def _take_all(run: Run, payout_ids: list[str], ports: Ports) -> Run:
    for _ in range(ATTEMPTS):
        found = ports.payouts.payouts(payout_ids)
        waiting = [found[one] for one in payout_ids if one in found and found[one].state is PayoutState.REQUESTED]
        if not waiting or run.state is not RunState.COLLECTING:
            return run
        now_ms = ports.clock.now_ms()
        taken = [
            model.take(payout, run_id=run.run_id, number=number, now_ms=now_ms)
            for number, payout in enumerate(waiting, start=run.members)
        ]
        after = next_run(run, members=run.members + len(taken))
        changes = [model.change(before, now) for before, now in zip(waiting, taken, strict=True)]
        members = [create_member(run.run_id, payout) for payout in taken]
        try:
            ports.unit.commit([*changes, *members, change_run(run, after)])
        except WriteConflict:
            run = read_run(run_id=run.run_id, payouts=ports.payouts)
            continue
        return after
    raise Contention("the run is busy; try again")


def _close_membership(run: Run, ports: Ports) -> Run:
    if run.state is not RunState.COLLECTING:
        return run
    after = next_run(run, state=RunState.SENDING)
    try:
        ports.unit.commit([change_run(run, after)])
    except WriteConflict:
        return read_run(run_id=run.run_id, payouts=ports.payouts)
    return after


def _frozen_run(run_id: str, ports: Ports) -> Run:
    run = read_run(run_id=run_id, payouts=ports.payouts)
    if run.state is RunState.COLLECTING:
        raise MembershipOpen("the run's membership is not frozen")
    return run


def _chunk(run_id: str, chunk: int, ports: Ports) -> list[Payout]:
    run = _frozen_run(run_id, ports)
    if not 0 <= chunk < run.chunks:
        raise Invalid("the run has no such chunk")
    return ports.payouts.members(run_id, chunk * CHUNK, min((chunk + 1) * CHUNK, run.members) - 1)


def for_each(payouts: Iterable[Payout], act: Callable[[Payout], None]) -> None:
    """`act` on every payout, so that one bad payout holds up no other; then the first error, if there was any."""
    errors: list[Exception] = []
    for payout in payouts:
        try:
            act(payout)
        except Exception as error:  # noqa: BLE001 - raised again below
            errors.append(error)
    if errors:
        raise errors[0]


def _send_first(payout: Payout, ports: Ports) -> None:
    if payout.state is PayoutState.IN_RUN:
        _send(payout, ports)


def _query(payout: Payout, ports: Ports) -> None:
    if payout.state is PayoutState.IN_RUN:
        _send(payout, ports)
        return
    if payout.state not in model.UNRESOLVED:
        return
    answer = ports.rails[payout.rail].ask(_order(payout))
    payout = _record(payout, answer, ports)
    if payout.state is not PayoutState.UNKNOWN:
        return
    window_seconds = ports.terms[payout.rail].window_seconds
    if not model.may_resend(payout, window_seconds=window_seconds, now_ms=ports.clock.now_ms()):
        ports.signals.alarm("PayoutStuck", payout.payout_id)
    elif answer.fact is Fact.NEVER_HEARD:
        _send(payout, ports)


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
    _record(sending, model.answered_to_send(sending, answer), ports)


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
        _post(release_entry(payout, now_ms=now_ms), payout, released, ports)
    except WriteConflict:
        return


def _record(payout: Payout, answer: Answer, ports: Ports) -> Payout:
    """The payout with what the rail said about it, and the money where that puts it."""
    for attempt in range(ATTEMPTS):
        if attempt and answer.fact not in FINAL_FACTS:
            # What others learned meanwhile is newer than an answer that was not an outcome.
            return payout
        now_ms = ports.clock.now_ms()
        after = model.learn(payout, answer, now_ms=now_ms)
        if after is payout:
            return payout
        try:
            recorded = _write(payout, after, now_ms, ports)
        except WriteConflict:
            recorded = False
        if recorded:
            if after.state is PayoutState.FROZEN:
                ports.signals.alarm("PayoutFrozen", payout.payout_id)
            return after
        payout = _read(payout.payout_id, ports)
    raise Contention("the payout is busy; try again")


def _write(before: Payout, after: Payout, now_ms: int, ports: Ports) -> bool:
    match after.state:
        case PayoutState.SETTLED:
            return _post(settle_entry(before, now_ms=now_ms), before, after, ports)
        case PayoutState.RELEASED:
            return _post(release_entry(before, now_ms=now_ms), before, after, ports)
        case _:
            ports.unit.commit([model.change(before, after)])
            return True


def _post(entry: Entry, before: Payout, after: Payout, ports: Ports) -> bool:
    alongside = [model.change(before, after)]
    return post(entry=entry, alongside=alongside, books=ports.books, unit=ports.unit) is Posted.NOW


def _read(payout_id: str, ports: Ports) -> Payout:
    payout = ports.payouts.payout(payout_id)
    if payout is None:
        raise NotFound("there is no such payout")
    return payout


def _order(payout: Payout) -> Order:
    if payout.rail_key is None or payout.run_id is None:
        raise ValueError("a payout is sent under a stored key, in a run")
    return Order(
        key=payout.rail_key,
        payout_id=payout.payout_id,
        run_id=payout.run_id,
        amount_micros=payout.sent_micros,
        currency=payout.currency,
    )


def _tally(run: Run, ports: Ports) -> tuple[Tally, set[str], set[int]]:
    counts = dict.fromkeys(("settled", "released", "frozen", "unresolved"), 0)
    paid: dict[str, int] = {}
    rails: set[str] = set()
    open_chunks: set[int] = set()
    for first in range(0, run.members, TALLY_ITEMS):
        for payout in ports.payouts.members(run.run_id, first, min(first + TALLY_ITEMS, run.members) - 1):
            rails.add(payout.rail)
            if payout.state in model.UNRESOLVED:
                counts["unresolved"] += 1
                open_chunks.add((payout.number or 0) // CHUNK)
                continue
            counts[payout.state.value] += 1
            if payout.state is PayoutState.SETTLED:
                paid[payout.currency] = paid.get(payout.currency, 0) + payout.sent_micros
    return Tally(**counts, paid=paid), rails, open_chunks


def _reconciled(run: Run, tally: Tally, rails: set[str], ports: Ports) -> bool | None:
    """Whether the rails' totals equal ours; asked once all is decided."""
    total: dict[str, int] = {}
    for rail in sorted(rails):
        said = ports.rails[rail].totals(run.run_id)
        if said is None:
            return None
        for currency, micros in said.items():
            total[currency] = total.get(currency, 0) + micros
    return {currency: micros for currency, micros in total.items() if micros} == dict(tally.paid)
