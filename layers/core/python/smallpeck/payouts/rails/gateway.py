"""The `gateway` rail: the HTTP contract of docs/payout-gateway.md, which an adapter to a bank or provider speaks.

Only a documented answer about exactly this payout counts. Everything else (no answer, 5xx, 4xx, a redirect, an answer
too large, unreadable or about something else) is UNCLEAR: never a refusal, never a payment.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

import urllib3

from smallpeck.kernel.errors import Invalid
from smallpeck.kernel.money import format_amount, parse_amount
from smallpeck.payouts.model import Answer, Fact
from smallpeck.payouts.rails.exchange import BadProvider, Http, Reply, checked_address, exchange, is_printable
from smallpeck.payouts.rails.port import Destination, Order

CONNECT_SECONDS = 3.0
READ_SECONDS = 10.0
MAX_ANSWER_BYTES = 65_536
MAX_SECRET_LENGTH = 1024
ANSWERED = frozenset({200, 201, 202})
NOT_FOUND = 404

_CODE = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)
_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}", re.ASCII)
_OUTCOMES = {"paid": Fact.PAID, "pending": Fact.PENDING, "refused": Fact.REFUSED}


class BadGateway(BadProvider):
    """The gateway's address or secret cannot be used. Raised at the start, before any payout is touched."""


@dataclass(frozen=True)
class GatewayRail:
    """One gateway. `http` makes one attempt a call; whether to try again is the payout's state machine's business."""

    url: str
    secret: str = field(repr=False)
    http: Http = field(repr=False)
    timeout: urllib3.Timeout = field(default_factory=lambda: urllib3.Timeout(CONNECT_SECONDS, READ_SECONDS))

    def pay(self, order: Order, destination: Destination) -> Answer:
        """See `smallpeck.payouts.rails.port.Rail`."""
        body = {
            "payout_id": order.payout_id,
            "run_id": order.run_id,
            "amount": format_amount(order.amount_micros, order.currency),
            "currency": order.currency,
            "destination": destination.address,
        }
        return _outcome(self._call("POST", "/payouts", body=body, key=order.key), order)

    def ask(self, order: Order) -> Answer:
        """See `smallpeck.payouts.rails.port.Rail`."""
        reply = self._call("GET", f"/payouts/{quote(order.key, safe='')}")
        if reply.status == NOT_FOUND and reply.document.get("status") == "never_heard":
            return Answer(Fact.NEVER_HEARD if reply.document.get("key") == order.key else Fact.UNCLEAR)
        return _outcome(reply, order)

    def totals(self, run_id: str) -> Mapping[str, int] | None:
        """See `smallpeck.payouts.rails.port.Rail`."""
        reply = self._call("GET", f"/payouts?run={quote(run_id, safe='')}")
        paid = reply.document.get("paid")
        if reply.status not in ANSWERED or reply.document.get("run_id") != run_id or not isinstance(paid, dict):
            return None
        try:
            return {currency: parse_amount(amount, currency) for currency, amount in paid.items()}
        except (Invalid, TypeError):
            return None

    def _call(self, method: str, path: str, *, body: Mapping[str, str] | None = None, key: str = "") -> Reply:
        headers = {"Authorization": f"Bearer {self.secret}", "Accept": "application/json"}
        content = None
        if body is not None:
            headers |= {"Content-Type": "application/json", "Idempotency-Key": key}
            content = json.dumps(body).encode()
        return exchange(
            self.http,
            method,
            self.url + path,
            headers=headers,
            content=content,
            timeout=self.timeout,
            max_bytes=MAX_ANSWER_BYTES,
        )


def connect(*, url: str, secret: str, stage: str) -> GatewayRail:
    """The gateway at `url`; raises BadGateway where it cannot be spoken to safely."""
    try:
        address = checked_address(url, stage)
    except BadProvider as error:
        raise BadGateway(str(error)) from None
    if not is_printable(secret) or len(secret) > MAX_SECRET_LENGTH:
        raise BadGateway("the gateway's secret cannot stand in a header")
    return GatewayRail(address, secret, urllib3.PoolManager(maxsize=1, retries=False))


def _outcome(reply: Reply, order: Order) -> Answer:
    if reply.failure is not None:
        return Answer(Fact.UNCLEAR, reason=reply.failure)
    if reply.status not in ANSWERED:
        return Answer(Fact.UNCLEAR, reason=f"http_{reply.status}")
    document = reply.document
    fact = _OUTCOMES.get(str(document.get("status")))
    if fact is None or document.get("key") != order.key or document.get("payout_id") != order.payout_id:
        return Answer(Fact.UNCLEAR, reason="unreadable")
    if document.get("currency") != order.currency:
        return Answer(Fact.MISMATCH)
    try:
        amount_micros = parse_amount(document["amount"], order.currency)
    except (KeyError, TypeError, Invalid):
        return Answer(Fact.UNCLEAR, reason="unreadable")
    if amount_micros != order.amount_micros:
        return Answer(Fact.MISMATCH)
    return Answer(
        fact, reason=_clean(document.get("reason"), _CODE), reference=_clean(document.get("reference"), _REFERENCE)
    )


def _clean(text: object, allowed: re.Pattern[str]) -> str | None:
    return text if isinstance(text, str) and allowed.fullmatch(text) else None
