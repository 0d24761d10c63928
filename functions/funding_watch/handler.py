"""Looks after deposits, every quarter of an hour: what was interrupted, and what the provider did not tell us."""

from typing import Any

from smallpeck.funding import hearing
from smallpeck.runtime import funding, wiring
from smallpeck.runtime.observability import count, observed


@observed
def handler(_event: dict[str, Any], _context: Any) -> dict[str, int]:
    """Lambda entry."""
    here = wiring.current()
    if not here.settings.checkout_url:
        return {"changed": 0, "silent": 0}
    found = hearing.look_after(now_ms=here.clock.now_ms(), ports=here.once(funding.funding_ports))
    count("FundingProviderSilent", found.silent)
    return {"changed": found.changed, "silent": found.silent}
