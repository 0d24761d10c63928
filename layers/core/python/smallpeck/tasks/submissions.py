"""Submissions: the answers that a worker sends for a page.

The page item is the record; the queue is a nudge. What was accepted is decided, whatever becomes of any message.
"""

from collections.abc import Sequence
from typing import Protocol

from smallpeck.kernel.errors import Invalid, NotFound, Problem
from smallpeck.kernel.ids import canonical_json, spread
from smallpeck.kernel.writes import AtLeast, Change, Equals, UnitOfWork, WriteConflict
from smallpeck.tasks.model import MAX_ANSWER_BYTES, Batch
from smallpeck.tasks.pages import (
    SUBMITTED_SHARDS,
    AlreadySubmitted,
    AssignmentState,
    Page,
    PageState,
    answers_hash,
    page_ref,
)
from smallpeck.tasks.seats import leave_once, own_page, refuse_unless_open
from smallpeck.tasks.skips import Skip


class NoSubmission(NotFound):
    """The page has not been answered."""

    code = "no_submission"


class SubmissionReads(Protocol):
    """What submitting reads."""

    def page(self, page_id: str) -> Page | None: ...


class Nudge(Protocol):
    """Tells the grader of a page."""

    def __call__(self, page_id: str, /) -> None: ...


class AnswerCheck(Protocol):
    """Checks one answer against the batch's answer schema."""

    def problems(self, value: object, /) -> Sequence[Problem]: ...


def submit(
    *,
    page: Page,
    batch: Batch,
    answers: Sequence[tuple[str, object]],
    check: AnswerCheck,
    now_ms: int,
    reads: SubmissionReads,
    unit: UnitOfWork,
    nudge: Nudge,
) -> Page:
    """Accepts the answers (task id, answer or Skip) of a page that is still in the worker's hands.

    A task without an answer counts as returned, a skipped one too. The same answers again are the same submission,
    whenever they come; they nudge the grader again while the page is not decided. Raises Invalid with a pointer to
    each bad answer, AlreadySubmitted where other answers were accepted before, LeaseExpired and PageNotLeased.
    """
    texts, skips = _checked(page, answers, check)
    given = answers_hash(texts, skips)
    if page.state in (PageState.SUBMITTED, PageState.IN_REVIEW, PageState.DECIDED):
        return _repeated(page, given, nudge, unit)
    refuse_unless_open(page, now_ms)
    accept = Change(
        page_ref(page.page_id),
        set={
            "state": PageState.SUBMITTED,
            "answers": texts,
            "answers_hash": given,
            **({"skips": skips} if skips else {}),
            "accepted_at_ms": now_ms,
            "assignments": [
                {
                    "task_id": one.task_id,
                    "ordinal": one.ordinal,
                    "state": AssignmentState.SUBMITTED if one.task_id in texts else AssignmentState.RETURNED,
                }
                for one in page.assignments
            ],
        },
        when=(Equals("state", PageState.LEASED), AtLeast("expires_at_ms", now_ms + 1)),
        index={"submitted": (spread(SUBMITTED_SHARDS, page.page_id), now_ms, page.batch_id, len(texts), page.page_id)},
    )
    try:
        unit.commit([accept])
    except WriteConflict:
        # A twin of this request, or the end of the lease, came between the read and the write.
        present = own_page(reads.page(page.page_id), page.worker_id)
        if present.state is PageState.LEASED:
            raise
        return submit(
            page=present,
            batch=batch,
            answers=answers,
            check=check,
            now_ms=now_ms,
            reads=reads,
            unit=unit,
            nudge=nudge,
        )
    accepted = own_page(reads.page(page.page_id), page.worker_id)
    nudge(page.page_id)
    leave_once(page, unit)
    return accepted


def submitted(page: Page) -> Page:
    """The page, if answers were accepted for it; NoSubmission otherwise."""
    if page.accepted_at_ms is None:
        raise NoSubmission("no answers were accepted for this page")
    return page


def _repeated(page: Page, given: str, nudge: Nudge, unit: UnitOfWork) -> Page:
    if page.answers_hash != given:
        raise AlreadySubmitted("other answers were accepted for this page before")
    if page.state is PageState.SUBMITTED:
        nudge(page.page_id)
        leave_once(page, unit)
    return page


def _checked(
    page: Page, answers: Sequence[tuple[str, object]], check: AnswerCheck
) -> tuple[dict[str, str], dict[str, str]]:
    """By task id: the answers as canonical JSON texts, and the reasons of what is skipped."""
    asked = {one.task_id for one in page.assignments}
    texts: dict[str, str] = {}
    skips: dict[str, str] = {}
    problems: list[Problem] = []
    for n, (task_id, answer) in enumerate(answers):
        if task_id not in asked:
            problems.append(Problem(f"/answers/{n}/task_id", "this task is not on the page"))
            continue
        if task_id in texts or task_id in skips:
            problems.append(Problem(f"/answers/{n}/task_id", "this task is answered twice"))
            continue
        if isinstance(answer, Skip):
            skips[task_id] = str(answer.reason)
            continue
        found = check.problems(answer)
        problems += [Problem(f"/answers/{n}/answer{one.pointer}", one.detail) for one in found]
        texts[task_id] = canonical_json(answer)
        if len(texts[task_id].encode()) > MAX_ANSWER_BYTES:
            problems.append(Problem(f"/answers/{n}/answer", f"an answer has at most {MAX_ANSWER_BYTES} bytes"))
    if len(skips) == len(answers):
        problems.append(Problem("/answers", "there is no answer; return the page, with a reason, if you cannot do it"))
    if problems:
        raise Invalid("some answers are not what the batch asks for", problems=problems)
    return texts, skips
