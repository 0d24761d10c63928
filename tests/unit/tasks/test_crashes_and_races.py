"""One credit per approved assignment, nothing lost, no task over its overlap: whatever dies, repeats or races."""

from collections.abc import Callable
from functools import partial

import pytest

from smallpeck.ledger.accounts import escrow
from smallpeck.tasks.dispatch import NothingToDo
from smallpeck.tasks.model import TaskStatus
from smallpeck.tasks.pages import AssignmentState, LeaseExpired, Page, PageState
from tests.aws import Crash, Fault, Plan
from tests.support import World

REWARD = 300_000
DYING = [Fault.CRASH_BEFORE, Fault.CRASH_AFTER]


def check_books(world: World, batch_id: str = "b1") -> None:
    """Credits equal approved assignments, seats never exceed the overlap, escrow equals unpaid answers."""
    batch = world.batch(batch_id)
    approved: dict[str, int] = {}
    votes = 0
    for task in world.every_task(batch):
        assert task.seats_taken == len(task.holders) + len(task.votes) <= batch.max_answers
        votes += len(task.votes)
        for worker, vote in task.votes.items():
            page = world.page(vote.page_id)
            assert page.worker_id == worker
            if page.state is PageState.DECIDED:
                approved[worker] = approved.get(worker, 0) + 1
    for worker, answers in approved.items():
        assert world.earned(worker) == answers * batch.reward_micros
    paid = sum(approved.values())
    left = sum(world.balance(escrow(batch_id, shard)).balance_micros for shard in range(batch.escrow_shards))
    assert left == batch.cost_micros - paid * batch.price_micros
    assert world.tasks.progress(batch_id).answers == paid


def calls_of(prepare: Callable[[], tuple[World, Callable[[], object]]]) -> int:
    world, act = prepare()
    return world.aws.faults.count_calls(act)


def graded_page() -> tuple[World, Callable[[], object]]:
    world = World()
    world.active(4, min_answers=1, max_answers=1)
    page = world.leased("ann")
    world.submit(page)
    return world, lambda: world.grade(page.page_id)


def leased_page() -> tuple[World, Callable[[], object]]:
    world = World()
    world.active(4, min_answers=1, max_answers=1)
    return world, lambda: world.lease("ann")


def submitted_page() -> tuple[World, Callable[[], object]]:
    world = World()
    world.active(4, min_answers=1, max_answers=1)
    page = world.leased("ann")
    return world, lambda: world.submit(page)


def returned_page() -> tuple[World, Callable[[], object]]:
    world = World()
    world.active(4, min_answers=1, max_answers=1)
    page = world.leased("ann")
    return world, lambda: world.give_back(page)


def die_at(world: World, act: Callable[[], object], fault: Fault, call: int) -> None:
    with world.aws.faults.planned(Plan(fault, at=call)), pytest.raises(Crash):
        act()


@pytest.mark.parametrize("fault", DYING)
@pytest.mark.parametrize("call", range(calls_of(graded_page)))
def test_a_grader_that_dies_at_any_call_pays_once_when_it_is_called_again(fault: Fault, call: int) -> None:
    world, grade = graded_page()
    die_at(world, grade, fault, call)
    grade()
    grade()
    check_books(world)
    assert world.earned("ann") == 4 * REWARD
    assert world.tasks.progress("b1").closed == 4
    assert {task.status for task in world.every_task(world.batch())} == {TaskStatus.CLOSED}


@pytest.mark.parametrize("fault", DYING)
@pytest.mark.parametrize("call", range(calls_of(leased_page)))
def test_a_lease_that_dies_at_any_call_ends_as_a_page_or_frees_its_seats(fault: Fault, call: int) -> None:
    world, lease = leased_page()
    die_at(world, lease, fault, call)
    world.aws.clock.advance(20)
    page = world.lease("ann")
    if isinstance(page, Page):
        assert len(page.assignments) == 4
        world.submit(page)
        world.grade(page.page_id)
        assert world.earned("ann") == 4 * REWARD
    else:
        world.aws.clock.advance(600)
        world.sweep()
        assert len(world.leased("bob").assignments) == 4
    check_books(world)


@pytest.mark.parametrize("fault", DYING)
@pytest.mark.parametrize("call", range(calls_of(leased_page)))
def test_a_lease_that_dies_and_is_never_asked_for_again_frees_its_seats_in_time(fault: Fault, call: int) -> None:
    world, lease = leased_page()
    die_at(world, lease, fault, call)
    world.aws.clock.advance(601)
    world.sweep()
    page = world.leased("bob")
    assert len(page.assignments) == 4
    check_books(world)


@pytest.mark.parametrize("fault", DYING)
@pytest.mark.parametrize("call", range(calls_of(submitted_page)))
def test_a_submission_that_dies_at_any_call_is_accepted_when_it_is_sent_again(fault: Fault, call: int) -> None:
    world, submit = submitted_page()
    die_at(world, submit, fault, call)
    submit()
    (page_id,) = set(world.nudged)
    world.grade(page_id)
    check_books(world)
    assert world.earned("ann") == 4 * REWARD


@pytest.mark.parametrize("fault", DYING)
@pytest.mark.parametrize("call", range(calls_of(returned_page)))
def test_a_return_that_dies_at_any_call_opens_its_seats_again(fault: Fault, call: int) -> None:
    world, give_back = returned_page()
    die_at(world, give_back, fault, call)
    give_back()
    assert len(world.leased("bob").assignments) == 4
    assert isinstance(world.lease("ann", key="k2"), NothingToDo)
    check_books(world)


@pytest.mark.parametrize("call", range(calls_of(graded_page)))
def test_a_duplicate_delivery_in_the_middle_of_grading_pays_once(call: int) -> None:
    world, grade = graded_page()
    rival = Plan(Fault.RACE, at=call, race=grade)
    with world.aws.faults.planned(rival):
        grade()
    assert rival.race_errors == []
    check_books(world)
    assert world.earned("ann") == 4 * REWARD
    assert world.tasks.progress("b1").answers == 4


def test_three_deliveries_credit_once() -> None:
    world, grade = graded_page()
    for _ in range(3):
        grade()
    check_books(world)
    assert world.earned("ann") == 4 * REWARD


@pytest.mark.parametrize("call", range(calls_of(leased_page)))
def test_two_workers_on_the_last_seat(call: int) -> None:
    world, lease = leased_page()
    rival = Plan(Fault.RACE, at=call, race=partial(world.lease, "bob"))
    with world.aws.faults.planned(rival):
        lease()
    assert rival.race_errors == []
    check_books(world)
    holders = [worker for task in world.every_task(world.batch()) for worker in task.holders]
    assert len(holders) == 4


@pytest.mark.parametrize("call", range(calls_of(submitted_page)))
def test_a_lease_that_expires_while_it_is_submitted_is_either_paid_or_open_again(call: int) -> None:
    world, submit = submitted_page()

    def expire_and_take() -> None:
        world.aws.clock.advance(600)
        world.lease("bob")

    accepted = True
    with world.aws.faults.planned(Plan(Fault.RACE, at=call, race=expire_and_take)):
        try:
            submit()
        except LeaseExpired:
            accepted = False
    for page_id in set(world.nudged):
        world.grade(page_id)
    check_books(world)
    (seat,) = {worker for task in world.every_task(world.batch()) for worker in (*task.holders, *task.votes)}
    assert seat == ("ann" if accepted else "bob")
    assert world.earned("ann") == (4 * REWARD if accepted else 0)


def test_a_decided_page_is_not_touched_by_its_expiry() -> None:
    world, grade = graded_page()
    grade()
    world.aws.clock.advance(10_000)
    assert isinstance(world.lease("bob"), NothingToDo)
    (page,) = world.tasks.pages_of("ann", after=None, limit=10)[0]
    assert page.state is PageState.DECIDED
    assert {one.state for one in page.assignments} == {AssignmentState.APPROVED}


def drawn_in_vain() -> tuple[World, Callable[[], object]]:
    """Ann has answered the only task; her second page draws its second ticket, which she cannot use."""
    world = World()
    world.active(1, page_size=1)
    world.answer("ann")
    return world, lambda: world.lease("ann", key="k2")


@pytest.mark.parametrize("call", range(calls_of(drawn_in_vain)))
def test_a_ticket_drawn_in_vain_is_listed_though_another_takes_a_seat_meanwhile(call: int) -> None:
    world, lease = drawn_in_vain()
    rival = Plan(Fault.RACE, at=call, race=partial(world.lease, "bob"))
    with world.aws.faults.planned(rival):
        assert isinstance(lease(), NothingToDo)
    assert rival.race_errors == []
    world.lease("bob")
    assert len(world.leased("cy").assignments) == 1
    check_books(world)
