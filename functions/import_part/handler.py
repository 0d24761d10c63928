"""The import workflow's part step: the rows of one part become tasks."""

from typing import Any

from pydantic import ValidationError

from functions.import_part.schemas import PartStep, PartView
from smallpeck.kernel.errors import Malformed
from smallpeck.runtime import wiring
from smallpeck.runtime.observability import workflow_step
from smallpeck.tasks.importing import Begun, write_part


class BadStep(Malformed):
    """A payload that is no part of an import."""

    code = "bad_step"


@workflow_step
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Lambda entry: writes one part."""
    try:
        step = PartStep.model_validate(event)
    except ValidationError as error:
        raise BadStep("this is no part of an import") from error
    here = wiring.current()
    tasks = write_part(
        begun=Begun(step.batch_id, step.import_id),
        part=step.part,
        shards=step.shards,
        body=here.once(wiring.import_files).part(step.key),
        reads=here.once(wiring.import_store),
        unit=here.table,
    )
    return PartView(tasks=tasks).model_dump()
