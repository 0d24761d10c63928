"""What request and reply models are made of. A model is strict, knows all its fields, and is built at its first use."""

import re
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Final, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, RootModel, ValidationError

from smallpeck.kernel import money
from smallpeck.kernel.clock import from_rfc3339
from smallpeck.kernel.errors import Invalid, Problem
from smallpeck.runtime.cursors import MAX_LENGTH
from smallpeck.runtime.problems import MAX_PROBLEMS, ParameterProblem, pointer

MAX_AHEAD_MS: Final = 5 * 366 * 86_400_000
_DIGITS: Final = re.compile(r"[0-9]{1,9}", re.ASCII)


class Body(BaseModel):
    """What a client sends: JSON types as they are, no field that is not named."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, defer_build=True, hide_input_in_errors=True, allow_inf_nan=False
    )


class Query(Body):
    """The parameters of a query string, each at most once."""


class View(Body):
    """What a client is told."""


class Document(RootModel[dict[str, Any]]):
    """A JSON document as a whole; what made it says what stands in it."""

    model_config = ConfigDict(frozen=True, defer_build=True)


class NoBody(Body):
    """The body of a request that needs none: nothing, or an empty object."""


class NoQuery(Query):
    """The query of a route that has none."""


class BadMoment(Invalid):
    """A moment that has passed, or lies too far ahead."""

    code = "bad_moment"


def _whole(text: object) -> object:
    return int(text) if isinstance(text, str) and _DIGITS.fullmatch(text) else text if isinstance(text, int) else None


def _known_currency(code: str) -> str:
    if code not in money.MINOR_UNIT_DECIMALS:
        raise ValueError("unknown currency")
    return code


def _real_moment(text: str) -> str:
    try:
        from_rfc3339(text)
    except (ValueError, OverflowError) as error:
        raise ValueError("not a moment such as 2026-11-22T09:39:07Z") from error
    return text


def _real_day(text: str) -> str:
    try:
        date.fromisoformat(text)
    except ValueError as error:
        raise ValueError("not a day such as 2026-11-22") from error
    return text


AmountText: TypeAlias = Annotated[
    str,
    Field(
        pattern=r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,18})?$",
        max_length=34,
        description="An amount in currency units: a decimal string, never a number.",
        examples=["0.05"],
    ),
]
CurrencyText: TypeAlias = Annotated[
    str,
    Field(pattern=r"^[A-Z]{3}$", description="An ISO 4217 code.", examples=["USD"]),
    AfterValidator(_known_currency),
]
IdText: TypeAlias = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,79}$", max_length=80, description="An opaque id.")
]
MomentText: TypeAlias = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$",
        max_length=35,
        description="An RFC 3339 moment.",
        examples=["2026-11-22T09:39:07Z"],
        json_schema_extra={"format": "date-time"},
    ),
    AfterValidator(_real_moment),
]
WHOLE: Final = BeforeValidator(_whole)
"""Reads a whole number from a query string."""
DayText: TypeAlias = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
        description="A day in UTC.",
        examples=["2026-11-22"],
        json_schema_extra={"format": "date"},
    ),
    AfterValidator(_real_day),
]
SecondsQuery: TypeAlias = Annotated[int, Field(ge=1, le=604_800, description="In seconds."), BeforeValidator(_whole)]
LimitQuery: TypeAlias = Annotated[int, Field(ge=1, le=100, description="How many at most."), WHOLE]
CursorQuery: TypeAlias = Annotated[
    str, Field(min_length=1, max_length=MAX_LENGTH, description="`next_cursor` of the run before.")
]


class ListQuery(Query):
    """How much of a list, and from where."""

    limit: LimitQuery = 20
    cursor: CursorQuery | None = None


class Health(View):
    """Whether the function runs."""

    status: str = Field(examples=["ok"])


def amount_micros(text: str, currency: str, *, at: str, decimals: int | None = None, minimum_micros: int = 1) -> int:
    """Micros of an `AmountText`, by default above zero; `at` is the JSON Pointer to say it of."""
    try:
        micros = money.parse_amount(text, currency, decimals=decimals)
    except money.BadAmount as error:
        raise money.BadAmount(error.detail, problems=[Problem(at, error.detail)]) from error
    if micros < minimum_micros:
        detail = f"at least {money.format_amount(minimum_micros, currency)} {currency} is needed"
        raise money.BadAmount(detail, problems=[Problem(at, detail)])
    return micros


def amount_parameter(text: str, currency: str, *, name: str, decimals: int | None = None) -> int:
    """Micros of an `AmountText` in the query, above zero."""
    try:
        return amount_micros(text, currency, at=pointer(name), decimals=decimals)
    except money.BadAmount as error:
        raise money.BadAmount(error.detail, problems=[parameter_problem(name, error.detail, where="query")]) from error


def moment_ms(text: str, *, now_ms: int, at: str) -> int:
    """Milliseconds of a `MomentText` that is still to come and at most five years ahead."""
    moment = from_rfc3339(text)
    if not now_ms < moment <= now_ms + MAX_AHEAD_MS:
        detail = "the moment has passed" if moment <= now_ms else "the moment is more than five years ahead"
        raise BadMoment(detail, problems=[Problem(at, detail)])
    return moment


def problems_of(error: ValidationError, given: Any) -> list[Problem]:
    """What a model found wrong with `given`, with pointers into it."""
    found = []
    for one in error.errors(include_url=False, include_context=False, include_input=False)[:MAX_PROBLEMS]:
        detail = one["msg"].removeprefix("Value error, ")
        found.append(Problem(pointer(*_inside(given, one["loc"])), detail[:1].lower() + detail[1:]))
    return found


def parameter_problem(name: str, detail: str, *, where: str) -> ParameterProblem:
    """A problem with one parameter of the query, the path or the headers."""
    return ParameterProblem(pointer(name), detail, where)


def _inside(given: Any, location: tuple[int | str, ...]) -> list[int | str]:
    # Locations also name the members of unions, which stand nowhere in what was given.
    path: list[int | str] = []
    for number, step in enumerate(location, start=1):
        if isinstance(given, Mapping) and (step in given or number == len(location)):
            path.append(step)
            given = given.get(step) if isinstance(step, str) else None
        elif isinstance(given, list) and isinstance(step, int) and step < len(given):
            path.append(step)
            given = given[step]
    return path
