"""What workers' clients send and are told."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Discriminator, Field, Tag

from smallpeck.kernel.errors import Invalid
from smallpeck.runtime.schemas import (
    AmountText,
    Body,
    CurrencyText,
    DayText,
    IdText,
    ListQuery,
    MomentText,
    Query,
    SecondsQuery,
    View,
)
from smallpeck.runtime.worksheet import OfferView, PageView

JsonValue = Any
SkipText: TypeAlias = Annotated[
    Literal["unclear_instructions", "broken_media", "cannot_judge", "offensive", "other"],
    Field(description="Why a task is left undone. Requesters see how often each reason was given."),
]


class NoCurrency(Invalid):
    """A limit on amounts, without the currency they are in."""

    code = "currency_required"


class ProfileBody(Body):
    """What a worker says about themselves; it replaces what was said before."""

    country: str | None = Field(default=None, description="ISO 3166-1 alpha-2.", examples=["KE"])
    languages: list[str] = Field(default=[], max_length=20, description="BCP 47 primary tags.", examples=[["en", "sw"]])
    payout_threshold: AmountText | None = Field(
        default=None, description="Pay out from this balance on; not below the platform's threshold."
    )
    automatic_payouts: bool = Field(
        default=False,
        description="Pay out by itself, once a day, a balance that reaches the threshold. Needs a payout destination.",
    )


class ProfileView(View):
    """A worker's profile."""

    worker_id: str
    country: str | None
    languages: list[str]
    payout_threshold: str
    automatic_payouts: bool


class BatchQuery(ListQuery):
    """Which batches, and in which order.

    What is not measured yet passes no `min_hourly` and no `max_median_seconds`.
    """

    sort: Literal["deadline", "reward", "hourly", "median"] = Field(
        default="deadline",
        description="`deadline`: the nearest first. `reward`, `hourly`: the highest first, currency by currency. "
        "`median`: the quickest first. Other than by deadline, the 500 with the nearest deadline are sorted.",
    )
    kind: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$", description="As in `kind` of a batch.")] | None = None
    currency: CurrencyText | None = None
    min_reward: AmountText | None = Field(default=None, description="For each answer; needs `currency`.")
    min_hourly: AmountText | None = Field(default=None, description="Needs `currency`.")
    max_median_seconds: SecondsQuery | None = None


class BatchView(OfferView):
    """A batch that the worker may do."""

    expected_seconds: int | None = Field(description="How long the requester thinks that an answer takes.")
    median_seconds: float | None = Field(
        description="How long an answer does take: the median over all approved ones, of each page from its lease to "
        "its submission by the number of its answers. At most 10% off and a few minutes old; null before the first."
    )
    hourly: str | None = Field(description="What an hour of answers brings at `median_seconds`; null before that.")


class BatchList(View):
    """Batches in the order that was asked for."""

    batches: list[BatchView]
    next_cursor: str | None


class LeaseBody(Body):
    """Which batch to lease a page of."""

    batch_id: IdText
    tasks: list[IdText] | None = Field(
        default=None, min_length=1, max_length=50, description="Only where the batch is `named`: these tasks."
    )


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


class ReturnQuery(Query):
    """Why a page is given back."""

    reason: SkipText | None = None


class AnswerBody(Body):
    """The answer to one task of the page."""

    task_id: IdText
    answer: JsonValue


class SkipBody(Body):
    """A task of the page that is left undone, and why. It counts as returned."""

    task_id: IdText
    skip: SkipText


class NextBody(Body):
    """Asks for the next page of the same batch with the receipt."""

    idempotency_key: str = Field(
        pattern=r"^[\x20-\x7e]{1,255}$", description="As the Idempotency-Key of `POST /v1/worker/pages`."
    )


def _answer_or_skip(given: Any) -> str:
    return "a skip" if isinstance(given, Mapping) and "skip" in given else "an answer"


class SubmissionBody(Body):
    """The answers to a page. Tasks without one count as returned."""

    answers: list[
        Annotated[
            Annotated[AnswerBody, Tag("an answer")] | Annotated[SkipBody, Tag("a skip")],
            Discriminator(_answer_or_skip),
        ]
    ] = Field(max_length=50)
    next: NextBody | None = None


class DecisionView(View):
    """What became of one assignment."""

    task_id: str
    state: str
    skip: str | None = Field(default=None, description="The reason that you gave for leaving it undone.")
    clause: str | None = Field(default=None, description="Of a rejected answer: the clause of the rubric it breaks.")
    explanation: str | None = Field(default=None, description="Of a rejected answer: what is wrong with it.")


class SubmissionView(View):
    """How a submission stands. `credited` is what the settlement rounds have paid so far."""

    page_id: str
    state: str
    accepted_at: str
    decided_at: str | None
    credited: str
    currency: str
    assignments: list[DecisionView]


class NextView(View):
    """The next page, or why there is none and when to ask again."""

    page: PageView | None = None
    code: str | None = None
    retry_after_seconds: int | None = None


class ReceiptView(SubmissionView):
    """An accepted submission, with the next page where that was asked for."""

    next_page: PageView | None = None
    next_page_code: str | None = Field(
        default=None,
        description="Why `next_page` was asked for and is null: `nothing_to_do`, or the code that "
        "`POST /v1/worker/pages` would have been refused with.",
    )
    retry_after_seconds: int | None = Field(default=None, description="When to ask for a page again.")


class BalanceView(View):
    """What a worker has earned and can withdraw."""

    available: str
    currency: CurrencyText


class DestinationBody(Body):
    """Where to be paid."""

    rail: Literal["circle", "gateway", "paypal", "sepa", "stripe"] = Field(description="One that is offered here.")
    address: str = Field(
        max_length=1_000,
        description="As the rail understands it; for sepa `<IBAN>, <holder>`, for circle `<chain>:<address>`.",
    )


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


class EarningsQuery(Query):
    """Which days: the last thirty where none are named, at most 92."""

    from_: DayText | None = Field(default=None, alias="from")
    to: DayText | None = None
    currency: CurrencyText = "USD"


class EarningsDay(View):
    """One day, in UTC."""

    day: str
    credited: str
    paid_out: str = Field(description="Asked to be paid out on this day, fees included.")
    came_back: str = Field(description="From payouts that could not be delivered.")
    answers: int = Field(description="How many approved answers the credits paid for.")


class EarningsView(View):
    """Movements day by day, and their sums. `credited` - `paid_out` + `came_back` is the change of the balance."""

    currency: str
    credited: str
    paid_out: str
    came_back: str
    answers: int
    days: list[EarningsDay]


class QuoteQuery(Query):
    """How much to pay out; everything, in whole minor units, where no amount is named."""

    amount: AmountText | None = None
    currency: CurrencyText = "USD"


class MissingView(View):
    """Why the payout would be refused now."""

    code: str = Field(description="The code that the refusal would have.")
    detail: str
    until: MomentText | None = None


class QuoteView(View):
    """A payout before it is asked for. Nothing is reserved; what arrives, and when, holds for a request made now."""

    amount: str
    fee: str
    arrives: str
    currency: str
    rail: str | None
    threshold: str = Field(description="The least that can be paid out to you.")
    next_run: MomentText = Field(description="The next scheduled payout run that it could be in.")
    earliest_arrival: MomentText | None
    latest_arrival: MomentText | None = Field(description="As the rail states it.")
    missing: list[MissingView] = Field(description="Nothing, where the payout can be asked for now.")


class PayoutList(View):
    """A worker's payouts, newest first."""

    payouts: list[PayoutView]
    next_cursor: str | None
