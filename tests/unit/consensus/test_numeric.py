"""Ratings: outliers hardly pull, exact workers count for more, and certainty comes with agreement."""

import json
import math
import random
from itertools import permutations

import pytest

from smallpeck.consensus.method import NOTHING_KNOWN, PPM, Budget, SkillCounts, Vote
from smallpeck.consensus.numeric import Numeric, Rater, ordinal, rate

BUDGET = Budget(1, 10)
HUNDRED = Numeric(0, 100)
STARS = ordinal([1, 2, 3, 4, 5])


def votes(*values: float, accuracy: int = 900_000) -> dict[str, Vote]:
    return {f"w{place}": Vote(json.dumps(value), accuracy) for place, value in enumerate(values)}


def decided(method: Numeric, *values: float, accuracy: int = 900_000) -> tuple[float, int]:
    found = method.decide(task_id="t", votes=votes(*values, accuracy=accuracy), budget=BUDGET)
    assert found.answer is not None
    return json.loads(found.answer), found.confidence_ppm


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
        assert (found.chance_between(2.9, 3.1), found.chance_between(3.1, 4.0)) == (1.0, 0.0)


def test_most_agreeing_exactly_does_not_break_the_scale() -> None:
    found = rate({"a": 3.0, "b": 3.0, "c": 3.0, "d": 4.0})
    assert found is not None
    assert 3.0 < found.value < 3.3


def test_what_is_known_of_raters_weighs_their_answers() -> None:
    plain, informed = (
        rate({"harsh": 3.0, "exact": 5.0}),
        rate({"harsh": 3.0, "exact": 5.0}, {"harsh": Rater(bias=-1.5)}),
    )
    assert plain is not None
    assert informed is not None
    assert informed.value > plain.value + 0.5
    weighed = rate({"a": 0.0, "b": 1.0}, {"a": Rater(spread=3.0)})
    assert weighed is not None
    assert weighed.value > 0.8


def test_the_answer_is_a_number_of_the_scale() -> None:
    assert decided(HUNDRED, 40, 41)[0] == 40.5
    assert decided(Numeric(0, 1, step=0.1), 0.3, 0.3, 0.4)[0] == 0.3
    assert decided(Numeric(0, 10, step=3), 9, 10)[0] == 9
    assert decided(STARS, 4, 4, 5)[0] == 4
    assert decided(ordinal([100, 1, 10]), 10, 10, 100)[0] == 10
    found = HUNDRED.decide(task_id="t", votes=votes(40, 40), budget=BUDGET)
    assert found.answer == "40"


def test_one_slip_of_four_does_not_move_an_ordinal_answer() -> None:
    assert decided(STARS, 2, 2, 2, 5)[0] == 2


def test_an_exact_worker_outweighs_two_wild_ones() -> None:
    mine = {**votes(60, 64, accuracy=200_000), "exact": Vote("30", 990_000)}
    found = HUNDRED.decide(task_id="t", votes=mine, budget=BUDGET)
    assert found.answer is not None
    assert json.loads(found.answer) < 36


def test_between_two_levels_is_a_tie_that_falls_either_way_by_task() -> None:
    mine = votes(3, 4)
    found = [STARS.decide(task_id=f"t{n}", votes=mine, budget=BUDGET) for n in range(20)]
    assert all(one.tied for one in found)
    assert {one.answer for one in found} == {"3", "4"}
    assert not STARS.decide(task_id="t", votes=votes(3, 3), budget=BUDGET).tied


def test_agreement_and_known_exactness_give_confidence_and_scatter_takes_it() -> None:
    _, agreed = decided(HUNDRED, 40, 41, 39)
    _, scattered = decided(HUNDRED, 20, 60, 40)
    _, exact = decided(HUNDRED, 40, 41, 39, accuracy=990_000)
    _, more = decided(HUNDRED, 40, 41, 39, 40, 41)
    assert scattered < agreed < min(exact, more)


def test_a_task_closes_when_the_mean_is_known_well_enough() -> None:
    close = HUNDRED.decide(task_id="t", votes=votes(40, 41, 39, accuracy=950_000), budget=Budget(1, 10, 900_000))
    wide = HUNDRED.decide(task_id="t", votes=votes(10, 70, 40, accuracy=950_000), budget=Budget(1, 10, 900_000))
    assert (close.final, wide.final) == (True, False)


def test_a_confidence_is_as_often_right_as_it_says_where_tasks_are_more_or_less_hard() -> None:
    draw = random.Random(1)
    method = Numeric(0, 100, correlation=0.0)
    spread = 8.0
    accuracy = round(PPM * (1 - spread**2 / (100**2 / 12)))
    right = sure = 0.0
    for _ in range(1000):
        truth = draw.uniform(40, 60)
        wide = spread * math.sqrt(method.trusted / draw.gammavariate(method.trusted / 2, 2))
        values = (min(100, max(0, draw.gauss(truth, wide))) for _ in range(draw.randint(1, 4)))
        answer, confidence = decided(method, *values, accuracy=accuracy)
        right += abs(answer - truth) <= 10
        sure += confidence / PPM
    assert right / 1000 == pytest.approx(sure / 1000, abs=0.03)


def test_skill_is_the_share_of_random_variance_that_a_worker_does_not_have() -> None:
    draw = random.Random(2)
    for spread, others_spread in ((5.0, 8.0), (15.0, 8.0)):
        total = NOTHING_KNOWN
        accuracy = round(PPM * (1 - others_spread**2 / (100**2 / 12)))
        for _ in range(1000):
            truth = draw.uniform(40, 60)
            others = votes(*(draw.gauss(truth, others_spread) for _ in range(2)), accuracy=accuracy)
            total = total.plus(HUNDRED.agreement(others, json.dumps(draw.gauss(truth, spread))))
        assert total.hits_ppm / total.weight_ppm == pytest.approx(1 - spread**2 / (100**2 / 12), abs=0.03)


def test_answers_at_random_show_no_skill() -> None:
    draw = random.Random(3)
    total = NOTHING_KNOWN
    for _ in range(1000):
        truth = draw.uniform(0, 100)
        others = votes(*(min(100, max(0, draw.gauss(truth, 5))) for _ in range(4)), accuracy=960_000)
        total = total.plus(HUNDRED.agreement(others, json.dumps(draw.uniform(0, 100))))
    assert total.hits_ppm < 0
    assert HUNDRED.accuracy_ppm(worker=total, population=NOTHING_KNOWN) == 50_000


def test_one_slip_is_not_the_end_of_a_workers_skill() -> None:
    others = votes(0, 0, 0, 0, accuracy=960_000)
    assert HUNDRED.agreement(others, "100").hits_ppm > -2.1 * PPM


def test_a_control_task_gives_credit_by_closeness() -> None:
    found = [STARS.control_credit(answer=answer, gold="4").hits_ppm for answer in ("4", "4.0", "3", "2", "1")]
    assert found == [PPM, PPM, PPM // 2, 0, 0]


def test_what_is_off_the_scale_says_nothing() -> None:
    odd = {"odd": Vote("6", 990_000)}
    assert STARS.decide(task_id="t", votes={**votes(2, 2), **odd}, budget=BUDGET).answer == "2"
    assert STARS.agreement(votes(2, 2), "6") == NOTHING_KNOWN
    assert STARS.control_credit(answer="6", gold="5") == SkillCounts(0, PPM)


def test_the_next_vote_is_worth_most_between_two_levels_and_from_an_exact_worker() -> None:
    between = STARS.expected_change(votes=votes(3, 4), accuracy_ppm=900_000)
    agreed = STARS.expected_change(votes=votes(3, 3), accuracy_ppm=900_000)
    poor = STARS.expected_change(votes=votes(3, 4), accuracy_ppm=300_000)
    assert between > agreed
    assert between >= poor
    assert agreed > STARS.expected_change(votes=votes(3, 3), accuracy_ppm=300_000)
