"""The end of a batch: recount, refund, publish. Every step can be made again."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from smallpeck.kernel.errors import Conflict
from smallpeck.kernel.writes import Change, Equals, Present, UnitOfWork, WriteConflict
from smallpeck.ledger.accounts import escrow, requester_available
from smallpeck.ledger.posting import Entry, EntryKind, Posting
from smallpeck.ledger.service import Books, post
from smallpeck.tasks.batches import Progress, begin_closing
from smallpeck.tasks.model import PUBLISHED, Batch, BatchNotFound, BatchState, Task, TaskStatus, batch_ref, task_ref
from smallpeck.tasks.pages import Page, PageState
from smallpeck.tasks.seats import release_due
from smallpeck.tasks.voting import decide, result_fields, result_of

WAIT_SECONDS_MIN = 2
WAIT_SECONDS_MAX = 3_600
CLOSED_BY_FINISH = "finish"


class NotReady(Conflict):
    """Leases are open or pages undecided: the batch cannot be settled yet."""

    code = "batch_not_ready"


class FinishReads(Protocol):
    """What finishing reads."""

    def batch(self, batch_id: str) -> Batch | None: ...
    def progress(self, batch_id: str) -> Progress: ...
    def page(self, page_id: str) -> Page | None: ...
    def task(self, batch: Batch, ordinal: int) -> Task | None: ...
    def tasks(self, batch: Batch, ordinals: Sequence[int]) -> dict[int, Task]: ...
    def every_task(self, batch: Batch, shard: int) -> Iterator[Task]: ...


@dataclass(frozen=True)
class Recount:
    """What stands between a closing batch and its end. `undecided` are votes whose page is not settled."""

    open_leases: int
    undecided: int
    wait_seconds: int

    @property
    def ready(self) -> bool:
        """Whether everything accepted is decided and no seat is held."""
        return self.open_leases == 0 and self.undecided == 0


def is_done(batch: Batch, progress: Progress) -> bool:
    """Whether a published batch wants no more answers, as its settlement rounds have counted."""
    return batch.state in PUBLISHED and progress.closed >= batch.task_count - batch.control_count


def begin(*, batch_id: str, final: BatchState, reads: FinishReads, unit: UnitOfWork) -> Batch:
    """The batch offers no more work. It may be closing, or ended, already."""
    batch = _batch(batch_id, reads)
    if batch.state in PUBLISHED:
        with suppress(WriteConflict):  # begun by somebody else; the state is read again below
            unit.commit([begin_closing(batch, final)])
        batch = _batch(batch_id, reads)
    return batch


def recount(*, batch_id: str, now_ms: int, reads: FinishReads, unit: UnitOfWork) -> Recount:
    """Counts every task by partition, opens seats whose lease has run out, and closes tasks that nobody holds.

    A task that closes here has the result of the answers it got, if any.
    """
    batch = _batch(batch_id, reads)
    held = votes = 0
    next_change_ms: int | None = None
    for shard in range(batch.shards):
        for task in reads.every_task(batch, shard):
            holders = 0
            for holder in task.holders.values():
                until_ms = holder.expires_at_ms
                if until_ms <= now_ms:
                    release_due(page_id=holder.page_id, batch=batch, now_ms=now_ms, reads=reads, unit=unit)
                    until_ms = _review_end(holder.page_id, reads) or now_ms
                next_change_ms = min(until_ms, next_change_ms or until_ms)
                holders += 1
            held += holders
            votes += len(task.votes)
            if not holders and task.status is TaskStatus.OPEN and batch.state is BatchState.CLOSING:
                _close(batch, task, unit)
    undecided = votes - reads.progress(batch_id).answers
    until_change = WAIT_SECONDS_MIN if next_change_ms is None else (next_change_ms - now_ms) // 1000 + 1
    return Recount(held, undecided, max(WAIT_SECONDS_MIN, min(until_change, WAIT_SECONDS_MAX)))


def refund(*, batch_id: str, now_ms: int, reads: FinishReads, books: Books, unit: UnitOfWork) -> int:
    """Gives back what the batch did not spend, in one entry; returns it in micros (0 where nothing is left)."""
    batch = _batch(batch_id, reads)
    entry_id = f"{batch_id}/refund"
    if batch.state is not BatchState.CLOSING or books.input_hash(entry_id) is not None:
        return 0
    shards = [escrow(batch_id, shard) for shard in range(batch.escrow_shards)]
    balances = books.balances(shards, batch.currency)
    spent = reads.progress(batch_id).answers * batch.price_micros
    left = {shard: balances[shard].balance_micros for shard in shards if balances[shard].balance_micros}
    if sum(left.values()) != batch.cost_micros - spent:
        raise NotReady("the batch's escrow and its approved answers do not add up yet")
    if left:
        entry = Entry(
            entry_id,
            EntryKind.REFUND,
            batch.currency,
            batch_id,
            tuple(Posting(shard, requester_available(batch.requester_id), micros) for shard, micros in left.items()),
            now_ms,
        )
        post(entry=entry, alongside=[], books=books, unit=unit)
    return sum(left.values())


def end(*, batch_id: str, now_ms: int, reads: FinishReads, unit: UnitOfWork) -> Batch:
    """The batch is closed or cancelled; nothing about it changes any more."""
    batch = _batch(batch_id, reads)
    if batch.state is BatchState.CLOSING:
        unit.commit(
            [
                Change(
                    batch_ref(batch_id),
                    set={"state": batch.final or BatchState.CLOSED, "closed_at_ms": now_ms},
                    when=(Present(), Equals("state", BatchState.CLOSING)),
                    index={"open": None},
                )
            ]
        )
    return _batch(batch_id, reads)


def _batch(batch_id: str, reads: FinishReads) -> Batch:
    batch = reads.batch(batch_id)
    if batch is None:
        raise BatchNotFound
    return batch


def _review_end(page_id: str, reads: FinishReads) -> int | None:
    page = reads.page(page_id)
    return None if page is None or page.state is not PageState.IN_REVIEW else page.review_until_ms


def _close(batch: Batch, task: Task, unit: UnitOfWork) -> None:
    close = Change(
        task_ref(batch, task.ordinal),
        set={
            "status": TaskStatus.CLOSED,
            "closed_by": CLOSED_BY_FINISH,
            "result": result_fields(result_of(decide(batch, task))),
        },
        add={"version": 1},
        when=(
            Equals("version", task.version),
            Equals("status", TaskStatus.OPEN),
            Equals("seats_taken", task.seats_taken),
        ),
        index={"want": None},
    )
    try:
        unit.commit([close])
    except WriteConflict:
        return  # a last claim or vote came in; the next recount sees it
