"""How long answers take, as a histogram that settlement rounds can add to: buckets a quarter of a power of two wide.

A median read from it is off by at most 10%, whatever the number of answers.
"""

import math
from collections.abc import Mapping

FIELD = "pace_"
BUCKETS_PER_DOUBLING = 4
LONGEST_BUCKET = 17 * BUCKETS_PER_DOUBLING  # a day and a half


def pace_field(seconds: float) -> str:
    """The counter for an answer that took so long."""
    bucket = math.floor(BUCKETS_PER_DOUBLING * math.log2(max(1.0, seconds)))
    return f"{FIELD}{min(bucket, LONGEST_BUCKET):02d}"


def median_seconds(counts: Mapping[str, int]) -> float | None:
    """The median time of an answer in seconds, from counters by field; None where nothing was counted."""
    buckets = sorted((name, count) for name, count in counts.items() if name.startswith(FIELD))
    half = sum(count for _, count in buckets) / 2
    seen = 0
    for name, count in buckets:
        seen += count
        if seen >= half:
            return float(2 ** ((int(name.removeprefix(FIELD)) + 0.5) / BUCKETS_PER_DOUBLING))
    return None
