"""JSON is read in one way, or not at all, and no text makes that slow or breaks the reader."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallpeck.runtime.strict_json import MAX_DEPTH, BadJson, parse

KIB_256 = 256 * 1024

BAD = {
    "nothing": b"",
    "not JSON": b"{a: 1}",
    "two values": b"{} {}",
    "a trailing comma": b"[1,]",
    "single quotes": b"{'a': 1}",
    "NaN": b'{"a": NaN}',
    "Infinity": b"[Infinity]",
    "minus Infinity": b"[-Infinity]",
    "a number beyond all floats": b"[1e400]",
    "a number of 5,000 digits": b"[" + b"9" * 5_000 + b"]",
    "the same member twice": b'{"a": 1, "a": 1}',
    "the same member twice, spelled differently": b'{"a": 1, "\\u0061": 2}',
    "the same member twice, deep inside": b'[[{"x": {"b": 1, "b": 2}}]]',
    "invalid UTF-8": b'{"a": "\xff"}',
    "an overlong encoding": b'"\xc0\xaf"',
    "an encoded surrogate": b'"\xed\xa0\x80"',
    "a lone high surrogate": b'"\\ud800"',
    "a lone low surrogate": b'["\\uDC00"]',
    "a lone surrogate in a name": b'{"\\ud800": 1}',
    "surrogates the wrong way round": b'"\\ude00\\ud83d"',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "a control character in a string": b'"\n"',
    "depth 1,000": b"[" * 1_000 + b"]" * 1_000,
    "depth 1,000 of objects": b'{"a":' * 1_000 + b"1" + b"}" * 1_000,
    "depth beyond any stack": b"[" * KIB_256,
    "one too deep": b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_what_cannot_be_read_in_one_way_is_refused(text: bytes) -> None:
    with pytest.raises(BadJson):
        parse(text)


def test_the_deepest_that_is_read() -> None:
    value = parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    for _ in range(MAX_DEPTH - 1):
        value = value[0]
    assert value == []


def test_brackets_inside_strings_are_no_depth() -> None:
    text = json.dumps(["[{" * 500, '"[{\\' * 100]).encode()
    assert parse(text) == ["[{" * 500, '"[{\\' * 100]


def test_many_values_side_by_side_are_no_depth() -> None:
    assert len(parse(b"[" + b"{}," * 1_000 + b"{}]")) == 1_001


def test_a_surrogate_pair_is_a_character() -> None:
    assert parse(b'"\\ud83d\\ude00"') == "\N{GRINNING FACE}"


def test_an_escaped_backslash_before_u_is_no_surrogate() -> None:
    assert parse(b'"\\\\ud800"') == "\\ud800"


@pytest.mark.parametrize(
    "text",
    [b'"' + b'\\"' * (KIB_256 // 2 - 1), b"[" * 65 + b'\\"' * 100_000, b"[" * 65 + b'"' + b'\\"' * 100_000 + b"\\"],
)
def test_no_text_of_the_largest_size_takes_long(text: bytes) -> None:
    started = time.process_time()
    with pytest.raises(BadJson):
        parse(text)
    # Scanning from every quote to the end would take minutes.
    assert time.process_time() - started < 2


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(value=JSON_VALUES, ascii_only=st.booleans())
def test_whatever_can_be_written_is_read_back(value: object, *, ascii_only: bool) -> None:
    assert parse(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_refused(text: bytes) -> None:
    try:
        value = parse(text)
    except BadJson:
        return
    assert json.loads(text) == value
