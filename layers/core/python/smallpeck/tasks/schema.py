"""Requesters' JSON Schemas (2020-12): which are accepted, and what they say about a value.

A requester writes the schema, workers and uploads supply the values, and our functions pay for the checking: so a
schema may use only keywords whose cost is bounded by the size of schema and value. No `$ref` (cycles), no `pattern`
(regular expressions that never end), `uniqueItems` only for short arrays, few alternatives.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from smallpeck.kernel.errors import Invalid, Problem

if TYPE_CHECKING:
    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

JsonValue: TypeAlias = Any

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
MAX_SCHEMA_BYTES: Final = 16 * 1024
MAX_SCHEMA_DEPTH: Final = 16
MAX_ALTERNATIVES: Final = 32
MAX_UNIQUE_ITEMS: Final = 100
MAX_PROBLEMS: Final = 20
MAX_VALUE_DEPTH: Final = 32
MAX_INTEGER: Final = 2**63 - 1
ECHO_CHARACTERS: Final = 40
_SHOWN_NAMES: Final = 5

TYPES: Final = frozenset({"null", "boolean", "object", "array", "number", "integer", "string"})


class BadSchema(Invalid):
    """A schema that is not accepted; the problems point into it."""

    code = "bad_schema"


def check_schema(schema: JsonValue) -> None:
    """Accepts a schema or raises BadSchema with a pointer for each problem (at most `MAX_PROBLEMS`)."""
    if not isinstance(schema, Mapping):
        raise _bad([Problem("", "a schema is a JSON object")])
    unfit = unfit_for_json(schema, max_depth=4 * MAX_SCHEMA_DEPTH)
    if unfit is not None:
        raise _bad([unfit])
    size = len(json.dumps(schema, ensure_ascii=False, separators=(",", ":")).encode())
    if size > MAX_SCHEMA_BYTES:
        raise _bad([Problem("", f"a schema has at most {MAX_SCHEMA_BYTES} bytes")])
    problems = list(islice(_problems_of(schema, "", 1), MAX_PROBLEMS))
    if not problems and _alternatives(schema) > MAX_ALTERNATIVES:
        problems = [Problem("", f"anyOf, oneOf and allOf have at most {MAX_ALTERNATIVES} alternatives together")]
    if problems:
        raise _bad(problems)


@dataclass(frozen=True)
class Checker:
    """Says what is wrong with values, for one accepted schema."""

    schema: Mapping[str, JsonValue]

    def problems(self, value: JsonValue) -> list[Problem]:
        """What is wrong with `value` (at most `MAX_PROBLEMS`), empty where nothing is. Never repeats the value."""
        unfit = unfit_for_json(value)
        if unfit is not None:
            return [unfit]
        errors = self._validator.iter_errors(value)
        found = (Problem(pointer(*error.absolute_path), _explain(error)) for error in errors)
        return list(dict.fromkeys(islice(found, MAX_PROBLEMS)))

    @cached_property
    def _validator(self) -> "Validator":
        # Heavy to import, and most functions that know schemas never check a value.
        from jsonschema import Draft202012Validator

        return cast("Validator", Draft202012Validator(cast("Any", self.schema)))


def pointer(*steps: str | int) -> str:
    """The RFC 6901 JSON Pointer of a path."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def unfit_for_json(value: JsonValue, *, max_depth: int = MAX_VALUE_DEPTH) -> Problem | None:
    """What keeps a value from being stored and checked as JSON: depth, NaN, huge integers, NUL, lone surrogates."""
    waiting: list[tuple[JsonValue, int]] = [(value, 1)]
    while waiting:
        one, depth = waiting.pop()
        if isinstance(one, str):
            detail = _unfit_text(one)
        elif isinstance(one, float):
            detail = None if math.isfinite(one) else "a number must be finite"
        elif isinstance(one, int):
            detail = None if -MAX_INTEGER <= one <= MAX_INTEGER else "an integer must fit 64 bits"
        elif isinstance(one, Mapping | list):
            detail = f"nested more than {max_depth} levels deep" if depth > max_depth else None
            if isinstance(one, Mapping):
                waiting += [(name, depth) for name in one]
                one = list(one.values())
            waiting += [(inner, depth + 1) for inner in one]
        else:
            detail = None if one is None else "not a JSON value"
        if detail is not None:
            return Problem("", detail)
    return None


def _unfit_text(text: str) -> str | None:
    if "\0" in text:
        return "text must not contain NUL"
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        return "text must not contain half of a surrogate pair"
    return None


def _bad(problems: list[Problem]) -> BadSchema:
    return BadSchema("the schema is not accepted", problems=problems)


# What a schema may say


def _is_count(value: JsonValue) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_INTEGER


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_types(value: JsonValue) -> bool:
    names = value if isinstance(value, list) and value else [value]
    return all(isinstance(name, str) and name in TYPES for name in names) and len(set(names)) == len(names)


def _is_names(value: JsonValue) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value) and len(set(value)) == len(value)


_KEYWORDS: Final[Mapping[str, tuple[Callable[[JsonValue], bool], str]]] = {
    "$schema": (lambda value: value == DIALECT, f"must be {DIALECT}"),
    "$comment": (lambda value: isinstance(value, str), "must be text"),
    "title": (lambda value: isinstance(value, str), "must be text"),
    "description": (lambda value: isinstance(value, str), "must be text"),
    "format": (lambda value: isinstance(value, str), "must be text"),
    "default": (lambda _: True, ""),
    "const": (lambda _: True, ""),
    "examples": (lambda value: isinstance(value, list), "must be an array"),
    "enum": (lambda value: isinstance(value, list) and bool(value), "must be an array that is not empty"),
    "type": (_is_types, "must be a JSON type, or an array of different ones"),
    "required": (_is_names, "must be an array of different property names"),
    "uniqueItems": (lambda value: isinstance(value, bool), "must be true or false"),
    "multipleOf": (lambda value: _is_number(value) and value > 0, "must be a number above zero"),
    **dict.fromkeys(
        ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"),
        (_is_count, "must be a whole number, zero or more"),
    ),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), (_is_number, "must be a number")),
}
_ONE_SUBSCHEMA: Final = ("additionalProperties", "items", "not")
_SUBSCHEMA_LISTS: Final = ("prefixItems", "anyOf", "oneOf", "allOf")
_MAY_BE_FALSE: Final = ("/additionalProperties", "/items")  # elsewhere the checker could not say where it failed
_ALTERNATIVES: Final = ("anyOf", "oneOf", "allOf")


def _problems_of(schema: JsonValue, at: str, depth: int) -> Iterator[Problem]:
    if schema is False and not at.endswith(_MAY_BE_FALSE):
        yield Problem(at, "false is only understood in additionalProperties and items")
    if isinstance(schema, bool):
        return
    if not isinstance(schema, Mapping):
        yield Problem(at, "a schema is an object, true or false")
        return
    if depth > MAX_SCHEMA_DEPTH:
        yield Problem(at, f"schemas are nested at most {MAX_SCHEMA_DEPTH} deep")
        return
    for keyword, value in schema.items():
        here = at + pointer(keyword)
        if keyword in _KEYWORDS:
            fits, expected = _KEYWORDS[keyword]
            if not fits(value):
                yield Problem(here, expected)
        elif keyword not in ("properties", *_ONE_SUBSCHEMA, *_SUBSCHEMA_LISTS):
            yield Problem(at + pointer(_clip(keyword)), "this keyword is not supported here")
    yield from _subschema_problems(schema, at, depth)
    if schema.get("uniqueItems") is True and not (
        _is_count(schema.get("maxItems")) and schema["maxItems"] <= MAX_UNIQUE_ITEMS
    ):
        yield Problem(at + "/uniqueItems", f"needs maxItems of at most {MAX_UNIQUE_ITEMS} beside it")


def _subschema_problems(schema: Mapping[str, JsonValue], at: str, depth: int) -> Iterator[Problem]:
    for keyword in _SUBSCHEMA_LISTS:
        value = schema.get(keyword, [True])
        if not isinstance(value, list) or not value:
            yield Problem(at + pointer(keyword), "must be an array of schemas that is not empty")
    if not isinstance(schema.get("properties", {}), Mapping):
        yield Problem(at + "/properties", "must be an object of schemas")
    for steps, inner in _subschemas(schema):
        yield from _problems_of(inner, at + pointer(*steps), depth + 1)


def _subschemas(schema: Mapping[str, JsonValue]) -> Iterator[tuple[tuple[str | int, ...], JsonValue]]:
    properties = schema.get("properties")
    if isinstance(properties, Mapping):
        yield from ((("properties", name), inner) for name, inner in properties.items())
    yield from (((keyword,), schema[keyword]) for keyword in _ONE_SUBSCHEMA if keyword in schema)
    for keyword in _SUBSCHEMA_LISTS:
        value = schema.get(keyword)
        if isinstance(value, list):
            yield from (((keyword, place), inner) for place, inner in enumerate(value))


def _alternatives(schema: JsonValue) -> int:
    if not isinstance(schema, Mapping):
        return 0
    own = sum(len(schema.get(keyword, ())) for keyword in _ALTERNATIVES)
    return own + sum(_alternatives(inner) for _, inner in _subschemas(schema))


# What is wrong with a value


def _clip(text: str) -> str:
    return text if len(text) <= ECHO_CHARACTERS else text[: ECHO_CHARACTERS - 1] + "…"


def _names(names: list[str]) -> str:
    shown = ", ".join(_clip(name) for name in names[:_SHOWN_NAMES])
    return shown if len(names) <= _SHOWN_NAMES else f"{shown} and {len(names) - _SHOWN_NAMES} more"


def _explain(error: "ValidationError") -> str:
    """What must hold, in words of the schema alone; the value may be private and is never repeated."""
    limit: Any = error.validator_value
    value: Any = error.instance
    keyword = str(error.validator)
    match keyword:
        case "type":
            return f"must be {limit if isinstance(limit, str) else ' or '.join(limit)}"
        case "required":
            return f"lacks {_names([name for name in limit if name not in value])}"
        case "additionalProperties" if isinstance(value, Mapping):
            known = cast("Mapping[str, Any]", error.schema).get("properties", {})
            return f"has unknown properties: {_names([name for name in value if name not in known])}"
        case "enum" | "const":
            return "is none of the allowed values"
        case "uniqueItems":
            return "must not hold a value twice"
        case "anyOf" | "oneOf":
            return f"must fit {'at least' if keyword == 'anyOf' else 'exactly'} one of the alternatives of {keyword}"
        case "not":
            return "must not fit the schema of not"
        case "None" | "additionalProperties" | "items" | "prefixItems":
            return "is not allowed here"
    return f"does not keep to {keyword} {_clip(json.dumps(limit))}"
