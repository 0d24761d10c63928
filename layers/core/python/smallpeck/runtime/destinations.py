"""Where workers may be paid: the rails that the stage offers, and how their addresses are spelled."""

from dataclasses import dataclass

from smallpeck.runtime.wiring import Wiring


@dataclass(frozen=True)
class OfferedRails:
    """See `smallpeck.people.service.OfferedRails`."""

    names: frozenset[str]

    def canonical(self, rail: str, address: str) -> str:
        """See `smallpeck.people.service.OfferedRails`."""
        from smallpeck.payouts.rails import addresses

        return addresses.canonical(rail, address)


def offered_rails(here: Wiring) -> OfferedRails:
    """What the stage is told to offer. Its payout runs connect to all of these before they begin."""
    return OfferedRails(frozenset(here.settings.rails.split(",")))
