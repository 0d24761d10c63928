"""Moments: milliseconds inside, RFC 3339 outside."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallpeck.kernel.clock import SystemClock, from_rfc3339, to_rfc3339

YEAR_9999_MS = 253_402_300_799_999


@given(st.integers(0, YEAR_9999_MS))
def test_a_moment_survives_being_written_and_read(moment_ms: int) -> None:
    assert from_rfc3339(to_rfc3339(moment_ms)) == moment_ms


@pytest.mark.parametrize(
    ("moment_ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_795_340_347_250, "2026-11-22T09:39:07.250Z"),
        (YEAR_9999_MS, "9999-12-31T23:59:59.999Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
    ],
)
def test_a_moment_is_written_to_the_millisecond(moment_ms: int, text: str) -> None:
    assert to_rfc3339(moment_ms) == text


def test_a_moment_is_the_same_in_every_zone() -> None:
    assert from_rfc3339("2026-11-22T10:39:07.250+01:00") == from_rfc3339("2026-11-22T09:39:07.250Z")


@pytest.mark.parametrize(
    "text", ["", "now", "2026-11-22T09:39:07", "2026-11-22", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "1"]
)
def test_what_names_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        from_rfc3339(text)


def test_the_machines_clock_counts_milliseconds() -> None:
    before = time.time_ns() // 1_000_000
    now = SystemClock().now_ms()

    assert before <= now <= time.time_ns() // 1_000_000
