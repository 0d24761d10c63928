"""Tasks that a worker leaves undone and says why.

A skipped task is returned as one without an answer is: its seat is open to others, and never again to this worker. The
reasons are counted per batch, once: those of a submission in the transaction that takes its page on (the settlement
round of an instant review, else the step into review), those of a returned page in the transaction that returns it.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from smallpeck.kernel.ids import spread
from smallpeck.kernel.writes import Change, Path, Ref, ref
from smallpeck.tasks.model import Batch

FIELD = "skipped_"


class SkipReason(StrEnum):
    """Why a task is left undone."""

    UNCLEAR_INSTRUCTIONS = "unclear_instructions"
    BROKEN_MEDIA = "broken_media"
    CANNOT_JUDGE = "cannot_judge"
    OFFENSIVE = "offensive"
    OTHER = "other"


@dataclass(frozen=True)
class Skip:
    """Stands in a submission where the answer to a task would."""

    reason: SkipReason


def progress_ref(batch: Batch, page_id: str) -> Ref:
    """The counters of a batch that a page counts on."""
    return ref("progress", batch.batch_id, spread(batch.escrow_shards, page_id))


def tally(skips: Mapping[str, str]) -> dict[Path, int]:
    """What the counters go up by for these skips (task id -> reason)."""
    return {f"{FIELD}{reason}": count for reason, count in sorted(Counter(skips.values()).items())}


def count(batch: Batch, page_id: str, skips: Mapping[str, str]) -> list[Change]:
    """The write that counts skips; none where there are none."""
    return [Change(progress_ref(batch, page_id), add=tally(skips))] if skips else []


def skips_in(counters: Mapping[str, int]) -> dict[str, int]:
    """How many tasks were skipped by reason, from counters by field."""
    return {name.removeprefix(FIELD): number for name, number in counters.items() if name.startswith(FIELD)}
