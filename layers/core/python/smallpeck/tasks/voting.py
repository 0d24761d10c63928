"""Votes: an answer that counts, on the task that it answers. The decision is a pure function of a task's votes."""

from collections.abc import Collection
from dataclasses import replace
from typing import Protocol

from smallpeck.consensus.plurality import Decision
from smallpeck.kernel.errors import SmallPeckError
from smallpeck.kernel.writes import Change, Contention, Equals, Path, UnitOfWork, Value, Write, WriteConflict
from smallpeck.tasks.model import Batch, Result, Task, TaskStatus, Vote, task_ref, want_key

VOTE_ATTEMPTS = 20
DISPUTED_BELOW_PPM = 666_666  # two thirds, rounded down as shares are


class SeatLost(SmallPeckError):
    """An accepted answer has no seat on its task. That cannot be: the page is held for an operator."""

    code = "seat_lost"


class Consensus(Protocol):
    """Decides what the answers to a task amount to."""

    def __call__(self, *, task_id: str, answers: Collection[str], min_answers: int, max_answers: int) -> Decision: ...


class VotingReads(Protocol):
    """What voting reads."""

    def task(self, batch: Batch, ordinal: int) -> Task | None: ...


def cast(
    *,
    batch: Batch,
    worker_id: str,
    vote: Vote,
    task: Task | None,
    reads: VotingReads,
    unit: UnitOfWork,
    consensus: Consensus,
) -> Task:
    """The task with the worker's vote on it, closed where that decides it; once, however often it is tried.

    `task` is the task as it was read. Raises SeatLost, which no retry heals, and Contention, which one does.
    """
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
        return replace(task, closed_by=vote.page_id, disputed=is_disputed(decision)) if closes else task
    raise Contention("the task is busy; try again")


def _vote_write(batch: Batch, task: Task, worker_id: str, vote: Vote, decision: Decision, *, closes: bool) -> Write:
    fields: dict[Path, Value] = {}
    if closes:
        fields = {"status": TaskStatus.CLOSED, "closed_by": vote.page_id, "disputed": is_disputed(decision)}
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


def is_disputed(decision: Decision) -> bool:
    """Whether a task that closes so deserves a look: a tie, or an answer that fewer than two thirds gave."""
    return decision.tied or decision.confidence_ppm < DISPUTED_BELOW_PPM


def result_of(decision: Decision) -> Result:
    """The stored result of a decision."""
    return Result(decision.answer, decision.confidence_ppm, decision.tied)


def result_fields(result: Result) -> dict[str, str | int | bool | None]:
    """A result as it is stored."""
    return {"answer": result.answer, "confidence_ppm": result.confidence_ppm, "tied": result.tied}
