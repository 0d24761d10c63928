"""Plays units in as many processes as there are cores, and adds them up in their order."""

import gc
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from tests.sim import mutants, sweep
from tests.sim.scene import SeededEntropy
from tests.sim.sweep import Stages, Tally, Unit

T = TypeVar("T")
R = TypeVar("R")
_AHEAD = 4
"""How many units wait for each process."""
_stages: Stages | None = None


def cores() -> int:
    """How many processes may run at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def tallies(units: Iterable[Unit], *, seed: str, jobs: int, everything: bool = False) -> Iterator[tuple[Unit, Tally]]:
    """What each unit came to, in their order; as many are begun as are asked for and a few more."""
    return _in_order(_play, units, seed=seed, jobs=jobs, everything=everything)


def killed(names: Iterable[str], *, seed: str, jobs: int) -> Iterator[tuple[str, mutants.Found | None]]:
    """For each mutant what found it out, None where nothing did; in their order."""
    return _in_order(_hunt, names, seed=seed, jobs=jobs)


def _in_order(
    act: Callable[[T], R], things: Iterable[T], *, seed: str, jobs: int, everything: bool = False
) -> Iterator[tuple[T, R]]:
    if jobs == 1:
        with SeededEntropy(seed) as entropy:
            _begin(Stages(entropy, seed, everything=everything))
            yield from ((one, act(one)) for one in things)
        return
    context = multiprocessing.get_context("fork")
    with context.Pool(jobs, initializer=_begin_process, initargs=(seed, everything)) as pool:
        left, waiting = iter(things), deque[tuple[T, Any]]()
        while True:
            waiting.extend((one, pool.apply_async(act, (one,))) for one in islice(left, jobs * _AHEAD - len(waiting)))
            if not waiting:
                return
            one, result = waiting.popleft()
            yield one, result.get()


def _begin_process(seed: str, everything: bool) -> None:  # noqa: FBT001 - given by position
    entropy = SeededEntropy(seed)
    entropy.__enter__()
    _begin(Stages(entropy, seed, everything=everything))
    # Scenes live as long as the process; what a run leaves behind is found rarely enough to be cheap.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _begin(stages: Stages) -> None:
    global _stages  # noqa: PLW0603 - one per process
    _stages = stages


def _play(unit: Unit) -> Tally:
    return sweep.play(unit, _here())


def _hunt(name: str) -> mutants.Found | None:
    return mutants.hunt(mutants.MUTANTS[name], _here())


def _here() -> Stages:
    if _stages is None:
        raise RuntimeError("the process was not begun")
    return _stages
