"""What requesters' clients send and are told."""

from typing import Annotated, Any, Literal

from pydantic import Field

from smallpeck.runtime.describing import Description
from smallpeck.runtime.schemas import (
    WHOLE,
    AmountText,
    Body,
    CurrencyText,
    CursorQuery,
    IdText,
    MomentText,
    Query,
    View,
)
from smallpeck.runtime.worksheet import OfferView, PageView
from smallpeck.tasks.model import MAX_ANSWERS_PER_TASK
from smallpeck.tasks.result_forms import ResultForm

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


class BatchBody(Description):
    """A batch: what is asked, of whom, and for how much."""

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


class ReviewView(View):
    """Who decides on answers, and how long they may."""

    mode: str
    seconds: int


class ConsensusView(View):
    """How answers become a result."""

    method: str
    target_confidence: float | None
    settings: JsonValue


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
    review: ReviewView
    rubric: list[str]
    expected_seconds: int | None
    consensus: ConsensusView
    control_column: str | None = Field(description="Where in the file known answers stand.")
    control_count: int = Field(description="How many of the tasks are control tasks.")
    paused_for: str | None = Field(description="Why the platform has paused it; null where you have.")


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
    """How far a batch is. What is decided is counted exactly; what is in work is counted while it moves."""

    state: str
    task_count: int
    tasks_closed: int = Field(description="By their answers; tasks that close with the batch are not counted.")
    tasks_disputed: int = Field(description="Of those closed: tied, or with an answer that fewer than 2/3 gave.")
    answers_approved: int
    answers_rejected: int
    answers_leased: int = Field(description="In workers' hands now.")
    answers_submitted: int = Field(description="Submitted and not looked at yet.")
    answers_in_review: int = Field(description="Waiting for your decisions.")
    in_work_complete: bool = Field(description="False: so much is in work that there is more than was counted.")
    answers_paid_for: int
    spent: str
    refund_expected: str = Field(
        description="What comes back at the end. While the batch runs, this is at most so much: an estimate."
    )
    currency: str
    median_seconds: float | None = Field(description="How long an answer took, in the median, within 10%.")
    expected_end: str | None = Field(
        description="When the batch is done if answers keep coming as they did: an estimate, never after the deadline."
    )


class VoteView(View):
    """One worker's answer."""

    worker_id: str
    answer: JsonValue


class TaskView(View):
    """A task, its result once it is closed, and the answers that the result comes from."""

    task_id: str
    row_id: str
    status: str
    control: bool = Field(description="Whether its answer was known, which workers are not told.")
    input: JsonValue
    answer: JsonValue | None
    confidence: float | None = Field(description="The share of answers that agree with the result.")
    tied: bool | None
    answers: list[VoteView]


class TaskList(View):
    """Tasks in the order of the file."""

    tasks: list[TaskView]
    next_cursor: str | None


FORMAT_DESCRIPTION = (
    "csv and jsonl hold every batch; coco holds boxes, polygons and points, labelstudio everything but rankings, "
    "groundtruth (an augmented manifest of SageMaker Ground Truth) everything."
)
LABEL_CONFIG_DESCRIPTION = "For labelstudio: the labelling configuration (XML) of a project that the file fits."


class ResultsQuery(Query):
    """In which format."""

    format: ResultForm = Field(default="csv", description=FORMAT_DESCRIPTION)


class ResultsView(View):
    """Where the results of a finished batch can be fetched; short-lived."""

    format: str
    url: str
    expires_at: str
    label_config: str | None = Field(description=LABEL_CONFIG_DESCRIPTION)


class ExtendBody(Body):
    """More answers to every task, a later deadline, or both."""

    more_answers: int = Field(default=0, ge=0, le=MAX_ANSWERS_PER_TASK)
    deadline: MomentText | None = None


class ReviewQuery(Query):
    """How many pages, and from where."""

    limit: Annotated[int, Field(ge=1, le=20, description="How many pages at most."), WHOLE] = 10
    cursor: CursorQuery | None = None


class ReviewedAnswerView(View):
    """An answer on a page in review. A rejected answer is sealed: it is shown no more."""

    task_id: str
    state: str
    input: JsonValue
    answer: JsonValue | None
    clause: int | None = Field(description="Of a rejection: the number of the rubric's clause, from 0.")
    explanation: str | None


class ReviewedPageView(View):
    """What one worker submitted together, and until when you may decide on it."""

    page_id: str
    worker_id: str
    submitted_at: str
    review_ends_at: str = Field(description="What is undecided then is approved.")
    answers: list[ReviewedAnswerView]


class ReviewList(View):
    """Pages that wait for decisions, those whose review ends first in front."""

    pages: list[ReviewedPageView]
    next_cursor: str | None


class DecisionBody(Body):
    """What you decide about one answer, or about all of a page that you do not name."""

    page_id: IdText
    task_id: IdText | None = Field(default=None, description="Null: every answer of the page that is not named.")
    decision: Literal["approve", "reject"]
    clause: int | None = Field(default=None, ge=0, description="To reject: the number of the rubric's clause, from 0.")
    explanation: str | None = Field(
        default=None, max_length=2_000, description="To reject: what is wrong, for the worker."
    )


class DecisionsBody(Body):
    """Decisions on up to 200 answers or pages."""

    decisions: list[DecisionBody] = Field(min_length=1, max_length=200)


class OutcomeView(View):
    """What became of the decisions on one page."""

    page_id: str
    outcome: str = Field(
        description=(
            "accepted: being carried out. busy: the page is changing, send it again. decided: one of these answers "
            "was decided otherwise before. unknown: no such page or answer in this batch."
        )
    )


class OutcomesView(View):
    """What became of the decisions, page by page."""

    outcomes: list[OutcomeView]


class PriceQuery(Query):
    """For how many workers at once."""

    workers: Annotated[int, Field(ge=1, le=100_000, description="How many work at the same time."), WHOLE] = 10


class PriceView(View):
    """What a batch costs, to the micro, and how long it takes, as an estimate. What is not spent comes back."""

    tasks: int
    answers: int = Field(description="As many as may be asked for.")
    cost: str = Field(description="What publishing takes from your account.")
    reward: str = Field(description="Of the cost: what workers get at most.")
    fee: str = Field(description="Of the cost: what the platform keeps at most.")
    least_answers: int
    least_cost: str = Field(description="If no task needs more than `min_answers`.")
    currency: str
    seconds_per_answer: float | None
    seconds_from: Literal["measured", "expected"] | None
    workers: int
    duration_seconds: int | None = Field(description="For all answers, with so many workers at once.")
    least_duration_seconds: int | None
    hourly_pay: str | None = Field(description="What a worker earns in an hour at this pace, unpaid breaks aside.")


class RejectedRowView(View):
    """A row of the file that is no task."""

    line: int
    reason: str
    detail: str


class ProblemView(View):
    """Something that must be put right. The pointer leads into the batch's description."""

    pointer: str
    detail: str


class ValidationView(View):
    """Whether a batch could be published now, and what is in the way."""

    publishable: bool
    problems: list[ProblemView]
    imported: ImportView
    rejected_rows: list[RejectedRowView] = Field(description="The first hundred.")
    page_bytes: int = Field(description="The most that a page can weigh.")
    page_bytes_max: int
    cost: str
    available: str
    missing: str = Field(description="What your account lacks to publish.")
    currency: str


class PreviewView(View):
    """What workers get: the batch and its first page. Null where there is no task yet."""

    batch: OfferView
    page: PageView | None


class ExportBody(Body):
    """In which format."""

    format: ResultForm = Field(default="csv", description=FORMAT_DESCRIPTION)


class ExportView(View):
    """The results so far. `url` is there when it is done; short-lived."""

    export_id: str
    batch_id: str
    format: str
    state: str
    requested_at: str
    finished_at: str | None
    tasks: int
    closed_tasks: int
    left_out: int = Field(description="Of the tasks: those without their answer, which the format cannot hold.")
    url: str | None
    expires_at: str | None
    label_config: str | None = Field(description=LABEL_CONFIG_DESCRIPTION)


class InboxCredentialsView(View):
    """AWS credentials that reach one inbox and nothing else."""

    bucket: str
    prefix: str = Field(description="Every key that you write or list begins with it.")
    access_key_id: str
    secret_access_key: str
    session_token: str
    expires_at: str
