"""Writes as DynamoDB spells them, and values as it stores them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from smallpeck.kernel.writes import (
    Absent,
    AtLeast,
    Below,
    Change,
    Check,
    Condition,
    Create,
    Equals,
    Lacks,
    Present,
    WriteConflict,
    ref,
)
from smallpeck.table.client import Table
from smallpeck.table.expressions import Placeholders, conditions, spell
from smallpeck.table.marshal import from_attribute, from_item, to_attribute, to_item
from tests.unit.table.tables import fresh_table

BATCH = ref("batch", "b1")


def holds(condition: Condition, stored: dict[str, Any] | None) -> bool:
    """Whether a write on this condition goes through."""
    table = fresh_table()
    if stored is not None:
        table.commit([Create(BATCH, stored)])
    try:
        table.commit([Check(BATCH, (condition,))])
    except WriteConflict:
        return False
    return True


@pytest.mark.parametrize(
    ("condition", "stored", "expected"),
    [
        (Equals("a", 1), {"a": 1}, True),
        (Equals("a", 1), {"a": 2}, False),
        (Equals("a", 1), {"a": "1"}, False),
        (Equals("a", 1), {}, False),
        (Equals("a", 1), None, False),
        (Equals("a", None), {"a": None}, True),
        (Equals("a", None), {}, False),
        (Equals(("m", "k"), "v"), {"m": {"k": "v"}}, True),
        (Equals(("m", "k"), "v"), {"m": {}}, False),
        (AtLeast("a", 5), {"a": 5}, True),
        (AtLeast("a", 5), {"a": 4}, False),
        (AtLeast("a", 0), {}, False),
        (AtLeast("a", -5), {"a": -4}, True),
        (Below("a", 5), {"a": 4}, True),
        (Below("a", 5), {"a": 5}, False),
        (Below("a", 5), {}, False),
        (Absent("a"), {}, True),
        (Absent("a"), {"a": None}, False),
        (Absent(("m", "k")), {"m": {}}, True),
        (Absent(("m", "k")), {"m": {"k": 1}}, False),
        (Absent(), None, True),
        (Absent(), {}, False),
        (Present("a"), {"a": 0}, True),
        (Present("a"), {}, False),
        (Present(), {}, True),
        (Present(), None, False),
        (Lacks("s", "x"), {"s": frozenset({"y"})}, True),
        (Lacks("s", "x"), {"s": frozenset({"x", "y"})}, False),
        (Lacks("s", "x"), {}, True),
        (Lacks("s", "x"), None, True),
    ],
)
def test_a_condition_holds_where_it_says(
    condition: Condition, stored: dict[str, Any] | None, *, expected: bool
) -> None:
    assert holds(condition, stored) is expected


def test_all_conditions_must_hold() -> None:
    table = fresh_table()
    table.commit([Create(BATCH, {"a": 1, "b": 2})])

    with pytest.raises(WriteConflict):
        table.commit([Change(BATCH, set={"c": 3}, when=(Equals("a", 1), Equals("b", 3)))])

    table.commit([Change(BATCH, set={"c": 3}, when=(Equals("a", 1), Equals("b", 2)))])
    assert stored(table)["c"] == 3


def stored(table: Table, item: Any = BATCH) -> dict[str, Any]:
    found = table.get(item)
    assert found is not None
    return found


def test_a_change_sets_adds_extends_and_removes_at_once() -> None:
    table = fresh_table()
    table.commit([Create(BATCH, {"gone": 1, "count": 5, "tags": frozenset({"x"}), "inner": {"a": 1, "b": 2}})])

    table.commit(
        [
            Change(
                BATCH,
                set={"name": "n", ("inner", "a"): 7},
                add={"count": -2, "fresh": 3},
                extend={"tags": frozenset({"y"}), "more": frozenset({"z"})},
                remove=("gone", ("inner", "b")),
                when=(Present(),),
            )
        ]
    )

    found = stored(table)
    assert {name: found[name] for name in found if name not in ("pk", "sk")} == {
        "name": "n",
        "inner": {"a": 7},
        "count": 3,
        "fresh": 3,
        "tags": {"x", "y"},
        "more": {"z"},
    }


def test_words_that_dynamodb_reserves_are_names_like_any_other() -> None:
    table = fresh_table()
    table.commit([Change(BATCH, set={"status": "s", "size": 1, "a.b": 2, "#n0": 3, ":v0": 4})])

    found = stored(table)
    assert (found["status"], found["size"], found["a.b"], found["#n0"], found[":v0"]) == ("s", 1, 2, 3, 4)


def test_a_change_makes_an_absent_item_unless_it_asks_for_one() -> None:
    table = fresh_table()
    with pytest.raises(WriteConflict):
        table.commit([Change(BATCH, set={"a": 1}, when=(Present(),))])
    assert table.get(BATCH) is None

    table.commit([Change(BATCH, set={"a": 1})])
    assert stored(table)["a"] == 1


def test_an_item_enters_and_leaves_an_index() -> None:
    table = fresh_table()
    table.commit([Create(ref("page", "p1"), {}, index={"lease": ("b1", 0, 5, 10, "p1"), "page_of": ("w", 1, "p1")})])
    assert [item["pk"] for item in table.listed("lease", "b1", 0).items] == ["PAGE#p1"]

    table.commit([Change(ref("page", "p1"), set={"a": 1}, index={"lease": None})])
    assert table.listed("lease", "b1", 0).items == []
    assert [item["pk"] for item in table.listed("page_of", "w").items] == ["PAGE#p1"]


def test_an_item_moves_from_one_use_of_an_index_to_another() -> None:
    table = fresh_table()
    table.commit([Create(ref("page", "p1"), {}, index={"lease": ("b1", 0, 5, 10, "p1")})])

    table.commit([Change(ref("page", "p1"), index={"lease": None, "submitted": (0, 7, "b1", 10, "p1")})])

    assert table.listed("lease", "b1", 0).items == []
    assert [item["pk"] for item in table.listed("submitted", 0).items] == ["PAGE#p1"]


def test_what_is_used_twice_has_one_name() -> None:
    placeholders = Placeholders()
    text = conditions((Present("a"), Equals("a", 1)), placeholders)

    assert text == "attribute_exists(#n0) AND #n0 = :v0"
    assert placeholders.arguments() == {
        "ExpressionAttributeNames": {"#n0": "a"},
        "ExpressionAttributeValues": {":v0": {"N": "1"}},
    }


def test_each_write_has_its_kind() -> None:
    names = {"platform": "real-name"}
    writes = (Create(BATCH, {}), Change(BATCH, set={"a": 1}), Check(BATCH, (Present(),)))
    kinds = [spell(one, names)[0] for one in writes]

    assert kinds == ["Put", "Update", "ConditionCheck"]
    assert spell(Create(BATCH, {}), names)[1]["TableName"] == "real-name"


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.text()
    | st.binary()
    | st.frozensets(st.text(min_size=1), min_size=1),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(values)
@hypothesis_settings(deadline=None)
def test_a_value_survives_being_stored(value: Any) -> None:
    assert from_attribute(to_attribute(value)) == value


@given(st.dictionaries(st.text(min_size=1), values, max_size=5))
@hypothesis_settings(max_examples=30, deadline=None)
def test_an_item_survives_being_stored(fields: dict[str, Any]) -> None:
    assert from_item(to_item(fields)) == fields


@pytest.mark.parametrize("value", [0.5, {1, 2}, object(), 1j])
def test_what_dynamodb_would_change_is_not_stored(value: Any) -> None:
    with pytest.raises(TypeError):
        to_attribute(value)


def test_a_kind_that_we_never_store_is_not_read() -> None:
    with pytest.raises(TypeError):
        from_attribute({"NS": ["1"]})
    with pytest.raises(ValueError, match="invalid literal"):
        from_attribute({"N": "0.5"})


def test_truth_is_not_a_number() -> None:
    assert to_attribute(True) == {"BOOL": True}
    assert to_attribute(1) == {"N": "1"}
