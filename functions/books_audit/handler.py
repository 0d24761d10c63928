"""The one step of the books audit workflow."""

from typing import Any

from pydantic import ValidationError

from functions.books_audit.schemas import Audited, AuditStep
from smallpeck.kernel.errors import Invalid, Problem
from smallpeck.ledger import audit_service
from smallpeck.runtime.observability import count, logger, workflow_step
from smallpeck.runtime.wiring import audit_store, current


class BadStep(Invalid):
    """A payload that is no step of this workflow."""

    code = "bad_step"


@workflow_step
def handler(event: dict[str, Any], _context: object) -> dict[str, Any] | None:
    """Lambda entry."""
    try:
        step = AuditStep.model_validate(event)
    except ValidationError as error:
        problems = [Problem("/" + "/".join(map(str, one["loc"])), one["msg"]) for one in error.errors()]
        raise BadStep("this is no step of a books audit", problems=problems) from error
    if step.failed:
        _failed(step.audit_id)
        return None
    return _run(step.audit_id).model_dump()


def _run(audit_id: str) -> Audited:
    here = current()
    store = here.once(audit_store)
    report = audit_service.run_audit(audit_id=audit_id, reader=store, audits=store, unit=here.table, clock=here.clock)
    count("BooksDifferences", report.difference_count)
    if not report.books_balanced:
        logger.error("the books differ", extra={"audit_id": audit_id, "differences": report.difference_count})
    return Audited(
        books_balanced=report.books_balanced, differences=report.difference_count, in_motion=report.in_motion
    )


def _failed(audit_id: str) -> None:
    here = current()
    audit_service.fail_audit(audit_id=audit_id, audits=here.once(audit_store), unit=here.table)
