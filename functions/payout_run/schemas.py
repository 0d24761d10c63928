"""What the payout workflow tells its function, and what it is told."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

RunId = Annotated[str, Field(pattern=r"^r_[0-9A-Z]{26}$")]
Chunk = Annotated[int, Field(ge=0, lt=10_000)]


class _Step(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    run_id: RunId


class FreezeStep(_Step):
    """Makes what is payable members of the run and closes its membership."""

    step: Literal["freeze"]


class SendStep(_Step):
    """Sends one chunk of the members."""

    step: Literal["send"]
    chunk: Chunk


class SendParcelStep(_Step):
    """Sends one parcel of the members."""

    step: Literal["send_parcel"]
    parcel: Chunk


class WaitStep(_Step):
    """Goes on, by its token, when the rails have said what became of all members."""

    step: Literal["wait"]
    token: Annotated[str, Field(min_length=1, max_length=2_048)]


class QueryStep(_Step):
    """Asks about one chunk of the members; without a chunk about what earlier runs left."""

    step: Literal["query"]
    chunk: Chunk | None = None


class EndStep(_Step):
    """Counts, and says whether and when to ask again."""

    step: Literal["end"]
    round: Annotated[int, Field(ge=0)]


class Frozen(BaseModel):
    """The frozen membership: how many, and the numbers of their chunks and parcels."""

    members: int
    chunks: list[int]
    parcels: list[int]


class Done(BaseModel):
    """A chunk was worked through; how its members stand is counted by `end`."""

    done: bool = True


class Ended(BaseModel):
    """How the members stand, and what comes next."""

    state: str
    settled: int
    released: int
    returned: int
    frozen: int
    unresolved: int
    again: bool
    told: bool
    chunks: list[int]
    wait_seconds: int
    next_round: int
