"""An audit as its workflow carries it out: parts in files, joined and looked at until nothing moves."""

import hashlib
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from smallpeck.ledger import audit_service
from smallpeck.ledger.audit_service import Audit, AuditPorts, AuditReport, Looked, start_audit
from smallpeck.ledger.audit_store import AuditStore
from smallpeck.runtime.claims import claimants
from tests.support import World

_keys = count()


@dataclass
class Drawer:
    """See `smallpeck.ledger.audit_parts.Files`."""

    kept: dict[str, bytes] = field(default_factory=dict)

    def put(self, text: bytes, /) -> str:
        file = hashlib.sha256(text).hexdigest()
        self.kept[file] = text
        return file

    def get(self, file: str, /) -> bytes:
        return self.kept[file]


@dataclass(frozen=True)
class WorldClock:
    world: World

    def now_ms(self) -> int:
        return self.world.now_ms


def store_of(world: World) -> AuditStore:
    return AuditStore(world.table, claimants)


def ports_of(world: World, reader: AuditStore | None = None) -> AuditPorts:
    store = store_of(world)
    return AuditPorts(reader=reader or store, files=Drawer(), audits=store, unit=world.table, clock=WorldClock(world))


def asked(world: World, key: str = "k") -> Audit:
    return start_audit(
        operator_id="op",
        idempotency_key=key,
        now_ms=world.now_ms,
        audits=store_of(world),
        unit=world.table,
        start=lambda _: None,
    )


def carried_out(audit_id: str, ports: AuditPorts) -> AuditReport:
    """The steps of the workflow, as its file orders them."""
    segments = range(audit_service.SEGMENTS)
    given: dict[str, Any] = {"audit_id": audit_id, "started_at_ms": ports.clock.now_ms()}
    platform = [audit_service.scan_platform(segment=one, ports=ports) for one in segments]
    looked = Looked()
    while looked.report is None:
        again = looked.again
        ledger = [audit_service.scan_ledger(segment=one, again=again, ports=ports) for one in segments]
        looked = audit_service.look(**given, platform=platform, ledger=ledger, again=again, ports=ports)
    return looked.report


def audited(world: World, reader: AuditStore | None = None) -> AuditReport:
    """The report of a new audit."""
    return carried_out(asked(world, f"one more {next(_keys)}").audit_id, ports_of(world, reader))
