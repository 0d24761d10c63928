"""The API's document in a browser: the page and the API on one origin, which nobody else may use."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import urllib3

from local import swagger

DOCUMENT = {"openapi": "3.1.0", "servers": [{"url": "{origin}"}], "paths": {"/healthz": {}}}
_pool = urllib3.PoolManager(retries=False)


class _Api(BaseHTTPRequestHandler):
    """Says what it was asked."""

    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        names = ("authorization", "idempotency-key", "content-type")
        told = {"method": self.command, "path": self.path, "body": body}
        content = json.dumps(told | {name: self.headers.get(name) for name in names}).encode()
        self.send_response(409 if self.command == "POST" else 200)
        self.send_header("content-type", "application/problem+json")
        self.send_header("retry-after", "3")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = _serve  # noqa: N815 - names of http.server

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def page(tmp_path: Path) -> Iterator[str]:
    """The address of the page."""
    for name in ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"):
        (tmp_path / name).write_text(name)
    (tmp_path / "openapi.json").write_text(json.dumps(DOCUMENT))
    api = ThreadingHTTPServer(("127.0.0.1", 0), _Api)
    thread = threading.Thread(target=api.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    with swagger.serving(f"http://127.0.0.1:{api.server_port}/stage", tmp_path / "openapi.json", tmp_path) as url:
        yield url
    api.shutdown()
    api.server_close()
    thread.join()


def get(url: str, **headers: str) -> Any:
    return _pool.request("GET", url, headers=headers)


def test_the_page_takes_everything_from_its_own_origin(page: str) -> None:
    text = get(f"{page}/").data.decode()
    assert "http://" not in text
    assert "https://" not in text
    for path, kind in {"/swagger-ui.css": "text/css", "/swagger-ui-bundle.js": "text/javascript"}.items():
        assert f'"{path}"' in text
        found = get(page + path)
        assert (found.headers["content-type"], found.data.decode()) == (kind, path[1:])
    document = get(page + swagger.DOCUMENT_PATH).json()
    assert document == DOCUMENT | {"servers": [{"url": "/"}]}


def test_requests_reach_the_api_as_they_are_and_so_do_its_answers(page: str) -> None:
    headers = {"authorization": "Bearer t", "idempotency-key": "k", "content-type": "application/json"}
    answer = _pool.request("POST", f"{page}/v1/worker/pages?limit=2", body=b'{"a":1}', headers=headers)
    assert answer.status == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "3"
    told = {"method": "POST", "path": "/stage/v1/worker/pages?limit=2", "body": '{"a":1}'}
    assert answer.json() == told | headers


@pytest.mark.parametrize("path", ["/etc/passwd", "/../local/swagger.py", "/v2/worker", "/swagger-ui.js"])
def test_nothing_else_is_there(page: str, path: str) -> None:
    assert get(page + path).status == 404


def test_a_page_under_another_name_gets_nothing(page: str) -> None:
    port = page.rpartition(":")[2]
    assert get(f"{page}/healthz", host="evil.example").status == 400
    assert get(f"{page}/healthz", host=f"localhost:{port}").status == 200


def test_an_api_that_is_gone_is_said(tmp_path: Path) -> None:
    for name in ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"):
        (tmp_path / name).write_text("")
    with swagger.serving("http://127.0.0.1:1", tmp_path / "openapi.json", tmp_path) as url:
        assert get(f"{url}/healthz").status == 502


def test_the_installed_package_has_the_files() -> None:
    assets = swagger.files()
    assert assets is not None
    assert b"SwaggerUIBundle" in swagger.contents(assets)["/swagger-ui-bundle.js"].body
