"""One vote at a time: skill from agreement, decisions that do not depend on order, and when to stop."""

import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import pytest

from smallpeck.consensus.choice import (
    NOTHING_KNOWN,
    ChoicePolicy,
    SkillCounts,
    Vote,
    accuracy_ppm,
    agreement,
    cast,
    closing_credits,
    confidences,
    control_credit,
    decide,
    expected_change,
    refreshed,
)
from smallpeck.consensus.plurality import PPM

POLICY = ChoicePolicy(options=2, min_answers=1, max_answers=10)


def votes(answers: str, accuracy: int = 800_000) -> dict[str, Vote]:
    return {f"w{place}": Vote(answer, accuracy) for place, answer in enumerate(answers)}


def test_one_skilled_vote_outweighs_two_careless_ones() -> None:
    mine = {"a": Vote("cat", 970_000), "b": Vote("dog", 600_000), "c": Vote("dog", 600_000)}
    assert decide(task_id="t", votes=mine, policy=POLICY).answer == "cat"
    assert decide(task_id="t", votes=votes("cdd"), policy=POLICY).answer == "d"


def test_a_worker_who_is_mostly_wrong_counts_against_their_answer() -> None:
    mine = {"a": Vote("cat", 300_000), "b": Vote("dog", 600_000)}
    assert decide(task_id="t", votes=mine, policy=POLICY).answer == "dog"
    assert confidences(votes={"a": Vote("cat", 300_000)}, policy=POLICY)["cat"] < 0.5


def test_the_decision_does_not_depend_on_the_order_in_which_votes_came() -> None:
    cast_votes = [
        ("a", Vote("x", 810_001)),
        ("b", Vote("y", 733_333)),
        ("c", Vote("x", 612_345)),
        ("d", Vote("z", 900_000)),
    ]
    policy = replace(POLICY, options=4)
    assert len({decide(task_id="t", votes=dict(order), policy=policy) for order in permutations(cast_votes)}) == 1


def test_a_tie_is_said_to_be_one_and_falls_the_same_way_every_time() -> None:
    first = decide(task_id="t1", votes=votes("ab"), policy=POLICY)
    assert first.tied
    assert first.confidence_ppm == PPM // 2
    assert first == decide(task_id="t1", votes=votes("ba"), policy=POLICY)
    assert {decide(task_id=f"t{n}", votes=votes("ab"), policy=POLICY).answer for n in range(20)} == {"a", "b"}


@pytest.mark.parametrize(
    ("answers", "accuracy", "changes", "final"),
    [
        ("", 800_000, {}, False),
        ("a", 800_000, {}, False),
        ("a", 990_000, {}, True),
        ("a", 990_000, {"min_answers": 2}, False),
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
    policy = replace(POLICY, **changes)
    assert decide(task_id="t", votes=votes(answers, accuracy), policy=policy).final is final


def test_many_votes_are_believed_less_than_independent_ones_would_be() -> None:
    bare = replace(POLICY, temperature=1.0, correlation=0.0)
    assert confidences(votes=votes("aaa"), policy=bare)["a"] == pytest.approx(64 / 65)
    assert confidences(votes=votes("aaa"), policy=POLICY)["a"] < 0.95


def test_without_others_an_answer_says_nothing_of_its_worker() -> None:
    assert agreement(votes={}, answer="a", policy=POLICY) == NOTHING_KNOWN
    split = agreement(votes=votes("ab"), answer="a", policy=POLICY)
    assert split == NOTHING_KNOWN


def test_agreement_is_an_unbiased_measure_of_skill_however_unsure_the_others_are() -> None:
    draw = random.Random(5)
    policy = replace(POLICY, options=4, temperature=1.0, correlation=0.0, spread=1.0)

    def answer(truth: int, accuracy: float) -> str:
        return str(truth if draw.random() < accuracy else draw.choice([x for x in range(4) if x != truth]))

    total = NOTHING_KNOWN
    for _ in range(6000):
        truth = draw.randrange(4)
        others = {name: Vote(answer(truth, 0.6), 600_000) for name in "ab"}
        total = total.plus(agreement(votes=others, answer=answer(truth, 0.85), policy=policy))
    assert total.hits_ppm / total.weight_ppm == pytest.approx(0.85, abs=0.03)


def test_closing_tops_credits_up_to_what_all_other_votes_say_and_never_counts_twice() -> None:
    mine: dict[str, Vote] = {}
    given: dict[str, SkillCounts] = {}
    for worker, answer in (("a", "x"), ("b", "x"), ("c", "y")):
        mine[worker] = cast(votes=mine, answer=answer, accuracy=800_000, policy=POLICY)
        given[worker] = mine[worker].credit
    assert given["a"] == NOTHING_KNOWN
    changes = closing_credits(votes=mine, policy=POLICY)
    for worker, vote in mine.items():
        rest = {name: vote for name, vote in mine.items() if name != worker}
        full = agreement(votes=rest, answer=vote.answer, policy=POLICY)
        assert given[worker].plus(changes[worker]) == full
    assert changes["c"] == NOTHING_KNOWN


def test_a_new_worker_is_taken_for_a_usual_one_and_then_for_what_they_showed() -> None:
    fresh = accuracy_ppm(worker=NOTHING_KNOWN, population=NOTHING_KNOWN, policy=POLICY)
    assert fresh == POLICY.prior_ppm
    usual = SkillCounts(9_000 * PPM, 10_000 * PPM)
    assert accuracy_ppm(worker=NOTHING_KNOWN, population=usual, policy=POLICY) == pytest.approx(900_000, rel=0.001)
    poor = SkillCounts(50 * PPM, 100 * PPM)
    assert 500_000 < accuracy_ppm(worker=poor, population=usual, policy=POLICY) < 540_000


@pytest.mark.parametrize("hits", [-50, 50_000])
def test_a_belief_never_becomes_a_certainty(hits: int) -> None:
    found = accuracy_ppm(worker=SkillCounts(hits * PPM, 40 * PPM), population=NOTHING_KNOWN, policy=POLICY)
    assert found in {250_000, POLICY.best_ppm}


def test_a_control_task_counts_in_full() -> None:
    assert control_credit(answer="a", gold="a") == SkillCounts(PPM, PPM)
    assert control_credit(answer="a", gold="b") == SkillCounts(0, PPM)


def test_votes_take_up_what_is_known_by_now_and_keep_their_credit() -> None:
    known = {"w0": SkillCounts(40 * PPM, 40 * PPM)}
    mine = {name: replace(vote, credit=SkillCounts(1, 2)) for name, vote in votes("ab").items()}
    found = refreshed(votes=mine, skills=known, population=NOTHING_KNOWN, policy=POLICY)
    assert found["w0"].accuracy_ppm > mine["w0"].accuracy_ppm
    assert found["w1"] == mine["w1"]
    assert found["w0"].credit == mine["w0"].credit


def values(*tasks: str) -> Sequence[float]:
    return [expected_change(votes=votes(answers), accuracy=800_000, policy=POLICY) for answers in tasks]


def test_the_next_vote_is_worth_most_where_it_could_change_the_answer() -> None:
    untouched, split, leaning, certain = values("", "ab", "aab", "aaaa")
    assert untouched > split > leaning >= certain == 0


def test_a_skilled_worker_is_worth_more_on_a_hard_task() -> None:
    skilled = expected_change(votes=votes("aab"), accuracy=980_000, policy=POLICY)
    usual = expected_change(votes=votes("aab"), accuracy=650_000, policy=POLICY)
    assert skilled > usual
