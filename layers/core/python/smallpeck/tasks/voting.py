"""Votes: an answer that counts, on the task that it answers. The decision is a pure function of a task's votes."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Protocol

from smallpeck.consensus import method as methods
from smallpeck.consensus.method import NOTHING_KNOWN, PPM, Decision, Method, SkillCounts
from smallpeck.consensus.online import Knowledge, control_lesson, control_step, step
from smallpeck.kernel.errors import SmallPeckError
from smallpeck.kernel.writes import Change, Contention, Equals, Path, UnitOfWork, Value, Write, WriteConflict
from smallpeck.tasks.model import Batch, Result, Task, TaskStatus, Vote, control_key, task_ref, want_key
from smallpeck.tasks.routing import band_of
from smallpeck.tasks.skill import credit_writes, lesson_writes
from smallpeck.tasks.skips import progress_ref

VOTE_ATTEMPTS = 20
DISPUTED_BELOW_PPM = 500_000


class SeatLost(SmallPeckError):
    """An accepted answer has no seat on its task. That cannot be: the page is held for an operator."""

    code = "seat_lost"


class VotingReads(Protocol):
    """What voting reads."""

    def task(self, batch: Batch, ordinal: int) -> Task | None: ...


@lru_cache(maxsize=256)
def _method(consensus: str) -> Method:
    return methods.method_of(json.loads(consensus))


def method_of(batch: Batch) -> Method:
    """How the answers of a batch become results."""
    return _method(batch.consensus)


def decide(batch: Batch, task: Task) -> Decision:
    """What the task's votes amount to; of a control task, what was known all along."""
    if task.gold is not None:
        return Decision(task.gold, PPM, tied=False, final=False)
    return method_of(batch).decide(task_id=task.task_id, votes=_votes(task), budget=batch.budget)


def cast(
    *,
    batch: Batch,
    worker_id: str,
    vote: Vote,
    task: Task | None,
    known: Knowledge,
    reads: VotingReads,
    unit: UnitOfWork,
) -> Task:
    """The task with the worker's vote on it, closed where that decides it; once, however often it is tried.

    `task` is the task as it was read, `known` what is known of its workers and of who answers. What the vote teaches is
    written in the same transaction: one that closes a task credits those who voted before, one on a control task says
    how far votes can be believed. Raises SeatLost, which no retry heals, and Contention,
    which one does.
    """
    for _ in range(VOTE_ATTEMPTS):
        if task is None or not task.held_by(vote.page_id, worker_id):
            raise SeatLost("an accepted answer has no seat on its task")
        if worker_id in task.votes:
            return task
        after, learnt = _with_vote(batch, task, worker_id, vote, known)
        try:
            unit.commit([_vote_write(batch, task, after, worker_id, known), *learnt])
            return after
        except WriteConflict:
            task = reads.task(batch, task.ordinal)
    raise Contention("the task is busy; try again")


def _with_vote(batch: Batch, task: Task, worker_id: str, vote: Vote, known: Knowledge) -> tuple[Task, Sequence[Write]]:
    """The task with one more vote, and the writes of what that teaches."""
    method = method_of(batch)
    if task.gold is not None:
        votes = control_step(
            method=method, votes=_votes(task), worker=worker_id, answer=vote.answer, gold=task.gold, known=known
        )
        lesson = control_lesson(method=method, votes=votes, worker=worker_id, gold=task.gold, known=known)
        return _counted(task, worker_id, vote, votes), lesson_writes(progress_ref(batch, vote.page_id), lesson)
    taken = step(
        method=method,
        task_id=task.task_id,
        votes=_votes(task),
        worker=worker_id,
        answer=vote.answer,
        known=known,
        budget=batch.budget,
    )
    after, decision = _counted(task, worker_id, vote, taken.votes), taken.decision
    if task.status is TaskStatus.CLOSED:
        return replace(after, result=result_of(decision)), ()
    if not decision.final:
        return after, ()
    gains = method.closing_credits(votes=taken.votes)
    learnt = NOTHING_KNOWN
    for credit in gains.values():
        learnt = learnt.plus(credit)
    closed = replace(
        after,
        status=TaskStatus.CLOSED,
        closed_by=vote.page_id,
        disputed=is_disputed(decision),
        closing_credit=learnt,
        result=result_of(decision),
    )
    return closed, credit_writes(batch.batch_id, gains)


def _counted(task: Task, worker_id: str, vote: Vote, votes: methods.Votes) -> Task:
    """The task with these votes, the worker's among them."""
    given = {**task.votes, worker_id: vote}
    return replace(
        task,
        version=task.version + 1,
        holders={worker: holder for worker, holder in task.holders.items() if worker != worker_id},
        votes={
            worker: replace(given[worker], accuracy_ppm=one.accuracy_ppm, credit=one.credit)
            for worker, one in votes.items()
        },
    )


def _votes(task: Task) -> methods.Votes:
    return {worker: methods.Vote(one.answer, one.accuracy_ppm, one.credit) for worker, one in task.votes.items()}


def _vote_write(batch: Batch, task: Task, after: Task, worker_id: str, known: Knowledge) -> Write:
    vote = after.votes[worker_id]
    fields: dict[Path, Value] = {
        ("votes", worker, "accuracy_ppm"): after.votes[worker].accuracy_ppm
        for worker, earlier in task.votes.items()
        if after.votes[worker].accuracy_ppm != earlier.accuracy_ppm
    }
    closes = after.status is TaskStatus.CLOSED and task.status is TaskStatus.OPEN
    if closes:
        fields |= {
            "status": after.status,
            "closed_by": after.closed_by,
            "disputed": after.disputed,
            "closing_hits_ppm": after.closing_credit.hits_ppm,
            "closing_weight_ppm": after.closing_credit.weight_ppm,
        }
    if after.result is not None and after.result != task.result:
        fields["result"] = result_fields(after.result)
    return Change(
        task_ref(batch, task.ordinal),
        set={
            ("votes", worker_id): {
                "page_id": vote.page_id,
                "answer": vote.answer,
                "accepted_at_ms": vote.accepted_at_ms,
                "accuracy_ppm": vote.accuracy_ppm,
                "hits_ppm": vote.credit.hits_ppm,
                "weight_ppm": vote.credit.weight_ppm,
            },
            **fields,
        },
        add={"version": 1},
        remove=(("holders", worker_id),),
        when=(Equals("version", task.version), Equals(("holders", worker_id, "page_id"), vote.page_id)),
        index=_want_after(batch, task, after, worker_id, known),
    )


def _want_after(
    batch: Batch, task: Task, after: Task, worker_id: str, known: Knowledge
) -> dict[str, tuple[str | int, ...] | None]:
    """How the index changes with a vote: a task past its first rounds asks again when nobody sits on it any more."""
    if task.is_control or task.status is TaskStatus.CLOSED:
        return {}
    if after.status is TaskStatus.CLOSED:
        return {"want": None}
    past_tickets = batch.min_answers <= task.seats_taken < batch.max_answers
    return listing(batch, after, known.population) if past_tickets and task.holders.keys() == {worker_id} else {}


def listing(
    batch: Batch, task: Task, population: SkillCounts = NOTHING_KNOWN
) -> dict[str, tuple[str | int, ...] | None]:
    """Where a task that asks for somebody is listed: by what one more answer, of a worker of usual accuracy, would
    change. It stays there until it is listed again, with its next vote or the next seat that is given back, whatever is
    learnt of its workers meanwhile.
    """
    if task.is_control:
        return {"control": control_key(batch.batch_id, task.ordinal, batch.control_count)}
    method = method_of(batch)
    usual = method.accuracy_ppm(worker=NOTHING_KNOWN, population=population)
    change = method.expected_change(votes=_votes(task), accuracy_ppm=usual)
    return {"want": want_key(batch, task.ordinal, band_of(change))}


def is_disputed(decision: Decision) -> bool:
    """Whether a task that closes so deserves a look: a tie, or an answer of which some part is as likely wrong as
    right.
    """
    return decision.tied or min(decision.parts_ppm, default=decision.confidence_ppm) < DISPUTED_BELOW_PPM


def result_of(decision: Decision) -> Result:
    """The stored result of a decision."""
    return Result(decision.answer, decision.confidence_ppm, decision.tied, decision.parts_ppm)


def result_fields(result: Result) -> dict[str, Value]:
    """A result as it is stored."""
    fields: dict[str, Value] = {
        "answer": result.answer,
        "confidence_ppm": result.confidence_ppm,
        "tied": result.tied,
    }
    return fields | ({"parts_ppm": list(result.parts_ppm)} if result.parts_ppm else {})
