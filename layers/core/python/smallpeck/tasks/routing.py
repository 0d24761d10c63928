"""Who gets which tasks: numbers that dispatch goes by, each a pure function of what is known.

A task that wants another answer is listed in a band: how likely one more answer is to change its result, as it was when
it was listed. Workers who are right more often than usual begin with the tasks that can still change most, the others
in the middle; who finds nothing there goes on through the other bands.
"""

import math
from typing import TypeAlias

from smallpeck.consensus.method import PPM, SkillCounts
from smallpeck.kernel.ids import spread
from smallpeck.tasks.model import Batch

BANDS = 8
Place: TypeAlias = tuple[int, int]
"""A band, and a position in it."""
ALL_BANDS: tuple[Place, Place] = ((0, 0), (BANDS, 0))
SKILLED_BEGIN, OTHERS_BEGIN = 0, BANDS // 2
SHARE_FOR_THE_NEW = 1 / 5
SHARE_FOR_THE_KNOWN = 1 / 20
KNOWN_WEIGHT_PPM = 8 * PPM  # as many comparisons as methods grant a worker of whom nothing is known
_FINE = 1 << 32
_GOLDEN = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio


def band_of(change: float) -> int:
    """The band of a task whose result one more answer changes with this probability: 0 from one half on, the last
    where it cannot.
    """
    return min(BANDS - 1, int(BANDS * (1 - min(1.0, max(0.0, 2 * change)))))


def first_band(own_ppm: int, usual_ppm: int, number: int) -> int:
    """Where a worker of this accuracy, the n-th who asks, begins to look; those of usual accuracy here or there."""
    if own_ppm == usual_ppm:
        return (SKILLED_BEGIN, OTHERS_BEGIN)[number % 2]
    return SKILLED_BEGIN if own_ppm > usual_ppm else OTHERS_BEGIN


def place_of(number: int, size: int) -> int:
    """Where among `size` places the n-th who asks begins: the multiples of the golden ratio lie as far apart as
    possible, however many there are (Knuth, The Art of Computer Programming 3, 6.4).
    """
    return ((number * _GOLDEN) % (1 << 64)) * size >> 64


def controls_on(batch: Batch, *, page_id: str, skill: SkillCounts, first_page: bool) -> int:
    """How many control tasks the page should have: many for workers of whom little is known, few for the others, and
    at most twice what their number in the batch allows. At least one on a worker's first page.
    """
    if not batch.control_count:
        return 0
    share = SHARE_FOR_THE_NEW if skill.weight_ppm < KNOWN_WEIGHT_PPM else SHARE_FOR_THE_KNOWN
    expected = batch.page_size * min(share, 2 * batch.control_count / batch.task_count)
    whole = math.floor(expected)
    drawn = spread(_FINE, page_id, "controls") < (expected - whole) * _FINE
    return max(1 if first_page else 0, whole + drawn)


def in_shown_order(page_id: str, task_id: str) -> int:
    """What the tasks of a page are ordered by, so that their order says nothing."""
    return spread(_FINE, page_id, task_id)
