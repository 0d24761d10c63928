"""The API of operators."""

from functions.operator_api import funds, views
from functions.operator_api.api import api
from functions.operator_api.schemas import AuditView, RunBody, RunView
from smallpeck.kernel.errors import IdempotencyMismatch
from smallpeck.ledger import audit_service as audits
from smallpeck.payouts import running
from smallpeck.payouts.runs import RunNotFound, Waits
from smallpeck.runtime import wiring
from smallpeck.runtime.http import Call
from smallpeck.runtime.schemas import NoBody

__all__ = ["api", "funds", "handler"]

handler = api.handler


@api.route(
    "POST", "/audits", body=NoBody, reply=AuditView, status=202, idempotency="required", summary="Audit the books"
)
def start_audit(call: Call[NoBody]) -> AuditView:
    here = wiring.current()
    audit = audits.start_audit(
        operator_id=call.user_id,
        idempotency_key=call.idempotency_key,
        now_ms=call.now_ms,
        audits=here.once(wiring.audit_store),
        unit=here.table,
        start=here.once(wiring.start_audit),
    )
    return views.audit(audit)


@api.route("GET", "/audits/{audit_id}", reply=AuditView, errors=(audits.AuditNotFound,), summary="What an audit found")
def get_audit(call: Call) -> AuditView:
    store = wiring.current().once(wiring.audit_store)
    return views.audit(audits.get_audit(audit_id=call.path["audit_id"], audits=store))


@api.route(
    "POST",
    "/payout-runs",
    body=RunBody,
    reply=RunView,
    status=202,
    idempotency="required",
    errors=(IdempotencyMismatch,),
    summary="Pay out what workers asked for",
)
def start_payout_run(call: Call[RunBody]) -> RunView:
    here = wiring.current()
    run = running.start_run(
        operator_id=call.user_id,
        idempotency_key=call.idempotency_key,
        waits=Waits(call.body.rounds, call.body.first_wait_seconds),
        now_ms=call.now_ms,
        payouts=here.once(wiring.payout_store),
        unit=here.table,
        workflow=here.once(wiring.payout_workflow),
    )
    return views.run(run)


@api.route("GET", "/payout-runs/{run_id}", reply=RunView, errors=(RunNotFound,), summary="How a payout run stands")
def get_payout_run(call: Call) -> RunView:
    store = wiring.current().once(wiring.payout_store)
    return views.run(running.read_run(run_id=call.path["run_id"], payouts=store))
