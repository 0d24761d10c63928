"""The API of requesters. Its routes stand by use case: here the life of a batch, beside it what makes that easier."""

from functions.requester_api import exports, funds, inbox, quality, quotes, reviews, steering, views, watching
from functions.requester_api.api import api
from functions.requester_api.schemas import (
    AccountView,
    BatchBody,
    BatchList,
    BatchView,
    DepositBody,
    DepositView,
    DraftView,
    ImportView,
    ResultsQuery,
    ResultsView,
    TaskList,
    TaskView,
    UploadBody,
    UploadView,
)
from smallpeck.kernel.errors import IdempotencyMismatch
from smallpeck.kernel.money import BadAmount, format_amount
from smallpeck.ledger import funding
from smallpeck.ledger.accounts import requester_available
from smallpeck.ledger.freezing import FundsFrozen
from smallpeck.ledger.service import InsufficientFunds
from smallpeck.runtime import wiring
from smallpeck.runtime.describing import described
from smallpeck.runtime.http import Call
from smallpeck.runtime.schemas import BadMoment, ListQuery, NoBody, amount_micros
from smallpeck.runtime.statements import CurrencyQuery, StatementQuery, StatementView, statement
from smallpeck.tasks import batches
from smallpeck.tasks.model import BatchNotFound, BatchState, TaskNotFound, WrongBatchState
from smallpeck.tasks.result_forms import FormUnfit
from smallpeck.tasks.schema import BadSchema

__all__ = ["api", "exports", "funds", "handler", "inbox", "quality", "quotes", "reviews", "steering", "watching"]

handler = api.handler


@api.route("GET", "/account", query=CurrencyQuery, reply=AccountView, summary="Your prepaid money")
def get_account(call: Call[None, CurrencyQuery]) -> AccountView:
    currency, account = call.query.currency, requester_available(call.user_id)
    balance = wiring.current().ledger.balances([account], currency)[account]
    available = format_amount(balance.balance_micros, currency)
    return AccountView(requester_id=call.user_id, available=available, currency=currency)


@api.route("GET", "/statement", query=StatementQuery, reply=StatementView, summary="Every movement of your account")
def get_statement(call: Call[None, StatementQuery]) -> StatementView:
    return statement(call, requester_available(call.user_id), wiring.current())


@api.route(
    "POST",
    "/deposits",
    body=DepositBody,
    reply=DepositView,
    status=201,
    idempotency="required",
    errors=(BadAmount, IdempotencyMismatch, funding.DepositsClosed, funding.DepositTooLarge),
    summary="Give yourself test money",
)
def deposit(call: Call[DepositBody]) -> DepositView:
    here = wiring.current()
    currency, account = call.body.currency, requester_available(call.user_id)
    deposit_id = funding.deposit_for_testing(
        requester_id=call.user_id,
        amount_micros=amount_micros(call.body.amount, currency, at="/amount"),
        currency=currency,
        idempotency_key=call.idempotency_key,
        now_ms=call.now_ms,
        allowed=here.settings.test_deposits,
        max_deposit_micros=here.settings.max_deposit_micros,
        books=here.ledger,
        unit=here.table,
    )
    available = format_amount(here.ledger.balances([account], currency)[account].balance_micros, currency)
    return DepositView(deposit_id=deposit_id, requester_id=call.user_id, available=available, currency=currency)


@api.route(
    "POST",
    "/batches",
    body=BatchBody,
    reply=DraftView,
    status=201,
    idempotency="required",
    errors=(IdempotencyMismatch, BadAmount, BadMoment, BadSchema),
    summary="Describe a batch",
)
def create_batch(call: Call[BatchBody]) -> DraftView:
    here = wiring.current()
    reads = here.once(wiring.task_store)
    batch_id = batches.batch_id_of(call.user_id, call.idempotency_key)
    created = batches.created_before(batch_id=batch_id, request_hash=call.content_hash, reads=reads)
    if created is None:
        draft = described(
            call.body,
            batch_id=batch_id,
            requester_id=call.user_id,
            request_hash=call.content_hash,
            now_ms=call.now_ms,
            fee_basis_points=here.settings.fee_basis_points,
        )
        created = batches.create_batch(batch=draft, reads=reads, unit=here.table)
    form = wiring.upload_form(here, created, call.body.filename)
    return DraftView(batch=views.batch(created), upload=views.upload(form, call.now_ms))


@api.route("GET", "/batches", query=ListQuery, reply=BatchList, summary="Your batches")
def list_batches(call: Call[None, ListQuery]) -> BatchList:
    here = wiring.current()
    after = here.position(call.query.cursor, call.scope)
    found, following = here.once(wiring.task_store).batches_of(call.user_id, after=after, limit=call.query.limit)
    return BatchList(batches=[views.batch(one) for one in found], next_cursor=here.cursor(following, call.scope))


@api.route("GET", "/batches/{batch_id}", reply=BatchView, errors=(BatchNotFound,), summary="One of your batches")
def get_batch(call: Call) -> BatchView:
    return views.batch(wiring.own_batch(call.path["batch_id"], call.user_id))


@api.route(
    "POST",
    "/batches/{batch_id}/upload",
    body=UploadBody,
    reply=UploadView,
    idempotency="optional",
    errors=(BatchNotFound, WrongBatchState),
    summary="A new form to upload the file with",
)
def new_upload(call: Call[UploadBody]) -> UploadView:
    draft = batches.editable(wiring.own_batch(call.path["batch_id"], call.user_id), {BatchState.DRAFT})
    return views.upload(wiring.upload_form(wiring.current(), draft, call.body.filename), call.now_ms)


@api.route(
    "GET",
    "/batches/{batch_id}/import",
    reply=ImportView,
    errors=(BatchNotFound,),
    summary="What became of the uploaded file",
)
def get_import(call: Call) -> ImportView:
    here = wiring.current()
    owned = wiring.own_batch(call.path["batch_id"], call.user_id)
    return views.import_report(here.once(wiring.import_store).report(owned.batch_id), here)


@api.route(
    "POST",
    "/batches/{batch_id}/publish",
    body=NoBody,
    reply=BatchView,
    idempotency="required",
    errors=(BatchNotFound, WrongBatchState, InsufficientFunds, FundsFrozen),
    summary="Pay for all answers and offer the batch to workers",
)
def publish_batch(call: Call[NoBody]) -> BatchView:
    here = wiring.current()
    owned = wiring.own_batch(call.path["batch_id"], call.user_id)
    reads = here.once(wiring.task_store)
    return views.batch(
        batches.publish(batch=owned, now_ms=call.now_ms, reads=reads, books=here.ledger, unit=here.table)
    )


@api.route(
    "POST",
    "/batches/{batch_id}/close",
    body=NoBody,
    reply=BatchView,
    idempotency="required",
    errors=(BatchNotFound, WrongBatchState),
    summary="Stop asking, and take the results of what was answered",
)
def close_batch(call: Call[NoBody]) -> BatchView:
    return views.batch(wiring.finish_batch(call.path["batch_id"], call.user_id, BatchState.CLOSED))


@api.route(
    "POST",
    "/batches/{batch_id}/cancel",
    body=NoBody,
    reply=BatchView,
    idempotency="required",
    errors=(BatchNotFound, WrongBatchState),
    summary="Give a batch up; what was answered before is paid",
)
def cancel_batch(call: Call[NoBody]) -> BatchView:
    return views.batch(wiring.finish_batch(call.path["batch_id"], call.user_id, BatchState.CANCELLED))


@api.route(
    "GET",
    "/batches/{batch_id}/tasks",
    query=ListQuery,
    reply=TaskList,
    errors=(BatchNotFound,),
    summary="The tasks of a batch",
)
def list_tasks(call: Call[None, ListQuery]) -> TaskList:
    here = wiring.current()
    reads = here.once(wiring.task_store)
    owned = wiring.own_batch(call.path["batch_id"], call.user_id)
    after = here.position(call.query.cursor, call.scope)
    tasks, following = reads.listed_tasks(owned, after=None if after is None else int(after), limit=call.query.limit)
    inputs = reads.inputs(owned, [task.ordinal for task in tasks])
    return TaskList(
        tasks=[views.task(task, inputs[task.ordinal]) for task in tasks],
        next_cursor=here.cursor(None if following is None else str(following), call.scope),
    )


@api.route(
    "GET",
    "/batches/{batch_id}/tasks/{task_id}",
    reply=TaskView,
    errors=(BatchNotFound, TaskNotFound),
    summary="One task",
)
def get_task(call: Call) -> TaskView:
    reads = wiring.current().once(wiring.task_store)
    owned = wiring.own_batch(call.path["batch_id"], call.user_id)
    task = reads.task_by_id(owned, call.path["task_id"])
    if task is None:
        raise TaskNotFound
    return views.task(task, reads.inputs(owned, [task.ordinal])[task.ordinal])


@api.route(
    "GET",
    "/batches/{batch_id}/results",
    query=ResultsQuery,
    reply=ResultsView,
    errors=(BatchNotFound, batches.NoResults, FormUnfit),
    summary="Where to fetch the results",
)
def get_results(call: Call[None, ResultsQuery]) -> ResultsView:
    owned = batches.with_results(wiring.own_batch(call.path["batch_id"], call.user_id))
    return views.results(owned, call.query.format, call.now_ms, wiring.current())
