"""A requester decides on answers, page by page, until the review of a page ends and approves the rest.

Deciding only writes the decisions onto the page and tells the grader, who carries them out. A rejection names a clause
of the rubric that was published with the batch, and says why; its answer is sealed from then on. How much of a batch
may be rejected is limited.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from smallpeck.kernel.errors import Conflict, Invalid, Problem
from smallpeck.kernel.writes import Absent, Change, Equals, UnitOfWork, Value, WriteConflict
from smallpeck.tasks.batches import Progress
from smallpeck.tasks.grading import undecided
from smallpeck.tasks.model import Batch, Review
from smallpeck.tasks.pages import AssignmentState, Page, PageState, page_ref
from smallpeck.tasks.submissions import Nudge

EXPLANATION_CHARACTERS = range(20, 2_001)
FREE_REJECTIONS = 3
REJECTED_PERCENT_MAX = 20


class NothingToReview(Conflict):
    """The batch decides on answers by itself."""

    code = "no_review"


class RejectionBudgetSpent(Conflict):
    """More of the batch's answers would be rejected than may be."""

    code = "rejection_budget_spent"


@dataclass(frozen=True)
class Rejection:
    """Why an answer is rejected: the number of the rubric's clause, and what is wrong in words."""

    clause: int
    explanation: str


@dataclass(frozen=True)
class Decisions:
    """What is decided about one page: task id -> None to approve, or why not."""

    page_id: str
    tasks: Mapping[str, Rejection | None]


class ReviewReads(Protocol):
    """What reviewing reads."""

    def page(self, page_id: str) -> Page | None: ...
    def progress(self, batch_id: str) -> Progress: ...


def decide(
    *, batch: Batch, decisions: Sequence[Decisions], reads: ReviewReads, unit: UnitOfWork, nudge: Nudge
) -> dict[str, str]:
    """Takes decisions on some pages of a batch; returns by page id "accepted", or why not.

    "accepted" is also what the same decisions get again. "busy": earlier decisions on the page are still being carried
    out. "decided": the page, or one of these answers, was decided otherwise. "unknown": no such page in this batch.
    Raises Invalid, NothingToReview and RejectionBudgetSpent, having taken none of the decisions.
    """
    if batch.review is Review.INSTANT:
        raise NothingToReview("this batch approves answers as they come")
    _check(batch, decisions)
    rejected = sum(why is not None for one in decisions for why in one.tasks.values())
    _check_budget(reads.progress(batch.batch_id), rejected)
    return {one.page_id: _take(batch, one, reads, unit, nudge) for one in decisions}


def _take(batch: Batch, wanted: Decisions, reads: ReviewReads, unit: UnitOfWork, nudge: Nudge) -> str:
    page = reads.page(wanted.page_id)
    if page is None or page.batch_id != batch.batch_id:
        return "unknown"
    states = {
        task_id: AssignmentState.APPROVED if why is None else AssignmentState.REJECTED
        for task_id, why in wanted.tasks.items()
    }
    if page.deciding is not None:
        if dict(page.deciding) != states:
            return "busy"
        nudge(page.page_id)
        return "accepted"
    standing = {one.task_id: one.state for one in page.assignments}
    if all(standing.get(task_id) is state for task_id, state in states.items()):
        return "accepted"
    open_tasks = {one.task_id for one in undecided(page)}
    if page.state is not PageState.IN_REVIEW or not states.keys() <= open_tasks:
        return "decided" if states.keys() <= standing.keys() else "unknown"
    rejections: dict[str, Value] = {
        task_id: {"clause": why.clause, "explanation": why.explanation}
        for task_id, why in wanted.tasks.items()
        if why is not None
    }
    take = Change(
        page_ref(page.page_id),
        set={"deciding": states, "rejections": {**page.rejections, **rejections}},
        when=(Equals("state", PageState.IN_REVIEW), Equals("round", page.round), Absent("deciding")),
    )
    try:
        unit.commit([take])
    except WriteConflict:
        return "busy"
    nudge(page.page_id)
    return "accepted"


def _check(batch: Batch, decisions: Sequence[Decisions]) -> None:
    problems = []
    for number, one in enumerate(decisions):
        for why in one.tasks.values():
            if why is None:
                continue
            if not 0 <= why.clause < len(batch.rubric):
                problems.append(Problem(f"/decisions/{number}/clause", "the batch's rubric has no such clause"))
            if len(why.explanation) not in EXPLANATION_CHARACTERS:
                problems.append(Problem(f"/decisions/{number}/explanation", "20 to 2000 characters"))
    if len({one.page_id for one in decisions}) < len(decisions):
        problems.append(Problem("/decisions", "each page once"))
    if problems:
        raise Invalid("some of these decisions cannot be taken", problems=problems)


def _check_budget(progress: Progress, rejected: int) -> None:
    after = progress.rejected + rejected
    decided = progress.answers + after
    if rejected and after > max(FREE_REJECTIONS, decided * REJECTED_PERCENT_MAX // 100):
        raise RejectionBudgetSpent(
            f"at most {REJECTED_PERCENT_MAX}% of a batch's answers may be rejected; the rest is paid"
        )
