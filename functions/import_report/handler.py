"""The steps that begin and end an import."""

from typing import Any

from pydantic import BaseModel

from functions.import_report.schemas import BeginStep, CompleteStep, GiveUpStep, Step, begun, ended, read_step
from smallpeck.runtime import wiring
from smallpeck.runtime.observability import workflow_step
from smallpeck.tasks import importing
from smallpeck.tasks.importing import Begun, Upload


@workflow_step
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Lambda entry: one step."""
    return _run(read_step(event), wiring.current()).model_dump()


def _run(step: Step, here: wiring.Wiring) -> BaseModel:
    reads, unit, now_ms = here.once(wiring.import_store), here.table, here.clock.now_ms()
    match step:
        case BeginStep():
            upload = Upload(step.bucket, step.key, step.version_id)
            return begun(importing.begin(upload=upload, now_ms=now_ms, reads=reads, unit=unit))
        case CompleteStep(batch_id=batch_id, import_id=import_id):
            this = Begun(batch_id, import_id)
            return ended(batch_id, importing.complete(begun=this, now_ms=now_ms, reads=reads, unit=unit))
        case GiveUpStep(batch_id=batch_id, import_id=import_id):
            this = Begun(batch_id, import_id)
            return ended(batch_id, importing.give_up(begun=this, now_ms=now_ms, reads=reads, unit=unit))
