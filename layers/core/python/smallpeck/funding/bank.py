"""Money that requesters send by bank: a payment reference says whose it is, an entry of the bank's says that it came.

What the bank has booked is read from its files, or by a person; either way the bank's own id of the booking names it
for ever, so that it is entered once.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol

from smallpeck.funding.creditor_reference import canonical, creditor_reference
from smallpeck.funding.model import Alarm
from smallpeck.funding.suspense import taken
from smallpeck.kernel.errors import Conflict, Forbidden, IdempotencyMismatch
from smallpeck.kernel.ids import derived_id
from smallpeck.kernel.writes import Contention, Create, Ref, UnitOfWork, Value, WriteConflict, ref
from smallpeck.ledger.accounts import funding
from smallpeck.ledger.freezing import FreezeReads, income, recover
from smallpeck.ledger.posting import Entry, EntryKind
from smallpeck.ledger.service import Books, EntryMismatch, NotOwed, post

SOURCE = "bank"
REFERENCE_ROUTE = "POST /v1/requester/bank-transfers"
CREDIT_ATTEMPTS = 10
_BODY_LENGTH = 16  # 80 bits, and short enough to be typed
UNKNOWN = "unknown_reference"
OTHER_CURRENCY = "another_currency"


class BankTransfersClosed(Forbidden):
    """The stage has no bank account that could be paid to."""

    code = "bank_transfers_closed"

    def __init__(self) -> None:
        super().__init__("money cannot be sent by bank here")


class BankCreditMismatch(Conflict):
    """The bank's entry was recorded before with another amount, currency or reference."""

    code = "bank_credit_mismatch"

    def __init__(self) -> None:
        super().__init__("this entry of the bank was recorded before, otherwise")


@dataclass(frozen=True)
class BankReference:
    """A payment reference of one requester, for one currency; good for any number of transfers."""

    reference: str
    requester_id: str
    currency: str
    created_at_ms: int


@dataclass(frozen=True)
class BankCredit:
    """Money that a bank booked. It is a requester's, or stands in suspense."""

    credit_id: str
    bank_entry_id: str
    amount_micros: int
    currency: str
    reference: str
    at_ms: int
    requester_id: str | None = None
    suspense_id: str | None = None
    reason: str | None = None
    """Why it stands in suspense."""


class BankReads(FreezeReads, Protocol):
    """What bank transfers read."""

    def bank_reference(self, reference: str) -> BankReference | None: ...
    def bank_credit(self, credit_id: str) -> BankCredit | None: ...


class Signals(Protocol):
    """Calls a person."""

    def alarm(self, alarm: Alarm, subject: str, /) -> None: ...


def reference_for(
    *, requester_id: str, currency: str, idempotency_key: str, now_ms: int, reads: BankReads, unit: UnitOfWork
) -> BankReference:
    """The payment reference of this request, made now or before; raises IdempotencyMismatch."""
    body = derived_id("", requester_id, REFERENCE_ROUTE, idempotency_key)[:_BODY_LENGTH]
    made = BankReference(creditor_reference(body), requester_id, currency, now_ms)
    try:
        unit.commit([Create(bank_reference_ref(made.reference), dict(asdict(made)))])
    except WriteConflict:
        known = reads.bank_reference(made.reference)
        if known is None or (known.requester_id, known.currency) != (requester_id, currency):
            raise IdempotencyMismatch from None
        return known
    return made


def credit_received(
    *,
    reference: str,
    amount_micros: int,
    currency: str,
    bank_entry_id: str,
    now_ms: int,
    reads: BankReads,
    books: Books,
    unit: UnitOfWork,
    signals: Signals,
) -> BankCredit:
    """Enters what the bank has booked, once for each id of the bank's, whenever it is told again.

    `reference` is whatever the payer wrote. A reference that is not ours, or that is for another currency, puts the
    money into suspense with an alarm. Raises BankCreditMismatch where the same id comes with something else.
    """
    credit_id = derived_id("bc", bank_entry_id)
    wanted = (amount_micros, currency, canonical(reference) or "")
    for _ in range(CREDIT_ATTEMPTS):
        credit = reads.bank_credit(credit_id)
        if credit is None:
            try:
                credit = _enter(credit_id, bank_entry_id, *wanted, now_ms, reads, books, unit)
            except (WriteConflict, EntryMismatch, NotOwed):
                continue  # told twice at once, or the requester's debt has changed: look again
        elif (credit.amount_micros, credit.currency, credit.reference) != wanted:
            raise BankCreditMismatch
        if credit.requester_id is None:
            signals.alarm(Alarm.HELD, credit.credit_id)
        else:
            recover(
                requester_id=credit.requester_id,
                currency=currency,
                at_ms=now_ms,
                books=books,
                reads=reads,
                unit=unit,
            )
        return credit
    raise Contention("the account is busy; try again")


def _enter(
    credit_id: str,
    bank_entry_id: str,
    amount_micros: int,
    currency: str,
    reference: str,
    now_ms: int,
    reads: BankReads,
    books: Books,
    unit: UnitOfWork,
) -> BankCredit:
    known = reads.bank_reference(reference) if reference else None
    facts = (credit_id, bank_entry_id, amount_micros, currency, reference, now_ms)
    entry_id = f"{credit_id}/deposit"
    if known is None or known.currency != currency:
        reason = UNKNOWN if known is None else OTHER_CURRENCY
        entry, create, held = taken(
            source=SOURCE,
            entry_id=entry_id,
            amount_micros=amount_micros,
            currency=currency,
            reason=reason,
            reference=reference,
            at_ms=now_ms,
        )
        credit = BankCredit(*facts, suspense_id=held.suspense_id, reason=reason)
        post(entry=entry, alongside=[create, _create(credit)], books=books, unit=unit)
        return credit
    whole = income(
        source=funding(SOURCE),
        amount_micros=amount_micros,
        requester_id=known.requester_id,
        currency=currency,
        books=books,
        freeze=reads.freeze(known.requester_id),
    )
    credit = BankCredit(*facts, requester_id=known.requester_id)
    entry = Entry(
        entry_id=entry_id,
        kind=EntryKind.DEPOSIT,
        currency=currency,
        reference=credit_id,
        postings=whole.postings,
        at_ms=now_ms,
    )
    post(entry=entry, alongside=[_create(credit), *whole.changes], books=books, unit=unit)
    return credit


def bank_reference_from(item: Mapping[str, Any]) -> BankReference:
    """A payment reference from its stored fields."""
    return BankReference(**{one.name: item[one.name] for one in fields(BankReference)})


def bank_credit_from(item: Mapping[str, Any]) -> BankCredit:
    """What a bank booked, from its stored fields."""
    return BankCredit(**{one.name: item[one.name] for one in fields(BankCredit) if one.name in item})


def bank_credit_ref(credit_id: str) -> Ref:
    """The item of what a bank booked."""
    return ref("bank_credit", credit_id)


def bank_reference_ref(reference: str) -> Ref:
    return ref("bank_reference", reference)


def _create(credit: BankCredit) -> Create:
    fields_given: dict[str, Value] = {name: value for name, value in asdict(credit).items() if value is not None}
    return Create(bank_credit_ref(credit.credit_id), fields_given)
