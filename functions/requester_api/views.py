"""What requesters are told of things, in the words of the wire; and a batch from what they say of it."""

import json
from collections.abc import Mapping
from typing import Any

from functions.requester_api.schemas import (
    BatchBody,
    BatchView,
    ImportView,
    ProgressView,
    ResultsView,
    TaskView,
    UploadView,
    VoteView,
)
from smallpeck.consensus.plurality import PPM
from smallpeck.kernel.clock import to_rfc3339
from smallpeck.kernel.errors import Invalid, Problem
from smallpeck.kernel.ids import canonical_json
from smallpeck.kernel.money import MICROS_DECIMALS, format_amount, split_price
from smallpeck.people.model import country_problems, language_problems
from smallpeck.runtime.http import Call
from smallpeck.runtime.schemas import amount_micros, moment_ms
from smallpeck.runtime.wiring import LINK_SECONDS, UPLOAD_MAX_BYTES, Wiring, signed_link
from smallpeck.tasks.batches import Progress
from smallpeck.tasks.import_store import ImportReport
from smallpeck.tasks.model import Batch, Task
from smallpeck.tasks.results import results_key
from smallpeck.tasks.schema import BadSchema, check_schema

DEFAULT_DEADLINE_MS = 30 * 86_400_000


def described(call: Call[BatchBody], batch_id: str, fee_basis_points: int) -> Batch:
    """The draft that a request describes; raises Invalid with a pointer to each field that is not allowed."""
    body = call.body
    price_micros = amount_micros(body.price, body.currency, at="/price", decimals=MICROS_DECIMALS)
    reward_micros, fee_micros = split_price(price_micros, fee_basis_points)
    if body.min_answers > body.max_answers:
        detail = "not more than max_answers"
        raise Invalid(detail, problems=[Problem("/min_answers", detail)])
    for name, schema in (("task_schema", body.task_schema), ("answer_schema", body.answer_schema)):
        _check_schema(schema, f"/{name}")
    unknown = [*country_problems(body.countries, "/countries"), *language_problems(body.languages, "/languages")]
    if unknown:
        raise Invalid("nobody could do this batch", problems=unknown)
    deadline = body.deadline
    return Batch(
        batch_id=batch_id,
        requester_id=call.user_id,
        title=body.title,
        instructions=body.instructions,
        kind=body.kind,
        currency=body.currency,
        price_micros=price_micros,
        reward_micros=reward_micros,
        fee_micros=fee_micros,
        min_answers=body.min_answers,
        max_answers=body.max_answers,
        page_size=body.page_size,
        lease_seconds=body.lease_seconds,
        task_schema=canonical_json(body.task_schema),
        answer_schema=canonical_json(body.answer_schema),
        named=body.named,
        countries=frozenset(body.countries),
        languages=frozenset(body.languages),
        deadline_ms=(
            call.now_ms + DEFAULT_DEADLINE_MS
            if deadline is None
            else moment_ms(deadline, now_ms=call.now_ms, at="/deadline")
        ),
        created_at_ms=call.now_ms,
        request_hash=call.content_hash,
    )


def _check_schema(schema: Mapping[str, Any], at: str) -> None:
    try:
        check_schema(schema)
    except BadSchema as error:
        problems = [Problem(at + one.pointer, one.detail) for one in error.problems]
        raise BadSchema(error.detail, problems=problems) from error


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


def progress(found: Batch, counted: Progress) -> ProgressView:
    return ProgressView(
        state=found.state,
        task_count=found.task_count,
        tasks_closed=counted.closed,
        answers_approved=counted.answers,
        answers_paid_for=found.answers_paid_for,
        spent=format_amount(counted.answers * found.price_micros, found.currency),
        currency=found.currency,
    )


def task(found: Task, given: Mapping[str, Any]) -> TaskView:
    result = found.result
    return TaskView(
        task_id=found.task_id,
        row_id=given["row_id"],
        status=found.status,
        input=json.loads(given["input"]),
        answer=json.loads(result.answer) if result is not None and result.answer is not None else None,
        confidence=result.confidence_ppm / PPM if result is not None else None,
        tied=result.tied if result is not None else None,
        answers=[
            VoteView(worker_id=worker, answer=json.loads(vote.answer)) for worker, vote in sorted(found.votes.items())
        ],
    )


def results(found: Batch, form: str, now_ms: int, here: Wiring) -> ResultsView:
    return ResultsView(
        format=form,
        url=signed_link(here, results_key(found.batch_id, form)),
        expires_at=to_rfc3339(now_ms + LINK_SECONDS * 1000),
    )
