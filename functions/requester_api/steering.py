"""Routes that change the course of a published batch."""

from functions.requester_api import views
from functions.requester_api.api import api
from functions.requester_api.schemas import BatchView, ExtendBody
from smallpeck.kernel.errors import IdempotencyMismatch
from smallpeck.kernel.writes import WriteConflict
from smallpeck.ledger.freezing import FundsFrozen
from smallpeck.ledger.service import InsufficientFunds
from smallpeck.runtime import wiring
from smallpeck.runtime.http import Call
from smallpeck.runtime.schemas import BadMoment, NoBody, moment_ms
from smallpeck.tasks import steering
from smallpeck.tasks.model import BatchNotFound, WrongBatchState


@api.route(
    "POST",
    "/batches/{batch_id}/pause",
    body=NoBody,
    reply=BatchView,
    idempotency="required",
    errors=(BatchNotFound, WrongBatchState),
    summary="Offer a batch to nobody for now; what is leased is still taken and paid",
)
def pause_batch(call: Call[NoBody]) -> BatchView:
    here = wiring.current()
    owned = wiring.own_batch(call.path["batch_id"], call.user_id)
    return views.batch(steering.pause(batch=owned, reads=here.once(wiring.task_store), unit=here.table))


@api.route(
    "POST",
    "/batches/{batch_id}/resume",
    body=NoBody,
    reply=BatchView,
    idempotency="required",
    errors=(BatchNotFound, WrongBatchState, FundsFrozen),
    summary="Offer a paused batch again",
)
def resume_batch(call: Call[NoBody]) -> BatchView:
    here = wiring.current()
    owned = wiring.own_batch(call.path["batch_id"], call.user_id)
    return views.batch(steering.resume(batch=owned, reads=here.once(wiring.task_store), unit=here.table))


@api.route(
    "POST",
    "/batches/{batch_id}/extend",
    body=ExtendBody,
    reply=BatchView,
    idempotency="required",
    errors=(
        BatchNotFound,
        WrongBatchState,
        WriteConflict,
        BadMoment,
        InsufficientFunds,
        FundsFrozen,
        IdempotencyMismatch,
    ),
    summary="Ask for more answers, which are paid for now, or give a batch more time",
)
def extend_batch(call: Call[ExtendBody]) -> BatchView:
    here = wiring.current()
    deadline = call.body.deadline
    extended = steering.extend(
        batch=wiring.own_batch(call.path["batch_id"], call.user_id),
        more_answers=call.body.more_answers,
        deadline_ms=None if deadline is None else moment_ms(deadline, now_ms=call.now_ms, at="/deadline"),
        idempotency_key=call.idempotency_key,
        now_ms=call.now_ms,
        reads=here.once(wiring.task_store),
        books=here.ledger,
        unit=here.table,
    )
    return views.batch(extended)
