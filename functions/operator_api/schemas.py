"""What operators' clients send and are told."""

from pydantic import Field

from smallpeck.runtime.schemas import Body, View


class RunBody(Body):
    """How patiently a payout run asks about outcomes that are not known yet."""

    rounds: int = Field(default=8, ge=0, le=20, description="How often to ask before the run ends.")
    first_wait_seconds: int = Field(default=60, ge=1, le=3600, description="Doubles each time, up to an hour.")


class RunView(View):
    """A payout run."""

    run_id: str
    state: str
    started_at: str
    members: int
    settled: int
    released: int
    frozen: int
    unresolved: int
    paid: dict[str, str] = Field(description="What the rails paid, by currency.")
    reconciled: bool | None = Field(description="Whether the rails' own totals equal ours; null: not known.")


class DifferenceView(View):
    """One thing in which the books do not agree. Amounts are in micros: a difference may be below any coin."""

    subject: str
    what: str
    expected_micros: int | None
    found_micros: int | None


class AuditView(View):
    """A books audit, and what it found once it is finished."""

    audit_id: str
    state: str
    requested_at: str
    books_balanced: bool | None
    entries: int | None
    accounts: int | None
    in_motion: int | None
    difference_count: int | None
    differences: list[DifferenceView]
    totals: dict[str, dict[str, str]] = Field(description="By class of accounts, then by currency.")
