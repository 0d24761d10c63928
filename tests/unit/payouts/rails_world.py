"""The payout world with PayPal and Stripe beside the gateway: the real rails and readers of webhooks, over simulated
peers. Every call to a peer passes the fault hook.
"""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import stripe
import urllib3
from botocore.exceptions import ReadTimeoutError

from local.rails.authority import new_authority
from local.rails.paypal import CLIENT_ID, CLIENT_SECRET, PayPal
from local.rails.peer import Asked, Call, Peer, Replied
from local.rails.stripe import API_KEY, Stripe
from smallpeck.payouts import events, running
from smallpeck.payouts.events import EventPorts, EventState
from smallpeck.payouts.model import Payout, PayoutState
from smallpeck.payouts.rails.paypal import PayPalRail
from smallpeck.payouts.rails.paypal_events import PayPalEvents
from smallpeck.payouts.rails.paypal_events import reader as paypal_reader
from smallpeck.payouts.rails.stripe import StripeRail
from smallpeck.payouts.rails.stripe_events import StripeEvents
from smallpeck.payouts.rails.stripe_events import reader as stripe_reader
from smallpeck.payouts.runs import Ports, Run
from smallpeck.payouts.service import WorkerPayoutFacts
from smallpeck.people.model import Destination
from tests.aws import Aws
from tests.unit.payouts.world import PayoutWorld

AUTHORITY = new_authority()


def told(aws: Aws, peer: Peer, asked: Asked) -> Replied | None:
    """A peer's reply, past the fault hook; None is silence."""
    operation = f"{'Get' if asked.method == 'GET' else 'Post'}{asked.path}"
    try:
        return aws.faults.run("rail", operation, {"TableName": type(peer).__name__}, lambda: peer.answer(asked))
    except ReadTimeoutError:
        return None


def asked_of(method: str, url: str, headers: Mapping[str, str], body: bytes | str | None) -> Asked:
    parts = urlsplit(url)
    content = body.encode() if isinstance(body, str) else body or b""
    names = {name.lower(): str(value) for name, value in headers.items()}
    return Asked(method.upper(), parts.path, dict(parse_qsl(parts.query)), names, content)


@dataclass
class PeerHttp:
    """Stands for `urllib3.PoolManager`."""

    aws: Aws
    peer: Peer
    asked: list[Asked] = field(default_factory=list)

    def request(self, method: str, url: str, **arguments: Any) -> urllib3.BaseHTTPResponse:
        assert arguments["retries"] is False
        assert arguments["redirect"] is False
        self.asked.append(asked_of(method, url, arguments["headers"], arguments["body"]))
        reply = told(self.aws, self.peer, self.asked[-1])
        if reply is None:
            raise urllib3.exceptions.TimeoutError
        return urllib3.HTTPResponse(io.BytesIO(reply.content), status=reply.status, preload_content=False)


class PeerStripe(stripe.HTTPClient):
    """Stands for the HTTP client of the `stripe` library."""

    name = "peer"

    def __init__(self, aws: Aws, peer: Peer) -> None:
        super().__init__(verify_ssl_certs=False)
        self.aws, self.peer = aws, peer
        self.asked: list[Asked] = []

    def request(
        self, method: str, url: str, headers: Any, post_data: Any = None, **_: Any
    ) -> tuple[str, int, Mapping[str, str]]:
        self.asked.append(asked_of(method, url, headers, post_data))
        reply = told(self.aws, self.peer, self.asked[-1])
        if reply is None:
            raise stripe.APIConnectionError("silence", should_retry=True)  # type: ignore[no-untyped-call]
        return reply.content.decode(), reply.status, dict(reply.headers)

    def close(self) -> None:
        pass


@dataclass
class RailsWorld(PayoutWorld):
    """One platform, PayPal and Stripe."""

    paypal: PayPal = field(init=False)
    stripe: Stripe = field(init=False)
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.paypal = PayPal(clock=self, authority=AUTHORITY)
        self.stripe = Stripe(clock=self)
        self.paypal_http = PeerHttp(self.aws, self.paypal)
        self.stripe_http = PeerStripe(self.aws, self.stripe)
        self.connect()

    def connect(self) -> None:
        """As a new process does: nothing is remembered but what is stored."""
        client = stripe.StripeClient(API_KEY, http_client=self.stripe_http, max_network_retries=0)
        rails = dict(self.ports.rails) | {"stripe": StripeRail(client)}
        together = {"paypal": PayPalRail("https://paypal.test", CLIENT_ID, CLIENT_SECRET, self.paypal_http, self)}
        self.ports = Ports(**(self.ports.__dict__ | {"rails": rails, "parcel_rails": together}))
        self.events = EventPorts(
            payouts=self.payouts, books=self.books, unit=self.table, clock=self, signals=self,
            events=self.payouts, waiting=self,
        )  # fmt: skip
        paypal = paypal_reader(secret=json.dumps(self.paypal.webhook_secret()), stage="local")
        self.readers: dict[str, PayPalEvents | StripeEvents] = {
            "paypal": PayPalEvents(paypal.webhook_id, paypal.roots, self.paypal_http),
            "stripe": stripe_reader(secret=json.dumps(self.stripe.webhook_secret()), stage="local"),
        }

    def tell(self, token: str) -> None:
        self.told.append(token)

    def goes(self, worker_id: str, rail: str, address: str, *, changed_at_ms: int | None = None) -> None:
        version = 1 + sum(known == worker_id for known, _ in self.people.addresses)
        self.people.addresses[worker_id, version] = Destination(rail, address)
        self.people.facts[worker_id] = WorkerPayoutFacts(None, version, rail, changed_at_ms)

    def due(self, worker_id: str, rail: str, address: str, micros: int = 10_000_000, *, key: str = "k") -> Payout:
        """A worker with money who asks for all of it."""
        self.goes(worker_id, rail, address)
        self.earn(worker_id, micros)
        return self.ask(worker_id, key=key)

    def send(self, key: str = "run") -> Run:
        run = super().send(key)
        for parcel in range(run.parcels):
            running.send_parcel(run_id=run.run_id, parcel=parcel, ports=self.ports)
        return run

    def receive(self, rail: str, call: Call) -> EventState:
        event = self.readers[rail].read(call.headers, call.body, now_ms=self.now_ms())
        return events.receive(rail=rail, event=event, ports=self.events)

    def process(self) -> None:
        """Time passes for the peers."""
        self.paypal.process()
        self.stripe.process()

    def deliver(self) -> list[EventState]:
        """The webhook calls that are on their way."""
        calls = [(rail, call) for rail, peer in self.peers.items() for call in peer.take_calls()]
        return [self.receive(rail, call) for rail, call in calls]

    @property
    def peers(self) -> dict[str, PayPal | Stripe]:
        return {"paypal": self.paypal, "stripe": self.stripe}

    def follow(self) -> int:
        stripe_rail = self.ports.rails["stripe"]
        assert isinstance(stripe_rail, StripeRail)
        return events.follow_all(rails={"stripe": stripe_rail}, ports=self.events)

    def payments(self, payout: Payout) -> int:
        """How often the provider paid it."""
        if payout.rail == "stripe":
            return self.stripe.payments(payout.payout_id)
        return self.paypal.payments(payout.payout_id)

    def net_micros(self, payout: Payout) -> int:
        """What the provider has paid for it in the end."""
        if payout.rail == "stripe":
            return self.stripe.paid(payout.payout_id) * 10_000
        return int(self.paypal.paid().get(payout.payout_id, Decimal(0)) * 1_000_000)

    def check_rails(self, *, done: bool = True) -> None:
        """What must hold whatever happened; with `done`, that nothing is left over either."""
        payouts = self.every_payout()
        entries = {entry["entry_id"] for entry in self.entries()}
        for payout in payouts:
            ended = {what for what in ("settle", "release", "return") if f"{payout.payout_id}/{what}" in entries}
            assert self.payments(payout) <= 1, "paid twice"
            match payout.state:
                case PayoutState.SETTLED:
                    assert ended == {"settle"}
                    assert self.net_micros(payout) in {payout.sent_micros, 0}
                case PayoutState.RELEASED:
                    assert (ended, self.payments(payout)) == ({"release"}, 0)
                case PayoutState.RETURNED:
                    assert ended in ({"return"}, {"settle", "return"})
                    assert self.net_micros(payout) == 0
                case PayoutState.FROZEN:
                    assert "return" not in ended
                case _:
                    assert ended == set()
        for rail in {payout.rail for payout in payouts}:
            own = [payout for payout in payouts if payout.rail == rail]
            reserved = sum(payout.amount_micros for payout in own if payout.is_reserved)
            out = [payout for payout in own if f"{payout.payout_id}/settle" in entries]
            settled = sum(one.sent_micros for one in out if f"{one.payout_id}/return" not in entries)
            assert self.journal(f"rail:{rail}:clearing") == reserved
            assert self.journal(f"rail:{rail}:cash") == settled
            assert not (done and reserved), "clearing does not drain"
        for worker_id in {payout.worker_id for payout in payouts}:
            assert self.journal(f"worker:{worker_id}:available") == self.balance(worker_id) >= 0
