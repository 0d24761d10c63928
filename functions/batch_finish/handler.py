"""The steps of the workflows that finish a batch, and write what is known of it while it runs."""

from pydantic import BaseModel

from functions.batch_finish.schemas import (
    BeginStep,
    Begun,
    Ended,
    EndStep,
    ExportStep,
    FailExportStep,
    Published,
    PublishStep,
    Recounted,
    RecountStep,
    Refunded,
    RefundStep,
    Step,
    exported,
)
from smallpeck.runtime import exports, funding, wiring
from smallpeck.runtime.steps import step
from smallpeck.tasks import finishing
from smallpeck.tasks.model import BatchState


@step(Step)
def handler(asked: Step) -> BaseModel:
    """Begins, recounts, refunds, publishes or ends; writes an export, or records that it failed."""
    here = wiring.current()
    reads, unit, now_ms = here.once(wiring.task_store), here.table, here.clock.now_ms()
    match asked:
        case BeginStep():
            final = BatchState(asked.final)
            return Begun(shards=finishing.begin(batch_id=asked.batch_id, final=final, reads=reads, unit=unit).shards)
        case RecountStep():
            found = finishing.recount(batch_id=asked.batch_id, now_ms=now_ms, reads=reads, unit=unit)
            return Recounted(ready=found.ready, **found.__dict__)
        case RefundStep():
            refunded = finishing.refund(
                batch_id=asked.batch_id, now_ms=now_ms, reads=reads, books=here.ledger, unit=unit
            )
            # Also where the refund was made before: a function may have died between the two.
            funding.recover_debt(here, asked.batch_id)
            return Refunded(refunded_micros=refunded)
        case PublishStep():
            return Published(tasks=wiring.publish_results(here, asked.batch_id))
        case EndStep():
            return Ended(state=finishing.end(batch_id=asked.batch_id, now_ms=now_ms, reads=reads, unit=unit).state)
        case ExportStep():
            return exported(exports.write_export(here, asked.batch_id, asked.export_id))
        case FailExportStep():
            return exported(exports.fail_export(here, asked.batch_id, asked.export_id))
