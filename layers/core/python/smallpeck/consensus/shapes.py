"""Objects marked in an image: boxes, polygons, points and lines of several workers become one list.

What several workers marked is grouped (at most one object of each worker in a group), a group is one candidate, and
each candidate is a yes-or-no question: is there such an object? Who marked it says yes, who did not says no, each with
the weight of their one skill. That the marks lie close together speaks for the candidate as well.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from smallpeck.consensus.agreement import drawn, shown, topped_up
from smallpeck.consensus.figures import Form, form_of
from smallpeck.consensus.matching import grouped, matched, touching
from smallpeck.consensus.method import NOTHING_KNOWN, PPM, Budget, Decision, SkillCounts, Vote, Votes
from smallpeck.kernel.ids import canonical_json

SAME = 0.5
_BADLY_PLACED, _WELL_PLACED = 0.3, 0.8
_LABEL_APART = 0.5
_LEAST_WEIGHT = 0.05
_WORST_PPM = 100_000
_FARTHEST_ODDS = 12.0


@dataclass(frozen=True, slots=True)
class Marked:
    """An object in an answer: where it is, and what it is called, if anything."""

    figure: Any
    label: str | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """What may be an object: its merged figure, the chance that it is one, and that of its label if it is."""

    marked: Marked
    chance: float
    label_share: float


@dataclass(frozen=True, slots=True)
class Shapes:
    """An answer is a JSON list of objects of one `form` (boxes, polygons, points, lines), empty where there is none.
    See `Method`, and `figures` for how an object is written.

    An object may carry a `label`. Objects of different labels can be one object, whose label is then decided by vote,
    but they count as half as close, so that equal labels find each other first. `tolerance` is the distance in pixels
    up to which points or lines are the same. `prior_ppm` is the chance of a candidate before the votes, `correlation`
    how far votes repeat each other, `closeness_odds` what closeness adds to the log-odds of a candidate from
    `usual_closeness` to one more. A candidate is in the answer from the chance `keep_ppm` on. `unseen` is the number of
    objects in a task that are hard to see. An answer that cannot be read takes its seat and says nothing.
    Raises ValueError for settings that make no sense.
    """

    form: str
    tolerance: float = 20.0
    target_ppm: int = 905_000
    keep_ppm: int = 450_000
    prior_ppm: int = 600_000
    correlation: float = 0.25
    least_closeness: float = 0.25
    usual_closeness: float = 0.5
    closeness_odds: float = 8.0
    unseen: float = 0.5
    usual_ppm: int = 800_000
    usual_weight: float = 20.0
    worker_weight: float = 8.0
    best_ppm: int = 970_000

    def __post_init__(self) -> None:
        if not self.tolerance > 0:
            raise ValueError("tolerance is a number of pixels above 0")
        if not 0 < self.target_ppm <= PPM:
            raise ValueError("target_ppm is above 0 and at most 1,000,000")
        form_of(self.form, tolerance=self.tolerance)

    def accuracy_ppm(self, *, worker: SkillCounts, population: SkillCounts) -> int:
        """See `Method`: how often the worker is right about a candidate, marks lying badly counting as less right."""
        usual = drawn(population, towards_ppm=self.usual_ppm, weight=self.usual_weight)
        own = drawn(worker, towards_ppm=usual, weight=self.worker_weight)
        return round(min(max(own, _WORST_PPM), self.best_ppm))

    def cast(self, *, votes: Votes, answer: str, accuracy_ppm: int) -> Vote:
        """See `Method`."""
        return Vote(answer, accuracy_ppm, self.agreement(votes, answer))

    def agreement(self, votes: Votes, answer: str) -> SkillCounts:
        """What an answer says about the skill of who gave it, judged by others' `votes` alone, over all candidates of
        both. A mark of a candidate counts as a yes as far as it lies well, the rest of it as a no.
        """
        mine = self.read(answer)
        others = self._readable(votes)
        if mine is None or not others:
            return NOTHING_KNOWN
        candidates = self._candidates(others, votes)
        pairs = matched(
            len(mine),
            len(candidates),
            lambda one, other: self._closeness(mine[one], candidates[other].marked),
            least=self.least_closeness,
        )
        found = {other: _rightness(close) for _, other, close in pairs}
        gains = [_half_shown(candidate.chance, found.get(n, 0.0)) for n, candidate in enumerate(candidates)]
        alone = _chance(self._odds([], sorted(others), votes))
        gains.extend(_half_shown(alone, 1.0) for _ in range(len(mine) - len(pairs)))
        return SkillCounts(
            round(PPM * math.fsum(hits for hits, _ in gains)), round(PPM * math.fsum(weight for _, weight in gains))
        )

    def control_credit(self, *, answer: str, gold: str) -> SkillCounts:
        """See `Method`: over the objects of both, how well those that match lie. No objects, rightly, are one hit."""
        mine, truth = self.read(answer), self.read(gold)
        if truth is None:
            return NOTHING_KNOWN
        if mine is None:
            return SkillCounts(0, PPM * max(1, len(truth)))
        if not mine and not truth:
            return SkillCounts(PPM, PPM)
        pairs = self.pairs(mine, truth, least=self.least_closeness)
        right = math.fsum(_rightness(close) for _, _, close in pairs)
        return SkillCounts(round(PPM * right), PPM * (len(mine) + len(truth) - len(pairs)))

    def closing_credits(self, *, votes: Votes) -> dict[str, SkillCounts]:
        """See `Method`."""
        return topped_up(votes=votes, agreement=self.agreement)

    def decide(self, *, task_id: str, votes: Votes, budget: Budget) -> Decision:
        """See `Method`. `parts_ppm` has one confidence per object of the answer, in its order: that there is such an
        object, and of such a label.

        The confidence is the chance that every candidate was rightly taken or left and that none was overlooked by
        all. Final with `max_answers` votes, or from `min_answers` on when that reaches the target.
        """
        del task_id
        missing = max(0, budget.max_answers - len(votes))
        readable = self._readable(votes)
        if not readable:
            return Decision(None, 0, tied=False, final=missing == 0)
        candidates = self._candidates(readable, votes)
        kept = [candidate for candidate in candidates if self._kept(candidate)]
        sure = [c.chance * c.label_share if self._kept(c) else 1 - c.chance for c in candidates]
        confidence = round(PPM * math.prod(sure) * (1 - self._overlooked(readable, votes)))
        target = self.target_ppm if budget.target_ppm is None else budget.target_ppm
        return Decision(
            answer=canonical_json([self._written(candidate.marked) for candidate in kept]),
            confidence_ppm=confidence,
            tied=any(round(candidate.chance * PPM) == self.keep_ppm for candidate in candidates),
            final=missing == 0 or (len(votes) >= budget.min_answers and confidence >= target),
            parts_ppm=tuple(round(PPM * candidate.chance * candidate.label_share) for candidate in kept),
        )

    def expected_change(self, *, votes: Votes, accuracy_ppm: int) -> float:
        """See `Method`: the chance that at least one candidate goes in or out, or that one more object is found."""
        readable = self._readable(votes)
        if not readable:
            return 1.0
        right = accuracy_ppm / PPM
        step = _odds_of(right) / self._discount(len(readable) + 1)
        stays = 1.0
        for candidate in self._candidates(readable, votes):
            odds, marks = _odds_of(candidate.chance), candidate.chance * right + (1 - candidate.chance) * (1 - right)
            if self._kept(candidate) and _chance(odds - step) * PPM < self.keep_ppm:
                stays *= marks
            elif not self._kept(candidate) and _chance(odds + step) * PPM >= self.keep_ppm:
                stays *= 1 - marks
        return 1 - stays * (1 - self._overlooked(readable, votes) * right)

    def candidates(self, votes: Votes) -> list[Candidate]:
        """Everything that anyone marked, what is not kept in the answer included, in the order of answers."""
        return self._candidates(self._readable(votes), votes)

    def pairs(self, one: Sequence[Marked], other: Sequence[Marked], *, least: float) -> list[tuple[int, int, float]]:
        """The objects of two lists that belong together, the closest first, and how close."""
        return matched(len(one), len(other), lambda a, b: self._closeness(one[a], other[b]), least=least)

    def read(self, answer: str) -> tuple[Marked, ...] | None:
        """The objects of an answer in a fixed order; None for what is not a list of such objects."""
        return _read(self.form, self.tolerance, answer)

    @property
    def _form(self) -> Form:
        return _form(self.form, self.tolerance)

    def _readable(self, votes: Votes) -> dict[str, tuple[Marked, ...]]:
        found = ((worker, self.read(votes[worker].answer)) for worker in sorted(votes))
        return {worker: objects for worker, objects in found if objects is not None}

    def _closeness(self, one: Marked, other: Marked) -> float:
        close = self._form.closeness(one.figure, other.figure)
        apart = one.label is not None and other.label is not None and one.label != other.label
        return close * _LABEL_APART if apart else close

    def _candidates(self, readable: Mapping[str, Sequence[Marked]], votes: Votes) -> list[Candidate]:
        workers = sorted(readable)
        objects = [marked for worker in workers for marked in readable[worker]]
        owners = [number for number, worker in enumerate(workers) for _ in readable[worker]]
        form = self._form
        close_pairs = (
            (one, other, self._closeness(objects[one], objects[other]))
            for one, other in touching([form.reach(marked.figure) for marked in objects])
            if owners[one] != owners[other]
        )
        found = []
        for group in grouped(owners, close_pairs, least=self.least_closeness):
            marking = [workers[owners[number]] for number in group.members]
            marks = [objects[number] for number in group.members]
            silent = sorted(set(workers) - set(marking))
            odds = self._odds(marking, silent, votes)
            if len(marks) > 1:
                odds += self.closeness_odds * (group.closeness - self.usual_closeness)
            evidence = [_odds_of(votes[worker].accuracy_ppm / PPM) for worker in marking]
            weights = [max(one, _LEAST_WEIGHT) for one in evidence]
            figure = form.merged([marked.figure for marked in marks], weights)
            label, share = self._label(marks, evidence, len(workers))
            found.append(Candidate(Marked(figure, label), _chance(odds), share))
        return sorted(found, key=lambda candidate: _place(candidate.marked))

    def _odds(self, marking: Sequence[str], silent: Sequence[str], votes: Votes) -> float:
        """The log-odds of something to which these say yes and those, by their silence, no."""
        evidence = [_odds_of(votes[worker].accuracy_ppm / PPM) for worker in marking]
        evidence.extend(-_odds_of(votes[worker].accuracy_ppm / PPM) for worker in silent)
        return _odds_of(self.prior_ppm / PPM) + math.fsum(evidence) / self._discount(len(evidence))

    def _label(self, marks: Sequence[Marked], evidence: Sequence[float], voters: int) -> tuple[str | None, float]:
        """The label that the marks of a candidate speak for, and its chance against the others given and one more."""
        sums: dict[str, list[float]] = {}
        for marked, one in zip(marks, evidence, strict=True):
            if marked.label is not None:
                sums.setdefault(marked.label, []).append(one / self._discount(voters))
        if not sums:
            return None, 1.0
        grown = {label: math.exp(math.fsum(sums[label])) for label in sorted(sums)}
        best = max(sorted(grown), key=lambda label: grown[label])
        return best, grown[best] / (math.fsum(grown.values()) + 1)

    def _overlooked(self, readable: Mapping[str, object], votes: Votes) -> float:
        """The chance that there is an object which none of these workers saw."""
        return self.unseen * math.prod(1 - votes[worker].accuracy_ppm / PPM for worker in sorted(readable))

    def _kept(self, candidate: Candidate) -> bool:
        return round(candidate.chance * PPM) >= self.keep_ppm

    def _discount(self, votes: int) -> float:
        """What each vote's evidence is divided by: the design effect of votes that resemble each other (Kish 1965)."""
        return 1 + self.correlation * (votes - 1)

    def _written(self, marked: Marked) -> dict[str, Any]:
        written = self._form.written(marked.figure)
        return written if marked.label is None else {**written, "label": marked.label}


def boxes(**settings: Any) -> Shapes:
    """`Shapes` of boxes."""
    return Shapes("boxes", **settings)


def polygons(**settings: Any) -> Shapes:
    """`Shapes` of polygons."""
    return Shapes("polygons", **settings)


def points(**settings: Any) -> Shapes:
    """`Shapes` of points."""
    return Shapes("points", **settings)


def lines(**settings: Any) -> Shapes:
    """`Shapes` of lines."""
    return Shapes("lines", **settings)


@lru_cache(maxsize=64)
def _form(name: str, tolerance: float) -> Form:
    return form_of(name, tolerance=tolerance)


@lru_cache(maxsize=4_096)
def _read(form: str, tolerance: float, answer: str) -> tuple[Marked, ...] | None:
    try:
        raw = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    if not isinstance(raw, list):
        return None
    found = []
    for one in raw:
        label = one.get("label") if isinstance(one, dict) else None
        figure = _form(form, tolerance).read(one) if isinstance(one, dict) else None
        if figure is None or not (label is None or isinstance(label, str)):
            return None
        found.append(Marked(figure, label))
    return tuple(sorted(found, key=_place))


def _place(marked: Marked) -> tuple[Any, str]:
    return marked.figure, marked.label or ""


def _rightness(closeness: float) -> float:
    """How well a mark lies: none of it below `_BADLY_PLACED`, all of it from `_WELL_PLACED` on."""
    return min(1.0, max(0.0, (closeness - _BADLY_PLACED) / (_WELL_PLACED - _BADLY_PLACED)))


def _half_shown(belief: float, said: float) -> tuple[float, float]:
    """Hits and weight of a judgement that is a yes to the share `said` and a no to the rest."""
    yes, weight = shown(belief=belief, agrees=True)
    no, _ = shown(belief=belief, agrees=False)
    return said * yes + (1 - said) * no, weight


def _odds_of(chance: float) -> float:
    clipped = min(max(chance, 1e-6), 1 - 1e-6)
    return math.log(clipped / (1 - clipped))


def _chance(odds: float) -> float:
    return 1 / (1 + math.exp(-min(max(odds, -_FARTHEST_ODDS), _FARTHEST_ODDS)))
