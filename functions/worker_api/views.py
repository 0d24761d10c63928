"""What workers are told of things, in the words of the wire."""

import json

from functions.worker_api.schemas import (
    AssignmentView,
    BatchView,
    DecisionView,
    DestinationView,
    LeaseView,
    PageSummary,
    PageView,
    PayoutView,
    ProfileView,
    SubmissionView,
)
from smallpeck.kernel.clock import to_rfc3339
from smallpeck.kernel.money import format_amount
from smallpeck.payouts.model import Payout
from smallpeck.people.model import HeldDestination, WorkerProfile, masked
from smallpeck.runtime.http import Reply
from smallpeck.tasks.dispatch import NothingToDo
from smallpeck.tasks.model import Batch
from smallpeck.tasks.pages import Page, PageState
from smallpeck.tasks.seats import is_open
from smallpeck.tasks.store import TaskStore


def profile(found: WorkerProfile, platform_threshold_micros: int) -> ProfileView:
    return ProfileView(
        worker_id=found.worker_id,
        country=found.country,
        languages=list(found.languages),
        payout_threshold=format_amount(found.threshold_micros(platform_threshold_micros), "USD"),
    )


def batch(found: Batch) -> BatchView:
    return BatchView(
        batch_id=found.batch_id,
        title=found.title,
        instructions=found.instructions,
        kind=found.kind,
        currency=found.currency,
        reward=format_amount(found.reward_micros, found.currency),
        page_size=found.page_size,
        lease_seconds=found.lease_seconds,
        answer_schema=json.loads(found.answer_schema),
        deadline=to_rfc3339(found.deadline_ms),
        named=found.named,
    )


def lease(leased: Page | NothingToDo, of: Batch, now_ms: int, reads: TaskStore) -> Reply:
    """201 with the page; 200 without one, and when to ask again."""
    if isinstance(leased, NothingToDo):
        seconds = leased.retry_after_seconds
        return Reply(
            LeaseView(page=None, retry_after_seconds=seconds), status=200, headers={"retry-after": str(seconds)}
        )
    return Reply(LeaseView(page=page(leased, of, now_ms, reads)))


def page(found: Page, of: Batch, now_ms: int, reads: TaskStore) -> PageView:
    inputs = reads.inputs(of, [one.ordinal for one in found.assignments]) if is_open(found, now_ms) else {}
    return PageView(
        page_id=found.page_id,
        batch_id=found.batch_id,
        state=_state(found, now_ms),
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


def page_summary(found: Page, of: Batch | None, now_ms: int) -> PageSummary:
    decided = found.state is PageState.DECIDED and of is not None
    return PageSummary(
        page_id=found.page_id,
        batch_id=found.batch_id,
        state=_state(found, now_ms),
        leased_at=to_rfc3339(found.leased_at_ms),
        expires_at=to_rfc3339(found.expires_at_ms),
        credited=format_amount(found.credited_micros, of.currency) if decided and of else None,
    )


def submission(found: Page, of: Batch) -> SubmissionView:
    return SubmissionView(
        page_id=found.page_id,
        state=found.state,
        accepted_at=to_rfc3339(found.accepted_at_ms or 0),
        decided_at=to_rfc3339(found.decided_at_ms) if found.decided_at_ms is not None else None,
        credited=format_amount(found.credited_micros, of.currency),
        currency=of.currency,
        assignments=[DecisionView(task_id=one.task_id, state=one.state) for one in found.assignments],
    )


def destination(held: HeldDestination) -> DestinationView:
    return DestinationView(
        rail=held.destination.rail,
        address_masked=masked(held.destination.address),
        changed_at=to_rfc3339(held.changed_at_ms) if held.changed_at_ms is not None else None,
    )


def payout(found: Payout) -> PayoutView:
    return PayoutView(
        payout_id=found.payout_id,
        amount=format_amount(found.amount_micros, found.currency),
        fee=format_amount(found.fee_micros, found.currency),
        currency=found.currency,
        rail=found.rail,
        state=found.state,
        reason=found.reason,
        requested_at=to_rfc3339(found.requested_at_ms),
        decided_at=to_rfc3339(found.decided_at_ms) if found.decided_at_ms is not None else None,
    )


def _state(found: Page, now_ms: int) -> str:
    """A lease that ran out is expired to its worker, whether or not anybody has opened its seats yet."""
    late = found.state is PageState.LEASED and not is_open(found, now_ms)
    return PageState.EXPIRED if late else found.state
