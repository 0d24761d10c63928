"""What workers are told of things, in the words of the wire."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from functions.worker_api.schemas import (
    BatchQuery,
    BatchView,
    DecisionView,
    DestinationView,
    EarningsDay,
    EarningsQuery,
    EarningsView,
    LeaseView,
    MissingView,
    NextView,
    NoCurrency,
    PageSummary,
    PayoutView,
    ProfileView,
    QuoteView,
    ReceiptView,
    SkipBody,
    SubmissionBody,
    SubmissionView,
)
from smallpeck.kernel.clock import to_rfc3339
from smallpeck.kernel.money import MICROS_DECIMALS, format_amount
from smallpeck.ledger.daily import DAY_MS, Day
from smallpeck.payouts.model import Payout
from smallpeck.payouts.quoting import Quote
from smallpeck.people.model import HeldDestination, WorkerProfile, masked
from smallpeck.runtime.http import Reply
from smallpeck.runtime.schemas import amount_parameter, parameter_problem
from smallpeck.runtime.worksheet import offer_fields, page_view, shown_state
from smallpeck.tasks import browsing
from smallpeck.tasks.dispatch import NothingToDo
from smallpeck.tasks.model import Batch
from smallpeck.tasks.pages import Assignment, AssignmentState, Page, PageState
from smallpeck.tasks.skips import Skip, SkipReason
from smallpeck.tasks.store import TaskStore

DEFAULT_DAYS: Final = 30
_EPOCH: Final = date(1970, 1, 1).toordinal()


def profile(found: WorkerProfile, platform_threshold_micros: int) -> ProfileView:
    return ProfileView(
        worker_id=found.worker_id,
        country=found.country,
        languages=list(found.languages),
        payout_threshold=format_amount(found.threshold_micros(platform_threshold_micros), "USD"),
        automatic_payouts=found.automatic_payouts,
    )


def batch(found: Batch) -> BatchView:
    hourly = browsing.hourly_micros(found)
    measured = {
        "expected_seconds": found.expected_seconds,
        "median_seconds": found.median_seconds,
        "hourly": None if hourly is None else format_amount(hourly, found.currency),
    }
    return BatchView(**{**offer_fields(found), **measured})


def wanted(query: BatchQuery) -> browsing.Wanted:
    """What a worker looks for; raises NoCurrency or BadAmount."""
    currency = query.currency
    for name in ("min_reward", "min_hourly"):
        if getattr(query, name) is not None and currency is None:
            detail = f"{name} needs a currency"
            raise NoCurrency(detail, problems=[parameter_problem("currency", detail, where="query")])

    def micros(name: str, decimals: int | None) -> int | None:
        text = getattr(query, name)
        return None if text is None else amount_parameter(text, currency or "", name=name, decimals=decimals)

    return browsing.Wanted(
        kind=query.kind,
        currency=currency,
        min_reward_micros=micros("min_reward", MICROS_DECIMALS) or 0,
        min_hourly_micros=micros("min_hourly", None),
        max_median_seconds=query.max_median_seconds,
    )


def lease(leased: Page | NothingToDo, of: Batch, now_ms: int, reads: TaskStore) -> Reply:
    """201 with the page; 200 without one, and when to ask again."""
    if isinstance(leased, NothingToDo):
        seconds = leased.retry_after_seconds
        return Reply(
            LeaseView(page=None, retry_after_seconds=seconds), status=200, headers={"retry-after": str(seconds)}
        )
    return Reply(LeaseView(page=page_view(leased, of, now_ms, reads)))


def page_summary(found: Page, of: Batch | None, now_ms: int) -> PageSummary:
    decided = found.state is PageState.DECIDED and of is not None
    return PageSummary(
        page_id=found.page_id,
        batch_id=found.batch_id,
        state=shown_state(found, now_ms),
        leased_at=to_rfc3339(found.leased_at_ms),
        expires_at=to_rfc3339(found.expires_at_ms),
        credited=format_amount(found.credited_micros, of.currency) if decided and of else None,
    )


def answers(body: SubmissionBody) -> list[tuple[str, object]]:
    """What a submission says of each task."""
    return [
        (one.task_id, Skip(SkipReason(one.skip)) if isinstance(one, SkipBody) else one.answer) for one in body.answers
    ]


def submission(found: Page, of: Batch) -> SubmissionView:
    return SubmissionView(**_submission(found, of))


def receipt(found: Page, of: Batch, following: NextView | None) -> ReceiptView:
    told = following or NextView()
    return ReceiptView(
        **_submission(found, of),
        next_page=told.page,
        next_page_code=told.code,
        retry_after_seconds=told.retry_after_seconds,
    )


def _submission(found: Page, of: Batch) -> dict[str, Any]:
    return {
        "page_id": found.page_id,
        "state": found.state,
        "accepted_at": to_rfc3339(found.accepted_at_ms or 0),
        "decided_at": to_rfc3339(found.decided_at_ms) if found.decided_at_ms is not None else None,
        "credited": format_amount(found.credited_micros, of.currency),
        "currency": of.currency,
        "assignments": [_decision(one, found, of) for one in found.assignments],
    }


def _decision(one: Assignment, found: Page, of: Batch) -> DecisionView:
    """Why an answer was rejected is told once it is."""
    why = found.rejections.get(one.task_id) if one.state is AssignmentState.REJECTED else None
    return DecisionView(
        task_id=one.task_id,
        state=one.state,
        skip=found.skips.get(one.task_id),
        clause=of.rubric[int(why["clause"])] if why else None,
        explanation=str(why["explanation"]) if why else None,
    )


def period(query: EarningsQuery, now_ms: int) -> tuple[int, int]:
    """The first and the last day that are asked for, by number."""
    last = _day_number(query.to) if query.to is not None else now_ms // DAY_MS
    return (_day_number(query.from_) if query.from_ is not None else last - DEFAULT_DAYS + 1), last


def earnings(days: Sequence[Day], currency: str) -> EarningsView:
    return EarningsView(
        currency=currency,
        credited=format_amount(sum(one.credited for one in days), currency),
        paid_out=format_amount(sum(one.paid_out for one in days), currency),
        came_back=format_amount(sum(one.came_back for one in days), currency),
        answers=sum(one.units for one in days),
        days=[
            EarningsDay(
                day=date.fromordinal(one.number + _EPOCH).isoformat(),
                credited=format_amount(one.credited, currency),
                paid_out=format_amount(one.paid_out, currency),
                came_back=format_amount(one.came_back, currency),
                answers=one.units,
            )
            for one in days
        ],
    )


def quote(found: Quote) -> QuoteView:
    return QuoteView(
        amount=format_amount(found.amount_micros, found.currency),
        fee=format_amount(found.fee_micros, found.currency),
        arrives=format_amount(found.arrives_micros, found.currency),
        currency=found.currency,
        rail=found.rail,
        threshold=format_amount(found.least_micros, found.currency),
        next_run=to_rfc3339(found.next_run_ms),
        earliest_arrival=_moment(found.earliest_ms),
        latest_arrival=_moment(found.latest_ms),
        missing=[MissingView(code=one.code, detail=one.detail, until=_moment(one.until_ms)) for one in found.missing],
    )


def _moment(moment_ms: int | None) -> str | None:
    return None if moment_ms is None else to_rfc3339(moment_ms)


def _day_number(text: str) -> int:
    return date.fromisoformat(text).toordinal() - _EPOCH


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
