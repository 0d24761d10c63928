"""Ids: opaque, without `#`, and the same for the same thing."""

import re
import subprocess
import sys
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallpeck.kernel import ids
from smallpeck.kernel.entropy import random_bytes

CROCKFORD = re.compile(r"[0-9A-HJKMNP-TV-Z]+", re.ASCII)


def test_the_same_request_names_the_same_thing() -> None:
    first = ids.derived_id("b_", "user", "POST /v1/batches", "key")

    assert first == ids.derived_id("b_", "user", "POST /v1/batches", "key")
    assert len(first) == len("b_") + 26
    assert CROCKFORD.fullmatch(first[2:])
    assert ids.is_id(first)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", "bc"), ("ab", "c")),
        (("a", "b"), ("a", "b", "")),
        (("a",), ("a", "")),
        (('a","b',), ("a", "b")),
        (("é",), ("e\u0301",)),
    ],
)
def test_other_parts_name_another_thing(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert ids.derived_id("x", *one) != ids.derived_id("x", *other)


def test_an_id_can_be_derived_from_whatever_a_client_sends() -> None:
    assert ids.is_id(ids.derived_id("x", "\ud800", "\x00", "#", "键"))


def test_derived_ids_stay_the_same_from_release_to_release() -> None:
    # What was stored under them must be found again.
    assert ids.derived_id("b_", "u", "r", "k") == "b_353RR69P3N23KGCZXWYDEFMDQZ"
    assert ids.task_id(7, b"row", "b") == "t0000007ZGDCWQT1V9DMQ5CK"


def test_a_ulid_sorts_by_its_moment() -> None:
    earlier, later = ids.ulid(1_000), ids.ulid(1_001)

    assert earlier < later
    assert len(earlier) == 26
    assert ids.ulid(1_000) != ids.ulid(1_000)
    assert ids.ulid(0)[:10] == "0" * 10


@given(st.integers(0, 32**7 - 1), st.binary(max_size=40), st.from_regex(r"[A-Za-z0-9]{1,20}", fullmatch=True))
def test_a_tasks_ordinal_is_found_in_its_id(ordinal: int, row_key: bytes, batch_id: str) -> None:
    task = ids.task_id(ordinal, row_key, batch_id)

    assert ids.ordinal_of_task(task) == ordinal
    assert ids.is_id(task)


def test_task_ids_differ_by_batch_row_and_ordinal() -> None:
    made = {
        ids.task_id(1, b"row", "b1"),
        ids.task_id(1, b"row", "b2"),
        ids.task_id(1, b"other", "b1"),
        ids.task_id(2, b"row", "b1"),
        ids.task_id(1, b"1\0row", "b"),
    }

    assert len(made) == 5


@pytest.mark.parametrize(
    "text",
    ["", "t", "t" * 24, "T" + "0" * 23, "t" + "0" * 22, "t" + "0" * 24, "t" + "0" * 22 + "#", "t" + "0" * 22 + "U"],
)
def test_what_is_no_task_id_has_no_ordinal(text: str) -> None:
    assert ids.ordinal_of_task(text) is None


@pytest.mark.parametrize("text", ["a", "A0", "b_x-y", "0" * 80, "3f2b8c1e-0000-4000-8000-000000000000"])
def test_what_could_be_an_id(text: str) -> None:
    assert ids.is_id(text)


@pytest.mark.parametrize(
    "text", ["", "#", "a#b", "a\x00", "a\n", "a b", "_a", "-a", "a/b", "../a", "é", "a:b", "0" * 81, "\uff11"]
)
def test_what_could_not(text: str) -> None:
    assert not ids.is_id(text)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ([1, 2], [2, 1], False),
        ({"a": "1"}, {"a": 1}, False),
        ({"a": None}, {}, False),
        ("é", "e\u0301", False),
        (True, 1, False),
        ([[1], [2]], [[1, 2]], False),
    ],
)
def test_content_is_told_apart_by_its_hash(one: object, other: object, same: bool) -> None:  # noqa: FBT001
    assert (ids.content_hash(one) == ids.content_hash(other)) is same


def test_canonical_json_has_one_spelling() -> None:
    assert ids.canonical_json({"b": [1, "é"], "a": None}) == '{"a":null,"b":[1,"é"]}'
    with pytest.raises(ValueError, match="JSON"):
        ids.canonical_json(float("nan"))


@given(st.integers(1, 64), st.text(), st.text())
def test_a_spread_stays_in_its_range(count: int, one: str, other: str) -> None:
    assert 0 <= ids.spread(count, one, other) < count


def test_a_spread_is_even() -> None:
    counts = [0] * 16
    for number in range(16_000):
        counts[ids.spread(16, "page", str(number))] += 1

    assert min(counts) > 850
    assert max(counts) < 1_150


def test_chance_is_not_repeated() -> None:
    assert len({random_bytes(16) for _ in range(100)}) == 100
    assert len(random_bytes(12)) == 12


def test_ids_do_not_depend_on_the_process() -> None:
    script = "from smallpeck.kernel import ids; print(ids.spread(1000, 'a'), ids.derived_id('x', 'a'))"
    outputs = {
        subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout  # noqa: S603
        for _ in range(2)
    }

    assert len(outputs) == 1


def test_a_derived_uuid_is_one_of_version_4_and_the_same_for_the_same_parts() -> None:
    made = [ids.derived_uuid("payout", f"key-{number}") for number in range(200)]
    read = [UUID(one) for one in made]
    assert [str(one) for one in read] == made
    assert {(one.version, one.variant) for one in read} == {(4, RFC_4122)}
    assert len(set(made)) == len(made)
    assert made == [ids.derived_uuid("payout", f"key-{number}") for number in range(200)]
    assert ids.derived_uuid("a", "bc") != ids.derived_uuid("ab", "c")
