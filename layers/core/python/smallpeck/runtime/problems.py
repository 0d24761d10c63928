"""One table: category of an error -> HTTP status and title -> Step Functions error name; and the RFC 9457 document."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from smallpeck.kernel.errors import Category, Malformed, Problem, SmallPeckError, Unavailable

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:small-peck:problem:"
MAX_PROBLEMS: Final = 20
INTERNAL_CODE: Final = "internal"
_BUSY_RETRY_SECONDS: Final = 2


@dataclass(frozen=True)
class Meaning:
    """What a category is called outside."""

    status: int
    title: str
    workflow_error: str


MEANINGS: Final[Mapping[Category, Meaning]] = {
    Category.MALFORMED: Meaning(400, "The request cannot be read", "SmallPeck.Malformed"),
    Category.INVALID: Meaning(422, "The request is not allowed as it is", "SmallPeck.Invalid"),
    Category.UNAUTHENTICATED: Meaning(401, "Nobody is known to be asking", "SmallPeck.Unauthenticated"),
    Category.FORBIDDEN: Meaning(403, "You may not do this", "SmallPeck.Forbidden"),
    Category.NOT_FOUND: Meaning(404, "There is no such thing", "SmallPeck.NotFound"),
    Category.CONFLICT: Meaning(409, "Not in this state", "SmallPeck.Conflict"),
    Category.TOO_LARGE: Meaning(413, "The request is too large", "SmallPeck.TooLarge"),
    Category.UNSUPPORTED: Meaning(415, "Not a media type that is read here", "SmallPeck.Unsupported"),
    Category.NOT_ALLOWED: Meaning(405, "No such method on this path", "SmallPeck.NotAllowed"),
    Category.TOO_MANY: Meaning(429, "Too many requests", "SmallPeck.TooMany"),
    Category.UNAVAILABLE: Meaning(503, "Try again", "SmallPeck.Unavailable"),
}
INTERNAL: Final = Meaning(500, "Something went wrong here", "SmallPeck.Internal")

_TRANSPORT_FAILURES: Final = frozenset(
    {
        "ConnectTimeoutError", "ConnectionClosedError", "ConnectionError", "EndpointConnectionError",
        "HTTPClientError", "ReadTimeoutError",
    }
)  # fmt: skip
_BUSY_CODES: Final = frozenset(
    {
        "InternalError", "InternalFailure", "InternalServerError", "InternalServiceError", "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException", "RequestLimitExceeded", "RequestThrottled", "ServiceUnavailable",
        "SlowDown", "ThrottledException", "Throttling", "ThrottlingException", "TooManyRequestsException",
        "TransactionInProgressException",
    }
)  # fmt: skip


class BadParameter(Malformed):
    """A header or query string that cannot be read."""

    code = "bad_parameter"


@dataclass(frozen=True)
class ParameterProblem(Problem):
    """A problem outside the body: in the `query`, the `path` or a `header`; the pointer names the parameter."""

    where: str = "query"


class WorkflowError(Exception):
    """What a workflow's function raises: its class is named as the table says, which is what Retry and Catch read."""


def workflow_error(error: SmallPeckError) -> WorkflowError:
    """The error for Step Functions: named by category, with code and detail as its cause."""
    meaning = MEANINGS[error.category]
    return _WORKFLOW_ERRORS[meaning.workflow_error](f"{error.code}: {error.detail}")


def known(error: Exception) -> SmallPeckError | None:
    """The error a caller may see for `error`, or None where it is a fault of ours.

    A dependency that is busy or does not answer is `Unavailable`: boto3 has retried by then, and trying again later
    is safe because everything that writes is conditional.
    """
    if isinstance(error, SmallPeckError):
        return error
    from botocore.exceptions import BotoCoreError, ClientError

    if isinstance(error, ClientError):
        busy = error.response.get("Error", {}).get("Code") in _BUSY_CODES
    else:
        busy = isinstance(error, BotoCoreError) and type(error).__name__ in _TRANSPORT_FAILURES
    return Unavailable("a service we need is busy", retry_after_seconds=_BUSY_RETRY_SECONDS) if busy else None


def document(error: SmallPeckError | None, *, instance: str, correlation_id: str) -> dict[str, Any]:
    """The RFC 9457 problem of an error; of None, that of a fault of ours, which says nothing about it."""
    meaning = MEANINGS[error.category] if error else INTERNAL
    code = error.code if error else INTERNAL_CODE
    problem: dict[str, Any] = {
        "type": TYPE_PREFIX + code,
        "title": meaning.title,
        "status": meaning.status,
        "detail": error.detail if error else "the fault is ours and was recorded under the correlation id",
        "instance": instance,
        "code": code,
        "errors": [_spell(one) for one in error.problems[:MAX_PROBLEMS]] if error else [],
        "correlation_id": correlation_id,
    }
    return problem


def pointer(*path: str | int) -> str:
    """The RFC 6901 JSON Pointer of a path."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def _spell(problem: Problem) -> dict[str, str]:
    place = {"in": problem.where} if isinstance(problem, ParameterProblem) else {}
    return {**place, "pointer": problem.pointer, "detail": problem.detail}


_WORKFLOW_ERRORS: Final[Mapping[str, type[WorkflowError]]] = {
    meaning.workflow_error: type(meaning.workflow_error, (WorkflowError,), {}) for meaning in MEANINGS.values()
}
