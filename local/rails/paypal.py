"""A simulated PayPal: the Payouts API and its webhooks, signed under an authority of this run.

How it treats an item follows from the receiver: an address that begins with a mode's name and a dash
(`unclaimed-ann@example.com`) is treated that way, every other one is paid as soon as it is processed.
"""

import base64
import json
import re
import zlib
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

from local.rails.authority import Authority, Signer, new_authority
from local.rails.peer import Asked, Call, Document, Peer, Replied
from smallpeck.kernel.clock import to_rfc3339

CLIENT_ID, CLIENT_SECRET = "simulated-client", "simulated-client-secret"
WEBHOOK_ID = "WH-SIMULATED-1"
CERTIFICATE_PATH = "/v1/notifications/certs/CERT-SIMULATED-1"
REMEMBERS_SECONDS = CLAIM_SECONDS = 30 * 24 * 3600
TOKEN_SECONDS = 32_400
MAX_ITEMS = 15_000

_EVENTS = {
    "SUCCESS": "SUCCEEDED", "FAILED": "FAILED", "UNCLAIMED": "UNCLAIMED", "RETURNED": "RETURNED",
    "REFUNDED": "REFUNDED", "ONHOLD": "HELD", "BLOCKED": "BLOCKED", "REVERSED": "REVERSED",
}  # fmt: skip
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+|[A-Z0-9]{13}")


class Mode(StrEnum):
    """How an item is treated, each time it is processed."""

    OK = "ok"
    REFUSE = "refuse"
    LATE = "late"
    """Paid when it is processed for the third time."""
    UNCLAIMED = "unclaimed"
    """Nobody claims it; it is returned after 30 days."""
    CLAIMED = "claimed"
    """Unclaimed at first, then claimed."""
    REFUND = "refund"
    """Paid, and given back by the receiver."""
    REVERSE = "reverse"
    """Paid, and taken back."""
    HOLD = "hold"
    """On hold, then paid."""
    BLOCK = "block"
    TWICE = "twice"
    """Paid, then said to have failed."""
    NEVER = "never"
    """Never processed."""


_PATHS: dict[Mode, tuple[str, ...]] = {
    Mode.OK: ("SUCCESS",),
    Mode.REFUSE: ("FAILED",),
    Mode.LATE: ("PENDING", "PENDING", "SUCCESS"),
    Mode.UNCLAIMED: ("UNCLAIMED",),
    Mode.CLAIMED: ("UNCLAIMED", "SUCCESS"),
    Mode.REFUND: ("SUCCESS", "REFUNDED"),
    Mode.REVERSE: ("SUCCESS", "REVERSED"),
    Mode.HOLD: ("ONHOLD", "SUCCESS"),
    Mode.BLOCK: ("BLOCKED",),
    Mode.TWICE: ("SUCCESS", "FAILED"),
    Mode.NEVER: ("PENDING",),
}


@dataclass
class Item:
    """One item of a batch."""

    item_id: str
    batch_id: str
    sender_batch_id: str
    body: Document
    mode: Mode
    status: str = "PENDING"
    steps: int = 0
    since_ms: int = 0

    def document(self) -> Document:
        """The item as it is told."""
        told: Document = {
            "payout_item_id": self.item_id,
            "transaction_status": self.status,
            "payout_batch_id": self.batch_id,
            "sender_batch_id": self.sender_batch_id,
            "payout_item": self.body,
        }
        if self.status != "PENDING":
            told["time_processed"] = to_rfc3339(self.since_ms)
        if self.status == "FAILED":
            told["errors"] = {"name": "RECEIVER_ACCOUNT_LOCKED", "message": "The receiver's account is locked."}
        return told


@dataclass
class Batch:
    """One batch."""

    batch_id: str
    sender_batch_id: str
    at_ms: int
    items: list[Item]
    status: str = "PENDING"

    def header(self) -> Document:
        """The batch as it is told."""
        return {
            "payout_batch_id": self.batch_id,
            "batch_status": self.status,
            "sender_batch_header": {"sender_batch_id": self.sender_batch_id},
        }


@dataclass
class PayPal(Peer):
    """PayPal's books. What left and what came back is in `moves`: (sender_item_id, amount, currency)."""

    authority: Authority = field(default_factory=new_authority, repr=False)
    url: str = "https://api.paypal.com"
    batches: dict[str, Batch] = field(default_factory=dict)
    moves: list[tuple[str, Decimal, str]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    funds: bool = True
    numbers: int = 0
    signer: Signer = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Gives it a key to sign with."""
        self.signer = self.authority.signer()

    @property
    def secret(self) -> str:
        """What the platform is known by."""
        return json.dumps({"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET})

    def webhook_secret(self, plain_host: str | None = None) -> Document:
        """What the platform checks webhooks with."""
        host = {} if plain_host is None else {"plain_host": plain_host}
        return {"webhook_id": WEBHOOK_ID, "roots": self.authority.pem, **host}

    def serve(self, asked: Asked) -> Replied:
        """See `Peer`."""
        if asked.path == CERTIFICATE_PATH:
            return Replied(200, self.signer.pem)
        if asked.path == "/v1/oauth2/token":
            return self._token(asked)
        if asked.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            return Replied(401, {"name": "AUTHENTICATION_FAILURE"})
        match asked.method, asked.path.removeprefix("/v1/payments/").split("/"):
            case "POST", ["payouts"]:
                return self._create(asked)
            case "GET", ["payouts", batch_id]:
                return self._show(batch_id, asked)
            case "GET", ["payouts-item", item_id]:
                item = self._item(item_id)
                return _NOT_FOUND if item is None else Replied(200, item.document())
            case "POST", ["payouts-item", item_id, "cancel"]:
                return self._cancel(item_id)
        return _NOT_FOUND

    def process(self) -> None:
        """See `Peer`: every item takes its next step."""
        with self.lock:
            for batch in self.batches.values():
                if batch.status == "DENIED":
                    continue
                for item in batch.items:
                    self._step(item)
                if batch.status != "SUCCESS":
                    batch.status = "SUCCESS"
                    self._tell_batch(batch)

    def paid(self) -> dict[str, Decimal]:
        """What each sender_item_id has in the end: paid less what came back."""
        total: dict[str, Decimal] = {}
        for name, amount, _ in self.moves:
            total[name] = total.get(name, Decimal(0)) + amount
        return total

    def payments(self, sender_item_id: str) -> int:
        """How often an item was paid."""
        return sum(name == sender_item_id and amount > 0 for name, amount, _ in self.moves)

    def call(self, event: Document, *, signer: Signer | None = None, webhook_id: str = WEBHOOK_ID) -> Call:
        """A webhook call, signed."""
        body = json.dumps(event).encode()
        transmission, moment = f"T-{event.get('id')}", to_rfc3339(self.clock.now_ms())
        message = f"{transmission}|{moment}|{webhook_id}|{zlib.crc32(body)}".encode()
        headers = {
            "content-type": "application/json",
            "paypal-transmission-id": transmission,
            "paypal-transmission-time": moment,
            "paypal-transmission-sig": base64.b64encode((signer or self.signer).sign(message)).decode(),
            "paypal-cert-url": self.url + CERTIFICATE_PATH,
            "paypal-auth-algo": "SHA256withRSA",
        }
        return Call(headers, body)

    def _token(self, asked: Asked) -> Replied:
        wanted = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        if asked.headers.get("authorization") != f"Basic {wanted}":
            return Replied(401, {"error": "invalid_client"})
        token = f"token-{len(self.tokens) + 1}"
        self.tokens.add(token)
        return Replied(200, {"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_SECONDS})

    def _create(self, asked: Asked) -> Replied:
        try:
            body = json.loads(asked.body)
            key, items = str(body["sender_batch_header"]["sender_batch_id"]), list(body["items"])
        except (ValueError, KeyError, TypeError):
            return Replied(400, {"name": "MALFORMED_REQUEST"})
        now_ms = self.clock.now_ms()
        for batch in self.batches.values():
            if batch.sender_batch_id == key and now_ms - batch.at_ms < REMEMBERS_SECONDS * 1000:
                link = {"href": f"{self.url}/v1/payments/payouts/{batch.batch_id}", "rel": "self", "method": "GET"}
                return Replied(400, {"name": "USER_BUSINESS_ERROR", "message": "Duplicate batch.", "links": [link]})
        details = [
            {"field": f"items[{number}].receiver", "issue": "Invalid receiver"}
            for number, item in enumerate(items)
            if not _ADDRESS.fullmatch(str(item.get("receiver"))) or not _positive(item)
        ]
        if details or not 0 < len(items) <= MAX_ITEMS:
            return Replied(400, {"name": "VALIDATION_ERROR", "details": details})
        if not self.funds:
            return Replied(422, {"name": "INSUFFICIENT_FUNDS"})
        batch_id = self._number("B")
        made = [Item(self._number("I"), batch_id, key, item, _mode(str(item["receiver"]))) for item in items]
        batch = self.batches[batch_id] = Batch(batch_id, key, now_ms, made)
        return Replied(201, {"batch_header": batch.header(), "links": []})

    def _show(self, batch_id: str, asked: Asked) -> Replied:
        batch = self.batches.get(batch_id)
        if batch is None:
            return _NOT_FOUND
        size, page = int(asked.query.get("page_size", 1_000)), int(asked.query.get("page", 1))
        shown = batch.items[(page - 1) * size : page * size]
        document: Document = {"batch_header": batch.header(), "items": [item.document() for item in shown]}
        if asked.query.get("total_required") == "true":
            document |= {"total_items": len(batch.items), "total_pages": max(1, -(-len(batch.items) // size))}
        return Replied(200, document)

    def _cancel(self, item_id: str) -> Replied:
        item = self._item(item_id)
        if item is None:
            return _NOT_FOUND
        if item.status != "UNCLAIMED":
            return Replied(400, {"name": "ITEM_ALREADY_COMPLETED"})
        self._becomes(item, "RETURNED")
        return Replied(200, item.document())

    def _step(self, item: Item) -> None:
        path, now_ms = _PATHS[item.mode], self.clock.now_ms()
        if item.steps < len(path):
            item.steps += 1
            self._becomes(item, path[item.steps - 1])
        elif item.status == "UNCLAIMED" and now_ms - item.since_ms >= CLAIM_SECONDS * 1000:
            self._becomes(item, "RETURNED")

    def _becomes(self, item: Item, status: str) -> None:
        before, item.status = item.status, status
        if before == status:
            return
        item.since_ms = self.clock.now_ms()
        amount, name = item.body["amount"], item.body["sender_item_id"]
        if status == "SUCCESS":
            self.moves.append((name, Decimal(amount["value"]), amount["currency"]))
        elif before == "SUCCESS" and status != "FAILED":
            self.moves.append((name, -Decimal(amount["value"]), amount["currency"]))
        if status in _EVENTS:
            self._tell(f"PAYMENT.PAYOUTS-ITEM.{_EVENTS[status]}", item.document())

    def _tell_batch(self, batch: Batch) -> None:
        self._tell("PAYMENT.PAYOUTSBATCH.SUCCESS", {"batch_header": batch.header()})

    def _tell(self, kind: str, resource: Document) -> None:
        event: Document = {
            "id": self._number("WH-"),
            "event_type": kind,
            "create_time": to_rfc3339(self.clock.now_ms()),
            "resource": json.loads(json.dumps(resource)),
        }
        self.happened(kind, lambda: self.call(event))

    def _item(self, item_id: str) -> Item | None:
        return next((one for batch in self.batches.values() for one in batch.items if one.item_id == item_id), None)

    def _number(self, prefix: str) -> str:
        self.numbers += 1
        return f"{prefix}{self.numbers:012d}"


def _mode(receiver: str) -> Mode:
    return next((mode for mode in Mode if receiver.startswith(f"{mode}-")), Mode.OK)


def _positive(item: Any) -> bool:
    try:
        return Decimal(item["amount"]["value"]) > 0
    except (KeyError, TypeError, InvalidOperation):
        return False


_NOT_FOUND = Replied(404, {"name": "RESOURCE_NOT_FOUND"})
