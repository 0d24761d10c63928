"""Reads the parts of an HTTP API event: headers, key, query and body, each within its limits."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, quote

from pydantic import BaseModel, ValidationError

from smallpeck.kernel.errors import Invalid, Malformed, TooLarge, Unsupported
from smallpeck.runtime import strict_json
from smallpeck.runtime.problems import BadParameter
from smallpeck.runtime.routes import Idempotency
from smallpeck.runtime.schemas import NoBody, NoQuery, parameter_problem, problems_of

MAX_BODY_BYTES: Final = 256 * 1024
MAX_KEY_LENGTH: Final = 255
MAX_QUERY_LENGTH: Final = 4_096
MAX_QUERY_FIELDS: Final = 32
_KEY: Final = re.compile(rf"[\x20-\x7e]{{1,{MAX_KEY_LENGTH}}}", re.ASCII)
_CORRELATION_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:=-]{0,127}", re.ASCII)
_JSON: Final = re.compile(r"application/json\s*(?:;\s*charset\s*=\s*\"?utf-8\"?\s*)?", re.ASCII | re.IGNORECASE)


class NoBodyGiven(Malformed):
    """A request without the body that its route needs."""

    code = "body_required"


class NoIdempotencyKey(Malformed):
    """A request that makes or moves something, without the key that makes it safe to repeat."""

    code = "idempotency_key_required"


class BadIdempotencyKey(Malformed):
    """An Idempotency-Key that is too long, empty, or has other than printable ASCII characters."""

    code = "bad_idempotency_key"


@dataclass(frozen=True)
class Content:
    """A body: the JSON text and its value."""

    text: bytes
    value: Any


@dataclass(frozen=True)
class Raw:
    """A body as it came, and the headers by their lower-case names."""

    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


def raw(event: Mapping[str, Any], given: Mapping[str, str]) -> Raw:
    """The bytes of a body, whatever they are; raises TooLarge."""
    return Raw(_bytes(event), given)


def headers(event: Mapping[str, Any]) -> dict[str, str]:
    """The headers by lower-case name."""
    return {name.lower(): value for name, value in (event.get("headers") or {}).items()}


def correlation_id(event: Mapping[str, Any], context: Any) -> str:
    """The caller's `x-correlation-id` where it is well-formed, else the id of the request."""
    given = headers(event).get("x-correlation-id", "")
    if _CORRELATION_ID.fullmatch(given):
        return given
    request_id = event.get("requestContext", {}).get("requestId") or getattr(context, "aws_request_id", "")
    return str(request_id)


def idempotency_key(given: Mapping[str, str], wanted: Idempotency) -> str:
    """The Idempotency-Key of a route that takes one, "" where there is none."""
    if wanted is None:
        return ""
    key = given.get("idempotency-key")
    at = "Idempotency-Key"
    if key is None:
        if wanted == "optional":
            return ""
        detail = "this needs an Idempotency-Key"
        raise NoIdempotencyKey(detail, problems=[parameter_problem(at, detail, where="header")])
    if not _KEY.fullmatch(key):
        detail = f"an Idempotency-Key has 1 to {MAX_KEY_LENGTH} printable ASCII characters"
        raise BadIdempotencyKey(detail, problems=[parameter_problem(at, detail, where="header")])
    return key


def content(event: Mapping[str, Any], given: Mapping[str, str]) -> Content | None:
    """The body, or None where there is none; raises TooLarge, Unsupported or BadJson."""
    raw = _bytes(event)
    if not raw.strip():
        return None
    if not _JSON.fullmatch(given.get("content-type", "").strip()):
        raise Unsupported("a body is application/json in UTF-8")
    return Content(raw, strict_json.parse(raw))


def body(given: Content | None, model: type[BaseModel] | None) -> Any:
    """The body as its model; None where the route has none and none was sent."""
    if given is None:
        if model is None or model is NoBody:
            return None if model is None else NoBody()
        raise NoBodyGiven("this needs a body")
    try:
        read = (model or NoBody).model_validate_json(given.text)
    except ValidationError as error:
        raise Invalid("the body is not allowed as it is", problems=problems_of(error, given.value)) from None
    return None if model is None else read


def parameters(event: Mapping[str, Any]) -> dict[str, str]:
    """The query's parameters, each at most once."""
    raw = event.get("rawQueryString") or ""
    if len(raw) > MAX_QUERY_LENGTH:
        raise BadParameter("the query string is too long")
    try:
        pairs = parse_qsl(raw, keep_blank_values=True, errors="strict", max_num_fields=MAX_QUERY_FIELDS)
    except ValueError as error:
        raise BadParameter("the query string cannot be read") from error
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadParameter("a query parameter is given twice")
    return found


def query(given: Mapping[str, str], model: type[BaseModel] | None) -> Any:
    """The query as its model; None where the route has none."""
    try:
        read = (model or NoQuery).model_validate_strings(dict(given))
    except ValidationError as error:
        found = [
            parameter_problem(one.pointer.removeprefix("/"), one.detail, where="query")
            for one in problems_of(error, given)
        ]
        raise Invalid("the query is not allowed as it is", problems=found) from None
    return None if model is None else read


def printable(path: str) -> str:
    """A path as a URI reference, whatever it held, cut to what is worth repeating."""
    return quote(path[:MAX_KEY_LENGTH].encode("utf-8", "replace"), safe="/%-._~{}:@")


def _bytes(event: Mapping[str, Any]) -> bytes:
    text = event.get("body") or ""
    encoded = bool(event.get("isBase64Encoded"))
    if len(text) > MAX_BODY_BYTES * (4 if encoded else 3) // 3 + 4:
        raise TooLarge(f"a body has at most {MAX_BODY_BYTES} bytes")
    try:
        raw = base64.b64decode(text, validate=True) if encoded else text.encode("utf-8")
    except (binascii.Error, ValueError) as error:
        raise strict_json.BadJson("the body is not UTF-8") from error
    if len(raw) > MAX_BODY_BYTES:
        raise TooLarge(f"a body has at most {MAX_BODY_BYTES} bytes")
    return raw
