"""Dispatch: which tasks a worker gets next, and the lease of a page of them.

Candidates are only suggestions: first from tickets (each hands out a different run of positions, so that workers who
ask at the same moment look at different tasks), then from the index of tasks with a free seat, then from leases that
have run out. The task item alone decides who gets a seat.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from smallpeck.kernel.errors import Conflict, Forbidden, InProgress, Invalid, Problem
from smallpeck.kernel.ids import content_hash, derived_id, ordinal_of_task, spread
from smallpeck.kernel.writes import (
    Absent,
    Below,
    Change,
    Condition,
    Create,
    Equals,
    Lacks,
    UnitOfWork,
    Value,
    Write,
    WriteConflict,
)
from smallpeck.tasks.model import (
    MAX_OPEN_PAGES,
    Batch,
    BatchClosed,
    BatchState,
    Task,
    TaskStatus,
    WorkerFacts,
    may_do,
    task_ref,
)
from smallpeck.tasks.pages import Assignment, Page, PageState, assignment_fields, member_ref, page_ref
from smallpeck.tasks.seats import leave, release_due

LEASING_SECONDS_MAX = 15  # longer than a request lives: an older page in `leasing` was left behind by a crash
CLAIM_ROUNDS = 4
WANTED_LOOKED_AT = 4  # times the page size: tasks that the worker cannot do may stand before those they can
DUE_LEASES_AT_ONCE = 5
RETRY_AFTER_SECONDS = 10


class TooManyPages(Conflict):
    """The worker has as many open pages in the batch as they may have."""

    code = "too_many_pages"


class NotEligible(Forbidden):
    """The batch's requirements do not let this worker in."""

    code = "not_eligible"


class TasksNotOffered(Conflict):
    """Named tasks of which none has a seat for this worker."""

    code = "tasks_not_offered"


@dataclass(frozen=True)
class Membership:
    """A worker's open pages in one batch: when each page's lease runs out."""

    open_pages: Mapping[str, int]
    version: int


class DispatchReads(Protocol):
    """What leasing reads."""

    def page(self, page_id: str) -> Page | None: ...
    def membership(self, worker_id: str, batch_id: str) -> Membership: ...
    def take_tickets(self, batch_id: str, shard: int, count: int) -> int: ...
    def tasks(self, batch: Batch, ordinals: Sequence[int]) -> dict[int, Task]: ...
    def task(self, batch: Batch, ordinal: int) -> Task | None: ...
    def tasks_between(self, batch: Batch, shard: int, first: int, last: int) -> list[Task]: ...
    def wanted(self, batch: Batch, shard: int, *, first: int, before: int, limit: int) -> list[int]: ...
    def due_leases(self, batch_id: str, shard: int, *, now_ms: int, limit: int) -> list[str]: ...


@dataclass(frozen=True)
class NothingToDo:
    """No task of the batch has a seat for this worker now."""

    retry_after_seconds: int = RETRY_AFTER_SECONDS


def page_id_of(worker_id: str, idempotency_key: str) -> str:
    """The id of the page that a worker leases under an idempotency key."""
    return derived_id("g", worker_id, "lease", idempotency_key)


def lease_page(
    *,
    worker: WorkerFacts,
    batch: Batch,
    idempotency_key: str,
    named_tasks: Sequence[str] | None,
    now_ms: int,
    reads: DispatchReads,
    unit: UnitOfWork,
) -> Page | NothingToDo:
    """Leases the next page, or the page of the tasks that are named; the same key gives the same page.

    Raises Invalid where the key was used for another request, InProgress while the same request is being worked on,
    BatchClosed, NotEligible, TooManyPages, and TasksNotOffered where no named task has a seat.
    """
    request_hash = content_hash(["lease", batch.batch_id, list(named_tasks) if named_tasks is not None else None])
    page_id = page_id_of(worker.worker_id, idempotency_key)
    known = reads.page(page_id)
    if known is not None:
        if known.request_hash != request_hash:
            raise Invalid("this Idempotency-Key was used for another request")
        return _again(known, batch, now_ms, reads, unit)
    _check_offered(worker, batch, now_ms)
    ordinals = _named_ordinals(batch, named_tasks)
    page = None
    for attempt in range(CLAIM_ROUNDS):
        found = _candidates(worker, batch, f"{page_id}:{attempt}", ordinals, now_ms, reads, unit)
        if not found:
            break
        page = Page(
            page_id=page_id,
            worker_id=worker.worker_id,
            batch_id=batch.batch_id,
            state=PageState.LEASING,
            assignments=tuple(Assignment(task.task_id, task.ordinal) for task in found),
            leased_at_ms=now_ms,
            expires_at_ms=now_ms + batch.lease_seconds * 1000,
            request_hash=request_hash,
        )
        _open(page, batch, attempt, now_ms, reads, unit)
        leased = _claim(page=page, batch=batch, reads=reads, unit=unit, seen={task.ordinal: task for task in found})
        if leased is not None:
            return leased
    if page is not None:
        _void(page, unit)
    if ordinals is not None:
        raise TasksNotOffered("none of these tasks has a seat for you")
    return NothingToDo()


def _again(
    known: Page, batch: Batch, now_ms: int, reads: DispatchReads, unit: UnitOfWork
) -> Page | NothingToDo:
    """The page of a key that was used before; finishes what a crash left half done."""
    if known.state is PageState.VOID:
        return NothingToDo()
    if known.state is not PageState.LEASING or known.expires_at_ms <= now_ms:
        return known
    if now_ms - known.leased_at_ms < LEASING_SECONDS_MAX * 1000:
        raise InProgress("this request is being worked on", retry_after_seconds=2)
    leased = _claim(page=known, batch=batch, reads=reads, unit=unit)
    if leased is None:
        _void(known, unit)
    return leased or NothingToDo()


def _check_offered(worker: WorkerFacts, batch: Batch, now_ms: int) -> None:
    if batch.state is not BatchState.ACTIVE or batch.deadline_ms <= now_ms:
        raise BatchClosed("this batch offers no work")
    if not may_do(worker, batch):
        raise NotEligible("this batch is for other workers")


def _named_ordinals(batch: Batch, named_tasks: Sequence[str] | None) -> list[int] | None:
    if named_tasks is None:
        return None
    if not batch.named:
        raise Forbidden("this batch hands out its tasks itself")
    if len(named_tasks) > batch.page_size:
        raise Invalid(f"a page of this batch has at most {batch.page_size} tasks")
    ordinals = [ordinal_of_task(task_id) for task_id in named_tasks]
    unknown = [n for n, ordinal in enumerate(ordinals) if ordinal is None or ordinal >= batch.task_count]
    if unknown or len(set(ordinals)) < len(ordinals):
        problems = [Problem(f"/tasks/{n}", "no such task in this batch") for n in unknown]
        raise Invalid("some of these are not tasks of this batch, or stand twice", problems=problems)
    return [ordinal for ordinal in ordinals if ordinal is not None]


def _candidates(
    worker: WorkerFacts,
    batch: Batch,
    seed: str,
    named: Sequence[int] | None,
    now_ms: int,
    reads: DispatchReads,
    unit: UnitOfWork,
) -> list[Task]:
    """Up to a page of tasks that seem to have a seat for the worker."""
    if named is not None:
        found = reads.tasks(batch, named)
        return [found[n] for n in named if n in found and found[n].offers_seat_to(worker.worker_id, batch.max_answers)]
    chosen: dict[int, Task] = {}
    for task in _suggestions(worker, batch, seed, now_ms, reads, unit):
        if task.offers_seat_to(worker.worker_id, batch.max_answers):
            chosen[task.ordinal] = task
            if len(chosen) == batch.page_size:
                break
    return list(chosen.values())


def _suggestions(
    worker: WorkerFacts, batch: Batch, seed: str, now_ms: int, reads: DispatchReads, unit: UnitOfWork
) -> Iterator[Task]:
    start = spread(batch.shards, worker.worker_id, seed)
    shards = [(start + offset) % batch.shards for offset in range(batch.shards)]
    for shard in shards:
        yield from _by_ticket(batch, shard, reads)
    for shard in shards:
        yield from _by_want(batch, shard, spread(batch.shard_size(shard), worker.worker_id, seed, "start"), reads, unit)
    for shard in shards:
        for page_id in reads.due_leases(batch.batch_id, shard, now_ms=now_ms, limit=DUE_LEASES_AT_ONCE):
            opened = release_due(page_id=page_id, batch=batch, now_ms=now_ms, reads=reads, unit=unit)
            yield from reads.tasks(batch, opened).values()


def _by_ticket(batch: Batch, shard: int, reads: DispatchReads) -> Iterator[Task]:
    """Tasks by ticket, one run of positions a ticket, until the shard's first rounds are handed out."""
    size = batch.shard_size(shard)
    rounds_end = size * batch.min_answers
    while size:
        first = reads.take_tickets(batch.batch_id, shard, batch.page_size)
        if first >= rounds_end:
            return
        position = first % size
        last = min(position + batch.page_size, size, position + rounds_end - first) - 1
        yield from reads.tasks_between(batch, shard, position, last)
        wrapped = batch.page_size - (last - position + 1)
        if wrapped > 0 and first + batch.page_size <= rounds_end:
            yield from reads.tasks_between(batch, shard, 0, min(wrapped, position) - 1) if position else ()


def _by_want(batch: Batch, shard: int, start: int, reads: DispatchReads, unit: UnitOfWork) -> Iterator[Task]:
    """Tasks from the index of free seats, from a place of the worker's own on and then round."""
    size = batch.shard_size(shard)
    limit = WANTED_LOOKED_AT * batch.page_size
    for first, before in ((start, size), (0, start)):
        ordinals = reads.wanted(batch, shard, first=first, before=before, limit=limit) if first < before else []
        for task in reads.tasks(batch, ordinals).values() if ordinals else ():
            if task.seats_taken >= batch.max_answers or task.status is TaskStatus.CLOSED:
                _take_off_want(batch, task, unit)
            yield task


def _take_off_want(batch: Batch, task: Task, unit: UnitOfWork) -> None:
    """Drops a full task from the index; claims that filled it side by side may have left it there."""
    unchanged = (Equals("seats_taken", task.seats_taken), Equals("status", task.status))
    try:
        unit.commit([Change(task_ref(batch, task.ordinal), when=unchanged, index={"want": None})])
    except WriteConflict:
        return  # a seat was opened or taken meanwhile; whoever did that has set the index


def _open(page: Page, batch: Batch, attempt: int, now_ms: int, reads: DispatchReads, unit: UnitOfWork) -> None:
    """Writes the page before its first claim, so that a crash leaves no seat that nothing leads to."""
    lease = (batch.batch_id, batch.place(page.home)[0], page.expires_at_ms, page.page_id)
    if attempt:
        unit.commit(
            [
                Change(
                    page_ref(page.page_id),
                    set={"assignments": assignment_fields(page.assignments)},
                    when=(Equals("state", PageState.LEASING),),
                    index={"lease": lease},
                )
            ]
        )
        return
    create = Create(
        page_ref(page.page_id),
        {
            "page_id": page.page_id,
            "worker_id": page.worker_id,
            "batch_id": page.batch_id,
            "state": page.state,
            "assignments": assignment_fields(page.assignments),
            "leased_at_ms": page.leased_at_ms,
            "expires_at_ms": page.expires_at_ms,
            "request_hash": page.request_hash,
            "round": 0,
            "credited_micros": 0,
        },
        index={"lease": lease, "page_of": (page.worker_id, page.leased_at_ms, page.page_id)},
    )
    try:
        unit.commit([create, _join(page, now_ms, reads.membership(page.worker_id, page.batch_id))])
    except WriteConflict as conflict:
        if conflict.hit(create.ref):
            raise InProgress("this request is being worked on", retry_after_seconds=2) from conflict
        raise InProgress("another of your requests is being worked on", retry_after_seconds=1) from conflict


def _join(page: Page, now_ms: int, membership: Membership) -> Write:
    """Counts the page among the worker's open ones. Leases that ran out do not count."""
    still_open = {page_id: until for page_id, until in membership.open_pages.items() if until > now_ms}
    if len(still_open) >= MAX_OPEN_PAGES:
        raise TooManyPages(f"you have {len(still_open)} open pages in this batch; submit or return one first")
    unchanged: Condition = Equals("version", membership.version) if membership.version else Absent("version")
    return Change(
        member_ref(page.worker_id, page.batch_id),
        set={"open": {**still_open, page.page_id: page.expires_at_ms}, "version": membership.version + 1},
        when=(unchanged,),
    )


def _claim(
    *, page: Page, batch: Batch, reads: DispatchReads, unit: UnitOfWork, seen: Mapping[int, Task] | None = None
) -> Page | None:
    """Claims the page's seats and hands the page out with those it got; None where it got none.

    A page that is found in `leasing` after a crash is claimed again: a seat it holds already counts as claimed.
    """
    tasks = seen if seen is not None else reads.tasks(batch, [one.ordinal for one in page.assignments])
    got = tuple(
        one
        for one in page.assignments
        if one.ordinal in tasks and _claim_seat(page, batch, tasks[one.ordinal], reads, unit)
    )
    if not got:
        return None
    unit.commit(
        [
            Change(
                page_ref(page.page_id),
                set={"state": PageState.LEASED, "assignments": assignment_fields(got)},
                when=(Equals("state", PageState.LEASING),),
                index={"lease": (batch.batch_id, batch.place(got[0].ordinal)[0], page.expires_at_ms, page.page_id)},
            )
        ]
    )
    return replace(page, state=PageState.LEASED, assignments=got)


def _void(page: Page, unit: UnitOfWork) -> None:
    """Ends a page that got no seat."""
    unit.commit(
        [
            Change(
                page_ref(page.page_id),
                set={"state": PageState.VOID},
                when=(Equals("state", PageState.LEASING),),
                index={"lease": None},
            ),
            leave(page),
        ]
    )


def _claim_seat(page: Page, batch: Batch, task: Task, reads: DispatchReads, unit: UnitOfWork) -> bool:
    present: Task | None = task
    while present is not None and not present.held_by(page.page_id, page.worker_id):
        if not present.offers_seat_to(page.worker_id, batch.max_answers):
            return False
        try:
            unit.commit([claim(page, batch, present)])
            return True
        except WriteConflict:
            present = reads.task(batch, task.ordinal)
    return present is not None


def claim(page: Page, batch: Batch, task: Task) -> Write:
    """The write that takes a seat of `task`, as it was read.

    It holds as long as a seat is free and the worker is new to the task. Only a claim that was made to fill the last
    seat insists on how many are taken, because it also takes the task out of the index.
    """
    last = task.seats_taken + 1 == batch.max_answers
    free: Condition = Equals("seats_taken", task.seats_taken) if last else Below("seats_taken", batch.max_answers)
    holder: dict[str, Value] = {"page_id": page.page_id, "expires_at_ms": page.expires_at_ms}
    return Change(
        task_ref(batch, task.ordinal),
        set={("holders", page.worker_id): holder},
        add={"seats_taken": 1},
        when=(
            Equals("status", TaskStatus.OPEN),
            free,
            Absent(("holders", page.worker_id)),
            Absent(("votes", page.worker_id)),
            Lacks("refused_by", page.worker_id),
        ),
        index={"want": None} if last else {},
    )
