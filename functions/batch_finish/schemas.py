"""The steps of the finishing workflow and what they answer."""

from typing import Annotated, Literal

from pydantic import Field

from smallpeck.runtime.schemas import Body, IdText, View


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


Step = Annotated[BeginStep | RecountStep | RefundStep | PublishStep | EndStep, Field(discriminator="step")]


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
