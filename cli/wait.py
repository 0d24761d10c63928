"""Waiting by condition, with a deadline on the monotonic clock. The only place in `cli` and `local` that sleeps."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class NeverHappened(TimeoutError):
    """The condition did not come true before the deadline."""


def until(probe: Callable[[], T | None], *, what: str, seconds: float = 30.0, every: float = 0.05) -> T:
    """Call `probe` until it returns something truthy, and return that.

    `probe` may raise to give up at once. `what` names the condition in the error.
    """
    deadline = time.monotonic() + seconds
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise NeverHappened(f"gave up after {seconds:g} s waiting for {what}")
        time.sleep(every)


def pause(seconds: float) -> None:
    """Wait before asking again, as somebody else has said."""
    time.sleep(seconds)
