"""Orders from comparisons and from rankings, with how sure each two neighbours are."""

import json
import random

import pytest

from smallpeck.consensus.method import NOTHING_KNOWN, PPM, Budget, SkillCounts, Vote
from smallpeck.consensus.ranking import MOST_ITEMS, Comparison, Ranking, chance_to_beat, pairs_of, rank

METHOD = Ranking()
BUDGET = Budget(1, 10)


def votes(*orders: str, accuracy: int = 850_000) -> dict[str, Vote]:
    """A ranking is given by the letters of its items."""
    return {f"w{place}": Vote(json.dumps(list(order)), accuracy) for place, order in enumerate(orders)}


def answer(*orders: str, method: Ranking = METHOD) -> str:
    found = method.decide(task_id="t", votes=votes(*orders), budget=BUDGET).answer
    assert found is not None
    return "".join(json.loads(found))


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
    assert answer("abcd", "abdc", "bacd", "abcd") == "abcd"


def test_a_careless_worker_weighs_less() -> None:
    comparisons = [Comparison("a", "b"), *[Comparison("b", "a", 0.2)] * 3]
    assert rank(comparisons)[0].item == "a"
    mine = {**votes("ba", "ba", accuracy=600_000), "skilled": Vote('["a","b"]', 980_000)}
    assert METHOD.decide(task_id="t", votes=mine, budget=BUDGET).answer == '["a","b"]'


def test_who_is_mostly_wrong_counts_the_other_way() -> None:
    mine = {"wrong": Vote('["a","b"]', 200_000), "poor": Vote('["a","b"]', 600_000)}
    assert METHOD.decide(task_id="t", votes=mine, budget=BUDGET).answer == '["b","a"]'


def test_comparing_an_item_with_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="itself"):
        rank([Comparison("a", "a")])


def test_neighbours_on_which_workers_disagree_are_less_sure() -> None:
    found = METHOD.decide(task_id="t", votes=votes("abc", "bac", "abc", "bac", "abc"), budget=BUDGET)
    first, second = (part / PPM for part in found.parts_ppm)
    assert 0.5 < first < 0.7 < second
    assert found.confidence_ppm == pytest.approx(PPM * first * second, abs=1)


def test_neighbours_as_strong_are_a_tie_that_falls_by_task() -> None:
    mine = votes("abc", "bac")
    found = [METHOD.decide(task_id=f"t{n}", votes=mine, budget=BUDGET) for n in range(20)]
    assert all(one.tied and one.parts_ppm[0] == PPM // 2 for one in found)
    assert {one.answer for one in found} == {'["a","b","c"]', '["b","a","c"]'}


def test_a_task_closes_when_every_two_neighbours_are_sure() -> None:
    budget = Budget(1, 10, 850_000)
    assert METHOD.decide(task_id="t", votes=votes("abc", "abc", "abc"), budget=budget).final
    assert not METHOD.decide(task_id="t", votes=votes("abc", "abc", "acb"), budget=budget).final


@pytest.mark.parametrize("method", [METHOD, Ranking(items=2)])
def test_of_two_items_the_preferred_one_is_enough(method: Ranking) -> None:
    assert answer("a", "b", "a", method=method) == "a"
    agreed = method.decide(task_id="t", votes=votes("a", "a", "a"), budget=BUDGET)
    in_full = method.decide(task_id="t", votes=votes("ab", "ab", "ab"), budget=BUDGET)
    split = method.decide(task_id="t", votes=votes("a", "b", "a"), budget=BUDGET)
    assert agreed.confidence_ppm == in_full.confidence_ppm > split.confidence_ppm
    assert method.agreement(votes("a", "a"), '["a"]').hits_ppm > 0
    assert method.agreement(votes("a", "a"), '["b"]').hits_ppm < 0


def test_a_list_of_the_best_puts_the_rest_behind() -> None:
    method = Ranking(items=5)
    found = method.decide(task_id="t", votes=votes("ab", "ab", "ac"), budget=BUDGET)
    assert found.answer == '["a","b"]'
    assert len(found.parts_ppm) == 2


def test_items_may_be_numbers() -> None:
    mine = {"w": Vote("[3,1,2]", 900_000)}
    assert METHOD.decide(task_id="t", votes=mine, budget=BUDGET).answer == "[3,1,2]"


def test_who_orders_at_random_shows_even_odds_and_who_sees_well_shows_it() -> None:
    draw = random.Random(5)

    def judged(accuracy: float) -> str:
        return '["a","b"]' if draw.random() < accuracy else '["b","a"]'

    guessing = seeing = NOTHING_KNOWN
    for _ in range(500):
        others = {name: Vote(judged(0.75), 750_000) for name in "xyz"}
        guessing = guessing.plus(METHOD.agreement(others, judged(0.5)))
        seeing = seeing.plus(METHOD.agreement(others, judged(0.9)))
    assert guessing.hits_ppm / guessing.weight_ppm == pytest.approx(0.5, abs=0.06)
    assert seeing.hits_ppm / seeing.weight_ppm > 0.85


def test_a_control_task_gives_credit_by_pairs_in_order() -> None:
    def credit(found: str, gold: str = "abc") -> int:
        return METHOD.control_credit(answer=json.dumps(list(found)), gold=json.dumps(list(gold))).hits_ppm

    assert [credit(one) for one in ("abc", "acb", "cab", "cba", "a")] == [
        PPM,
        PPM * 2 // 3,
        PPM // 3,
        0,
        PPM * 5 // 6,
    ]
    assert (credit("a", "a"), credit("b", "a"), credit("ab", "a")) == (PPM, 0, PPM)


def test_what_is_no_ranking_says_nothing() -> None:
    for odd in ('["a","a"]', "[]", "[1.5]", "[true]", json.dumps(list(range(MOST_ITEMS + 1)))):
        mine = {**votes("ab", "ab"), "odd": Vote(odd, 990_000)}
        assert METHOD.decide(task_id="t", votes=mine, budget=BUDGET).answer == '["a","b"]'
        assert METHOD.agreement(votes("ab", "ab"), odd) == NOTHING_KNOWN
        assert METHOD.control_credit(answer=odd, gold='["a","b"]') == SkillCounts(0, PPM)


def test_of_too_many_different_items_those_named_most_often_are_kept() -> None:
    mine = {
        **votes("abc", "abc"),
        "odd": Vote('["x","y","z"]', 850_000),
    }
    assert Ranking(items=3).decide(task_id="t", votes=mine, budget=BUDGET).answer == '["a","b","c"]'


def test_the_next_vote_is_worth_most_where_neighbours_are_close() -> None:
    split = METHOD.expected_change(votes=votes("ab", "ba"), accuracy_ppm=850_000)
    agreed = METHOD.expected_change(votes=votes("ab", "ab"), accuracy_ppm=850_000)
    nothing = METHOD.expected_change(votes=votes("ab", "ba"), accuracy_ppm=500_000)
    assert split > agreed > nothing == 0
