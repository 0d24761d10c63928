"""JSON that can be read in only one way: UTF-8, no duplicate names, finite numbers, whole characters, shallow."""

import json
import re
from typing import Any, Final, NoReturn

from smallpeck.kernel.errors import Malformed

MAX_DEPTH: Final = 64

# A string that is never closed runs to the end, so that no text makes the scan start over and over.
_STRING_OR_BRACKET: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_SURROGATE_ESCAPE: Final = re.compile(r"\\u[dD][89a-fA-F]")


class BadJson(Malformed):
    """Bytes that are no JSON text, or one that could be read in two ways."""

    code = "bad_json"


def parse(body: bytes) -> Any:
    """The value of a JSON text; raises BadJson."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadJson("the body is not UTF-8") from error
    _check_depth(text)
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_finite, strict=True
        )
    except json.JSONDecodeError as error:
        raise BadJson(f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
    except ValueError as error:
        raise BadJson("the body has a number with too many digits") from error
    if _SURROGATE_ESCAPE.search(text):
        _check_characters(value)
    return value


def _check_depth(text: str) -> None:
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        found = match[0]
        if found in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise BadJson(f"the body is nested deeper than {MAX_DEPTH}")
        elif found in "]}":
            depth -= 1


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise BadJson("an object names a member twice")
    return members


def _no_constant(name: str) -> NoReturn:
    raise BadJson(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise BadJson("the body has a number that is out of range")
    return number


def _check_characters(value: Any) -> None:
    # Surrogates in a pair were joined by the parser, so any that is left stands alone.
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting.extend(one.keys())
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
        elif isinstance(one, str) and _SURROGATE.search(one):
            raise BadJson("the body has half of a surrogate pair")
