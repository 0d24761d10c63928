"""What workers do: find batches, lease pages, answer them."""

from functions.worker_api import fetching, views
from functions.worker_api.api import api
from functions.worker_api.schemas import (
    BatchList,
    BatchQuery,
    BatchView,
    LeaseBody,
    LeaseView,
    NoCurrency,
    PageList,
    ReceiptView,
    ReturnQuery,
    SubmissionBody,
    SubmissionView,
)
from smallpeck.kernel.errors import Forbidden, IdempotencyMismatch, InProgress
from smallpeck.kernel.money import BadAmount
from smallpeck.runtime import wiring
from smallpeck.runtime.http import Call, Reply
from smallpeck.runtime.schemas import ListQuery, NoBody
from smallpeck.runtime.worksheet import PageView, page_view
from smallpeck.tasks import browsing, dispatch, seats, submissions
from smallpeck.tasks.model import BatchClosed, BatchNotFound
from smallpeck.tasks.pages import AlreadySubmitted, LeaseExpired, PageNotFound, PageNotLeased
from smallpeck.tasks.skips import SkipReason


@api.route(
    "GET",
    "/batches",
    query=BatchQuery,
    reply=BatchList,
    errors=(BadAmount, NoCurrency),
    summary="Batches you may do, filtered and in your order",
)
def list_batches(call: Call[None, BatchQuery]) -> BatchList:
    here = wiring.current()
    found = browsing.browse(
        worker=wiring.worker_facts(here, call.user_id),
        wanted=views.wanted(call.query),
        order=browsing.Order(call.query.sort),
        after=here.position(call.query.cursor, call.scope),
        limit=call.query.limit,
        now_ms=call.now_ms,
        reads=here.once(wiring.task_store),
    )
    batches = [views.batch(one) for one in found.batches]
    return BatchList(batches=batches, next_cursor=here.cursor(found.next_after, call.scope))


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
    return page_view(page, batch, call.now_ms, reads)


@api.route(
    "POST",
    "/pages/{page_id}/return",
    body=NoBody,
    query=ReturnQuery,
    reply=PageView,
    idempotency="optional",
    errors=(PageNotFound, PageNotLeased, LeaseExpired),
    summary="Give a page back, with a reason or without",
)
def return_page(call: Call[NoBody, ReturnQuery]) -> PageView:
    here = wiring.current()
    reads = here.once(wiring.task_store)
    page, batch = wiring.own_page_and_batch(reads, call.path["page_id"], call.user_id)
    reason = None if call.query.reason is None else SkipReason(call.query.reason)
    seats.return_page(page=page, batch=batch, reason=reason, now_ms=call.now_ms, reads=reads, unit=here.table)
    return page_view(reads.page(page.page_id) or page, batch, call.now_ms, reads)


@api.route(
    "POST",
    "/pages/{page_id}/submission",
    body=SubmissionBody,
    reply=ReceiptView,
    status=202,
    idempotency="optional",
    errors=(PageNotFound, PageNotLeased, LeaseExpired, AlreadySubmitted),
    summary="Send the answers to a page, and perhaps lease the next",
)
def submit_page(call: Call[SubmissionBody]) -> ReceiptView:
    here = wiring.current()
    reads = here.once(wiring.task_store)
    page, batch = wiring.own_page_and_batch(reads, call.path["page_id"], call.user_id)
    accepted = submissions.submit(
        page=page,
        batch=batch,
        answers=views.answers(call.body),
        check=wiring.answer_check(batch),
        now_ms=call.now_ms,
        reads=reads,
        unit=here.table,
        nudge=here.once(wiring.nudge),
    )
    return views.receipt(accepted, batch, fetching.next_page(call, batch, here))


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
