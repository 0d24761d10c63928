"""Plurality: the answer that most workers gave."""

import hashlib
from collections import Counter
from collections.abc import Collection

from smallpeck.consensus.method import PPM, Budget, Decision, SkillCounts, Vote, Votes


class Plurality:
    """The method that trusts everybody alike; `confidence_ppm` is the share of answers that agree."""

    def accuracy_ppm(self, *, worker: SkillCounts, population: SkillCounts) -> int:
        """See `Method`: everybody's the same, and not used."""
        del worker, population
        return PPM

    def cast(self, *, votes: Votes, answer: str, accuracy_ppm: int) -> Vote:
        """See `Method`: nothing is learnt of a worker."""
        del votes
        return Vote(answer, accuracy_ppm)

    def decide(self, *, task_id: str, votes: Votes, budget: Budget) -> Decision:
        """See `Method`."""
        answers = [vote.answer for vote in votes.values()]
        return decide(task_id=task_id, answers=answers, min_answers=budget.min_answers, max_answers=budget.max_answers)

    def closing_credits(self, *, votes: Votes) -> dict[str, SkillCounts]:
        """See `Method`: none."""
        del votes
        return {}

    def control_credit(self, *, answer: str, gold: str) -> SkillCounts:
        """See `Method`."""
        return SkillCounts(PPM if answer == gold else 0, PPM)

    def expected_change(self, *, votes: Votes, accuracy_ppm: int) -> float:
        """See `Method`: whether one more vote can draw level with the leader."""
        del accuracy_ppm
        if not votes:
            return 1.0
        counts = sorted(Counter(vote.answer for vote in votes.values()).values(), reverse=True)
        return 1.0 if counts[0] - (counts[1] if len(counts) > 1 else 0) <= 1 else 0.0


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
