"""Movements by day: every row on the day of its moment, whatever order the rows came in."""

import random
from datetime import UTC, datetime

import pytest

from smallpeck.ledger import daily
from smallpeck.ledger.accounts import funding, worker_available
from smallpeck.ledger.daily import DAY_MS, BadPeriod, Day, TooManyMovements, by_day
from smallpeck.ledger.posting import Entry, EntryKind, Posting
from smallpeck.ledger.service import post
from tests.support import World

ANN = worker_available("ann")
START = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp()) * 1000
FIRST = START // DAY_MS


def credit(world: World, number: int, at_ms: int, micros: int = 1, units: int | None = 1) -> None:
    posting = Posting(funding("test"), ANN, micros)
    entry = Entry(f"e{number}", EntryKind.CREDIT, "USD", "r", (posting,), at_ms, units)
    post(entry=entry, alongside=[], books=world.books, unit=world.table)


def told(world: World, first: int, last: int) -> list[Day]:
    return by_day(account=ANN, currency="USD", first=first, last=last, books=world.books)


def test_an_account_without_a_statement_has_days_without_movements() -> None:
    assert told(World(), FIRST, FIRST + 1) == [Day(FIRST), Day(FIRST + 1)]


@pytest.mark.parametrize("seed", range(5))
def test_rows_that_came_late_count_on_the_day_of_their_moment(seed: int) -> None:
    chance = random.Random(seed)
    world = World()
    expected: dict[int, list[int]] = {}
    moment = START
    for number in range(150):
        moment += chance.choice((1, 60_000, 3_600_000))
        at_ms = moment - chance.randrange(daily.DISORDER_MS)
        credit(world, number, at_ms, micros=2**number % 10**9 + 1)
        expected.setdefault(at_ms // DAY_MS, []).append(2**number % 10**9 + 1)
    last = moment // DAY_MS
    for first in range(FIRST - 2, last + 3):
        for until in range(first, last + 3):
            found = {day.number: (day.credited, day.units) for day in told(world, first, until)}
            assert found == {
                number: (sum(expected.get(number, [])), len(expected.get(number, [])))
                for number in range(first, until + 1)
            }


def test_the_first_and_the_last_moment_of_a_day_are_in_it() -> None:
    world = World()
    for number, at_ms in enumerate((START - 1, START, START + DAY_MS - 1, START + DAY_MS)):
        credit(world, number, at_ms, micros=10**number)
    assert [day.credited for day in told(world, FIRST - 1, FIRST + 1)] == [1, 110, 1_000]
    assert [day.credited for day in told(world, FIRST, FIRST)] == [110]


def test_a_payout_that_comes_back_is_no_earning() -> None:
    day = Day(FIRST)
    for kind, micros in ((EntryKind.CREDIT, 9), (EntryKind.PAYOUT_RESERVE, -7), (EntryKind.PAYOUT_RELEASE, 7)):
        day.add({"kind": str(kind), "amount_micros": micros})
    assert day == Day(FIRST, credited=9, paid_out=7, came_back=7, units=0)


def test_a_period_is_at_most_so_long_and_ends_after_it_begins() -> None:
    world = World()
    assert len(told(world, FIRST, FIRST + daily.MAX_DAYS - 1)) == daily.MAX_DAYS
    for first, last in ((FIRST, FIRST + daily.MAX_DAYS), (FIRST, FIRST - 1)):
        with pytest.raises(BadPeriod):
            told(world, first, last)


def test_more_rows_than_can_be_added_up_are_refused_before_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daily, "MAX_ROWS", 10)
    world = World()
    for number in range(11):
        credit(world, number, START + number * 1_000)
    with pytest.raises(TooManyMovements) as caught:
        told(world, FIRST, FIRST)
    assert [one.pointer for one in caught.value.problems] == ["/from"]
    assert [day.credited for day in told(world, FIRST + 1, FIRST + 1)] == [0]
