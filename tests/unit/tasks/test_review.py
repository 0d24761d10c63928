"""Requesters who decide: bulk decisions, rejections that never reach a result, and reviews that end by themselves."""

from typing import Any

import pytest

from smallpeck.kernel.errors import Invalid
from smallpeck.ledger.accounts import escrow
from smallpeck.tasks.dispatch import NothingToDo
from smallpeck.tasks.model import BatchState, Review, TaskStatus
from smallpeck.tasks.pages import AssignmentState, Page, PageState
from smallpeck.tasks.reviewing import Decision, NothingToReview, Outcome, Rejection, RejectionBudgetSpent, decide
from tests.aws import Crash, Fault, Plan
from tests.support import World

WHY = Rejection(0, "the picture shows two animals, not one")
REWARD = 300_000


def reviewed(tasks: int = 10, **facts: Any) -> World:
    world = World()
    defaults: dict[str, Any] = {
        "min_answers": 1,
        "max_answers": 1,
        "review": Review.DEADLINE,
        "review_seconds": 86_400,
        "rubric": ("One animal per picture.",),
    }
    world.active(tasks, **{**defaults, **facts})
    return world


def submitted(world: World, worker: str = "ann", **facts: object) -> Page:
    page = world.leased(worker, **facts)
    world.submit(page)
    assert world.grade(page.page_id) is None
    return world.page(page.page_id)


def decided(world: World, page: Page, *, rejected: int = 0, of: int | None = None) -> dict[str, Outcome]:
    tasks = [one.task_id for one in page.assignments][:of]
    return decide(
        batch=world.batch(),
        decisions=[Decision(page.page_id, task_id, WHY if n < rejected else None) for n, task_id in enumerate(tasks)],
        reads=world.tasks,
        unit=world.table,
        nudge=world.nudged.append,
    )


def test_an_answer_counts_and_is_paid_when_it_is_approved() -> None:
    world = reviewed()
    page = submitted(world)
    assert page.state is PageState.IN_REVIEW
    assert world.earned("ann") == 0
    assert all(task.votes == {} for task in world.every_task(world.batch()))
    assert decided(world, page) == {page.page_id: "accepted"}
    world.grade(page.page_id)
    assert world.earned("ann") == 10 * REWARD
    assert world.page(page.page_id).state is PageState.DECIDED
    assert {task.status for task in world.every_task(world.batch())} == {TaskStatus.CLOSED}


def test_a_rejected_answer_never_reaches_a_result_and_its_seat_is_open_to_others() -> None:
    world = reviewed()
    page = submitted(world)
    decided(world, page, rejected=2)
    world.grade(page.page_id)
    done = world.page(page.page_id)
    assert [one.state for one in done.assignments] == [AssignmentState.REJECTED] * 2 + [AssignmentState.APPROVED] * 8
    assert world.earned("ann") == 8 * REWARD
    assert done.rejections[page.assignments[0].task_id] == {"clause": 0, "explanation": WHY.explanation}
    assert isinstance(world.lease("ann", key="k2"), NothingToDo)
    again = submitted(world, "bob")
    assert [one.task_id for one in again.assignments] == [one.task_id for one in page.assignments[:2]]
    decided(world, again)
    world.grade(again.page_id)
    for task in world.every_task(world.batch()):
        assert "ann" not in task.votes or task.task_id not in {one.task_id for one in page.assignments[:2]}
        assert task.status is TaskStatus.CLOSED
    assert world.finish().state is BatchState.CLOSED


def test_a_page_can_be_decided_in_several_rounds() -> None:
    world = reviewed()
    page = submitted(world)
    decided(world, page, of=4)
    world.grade(page.page_id)
    assert (world.page(page.page_id).state, world.page(page.page_id).round) == (PageState.IN_REVIEW, 1)
    assert world.earned("ann") == 4 * REWARD
    decisions = [Decision(page.page_id)]
    decide(batch=world.batch(), decisions=decisions, reads=world.tasks, unit=world.table, nudge=world.nudged.append)
    world.grade(page.page_id)
    assert (world.page(page.page_id).state, world.page(page.page_id).round) == (PageState.DECIDED, 2)
    assert world.earned("ann") == 10 * REWARD
    assert world.tasks.progress("b1").answers == 10


def test_what_is_undecided_when_the_review_ends_is_approved() -> None:
    world = reviewed()
    page = submitted(world)
    world.sweep()
    world.grade(page.page_id)
    assert world.earned("ann") == 0
    world.aws.clock.advance(86_400)
    world.nudged.clear()
    world.sweep()
    assert world.nudged == [page.page_id]
    world.grade(page.page_id)
    assert world.earned("ann") == 10 * REWARD


def test_the_same_decisions_again_are_the_same_and_others_are_refused() -> None:
    world = reviewed()
    page = submitted(world)
    assert decided(world, page, rejected=1) == {page.page_id: "accepted"}
    assert decided(world, page, rejected=1) == {page.page_id: "accepted"}
    assert decided(world, page) == {page.page_id: "busy"}
    world.grade(page.page_id)
    assert decided(world, page, rejected=1) == {page.page_id: "accepted"}
    assert decided(world, page) == {page.page_id: "decided"}
    assert world.earned("ann") == 9 * REWARD


def test_a_page_of_another_batch_is_unknown() -> None:
    world = reviewed()
    page = submitted(world)
    world.active(5, batch_id="b2", review=Review.MANUAL, review_seconds=60)
    outcome = decide(
        batch=world.batch("b2"),
        decisions=[Decision(page.page_id, page.assignments[0].task_id)],
        reads=world.tasks,
        unit=world.table,
        nudge=world.nudged.append,
    )
    assert outcome == {page.page_id: "unknown"}


@pytest.mark.parametrize(
    ("why", "pointer"),
    [
        (Rejection(1, WHY.explanation), "/decisions/0/clause"),
        (Rejection(-1, WHY.explanation), "/decisions/0/clause"),
        (Rejection(0, "no"), "/decisions/0/explanation"),
    ],
)
def test_a_rejection_names_a_clause_and_says_why(why: Rejection, pointer: str) -> None:
    world = reviewed()
    page = submitted(world)
    with pytest.raises(Invalid) as refused:
        decide(
            batch=world.batch(),
            decisions=[Decision(page.page_id, page.assignments[0].task_id, why)],
            reads=world.tasks,
            unit=world.table,
            nudge=world.nudged.append,
        )
    assert [problem.pointer for problem in refused.value.problems] == [pointer]
    assert world.page(page.page_id).deciding is None


def test_no_more_than_a_fifth_of_the_answers_can_be_rejected() -> None:
    world = reviewed(40)
    page = submitted(world)
    with pytest.raises(RejectionBudgetSpent):
        decided(world, page, rejected=4)
    assert decided(world, page, rejected=3) == {page.page_id: "accepted"}
    world.grade(page.page_id)
    second = submitted(world, "bob", key="k2")
    with pytest.raises(RejectionBudgetSpent):
        decided(world, second, rejected=1, of=1)
    decided(world, second)
    world.grade(second.page_id)
    third = submitted(world, "cy", key="k3")
    assert decided(world, third, rejected=1) == {third.page_id: "accepted"}


def test_an_instant_batch_has_nothing_to_review() -> None:
    world = reviewed(review=Review.INSTANT)
    page = world.leased("ann")
    world.submit(page)
    with pytest.raises(NothingToReview):
        decided(world, page)


def test_a_batch_that_is_stopped_waits_for_its_reviews() -> None:
    world = reviewed()
    page = submitted(world)
    world.aws.clock.advance(3_600)
    from smallpeck.tasks import finishing

    finishing.begin(batch_id="b1", final=BatchState.CLOSED, reads=world.tasks, unit=world.table)
    waiting = world.recount()
    assert (waiting.open_leases, waiting.ready, waiting.wait_seconds) == (10, False, 3_600)
    world.aws.clock.advance(86_400)
    world.sweep()
    world.grade(page.page_id)
    assert world.recount().ready


def test_a_grader_that_dies_while_it_carries_decisions_out_pays_once() -> None:
    def prepared() -> tuple[World, Page]:
        world = reviewed(4)
        page = submitted(world)
        decided(world, page, rejected=1)
        return world, page

    world, page = prepared()
    calls = world.aws.faults.count_calls(lambda: world.grade(page.page_id))
    for call in range(calls):
        for fault in (Fault.CRASH_BEFORE, Fault.CRASH_AFTER):
            world, page = prepared()
            with world.aws.faults.planned(Plan(fault, at=call)), pytest.raises(Crash):
                world.grade(page.page_id)
            world.grade(page.page_id)
            assert world.earned("ann") == 3 * REWARD
            progress = world.tasks.progress("b1")
            assert (progress.answers, progress.rejected, progress.closed) == (3, 1, 3)
            left = sum(world.balance(escrow("b1", shard)).balance_micros for shard in range(1))
            assert left == 500_000
