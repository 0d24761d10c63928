"""What the workflow that seals a day tells its function, and what it is told."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from smallpeck.ledger.seal_service import SEGMENTS

HashText = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Step(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class BeginStep(_Step):
    """Says which day is to be sealed."""

    step: Literal["begin"]
    scheduled_at: Annotated[str, Field(max_length=40, description="The moment that the schedule ran for.")]


class ScanStep(_Step):
    """Reads one part of the ledger table."""

    step: Literal["scan"]
    segment: Annotated[int, Field(ge=0, lt=SEGMENTS)]


class _Join(_Step):
    known: Annotated[int, Field(ge=0, description="How many seals there were at the beginning.")]
    runs: Annotated[list[HashText], Field(min_length=SEGMENTS, max_length=SEGMENTS)]


class SealStep(_Join):
    """Seals a day from what the scans have found."""

    step: Literal["seal"]
    day: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]


class VerifyStep(_Join):
    """Looks whether everything that was ever sealed is still so."""

    step: Literal["verify"]


class Begun(BaseModel):
    """Which day is next, how many seals there are, whether it is sealed already, and the parts to scan."""

    day: str
    known: int
    sealed: bool
    segments: list[int]


class Scanned(BaseModel):
    """Where the runs of a part are, and how many items they have."""

    runs: str
    items: int


class Seen(BaseModel):
    """New items, sealed ones, and how many differences were found; `file` lists them, "" where there are none."""

    day: str
    number: int
    new: int
    known: int
    differences: int
    file: str
    unchanged: bool
