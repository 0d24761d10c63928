"""The steps that estimate an ended batch again: the decisions of `evaluate`, however often and wherever they begin."""

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from smallpeck.consensus.batch import Answered, Way, reestimated
from smallpeck.consensus.choice_kind import ChoiceKind
from smallpeck.consensus.evaluate import BatchEngine, Label, Setting
from smallpeck.consensus.method import PPM, method_of
from smallpeck.kernel.writes import Change
from smallpeck.tasks import finishing, reestimating
from smallpeck.tasks.model import Batch, BatchNotFound, BatchState, Task, TaskStatus, WrongBatchState, task_ref
from smallpeck.tasks.object_store import ResultFolder
from smallpeck.tasks.reestimate_store import NoteFiles, ReestimationStore
from smallpeck.tasks.reestimating import Planned, spans
from tests.aws import Crash, Fault, Plan
from tests.support import World

OPTIONS = ("bird", "cat", "dog")
SKILLS = {"ann": 0.95, "bea": 0.9, "cem": 0.85, "dov": 0.7, "eli": 0.6, "fay": 0.4}
CHOICE: dict[str, Any] = {"consensus": '{"method":"choice","options":3}'}
MULTIPLE: dict[str, Any] = {"consensus": '{"method":"multiple","options":["bird","cat","dog"]}'}
ALL: dict[str, Any] = {"min_answers": 6, "max_answers": 6, "page_size": 10, "named": True}
WORK = "work"


@dataclass(frozen=True)
class Steps:
    """A world's re-estimation, a step in a line."""

    world: World

    @property
    def reads(self) -> ReestimationStore:
        return ReestimationStore(self.world.table)

    @property
    def notes(self) -> NoteFiles:
        return NoteFiles(self.world.aws.s3, WORK, "b1")

    def all(self) -> list[tuple[str, Mapping[str, int]]]:
        """The steps that the batch takes, with what each is told."""
        planned = reestimating.plan(batch_id="b1", reads=self.reads)
        chunks = range(planned.chunks)
        controls = any(task.gold is not None for task in self.world.every_task(self.world.batch()))
        rounds = {Way.NONE: None, Way.MODELS: int(controls), Way.COUNTS: 3}[planned.way]
        steps: list[tuple[str, Mapping[str, int]]] = []
        if rounds is not None:
            steps += [("gather", {"chunk": chunk}) for chunk in chunks]
            steps.append(("fit", {"round_": 0}))
            for number in range(1, rounds + 1):
                steps += [("tally", {"chunk": chunk, "round_": number}) for chunk in chunks]
                steps.append(("fit", {"round_": number}))
        last = 0 if rounds is None else rounds + 1
        return [
            *steps,
            *(("decide", {"chunk": chunk, "round_": last}) for chunk in chunks),
            ("conclude", {"round_": last}),
        ]

    def take(self, name: str, told: Mapping[str, int]) -> Any:
        step: Callable[..., Any] = getattr(reestimating, name)
        more: dict[str, Any] = {}
        if name == "decide":
            more["unit"] = self.world.table
        if name == "conclude":
            more["files"] = ResultFolder(self.world.aws.s3, WORK)
        return step(batch_id="b1", reads=self.reads, notes=self.notes, **told, **more)

    def run(self) -> None:
        for name, told in self.all():
            self.take(name, told)

    def left(self) -> tuple[Any, Any]:
        """What a run leaves: the tasks, and every file."""
        bucket = self.world.aws.s3.bucket(WORK)
        files = {key: self.world.aws.s3.get_object(Bucket=WORK, Key=key)["Body"].read() for key in bucket.versions}
        return sorted(self.world.every_task(self.world.batch()), key=lambda task: task.ordinal), files

    def skills(self) -> dict[str, Any]:
        return {row["worker_id"]: row for row in self.notes.rows("workers.jsonl")}


def answered(
    tasks: int, *, seed: int = 7, deliveries: int = 1, wrapped: bool = False, **facts: Any
) -> tuple[World, Batch]:
    """Every worker's answer to every task, graded in disorder and as often as said; then the batch begins to close."""
    world, draw = World(), random.Random(seed)
    world.aws.s3.create_bucket(Bucket=WORK)
    batch = world.active(tasks, **{**ALL, **CHOICE, **facts})
    ids = {task.ordinal: task.task_id for task in world.every_task(batch)}
    truths = {ids[number]: draw.choice(OPTIONS) for number in sorted(ids)}
    pages = []
    for worker, skill in SKILLS.items():
        for start in range(0, tasks, 10):
            page = world.leased(
                worker, key=f"{worker}{start}", tasks=[ids[n] for n in range(start, min(start + 10, tasks))]
            )
            said = {name: one if draw.random() < skill else draw.choice(OPTIONS) for name, one in truths.items()}
            given = [(one.task_id, said[one.task_id]) for one in page.assignments]
            world.submit(page, answers=[(name, [one] if wrapped else one) for name, one in given])
            pages.append(page.page_id)
    deliveries_ = pages * deliveries
    random.Random(deliveries).shuffle(deliveries_)
    for page_id in deliveries_:
        world.grade(page_id)
    finishing.begin(batch_id="b1", final=BatchState.CLOSED, reads=world.tasks, unit=world.table)
    while not world.recount().ready:
        world.aws.clock.advance(60)
    return world, world.batch()


def engine(tasks: list[Task]) -> dict[str, tuple[str, int]]:
    """What `evaluate` makes of the same answers."""
    labels = [Label(task.task_id, name, json.loads(vote.answer)) for task in tasks for name, vote in task.votes.items()]
    seats = {task.task_id: len(task.votes) for task in tasks}
    replay = BatchEngine(ChoiceKind(), Setting(seats, OPTIONS, {}, dynamic=False))
    for label in labels:
        replay.add(label)
    return {task: (json.dumps(one.value), round(one.confidence * PPM)) for task, one in replay.finish().items()}


def test_six_hundred_answers_come_to_what_evaluate_says_though_all_were_delivered_twice_and_in_disorder() -> None:
    world, batch = answered(100, deliveries=2, shards=3)
    online = {task.task_id: task.result for task in world.every_task(batch)}
    Steps(world).run()
    tasks = world.every_task(batch)
    expected = engine(tasks)
    for task in tasks:
        assert task.result is not None
        assert task.result.answer == expected[task.task_id][0]
        assert task.result.confidence_ppm == pytest.approx(expected[task.task_id][1], abs=1)
    assert any(task.result != online[task.task_id] for task in tasks)
    skills = Steps(world).skills()
    assert skills.keys() == SKILLS.keys()
    assert skills["ann"]["low"] > skills["fay"]["high"]
    assert all(one["low"] < one["accuracy"] < one["high"] and one["answers"] == 100 for one in skills.values())


def test_other_methods_come_to_what_the_same_steps_say_in_memory() -> None:
    world, batch = answered(30, shards=2, wrapped=True, **MULTIPLE)
    known = ReestimationStore(world.table).skills(batch)
    Steps(world).run()
    tasks = [
        Answered(task.task_id, {name: vote.answer for name, vote in task.votes.items()})
        for task in world.every_task(batch)
    ]
    found = reestimated(method=method_of(json.loads(batch.consensus)), tasks=tasks, skills=known).decisions
    for task in world.every_task(batch):
        assert task.result is not None
        decision = found[task.task_id]
        assert (task.result.answer, task.result.confidence_ppm, task.result.parts_ppm) == (
            decision.answer, decision.confidence_ppm, decision.parts_ppm,
        )  # fmt: skip


@pytest.mark.parametrize("method", [CHOICE, MULTIPLE], ids=["choice", "multiple"])
def test_every_step_may_be_made_again_at_every_point(method: dict[str, Any]) -> None:
    wrapped = method is MULTIPLE
    clean, _ = answered(12, shards=2, wrapped=wrapped, **method)
    Steps(clean).run()
    world, _ = answered(12, shards=2, wrapped=wrapped, **method)
    steps, done = Steps(world), list[tuple[str, Mapping[str, int]]]()
    for step in steps.all():
        steps.take(*step)
        done.append(step)
        before = steps.left()
        for again in done:
            steps.take(*again)
        assert steps.left() == before, step
    assert steps.left() == Steps(clean).left()


@pytest.mark.parametrize("method", [CHOICE, MULTIPLE], ids=["choice", "multiple"])
def test_whatever_dies_is_made_again_with_the_same_outcome(method: dict[str, Any]) -> None:
    world, _ = answered(2, shards=1 if method is MULTIPLE else 2, wrapped=method is MULTIPLE, **method)
    before = [item for item in world.aws.dynamodb.dump("platform") if item["pk"]["S"].startswith("TASKS#")]

    def afresh() -> Steps:
        world.aws.dynamodb.seed("platform", before)
        world.aws.s3.bucket(WORK).versions.clear()
        return Steps(world)

    calls = world.aws.faults.count_calls(afresh().run)
    expected = Steps(world).left()
    for call in range(calls):
        steps = afresh()
        with world.aws.faults.planned(Plan(Fault.CRASH_AFTER, at=call)), pytest.raises(Crash):
            steps.run()
        steps.run()
        assert steps.left() == expected, call


def test_a_task_that_was_changed_after_its_answers_were_gathered_keeps_what_it_has() -> None:
    world, batch = answered(4)
    steps = Steps(world)
    steps.take("gather", {"chunk": 0})
    steps.take("fit", {"round_": 0})
    before = {task.ordinal: task for task in world.every_task(batch)}
    world.table.commit([Change(task_ref(batch, 2), add={"version": 1})])
    world.table.commit([Change(task_ref(batch, 3), set={"status": TaskStatus.OPEN})])
    decided = steps.take("decide", {"chunk": 0, "round_": 1})
    assert (decided.tasks, decided.changed, decided.left) == (4, 2, 2)
    after = {task.ordinal: task for task in world.every_task(batch)}
    assert [after[number].result == before[number].result for number in range(4)] == [False, False, True, True]


def test_a_result_that_changes_in_the_moment_of_the_write_is_left() -> None:
    world, batch = answered(4)
    steps = Steps(world)
    steps.take("gather", {"chunk": 0})
    steps.take("fit", {"round_": 0})

    def vote() -> None:
        world.table.commit([Change(task_ref(batch, 1), add={"version": 1}, set={"result": None})])

    with world.aws.faults.planned(Plan(Fault.RACE, at="dynamodb.UpdateItem:platform", nth=2, race=vote)):
        decided = steps.take("decide", {"chunk": 0, "round_": 1})
    assert (decided.changed, decided.left) == (3, 1)
    assert {task.ordinal: task.result for task in world.every_task(batch)}[1] is None


def test_control_tasks_teach_and_keep_what_was_known() -> None:
    gold = dict.fromkeys(range(4), '"cat"')
    world, batch = answered(40, controls=gold)
    before = {task.ordinal: task.result for task in world.every_task(batch)}
    Steps(world).run()
    after = {task.ordinal: task for task in world.every_task(batch)}
    controls = [task for task in after.values() if task.gold is not None]
    assert len(controls) == 4
    for task in controls:
        assert task.result == before[task.ordinal]
        assert task.result is not None
        assert (task.result.answer, task.result.confidence_ppm) == ('"cat"', PPM)
    assert sum(after[number].result != before[number] for number in after) > 20


def test_where_everybody_is_trusted_alike_only_the_report_is_written() -> None:
    world, batch = answered(10, consensus='{"method":"plurality"}')
    before = world.every_task(batch)
    assert reestimating.plan(batch_id="b1", reads=ReestimationStore(world.table)) == Planned(Way.NONE, 1)
    Steps(world).run()
    assert world.every_task(batch) == before
    assert set(Steps(world).left()[1]) == {
        "reestimates/b1/counts-00000.jsonl.gz", "reestimates/b1/workers.jsonl.gz",
        "results/b1/report.html", "results/b1/report.json",
    }  # fmt: skip


def test_the_report_is_about_every_task_and_names_the_rows_that_are_least_sure() -> None:
    world, _ = answered(30, shards=4)
    Steps(world).run()
    told = json.loads(Steps(world).left()[1]["results/b1/report.json"])
    assert told["tasks"]["total"] == told["tasks"]["answered"] == 30
    assert told["answers"]["used"] == 180
    assert {one["row_id"] for one in told["most_disputed"]} == {str(number) for number in range(30)}
    assert {one["worker_id"]: one["answers"] for one in told["workers"]} == dict.fromkeys(SKILLS, 30)


def test_nobody_answered() -> None:
    world = World()
    world.aws.s3.create_bucket(Bucket=WORK)
    world.active(5, **ALL, **CHOICE)
    finishing.begin(batch_id="b1", final=BatchState.CANCELLED, reads=world.tasks, unit=world.table)
    world.recount()
    Steps(world).run()
    assert {task.result.answer for task in world.every_task(world.batch()) if task.result} == {None}


@pytest.mark.parametrize("step", ["plan", "gather", "fit", "tally", "decide", "conclude"])
def test_a_batch_whose_answers_are_not_all_in_is_left_alone(step: str) -> None:
    world = World()
    world.aws.s3.create_bucket(Bucket=WORK)
    told = {"gather": {"chunk": 0}, "fit": {"round_": 0}, "tally": {"chunk": 0, "round_": 1}}
    told |= {"decide": {"chunk": 0, "round_": 1}, "conclude": {"round_": 1}}
    steps = Steps(world)

    def ask() -> None:
        if step == "plan":
            reestimating.plan(batch_id="b1", reads=steps.reads)
        else:
            steps.take(step, told[step])

    with pytest.raises(BatchNotFound):
        ask()
    world.active(5)
    with pytest.raises(WrongBatchState):
        ask()


@pytest.mark.parametrize(("tasks", "answers", "shards"), [(1, 1, 1), (4_999, 10, 3), (1_000_000, 100, 16), (7, 3, 7)])
def test_the_chunks_of_a_batch_are_all_its_tasks_once_and_not_too_many(tasks: int, answers: int, shards: int) -> None:
    batch = replace(World().draft(), task_count=tasks, shards=shards, max_answers=answers)
    found = spans(batch)
    assert len(found) <= reestimating.MOST_CHUNKS + shards
    for shard in range(shards):
        mine = [one for one in found if one.shard == shard]
        assert [(one.first, one.last) for one in mine] == [
            (a, b) for a, b in zip([0, *(one.last + 1 for one in mine[:-1])], [one.last for one in mine], strict=True)
        ]
        assert mine[-1].last == batch.shard_size(shard) - 1


def test_what_is_written_down_comes_back_and_is_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smallpeck.tasks.reestimate_store._PIECE_BYTES", 64)
    world = World()
    world.aws.s3.create_bucket(Bucket=WORK)
    rows = [[number, "zwölf\n\u2028", {"a": None}] for number in range(2_000)]
    bodies = []
    for _ in range(2):
        assert Steps(world).notes.put("some", iter(rows)) == 2_000
        bodies.append(world.aws.s3.get_object(Bucket=WORK, Key="reestimates/b1/some.gz")["Body"].read())
    assert bodies[0] == bodies[1]
    assert list(Steps(world).notes.rows("some")) == rows
