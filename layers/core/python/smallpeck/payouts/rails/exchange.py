"""One exchange of JSON over HTTP with a provider: one attempt, nothing believed that is too large or unreadable."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

import urllib3

STAGE_WITHOUT_TLS = "local"
MAX_SECRET_LENGTH = 4_096


class Http(Protocol):
    """What is asked of `urllib3.PoolManager`."""

    def request(self, method: str, url: str, **arguments: Any) -> urllib3.BaseHTTPResponse: ...


class BadProvider(ValueError):
    """A provider's address or secret that cannot be used. Raised at the start, before any payout is touched."""


@dataclass(frozen=True)
class Reply:
    """What came back: a status and a JSON object, or why there is none."""

    status: int = 0
    document: Mapping[str, Any] = field(default_factory=dict)
    failure: str | None = None


def exchange(
    http: Http,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    content: bytes | None,
    timeout: urllib3.Timeout,
    max_bytes: int,
) -> Reply:
    """Sends once, follows no redirect, and reads at most `max_bytes`; whether to try again is the caller's business."""
    received = fetch(http, method, url, headers=headers, content=content, timeout=timeout, max_bytes=max_bytes)
    if isinstance(received, str):
        return Reply(failure=received)
    status, answer = received
    document = json_object(answer)
    return Reply(failure=f"http_{status}") if document is None else Reply(status, document)


def fetch(
    http: Http,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    content: bytes | None,
    timeout: urllib3.Timeout,
    max_bytes: int,
) -> tuple[int, bytes] | str:
    """Status and body, or the name of what went wrong."""
    try:
        response = http.request(
            method,
            url,
            body=content,
            headers={"Accept-Encoding": "identity", **headers},
            timeout=timeout,
            redirect=False,
            retries=False,
            preload_content=False,
            decode_content=False,
        )
        received: bytes = response.read(max_bytes + 1, decode_content=False)
    except urllib3.exceptions.TimeoutError:
        return "timeout"
    except urllib3.exceptions.HTTPError:
        return "no_answer"
    if len(received) > max_bytes:
        response.close()
        return "answer_too_large"
    response.release_conn()
    return response.status, received


def json_object(content: bytes) -> dict[str, Any] | None:
    """The JSON object of a body; None where it is none, or names a member twice."""
    try:
        document = json.loads(content, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def checked_address(url: str, stage: str) -> str:
    """An address to put paths behind; raises BadProvider where it cannot be spoken to safely."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and stage == STAGE_WITHOUT_TLS):
        raise BadProvider("a provider is spoken to over https")
    if not parts.hostname or parts.username is not None or parts.query or parts.fragment:
        raise BadProvider("a provider's address is https://host[:port][/path]")
    return url.rstrip("/")


def secret_fields(secret: str, *names: str) -> list[str]:
    """The named members of a secret that is a JSON object of strings; raises BadProvider where one is missing."""
    document = json_object(secret.encode())
    found = [None if document is None else document.get(name) for name in names]
    values = [value for value in found if isinstance(value, str) and is_printable(value)]
    if len(values) != len(names):
        raise BadProvider(f"the secret is a JSON object with {', '.join(names)}")
    return values


def is_printable(secret: str) -> bool:
    """Whether a secret can stand in a header."""
    return 0 < len(secret) <= MAX_SECRET_LENGTH and secret.isascii() and secret.isprintable() and " " not in secret


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is named twice")
    return members
