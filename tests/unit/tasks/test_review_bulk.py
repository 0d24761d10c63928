"""Bulk decisions: whole pages, the same request again, and a budget that no haste gets around."""

from functools import partial

import pytest

from smallpeck.kernel.errors import Invalid
from smallpeck.tasks.model import Review
from smallpeck.tasks.pages import AssignmentState, Page
from smallpeck.tasks.reviewing import Decision, Outcome, Rejection, RejectionBudgetSpent, decide
from tests.aws.schedule import interleave
from tests.support import World

WHY = Rejection(0, "the picture shows two animals, not one")


def reviewed(tasks: int = 40) -> World:
    world = World()
    world.active(
        tasks,
        min_answers=1,
        max_answers=1,
        review=Review.MANUAL,
        review_seconds=86_400,
        rubric=("One animal per picture.",),
    )
    return world


def waiting(world: World, worker: str = "ann") -> Page:
    page = world.leased(worker)
    world.submit(page)
    world.grade(page.page_id)
    return world.page(page.page_id)


def asked(world: World, *decisions: Decision) -> dict[str, Outcome]:
    return decide(
        batch=world.batch(), decisions=decisions, reads=world.tasks, unit=world.table, nudge=world.nudged.append
    )


def states(world: World, page: Page) -> list[AssignmentState]:
    return [one.state for one in world.page(page.page_id).assignments]


def test_a_decision_without_a_task_is_about_all_that_is_not_named() -> None:
    world = reviewed()
    page = waiting(world)
    first = page.assignments[0].task_id
    assert asked(world, Decision(page.page_id), Decision(page.page_id, first, WHY)) == {page.page_id: "accepted"}
    world.grade(page.page_id)
    assert states(world, page) == [AssignmentState.REJECTED] + [AssignmentState.APPROVED] * 9
    assert world.earned("ann") == 9 * 300_000


def test_what_a_worker_left_unanswered_is_not_decided() -> None:
    world = reviewed()
    page = world.leased("ann")
    world.submit(page, answers=[(one.task_id, "cat") for one in page.assignments[:3]])
    world.grade(page.page_id)
    assert asked(world, Decision(page.page_id)) == {page.page_id: "accepted"}
    world.grade(page.page_id)
    assert states(world, page) == [AssignmentState.APPROVED] * 3 + [AssignmentState.RETURNED] * 7
    left = Decision(page.page_id, page.assignments[5].task_id)
    assert asked(world, left) == {page.page_id: "unknown"}


def test_what_stands_already_does_not_keep_the_rest_from_being_decided() -> None:
    world = reviewed()
    page = waiting(world)
    asked(world, *(Decision(page.page_id, one.task_id) for one in page.assignments[:4]))
    world.grade(page.page_id)
    assert asked(world, Decision(page.page_id)) == {page.page_id: "accepted"}
    world.grade(page.page_id)
    assert states(world, page) == [AssignmentState.APPROVED] * 10
    assert asked(world, Decision(page.page_id, None, WHY)) == {page.page_id: "decided"}


def test_a_page_that_the_grader_has_not_seen_is_busy_and_one_in_a_workers_hands_unknown() -> None:
    world = reviewed()
    page = world.leased("ann")
    assert asked(world, Decision(page.page_id)) == {page.page_id: "unknown"}
    world.submit(page)
    assert asked(world, Decision(page.page_id)) == {page.page_id: "busy"}
    assert world.page(page.page_id).deciding is None


def test_each_answer_once() -> None:
    world = reviewed()
    page = waiting(world)
    for task_id in (None, page.assignments[0].task_id):
        with pytest.raises(Invalid):
            asked(world, Decision(page.page_id, task_id), Decision(page.page_id, task_id, WHY))
    assert world.page(page.page_id).deciding is None


def test_rejections_count_when_they_are_asked_for_and_not_when_they_are_carried_out() -> None:
    world = reviewed()
    pages = [waiting(world, worker) for worker in ("ann", "bob")]
    three = [Decision(pages[0].page_id, one.task_id, WHY) for one in pages[0].assignments[:3]]
    assert asked(world, *three) == {pages[0].page_id: "accepted"}
    with pytest.raises(RejectionBudgetSpent):
        asked(world, Decision(pages[1].page_id, pages[1].assignments[0].task_id, WHY))
    # The same again asks for none more, before and after they are carried out.
    assert asked(world, *three) == {pages[0].page_id: "accepted"}
    world.grade(pages[0].page_id)
    assert asked(world, *three) == {pages[0].page_id: "accepted"}
    counted = world.tasks.progress("b1")
    assert (counted.rejections, counted.rejected) == (3, 3)


def test_approvals_of_the_same_request_make_room_for_its_rejections() -> None:
    world = reviewed()
    pages = [waiting(world, worker) for worker in ("ann", "bob", "cy")]
    rejected = [Decision(pages[0].page_id, one.task_id, WHY) for one in pages[0].assignments[:6]]
    with pytest.raises(RejectionBudgetSpent):
        asked(world, *rejected, Decision(pages[1].page_id))
    approved = [Decision(page.page_id) for page in pages]
    assert set(asked(world, *rejected, *approved).values()) == {"accepted"}
    for page in pages:
        world.grade(page.page_id)
    assert (world.earned("ann"), world.earned("bob")) == (4 * 300_000, 10 * 300_000)


@pytest.mark.parametrize("seed", range(15))
def test_requests_at_the_same_moment_do_not_reject_more_than_may_be(seed: int) -> None:
    world = reviewed()
    pages = [waiting(world, worker) for worker in ("ann", "bob", "cy")]

    def reject_two(page: Page) -> str:
        try:
            return asked(world, *(Decision(page.page_id, one.task_id, WHY) for one in page.assignments[:2]))[
                page.page_id
            ]
        except RejectionBudgetSpent:
            return "spent"

    outcomes = interleave(world.aws.faults, [partial(reject_two, page) for page in pages], seed).check().results
    accepted = sum(one == "accepted" for one in outcomes.values())
    assert accepted == 1
    assert set(outcomes.values()) <= {"accepted", "busy", "spent"}
    assert world.tasks.progress("b1").rejections == 2
