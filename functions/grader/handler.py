"""Grades the pages that the queue names."""

from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from functions.grader.schemas import read_message
from smallpeck.runtime import wiring
from smallpeck.runtime.observability import count, logger, observed
from smallpeck.tasks import finishing, grading

_processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)


@observed
def handler(event: dict[str, Any], context: Any) -> Any:
    """Lambda entry. A message that fails is the only one to come back."""
    return process_partial_response(event=event, record_handler=_grade, processor=_processor, context=context)


def _grade(record: SQSRecord) -> None:
    try:
        _grade_page(read_message(record.body))
    except Exception as error:
        count("PagesNotGraded")
        logger.exception("a page could not be graded", extra={"error": type(error).__name__})
        raise


def _grade_page(page_id: str) -> None:
    here = wiring.current()
    reads = here.once(wiring.task_store)
    graded = grading.grade(
        page_id=page_id,
        now_ms=here.clock.now_ms(),
        reads=reads,
        books=here.ledger,
        unit=here.table,
    )
    if graded is None or not graded.may_end_batch:
        return
    if finishing.is_done(graded.batch, reads.progress(graded.batch.batch_id)):
        here.once(wiring.start_finish)(graded.batch.batch_id)
