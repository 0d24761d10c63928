"""Leasing a page. What `suggesting` comes up with are only suggestions: the task item decides who gets a seat."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from smallpeck.kernel.errors import Conflict, Forbidden, IdempotencyMismatch, InProgress, Invalid, Problem
from smallpeck.kernel.ids import content_hash, derived_id
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
    PUBLISHED,
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
from smallpeck.tasks.seats import leave, want
from smallpeck.tasks.shuffling import ordinal_of
from smallpeck.tasks.suggesting import Asking, SuggestingReads, suggest

LEASING_SECONDS_MAX = 15  # longer than a request lives: an older page in `leasing` was left behind by a crash
CLAIM_ROUNDS = 4
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


class DispatchReads(SuggestingReads, Protocol):
    """What leasing reads."""

    def membership(self, worker_id: str, batch_id: str) -> Membership: ...


@dataclass(frozen=True)
class NothingToDo:
    """No task of the batch has a seat for this worker now."""

    retry_after_seconds: int = RETRY_AFTER_SECONDS


def is_offered(batch: Batch, now_ms: int) -> bool:
    """Whether the batch hands out work."""
    return batch.state is BatchState.ACTIVE and now_ms < batch.deadline_ms


def is_visible(batch: Batch) -> bool:
    """Whether workers may know of the batch: it is, or was, published."""
    return batch.state in (*PUBLISHED, BatchState.CLOSING) or batch.closed_at_ms is not None


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

    Raises IdempotencyMismatch where the key was used for another request, InProgress while the same request is being
    worked on, BatchClosed, NotEligible, TooManyPages, and TasksNotOffered where no named task has a seat.
    """
    request_hash = content_hash(["lease", batch.batch_id, list(named_tasks) if named_tasks is not None else None])
    page_id = page_id_of(worker.worker_id, idempotency_key)
    known = reads.page(page_id)
    if known is not None:
        if known.request_hash != request_hash:
            raise IdempotencyMismatch
        return _again(known, batch, now_ms, reads, unit)
    _check_offered(worker, batch, now_ms)
    ordinals = _named_ordinals(batch, named_tasks)
    membership = _with_room(reads.membership(worker.worker_id, batch.batch_id), now_ms)
    page = None
    for attempt in range(CLAIM_ROUNDS):
        if ordinals is None:
            asking = Asking(worker.worker_id, page_id, attempt, first_page=membership.version == 0)
            found = suggest(asking=asking, batch=batch, now_ms=now_ms, reads=reads, unit=unit)
        else:
            found = _named(worker.worker_id, batch, ordinals, reads)
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
        if attempt:
            unit.commit([_look_elsewhere(page, batch)])
        else:
            _open(page, batch, membership, found, reads, unit)
        leased = _claim(page=page, batch=batch, reads=reads, unit=unit, seen={task.ordinal: task for task in found})
        if leased is not None:
            return leased
    if page is not None:
        _void(page, unit)
    if ordinals is not None:
        raise TasksNotOffered("none of these tasks has a seat for you")
    return NothingToDo()


def _again(known: Page, batch: Batch, now_ms: int, reads: DispatchReads, unit: UnitOfWork) -> Page | NothingToDo:
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
    if not is_offered(batch, now_ms):
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
    ordinals = [ordinal_of(task_id, batch.shuffle_key) for task_id in named_tasks]
    unknown = [n for n, ordinal in enumerate(ordinals) if ordinal is None or ordinal >= batch.task_count]
    if unknown or len(set(ordinals)) < len(ordinals):
        problems = [Problem(f"/tasks/{n}", "no such task in this batch") for n in unknown]
        raise Invalid("some of these are not tasks of this batch, or stand twice", problems=problems)
    return [ordinal for ordinal in ordinals if ordinal is not None]


def _named(worker_id: str, batch: Batch, ordinals: Sequence[int], reads: DispatchReads) -> list[Task]:
    """Those of the tasks that have a seat for the worker; control tasks have none for who names them."""
    tasks = reads.tasks(batch, ordinals)
    there = (tasks[ordinal] for ordinal in ordinals if ordinal in tasks)
    return [task for task in there if not task.is_control and task.offers_seat_to(worker_id, batch)]


def _open(
    page: Page,
    batch: Batch,
    membership: Membership,
    found: Sequence[Task],
    reads: DispatchReads,
    unit: UnitOfWork,
) -> None:
    """Writes the page before its first claim, so that a crash leaves no seat that nothing leads to."""
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
        index={
            "lease": _lease_key(page, batch, page.assignments),
            "page_of": (page.worker_id, page.leased_at_ms, page.page_id),
        },
    )
    try:
        unit.commit([create, _join(page, membership)])
    except WriteConflict as conflict:
        want(batch, found, reads, unit)
        raise InProgress("another of your requests is being worked on", retry_after_seconds=2) from conflict


def _look_elsewhere(page: Page, batch: Batch) -> Write:
    """The page names other tasks, having got none of the first."""
    return Change(
        page_ref(page.page_id),
        set={"assignments": assignment_fields(page.assignments)},
        when=(Equals("state", PageState.LEASING),),
        index={"lease": _lease_key(page, batch, page.assignments)},
    )


def _lease_key(page: Page, batch: Batch, leased: Sequence[Assignment]) -> tuple[str | int, ...]:
    shard, _ = batch.place(leased[0].ordinal)
    return (batch.batch_id, shard, page.expires_at_ms, len(leased), page.page_id)


def _with_room(membership: Membership, now_ms: int) -> Membership:
    """The membership without pages whose lease ran out; TooManyPages where as many as may be are open."""
    still_open = {page_id: until for page_id, until in membership.open_pages.items() if until > now_ms}
    if len(still_open) >= MAX_OPEN_PAGES:
        raise TooManyPages(f"you have {len(still_open)} open pages in this batch; submit or return one first")
    return replace(membership, open_pages=still_open)


def _join(page: Page, membership: Membership) -> Write:
    """Counts the page among the worker's open ones."""
    unchanged: Condition = Equals("version", membership.version) if membership.version else Absent("version")
    return Change(
        member_ref(page.worker_id, page.batch_id),
        set={"open": {**membership.open_pages, page.page_id: page.expires_at_ms}, "version": membership.version + 1},
        when=(unchanged,),
    )


def _claim(
    *, page: Page, batch: Batch, reads: DispatchReads, unit: UnitOfWork, seen: Mapping[int, Task] | None = None
) -> Page | None:
    """Claims the page's seats and hands the page out with those it got; None where it got none.

    A page that is found in `leasing` after a crash is claimed again: a seat it holds already counts as claimed.
    """
    tasks = seen if seen is not None else reads.tasks(batch, [one.ordinal for one in page.assignments])
    got = _claimed(page, batch, tasks, reads, unit)
    if not got:
        return None
    unit.commit(
        [
            Change(
                page_ref(page.page_id),
                set={"state": PageState.LEASED, "assignments": assignment_fields(got)},
                when=(Equals("state", PageState.LEASING),),
                index={"lease": _lease_key(page, batch, got)},
            )
        ]
    )
    return replace(page, state=PageState.LEASED, assignments=got)


def _claimed(
    page: Page, batch: Batch, tasks: Mapping[int, Task], reads: DispatchReads, unit: UnitOfWork
) -> tuple[Assignment, ...]:
    """The assignments whose seat is the page's. Control tasks come last: without other work they are not paid for."""
    standing = [tasks[one.ordinal] for one in page.assignments if one.ordinal in tasks]
    work = [task for task in standing if not task.is_control]
    mine = {task.ordinal for task in work if _claim_seat(page, batch, task, reads, unit)}
    if mine or not work:
        controls = [task for task in standing if task.is_control]
        mine |= {task.ordinal for task in controls if _claim_seat(page, batch, task, reads, unit)}
    return tuple(one for one in page.assignments if one.ordinal in mine)


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
        if not present.offers_seat_to(page.worker_id, batch):
            return False
        try:
            unit.commit([claim(page, batch, present)])
            return True
        except WriteConflict:
            present = reads.task(batch, task.ordinal)
    return present is not None


def claim(page: Page, batch: Batch, task: Task) -> Change:
    """The write that takes a seat of `task`, as it was read.

    It holds as long as a seat is free and the worker is new to the task. Only a claim after which the task asks for
    nobody else insists on how many are taken, because it also takes the task out of the index.
    """
    last = task.seats_taken + 1 >= (batch.max_answers if task.is_control else batch.min_answers)
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
