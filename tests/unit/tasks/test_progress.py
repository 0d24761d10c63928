"""How far a batch is: disputes are counted once with their closing, and what is in work without a scan."""

import pytest

from smallpeck.consensus import plurality
from smallpeck.tasks.batches import InWork
from smallpeck.tasks.model import Batch, Review
from smallpeck.tasks.pages import Page
from smallpeck.tasks.reviewing import Decision, decide
from smallpeck.tasks.voting import is_disputed
from tests.aws import Crash, Fault, Plan
from tests.support import World


def in_work(world: World, batch_id: str = "b1") -> InWork:
    return world.tasks.in_work(world.batch(batch_id), now_ms=world.now_ms)


@pytest.mark.parametrize(
    ("answers", "disputed"),
    [("aaa", False), ("aab", False), ("ab", True), ("aaabc", False), ("aabcd", True), ("aaabbb", True), ("", True)],
)
def test_a_dispute_is_a_tie_or_an_answer_as_likely_wrong_as_right(answers: str, disputed: bool) -> None:  # noqa: FBT001
    decision = plurality.decide(task_id="t", answers=list(answers), min_answers=1, max_answers=len(answers))
    assert is_disputed(decision) == disputed


def test_disputed_tasks_are_counted_as_they_close() -> None:
    world = World()
    world.active(10)
    for worker, answer in (("ann", "cat"), ("bob", "dog"), ("cy", "bird")):
        assert world.tasks.progress("b1").disputed == 0
        world.answer(worker, answer)
    counted = world.tasks.progress("b1")
    assert (counted.closed, counted.disputed) == (10, 10)
    assert all(task.disputed for task in world.every_task(world.batch()))


def test_agreement_is_no_dispute() -> None:
    world = World()
    world.active(10)
    for worker, answer in (("ann", "cat"), ("bob", "dog"), ("cy", "cat")):
        world.answer(worker, answer)
    assert world.tasks.progress("b1").disputed == 0


def test_a_grader_that_dies_counts_each_dispute_once() -> None:
    def prepared() -> tuple[World, Page]:
        world = World()
        world.active(3)
        world.answer("ann", "cat")
        world.answer("bob", "dog")
        page = world.leased("cy")
        world.submit(page, answers=[(one.task_id, "bird" if n else "cat") for n, one in enumerate(page.assignments)])
        return world, page

    world, page = prepared()
    calls = world.aws.faults.count_calls(lambda: world.grade(page.page_id))
    for call in range(calls):
        for fault in (Fault.CRASH_BEFORE, Fault.CRASH_AFTER):
            world, page = prepared()
            with world.aws.faults.planned(Plan(fault, at=call)), pytest.raises(Crash):
                world.grade(page.page_id)
            world.grade(page.page_id)
            world.grade(page.page_id)
            counted = world.tasks.progress("b1")
            assert (counted.closed, counted.disputed) == (3, 2)


def test_an_answer_is_in_one_place_from_its_lease_to_its_decision() -> None:
    world = World()
    world.active(25, review=Review.DEADLINE, review_seconds=86_400, min_answers=1, max_answers=1)
    assert in_work(world) == InWork()
    page, other = world.leased("ann"), world.leased("bob")
    assert in_work(world) == InWork(leased=20)
    world.submit(page, answers=[(one.task_id, "cat") for one in page.assignments[:9]])
    assert in_work(world) == InWork(leased=10, submitted=9)
    world.grade(page.page_id)
    assert in_work(world) == InWork(leased=10, in_review=9)
    verdicts = [Decision(page.page_id, one.task_id) for one in page.assignments[:4]]
    decide(batch=world.batch(), decisions=verdicts, reads=world.tasks, unit=world.table, nudge=world.nudged.append)
    world.grade(page.page_id)
    assert in_work(world) == InWork(leased=10, in_review=5)
    world.give_back(other)
    world.aws.clock.advance(86_400)
    world.grade(page.page_id)
    assert in_work(world) == InWork()
    assert world.tasks.progress("b1").answers == 9


def test_a_lease_that_ran_out_is_not_in_work_whether_or_not_it_was_swept() -> None:
    world = World()
    world.active(10)
    world.leased("ann")
    world.aws.clock.advance(world.batch().lease_seconds)
    assert in_work(world) == InWork()


def test_batches_are_told_apart() -> None:
    world = World()
    batches: list[Batch] = [world.active(30, batch_id=batch_id) for batch_id in ("b1", "b2")]
    for n, batch in enumerate(batches):
        for worker in ("ann", "bob", "cy")[: n + 1]:
            world.submit(world.leased(worker, batch=batch, key=f"{worker}-{n}"))
    assert (in_work(world, "b1").submitted, in_work(world, "b2").submitted) == (10, 20)


def test_counting_costs_the_same_whatever_the_size_of_the_batch() -> None:
    def cost(tasks: int) -> tuple[int, float]:
        world = World()
        batch = world.active(tasks, shards=1)
        world.leased("ann", batch=batch)
        world.aws.dynamodb.meter.reset()
        calls = world.aws.faults.count_calls(lambda: in_work(world))
        return calls, world.aws.dynamodb.meter.read

    assert cost(10) == cost(3_000)


def test_beyond_what_is_counted_the_counts_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smallpeck.tasks.store.COUNTED_PAGES", 2)
    world = World()
    world.active(30)
    for worker in ("ann", "bob"):
        world.leased(worker)
    assert in_work(world).complete
    world.leased("cy")
    assert in_work(world) == InWork(leased=30, complete=False)
