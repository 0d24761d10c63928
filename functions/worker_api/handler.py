"""The API of workers."""

from functions.worker_api import views
from functions.worker_api.schemas import (
    BalanceView,
    BatchList,
    BatchView,
    DestinationBody,
    DestinationView,
    LeaseBody,
    LeaseView,
    PageList,
    PageView,
    PayoutBody,
    PayoutList,
    PayoutView,
    ProfileBody,
    ProfileView,
    SubmissionBody,
    SubmissionView,
)
from smallpeck.kernel.errors import Forbidden, IdempotencyMismatch, InProgress
from smallpeck.kernel.money import BadAmount, format_amount
from smallpeck.ledger.accounts import worker_available
from smallpeck.ledger.service import InsufficientFunds
from smallpeck.payouts import service as payouts
from smallpeck.people import service as people
from smallpeck.people.model import BadDestination, BadProfile, NoDestination
from smallpeck.runtime import wiring
from smallpeck.runtime.http import Api, Call, Reply
from smallpeck.runtime.schemas import Health, ListQuery, NoBody, amount_micros
from smallpeck.runtime.statements import CurrencyQuery, StatementQuery, StatementView, statement
from smallpeck.tasks import dispatch, seats, submissions
from smallpeck.tasks.model import BatchClosed, BatchNotFound, may_do
from smallpeck.tasks.pages import AlreadySubmitted, LeaseExpired, PageNotFound, PageNotLeased

api = Api("worker")
handler = api.handler


@api.route("GET", "/healthz", reply=Health, public=True, summary="Whether the function runs")
def healthz(_call: Call) -> Health:
    return Health(status="ok")


@api.route("GET", "/profile", reply=ProfileView, summary="What you said about yourself")
def get_profile(call: Call) -> ProfileView:
    here = wiring.current()
    profile = people.get_profile(
        worker_id=call.user_id, now_ms=call.now_ms, profiles=here.once(wiring.profile_store), unit=here.table
    )
    return views.profile(profile, here.settings.payout_threshold_micros)


@api.route(
    "PUT",
    "/profile",
    body=ProfileBody,
    reply=ProfileView,
    errors=(BadProfile, BadAmount),
    summary="Say who you are",
)
def put_profile(call: Call[ProfileBody]) -> ProfileView:
    here = wiring.current()
    threshold = call.body.payout_threshold
    profile = people.put_profile(
        worker_id=call.user_id,
        country=call.body.country,
        languages=call.body.languages,
        payout_threshold_micros=amount_micros(threshold, "USD", at="/payout_threshold") if threshold else None,
        platform_threshold_micros=here.settings.payout_threshold_micros,
        now_ms=call.now_ms,
        profiles=here.once(wiring.profile_store),
        unit=here.table,
    )
    return views.profile(profile, here.settings.payout_threshold_micros)


@api.route("GET", "/batches", query=ListQuery, reply=BatchList, summary="Batches you may do")
def list_batches(call: Call[None, ListQuery]) -> BatchList:
    here = wiring.current()
    after = here.position(call.query.cursor, call.scope)
    found, following = here.once(wiring.task_store).open_batches(after=after, limit=call.query.limit)
    worker = wiring.worker_facts(here, call.user_id)
    offered = [views.batch(one) for one in found if dispatch.is_offered(one, call.now_ms) and may_do(worker, one)]
    return BatchList(batches=offered, next_cursor=here.cursor(following, call.scope))


@api.route("GET", "/batches/{batch_id}", reply=BatchView, errors=(BatchNotFound,), summary="One batch")
def get_batch(call: Call) -> BatchView:
    here = wiring.current()
    found = here.once(wiring.task_store).batch(call.path["batch_id"])
    if found is None or not dispatch.is_visible(found):
        raise BatchNotFound
    return views.batch(found)


@api.route(
    "POST",
    "/pages",
    body=LeaseBody,
    reply=LeaseView,
    status=201,
    idempotency="required",
    errors=(
        BatchNotFound,
        BatchClosed,
        IdempotencyMismatch,
        InProgress,
        Forbidden,
        dispatch.NotEligible,
        dispatch.TooManyPages,
        dispatch.TasksNotOffered,
    ),
    also={200: "No task of the batch has a seat for you now; `retry_after_seconds` says when to ask again."},
    summary="Lease the next page of a batch",
)
def lease_page(call: Call[LeaseBody]) -> Reply:
    here = wiring.current()
    reads = here.once(wiring.task_store)
    batch = reads.batch(call.body.batch_id)
    if batch is None or not dispatch.is_visible(batch):
        raise BatchNotFound
    leased = dispatch.lease_page(
        worker=wiring.worker_facts(here, call.user_id),
        batch=batch,
        idempotency_key=call.idempotency_key,
        named_tasks=call.body.tasks,
        now_ms=call.now_ms,
        reads=reads,
        unit=here.table,
    )
    return views.lease(leased, batch, call.now_ms, reads)


@api.route("GET", "/pages", query=ListQuery, reply=PageList, summary="Your pages")
def list_pages(call: Call[None, ListQuery]) -> PageList:
    here = wiring.current()
    reads = here.once(wiring.task_store)
    after = here.position(call.query.cursor, call.scope)
    found, following = reads.pages_of(call.user_id, after=after, limit=call.query.limit)
    batches = {batch_id: reads.batch(batch_id) for batch_id in {page.batch_id for page in found}}
    summaries = [views.page_summary(page, batches[page.batch_id], call.now_ms) for page in found]
    return PageList(pages=summaries, next_cursor=here.cursor(following, call.scope))


@api.route("GET", "/pages/{page_id}", reply=PageView, errors=(PageNotFound,), summary="One of your pages")
def get_page(call: Call) -> PageView:
    reads = wiring.current().once(wiring.task_store)
    page, batch = wiring.own_page_and_batch(reads, call.path["page_id"], call.user_id)
    return views.page(page, batch, call.now_ms, reads)


@api.route(
    "POST",
    "/pages/{page_id}/return",
    body=NoBody,
    reply=PageView,
    idempotency="optional",
    errors=(PageNotFound, PageNotLeased, LeaseExpired),
    summary="Give a page back",
)
def return_page(call: Call[NoBody]) -> PageView:
    here = wiring.current()
    reads = here.once(wiring.task_store)
    page, batch = wiring.own_page_and_batch(reads, call.path["page_id"], call.user_id)
    seats.return_page(page=page, batch=batch, now_ms=call.now_ms, reads=reads, unit=here.table)
    return views.page(reads.page(page.page_id) or page, batch, call.now_ms, reads)


@api.route(
    "POST",
    "/pages/{page_id}/submission",
    body=SubmissionBody,
    reply=SubmissionView,
    status=202,
    idempotency="optional",
    errors=(PageNotFound, PageNotLeased, LeaseExpired, AlreadySubmitted),
    summary="Send the answers to a page",
)
def submit_page(call: Call[SubmissionBody]) -> SubmissionView:
    here = wiring.current()
    reads = here.once(wiring.task_store)
    page, batch = wiring.own_page_and_batch(reads, call.path["page_id"], call.user_id)
    accepted = submissions.submit(
        page=page,
        batch=batch,
        answers=[(one.task_id, one.answer) for one in call.body.answers],
        check=wiring.answer_check(batch),
        now_ms=call.now_ms,
        reads=reads,
        unit=here.table,
        nudge=here.once(wiring.nudge),
    )
    return views.submission(accepted, batch)


@api.route(
    "GET",
    "/pages/{page_id}/submission",
    reply=SubmissionView,
    errors=(PageNotFound, submissions.NoSubmission),
    summary="What became of your answers",
)
def get_submission(call: Call) -> SubmissionView:
    reads = wiring.current().once(wiring.task_store)
    page, batch = wiring.own_page_and_batch(reads, call.path["page_id"], call.user_id)
    return views.submission(submissions.submitted(page), batch)


@api.route("GET", "/balance", query=CurrencyQuery, reply=BalanceView, summary="What you have earned")
def get_balance(call: Call[None, CurrencyQuery]) -> BalanceView:
    currency, account = call.query.currency, worker_available(call.user_id)
    balance = wiring.current().ledger.balances([account], currency)[account]
    return BalanceView(available=format_amount(balance.balance_micros, currency), currency=currency)


@api.route("GET", "/statement", query=StatementQuery, reply=StatementView, summary="Every movement of your balance")
def get_statement(call: Call[None, StatementQuery]) -> StatementView:
    return statement(call, worker_available(call.user_id), wiring.current())


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
    held = people.put_destination(
        worker_id=call.user_id,
        rail=call.body.rail,
        address=call.body.address,
        now_ms=call.now_ms,
        destinations=wiring.current().once(wiring.destination_store),
    )
    return views.destination(held)


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
