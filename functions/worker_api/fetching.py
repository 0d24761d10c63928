"""The next page, fetched with a receipt."""

from functions.worker_api.schemas import NextView, SubmissionBody
from smallpeck.runtime import observability, problems, wiring
from smallpeck.runtime.http import Call
from smallpeck.runtime.worksheet import page_view
from smallpeck.tasks import dispatch
from smallpeck.tasks.dispatch import NothingToDo
from smallpeck.tasks.model import Batch

NOTHING_TO_DO = "nothing_to_do"


def next_page(call: Call[SubmissionBody], batch: Batch, here: wiring.Wiring) -> NextView | None:
    """The next page of the batch, or why there is none; None where it was not asked for.

    The answers are accepted by now: whatever fails here is told beside the receipt and never in its place.
    """
    if call.body.next is None:
        return None
    try:
        return _leased(call, call.body.next.idempotency_key, batch, here)
    except Exception as error:  # noqa: BLE001 - told to the worker by its code, as an error of the route would be
        told = problems.known(error)
        if told is None:
            observability.count("Faults")
            observability.logger.exception("the next page could not be fetched")
            return NextView(code=problems.INTERNAL_CODE)
        return NextView(code=told.code, retry_after_seconds=told.retry_after_seconds)


def _leased(call: Call[SubmissionBody], key: str, batch: Batch, here: wiring.Wiring) -> NextView:
    reads = here.once(wiring.task_store)
    leased = dispatch.lease_page(
        worker=wiring.worker_facts(here, call.user_id),
        batch=batch,
        idempotency_key=key,
        named_tasks=None,
        now_ms=call.now_ms,
        reads=reads,
        unit=here.table,
    )
    if isinstance(leased, NothingToDo):
        return NextView(code=NOTHING_TO_DO, retry_after_seconds=leased.retry_after_seconds)
    return NextView(page=page_view(leased, batch, call.now_ms, reads))
