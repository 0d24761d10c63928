"""What the facts of a deposit mean for the books, step by step.

Each step is one transaction: an entry whose id follows from the deposit and the fact, and the mark on the deposit that
the step is done. Whoever looks at the deposit next goes on where the last one stopped. A dispute takes what is free
first, and what is missing becomes a debt: the escrow of published work stays where it is, because workers are being
paid from it. What that work does not spend comes back when it ends, and pays the debt then.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from smallpeck.funding import model
from smallpeck.funding.bank import Signals
from smallpeck.funding.events import EventReads
from smallpeck.funding.model import Deposit, DepositNotFound, DisputeState, Due, Fact, Step
from smallpeck.funding.port import Checkouts
from smallpeck.funding.suspense import taken
from smallpeck.kernel.writes import Contention, UnitOfWork, Write, WriteConflict
from smallpeck.ledger.accounts import Account, chargeback, funding, requester_available, requester_receivable
from smallpeck.ledger.freezing import FreezeReads, changed, income, recover
from smallpeck.ledger.phases import resolution_id
from smallpeck.ledger.posting import Entry, EntryKind, Link, LinkKind, Posting
from smallpeck.ledger.service import Books, EntryMismatch, InsufficientFunds, NotOwed, post

ATTEMPTS = 20


class FundingReads(EventReads, FreezeReads, Protocol):
    """What funding reads of deposits."""

    def deposit(self, deposit_id: str) -> Deposit | None: ...
    def watched(self, *, after: str | None, limit: int) -> tuple[list[Deposit], str | None]: ...


class Batches(Protocol):
    """The work of a requester."""

    def pause_all(self, requester_id: str, /) -> None:
        """Offers none of a requester's batches any more; what is leased can be submitted and is paid."""
        ...


@dataclass(frozen=True)
class Ports:
    """What settling, hearing and looking after deposits need."""

    reads: FundingReads
    books: Books
    unit: UnitOfWork
    checkouts: Checkouts
    batches: Batches
    signals: Signals


def settle(deposit_id: str, *, now_ms: int, ports: Ports) -> Deposit:
    """Does whatever is due of a deposit, and returns it. Doing it again, or twice at once, is the same as once."""
    for _ in range(ATTEMPTS):
        deposit = ports.reads.deposit(deposit_id)
        if deposit is None:
            raise DepositNotFound
        found = model.due(deposit)
        if found is None:
            recover(
                requester_id=deposit.requester_id,
                currency=deposit.currency,
                at_ms=now_ms,
                books=ports.books,
                reads=ports.reads,
                unit=ports.unit,
            )
            return deposit
        try:
            _take(found, deposit, now_ms, ports)
        except (WriteConflict, EntryMismatch, InsufficientFunds, NotOwed):
            continue  # somebody else did this step, or the requester's money moved: look again
    raise Contention("the deposit is busy; try again")


def learn(deposit: Deposit, fact: Fact, *, now_ms: int, ports: Ports) -> Deposit:
    """Records a fact that was asked for, and does what is due then."""
    for _ in range(ATTEMPTS):
        found = model.heard(deposit, fact)
        try:
            if found.deposit != deposit:
                ports.unit.commit([model.change(deposit, found.deposit)])
        except WriteConflict:
            again = ports.reads.deposit(deposit.deposit_id)
            if again is None:
                raise DepositNotFound from None
            deposit = again
            continue
        if found.alarm is not None:
            ports.signals.alarm(found.alarm, deposit.deposit_id)
        return settle(deposit.deposit_id, now_ms=now_ms, ports=ports)
    raise Contention("the deposit is busy; try again")


def _take(found: Due, deposit: Deposit, now_ms: int, ports: Ports) -> None:
    match found.step:
        case Step.HOLD:
            _hold(deposit, found.subject, now_ms, ports)
        case Step.CREDIT:
            _credit(deposit, now_ms, ports)
        case Step.DISPUTE:
            _dispute(deposit, found.subject, now_ms, ports)
        case Step.PAUSE:
            ports.batches.pause_all(deposit.requester_id)
            paused = replace(deposit.disputes[found.subject], batches_paused=True)
            after = model.with_dispute(deposit, found.subject, paused)
            ports.unit.commit([model.change(deposit, after)])
        case Step.CONCLUDE:
            _conclude(deposit, found.subject, now_ms, ports)
        case Step.REFUND:
            _refund(deposit, now_ms, ports)


def _hold(deposit: Deposit, payment_id: str, now_ms: int, ports: Ports) -> None:
    payment = deposit.held[payment_id]
    entry, create, _ = taken(
        source=deposit.source,
        entry_id=f"{deposit.deposit_id}/held/{payment_id}",
        amount_micros=payment.amount_micros,
        currency=payment.currency,
        reason=payment.reason,
        reference=deposit.deposit_id,
        at_ms=now_ms,
    )
    mark = model.change(deposit, model.held_entered(deposit, payment_id))
    post(entry=entry, alongside=[mark, create], books=ports.books, unit=ports.unit)


def _credit(deposit: Deposit, now_ms: int, ports: Ports) -> None:
    whole = income(
        source=funding(deposit.source),
        amount_micros=deposit.amount_micros,
        requester_id=deposit.requester_id,
        currency=deposit.currency,
        books=ports.books,
        freeze=ports.reads.freeze(deposit.requester_id),
    )
    entry = _entry(deposit, credit_id(deposit.deposit_id), EntryKind.DEPOSIT, whole.postings, now_ms)
    mark = model.change(deposit, model.credited(deposit, now_ms))
    post(entry=entry, alongside=[mark, *whole.changes], books=ports.books, unit=ports.unit)


def _dispute(deposit: Deposit, dispute_id: str, now_ms: int, ports: Ports) -> None:
    dispute = deposit.disputes[dispute_id]
    amount = dispute.amount_micros
    mark = model.change(deposit, model.with_dispute(deposit, dispute_id, replace(dispute, entered=True)))
    freeze = ports.reads.freeze(deposit.requester_id)
    postings = _from_requester(deposit, amount, chargeback(deposit.source), ports) if amount else ()
    owes = {deposit.currency: True} if _makes_debt(postings) else {}
    alongside: list[Write] = [mark, changed(freeze, disputes=1, owes=owes)]
    if not postings:
        ports.unit.commit(alongside)
        return
    link = Link(LinkKind.REVERSES, credit_id(deposit.deposit_id), (amount,))
    entry = _entry(deposit, dispute_entry_id(deposit, dispute_id), EntryKind.CHARGEBACK, postings, now_ms, link)
    post(entry=entry, alongside=alongside, books=ports.books, unit=ports.unit)


def _conclude(deposit: Deposit, dispute_id: str, now_ms: int, ports: Ports) -> None:
    """Won: what the dispute took comes back, and pays a debt first. Lost: it has left the provider for good."""
    dispute = deposit.disputes[dispute_id]
    mark = model.change(deposit, model.with_dispute(deposit, dispute_id, replace(dispute, concluded=True)))
    freeze = ports.reads.freeze(deposit.requester_id)
    if not dispute.amount_micros:
        ports.unit.commit([mark, changed(freeze, disputes=-1)])
        return
    source, disputed = chargeback(deposit.source), dispute_entry_id(deposit, dispute_id)
    goes_on = dispute.state is DisputeState.LOST
    postings: tuple[Posting, ...] = (Posting(source, funding(deposit.source), dispute.amount_micros),)
    owes: dict[str, bool] = {}
    if not goes_on:
        postings, owes = _back(source, dispute.amount_micros, deposit, ports)
    # A dispute took from one account or two, and a resolution says of each posting how much of it goes on.
    taken_before = ports.books.entry(disputed)
    amounts = tuple(one.amount_micros if goes_on else 0 for one in taken_before.postings) if taken_before else ()
    link = Link(LinkKind.RESOLVES, disputed, amounts)
    entry = _entry(deposit, resolution_id(disputed), EntryKind.CHARGEBACK, postings, now_ms, link)
    alongside = [mark, changed(freeze, disputes=-1, owes=owes)]
    post(entry=entry, alongside=alongside, books=ports.books, unit=ports.unit)


def _refund(deposit: Deposit, now_ms: int, ports: Ports) -> None:
    amount = deposit.refunded_micros - deposit.refunds_entered_micros
    mark = model.change(deposit, model.refunds_entered(deposit))
    postings = _from_requester(deposit, amount, funding(deposit.source), ports)
    freeze = ports.reads.freeze(deposit.requester_id)
    frozen = [changed(freeze, owes={deposit.currency: True})] if _makes_debt(postings) else []
    link = Link(LinkKind.REVERSES, credit_id(deposit.deposit_id), (amount,))
    entry_id = f"{deposit.deposit_id}/refund/{deposit.refunded_micros}"
    entry = _entry(deposit, entry_id, EntryKind.REVERSAL, postings, now_ms, link)
    post(entry=entry, alongside=[mark, *frozen], books=ports.books, unit=ports.unit)


def credit_id(deposit_id: str) -> str:
    """The id of the one entry that credits a deposit."""
    return f"{deposit_id}/deposit"


def dispute_entry_id(deposit: Deposit, dispute_id: str) -> str:
    """The id of the entry that takes what a dispute is about; what became of it stands under its resolution's id."""
    return f"{deposit.deposit_id}/dispute/{dispute_id}"


def _entry(
    deposit: Deposit, entry_id: str, kind: EntryKind, postings: Sequence[Posting], now_ms: int, *links: Link
) -> Entry:
    return Entry(
        entry_id=entry_id,
        kind=kind,
        currency=deposit.currency,
        reference=deposit.deposit_id,
        postings=tuple(postings),
        at_ms=now_ms,
        links=links,
    )


def _from_requester(deposit: Deposit, amount: int, to: Account, ports: Ports) -> tuple[Posting, ...]:
    """What is free first; the rest is owed."""
    available = requester_available(deposit.requester_id)
    there = ports.books.balances([available], deposit.currency)[available].balance_micros
    part = min(max(there, 0), amount)
    postings = [Posting(available, to, part)] if part else []
    if amount > part:
        postings.append(Posting(requester_receivable(deposit.requester_id), to, amount - part))
    return tuple(postings)


def _makes_debt(postings: Sequence[Posting]) -> bool:
    return any(posting.source.is_debt for posting in postings)


def _back(source: Account, amount: int, deposit: Deposit, ports: Ports) -> tuple[tuple[Posting, ...], dict[str, bool]]:
    debt = requester_receivable(deposit.requester_id)
    owed = -ports.books.balances([debt], deposit.currency)[debt].balance_micros
    paid = min(owed, amount)
    postings = [Posting(source, debt, paid)] if paid else []
    if amount > paid:
        postings.append(Posting(source, requester_available(deposit.requester_id), amount - paid))
    return tuple(postings), {deposit.currency: owed > paid}
