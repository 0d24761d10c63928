"""Single choice, one answer at a time: votes with the skill used for each, and what they amount to.

A worker is right with some probability, the same for every option, and otherwise picks among the other options (the
"one-coin" worker). Every option is as likely as another before the first vote. Skill is kept as two small additive
counts: how much better than chance a worker agreed with what the others' votes said, and how much the others' votes
said. All state is whole numbers (millionths), so that sums do not depend on the order in which answers came.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from smallpeck.consensus.plurality import PPM, Decision


@dataclass(frozen=True, slots=True)
class SkillCounts:
    """What is known of a worker, or of all workers of a batch together: `hits_ppm` of `weight_ppm` were right.

    Hits may be above the weight or below zero while little is known: single comparisons are corrected for chance
    agreement, so only their sum is a share.
    """

    hits_ppm: int = 0
    weight_ppm: int = 0

    def plus(self, other: "SkillCounts") -> "SkillCounts":
        return SkillCounts(self.hits_ppm + other.hits_ppm, self.weight_ppm + other.weight_ppm)

    def minus(self, other: "SkillCounts") -> "SkillCounts":
        return SkillCounts(self.hits_ppm - other.hits_ppm, self.weight_ppm - other.weight_ppm)


NOTHING_KNOWN = SkillCounts()


@dataclass(frozen=True, slots=True)
class ChoicePolicy:
    """When a task has enough answers, and how far votes are trusted.

    `temperature` divides the evidence, the more so by `correlation` for every vote after the first: workers' errors are
    not independent, so bare posteriors are over-confident, and many votes more than one. `spread` says how evenly wrong
    answers fall on the wrong options: 1 evenly, 0 all on one.
    """

    options: int
    min_answers: int
    max_answers: int
    target_ppm: int = 930_000
    temperature: float = 1.6
    correlation: float = 0.05
    spread: float = 0.0
    sure_lead: int = 4
    prior_ppm: int = 750_000
    prior_weight: float = 20.0
    worker_weight: float = 8.0
    best_ppm: int = 990_000


@dataclass(frozen=True, slots=True)
class Vote:
    """A worker's answer, the accuracy believed of the worker when it came, and the skill it was credited with."""

    answer: str
    accuracy_ppm: int
    credit: SkillCounts = NOTHING_KNOWN


Votes = Mapping[str, Vote]


def accuracy_ppm(*, worker: SkillCounts, population: SkillCounts, policy: ChoicePolicy) -> int:
    """How often a worker is believed to be right: their counts, drawn towards those of all workers of the batch."""
    chance = PPM / max(2, policy.options)
    usual = _share(population, policy.prior_ppm, policy.prior_weight)
    usual = min(max(usual, chance * 1.1), policy.best_ppm)
    own = _share(worker, usual, policy.worker_weight)
    return round(min(max(own, chance / 2), policy.best_ppm))


def cast(*, votes: Votes, answer: str, accuracy: int, policy: ChoicePolicy) -> Vote:
    """The vote of a worker who is not among `votes` yet, credited with its agreement with them."""
    return Vote(answer, accuracy, agreement(votes=votes, answer=answer, policy=policy))


def refreshed(
    *, votes: Votes, skills: Mapping[str, SkillCounts], population: SkillCounts, policy: ChoicePolicy
) -> dict[str, Vote]:
    """The votes with what is believed of their workers by now; a worker without an entry in `skills` stays as it was.

    Done when another vote comes, and stored with it. The credits stay, so nothing is counted twice.
    """
    return {
        worker: replace(vote, accuracy_ppm=accuracy_ppm(worker=skills[worker], population=population, policy=policy))
        if worker in skills
        else vote
        for worker, vote in votes.items()
    }


def agreement(*, votes: Votes, answer: str, policy: ChoicePolicy) -> SkillCounts:
    """What an answer says about the skill of who gave it, judged by others' `votes` alone.

    If the truth is distributed as the others' votes say, a worker of accuracy q gives an answer to which they assign,
    in the mean, q * s + (1 - q) * (1 - s) / (options - 1), s being the sum of the squared probabilities: so hits and
    weight, both less the second term, sum up to an unbiased estimate of q. Votes that say nothing weigh nothing.
    """
    if not votes:
        return NOTHING_KNOWN
    shares, unseen = _posterior(votes, policy)
    others = max(0, policy.options - len(shares))
    squares = math.fsum(share * share for share in shares.values()) + others * unseen * unseen
    chance = (1 - squares) / max(1, policy.options - 1)
    return SkillCounts(round(PPM * (shares.get(answer, unseen) - chance)), round(PPM * (squares - chance)))


def control_credit(*, answer: str, gold: str) -> SkillCounts:
    """What an answer to a control task says about a worker's skill."""
    return SkillCounts(PPM if answer == gold else 0, PPM)


def closing_credits(*, votes: Votes, policy: ChoicePolicy) -> dict[str, SkillCounts]:
    """By worker, what closing a task adds to their counts: agreement with all other votes, less what was credited
    when the vote came. Applied once per closed task, guarded by its id.
    """
    changes = {}
    for worker in sorted(votes):
        rest = {name: vote for name, vote in votes.items() if name != worker}
        full = agreement(votes=rest, answer=votes[worker].answer, policy=policy)
        changes[worker] = full.minus(votes[worker].credit)
    return changes


def confidences(*, votes: Votes, policy: ChoicePolicy) -> dict[str, float]:
    """How likely each answer that was given is the right one."""
    return _posterior(votes, policy)[0]


def decide(*, task_id: str, votes: Votes, policy: ChoicePolicy) -> Decision:
    """What the votes amount to, whatever the order in which they came.

    Final with `max_answers` votes, or from `min_answers` on when the confidence reaches the target, when the leader
    is `sure_lead` votes ahead (which trusts no model), or when the votes to come could not overtake it.
    """
    if not votes:
        return Decision(None, 0, tied=False, final=policy.max_answers == 0)
    shares = confidences(votes=votes, policy=policy)
    counts = Counter(vote.answer for vote in votes.values())
    ranked = sorted(shares, key=lambda answer: (-round(shares[answer] * PPM), -counts[answer], _draw(task_id, answer)))
    best = ranked[0]
    confidence = round(shares[best] * PPM)
    lead = counts[best] - max((count for answer, count in counts.items() if answer != best), default=0)
    missing = max(0, policy.max_answers - len(votes))
    enough = confidence >= policy.target_ppm or lead >= policy.sure_lead or lead > missing
    return Decision(
        answer=best,
        confidence_ppm=confidence,
        tied=len(ranked) > 1 and round(shares[ranked[1]] * PPM) == confidence,
        final=missing == 0 or (len(votes) >= policy.min_answers and enough),
    )


def expected_change(*, votes: Votes, accuracy: int, policy: ChoicePolicy) -> float:
    """How likely it is that one more vote, by a worker of this accuracy, changes the decision's answer.

    What orders the tasks that want another answer; a certain task and one that a single vote cannot turn give 0,
    and so does a worker whose votes say nothing.
    """
    if not votes:
        return 1.0
    shares, unseen = _posterior(votes, policy)
    best = max(shares, key=lambda answer: (shares[answer], answer))
    chosen = accuracy / PPM
    wrong = (1 - chosen) / max(1, policy.options - 1)
    strength = _evidence(accuracy, policy) / _discount(len(votes) + 1, policy)
    changing = 0.0
    candidates = [(share, 1) for answer, share in shares.items() if answer != best]
    candidates.append((unseen, max(0, policy.options - len(shares))))
    for share, many in candidates:
        if many and share > 0 and math.log(share) + strength > math.log(shares[best]):
            changing += many * (share * chosen + (1 - share) * wrong)
    return changing


def _posterior(votes: Votes, policy: ChoicePolicy) -> tuple[dict[str, float], float]:
    """The probability of each answer given, and of each single option that nobody gave."""
    evidence: dict[str, list[float]] = {}
    for vote in votes.values():
        strength = _evidence(vote.accuracy_ppm, policy) / _discount(len(votes), policy)
        evidence.setdefault(vote.answer, []).append(strength)
    sums = {answer: math.fsum(evidence[answer]) for answer in sorted(evidence)}
    unseen = max(0, policy.options - len(sums))
    top = max(0.0, *sums.values()) if unseen else max(sums.values(), default=0.0)
    grown = {answer: math.exp(total - top) for answer, total in sums.items()}
    rest = math.exp(-top) if unseen else 0.0
    whole = math.fsum((*grown.values(), unseen * rest))
    return {answer: value / whole for answer, value in grown.items()}, rest / whole


def _discount(votes: int, policy: ChoicePolicy) -> float:
    """What each vote's evidence is divided by."""
    return policy.temperature * (1 + policy.correlation * (votes - 1))


def _evidence(accuracy: int, policy: ChoicePolicy) -> float:
    """The log-odds that one vote adds to its answer over any other option."""
    return math.log(accuracy / (PPM - accuracy)) + policy.spread * math.log(max(1, policy.options - 1))


def _share(counts: SkillCounts, prior_ppm: float, weight: float) -> float:
    return (counts.hits_ppm + prior_ppm * weight) / (counts.weight_ppm / PPM + weight)


def _draw(task_id: str, answer: str) -> bytes:
    return hashlib.sha256(f"{task_id}\0{answer}".encode()).digest()
