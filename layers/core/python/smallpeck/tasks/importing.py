"""Importing: an uploaded file becomes the tasks of a draft batch, all of them or none.

    begin        draft -> importing, under the id of this version of the file; anything else is ignored. An upload's
                 key names its batch; a file in a requester's inbox is imported into the batch that its spec made
    split_upload the file's rows become parts (`smallpeck.tasks.splitting`), and tasks may be written from then on;
                 or the file is refused: -> draft
    write_part   the rows of one part become tasks, once, however often it runs
    complete     every part is there: -> ready
    give_up      a fault of ours: -> draft while no task can have been written; afterwards the import is *held*, and
                 runs to its end when the same version is imported again

An import's id follows from key and version, so an event that comes twice goes on with the same import.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Final, Protocol, TypeAlias

from smallpeck.kernel.errors import Conflict
from smallpeck.kernel.ids import derived_id, is_id
from smallpeck.kernel.writes import (
    Change,
    Check,
    Create,
    Equals,
    Fields,
    Path,
    Ref,
    UnitOfWork,
    Value,
    Write,
    WriteConflict,
    ref,
)
from smallpeck.tasks.model import BatchState, batch_ref, control_key, new_task_fields, shards_for
from smallpeck.tasks.rows import BadRow
from smallpeck.tasks.splitting import PartRow, PartSink, SplitOrder, parse_part, split

UPLOADS: Final = "uploads"
INBOX: Final = "inbox"
TASKS_PER_TRANSACTION: Final = 50
INTERNAL: Final = "internal"
_BEGIN_ATTEMPTS: Final = 3
_Set: TypeAlias = Mapping[Path, Value]


class ImportState(StrEnum):
    """splitting -> writing -> done; or refused, failed, held."""

    SPLITTING = "splitting"
    """The file is being read; no task stands."""
    WRITING = "writing"
    """Every row is checked and counted; tasks are being written."""
    DONE = "done"
    """The batch is ready."""
    REFUSED = "refused"
    """The file cannot be imported; the batch is a draft again."""
    FAILED = "failed"
    """We could not read the file; the batch is a draft again and the file can be uploaded again."""
    HELD = "held"
    """We could not write every task. The import waits for an operator, who runs it again."""


class ImportIncomplete(Conflict):
    """Parts of an import are missing, or do not add up to its rows."""

    code = "import_incomplete"


class ImportOver(Conflict):
    """The batch is not in the hands of this import (any more)."""

    code = "import_over"


@dataclass(frozen=True)
class Upload:
    """One version of an uploaded object. The key is as S3 has it, not URL-encoded."""

    bucket: str
    key: str
    version_id: str


@dataclass(frozen=True)
class ImportTarget:
    """What importing needs to know of a batch."""

    batch_id: str
    requester_id: str
    state: str
    task_schema: str
    import_id: str | None = None
    answer_schema: str = "{}"
    control_column: str | None = None
    shuffle_key: str | None = None


@dataclass(frozen=True)
class ImportReport:
    """What became of an upload: accepted + rejected = read. `sample` are its first rejected rows, `controls` how many
    of the accepted are control tasks.
    """

    import_id: str
    state: ImportState
    key: str
    version_id: str
    started_at_ms: int
    finished_at_ms: int | None = None
    read: int = 0
    accepted: int = 0
    rejected: int = 0
    parts: int = 0
    manifest_key: str | None = None
    largest_input_bytes: int = 0
    error_code: str | None = None
    error_detail: str | None = None
    error_line: int | None = None
    quarantine_key: str | None = None
    sample: tuple[BadRow, ...] = ()
    controls: int = 0


class Ignored(StrEnum):
    """Why an upload starts no import."""

    NOT_AN_UPLOAD = "not_an_upload"
    """Not a key that a requester could have uploaded to."""
    NO_SUCH_BATCH = "no_such_batch"
    """There is no such batch, or it is another requester's."""
    ANOTHER_IMPORT = "another_import"
    """Another file or version is being imported."""
    NOT_A_DRAFT = "not_a_draft"
    """The batch has its tasks, or takes none."""
    IMPORTED = "imported"
    """This very version was imported before."""


@dataclass(frozen=True)
class Begun:
    """An import that may go on."""

    batch_id: str
    import_id: str


class ImportReads(Protocol):
    """What importing reads; consistent."""

    def target(self, batch_id: str) -> ImportTarget | None: ...
    def report(self, batch_id: str) -> ImportReport | None: ...
    def part_rows(self, batch_id: str) -> Mapping[int, int]: ...
    def task_ids(self, tasks: Sequence[Ref]) -> Mapping[Ref, str]: ...


class ImportWrites(UnitOfWork, Protocol):
    """A unit of work that can also put immutable items in bulk."""

    def put_all(self, items: Sequence[tuple[Ref, Fields]]) -> None:
        """Puts items whose content follows from their key."""
        ...


class Files(Protocol):
    """Uploads, and the files of imports."""

    def upload(self, bucket: str, key: str, version_id: str) -> Iterator[bytes]:
        """The bytes of one version; raises FileRefused where it is gone."""
        ...

    def folder(self, batch_id: str, import_id: str) -> PartSink:
        """Where the files of one import are kept."""
        ...

    def part(self, key: str) -> bytes:
        """A part file."""
        ...


def import_ref(batch_id: str) -> Ref:
    """The item of a batch's import report."""
    return ref("import", batch_id)


def import_id_of(batch_id: str, upload: Upload) -> str:
    """The id of the import of one version of a file into a batch."""
    return derived_id("i", batch_id, upload.key, upload.version_id)


def begin(
    *, upload: Upload, into: str | None = None, now_ms: int, reads: ImportReads, unit: UnitOfWork
) -> Begun | Ignored:
    """Takes the batch that an upload is for into importing, or goes on with the import of this very version.

    `into` names the batch of a file that lies in its requester's inbox.
    """
    owner = _owner_of(upload.key) if into is None else _dropper_of(upload.key, into)
    if owner is None:
        return Ignored.NOT_AN_UPLOAD
    requester_id, batch_id = owner
    import_id = import_id_of(batch_id, upload)
    for _ in range(_BEGIN_ATTEMPTS):
        target = reads.target(batch_id)
        if target is None or target.requester_id != requester_id:
            return Ignored.NO_SUCH_BATCH
        if target.state == BatchState.IMPORTING:
            return Begun(batch_id, import_id) if target.import_id == import_id else Ignored.ANOTHER_IMPORT
        if target.state != BatchState.DRAFT:
            return Ignored.IMPORTED if target.import_id == import_id else Ignored.NOT_A_DRAFT
        take = Change(
            batch_ref(batch_id),
            set={"state": BatchState.IMPORTING, "import_id": import_id},
            when=(Equals("state", BatchState.DRAFT),),
        )
        started = ImportReport(import_id, ImportState.SPLITTING, upload.key, upload.version_id, now_ms)
        try:
            unit.commit([take, Change(import_ref(batch_id), set=_fields(started))])
        except WriteConflict:
            continue
        return Begun(batch_id, import_id)
    return Ignored.ANOTHER_IMPORT


def split_upload(
    *, begun: Begun, upload: Upload, now_ms: int, reads: ImportReads, files: Files, unit: UnitOfWork
) -> ImportReport:
    """Splits the file into parts and reports what it holds, or gives the batch back where the file is refused.

    Where the import has ended meanwhile, its report comes back as it stands.
    """
    target = reads.target(begun.batch_id)
    if target is None or (target.state, target.import_id) != (BatchState.IMPORTING, begun.import_id):
        return _report(begun, reads)
    task_schema, answer_schema = json.loads(target.task_schema), json.loads(target.answer_schema)
    name, known = upload.key.rpartition("/")[2], (target.control_column, target.shuffle_key)
    found = split(
        chunks=files.upload(upload.bucket, upload.key, upload.version_id),
        order=SplitOrder(begun.batch_id, name, task_schema, answer_schema, *known),
        sink=files.folder(begun.batch_id, begun.import_id),
    )
    counted: _Set = {
        "read": found.read,
        "accepted": found.accepted,
        "rejected": found.rejected,
        "controls": found.controls,
        "parts": found.parts,
        "manifest_key": found.manifest_key,
        "largest_input_bytes": found.largest_input_bytes,
        "quarantine_key": found.quarantine_key,
        "sample": [{"line": bad.line, "reason": bad.reason, "detail": bad.detail} for bad in found.sample],
        **_error(None, None),
    }
    refused = found.refused
    if refused is None:
        # From here on tasks may stand, so the batch can no longer become a draft.
        return _move(begun, None, {**counted, "state": ImportState.WRITING}, reads, unit)
    why = _error(refused.refusal, refused.detail, refused.line)
    ended: _Set = {**counted, **why, "state": ImportState.REFUSED, "finished_at_ms": now_ms}
    return _move(begun, {"state": BatchState.DRAFT}, ended, reads, unit, before=ImportState.SPLITTING)


def write_part(*, begun: Begun, part: int, shards: int, body: bytes, reads: ImportReads, unit: ImportWrites) -> int:
    """Writes the tasks of a part and records how many they are. Tasks that stand are left as they are."""
    target = reads.target(begun.batch_id)
    if target is None or target.import_id != begun.import_id:
        raise ImportOver("this import has ended")
    rows = parse_part(body)
    if target.state != BatchState.IMPORTING:
        return len(rows)  # another run of the same import has written everything
    controls = _report(begun, reads).controls if any(row.gold is not None for row in rows) else 0
    unit.put_all([(_place("input", begun, row, shards), _input_fields(row)) for row in rows])
    for first in range(0, len(rows), TASKS_PER_TRANSACTION):
        _create_tasks(begun, rows[first : first + TASKS_PER_TRANSACTION], shards, controls, reads, unit)
    counted: Fields = {"import_id": begun.import_id, "part": part, "rows": len(rows)}
    unit.put_all([(ref("import_part", begun.batch_id, part), counted)])
    return len(rows)


def complete(*, begun: Begun, now_ms: int, reads: ImportReads, unit: UnitOfWork) -> ImportReport:
    """Makes the batch ready when every part has recorded its tasks; raises ImportIncomplete."""
    report = _report(begun, reads)
    if report.state is ImportState.DONE:
        return report
    if report.state not in (ImportState.WRITING, ImportState.HELD):
        raise ImportOver(f"this import is {report.state}")
    rows = reads.part_rows(begun.batch_id)
    if sorted(rows) != list(range(report.parts)) or sum(rows.values()) != report.accepted:
        raise ImportIncomplete(
            f"{len(rows)} of {report.parts} parts hold {sum(rows.values())} of {report.accepted} rows"
        )
    ready: _Set = {
        "state": BatchState.READY,
        "task_count": report.accepted,
        "control_count": report.controls,
        "shards": shards_for(report.accepted),
        "largest_input_bytes": report.largest_input_bytes,
    }
    done: _Set = {"state": ImportState.DONE, "finished_at_ms": now_ms, **_error(None, None)}
    return _move(begun, ready, done, reads, unit)


def give_up(*, begun: Begun, now_ms: int, reads: ImportReads, unit: UnitOfWork) -> ImportReport:
    """Records a fault of ours. The batch is a draft again, or held where tasks may have been written."""
    fault: _Set = {**_error(INTERNAL, "the import could not be finished; the fault is ours"), "finished_at_ms": now_ms}
    report = _report(begun, reads)
    if report.state is ImportState.SPLITTING:
        failed: _Set = {**fault, "state": ImportState.FAILED}
        report = _move(begun, {"state": BatchState.DRAFT}, failed, reads, unit, before=ImportState.SPLITTING)
    if report.state is ImportState.WRITING:
        held: _Set = {**fault, "state": ImportState.HELD}
        report = _move(begun, None, held, reads, unit, before=ImportState.WRITING)
    return report


def _move(
    begun: Begun,
    batch: _Set | None,
    report: _Set,
    reads: ImportReads,
    unit: UnitOfWork,
    *,
    before: ImportState | None = None,
) -> ImportReport:
    """Changes batch and report together while the import has the batch; returns the report as it stands then."""
    importing = (Equals("state", BatchState.IMPORTING), Equals("import_id", begun.import_id))
    this = batch_ref(begun.batch_id)
    as_before = () if before is None else (Equals("state", before),)
    writes: list[Write] = [
        Check(this, importing) if batch is None else Change(this, set=batch, when=importing),
        Change(import_ref(begun.batch_id), set=report, when=(Equals("import_id", begun.import_id), *as_before)),
    ]
    # Where it does not hold, another run of the same import was faster, and its report counts.
    with suppress(WriteConflict):
        unit.commit(writes)
    return _report(begun, reads)


def _error(code: str | None, detail: str | None, line: int | None = None) -> _Set:
    return {"error_code": code, "error_detail": detail, "error_line": line}


def _report(begun: Begun, reads: ImportReads) -> ImportReport:
    report = reads.report(begun.batch_id)
    if report is None or report.import_id != begun.import_id:
        raise ImportOver("another file is imported into this batch")
    return report


def _create_tasks(
    begun: Begun, rows: Sequence[PartRow], shards: int, controls: int, reads: ImportReads, unit: UnitOfWork
) -> None:
    creates = {
        row.task_id: Create(
            _place("task", begun, row, shards),
            new_task_fields(row.task_id, row.ordinal, row.gold),
            index={} if row.gold is None else {"control": control_key(begun.batch_id, row.ordinal, controls)},
        )
        for row in rows
    }
    try:
        unit.commit(list(creates.values()))
    except WriteConflict:
        standing = reads.task_ids([create.ref for create in creates.values()])
        strange = [ref for task_id, create in creates.items() if standing.get(ref := create.ref, task_id) != task_id]
        if strange:
            raise ImportOver("tasks of another import stand in this batch") from None
        if missing := [create for create in creates.values() if create.ref not in standing]:
            unit.commit(missing)


def _place(entity: str, begun: Begun, row: PartRow, shards: int) -> Ref:
    return ref(entity, begun.batch_id, row.ordinal % shards, row.ordinal // shards)


def _input_fields(row: PartRow) -> Fields:
    return {"task_id": row.task_id, "row_id": row.row_id, "line": row.line, "input": row.input_text}


def _owner_of(key: str) -> tuple[str, str] | None:
    """(requester, batch) of `uploads/<requester>/<batch>/<file name>`."""
    steps = key.split("/")
    if len(steps) != len(("uploads", "requester", "batch", "name")) or steps[0] != UPLOADS or not steps[3]:
        return None
    return (steps[1], steps[2]) if is_id(steps[1]) and is_id(steps[2]) else None


def _dropper_of(key: str, batch_id: str) -> tuple[str, str] | None:
    """(requester, batch) of `inbox/<requester>/...`."""
    steps = key.split("/")
    if len(steps) < len((INBOX, "requester", "name")) or steps[0] != INBOX or not steps[-1]:
        return None
    return (steps[1], batch_id) if is_id(steps[1]) else None


def _fields(report: ImportReport) -> _Set:
    return {one.name: getattr(report, one.name) for one in fields(report)}
