"""Rankings and pairwise comparisons: Bradley and Terry's model (1952), fitted by Newton's steps.

An item of strength s beats one of strength t with probability s / (s + t). Every item is taken to have met an average
item a little, winning as often as losing, so that strengths stay finite however few comparisons there are, and items
that never met can be compared. A ranking counts as all the pairs in it.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from smallpeck.consensus.agreement import shown, topped_up
from smallpeck.consensus.choice import Choice
from smallpeck.consensus.method import NOTHING_KNOWN, PPM, Budget, Decision, SkillCounts, Vote, Votes
from smallpeck.kernel.ids import canonical_json

MOST_ITEMS = 30

_ROUNDS = 100
_STILL = 1e-9
_LONGEST_STEP = 1.0
_USUAL_PPM = 750_000
_PRIOR = 0.5
_UNNAMED = ""


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


def rank(comparisons: Iterable[Comparison], *, items: Iterable[str] = (), prior: float = _PRIOR) -> list[Place]:
    """All items from the strongest to the weakest; items as strong stand by name.

    `prior` is how often each item is taken to have beaten, and to have lost to, an average item.
    """
    wins, met = _counted(comparisons, items)
    strengths, spreads = _fitted(wins, met, prior)
    mean = math.fsum(strengths[item] for item in sorted(strengths)) / max(1, len(strengths))
    places = [Place(item, strengths[item] - mean, math.sqrt(spreads[item][item])) for item in strengths]
    return sorted(places, key=lambda place: (-round(place.strength, 9), place.item))


def chance_to_beat(one: Place, other: Place) -> float:
    """How likely `one` is preferred to `other`."""
    return _logistic(one.strength - other.strength)


@dataclass(frozen=True, slots=True)
class Ranking:
    """An order of the items of a task. See `Method`.

    An answer is a JSON list of items (texts or whole numbers), best first; of two, the list may name the preferred one
    only. Items that an answer does not name come after those it does, in no order. `items` is how many items a task
    has, None where tasks differ. A worker has one skill, how often the order of two items is right. A decision is as
    long as the longest answer, and `target_ppm`, like a budget's target, is for each two neighbours in it.

    What is no such list, repeats an item, is longer than `items`, or than `MOST_ITEMS`, takes its seat and says
    nothing. Where answers name more different items than that, those named most often are kept. Raises ValueError for
    fewer items than two or more than `MOST_ITEMS`.
    """

    items: int | None = None
    target_ppm: int = 930_000
    correlation: float = 0.05

    def __post_init__(self) -> None:
        if self.items is not None and not (type(self.items) is int and 2 <= self.items <= MOST_ITEMS):  # noqa: PLR2004
            raise ValueError(f"a task has between 2 and {MOST_ITEMS} items")
        if not 0 < self.target_ppm <= PPM:
            raise ValueError("target_ppm is above 0 and at most 1,000,000")

    def accuracy_ppm(self, *, worker: SkillCounts, population: SkillCounts) -> int:
        """See `Method`: how often the worker orders two items rightly."""
        return _PAIR.accuracy_ppm(worker=worker, population=population)

    def cast(self, *, votes: Votes, answer: str, accuracy_ppm: int) -> Vote:
        """See `Method`."""
        return Vote(answer, accuracy_ppm, self.agreement(votes, answer))

    def agreement(self, votes: Votes, answer: str) -> SkillCounts:
        """How many of the pairs in an answer stand as in the others' ranking, each corrected for chance and weighed by
        how sure its order is; the mean over the pairs, so that an answer counts as one answer.
        """
        mine, merged = self.read(answer), self.merged(votes)
        if mine is None or merged is None:
            return NOTHING_KNOWN
        place = {item: number for number, item in enumerate(merged.items)}
        found = [
            shown(belief=merged.chance(place[better], place[worse]), agrees=True)
            for better, worse in _pairs_within(mine, merged.items)
        ]
        many = max(1, len(found))
        hits, weight = math.fsum(hit for hit, _ in found), math.fsum(weight for _, weight in found)
        return SkillCounts(round(PPM * hits / many), round(PPM * weight / many))

    def control_credit(self, *, answer: str, gold: str) -> SkillCounts:
        """See `Method`: the share of the known order's pairs that the answer has, a pair it leaves open counting half:
        half of one more than Kendall's tau.
        """
        mine, truth = self.read(answer), self.read(gold)
        if truth is None:
            return NOTHING_KNOWN
        if mine is None:
            return SkillCounts(0, PPM)
        items = sorted({*mine, *truth}) if len({*mine, *truth}) > 1 else [*truth, _UNNAMED]
        known = _pairs_within(truth, items)
        said = set(_pairs_within(mine, items))
        right = sum(2 if pair in said else 0 if pair[::-1] in said else 1 for pair in known)
        return SkillCounts(PPM * right // (2 * len(known)), PPM)

    def closing_credits(self, *, votes: Votes) -> dict[str, SkillCounts]:
        """See `Method`."""
        return topped_up(votes=votes, agreement=self.agreement)

    def decide(self, *, task_id: str, votes: Votes, budget: Budget) -> Decision:
        """See `Method`. `parts_ppm` says of each two neighbours, from the best, how likely their order is right; of a
        list that leaves items out, also of its last item and the next.

        The confidence is their product, the chance that the whole order is right if neighbours err independently.
        Final when every part reaches the target. Tied where two neighbours are as strong.
        """
        missing = max(0, budget.max_answers - len(votes))
        merged = self.merged(votes, task_id)
        if merged is None:
            return Decision(None, 0, tied=False, final=missing == 0)
        parts = tuple(round(PPM * merged.chance(place, place + 1)) for place in range(merged.boundaries))
        target = self.target_ppm if budget.target_ppm is None else budget.target_ppm
        enough = len(votes) >= budget.min_answers and min(parts) >= target
        return Decision(
            answer="[" + ",".join(merged.items[: merged.length]) + "]",
            confidence_ppm=round(PPM * math.prod(part / PPM for part in parts)),
            tied=PPM // 2 in parts,
            final=missing == 0 or enough,
            parts_ppm=parts,
        )

    def expected_change(self, *, votes: Votes, accuracy_ppm: int) -> float:
        """See `Method`: how likely at least one pair of neighbours changes places.

        One more comparison that is worth i moves a difference of standard error e by about e^2 / sqrt(e^2 + 1 / i).
        """
        merged = self.merged(votes)
        if merged is None:
            return 1.0
        stays = 1.0
        for place in range(merged.boundaries):
            apart, error = merged.apart(place, place + 1)
            chance = _logistic(apart)
            worth = abs(_weight(accuracy_ppm)) * chance * (1 - chance)
            if worth > 0:
                moves = error**2 / math.sqrt(error**2 + 1 / worth)
                stays *= _normal(apart / moves)
        return 1 - stays

    def read(self, answer: str) -> tuple[str, ...] | None:
        """The items of an answer, best first, each as canonical JSON text; None for what is no ranking."""
        try:
            items = json.loads(answer)
        except (ValueError, RecursionError):
            return None
        if not isinstance(items, list) or not 0 < len(items) <= (self.items or MOST_ITEMS):
            return None
        if not all(isinstance(item, str | int) and not isinstance(item, bool) for item in items):
            return None
        named = tuple(canonical_json(item) for item in items)
        return named if len(set(named)) == len(named) else None

    def merged(self, votes: Votes, task_id: str = "") -> "Merged | None":
        """The ranking that the votes which can be read amount to; None without any. Ties fall by the task's id."""
        read = {worker: named for worker, vote in votes.items() if (named := self.read(vote.answer)) is not None}
        if not read:
            return None
        mentions = Counter(item for items in read.values() for item in items)
        most = self.items or MOST_ITEMS
        kept = sorted(mentions, key=lambda item: (-mentions[item], item))[:most]
        size = self.items or max(2, len(kept))
        length = min(len(kept), max(len(items) for items in read.values()))
        if len(kept) < size:
            kept.append(_UNNAMED)
        discount = 1 + self.correlation * (len(read) - 1)
        comparisons = []
        for worker, items in read.items():
            each = _weight(votes[worker].accuracy_ppm) * 2 / (size * discount)
            for better, worse in _pairs_within(items, kept):
                pair = (better, worse) if each >= 0 else (worse, better)
                comparisons.append(Comparison(*pair, abs(each)))
        wins, met = _counted(comparisons, kept)
        strengths, spreads = _fitted(wins, met, _PRIOR)
        order = sorted(kept, key=lambda item: (item == _UNNAMED, -round(strengths[item], 6), _draw(task_id, item)))
        return Merged(tuple(order), length, strengths, spreads)


@dataclass(frozen=True, slots=True)
class Merged:
    """All items from the best to the worst, of which `length` are the answer, with their log strengths and the
    covariances of those.
    """

    items: tuple[str, ...]
    length: int
    strengths: Mapping[str, float]
    spreads: Mapping[str, Mapping[str, float]]

    @property
    def boundaries(self) -> int:
        """How many neighbours' orders the answer depends on."""
        return min(self.length, len(self.items) - 1)

    def apart(self, one: int, other: int) -> tuple[float, float]:
        """The difference of two log strengths, and its standard error."""
        here, there = self.items[one], self.items[other]
        variance = self.spreads[here][here] + self.spreads[there][there] - 2 * self.spreads[here][there]
        return self.strengths[here] - self.strengths[there], math.sqrt(variance)

    def chance(self, one: int, other: int) -> float:
        """How likely the item in the one place is really better than that in the other."""
        apart, error = self.apart(one, other)
        return _normal(apart / error) if round(abs(apart), 6) else 0.5


_PAIR = Choice(options=2, worker_weight=8.0)


def _weight(accuracy_ppm: int) -> float:
    """What a worker's comparisons count against those of a usual worker: by log-odds, negative if mostly wrong."""
    return math.log(accuracy_ppm / (PPM - accuracy_ppm)) / math.log(_USUAL_PPM / (PPM - _USUAL_PPM))


def _pairs_within(named: Sequence[str], items: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs (better, worse) that a list of the best states about `items`. Where those have a place for what
    nobody named, anything else in the list stands there.
    """
    inside = set(items)
    known = (item if item in inside else _UNNAMED for item in named)
    mine = [item for item in dict.fromkeys(known) if item in inside]
    rest = sorted(inside - set(mine))
    pairs = [(better, worse) for place, better in enumerate(mine) for worse in mine[place + 1 :]]
    return [*pairs, *((better, worse) for better in mine for worse in rest)]


def _counted(
    comparisons: Iterable[Comparison], items: Iterable[str]
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """How often each item won, and met each other."""
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
    return wins, met


def _fitted(
    wins: Mapping[str, float], met: Mapping[str, Mapping[str, float]], prior: float
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Log strengths where the posterior is highest, and their covariances there (Laplace's approximation).

    The posterior's logarithm is concave, so Newton's steps lead to its one peak; they are kept short, for the first
    would overshoot.
    """
    items = sorted(wins)
    many = range(len(items))
    against = [[met.get(here, {}).get(there, 0.0) for there in items] for here in items]
    logs = [0.0 for _ in items]
    inverse: list[list[float]] = []
    for _ in range(_ROUNDS):
        odds = [[_logistic(logs[one] - logs[other]) for other in many] for one in many]
        own = [_logistic(log) for log in logs]
        slopes = [
            wins[item] + prior - math.fsum((*(against[k][j] * odds[k][j] for j in many), 2 * prior * own[k]))
            for k, item in enumerate(items)
        ]
        curves = [[-against[k][j] * odds[k][j] * odds[j][k] for j in many] for k in many]
        for k in many:
            curves[k][k] += 2 * prior * own[k] * (1 - own[k]) - math.fsum(curves[k])
        inverse = _inverse(curves)
        steps = [math.fsum(row[j] * slopes[j] for j in many) for row in inverse]
        longest = max((abs(step) for step in steps), default=0.0)
        shorter = min(1.0, _LONGEST_STEP / longest) if longest else 0.0
        logs = [log + shorter * step for log, step in zip(logs, steps, strict=True)]
        if longest < _STILL:
            break
    spreads = {here: dict(zip(items, row, strict=True)) for here, row in zip(items, inverse, strict=True)}
    return dict(zip(items, logs, strict=True)), spreads


def _inverse(matrix: list[list[float]]) -> list[list[float]]:
    """Of a symmetric positive definite matrix, by Gauss and Jordan's elimination."""
    size = len(matrix)
    rows = [[*row, *(float(k == j) for j in range(size))] for k, row in enumerate(matrix)]
    for k in range(size):
        pivot = rows[k][k]
        rows[k] = [value / pivot for value in rows[k]]
        for j in range(size):
            factor = rows[j][k]
            if j != k and factor:
                rows[j] = [value - factor * taken for value, taken in zip(rows[j], rows[k], strict=True)]
    return [row[size:] for row in rows]


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def _normal(value: float) -> float:
    return math.erfc(-value / math.sqrt(2)) / 2


def _draw(task_id: str, item: str) -> bytes:
    return hashlib.sha256(f"{task_id}\0{item}".encode()).digest()
