"""One vote at a time: skill from agreement, decisions that do not depend on order, and when to stop."""

import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import pytest

from smallpeck.consensus.choice import Choice
from smallpeck.consensus.method import NOTHING_KNOWN, PPM, Budget, SkillCounts, Vote

METHOD = Choice(options=2)
BUDGET = Budget(min_answers=1, max_answers=10)


def votes(answers: str, accuracy: int = 800_000) -> dict[str, Vote]:
    return {f"w{place}": Vote(answer, accuracy) for place, answer in enumerate(answers)}


def test_one_skilled_vote_outweighs_two_careless_ones() -> None:
    mine = {"a": Vote("cat", 970_000), "b": Vote("dog", 600_000), "c": Vote("dog", 600_000)}
    assert METHOD.decide(task_id="t", votes=mine, budget=BUDGET).answer == "cat"
    assert METHOD.decide(task_id="t", votes=votes("cdd"), budget=BUDGET).answer == "d"


def test_a_worker_who_is_mostly_wrong_counts_against_their_answer() -> None:
    mine = {"a": Vote("cat", 300_000), "b": Vote("dog", 600_000)}
    assert METHOD.decide(task_id="t", votes=mine, budget=BUDGET).answer == "dog"
    assert METHOD.confidences(votes={"a": Vote("cat", 300_000)})["cat"] < 0.5


def test_the_decision_does_not_depend_on_the_order_in_which_votes_came() -> None:
    cast_votes = [
        ("a", Vote("x", 810_001)),
        ("b", Vote("y", 733_333)),
        ("c", Vote("x", 612_345)),
        ("d", Vote("z", 900_000)),
    ]
    method = Choice(options=4)
    assert (
        len({method.decide(task_id="t", votes=dict(order), budget=BUDGET) for order in permutations(cast_votes)}) == 1
    )


def test_a_tie_is_said_to_be_one_and_falls_the_same_way_every_time() -> None:
    first = METHOD.decide(task_id="t1", votes=votes("ab"), budget=BUDGET)
    assert first.tied
    assert first.confidence_ppm == PPM // 2
    assert first == METHOD.decide(task_id="t1", votes=votes("ba"), budget=BUDGET)
    assert {METHOD.decide(task_id=f"t{n}", votes=votes("ab"), budget=BUDGET).answer for n in range(20)} == {"a", "b"}


@pytest.mark.parametrize(
    ("answers", "accuracy", "changes", "final"),
    [
        ("", 800_000, {}, False),
        ("a", 800_000, {}, False),
        ("a", 990_000, {"target_ppm": 930_000}, True),
        ("a", 990_000, {"target_ppm": 930_000, "min_answers": 2}, False),
        ("aa", 990_000, {"target_ppm": PPM}, False),
        ("aaaa", 600_000, {"target_ppm": PPM}, True),
        ("aabb", 800_000, {"max_answers": 4}, True),
        ("aab", 600_000, {"max_answers": 3}, True),
        ("aa", 600_000, {"max_answers": 3}, True),
        ("ab", 600_000, {"max_answers": 3}, False),
    ],
)
def test_a_task_closes_when_sure_enough_within_its_budget(
    answers: str,
    accuracy: int,
    changes: dict[str, int],
    final: bool,  # noqa: FBT001
) -> None:
    budget = replace(BUDGET, **changes)
    assert METHOD.decide(task_id="t", votes=votes(answers, accuracy), budget=budget).final is final


@pytest.mark.parametrize(
    ("answers", "accuracy", "seats", "final"),
    [
        ("a", 900_000, 3, False),
        ("a", 990_000, 3, True),
        ("a", 990_000, 10, False),
        ("aa", 850_000, 3, True),
        ("aa", 800_000, 10, False),
        ("aaa", 900_000, 10, True),
        ("aab", 800_000, 10, False),
        ("ab", 990_000, 10, False),
    ],
)
def test_where_no_target_is_named_a_task_closes_when_more_answers_would_not_pay(
    answers: str,
    accuracy: int,
    seats: int,
    final: bool,  # noqa: FBT001
) -> None:
    assert METHOD.decide(task_id="t", votes=votes(answers, accuracy), budget=Budget(1, seats)).final is final


def test_a_task_of_many_seats_is_asked_about_for_longer() -> None:
    def until_final(seats: int) -> int:
        return next(
            n for n in range(1, seats + 1)
            if METHOD.decide(task_id="t", votes=votes("a" * n, 780_000), budget=Budget(1, seats)).final
        )  # fmt: skip

    assert [until_final(seats) for seats in (3, 5, 20)] == sorted(until_final(seats) for seats in (3, 5, 20))
    assert until_final(3) < until_final(20)


def test_two_votes_have_to_agree_before_doubt_about_more_of_them_closes_a_task() -> None:
    doubting = Choice(options=4, least_gain=1000.0)
    assert not doubting.decide(task_id="t", votes=votes("abc"), budget=BUDGET).final
    assert doubting.decide(task_id="t", votes=votes("aabc"), budget=BUDGET).final


def test_more_votes_gain_by_what_they_could_turn() -> None:
    def gain(answers: str, accuracy: int = 800_000, most: int = 5) -> float:
        return METHOD.gain_per_vote(votes=votes(answers, accuracy), most=most)

    assert gain("ab") > gain("aab") > gain("aa") > gain("aaa") > 0
    assert gain("aa", most=1) == 0
    assert gain("aab", 950_000) > gain("aab", 600_000)


def test_belief_covers_every_option_and_points_at_the_known_one() -> None:
    many = Choice(options=4)
    shares, right = many.belief(votes=votes("aab"), gold="b")
    assert len(shares) == 4
    assert sum(shares) == pytest.approx(1)
    assert right == many.confidences(votes=votes("aab"))["b"]
    assert many.belief(votes=votes("aab"), gold="d")[1] == pytest.approx(min(shares))


def test_many_votes_are_believed_less_than_independent_ones_would_be() -> None:
    bare = replace(METHOD, temperature=1.0, correlation=0.0)
    assert bare.confidences(votes=votes("aaa"))["a"] == pytest.approx(64 / 65)
    assert METHOD.confidences(votes=votes("aaa"))["a"] < 0.95


def test_without_others_an_answer_says_nothing_of_its_worker() -> None:
    assert METHOD.agreement(votes={}, answer="a") == NOTHING_KNOWN
    split = METHOD.agreement(votes=votes("ab"), answer="a")
    assert split == NOTHING_KNOWN


def test_agreement_is_an_unbiased_measure_of_skill_however_unsure_the_others_are() -> None:
    draw = random.Random(5)
    method = Choice(options=4, temperature=1.0, correlation=0.0, spread=1.0)

    def answer(truth: int, accuracy: float) -> str:
        return str(truth if draw.random() < accuracy else draw.choice([x for x in range(4) if x != truth]))

    total = NOTHING_KNOWN
    for _ in range(6000):
        truth = draw.randrange(4)
        others = {name: Vote(answer(truth, 0.6), 600_000) for name in "ab"}
        total = total.plus(method.agreement(votes=others, answer=answer(truth, 0.85)))
    assert total.hits_ppm / total.weight_ppm == pytest.approx(0.85, abs=0.03)


def test_closing_tops_credits_up_to_what_all_other_votes_say_and_never_counts_twice() -> None:
    mine: dict[str, Vote] = {}
    given: dict[str, SkillCounts] = {}
    for worker, answer in (("a", "x"), ("b", "x"), ("c", "y")):
        mine[worker] = METHOD.cast(votes=mine, answer=answer, accuracy_ppm=800_000)
        given[worker] = mine[worker].credit
    assert given["a"] == NOTHING_KNOWN
    changes = METHOD.closing_credits(votes=mine)
    for worker, vote in mine.items():
        rest = {name: vote for name, vote in mine.items() if name != worker}
        full = METHOD.agreement(votes=rest, answer=vote.answer)
        assert given[worker].plus(changes.get(worker, NOTHING_KNOWN)) == full
    assert "c" not in changes
    assert METHOD.closing_credits(votes={"a": Vote("x", 800_000), "b": Vote("x", 800_000)}).keys() == {"a", "b"}


def test_a_new_worker_is_taken_for_a_usual_one_and_then_for_what_they_showed() -> None:
    fresh = METHOD.accuracy_ppm(worker=NOTHING_KNOWN, population=NOTHING_KNOWN)
    assert fresh == METHOD.prior_ppm
    usual = SkillCounts(9_000 * PPM, 10_000 * PPM)
    assert METHOD.accuracy_ppm(worker=NOTHING_KNOWN, population=usual) == pytest.approx(900_000, rel=0.001)
    poor = SkillCounts(50 * PPM, 100 * PPM)
    assert 500_000 < METHOD.accuracy_ppm(worker=poor, population=usual) < 550_000


@pytest.mark.parametrize("hits", [-50, 50_000])
def test_a_belief_never_becomes_a_certainty(hits: int) -> None:
    found = METHOD.accuracy_ppm(worker=SkillCounts(hits * PPM, 40 * PPM), population=NOTHING_KNOWN)
    assert found in {250_000, METHOD.best_ppm}


def test_a_control_task_counts_in_full() -> None:
    assert METHOD.control_credit(answer="a", gold="a") == SkillCounts(PPM, PPM)
    assert METHOD.control_credit(answer="a", gold="b") == SkillCounts(0, PPM)


def values(*tasks: str) -> Sequence[float]:
    return [METHOD.expected_change(votes=votes(answers), accuracy_ppm=800_000) for answers in tasks]


def test_the_next_vote_is_worth_most_where_it_could_change_the_answer() -> None:
    untouched, split, leaning, certain = values("", "ab", "aab", "aaaa")
    assert untouched > split > leaning >= certain == 0


def test_a_skilled_worker_is_worth_more_on_a_hard_task() -> None:
    skilled = METHOD.expected_change(votes=votes("aab"), accuracy_ppm=980_000)
    usual = METHOD.expected_change(votes=votes("aab"), accuracy_ppm=650_000)
    assert skilled > usual
