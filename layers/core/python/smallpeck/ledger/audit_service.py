"""An audit of the books, in steps that may each be repeated.

`scan_platform` reads one part of the platform table, `scan_ledger` one part of the ledger; parts are read side by side,
and what is left of each is sums in a file. `look` joins the files and says what is certain (`ledger.audit_look`). While
something has moved, it names what is to be seen again: then the ledger is scanned anew, for these accounts only, and
looked at again. All parts of the platform are read before the ledger is, and all of the ledger before it is looked at.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Protocol

from smallpeck.kernel.clock import Clock
from smallpeck.kernel.errors import NotFound
from smallpeck.kernel.ids import canonical_json, derived_id
from smallpeck.kernel.writes import Change, Create, Equals, Path, Ref, UnitOfWork, Value, WriteConflict, ref
from smallpeck.ledger.audit import Claim, Difference, LedgerItem, StoredBalance, Sums
from smallpeck.ledger.audit_look import Group, Look, PlatformFacts, look_again, look_first
from smallpeck.ledger.audit_parts import (
    Files,
    PlatformPart,
    add_sums,
    look_of,
    platform_part,
    put_look,
    put_platform,
    put_sums,
)
from smallpeck.ledger.seals import day_before

SEGMENTS = 8
START_ROUTE = "POST /v1/operator/audits"
SCHEDULE = "schedule"
"""Who asks for the audits that nobody asks for."""


class AuditState(StrEnum):
    """running -> finished | failed."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"


class AuditNotFound(NotFound):
    """There is no such audit."""

    code = "audit_not_found"

    def __init__(self) -> None:
        super().__init__("there is no such audit")


@dataclass(frozen=True)
class AuditReport:
    """What an audit found. `totals` are micros by class of accounts and currency."""

    entries: int
    statement_rows: int
    accounts: int
    difference_count: int
    differences: tuple[Difference, ...]
    in_motion: int
    totals: Mapping[str, Mapping[str, int]]
    started_at_ms: int
    finished_at_ms: int

    @property
    def books_balanced(self) -> bool:
        """Whether nothing was found wrong."""
        return self.difference_count == 0


@dataclass(frozen=True)
class Audit:
    """An audit that an operator asked for."""

    audit_id: str
    state: AuditState
    requested_by: str
    requested_at_ms: int
    report: AuditReport | None = None


class BooksReader(Protocol):
    """Everything the audit reads. All reads are consistent."""

    def ledger(self, segment: int, segments: int) -> Iterator[LedgerItem]:
        """The items of one part of the ledger table."""
        ...

    def platform_part(self, segment: int, segments: int) -> PlatformPart:
        """What one part of the platform table says."""
        ...

    def joined(self, parts: Iterable[PlatformPart]) -> PlatformFacts:
        """What all of it says."""
        ...

    def balances(self, names: Collection[str]) -> Mapping[str, StoredBalance]:
        """Those of these balance items that exist, as they are now."""
        ...

    def claims(self, groups: Collection[Group]) -> Mapping[Group, Claim]:
        """The claims on these groups, as they are now."""
        ...


class Audits(Protocol):
    """Reads of audits."""

    def audit(self, audit_id: str) -> Audit | None:
        """The audit, or None; consistent."""
        ...


class AuditStarter(Protocol):
    """Starts the audit workflow; starting the same audit again does nothing."""

    def __call__(self, audit_id: str, /) -> None:
        """Starts it."""
        ...


@dataclass(frozen=True)
class AuditPorts:
    """What the steps of an audit work with. `files` need not outlive it."""

    reader: BooksReader
    files: Files
    audits: Audits
    unit: UnitOfWork
    clock: Clock


@dataclass(frozen=True)
class Looked:
    """What came of a look: the report, or the file in which it says what is to be seen again."""

    again: str = ""
    report: AuditReport | None = None


def schedule_audit(*, scheduled_at: str, now_ms: int, unit: UnitOfWork) -> str:
    """The id of the audit of the day before a moment (RFC 3339), which is there now or was; raises BadMoment."""
    audit_id = derived_id("au_", SCHEDULE, day_before(scheduled_at))
    _create(Audit(audit_id, AuditState.RUNNING, SCHEDULE, now_ms), unit)
    return audit_id


def start_audit(
    *, operator_id: str, idempotency_key: str, now_ms: int, audits: Audits, unit: UnitOfWork, start: AuditStarter
) -> Audit:
    """The audit of this request, started now or before."""
    audit_id = derived_id("au_", operator_id, START_ROUTE, idempotency_key)
    audit = Audit(audit_id, AuditState.RUNNING, operator_id, now_ms)
    if not _create(audit, unit):
        audit = get_audit(audit_id=audit_id, audits=audits)
    if audit.state is AuditState.RUNNING:
        start(audit_id)
    return audit


def get_audit(*, audit_id: str, audits: Audits) -> Audit:
    """An audit; raises AuditNotFound."""
    audit = audits.audit(audit_id)
    if audit is None:
        raise AuditNotFound
    return audit


def scan_platform(*, segment: int, ports: AuditPorts) -> str:
    """Reads one of `SEGMENTS` parts of the platform table; the file that says what is there."""
    return put_platform(ports.reader.platform_part(segment, SEGMENTS), ports.files)


def scan_ledger(*, segment: int, again: str, ports: AuditPorts) -> str:
    """Folds one of `SEGMENTS` parts of the ledger; the file of its sums. `again`: of what that look names only."""
    sums = Sums(look_of(again, ports.files).names if again else None)
    for item in ports.reader.ledger(segment, SEGMENTS):
        sums.add(item)
    return put_sums(sums, ports.files)


def look(
    *,
    audit_id: str,
    started_at_ms: int,
    platform: Sequence[str],
    ledger: Sequence[str],
    again: str,
    ports: AuditPorts,
) -> Looked:
    """Joins the parts and looks at them; `again` is the file of the look that they follow, if they follow one.

    The report is recorded. An audit that has one keeps it; one that failed gets one.
    """
    audit = get_audit(audit_id=audit_id, audits=ports.audits)
    if audit.report is not None:
        return Looked(report=audit.report)
    sums = Sums()
    for file in ledger:
        add_sums(file, ports.files, sums)
    if again:
        seen = look_again(look_of(again, ports.files), sums, ports.reader)
    else:
        facts = ports.reader.joined(platform_part(file, ports.files) for file in platform)
        seen = look_first(sums, facts, ports.reader)
    if not seen.done:
        return Looked(again=put_look(seen, ports.files))
    report = _report(seen, started_at_ms, ports.clock.now_ms())
    if not _end(audit, AuditState.FINISHED, ports.unit, report=canonical_json(asdict(report))):
        report = get_audit(audit_id=audit_id, audits=ports.audits).report or report
    return Looked(report=report)


def fail_audit(*, audit_id: str, audits: Audits, unit: UnitOfWork) -> None:
    """Records that no report came of an audit; one that has a report stays finished."""
    audit = get_audit(audit_id=audit_id, audits=audits)
    if audit.state is AuditState.RUNNING:
        _end(audit, AuditState.FAILED, unit)


def report_of(text: str) -> AuditReport:
    """A report from the text that is stored."""
    fields = json.loads(text)
    return AuditReport(**{**fields, "differences": tuple(Difference(**one) for one in fields["differences"])})


def audit_ref(audit_id: str) -> Ref:
    """The item of an audit."""
    return ref("audit", audit_id)


def _report(seen: Look, started_at_ms: int, finished_at_ms: int) -> AuditReport:
    return AuditReport(
        entries=seen.entries,
        statement_rows=seen.statement_rows,
        accounts=seen.accounts,
        difference_count=seen.found.count,
        differences=tuple(seen.found.listed),
        in_motion=seen.in_motion,
        totals=seen.totals,
        started_at_ms=started_at_ms,
        finished_at_ms=finished_at_ms,
    )


def _create(audit: Audit, unit: UnitOfWork) -> bool:
    fields: dict[str, Value] = {
        "audit_id": audit.audit_id,
        "state": audit.state,
        "requested_by": audit.requested_by,
        "requested_at_ms": audit.requested_at_ms,
    }
    try:
        unit.commit([Create(audit_ref(audit.audit_id), fields)])
    except WriteConflict:
        return False
    return True


def _end(audit: Audit, state: AuditState, unit: UnitOfWork, **changes: Value) -> bool:
    fields: dict[Path, Value] = {"state": state}
    fields.update(changes)
    try:
        unit.commit([Change(audit_ref(audit.audit_id), set=fields, when=(Equals("state", audit.state),))])
    except WriteConflict:
        return False
    return True
