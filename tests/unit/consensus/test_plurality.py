"""Plurality: the commonest answer, whatever the order of arrival; final as soon as it cannot change."""

from collections import Counter
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallpeck.consensus.method import NOTHING_KNOWN, PPM, Budget, SkillCounts, Vote
from smallpeck.consensus.plurality import Plurality, decide


def decided(
    answers: str, *, minimum: int = 3, maximum: int = 3, task_id: str = "t1"
) -> tuple[str | None, int, bool, bool]:
    found = decide(task_id=task_id, answers=list(answers), min_answers=minimum, max_answers=maximum)
    return found.answer, found.confidence_ppm, found.tied, found.final


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ("", (None, 0, False, False)),
        ("a", ("a", PPM, False, False)),
        ("aab", ("a", 666_666, False, True)),
        ("aaa", ("a", PPM, False, True)),
    ],
)
def test_the_commonest_answer_wins_with_the_share_that_agrees(
    answers: str, expected: tuple[str | None, int, bool, bool]
) -> None:
    assert decided(answers) == expected


def test_a_tie_is_said_to_be_one_and_does_not_depend_on_the_order_of_arrival() -> None:
    results = {decided("".join(order)) for order in permutations("abc")}
    assert len(results) == 1
    ((_, confidence, tied, final),) = results
    assert (confidence, tied, final) == (333_333, True, True)


def test_ties_fall_evenly_over_tasks() -> None:
    won = Counter(decided("ab", maximum=2, minimum=2, task_id=f"t{n}")[0] for n in range(1_000))
    assert 400 < won["a"] < 600


@pytest.mark.parametrize(
    ("answers", "minimum", "maximum", "final"),
    [
        ("aa", 2, 3, True),
        ("aa", 3, 3, False),
        ("aab", 2, 5, False),
        ("aaab", 2, 5, True),
        ("aa", 2, 4, False),
        ("ab", 2, 3, False),
        ("aabb", 1, 4, True),
    ],
)
def test_no_more_answers_are_asked_for_once_the_result_cannot_change(
    answers: str,
    minimum: int,
    maximum: int,
    final: bool,  # noqa: FBT001 - a column of the table
) -> None:
    assert decided(answers, minimum=minimum, maximum=maximum)[3] is final


@given(st.text("abc", max_size=9), st.text("abc", max_size=9), st.integers(1, 9))
def test_a_final_result_stays_whatever_comes(answers: str, later: str, minimum: int) -> None:
    found = decide(task_id="t", answers=list(answers), min_answers=minimum, max_answers=9)
    if found.final:
        whole = (answers + later)[: max(9, len(answers))]
        again = decide(task_id="t", answers=list(whole), min_answers=minimum, max_answers=9)
        assert again.answer == found.answer or found.tied


def test_as_a_method_it_trusts_everybody_alike() -> None:
    method = Plurality()
    votes: dict[str, Vote] = {}
    for worker, answer in (("a", "x"), ("b", "x"), ("c", "y")):
        trust = method.accuracy_ppm(worker=SkillCounts(PPM, 9 * PPM), population=NOTHING_KNOWN)
        votes[worker] = method.cast(votes=votes, answer=answer, accuracy_ppm=trust)
    assert method.decide(task_id="t1", votes=votes, budget=Budget(3, 3)) == decide(
        task_id="t1", answers=["x", "x", "y"], min_answers=3, max_answers=3
    )
    assert method.closing_credits(votes=votes) == {}
    assert all(vote.credit == NOTHING_KNOWN for vote in votes.values())


@pytest.mark.parametrize(("answers", "change"), [("", 1.0), ("a", 1.0), ("ab", 1.0), ("aa", 0.0), ("aab", 1.0)])
def test_another_vote_matters_while_it_can_draw_level(answers: str, change: float) -> None:
    method = Plurality()
    votes = {str(n): method.cast(votes={}, answer=answer, accuracy_ppm=PPM) for n, answer in enumerate(answers)}
    assert method.expected_change(votes=votes, accuracy_ppm=PPM) == change
