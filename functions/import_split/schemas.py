"""What the split step is told, and what it answers."""

from pydantic import Field

from smallpeck.runtime.schemas import Body, IdText, View
from smallpeck.tasks.importing import ImportReport
from smallpeck.tasks.model import shards_for


class SplitStep(Body):
    """One version of an upload, to be split for one import."""

    batch_id: IdText
    import_id: IdText
    bucket: str
    key: str
    version_id: str


class SplitView(View):
    """How the import stands; where it is `writing`, where its parts are."""

    state: str
    read: int
    accepted: int
    rejected: int
    error_code: str | None
    error_line: int | None
    manifest_key: str | None
    shards: int = Field(description="Over how many partitions the tasks are spread.")


def view(report: ImportReport) -> SplitView:
    return SplitView(
        state=report.state,
        read=report.read,
        accepted=report.accepted,
        rejected=report.rejected,
        error_code=report.error_code,
        error_line=report.error_line,
        manifest_key=report.manifest_key,
        shards=shards_for(report.accepted),
    )
