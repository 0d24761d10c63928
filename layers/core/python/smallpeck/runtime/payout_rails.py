"""What payout runs and the webhooks of rails need, joined."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from smallpeck.kernel.errors import NotFound
from smallpeck.runtime import observability, wiring
from smallpeck.runtime.settings import MissingSetting, Settings
from smallpeck.runtime.wiring import Wiring

if TYPE_CHECKING:
    from smallpeck.payouts.events import EventPorts
    from smallpeck.payouts.rails.port import EventReader, Following, ParcelRail, Rail
    from smallpeck.payouts.runs import Ports

# Of each rail: where it is reached, and the secret that it knows us by.
_ADDRESSES: Final[Mapping[str, Callable[[Settings], tuple[str, str]]]] = {
    "gateway": lambda settings: (settings.gateway_url, settings.gateway_secret_arn),
    "paypal": lambda settings: (settings.paypal_url, settings.paypal_secret_arn),
    "stripe": lambda settings: (settings.stripe_url, settings.stripe_secret_arn),
    "sepa": lambda settings: (settings.sepa_url, settings.sepa_secret_arn),
    "circle": lambda settings: (settings.circle_url, settings.circle_secret_arn),
}
_GONE: Final = frozenset({"TaskTimedOut", "TaskDoesNotExist", "InvalidToken"})
_WAITED: Final = json.dumps({"told": True})


class NoWebhook(NotFound):
    """A rail that tells us nothing here."""

    code = "no_webhook"

    def __init__(self) -> None:
        super().__init__("this rail has no webhook here")


class PayoutAlarms:
    """Counts what an alarm watches: BankAnswerHeld, PayoutFrozen, PayoutHeld, PayoutStuck, RailEventHeld and
    RailTotalsDiffer.
    """

    def alarm(self, name: str, subject: str) -> None:
        """See `smallpeck.payouts.runs.Signals`."""
        observability.logger.error("a payout needs a person", extra={"alarm": name, "subject": subject})
        observability.count(name)


@dataclass(frozen=True)
class WaitingRuns:
    """See `smallpeck.payouts.events.Waiting`."""

    wiring: Wiring

    def tell(self, token: str) -> None:
        """See `smallpeck.payouts.events.Waiting`."""
        from botocore.exceptions import ClientError

        try:
            self.wiring.workflows.send_task_success(taskToken=token, output=_WAITED)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in _GONE:
                raise


@dataclass(frozen=True)
class ConnectedRails:
    """The rails that the deployment has addresses of."""

    alone: Mapping[str, "Rail"] = field(default_factory=dict)
    together: Mapping[str, "ParcelRail"] = field(default_factory=dict)
    following: Mapping[str, "Following"] = field(default_factory=dict)


def connected_rails(here: Wiring) -> ConnectedRails:
    """Connected to here, so that a bad address stops a run before it begins.

    A rail that is offered must have its address; one that is not any more may have, for what is still on its way.
    """
    from smallpeck.payouts.rails import RAILS, connect

    offered = here.settings.rails.split(",")
    alone: dict[str, Any] = {}
    together: dict[str, Any] = {}
    for name, address in _ADDRESSES.items():
        terms = RAILS[name]
        try:
            url, arn = address(here.settings)
        except MissingSetting:
            if name in offered:
                raise
            continue
        kind = alone if terms.parcel_items is None else together
        kind[name] = connect(name, url=url, secret=here.secret(arn), stage=here.settings.stage)
    following = {name: cast("Following", rail) for name, rail in alone.items() if hasattr(rail, "follow")}
    return ConnectedRails(alone, together, following)


def payout_ports(here: Wiring) -> "Ports":
    """What a payout run needs."""
    from smallpeck.payouts.rails import RAILS
    from smallpeck.payouts.runs import Ports

    rails = here.once(connected_rails)
    return Ports(
        payouts=here.once(wiring.payout_store),
        books=here.ledger,
        unit=here.table,
        clock=here.clock,
        signals=PayoutAlarms(),
        rails=rails.alone,
        parcel_rails=rails.together,
        terms=RAILS,
        destinations=here.once(wiring.destination_store),
    )


def event_ports(here: Wiring) -> "EventPorts":
    """What it takes to act on what rails say by themselves; no rail is spoken to."""
    from smallpeck.payouts.events import EventPorts

    store = here.once(wiring.payout_store)
    return EventPorts(
        payouts=store,
        books=here.ledger,
        unit=here.table,
        clock=here.clock,
        signals=PayoutAlarms(),
        events=store,
        waiting=WaitingRuns(here),
    )


def event_reader(here: Wiring, rail: str) -> "EventReader":
    """Who reads the webhook calls of a rail; raises NoWebhook where the stage was not told how to check them."""
    from smallpeck.payouts.rails import reader

    secrets = json.loads(here.secret(here.settings.rail_events_secret_arn))
    if rail not in secrets:
        raise NoWebhook
    return reader(rail, secret=json.dumps(secrets[rail]), stage=here.settings.stage)


def follow_all(here: Wiring) -> None:
    """Asks the rails what the events come to that do not say so themselves."""
    from smallpeck.payouts import events

    events.follow_all(rails=here.once(connected_rails).following, ports=here.once(event_ports))


def wait(here: Wiring, run_id: str, token: str) -> None:
    """Has the workflow behind `token` go on when all members of the run have an outcome."""
    from smallpeck.payouts import events, running

    ports = here.once(payout_ports)
    run = running.frozen_run(run_id, ports)
    open_chunks = frozenset(running.open_chunks_of(run, ports))
    events.wait(run_id=run.run_id, token=token, open_chunks=open_chunks, ports=here.once(event_ports))
