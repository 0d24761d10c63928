"""Acting on what a provider says by itself. An event is recorded in the transaction of the fact that it brings, so it
acts once, whenever and however often it comes; what the fact means for the books follows, and is picked up again by
whoever comes next if it was interrupted.
"""

from dataclasses import dataclass

from smallpeck.funding import model
from smallpeck.funding.events import HeardBefore, Outcome, remember
from smallpeck.funding.model import Alarm, Deposit, Disputed, Fact, NotPaid, Paid
from smallpeck.funding.port import FundingEvent, ProviderSilent
from smallpeck.funding.settling import ATTEMPTS, Ports, learn, settle
from smallpeck.funding.suspense import taken
from smallpeck.kernel.writes import Contention, WriteConflict
from smallpeck.ledger.service import EntryMismatch, post

LOOK_AFTER_SECONDS = 600
DEPOSITS_AT_ONCE = 50


def hear(*, event: FundingEvent, now_ms: int, ports: Ports) -> Outcome:
    """Records an event and acts on it. Raises ProviderSilent where the provider must be asked and does not answer:
    nothing is recorded then, and the provider sends the event again.
    """
    found = ports.reads.event(event.source, event.event_id) or _record(event, now_ms, ports)
    if found.alarm is not None:
        ports.signals.alarm(found.alarm, event.event_id)
    if found.deposit_id is not None:
        settle(found.deposit_id, now_ms=now_ms, ports=ports)
    return found.outcome


@dataclass(frozen=True)
class LookedAfter:
    """How many deposits changed, and of how many the provider said nothing."""

    changed: int = 0
    silent: int = 0


def look_after(*, now_ms: int, ports: Ports) -> LookedAfter:
    """Finishes what was interrupted, and asks about checkouts of which nothing was heard.

    What a provider says by itself may be lost, so it is asked.
    """
    changed = silent = 0
    after: str | None = None
    while True:
        deposits, after = ports.reads.watched(after=after, limit=DEPOSITS_AT_ONCE)
        for deposit in deposits:
            try:
                changed += look_at(deposit, now_ms=now_ms, ports=ports) != deposit
            except ProviderSilent:
                silent += 1
        if after is None:
            return LookedAfter(changed, silent)


def look_at(deposit: Deposit, *, now_ms: int, ports: Ports, wait_seconds: int = LOOK_AFTER_SECONDS) -> Deposit:
    """Brings one deposit up to date; raises ProviderSilent."""
    if model.due(deposit) is not None:
        return settle(deposit.deposit_id, now_ms=now_ms, ports=ports)
    if deposit.state is not model.DepositState.CREATED or now_ms < deposit.created_at_ms + wait_seconds * 1000:
        return deposit
    if deposit.session_id is None:
        return (
            learn(deposit, NotPaid("never_opened"), now_ms=now_ms, ports=ports)
            if _is_over(deposit, now_ms)
            else deposit
        )
    fact = ports.checkouts.look(deposit.session_id)
    return deposit if fact is None else learn(deposit, fact, now_ms=now_ms, ports=ports)


def _is_over(deposit: Deposit, now_ms: int) -> bool:
    return now_ms >= deposit.expires_at_ms


def _record(event: FundingEvent, now_ms: int, ports: Ports) -> HeardBefore:
    for _ in range(ATTEMPTS):
        try:
            return _recorded(event, now_ms, ports)
        except (WriteConflict, EntryMismatch):
            known = ports.reads.event(event.source, event.event_id)
            if known is not None:
                return known
    raise Contention("the deposit is busy; try again")


def _recorded(event: FundingEvent, now_ms: int, ports: Ports) -> HeardBefore:
    if event.fact is None:
        found = HeardBefore(Outcome.HELD, alarm=Alarm.HELD) if event.is_held else HeardBefore(Outcome.IGNORED)
        ports.unit.commit([remember(event, found, now_ms)])
        return found
    deposit = _deposit(event, now_ms, ports)
    if deposit is None:
        return _hold(event, now_ms, ports)
    fact = _checked(event.fact, deposit, ports)
    heard = model.heard(deposit, fact)
    alarm = heard.alarm or (None if fact == event.fact else Alarm.CONTRADICTED)
    found = HeardBefore(Outcome.APPLIED, deposit.deposit_id, alarm)
    change = [model.change(deposit, heard.deposit)] if heard.deposit != deposit else []
    ports.unit.commit([remember(event, found, now_ms), *change])
    return found


def _deposit(event: FundingEvent, now_ms: int, ports: Ports) -> Deposit | None:
    """The deposit that an event is about. Of a dispute that comes before its payment, the payment is asked for."""
    fact = event.fact
    deposit_id = event.deposit_id
    if deposit_id is None and isinstance(fact, Paid | Disputed | model.Refunded):
        deposit_id = ports.checkouts.deposit_of(fact.payment_id)
    deposit = None if deposit_id is None else ports.reads.deposit(deposit_id)
    if deposit is None or deposit.source != event.source:
        return None
    unpaid = deposit.payment_id is None and deposit.session_id is not None
    if isinstance(fact, Disputed | model.Refunded) and unpaid:
        told = ports.checkouts.look(str(deposit.session_id))
        if told is not None:
            return learn(deposit, told, now_ms=now_ms, ports=ports)
    return deposit


def _checked(fact: Fact, deposit: Deposit, ports: Ports) -> Fact:
    """The fact; of a payment that is not what was agreed, what the provider answers when it is asked about it."""
    if not isinstance(fact, Paid) or deposit.session_id is None or model.is_as_agreed(deposit, fact):
        return fact
    told = ports.checkouts.look(deposit.session_id)
    return told if isinstance(told, Paid) and told.payment_id == fact.payment_id else fact


def _hold(event: FundingEvent, now_ms: int, ports: Ports) -> HeardBefore:
    """Money of no deposit goes into suspense; of anything else there is no money to hold."""
    found = HeardBefore(Outcome.HELD, alarm=Alarm.HELD)
    known = remember(event, found, now_ms)
    if not isinstance(event.fact, Paid):
        ports.unit.commit([known])
        return found
    entry, create, _ = taken(
        source=event.source,
        entry_id=f"{event.source}/held/{event.fact.payment_id}",
        amount_micros=event.fact.amount_micros,
        currency=event.fact.currency,
        reason="no_deposit",
        reference=event.fact.payment_id,
        at_ms=now_ms,
    )
    if ports.books.input_hash(entry.entry_id) is not None:
        ports.unit.commit([known])  # another event brought this payment before
        return found
    post(entry=entry, alongside=[known, create], books=ports.books, unit=ports.unit)
    return found
