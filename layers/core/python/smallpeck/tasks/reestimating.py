"""The answers of a batch estimated again when all are in, and its quality report: the steps, and what they leave.

A chunk is a run of positions in one shard, so it follows from the batch which tasks it has. What a step finds out is a
file under `reestimates/<batch>/`, and the tasks' results; every step can be made again, at any time, and leaves the
same. What the results are is decided in `smallpeck.consensus.batch`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final, Protocol

from smallpeck.consensus import batch as whole
from smallpeck.consensus.batch import Answered, Tally, Way
from smallpeck.consensus.choice_batch import Leaning, Modelled, learnt_temperature, modelled, packed
from smallpeck.consensus.method import PPM, Decision, SkillCounts
from smallpeck.kernel.errors import NotFound
from smallpeck.kernel.ids import ordinal_of_task
from smallpeck.kernel.writes import Change, Equals, UnitOfWork, WriteConflict
from smallpeck.tasks.batches import Progress
from smallpeck.tasks.model import Batch, BatchNotFound, BatchState, Task, TaskStatus, WrongBatchState, task_ref
from smallpeck.tasks.publishing import ResultFiles
from smallpeck.tasks.report_counts import ReportCounts, WorkerCounts, counted, facts_of, worker_counts
from smallpeck.tasks.report_page import write_report
from smallpeck.tasks.reporting import WORKER_LEVEL, WorkerSkill, interval, report
from smallpeck.tasks.voting import method_of, result_fields, result_of

ANSWERS_PER_CHUNK: Final = 50_000
MOST_CHUNKS: Final = 200
_TASKS_AT_ONCE: Final = 250
_OVER: Final = frozenset({BatchState.CLOSING, BatchState.CLOSED, BatchState.CANCELLED})


class NoSuchChunk(NotFound):
    """The batch is not cut into so many chunks."""

    code = "no_such_chunk"


class ReestimationReads(Protocol):
    """What the steps read."""

    def batch(self, batch_id: str) -> Batch | None: ...
    def progress(self, batch_id: str) -> Progress: ...
    def tasks_from(self, batch: Batch, shard: int, first: int, last: int) -> Iterator[Task]: ...
    def skills(self, batch: Batch) -> dict[str, SkillCounts]: ...
    def inputs(self, batch: Batch, ordinals: Sequence[int]) -> dict[int, dict[str, Any]]: ...


class Notes(Protocol):
    """What one step writes down for the next: values of JSON under a name, in place of earlier ones."""

    def put(self, name: str, rows: Iterable[Any], /) -> int: ...
    def rows(self, name: str, /) -> Iterator[Any]: ...


@dataclass(frozen=True)
class Span:
    """Which tasks a chunk has: positions of one shard, both included."""

    shard: int
    first: int
    last: int


@dataclass(frozen=True)
class Planned:
    """How a batch is estimated again, and in how many chunks."""

    way: Way
    chunks: int


@dataclass(frozen=True)
class Fitted:
    """The number of the next round, and whether there is none because all that can be known is."""

    round: int
    done: bool


@dataclass(frozen=True)
class Decided:
    """The tasks of a chunk: all, those with a new result, and those that were left: they had changed meanwhile."""

    tasks: int
    changed: int
    left: int


def spans(batch: Batch) -> list[Span]:
    """The chunks of a batch: of `ANSWERS_PER_CHUNK` answers at most, or as large as makes `MOST_CHUNKS` or so."""
    many = max(1, ANSWERS_PER_CHUNK // max(1, batch.max_answers), -(-batch.task_count // MOST_CHUNKS))
    return [
        Span(shard, first, min(first + many, batch.shard_size(shard)) - 1)
        for shard in range(batch.shards)
        for first in range(0, batch.shard_size(shard), many)
    ]


def plan(*, batch_id: str, reads: ReestimationReads) -> Planned:
    """What is to be done. Raises WrongBatchState where answers may still come."""
    batch = _batch(batch_id, reads)
    way = whole.way_of(method_of(batch)) if reads.progress(batch_id).answers else Way.NONE
    return Planned(way, len(spans(batch)))


def gather(*, batch_id: str, chunk: int, reads: ReestimationReads, notes: Notes) -> int:
    """Writes down the answers of a chunk; returns how many tasks have any."""
    batch = _batch(batch_id, reads)
    return notes.put(_answers(chunk), (_answered(task).row for task in _tasks(batch, chunk, reads) if task.votes))


def fit(*, batch_id: str, round_: int, reads: ReestimationReads, notes: Notes) -> Fitted:
    """What all chunks say: in round 0 the models, or what was known when the batch ended; in later ones the tallies."""
    batch = _batch(batch_id, reads)
    chunks = range(len(spans(batch)))
    method = method_of(batch)
    before = _fit(notes, round_ - 1) if round_ else None
    if before is not None and before.way is Way.COUNTS:
        tallies = whole.together(_tallies(notes.rows(_tally(round_, chunk))) for chunk in chunks)
        known = {worker: tally.skill for worker, tally in tallies.items()}
        _put_fit(notes, round_, Way.COUNTS, known, (), whole.evidence(tallies))
        return Fitted(round_ + 1, round_ >= whole.ROUNDS[Way.COUNTS])
    answers = None
    if whole.way_of(method) is Way.MODELS:
        answers = packed(map(whole.answered, notes.rows(_answers(chunk))) for chunk in chunks)
    if answers is None:
        _put_fit(notes, 0, Way.COUNTS, reads.skills(batch), (), {})
        return Fitted(1, done=False)
    if before is None and answers.gold:
        # Two fits of ten million answers would not fit into the time of one call.
        _put_fit(notes, 0, Way.MODELS, {}, (), {}, learnt_temperature(answers))
        return Fitted(1, done=False)
    temperature = learnt_temperature(answers) if before is None else before.temperature
    _put_leanings(notes, modelled(answers, temperature), round_, chunks)
    return Fitted(round_ + 1, done=True)


def tally(*, batch_id: str, chunk: int, round_: int, reads: ReestimationReads, notes: Notes) -> int:
    """Writes down what a round leaves of a chunk; returns of how many workers. Models ask for none."""
    batch = _batch(batch_id, reads)
    before = _fit(notes, round_ - 1)
    if before.way is Way.MODELS:
        return 0
    tallies = whole.tallied(
        method=method_of(batch),
        chunk=map(whole.answered, notes.rows(_answers(chunk))),
        known=whole.known_from(before.known),
    )
    notes.put(_tally(round_, chunk), ([worker, *tallies[worker].row] for worker in sorted(tallies)))
    return len(tallies)


def decide(
    *, batch_id: str, chunk: int, round_: int, reads: ReestimationReads, notes: Notes, unit: UnitOfWork
) -> Decided:
    """Writes what the tasks of a chunk come to, and counts them for the report. Of round 0 nothing was estimated.

    A result is written only where the task is closed and as it was when its answers were gathered. Control tasks keep
    theirs.
    """
    batch = _batch(batch_id, reads)
    found = _decisions(batch, chunk, round_, notes)
    ahead = next(found, None)
    changed = left = tasks = 0
    counts, workers = ReportCounts(), dict[str, WorkerCounts]()
    for some in _groups(_tasks(batch, chunk, reads)):
        final = []
        for task in some:
            decision = None
            if ahead is not None and ahead[0].ordinal == task.ordinal:
                decision, ahead = ahead, next(found, None)
            after = task if decision is None else _with_result(batch, task, *decision, unit)
            changed += after is not None and after.result != task.result
            left += after is None
            final.append(after or task)
        tasks += len(some)
        facts = [facts_of(task, method=method_of(batch), batch=batch) for task in final]
        counts = counts.plus(counted(facts))
        for worker, one in worker_counts(facts).items():
            workers[worker] = workers.get(worker, WorkerCounts()).plus(one)
    notes.put(_counts(chunk), [counts.as_json(), {worker: workers[worker].as_json() for worker in sorted(workers)}])
    return Decided(tasks, changed, left)


def conclude(*, batch_id: str, round_: int, reads: ReestimationReads, notes: Notes, files: ResultFiles) -> ReportCounts:
    """Writes down the workers' skill, and the batch's report beside its results."""
    batch = _batch(batch_id, reads)
    counts, given = ReportCounts(), dict[str, WorkerCounts]()
    for chunk in range(len(spans(batch))):
        mine, theirs = notes.rows(_counts(chunk))
        counts = counts.plus(ReportCounts.from_json(mine))
        for worker, one in theirs.items():
            given[worker] = given.get(worker, WorkerCounts()).plus(WorkerCounts(**one))
    counts = _with_rows(batch, counts, reads)
    skills = _fit(notes, round_ - 1).skills if round_ else _by_agreement(given)
    usual = whole.usual_of(skills)
    workers = [_skill(worker, given[worker], skills.get(worker, SkillCounts()), usual) for worker in sorted(given)]
    notes.put("workers.jsonl", map(_told, workers))
    write_report(batch_id=batch_id, report=report(batch=batch, counts=counts, workers=workers), files=files)
    return counts


@dataclass(frozen=True)
class _Fit:
    """What a fit has left: `known` is what the next round or the decisions take, `skills` what the report tells."""

    way: Way
    known: Mapping[str, SkillCounts]
    options: Sequence[str]
    skills: Mapping[str, SkillCounts]
    temperature: float = 1.0


def _put_fit(
    notes: Notes,
    round_: int,
    way: Way,
    known: Mapping[str, SkillCounts],
    options: Sequence[str],
    skills: Mapping[str, SkillCounts],
    temperature: float = 1.0,
) -> None:
    notes.put(f"fit-{round_}.jsonl", [way, list(options), _pairs(known), _pairs(skills), temperature])


def _put_leanings(notes: Notes, model: Modelled, round_: int, chunks: Iterable[int]) -> None:
    for chunk in chunks:
        notes.put(_leanings(chunk), model.leanings(chunk))
    _put_fit(notes, round_, Way.MODELS, {}, model.options, model.skills)


def _fit(notes: Notes, round_: int) -> _Fit:
    way, options, known, skills, temperature = notes.rows(f"fit-{round_}.jsonl")
    return _Fit(Way(way), _counts_of(known), options, _counts_of(skills), temperature)


def _pairs(skills: Mapping[str, SkillCounts]) -> dict[str, list[int]]:
    return {worker: [skills[worker].hits_ppm, skills[worker].weight_ppm] for worker in sorted(skills)}


def _counts_of(pairs: Mapping[str, Sequence[int]]) -> dict[str, SkillCounts]:
    return {worker: SkillCounts(hits, weight) for worker, (hits, weight) in pairs.items()}


def _tallies(rows: Iterable[Sequence[Any]]) -> dict[str, Tally]:
    return {worker: Tally(*sums) for worker, *sums in rows}


def _answers(chunk: int) -> str:
    return f"answers-{chunk:05d}.jsonl"


def _leanings(chunk: int) -> str:
    return f"leanings-{chunk:05d}.jsonl"


def _tally(round_: int, chunk: int) -> str:
    return f"tally-{round_}-{chunk:05d}.jsonl"


def _counts(chunk: int) -> str:
    return f"counts-{chunk:05d}.jsonl"


def _batch(batch_id: str, reads: ReestimationReads) -> Batch:
    batch = reads.batch(batch_id)
    if batch is None:
        raise BatchNotFound
    if batch.state not in _OVER:
        raise WrongBatchState(f"the batch is {batch.state}: its answers are not all in")
    return batch


def _tasks(batch: Batch, chunk: int, reads: ReestimationReads) -> Iterator[Task]:
    every = spans(batch)
    if chunk >= len(every):
        raise NoSuchChunk(f"the batch has {len(every)} chunks")
    span = every[chunk]
    return reads.tasks_from(batch, span.shard, span.first, span.last)


def _groups(tasks: Iterator[Task]) -> Iterator[list[Task]]:
    while some := list(islice(tasks, _TASKS_AT_ONCE)):
        yield some


def _answered(task: Task) -> Answered:
    answers = {worker: vote.answer for worker, vote in task.votes.items()}
    return Answered(task.task_id, answers, task.gold, task.ordinal, task.version)


def _decisions(batch: Batch, chunk: int, round_: int, notes: Notes) -> Iterator[tuple[Answered, Decision]]:
    if not round_:
        return iter(())
    fitted = _fit(notes, round_ - 1)
    by_models = fitted.way is Way.MODELS
    return whole.decided(
        method=method_of(batch),
        chunk=map(whole.answered, notes.rows(_answers(chunk))),
        known=whole.known_from(fitted.known),
        leanings=map(_leaning, notes.rows(_leanings(chunk))) if by_models else None,
        options=fitted.options,
    )


def _leaning(row: Sequence[Any]) -> Leaning:
    options, sure_ppm = row
    return tuple(options), sure_ppm


def _with_result(batch: Batch, task: Task, then: Answered, decision: Decision, unit: UnitOfWork) -> Task | None:
    """The task with its new result; None where it is not what it was then."""
    result = result_of(decision)
    if task.version != then.version or task.status is not TaskStatus.CLOSED:
        return None
    if result == task.result:
        return task
    change = Change(
        task_ref(batch, task.ordinal),
        set={"result": result_fields(result)},
        when=(Equals("version", then.version), Equals("status", TaskStatus.CLOSED)),
    )
    try:
        unit.commit([change])
    except WriteConflict:
        return None
    return replace(task, result=result)


def _with_rows(batch: Batch, counts: ReportCounts, reads: ReestimationReads) -> ReportCounts:
    """The most disputed tasks with the ids of their rows."""
    ordinals = {one.task_id: ordinal_of_task(one.task_id) for one in counts.most_disputed}
    inputs = reads.inputs(batch, [ordinal for ordinal in ordinals.values() if ordinal is not None])
    rows = {given["task_id"]: given["row_id"] for given in inputs.values()}
    disputed = tuple(replace(one, row_id=rows.get(one.task_id)) for one in counts.most_disputed)
    return replace(counts, most_disputed=disputed)


def _by_agreement(given: Mapping[str, WorkerCounts]) -> dict[str, SkillCounts]:
    """What is known of workers where nothing was estimated: their control tasks, else their agreement with results."""
    return {
        worker: SkillCounts(one.control_right_ppm, one.control_answers * PPM)
        if one.control_answers
        else SkillCounts(one.agreement_ppm, one.compared * PPM)
        for worker, one in given.items()
    }


def _skill(worker: str, counts: WorkerCounts, known: SkillCounts, usual: float) -> WorkerSkill:
    share, many = whole.believed(known, usual)
    low, high = interval(share, many, level=WORKER_LEVEL)
    return WorkerSkill(worker, counts, round(share * PPM), round(low * PPM), round(high * PPM))


def _told(one: WorkerSkill) -> dict[str, Any]:
    return {
        "worker_id": one.worker_id,
        "answers": one.counts.answers,
        "control_answers": one.counts.control_answers,
        "accuracy": one.accuracy_ppm / PPM,
        "low": one.low_ppm / PPM,
        "high": one.high_ppm / PPM,
    }
