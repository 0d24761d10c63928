"""Single choice, one answer at a time: votes with the skill used for each, and what they amount to.

A worker is right with some probability, the same for every option, and otherwise picks among the other options (the
"one-coin" worker). Every option is as likely as another before the first vote. Skill is kept as two small additive
counts: how much better than chance a worker agreed with what the others' votes said, and how much the others' votes
said.
"""

import hashlib
import math
from collections import Counter
from dataclasses import dataclass

from smallpeck.consensus.method import NOTHING_KNOWN, PPM, Budget, Decision, SkillCounts, Vote, Votes

_HORIZON = 12
_LEAST_EVIDENCE = 0.05


@dataclass(frozen=True, slots=True)
class Choice:
    """One of `options` answers is right. See `Method`.

    `temperature` divides the evidence, the more so by `correlation` for every vote after the first: workers' errors are
    not independent, so bare posteriors are over-confident, and many votes more than one. `spread` says how evenly wrong
    answers fall on the wrong options: 1 evenly, 0 all on one.

    `target_ppm` holds where a batch names no target. Where that is None too, a task closes when more answers are not
    worth their price: when all its seats together, at what the next answers are expected to gain, would add less than
    `least_gain` to the chance of a right answer; and either two votes agree, or the confidence is at least
    `single_ppm`. `next_temperature` divides the evidence that those answers would bring.
    """

    options: int
    target_ppm: int | None = None
    least_gain: float = 0.1
    single_ppm: int = 900_000
    next_temperature: float = 1.25
    temperature: float = 1.6
    correlation: float = 0.05
    spread: float = 0.0
    sure_lead: int = 4
    prior_ppm: int = 750_000
    prior_weight: float = 20.0
    worker_weight: float = 12.0
    best_ppm: int = 990_000

    def accuracy_ppm(self, *, worker: SkillCounts, population: SkillCounts) -> int:
        """See `Method`."""
        chance = PPM / max(2, self.options)
        usual = _share(population, self.prior_ppm, self.prior_weight)
        usual = min(max(usual, chance * 1.1), self.best_ppm)
        own = _share(worker, usual, self.worker_weight)
        return round(min(max(own, chance / 2), self.best_ppm))

    def cast(self, *, votes: Votes, answer: str, accuracy_ppm: int) -> Vote:
        """See `Method`."""
        return Vote(answer, accuracy_ppm, self.agreement(votes=votes, answer=answer))

    def agreement(self, *, votes: Votes, answer: str) -> SkillCounts:
        """What an answer says about the skill of who gave it, judged by others' `votes` alone.

        If the truth is distributed as the others' votes say, a worker of accuracy q gives an answer to which they
        assign, in the mean, q * s + (1 - q) * (1 - s) / (options - 1), s being the sum of the squared probabilities: so
        hits and weight, both less the second term, sum up to an unbiased estimate of q. Votes that say nothing weigh
        nothing.
        """
        if not votes:
            return NOTHING_KNOWN
        shares, unseen = self._posterior(votes)
        others = max(0, self.options - len(shares))
        squares = math.fsum(share * share for share in shares.values()) + others * unseen * unseen
        chance = (1 - squares) / max(1, self.options - 1)
        return SkillCounts(round(PPM * (shares.get(answer, unseen) - chance)), round(PPM * (squares - chance)))

    def control_credit(self, *, answer: str, gold: str) -> SkillCounts:
        """See `Method`."""
        return SkillCounts(PPM if answer == gold else 0, PPM)

    def closing_credits(self, *, votes: Votes) -> dict[str, SkillCounts]:
        """See `Method`."""
        changes = {}
        for worker in sorted(votes):
            rest = {name: vote for name, vote in votes.items() if name != worker}
            change = self.agreement(votes=rest, answer=votes[worker].answer).minus(votes[worker].credit)
            if change != NOTHING_KNOWN:
                changes[worker] = change
        return changes

    def confidences(self, *, votes: Votes) -> dict[str, float]:
        """How likely each answer that was given is the right one."""
        return self._posterior(votes)[0]

    def belief(self, *, votes: Votes, gold: str) -> tuple[list[float], float]:
        """See `smallpeck.consensus.calibration.Believing`."""
        shares, unseen = self._posterior(votes)
        return [*shares.values(), *[unseen] * (self.options - len(shares))], shares.get(gold, unseen)

    def decide(self, *, task_id: str, votes: Votes, budget: Budget) -> Decision:
        """See `Method`.

        Final with `max_answers` votes, or from `min_answers` on when the confidence reaches the target (where there is
        none, when more answers are not worth their price), when the leader is `sure_lead` votes ahead (which trusts no
        model), or when the votes to come could not overtake it.
        """
        if not votes:
            return Decision(None, 0, tied=False, final=budget.max_answers == 0)
        shares = self.confidences(votes=votes)
        counts = Counter(vote.answer for vote in votes.values())
        ranked = sorted(
            shares, key=lambda answer: (-round(shares[answer] * PPM), -counts[answer], _draw(task_id, answer))
        )
        best = ranked[0]
        confidence = round(shares[best] * PPM)
        lead = counts[best] - max((count for answer, count in counts.items() if answer != best), default=0)
        missing = max(0, budget.max_answers - len(votes))
        enough = lead >= self.sure_lead or lead > missing
        target = self.target_ppm if budget.target_ppm is None else budget.target_ppm
        if not enough and target is not None:
            enough = confidence >= target
        elif not enough and missing and (counts[best] > 1 or confidence >= self.single_ppm):
            enough = self.gain_per_vote(votes=votes, most=missing) * budget.max_answers < self.least_gain
        return Decision(
            answer=best,
            confidence_ppm=confidence,
            tied=len(ranked) > 1 and round(shares[ranked[1]] * PPM) == confidence,
            final=missing == 0 or (len(votes) >= budget.min_answers and enough),
        )

    def gain_per_vote(self, *, votes: Votes, most: int) -> float:
        """How much each of the next votes, `most` at most, raises the chance of a right answer, in the mean.

        Of k votes by workers like those of `votes`, so many that it pays best; the expected value of sample information
        (Raiffa and Schlaifer 1961). Every other option is set against the leader by itself: a vote is for the one or
        for the other.
        """
        shares, unseen = self._posterior(votes)
        best, *others = sorted(shares.values(), reverse=True)
        challengers = [(share, 1) for share in others]
        challengers.append((unseen, max(0, self.options - len(shares))))
        usual = math.fsum(self._evidence(vote.accuracy_ppm) for vote in votes.values()) / len(votes)
        strength = max(usual, _LEAST_EVIDENCE) * self.temperature / self._discount(len(votes)) / self.next_temperature
        right = 1 / (1 + math.exp(-strength))
        most_gain = 0.0
        for many in range(1, min(most, _HORIZON) + 1):
            gain = math.fsum(alike * _gain(best, share, right, many) for share, alike in challengers if alike)
            most_gain = max(most_gain, gain / many)
        return most_gain

    def expected_change(self, *, votes: Votes, accuracy_ppm: int) -> float:
        """See `Method`. A certain task and one that a single vote cannot turn give 0, and so does a worker whose votes
        say nothing.
        """
        if not votes:
            return 1.0
        shares, unseen = self._posterior(votes)
        best = max(shares, key=lambda answer: (shares[answer], answer))
        chosen = accuracy_ppm / PPM
        wrong = (1 - chosen) / max(1, self.options - 1)
        strength = self._evidence(accuracy_ppm) / self._discount(len(votes) + 1)
        changing = 0.0
        candidates = [(share, 1) for answer, share in sorted(shares.items()) if answer != best]
        candidates.append((unseen, max(0, self.options - len(shares))))
        for share, many in candidates:
            if many and share > 0 and math.log(share) + strength > math.log(shares[best]):
                changing += many * (share * chosen + (1 - share) * wrong)
        return changing

    def _posterior(self, votes: Votes) -> tuple[dict[str, float], float]:
        """The probability of each answer given, and of each single option that nobody gave."""
        evidence: dict[str, list[float]] = {}
        discount = self._discount(len(votes))
        for vote in votes.values():
            evidence.setdefault(vote.answer, []).append(self._evidence(vote.accuracy_ppm) / discount)
        sums = {answer: math.fsum(evidence[answer]) for answer in sorted(evidence)}
        unseen = max(0, self.options - len(sums))
        top = max(0.0, *sums.values()) if unseen else max(sums.values(), default=0.0)
        grown = {answer: math.exp(total - top) for answer, total in sums.items()}
        rest = math.exp(-top) if unseen else 0.0
        whole = math.fsum((*grown.values(), unseen * rest))
        return {answer: value / whole for answer, value in grown.items()}, rest / whole

    def _discount(self, votes: int) -> float:
        """What each vote's evidence is divided by."""
        return self.temperature * (1 + self.correlation * (votes - 1))

    def _evidence(self, accuracy: int) -> float:
        """The log-odds that one vote adds to its answer over any other option."""
        return math.log(accuracy / (PPM - accuracy)) + self.spread * math.log(max(1, self.options - 1))


def _gain(leader: float, other: float, right: float, votes: int) -> float:
    """How much likelier a right answer is after so many more votes, each right with chance `right`."""
    gain = 0.0
    for agreeing in range(votes, -1, -1):
        if_other = other * right**agreeing * (1 - right) ** (votes - agreeing)
        if_leader = leader * (1 - right) ** agreeing * right ** (votes - agreeing)
        if if_other <= if_leader:
            break
        gain += math.comb(votes, agreeing) * (if_other - if_leader)
    return gain


def _share(counts: SkillCounts, prior_ppm: float, weight: float) -> float:
    return (counts.hits_ppm + prior_ppm * weight) / (counts.weight_ppm / PPM + weight)


def _draw(task_id: str, answer: str) -> bytes:
    return hashlib.sha256(f"{task_id}\0{answer}".encode()).digest()
