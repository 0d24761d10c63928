"""Which tasks to try for a worker's next page.

First by ticket: each draw hands out another run of positions, so that workers who ask at the same moment look at
different tasks. When the tickets of the first `min_answers` rounds are gone, from the index of tasks that want another
answer: those whose seat was opened again, whose ticket was drawn by somebody who could not use it, or which are still
undecided. Last, from leases that have run out, so that nobody is told "none" while a seat could be open.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from smallpeck.kernel.ids import spread
from smallpeck.kernel.writes import Change, UnitOfWork, WriteConflict
from smallpeck.tasks.model import Batch, Task, task_ref
from smallpeck.tasks.pages import Page
from smallpeck.tasks.seats import as_read, release_due, want

DRAWS_PER_SHARD = 5
WANTED_LOOKED_AT = 4  # times the page size: tasks that the worker cannot do may stand before those they can
DUE_LEASES_AT_ONCE = 5


class SuggestingReads(Protocol):
    """What suggesting reads."""

    def page(self, page_id: str) -> Page | None: ...
    def take_tickets(self, batch_id: str, shard: int, count: int, *, end: int) -> int | None: ...
    def tasks(self, batch: Batch, ordinals: Sequence[int]) -> dict[int, Task]: ...
    def task(self, batch: Batch, ordinal: int) -> Task | None: ...
    def tasks_between(self, batch: Batch, shard: int, first: int, last: int) -> list[Task]: ...
    def wanted(self, batch: Batch, shard: int, *, first: int, before: int, limit: int) -> list[int]: ...
    def due_leases(self, batch_id: str, shard: int, *, now_ms: int, limit: int) -> list[str]: ...


def suggest(
    *, worker_id: str, batch: Batch, seed: str, now_ms: int, reads: SuggestingReads, unit: UnitOfWork
) -> list[Task]:
    """Up to a page of tasks, as they were read, that seem to have a seat for the worker.

    `seed` says where among equals to begin. A task whose ticket was drawn in vain is listed for others.
    """
    start = spread(batch.shards, worker_id, seed)
    shards = [(start + offset) % batch.shards for offset in range(batch.shards)]
    chosen: dict[int, Task] = {}
    for shard in shards:
        _draw(worker_id, batch, shard, chosen, reads, unit)
    if len(chosen) == batch.page_size:
        return list(chosen.values())
    for task in _listed(worker_id, batch, shards, seed, now_ms, reads, unit):
        if task.offers_seat_to(worker_id, batch):
            chosen[task.ordinal] = task
        if len(chosen) == batch.page_size:
            break
    return list(chosen.values())


def _draw(
    worker_id: str, batch: Batch, shard: int, chosen: dict[int, Task], reads: SuggestingReads, unit: UnitOfWork
) -> None:
    """Draws as many tickets of a shard as the page has room for, a few times."""
    size = batch.shard_size(shard)
    end = size * batch.min_answers
    for _ in range(DRAWS_PER_SHARD):
        count = min(batch.page_size - len(chosen), size)
        if count == 0:
            return
        first = reads.take_tickets(batch.batch_id, shard, count, end=end)
        if first is None:
            return
        drawn = _at_positions(batch, shard, first, min(first + count, end), reads)
        usable = {task.ordinal: task for task in drawn if task.offers_seat_to(worker_id, batch)}
        want(batch, [task for task in drawn if task.ordinal not in usable or task.ordinal in chosen], reads, unit)
        chosen.update(usable)
        if count == size or first + count >= end:
            return  # more tickets would only name the same tasks again, or there are none


def _at_positions(batch: Batch, shard: int, first: int, after: int, reads: SuggestingReads) -> list[Task]:
    """The tasks of tickets first <= t < after; a run may go round the end of the shard once."""
    size = batch.shard_size(shard)
    begin, end = first % size, (after - 1) % size
    if begin <= end:
        return reads.tasks_between(batch, shard, begin, end)
    return [*reads.tasks_between(batch, shard, begin, size - 1), *reads.tasks_between(batch, shard, 0, end)]


def _listed(
    worker_id: str,
    batch: Batch,
    shards: Sequence[int],
    seed: str,
    now_ms: int,
    reads: SuggestingReads,
    unit: UnitOfWork,
) -> Iterator[Task]:
    for shard in shards:
        start = spread(max(1, batch.shard_size(shard)), worker_id, seed, "start")
        yield from _wanted(batch, shard, start, reads, unit)
    for shard in shards:
        for page_id in reads.due_leases(batch.batch_id, shard, now_ms=now_ms, limit=DUE_LEASES_AT_ONCE):
            opened = release_due(page_id=page_id, batch=batch, now_ms=now_ms, reads=reads, unit=unit)
            yield from reads.tasks(batch, opened).values()


def _wanted(batch: Batch, shard: int, start: int, reads: SuggestingReads, unit: UnitOfWork) -> Iterator[Task]:
    """Tasks from the index, from a place of the worker's own on and then round."""
    limit = WANTED_LOOKED_AT * batch.page_size
    for first, before in ((start, batch.shard_size(shard)), (0, start)):
        ordinals = reads.wanted(batch, shard, first=first, before=before, limit=limit) if first < before else []
        for task in reads.tasks(batch, ordinals).values() if ordinals else ():
            if not task.asks(batch):
                _take_off(batch, task, unit)
            yield task


def _take_off(batch: Batch, task: Task, unit: UnitOfWork) -> None:
    """Drops a task that asks for nobody; claims that filled it side by side may have left it in the index."""
    try:
        unit.commit([Change(task_ref(batch, task.ordinal), when=as_read(task), index={"want": None})])
    except WriteConflict:
        return  # a seat was opened or a vote counted meanwhile; whoever did that has set the index
