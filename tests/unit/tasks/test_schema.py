"""Which schemas are accepted, and what they say of values."""

from typing import Any

import pytest

from smallpeck.kernel.errors import Problem
from smallpeck.tasks.schema import (
    DIALECT,
    MAX_ALTERNATIVES,
    MAX_PROBLEMS,
    MAX_SCHEMA_BYTES,
    BadSchema,
    Checker,
    check_schema,
    pointer,
)

EVERYTHING = {
    "$schema": DIALECT,
    "$comment": "c",
    "title": "t",
    "description": "d",
    "type": ["object", "null"],
    "properties": {
        "text": {"type": "string", "minLength": 1, "maxLength": 9, "format": "uri", "examples": ["a"]},
        "number": {"type": "number", "multipleOf": 0.5, "exclusiveMinimum": 0, "exclusiveMaximum": 9},
        "label": {"enum": ["cat", "dog"], "default": "cat"},
        "list": {"type": "array", "items": {"const": 1}, "minItems": 1, "maxItems": 5, "uniqueItems": True},
        "pair": {"prefixItems": [{"type": "integer", "minimum": 1, "maximum": 2}], "items": False},
        "either": {"anyOf": [{"type": "null"}, {"not": {"type": "string"}}]},
    },
    "required": ["text"],
    "minProperties": 1,
    "maxProperties": 9,
    "additionalProperties": False,
}


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels - 1):
        schema = {"items": schema}
    return schema


def test_every_supported_keyword_is_accepted() -> None:
    check_schema(EVERYTHING)
    check_schema({})
    check_schema(nested(16))


@pytest.mark.parametrize(
    ("schema", "at"),
    [
        (True, ""),
        ([], ""),
        ({"$ref": "#"}, "/$ref"),
        ({"properties": {"a/b": {"pattern": "(a+)+$"}}}, "/properties/a~1b/pattern"),
        ({"patternProperties": {}}, "/patternProperties"),
        ({"if": {}}, "/if"),
        ({"uniqueItems": True}, "/uniqueItems"),
        ({"uniqueItems": True, "maxItems": 101}, "/uniqueItems"),
        ({"type": "text"}, "/type"),
        ({"type": []}, "/type"),
        ({"type": ["string", "string"]}, "/type"),
        ({"required": ["a", "a"]}, "/required"),
        ({"enum": []}, "/enum"),
        ({"minLength": -1}, "/minLength"),
        ({"maxItems": True}, "/maxItems"),
        ({"maxItems": 1.5}, "/maxItems"),
        ({"multipleOf": 0}, "/multipleOf"),
        ({"minimum": "1"}, "/minimum"),
        ({"minimum": float("nan")}, ""),
        ({"const": 2**63}, ""),
        ({"const": "\ud800"}, ""),
        ({"anyOf": []}, "/anyOf"),
        ({"anyOf": {}}, "/anyOf"),
        ({"properties": []}, "/properties"),
        ({"properties": {"a": 1}}, "/properties/a"),
        ({"properties": {"a": False}}, "/properties/a"),
        ({"items": [{}]}, "/items"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "/$schema"),
        (nested(17), "/items" * 16),
        (nested(5_000), ""),
        ({"anyOf": [{"type": "null"}] * (MAX_ALTERNATIVES + 1)}, ""),
        ({"description": "x" * MAX_SCHEMA_BYTES}, ""),
    ],
)
def test_what_is_not_supported_is_refused_where_it_stands(schema: Any, at: str) -> None:
    with pytest.raises(BadSchema) as refused:
        check_schema(schema)
    assert [problem.pointer for problem in refused.value.problems] == [at]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"text": "a"}, None),
        (None, None),
        ({"text": "a", "list": [1], "pair": [1], "either": 3, "number": 1.5, "label": "dog"}, None),
        ([], Problem("", "must be object or null")),
        ({"label": "cat"}, Problem("", "lacks text")),
        ({"text": ""}, Problem("/text", "does not keep to minLength 1")),
        ({"text": "a", "number": 0.7}, Problem("/number", "does not keep to multipleOf 0.5")),
        ({"text": "a", "label": "SECRET"}, Problem("/label", "is none of the allowed values")),
        ({"text": "a", "list": [1, 1]}, Problem("/list", "must not hold a value twice")),
        ({"text": "a", "list": [2]}, Problem("/list/0", "is none of the allowed values")),
        ({"text": "a", "pair": [1, "SECRET"]}, Problem("/pair", "is not allowed here")),
        ({"text": "a", "either": "SECRET"}, Problem("/either", "must fit at least one of the alternatives of anyOf")),
        ({"text": "a", "more": "SECRET"}, Problem("", "has unknown properties: more")),
        ({"text": "a", "number": float("inf")}, Problem("", "a number must be finite")),
        ({"text": "a\0"}, Problem("", "text must not contain NUL")),
        ({"text": "\udc00"}, Problem("", "text must not contain half of a surrogate pair")),
        ({"text": "a", "number": 10**400}, Problem("", "an integer must fit 64 bits")),
    ],
)
def test_problems_name_the_place_and_never_the_value(value: Any, problem: Problem | None) -> None:
    found = Checker(EVERYTHING).problems(value)
    assert found == ([] if problem is None else [problem])
    assert "SECRET" not in str(found)


def test_long_names_are_cut_and_problems_limited() -> None:
    checker = Checker({"additionalProperties": False, "properties": {}})
    (problem,) = checker.problems({"n" * 1_000: 1})
    assert problem.detail == f"has unknown properties: {'n' * 39}…"
    many = Checker({"items": {"type": "null"}}).problems([1] * 1_000)
    assert len(many) == MAX_PROBLEMS


def test_a_value_nested_too_deep_is_a_problem_and_not_a_crash() -> None:
    value: Any = 1
    for _ in range(10_000):
        value = [value]
    assert Checker({}).problems(value) == [Problem("", "nested more than 32 levels deep")]


def test_pointers_escape_what_rfc_6901_escapes() -> None:
    assert pointer("a/b", 0, "~") == "/a~1b/0/~0"
