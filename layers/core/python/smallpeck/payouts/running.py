"""The steps of a payout run. Each may be run again at any time, after any crash, beside itself.

start -> freeze -> send (each chunk and each parcel) -> end -> [wait -> query (each chunk) -> end] ...
"""

from collections.abc import Iterable
from typing import Protocol

from smallpeck.kernel.errors import IdempotencyMismatch, Invalid
from smallpeck.kernel.writes import Contention, UnitOfWork, WriteConflict
from smallpeck.payouts import model, sending
from smallpeck.payouts.model import Payout, PayoutState
from smallpeck.payouts.runs import (
    CHUNK,
    MAX_MEMBERS,
    MAX_ROUNDS,
    MAX_WAIT_SECONDS,
    Ending,
    MembershipOpen,
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
    place,
    run_id_of,
)

ATTEMPTS = 10
FREEZE_ITEMS = 40
TALLY_ITEMS = 100
EARLIER_AFTER_SECONDS = 900


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
    """Sends the members of a chunk that go out by themselves and were never sent. Those that may have been are left to
    `query`.
    """
    alone = [payout for payout in _chunk(run_id, chunk, ports) if payout.parcel is None]
    sending.for_each(alone, lambda payout: sending.send_first(payout, ports))


def send_parcel(*, run_id: str, parcel: int, ports: Ports) -> None:
    """Sends a parcel of the run."""
    run = frozen_run(run_id, ports)
    if not 0 <= parcel < run.parcels:
        raise Invalid("the run has no such parcel")
    sending.send_parcel(run_id, parcel, ports)


def query(*, run_id: str, chunk: int, ports: Ports) -> None:
    """Asks the rails about the members of a chunk that have no outcome, and sends what never reached them."""
    _query(_chunk(run_id, chunk, ports), ports)


def query_earlier(*, ports: Ports) -> int:
    """Asks about some of what earlier runs left without an outcome, the longest untouched first."""
    until_ms = ports.clock.now_ms() - EARLIER_AFTER_SECONDS * 1000
    found = ports.payouts.payouts(ports.payouts.unresolved(until_ms=until_ms, limit=CHUNK))
    open_ = [payout for payout in found.values() if payout.state in model.UNRESOLVED]
    run_ids = sorted({payout.run_id for payout in open_ if payout.run_id is not None})
    for run_id in run_ids:
        # A run that died while it was collecting never sent anything: its members go out from here.
        _close_membership(read_run(run_id=run_id, payouts=ports.payouts), ports)
    _query(open_, ports)
    for run_id in run_ids:
        end(run_id=run_id, ports=ports)
    return len(open_)


def end(*, run_id: str, ports: Ports) -> Ending:
    """Counts how the members stand; with no outcome missing, compares with what the rails say they paid."""
    for _ in range(ATTEMPTS):
        run = frozen_run(run_id, ports)
        tally, paid, open_chunks, told = _tally(run, ports)
        state = RunState.WAITING if tally.unresolved else RunState.FINISHED
        reconciled = None if tally.unresolved else _reconciled(run, paid, ports)
        after = next_run(run, state=state, tally=tally, reconciled=reconciled)
        try:
            ports.unit.commit([change_run(run, after)])
        except WriteConflict:
            continue
        if tally.frozen:
            ports.signals.alarm("PayoutFrozen", run_id)
        if reconciled is False:
            ports.signals.alarm("RailTotalsDiffer", run_id)
        return Ending(after, tuple(sorted(open_chunks)), told)
    raise Contention("the run is busy; try again")


def _take_all(run: Run, payout_ids: list[str], ports: Ports) -> Run:
    for _ in range(ATTEMPTS):
        found = ports.payouts.payouts(payout_ids)
        waiting = [found[one] for one in payout_ids if one in found and found[one].state is PayoutState.REQUESTED]
        if not waiting or run.state is not RunState.COLLECTING:
            return run
        now_ms = ports.clock.now_ms()
        after, taken = run, []
        for number, payout in enumerate(waiting, start=run.members):
            after, parcel = place(after, payout, ports.terms)
            taken.append(model.take(payout, run_id=run.run_id, number=number, now_ms=now_ms, parcel=parcel))
        after = next_run(after, members=run.members + len(taken))
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


def frozen_run(run_id: str, ports: Ports) -> Run:
    """The run, whose membership is closed; raises RunNotFound or MembershipOpen."""
    run = read_run(run_id=run_id, payouts=ports.payouts)
    if run.state is RunState.COLLECTING:
        raise MembershipOpen("the run's membership is not frozen")
    return run


def open_chunks_of(run: Run, ports: Ports) -> set[int]:
    """The chunks with a member that has no outcome."""
    return _tally(run, ports)[2]


def _chunk(run_id: str, chunk: int, ports: Ports) -> list[Payout]:
    run = frozen_run(run_id, ports)
    if not 0 <= chunk < run.chunks:
        raise Invalid("the run has no such chunk")
    return ports.payouts.members(run_id, chunk * CHUNK, min((chunk + 1) * CHUNK, run.members) - 1)


def _query(payouts: Iterable[Payout], ports: Ports) -> None:
    together: dict[tuple[str | None, int | None], list[Payout]] = {}
    for payout in payouts:
        # One that goes out by itself is a group of its own.
        name = (payout.run_id, payout.parcel) if payout.parcel is not None else (payout.payout_id, None)
        together.setdefault(name, []).append(payout)

    def ask(group: list[Payout]) -> None:
        if group[0].parcel is None:
            sending.query_one(group[0], ports)
        else:
            sending.query_together(group, ports)

    sending.for_each(together.values(), ask)


def _tally(run: Run, ports: Ports) -> tuple[Tally, dict[str, dict[str, int]], set[int], bool]:
    """How the members stand, what each rail was asked to pay for settled ones, the open chunks, and whether all that
    is open will be told by its rail.
    """
    counts = dict.fromkeys(("settled", "released", "returned", "frozen", "unresolved"), 0)
    paid: dict[str, int] = {}
    by_rail: dict[str, dict[str, int]] = {}
    open_chunks: set[int] = set()
    told = True
    for first in range(0, run.members, TALLY_ITEMS):
        for payout in ports.payouts.members(run.run_id, first, min(first + TALLY_ITEMS, run.members) - 1):
            of_rail = by_rail.setdefault(payout.rail, {})
            if payout.state in model.UNRESOLVED:
                counts["unresolved"] += 1
                open_chunks.add((payout.number or 0) // CHUNK)
                told = told and payout.acknowledged and payout.rail in ports.terms and ports.terms[payout.rail].tells
                continue
            counts[payout.state.value] += 1
            if payout.state is PayoutState.SETTLED:
                for sums in (paid, of_rail):
                    sums[payout.currency] = sums.get(payout.currency, 0) + payout.sent_micros
    return Tally(**counts, paid=paid), by_rail, open_chunks, told and bool(open_chunks)


def _reconciled(run: Run, paid: dict[str, dict[str, int]], ports: Ports) -> bool | None:
    """Whether the rails' totals equal ours; asked once all is decided. None where a rail did not say, and no other
    says something else.
    """
    silent = False
    for rail, ours in sorted(paid.items()):
        if rail in ports.parcel_rails:
            parcels = (ports.payouts.parcel(run.run_id, number) for number in range(run.parcels))
            sent = [parcel for parcel in parcels if parcel is not None and parcel.rail == rail]
            said = ports.parcel_rails[rail].totals(sent)
        else:
            said = ports.rails[rail].totals(run.run_id)
        if said is None:
            silent = True
        elif {currency: micros for currency, micros in said.items() if micros} != ours:
            return False
    return None if silent else True
