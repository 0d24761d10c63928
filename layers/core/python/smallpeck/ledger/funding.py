"""How requesters' money comes in. Test deposits are for stages where money is not real."""

from smallpeck.kernel.errors import Forbidden, IdempotencyMismatch, Invalid
from smallpeck.kernel.ids import derived_id
from smallpeck.kernel.writes import UnitOfWork
from smallpeck.ledger.accounts import funding, requester_available
from smallpeck.ledger.posting import Entry, EntryKind, Posting
from smallpeck.ledger.service import Books, EntryMismatch, post

DEPOSIT_ROUTE = "POST /v1/requester/deposits"
TEST_SOURCE = "test"


class DepositsClosed(Forbidden):
    """On this stage money is real and does not come from nowhere."""

    code = "test_deposits_closed"


class DepositTooLarge(Invalid):
    """More than a test deposit may be."""

    code = "deposit_too_large"


def deposit_for_testing(
    *,
    requester_id: str,
    amount_micros: int,
    currency: str,
    idempotency_key: str,
    now_ms: int,
    allowed: bool,
    max_deposit_micros: int,
    books: Books,
    unit: UnitOfWork,
) -> str:
    """Gives a requester test money once per idempotency key; returns the id of the entry."""
    if not allowed:
        raise DepositsClosed("test deposits are closed on this stage")
    if amount_micros > max_deposit_micros:
        raise DepositTooLarge("this is more than a test deposit may be")
    entry = Entry(
        entry_id=derived_id("d", requester_id, DEPOSIT_ROUTE, idempotency_key),
        kind=EntryKind.DEPOSIT,
        currency=currency,
        reference=requester_id,
        postings=(Posting(funding(TEST_SOURCE), requester_available(requester_id), amount_micros),),
        at_ms=now_ms,
    )
    try:
        post(entry=entry, alongside=[], books=books, unit=unit)
    except EntryMismatch as error:
        raise IdempotencyMismatch from error
    return entry.entry_id
