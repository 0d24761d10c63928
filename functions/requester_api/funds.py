"""Routes by which requesters bring money in, and see what keeps them from spending it."""

from functions.requester_api import funds_views as views
from functions.requester_api.api import api
from functions.requester_api.funds_schemas import (
    BankTransferBody,
    BankTransferView,
    CheckoutBody,
    CheckoutList,
    CheckoutView,
    FundsView,
)
from smallpeck.funding import bank
from smallpeck.funding import checkouts as prepaying
from smallpeck.funding.checkouts import CheckoutExpired, CheckoutsClosed
from smallpeck.funding.model import DepositNotFound
from smallpeck.funding.port import CheckoutRefused, ProviderSilent
from smallpeck.kernel.errors import IdempotencyMismatch
from smallpeck.kernel.money import BadAmount
from smallpeck.ledger.accounts import requester_available, requester_receivable
from smallpeck.runtime import funding, wiring
from smallpeck.runtime.http import Call
from smallpeck.runtime.schemas import ListQuery, amount_micros
from smallpeck.runtime.statements import CurrencyQuery


@api.route(
    "POST",
    "/checkouts",
    body=CheckoutBody,
    reply=CheckoutView,
    status=201,
    idempotency="required",
    errors=(BadAmount, IdempotencyMismatch, CheckoutsClosed, CheckoutRefused, CheckoutExpired, ProviderSilent),
    summary="Prepay by card: opens a page to pay on",
)
def open_checkout(call: Call[CheckoutBody]) -> CheckoutView:
    here = wiring.current()
    opened = prepaying.open_checkout(
        requester_id=call.user_id,
        amount_micros=amount_micros(call.body.amount, call.body.currency, at="/amount"),
        currency=call.body.currency,
        idempotency_key=call.idempotency_key,
        now_ms=call.now_ms,
        opening=here.once(funding.opening),
    )
    return views.checkout(opened, call.now_ms)


@api.route("GET", "/checkouts", query=ListQuery, reply=CheckoutList, summary="Your deposits by checkout")
def list_checkouts(call: Call[None, ListQuery]) -> CheckoutList:
    here = wiring.current()
    store, after = here.once(funding.funding_store), here.position(call.query.cursor, call.scope)
    found, following = store.deposits_of(call.user_id, after=after, limit=call.query.limit)
    return CheckoutList(
        checkouts=[views.checkout(one, call.now_ms) for one in found],
        next_cursor=here.cursor(following, call.scope),
    )


@api.route(
    "GET", "/checkouts/{deposit_id}", reply=CheckoutView, errors=(DepositNotFound,), summary="What became of a deposit"
)
def get_checkout(call: Call) -> CheckoutView:
    here = wiring.current()
    found = prepaying.read_checkout(
        deposit_id=call.path["deposit_id"],
        requester_id=call.user_id,
        now_ms=call.now_ms,
        reads=here.once(funding.funding_store),
        ports=lambda: here.once(funding.funding_ports),
    )
    return views.checkout(found, call.now_ms)


@api.route(
    "POST",
    "/bank-transfers",
    body=BankTransferBody,
    reply=BankTransferView,
    status=201,
    idempotency="required",
    errors=(IdempotencyMismatch, bank.BankTransfersClosed),
    summary="Prepay by bank: where to, and under which reference",
)
def open_bank_transfer(call: Call[BankTransferBody]) -> BankTransferView:
    here = wiring.current()
    account = funding.bank_account(here)
    made = bank.reference_for(
        requester_id=call.user_id,
        currency=call.body.currency,
        idempotency_key=call.idempotency_key,
        now_ms=call.now_ms,
        reads=here.once(funding.funding_store),
        unit=here.table,
    )
    return views.bank_transfer(made, account)


@api.route("GET", "/funds", query=CurrencyQuery, reply=FundsView, summary="Whether you can spend, and what you owe")
def get_funds(call: Call[None, CurrencyQuery]) -> FundsView:
    here = wiring.current()
    available, owed = requester_available(call.user_id), requester_receivable(call.user_id)
    balances = here.ledger.balances([available, owed], call.query.currency)
    freeze = here.once(funding.funding_store).freeze(call.user_id)
    return views.funds(freeze, balances[available], balances[owed], call.query.currency)
