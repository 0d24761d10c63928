"""Routes by which operators enter what a bank booked, and say whose money in suspense is."""

from functions.operator_api.api import api
from functions.operator_api.schemas import BankCreditBody, BankCreditView, ResolutionBody, SuspenseList, SuspenseView
from smallpeck.funding import bank, suspense
from smallpeck.funding.bank import BankCredit, BankCreditMismatch
from smallpeck.funding.suspense import AlreadyResolved, Suspended, SuspenseNotFound
from smallpeck.kernel.clock import to_rfc3339
from smallpeck.kernel.money import BadAmount, format_amount
from smallpeck.runtime import funding, wiring
from smallpeck.runtime.http import Call
from smallpeck.runtime.schemas import ListQuery, amount_micros


@api.route(
    "POST",
    "/bank-credits",
    body=BankCreditBody,
    reply=BankCreditView,
    status=201,
    idempotency="required",
    errors=(BadAmount, BankCreditMismatch),
    summary="Enter what the bank has booked",
)
def enter_bank_credit(call: Call[BankCreditBody]) -> BankCreditView:
    here, given = wiring.current(), call.body
    credit = bank.credit_received(
        reference=given.reference,
        amount_micros=amount_micros(given.amount, given.currency, at="/amount"),
        currency=given.currency,
        bank_entry_id=given.bank_entry_id,
        now_ms=call.now_ms,
        reads=here.once(funding.funding_store),
        books=here.ledger,
        unit=here.table,
        signals=funding.FundingAlarms(),
    )
    return _credit(credit)


@api.route("GET", "/suspense", query=ListQuery, reply=SuspenseList, summary="Money that belongs to nobody yet")
def list_suspense(call: Call[None, ListQuery]) -> SuspenseList:
    here = wiring.current()
    after = here.position(call.query.cursor, call.scope)
    found, following = here.once(funding.funding_store).in_suspense(after=after, limit=call.query.limit)
    return SuspenseList(suspense=[_held(one) for one in found], next_cursor=here.cursor(following, call.scope))


@api.route(
    "POST",
    "/suspense/{suspense_id}/resolution",
    body=ResolutionBody,
    reply=SuspenseView,
    idempotency="required",
    errors=(SuspenseNotFound, AlreadyResolved),
    summary="Say whose the money is",
)
def resolve_suspense(call: Call[ResolutionBody]) -> SuspenseView:
    here = wiring.current()
    resolved = suspense.resolve(
        suspense_id=call.path["suspense_id"],
        requester_id=call.body.requester_id,
        operator_id=call.user_id,
        now_ms=call.now_ms,
        reads=here.once(funding.funding_store),
        books=here.ledger,
        unit=here.table,
    )
    return _held(resolved)


def _credit(found: BankCredit) -> BankCreditView:
    return BankCreditView(
        credit_id=found.credit_id,
        amount=format_amount(found.amount_micros, found.currency),
        currency=found.currency,
        reference=found.reference,
        at=to_rfc3339(found.at_ms),
        requester_id=found.requester_id,
        suspense_id=found.suspense_id,
        reason=found.reason,
    )


def _held(found: Suspended) -> SuspenseView:
    return SuspenseView(
        suspense_id=found.suspense_id,
        source=found.source,
        state=found.state,
        amount=format_amount(found.amount_micros, found.currency),
        currency=found.currency,
        reason=found.reason,
        reference=found.reference,
        at=to_rfc3339(found.at_ms),
        entry_id=found.entry_id,
        requester_id=found.requester_id,
        resolved_at=None if found.resolved_at_ms is None else to_rfc3339(found.resolved_at_ms),
    )
