"""The steps that begin and end an import, and what they answer."""

from typing import Annotated, Literal

from pydantic import Field

from smallpeck.runtime.schemas import Body, IdText, View
from smallpeck.tasks.importing import Begun, Ignored, ImportReport


class BeginStep(Body):
    """An object was created in the uploads bucket. `key` is not URL-encoded.

    `batch_id` is only there for a file in an inbox, whose key names no batch.
    """

    step: Literal["begin"]
    bucket: str
    key: str
    version_id: Annotated[str, Field(min_length=1)]
    batch_id: IdText | None = None


class CompleteStep(Body):
    """Every part was written."""

    step: Literal["complete"]
    batch_id: IdText
    import_id: IdText


class GiveUpStep(Body):
    """A step has failed for good."""

    step: Literal["give_up"]
    batch_id: IdText
    import_id: IdText


Step = Annotated[BeginStep | CompleteStep | GiveUpStep, Field(discriminator="step")]


class BegunView(View):
    """The import to go on with, or why there is none."""

    ignored: str | None
    batch_id: str | None
    import_id: str | None


class ReportView(View):
    """How the import ended."""

    batch_id: str
    import_id: str
    state: str
    read: int
    accepted: int
    rejected: int
    error_code: str | None


def begun(found: Begun | Ignored) -> BegunView:
    if isinstance(found, Begun):
        return BegunView(ignored=None, batch_id=found.batch_id, import_id=found.import_id)
    return BegunView(ignored=found, batch_id=None, import_id=None)


def ended(batch_id: str, report: ImportReport) -> ReportView:
    return ReportView(
        batch_id=batch_id,
        import_id=report.import_id,
        state=report.state,
        read=report.read,
        accepted=report.accepted,
        rejected=report.rejected,
        error_code=report.error_code,
    )
