"""Publishing by a drop: a spec in a requester's inbox becomes a batch, and whatever happens ends as a report beside it.

    open_drop  the spec becomes a draft, under an id that follows from this version of the spec
               (then the version of the file that it names is imported into that draft)
    conclude   what the import made of it; paid for and offered to workers where the spec asks for it
    refused    the report of what the requester can put right
    failed     the report of a fault of ours

`inbox/<requester>/` is a prefix that no upload form reaches; its requester writes there with short-lived credentials.
The spec and the file that it names must both lie under it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final, Protocol

from smallpeck.kernel.errors import Category, Invalid, Problem, SmallPeckError
from smallpeck.kernel.ids import derived_id, is_id
from smallpeck.kernel.money import format_amount
from smallpeck.kernel.writes import UnitOfWork, WriteConflict
from smallpeck.ledger.service import Books, InsufficientFunds
from smallpeck.tasks import batches
from smallpeck.tasks.importing import INBOX, ImportReport, ImportState, Upload, import_id_of
from smallpeck.tasks.lines import FileRefused
from smallpeck.tasks.model import Batch, BatchState, WrongBatchState

SPEC_ENDINGS: Final = (".yaml", ".yml", ".json")
REPORT_ENDING: Final = ".report.json"
MAX_SPEC_BYTES: Final = 64 * 1024
MAX_KEY_BYTES: Final = 1_024
_THEIRS: Final = frozenset(Category) - {Category.UNAVAILABLE}

AGAIN: Final = "put this right and drop the spec again; each version of it is a batch of its own"
PUBLISHABLE: Final = "the batch is ready; publish it over the API"
NOTHING: Final = "nothing is to be done"


class DropState(StrEnum):
    """How a drop ended."""

    PUBLISHED = "published"
    """Paid for and offered to workers."""
    READY = "ready"
    """Imported; the spec does not ask for more."""
    REFUSED = "refused"
    """The requester must put something right."""
    FAILED = "failed"
    """The fault is ours."""


class NoSuchRequester(Invalid):
    """An inbox that belongs to nobody."""

    code = "no_such_requester"


class BadDataKey(Invalid):
    """A data file outside of the spec's own inbox."""

    code = "bad_data_key"


class NoImport(Invalid):
    """The batch took another file than the one its spec names."""

    code = "not_imported"


class ImportNotDone(SmallPeckError):
    """The import has not ended as an import ends."""

    code = "import_not_done"


@dataclass(frozen=True)
class Drop:
    """One version of a spec in an inbox."""

    bucket: str
    key: str
    version_id: str
    requester_id: str

    @property
    def batch_id(self) -> str:
        """The id of the batch that this version of the spec makes."""
        return derived_id("b", self.requester_id, "inbox", self.key, self.version_id)

    @property
    def report_key(self) -> str:
        """Where the report goes: beside the spec, or where its name would be too long, under a short one."""
        beside = self.key + REPORT_ENDING
        if len(beside.encode()) <= MAX_KEY_BYTES:
            return beside
        return f"{INBOX}/{self.requester_id}/{derived_id('r', self.key)}{REPORT_ENDING}"


class Spec(Protocol):
    """What a spec says, as far as it can be read without knowing whose it is."""

    @property
    def data_key(self) -> str: ...
    @property
    def data_version_id(self) -> str: ...
    @property
    def publish(self) -> bool: ...
    def batch(self, batch_id: str, requester_id: str, /) -> Batch:
        """The draft that it describes; raises Invalid with a pointer to each field that is not allowed."""
        ...


class Requesters(Protocol):
    """Who is known as a requester."""

    def requester(self, requester_id: str) -> object | None: ...


class ImportReports(Protocol):
    """Reports of imports; consistent."""

    def report(self, batch_id: str) -> ImportReport | None: ...


@dataclass(frozen=True)
class Opened:
    """A draft, and the file to import into it."""

    batch_id: str
    data: Upload
    publish: bool


@dataclass(frozen=True)
class SpecProblem:
    """One thing to put right: a JSON Pointer into the spec, and the line there or in the data file where known."""

    pointer: str
    code: str
    detail: str
    line: int | None = None


@dataclass(frozen=True)
class DropReport:
    """What became of a drop, for its requester."""

    state: DropState
    spec: Mapping[str, str]
    batch_id: str | None = None
    batch_state: str | None = None
    problems: tuple[SpecProblem, ...] = ()
    rows: Mapping[str, int] | None = None
    rejected_rows: Sequence[Mapping[str, Any]] = ()
    cost: str | None = None
    currency: str | None = None
    what_to_do: str = AGAIN

    def document(self) -> dict[str, Any]:
        """The report as JSON."""
        return asdict(self)


def drop_of(*, bucket: str, key: str, version_id: str) -> Drop | None:
    """The drop that an object is, or None where it is no spec in an inbox. Reports are none."""
    steps = key.split("/")
    if len(steps) < len((INBOX, "requester", "name")) or steps[0] != INBOX or not is_id(steps[1]):
        return None
    if not key.endswith(SPEC_ENDINGS) or key.endswith(REPORT_ENDING) or steps[-1] in SPEC_ENDINGS:
        return None
    return Drop(bucket, key, version_id, steps[1])


def open_drop(*, drop: Drop, spec: Spec, requesters: Requesters, reads: batches.BatchReads, unit: UnitOfWork) -> Opened:
    """Makes the draft, once. Raises Invalid for what its requester must put right."""
    if requesters.requester(drop.requester_id) is None:
        raise NoSuchRequester("this inbox belongs to nobody; ask for inbox credentials over the API first")
    data = Upload(drop.bucket, _data_key(drop, spec.data_key), spec.data_version_id)
    if reads.batch(drop.batch_id) is None:
        batches.create_batch(batch=spec.batch(drop.batch_id, drop.requester_id), reads=reads, unit=unit)
    return Opened(drop.batch_id, data, spec.publish)


def conclude(
    *,
    drop: Drop,
    opened: Opened,
    now_ms: int,
    reads: batches.BatchReads,
    imports: ImportReports,
    books: Books,
    unit: UnitOfWork,
) -> DropReport:
    """What the import made of the data; publishes where the spec asks for it. Doing it again is the same as once."""
    batch = batches.own_batch(reads.batch(opened.batch_id), drop.requester_id)
    report = imports.report(batch.batch_id)
    if report is None or report.import_id != import_id_of(batch.batch_id, opened.data):
        return refused(drop=drop, error=NoImport("another file was put into this batch meanwhile"), batch=batch)
    if report.state is ImportState.REFUSED:
        code, detail = report.error_code or "file_refused", report.error_detail or "the file was refused"
        problem = SpecProblem("/data", code, detail, report.error_line)
        return _told(drop, DropState.REFUSED, batch, report, problems=(problem,))
    if report.state is not ImportState.DONE:
        raise ImportNotDone(f"the import is {report.state}")
    if not opened.publish:
        return _told(drop, DropState.READY, batch, report, what_to_do=PUBLISHABLE)
    try:
        batch = _published(batch, now_ms, reads, books, unit)
    except InsufficientFunds as error:
        advice = (
            f"add funds for {format_amount(batch.cost_micros, batch.currency)} {batch.currency}, then {PUBLISHABLE}"
        )
        return _told(drop, DropState.REFUSED, batch, report, problems=_problems(error, {}), what_to_do=advice)
    except (Invalid, WrongBatchState) as error:
        return _told(drop, DropState.REFUSED, batch, report, problems=_problems(error, {}))
    return _told(drop, DropState.PUBLISHED, batch, report, what_to_do=NOTHING)


def refused(
    *, drop: Drop, error: SmallPeckError, lines: Mapping[str, int] | None = None, batch: Batch | None = None
) -> DropReport:
    """The report of what the requester must put right. `lines` are those of the spec by JSON Pointer."""
    return _told(drop, DropState.REFUSED, batch, None, problems=_problems(error, lines or {}))


def failed(*, drop: Drop, reads: batches.BatchReads, imports: ImportReports) -> DropReport:
    """The report of a fault of ours, which says how things stand now."""
    batch = reads.batch(drop.batch_id)
    report = None if batch is None else imports.report(drop.batch_id)
    problem = SpecProblem("", "internal", "this could not be finished; the fault is ours")
    if batch is not None and batch.state is not BatchState.DRAFT:
        if batch.state is BatchState.IMPORTING:
            advice = "nothing; the import goes on once the fault is mended, then publish the batch over the API"
        else:
            advice = PUBLISHABLE if batch.state is BatchState.READY else NOTHING
        return _told(drop, DropState.FAILED, batch, report, problems=(problem,), what_to_do=advice)
    advice = "drop the spec again in a while; nothing was paid"
    return _told(drop, DropState.FAILED, batch, report, problems=(problem,), what_to_do=advice)


def is_theirs(error: SmallPeckError) -> bool:
    """Whether an error is for the requester to put right, and trying again would not help."""
    return error.category in _THEIRS and not isinstance(error, WriteConflict)


def _published(batch: Batch, now_ms: int, reads: batches.BatchReads, books: Books, unit: UnitOfWork) -> Batch:
    try:
        return batches.publish(batch=batch, now_ms=now_ms, reads=reads, books=books, unit=unit)
    except WriteConflict:
        # Another run of the same drop, or its requester, was faster; what stands now is published or says why not.
        again = batches.own_batch(reads.batch(batch.batch_id), batch.requester_id)
        return batches.publish(batch=again, now_ms=now_ms, reads=reads, books=books, unit=unit)


def _data_key(drop: Drop, named: str) -> str:
    own = f"{INBOX}/{drop.requester_id}/"
    key = named if named.startswith(f"{INBOX}/") else own + named
    steps = key.split("/")
    if not key.startswith(own) or any(step in ("", ".", "..") for step in steps) or "\0" in key:
        detail = "a file in your own inbox, named from there on"
        raise BadDataKey(detail, problems=[Problem("/data/key", detail)])
    if key == drop.key or len(key.encode()) > MAX_KEY_BYTES:
        detail = "the spec is not its own data" if key == drop.key else f"a key has at most {MAX_KEY_BYTES} bytes"
        raise BadDataKey(detail, problems=[Problem("/data/key", detail)])
    return key


def _problems(error: SmallPeckError, lines: Mapping[str, int]) -> tuple[SpecProblem, ...]:
    found = error.problems or (Problem("", error.detail),)
    noticed = getattr(error, "line", None)
    code = error.refusal if isinstance(error, FileRefused) else error.code
    return tuple(SpecProblem(one.pointer, code, one.detail, noticed or _line_of(lines, one.pointer)) for one in found)


def _line_of(lines: Mapping[str, int], at: str) -> int | None:
    while at and at not in lines:
        at = at.rpartition("/")[0]
    return lines.get(at)


def _told(
    drop: Drop,
    state: DropState,
    batch: Batch | None,
    report: ImportReport | None,
    *,
    problems: tuple[SpecProblem, ...] = (),
    what_to_do: str = AGAIN,
) -> DropReport:
    return DropReport(
        state=state,
        spec={"key": drop.key, "version_id": drop.version_id},
        batch_id=None if batch is None else batch.batch_id,
        batch_state=None if batch is None else batch.state,
        problems=problems,
        rows=None
        if report is None
        else {"read": report.read, "accepted": report.accepted, "rejected": report.rejected},
        rejected_rows=[]
        if report is None
        else [{"line": one.line, "reason": one.reason, "detail": one.detail} for one in report.sample],
        cost=None if batch is None else format_amount(batch.cost_micros, batch.currency),
        currency=None if batch is None else batch.currency,
        what_to_do=what_to_do,
    )
