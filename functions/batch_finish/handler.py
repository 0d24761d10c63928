"""The steps of the workflow that finishes a batch."""

from typing import Any

from pydantic import BaseModel

from functions.batch_finish.schemas import (
    BeginStep,
    Begun,
    Ended,
    EndStep,
    Published,
    PublishStep,
    Recounted,
    RecountStep,
    Refunded,
    RefundStep,
    Step,
    read_step,
)
from smallpeck.consensus.plurality import decide
from smallpeck.runtime import wiring
from smallpeck.runtime.observability import workflow_step
from smallpeck.tasks import finishing
from smallpeck.tasks.model import BatchState


@workflow_step
def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Lambda entry: one step."""
    return _run(read_step(event), wiring.current()).model_dump()


def _run(step: Step, here: wiring.Wiring) -> BaseModel:
    reads, unit, now_ms = here.once(wiring.task_store), here.table, here.clock.now_ms()
    match step:
        case BeginStep():
            final = BatchState(step.final)
            return Begun(shards=finishing.begin(batch_id=step.batch_id, final=final, reads=reads, unit=unit).shards)
        case RecountStep():
            found = finishing.recount(batch_id=step.batch_id, now_ms=now_ms, reads=reads, unit=unit, consensus=decide)
            return Recounted(ready=found.ready, **found.__dict__)
        case RefundStep():
            refunded = finishing.refund(
                batch_id=step.batch_id, now_ms=now_ms, reads=reads, books=here.ledger, unit=unit
            )
            return Refunded(refunded_micros=refunded)
        case PublishStep():
            return Published(tasks=wiring.publish_results(here, step.batch_id))
        case EndStep():
            return Ended(state=finishing.end(batch_id=step.batch_id, now_ms=now_ms, reads=reads, unit=unit).state)
