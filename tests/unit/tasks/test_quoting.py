"""What a batch is said to cost and to take, and what stands in its way."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallpeck.kernel.money import split_price
from smallpeck.ledger.accounts import escrow, requester_available
from smallpeck.tasks.batches import InWork, Progress
from smallpeck.tasks.model import Batch, BatchState
from smallpeck.tasks.quoting import Basis, Forecast, examine, forecast, quote
from tests.support import REQUESTER, World

HOUR_MS = 3_600_000


def batch(**facts: Any) -> Batch:
    return replace(World().ready(10), **facts)


def running(**facts: Any) -> Batch:
    return batch(state=BatchState.ACTIVE, published_at_ms=0, deadline_ms=1_000 * HOUR_MS, **facts)


@pytest.mark.parametrize(("price", "tasks", "most"), [(500_000, 7, 3), (333_333, 11, 5), (1, 1, 1), (10**9, 3, 100)])
def test_the_price_is_what_publishing_then_reserves(price: int, tasks: int, most: int) -> None:
    world = World()
    reward, fee = split_price(price, 2_000)
    made = world.ready(tasks, price_micros=price, reward_micros=reward, fee_micros=fee, min_answers=1, max_answers=most)
    told = quote(batch=made, median_seconds=None, workers=10)
    world.deposit(told.cost_micros + 5)
    active = world.publish(made)
    reserved = sum(world.balance(escrow("b1", shard)).balance_micros for shard in range(active.escrow_shards))
    assert told.cost_micros == reserved
    assert world.balance(requester_available(REQUESTER)).balance_micros == 5
    assert told.reward_micros + told.fee_micros == told.cost_micros


@given(
    tasks=st.integers(0, 10**6),
    price=st.integers(1, 10**9),
    fee_basis_points=st.integers(0, 9_999),
    least=st.integers(1, 100),
    more=st.integers(0, 99),
)
def test_shares_add_up_and_the_least_is_never_more(
    tasks: int, price: int, fee_basis_points: int, least: int, more: int
) -> None:
    reward, fee = split_price(price, fee_basis_points)
    made = replace(
        EXAMPLE,
        task_count=tasks,
        price_micros=price,
        reward_micros=reward,
        fee_micros=fee,
        min_answers=least,
        max_answers=least + more,
    )
    told = quote(batch=made, median_seconds=2.5, workers=3)
    assert told.reward_micros + told.fee_micros == told.cost_micros
    assert told.least_cost_micros <= told.cost_micros
    assert told.least_duration_seconds is not None
    assert told.duration_seconds is not None
    assert told.least_duration_seconds <= told.duration_seconds


EXAMPLE = batch()


@pytest.mark.parametrize(
    ("expected", "measured", "basis", "hourly", "duration"),
    [
        (None, None, None, None, None),
        (20, None, Basis.EXPECTED, 54_000_000, 160),
        (20, 10.0, Basis.MEASURED, 108_000_000, 80),
        (None, 10.0, Basis.MEASURED, 108_000_000, 80),
    ],
)
def test_times_come_from_answers_before_they_come_from_the_requester(
    expected: int | None, measured: float | None, basis: Basis | None, hourly: int | None, duration: int | None
) -> None:
    told = quote(batch=batch(expected_seconds=expected), median_seconds=measured, workers=4)
    assert (told.pace.basis if told.pace else None) == basis
    # 30 answers of four at once are eight rounds; 0.30 an answer.
    assert (told.hourly_micros, told.duration_seconds) == (hourly, duration)


def test_more_workers_take_less_time_but_never_less_than_one_answer() -> None:
    times = [quote(batch=EXAMPLE, median_seconds=7.0, workers=n).duration_seconds for n in (1, 2, 3, 30, 10_000)]
    assert times == [210, 105, 70, 7, 7]


def test_nothing_is_in_the_way_of_a_batch_that_is_ready_and_paid_for() -> None:
    told = examine(batch=EXAMPLE, available_micros=EXAMPLE.cost_micros, now_ms=0)
    assert (list(told.problems), told.missing_micros, told.publishable) == ([], 0, True)


def test_what_is_missing_is_said_to_the_micro() -> None:
    told = examine(batch=EXAMPLE, available_micros=EXAMPLE.cost_micros - 1, now_ms=0)
    assert (told.missing_micros, told.publishable) == (1, False)


@pytest.mark.parametrize(
    ("facts", "pointer"),
    [
        ({"task_count": 0}, ""),
        ({"deadline_ms": 0}, "/deadline"),
        ({"largest_input_bytes": 60_000}, "/page_size"),
        ({"state": BatchState.DRAFT}, ""),
        ({"state": BatchState.IMPORTING}, ""),
        ({"state": BatchState.ACTIVE}, ""),
        ({"state": BatchState.CLOSED}, ""),
    ],
)
def test_each_obstacle_is_named(facts: dict[str, Any], pointer: str) -> None:
    told = examine(batch=replace(EXAMPLE, **facts), available_micros=10**12, now_ms=0)
    assert [one.pointer for one in told.problems] == [pointer]
    assert not told.publishable


def test_a_published_batch_lacks_no_money() -> None:
    assert examine(batch=running(), available_micros=0, now_ms=0).missing_micros == 0


@pytest.mark.parametrize(
    ("facts", "progress", "in_work", "expected"),
    [
        # Half of 30 answers in an hour: another hour.
        ({}, Progress(15, 0, 0), InWork(), Forecast(15, 0, 2 * HOUR_MS)),
        # Of 50 paid for, 20 are the most that will not be needed.
        ({"max_answers": 5}, Progress(15, 0, 0), InWork(), Forecast(15, 20 * 500_000, 2 * HOUR_MS)),
        # Six tasks are still open after their first three answers: one more each.
        ({"max_answers": 5}, Progress(36, 0, 4), InWork(), Forecast(6, 8 * 500_000, HOUR_MS + 10 * 60_000)),
        ({}, Progress(0, 0, 0), InWork(), Forecast(30, 0, None)),
        ({"state": BatchState.PAUSED}, Progress(15, 0, 0), InWork(), Forecast(15, 0, None)),
        ({"deadline_ms": HOUR_MS + 1}, Progress(1, 0, 0), InWork(), Forecast(29, 0, HOUR_MS + 1)),
        # What is in work when a batch closes may all be approved.
        ({"state": BatchState.CLOSING}, Progress(15, 0, 0), InWork(2, 3, 4), Forecast(9, 6 * 500_000, None)),
        ({"state": BatchState.CLOSED}, Progress(15, 0, 5), InWork(), Forecast(0, 15 * 500_000, None)),
        ({"state": BatchState.READY, "published_at_ms": None}, Progress(0, 0, 0), InWork(), Forecast(0, 0, None)),
    ],
)
def test_how_a_batch_goes_on(facts: dict[str, Any], progress: Progress, in_work: InWork, expected: Forecast) -> None:
    assert forecast(batch=replace(running(), **facts), progress=progress, in_work=in_work, now_ms=HOUR_MS) == expected
