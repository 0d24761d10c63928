"""What the books audit workflow tells its function, and what it is told."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class AuditStep(BaseModel):
    """Runs an audit or, with `failed`, records that no report came of it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    audit_id: Annotated[str, Field(pattern=r"^au_[0-9A-Z]{26}$")]
    failed: bool = False


class Audited(BaseModel):
    """Whether the books balance. The report itself is with the audit."""

    books_balanced: bool
    differences: int
    in_motion: int
