"""What requesters are told of things, in the words of the wire."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from functions.requester_api.schemas import (
    BatchView,
    ConsensusView,
    ImportView,
    PriceView,
    ProblemView,
    ProgressView,
    RejectedRowView,
    ResultsView,
    ReviewView,
    TaskView,
    UploadView,
    ValidationView,
    VoteView,
)
from smallpeck.consensus.method import PPM
from smallpeck.kernel.clock import to_rfc3339
from smallpeck.kernel.money import format_amount
from smallpeck.runtime import exports
from smallpeck.runtime.wiring import LINK_SECONDS, UPLOAD_MAX_BYTES, Wiring, signed_link
from smallpeck.tasks.batches import InWork, Progress
from smallpeck.tasks.import_store import ImportReport
from smallpeck.tasks.model import MAX_PAGE_BYTES, Batch, Task
from smallpeck.tasks.quoting import Forecast, Quote, Verdict
from smallpeck.tasks.result_forms import ResultForm, results_key
from smallpeck.tasks.rows import BadRow


def batch(found: Batch) -> BatchView:
    return BatchView(
        batch_id=found.batch_id,
        state=found.state,
        title=found.title,
        instructions=found.instructions,
        kind=found.kind,
        currency=found.currency,
        price=format_amount(found.price_micros, found.currency),
        reward=format_amount(found.reward_micros, found.currency),
        fee=format_amount(found.fee_micros, found.currency),
        min_answers=found.min_answers,
        max_answers=found.max_answers,
        page_size=found.page_size,
        lease_seconds=found.lease_seconds,
        task_schema=json.loads(found.task_schema),
        answer_schema=json.loads(found.answer_schema),
        named=found.named,
        countries=sorted(found.countries),
        languages=sorted(found.languages),
        deadline=to_rfc3339(found.deadline_ms),
        created_at=to_rfc3339(found.created_at_ms),
        closed_at=to_rfc3339(found.closed_at_ms) if found.closed_at_ms is not None else None,
        task_count=found.task_count,
        cost=format_amount(found.cost_micros, found.currency),
        review=ReviewView(mode=found.review, seconds=found.review_seconds),
        rubric=list(found.rubric),
        expected_seconds=found.expected_seconds,
        consensus=consensus(found),
        control_column=found.control_column,
        control_count=found.control_count,
        paused_for=found.paused_for,
    )


def consensus(found: Batch) -> ConsensusView:
    settings = json.loads(found.consensus)
    return ConsensusView(
        method=settings.pop("method"),
        target_confidence=None if found.target_ppm is None else found.target_ppm / PPM,
        settings=settings,
    )


def upload(form: Mapping[str, Any], now_ms: int) -> UploadView:
    return UploadView(
        url=form["url"],
        fields=form["fields"],
        expires_at=to_rfc3339(now_ms + LINK_SECONDS * 1000),
        max_bytes=UPLOAD_MAX_BYTES,
    )


def import_report(report: ImportReport | None, here: Wiring) -> ImportView:
    if report is None:
        return ImportView(
            state="waiting",
            rows_read=0,
            rows_accepted=0,
            rows_rejected=0,
            error_code=None,
            error_detail=None,
            error_line=None,
            quarantine_url=None,
        )
    quarantine = report.quarantine_key
    return ImportView(
        state=report.state,
        rows_read=report.read,
        rows_accepted=report.accepted,
        rows_rejected=report.rejected,
        error_code=report.error_code,
        error_detail=report.error_detail,
        error_line=report.error_line,
        quarantine_url=signed_link(here, quarantine) if quarantine else None,
    )


def progress(found: Batch, counted: Progress, in_work: InWork, forecast: Forecast) -> ProgressView:
    return ProgressView(
        state=found.state,
        task_count=found.task_count,
        tasks_closed=counted.closed,
        tasks_disputed=counted.disputed,
        answers_approved=counted.answers,
        answers_rejected=counted.rejected,
        answers_leased=in_work.leased,
        answers_submitted=in_work.submitted,
        answers_in_review=in_work.in_review,
        in_work_complete=in_work.complete,
        answers_paid_for=found.answers_paid_for,
        spent=format_amount(counted.answers * found.price_micros, found.currency),
        refund_expected=format_amount(forecast.refund_micros, found.currency),
        currency=found.currency,
        median_seconds=None if counted.median_seconds is None else round(counted.median_seconds, 1),
        expected_end=None if forecast.end_ms is None else to_rfc3339(forecast.end_ms),
    )


def price(found: Batch, quote: Quote, workers: int) -> PriceView:
    def amount(micros: int) -> str:
        return format_amount(micros, found.currency)

    return PriceView(
        tasks=found.task_count,
        answers=quote.answers,
        cost=amount(quote.cost_micros),
        reward=amount(quote.reward_micros),
        fee=amount(quote.fee_micros),
        least_answers=quote.least_answers,
        least_cost=amount(quote.least_cost_micros),
        currency=found.currency,
        seconds_per_answer=None if quote.pace is None else round(quote.pace.seconds, 1),
        seconds_from=None if quote.pace is None else quote.pace.basis.value,
        workers=workers,
        duration_seconds=quote.duration_seconds,
        least_duration_seconds=quote.least_duration_seconds,
        hourly_pay=None if quote.hourly_micros is None else amount(quote.hourly_micros),
    )


def validation(
    found: Batch, verdict: Verdict, available_micros: int, imported: ImportView, rejected: Sequence[BadRow]
) -> ValidationView:
    return ValidationView(
        publishable=verdict.publishable,
        problems=[ProblemView(pointer=one.pointer, detail=one.detail) for one in verdict.problems],
        imported=imported,
        rejected_rows=[RejectedRowView(line=one.line, reason=one.reason, detail=one.detail) for one in rejected],
        page_bytes=found.page_bytes,
        page_bytes_max=MAX_PAGE_BYTES,
        cost=format_amount(found.cost_micros, found.currency),
        available=format_amount(available_micros, found.currency),
        missing=format_amount(verdict.missing_micros, found.currency),
        currency=found.currency,
    )


def value(text: str) -> Any:
    """A free-form value from its canonical JSON text."""
    return json.loads(text)


def task(found: Task, given: Mapping[str, Any]) -> TaskView:
    result = found.result
    return TaskView(
        task_id=found.task_id,
        row_id=given["row_id"],
        status=found.status,
        control=found.is_control,
        input=json.loads(given["input"]),
        answer=json.loads(result.answer) if result is not None and result.answer is not None else None,
        confidence=result.confidence_ppm / PPM if result is not None else None,
        tied=result.tied if result is not None else None,
        answers=[
            VoteView(worker_id=worker, answer=json.loads(vote.answer)) for worker, vote in sorted(found.votes.items())
        ],
    )


def results(found: Batch, form: ResultForm, now_ms: int, here: Wiring) -> ResultsView:
    exports.check_form(here, found, form)
    return ResultsView(
        format=form,
        url=signed_link(here, results_key(found.batch_id, form)),
        expires_at=to_rfc3339(now_ms + LINK_SECONDS * 1000),
        label_config=exports.label_config(here, found, form),
    )
