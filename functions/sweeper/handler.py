"""Looks after what waits, once a minute."""

from typing import Any

from smallpeck.runtime import wiring
from smallpeck.runtime.observability import count, observed
from smallpeck.tasks import sweeping


@observed
def handler(_event: dict[str, Any], _context: Any) -> dict[str, int]:
    """Lambda entry."""
    here = wiring.current()
    reads, now_ms = here.once(wiring.task_store), here.clock.now_ms()
    nudge, start_finish = here.once(wiring.nudge), here.once(wiring.start_finish)
    nudged = sweeping.nudge_forgotten(now_ms=now_ms, reads=reads, nudge=nudge)
    told = sweeping.look_after_batches(
        now_ms=now_ms, reads=reads, unit=here.table, nudge=nudge, start_finish=start_finish
    )
    count("PagesNudged", nudged)
    return {"pages_nudged": nudged, "batches_finishing": told}
