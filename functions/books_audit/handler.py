"""The steps of the books audit workflow."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from functions.books_audit.schemas import (
    BeginStep,
    Begun,
    FailStep,
    LedgerStep,
    Looked,
    LookStep,
    PlatformStep,
    Scanned,
    Scheduled,
    ScheduleStep,
)
from smallpeck.ledger import audit_service
from smallpeck.ledger.audit import by_class
from smallpeck.ledger.audit_service import AuditPorts, AuditReport
from smallpeck.runtime.auditing import audit_ports
from smallpeck.runtime.observability import count, logger
from smallpeck.runtime.steps import step
from smallpeck.runtime.wiring import current

Step = Annotated[
    ScheduleStep | BeginStep | PlatformStep | LedgerStep | LookStep | FailStep, Field(discriminator="step")
]


@step(Step)
def handler(asked: Step) -> BaseModel | None:
    """Says what is next, reads a part of a table, joins the parts, or records that no report came of it."""
    ports = current().once(audit_ports)
    match asked:
        case ScheduleStep():
            return _scheduled(asked, ports)
        case BeginStep():
            return _begun(asked, ports)
        case PlatformStep():
            return Scanned(file=audit_service.scan_platform(segment=asked.segment, ports=ports))
        case LedgerStep():
            return Scanned(file=audit_service.scan_ledger(segment=asked.segment, again=asked.again, ports=ports))
        case LookStep():
            return _looked(asked, ports)
        case FailStep():
            audit_service.fail_audit(audit_id=asked.audit_id, audits=ports.audits, unit=ports.unit)
            return None
    raise TypeError(f"not a step: {asked!r}")


def _scheduled(asked: ScheduleStep, ports: AuditPorts) -> Scheduled:
    now_ms = ports.clock.now_ms()
    audit_id = audit_service.schedule_audit(scheduled_at=asked.scheduled_at, now_ms=now_ms, unit=ports.unit)
    return Scheduled(audit_id=audit_id)


def _begun(asked: BeginStep, ports: AuditPorts) -> Begun:
    report = audit_service.get_audit(audit_id=asked.audit_id, audits=ports.audits).report
    known = _found(asked.audit_id, report) if report else {"finished": False}
    return Begun(**known, segments=list(range(audit_service.SEGMENTS)), started_at_ms=ports.clock.now_ms())


def _looked(asked: LookStep, ports: AuditPorts) -> Looked:
    looked = audit_service.look(**asked.model_dump(exclude={"step"}), ports=ports)
    return Looked(finished=False, again=looked.again) if looked.report is None else _told(asked.audit_id, looked.report)


def _told(audit_id: str, report: AuditReport) -> Looked:
    count("BooksDifferences", report.difference_count)
    if not report.books_balanced:
        extra = {
            "audit_id": audit_id, "differences": report.difference_count, "by_class": by_class(report.differences),
        }  # fmt: skip
        logger.error("the books differ", extra=extra)
    return Looked(**_found(audit_id, report))


def _found(audit_id: str, report: AuditReport) -> dict[str, Any]:
    lines = [f"audit {audit_id}: {report.difference_count} differences"]
    lines += [
        f"{one['accounts']} {one['currency']}".rstrip() + f": {one['differences']}, off by {one['off_micros']} micros"
        for one in by_class(report.differences)
    ]
    return {
        "finished": True,
        "books_balanced": report.books_balanced,
        "differences": report.difference_count,
        "in_motion": report.in_motion,
        "says": "; ".join(lines),
    }
