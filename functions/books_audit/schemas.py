"""What the books audit workflow tells its function, and what it is told."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from smallpeck.ledger.audit_service import SEGMENTS

AuditId = Annotated[str, Field(pattern=r"^au_[0-9A-Z]{26}$")]
File = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileOrNone = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
Part = Annotated[int, Field(ge=0, lt=SEGMENTS)]
Parts = Annotated[list[File], Field(min_length=SEGMENTS, max_length=SEGMENTS)]


class _Step(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class ScheduleStep(_Step):
    """Makes the audit of the day that has ended."""

    step: Literal["schedule"]
    scheduled_at: Annotated[str, Field(max_length=40, description="The moment that the schedule ran for.")]


class BeginStep(_Step):
    """Says what is to be read, or what an audit that is over has found."""

    step: Literal["begin"]
    audit_id: AuditId


class PlatformStep(_Step):
    """Reads one part of the platform table."""

    step: Literal["platform"]
    segment: Part


class LedgerStep(_Step):
    """Folds one part of the ledger table; of what the look `again` names only, if there was one."""

    step: Literal["ledger"]
    segment: Part
    again: FileOrNone


class LookStep(_Step):
    """Joins the parts and looks at them."""

    step: Literal["look"]
    audit_id: AuditId
    started_at_ms: Annotated[int, Field(ge=0)]
    platform: Parts
    ledger: Parts
    again: FileOrNone


class FailStep(_Step):
    """Records that no report came of an audit."""

    step: Literal["fail"]
    audit_id: AuditId


class Scheduled(BaseModel):
    """The audit that is to run."""

    audit_id: str


class Scanned(BaseModel):
    """Where the sums of a part are."""

    file: str


class Looked(BaseModel):
    """Whether the audit is over, and what it found; `again` is the look that another pass follows.

    `says` is for people: amounts and classes of accounts. The report itself is with the audit.
    """

    finished: bool
    again: str = ""
    books_balanced: bool = False
    differences: int = 0
    in_motion: int = 0
    says: str = ""


class Begun(Looked):
    """Where nothing was found yet: the parts to scan, and when it began."""

    segments: list[int]
    started_at_ms: int
