"""PayPal's webhooks: who has signed them, and what they say.

The signature is RSA with SHA-256 over `transmission id|time|webhook id|CRC-32 of the raw body`, by a certificate whose
address the call itself names. So the address is on PayPal's own hosts, the chain ends in a pinned root, and the name
in the certificate is PayPal's, or it is forged. Replays are the caller's business: events have ids.
"""

import re
import zlib
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import Certificate, DNSName, NameOID, load_pem_x509_certificates
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from smallpeck.kernel.clock import from_rfc3339
from smallpeck.kernel.errors import Invalid, Unavailable
from smallpeck.kernel.money import parse_amount
from smallpeck.payouts.model import Answer, Fact
from smallpeck.payouts.rails.exchange import STAGE_WITHOUT_TLS, BadProvider, Http, fetch, json_object
from smallpeck.payouts.rails.port import Forged, News, RailEvent, Unreadable

HOSTS = frozenset({"api.paypal.com", "api-m.paypal.com", "api.sandbox.paypal.com", "api-m.sandbox.paypal.com"})
CERTIFICATES_PATH = "/v1/notifications/certs/"
OWN_NAME = ".paypal.com"
ALGORITHM = "SHA256withRSA"
MAX_CERTIFICATE_BYTES = 65_536
MAX_KEPT = 8
MAX_HEADER = 1_024
MAX_SIGNATURE = 2_048
TIMEOUT = urllib3.Timeout(2.0, 3.0)

_PREFIX = "paypal-"
_HEADERS = ("transmission-id", "transmission-time", "transmission-sig", "cert-url", "auth-algo")
_PATH = re.compile(r"/v1/notifications/certs/[A-Za-z0-9_-]{1,120}", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9_-]{1,120}", re.ASCII)
_CODE = re.compile(r"[A-Z][A-Z0-9_]{0,39}", re.ASCII)
_ITEM = "PAYMENT.PAYOUTS-ITEM."
_BATCH = "PAYMENT.PAYOUTSBATCH."
_FACTS: Mapping[str, tuple[Fact, str | None]] = {
    "SUCCEEDED": (Fact.PAID, None),
    "FAILED": (Fact.REFUSED, "failed"),
    "DENIED": (Fact.REFUSED, "denied"),
    "BLOCKED": (Fact.PENDING, "blocked"),
    "HELD": (Fact.PENDING, "on_hold"),
    "UNCLAIMED": (Fact.UNCLAIMED, "unclaimed"),
    "CANCELED": (Fact.RETURNED, "canceled"),
    "RETURNED": (Fact.RETURNED, "returned"),
    "REFUNDED": (Fact.RETURNED, "refunded"),
    "REVERSED": (Fact.RETURNED, "reversed"),
}


@dataclass(frozen=True)
class PayPalEvents:
    """See `smallpeck.payouts.rails.port.EventReader`. Certificates are kept while the process lives."""

    webhook_id: str
    roots: Sequence[Certificate] = field(repr=False)
    http: Http = field(repr=False)
    plain_host: str | None = None
    """A host and port that is spoken to without TLS, where the stage is local."""
    kept: dict[str, list[Certificate]] = field(default_factory=dict, repr=False)

    def read(self, headers: Mapping[str, str], body: bytes, *, now_ms: int) -> RailEvent:
        """See `smallpeck.payouts.rails.port.EventReader`; Unavailable where the certificate cannot be fetched."""
        given = {name: headers.get(_PREFIX + name, "") for name in _HEADERS}
        if any(not value or len(value) > MAX_HEADER or not value.isascii() for value in given.values()):
            raise Forged("this is not signed")
        if given["auth-algo"] != ALGORITHM:
            raise Forged("this is signed in a way that is not taken")
        key = self._key(given["cert-url"], now_ms)
        signed = f"{given['transmission-id']}|{given['transmission-time']}|{self.webhook_id}|{zlib.crc32(body)}"
        try:
            key.verify(b64decode(given["transmission-sig"], validate=True), signed.encode(), PKCS1v15(), SHA256())
        except (InvalidSignature, ValueError):
            raise Forged("the signature is not that of the sender") from None
        return _event(body)

    def _key(self, url: str, now_ms: int) -> RSAPublicKey:
        chain = self.kept.get(url) or self._fetched(url)
        leaf = chain[0]
        names = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        name = str(names[0].value) if len(names) == 1 else ""
        if not name.endswith(OWN_NAME):
            raise Forged("the certificate is somebody else's")
        try:
            moment = datetime.fromtimestamp(now_ms / 1000, UTC)
            policy = PolicyBuilder().store(Store(list(self.roots))).time(moment)
            policy.build_server_verifier(DNSName(name)).verify(leaf, chain[1:])
        except (VerificationError, ValueError):
            self.kept.pop(url, None)
            raise Forged("the certificate does not stand") from None
        key = leaf.public_key()
        if not isinstance(key, RSAPublicKey):
            raise Forged("the certificate holds no RSA key")
        if len(self.kept) < MAX_KEPT:
            self.kept[url] = chain
        return key

    def _fetched(self, url: str) -> list[Certificate]:
        self._check_address(url)
        got = fetch(self.http, "GET", url, headers={}, content=None, timeout=TIMEOUT, max_bytes=MAX_CERTIFICATE_BYTES)
        if isinstance(got, str) or got[0] != HTTPStatus.OK:
            raise Unavailable("the sender's certificate cannot be had", retry_after_seconds=60)
        try:
            return load_pem_x509_certificates(got[1])
        except ValueError:
            raise Forged("there is no certificate at that address") from None

    def _check_address(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise Forged("the certificate's address cannot be read") from None
        theirs = parts.scheme == "https" and parts.hostname in HOSTS and port in {None, 443}
        plain = parts.scheme == "http" and self.plain_host is not None and parts.netloc == self.plain_host
        if not (theirs or plain) or "@" in parts.netloc or parts.query or parts.fragment:
            raise Forged("the certificate is not at the sender's own address")
        if not _PATH.fullmatch(parts.path):
            raise Forged("the certificate is not at the sender's own address")


def reader(*, secret: str, stage: str) -> PayPalEvents:
    """`secret` is a JSON object with webhook_id; on the local stage it may name `roots` (PEM) and a `plain_host`."""
    told = json_object(secret.encode()) or {}
    webhook_id = told.get("webhook_id")
    if not isinstance(webhook_id, str) or not _ID.fullmatch(webhook_id):
        raise BadProvider("the webhook's id is missing")
    local = stage == STAGE_WITHOUT_TLS
    roots = told.get("roots") if local else None
    pem = roots.encode() if isinstance(roots, str) else Path(__file__).with_name("paypal_roots.pem").read_bytes()
    host = told.get("plain_host") if local else None
    return PayPalEvents(
        webhook_id,
        load_pem_x509_certificates(pem),
        urllib3.PoolManager(maxsize=1, retries=False),
        host if isinstance(host, str) else None,
    )


def _event(body: bytes) -> RailEvent:
    document = json_object(body)
    if document is None:
        raise Unreadable("the event is no JSON object")
    event_id, kind, resource = (document.get(name) for name in ("id", "event_type", "resource"))
    if not isinstance(event_id, str) or not _ID.fullmatch(event_id) or not isinstance(kind, str):
        raise Unreadable("the event has no id, or no type")
    told = resource if isinstance(resource, dict) else {}
    if kind.startswith(_ITEM):
        news = _news(kind.removeprefix(_ITEM), told, document)
        return RailEvent(
            event_id,
            kind,
            () if news is None else (news,),
            parcel_key=_text(told.get("sender_batch_id")),
            parcel_reference=_text(told.get("payout_batch_id")),
        )
    if kind.startswith(_BATCH):
        header = _object(told.get("batch_header"))
        key = _text(_object(header.get("sender_batch_header")).get("sender_batch_id"))
        return RailEvent(event_id, kind, parcel_key=key, parcel_reference=_text(header.get("payout_batch_id")))
    return RailEvent(event_id, kind)


def _news(what: str, resource: Mapping[str, Any], document: Mapping[str, Any]) -> News | None:
    if what not in _FACTS:
        return None
    fact, plain = _FACTS[what]
    item = _object(resource.get("payout_item"))
    amount, payout_id = _object(item.get("amount")), item.get("sender_item_id")
    if not isinstance(payout_id, str):
        raise Unreadable("the event names no item")
    try:
        at_ms = from_rfc3339(str(resource.get("time_processed") or document.get("create_time")))
        micros = parse_amount(amount["value"], amount["currency"])
    except (KeyError, TypeError, ValueError, Invalid):
        raise Unreadable("the event's amount or moment cannot be read") from None
    name = _object(resource.get("errors")).get("name")
    reason = name.lower() if plain and isinstance(name, str) and _CODE.fullmatch(name) else plain
    answer = Answer(fact, reason=reason, reference=_text(resource.get("payout_item_id")), at_ms=at_ms)
    return News(payout_id, answer, micros, amount["currency"])


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and _ID.fullmatch(value) else None
