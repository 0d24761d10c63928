"""The import workflow's split step: an uploaded file becomes parts, a manifest and a quarantine."""

from typing import Any

from pydantic import ValidationError

from functions.import_split.schemas import SplitStep, view
from smallpeck.kernel.errors import Malformed
from smallpeck.runtime import wiring
from smallpeck.runtime.observability import workflow_step
from smallpeck.tasks.importing import Begun, Upload, split_upload


class BadStep(Malformed):
    """A payload that is no split of an upload."""

    code = "bad_step"


@workflow_step
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Lambda entry: splits one upload."""
    try:
        step = SplitStep.model_validate(event)
    except ValidationError as error:
        raise BadStep("this is no upload to split") from error
    here = wiring.current()
    report = split_upload(
        begun=Begun(step.batch_id, step.import_id),
        upload=Upload(step.bucket, step.key, step.version_id),
        now_ms=here.clock.now_ms(),
        reads=here.once(wiring.import_store),
        files=here.once(wiring.import_files),
        unit=here.table,
    )
    return view(report).model_dump()
