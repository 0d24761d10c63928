"""A simulated Checkout in front of a platform: opened by its functions, and telling them what happened."""

from dataclasses import dataclass, field
from typing import Any

from functions.funding_events.handler import handler as funding_events
from functions.funding_watch.handler import handler as funding_watch
from local.checkout import Checkout, Mode
from smallpeck.funding.stripe_checkout import connect
from smallpeck.funding.stripe_events import reader
from smallpeck.runtime import funding
from tests.functions.world import Platform
from tests.gateway import Answer, Context, ask, event
from tests.unit.funding.world import InProcess

PATH = "/v1/webhooks/funding/stripe"
KEY, SIGNING_SECRET = "rk_test_key", "whsec_signing_secret_one"
SETTINGS = {
    "checkout_url": "https://checkout.test",
    "bank_iban": "DE89370400440532013000",
    "bank_bic": "COBADEFFXXX",
    "bank_holder": "Small Peck",
}


@dataclass
class Paying:
    """A platform whose requesters can pay."""

    platform: Platform = field(default_factory=lambda: Platform(**SETTINGS))

    def __post_init__(self) -> None:
        world = self.platform.world
        self.checkout = Checkout(KEY, SIGNING_SECRET, now=lambda: world.now_ms / 1000)
        provider = connect(
            url=SETTINGS["checkout_url"],
            secret=KEY,
            success_url="https://example.com/paid",
            cancel_url="https://example.com/not",
            stage="prod",
            http=InProcess(self.checkout, world.aws),
        )
        made: dict[Any, Any] = self.platform.wiring._made
        made |= {funding.checkouts: provider, funding.event_reader: reader(SIGNING_SECRET)}

    def pay(self, opened: dict[str, Any], mode: Mode = Mode.OK) -> str:
        """Pays on the page of an opened checkout; returns its session."""
        session_id = opened["url"].rpartition("/")[2]
        self.checkout.pay(session_id, mode)
        return str(session_id)

    def tell(self, text: str, headers: dict[str, str] | None = None, method: str = "POST") -> Answer:
        """One webhook call."""
        signed = self.checkout.signed(text) if headers is None else headers
        return ask(funding_events, event(method, PATH, raw=text, headers=signed, token={}))

    def deliver(self) -> list[str]:
        """Everything that the provider has to say; what it is told."""
        outcomes = []
        while self.checkout.outbox:
            answer = self.tell(self.checkout.outbox.pop(0))
            assert answer.status == 200, answer.text
            outcomes.append(answer.json["outcome"])
        return outcomes

    def watch(self) -> dict[str, int]:
        """The schedule."""
        return funding_watch({}, Context())
