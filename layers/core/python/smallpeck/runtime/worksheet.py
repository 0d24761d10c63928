"""What a worker sees of a batch and of a page of it; requesters preview the very same."""

import json
from typing import Any, Protocol, TypeAlias

from pydantic import Field

from smallpeck.kernel.clock import to_rfc3339
from smallpeck.kernel.money import format_amount
from smallpeck.runtime.schemas import View
from smallpeck.tasks.model import Batch
from smallpeck.tasks.pages import Assignment, Page, PageState
from smallpeck.tasks.seats import is_open

JsonValue: TypeAlias = Any


class OfferView(View):
    """A batch as it is offered to workers."""

    batch_id: str
    title: str
    instructions: str
    kind: str
    currency: str
    reward: str = Field(description="For each approved answer.")
    page_size: int
    lease_seconds: int
    answer_schema: JsonValue = Field(description="JSON Schema 2020-12 that every answer must satisfy.")
    rubric: list[str] = Field(description="What answers are held to: a rejection names one of these clauses.")
    deadline: str
    named: bool


class AssignmentView(View):
    """One task of a page. Its input is shown while the page is in the worker's hands."""

    task_id: str
    state: str
    input: JsonValue | None = None


class PageView(View):
    """Some assignments of one batch."""

    page_id: str
    batch_id: str
    state: str
    leased_at: str
    expires_at: str
    assignments: list[AssignmentView]


class Inputs(Protocol):
    """Reads the `input` items of tasks by ordinal."""

    def inputs(self, batch: Batch, ordinals: list[int], /) -> dict[int, dict[str, Any]]: ...


def offer_fields(found: Batch) -> dict[str, Any]:
    """The fields of an `OfferView`, for it and for views that say more."""
    return {
        "batch_id": found.batch_id,
        "title": found.title,
        "instructions": found.instructions,
        "kind": found.kind,
        "currency": found.currency,
        "reward": format_amount(found.reward_micros, found.currency),
        "page_size": found.page_size,
        "lease_seconds": found.lease_seconds,
        "answer_schema": json.loads(found.answer_schema),
        "rubric": list(found.rubric),
        "deadline": to_rfc3339(found.deadline_ms),
        "named": found.named,
    }


def page_view(found: Page, of: Batch, now_ms: int, reads: Inputs) -> PageView:
    """The page, with its inputs while it is in the worker's hands."""
    inputs = reads.inputs(of, [one.ordinal for one in found.assignments]) if is_open(found, now_ms) else {}
    return PageView(
        page_id=found.page_id,
        batch_id=found.batch_id,
        state=shown_state(found, now_ms),
        leased_at=to_rfc3339(found.leased_at_ms),
        expires_at=to_rfc3339(found.expires_at_ms),
        assignments=[
            AssignmentView(
                task_id=one.task_id,
                state=one.state,
                input=json.loads(inputs[one.ordinal]["input"]) if one.ordinal in inputs else None,
            )
            for one in found.assignments
        ],
    )


def first_page(of: Batch, now_ms: int, reads: Inputs) -> PageView | None:
    """The first page of a batch as its worker would see it, without a lease; None where there is no task."""
    ordinals = list(range(min(of.page_size, of.task_count)))
    if not ordinals:
        return None
    tasks = reads.inputs(of, ordinals)
    page = Page(
        page_id="preview",
        worker_id="",
        batch_id=of.batch_id,
        state=PageState.LEASED,
        assignments=tuple(Assignment(tasks[ordinal]["task_id"], ordinal) for ordinal in ordinals),
        leased_at_ms=now_ms,
        expires_at_ms=now_ms + of.lease_seconds * 1000,
        request_hash="",
    )
    return page_view(page, of, now_ms, reads)


def shown_state(found: Page, now_ms: int) -> str:
    """A lease that ran out is expired to its worker, whether or not anybody has opened its seats yet."""
    late = found.state is PageState.LEASED and not is_open(found, now_ms)
    return PageState.EXPIRED if late else found.state
