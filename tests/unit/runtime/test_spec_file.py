"""A spec file says one thing or is refused; a small one never becomes a large thing."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallpeck.kernel.errors import Invalid
from smallpeck.runtime.spec_file import MAX_DEPTH, MAX_VALUES, BadSpec, check, parse

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20)
NAMES = st.text("abc<~/", min_size=1, max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


def yaml(text: str | bytes) -> Any:
    return parse("x.yaml", text.encode() if isinstance(text, str) else text).value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("NO", "NO"),
        ("no", "no"),
        ("yes", "yes"),
        ("true", True),
        ("'true'", "true"),
        ("2026-11-22T09:39:07Z", "2026-11-22T09:39:07Z"),
        ("2026-11-22", "2026-11-22"),
        ("010", "010"),
        ("0x1f", "0x1f"),
        ("1:30", "1:30"),
        ("12", 12),
        ("-0.5", -0.5),
        ('"0.05"', "0.05"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("~", None),
        ("|\n  two\n  lines\n", "two\nlines\n"),
        ("[1, [], {}]", [1, [], {}]),
        ("{a: [x, &n {b: 1}], c: *n}", {"a": ["x", {"b": 1}], "c": {"b": 1}}),
        ("{1: x, true: y}", {"1": "x", "true": "y"}),
        ("{<<: x}", {"<<": "x"}),
        ("# only\n- a\n", ["a"]),
    ],
)
def test_plain_yaml_means_what_it_looks_like(text: str, value: Any) -> None:
    assert yaml(text) == value


@given(JSON)
@settings(max_examples=200, deadline=None)
def test_yaml_reads_json_as_json(value: Any) -> None:
    text = json.dumps(value).encode()
    assert parse("x.json", text).value == value
    if "\\u" not in text.decode():
        assert yaml(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "", "# nothing", "a: 1\n---\nb: 2", "a: 1\na: 2", "a: [1", "a: *b", "&a [*a]", "{? [x] : y}", "a:\n\t- b",
        "!!binary aGVsbG8=", "!!python/name:os.system", "a: !!str 1", "a: !!python/object/new:os.system [x]", "%BAD",
        "a: !own {b: 1}", "- !!set {x}", b"\xff\xfea", b"\x00", "1" * 400 + "e999", "a: 1e999",
    ],
)  # fmt: skip
def test_what_is_no_plain_document_is_refused(text: str | bytes) -> None:
    with pytest.raises(BadSpec) if text != "1" * 400 + "e999" else pytest.raises((BadSpec, Invalid)):
        check_any(text)


def check_any(text: str | bytes) -> None:
    parsed = parse("x.yaml", text.encode() if isinstance(text, str) else text)
    check(parsed)


BOMBS = {
    "billion laughs": "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"{name}: &{name} [{','.join([f'*{chr(ord(name) - 1)}'] * 9)}]\n" for name in "bcdefghi"),
    "deep brackets": "[" * 60_000,
    "deep mappings": "{a: " * 15_000,
    "deep by indent": "".join("  " * n + "a:\n" for n in range(200)),
    "many aliases": "a: &a x\nb: [" + "*a, " * 10_000 + "]",
    "many anchors": "".join(f"- &a{n} x\n" for n in range(8_000)) + "- *a1\n" * 60,
    "nested anchors": "".join(f"&a{n} [" for n in range(5_000)),
    "too long": "a: " + "x" * 70_000,
    "many keys": "{" + "a, " * 20_000 + "}",
    "many values": "[" + "1," * 30_000 + "]",
    "open quote": 'a: "' + "\\" * 60_000,
    "colons": ":" * 60_000,
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("name", ["x.yaml", "x.json"])
def test_a_small_file_that_would_become_large_is_refused_soon(bomb: str, name: str) -> None:
    started = time.process_time()
    with pytest.raises((BadSpec, Invalid)):
        check(parse(name, BOMBS[bomb].encode()))
    assert time.process_time() - started < 10


def test_the_bounds_are_where_they_are_said_to_be() -> None:
    assert yaml("[" * MAX_DEPTH + "]" * MAX_DEPTH) is not None
    with pytest.raises(BadSpec, match="nested deeper"):
        yaml("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))
    assert len(yaml("[" + "1," * (MAX_VALUES - 1) + "]")) == MAX_VALUES - 1
    with pytest.raises(BadSpec, match="values"):
        yaml("[" + "1," * MAX_VALUES + "]")
    assert len(yaml("a: &a x\nb: [" + "*a, " * 50 + "]")["b"]) == 50
    with pytest.raises(BadSpec, match="aliases"):
        yaml("a: &a x\nb: [" + "*a, " * 51 + "]")


def test_lines_are_those_of_the_file() -> None:
    lines = parse("x.yaml", b"a: 1\nb:\n  - c\n  - d: 2\n").lines
    assert lines == {"": 1, "/a": 1, "/b": 3, "/b/0": 3, "/b/1": 4, "/b/1/d": 4}
