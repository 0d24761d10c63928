"""A simulated Stripe Checkout: what the platform calls of it and what it says by itself, on loopback, with switches.

A requester pays on `/pay/<session>`, in a browser or with one POST. How the payment goes follows from the mode that
`POST /control/mode` has set for the next one, or from `?mode=` of the payment page. `POST /control/dispute`,
`/control/decide` and `/control/refund` do what a payer's bank or the staff would, `POST /control/flush` sends
what was held back, and `GET /control/totals` gives the provider's books.

    python -m local.checkout_server --port 8901 --key key --signing-secret secret --endpoint http://127.0.0.1:4566/...
"""

import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, urlsplit

KEY_SECONDS = 86_400
SHORTEST_SECONDS, LONGEST_SECONDS = 1_800, 86_400
LEAST_AMOUNT = 50
API_VERSION = "2026-10-28.endive"
Document = dict[str, Any]


class Mode(StrEnum):
    """How a payment goes, and what is said of it."""

    OK = "ok"
    LATE = "late"
    """What is said of it waits for a flush."""
    DUPLICATE = "duplicate"
    """Everything is said twice, under the same event id and under another one."""
    LOST = "lost"
    """Nothing is ever said of it."""
    CONTRADICTORY = "contradictory"
    """It is said to have expired, then to be paid, then to be paid with another amount."""
    ANOTHER_AMOUNT = "another_amount"
    """It is said to be paid with another amount, and so it is."""
    SLOW = "slow"
    """Done without being paid; paid later."""
    FAILED = "failed"
    """Done without being paid; never paid."""
    DISPUTED = "disputed"
    """Paid, and disputed at once; what is said of the dispute comes first."""


@dataclass(frozen=True)
class Reply:
    """What goes back. `text` is a page for people."""

    status: int
    document: Document = field(default_factory=dict)
    text: str | None = None


@dataclass
class Session:
    """A checkout, its payment and what became of it."""

    session_id: str
    payment_id: str
    params: dict[str, str]
    amount: int
    created: int
    status: str = "open"
    paid: bool = False
    refunded: int = 0
    disputes: dict[str, Document] = field(default_factory=dict)

    @property
    def currency(self) -> str:
        return self.params["line_items[0][price_data][currency]"]

    def document(self, base: str) -> Document:
        """The session as the API shows it."""
        return {
            "id": self.session_id,
            "object": "checkout.session",
            "mode": "payment",
            "client_reference_id": self.params.get("client_reference_id"),
            "metadata": _members(self.params, "metadata"),
            "amount_total": self.amount,
            "currency": self.currency,
            "created": self.created,
            "expires_at": int(self.params["expires_at"]),
            "livemode": False,
            "payment_intent": self.payment_id if self.status == "complete" else None,
            "payment_status": "paid" if self.paid else "unpaid",
            "status": self.status,
            "url": f"{base}/pay/{self.session_id}" if self.status == "open" else None,
        }

    def payment(self) -> Document:
        """Its PaymentIntent."""
        metadata = _members(self.params, "payment_intent_data[metadata]")
        facts = {"amount": self.amount, "currency": self.currency, "metadata": metadata}
        return {"id": self.payment_id, "object": "payment_intent", **facts, "status": "succeeded" if self.paid else ""}

    def charge(self) -> Document:
        """Its charge."""
        return {
            "id": f"ch_{self.payment_id[3:]}",
            "object": "charge",
            "payment_intent": self.payment_id,
            "amount": self.amount,
            "amount_refunded": self.refunded,
            "currency": self.currency,
            "metadata": _members(self.params, "payment_intent_data[metadata]"),
        }


@dataclass
class Checkout:
    """The provider without its HTTP."""

    api_key: str
    signing_secret: str
    base: str = "https://checkout.test"
    now: Callable[[], float] = time.time
    sessions: dict[str, Session] = field(default_factory=dict)
    keys: dict[str, tuple[float, dict[str, str], str]] = field(default_factory=dict)
    mode: Mode = Mode.OK
    said: list[Document] = field(default_factory=list)
    """Every event that was ever to be said, in order."""
    outbox: list[str] = field(default_factory=list)
    """Events (as JSON text) that wait to be delivered."""
    held_back: list[str] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    # What the platform calls

    def handle(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
        """One request. `headers` are by lower-case names."""
        with self.lock:
            parts = urlsplit(path)
            words = parts.path.strip("/").split("/")
            if words[0] in ("pay", "control"):
                return self._for_people(method, words, dict(parse_qsl(parts.query)), body)
            if not hmac.compare_digest(headers.get("authorization", "").encode(), f"Bearer {self.api_key}".encode()):
                return _error(401, "invalid_request_error", "Invalid API Key provided")
            match method.upper(), words:
                case "POST", ["v1", "checkout", "sessions"]:
                    return self._open(dict(parse_qsl(body.decode())), headers.get("idempotency-key", ""))
                case "GET", ["v1", "checkout", "sessions", session_id] if session_id in self.sessions:
                    self._expire(self.sessions[session_id])
                    return Reply(200, self.sessions[session_id].document(self.base))
                case "GET", ["v1", "payment_intents", payment_id]:
                    found = [one for one in self.sessions.values() if one.payment_id == payment_id]
                    return Reply(200, found[0].payment()) if found else _missing()
                case _:
                    return _missing()

    def _open(self, params: dict[str, str], key: str) -> Reply:
        known = self.keys.get(key)
        if known is not None and self.now() - known[0] < KEY_SECONDS:
            if known[1] != params:
                return _error(400, "idempotency_error", "Keys for idempotent requests can only be used with the same")
            return Reply(200, self.sessions[known[2]].document(self.base))
        amount = params.get("line_items[0][price_data][unit_amount]", "")
        if params.get("mode") != "payment" or not amount.isdecimal():
            return _error(400, "invalid_request_error", "Missing required param")
        if int(amount) < LEAST_AMOUNT:
            return _error(400, "invalid_request_error", "The amount is too small", code="amount_too_small")
        if not SHORTEST_SECONDS <= int(params.get("expires_at", "0")) - self.now() <= LONGEST_SECONDS:
            return _error(
                400, "invalid_request_error", "The `expires_at` timestamp must be 30 minutes to 24 hours away"
            )
        mark = secrets.token_hex(12)
        quantity = int(params.get("line_items[0][quantity]", "1"))
        session = Session(f"cs_test_{mark}", f"pi_{mark}", params, int(amount) * quantity, int(self.now()))
        self.sessions[session.session_id] = session
        if key:
            self.keys[key] = (self.now(), params, session.session_id)
        return Reply(200, session.document(self.base))

    # What people do

    def pay(self, session_id: str, mode: Mode | None = None) -> Session:
        """The requester pays. Raises KeyError where there is no such checkout, ValueError where it is over."""
        with self.lock:
            session = self.sessions[session_id]
            self._expire(session)
            if session.status != "open":
                raise ValueError("this checkout is over")
            chosen, self.mode = mode or self.mode, Mode.OK
            session.status, session.paid = "complete", chosen not in (Mode.SLOW, Mode.FAILED)
            if chosen is Mode.DISPUTED:
                self.dispute(session_id)
            if chosen is Mode.CONTRADICTORY:
                self._say("checkout.session.expired", {**session.document(self.base), "status": "expired"})
            if chosen is Mode.ANOTHER_AMOUNT:
                session.amount += 100
            before = len(self.outbox)
            self._say("checkout.session.completed", session.document(self.base))
            if chosen is Mode.FAILED:
                self._say("checkout.session.async_payment_failed", session.document(self.base))
            if chosen is Mode.SLOW:
                session.paid = True
                self._say("checkout.session.async_payment_succeeded", session.document(self.base))
            if chosen is Mode.CONTRADICTORY:
                other = {**session.document(self.base), "amount_total": session.amount + 1}
                self._say("checkout.session.async_payment_succeeded", other)
            if chosen is Mode.DUPLICATE:
                self.outbox.append(self.outbox[-1])
                self._say("checkout.session.completed", session.document(self.base))
            if chosen in (Mode.LATE, Mode.LOST):
                kept = [self.outbox.pop() for _ in range(len(self.outbox) - before)]
                self.held_back += reversed(kept) if chosen is Mode.LATE else []
            return session

    def dispute(self, session_id: str, amount: int | None = None) -> str:
        """The payer disputes the payment, or a part of it; returns the id of the dispute."""
        with self.lock:
            session = self.sessions[session_id]
            dispute: Document = {
                "id": f"dp_{secrets.token_hex(12)}",
                "object": "dispute",
                "payment_intent": session.payment_id,
                "charge": session.charge()["id"],
                "amount": session.amount if amount is None else amount,
                "currency": session.currency,
                "metadata": {},
                "status": "needs_response",
            }
            session.disputes[dispute["id"]] = dispute
            self._say("charge.dispute.created", dispute)
            self._say("charge.dispute.funds_withdrawn", dispute)
            return str(dispute["id"])

    def decide(self, dispute_id: str, *, won: bool) -> None:
        """The payer's bank decides a dispute."""
        with self.lock:
            (dispute,) = [found for one in self.sessions.values() if (found := one.disputes.get(dispute_id))]
            dispute["status"] = "won" if won else "lost"
            self._say("charge.dispute.closed", dispute)

    def refund(self, session_id: str, amount: int) -> None:
        """The platform's staff sends money back."""
        with self.lock:
            session = self.sessions[session_id]
            session.refunded += amount
            self._say("charge.refunded", session.charge())

    def flush(self) -> None:
        """What was held back is said now."""
        with self.lock:
            self.outbox += self.held_back
            self.held_back.clear()

    def received(self) -> dict[str, int]:
        """The provider's books: minor units that it holds for the platform, by currency."""
        with self.lock:
            totals: dict[str, int] = {}
            for one in self.sessions.values():
                lost = sum(found["amount"] for found in one.disputes.values() if found["status"] != "won")
                kept = (one.amount - one.refunded - lost) if one.paid else 0
                totals[one.currency.upper()] = totals.get(one.currency.upper(), 0) + kept
            return totals

    def signed(self, text: str) -> dict[str, str]:
        """The headers of a webhook call: the time, and HMAC-SHA256 over `time.body`."""
        at = int(self.now())
        signature = hmac.new(self.signing_secret.encode(), f"{at}.{text}".encode(), sha256).hexdigest()
        return {"content-type": "application/json; charset=utf-8", "stripe-signature": f"t={at},v1={signature}"}

    def _expire(self, session: Session) -> None:
        if session.status == "open" and self.now() >= int(session.params["expires_at"]):
            session.status = "expired"
            self._say("checkout.session.expired", session.document(self.base))

    def _say(self, kind: str, told: Document) -> None:
        event = {
            "id": f"evt_{secrets.token_hex(12)}",
            "object": "event",
            "api_version": API_VERSION,
            "created": int(self.now()),
            "livemode": False,
            "type": kind,
            "data": {"object": dict(told)},
        }
        self.said.append(event)
        self.outbox.append(json.dumps(event))

    def _for_people(self, method: str, words: list[str], query: dict[str, str], body: bytes) -> Reply:
        try:
            asked = json.loads(body or b"{}") if words[0] == "control" else {}
            match method.upper(), words:
                case "GET", ["pay", session_id]:
                    return Reply(200, text=_page(self.sessions[session_id]))
                case "POST", ["pay", session_id]:
                    mode = Mode(query["mode"]) if "mode" in query else None
                    session = self.pay(session_id, mode)
                    return Reply(200, session.document(self.base) | {"success_url": session.params["success_url"]})
                case "POST", ["control", "mode"]:
                    self.mode = Mode(asked["mode"])
                case "POST", ["control", "dispute"]:
                    return Reply(200, {"dispute": self.dispute(asked["session"], asked.get("amount"))})
                case "POST", ["control", "decide"]:
                    self.decide(asked["dispute"], won=asked["won"] is True)
                case "POST", ["control", "refund"]:
                    self.refund(asked["session"], int(asked["amount"]))
                case "POST", ["control", "flush"]:
                    self.flush()
                case "GET", ["control", "totals"]:
                    return Reply(200, {"received": self.received()})
                case _:
                    return _missing()
        except (KeyError, ValueError, TypeError) as error:
            return _error(400, "invalid_request_error", f"not so: {error}")
        return Reply(200)


def _members(params: dict[str, str], name: str) -> dict[str, str]:
    prefix = f"{name}["
    return {key[len(prefix) : -1]: value for key, value in params.items() if key.startswith(prefix)}


def _error(status: int, kind: str, message: str, *, code: str | None = None) -> Reply:
    return Reply(status, {"error": {"type": kind, "message": message, **({"code": code} if code else {})}})


def _missing() -> Reply:
    return _error(404, "invalid_request_error", "No such object", code="resource_missing")


def _page(session: Session) -> str:
    amount = f"{session.amount} {session.currency.upper()} (minor units)"
    return (
        "<!doctype html><meta charset=utf-8><title>Simulated checkout</title>"
        f"<h1>Pay {amount}</h1><form method=post><button>Pay</button></form>"
    )
