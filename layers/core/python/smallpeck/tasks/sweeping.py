"""What is looked after once a minute, so that nothing accepted waits for a message that was lost."""

from typing import Protocol

from smallpeck.kernel.writes import UnitOfWork
from smallpeck.tasks.batches import Progress, StartFinish
from smallpeck.tasks.finishing import is_done
from smallpeck.tasks.model import Batch, BatchState
from smallpeck.tasks.pages import SUBMITTED_SHARDS
from smallpeck.tasks.seats import SeatReads, release_due
from smallpeck.tasks.submissions import Nudge

SUBMITTED_SECONDS_MAX = 120  # a page that waits longer is nudged again
PAGES_AT_ONCE = 200
LEASES_AT_ONCE = 50
BATCHES_AT_ONCE = 50


class SweepReads(SeatReads, Protocol):
    """What sweeping reads."""

    def submitted_before(self, shard: int, *, moment_ms: int, limit: int) -> list[str]: ...
    def open_batches(self, *, after: str | None, limit: int) -> tuple[list[Batch], str | None]: ...
    def due_leases(self, batch_id: str, shard: int, *, now_ms: int, limit: int) -> list[str]: ...
    def progress(self, batch_id: str) -> Progress: ...


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


def look_after_batches(*, now_ms: int, reads: SweepReads, unit: UnitOfWork, start_finish: StartFinish) -> int:
    """Opens seats whose lease ran out, and finishes batches that are done, past their deadline, or closing.

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
            overdue = batch.deadline_ms <= now_ms or batch.state is BatchState.CLOSING
            if overdue or is_done(batch, reads.progress(batch.batch_id)):
                start_finish(batch.batch_id)
                told += 1
        if after is None:
            return told
