"""A stage on this machine whose API and Cognito are a few lines of script."""

import base64
import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cli.stages import STATE_VARIABLE
from smallpeck.kernel.clock import SystemClock

PASSWORD = "correct horse"


@dataclass(frozen=True)
class Request:
    """One request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        """Its body as JSON."""
        return json.loads(self.body)


Script = Callable[[Request], tuple[int, Any]]


@dataclass
class FakeStage:
    """Answers what it was told to answer: one answer after the other, the last one for ever."""

    url: str = ""
    folder: Path = Path()
    scripts: dict[tuple[str, str], list[tuple[int, Any]]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    def answers(self, method: str, path: str, *documents: Any, status: int = 200) -> None:
        """What comes of a request to a path; its query does not matter."""
        self.scripts[method, path] = [(status, document) for document in documents]

    def asked(self, path: str) -> list[Request]:
        """The requests to a path."""
        return [one for one in self.requests if one.path.split("?")[0] == path]

    def answer(self, request: Request) -> tuple[int, Any]:
        """The next answer to a request."""
        self.requests.append(request)
        if request.headers.get("x-amz-target", "").endswith(".InitiateAuth"):
            given = request.document["AuthParameters"]
            if given["PASSWORD"] != PASSWORD:
                return 400, {"__type": "NotAuthorizedException", "message": "Incorrect username or password."}
            return 200, {"AuthenticationResult": {"AccessToken": token(given["USERNAME"])}}
        script = self.scripts.get((request.method, request.path.split("?")[0]))
        if script is None:
            return 404, {"message": "Not Found"}
        return script.pop(0) if len(script) > 1 else script[0]


def token(subject: str, *, seconds: int = 3600) -> str:
    """Something that looks like an access token."""
    ends = SystemClock().now_ms() // 1000 + seconds
    claims = json.dumps({"sub": subject, "exp": ends}).encode()
    return f"e30.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.c2ln"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, stage: FakeStage) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.stage = stage


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        status, document = self.server.stage.answer(Request(self.command, self.path, headers, body))
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = _serve  # noqa: N815 - names of http.server

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeStage]:
    """A local stage with a requester and an operator whose tokens are good, and nobody signed in."""
    fake = FakeStage(folder=tmp_path)
    server = _Server(fake)
    fake.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    people = [
        {"name": name, "audience": audience, "email": f"{name}@example.com", "password": PASSWORD, "token": token(name)}
        for name, audience in (("rita", "requester"), ("oscar", "operator"))
    ]
    outputs = {"ApiUrl": fake.url, "RequesterClientId": "client-r", "OperatorClientId": "client-o"}
    state = {
        "pid": os.getpid(),
        "api": fake.url,
        "endpoint": fake.url,
        "region": "us-east-1",
        "access_key": "test",
        "outputs": outputs,
        "people": people,
    }
    (tmp_path / "local.json").write_text(json.dumps(state))
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "local.json"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
