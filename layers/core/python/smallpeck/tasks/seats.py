"""Opening seats again: leases that ran out, pages that were returned, tasks that were left unanswered."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

from smallpeck.kernel.writes import AtLeast, Below, Change, Equals, Present, UnitOfWork, Write, WriteConflict
from smallpeck.tasks.model import Batch, Task, TaskStatus, task_ref
from smallpeck.tasks.pages import (
    Assignment,
    AssignmentState,
    LeaseExpired,
    Page,
    PageNotFound,
    PageNotLeased,
    PageState,
    assignment_fields,
    member_ref,
    page_ref,
)
from smallpeck.tasks.skips import SkipReason, count
from smallpeck.tasks.voting import listing

_MAY_HOLD_SEATS_IN_VAIN = frozenset({PageState.LEASING, PageState.LEASED, PageState.EXPIRED, PageState.RETURNED})


class SeatReads(Protocol):
    """What opening seats reads."""

    def page(self, page_id: str) -> Page | None: ...
    def task(self, batch: Batch, ordinal: int) -> Task | None: ...
    def tasks(self, batch: Batch, ordinals: Sequence[int]) -> dict[int, Task]: ...


def own_page(page: Page | None, worker_id: str) -> Page:
    """The page, if it is this worker's; PageNotFound otherwise."""
    if page is None or page.worker_id != worker_id:
        raise PageNotFound
    return page


def is_open(page: Page, now_ms: int) -> bool:
    """Whether the page is in the worker's hands."""
    return page.state is PageState.LEASED and now_ms < page.expires_at_ms


def refuse_unless_open(page: Page, now_ms: int) -> None:
    """Raises LeaseExpired or PageNotLeased where the page is not in the worker's hands."""
    if page.state is PageState.EXPIRED or (page.state is PageState.LEASED and now_ms >= page.expires_at_ms):
        raise LeaseExpired("the lease of this page has run out; its tasks are open to others again")
    if page.state is not PageState.LEASED:
        raise PageNotLeased(f"this page is {page.state}")


def return_page(
    *,
    page: Page,
    batch: Batch,
    reason: SkipReason | None = None,
    now_ms: int,
    reads: SeatReads,
    unit: UnitOfWork,
) -> None:
    """Gives a page back; its seats are open at once, and its tasks are not offered to this worker again.

    With a reason every task of the page counts as skipped for it. Returning a page twice is the same as once.
    """
    if page.state is not PageState.RETURNED:
        refuse_unless_open(page, now_ms)
        skips = {one.task_id: str(reason) for one in page.assignments} if reason is not None else {}
        give_back = Change(
            page_ref(page.page_id),
            set={
                "state": PageState.RETURNED,
                "assignments": assignment_fields(page.assignments, AssignmentState.RETURNED),
                **({"skips": skips} if skips else {}),
            },
            when=(Equals("state", PageState.LEASED), AtLeast("expires_at_ms", now_ms + 1)),
        )
        unit.commit([give_back, *count(batch, page.page_id, skips)])
    _open_seats(page, batch, refused=True, reads=reads, unit=unit)


def release_due(*, page_id: str, batch: Batch, now_ms: int, reads: SeatReads, unit: UnitOfWork) -> list[int]:
    """Opens the seats of a page whose lease has run out, or that a crash left with seats to open.

    Returns the ordinals of its tasks; empty where the page is not due, or was submitted in time: the page item alone
    decides that, by a condition on its state.
    """
    page = reads.page(page_id)
    if page is None or page.state not in _MAY_HOLD_SEATS_IN_VAIN:
        return []
    if page.state in (PageState.LEASED, PageState.LEASING):
        if page.expires_at_ms > now_ms:
            return []
        expire = Change(
            page_ref(page.page_id),
            set={
                "state": PageState.EXPIRED,
                "assignments": assignment_fields(page.assignments, AssignmentState.EXPIRED),
            },
            when=(Equals("state", page.state), Below("expires_at_ms", now_ms + 1)),
        )
        try:
            unit.commit([expire])
        except WriteConflict:
            return []
    _open_seats(page, batch, refused=page.state is PageState.RETURNED, reads=reads, unit=unit)
    return [one.ordinal for one in page.assignments]


def leave(page: Page) -> Change:
    """The page no longer counts among the worker's open ones."""
    return Change(member_ref(page.worker_id, page.batch_id), add={"version": 1}, remove=(("open", page.page_id),))


def leave_once(page: Page, unit: UnitOfWork) -> None:
    """`leave`, for what may be done again: a page that has left already changes nothing."""
    with suppress(WriteConflict):
        unit.commit([replace(leave(page), when=(Present(("open", page.page_id)),))])


def want(batch: Batch, tasks: Iterable[Task], reads: SeatReads, unit: UnitOfWork) -> int:
    """Lists those of `tasks` that ask for somebody and are not listed yet; returns how many.

    A task that changes between the read and the write is looked at again: whoever took one of its seats by a ticket
    has not listed it for the next.
    """
    return sum(_list(batch, task, reads, unit) for task in tasks)


def _list(batch: Batch, task: Task, reads: SeatReads, unit: UnitOfWork) -> bool:
    present: Task | None = task
    while present is not None and present.asks(batch) and not present.wanted:
        try:
            unit.commit([Change(task_ref(batch, task.ordinal), when=as_read(present), index=listing(batch, present))])
            return True
        except WriteConflict:
            present = reads.task(batch, task.ordinal)
    return False


def as_read(task: Task) -> tuple[Equals, ...]:
    """Nothing that decides whether the task asks for somebody has changed since it was read."""
    return (
        Equals("seats_taken", task.seats_taken),
        Equals("status", task.status),
        Equals("version", task.version),
    )


def open_seats_of(
    page: Page, batch: Batch, assignments: Iterable[Assignment], *, refused: bool, reads: SeatReads, unit: UnitOfWork
) -> None:
    """Opens the page's seats on these tasks, or lists a task whose seat it never took for others."""
    ordinals = [one.ordinal for one in assignments]
    tasks = reads.tasks(batch, ordinals) if ordinals else {}
    want(batch, [task for task in tasks.values() if not _holds(page, task)], reads, unit)
    for ordinal, task in tasks.items():
        present: Task | None = task
        while present is not None and _holds(page, present):
            try:
                unit.commit([_open_seat(page, batch, present, refused=refused)])
                break
            except WriteConflict:
                present = reads.task(batch, ordinal)


def _open_seats(page: Page, batch: Batch, *, refused: bool, reads: SeatReads, unit: UnitOfWork) -> None:
    """All seats; then the page leaves the lease index, which leads here again until then."""
    open_seats_of(page, batch, page.assignments, refused=refused, reads=reads, unit=unit)
    leave_once(page, unit)
    unit.commit([Change(page_ref(page.page_id), index={"lease": None})])


def _holds(page: Page, task: Task) -> bool:
    holder = task.holders.get(page.worker_id)
    return holder is not None and holder.page_id == page.page_id


def _open_seat(page: Page, batch: Batch, task: Task, *, refused: bool) -> Write:
    return Change(
        task_ref(batch, task.ordinal),
        add={"seats_taken": -1},
        extend={"refused_by": frozenset({page.worker_id})} if refused else {},
        remove=(("holders", page.worker_id),),
        when=(Equals(("holders", page.worker_id, "page_id"), page.page_id), Equals("status", task.status)),
        index=listing(batch, task) if task.status is TaskStatus.OPEN else {},
    )
