"""Finding work worth doing: the batches that a worker may do, filtered and in an order of their choice.

In order of deadline the whole list can be read, some at a time. For every other order the LOOKED_AT batches with the
nearest deadline are read and sorted. What was measured may change between two looks, so that a batch may be seen twice
or not at all; in one look it never is.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from smallpeck.kernel.ids import canonical_json
from smallpeck.kernel.money import whole_minor_units
from smallpeck.tasks.dispatch import is_offered
from smallpeck.tasks.model import Batch, WorkerFacts, may_do

LOOKED_AT = 500
AT_ONCE = 100
_TENTHS_PER_HOUR = 36_000


class Order(StrEnum):
    """What stands first."""

    DEADLINE = "deadline"
    """The nearest deadline."""
    REWARD = "reward"
    """The highest reward for an answer, currency by currency."""
    HOURLY = "hourly"
    """The highest hourly rate, currency by currency; what is not measured yet last."""
    MEDIAN = "median"
    """The quickest to answer; what is not measured yet last."""


@dataclass(frozen=True)
class Wanted:
    """What a worker looks for; None does not matter. What is not measured yet passes no limit on what is measured."""

    kind: str | None = None
    currency: str | None = None
    min_reward_micros: int = 0
    min_hourly_micros: int | None = None
    max_median_seconds: int | None = None


@dataclass(frozen=True)
class Found:
    """Some batches, and the position after which there are more (None at the end)."""

    batches: list[Batch]
    next_after: str | None


class BrowsingReads(Protocol):
    """What looking for work reads."""

    def offered(self, *, after: str | None, limit: int) -> tuple[list[tuple[str, Batch]], str | None]:
        """Open batches by deadline, each with its place, and where the list goes on."""
        ...


def hourly_micros(batch: Batch) -> int | None:
    """What an hour of answers brings at the measured pace, in whole minor units; None before it was measured."""
    if batch.median_seconds is None:
        return None
    return whole_minor_units(batch.reward_micros * _TENTHS_PER_HOUR // _tenths(batch.median_seconds), batch.currency)


def browse(
    *,
    worker: WorkerFacts,
    wanted: Wanted,
    order: Order,
    after: str | None,
    limit: int,
    now_ms: int,
    reads: BrowsingReads,
) -> Found:
    """Up to `limit` batches that are offered, that the worker may do and looks for."""

    def fits(batch: Batch) -> bool:
        return is_offered(batch, now_ms) and may_do(worker, batch) and _fits(batch, wanted)

    found: list[tuple[str, Batch]] = []
    if order is Order.DEADLINE:
        looked_at = 0
        while looked_at < LOOKED_AT and len(found) < limit:
            room = AT_ONCE if looked_at else limit
            some, after = reads.offered(after=after, limit=room)
            found += [(place, batch) for place, batch in some if fits(batch)]
            looked_at += room
            if after is None:
                break
        if len(found) > limit:
            after = found[limit - 1][0]
        return Found([batch for _, batch in found[:limit]], after)
    ranked = sorted(((_rank(batch, order), batch) for batch in _nearest(reads) if fits(batch)), key=lambda one: one[0])
    if after is not None:
        last = json.loads(after)
        ranked = [(rank, batch) for rank, batch in ranked if rank > last]
    more = len(ranked) > limit
    return Found([batch for _, batch in ranked[:limit]], canonical_json(ranked[limit - 1][0]) if more else None)


def _fits(batch: Batch, wanted: Wanted) -> bool:
    hourly = hourly_micros(batch)
    quick = wanted.max_median_seconds
    return (
        wanted.kind in (None, batch.kind)
        and wanted.currency in (None, batch.currency)
        and batch.reward_micros >= wanted.min_reward_micros
        and (wanted.min_hourly_micros is None or (hourly is not None and hourly >= wanted.min_hourly_micros))
        and (quick is None or (batch.median_seconds is not None and batch.median_seconds <= quick))
    )


def _nearest(reads: BrowsingReads) -> list[Batch]:
    found: list[Batch] = []
    after: str | None = None
    for _ in range(0, LOOKED_AT, AT_ONCE):
        some, after = reads.offered(after=after, limit=AT_ONCE)
        found += [batch for _, batch in some]
        if after is None:
            break
    return found


def _rank(batch: Batch, order: Order) -> list[int | str]:
    """Sorts like the order, without two alike; as JSON it is a position in the list."""
    hourly = hourly_micros(batch)
    match order:
        case Order.REWARD:
            return [batch.currency, -batch.reward_micros, batch.batch_id]
        case Order.HOURLY:
            return [batch.currency, int(hourly is None), -(hourly or 0), batch.batch_id]
        case Order.MEDIAN:
            return [int(batch.median_seconds is None), _tenths(batch.median_seconds or 0), batch.batch_id]
        case Order.DEADLINE:
            return [batch.deadline_ms, batch.batch_id]


def _tenths(seconds: float) -> int:
    return max(1, round(seconds * 10))
