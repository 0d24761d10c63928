"""What is looked after once a minute, so that nothing accepted waits for a message that was lost."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from smallpeck.kernel.writes import Change, Path, Present, UnitOfWork, Value, ref
from smallpeck.tasks.batches import Progress, StartFinish
from smallpeck.tasks.finishing import is_done
from smallpeck.tasks.model import Batch, BatchState, Review, Task, batch_ref
from smallpeck.tasks.pages import SUBMITTED_SHARDS
from smallpeck.tasks.routing import ALL_BANDS, Place
from smallpeck.tasks.seats import SeatReads, release_due, want
from smallpeck.tasks.submissions import Nudge

SUBMITTED_SECONDS_MAX = 120  # a page that waits longer is nudged again
PAGES_AT_ONCE = 200
LEASES_AT_ONCE = 50
MEND_EVERY_SECONDS = 600
BATCHES_AT_ONCE = 50


@dataclass(frozen=True)
class Tickets:
    """How many tickets of a shard were drawn, and when the shard was last looked through for forgotten tasks."""

    drawn: int
    mended_at_ms: int


class SweepReads(SeatReads, Protocol):
    """What sweeping reads."""

    def submitted_before(self, shard: int, *, moment_ms: int, limit: int) -> list[str]: ...
    def open_batches(self, *, after: str | None, limit: int) -> tuple[list[Batch], str | None]: ...
    def due_leases(self, batch_id: str, shard: int, *, now_ms: int, limit: int) -> list[str]: ...
    def progress(self, batch_id: str) -> Progress: ...
    def reviews_over(self, batch_id: str, *, now_ms: int, limit: int) -> list[str]: ...
    def tickets(self, batch_id: str, shard: int) -> Tickets: ...
    def wanted(self, batch: Batch, shard: int, *, first: Place, before: Place, limit: int) -> list[tuple[int, int]]: ...
    def every_task(self, batch: Batch, shard: int) -> Iterator[Task]: ...


def nudge_forgotten(*, now_ms: int, reads: SweepReads, nudge: Nudge) -> int:
    """Queues pages again that were accepted a while ago and are not decided; returns how many."""
    moment_ms = now_ms - SUBMITTED_SECONDS_MAX * 1000
    forgotten = [
        page_id
        for shard in range(SUBMITTED_SHARDS)
        for page_id in reads.submitted_before(shard, moment_ms=moment_ms, limit=PAGES_AT_ONCE)
    ]
    for page_id in forgotten:
        nudge(page_id)
    return len(forgotten)


def look_after_batches(
    *, now_ms: int, reads: SweepReads, unit: UnitOfWork, nudge: Nudge, start_finish: StartFinish
) -> int:
    """Opens seats whose lease ran out, ends reviews, measures, and finishes what is done, overdue or closing.

    Returns how many batches were told to finish; telling one twice is the same as once.
    """
    told = 0
    after: str | None = None
    while True:
        batches, after = reads.open_batches(after=after, limit=BATCHES_AT_ONCE)
        for batch in batches:
            for shard in range(batch.shards):
                for page_id in reads.due_leases(batch.batch_id, shard, now_ms=now_ms, limit=LEASES_AT_ONCE):
                    release_due(page_id=page_id, batch=batch, now_ms=now_ms, reads=reads, unit=unit)
                if batch.state is BatchState.ACTIVE:
                    mend(batch=batch, shard=shard, now_ms=now_ms, reads=reads, unit=unit)
            if batch.review is not Review.INSTANT:
                for page_id in reads.reviews_over(batch.batch_id, now_ms=now_ms, limit=PAGES_AT_ONCE):
                    nudge(page_id)
            progress = reads.progress(batch.batch_id)
            _measure(batch, progress, now_ms, unit)
            overdue = batch.deadline_ms <= now_ms or batch.state is BatchState.CLOSING
            if overdue or is_done(batch, progress):
                start_finish(batch.batch_id)
                told += 1
        if after is None:
            return told


def _measure(batch: Batch, progress: Progress, now_ms: int, unit: UnitOfWork) -> None:
    """Notes on the batch how long an answer takes, so that lists of batches need read nothing else.

    The median over all approved answers so far: of each page the time from its lease to its submission, shared evenly
    by its answers, to a tenth of a second and at most 10% off (`smallpeck.tasks.pace`).
    """
    if progress.median_seconds is None or round(progress.median_seconds, 1) == batch.median_seconds:
        return
    measured: dict[Path, Value] = {"median_seconds": f"{progress.median_seconds:.1f}", "measured_at_ms": now_ms}
    unit.commit([Change(batch_ref(batch.batch_id), set=measured, when=(Present(),))])


def mend(*, batch: Batch, shard: int, now_ms: int, reads: SweepReads, unit: UnitOfWork) -> int:
    """Lists tasks again whose ticket went down with a request that died; returns how many.

    Looks through the shard only when its tickets are gone and its index is empty, and seldom: a task is forgotten only
    where a function died between drawing a ticket and writing the page.
    """
    size = batch.shard_size(shard)
    tickets = reads.tickets(batch.batch_id, shard)
    if tickets.drawn < size * batch.min_answers or now_ms < tickets.mended_at_ms + MEND_EVERY_SECONDS * 1000:
        return 0
    if reads.wanted(batch, shard, first=ALL_BANDS[0], before=ALL_BANDS[1], limit=1):
        return 0
    listed = want(batch, reads.every_task(batch, shard), reads, unit)
    unit.commit([Change(ref("tickets", batch.batch_id, shard), set={"mended_at_ms": now_ms})])
    return listed
