"""A small batch that has ended, made by hand, and what is reported of it."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from smallpeck.consensus.method import PPM, Method
from smallpeck.tasks.model import Batch, BatchState, Result, Task, TaskStatus, Vote
from smallpeck.tasks.report_counts import TaskFacts, counted, facts_of, worker_counts
from smallpeck.tasks.reporting import WorkerSkill, report
from smallpeck.tasks.voting import method_of

FINISHED = "finish"
BATCH = Batch(
    batch_id="b1",
    requester_id="r1",
    title="Cats and dogs",
    instructions="Say what you see.",
    kind="choice",
    currency="USD",
    price_micros=50_000,
    reward_micros=40_000,
    fee_micros=10_000,
    min_answers=2,
    max_answers=3,
    page_size=10,
    lease_seconds=600,
    task_schema="{}",
    answer_schema='{"enum":["cat","dog"]}',
    named=False,
    countries=frozenset(),
    languages=frozenset(),
    deadline_ms=0,
    created_at_ms=0,
    request_hash="h",
    state=BatchState.CLOSED,
    published_at_ms=1_000,
    closed_at_ms=2_000,
)


def task(
    name: str,
    answers: Sequence[Any],
    result: Result | None = None,
    *,
    gold: Any = None,
    closed_by: str | None = None,
    workers: Sequence[str] = ("ann", "bob", "cy"),
) -> Task:
    """A task with the answers of the first so many workers, in that order; the last of them has closed it."""
    votes = {
        worker: Vote(f"page-{worker}", json.dumps(answer), accepted_at_ms=place, accuracy_ppm=800_000)
        for place, (worker, answer) in enumerate(zip(workers, answers, strict=False))
    }
    last = f"page-{workers[len(answers) - 1]}" if answers else FINISHED
    known = None if gold is None else json.dumps(gold)
    return Task(
        batch_id="b1",
        task_id=name,
        ordinal=0,
        status=TaskStatus.CLOSED,
        votes=votes,
        result=Result(known, PPM, tied=False) if known is not None else result,
        closed_by=closed_by or last,
        gold=known,
    )


TASKS = (
    task("t0", ["cat", "cat"], Result('"cat"', PPM, tied=False)),
    task("t1", ["cat", "dog", "cat"], Result('"cat"', 666_666, tied=False)),
    replace(task("t2", ["dog", "cat"], Result('"cat"', 500_000, tied=True), closed_by=FINISHED), disputed=True),
    task("t3", [], Result(None, 0, tied=False), closed_by=FINISHED),
    task("c0", ["cat", "cat", "dog"], gold="cat", closed_by=FINISHED),
    task("c1", ["cat", "cat"], gold="dog", closed_by=FINISHED),
    task("c2", ["dog"], gold="dog", closed_by=FINISHED),
)


def facts(tasks: Iterable[Task] = TASKS, batch: Batch = BATCH, method: Method | None = None) -> list[TaskFacts]:
    """What the tasks add to the report."""
    by = method or method_of(batch)
    return [facts_of(one, method=by, batch=batch) for one in tasks]


def reported(tasks: Iterable[Task] = TASKS, batch: Batch = BATCH) -> dict[str, Any]:
    """The report, with everybody believed to be equally good."""
    found = facts(tasks, batch)
    counts = counted(found)
    named = tuple(replace(one, row_id=f"row-{one.task_id}") for one in counts.most_disputed)
    workers = [WorkerSkill(worker, one, 800_000, 700_000, 900_000) for worker, one in worker_counts(found).items()]
    return report(batch=batch, counts=replace(counts, most_disputed=named), workers=workers)
