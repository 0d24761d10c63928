"""The grader decides as the replay of the same answers does, whatever is delivered twice, late or in disorder."""

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from smallpeck.consensus.choice import Choice
from smallpeck.consensus.method import NOTHING_KNOWN, PPM, Budget, SkillCounts
from smallpeck.consensus.replaying import Replay
from smallpeck.kernel.writes import Change
from smallpeck.tasks.model import Batch, Task, TaskStatus, batch_ref
from tests.aws import Crash, Fault, Plan
from tests.support import World

OPTIONS = ("bird", "cat", "dog")
SKILLS = {"ann": 0.95, "bea": 0.9, "cem": 0.85, "dov": 0.7, "eli": 0.6, "fay": 0.4}
DYNAMIC: dict[str, Any] = {
    "consensus": '{"method":"choice","options":3}',
    "min_answers": 1,
    "max_answers": 6,
    "named": True,
}


def answers(tasks: int, seed: int) -> list[tuple[int, str, str]]:
    """Every worker's answer to every task, in an order drawn by the seed."""
    draw = random.Random(seed)
    rows = []
    for task in range(tasks):
        truth = draw.choice(OPTIONS)
        for worker, skill in SKILLS.items():
            wrong = [one for one in OPTIONS if one != truth]
            rows.append((task, worker, truth if draw.random() < skill else draw.choice(wrong)))
    draw.shuffle(rows)
    return rows


def tasks_of(world: World, batch: Batch) -> dict[int, Task]:
    return {task.ordinal: task for task in world.every_task(batch)}


def skills_of(world: World, batch: Batch) -> dict[str, SkillCounts]:
    return dict(world.tasks.known(batch, SKILLS).skills)


def replayed(batch: Batch, rows: Sequence[tuple[int, str, str]], tasks: dict[int, Task]) -> tuple[Replay, set[int]]:
    """The replay of the same answers, and which tasks it closed."""
    replay = Replay(Choice(options=3), {}, dynamic=True)
    closed: set[int] = set()
    for task, worker, answer in rows:
        if task not in closed and replay.add(tasks[task].task_id, worker, json.dumps(answer), Budget(1, 6)):
            closed.add(task)
    return replay, closed


def given(world: World, batch: Batch, rows: Sequence[tuple[int, str, str]], *, deliveries: int = 1) -> None:
    """Each answer as a page of its own, graded so often; those to closed tasks find no seat."""
    tasks = tasks_of(world, batch)
    for number, (ordinal, worker, answer) in enumerate(rows):
        task = world.tasks.task(batch, ordinal)
        assert task is not None
        if task.status is TaskStatus.CLOSED:
            continue
        page = world.leased(worker, key=f"k{number}", tasks=[tasks[ordinal].task_id])
        world.submit(page, answer)
        for _ in range(deliveries):
            world.grade(page.page_id)


@pytest.mark.parametrize("deliveries", [1, 3])
def test_the_same_answers_in_the_same_order_are_decided_as_in_a_replay(deliveries: int) -> None:
    world, rows = World(), answers(40, seed=7)
    batch = world.active(40, **DYNAMIC)
    given(world, batch, rows, deliveries=deliveries)
    found = tasks_of(world, batch)
    replay, closed = replayed(batch, rows, found)
    assert closed == {ordinal for ordinal, task in found.items() if task.status is TaskStatus.CLOSED}
    for task in found.values():
        votes = replay.votes[task.task_id]
        assert {worker: (vote.answer, vote.accuracy_ppm, vote.credit) for worker, vote in task.votes.items()} == {
            worker: (vote.answer, vote.accuracy_ppm, vote.credit) for worker, vote in votes.items()
        }
        decision = replay.method.decide(task_id=task.task_id, votes=votes, budget=batch.budget)
        assert task.result is None or (task.result.answer, task.result.confidence_ppm) == (
            decision.answer,
            decision.confidence_ppm,
        )
    assert skills_of(world, batch) == replay.skills
    assert world.tasks.known(batch, ()).population == replay.population
    assert sum(len(task.votes) for task in found.values()) < 0.8 * len(rows)


def test_answers_graded_in_disorder_are_decided_in_the_order_of_grading() -> None:
    """Four workers sit on each task at once; their pages are graded in any order, each one again later on."""
    world, rows = World(), answers(20, seed=11)
    batch = world.active(20, **{**DYNAMIC, "min_answers": 4, "max_answers": 4})
    tasks = tasks_of(world, batch)
    waiting = []
    for number, (ordinal, worker, answer) in enumerate(rows):
        task = world.tasks.task(batch, ordinal)
        assert task is not None
        if task.seats_taken < 4:
            page = world.leased(worker, key=f"k{number}", tasks=[task.task_id])
            world.submit(page, answer)
            waiting.append((page.page_id, (ordinal, worker, answer)))
    random.Random(2).shuffle(waiting)
    for number, (page_id, _) in enumerate(waiting):
        world.grade(page_id)
        world.grade(waiting[number // 2][0])
    found = tasks_of(world, batch)
    replay = Replay(Choice(options=3), {}, dynamic=True)
    for _, (ordinal, worker, answer) in waiting:
        replay.add(tasks[ordinal].task_id, worker, json.dumps(answer), Budget(4, 4))
    for task in found.values():
        decision = replay.method.decide(task_id=task.task_id, votes=replay.votes[task.task_id], budget=batch.budget)
        assert task.result is not None
        assert (task.result.answer, task.result.confidence_ppm) == (decision.answer, decision.confidence_ppm)
    assert skills_of(world, batch) == replay.skills


def closing_page() -> tuple[World, Callable[[], object]]:
    """The second of two answers to each of four tasks; it closes them and credits who came first."""
    world = World()
    world.active(4, **{**DYNAMIC, "min_answers": 2, "max_answers": 2, "named": False})
    world.answer("ann")
    page = world.leased("bea")
    world.submit(page)
    return world, lambda: world.grade(page.page_id)


def calls_of(prepare: Callable[[], tuple[World, Callable[[], object]]]) -> int:
    world, act = prepare()
    return world.aws.faults.count_calls(act)


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
@pytest.mark.parametrize("call", range(calls_of(closing_page)))
def test_a_grader_that_dies_at_any_call_credits_skill_once_when_it_is_called_again(fault: Fault, call: int) -> None:
    world, grade = closing_page()
    with world.aws.faults.planned(Plan(fault, at=call)), pytest.raises(Crash):
        grade()
    grade()
    grade()
    check_skill(world)


def check_skill(world: World) -> None:
    """What stands on the workers' items, and on the batch's counters, is what the votes and closings say, once."""
    batch = world.batch()
    said = NOTHING_KNOWN
    for task in world.every_task(batch):
        assert task.status is TaskStatus.CLOSED
        said = said.plus(task.closing_credit)
        for vote in task.votes.values():
            said = said.plus(vote.credit)
    counted = NOTHING_KNOWN
    for one in skills_of(world, batch).values():
        counted = counted.plus(one)
    assert counted == said == world.tasks.known(batch, ()).population
    assert counted.weight_ppm > 0


def page_with_a_control() -> tuple[World, Callable[[], object]]:
    """A page of a new worker: some of it are control tasks."""
    world = World()
    world.active(8, **DYNAMIC | {"named": False, "max_answers": 2}, controls={2: '"cat"', 5: '"dog"'})
    page = world.leased("ann")
    world.submit(page)
    return world, lambda: world.grade(page.page_id)


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
@pytest.mark.parametrize("call", range(calls_of(page_with_a_control)))
def test_a_control_task_teaches_once_when_its_grader_dies_at_any_call(fault: Fault, call: int) -> None:
    world, grade = page_with_a_control()
    with world.aws.faults.planned(Plan(fault, at=call)), pytest.raises(Crash):
        grade()
    grade()
    grade()
    batch = world.batch()
    voted = [task for task in world.every_task(batch) if task.gold is not None and task.votes]
    assert world.tasks.known(batch, ()).calibration.tasks == len(voted) > 0
    assert {task.votes["ann"].credit.weight_ppm for task in voted} == {PPM}
    assert {task.status for task in voted} == {TaskStatus.OPEN}


def test_what_is_known_of_workers_adds_up_whatever_the_order_of_delivery() -> None:
    """Pages wait and are then graded in disorder, twice: every vote and every closing is credited exactly once."""
    world, rows = World(), answers(30, seed=3)
    batch = world.active(30, **{**DYNAMIC, "min_answers": 6})
    tasks = tasks_of(world, batch)
    pages = []
    for worker in SKILLS:
        mine = [(ordinal, answer) for ordinal, name, answer in rows if name == worker]
        for start in range(0, len(mine), 10):
            some = mine[start : start + 10]
            page = world.leased(worker, key=f"{worker}{start}", tasks=[tasks[ordinal].task_id for ordinal, _ in some])
            by_task = {tasks[ordinal].task_id: answer for ordinal, answer in some}
            world.submit(page, answers=[(one.task_id, by_task[one.task_id]) for one in page.assignments])
            pages.append(page.page_id)
    deliveries = pages * 2
    random.Random(5).shuffle(deliveries)
    for page_id in deliveries:
        world.grade(page_id)
    check_skill(world)


def test_a_late_answer_is_paid_and_counted_and_closes_nothing_twice() -> None:
    world = World()
    batch = world.active(1, **{**DYNAMIC, "min_answers": 3, "target_ppm": 600_000})
    task_id = tasks_of(world, batch)[0].task_id
    pages = [world.leased(worker, tasks=[task_id]) for worker in ("ann", "bea", "cem")]
    late = pages.pop()
    # The requester asks for fewer while the third is at work.
    world.table.commit([Change(batch_ref(batch.batch_id), set={"min_answers": 2})])
    for page in pages:
        world.submit(page, "cat")
        world.grade(page.page_id)
    closed = tasks_of(world, batch)[0]
    assert closed.status is TaskStatus.CLOSED
    known = skills_of(world, batch)
    world.submit(late, "dog")
    world.grade(late.page_id)
    after = tasks_of(world, batch)[0]
    assert world.earned("cem") == batch.reward_micros
    assert len(after.votes) == len(closed.votes) + 1
    assert after.closed_by == closed.closed_by
    assert after.result is not None
    assert closed.result is not None
    assert after.result.confidence_ppm < closed.result.confidence_ppm
    assert {w: skill for w, skill in skills_of(world, batch).items() if w != "cem"} == {
        w: skill for w, skill in known.items() if w != "cem"
    }
