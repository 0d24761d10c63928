"""The steps that begin and end an import."""

from pydantic import BaseModel

from functions.import_report.schemas import BeginStep, CompleteStep, GiveUpStep, Step, begun, ended
from smallpeck.runtime import wiring
from smallpeck.runtime.steps import step
from smallpeck.tasks import importing
from smallpeck.tasks.importing import Begun, Upload


@step(Step)
def handler(asked: Step) -> BaseModel:
    """Begins, completes or gives up an import."""
    here = wiring.current()
    reads, unit, now_ms = here.once(wiring.import_store), here.table, here.clock.now_ms()
    match asked:
        case BeginStep():
            upload = Upload(asked.bucket, asked.key, asked.version_id)
            into = asked.batch_id
            return begun(importing.begin(upload=upload, into=into, now_ms=now_ms, reads=reads, unit=unit))
        case CompleteStep(batch_id=batch_id, import_id=import_id):
            this = Begun(batch_id, import_id)
            return ended(batch_id, importing.complete(begun=this, now_ms=now_ms, reads=reads, unit=unit))
        case GiveUpStep(batch_id=batch_id, import_id=import_id):
            this = Begun(batch_id, import_id)
            return ended(batch_id, importing.give_up(begun=this, now_ms=now_ms, reads=reads, unit=unit))
