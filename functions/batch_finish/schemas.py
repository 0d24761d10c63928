"""The steps of the finishing workflow and what they answer."""

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from smallpeck.kernel.errors import Malformed
from smallpeck.runtime.schemas import Body, IdText, View


class BadStep(Malformed):
    """A payload that is no step of this workflow."""

    code = "bad_step"


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


Step = BeginStep | RecountStep | RefundStep | PublishStep | EndStep


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


_STEPS: TypeAdapter[Step] = TypeAdapter(Annotated[Step, Field(discriminator="step")])


def read_step(event: dict[str, Any]) -> Step:
    """The step that a payload asks for; raises BadStep."""
    try:
        return _STEPS.validate_python(event)
    except ValidationError as error:
        raise BadStep("this is no step of finishing a batch") from error
