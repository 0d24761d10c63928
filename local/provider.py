"""A simulated payout provider: speaks docs/payout-gateway.md on loopback, keeps its books in memory, can misbehave.

How it treats a payment follows from the destination: an address that begins with a mode's name and a dash
(`refuse-ann@example.com`) is treated that way, every other one is paid at once. `POST /control/modes` says the same
for any prefix, `GET /control/totals` gives the provider's books, `POST /control/reset` empties them.

    python -m local.provider --port 8900 --secret secret
"""

import argparse
import hmac
import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

MAX_BODY_BYTES = 65_536
LATE_QUERIES = 2
Document = dict[str, Any]


class Mode(StrEnum):
    """How the provider treats a payment."""

    OK = "ok"
    """Paid in the first answer."""
    REFUSE = "refuse"
    """Refused, with a reason."""
    LATE = "late"
    """Accepted; paid when it has been asked about often enough."""
    TIMEOUT_BEFORE = "timeout-before"
    """The first send is lost: nothing happens, nothing is answered. The next one is paid."""
    TIMEOUT_AFTER = "timeout-after"
    """Paid, but no send is ever answered."""
    ERROR_BEFORE = "error500-before"
    """The first send fails with nothing done. The next one is paid."""
    ERROR_AFTER = "error500-after"
    """Paid, but every send is answered with a failure."""
    TWICE = "twice"
    """Accepted and paid; then the answers alternate between paid and refused."""
    NEVER = "never"
    """Nothing is paid, and nothing about it is ever answered."""


@dataclass
class Payment:
    """What the provider holds under one key."""

    key: str
    body: Document
    mode: Mode
    status: str
    late_queries: int
    queries: int = 0

    def document(self) -> Document:
        """The answer about this payment."""
        known = {name: self.body[name] for name in ("payout_id", "amount", "currency")}
        document = {"key": self.key, "status": self.status, "reference": f"sim-{self.key}"} | known
        return document | ({"reason": "account_closed"} if self.status == "refused" else {})


@dataclass(frozen=True)
class Reply:
    """What goes back."""

    status: int
    document: Document


class Executed(NamedTuple):
    """A payment that was really made."""

    key: str
    run_id: str
    currency: str
    amount: Decimal


@dataclass
class Provider:
    """The provider without its HTTP. None in the place of a reply is silence."""

    payments: dict[str, Payment] = field(default_factory=dict)
    executed: list[Executed] = field(default_factory=list)
    modes: dict[str, tuple[Mode, int]] = field(default_factory=dict)
    lost: dict[str, Mode] = field(default_factory=dict)
    """Keys whose first send came to nothing."""
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def mode_of(self, address: str) -> tuple[Mode, int]:
        """(mode, queries until a late payment is paid) for an address; the longest prefix counts."""
        rules = {f"{mode}-": (mode, LATE_QUERIES) for mode in Mode} | self.modes
        fitting = [prefix for prefix in rules if address.startswith(prefix)]
        return rules[max(fitting, key=len)] if fitting else (Mode.OK, LATE_QUERIES)

    def pay(self, key: str, body: Document) -> Reply | None:
        """A send. However often it comes, one key is one payment."""
        with self.lock:
            payment = self.payments.get(key)
            if payment is None:
                mode, late_queries = self.mode_of(body["destination"])
                if mode is Mode.NEVER or (mode in _LOSE_THE_FIRST and key not in self.lost):
                    self.lost[key] = mode
                    return Reply(500, {}) if mode is Mode.ERROR_BEFORE else None
                payment = self.payments[key] = Payment(key, body, mode, _FIRST_STATUS.get(mode, "paid"), late_queries)
                if mode not in (Mode.REFUSE, Mode.LATE):
                    self._execute(payment)
            elif payment.body != body:
                return Reply(409, {"key": key, "status": "conflict"})
            if payment.mode is Mode.TIMEOUT_AFTER:
                return None
            return Reply(500, {}) if payment.mode is Mode.ERROR_AFTER else Reply(200, payment.document())

    def ask(self, key: str) -> Reply | None:
        """A query."""
        with self.lock:
            payment = self.payments.get(key)
            if payment is None:
                unheard = Reply(404, {"key": key, "status": "never_heard"})
                return None if self.lost.get(key) is Mode.NEVER else unheard
            payment.queries += 1
            if payment.mode is Mode.TWICE:
                payment.status = "paid" if payment.queries % 2 else "refused"
            elif payment.status == "pending" and payment.queries >= payment.late_queries:
                self._execute(payment)
                payment.status = "paid"
            return Reply(200, payment.document())

    def totals(self, run_id: str | None = None) -> Document:
        """What was paid, for one run or for all, by currency."""
        with self.lock:
            found = [one for one in self.executed if run_id in (None, one.run_id)]
        paid = dict.fromkeys((one.currency for one in found), Decimal(0))
        for one in found:
            paid[one.currency] += one.amount
        return {"paid_count": len(found), "paid": {currency: str(total) for currency, total in paid.items()}}

    def books(self) -> Document:
        """The totals of everything, and the most payments that one key got (never more than one)."""
        with self.lock:
            per_key = Counter(one.key for one in self.executed)
            keys = len(self.payments)
        return self.totals() | {"keys": keys, "most_payments_per_key": max(per_key.values(), default=0)}

    def set_mode(self, prefix: str, mode: Mode, late_queries: int = LATE_QUERIES) -> None:
        """From now on, new payments to addresses with this prefix are treated so."""
        with self.lock:
            self.modes[prefix] = (mode, late_queries)

    def reset(self) -> None:
        """Forgets all payments and modes."""
        with self.lock:
            for kept in (self.payments, self.executed, self.modes, self.lost):
                kept.clear()

    def _execute(self, payment: Payment) -> None:
        body = payment.body
        self.executed.append(Executed(payment.key, body["run_id"], body["currency"], Decimal(body["amount"])))


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, provider: Provider, secret: str, hold_seconds: float) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.provider = provider
        self.secret = secret
        self.hold_seconds = hold_seconds
        self.stopping = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_POST(self) -> None:
        """Sends and controls."""
        path = urlsplit(self.path).path
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 < length <= MAX_BODY_BYTES and path != "/control/reset":
            self.close_connection = True
            self._reply(Reply(413 if length else 400, {"status": "bad_request"}))
            return
        content = self.rfile.read(length)
        if self._authorized():
            self._reply(self._post(path, content))

    def do_GET(self) -> None:
        """Queries and totals."""
        if self._authorized():
            self._reply(self._get(urlsplit(self.path).path))

    def log_message(self, *_: object) -> None:
        """Nothing: a request holds where a person's money goes."""

    def _post(self, path: str, content: bytes) -> Reply | None:
        provider = self.server.provider
        try:
            body = json.loads(content or b"{}")
            if path == "/payouts":
                key = self.headers.get("Idempotency-Key") or ""
                return provider.pay(key, body) if key and _is_order(body) else _BAD_REQUEST
            if path == "/control/modes":
                provider.set_mode(str(body["prefix"]), Mode(body["mode"]), int(body.get("queries", LATE_QUERIES)))
                return Reply(200, {})
        except (ValueError, KeyError, TypeError):
            return _BAD_REQUEST
        if path == "/control/reset":
            provider.reset()
            return Reply(200, {})
        return _NO_SUCH_PATH

    def _get(self, path: str) -> Reply | None:
        provider = self.server.provider
        if path == "/control/totals":
            return Reply(200, provider.books())
        if path == "/payouts":
            runs = parse_qs(urlsplit(self.path).query).get("run", [])
            return Reply(200, {"run_id": runs[0]} | provider.totals(runs[0])) if len(runs) == 1 else _BAD_REQUEST
        if path.startswith("/payouts/"):
            return provider.ask(unquote(path.removeprefix("/payouts/")))
        return _NO_SUCH_PATH

    def _authorized(self) -> bool:
        given = self.headers.get("Authorization") or ""
        if hmac.compare_digest(given.encode(), f"Bearer {self.server.secret}".encode()):
            return True
        self._reply(Reply(401, {"status": "unauthorized"}))
        return False

    def _reply(self, reply: Reply | None) -> None:
        if reply is None:
            self.server.stopping.wait(self.server.hold_seconds)
            self.close_connection = True
            return
        content = json.dumps(reply.document).encode()
        self.send_response(reply.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def serving(provider: Provider, *, secret: str, port: int = 0, hold_seconds: float = 0.0) -> Iterator[str]:
    """The provider on a loopback port while the block runs; gives its address.

    Silence ends after `hold_seconds` with a closed connection.
    """
    server = _Server(port, provider, secret, hold_seconds)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True, name="provider")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="a simulated payout provider on loopback")
    parser.add_argument("--port", type=int, default=8900)
    parser.add_argument("--secret", default="local-gateway-secret")
    parser.add_argument("--hold-seconds", type=float, default=0.0, help="how long a silence lasts")
    given = parser.parse_args()
    with serving(Provider(), secret=given.secret, port=given.port, hold_seconds=given.hold_seconds) as url:
        print(url, flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


def _is_order(body: object) -> bool:
    names = ("payout_id", "run_id", "amount", "currency", "destination")
    if not isinstance(body, Mapping) or not all(isinstance(body.get(name), str) for name in names):
        return False
    try:
        return Decimal(body["amount"]) > 0
    except InvalidOperation:
        return False


_LOSE_THE_FIRST = frozenset({Mode.TIMEOUT_BEFORE, Mode.ERROR_BEFORE})
_FIRST_STATUS = {Mode.REFUSE: "refused", Mode.LATE: "pending", Mode.TWICE: "pending"}
_BAD_REQUEST = Reply(400, {"status": "bad_request"})
_NO_SUCH_PATH = Reply(404, {"status": "no_such_path"})

if __name__ == "__main__":
    main()
