"""The steps of the workflows that finish and export a batch, and what they answer."""

from typing import Annotated, Literal

from pydantic import Field

from smallpeck.runtime.schemas import Body, IdText, View
from smallpeck.tasks.exporting import Export


class BeginStep(Body):
    step: Literal["begin"]
    batch_id: IdText
    final: Literal["closed", "cancelled"]


class RecountStep(Body):
    step: Literal["recount"]
    batch_id: IdText


class RefundStep(Body):
    step: Literal["refund"]
    batch_id: IdText


class PublishStep(Body):
    step: Literal["publish"]
    batch_id: IdText


class EndStep(Body):
    step: Literal["end"]
    batch_id: IdText


class ExportStep(Body):
    step: Literal["export"]
    batch_id: IdText
    export_id: IdText


class FailExportStep(Body):
    step: Literal["fail_export"]
    batch_id: IdText
    export_id: IdText


Step = Annotated[
    BeginStep | RecountStep | RefundStep | PublishStep | EndStep | ExportStep | FailExportStep,
    Field(discriminator="step"),
]


class Begun(View):
    shards: int


class Recounted(View):
    open_leases: int
    undecided: int
    ready: bool
    wait_seconds: int


class Refunded(View):
    refunded_micros: int


class Published(View):
    tasks: int


class Ended(View):
    state: str


class Exported(View):
    state: str
    tasks: int
    closed_tasks: int


def exported(found: Export) -> Exported:
    return Exported(state=found.state, tasks=found.tasks, closed_tasks=found.closed_tasks)
