"""A simulated Stripe: Connect transfers, their reversals, bank payouts of connected accounts, and signed webhooks.

How it treats an account follows from its name: `acct_refuse...` takes no transfers, of `acct_fail...` the bank payout
fails, every other one is paid out.
"""

import hmac
import json
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl

from local.rails.peer import Asked, Call, Document, Peer, Replied

API_KEY = "sk_test_simulated"
SIGNING_SECRET = "whsec_simulated_signing_secret"  # noqa: S105 - nothing stands behind it
REMEMBERS_SECONDS = 24 * 3600
PAYOUT_AFTER_SECONDS = 1


@dataclass
class BankPayout:
    """What a connected account pays out to its bank."""

    payout_id: str
    account: str
    transfers: list[str]
    status: str = "pending"
    at_ms: int = 0


@dataclass
class Stripe(Peer):
    """Stripe's books."""

    transfers: dict[str, Document] = field(default_factory=dict)
    keys: dict[str, tuple[int, bytes, Replied]] = field(default_factory=dict)
    payouts: dict[str, BankPayout] = field(default_factory=dict)
    numbers: int = 0

    @property
    def secret(self) -> str:
        """What the platform is known by."""
        return json.dumps({"api_key": API_KEY})

    def webhook_secret(self) -> Document:
        """What the platform checks webhooks with."""
        return {"signing_secrets": [SIGNING_SECRET]}

    def serve(self, asked: Asked) -> Replied:
        """See `Peer`."""
        if asked.headers.get("authorization") != f"Bearer {API_KEY}":
            return _error(401, "authentication_error", "invalid_api_key")
        key = asked.headers.get("idempotency-key")
        if asked.method != "POST" or key is None:
            return self._route(asked)
        known = self.keys.get(key)
        if known is not None and self.clock.now_ms() - known[0] < REMEMBERS_SECONDS * 1000:
            if known[1] != asked.body:
                return _error(400, "idempotency_error", "idempotency_key_in_use")
            return Replied(known[2].status, known[2].document, {"idempotent-replayed": "true"})
        reply = self._route(asked)
        self.keys[key] = (self.clock.now_ms(), asked.body, reply)
        return reply

    def process(self) -> None:
        """See `Peer`: what an account has is paid out to its bank, or fails."""
        with self.lock:
            now_ms = self.clock.now_ms()
            taken = {one for payout in self.payouts.values() for one in payout.transfers}
            for transfer_id, transfer in self.transfers.items():
                if transfer_id not in taken and not transfer["reversed"]:
                    payout_id = self._number("po_")
                    self.payouts[payout_id] = BankPayout(
                        payout_id, transfer["destination"], [transfer_id], at_ms=now_ms
                    )
            for payout in self.payouts.values():
                if payout.status == "pending" and now_ms - payout.at_ms >= PAYOUT_AFTER_SECONDS * 1000:
                    payout.status = "failed" if payout.account.startswith("acct_fail") else "paid"
                    self._tell(f"payout.{payout.status}", self._payout(payout), account=payout.account)

    def paid(self, payout_id: str) -> int:
        """What a payout of the platform's has in the end, in minor units."""
        found = [one for one in self.transfers.values() if one["metadata"].get("payout_id") == payout_id]
        return sum(one["amount"] - one["amount_reversed"] for one in found)

    def payments(self, payout_id: str) -> int:
        """How many transfers a payout of the platform's got."""
        return sum(one["metadata"].get("payout_id") == payout_id for one in self.transfers.values())

    def call(self, event: Document, *, secret: str = SIGNING_SECRET, at_ms: int | None = None) -> Call:
        """A webhook call, signed."""
        body = json.dumps(event).encode()
        moment = (self.clock.now_ms() if at_ms is None else at_ms) // 1000
        signature = hmac.new(secret.encode(), f"{moment}.".encode() + body, sha256).hexdigest()
        return Call({"content-type": "application/json", "stripe-signature": f"t={moment},v1={signature}"}, body)

    def reverse(self, transfer_id: str, amount: int, metadata: Document | None = None) -> None:
        """Takes a transfer back, or a part of it."""
        transfer = self.transfers[transfer_id]
        transfer["amount_reversed"] += amount
        transfer["reversed"] = transfer["amount_reversed"] == transfer["amount"]
        made = {"id": self._number("trr_"), "object": "transfer_reversal", "amount": amount, "metadata": metadata or {}}
        transfer["reversals"]["data"].insert(0, made)
        self._tell("transfer.reversed", transfer)

    def _route(self, asked: Asked) -> Replied:
        account = asked.headers.get("stripe-account")
        match asked.method, asked.path.removeprefix("/v1/").split("/"):
            case "POST", ["transfers"]:
                return self._create(_form(asked.body))
            case "GET", ["transfers"]:
                group = asked.query.get("transfer_group")
                found = [one for one in self.transfers.values() if one["transfer_group"] == group]
                return _listed(found, "/v1/transfers")
            case "GET", ["transfers", transfer_id] if transfer_id in self.transfers:
                return Replied(200, self.transfers[transfer_id])
            case "POST", ["transfers", transfer_id, "reversals"] if transfer_id in self.transfers:
                return self._reversed(transfer_id, _form(asked.body))
            case "GET", ["payouts", payout_id] if payout_id in self.payouts:
                payout = self.payouts[payout_id]
                return Replied(200, self._payout(payout)) if payout.account == account else _MISSING
            case "GET", ["balance_transactions"]:
                return self._transactions(asked.query.get("payout", ""), account)
        return _MISSING

    def _create(self, form: Document) -> Replied:
        destination = str(form.get("destination"))
        if not destination.startswith("acct_"):
            return _error(400, "invalid_request_error", "resource_missing")
        if destination.startswith("acct_refuse"):
            return _error(400, "invalid_request_error", "account_invalid")
        transfer_id = self._number("tr_")
        transfer = self.transfers[transfer_id] = {
            "id": transfer_id,
            "object": "transfer",
            "amount": int(form["amount"]),
            "amount_reversed": 0,
            "created": self.clock.now_ms() // 1000,
            "currency": form["currency"],
            "destination": destination,
            "metadata": form.get("metadata", {}),
            "reversals": {"object": "list", "data": [], "has_more": False, "url": "/v1/transfers/reversals"},
            "reversed": False,
            "transfer_group": form.get("transfer_group"),
        }
        self._tell("transfer.created", transfer)
        return Replied(200, transfer)

    def _reversed(self, transfer_id: str, form: Document) -> Replied:
        transfer = self.transfers[transfer_id]
        amount = int(form.get("amount") or transfer["amount"])
        if transfer["amount_reversed"] + amount > transfer["amount"]:
            return _error(400, "invalid_request_error", "transfer_already_reversed")
        self.reverse(transfer_id, amount, form.get("metadata"))
        return Replied(200, transfer["reversals"]["data"][0])

    def _transactions(self, payout_id: str, account: str | None) -> Replied:
        payout = self.payouts.get(payout_id)
        if payout is None or payout.account != account:
            return _MISSING
        own = {"id": self._number("txn_"), "object": "balance_transaction", "type": "payout", "source": None}
        found = [
            {
                "id": self._number("txn_"),
                "object": "balance_transaction",
                "type": "payment",
                "source": {"id": self._number("py_"), "object": "charge", "source_transfer": transfer_id},
            }
            for transfer_id in payout.transfers
        ]
        return _listed([own, *found], "/v1/balance_transactions")

    def _payout(self, payout: BankPayout) -> Document:
        failure = "account_closed" if payout.status == "failed" else None
        return {"id": payout.payout_id, "object": "payout", "status": payout.status, "failure_code": failure}

    def _tell(self, kind: str, thing: Document, account: str | None = None) -> None:
        event: Document = {
            "id": self._number("evt_"),
            "object": "event",
            "type": kind,
            "created": self.clock.now_ms() // 1000,
            "data": {"object": json.loads(json.dumps(thing))},
        }
        if account is not None:
            event["account"] = account
        self.happened(kind, lambda: self.call(event))

    def _number(self, prefix: str) -> str:
        self.numbers += 1
        return f"{prefix}{self.numbers:012d}"


def _form(body: bytes) -> Document:
    """A form whose names may be `outer[inner]`."""
    found: Document = {}
    for name, value in parse_qsl(body.decode(), keep_blank_values=True):
        outer, _, inner = name.partition("[")
        if inner:
            found.setdefault(outer, {})[inner.rstrip("]")] = value
        else:
            found[outer] = value
    return found


def _listed(found: list[Any], url: str) -> Replied:
    return Replied(200, {"object": "list", "data": found, "has_more": False, "url": url})


def _error(status: int, kind: str, code: str) -> Replied:
    return Replied(status, {"error": {"type": kind, "code": code, "message": code}})


_MISSING = _error(404, "invalid_request_error", "resource_missing")
