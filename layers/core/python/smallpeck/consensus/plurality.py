"""Plurality: the answer that most workers gave."""

import hashlib
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

PPM = 1_000_000


@dataclass(frozen=True)
class Decision:
    """What a task's answers amount to so far.

    `confidence_ppm` is the share of answers that agree with `answer`, in millionths. `tied` says that another answer
    was given as often. `final` says that no more answers are needed.
    """

    answer: str | None
    confidence_ppm: int
    tied: bool
    final: bool


def decide(*, task_id: str, answers: Collection[str], min_answers: int, max_answers: int) -> Decision:
    """The commonest of `answers` (canonical texts, one per worker).

    A tie goes to the answer whose SHA-256 with the task's id is smallest: the same answers give the same result in
    whatever order they came. Final with `max_answers` answers, or from `min_answers` on when the answers that are
    still to come could neither overtake the leader nor draw level with it.
    """
    counts = Counter(answers)
    if not counts:
        return Decision(None, 0, tied=False, final=max_answers == 0)
    ranked = sorted(counts, key=lambda answer: (-counts[answer], _draw(task_id, answer)))
    leader = counts[ranked[0]]
    second = counts[ranked[1]] if len(ranked) > 1 else 0
    missing = max(0, max_answers - len(answers))
    return Decision(
        answer=ranked[0],
        confidence_ppm=leader * PPM // len(answers),
        tied=leader == second,
        final=missing == 0 or (len(answers) >= min_answers and leader > second + missing),
    )


def _draw(task_id: str, answer: str) -> bytes:
    return hashlib.sha256(f"{task_id}\0{answer}".encode()).digest()
