"""Routes for requesters who decide on answers."""

from collections.abc import Mapping
from typing import Any

from functions.requester_api import views
from functions.requester_api.api import api
from functions.requester_api.schemas import (
    DecisionBody,
    DecisionsBody,
    OutcomesView,
    OutcomeView,
    ReviewedAnswerView,
    ReviewedPageView,
    ReviewList,
    ReviewQuery,
)
from smallpeck.kernel.clock import to_rfc3339
from smallpeck.kernel.errors import Invalid, Problem
from smallpeck.runtime import wiring
from smallpeck.runtime.http import Call
from smallpeck.tasks import reviewing
from smallpeck.tasks.model import BatchNotFound
from smallpeck.tasks.pages import AssignmentState, Page, PageState


@api.route(
    "GET",
    "/batches/{batch_id}/review",
    query=ReviewQuery,
    reply=ReviewList,
    errors=(BatchNotFound,),
    summary="Answers that wait for your decision",
)
def list_review(call: Call[None, ReviewQuery]) -> ReviewList:
    here = wiring.current()
    reads = here.once(wiring.task_store)
    owned = wiring.own_batch(call.path["batch_id"], call.user_id)
    after = here.position(call.query.cursor, call.scope)
    found, following = reads.in_review(owned.batch_id, after=after, limit=call.query.limit)
    waiting = [page for page in found if page.state is PageState.IN_REVIEW]
    inputs = reads.inputs(owned, [one.ordinal for page in waiting for one in page.assignments])
    shown = [_page(page, inputs) for page in waiting]
    return ReviewList(pages=shown, next_cursor=here.cursor(following, call.scope))


@api.route(
    "POST",
    "/batches/{batch_id}/decisions",
    body=DecisionsBody,
    reply=OutcomesView,
    status=202,
    idempotency="required",
    errors=(BatchNotFound, reviewing.NothingToReview, reviewing.RejectionBudgetSpent),
    summary="Approve answers, or reject them by a clause of the rubric",
)
def decide(call: Call[DecisionsBody]) -> OutcomesView:
    here = wiring.current()
    outcomes = reviewing.decide(
        batch=wiring.own_batch(call.path["batch_id"], call.user_id),
        decisions=_decisions(call.body.decisions),
        reads=here.once(wiring.task_store),
        unit=here.table,
        nudge=here.once(wiring.nudge),
    )
    return OutcomesView(outcomes=[OutcomeView(page_id=page, outcome=outcome) for page, outcome in outcomes.items()])


def _decisions(asked: list[DecisionBody]) -> list[reviewing.Decision]:
    """The decisions that a request means; raises Invalid where one says too much or too little."""
    decisions, problems = [], []
    for number, one in enumerate(asked):
        rejection = None
        if one.decision == "reject" and one.clause is not None and one.explanation is not None:
            rejection = reviewing.Rejection(one.clause, one.explanation)
        elif one.decision == "reject":
            missing = "clause" if one.clause is None else "explanation"
            problems.append(Problem(f"/decisions/{number}/{missing}", "a rejection names a clause and says why"))
        elif one.clause is not None or one.explanation is not None:
            problems.append(Problem(f"/decisions/{number}", "an approval needs neither clause nor explanation"))
        decisions.append(reviewing.Decision(one.page_id, one.task_id, rejection))
    if problems:
        raise Invalid("some of these decisions cannot be taken", problems=problems)
    return decisions


def _page(found: Page, inputs: Mapping[int, Mapping[str, Any]]) -> ReviewedPageView:
    deciding = found.deciding or {}
    return ReviewedPageView(
        page_id=found.page_id,
        worker_id=found.worker_id,
        submitted_at=to_rfc3339(found.accepted_at_ms or 0),
        review_ends_at=to_rfc3339(found.review_until_ms or 0),
        answers=[
            _answer(found, one.task_id, str(deciding.get(one.task_id, one.state)), inputs[one.ordinal])
            for one in found.assignments
            if one.task_id in (found.answers or {})
        ],
    )


def _answer(page: Page, task_id: str, state: str, given: Mapping[str, Any]) -> ReviewedAnswerView:
    rejected = state == AssignmentState.REJECTED
    why = page.rejections.get(task_id, {}) if rejected else {}
    return ReviewedAnswerView(
        task_id=task_id,
        state=state,
        input=views.value(given["input"]),
        answer=None if rejected else views.value((page.answers or {})[task_id]),
        clause=int(why["clause"]) if why else None,
        explanation=str(why["explanation"]) if why else None,
    )
