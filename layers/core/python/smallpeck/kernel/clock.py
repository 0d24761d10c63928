"""Time: whole milliseconds since 1970 UTC inside, RFC 3339 strings at the edges."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Who may say what time it is."""

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


def to_rfc3339(moment_ms: int) -> str:
    """A moment in milliseconds as "2026-11-22T09:39:07.250Z"."""
    seconds, milliseconds = divmod(moment_ms, 1000)
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=milliseconds * 1000)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_rfc3339(text: str) -> int:
    """Milliseconds of an RFC 3339 moment; raises ValueError where it is none or names no zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a moment names its zone, as in 2026-11-22T09:39:07Z")
    return round(moment.timestamp() * 1000)
