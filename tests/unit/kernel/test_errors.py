"""Errors: a category for whoever maps them, a code for whoever matches on them."""

import inspect

import pytest

from smallpeck.kernel import errors
from smallpeck.kernel.errors import Category, Conflict, InProgress, Problem, SmallPeckError
from smallpeck.kernel.writes import Change, Contention, Create, WriteConflict, ref

CLASSES = [one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, SmallPeckError)]


def test_every_category_has_an_error_and_every_error_a_code_of_its_own() -> None:
    assert {one.category for one in CLASSES} == set(Category)
    codes = [one.code for one in CLASSES]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("error", CLASSES)
def test_the_tree_in_the_docstring_names_every_error(error: type[SmallPeckError]) -> None:
    assert error.__name__ in (errors.__doc__ or "")


def test_an_error_carries_what_may_be_shown() -> None:
    error = InProgress("wait", problems=[Problem("/a", "b")], retry_after_seconds=3)

    assert str(error) == error.detail == "wait"
    assert error.problems == (Problem("/a", "b"),)
    assert error.retry_after_seconds == 3
    assert isinstance(error, Conflict)


def test_a_write_conflict_says_which_items_it_hit() -> None:
    first, second = Create(ref("batch", "b1"), {}), Change(ref("batch", "b2"), set={"a": 1})
    conflict = WriteConflict([second])

    assert conflict.hit(second.ref)
    assert not conflict.hit(first.ref)
    assert conflict.category is Category.CONFLICT
    assert Contention("busy").category is Category.UNAVAILABLE
