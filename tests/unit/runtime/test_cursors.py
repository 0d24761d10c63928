"""A cursor goes on with the list it was given for, for the one it was given to."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallpeck.runtime.cursors import MAX_LENGTH, BadCursor, Cursors, Scope

CURSORS = Cursors(b"a secret of enough bytes")
SCOPE = Scope("worker-1", "GET /v1/worker/statement", {"currency": "USD"})


def signed(position: str = "000000000041", scope: Scope = SCOPE) -> str:
    cursor = CURSORS.sign(position, scope)
    assert cursor is not None
    return cursor


def test_a_list_goes_on_where_it_stopped() -> None:
    assert CURSORS.read(signed("000000000041"), SCOPE) == "000000000041"


def test_the_start_and_the_end_of_a_list_have_no_cursor() -> None:
    assert CURSORS.sign(None, SCOPE) is None
    assert CURSORS.read(None, SCOPE) is None


@pytest.mark.parametrize(
    "other",
    [
        replace(SCOPE, user_id="worker-2"),
        replace(SCOPE, route="GET /v1/worker/payouts"),
        replace(SCOPE, filters={"currency": "EUR"}),
        replace(SCOPE, filters={}),
    ],
)
def test_it_is_good_for_this_caller_route_and_filter_only(other: Scope) -> None:
    with pytest.raises(BadCursor):
        CURSORS.read(signed(), other)


@pytest.mark.parametrize("forged", ["", "x", "AAAA", "=", "a b", "é", "." * 80, "A" * MAX_LENGTH])
def test_what_was_never_a_cursor_is_refused(forged: str) -> None:
    with pytest.raises(BadCursor):
        CURSORS.read(forged, SCOPE)


def test_another_secret_signs_another_cursor() -> None:
    with pytest.raises(BadCursor):
        CURSORS.read(Cursors(b"another secret of enough bytes").sign("1", SCOPE), SCOPE)


@given(st.integers(0), st.characters(codec="ascii"))
def test_no_character_of_it_can_be_changed(place: int, character: str) -> None:
    cursor = signed()
    at = place % len(cursor)
    changed = cursor[:at] + character + cursor[at + 1 :]
    if changed != cursor:
        with pytest.raises(BadCursor):
            CURSORS.read(changed, SCOPE)


def test_nothing_can_be_put_before_or_behind_it() -> None:
    for changed in (signed() + "=", signed() + "A", " " + signed(), signed() + "\n", signed()[:-1]):
        with pytest.raises(BadCursor):
            CURSORS.read(changed, SCOPE)


@given(st.text(max_size=200).filter(lambda text: text.isprintable()))
def test_any_position_travels(position: str) -> None:
    assert CURSORS.read(signed(position), SCOPE) == position


def test_filters_count_in_any_order() -> None:
    one, other = {"a": "1", "b": "2"}, {"b": "2", "a": "1"}
    assert CURSORS.read(signed(scope=replace(SCOPE, filters=one)), replace(SCOPE, filters=other)) == "000000000041"


def test_a_secret_that_can_be_guessed_is_refused() -> None:
    with pytest.raises(ValueError, match="too short"):
        Cursors(b"short")


def test_the_secret_is_not_shown() -> None:
    assert "enough" not in repr(CURSORS)
