"""What a requester says of a batch, whichever way it comes: the body of a request, or a spec that was dropped."""

from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field

from smallpeck.consensus.method import METHODS, PPM
from smallpeck.kernel.entropy import random_bytes
from smallpeck.kernel.errors import Invalid, Problem
from smallpeck.kernel.ids import canonical_json
from smallpeck.kernel.money import MICROS_DECIMALS, split_price
from smallpeck.people.model import country_problems, language_problems
from smallpeck.runtime.schemas import AmountText, Body, CurrencyText, MomentText, amount_micros, moment_ms
from smallpeck.tasks.kinds import KINDS, answer_schema_of, consensus_of
from smallpeck.tasks.model import MAX_ANSWERS_PER_TASK, MAX_PAGE_SIZE, Batch, Review
from smallpeck.tasks.rows import ROW_ID
from smallpeck.tasks.schema import BadSchema, check_schema

SHUFFLE_KEY_BYTES: Final = 16
DEFAULT_DEADLINE_MS: Final = 30 * 86_400_000
REVIEW_SECONDS_MIN: Final = 3_600
REVIEW_SECONDS_MAX: Final[Mapping[Review, int]] = {
    Review.INSTANT: 0,
    Review.DEADLINE: 14 * 86_400,
    Review.MANUAL: 30 * 86_400,
}
REVIEW_SECONDS: Final[Mapping[Review, int]] = {
    Review.INSTANT: 0,
    Review.DEADLINE: 3 * 86_400,
    Review.MANUAL: 30 * 86_400,
}
"""How long a review takes where nothing else is said."""
JsonObject = dict[str, Any]


def _one_of(names: Collection[str]) -> Callable[[str], str]:
    def known(name: str) -> str:
        if name not in names:
            raise ValueError(f"one of {', '.join(sorted(names))}")
        return name

    return known


KindName = Annotated[str, Field(json_schema_extra={"enum": sorted(KINDS)}), AfterValidator(_one_of(KINDS))]
MethodName = Annotated[str, Field(json_schema_extra={"enum": sorted(METHODS)}), AfterValidator(_one_of(METHODS))]
ColumnName = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]
ClauseText = Annotated[str, Field(min_length=1, max_length=300)]


class ReviewBody(Body):
    """Who decides on answers, and when."""

    mode: Literal["instant", "deadline", "manual"] = Field(
        default="instant",
        description=(
            "instant: approved as they come; final. deadline: you may decide for some time. manual: you decide. "
            "What is undecided at the end is approved and paid."
        ),
    )
    seconds: int | None = Field(
        default=None,
        ge=REVIEW_SECONDS_MIN,
        le=max(REVIEW_SECONDS_MAX.values()),
        description="How long you may decide on a page. deadline: 14 days at most, 3 by default; manual: 30 days.",
    )


class ConsensusBody(Body):
    """How answers become a result."""

    method: MethodName | None = Field(default=None, description="None: the one of the batch's kind.")
    target_confidence: float | None = Field(
        default=None,
        ge=0.5,
        le=0.999,
        description="From min_answers on, a task closes when its result is as likely right as this.",
    )
    settings: JsonObject = Field(default={}, description="What the method wants to know beyond the answer schema.")


class Description(Body):
    """What is asked, of whom, and for how much."""

    title: str = Field(min_length=1, max_length=200, examples=["Is this a cat?"])
    instructions: str = Field(min_length=1, max_length=20_000)
    kind: KindName = "choice"
    currency: CurrencyText = "USD"
    price: AmountText = Field(description="What you pay for each approved answer: the worker's reward and our fee.")
    min_answers: int = Field(
        default=3, ge=1, le=MAX_ANSWERS_PER_TASK, description="A task does not close with fewer, but at the end."
    )
    max_answers: int = Field(
        default=3,
        ge=1,
        le=MAX_ANSWERS_PER_TASK,
        description="A task closes with so many answers, or from min_answers on as soon as its result is sure enough.",
    )
    consensus: ConsensusBody = Field(default_factory=ConsensusBody)
    page_size: int = Field(default=10, ge=1, le=MAX_PAGE_SIZE)
    lease_seconds: int = Field(default=900, ge=60, le=86_400)
    task_schema: JsonObject = Field(
        default={"type": "object"}, description="JSON Schema 2020-12 that every row of the file must satisfy."
    )
    answer_schema: JsonObject | None = Field(
        default=None,
        description="JSON Schema 2020-12 that every answer must satisfy; None: what the kind has, if it has one.",
        examples=[{"enum": ["cat", "dog"]}],
    )
    control_column: ColumnName | None = Field(
        default=None,
        description=(
            "The column (CSV) or property (JSON Lines) of the file that holds known answers. A row with a value there "
            "is a control task: workers see it as any other, without that value, and it says how often they are right."
        ),
        examples=["known_answer"],
    )
    named: bool = Field(default=False, description="Whether workers may lease tasks by name.")
    countries: list[str] = Field(default=[], max_length=250, description="Only workers of these; empty: all.")
    languages: list[str] = Field(default=[], max_length=50, description="Only speakers of one of these; empty: all.")
    deadline: MomentText | None = Field(default=None, description="When the batch closes at the latest; 30 days.")
    review: ReviewBody = Field(default_factory=ReviewBody)
    rubric: list[ClauseText] = Field(
        default=[], max_length=20, description="What answers are held to. A rejection names one of these clauses."
    )
    expected_seconds: int | None = Field(
        default=None, ge=1, le=86_400, description="How long you think an answer takes, until it is measured."
    )


def described(
    body: Description, *, batch_id: str, requester_id: str, request_hash: str, now_ms: int, fee_basis_points: int
) -> Batch:
    """The draft that a description means; raises Invalid with a pointer to each field that is not allowed."""
    price_micros = amount_micros(body.price, body.currency, at="/price", decimals=MICROS_DECIMALS)
    reward_micros, fee_micros = split_price(price_micros, fee_basis_points)
    if body.min_answers > body.max_answers:
        detail = "not more than max_answers"
        raise Invalid(detail, problems=[Problem("/min_answers", detail)])
    answer_schema = answer_schema_of(body.kind, body.answer_schema)
    for name, schema in (("task_schema", body.task_schema), ("answer_schema", answer_schema)):
        _check_schema(schema, f"/{name}")
    _check_control_column(body)
    how = body.consensus
    consensus = consensus_of(body.kind, answer_schema, method=how.method, settings=how.settings)
    unknown = [*country_problems(body.countries, "/countries"), *language_problems(body.languages, "/languages")]
    if unknown:
        raise Invalid("nobody could do this batch", problems=unknown)
    review = Review(body.review.mode)
    deadline = body.deadline
    return Batch(
        batch_id=batch_id,
        requester_id=requester_id,
        title=body.title,
        instructions=body.instructions,
        kind=body.kind,
        currency=body.currency,
        price_micros=price_micros,
        reward_micros=reward_micros,
        fee_micros=fee_micros,
        min_answers=body.min_answers,
        max_answers=body.max_answers,
        page_size=body.page_size,
        lease_seconds=body.lease_seconds,
        task_schema=canonical_json(body.task_schema),
        answer_schema=canonical_json(answer_schema),
        named=body.named,
        countries=frozenset(body.countries),
        languages=frozenset(body.languages),
        deadline_ms=now_ms + DEFAULT_DEADLINE_MS
        if deadline is None
        else moment_ms(deadline, now_ms=now_ms, at="/deadline"),
        created_at_ms=now_ms,
        request_hash=request_hash,
        review=review,
        review_seconds=_review_seconds(review, body.review.seconds),
        rubric=tuple(body.rubric),
        expected_seconds=body.expected_seconds,
        consensus=consensus,
        control_column=body.control_column,
        shuffle_key=None if body.control_column is None else random_bytes(SHUFFLE_KEY_BYTES).hex(),
        target_ppm=None if how.target_confidence is None else round(how.target_confidence * PPM),
    )


def _check_control_column(body: Description) -> None:
    """Refuses a column that rows are told apart by, or that the task schema describes as something workers see."""
    column, schema = body.control_column, body.task_schema
    if column is None:
        return
    taken = column in (schema.get("properties") or {}) or column in (schema.get("required") or ())
    if column == ROW_ID or taken:
        detail = "workers see this property of the rows, so it cannot hold what they are not told"
        raise Invalid(detail, problems=[Problem("/control_column", detail)])


def _review_seconds(review: Review, asked: int | None) -> int:
    most = REVIEW_SECONDS_MAX[review]
    if asked is not None and asked > most:
        detail = "an instant review takes no time" if review is Review.INSTANT else f"at most {most} for this mode"
        raise Invalid("the review is not allowed as it is", problems=[Problem("/review/seconds", detail)])
    return asked if asked is not None else REVIEW_SECONDS[review]


def _check_schema(schema: Mapping[str, Any], at: str) -> None:
    try:
        check_schema(schema)
    except BadSchema as error:
        problems = [Problem(at + one.pointer, one.detail) for one in error.problems]
        raise BadSchema(error.detail, problems=problems) from error
