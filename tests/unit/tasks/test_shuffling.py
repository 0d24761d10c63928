"""Ids and tickets that hide the order of a file."""

from itertools import pairwise

import pytest

from smallpeck.kernel.ids import ordinal_of_task
from smallpeck.tasks.shuffling import ORDINALS, id_of_task, ordinal_of, shuffled, unshuffled

KEY = "k" * 32


@pytest.mark.parametrize("count", [1, 2, 3, 10, 64, 1_000])
def test_a_shuffle_is_a_permutation_that_can_be_undone(count: int) -> None:
    places = [shuffled(number, count, KEY) for number in range(count)]
    assert sorted(places) == list(range(count))
    assert [unshuffled(place, count, KEY) for place in places] == list(range(count))


def test_another_key_is_another_shuffle_and_neighbours_do_not_stay_neighbours() -> None:
    places = [shuffled(number, 1_000, KEY) for number in range(1_000)]
    assert places != [shuffled(number, 1_000, "another") for number in range(1_000)]
    close = sum(abs(one - other) < 10 for one, other in pairwise(places))
    assert close < 50


@pytest.mark.parametrize("ordinal", [0, 1, 999_999, ORDINALS - 1])
def test_only_who_has_the_key_finds_the_ordinal_in_an_id(ordinal: int) -> None:
    hidden = id_of_task(ordinal, b"row", "b1", KEY)
    assert ordinal_of(hidden, KEY) == ordinal
    assert ordinal_of_task(hidden) != ordinal
    plain = id_of_task(ordinal, b"row", "b1", None)
    assert ordinal_of(plain, None) == ordinal
    assert plain[8:] == hidden[8:]
    assert ordinal_of("nonsense", KEY) is None
