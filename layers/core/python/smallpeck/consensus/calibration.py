"""How much confidence to believe: a temperature for posteriors, learnt from control tasks.

The log-loss of what was believed of control tasks is summed for each temperature of a fixed grid. The sums add up over
tasks and over chunks in any order. The temperature with the smallest sum wins, each also paying for its distance from
the default, so that a handful of control tasks cannot move it far.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

GRID = tuple(0.5 * 1.12**step for step in range(20))
_MICROS = 1_000_000
_FLOOR = 1e-6
_LOOSENESS = 0.5


@dataclass(frozen=True, slots=True)
class TemperatureCounts:
    """Summed log-loss by temperature, in millionths, and of how many tasks."""

    loss_micros: tuple[int, ...] = (0,) * len(GRID)
    tasks: int = 0

    def plus(self, other: "TemperatureCounts") -> "TemperatureCounts":
        losses = tuple(mine + theirs for mine, theirs in zip(self.loss_micros, other.loss_micros, strict=True))
        return TemperatureCounts(losses, self.tasks + other.tasks)


NO_CONTROLS = TemperatureCounts()


def observed(shares: Sequence[float], right: float) -> TemperatureCounts:
    """One control task: the probabilities that were believed at temperature 1, and that of the known answer."""
    losses = []
    for temperature in GRID:
        whole = math.fsum(max(share, _FLOOR) ** (1 / temperature) for share in shares)
        losses.append(round(-_MICROS * math.log(max(right, _FLOOR) ** (1 / temperature) / whole)))
    return TemperatureCounts(tuple(losses), 1)


def best_temperature(counts: TemperatureCounts, default: float) -> float:
    """The temperature to use: `default` where nothing was observed."""
    if not counts.tasks:
        return default

    def cost(step: int) -> float:
        distance = math.log(GRID[step] / default) / _LOOSENESS
        return counts.loss_micros[step] / _MICROS + distance * distance / 2

    return GRID[min(range(len(GRID)), key=cost)]


def summed(parts: Iterable[TemperatureCounts]) -> TemperatureCounts:
    """All of them together."""
    total = NO_CONTROLS
    for part in parts:
        total = total.plus(part)
    return total
