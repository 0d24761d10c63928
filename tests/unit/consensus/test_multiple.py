"""Several options at once: each decided by itself, one skill per worker, sure when every option is."""

import json
import random

import pytest

from smallpeck.consensus.method import NOTHING_KNOWN, PPM, Budget, SkillCounts, Vote
from smallpeck.consensus.multiple import Multiple

METHOD = Multiple(("a", "b", "c"))
BUDGET = Budget(2, 5)


def votes(*answers: str, accuracy: int = 850_000) -> dict[str, Vote]:
    """An answer is given by the letters of the options ticked."""
    return {f"w{place}": Vote(json.dumps(list(ticked)), accuracy) for place, ticked in enumerate(answers)}


def test_every_option_is_decided_by_itself() -> None:
    found = METHOD.decide(task_id="t", votes=votes("ab", "a", "ab"), budget=BUDGET)
    assert (found.answer, found.final) == ('["a","b"]', False)
    assert found.parts_ppm[0] == found.parts_ppm[2] > found.parts_ppm[1]


def test_the_answer_stands_in_the_order_of_the_batch_however_workers_tick() -> None:
    method = Multiple(("small", "big", "old"))
    mine = {"w": Vote('["old","small","old"]', 900_000)}
    assert method.decide(task_id="t", votes=mine, budget=BUDGET).answer == '["small","old"]'


def test_nothing_ticked_is_an_answer() -> None:
    assert METHOD.decide(task_id="t", votes=votes("", "", "a"), budget=BUDGET).answer == "[]"


def test_the_confidence_is_the_chance_that_all_options_are_right() -> None:
    found = METHOD.decide(task_id="t", votes=votes("ab", "a"), budget=BUDGET)
    first, second, third = (part / PPM for part in found.parts_ppm)
    assert found.confidence_ppm == pytest.approx(PPM * first * second * third, abs=1)
    assert second == 0.5
    assert found.tied


def test_final_when_every_option_is() -> None:
    assert METHOD.decide(task_id="t", votes=votes("a", "a", "a", accuracy=950_000), budget=BUDGET).final
    assert not METHOD.decide(task_id="t", votes=votes("a", "a", "ab", accuracy=950_000), budget=BUDGET).final


def test_a_skilled_worker_outweighs_two_careless_ones() -> None:
    mine = {**votes("b", "b", accuracy=600_000), "skilled": Vote('["a"]', 980_000)}
    assert METHOD.decide(task_id="t", votes=mine, budget=BUDGET).answer == '["a"]'


def test_who_ticks_nothing_where_little_holds_is_not_taken_for_skilled() -> None:
    options = tuple("abcdefgh")
    method = Multiple(options)
    draw = random.Random(2)
    careful = lazy = NOTHING_KNOWN
    for _ in range(300):
        truth = [option for option in options if draw.random() < 0.15]

        def seen(truth: list[str] = truth) -> str:
            return json.dumps([one for one in options if draw.random() < (0.85 if one in truth else 0.05)])

        others = {f"w{place}": Vote(seen(), 900_000) for place in range(3)}
        careful = careful.plus(method.agreement(others, seen()))
        lazy = lazy.plus(method.agreement(others, "[]"))
    assert careful.hits_ppm / careful.weight_ppm > 0.85
    assert lazy.hits_ppm / lazy.weight_ppm < 0.6


def test_a_control_task_gives_part_of_the_credit_for_part_of_the_answer() -> None:
    def credit(answer: str, gold: str) -> int:
        return METHOD.control_credit(answer=json.dumps(list(answer)), gold=json.dumps(list(gold))).hits_ppm

    assert credit("ab", "ab") == PPM
    assert credit("a", "ab") == 750_000
    assert credit("abc", "ab") == credit("", "ab") == PPM // 2
    assert credit("c", "ab") == 0
    assert credit("a", "") == pytest.approx(PPM * 2 / 3, abs=1)


def test_what_ticks_something_else_says_nothing() -> None:
    odd = {"odd": Vote('["z"]', 990_000)}
    known = METHOD.decide(task_id="t", votes=votes("a", "a"), budget=BUDGET)
    found = METHOD.decide(task_id="t", votes={**votes("a", "a"), **odd}, budget=BUDGET)
    assert (found.answer, found.parts_ppm) == (known.answer, known.parts_ppm)
    assert METHOD.agreement(votes("a", "a"), '["z"]') == NOTHING_KNOWN
    assert METHOD.control_credit(answer='["z"]', gold='["a"]') == SkillCounts(0, PPM)
    assert METHOD.decide(task_id="t", votes=odd, budget=BUDGET).answer is None


def test_the_next_vote_is_worth_most_where_an_option_is_open() -> None:
    agreed = METHOD.expected_change(votes=votes("a", "a", "a"), accuracy_ppm=800_000)
    split = METHOD.expected_change(votes=votes("ab", "a", "ab", "a"), accuracy_ppm=800_000)
    assert split > 0.4 > agreed
