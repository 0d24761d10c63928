"""What can go wrong, by category.

    SmallPeckError
    ├── Malformed          the bytes cannot be read
    ├── Invalid            readable, but not allowed; carries one Problem per field
    │   └── IdempotencyMismatch
    ├── Unauthenticated    nobody is known to be asking
    ├── Forbidden          known, but not allowed
    ├── NotFound           absent, or another's
    ├── Conflict           not in this state
    │   └── InProgress     the same request is being worked on; carries when to ask again
    ├── TooLarge           over a size limit
    ├── Unsupported        a media type we do not read
    ├── NotAllowed         no such method on this path
    ├── TooMany            over a rate limit
    └── Unavailable        a dependency did not answer; trying again is safe

A feature's own errors stand beside what raises them and extend one of these. `code` is stable and may be matched on
by clients; `category` maps to an HTTP status and a Step Functions error name in `smallpeck.runtime`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class Category(StrEnum):
    """The kinds of failure a caller can tell apart."""

    MALFORMED = "malformed"
    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    TOO_LARGE = "too_large"
    UNSUPPORTED = "unsupported"
    NOT_ALLOWED = "not_allowed"
    TOO_MANY = "too_many"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True)
class Problem:
    """One thing wrong with an input. `pointer` is an RFC 6901 JSON Pointer into it ("" is the whole)."""

    pointer: str
    detail: str


class SmallPeckError(Exception):
    """Base of every error that a caller may see. `detail` is safe to show: no personal data, no secrets."""

    category: ClassVar[Category] = Category.UNAVAILABLE
    code: ClassVar[str] = "error"

    def __init__(
        self, detail: str, *, problems: Sequence[Problem] = (), retry_after_seconds: int | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.problems = tuple(problems)
        self.retry_after_seconds = retry_after_seconds


class Malformed(SmallPeckError):
    category = Category.MALFORMED
    code = "malformed"


class Invalid(SmallPeckError):
    category = Category.INVALID
    code = "invalid"


class IdempotencyMismatch(Invalid):
    """The Idempotency-Key was used before, with another request."""

    code = "idempotency_mismatch"

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key was used before with another request")


class Unauthenticated(SmallPeckError):
    category = Category.UNAUTHENTICATED
    code = "unauthenticated"


class Forbidden(SmallPeckError):
    category = Category.FORBIDDEN
    code = "forbidden"


class NotFound(SmallPeckError):
    category = Category.NOT_FOUND
    code = "not_found"


class Conflict(SmallPeckError):
    category = Category.CONFLICT
    code = "conflict"


class InProgress(Conflict):
    code = "in_progress"


class TooLarge(SmallPeckError):
    category = Category.TOO_LARGE
    code = "too_large"


class Unsupported(SmallPeckError):
    category = Category.UNSUPPORTED
    code = "unsupported_media_type"


class NotAllowed(SmallPeckError):
    category = Category.NOT_ALLOWED
    code = "method_not_allowed"


class TooMany(SmallPeckError):
    category = Category.TOO_MANY
    code = "too_many_requests"


class Unavailable(SmallPeckError):
    category = Category.UNAVAILABLE
    code = "unavailable"
