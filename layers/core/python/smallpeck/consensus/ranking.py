"""Rankings and pairwise comparisons: Bradley and Terry's model (1952), fitted by Hunter's MM steps (2004).

An item of strength s beats one of strength t with probability s / (s + t). Every item is taken to have met an average
item a little, winning as often as losing, so that strengths stay finite however few comparisons there are, and items
that never met can be compared. A ranking counts as all the pairs in it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

_ROUNDS = 1000
_STILL = 1e-9


@dataclass(frozen=True, slots=True)
class Place:
    """An item, its log strength (the mean of all is 0) and the standard error of that."""

    item: str
    strength: float
    error: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """A worker preferred one item to another; it counts `weight` times (a worker's reliability, or 1)."""

    better: str
    worse: str
    weight: float = 1.0


def pairs_of(ranking: Sequence[str], weight: float = 1.0) -> list[Comparison]:
    """All comparisons in a ranking, best first. Together they weigh as one judgement per item but the first."""
    pairs = [(better, worse) for place, better in enumerate(ranking) for worse in ranking[place + 1 :]]
    each = weight * (len(ranking) - 1) / len(pairs) if pairs else 0.0
    return [Comparison(better, worse, each) for better, worse in pairs]


def rank(comparisons: Iterable[Comparison], *, items: Iterable[str] = (), prior: float = 0.5) -> list[Place]:
    """All items from the strongest to the weakest; items as strong stand by name.

    `prior` is how often each item is taken to have beaten, and to have lost to, an average item.
    """
    wins: dict[str, float] = dict.fromkeys(items, 0.0)
    met: dict[str, dict[str, float]] = {}
    for one in sorted(comparisons, key=lambda each: (each.better, each.worse, each.weight)):
        if one.better == one.worse:
            raise ValueError("an item cannot be compared with itself")
        wins[one.better] = wins.get(one.better, 0.0) + one.weight
        wins.setdefault(one.worse, 0.0)
        for here, there in ((one.better, one.worse), (one.worse, one.better)):
            row = met.setdefault(here, {})
            row[there] = row.get(there, 0.0) + one.weight
    strengths = _strengths(wins, met, prior)
    mean = math.fsum(math.log(strengths[item]) for item in sorted(strengths)) / max(1, len(strengths))
    places = [
        Place(item, math.log(strengths[item]) - mean, _error(item, strengths, met.get(item, {}), prior))
        for item in strengths
    ]
    return sorted(places, key=lambda place: (-round(place.strength, 9), place.item))


def chance_to_beat(one: Place, other: Place) -> float:
    """How likely `one` is preferred to `other`."""
    return 1 / (1 + math.exp(other.strength - one.strength))


def _strengths(wins: Mapping[str, float], met: Mapping[str, Mapping[str, float]], prior: float) -> dict[str, float]:
    strengths = dict.fromkeys(sorted(wins), 1.0)
    for _ in range(_ROUNDS):
        moved = 0.0
        fresh = {}
        for item, strength in strengths.items():
            against = [many / (strength + strengths[other]) for other, many in met.get(item, {}).items()]
            fresh[item] = (wins[item] + prior) / math.fsum((*against, 2 * prior / (strength + 1.0)))
            moved = max(moved, abs(math.log(fresh[item] / strength)))
        strengths = fresh
        if moved < _STILL:
            break
    return strengths


def _error(item: str, strengths: Mapping[str, float], met: Mapping[str, float], prior: float) -> float:
    own = strengths[item]
    known = [many * own * strengths[other] / (own + strengths[other]) ** 2 for other, many in met.items()]
    return 1 / math.sqrt(math.fsum((*known, 2 * prior * own / (own + 1) ** 2)))
