"""The one place that speaks DynamoDB: paging, retries, limits."""

from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from smallpeck.kernel.writes import Change, Check, Contention, Create, Equals, Present, WriteConflict, ref
from smallpeck.table import keys
from smallpeck.table.client import MAX_TRANSACTION_ITEMS, TRANSACTION_ATTEMPTS, Table
from tests.aws import Aws, Crash, Fault, Plan
from tests.unit.table.tables import fresh_table

ACCOUNT = "worker:ann:available:USD"


def statement(aws: Aws, rows: int, *, note: str = "") -> Table:
    table = fresh_table(aws)
    table.put_all([(ref("statement_row", ACCOUNT, seq), {"seq": seq, "note": note}) for seq in range(1, rows + 1)])
    return table


def seqs(items: list[dict[str, Any]]) -> list[int]:
    return [item["seq"] for item in items]


def read_in_slices(table: Table, limit: int, *, newest_first: bool = False) -> list[int]:
    found: list[int] = []
    after: str | None = None
    while True:
        run = table.slice("statement_row", ACCOUNT, after=after, limit=limit, newest_first=newest_first)
        assert len(run.items) <= limit
        found += seqs(run.items)
        after = run.next_after
        if after is None:
            return found


@given(rows=st.integers(0, 12), limit=st.integers(1, 13), newest_first=st.booleans())
@hypothesis_settings(max_examples=60, deadline=None)
def test_slices_hold_every_item_once_and_in_order(rows: int, limit: int, *, newest_first: bool) -> None:
    expected = list(range(1, rows + 1))
    if newest_first:
        expected.reverse()

    assert read_in_slices(statement(Aws(), rows), limit, newest_first=newest_first) == expected


def test_a_slice_goes_on_where_the_last_one_ended_though_items_came_meanwhile() -> None:
    table = statement(Aws(), 4)
    first = table.slice("statement_row", ACCOUNT, limit=2, newest_first=True)
    table.put_all([(ref("statement_row", ACCOUNT, 5), {"seq": 5})])

    following = table.slice("statement_row", ACCOUNT, after=first.next_after, limit=9, newest_first=True)

    assert seqs(first.items + following.items) == [4, 3, 2, 1]


def test_a_slice_lies_between_its_bounds() -> None:
    table = statement(Aws(), 9)
    first, last = keys.sort_key("statement_row", 3), keys.sort_key("statement_row", 6)

    assert seqs(table.slice("statement_row", ACCOUNT, first=first, last=last).items) == [3, 4, 5, 6]
    assert table.slice("statement_row", ACCOUNT, first=last, last=first).items == []
    # A place that lies outside of the bounds is a place too.
    assert table.slice("statement_row", ACCOUNT, last=first, after=last).items == []


def test_a_slice_holds_one_kind_of_items() -> None:
    table = fresh_table()
    table.commit([Create(ref("batch", "b1"), {}), Create(ref("import", "b1"), {})])
    table.commit([Create(ref("import_part", "b1", 0), {}), Create(ref("progress", "b1", 0), {})])

    for entity in ("batch", "import", "import_part", "progress"):
        (item,) = table.slice(entity, "b1").items
        assert keys.ENTITIES[entity].sk.startswith(item["sk"].partition("#")[0])


def test_everything_is_read_across_answers_of_a_megabyte() -> None:
    aws = Aws()
    table = statement(aws, 40, note="x" * 60_000)
    before = aws.dynamodb.meter.calls["Query"]

    assert seqs(list(table.every("statement_row", ACCOUNT))) == list(range(1, 41))
    assert aws.dynamodb.meter.calls["Query"] - before > 1


def test_what_is_not_asked_for_is_not_read() -> None:
    aws = Aws()
    table = statement(aws, 40, note="x" * 60_000)
    before = aws.faults.calls

    next(table.every("statement_row", ACCOUNT))

    assert aws.faults.calls - before == 1


def test_an_index_is_listed_between_its_bounds() -> None:
    table = fresh_table()
    for moment in (5, 6, 7):
        table.commit([Create(ref("page", f"p{moment}"), {}, index={"submitted": (0, moment, "b1", 10, f"p{moment}")})])
    for rank in (1, 2, 3):
        table.commit([Create(ref("task", "b1", 0, rank), {}, index={"want": ("b1", 0, 0, rank)})])

    def pages(**bounds: Any) -> list[str]:
        return [item["pk"] for item in table.listed("submitted", 0, **bounds).items]

    assert pages() == ["PAGE#p5", "PAGE#p6", "PAGE#p7"]
    assert pages(before=keys.index_bound("submitted", 6)) == ["PAGE#p5"]
    assert pages(first=keys.index_bound("submitted", 6)) == ["PAGE#p6", "PAGE#p7"]
    assert pages(newest_first=True, limit=2) == ["PAGE#p7", "PAGE#p6"]
    # A whole key as the end is excluded as well.
    wanted = table.listed("want", "b1", 0, first=keys.index_bound("want", 0, 1), before=keys.index_bound("want", 0, 3))
    assert [item["sk"] for item in wanted.items] == ["TASK#00000001", "TASK#00000002"]


def test_an_index_is_listed_in_slices() -> None:
    table = fresh_table()
    for number in range(5):
        table.commit([Create(ref("page", f"p{number}"), {}, index={"page_of": ("w", number, f"p{number}")})])

    first = table.listed("page_of", "w", limit=2, newest_first=True)
    second = table.listed("page_of", "w", limit=2, newest_first=True, after=first.next_after)
    third = table.listed("page_of", "w", limit=2, newest_first=True, after=second.next_after)

    found = [item["pk"] for run in (first, second, third) for item in run.items]
    assert found == [f"PAGE#p{number}" for number in (4, 3, 2, 1, 0)]
    assert third.next_after is None


def test_segments_are_the_whole_table_once() -> None:
    table = fresh_table()
    table.put_all([(ref("batch", f"b{number}"), {"n": number}) for number in range(50)])

    found = sorted(item["n"] for segment in range(4) for item in table.segment("platform", segment, 4))

    assert found == list(range(50))


def test_many_items_are_read_a_hundred_at_a_time() -> None:
    aws = Aws()
    table = fresh_table(aws)
    refs = [ref("batch", f"b{number}") for number in range(250)]
    table.put_all([(one, {"n": number}) for number, one in enumerate(refs)])
    before = aws.dynamodb.meter.calls["BatchGetItem"]

    found = table.get_many([*refs, ref("batch", "absent"), refs[0]])

    assert {one: item["n"] for one, item in found.items()} == {one: number for number, one in enumerate(refs)}
    assert aws.dynamodb.meter.calls["BatchGetItem"] - before == 3
    assert table.get_many([]) == {}


def test_what_dynamodb_left_undone_is_asked_for_again() -> None:
    aws = Aws()
    pauses: list[float] = []
    table = fresh_table(aws, pauses)
    aws.dynamodb.unprocessed_every = 7
    refs = [ref("batch", f"b{number}") for number in range(120)]

    table.put_all([(one, {"n": 1}) for one in refs])
    assert aws.dynamodb.count("platform") == 120
    assert len(table.get_many(refs)) == 120
    assert pauses


def test_what_dynamodb_never_does_is_given_up() -> None:
    aws = Aws()
    pauses: list[float] = []
    table = fresh_table(aws, pauses)
    aws.dynamodb.unprocessed_every = 1

    with pytest.raises(Contention):
        table.put_all([(ref("batch", "b"), {})])
    with pytest.raises(Contention):
        table.get_many([ref("batch", "b")])
    assert len(pauses) == 2 * (TRANSACTION_ATTEMPTS - 1)


def test_one_item_is_written_alone_and_several_together() -> None:
    aws = Aws()
    table = fresh_table(aws)

    table.commit([Create(ref("batch", "b1"), {"a": 1})])
    table.commit([Change(ref("batch", "b1"), set={"a": 2})])
    table.commit([Check(ref("batch", "b1"), (Equals("a", 2),))])
    table.commit([Create(ref("batch", "b2"), {}), Change(ref("batch", "b1"), set={"a": 3})])

    calls = aws.dynamodb.meter.calls
    assert (calls["PutItem"], calls["UpdateItem"], calls["TransactWriteItems"]) == (1, 1, 2)


def test_all_or_nothing() -> None:
    table = fresh_table()
    table.commit([Create(ref("batch", "b1"), {})])
    good, bad, worse = (
        Create(ref("batch", "b2"), {}),
        Create(ref("batch", "b1"), {"a": 1}),
        Check(ref("batch", "b3"), (Present(),)),
    )

    with pytest.raises(WriteConflict) as caught:
        table.commit([good, bad, worse])

    assert caught.value.failed == (bad, worse)
    assert not caught.value.hit(good.ref)
    assert table.get(good.ref) is None
    assert "a" not in (table.get(bad.ref) or {})


@pytest.mark.parametrize("count", [1, 2])
def test_a_busy_item_is_tried_again_with_growing_pauses(count: int) -> None:
    aws = Aws()
    pauses: list[float] = []
    table = fresh_table(aws, pauses)
    writes = [Create(ref("batch", f"b{number}"), {}) for number in range(count)]
    busy = Plan(Fault.CONFLICT, 0)

    with aws.faults.planned(busy):
        table.commit(writes)

    assert busy.fired
    assert len(pauses) == 1
    assert all(table.get(one.ref) is not None for one in writes)


@pytest.mark.parametrize("count", [1, 2])
def test_an_item_that_stays_busy_is_given_up_and_nothing_is_written(count: int) -> None:
    aws = Aws()
    pauses: list[float] = []
    table = fresh_table(aws, pauses)
    writes = [Create(ref("batch", f"b{number}"), {}) for number in range(count)]

    with aws.faults.planned(*(Plan(Fault.CONFLICT, at) for at in range(20))), pytest.raises(Contention):
        table.commit(writes)

    assert len(pauses) == TRANSACTION_ATTEMPTS - 1
    assert pauses == sorted(pauses)
    assert aws.dynamodb.count("platform") == 0


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("fault", [Fault.ERROR_BEFORE, Fault.ERROR_AFTER, Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER])
def test_an_unknown_outcome_is_told_as_it_is(count: int, fault: Fault) -> None:
    aws = Aws()
    table = fresh_table(aws)
    writes = [Create(ref("batch", f"b{number}"), {}) for number in range(count)]

    with aws.faults.planned(Plan(fault, 0)), pytest.raises((ClientError, ReadTimeoutError)):
        table.commit(writes)

    assert aws.dynamodb.count("platform") == (count if fault in (Fault.ERROR_AFTER, Fault.TIMEOUT_AFTER) else 0)


def test_a_transaction_whose_answer_was_lost_is_not_made_twice_by_the_sdk() -> None:
    aws = Aws(max_attempts=3)
    table = fresh_table(aws)
    writes = [Change(ref("account", "a"), add={"n": 1}), Change(ref("account", "b"), add={"n": 1})]

    with aws.faults.planned(Plan(Fault.TIMEOUT_AFTER, 0)):
        table.commit(writes)

    assert (table.get(ref("account", "a")) or {})["n"] == 1


def test_a_mistake_of_ours_is_not_tried_again() -> None:
    pauses: list[float] = []
    table = fresh_table(pauses=pauses)
    twice = Create(ref("batch", "b1"), {})

    with pytest.raises(ClientError):
        table.commit([twice, twice])
    assert pauses == []


def test_more_than_a_transaction_holds_is_refused_before_it_is_sent() -> None:
    aws = Aws()
    table = fresh_table(aws)
    writes = [Create(ref("batch", f"b{number}"), {}) for number in range(MAX_TRANSACTION_ITEMS + 1)]
    before = aws.faults.calls

    with pytest.raises(ValueError, match="101 writes"):
        table.commit(writes)
    assert aws.faults.calls == before

    table.commit(writes[:MAX_TRANSACTION_ITEMS])
    assert aws.dynamodb.count("platform") == MAX_TRANSACTION_ITEMS


def test_a_number_is_counted_up_as_long_as_it_is_below_the_limit() -> None:
    table = fresh_table()
    tickets = ref("tickets", "b1", 0)

    assert table.increment(tickets, "next", 10, below=12) == 10
    assert table.increment(tickets, "next", 5, below=12) == 15
    assert table.increment(tickets, "next", 5, below=12) is None
    assert table.increment(tickets, "next", 5, below=16) == 20


def test_death_in_the_middle_is_not_survived() -> None:
    aws = Aws()
    table = fresh_table(aws)

    with aws.faults.planned(Plan(Fault.CRASH_AFTER, 0)), pytest.raises(Crash):
        table.commit([Create(ref("batch", "b1"), {})])

    assert table.get(ref("batch", "b1")) is not None


def test_a_read_sees_every_write_before_it_unless_told_otherwise() -> None:
    aws = Aws()
    table = fresh_table(aws)
    table.commit([Create(ref("batch", "b1"), {})])

    def units(consistent: bool) -> float:  # noqa: FBT001
        before = aws.dynamodb.meter.read
        table.get(ref("batch", "b1"), consistent=consistent)
        return aws.dynamodb.meter.read - before

    assert units(True) == 2 * units(False)
