"""Writing down what a rail said about a payout: its next state, and the money where that puts it."""

from smallpeck.kernel.errors import NotFound
from smallpeck.kernel.writes import Contention, WriteConflict
from smallpeck.ledger.posting import Entry
from smallpeck.ledger.service import Posted, post
from smallpeck.payouts import model
from smallpeck.payouts.model import Answer, Fact, Payout, PayoutState
from smallpeck.payouts.runs import RecordPorts
from smallpeck.payouts.service import release_entry, return_entry, settle_entry

ATTEMPTS = 10
FINAL_FACTS = frozenset({Fact.PAID, Fact.REFUSED, Fact.RETURNED, Fact.MISMATCH})
HELD_REASON = "blocked"
"""What a rail's adapter says of a payment that the rail holds until a person has spoken with it."""


def record(payout: Payout, answer: Answer, ports: RecordPorts) -> Payout:
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
            recorded = write(payout, after, now_ms, ports)
        except WriteConflict:
            recorded = False
        if recorded:
            if after.state is PayoutState.FROZEN:
                ports.signals.alarm("PayoutFrozen", payout.payout_id)
            elif answer.fact is Fact.PENDING and after.reason == HELD_REASON != payout.reason:
                ports.signals.alarm("PayoutHeld", payout.payout_id)
            return after
        payout = _read(payout.payout_id, ports)
    raise Contention("the payout is busy; try again")


def write(before: Payout, after: Payout, now_ms: int, ports: RecordPorts) -> bool:
    """Whether it was written now; raises WriteConflict where the payout is not `before` any more."""
    match after.state:
        case PayoutState.SETTLED:
            return post_with(settle_entry(before, now_ms=now_ms), before, after, ports)
        case PayoutState.RELEASED:
            return post_with(release_entry(before, now_ms=now_ms), before, after, ports)
        case PayoutState.RETURNED:
            return post_with(return_entry(before, now_ms=now_ms), before, after, ports)
        case _:
            ports.unit.commit([model.change(before, after)])
            return True


def post_with(entry: Entry, before: Payout, after: Payout, ports: RecordPorts) -> bool:
    """Records the entry together with the change of the payout; False where it was recorded before."""
    alongside = [model.change(before, after)]
    return post(entry=entry, alongside=alongside, books=ports.books, unit=ports.unit) is Posted.NOW


def _read(payout_id: str, ports: RecordPorts) -> Payout:
    payout = ports.payouts.payout(payout_id)
    if payout is None:
        raise NotFound("there is no such payout")
    return payout
