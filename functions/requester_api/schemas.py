"""What requesters' clients send and are told."""

from typing import Any, Literal

from pydantic import Field

from smallpeck.runtime.schemas import AmountText, Body, CurrencyText, MomentText, Query, View
from smallpeck.tasks.model import MAX_ANSWERS_PER_TASK, MAX_PAGE_SIZE

JsonObject = dict[str, Any]
JsonValue = Any


class DepositBody(Body):
    """Test money, on stages where money is not real."""

    amount: AmountText
    currency: CurrencyText = "USD"


class AccountView(View):
    """A requester's prepaid money."""

    requester_id: str
    available: str
    currency: str


class DepositView(AccountView):
    """The account after a deposit."""

    deposit_id: str


class BatchBody(Body):
    """A batch: what is asked, of whom, and for how much."""

    title: str = Field(min_length=1, max_length=200, examples=["Is this a cat?"])
    instructions: str = Field(min_length=1, max_length=20_000)
    kind: Literal["choice"] = "choice"
    currency: CurrencyText = "USD"
    price: AmountText = Field(description="What you pay for each approved answer: the worker's reward and our fee.")
    min_answers: int = Field(
        default=3, ge=1, le=MAX_ANSWERS_PER_TASK, description="A task does not close with fewer, but at the end."
    )
    max_answers: int = Field(
        default=3,
        ge=1,
        le=MAX_ANSWERS_PER_TASK,
        description=("A task closes with so many answers, or from min_answers on as soon as its result cannot change."),
    )
    page_size: int = Field(default=10, ge=1, le=MAX_PAGE_SIZE)
    lease_seconds: int = Field(default=900, ge=60, le=86_400)
    task_schema: JsonObject = Field(
        default={"type": "object"}, description="JSON Schema 2020-12 that every row of the file must satisfy."
    )
    answer_schema: JsonObject = Field(
        description="JSON Schema 2020-12 that every answer must satisfy.", examples=[{"enum": ["cat", "dog"]}]
    )
    named: bool = Field(default=False, description="Whether workers may lease tasks by name.")
    countries: list[str] = Field(default=[], max_length=250, description="Only workers of these; empty: all.")
    languages: list[str] = Field(default=[], max_length=50, description="Only speakers of one of these; empty: all.")
    deadline: MomentText | None = Field(default=None, description="When the batch closes at the latest; 30 days.")
    filename: str = Field(
        default="tasks.csv", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.(csv|jsonl)$", description="Of the upload."
    )


class UploadBody(Body):
    """The name of the file that will be uploaded."""

    filename: str = Field(default="tasks.csv", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.(csv|jsonl)$")


class UploadView(View):
    """A form to post the file with: all `fields` first, then `file`."""

    url: str
    fields: dict[str, str]
    expires_at: str
    max_bytes: int


class BatchView(View):
    """A batch as its requester sees it."""

    batch_id: str
    state: str
    title: str
    instructions: str
    kind: str
    currency: str
    price: str
    reward: str
    fee: str
    min_answers: int
    max_answers: int
    page_size: int
    lease_seconds: int
    task_schema: JsonValue
    answer_schema: JsonValue
    named: bool
    countries: list[str]
    languages: list[str]
    deadline: str
    created_at: str
    closed_at: str | None
    task_count: int
    cost: str = Field(description="What publishing takes, or took, from your account.")


class DraftView(View):
    """A new batch and where to put its file."""

    batch: BatchView
    upload: UploadView


class BatchList(View):
    """A requester's batches, newest first."""

    batches: list[BatchView]
    next_cursor: str | None


class ImportView(View):
    """What became of the uploaded file. accepted + rejected = read."""

    state: str
    rows_read: int
    rows_accepted: int
    rows_rejected: int
    error_code: str | None
    error_detail: str | None
    error_line: int | None
    quarantine_url: str | None = Field(description="Rejected rows with line and reason, as JSON Lines; short-lived.")


class ProgressView(View):
    """How far a batch is."""

    state: str
    task_count: int
    tasks_closed: int
    answers_approved: int
    answers_paid_for: int
    spent: str
    currency: str


class VoteView(View):
    """One worker's answer."""

    worker_id: str
    answer: JsonValue


class TaskView(View):
    """A task, its result once it is closed, and the answers that the result comes from."""

    task_id: str
    row_id: str
    status: str
    input: JsonValue
    answer: JsonValue | None
    confidence: float | None = Field(description="The share of answers that agree with the result.")
    tied: bool | None
    answers: list[VoteView]


class TaskList(View):
    """Tasks in the order of the file."""

    tasks: list[TaskView]
    next_cursor: str | None


class ResultsQuery(Query):
    """In which format."""

    format: Literal["csv", "jsonl"] = "csv"


class ResultsView(View):
    """Where the results of a finished batch can be fetched; short-lived."""

    format: str
    url: str
    expires_at: str
