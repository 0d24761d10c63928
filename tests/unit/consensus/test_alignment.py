"""Words side by side, and what counts as the same word."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallpeck.consensus.alignment import matched, network, unlikeness, word_errors
from smallpeck.consensus.normalising import agreed_spaces, joined, normalised, words

WORDS = st.lists(st.sampled_from(["the", "cat", "sat", "on", "a", "mat", "catty", "sit"]), max_size=8).map(tuple)


def test_what_two_people_type_differently_and_mean_the_same_is_one_text() -> None:
    assert normalised("Mr. O\u2019Brien said:  \u2018I don't know\u2019 [coughs]") == "mister o'brien said i don't know"
    assert normalised("3.5 metres, not 35.") == "3.5 metres not 35"


def test_compatibility_forms_are_one() -> None:
    assert normalised("ﬁne \uff46\uff55\uff4c\uff4c") == normalised("fine full")
    assert normalised("cafe\u0301") == normalised("CAFÉ")


def test_scripts_without_blanks_have_a_word_per_character() -> None:
    assert words("東京へ行く") == ("東", "京", "へ", "行", "く")
    assert normalised("東京 へ Tokyo 行く") == "東京へ tokyo 行く"
    assert words("กินข้าว") == ("กิ", "น", "ข้", "า", "ว")


@given(st.text(max_size=40))
def test_a_normal_form_stays_as_it_is(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text)
    assert joined(words(text)) == normalised(text)


def test_where_words_are_divided_the_more_common_way_counts() -> None:
    assert agreed_spaces([("can", "not"), ("cannot",), ("cannot",)]) == [("cannot",)] * 3
    assert agreed_spaces([("can", "not"), ("can", "not"), ("cannot",)]) == [("can", "not")] * 3
    assert agreed_spaces([("no", "table"), ("a", "table")]) == [("no", "table"), ("a", "table")]


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [("kitten", "sitting", 3 / 7), ("", "abc", 1.0), ("same", "same", 0.0), ("ab", "ba", 1.0)],
)
def test_unlikeness_is_the_edit_distance_over_the_longer(one: str, other: str, apart: float) -> None:
    assert unlikeness(one, other) == pytest.approx(apart)


@given(st.text("abc", max_size=9), st.text("abc", max_size=9))
def test_the_quick_edit_distance_is_the_plain_one(one: str, other: str) -> None:
    assert unlikeness(one, other) * max(len(one), len(other), 1) == pytest.approx(word_errors(one, other))


def test_misspellings_stand_in_the_column_of_the_word() -> None:
    columns = network((("a", "beautiful", "day"), ("a", "beautifull", "day"), ("beautifl", "day")))
    assert ("beautiful", "beautifull", "beautifl") in columns
    assert columns[0] == ("a", "a", "")


def test_what_stands_at_its_place_matches() -> None:
    assert matched(("the", "cat", "sat"), ("the", "sat")) == [True, False, True]
    assert matched((), ("the",)) == []


@given(st.lists(WORDS, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_columns_hold_every_text_whatever_the_order(texts: list[tuple[str, ...]], draw: random.Random) -> None:
    order = list(range(len(texts)))
    draw.shuffle(order)
    columns = network(tuple(texts))
    for number, text in enumerate(texts):
        assert tuple(column[number] for column in columns if column[number]) == text
    shuffled = network(tuple(texts[number] for number in order))
    assert [sorted(column) for column in shuffled] == [sorted(column) for column in columns]
    assert all(any(column) for column in columns)
