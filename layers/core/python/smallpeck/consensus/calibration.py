"""How much confidence to believe: a temperature for posteriors, learnt from control tasks.

The log-loss of what was believed of control tasks is summed for each temperature of a fixed grid. The sums add up over
tasks and over chunks in any order. The temperature with the smallest sum wins, each also paying for its distance from
the default, so that a handful of control tasks cannot move it far.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, runtime_checkable

from smallpeck.consensus.method import PPM, Votes

GRID = tuple(0.5 * 1.12**step for step in range(19))
_MICROS = 1_000_000
_FLOOR = 1e-6
LOOSENESS = 0.5


@dataclass(frozen=True, slots=True)
class TemperatureCounts:
    """Summed log-loss by temperature, in millionths, and of how many tasks: twenty whole numbers."""

    loss_micros: tuple[int, ...] = (0,) * len(GRID)
    tasks: int = 0

    def plus(self, other: "TemperatureCounts") -> "TemperatureCounts":
        losses = tuple(mine + theirs for mine, theirs in zip(self.loss_micros, other.loss_micros, strict=True))
        return TemperatureCounts(losses, self.tasks + other.tasks)


NO_CONTROLS = TemperatureCounts()


@runtime_checkable
class Believing(Protocol):
    """A method whose beliefs can be held against what is known, so that control tasks say how far to trust them."""

    def belief(self, *, votes: Votes, gold: str) -> tuple[Sequence[float], float]:
        """The probabilities of all answers to a task, and that of the known one."""
        ...


def observed(shares: Sequence[float], right: float, *, weight: float = 1.0) -> TemperatureCounts:
    """One control task: the probabilities that were believed at temperature 1, and that of the known answer."""
    losses = []
    for temperature in GRID:
        whole = math.fsum(max(share, _FLOOR) ** (1 / temperature) for share in shares)
        losses.append(round(-_MICROS * weight * math.log(max(right, _FLOOR) ** (1 / temperature) / whole)))
    return TemperatureCounts(tuple(losses), 1)


@lru_cache(maxsize=256)
def best_temperature(counts: TemperatureCounts, default: float, looseness: float = LOOSENESS) -> float:
    """The temperature to use: `default` where nothing was observed.

    `looseness` is how far its logarithm is expected to be from the default's: the deviation of a normal prior.
    """
    if not counts.tasks:
        return default

    def cost(step: int) -> float:
        distance = math.log(GRID[step] / default) / looseness
        return counts.loss_micros[step] / _MICROS + distance * distance / 2

    return GRID[min(range(len(GRID)), key=cost)]


def tempered_ppm(accuracy_ppm: int, temperature: float) -> int:
    """An accuracy with its log-odds divided by `temperature`; a certainty stays one."""
    if not 0 < accuracy_ppm < PPM:
        return accuracy_ppm
    odds = math.log(accuracy_ppm / (PPM - accuracy_ppm)) / temperature
    return min(max(round(PPM / (1 + math.exp(-odds))), 1), PPM - 1)


def summed(parts: Iterable[TemperatureCounts]) -> TemperatureCounts:
    """All of them together."""
    total = NO_CONTROLS
    for part in parts:
        total = total.plus(part)
    return total
