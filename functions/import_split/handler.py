"""The import workflow's split step: an uploaded file becomes parts, a manifest and a quarantine."""

from functions.import_split.schemas import SplitStep, SplitView, view
from smallpeck.runtime import wiring
from smallpeck.runtime.steps import step
from smallpeck.tasks.importing import Begun, Upload, split_upload


@step(SplitStep)
def handler(upload: SplitStep) -> SplitView:
    """Splits one upload."""
    here = wiring.current()
    report = split_upload(
        begun=Begun(upload.batch_id, upload.import_id),
        upload=Upload(upload.bucket, upload.key, upload.version_id),
        now_ms=here.clock.now_ms(),
        reads=here.once(wiring.import_store),
        files=here.once(wiring.import_files),
        unit=here.table,
    )
    return view(report)
