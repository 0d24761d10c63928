"""The steps of the inbox workflow and what they answer."""

from typing import Annotated, Literal

from pydantic import Field

from smallpeck.runtime.schemas import Body, IdText, View
from smallpeck.tasks.dropping import Drop, DropReport, Opened, drop_of
from smallpeck.tasks.importing import Upload

ObjectText = Annotated[str, Field(min_length=1, max_length=1_024)]


class Named(Body):
    """One version of a spec. `key` is not URL-encoded."""

    bucket: ObjectText
    key: ObjectText
    version_id: ObjectText

    def drop(self) -> Drop | None:
        """The drop that it is; None where it is no spec in an inbox."""
        return drop_of(bucket=self.bucket, key=self.key, version_id=self.version_id)


class OpenStep(Named):
    """Something was dropped."""

    step: Literal["open"]


class OpenedView(View):
    """The file to import, and into which batch; or how the drop ended."""

    state: str
    batch_id: str | None = None
    data_key: str | None = None
    data_version_id: str | None = None
    publish: bool = False

    @classmethod
    def of(cls, found: Opened | DropReport) -> "OpenedView":
        """What the workflow is told."""
        if isinstance(found, DropReport):
            return cls(state=found.state)
        return cls(
            state="importing",
            batch_id=found.batch_id,
            data_key=found.data.key,
            data_version_id=found.data.version_id,
            publish=found.publish,
        )


class ImportedDrop(Body):
    """What the first step answered."""

    state: Literal["importing"]
    batch_id: IdText
    data_key: ObjectText
    data_version_id: ObjectText
    publish: bool


class ConcludeStep(Named):
    """The import has ended."""

    step: Literal["conclude"]
    opened: ImportedDrop

    def result(self) -> Opened:
        """What the first step found."""
        found = self.opened
        return Opened(found.batch_id, Upload(self.bucket, found.data_key, found.data_version_id), found.publish)


class FailStep(Named):
    """A step has failed for good."""

    step: Literal["fail"]


class EndedView(View):
    """How the drop ended; the report beside the spec says it to its requester."""

    state: str
    batch_id: str | None = None


Step = Annotated[OpenStep | ConcludeStep | FailStep, Field(discriminator="step")]
