"""A simulated Circle: its address book, payouts and signed notifications on loopback, books in memory, can misbehave.

How it treats a payout follows from the address that it goes to (`modes`); every other one is pending, and complete when
it is looked at. Notifications are SNS messages, signed by a certificate that the simulation makes and serves itself.

    python -m local.rails.circle --port 8903 --api-key a-local-key
"""

import argparse
import base64
import hmac
import json
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from smallpeck.kernel.clock import to_rfc3339

TOPIC_ARN = "arn:aws:sns:us-west-2:000000000000:simulated-notifications"
CERTIFICATE_PATH = "/SimpleNotificationService-simulated.pem"
MAX_BODY_BYTES = 262_144
LATE_LOOKS = 3
Document = dict[str, Any]


class Mode(StrEnum):
    """How Circle treats a payout."""

    OK = "ok"
    """Pending in the first answer, complete at the first look."""
    FAIL = "fail"
    """Pending, then failed: the wallet holds too little."""
    LATE = "late"
    """Complete when it has been looked at often enough."""
    MALFORMED = "malformed"
    """Refused with the request itself."""
    TIMEOUT_BEFORE = "timeout-before"
    """The first send is lost: nothing happens, nothing is answered."""
    TIMEOUT_AFTER = "timeout-after"
    """Paid, but the first send is not answered."""
    ERROR_AFTER = "error500-after"
    """Paid, but the first send is answered with a failure."""
    RETURN = "return"
    """Complete; comes back when `come_back` says so."""
    CONTRADICT = "contradict"
    """Complete at the first look, failed at the next."""
    OTHER_AMOUNT = "other-amount"
    """Complete, of another amount than was asked for."""
    INACTIVE = "inactive"
    """The address is admitted only after some looks."""
    DENIED = "denied"
    """The address is never admitted."""


@dataclass
class Circle:
    """Circle without its HTTP. None in the place of a reply is silence; a reply is a status and a document."""

    modes: dict[str, Mode] = field(default_factory=dict)
    """By address in small letters, or as it is where that matters."""
    recipients: dict[str, Document] = field(default_factory=dict)
    payouts: dict[str, Document] = field(default_factory=dict)
    first: dict[str, tuple[Document, str]] = field(default_factory=dict)
    """By idempotency key: the body, and the id of what it made."""
    looks: dict[str, int] = field(default_factory=dict)
    executed: list[tuple[str, Decimal]] = field(default_factory=list)
    """(id, amount) of what really left."""
    lost: set[str] = field(default_factory=set)
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def post(self, path: str, body: Document) -> tuple[int, Document] | None:
        """A request that makes something."""
        with self.lock:
            known = self.first.get(body.get("idempotencyKey", ""))
            if known is not None and known[0] != body:
                return 409, {"code": 1083, "message": "the idempotency key is bound to another request"}
            if path == "/v1/addressBook/recipients":
                return 201, {"data": self._enter(body, known and known[1])}
            if path == "/v1/payouts":
                return self._pay(body, known and known[1])
            return 404, {"code": 2, "message": "Resource not found"}

    def get(self, path: str, query: Mapping[str, list[str]]) -> tuple[int, Document] | None:
        """A look at something; what is under way goes on by it."""
        with self.lock:
            folder, _, identifier = path.rpartition("/")
            if path == "/v1/addressBook/recipients":
                wanted = {name: values[0].lower() for name, values in query.items()}
                return 200, {"data": [one for one in self.recipients.values() if _fits(one, wanted)]}
            if folder == "/v1/addressBook/recipients" and identifier in self.recipients:
                self._admit(self.recipients[identifier])
                return 200, {"data": self.recipients[identifier]}
            if folder == "/v1/payouts" and identifier in self.payouts:
                self._go_on(self.payouts[identifier])
                return 200, {"data": self.payouts[identifier]}
            return 404, {"code": 2, "message": "Resource not found"}

    def come_back(self, identifier: str, reason: str = "payout_returned") -> None:
        """A complete payout comes back."""
        with self.lock:
            found = self.payouts[identifier]
            found["return"] = {
                "id": str(uuid.uuid4()),
                "payoutId": identifier,
                "amount": found["amount"],
                "reason": reason,
                "status": "complete",
            }

    @property
    def came_back(self) -> set[str]:
        """The payouts that have come back."""
        return {identifier for identifier, one in self.payouts.items() if "return" in one}

    def _enter(self, body: Document, known: str | None) -> Document:
        if known is not None:
            return self.recipients[known]
        identifier = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{body['chain']}:{body['address']}"))
        address = body["address"].lower() if body["address"].startswith("0x") else body["address"]
        entry = {"id": identifier, "chain": body["chain"], "address": address, "status": "pending"}
        self.first[body["idempotencyKey"]] = (body, identifier)
        return self.recipients.setdefault(identifier, entry)

    def _admit(self, entry: Document) -> None:
        looks = self.looks[entry["id"]] = self.looks.get(entry["id"], 0) + 1
        match self.modes.get(entry["address"]):
            case Mode.DENIED:
                entry["status"] = "denied"
            case Mode.INACTIVE if looks < LATE_LOOKS:
                entry["status"] = "inactive"
            case _:
                entry["status"] = "active"

    def _pay(self, body: Document, known: str | None) -> tuple[int, Document] | None:
        entry = self.recipients.get(body["destination"]["id"])
        if entry is None or entry["status"] != "active":
            return 400, {"code": 5003, "message": "the recipient is not active"}
        mode = self.modes.get(entry["address"], Mode.OK)
        key = body["idempotencyKey"]
        first = known is None
        if mode is Mode.MALFORMED:
            return 400, {"code": 2, "message": "Invalid entity.", "errors": [{"error": "max_value"}]}
        if mode is Mode.TIMEOUT_BEFORE and key not in self.lost:
            self.lost.add(key)
            return None
        if known is None:
            known = str(uuid.uuid5(uuid.NAMESPACE_URL, key))
            amount = dict(body["amount"])
            if mode is Mode.OTHER_AMOUNT:
                amount["amount"] = str(Decimal(amount["amount"]) + 1)
            self.first[key] = (body, known)
            self.payouts[known] = {
                "id": known,
                "sourceWalletId": body["source"]["id"],
                "destination": body["destination"],
                "amount": amount,
                "status": "pending",
                "createDate": "2026-01-05T00:00:00.000Z",
            }
            if mode is not Mode.FAIL:
                self.executed.append((known, Decimal(amount["amount"])))
        if first and mode is Mode.TIMEOUT_AFTER:
            return None
        return (500, {}) if first and mode is Mode.ERROR_AFTER else (201, {"data": self.payouts[known]})

    def _go_on(self, payout: Document) -> None:
        looks = self.looks[payout["id"]] = self.looks.get(payout["id"], 0) + 1
        match self.modes.get(self.recipients[payout["destination"]["id"]]["address"], Mode.OK):
            case Mode.FAIL:
                payout |= {"status": "failed", "errorCode": "insufficient_funds"}
            case Mode.LATE if looks < LATE_LOOKS:
                pass
            case Mode.CONTRADICT if looks > 1:
                payout |= {"status": "failed", "errorCode": "transaction_failed"}
            case _:
                payout["status"] = "complete"


@dataclass
class Announcer:
    """Who signs what SNS would send. `url` is where the certificate is served."""

    url: str = "https://sns.us-west-2.amazonaws.com"
    common_name: str = "sns.amazonaws.com"
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    sent: int = 0

    def __post_init__(self) -> None:
        self.key = generate_private_key(public_exponent=65_537, key_size=2_048)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, self.common_name)])
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(1)
            .not_valid_before(self.now - timedelta(days=1))
            .not_valid_after(self.now + timedelta(days=365))
            .sign(self.key, SHA256())
        )
        self.certificate = made.public_bytes(Encoding.PEM)

    def notification(self, payout: Document, *, now_ms: int) -> bytes:
        """A notification about a payout."""
        message = {"clientId": str(uuid.UUID(int=1)), "notificationType": "payouts", "version": 1, "payout": payout}
        return self.signed({"Type": "Notification", "Message": json.dumps(message)}, now_ms=now_ms)

    def confirmation(self, *, now_ms: int) -> bytes:
        """The message that asks to confirm the subscription."""
        url = f"{self.url}/?Action=ConfirmSubscription&TopicArn={TOPIC_ARN}&Token=simulated"
        message = {"Message": "confirm, please", "SubscribeURL": url, "Token": "simulated"}
        return self.signed({"Type": "SubscriptionConfirmation", **message}, now_ms=now_ms)

    def signed(self, message: dict[str, str], *, now_ms: int, topic_arn: str = TOPIC_ARN) -> bytes:
        """A message with what SNS adds."""
        self.sent += 1
        whole = {
            "MessageId": str(uuid.UUID(int=self.sent)),
            "Timestamp": to_rfc3339(now_ms),
            "TopicArn": topic_arn,
            **message,
        }
        text = "".join(f"{name}\n{whole[name]}\n" for name in sorted(whole))
        signature = base64.b64encode(self.key.sign(text.encode(), PKCS1v15(), SHA256())).decode()
        address = {"SignatureVersion": "2", "Signature": signature, "SigningCertURL": self.url + CERTIFICATE_PATH}
        return json.dumps(whole | address).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, circle: Circle, api_key: str, announcer: Announcer | None) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.circle = circle
        self.api_key = api_key
        self.announcer = announcer
        self.confirmed = 0


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_POST(self) -> None:
        """What makes something, and the switch of modes."""
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 < length <= MAX_BODY_BYTES:
            self.close_connection = True
            self._reply((413, {}))
            return
        try:
            body = json.loads(self.rfile.read(length))
            if self.path == "/control/modes":
                self.server.circle.modes[body["address"]] = Mode(body["mode"])
                self._reply((200, {}))
            elif self._authorized():
                self._reply(self.server.circle.post(self.path, body))
        except (ValueError, KeyError, TypeError):
            self._reply((400, {"code": 2, "message": "Invalid entity."}))

    def do_GET(self) -> None:
        """Looks, and what SNS serves."""
        parts = urlsplit(self.path)
        announcer = self.server.announcer
        if announcer is not None and parts.path == CERTIFICATE_PATH:
            self._send(200, announcer.certificate, "application/x-pem-file")
        elif announcer is not None and parts.path == "/":
            self.server.confirmed += 1
            self._send(200, b"<ConfirmSubscriptionResponse/>", "text/xml")
        elif self._authorized():
            self._reply(self.server.circle.get(parts.path, parse_qs(parts.query)))

    def log_message(self, *_: object) -> None:
        """Nothing: a request holds where a person's money goes."""

    def _authorized(self) -> bool:
        given = self.headers.get("Authorization") or ""
        if hmac.compare_digest(given.encode(), f"Bearer {self.server.api_key}".encode()):
            return True
        self._reply((401, {"code": 401, "message": "Malformed authorization."}))
        return False

    def _reply(self, reply: tuple[int, Document] | None) -> None:
        if reply is None:
            self.close_connection = True
            return
        self._send(reply[0], json.dumps(reply[1]).encode(), "application/json")

    def _send(self, status: int, content: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def serving(
    circle: Circle, *, api_key: str, port: int = 0, announcer: Announcer | None = None
) -> Iterator[tuple[str, _Server]]:
    """Circle on a loopback port while the block runs: its address, and the server."""
    server = _Server(port, circle, api_key, announcer)
    url = f"http://127.0.0.1:{server.server_port}"
    if announcer is not None:
        announcer.url = url
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True, name="circle")
    thread.start()
    try:
        yield url, server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="a simulated Circle on loopback")
    parser.add_argument("--port", type=int, default=8903)
    parser.add_argument("--api-key", default="local-circle-key")
    given = parser.parse_args()
    with serving(Circle(), api_key=given.api_key, port=given.port, announcer=Announcer()) as (url, _):
        print(url, flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


def _fits(entry: Document, wanted: Mapping[str, str]) -> bool:
    return all(str(entry.get(name)).lower() == value for name, value in wanted.items())


if __name__ == "__main__":
    main()
