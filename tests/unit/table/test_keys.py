"""Keys: one screen that tells all of them, and builders that cannot leave it."""

import re

import pytest

from smallpeck.kernel.writes import ref
from smallpeck.table import keys

CELLS = re.compile(r"\s{2,}")


def rows_after(heading: str) -> list[list[str]]:
    """The rows of one table of the module's docstring, cell by cell."""
    lines = (keys.__doc__ or "").splitlines()
    start = next(index for index, line in enumerate(lines) if CELLS.split(line.strip())[0] == heading)
    rows = []
    for line in lines[start + 1 :]:
        if not line.strip():
            break
        rows.append(CELLS.split(line.strip()))
    return rows


def test_the_docstring_lists_every_item() -> None:
    assert rows_after("item") == [[name, one.table, one.pk, one.sk, one.read_by] for name, one in keys.ENTITIES.items()]


def test_the_docstring_lists_every_use_of_an_index() -> None:
    assert rows_after("index entry") == [
        [name, one.index, one.pk, one.sk, one.lists] for name, one in keys.INDEX_ENTRIES.items()
    ]


def test_every_table_and_index_is_used() -> None:
    assert {one.table for one in keys.ENTITIES.values()} == set(keys.TABLES)
    assert {one.index for one in keys.INDEX_ENTRIES.values()} == set(keys.INDEXES)


def example_parts(template: str) -> tuple[str | int, ...]:
    parts = re.findall(r"\{.*?\}", template)
    return tuple(number + 7 if ":" in part else f"x{number}" for number, part in enumerate(parts))


@pytest.mark.parametrize("entity", keys.ENTITIES)
def test_the_parts_of_a_key_are_found_in_it(entity: str) -> None:
    kind = keys.ENTITIES[entity]
    parts = example_parts(kind.pk + kind.sk)

    table, key = keys.key_of(ref(entity, *parts))

    assert table == kind.table
    found = keys.parts_of_item(entity, key)
    assert [int(one) if isinstance(part, int) else one for one, part in zip(found, parts, strict=True)] == list(parts)


def test_no_two_kinds_of_items_share_a_key() -> None:
    made = [
        (kind.table, *keys.key_of(ref(entity, *example_parts(kind.pk + kind.sk)))[1].values())
        for entity, kind in keys.ENTITIES.items()
    ]

    assert len(set(made)) == len(made)


@pytest.mark.parametrize("entity", keys.ENTITIES)
def test_items_of_a_kind_lie_within_its_range_and_others_without(entity: str) -> None:
    low, high = keys.sort_range(entity)
    home = keys.ENTITIES[entity]
    for other, kind in keys.ENTITIES.items():
        if (kind.table, kind.pk) == (home.table, home.pk):
            _, key = keys.key_of(ref(other, *example_parts(kind.pk + kind.sk)))
            assert (low <= key["sk"] <= high) == (other == entity)


@pytest.mark.parametrize(
    ("entity", "parts"),
    [
        ("batch", ("a#b",)),
        ("batch", ("",)),
        ("batch", ()),
        ("batch", ("a", "b")),
        ("statement_row", ("worker:a:available:USD",)),
        ("statement_row", ("a", "seven")),
    ],
)
def test_what_cannot_stand_in_a_key_is_refused(entity: str, parts: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        keys.key_of(ref(entity, *parts))


def test_numbers_sort_as_numbers() -> None:
    made = [keys.sort_key("statement_row", number) for number in (1, 2, 10, 999, 1_000)]

    assert made == sorted(made)


def test_an_index_key_names_the_attributes_of_its_index() -> None:
    key = keys.index_key("submitted", (3, 17, "b1", 5, "p1"))

    assert key == {"queue_pk": "SUBMITTED#3", "queue_sk": "000000000000017#b1#05#p1"}
    assert keys.parts_of_index("submitted", key) == ["000000000000017", "b1", "05", "p1"]
    assert keys.index_partition("submitted", 3) == key["queue_pk"]


def test_a_bound_is_filled_as_far_as_its_parts_go() -> None:
    assert keys.index_bound("submitted", 17) == "000000000000017#"
    assert keys.index_bound("submitted", 17, "b1") == "000000000000017#b1#"
    assert keys.index_bound("want", 3, 17) == "3#00000017"
    assert keys.index_bound("want") == ""
