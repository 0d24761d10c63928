"""Single choice, all answers of a batch at once: several models of the workers, averaged.

Each model is fitted by expectation-maximisation whose only memory between rounds is a table of counts, worker by true
option by answer. The counts of chunks add up, so a round is a map over chunks and a sum, on one machine or on many,
and no round needs more than one chunk in memory. A chunk holds whole tasks.

numpy is imported when a function is called: what decides online never needs it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Indices = NDArray[np.intp]

ROUNDS = 60
_STILL = 2e-4
_FLOOR = 1e-9


@dataclass(frozen=True)
class Model:
    """One view of how workers err.

    `strength`: how many answers per true option the batch's usual errors weigh against a worker's own; None: a worker
    is right equally often whatever is true. `own`: how many answers the usual accuracy weighs against a worker's
    overall accuracy, to which the usual errors are first bent; None: they are not. `learns_shares`: options are as
    common as they turn out to be; else all alike.
    """

    weight: float
    strength: float | None
    own: float | None = None
    learns_shares: bool = True


MODELS = (
    Model(1.0, None, learns_shares=False),
    Model(1.0, 0.5),
    Model(1.0, 2.0),
    Model(1.0, 4.0, own=4.0),
)
PLURALITY_WEIGHT = 0.5


@dataclass(frozen=True)
class Shape:
    """How many workers and options a batch has."""

    workers: int
    options: int


@dataclass(frozen=True)
class Chunk:
    """Some tasks with all their answers, sorted by task: who gave which, and where each task begins."""

    workers: Indices
    answers: Indices
    starts: Indices

    @property
    def lengths(self) -> Indices:
        import numpy as np

        return np.diff(self.starts, append=len(self.answers))


@dataclass(frozen=True)
class Statistics:
    """What a round leaves of a chunk; of two chunks, the sum."""

    confusion: Floats
    shares: Floats

    def plus(self, other: Statistics) -> Statistics:
        return Statistics(self.confusion + other.confusion, self.shares + other.shares)


@dataclass(frozen=True)
class Fitted:
    """A model's parameters: log-likelihood by true option of (worker, answer), and log share by true option."""

    likelihood: Floats
    shares: Floats


def first_look(chunk: Chunk, shape: Shape) -> Statistics:
    """The counts when each task's truth is taken to be spread as its votes are."""
    return _counted(chunk, vote_shares(chunk, shape), shape)


def fit(statistics: Statistics, model: Model, shape: Shape) -> Fitted:
    """The parameters that the counts suggest, drawn towards what is usual in the batch."""
    import numpy as np

    counts = statistics.confusion
    if model.strength is None:
        rows = _one_coin(counts, shape)
    else:
        usual = counts.sum(axis=0) + 0.5 + 2.0 * np.eye(shape.options)
        usual /= usual.sum(axis=1, keepdims=True)
        base = usual[None] if model.own is None else _bent(usual, counts, model.own)
        rows = counts + model.strength * base
        rows /= rows.sum(axis=2, keepdims=True)
    likelihood = np.log(np.maximum(rows, _FLOOR)).transpose(1, 0, 2).reshape(shape.options, -1)
    shares = np.zeros(shape.options)
    if model.learns_shares:
        shares = np.log((statistics.shares + 1.0) / (statistics.shares.sum() + shape.options))
    return Fitted(np.ascontiguousarray(likelihood), shares)


def expect(chunk: Chunk, fitted: Fitted, shape: Shape) -> tuple[Floats, Statistics]:
    """The probability of each option for each task of the chunk, and the counts for the next round."""
    import numpy as np

    cells = chunk.workers * shape.options + chunk.answers
    logs = np.empty((len(chunk.starts), shape.options))
    for option in range(shape.options):
        logs[:, option] = np.add.reduceat(fitted.likelihood[option][cells], chunk.starts)
    logs += fitted.shares
    logs -= logs.max(axis=1, keepdims=True)
    posterior: Floats = np.exp(logs)
    posterior /= posterior.sum(axis=1, keepdims=True)
    return posterior, _counted(chunk, posterior, shape)


def estimate(
    chunks: Callable[[], Iterable[Chunk]],
    shape: Shape,
    *,
    models: Sequence[Model] = MODELS,
    clamp: Callable[[int, Floats], Floats] | None = None,
) -> list[Fitted]:
    """Each model's parameters after its rounds. `chunks` is asked anew every round.

    `clamp` gets a chunk's number and posterior and puts in what is known of control tasks.
    """
    first = _summed(first_look(chunk, shape) for chunk in chunks())
    found = []
    for model in models:
        statistics = first
        for _ in range(ROUNDS):
            fitted = fit(statistics, model, shape)
            after = _summed(_round(chunks(), fitted, shape, clamp))
            moved = abs(after.confusion - statistics.confusion).sum() / max(1.0, after.confusion.sum())
            statistics = after
            if moved < _STILL:
                break
        found.append(fit(statistics, model, shape))
    return found


def averaged(chunk: Chunk, fitted: Sequence[Fitted], shape: Shape, *, models: Sequence[Model] = MODELS) -> Floats:
    """The models' mean opinion of a chunk's tasks, the spread of the votes themselves among them."""
    total: Floats = PLURALITY_WEIGHT * vote_shares(chunk, shape)
    for model, parameters in zip(models, fitted, strict=True):
        total = total + model.weight * expect(chunk, parameters, shape)[0]
    return total / (PLURALITY_WEIGHT + math.fsum(model.weight for model in models))


def tempered(posterior: Floats, temperature: float) -> Floats:
    """The posterior with its evidence divided by `temperature`."""
    import numpy as np

    powered: Floats = np.maximum(posterior, _FLOOR) ** (1.0 / temperature)
    powered /= powered.sum(axis=1, keepdims=True)
    return powered


def vote_shares(chunk: Chunk, shape: Shape) -> Floats:
    """The share of each task's votes that each option got."""
    import numpy as np

    tasks = np.repeat(np.arange(len(chunk.starts)), chunk.lengths)
    flat = np.bincount(tasks * shape.options + chunk.answers, minlength=len(chunk.starts) * shape.options)
    votes: Floats = flat.reshape(-1, shape.options).astype(np.float64)
    votes /= votes.sum(axis=1, keepdims=True)
    return votes


def _one_coin(counts: Floats, shape: Shape) -> Floats:
    import numpy as np

    own = np.arange(shape.options)
    right = (counts[:, own, own].sum(axis=1) + 2.0) / (counts.sum(axis=(1, 2)) + 3.0)
    rows = np.repeat(((1 - right) / max(1, shape.options - 1))[:, None], shape.options**2, axis=1)
    rows = rows.reshape(shape.workers, shape.options, shape.options)
    rows[:, own, own] = right[:, None]
    return rows


def _bent(usual: Floats, counts: Floats, weight: float) -> Floats:
    """The usual errors with the odds of being right multiplied, for each worker, by how much better or worse than
    usual the worker is overall on the tasks they met.
    """
    import numpy as np

    own = np.arange(len(usual))
    diagonal = usual[own, own]
    given = counts.sum(axis=(1, 2)) + weight
    mean = counts[:, own, own].sum() / max(_FLOOR, counts.sum())
    right = (counts[:, own, own].sum(axis=1) + weight * mean) / given
    expected = (counts.sum(axis=2) @ diagonal + weight * mean) / given
    odds = _logit(right) - _logit(expected)
    bent = 1.0 / (1.0 + np.exp(-(_logit(diagonal)[None] + odds[:, None])))
    rows: Floats = usual[None] * ((1.0 - bent) / np.maximum(_FLOOR, 1.0 - diagonal)[None])[:, :, None]
    rows[:, own, own] = bent
    return rows


def _logit(values: Floats) -> Floats:
    import numpy as np

    clipped = np.clip(values, 1e-6, 1 - 1e-6)
    logs: Floats = np.log(clipped / (1 - clipped))
    return logs


def _counted(chunk: Chunk, posterior: Floats, shape: Shape) -> Statistics:
    import numpy as np

    cells = chunk.workers * shape.options + chunk.answers
    confusion = np.empty((shape.workers, shape.options, shape.options))
    lengths = chunk.lengths
    for option in range(shape.options):
        weights = np.repeat(posterior[:, option], lengths)
        counted = np.bincount(cells, weights=weights, minlength=shape.workers * shape.options)
        confusion[:, option, :] = counted.reshape(shape.workers, shape.options)
    return Statistics(confusion, posterior.sum(axis=0))


def _round(
    chunks: Iterable[Chunk], fitted: Fitted, shape: Shape, clamp: Callable[[int, Floats], Floats] | None
) -> Iterable[Statistics]:
    for number, chunk in enumerate(chunks):
        posterior, statistics = expect(chunk, fitted, shape)
        yield statistics if clamp is None else _counted(chunk, clamp(number, posterior), shape)


def _summed(parts: Iterable[Statistics]) -> Statistics:
    total: Statistics | None = None
    for part in parts:
        total = part if total is None else total.plus(part)
    if total is None:
        raise ValueError("a batch without answers cannot be estimated")
    return total
