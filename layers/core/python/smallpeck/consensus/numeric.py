"""Ordinal and numeric ratings: a mean that outliers cannot pull away, with its spread.

Huber's M-estimate (1964) of location, with the scale taken from the median absolute deviation. Every worker may
lean to one side (`bias`) and be more or less precise (`spread`): what is known of that is taken off first and weighs
the answer.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

_CORNER = 1.345
_MAD_TO_SIGMA = 1.4826
_ROUNDS = 50
_STILL = 1e-9


@dataclass(frozen=True, slots=True)
class Rater:
    """How far a worker's ratings lie from what was decided in the mean, and how widely they scatter about that."""

    bias: float = 0.0
    spread: float = 1.0


@dataclass(frozen=True, slots=True)
class Rating:
    """The robust mean, the scatter of single answers about it, and the standard error of the mean itself."""

    value: float
    spread: float
    error: float


def rate(answers: Mapping[str, float], raters: Mapping[str, Rater] | None = None) -> Rating | None:
    """The rating that the answers amount to; None without answers. The same in whatever order they came."""
    if not answers:
        return None
    known = raters or {}
    pairs = sorted(
        (answers[worker] - known.get(worker, Rater()).bias, 1 / known.get(worker, Rater()).spread ** 2)
        for worker in answers
    )
    values = [value for value, _ in pairs]
    middle = median(values)
    scale = _MAD_TO_SIGMA * median(abs(value - middle) for value in values)
    if scale == 0:
        scale = _deviation(values, middle) or 1.0
    weights: Sequence[float] = ()
    for _ in range(_ROUNDS):
        weights = [own * _huber(abs(value - middle) / scale) for value, own in pairs]
        moved = math.fsum(w * v for w, v in zip(weights, values, strict=True)) / math.fsum(weights)
        still = abs(moved - middle) <= _STILL * scale
        middle = moved
        if still:
            break
    total = math.fsum(weights)
    variance = math.fsum(w * (v - middle) ** 2 for w, v in zip(weights, values, strict=True)) / total
    effective = total**2 / math.fsum(w * w for w in weights)
    spread = math.sqrt(variance * effective / (effective - 1)) if effective > 1 else 0.0
    return Rating(middle, spread, spread / math.sqrt(effective))


def level(rating: Rating, levels: Sequence[float]) -> float:
    """The level of an ordinal scale nearest to a rating; the lower of two as near."""
    return min(sorted(levels), key=lambda one: abs(one - rating.value))


def learn_raters(
    answers: Mapping[str, Mapping[str, float]], *, weight: float = 5.0, rounds: int = 5
) -> dict[str, Rater]:
    """Every worker's bias and spread, from all answers by task and worker.

    Each is drawn towards none and the usual spread as if by `weight` more answers, so that few answers say little.
    """
    raters: dict[str, Rater] = {}
    for _ in range(rounds):
        apart: dict[str, list[float]] = {}
        for task in sorted(answers):
            for worker, value in answers[task].items():
                rest = {name: other for name, other in answers[task].items() if name != worker}
                rating = rate(rest, raters)
                if rating is not None:
                    apart.setdefault(worker, []).append(value - rating.value)
        everyone = [value for mine in apart.values() for value in mine]
        usual = _MAD_TO_SIGMA * median(abs(value) for value in everyone) if everyone else 1.0
        usual = usual or 1.0
        raters = {worker: _rater(mine, usual, weight) for worker, mine in apart.items()}
    return raters


def _rater(apart: Sequence[float], usual: float, weight: float) -> Rater:
    bias = math.fsum(max(-3 * usual, min(3 * usual, value)) for value in apart) / (len(apart) + weight)
    squares = math.fsum((value - bias) ** 2 for value in apart)
    return Rater(bias, math.sqrt((squares + weight * usual**2) / (len(apart) + weight)) / usual)


def _huber(distance: float) -> float:
    return 1.0 if distance <= _CORNER else _CORNER / distance


def _deviation(values: Sequence[float], middle: float) -> float:
    return math.sqrt(math.fsum((value - middle) ** 2 for value in values) / len(values))
