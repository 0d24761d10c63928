"""What a batch will cost, how long it will take, what it pays an hour, and what stands in its way.

Everything here is said, and nothing changed. Money is exact: a quote is what publishing then reserves. Times are
estimates, from how long answers took where any were given, else from what the requester expects, else not made.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from smallpeck.kernel.errors import Problem
from smallpeck.tasks.batches import InWork, Progress, publishing_problems
from smallpeck.tasks.model import PUBLISHED, Batch, BatchState

SECONDS_PER_HOUR = 3_600


class Basis(StrEnum):
    """Where the time of an answer is known from."""

    MEASURED = "measured"
    """The median of the batch's answers so far."""
    EXPECTED = "expected"
    """What the requester said."""


@dataclass(frozen=True)
class Pace:
    """How long an answer takes."""

    seconds: float
    basis: Basis


@dataclass(frozen=True)
class Quote:
    """What a batch costs. Times are None where nothing is known of the time of an answer.

    `cost_micros` pays for every answer that may be asked for; `least_cost_micros` for those that are asked for in any
    case. What is not spent comes back.
    """

    answers: int
    cost_micros: int
    reward_micros: int
    fee_micros: int
    least_answers: int
    least_cost_micros: int
    pace: Pace | None
    duration_seconds: int | None
    least_duration_seconds: int | None
    hourly_micros: int | None


@dataclass(frozen=True)
class Verdict:
    """Whether a batch could be published now. `missing_micros` is what the requester's account lacks for it."""

    problems: Sequence[Problem]
    missing_micros: int

    @property
    def publishable(self) -> bool:
        """Whether nothing is in the way."""
        return not self.problems and not self.missing_micros


@dataclass(frozen=True)
class Forecast:
    """How a published batch is expected to go on.

    `answers` is how many more will be approved, at the least. `end_ms` is None where that cannot be said.
    """

    answers: int
    refund_micros: int
    end_ms: int | None


def pace_of(batch: Batch, median_seconds: float | None) -> Pace | None:
    """How long an answer to the batch takes, as far as that is known."""
    if median_seconds is not None:
        return Pace(median_seconds, Basis.MEASURED)
    return Pace(batch.expected_seconds, Basis.EXPECTED) if batch.expected_seconds is not None else None


def quote(*, batch: Batch, median_seconds: float | None, workers: int) -> Quote:
    """What the batch costs, and how long it takes with so many workers at once."""
    least = (batch.task_count - batch.control_count) * batch.min_answers
    pace = pace_of(batch, median_seconds)
    return Quote(
        answers=batch.answers_paid_for,
        cost_micros=batch.cost_micros,
        reward_micros=batch.answers_paid_for * batch.reward_micros,
        fee_micros=batch.answers_paid_for * batch.fee_micros,
        least_answers=least,
        least_cost_micros=least * batch.price_micros,
        pace=pace,
        duration_seconds=_duration(batch.answers_paid_for, pace, workers),
        least_duration_seconds=_duration(least, pace, workers),
        hourly_micros=None if pace is None else int(batch.reward_micros * SECONDS_PER_HOUR / pace.seconds),
    )


def examine(*, batch: Batch, available_micros: int, now_ms: int) -> Verdict:
    """What keeps the batch from being published."""
    match batch.state:
        case BatchState.READY:
            problems = publishing_problems(batch, now_ms)
        case BatchState.DRAFT | BatchState.IMPORTING:
            problems = [Problem("", "no file has been imported into this batch yet")]
        case _:
            problems = [Problem("", f"this batch is {batch.state}")]
    paid = batch.published_at_ms is not None
    return Verdict(problems, 0 if paid else max(0, batch.cost_micros - available_micros))


def forecast(*, batch: Batch, progress: Progress, in_work: InWork, now_ms: int) -> Forecast:
    """How a batch goes on if answers keep coming as they came since it was published.

    Every open task is taken to need no more than its first answers, or one more where it has had them; answers to
    control tasks may come on top.
    """
    spent = progress.answers * batch.price_micros
    if batch.state in PUBLISHED:
        work = batch.task_count - batch.control_count
        more = max(work * batch.min_answers - progress.answers, work - progress.closed, 0)
    else:
        more = in_work.answers if batch.state is BatchState.CLOSING else 0
    refund = batch.cost_micros - spent - more * batch.price_micros if batch.published_at_ms is not None else 0
    return Forecast(more, max(0, refund), _end(batch, progress, more, now_ms))


def _duration(answers: int, pace: Pace | None, workers: int) -> int | None:
    return None if pace is None else math.ceil(math.ceil(answers / workers) * pace.seconds)


def _end(batch: Batch, progress: Progress, more: int, now_ms: int) -> int | None:
    if batch.state is not BatchState.ACTIVE or batch.published_at_ms is None or not progress.answers:
        return None
    elapsed_ms = now_ms - batch.published_at_ms
    return min(batch.deadline_ms, now_ms + math.ceil(elapsed_ms * more / progress.answers))
