"""Bugs on the way of a requester's payment."""

from smallpeck.funding import settling
from tests.sim.breaking import apart, instead, no_condition
from tests.sim.mutations import Mutations
from tests.sim.mutations.ledger import ENTRY_OVERWRITES, NEVER_RECORDED
from tests.sim.mutations.work import paid_first, paid_last

MUTANTS: Mutations = {
    "deposit at any version": (
        "a deposit is credited only as it was read",
        "checkout",
        [no_condition("deposit")],
        [ENTRY_OVERWRITES, NEVER_RECORDED],
    ),
    "deposit credited first": (
        "credit and deposit are one transaction",
        "checkout",
        [instead(settling, "post", paid_first)],
    ),
    "deposit marked first": (
        "credit and deposit are one transaction",
        "checkout",
        [instead(settling, "post", paid_last)],
    ),
    "dispute marked first": (
        "dispute and deposit are one transaction",
        "chargeback_lost",
        [apart("deposit", before=True)],
    ),
}
