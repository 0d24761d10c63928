"""What workers get: balance, statement, earnings and payouts."""

from functions.worker_api import views
from functions.worker_api.api import api
from functions.worker_api.schemas import (
    BalanceView,
    DestinationBody,
    DestinationView,
    EarningsQuery,
    EarningsView,
    PayoutBody,
    PayoutList,
    PayoutView,
    QuoteQuery,
    QuoteView,
)
from smallpeck.kernel.errors import IdempotencyMismatch
from smallpeck.kernel.money import BadAmount, format_amount
from smallpeck.ledger import daily
from smallpeck.ledger.accounts import worker_available
from smallpeck.ledger.daily import BadPeriod, TooManyMovements
from smallpeck.ledger.service import InsufficientFunds
from smallpeck.payouts import quoting
from smallpeck.payouts import service as payouts
from smallpeck.people import service as people
from smallpeck.people.model import BadDestination, NoDestination
from smallpeck.runtime import destinations, wiring
from smallpeck.runtime.http import Call
from smallpeck.runtime.schemas import ListQuery, amount_micros, amount_parameter
from smallpeck.runtime.statements import CurrencyQuery, StatementQuery, StatementView, statement


@api.route("GET", "/balance", query=CurrencyQuery, reply=BalanceView, summary="What you have earned")
def get_balance(call: Call[None, CurrencyQuery]) -> BalanceView:
    currency, account = call.query.currency, worker_available(call.user_id)
    balance = wiring.current().ledger.balances([account], currency)[account]
    return BalanceView(available=format_amount(balance.balance_micros, currency), currency=currency)


@api.route("GET", "/statement", query=StatementQuery, reply=StatementView, summary="Every movement of your balance")
def get_statement(call: Call[None, StatementQuery]) -> StatementView:
    return statement(call, worker_available(call.user_id), wiring.current())


@api.route(
    "GET",
    "/earnings",
    query=EarningsQuery,
    reply=EarningsView,
    errors=(BadPeriod, TooManyMovements),
    summary="What you have earned, day by day",
)
def get_earnings(call: Call[None, EarningsQuery]) -> EarningsView:
    first, last = views.period(call.query, call.now_ms)
    currency = call.query.currency
    account = worker_available(call.user_id)
    days = daily.by_day(account=account, currency=currency, first=first, last=last, books=wiring.current().ledger)
    return views.earnings(days, currency)


@api.route(
    "GET", "/payout-destination", reply=DestinationView, errors=(NoDestination,), summary="Where you are paid, masked"
)
def get_destination(call: Call) -> DestinationView:
    here = wiring.current()
    return views.destination(
        people.get_destination(worker_id=call.user_id, destinations=here.once(wiring.destination_store))
    )


@api.route(
    "PUT",
    "/payout-destination",
    body=DestinationBody,
    reply=DestinationView,
    errors=(BadDestination,),
    summary="Say where to be paid",
)
def put_destination(call: Call[DestinationBody]) -> DestinationView:
    here = wiring.current()
    held = people.put_destination(
        worker_id=call.user_id,
        rail=call.body.rail,
        address=call.body.address,
        now_ms=call.now_ms,
        rails=here.once(destinations.offered_rails),
        destinations=here.once(wiring.destination_store),
    )
    return views.destination(held)


@api.route(
    "GET",
    "/payout-quote",
    query=QuoteQuery,
    reply=QuoteView,
    errors=(BadAmount,),
    summary="What a payout would come to, and when it would arrive",
)
def quote_payout(call: Call[None, QuoteQuery]) -> QuoteView:
    here = wiring.current()
    amount, currency = call.query.amount, call.query.currency
    quote = quoting.quote_payout(
        worker_id=call.user_id,
        amount_micros=amount_parameter(amount, currency, name="amount") if amount is not None else None,
        currency=currency,
        now_ms=call.now_ms,
        hour_utc=here.settings.payout_hour_utc,
        rules=here.once(wiring.payout_rules),
        workers=here.once(wiring.payout_workers),
        books=here.ledger,
    )
    return views.quote(quote)


@api.route(
    "POST",
    "/payouts",
    body=PayoutBody,
    reply=PayoutView,
    status=201,
    idempotency="required",
    errors=(
        BadAmount,
        IdempotencyMismatch,
        payouts.BelowThreshold,
        payouts.NoDestination,
        payouts.DestinationCoolingOff,
        payouts.RailUnknown,
        InsufficientFunds,
    ),
    summary="Ask to be paid out",
)
def request_payout(call: Call[PayoutBody]) -> PayoutView:
    here = wiring.current()
    amount, currency = call.body.amount, call.body.currency
    payout = payouts.request_payout(
        worker_id=call.user_id,
        amount_micros=amount_micros(amount, currency, at="/amount") if amount is not None else None,
        currency=currency,
        idempotency_key=call.idempotency_key,
        now_ms=call.now_ms,
        rules=here.once(wiring.payout_rules),
        payouts=here.once(wiring.payout_store),
        workers=here.once(wiring.payout_workers),
        books=here.ledger,
        unit=here.table,
    )
    return views.payout(payout)


@api.route("GET", "/payouts", query=ListQuery, reply=PayoutList, summary="Your payouts")
def list_payouts(call: Call[None, ListQuery]) -> PayoutList:
    here = wiring.current()
    after = here.position(call.query.cursor, call.scope)
    run = here.once(wiring.payout_store).of_worker(call.user_id, after=after, limit=call.query.limit)
    found = [views.payout(one) for one in run.payouts]
    return PayoutList(payouts=found, next_cursor=here.cursor(run.next_after, call.scope))


@api.route(
    "GET", "/payouts/{payout_id}", reply=PayoutView, errors=(payouts.PayoutNotFound,), summary="One of your payouts"
)
def get_payout(call: Call) -> PayoutView:
    store = wiring.current().once(wiring.payout_store)
    return views.payout(payouts.owned_payout(payout_id=call.path["payout_id"], worker_id=call.user_id, payouts=store))
