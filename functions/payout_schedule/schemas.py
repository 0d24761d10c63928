"""What the workflow of the payout schedule tells its function, and what it is told."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Step(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    scheduled_at: Annotated[str, Field(max_length=40, description="The moment that the schedule ran for.")]


class RequestStep(_Step):
    """Asks for the payouts of some workers who want that; `after` is where the step before ended, "" at first."""

    step: Literal["request"]
    after: Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9_-]{0,79})?$")]


class StartStep(_Step):
    """Starts the payout runs of the day."""

    step: Literal["start"]


class Asked(BaseModel):
    """How many payouts were asked for, and where the list of workers goes on, if there is `more` of it."""

    payouts: int
    after: str
    more: bool


class Started(BaseModel):
    """The payout runs of the day."""

    run_ids: list[str]
