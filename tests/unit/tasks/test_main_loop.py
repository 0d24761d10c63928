"""The life of a page: leased, answered, graded, paid; and of a batch: published, finished, refunded."""

import pytest

from smallpeck.kernel.errors import Invalid
from smallpeck.kernel.ids import task_id
from smallpeck.ledger.accounts import escrow, requester_available
from smallpeck.ledger.service import InsufficientFunds
from smallpeck.tasks.dispatch import NothingToDo, TasksNotOffered, TooManyPages
from smallpeck.tasks.model import (
    MAX_ANSWER_BYTES,
    MAX_ANSWERS_PER_TASK,
    BatchClosed,
    BatchState,
    TaskStatus,
    WrongBatchState,
)
from smallpeck.tasks.pages import AlreadySubmitted, AssignmentState, LeaseExpired, PageNotLeased, PageState
from tests.support import REQUESTER, World


@pytest.fixture
def world() -> World:
    return World()


def escrow_left(world: World, batch_id: str = "b1") -> int:
    batch = world.batch(batch_id)
    return sum(world.balance(escrow(batch_id, shard)).balance_micros for shard in range(batch.escrow_shards))


def test_three_workers_answer_a_batch_and_everybody_is_paid(world: World) -> None:
    batch = world.active(10)
    for worker, answer in (("ann", "cat"), ("bob", "dog"), ("cy", "cat")):
        world.answer(worker, answer)
    tasks = world.every_task(batch)
    assert {task.status for task in tasks} == {TaskStatus.CLOSED}
    assert {task.result.answer for task in tasks} == {'"cat"'}
    assert {task.result.confidence_ppm for task in tasks} == {666_666}
    assert [world.earned(worker) for worker in ("ann", "bob", "cy")] == [3_000_000] * 3
    assert world.tasks.progress("b1").answers == 30
    assert world.tasks.progress("b1").closed == 10
    assert escrow_left(world) == 0


def test_a_worker_is_told_there_is_nothing_when_every_seat_is_theirs_or_taken(world: World) -> None:
    world.active(5)
    world.answer("ann")
    assert isinstance(world.lease("ann", key="k2"), NothingToDo)


def test_the_same_key_gives_the_same_page_and_another_request_under_it_is_refused(world: World) -> None:
    world.active(30)
    first = world.leased("ann")
    assert world.leased("ann").page_id == first.page_id
    assert world.leased("ann", key="k2").page_id != first.page_id
    with pytest.raises(Invalid):
        world.lease("ann", tasks=[])


def test_a_worker_has_at_most_two_open_pages_in_a_batch(world: World) -> None:
    world.active(60)
    page = world.leased("ann")
    world.leased("ann", key="k2")
    with pytest.raises(TooManyPages):
        world.lease("ann", key="k3")
    world.submit(page)
    assert world.leased("ann", key="k3").state is PageState.LEASED


def test_a_returned_page_is_open_to_others_at_once_and_not_offered_again(world: World) -> None:
    world.active(10, min_answers=1, max_answers=1)
    page = world.leased("ann")
    assert isinstance(world.lease("bob"), NothingToDo)
    world.give_back(page)
    world.give_back(page)
    assert isinstance(world.lease("ann", key="k2"), NothingToDo)
    again = world.leased("bob", key="k2")
    assert {one.task_id for one in again.assignments} == {one.task_id for one in page.assignments}
    with pytest.raises(PageNotLeased):
        world.submit(page)


def test_an_expired_lease_is_found_by_the_next_who_asks(world: World) -> None:
    world.active(10, min_answers=1, max_answers=1)
    page = world.leased("ann")
    world.aws.clock.advance(599)
    assert isinstance(world.lease("bob"), NothingToDo)
    world.aws.clock.advance(1)
    with pytest.raises(LeaseExpired):
        world.submit(page)
    taken = world.leased("bob")
    assert len(taken.assignments) == 10
    assert world.page(page.page_id).state is PageState.EXPIRED
    with pytest.raises(LeaseExpired):
        world.submit(page)


def test_a_page_that_was_submitted_in_time_keeps_its_seats_however_late_the_grader_is(world: World) -> None:
    batch = world.active(10, min_answers=1, max_answers=1)
    page = world.leased("ann")
    world.submit(page)
    world.aws.clock.advance(86_400)
    assert isinstance(world.lease("bob"), NothingToDo)
    world.grade(page.page_id)
    assert world.earned("ann") == 3_000_000
    assert all(set(task.votes) == {"ann"} for task in world.every_task(batch))


def test_unanswered_tasks_of_a_page_count_as_returned(world: World) -> None:
    batch = world.active(10, min_answers=1, max_answers=1)
    page = world.leased("ann")
    world.submit(page, answers=[(page.assignments[0].task_id, "cat")])
    world.grade(page.page_id)
    assert world.earned("ann") == 300_000
    decided = world.page(page.page_id)
    assert [one.state for one in decided.assignments] == [AssignmentState.APPROVED] + [AssignmentState.RETURNED] * 9
    assert len(world.leased("bob").assignments) == 9
    assert sum(task.status is TaskStatus.OPEN for task in world.every_task(batch)) == 9


def test_the_same_submission_again_is_the_same_and_another_is_refused(world: World) -> None:
    world.active(10)
    page = world.leased("ann")
    world.submit(page)
    world.submit(page)
    assert world.nudged == [page.page_id] * 2
    with pytest.raises(AlreadySubmitted):
        world.submit(page, "dog")
    world.grade(page.page_id)
    world.submit(page)
    assert world.nudged == [page.page_id] * 2


@pytest.mark.parametrize(
    ("answers", "pointer"),
    [
        ([], "/answers"),
        ([("t0", "cat")], "/answers/0/task_id"),
        ([("own", "cat"), ("own", "dog")], "/answers/1/task_id"),
        ([("own", "x" * 5000)], "/answers/0/answer"),
    ],
)
def test_a_bad_submission_points_at_what_is_wrong_and_changes_nothing(
    world: World, answers: list[tuple[str, str]], pointer: str
) -> None:
    world.active(10)
    page = world.leased("ann")
    own = page.assignments[0].task_id
    with pytest.raises(Invalid) as refused:
        world.submit(page, answers=[(own if name == "own" else name, answer) for name, answer in answers])
    assert [problem.pointer for problem in refused.value.problems] == [pointer]
    assert world.page(page.page_id).state is PageState.LEASED
    assert world.nudged == []


def test_named_tasks_are_leased_only_where_the_batch_allows_it(world: World) -> None:
    batch = world.active(10, named=True, page_size=3, min_answers=1, max_answers=1)
    wanted = [task_id(n, str(n).encode(), "b1") for n in (7, 2)]
    page = world.leased("ann", tasks=wanted)
    assert [one.task_id for one in page.assignments] == wanted
    with pytest.raises(TasksNotOffered):
        world.lease("bob", tasks=wanted)
    with pytest.raises(Invalid) as refused:
        world.lease("bob", tasks=["nonsense"])
    assert refused.value.problems[0].pointer == "/tasks/0"
    world.deposit(batch.cost_micros, key="more")
    world.active(10, batch_id="b2")
    from smallpeck.kernel.errors import Forbidden

    with pytest.raises(Forbidden):
        world.lease("bob", batch=world.batch("b2"), tasks=wanted)


def test_publishing_takes_the_price_of_every_answer_or_nothing(world: World) -> None:
    batch = world.ready(10)
    world.deposit(14_999_999)
    with pytest.raises(InsufficientFunds):
        world.publish(batch)
    assert world.batch().state is BatchState.READY
    assert world.balance(requester_available(REQUESTER)).balance_micros == 14_999_999
    world.deposit(1, key="2")
    assert world.publish(batch).state is BatchState.ACTIVE
    assert world.balance(requester_available(REQUESTER)).balance_micros == 0
    assert escrow_left(world) == 15_000_000
    assert world.publish(batch).state is BatchState.ACTIVE
    assert escrow_left(world) == 15_000_000


def test_a_draft_cannot_be_published_or_worked_on(world: World) -> None:
    draft = world.draft()
    with pytest.raises(WrongBatchState):
        world.publish(draft)
    with pytest.raises(BatchClosed):
        world.lease("ann")


def test_a_closed_batch_refunds_what_it_did_not_spend_and_publishes_what_it_has(world: World) -> None:
    batch = world.active(10)
    world.answer("ann")
    closed = world.finish()
    assert closed.state is BatchState.CLOSED
    assert escrow_left(world) == 0
    assert world.balance(requester_available(REQUESTER)).balance_micros == batch.cost_micros - 5_000_000
    assert {task.result.answer for task in world.every_task(batch)} == {'"cat"'}
    with pytest.raises(BatchClosed):
        world.lease("bob")
    assert world.finish().state is BatchState.CLOSED
    assert world.balance(requester_available(REQUESTER)).balance_micros == batch.cost_micros - 5_000_000


def test_a_batch_that_is_stopped_waits_for_leases_and_for_pages_not_yet_decided(world: World) -> None:
    world.active(20)
    leased, submitted = world.leased("ann"), world.leased("bob")
    world.submit(submitted)
    from smallpeck.tasks import finishing

    finishing.begin(batch_id="b1", final=BatchState.CANCELLED, reads=world.tasks, unit=world.table)
    waiting = world.recount()
    assert (waiting.ready, waiting.open_leases) == (False, 20)
    world.submit(leased)
    world.grade(leased.page_id)
    world.grade(submitted.page_id)
    assert world.recount().ready
    assert world.finish().state is BatchState.CANCELLED
    assert world.earned("ann") == world.earned("bob") == 3_000_000
    assert escrow_left(world) == 0


def test_a_page_is_paid_from_several_escrow_shards_when_its_own_runs_dry(world: World) -> None:
    batch = world.active(100, page_size=2, min_answers=1, max_answers=1)
    assert batch.escrow_shards == 2
    for n in range(50):
        world.answer(f"worker-{n}")
    assert escrow_left(world) == 0
    assert sum(world.earned(f"worker-{n}") for n in range(50)) == 100 * 300_000


def test_a_task_with_the_most_and_largest_answers_still_fits_its_item(world: World) -> None:
    """DynamoDB takes 400 KB an item; a worker's id is as long as a user pool makes them."""
    batch = world.active(1, page_size=1, min_answers=MAX_ANSWERS_PER_TASK, max_answers=MAX_ANSWERS_PER_TASK)
    largest = "x" * (MAX_ANSWER_BYTES - 2)
    for n in range(MAX_ANSWERS_PER_TASK):
        world.answer(f"{n:036d}", largest)
    (task,) = world.every_task(batch)
    assert len(task.votes) == MAX_ANSWERS_PER_TASK
    assert task.status is TaskStatus.CLOSED
