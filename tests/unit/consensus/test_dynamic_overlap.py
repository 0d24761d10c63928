"""Asking until sure enough, against a fixed number of answers and the plain way to merge them, on generated batches."""

import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

import pytest

from smallpeck.consensus.method import PPM, Budget, Method
from smallpeck.consensus.multiple import Multiple
from smallpeck.consensus.numeric import Numeric, ordinal
from smallpeck.consensus.ranking import Ranking
from smallpeck.consensus.replaying import Replay
from smallpeck.kernel.ids import canonical_json

SEATS = 9
OPTIONS = [f"option {number}" for number in range(6)]
LEVELS = [1, 2, 3, 4, 5]


@dataclass(frozen=True)
class Generated:
    """A batch whose truth is known: answers by task and worker, what is true, how far a result is from it (0 to 1),
    and how answers are merged by those who trust everybody alike.
    """

    method: Method
    target: float
    answers: Mapping[str, Mapping[str, Any]]
    truth: Mapping[str, Any]
    error: Callable[[Any, Any], float]
    plain: Callable[[Sequence[Any]], Any]

    def fixed(self, many: int) -> float:
        """The mean error of a fixed number of answers to each task."""
        return fmean(
            self.error(self.plain(list(mine.values())[:many]), self.truth[task]) for task, mine in self.answers.items()
        )

    def dynamic(self, seed: int) -> tuple[float, float]:
        """Answers per task that were asked for, and the mean error of what they came to."""
        stream = [(task, worker) for task in self.answers for worker in self.answers[task]]
        random.Random(seed).shuffle(stream)
        budget = Budget(1, SEATS, round(self.target * PPM))
        replay = Replay(self.method, {}, dynamic=True)
        closed: set[str] = set()
        used = 0
        for task, worker in stream:
            if task not in closed:
                used += 1
                if replay.add(task, worker, canonical_json(self.answers[task][worker]), budget):
                    closed.add(task)
        errors = []
        for task, votes in replay.votes.items():
            answer = self.method.decide(task_id=task, votes=votes, budget=budget).answer
            assert answer is not None
            errors.append(self.error(json.loads(answer), self.truth[task]))
        return used / len(self.answers), fmean(errors)


def ticked(draw: random.Random, tasks: int = 100) -> Generated:
    """A quarter of the options hold; workers miss some and tick a few wrong ones, one in five ticks none at all."""
    skill = {f"w{n}": (draw.uniform(0.55, 0.95), draw.uniform(0.02, 0.15)) for n in range(20)}
    skill.update({f"w{n}": (0.0, 0.0) for n in range(4)})
    truth = {f"t{n}": [option for option in OPTIONS if draw.random() < 0.25] for n in range(tasks)}
    answers = {
        task: {
            worker: [option for option in OPTIONS if draw.random() < skill[worker][option not in holds]]
            for worker in draw.sample(sorted(skill), SEATS)
        }
        for task, holds in truth.items()
    }

    def error(found: Sequence[str], holds: Sequence[str]) -> float:
        return len(set(found) ^ set(holds)) / len(OPTIONS)

    def plain(lists: Sequence[Sequence[str]]) -> list[str]:
        return [option for option in OPTIONS if 2 * sum(option in one for one in lists) > len(lists)]

    return Generated(Multiple(tuple(OPTIONS)), 0.9, answers, truth, error, plain)


def rated(draw: random.Random, levels: Sequence[int] = (), tasks: int = 100) -> Generated:
    """Workers are more or less exact, tasks more or less hard, and three answers in a hundred are slips."""
    low, high = (levels[0], levels[-1]) if levels else (0, 100)
    exactness = {f"w{n}": draw.choice([0.03, 0.06, 0.12, 0.2]) for n in range(20)}

    def on_scale(value: float) -> float:
        value = min(high, max(low, value))
        return min(levels, key=lambda one: abs(one - value)) if levels else round(value, 1)

    truth = {f"t{n}": on_scale(draw.uniform(low, high)) for n in range(tasks)}
    answers = {}
    for task, value in truth.items():
        hardness = math.exp(draw.gauss(0, 0.4)) * (high - low)
        answers[task] = {
            worker: on_scale(
                draw.uniform(low, high) if draw.random() < 0.03 else draw.gauss(value, exactness[worker] * hardness)
            )
            for worker in draw.sample(sorted(exactness), SEATS)
        }

    def error(found: float, value: float) -> float:
        return abs(found - value) / (high - low)

    method = ordinal(levels) if levels else Numeric(low, high)
    target = 0.9 if levels else 0.95
    return Generated(method, target, answers, truth, error, lambda values: on_scale(median(values)))


def ranked(draw: random.Random, items: str, target: float, tasks: int) -> Generated:
    """Items differ in worth; workers see that through more or less noise."""
    noise = {f"w{n}": draw.choice([0.3, 0.6, 1.2, 3.0]) for n in range(20)}
    truth, answers = {}, {}
    for n in range(tasks):
        worth = {item: draw.gauss(0, 1.5) for item in items}
        truth[f"t{n}"] = sorted(worth, key=lambda item: -worth[item])
        answers[f"t{n}"] = {
            worker: [item for _, item in sorted((draw.gauss(-worth[item], noise[worker]), item) for item in items)]
            for worker in draw.sample(sorted(noise), SEATS)
        }

    def error(found: Sequence[str], order: Sequence[str]) -> float:
        pairs = [(one, other) for place, one in enumerate(order) for other in order[place + 1 :]]
        return fmean(found.index(one) > found.index(other) for one, other in pairs)

    def plain(orders: Sequence[Sequence[str]]) -> list[str]:
        return sorted(items, key=lambda item: sum(order.index(item) for order in orders))

    return Generated(Ranking(), target, answers, truth, error, plain)


@pytest.mark.parametrize(
    ("generated", "most_used", "allowed"),
    [
        (ticked, 0.75, 0.9),
        (rated, 0.75, 1.15),
        (lambda draw: rated(draw, LEVELS), 0.6, 1.0),
        (lambda draw: ranked(draw, "ab", 0.95, 150), 0.65, 1.2),
        (lambda draw: ranked(draw, "abcd", 0.8, 40), 0.8, 1.0),
    ],
    ids=["multiple", "numeric", "ordinal", "pairs", "ranking"],
)
def test_asking_until_sure_takes_fewer_answers_for_the_same_error(
    generated: Callable[[random.Random], Generated], most_used: float, allowed: float
) -> None:
    batch = generated(random.Random(1))
    used, error = batch.dynamic(seed=1)
    assert used <= most_used * SEATS
    assert error <= allowed * batch.fixed(SEATS)
    assert error < batch.fixed(math.ceil(used))
