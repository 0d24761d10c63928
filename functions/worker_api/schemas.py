"""What workers' clients send and are told."""

from typing import Any, Literal

from pydantic import Field

from smallpeck.runtime.schemas import AmountText, Body, CurrencyText, IdText, MomentText, View

JsonValue = Any


class ProfileBody(Body):
    """What a worker says about themselves; it replaces what was said before."""

    country: str | None = Field(default=None, description="ISO 3166-1 alpha-2.", examples=["KE"])
    languages: list[str] = Field(default=[], max_length=20, description="BCP 47 primary tags.", examples=[["en", "sw"]])
    payout_threshold: AmountText | None = Field(
        default=None, description="Pay out from this balance on; not below the platform's threshold."
    )


class ProfileView(View):
    """A worker's profile."""

    worker_id: str
    country: str | None
    languages: list[str]
    payout_threshold: str


class BatchView(View):
    """A batch that the worker may do."""

    batch_id: str
    title: str
    instructions: str
    kind: str
    currency: str
    reward: str = Field(description="For each approved answer.")
    page_size: int
    lease_seconds: int
    answer_schema: JsonValue = Field(description="JSON Schema 2020-12 that every answer must satisfy.")
    deadline: str
    named: bool


class BatchList(View):
    """Batches, those with the nearest deadline first."""

    batches: list[BatchView]
    next_cursor: str | None


class LeaseBody(Body):
    """Which batch to lease a page of."""

    batch_id: IdText
    tasks: list[IdText] | None = Field(
        default=None, min_length=1, max_length=50, description="Only where the batch is `named`: these tasks."
    )


class AssignmentView(View):
    """One task of a page. Its input is shown while the page is in the worker's hands."""

    task_id: str
    state: str
    input: JsonValue | None = None


class PageView(View):
    """Some assignments of one batch."""

    page_id: str
    batch_id: str
    state: str
    leased_at: str
    expires_at: str
    assignments: list[AssignmentView]


class LeaseView(View):
    """The page, or none and when to ask again, with a new Idempotency-Key."""

    page: PageView | None
    retry_after_seconds: int | None = None


class PageSummary(View):
    """A page without its tasks."""

    page_id: str
    batch_id: str
    state: str
    leased_at: str
    expires_at: str
    credited: str | None


class PageList(View):
    """A worker's pages, newest first."""

    pages: list[PageSummary]
    next_cursor: str | None


class AnswerBody(Body):
    """The answer to one task of the page."""

    task_id: IdText
    answer: JsonValue


class SubmissionBody(Body):
    """The answers to a page. Tasks without one count as returned."""

    answers: list[AnswerBody] = Field(max_length=50)


class DecisionView(View):
    """What became of one assignment."""

    task_id: str
    state: str


class SubmissionView(View):
    """How a submission stands. `credited` is what the settlement rounds have paid so far."""

    page_id: str
    state: str
    accepted_at: str
    decided_at: str | None
    credited: str
    currency: str
    assignments: list[DecisionView]


class BalanceView(View):
    """What a worker has earned and can withdraw."""

    available: str
    currency: CurrencyText


class DestinationBody(Body):
    """Where to be paid."""

    rail: Literal["gateway"]
    address: str = Field(max_length=1_000, description="As the rail understands it.")


class DestinationView(View):
    """Where a worker is paid. The address is masked."""

    rail: str
    address_masked: str
    changed_at: MomentText | None = Field(description="When it was changed; null while it is the first one.")


class PayoutBody(Body):
    """How much to pay out; everything, in whole minor units, where no amount is named."""

    amount: AmountText | None = None
    currency: CurrencyText = "USD"


class PayoutView(View):
    """One payout."""

    payout_id: str
    amount: str
    fee: str
    currency: str
    rail: str
    state: str
    reason: str | None
    requested_at: str
    decided_at: str | None


class PayoutList(View):
    """A worker's payouts, newest first."""

    payouts: list[PayoutView]
    next_cursor: str | None
