"""What operators' clients send and are told."""

from pydantic import Field

from smallpeck.payouts.runs import MAX_ROUNDS
from smallpeck.runtime.schemas import AmountText, Body, CurrencyText, IdText, View


class RunBody(Body):
    """How patiently a payout run asks about outcomes that are not known yet."""

    rounds: int = Field(default=8, ge=0, le=MAX_ROUNDS, description="How often to ask before the run ends.")
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


class BankCreditBody(Body):
    """What the bank has booked, as its statement says."""

    bank_entry_id: str = Field(
        pattern=r"^[\x21-\x7e]{1,140}$", description="The bank's own id of the booking: it names it for ever."
    )
    reference: str = Field(max_length=140, description="Whatever the payer wrote.")
    amount: AmountText
    currency: CurrencyText = "EUR"


class BankCreditView(View):
    """Money that a bank booked: a requester's, or in suspense."""

    credit_id: str
    amount: str
    currency: str
    reference: str
    at: str
    requester_id: str | None
    suspense_id: str | None
    reason: str | None = Field(description="Why it stands in suspense.")


class SuspenseView(View):
    """Money that came in and belongs to nobody yet."""

    suspense_id: str
    source: str
    state: str
    amount: str
    currency: str
    reason: str
    reference: str
    at: str
    entry_id: str
    requester_id: str | None
    resolved_at: str | None


class SuspenseList(View):
    """Money that waits for a decision, oldest first."""

    suspense: list[SuspenseView]
    next_cursor: str | None


class ResolutionBody(Body):
    """Whose the money is. It goes there once, and what they owe is paid first."""

    requester_id: IdText | None = Field(description="Null: it was sent back to where it came from.")
