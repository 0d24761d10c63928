"""An HTTP client of the API, for the command line and for the platform on this machine."""

import io
import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO
from urllib.parse import urlencode

import urllib3
from urllib3.filepost import choose_boundary, encode_multipart_formdata

from cli.wait import pause

ATTEMPTS = 12
LONGEST_PAUSE_SECONDS = 5.0
_FIRST_PAUSE_SECONDS = 0.1
_LIST_LIMIT = 100
_BUSY = frozenset({429, 500, 502, 503, 504})
_NO_ANSWER = 0
_OK = 200
_FIRST_THAT_IS_NO_SUCCESS = 300
_PIECE_BYTES = 65_536

_pool = urllib3.PoolManager(maxsize=16, retries=False, timeout=urllib3.Timeout(connect=5, read=60))


class Refused(Exception):
    """The API answered with a problem; status 0 where it did not answer at all."""

    def __init__(self, method: str, path: str, status: int, problem: Any) -> None:
        super().__init__(f"{method} {path}: {status} {json.dumps(problem)[:600]}")
        self.status = status
        self.problem = problem

    @property
    def code(self) -> str:
        """The problem's stable code."""
        return str(self.problem.get("code", "")) if isinstance(self.problem, dict) else ""


@dataclass(frozen=True)
class Answer:
    """What came back: the status, and the body as JSON where it is JSON."""

    status: int
    document: Any
    retry_after_seconds: float | None = None


@dataclass(frozen=True)
class Client:
    """One signed-in person. Paths are relative to `/v1/<audience>`."""

    api: str
    audience: str
    name: str
    token: str = field(repr=False)
    email: str = ""
    password: str = field(default="", repr=False)

    def get(self, path: str, **query: str | int) -> Any:
        """The answer to a GET."""
        return self.call("GET", path + ("?" + urlencode(query) if query else ""))

    def put(self, path: str, body: Any) -> Any:
        """The answer to a PUT."""
        return self.call("PUT", path, body)

    def post(self, path: str, body: Any = None, *, key: str | None = None) -> Any:
        """The answer to a POST under an Idempotency-Key, so that repeating it after a lost answer is safe."""
        return self.call("POST", path, {} if body is None else body, key=key or secrets.token_hex(8))

    def call(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> Any:
        """The JSON answer; raises Refused for a problem. What is busy is asked again, as any client should."""
        attempt = 0
        while True:
            answer = self.once(method, path, body, key=key)
            if _OK <= answer.status < _FIRST_THAT_IS_NO_SUCCESS:
                return answer.document
            attempt += 1
            refused = Refused(method, path, answer.status, answer.document)
            again = answer.status in _BUSY or answer.status == _NO_ANSWER or refused.code == "in_progress"
            if not again or attempt == ATTEMPTS:
                raise refused
            wait_seconds = answer.retry_after_seconds or _FIRST_PAUSE_SECONDS * 2**attempt
            pause(min(wait_seconds, LONGEST_PAUSE_SECONDS))

    def once(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> Answer:
        """One request, whatever comes of it."""
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        if key is not None:
            headers["idempotency-key"] = key
        content = None if body is None else json.dumps(body).encode()
        try:
            got = _pool.request(method, f"{self.api}/v1/{self.audience}{path}", body=content, headers=headers)
        except urllib3.exceptions.HTTPError as lost:
            return Answer(_NO_ANSWER, str(lost))
        after = got.headers.get("retry-after")
        return Answer(got.status, _json(got.data), float(after) if after else None)

    def every(self, path: str, items: str) -> list[Any]:
        """All items of a list, following its cursors."""
        found: list[Any] = []
        query: dict[str, str | int] = {"limit": _LIST_LIMIT}
        while True:
            answer = self.get(path, **query)
            found += answer[items]
            if answer["next_cursor"] is None:
                return found
            query["cursor"] = answer["next_cursor"]


def upload(form: Any, file: BinaryIO, *, seen: Callable[[int], None] = lambda _bytes: None) -> None:
    """Puts a file where the API's form says, piece by piece; `seen` gets the length of each piece of it."""
    body = _FormBody(form["fields"], file, seen)
    headers = {"content-type": f"multipart/form-data; boundary={body.boundary}", "content-length": str(body.length)}
    try:
        answer = _pool.request("POST", form["url"], body=body, headers=headers)
    except urllib3.exceptions.HTTPError as lost:
        raise Refused("POST", "the upload form", _NO_ANSWER, str(lost)) from lost
    if answer.status >= _FIRST_THAT_IS_NO_SUCCESS:
        raise Refused("POST", "the upload form", answer.status, answer.data.decode(errors="replace"))


def fetch(url: str) -> bytes:
    """The content of a signed link."""
    whole = io.BytesIO()
    download(url, whole)
    return whole.getvalue()


def download(url: str, target: BinaryIO, *, seen: Callable[[int, int | None], None] = lambda _done, _all: None) -> int:
    """Writes the content of a signed link to `target`, piece by piece; returns its length.

    `seen` gets how much there is by now, and how much there will be where that is known.
    """
    done = 0
    with _opened(url) as answer:
        stated = answer.headers.get("content-length")
        for piece in answer.stream(_PIECE_BYTES):
            done += target.write(piece)
            seen(done, int(stated) if stated else None)
    return done


def lines(url: str) -> Iterator[bytes]:
    """The lines of a signed link's content, without holding all of it."""
    with _opened(url) as answer:
        yield from answer


def _opened(url: str) -> urllib3.BaseHTTPResponse:
    try:
        answer = _pool.request("GET", url, preload_content=False)
    except urllib3.exceptions.HTTPError as lost:
        raise Refused("GET", "a signed link", _NO_ANSWER, str(lost)) from lost
    if answer.status != _OK:
        with answer:
            raise Refused("GET", "a signed link", answer.status, answer.data.decode(errors="replace"))
    return answer


class _FormBody:
    """A form with a file as its last part, in pieces: the file is never whole in memory."""

    def __init__(self, fields: Mapping[str, str], file: BinaryIO, seen: Callable[[int], None]) -> None:
        self.boundary = choose_boundary()
        encoded, _type = encode_multipart_formdata(fields, self.boundary)
        self._before = (
            encoded.removesuffix(f"--{self.boundary}--\r\n".encode())
            + (
                f"--{self.boundary}\r\n"
                'Content-Disposition: form-data; name="file"; filename="file"\r\n'
                "Content-Type: application/octet-stream\r\n\r\n"
            ).encode()
        )
        self._file, self._seen = file, seen
        self._after = f"\r\n--{self.boundary}--\r\n".encode()
        self.length = len(self._before) + file.seek(0, io.SEEK_END) + len(self._after)
        file.seek(0)

    def __iter__(self) -> Iterator[bytes]:
        yield self._before
        while piece := self._file.read(_PIECE_BYTES):
            yield piece
            self._seen(len(piece))
        yield self._after


def _json(content: bytes) -> Any:
    try:
        return json.loads(content) if content else None
    except ValueError:
        return content.decode(errors="replace")
