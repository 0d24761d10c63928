"""The steps that estimate a batch again, and what they answer."""

from typing import Annotated, Literal

from pydantic import Field

from smallpeck.runtime.schemas import Body, IdText, View

Number = Annotated[int, Field(ge=0, le=1_000_000, strict=True)]


class PlanStep(Body):
    step: Literal["plan"]
    batch_id: IdText


class GatherStep(Body):
    step: Literal["gather"]
    batch_id: IdText
    chunk: Number


class FitStep(Body):
    step: Literal["fit"]
    batch_id: IdText
    round: Number


class TallyStep(Body):
    step: Literal["tally"]
    batch_id: IdText
    chunk: Number
    round: Annotated[Number, Field(ge=1)]


class DecideStep(Body):
    step: Literal["decide"]
    batch_id: IdText
    chunk: Number
    round: Number


class ConcludeStep(Body):
    step: Literal["conclude"]
    batch_id: IdText
    round: Number


Step = Annotated[PlanStep | GatherStep | FitStep | TallyStep | DecideStep | ConcludeStep, Field(discriminator="step")]


class Planned(View):
    way: str
    chunks: list[int]


class Gathered(View):
    tasks: int


class Fitted(View):
    round: int
    done: bool


class Tallied(View):
    workers: int


class Decided(View):
    tasks: int
    changed: int
    left: int


class Concluded(View):
    tasks: int
