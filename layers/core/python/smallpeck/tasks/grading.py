"""The grader: turns an accepted page into votes, closes tasks, and settles the page in one round.

Every step can be made again: a vote is there or not, a closing names the page that caused it, and the settlement is
one transaction under an entry id that follows from the page and its round.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from smallpeck.consensus.plurality import Decision
from smallpeck.kernel.errors import NotFound, SmallPeckError
from smallpeck.kernel.ids import spread
from smallpeck.kernel.writes import Change, Contention, Equals, Path, UnitOfWork, Value, Write, WriteConflict, ref
from smallpeck.ledger.accounts import Account, escrow, platform_revenue, worker_available
from smallpeck.ledger.posting import Balance, Entry, EntryKind, Posting
from smallpeck.ledger.service import Books, InsufficientFunds, post
from smallpeck.tasks.model import Batch, Result, Task, TaskStatus, Vote, task_ref, want_key
from smallpeck.tasks.pages import Assignment, AssignmentState, Page, PageState, assignment_fields, page_ref
from smallpeck.tasks.seats import open_seats_of

VOTE_ATTEMPTS = 20
SETTLE_ATTEMPTS = 8


class UnknownPage(NotFound):
    """A message names a page that does not exist; it is held in the dead-letter queue."""

    code = "unknown_page"


class SeatLost(SmallPeckError):
    """An accepted answer has no seat on its task. That cannot be: the page is held for an operator."""

    code = "seat_lost"


class Consensus(Protocol):
    """Decides what the answers to a task amount to."""

    def __call__(self, *, task_id: str, answers: Collection[str], min_answers: int, max_answers: int) -> Decision: ...


class GradingReads(Protocol):
    """What grading reads."""

    def page(self, page_id: str) -> Page | None: ...
    def batch(self, batch_id: str) -> Batch | None: ...
    def task(self, batch: Batch, ordinal: int) -> Task | None: ...
    def tasks(self, batch: Batch, ordinals: Sequence[int]) -> dict[int, Task]: ...


@dataclass(frozen=True)
class Graded:
    """What grading a page came to. `may_end_batch`: its answers closed tasks, perhaps the last ones."""

    batch: Batch
    may_end_batch: bool


def grade(
    *, page_id: str, now_ms: int, reads: GradingReads, books: Books, unit: UnitOfWork, consensus: Consensus
) -> Graded | None:
    """Decides a submitted page; None where there is nothing to do (any more).

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
    if page.state is not PageState.SUBMITTED or page.answers is None or page.accepted_at_ms is None:
        return None
    answered = [one for one in page.assignments if one.state is AssignmentState.SUBMITTED]
    unanswered = [one for one in page.assignments if one.state is AssignmentState.RETURNED]
    open_seats_of(page, batch, unanswered, refused=True, reads=reads, unit=unit)
    tasks = reads.tasks(batch, [one.ordinal for one in answered])
    closed = 0
    for one in answered:
        vote = Vote(page.page_id, page.answers[one.task_id], page.accepted_at_ms)
        task = _vote(batch, page.worker_id, vote, tasks.get(one.ordinal), reads, unit, consensus)
        closed += task.closed_by == page.page_id
    _settle(page, batch, answered, closed, now_ms, books, unit)
    return Graded(batch, may_end_batch=closed > 0)


def _vote(
    batch: Batch,
    worker_id: str,
    vote: Vote,
    task: Task | None,
    reads: GradingReads,
    unit: UnitOfWork,
    consensus: Consensus,
) -> Task:
    """The task with the worker's vote on it, closed where that decides it."""
    for _ in range(VOTE_ATTEMPTS):
        if task is None or not task.held_by(vote.page_id, worker_id):
            raise SeatLost("an accepted answer has no seat on its task")
        if worker_id in task.votes:
            return task
        answers = [*(one.answer for one in task.votes.values()), vote.answer]
        decision = consensus(
            task_id=task.task_id, answers=answers, min_answers=batch.min_answers, max_answers=batch.max_answers
        )
        closes = decision.final and task.status is TaskStatus.OPEN
        try:
            unit.commit([_vote_write(batch, task, worker_id, vote, decision, closes=closes)])
        except WriteConflict:
            task = reads.task(batch, task.ordinal)
            continue
        return replace(task, closed_by=vote.page_id if closes else task.closed_by)
    raise Contention("the task is busy; try again")


def _vote_write(batch: Batch, task: Task, worker_id: str, vote: Vote, decision: Decision, *, closes: bool) -> Write:
    fields: dict[Path, Value] = {}
    if closes:
        fields = {"status": TaskStatus.CLOSED, "closed_by": vote.page_id}
    if closes or task.status is TaskStatus.CLOSED:
        fields["result"] = result_fields(result_of(decision))
    return Change(
        task_ref(batch, task.ordinal),
        set={
            ("votes", worker_id): {
                "page_id": vote.page_id,
                "answer": vote.answer,
                "accepted_at_ms": vote.accepted_at_ms,
            },
            **fields,
        },
        add={"version": 1},
        remove=(("holders", worker_id),),
        when=(Equals("version", task.version), Equals(("holders", worker_id, "page_id"), vote.page_id)),
        index=_want_after(batch, task, worker_id, closes=closes),
    )


def _want_after(batch: Batch, task: Task, worker_id: str, *, closes: bool) -> dict[str, tuple[str | int, ...] | None]:
    """How the index changes with a vote: a task past its first rounds asks again when nobody sits on it any more."""
    if closes:
        return {"want": None}
    past_tickets = batch.min_answers <= task.seats_taken < batch.max_answers
    if task.status is TaskStatus.OPEN and past_tickets and task.holders.keys() == {worker_id}:
        return {"want": want_key(batch, task.ordinal)}
    return {}


def result_of(decision: Decision) -> Result:
    """The stored result of a decision."""
    return Result(decision.answer, decision.confidence_ppm, decision.tied)


def result_fields(result: Result) -> dict[str, str | int | bool | None]:
    """A result as it is stored."""
    return {"answer": result.answer, "confidence_ppm": result.confidence_ppm, "tied": result.tied}


def _settle(
    page: Page,
    batch: Batch,
    answered: Sequence[Assignment],
    closed: int,
    now_ms: int,
    books: Books,
    unit: UnitOfWork,
) -> None:
    """The page's settlement round: approves, credits and counts in one transaction."""
    home = spread(batch.escrow_shards, page.page_id)
    settled_round = page.round + 1
    approve = Change(
        page_ref(page.page_id),
        set={
            "state": PageState.DECIDED,
            "round": settled_round,
            "credited_micros": len(answered) * batch.reward_micros,
            "decided_at_ms": now_ms,
            "assignments": assignment_fields(
                tuple(
                    Assignment(one.task_id, one.ordinal, AssignmentState.APPROVED) if one in answered else one
                    for one in page.assignments
                )
            ),
        },
        when=(Equals("state", PageState.SUBMITTED), Equals("round", page.round)),
        index={"submitted": None},
    )
    count = Change(ref("progress", batch.batch_id, home), add={"answers": len(answered), "closed": closed})
    shares = {escrow(batch.batch_id, home): len(answered)}
    for _ in range(SETTLE_ATTEMPTS):
        entry = _credit(page, batch, f"{page.page_id}/{settled_round}", shares, now_ms)
        try:
            post(entry=entry, alongside=[approve, count], books=books, unit=unit)
            return
        except InsufficientFunds:
            shares = _shares(batch, len(answered), home, books)
        except WriteConflict as conflict:
            if conflict.hit(approve.ref):
                return  # a twin of this call has decided the page
            raise
    raise Contention("the batch's escrow is busy; try again")


def _credit(page: Page, batch: Batch, entry_id: str, shares: dict[Account, int], now_ms: int) -> Entry:
    """The entry that pays for answers, `shares` of them from each escrow shard."""
    postings = []
    for shard, answers in shares.items():
        postings.append(Posting(shard, worker_available(page.worker_id), answers * batch.reward_micros))
        if batch.fee_micros:
            postings.append(Posting(shard, platform_revenue(), answers * batch.fee_micros))
    return Entry(entry_id, EntryKind.CREDIT, batch.currency, page.page_id, tuple(postings), now_ms)


def _shares(batch: Batch, answers: int, home: int, books: Books) -> dict[Account, int]:
    """How many answers each escrow shard pays when the page's own has run dry: the fullest first."""
    shards = [escrow(batch.batch_id, shard) for shard in range(batch.escrow_shards)]
    balances = books.balances(shards, batch.currency)
    own = shards[home]

    def by_fullness(shard: Account) -> tuple[bool, int]:
        return shard != own, -balances.get(shard, Balance()).balance_micros

    shares: dict[Account, int] = {}
    missing = answers
    for shard in sorted(shards, key=by_fullness):
        pays = min(missing, balances[shard].balance_micros // batch.price_micros)
        if pays:
            shares[shard] = pays
            missing -= pays
    if missing:
        raise InsufficientFunds(shards)
    return shares
