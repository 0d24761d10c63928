"""The virtual clock that every in-memory service reads; nothing here ever sleeps."""

from __future__ import annotations

from datetime import UTC, datetime

EPOCH = 1_767_225_600  # 2026-01-01T00:00:00Z, the moment at which a new world starts


class Clock:
    """A clock that moves only when it is told to. Kept in whole microseconds, so that sums never drift."""

    __slots__ = ("_micros",)

    def __init__(self, start: float = EPOCH) -> None:
        """Start at `start`, in seconds since 1970 (UTC)."""
        self._micros = round(start * 1_000_000)

    def now(self) -> float:
        """The time in seconds since 1970."""
        return self._micros / 1_000_000

    __call__ = now

    def millis(self) -> int:
        """The time in whole milliseconds since 1970."""
        return self._micros // 1000

    def datetime(self) -> datetime:
        """The time as an aware UTC datetime."""
        return datetime.fromtimestamp(self._micros / 1_000_000, UTC)

    def advance(self, seconds: float) -> None:
        """Move forward by `seconds`; a negative number raises ValueError, time does not run backwards."""
        if seconds < 0:
            raise ValueError("a clock cannot go backwards")
        self._micros += round(seconds * 1_000_000)

    def advance_to(self, moment: float) -> None:
        """Move forward to `moment` (seconds since 1970); a moment that has passed changes nothing."""
        self._micros = max(self._micros, round(moment * 1_000_000))
