"""Pausing, resuming and extending a batch; and how fast its answers come."""

import pytest

from smallpeck.kernel.errors import IdempotencyMismatch, Invalid
from smallpeck.ledger.accounts import escrow, requester_available
from smallpeck.ledger.service import InsufficientFunds
from smallpeck.tasks.dispatch import NothingToDo
from smallpeck.tasks.model import Batch, BatchClosed, BatchState, TaskStatus, WrongBatchState
from smallpeck.tasks.pace import median_seconds, pace_field
from smallpeck.tasks.steering import extend, pause, resume
from tests.support import REQUESTER, World

DAY_MS = 86_400_000


def extended(world: World, more_answers: int = 0, deadline_ms: int | None = None, key: str = "k") -> Batch:
    return extend(
        batch=world.batch(),
        more_answers=more_answers,
        deadline_ms=deadline_ms,
        idempotency_key=key,
        now_ms=world.now_ms,
        reads=world.tasks,
        books=world.books,
        unit=world.table,
    )


def escrowed(world: World) -> int:
    return sum(world.balance(escrow("b1", n)).balance_micros for n in range(world.batch().escrow_shards))


def test_a_paused_batch_hands_out_nothing_but_takes_what_is_leased() -> None:
    world = World()
    world.active(20)
    page = world.leased("ann")
    assert pause(batch=world.batch(), reads=world.tasks, unit=world.table).state is BatchState.PAUSED
    with pytest.raises(BatchClosed):
        world.lease("bob")
    world.submit(page)
    world.grade(page.page_id)
    assert world.earned("ann") == 3_000_000
    assert pause(batch=world.batch(), reads=world.tasks, unit=world.table).state is BatchState.PAUSED
    assert resume(batch=world.batch(), reads=world.tasks, unit=world.table).state is BatchState.ACTIVE
    assert len(world.leased("bob").assignments) == 10


def test_a_paused_batch_can_be_closed_and_a_closed_one_not_paused() -> None:
    world = World()
    world.active(20)
    pause(batch=world.batch(), reads=world.tasks, unit=world.table)
    assert world.finish().state is BatchState.CLOSED
    for turn in (pause, resume):
        with pytest.raises(WrongBatchState):
            turn(batch=world.batch(), reads=world.tasks, unit=world.table)


def test_more_answers_are_paid_for_and_asked_for() -> None:
    world = World()
    batch = world.active(10, min_answers=2, max_answers=2)
    world.answer("ann")
    world.deposit(5_000_000, key="more")
    longer = extended(world, 1)
    assert (longer.min_answers, longer.max_answers) == (3, 3)
    assert escrowed(world) == batch.cost_micros + 5_000_000 - 5_000_000
    world.answer("bob")
    world.answer("cy")
    assert {task.status for task in world.every_task(longer)} == {TaskStatus.CLOSED}
    assert all(len(task.votes) == 3 for task in world.every_task(longer))
    assert world.finish().state is BatchState.CLOSED
    assert world.balance(requester_available(REQUESTER)).balance_micros == 0


def test_the_tickets_of_a_new_round_are_all_handed_out_even_after_many_have_asked_in_vain() -> None:
    world = World()
    world.active(10, min_answers=1, max_answers=1)
    world.leased("ann")
    for n in range(5):
        assert isinstance(world.lease(f"early-{n}"), NothingToDo)
    world.deposit(5_000_000, key="more")
    extended(world, 1)
    assert len(world.leased("bob").assignments) == 10


def test_what_closed_tasks_do_not_need_comes_back() -> None:
    world = World()
    world.active(20, min_answers=1, max_answers=1)
    world.answer("ann")
    world.deposit(10_000_000, key="more")
    extended(world, 1)
    for worker in ("bob", "cy"):
        world.answer(worker)
    assert world.finish().state is BatchState.CLOSED
    assert world.balance(requester_available(REQUESTER)).balance_micros == 5_000_000


def test_an_extension_is_made_once_and_only_where_it_can_be_paid() -> None:
    world = World()
    world.active(10)
    with pytest.raises(InsufficientFunds):
        extended(world, 1)
    assert world.batch().max_answers == 3
    world.deposit(10_000_000, key="more")
    later = world.batch().deadline_ms + DAY_MS
    extended(world, 1, later)
    again = extended(world, 1, later)
    assert (again.max_answers, again.deadline_ms) == (4, later)
    assert world.balance(requester_available(REQUESTER)).balance_micros == 5_000_000
    with pytest.raises(IdempotencyMismatch):
        extended(world, 2)
    assert extended(world, 1, key="other").max_answers == 5


def test_a_later_deadline_moves_the_batch_in_the_list() -> None:
    world = World()
    world.active(10)
    later = world.batch().deadline_ms + DAY_MS
    assert extended(world, deadline_ms=later).deadline_ms == later
    assert [batch.deadline_ms for batch in world.tasks.open_batches(after=None, limit=10)[0]] == [later]


@pytest.mark.parametrize("more_answers", [-1, 98, 0])
def test_an_extension_that_extends_nothing_or_too_much_is_refused(more_answers: int) -> None:
    world = World()
    world.active(10)
    with pytest.raises(Invalid):
        extended(world, more_answers)


def test_an_earlier_deadline_is_refused() -> None:
    world = World()
    world.active(10)
    with pytest.raises(Invalid):
        extended(world, deadline_ms=world.batch().deadline_ms - 1)


@pytest.mark.parametrize("seconds", [1, 2.4, 7, 30, 95, 600, 3_600])
def test_a_median_is_off_by_a_tenth_at_most(seconds: float) -> None:
    counts = {pace_field(seconds): 5, pace_field(seconds / 8): 2, pace_field(seconds * 8): 2, "answers": 100}
    found = median_seconds(counts)
    assert found is not None
    assert abs(found - seconds) <= 0.1 * seconds


def test_the_settlement_counts_how_long_answers_took() -> None:
    world = World()
    world.active(10, min_answers=1, max_answers=1)
    page = world.leased("ann")
    world.aws.clock.advance(300)
    world.submit(page)
    world.aws.clock.advance(5_000)
    world.grade(page.page_id)
    found = world.tasks.progress("b1").median_seconds
    assert found is not None
    assert 27 <= found <= 33
