"""What simulated providers have in common: requests and replies, lost ones, events on their way, and an HTTP server."""

import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

import urllib3

from smallpeck.kernel.clock import Clock, SystemClock

MAX_BODY_BYTES = 16_000_000
Document = dict[str, Any]


class Trouble(StrEnum):
    """What happens to one request."""

    LOST_BEFORE = "lost before"
    """It never arrives."""
    LOST_AFTER = "lost after"
    """It is done, and the answer is lost."""
    ERROR_BEFORE = "error before"
    ERROR_AFTER = "error after"


class Handling(StrEnum):
    """What happens to the webhook calls of an event."""

    ONCE = "once"
    TWICE = "twice"
    LATE = "late"
    """Kept back until `release`."""
    LOST = "lost"


@dataclass(frozen=True)
class Asked:
    """A request. Header names are in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Replied:
    """What goes back: a JSON object, or bytes as they are."""

    status: int
    document: Document | bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        """The body."""
        return self.document if isinstance(self.document, bytes) else json.dumps(self.document).encode()


@dataclass(frozen=True)
class Call:
    """A signed webhook call."""

    headers: Mapping[str, str]
    body: bytes


@dataclass
class Peer(ABC):
    """A provider without its HTTP. None in the place of a reply is silence."""

    clock: Clock = field(default_factory=SystemClock)
    troubles: list[tuple[str, Trouble]] = field(default_factory=list)
    """What happens to the next requests whose method and path begin so, one each."""
    handling: dict[str, Handling] = field(default_factory=dict)
    """By kind of event."""
    calls: list[Call] = field(default_factory=list)
    """Webhook calls that wait to be made."""
    kept_back: list[Call] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def answer(self, asked: Asked) -> Replied | None:
        """The reply to a request, or silence."""
        with self.lock:
            line = f"{asked.method} {asked.path}"
            trouble = next((one for one in self.troubles if line.startswith(one[0])), None)
            if trouble is not None:
                self.troubles.remove(trouble)
            what = None if trouble is None else trouble[1]
            if what is Trouble.LOST_BEFORE:
                return None
            if what is Trouble.ERROR_BEFORE:
                return Replied(HTTPStatus.SERVICE_UNAVAILABLE, {"name": "SERVICE_UNAVAILABLE"})
            reply = self.serve(asked)
            if what is Trouble.LOST_AFTER:
                return None
            if what is Trouble.ERROR_AFTER:
                return Replied(HTTPStatus.INTERNAL_SERVER_ERROR, {"name": "INTERNAL_SERVER_ERROR"})
            return reply

    @abstractmethod
    def serve(self, asked: Asked) -> Replied:
        """The reply where nothing goes wrong."""

    @abstractmethod
    def process(self) -> None:
        """Lets happen what takes time."""

    def happened(self, kind: str, call: Callable[[], Call]) -> None:
        """Something is to be told."""
        how = self.handling.get(kind, Handling.ONCE)
        if how is Handling.LATE:
            self.kept_back.append(call())
        elif how is not Handling.LOST:
            self.calls += [call()] * (2 if how is Handling.TWICE else 1)

    def release(self) -> None:
        """Lets go of late webhook calls, the last first."""
        with self.lock:
            self.calls += reversed(self.kept_back)
            self.kept_back.clear()

    def take_calls(self) -> list[Call]:
        """The webhook calls that are to be made now."""
        with self.lock:
            taken, self.calls[:] = list(self.calls), []
            return taken


class Deliver(Protocol):
    """Who carries a webhook call."""

    def __call__(self, call: Call, /) -> int:
        """The status that was answered."""
        ...


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, peer: Peer) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.peer = peer


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, *_: object) -> None:
        """Nothing: a request holds where a person's money goes."""

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_BODY_BYTES:
            self.close_connection = True
            return
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, parts.path, query, headers, self.rfile.read(length))
        reply = self.server.peer.answer(asked)
        if reply is None:
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in {"Content-Type": "application/json", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.content)))
        self.end_headers()
        self.wfile.write(reply.content)


@contextmanager
def serving(peer: Peer, *, port: int = 0) -> Iterator[str]:
    """The provider on a loopback port while the block runs; gives its address."""
    server = _Server(port, peer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True, name="peer")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def telling(peer: Peer, url: str, *, every_seconds: float = 0.5, attempts: int = 20) -> Iterator[None]:
    """Lets time pass for the provider and makes its webhook calls to `url` while the block runs, each until a 2xx."""
    done = threading.Event()
    http = urllib3.PoolManager(maxsize=1, retries=False, timeout=10.0)
    waiting: list[tuple[Call, int]] = []

    def make(call: Call) -> bool:
        try:
            status = http.request("POST", url, body=call.body, headers=dict(call.headers)).status
        except urllib3.exceptions.HTTPError:
            return False
        return status < HTTPStatus.MULTIPLE_CHOICES

    def run() -> None:
        while not done.wait(every_seconds):
            peer.process()
            todo = [*waiting, *((call, 0) for call in peer.take_calls())]
            waiting[:] = [(call, tried + 1) for call, tried in todo if tried < attempts and not make(call)]

    thread = threading.Thread(target=run, daemon=True, name="peer events")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        http.clear()
