"""A requester decides on answers, page by page, until the review of a page ends and approves the rest.

Deciding only writes the decisions onto the page and tells the grader, who carries them out. A rejection names a clause
of the rubric that was published with the batch, and says why; its answer is sealed from then on. How much of a batch
may be rejected is limited.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from smallpeck.kernel.errors import Conflict, Invalid, Problem
from smallpeck.kernel.writes import Absent, Change, Condition, Equals, UnitOfWork, Value, WriteConflict, ref
from smallpeck.tasks.batches import Progress
from smallpeck.tasks.model import Batch, Review
from smallpeck.tasks.pages import AssignmentState, Page, PageState, page_ref
from smallpeck.tasks.submissions import Nudge

EXPLANATION_CHARACTERS = range(20, 2_001)
FREE_REJECTIONS = 3
REJECTED_PERCENT_MAX = 20
_ANSWERED = frozenset({AssignmentState.SUBMITTED, AssignmentState.APPROVED, AssignmentState.REJECTED})


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
class Decision:
    """What is decided about one answer of a page, or about every one that no other decision names (`task_id` None).

    Without a `rejection` it is approved.
    """

    page_id: str
    task_id: str | None = None
    rejection: Rejection | None = None

    @property
    def state(self) -> AssignmentState:
        """What the assignment becomes."""
        return AssignmentState.APPROVED if self.rejection is None else AssignmentState.REJECTED


class Outcome(StrEnum):
    """What became of the decisions on a page."""

    ACCEPTED = "accepted"
    """They stand, now or from an earlier request, and are being carried out."""
    BUSY = "busy"
    """The page is being changed; trying again is right."""
    DECIDED = "decided"
    """One of these answers was decided otherwise; nothing of the page was taken."""
    UNKNOWN = "unknown"
    """The batch has no such page, or the page no such answer."""


class ReviewReads(Protocol):
    """What reviewing reads."""

    def pages(self, page_ids: Collection[str]) -> Mapping[str, Page]: ...
    def progress(self, batch_id: str) -> Progress: ...


@dataclass(frozen=True)
class _Plan:
    """What is still to be written onto a page: nothing where its decisions stand and wait for the grader."""

    page: Page
    left: Mapping[str, Decision]

    @property
    def rejected(self) -> int:
        """How many rejections it adds."""
        return sum(one.rejection is not None for one in self.left.values())


def decide(
    *, batch: Batch, decisions: Sequence[Decision], reads: ReviewReads, unit: UnitOfWork, nudge: Nudge
) -> dict[str, Outcome]:
    """Takes decisions on some pages of a batch; returns what became of each page's.

    The same decisions again are the same. Raises Invalid, NothingToReview and RejectionBudgetSpent, having taken none.
    """
    if batch.review is Review.INSTANT:
        raise NothingToReview("this batch approves answers as they come")
    _check(batch, decisions)
    by_page: dict[str, list[Decision]] = {}
    for one in decisions:
        by_page.setdefault(one.page_id, []).append(one)
    pages = reads.pages(by_page)
    plans = {page_id: _planned(batch, pages.get(page_id), its) for page_id, its in by_page.items()}
    outcomes = {page_id: plan for page_id, plan in plans.items() if isinstance(plan, Outcome)}
    # Approvals first: they make room for rejections.
    todo = sorted((plan for plan in plans.values() if isinstance(plan, _Plan)), key=lambda plan: plan.rejected)
    counted = reads.progress(batch.batch_id)
    if not _affordable(counted, todo):
        raise RejectionBudgetSpent(
            f"at most {REJECTED_PERCENT_MAX}% of a batch's answers may be rejected; the rest is paid"
        )
    for plan in todo:
        page_id = plan.page.page_id
        if _affordable(counted, [plan]) and _taken(plan, counted, unit):
            outcomes[page_id] = Outcome.ACCEPTED
            counted = _counted_with(counted, [plan])
            nudge(page_id)
        else:
            outcomes[page_id] = Outcome.BUSY
            counted = reads.progress(batch.batch_id)
    return {page_id: outcomes[page_id] for page_id in by_page}


def _planned(batch: Batch, page: Page | None, decisions: Sequence[Decision]) -> _Plan | Outcome:
    if page is None or page.batch_id != batch.batch_id:
        return Outcome.UNKNOWN
    standing = {one.task_id: one.state for one in page.assignments if one.state in _ANSWERED}
    named = {one.task_id: one for one in decisions if one.task_id is not None}
    if not standing or not named.keys() <= standing.keys():
        return Outcome.UNKNOWN
    rest = {task_id: one for one in decisions if one.task_id is None for task_id in standing if task_id not in named}
    left = {task_id: one for task_id, one in (named | rest).items() if standing[task_id] is not one.state}
    if not left:
        return Outcome.ACCEPTED
    if any(standing[task_id] is not AssignmentState.SUBMITTED for task_id in left):
        return Outcome.DECIDED
    if page.deciding is not None:
        as_asked = all(page.deciding.get(task_id) == one.state for task_id, one in left.items())
        return _Plan(page, {}) if as_asked else Outcome.BUSY
    return _Plan(page, left) if page.state is PageState.IN_REVIEW else Outcome.BUSY


def _taken(plan: _Plan, counted: Progress, unit: UnitOfWork) -> bool:
    """Writes the decisions onto the page; a rejection is counted with them, so that the budget holds."""
    page = plan.page
    if not plan.left:
        return True
    why: dict[str, Value] = {
        task_id: {"clause": one.rejection.clause, "explanation": one.rejection.explanation}
        for task_id, one in plan.left.items()
        if one.rejection is not None
    }
    take = Change(
        page_ref(page.page_id),
        set={
            "deciding": {task_id: one.state for task_id, one in plan.left.items()},
            "rejections": {**page.rejections, **why},
        },
        when=(Equals("state", PageState.IN_REVIEW), Equals("round", page.round), Absent("deciding")),
    )
    as_counted: Condition = Equals("rejections", counted.rejections) if counted.rejections else Absent("rejections")
    count = Change(ref("progress", page.batch_id, 0), add={"rejections": plan.rejected}, when=(as_counted,))
    try:
        unit.commit([take, count] if plan.rejected else [take])
    except WriteConflict:
        return False
    return True


def _affordable(counted: Progress, plans: Sequence[_Plan]) -> bool:
    after = _counted_with(counted, plans)
    decided = after.answers + after.rejections
    added = after.rejections > counted.rejections
    return not added or after.rejections <= max(FREE_REJECTIONS, decided * REJECTED_PERCENT_MAX // 100)


def _counted_with(counted: Progress, plans: Sequence[_Plan]) -> Progress:
    """The counts as they will be when these plans are carried out."""
    rejected = sum(plan.rejected for plan in plans)
    approved = sum(len(plan.left) for plan in plans) - rejected
    return replace(counted, answers=counted.answers + approved, rejections=counted.rejections + rejected)


def _check(batch: Batch, decisions: Sequence[Decision]) -> None:
    problems = []
    for number, one in enumerate(decisions):
        if one.rejection is None:
            continue
        if not 0 <= one.rejection.clause < len(batch.rubric):
            problems.append(Problem(f"/decisions/{number}/clause", "the batch's rubric has no such clause"))
        if len(one.rejection.explanation) not in EXPLANATION_CHARACTERS:
            problems.append(Problem(f"/decisions/{number}/explanation", "20 to 2000 characters"))
    if len({(one.page_id, one.task_id) for one in decisions}) < len(decisions):
        problems.append(Problem("/decisions", "each answer once"))
    if problems:
        raise Invalid("some of these decisions cannot be taken", problems=problems)
