"""What the payout schedule needs, joined."""

from smallpeck.payouts.scheduling import SchedulePorts
from smallpeck.runtime import wiring
from smallpeck.runtime.wiring import Wiring


def schedule_ports(here: Wiring) -> SchedulePorts:
    """Everything is read without the keys to personal data, and no rail is spoken to."""
    return SchedulePorts(
        automatic=here.once(wiring.profile_store),
        workers=here.once(wiring.payout_workers),
        rules=here.once(wiring.payout_rules),
        payouts=here.once(wiring.payout_store),
        books=here.ledger,
        unit=here.table,
        clock=here.clock,
        workflow=here.once(wiring.payout_workflow),
    )
