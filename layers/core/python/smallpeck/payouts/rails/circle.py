"""The `circle` rail: USDC to an address on a chain, through Circle's custodial payouts (`POST /v1/payouts`).

Every address is entered in Circle's address book first, and a payout goes to the entry. Circle's idempotency keys do
not expire, and the same key with the same body gives the first payout again: a lost answer is asked for
by sending again. Circle's objects carry nothing of ours, so what it calls a payout is remembered (`References`).

Only a documented answer about exactly this payout counts; everything else is UNCLEAR.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

import urllib3

from smallpeck.kernel.clock import from_rfc3339
from smallpeck.kernel.errors import Invalid, Unavailable
from smallpeck.kernel.ids import derived_uuid
from smallpeck.kernel.money import MICROS_DECIMALS, format_amount, parse_amount
from smallpeck.payouts.model import Answer, Fact
from smallpeck.payouts.rails.chain_address import BadChainAddress, ChainAddress, chain_address
from smallpeck.payouts.rails.exchange import (
    BadProvider,
    Http,
    Reply,
    checked_address,
    exchange,
    json_object,
    secret_fields,
)
from smallpeck.payouts.rails.port import Destination, News, Order

CURRENCY = "USD"
"""How Circle states USDC."""
CONNECT_SECONDS = 3.0
READ_SECONDS = 15.0
MAX_ANSWER_BYTES = 262_144

_DONE = frozenset({200, 201})
_BAD_REQUEST = 400
_CONFLICT = 409
_SOMETHING_WENT_WRONG = -1
_CODE = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_RETURNED = "transaction_returned"


class References(Protocol):
    """Which payout Circle means by an id of its own."""

    def remember(self, reference: str, payout_id: str) -> None:
        """Keeps what Circle calls a payout; raises `kernel.errors.Unavailable` where that is not certain."""
        ...

    def payout_of(self, reference: str) -> str | None:
        """The payout that Circle calls so, or None where that was never kept."""
        ...


@dataclass(frozen=True)
class CircleRail:
    """See `smallpeck.payouts.rails.port.Rail` and `Following`. `http` makes one attempt a call."""

    url: str
    api_key: str = field(repr=False)
    wallet_id: str
    http: Http = field(repr=False)
    references: References = field(repr=False)
    identities: Sequence[Mapping[str, Any]] = field(default=(), repr=False)
    timeout: urllib3.Timeout = field(default_factory=lambda: urllib3.Timeout(CONNECT_SECONDS, READ_SECONDS))

    def pay(self, order: Order, destination: Destination) -> Answer:
        """See `Rail`. Until Circle has admitted a new address nothing is sent: SEND_TO_ASK."""
        if order.currency != CURRENCY:
            return Answer(Fact.REFUSED, reason="currency_not_carried")
        try:
            address = chain_address(destination.address)
        except BadChainAddress:
            return Answer(Fact.REFUSED, reason="destination_not_reached")
        recipient_id, answer = self._recipient(address)
        if recipient_id is None:
            return answer
        source: dict[str, Any] = {"type": "wallet", "id": self.wallet_id}
        if self.identities:
            source["identities"] = [dict(one) for one in self.identities]
        body = {
            "idempotencyKey": idempotency_key("payout", order.key),
            "source": source,
            "destination": {"type": "address_book", "id": recipient_id},
            "amount": {"amount": format_amount(order.amount_micros, CURRENCY), "currency": CURRENCY},
            "toAmount": {"currency": CURRENCY},
        }
        reply = self._call("POST", "/v1/payouts", body=body)
        data = _data(reply)
        if data is None:
            return _refusal(reply)
        found = data.get("destination")
        if not isinstance(found, dict) or found.get("id") != recipient_id:
            return Answer(Fact.MISMATCH)
        answer = _checked(data, order)
        if answer.reference is not None:
            try:
                self.references.remember(answer.reference, order.payout_id)
            except Unavailable:
                # Sent again, it is told again, and kept then.
                return Answer(Fact.UNCLEAR, reason="not_remembered")
        return answer

    def ask(self, order: Order) -> Answer:
        """See `Rail`. Without Circle's own id of the payout only sending it again can tell."""
        if order.reference is None:
            return Answer(Fact.SEND_TO_ASK)
        data = self._payout(order.reference)
        return Answer(Fact.UNCLEAR, reason="no_answer") if data is None else _checked(data, order)

    def totals(self, run_id: str) -> None:
        """See `Rail`: Circle knows of no runs."""
        del run_id

    def follow(self, what: str) -> Sequence[News] | None:
        """See `Following`: what Circle says now about the payout that it calls so, whoever's it is."""
        data = self._payout(what)
        if data is None:
            return None
        amount_micros, currency = _money(data.get("amount"))
        # Where it was never kept whose it is, Circle's own id stands for it, and is known to nobody.
        return [News(self.references.payout_of(what) or what, outcome(data), amount_micros, currency)]

    def _recipient(self, address: ChainAddress) -> tuple[str | None, Answer]:
        """Circle's entry for an address, made at its first use; or what there is to say while it cannot be paid."""
        body = {
            "idempotencyKey": idempotency_key("recipient", address.chain, address.address),
            "chain": address.chain,
            "address": address.address,
            "metadata": {"nickname": "payouts"},
        }
        reply = self._call("POST", "/v1/addressBook/recipients", body=body)
        if reply.status == _CONFLICT:
            reply = self._listed(address)
        entry = _data(reply)
        if entry is None:
            return None, _refusal(reply) if reply.status == _BAD_REQUEST else Answer(
                Fact.UNCLEAR, reason=_failure(reply)
            )
        if not _is_of(entry, address):
            return None, Answer(Fact.UNCLEAR, reason="unreadable")
        if entry.get("status") != "active":
            # The answer to a repeated key may be the first one again, however old.
            entry = _data(self._call("GET", f"/v1/addressBook/recipients/{entry['id']}")) or entry
        match entry.get("status"):
            case "active":
                return str(entry["id"]), Answer(Fact.UNCLEAR)
            case "denied":
                return None, Answer(Fact.REFUSED, reason="recipient_denied")
        return None, Answer(Fact.SEND_TO_ASK, reason="recipient_not_active")

    def _listed(self, address: ChainAddress) -> Reply:
        """The entry of an address that is in the book under another key."""
        query = urlencode({"chain": address.chain, "address": address.address})
        reply = self._call("GET", f"/v1/addressBook/recipients?{query}")
        entries = reply.document.get("data")
        found = [one for one in entries if _is_of(one, address)] if isinstance(entries, list) else []
        return Reply(reply.status, {"data": found[0]}) if found else Reply(failure=_failure(reply))

    def _payout(self, reference: str) -> Mapping[str, Any] | None:
        if _UUID.fullmatch(reference) is None:
            return None
        data = _data(self._call("GET", f"/v1/payouts/{reference}"))
        return data if data is not None and data.get("id") == reference else None

    def _call(self, method: str, path: str, *, body: Mapping[str, Any] | None = None) -> Reply:
        headers = {"Authorization": f"Bearer {self.api_key}", "Accept": "application/json"}
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
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


def connect(*, url: str, secret: str, stage: str) -> CircleRail:
    """Circle at `url`; raises BadProvider where it cannot be spoken to safely.

    `secret` is JSON: `api_key`, `wallet_id` (whose USDC is paid), `references` (`s3://bucket/prefix`, where it is
    kept what Circle calls a payout) and, where payouts reach the Travel Rule's threshold, `identities` as Circle asks
    for them.
    """
    from smallpeck.payouts.reference_store import s3_references

    address = checked_address(url, stage)
    api_key, wallet_id, references_url = secret_fields(secret, "api_key", "wallet_id", "references")
    kept = urlsplit(references_url)
    if kept.scheme != "s3" or not kept.netloc or not kept.path.strip("/"):
        raise BadProvider("references are kept in s3://bucket/prefix")
    identities = (json_object(secret.encode()) or {}).get("identities", [])
    if not isinstance(identities, list) or not all(isinstance(one, dict) for one in identities):
        raise BadProvider("identities are a list of objects")
    references = s3_references(kept.netloc, kept.path.strip("/"))
    http = urllib3.PoolManager(maxsize=1, retries=False)
    return CircleRail(address, api_key, wallet_id, http, references, tuple(identities))


def idempotency_key(*parts: str) -> str:
    """A UUID in the form of version 4, as Circle asks, the same for the same parts."""
    return derived_uuid(*parts)


def outcome(data: Mapping[str, Any]) -> Answer:
    """What a payout object says of itself.

    Money has come back where its `return` is complete; while that is pending nothing is certain but that it left.
    """
    reference = data.get("id")
    if not isinstance(reference, str) or _UUID.fullmatch(reference) is None:
        return Answer(Fact.UNCLEAR, reason="unreadable")
    at_ms = _moment(data.get("updateDate"))
    returned = data.get("return")
    if isinstance(returned, dict) and returned.get("status") == "complete":
        reason = _clean(returned.get("reason"))
        return Answer(
            Fact.RETURNED, reason=reason, reference=reference, at_ms=_moment(returned.get("updateDate")) or at_ms
        )
    match data.get("status"):
        case "complete":
            return Answer(Fact.PAID, reference=reference, at_ms=at_ms)
        case "failed":
            reason = _clean(data.get("errorCode"))
            fact = Fact.RETURNED if reason == _RETURNED else Fact.REFUSED
            return Answer(fact, reason=reason, reference=reference, at_ms=at_ms)
        case "pending":
            return Answer(Fact.PENDING, reference=reference, at_ms=at_ms)
    return Answer(Fact.UNCLEAR, reason="unreadable")


def _checked(data: Mapping[str, Any], order: Order) -> Answer:
    answer = outcome(data)
    if answer.fact is Fact.UNCLEAR:
        return answer
    if order.reference not in (None, answer.reference):
        return Answer(Fact.UNCLEAR, reason="unreadable")
    amount_micros, currency = _money(data.get("amount"))
    if amount_micros is None:
        return Answer(Fact.UNCLEAR, reason="unreadable")
    if (amount_micros, currency) != (order.amount_micros, order.currency):
        return Answer(Fact.MISMATCH, reference=answer.reference)
    return answer


def _refusal(reply: Reply) -> Answer:
    """A request that Circle calls malformed made nothing; of every other failure that is not sure."""
    code = reply.document.get("code")
    if reply.status == _BAD_REQUEST and type(code) is int and code != _SOMETHING_WENT_WRONG:
        return Answer(Fact.REFUSED, reason=f"circle_{code}")
    return Answer(Fact.UNCLEAR, reason=_failure(reply))


def _data(reply: Reply) -> Mapping[str, Any] | None:
    """The object that was asked for, where it came."""
    found = reply.document.get("data")
    return found if reply.status in _DONE and isinstance(found, dict) else None


def _failure(reply: Reply) -> str:
    return reply.failure or f"http_{reply.status}"


def _is_of(entry: object, address: ChainAddress) -> bool:
    """Whether this is the address book's entry of an address; Circle gives those of EVM chains in small letters."""
    if not isinstance(entry, dict) or not isinstance(entry.get("id"), str) or _UUID.fullmatch(entry["id"]) is None:
        return False
    given, wanted = str(entry.get("address")), address.address
    same = given.lower() == wanted.lower() if wanted.startswith("0x") else given == wanted
    return same and entry.get("chain") == address.chain


def _money(stated: object) -> tuple[int | None, str | None]:
    """Micros and currency of a Money object; USDC has six decimals."""
    if not isinstance(stated, dict):
        return None, None
    currency = str(stated.get("currency"))
    try:
        return parse_amount(stated["amount"], currency, decimals=MICROS_DECIMALS), currency
    except (Invalid, KeyError, TypeError):
        return None, None


def _moment(stated: object) -> int | None:
    try:
        return from_rfc3339(stated) if isinstance(stated, str) else None
    except ValueError:
        return None


def _clean(stated: object) -> str | None:
    return stated if isinstance(stated, str) and _CODE.fullmatch(stated) else None
