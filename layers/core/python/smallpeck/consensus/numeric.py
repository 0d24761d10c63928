"""Ordinal and numeric ratings: a mean that outliers cannot pull away, with its spread.

Huber's M-estimate (1964) of location. Workers may be more or less precise (`spread`) and lean to one side (`bias`):
what is known of that weighs the answer and is taken off first.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from smallpeck.consensus.agreement import drawn, topped_up
from smallpeck.consensus.method import NOTHING_KNOWN, PPM, Budget, Decision, SkillCounts, Vote, Votes
from smallpeck.kernel.ids import canonical_json

_CORNER = 1.345
_MAD_TO_SIGMA = 1.4826
_ROUNDS = 50
_STILL = 1e-9
_FARTHEST = 3.0
_WORST_PPM = 50_000


@dataclass(frozen=True, slots=True)
class Rater:
    """How far a worker's ratings lie from what was decided in the mean, and how widely they scatter about that."""

    bias: float = 0.0
    spread: float = 1.0


@dataclass(frozen=True, slots=True)
class Rating:
    """The robust mean, the scatter of a usual rater's answers about it, the standard error of the mean itself, and
    the degrees of freedom behind that.
    """

    value: float
    spread: float
    error: float
    freedom: float

    def chance_between(self, low: float, high: float) -> float:
        """How likely the truth lies between: Student's distribution about the mean, by its normal approximation
        (Abramowitz and Stegun 26.7.8).
        """
        return self._below(high) - self._below(low)

    def _below(self, limit: float) -> float:
        if math.isinf(limit) or self.error == 0 or self.freedom <= 0:
            return 1.0 if limit >= self.value else 0.0
        far = (limit - self.value) / self.error
        many = self.freedom
        return _normal(far * (1 - 1 / (4 * many)) / math.sqrt(1 + far * far / (2 * many)))


def rate(
    answers: Mapping[str, float], raters: Mapping[str, Rater] | None = None, *, trusted: float = 0.0
) -> Rating | None:
    """The rating that the answers amount to; None without answers. The same in whatever order they came.

    The raters' spreads say how much each counts against another. How wide they are as such is taken from the scatter
    of these answers, and with `trusted` from what the raters are known for as well, as if from so many answers more.
    """
    if not answers:
        return None
    known = raters or {}
    pairs = sorted(
        (answers[worker] - known.get(worker, Rater()).bias, known.get(worker, Rater()).spread) for worker in answers
    )
    middle = median(value for value, _ in pairs)
    scale = _scale([abs(value - middle) / spread for value, spread in pairs], trusted)
    factors: Sequence[float] = ()
    weights: Sequence[float] = ()
    for _ in range(_ROUNDS):
        factors = [_huber(abs(value - middle) / (spread * scale)) for value, spread in pairs]
        weights = [factor / spread**2 for factor, (_, spread) in zip(factors, pairs, strict=True)]
        moved = math.fsum(w * value for w, (value, _) in zip(weights, pairs, strict=True)) / math.fsum(weights)
        still = abs(moved - middle) <= _STILL * scale
        middle = moved
        if still:
            break
    freedom = trusted + len(pairs) - 1
    apart = math.fsum(
        (factor * (value - middle) / spread) ** 2 for factor, (value, spread) in zip(factors, pairs, strict=True)
    )
    width = math.sqrt((trusted + apart) / freedom) if freedom > 0 else 0.0
    usual = math.sqrt(len(pairs) / math.fsum(spread**-2 for _, spread in pairs))
    return Rating(middle, width * usual, width / math.sqrt(math.fsum(weights)), freedom)


@dataclass(frozen=True, slots=True)
class Numeric:
    """A number between `low` and `high`; on a scale of `step`, or of `levels`, one of those. See `Method`.

    An answer is a JSON number. A worker's skill is how much smaller the square of their error is than the variance of
    answers given at random over the scale: 1 always exact, 0 no better. So accuracy and spread are one thing, and the
    chance level is taken off.

    `tolerance` is how far from the truth still counts as right: by default half the way to the next level where there
    are `levels`, else half a step or a tenth of the scale, whichever is more. Answers to one task err together a little
    (`correlation`, a design effect as in Kish 1965), and what is known of the raters counts, against their scatter on
    this task, as `trusted` answers. What is no number on the scale takes its seat and says nothing. Raises ValueError
    for a scale without width, or a step, levels or tolerance that do not fit it.
    """

    low: float
    high: float
    step: float | None = None
    levels: tuple[float, ...] = ()
    tolerance: float | None = None
    target_ppm: int = 930_000
    correlation: float = 0.05
    trusted: float = 4.0
    prior_ppm: int = 750_000
    prior_weight: float = 20.0
    worker_weight: float = 8.0
    best_ppm: int = 999_900

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", tuple(sorted(self.levels)))
        if not all(_is_number(one) for one in (self.low, self.high, *self.levels)) or self.low >= self.high:
            raise ValueError("a scale goes from a low number to a higher one")
        if self.step is not None and not (_is_number(self.step) and 0 < self.step <= self.high - self.low):
            raise ValueError("a step is above zero and no larger than the scale")
        if self.levels and (self.step is not None or (self.low, self.high) != (self.levels[0], self.levels[-1])):
            raise ValueError("a scale has a step or levels, and levels reach from low to high")
        if len(set(self.levels)) < len(self.levels):
            raise ValueError("each level is there once")
        if self.tolerance is not None and not (_is_number(self.tolerance) and self.tolerance > 0):
            raise ValueError("a tolerance is above zero")
        if not 0 < self.target_ppm <= PPM:
            raise ValueError("target_ppm is above 0 and at most 1,000,000")

    def accuracy_ppm(self, *, worker: SkillCounts, population: SkillCounts) -> int:
        """See `Method`: one less the variance of the worker's errors over that of answers at random."""
        usual = drawn(population, towards_ppm=self.prior_ppm, weight=self.prior_weight)
        usual = min(max(usual, _WORST_PPM), self.best_ppm)
        own = drawn(worker, towards_ppm=usual, weight=self.worker_weight)
        return round(min(max(own, _WORST_PPM), self.best_ppm))

    def cast(self, *, votes: Votes, answer: str, accuracy_ppm: int) -> Vote:
        """See `Method`."""
        return Vote(answer, accuracy_ppm, self.agreement(votes, answer))

    def agreement(self, votes: Votes, answer: str) -> SkillCounts:
        """How close an answer is to the others' robust mean.

        The square of the distance is the worker's own variance and that of the others' mean: the latter is taken off,
        and the worse the others' mean is known, the less it weighs. A single answer counts as no worse than one at the
        end of the scale where the truth is in its middle, so that a slip is not the end of a worker's skill.
        """
        value, rating = self.read(answer), self.rating(votes)
        if value is None or rating is None:
            return NOTHING_KNOWN
        chance = self._chance
        weight = max(0.0, 1 - rating.error**2 / chance)
        apart = min((value - rating.value) ** 2, _FARTHEST * chance) - rating.error**2
        return SkillCounts(round(PPM * weight * (1 - apart / chance)), round(PPM * weight))

    def control_credit(self, *, answer: str, gold: str) -> SkillCounts:
        """See `Method`: by closeness, nothing from as far as answers at random lie from the middle."""
        value, truth = self.read(answer), self.read(gold)
        if truth is None:
            return NOTHING_KNOWN
        if value is None:
            return SkillCounts(0, PPM)
        return SkillCounts(round(PPM * max(0.0, 1 - (value - truth) ** 2 / self._chance)), PPM)

    def closing_credits(self, *, votes: Votes) -> dict[str, SkillCounts]:
        """See `Method`."""
        return topped_up(votes=votes, agreement=self.agreement)

    def decide(self, *, task_id: str, votes: Votes, budget: Budget) -> Decision:
        """See `Method`. The answer is the robust mean, on a scale of steps or levels the nearest of them: a median
        would be one worker's answer where there are few, and jumps where they split.

        The confidence is the chance that the truth is within the tolerance of it. Final when that reaches the target.
        """
        missing = max(0, budget.max_answers - len(votes))
        rating = self.rating(votes)
        if rating is None:
            return Decision(None, 0, tied=False, final=missing == 0)
        nearest = self._nearest(rating.value)
        answer = min(nearest, key=lambda one: _draw(task_id, one))
        confidence = round(PPM * rating.chance_between(*self._bounds(answer)))
        target = self.target_ppm if budget.target_ppm is None else budget.target_ppm
        return Decision(
            answer=canonical_json(_plain(answer)),
            confidence_ppm=confidence,
            tied=len(nearest) > 1,
            final=missing == 0 or (len(votes) >= budget.min_answers and confidence >= target),
        )

    def expected_change(self, *, votes: Votes, accuracy_ppm: int) -> float:
        """See `Method`: how likely the mean moves further than the tolerance, or to another level.

        One more answer moves a mean of standard error e by about e^2 / sqrt(e^2 + s^2), where s is its own spread.
        """
        rating = self.rating(votes)
        if rating is None:
            return 1.0
        low, high = self._bounds(self._nearest(rating.value)[0])
        moves = rating.error**2 / math.sqrt(rating.error**2 + self._spread(accuracy_ppm) ** 2)
        if moves == 0:
            return 0.0
        return 1 - (_normal((high - rating.value) / moves) - _normal((low - rating.value) / moves))

    def read(self, answer: str) -> float | None:
        """The number that an answer is; None for what is no number on the scale."""
        try:
            value = json.loads(answer)
        except (ValueError, RecursionError):
            return None
        return float(value) if _is_number(value) and self.low <= value <= self.high else None

    def rating(self, votes: Votes) -> Rating | None:
        """The robust mean of the votes that can be read, with what their workers are known for; None without any."""
        values = {worker: value for worker, vote in votes.items() if (value := self.read(vote.answer)) is not None}
        raters = {worker: Rater(spread=self._spread(votes[worker].accuracy_ppm)) for worker in values}
        found = rate(values, raters, trusted=self.trusted)
        if found is None:
            return None
        together = math.sqrt(1 + self.correlation * (len(values) - 1))
        return Rating(found.value, found.spread, found.error * together, found.freedom)

    @property
    def _chance(self) -> float:
        """The variance of answers given at random over the scale."""
        if self.levels:
            mean = math.fsum(self.levels) / len(self.levels)
            return math.fsum((one - mean) ** 2 for one in self.levels) / len(self.levels)
        wide = self.high - self.low
        return wide * (wide + 2 * (self.step or 0.0)) / 12

    def _spread(self, accuracy_ppm: int) -> float:
        """How far a worker's answers scatter: at least as rounding to the scale makes them."""
        gap = (self.high - self.low) / (len(self.levels) - 1) if self.levels else self.step or 0.0
        return math.sqrt((1 - accuracy_ppm / PPM) * self._chance + gap**2 / 12)

    def _nearest(self, value: float) -> list[float]:
        """The numbers of the scale nearest to a value: one, or two that are as near."""
        around: Sequence[float]
        if self.levels:
            around = self.levels
        elif self.step is not None:
            last = math.floor((self.high - self.low) / self.step + _STILL)
            below = min(max(math.floor((value - self.low) / self.step), 0), last)
            around = [_tidy(self.low + place * self.step) for place in range(below, min(below + 1, last) + 1)]
        else:
            around = [_tidy(min(max(value, self.low), self.high))]
        best = min(abs(one - value) for one in around)
        return [one for one in around if abs(one - value) <= best + _STILL * (self.high - self.low)]

    def _bounds(self, answer: float) -> tuple[float, float]:
        """Between which values an answer is right; nothing lies beyond the ends of the scale."""
        if self.levels and self.tolerance is None:
            place = self.levels.index(answer)
            edges = [(one + other) / 2 for one, other in zip(self.levels, self.levels[1:], strict=False)]
            return (edges[place - 1] if place else -math.inf), (edges[place] if place < len(edges) else math.inf)
        allowed = self.tolerance or max((self.step or 0.0) / 2, (self.high - self.low) / 10)
        low, high = answer - allowed, answer + allowed
        return (low if low > self.low else -math.inf), (high if high < self.high else math.inf)


def ordinal(levels: Sequence[float], **settings: float) -> Numeric:
    """The method for a scale of `levels`, numbers in any order; `settings` are those of `Numeric`.

    Raises ValueError for fewer than two levels.
    """
    if isinstance(levels, str) or len(levels) < 2 or not all(_is_number(one) for one in levels):  # noqa: PLR2004
        raise ValueError("levels are at least two numbers")
    made: dict[str, object] = {**settings, "low": min(levels), "high": max(levels), "levels": tuple(levels)}
    return Numeric(**made)  # type: ignore[arg-type]


def _scale(apart: Sequence[float], trusted: float) -> float:
    """How wide the answers scatter against what is known of their raters, from the median distance."""
    many = len(apart)
    found = _MAD_TO_SIGMA * median(apart)
    if trusted:
        return math.sqrt((trusted + many * found**2) / (trusted + many))
    return found or math.sqrt(math.fsum(one**2 for one in apart) / many) or 1.0


def _huber(distance: float) -> float:
    return 1.0 if distance <= _CORNER else _CORNER / distance


def _normal(value: float) -> float:
    return math.erfc(-value / math.sqrt(2)) / 2


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e300 < value < 1e300  # noqa: PLR2004


def _tidy(value: float) -> float:
    return float(f"{value:.12g}")


def _plain(value: float) -> float | int:
    return int(value) if value == int(value) else value


def _draw(task_id: str, answer: float) -> bytes:
    return hashlib.sha256(f"{task_id}\0{answer!r}".encode()).digest()
