"""The rails that payouts can leave by. One line and one file each; a rail's file is loaded only where it is used."""

from collections.abc import Mapping
from importlib import import_module

from smallpeck.payouts.runs import Rail
from smallpeck.payouts.service import RailTerms

RAILS: Mapping[str, RailTerms] = {
    "gateway": RailTerms(
        window_seconds=30 * 24 * 3600,
        minimum_micros=10_000,
        fee_micros=0,
        delivers_from_seconds=0,
        delivers_within_seconds=3 * 24 * 3600,
    ),
}


def connect(name: str, *, url: str, secret: str, stage: str) -> Rail:
    """The rail `name`, speaking to `url`. `stage` is that of the deployment: only `local` may go without TLS."""
    if name not in RAILS:
        raise ValueError(f"no such rail: {name}")
    rail: Rail = import_module(f"{__name__}.{name}").connect(url=url, secret=secret, stage=stage)
    return rail
