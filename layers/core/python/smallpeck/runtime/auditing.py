"""The steps of the books audit, joined with the tables and the bucket of files that are soon forgotten."""

from typing import TYPE_CHECKING, Any, cast

from smallpeck.runtime.wiring import Wiring, audit_store

if TYPE_CHECKING:
    from smallpeck.ledger.audit_service import AuditPorts

PARTS = "audit-parts"
"""Where in the work bucket the parts of an audit lie."""


def audit_ports(wiring: Wiring) -> "AuditPorts":
    from smallpeck.ledger.audit_service import AuditPorts
    from smallpeck.ledger.seal_store import HashedFiles

    store = wiring.once(audit_store)
    return AuditPorts(
        reader=store,
        files=HashedFiles(cast("Any", wiring.s3), wiring.settings.work_bucket, PARTS),
        audits=store,
        unit=wiring.table,
        clock=wiring.clock,
    )
