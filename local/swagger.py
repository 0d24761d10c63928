"""The API's document to read and try in a browser: Swagger UI, with requests passed on to the API.

A page and its API would otherwise stand on two origins, and the emulator knows no CORS. Everything comes from this
machine, and the document is read anew each time: `python -m local.openapi` writes it.
"""

import importlib.util
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import urllib3

HOST: Final = "127.0.0.1"
DOCUMENT_PATH: Final = "/openapi.json"
_PACKAGE: Final = "flask_swagger_ui"  # only its files are used; it is never imported
_PASSED_ON: Final = ("/v1/", "/healthz")
_MAX_BODY_BYTES: Final = 11_000_000
_OF_THE_CONNECTION: Final = frozenset(
    {
        "connection",
        "content-length",
        "date",
        "host",
        "keep-alive",
        "server",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".png": "image/png"}
_FILES: Final = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")
_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Small Peck</title>
<link rel="stylesheet" href="/swagger-ui.css">
<link rel="icon" type="image/png" href="/favicon-32x32.png">
</head>
<body>
<div id="page"></div>
<script src="/swagger-ui-bundle.js"></script>
<script>
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#page",
  deepLinking: true,
  persistAuthorization: true,
  tryItOutEnabled: true,
  validatorUrl: null,
});
</script>
</body>
</html>
"""


@dataclass(frozen=True)
class Content:
    """Something to answer with."""

    kind: str
    body: bytes


def files() -> Path | None:
    """Where Swagger UI lies; None where its package is not installed."""
    found = importlib.util.find_spec(_PACKAGE)
    return None if found is None or found.origin is None else Path(found.origin).parent / "dist"


def contents(assets: Path) -> dict[str, Content]:
    """The page and what it is made of, by path."""
    found = {f"/{name}": Content(_TYPES[Path(name).suffix], (assets / name).read_bytes()) for name in _FILES}
    return found | {"/": Content("text/html; charset=utf-8", _PAGE.encode())}


def described(document: Path) -> Content:
    """The document as it is now. Its server is whoever serves it."""
    here = {**json.loads(document.read_bytes()), "servers": [{"url": "/"}]}
    return Content("application/json", json.dumps(here, ensure_ascii=False).encode())


@contextmanager
def serving(api: str, document: Path, assets: Path) -> Iterator[str]:
    """Serve it on loopback while the block runs; gives the address."""
    server = _Server(api, document, contents(assets))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True, name="swagger")
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, api: str, document: Path, found: Mapping[str, Content]) -> None:
        super().__init__((HOST, 0), _Handler)
        self.api = api
        self.document = document
        self.found = found
        self.pool = urllib3.PoolManager(maxsize=8, retries=False, timeout=urllib3.Timeout(connect=5, read=60))

    @property
    def names(self) -> frozenset[str]:
        """What it may be called: another name would be another site's page that was led here."""
        return frozenset(f"{name}:{self.server_port}" for name in (HOST, "localhost"))


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 60

    def _serve(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        if self.headers.get("host") not in self.server.names or length > _MAX_BODY_BYTES:
            self.close_connection = True
            self._reply(400, {"content-type": "text/plain"}, b"not here\n")
            return
        body = self.rfile.read(length)
        path = urlsplit(self.path).path
        if path.startswith(_PASSED_ON):
            self._pass_on(body)
        elif path == DOCUMENT_PATH or path in self.server.found:
            content = described(self.server.document) if path == DOCUMENT_PATH else self.server.found[path]
            self._reply(200, {"content-type": content.kind}, content.body)
        else:
            self._reply(404, {"content-type": "text/plain"}, b"there is no such page\n")

    do_DELETE = do_GET = do_HEAD = do_PATCH = do_POST = do_PUT = _serve  # noqa: N815 - names of http.server

    def log_message(self, *_: object) -> None:
        """Nothing: requests carry tokens and answers."""

    def _pass_on(self, body: bytes) -> None:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _OF_THE_CONNECTION}
        try:
            answer = self.server.pool.request(
                self.command, self.server.api + self.path, body=body or None, headers=headers, decode_content=False
            )
        except urllib3.exceptions.HTTPError:
            self._reply(502, {"content-type": "text/plain"}, b"the API does not answer\n")
            return
        passed = {name: value for name, value in answer.headers.items() if name.lower() not in _OF_THE_CONNECTION}
        self._reply(answer.status, passed, answer.data)

    def _reply(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
