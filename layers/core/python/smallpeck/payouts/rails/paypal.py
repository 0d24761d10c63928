"""The `paypal` rail: PayPal Payouts. One parcel is one batch of theirs, named by `sender_batch_id`.

A `sender_batch_id` is taken once within 30 days; sent again, it is refused with a link to the batch that it made. There
is no other way to find a batch whose first answer was lost, so such a parcel is sent again to be asked about. A batch
that is done says nothing about its items: only an item's own status counts.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import urllib3

from smallpeck.kernel.clock import Clock, SystemClock, from_rfc3339
from smallpeck.kernel.errors import Invalid
from smallpeck.kernel.money import format_amount, parse_amount
from smallpeck.payouts.model import Answer, Fact
from smallpeck.payouts.rails.exchange import Http, Reply, checked_address, exchange, secret_fields
from smallpeck.payouts.rails.port import Item, Order, Parcel, Said

CONNECT_SECONDS = 3.0
READ_SECONDS = 30.0
MAX_ANSWER_BYTES = 8_000_000
PAGE_ITEMS = 1_000
ALONE = 3
"""Up to so many items are asked about one by one; more of them by reading their batch."""
TOKEN_MARGIN_SECONDS = 60
SUBJECT = "Your earnings have been paid out"

_OK = frozenset({200, 201, 202})
_UNAUTHORIZED = 401
_REFUSED = range(400, 500)
_BATCH = re.compile(r"/v1/payments/payouts/([A-Za-z0-9_-]{4,40})", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9_-]{4,40}", re.ASCII)
_PAYER_ID = re.compile(r"[A-Z0-9]{13}", re.ASCII)
_FIELD = re.compile(r"/?items[\[/](\d{1,5})[\]/]?[./]?(\w*)", re.ASCII)
_CODE = re.compile(r"[A-Z][A-Z0-9_]{0,39}", re.ASCII)
_FACTS = {
    "SUCCESS": Fact.PAID,
    "FAILED": Fact.REFUSED,
    "DENIED": Fact.REFUSED,
    "NEW": Fact.PENDING,
    "PENDING": Fact.PENDING,
    "ONHOLD": Fact.PENDING,
    "BLOCKED": Fact.PENDING,
    "UNCLAIMED": Fact.UNCLAIMED,
    "RETURNED": Fact.RETURNED,
    "REFUNDED": Fact.RETURNED,
    "REVERSED": Fact.RETURNED,
}
_REASONS = {"ONHOLD": "on_hold", "BLOCKED": "blocked", "UNCLAIMED": "unclaimed"}
_OVER = frozenset({"SUCCESS", "DENIED", "CANCELED"})


@dataclass
class _Token:
    text: str = field(default="", repr=False)
    until_ms: int = 0


@dataclass(frozen=True)
class PayPalRail:
    """One PayPal account. `http` makes one attempt a call; whether to try again is the payout's state machine's."""

    url: str
    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)
    http: Http = field(repr=False)
    clock: Clock = field(default_factory=SystemClock, repr=False)
    timeout: urllib3.Timeout = field(default_factory=lambda: urllib3.Timeout(CONNECT_SECONDS, READ_SECONDS))
    token: _Token = field(default_factory=_Token, repr=False)

    def send(self, parcel: Parcel, items: Sequence[Item]) -> Said:
        """See `smallpeck.payouts.rails.port.ParcelRail`."""
        header = {"sender_batch_id": parcel.key, "recipient_type": "EMAIL", "email_subject": SUBJECT}
        body = {"sender_batch_header": header, "items": [_item(item) for item in items]}
        reply = self._call("POST", "/v1/payments/payouts", body=body, request_id=parcel.key)
        reference = _batch_of(reply, parcel)
        if reference is not None:
            return Said({item.order.payout_id: Answer(Fact.PENDING) for item in items}, reference)
        refused = _refused_items(reply, items)
        if refused:
            # Nothing was made of the message: what it was not refused for is sent again without the rest.
            others = {item.order.payout_id: Answer(Fact.SEND_TO_ASK) for item in items}
            return Said(others | refused)
        failure = Answer(Fact.UNCLEAR, reason=reply.failure or f"http_{reply.status}")
        return Said({item.order.payout_id: failure for item in items})

    def ask(self, parcel: Parcel, orders: Sequence[Order]) -> Said:
        """See `smallpeck.payouts.rails.port.ParcelRail`."""
        if parcel.reference is None:
            return Said({order.payout_id: Answer(Fact.SEND_TO_ASK) for order in orders})
        if len(orders) <= ALONE and all(order.reference for order in orders):
            return Said({order.payout_id: self._ask_alone(order) for order in orders})
        wanted = {order.payout_id: order for order in orders}
        answers: dict[str, Answer] = {}
        status, complete = None, False
        for reply in self._pages(parcel.reference):
            if reply.status not in _OK or not _is_of(reply.document, parcel):
                failure = Answer(Fact.UNCLEAR, reason=reply.failure or f"http_{reply.status}")
                return Said(dict.fromkeys(wanted, failure) | answers)
            status = reply.document["batch_header"].get("batch_status")
            for item in _items(reply.document):
                order = wanted.get(_sender_item_id(item))
                if order is not None:
                    answers[order.payout_id] = item_answer(item, order.amount_micros, order.currency)
            if answers.keys() == wanted.keys():
                break
        else:
            complete = True
        missing = _unlisted(status) if complete else Answer(Fact.UNCLEAR)
        return Said(dict.fromkeys(wanted, missing) | answers)

    def cancel(self, order: Order) -> Answer:
        """See `smallpeck.payouts.rails.port.Cancelling`."""
        if order.reference is None or not _ID.fullmatch(order.reference):
            return Answer(Fact.UNCLEAR, reason="no_reference")
        reply = self._call("POST", f"/v1/payments/payouts-item/{quote(order.reference)}/cancel", request_id=order.key)
        return _alone(reply, order)

    def totals(self, parcels: Sequence[Parcel]) -> Mapping[str, int] | None:
        """See `smallpeck.payouts.rails.port.ParcelRail`."""
        total: dict[str, int] = {}
        for parcel in parcels:
            if parcel.reference is None:
                return None
            for reply in self._pages(parcel.reference):
                if reply.status not in _OK or not _is_of(reply.document, parcel):
                    return None
                for item in _items(reply.document):
                    amount = _amount(item)
                    if amount is None:
                        return None
                    if item.get("transaction_status") == "SUCCESS":
                        total[amount[1]] = total.get(amount[1], 0) + amount[0]
        return total

    def _ask_alone(self, order: Order) -> Answer:
        if not _ID.fullmatch(order.reference or ""):
            return Answer(Fact.UNCLEAR, reason="no_reference")
        return _alone(self._call("GET", f"/v1/payments/payouts-item/{order.reference}"), order)

    def _pages(self, reference: str) -> Iterator[Reply]:
        page, pages = 1, 1
        while page <= pages:
            query = f"page={page}&page_size={PAGE_ITEMS}&total_required=true"
            reply = self._call("GET", f"/v1/payments/payouts/{quote(reference, safe='')}?{query}")
            yield reply
            said = reply.document.get("total_pages")
            pages = said if isinstance(said, int) else page
            page += 1

    def _call(self, method: str, path: str, *, body: Mapping[str, Any] | None = None, request_id: str = "") -> Reply:
        reply = self._with_token(method, path, body, request_id)
        if reply.status == _UNAUTHORIZED:
            # Refused at the door: nothing was done. The token may have been taken back before its time.
            self.token.until_ms = 0
            reply = self._with_token(method, path, body, request_id)
        return reply

    def _with_token(self, method: str, path: str, body: Mapping[str, Any] | None, request_id: str) -> Reply:
        failure = self._authorize()
        if failure is not None:
            return failure
        headers = {"Authorization": f"Bearer {self.token.text}", "Accept": "application/json"}
        if method == "POST":
            headers |= {"Content-Type": "application/json", "PayPal-Request-Id": request_id}
        content = None if body is None else json.dumps(body).encode()
        return self._exchange(method, path, headers, content)

    def _authorize(self) -> Reply | None:
        now_ms = self.clock.now_ms()
        if self.token.text and now_ms < self.token.until_ms:
            return None
        basic = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}
        reply = self._exchange("POST", "/v1/oauth2/token", headers, b"grant_type=client_credentials")
        text, lasts = reply.document.get("access_token"), reply.document.get("expires_in")
        if reply.status not in _OK or not isinstance(text, str) or not isinstance(lasts, int):
            return Reply(failure=reply.failure or "no_token")
        self.token.text = text
        self.token.until_ms = now_ms + max(0, lasts - TOKEN_MARGIN_SECONDS) * 1000
        return None

    def _exchange(self, method: str, path: str, headers: Mapping[str, str], content: bytes | None) -> Reply:
        return exchange(
            self.http,
            method,
            self.url + path,
            headers=headers,
            content=content,
            timeout=self.timeout,
            max_bytes=MAX_ANSWER_BYTES,
        )


def connect(*, url: str, secret: str, stage: str) -> PayPalRail:
    """PayPal at `url`. `secret` is a JSON object with client_id and client_secret."""
    client_id, client_secret = secret_fields(secret, "client_id", "client_secret")
    return PayPalRail(
        checked_address(url, stage), client_id, client_secret, urllib3.PoolManager(maxsize=1, retries=False)
    )


def item_answer(item: Mapping[str, Any], amount_micros: int, currency: str) -> Answer:
    """What an item's status says about a payout of that amount."""
    status = item.get("transaction_status")
    fact = _FACTS.get(str(status))
    amount = _amount(item)
    if fact is None or amount is None:
        return Answer(Fact.UNCLEAR, reason="unreadable")
    if amount != (amount_micros, currency):
        return Answer(Fact.MISMATCH)
    return Answer(fact, reason=_reason(item, str(status)), reference=_reference(item), at_ms=_moment(item))


def reason_of(item: Mapping[str, Any], status: str) -> str | None:
    """Why an item stands as it does, in a short code of ours; None where it is paid."""
    return _reason(item, status)


def _item(item: Item) -> dict[str, Any]:
    order, address = item.order, item.destination.address
    kind = "PAYPAL_ID" if _PAYER_ID.fullmatch(address) else "EMAIL"
    return {
        "recipient_type": kind,
        "amount": {"value": format_amount(order.amount_micros, order.currency), "currency": order.currency},
        "receiver": address,
        "sender_item_id": order.payout_id,
    }


def _batch_of(reply: Reply, parcel: Parcel) -> str | None:
    """The batch that the parcel is: made now, or made before and now linked to."""
    if reply.status in _OK:
        header = reply.document.get("batch_header")
        if not _is_of(reply.document, parcel) or not isinstance(header, dict):
            return None
        found = header.get("payout_batch_id")
        return found if isinstance(found, str) and _ID.fullmatch(found) else None
    if reply.status not in _REFUSED:
        return None
    links = reply.document.get("links")
    for link in links if isinstance(links, list) else []:
        href = link.get("href") if isinstance(link, dict) else None
        match = _BATCH.fullmatch(urlsplit(href).path) if isinstance(href, str) else None
        if match:
            return match[1]
    return None


def _is_of(document: Mapping[str, Any], parcel: Parcel) -> bool:
    header = document.get("batch_header")
    told = header.get("sender_batch_header") if isinstance(header, dict) else None
    return isinstance(told, dict) and told.get("sender_batch_id") == parcel.key


def _refused_items(reply: Reply, items: Sequence[Item]) -> dict[str, Answer]:
    details = reply.document.get("details")
    if (
        reply.status not in _REFUSED
        or reply.document.get("name") != "VALIDATION_ERROR"
        or not isinstance(details, list)
    ):
        return {}
    refused = {}
    for detail in details:
        match = _FIELD.fullmatch(str(detail.get("field"))) if isinstance(detail, dict) else None
        if match is None or int(match[1]) >= len(items):
            # It was refused for something that no item is to blame for.
            return {}
        refused[items[int(match[1])].order.payout_id] = Answer(Fact.REFUSED, reason=f"invalid_{match[2] or 'item'}")
    return refused


def _alone(reply: Reply, order: Order) -> Answer:
    if reply.status not in _OK:
        return Answer(Fact.UNCLEAR, reason=reply.failure or f"http_{reply.status}")
    if _sender_item_id(reply.document) != order.payout_id:
        return Answer(Fact.UNCLEAR, reason="unreadable")
    return item_answer(reply.document, order.amount_micros, order.currency)


def _unlisted(status: object) -> Answer:
    if status == "DENIED":
        return Answer(Fact.REFUSED, reason="batch_denied")
    return Answer(Fact.NEVER_HEARD) if status in _OVER else Answer(Fact.PENDING)


def _items(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    items = document.get("items")
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _sender_item_id(item: Mapping[str, Any]) -> str:
    inner = item.get("payout_item")
    return str(inner.get("sender_item_id")) if isinstance(inner, dict) else ""


def _amount(item: Mapping[str, Any]) -> tuple[int, str] | None:
    inner = item.get("payout_item")
    amount = inner.get("amount") if isinstance(inner, dict) else None
    if not isinstance(amount, dict):
        return None
    try:
        return parse_amount(amount["value"], amount["currency"]), amount["currency"]
    except (KeyError, TypeError, Invalid):
        return None


def _reason(item: Mapping[str, Any], status: str) -> str | None:
    if status == "SUCCESS":
        return None
    errors = item.get("errors")
    name = errors.get("name") if isinstance(errors, dict) else None
    if isinstance(name, str) and _CODE.fullmatch(name):
        return name.lower()
    return _REASONS.get(status, status.lower())


def _reference(item: Mapping[str, Any]) -> str | None:
    found = item.get("payout_item_id")
    return found if isinstance(found, str) and _ID.fullmatch(found) else None


def _moment(item: Mapping[str, Any]) -> int | None:
    try:
        return from_rfc3339(str(item.get("time_processed")))
    except ValueError:
        return None
