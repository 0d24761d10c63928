"""The rails that payouts can leave by. One line and one file each; a rail's file is loaded only where it is used."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from smallpeck.payouts.rails.port import EventReader, ParcelRail, Rail, RailTerms

_DAY = 24 * 3600
_PAYPAL = frozenset(
    {"AUD", "BRL", "CAD", "CHF", "CZK", "DKK", "EUR", "GBP", "HUF", "JPY", "MXN", "NOK", "NZD", "PHP", "PLN", "SEK"}
    | {"USD"}
)

RAILS: Mapping[str, RailTerms] = {
    "gateway": RailTerms(30 * _DAY, 10_000, 0, delivers_within_seconds=3 * _DAY),
    "paypal": RailTerms(
        30 * _DAY, 1_000_000, 250_000, 0, _DAY, _PAYPAL, parcel_items=15_000, tells=True, unclaimed_seconds=30 * _DAY
    ),
    "stripe": RailTerms(_DAY, 1_000_000, 250_000, 0, 7 * _DAY, tells=True, lists_all=True),
    "sepa": RailTerms(8 * _DAY, 1_000_000, 250_000, 0, 4 * _DAY, frozenset({"EUR"}), parcel_items=1_000, tells=True),
    "circle": RailTerms(30 * _DAY, 5_000_000, 500_000, 0, 2 * _DAY, frozenset({"USD"})),
}

WEBHOOKS = ("circle", "paypal", "stripe")
"""The rails that call us: each has a file `<name>_events` beside its own. What `circle` calls about does not say what
became of it, so no run waits for that.
"""


def connect(name: str, *, url: str, secret: str, stage: str) -> Rail | ParcelRail:
    """The rail `name`, speaking to `url`. `stage` is that of the deployment: only `local` may go without TLS."""
    rail: Rail | ParcelRail = _module(name).connect(url=url, secret=secret, stage=stage)
    return rail


def reader(name: str, *, secret: str, stage: str) -> EventReader:
    """Who reads the webhook calls of a rail that `tells`; `secret` is what they are verified with."""
    if name not in WEBHOOKS:
        raise ValueError(f"no such webhook: {name}")
    events: EventReader = import_module(f"{__name__}.{name}_events").reader(secret=secret, stage=stage)
    return events


def _module(name: str) -> Any:
    if name not in RAILS:
        raise ValueError(f"no such rail: {name}")
    return import_module(f"{__name__}.{name}")
