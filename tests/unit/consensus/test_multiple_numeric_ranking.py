"""Several options at once, ratings with outliers, and orders from comparisons."""

import random
from itertools import permutations

import pytest

from smallpeck.consensus.choice import ChoicePolicy
from smallpeck.consensus.multiple import decide_ticked, option_votes
from smallpeck.consensus.numeric import Rater, learn_raters, level, rate
from smallpeck.consensus.ranking import Comparison, chance_to_beat, pairs_of, rank

POLICY = ChoicePolicy(options=2, min_answers=2, max_answers=5)


def ticked(answers: dict[str, set[str]], options: str = "abc", accuracy: int = 850_000) -> tuple[tuple[str, ...], bool]:
    accuracies = {option: dict.fromkeys(answers, accuracy) for option in options}
    votes = option_votes(options=options, answers=answers, accuracies_ppm=accuracies)
    found = decide_ticked(task_id="t", votes=votes, policy=POLICY)
    return found.ticked, found.final


def test_every_option_is_decided_by_itself() -> None:
    assert ticked({"w1": {"a", "b"}, "w2": {"a"}, "w3": {"a", "b"}}) == (("a", "b"), False)


def test_several_choices_are_final_when_every_option_is() -> None:
    assert ticked({"w1": {"a"}, "w2": {"a"}, "w3": {"a"}}) == (("a",), True)
    assert ticked({"w1": {"a"}, "w2": {"b"}})[1] is False


def test_the_same_worker_may_be_trusted_on_one_option_and_not_on_another() -> None:
    answers: dict[str, set[str]] = {"good at a": {"a", "b"}, "poor": set(), "poor too": set()}
    accuracies = {
        "a": {"good at a": 980_000, "poor": 600_000, "poor too": 600_000},
        "b": dict.fromkeys(answers, 700_000),
    }
    votes = option_votes(options="ab", answers=answers, accuracies_ppm=accuracies)
    assert decide_ticked(task_id="t", votes=votes, policy=POLICY).ticked == ("a",)


def test_an_outlier_hardly_moves_a_rating() -> None:
    honest = {f"w{n}": value for n, value in enumerate((3.8, 4.0, 4.1, 4.2, 3.9, 4.0))}
    clean = rate(honest)
    spoiled = rate({**honest, "careless": 400.0})
    assert clean is not None
    assert spoiled is not None
    assert clean.value == pytest.approx(4.0, abs=0.01)
    assert spoiled.value == pytest.approx(4.0, abs=0.1)
    assert spoiled.spread > clean.spread


def test_a_rating_is_the_same_in_any_order_and_absent_without_answers() -> None:
    answers = [("a", 1.0), ("b", 2.5), ("c", 2.0), ("d", 9.0)]
    assert len({rate(dict(order)) for order in permutations(answers)}) == 1
    assert rate({}) is None


def test_a_unanimous_rating_has_no_spread_and_a_single_one_neither() -> None:
    for answers in ({"a": 3.0, "b": 3.0, "c": 3.0}, {"a": 3.0}):
        found = rate(answers)
        assert found is not None
        assert (found.value, found.spread) == (3.0, 0.0)


def test_most_agreeing_exactly_does_not_break_the_scale() -> None:
    found = rate({"a": 3.0, "b": 3.0, "c": 3.0, "d": 4.0})
    assert found is not None
    assert 3.0 < found.value < 3.3


def test_an_ordinal_rating_is_the_nearest_level() -> None:
    found = rate({"a": 4.0, "b": 4.0, "c": 5.0})
    assert found is not None
    assert level(found, [1, 2, 3, 4, 5]) == 4


def test_known_bias_and_precision_are_taken_into_account() -> None:
    draw = random.Random(3)
    answers = {}
    for task in range(60):
        truth = draw.uniform(0, 10)
        answers[f"t{task}"] = {
            "harsh": truth - 2 + draw.gauss(0, 0.3),
            "exact": truth + draw.gauss(0, 0.3),
            "exact too": truth + draw.gauss(0, 0.3),
            "wild": truth + draw.gauss(0, 3.0),
            "fair": truth + draw.gauss(0, 0.3),
        }
    raters = learn_raters(answers)
    assert raters["harsh"].bias < -1.3
    assert abs(raters["exact"].bias) < 0.5
    assert raters["wild"].spread > 2 * raters["exact"].spread
    plain, informed = rate({"harsh": 3.0, "exact": 5.0}), rate({"harsh": 3.0, "exact": 5.0}, raters)
    assert plain is not None
    assert informed is not None
    assert informed.value > plain.value + 0.5
    weighed = rate({"a": 0.0, "b": 1.0}, {"a": Rater(spread=3.0)})
    assert weighed is not None
    assert weighed.value > 0.8


def test_comparisons_give_back_the_strengths_they_came_from() -> None:
    draw = random.Random(1)
    strengths = {"a": 1.5, "b": 0.5, "c": -0.5, "d": -1.5}
    comparisons = []
    for _ in range(4000):
        one, other = draw.sample(sorted(strengths), 2)
        wins = draw.random() < 1 / (1 + 2.718281828 ** (strengths[other] - strengths[one]))
        comparisons.append(Comparison(one, other) if wins else Comparison(other, one))
    places = rank(comparisons)
    assert [place.item for place in places] == ["a", "b", "c", "d"]
    for place in places:
        assert place.strength == pytest.approx(strengths[place.item], abs=4 * place.error)
    assert chance_to_beat(places[0], places[3]) == pytest.approx(0.95, abs=0.02)


def test_an_item_that_always_wins_stays_finite_and_unmet_items_are_placed() -> None:
    places = rank([Comparison("a", "b")] * 5, items=["c"])
    assert [place.item for place in places] == ["a", "c", "b"]
    assert places[1].error > places[0].error
    assert places[1].error == pytest.approx(2.0)


def test_rankings_of_several_workers_are_merged() -> None:
    comparisons = [pair for order in ("abcd", "abdc", "bacd", "abcd") for pair in pairs_of(order)]
    assert [place.item for place in rank(comparisons)] == ["a", "b", "c", "d"]
    assert sum(pair.weight for pair in pairs_of("abcd")) == pytest.approx(3)


def test_a_careless_worker_weighs_less() -> None:
    comparisons = [Comparison("a", "b"), *[Comparison("b", "a", 0.2)] * 3]
    assert rank(comparisons)[0].item == "a"


def test_comparing_an_item_with_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="itself"):
        rank([Comparison("a", "a")])
