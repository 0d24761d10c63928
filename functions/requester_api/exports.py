"""Routes for the results of a batch while it runs."""

from functions.requester_api.api import api
from functions.requester_api.schemas import ExportBody, ExportView
from smallpeck.kernel.clock import to_rfc3339
from smallpeck.kernel.errors import IdempotencyMismatch
from smallpeck.runtime import exports, wiring
from smallpeck.runtime.http import Call
from smallpeck.tasks.exporting import Export, ExportNotFound, ExportState
from smallpeck.tasks.model import Batch, BatchNotFound, WrongBatchState
from smallpeck.tasks.result_forms import FormUnfit


@api.route(
    "POST",
    "/batches/{batch_id}/exports",
    body=ExportBody,
    reply=ExportView,
    status=202,
    idempotency="required",
    errors=(BatchNotFound, WrongBatchState, IdempotencyMismatch, FormUnfit),
    summary="Ask for the results so far",
)
def start_export(call: Call[ExportBody]) -> ExportView:
    here = wiring.current()
    owned = wiring.own_batch(call.path["batch_id"], call.user_id)
    return _export(owned, exports.start_export(here, owned, call.body.format, call.idempotency_key), call.now_ms)


@api.route(
    "GET",
    "/batches/{batch_id}/exports/{export_id}",
    reply=ExportView,
    errors=(BatchNotFound, ExportNotFound),
    summary="Whether an export is done, and where to fetch it",
)
def get_export(call: Call) -> ExportView:
    owned = wiring.own_batch(call.path["batch_id"], call.user_id)
    return _export(owned, exports.get_export(wiring.current(), owned, call.path["export_id"]), call.now_ms)


def _export(owned: Batch, found: Export, now_ms: int) -> ExportView:
    done = found.state is ExportState.DONE
    finished = found.finished_at_ms
    return ExportView(
        export_id=found.export_id,
        batch_id=found.batch_id,
        format=found.form,
        state=found.state,
        requested_at=to_rfc3339(found.requested_at_ms),
        finished_at=None if finished is None else to_rfc3339(finished),
        tasks=found.tasks,
        closed_tasks=found.closed_tasks,
        left_out=found.left_out,
        url=wiring.signed_link(wiring.current(), found.key) if done else None,
        expires_at=to_rfc3339(now_ms + wiring.LINK_SECONDS * 1000) if done else None,
        label_config=exports.label_config(wiring.current(), owned, found.form) if done else None,
    )
