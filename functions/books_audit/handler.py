"""The one step of the books audit workflow."""

from functions.books_audit.schemas import Audited, AuditStep
from smallpeck.ledger import audit_service
from smallpeck.runtime.observability import count, logger
from smallpeck.runtime.steps import step
from smallpeck.runtime.wiring import audit_store, current


@step(AuditStep)
def handler(audit: AuditStep) -> Audited | None:
    """Audits the books, or records that no report came of it."""
    here = current()
    store = here.once(audit_store)
    if audit.failed:
        audit_service.fail_audit(audit_id=audit.audit_id, audits=store, unit=here.table)
        return None
    report = audit_service.run_audit(
        audit_id=audit.audit_id, reader=store, audits=store, unit=here.table, clock=here.clock
    )
    count("BooksDifferences", report.difference_count)
    if not report.books_balanced:
        logger.error("the books differ", extra={"audit_id": audit.audit_id, "differences": report.difference_count})
    return Audited(
        books_balanced=report.books_balanced, differences=report.difference_count, in_motion=report.in_motion
    )
