"""Exports: what is known of a running batch's tasks, as a file. A picture of each task at the moment it is read.

Closed tasks stand with their result, open ones with the answers so far. Answers that wait for a decision or were
rejected are no votes, and so stand in no export.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from smallpeck.kernel.errors import IdempotencyMismatch, NotFound, Problem
from smallpeck.kernel.ids import derived_id
from smallpeck.kernel.writes import Change, Create, Equals, Path, Ref, UnitOfWork, Value, WriteConflict, ref
from smallpeck.tasks.model import PUBLISHED, Batch, BatchNotFound, BatchState, WrongBatchState
from smallpeck.tasks.publishing import FirstRows, PublishingReads, ResultFiles, form_problem, write_results
from smallpeck.tasks.result_forms import FormUnfit, ResultForm, export_key


class ExportState(StrEnum):
    """running -> done | failed."""

    RUNNING = "running"
    """The file is being written."""
    DONE = "done"
    """The file is there."""
    FAILED = "failed"
    """The fault is ours; another export may go through."""


class ExportNotFound(NotFound):
    """The batch has no such export."""

    code = "export_not_found"

    def __init__(self) -> None:
        super().__init__("there is no such export of this batch")


@dataclass(frozen=True)
class Export:
    """One export. `tasks`, `closed_tasks` and `left_out` are what the file holds, once it is done: tasks, those of them
    that are closed, and those that stand in it without their answer, because the form cannot hold it.
    """

    export_id: str
    batch_id: str
    form: ResultForm
    requested_at_ms: int
    state: ExportState = ExportState.RUNNING
    finished_at_ms: int | None = None
    tasks: int = 0
    closed_tasks: int = 0
    left_out: int = 0

    @property
    def key(self) -> str:
        """Where the file stands in the work bucket."""
        return export_key(self.batch_id, self.export_id, self.form)


class ExportReads(Protocol):
    """What an export reads of itself; consistent."""

    def export(self, batch_id: str, export_id: str) -> Export | None: ...


class StartReads(ExportReads, FirstRows, Protocol):
    """What asking for an export reads."""


class WritingReads(PublishingReads, ExportReads, Protocol):
    """What writing an export reads."""

    def batch(self, batch_id: str) -> Batch | None: ...


class StartWriting(Protocol):
    """Starts the workflow that writes an export; starting it again is the same start."""

    def __call__(self, batch_id: str, export_id: str, /) -> None: ...


def export_ref(batch_id: str, export_id: str) -> Ref:
    """The item of an export."""
    return ref("export", batch_id, export_id)


def start_export(
    *,
    batch: Batch,
    form: ResultForm,
    idempotency_key: str,
    now_ms: int,
    reads: StartReads,
    unit: UnitOfWork,
    start: StartWriting,
) -> Export:
    """Asks for the results so far; the same key gives the same export as it is now.

    Raises WrongBatchState for a batch that was never published, FormUnfit where the form cannot hold its results, and
    IdempotencyMismatch.
    """
    export_id = derived_id("e", batch.requester_id, batch.batch_id, "export", idempotency_key)
    export = reads.export(batch.batch_id, export_id)
    if export is None:
        _check_exportable(batch)
        problem = form_problem(batch=batch, form=form, reads=reads)
        if problem is not None:
            raise FormUnfit(problem, problems=[Problem("/format", problem)])
        export = _created(Export(export_id, batch.batch_id, form, now_ms), reads, unit)
    if export.form != form:
        raise IdempotencyMismatch
    if export.state is ExportState.RUNNING:
        start(batch.batch_id, export_id)
    return export


def get_export(*, batch: Batch, export_id: str, reads: ExportReads) -> Export:
    """One export of a batch; raises ExportNotFound."""
    found = reads.export(batch.batch_id, export_id)
    if found is None:
        raise ExportNotFound
    return found


def write_export(
    *, batch_id: str, export_id: str, now_ms: int, reads: WritingReads, files: ResultFiles, unit: UnitOfWork
) -> Export:
    """Writes the file of an export that is running; otherwise the export as it is."""
    batch = reads.batch(batch_id)
    if batch is None:
        raise BatchNotFound
    export = get_export(batch=batch, export_id=export_id, reads=reads)
    if export.state is not ExportState.RUNNING:
        return export
    written = write_results(batch=batch, keys={export.form: export.key}, reads=reads, files=files)
    left_out = written.left_out[export.form]
    counts: Mapping[Path, Value] = {"tasks": written.tasks, "closed_tasks": written.closed, "left_out": left_out}
    done = replace(
        export,
        state=ExportState.DONE,
        finished_at_ms=now_ms,
        tasks=written.tasks,
        closed_tasks=written.closed,
        left_out=left_out,
    )
    return done if _ended(done, counts, unit) else get_export(batch=batch, export_id=export_id, reads=reads)


def fail_export(*, batch_id: str, export_id: str, now_ms: int, reads: ExportReads, unit: UnitOfWork) -> Export:
    """Records that an export that is running could not be written; one that is done stays so."""
    export = reads.export(batch_id, export_id)
    if export is None:
        raise ExportNotFound
    if export.state is not ExportState.RUNNING:
        return export
    failed = replace(export, state=ExportState.FAILED, finished_at_ms=now_ms)
    if _ended(failed, {}, unit):
        return failed
    return reads.export(batch_id, export_id) or failed


def _check_exportable(batch: Batch) -> None:
    if batch.state not in (*PUBLISHED, BatchState.CLOSING) and batch.closed_at_ms is None:
        raise WrongBatchState(f"this batch is {batch.state}; there is nothing to export before it is published")


def _created(export: Export, reads: ExportReads, unit: UnitOfWork) -> Export:
    fields: dict[str, Value] = {
        "export_id": export.export_id,
        "batch_id": export.batch_id,
        "form": export.form,
        "state": export.state,
        "requested_at_ms": export.requested_at_ms,
    }
    try:
        unit.commit([Create(export_ref(export.batch_id, export.export_id), fields)])
    except WriteConflict:
        return reads.export(export.batch_id, export.export_id) or export
    return export


def _ended(export: Export, counts: Mapping[Path, Value], unit: UnitOfWork) -> bool:
    """Whether this run is the one that ended the export."""
    change = Change(
        export_ref(export.batch_id, export.export_id),
        set={"state": export.state, "finished_at_ms": export.finished_at_ms, **counts},
        when=(Equals("state", ExportState.RUNNING),),
    )
    try:
        unit.commit([change])
    except WriteConflict:
        return False
    return True
