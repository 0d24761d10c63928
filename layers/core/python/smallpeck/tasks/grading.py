"""The grader: takes an accepted page to its decision.

Where a batch's review is `instant`, every answer is approved at once. Otherwise the page waits for its requester: an
answer becomes a vote only when it is approved, so a rejected one never reaches a result, and its seat is open again.

Every step can be made again: a vote is there or not, a closing names the page that caused it, what a requester decided
stands on the page before it is carried out, and the settlement is one transaction under an entry id that follows from
the page and its round.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from smallpeck.consensus.method import NOTHING_KNOWN
from smallpeck.consensus.online import Knowledge
from smallpeck.kernel.errors import NotFound
from smallpeck.kernel.writes import Change, Equals, UnitOfWork, WriteConflict
from smallpeck.ledger.service import Books
from smallpeck.tasks.model import Batch, Review, Task, Vote
from smallpeck.tasks.pages import Assignment, AssignmentState, Page, PageState, page_ref, review_key
from smallpeck.tasks.seats import open_seats_of
from smallpeck.tasks.settling import Learnt, settle
from smallpeck.tasks.skips import count
from smallpeck.tasks.voting import cast


class UnknownPage(NotFound):
    """A message names a page that does not exist; it is held in the dead-letter queue."""

    code = "unknown_page"


class GradingReads(Protocol):
    """What grading reads."""

    def page(self, page_id: str) -> Page | None: ...
    def batch(self, batch_id: str) -> Batch | None: ...
    def task(self, batch: Batch, ordinal: int) -> Task | None: ...
    def tasks(self, batch: Batch, ordinals: Sequence[int]) -> dict[int, Task]: ...
    def known(self, batch: Batch, workers: Collection[str]) -> Knowledge: ...


@dataclass(frozen=True)
class Graded:
    """What grading a page came to. `may_end_batch`: its answers closed tasks, perhaps the last ones."""

    batch: Batch
    may_end_batch: bool


def grade(*, page_id: str, now_ms: int, reads: GradingReads, books: Books, unit: UnitOfWork) -> Graded | None:
    """Takes a page as far as it can go now; None where there is nothing to do.

    Raises UnknownPage and SeatLost, which no retry heals, and Contention, which one does.
    """
    page = reads.page(page_id)
    if page is None:
        raise UnknownPage("there is no such page")
    batch = reads.batch(page.batch_id)
    if batch is None:
        raise UnknownPage("the page's batch does not exist")
    if page.state is PageState.DECIDED:
        return Graded(batch, may_end_batch=True)
    if page.state is PageState.SUBMITTED:
        unanswered = [one for one in page.assignments if one.state is AssignmentState.RETURNED]
        open_seats_of(page, batch, unanswered, refused=True, reads=reads, unit=unit)
        if batch.review is not Review.INSTANT:
            _await_review(page, batch, unit)
            return None
    elif page.state is not PageState.IN_REVIEW:
        return None
    decisions = _decisions(page, now_ms)
    return _carry_out(page, batch, decisions, now_ms, reads, books, unit) if decisions else None


def _await_review(page: Page, batch: Batch, unit: UnitOfWork) -> None:
    until_ms = (page.accepted_at_ms or 0) + batch.review_seconds * 1000
    wait = Change(
        page_ref(page.page_id),
        set={"state": PageState.IN_REVIEW, "review_until_ms": until_ms},
        when=(Equals("state", PageState.SUBMITTED),),
        index={"review": review_key(page, until_ms, len(undecided(page)))},
    )
    try:
        unit.commit([wait, *count(batch, page.page_id, page.skips)])
    except WriteConflict:
        return  # a twin of this call was faster


def _decisions(page: Page, now_ms: int) -> dict[str, AssignmentState]:
    """What is decided about the page's answers: by its requester, by the end of the review, or at once."""
    if page.deciding is not None:
        return {task_id: AssignmentState(state) for task_id, state in page.deciding.items()}
    over = page.state is PageState.SUBMITTED or (page.review_until_ms or 0) <= now_ms
    return {one.task_id: AssignmentState.APPROVED for one in undecided(page)} if over else {}


def undecided(page: Page) -> list[Assignment]:
    """The answers of the page that nobody has decided."""
    return [one for one in page.assignments if one.state is AssignmentState.SUBMITTED]


def _carry_out(
    page: Page,
    batch: Batch,
    decisions: dict[str, AssignmentState],
    now_ms: int,
    reads: GradingReads,
    books: Books,
    unit: UnitOfWork,
) -> Graded:
    approved = [one for one in undecided(page) if decisions.get(one.task_id) is AssignmentState.APPROVED]
    rejected = [one for one in undecided(page) if decisions.get(one.task_id) is AssignmentState.REJECTED]
    open_seats_of(page, batch, rejected, refused=True, reads=reads, unit=unit)
    tasks = reads.tasks(batch, [one.ordinal for one in approved])
    known = reads.known(batch, {page.worker_id, *(worker for task in tasks.values() for worker in task.votes)})
    closed = disputed = 0
    own = of_all = NOTHING_KNOWN
    for one in approved:
        vote = Vote(page.page_id, (page.answers or {})[one.task_id], page.accepted_at_ms or 0)
        task = cast(
            batch=batch,
            worker_id=page.worker_id,
            vote=vote,
            task=tasks.get(one.ordinal),
            known=known,
            reads=reads,
            unit=unit,
        )
        own = own.plus(task.votes[page.worker_id].credit)
        if task.closed_by == page.page_id:
            closed += 1
            disputed += task.disputed
            of_all = of_all.plus(task.closing_credit)
    settle(
        page=page,
        batch=batch,
        approved=[one.task_id for one in approved],
        rejected=[one.task_id for one in rejected],
        closed=closed,
        disputed=disputed,
        learnt=Learnt(own, own.plus(of_all)),
        now_ms=now_ms,
        books=books,
        unit=unit,
    )
    return Graded(batch, may_end_batch=closed > 0)
