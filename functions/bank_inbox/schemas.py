"""What makes this function look into the bank's mailbox, and what it answers."""

from typing import Annotated, Literal

from pydantic import Field

from smallpeck.runtime.schemas import Body, View


class TakeInStep(Body):
    """A file has arrived; `key` is its whole name in the bucket."""

    step: Literal["take_in"]
    key: str = Field(max_length=1_024)


class TakeInAllStep(Body):
    """Once a day."""

    step: Literal["take_in_all"]


Step = Annotated[TakeInStep | TakeInAllStep, Field(discriminator="step")]


class TakenIn(View):
    """How many answers were read."""

    answers: int
