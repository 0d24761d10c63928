"""Every file is read row by row or refused with its reason: bad inputs 50 to 61."""

import codecs
import csv
import io
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallpeck.tasks.lines import FileRefused
from smallpeck.tasks.rows import (
    MAX_ROW_BYTES,
    BadRow,
    Form,
    ReadRow,
    Row,
    declared_cell_types,
    form_of,
    read_rows,
    typed_cell,
)


def read(body: bytes, name: str = "x.csv", *, size: int | None = None, **more: Any) -> list[ReadRow]:
    return list(read_rows(chunked(body, size or max(1, len(body))), name=name, **more))


def chunked(body: bytes, size: int) -> Iterator[bytes]:
    return (body[at : at + size] for at in range(0, len(body), size))


def brief(rows: list[ReadRow]) -> list[tuple[int, object]]:
    return [(row.line, str(row.reason) if isinstance(row, BadRow) else list(row.values.values())) for row in rows]


@pytest.mark.parametrize("size", [None, 1, 3])
@pytest.mark.parametrize(
    ("body", "refusal", "line"),
    [
        pytest.param(b"", "empty_file", None, id="50 empty"),
        pytest.param(b"\xef\xbb\xbf", "empty_file", None, id="50 only a BOM"),
        pytest.param(b"\n\r\n\n", "empty_file", None, id="50 only blank lines"),
        pytest.param(b"id,text\r\n", "header_only", None, id="51 header only"),
        pytest.param(b"id,text", "header_only", None, id="51 header without line end"),
        pytest.param("id,text\n1,ä\n".encode("utf-16"), "not_utf8", 1, id="52 UTF-16"),
        pytest.param("id,text\n1,ä\n".encode("utf-16-le"), "not_utf8", 1, id="52 UTF-16 without BOM"),
        pytest.param("id,text\n1,ä\n".encode("utf-16-be"), "not_utf8", 1, id="52 UTF-16 big endian"),
        pytest.param("id,text\n1,a\n2,ä\n".encode("latin-1"), "not_utf8", 3, id="52 Latin-1"),
        pytest.param("id,text\n1,ä".encode()[:-1], "not_utf8", 2, id="52 cut in a character"),
        pytest.param(b'id,text\n1,a\n2,"b\n3,c\n', "unclosed_quote", 3, id="56 unclosed quote"),
        pytest.param(b'id,text\n1,"a\n2,"b"\n3,c\n', "unclosed_quote", 2, id="56 closed by the next quote"),
        pytest.param(b'id,"text\n1,a\n', "unclosed_quote", 1, id="56 in the header"),
        pytest.param(b"id,text,id\n1,a,2\n", "duplicate_column", 1, id="57 duplicate header"),
        pytest.param(b"id,, \n1,a,2\n", "empty_column_name", 1, id="57 column without a name"),
        pytest.param(b"a" * (MAX_ROW_BYTES + 1) + b"\n1\n", "bad_header", 1, id="57 giant header"),
        pytest.param(b",".join(b"c%d" % n for n in range(501)) + b"\n", "bad_header", 1, id="57 too many columns"),
        pytest.param(b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "not_text", None, id="61 gzip"),
        pytest.param(b"PK\x03\x04\x14\x00\x00\x00", "not_text", None, id="61 zip"),
        pytest.param(b"\x28\xb5\x2f\xfd\x04\x00", "not_text", None, id="61 zstd"),
        pytest.param(b"%PDF-1.7\nabc", "not_text", None, id="61 PDF"),
        pytest.param(b"id,text\n1,a\n2,\x00\n", "nul_character", 3, id="21 NUL"),
    ],
)
def test_a_file_that_cannot_be_understood_is_refused(
    body: bytes, refusal: str, line: int | None, size: int | None
) -> None:
    if size and len(body) > 5_000:
        size = 5_000
    with pytest.raises(FileRefused) as refused:
        read(body, size=size)
    assert (refused.value.refusal, refused.value.line) == (refusal, line)


@pytest.mark.parametrize("size", [None, 1, 2, 7])
@pytest.mark.parametrize(
    ("body", "rows"),
    [
        pytest.param(codecs.BOM_UTF8 + b"id,t\n1,a\n", [(2, ["1", "a"])], id="53 BOM"),
        pytest.param(
            b"id,t\r\n1,a\n2,b\r3,c\r\n\r\n\n4,d",
            [(2, ["1", "a"]), (3, ["2", "b"]), (4, ["3", "c"]), (7, ["4", "d"])],
            id="54 mixed line ends",
        ),
        pytest.param(
            b"id,t\n1\n2,a,b\n3,c\n", [(2, "ragged_row"), (3, "ragged_row"), (4, ["3", "c"])], id="55 ragged rows"
        ),
        pytest.param(b'id,t\n1,"a"b,c\n2,d\n', [(2, "bad_quoting"), (3, ["2", "d"])], id="56 text after a quote"),
        pytest.param(b'id,t\n1,5" pipe\n2,d\n', [(2, ["1", '5" pipe']), (3, ["2", "d"])], id="56 a quote inside"),
        pytest.param(
            b'id,t\n1,"a\r\nb,""c"""\n2,d\n', [(2, ["1", 'a\r\nb,"c"']), (4, ["2", "d"])], id="a line end in a cell"
        ),
        pytest.param(b'id,t\n1,=cmd|"/c calc"!A1\n', [(2, ["1", '=cmd|"/c calc"!A1'])], id="59 formula"),
        pytest.param("id,t\n1,\u2028\x85é\n".encode(), [(2, ["1", "\u2028\x85é"])], id="other line ends are text"),
    ],
)
def test_rows_keep_their_line_and_bad_rows_cost_no_other(
    body: bytes, rows: list[tuple[int, object]], size: int | None
) -> None:
    assert brief(read(body, size=size)) == rows


@pytest.mark.parametrize("form", ["plain", "quoted", "quoted lines", "characters"])
def test_a_five_megabyte_row_is_rejected_in_bounded_memory(form: str) -> None:
    def body() -> Iterator[bytes]:
        yield b'id,t\n1,a\n2,"' if form.startswith("quoted") else b"id,t\n1,a\n2,"
        piece = {"quoted lines": (b"x" * 63 + b"\n") * 1_024, "characters": "é".encode() * 32_768}.get(
            form, b"x" * 65_536
        )
        for _ in range(80):
            yield piece
        yield b'"\n3,b\n' if form.startswith("quoted") else b"\n3,b\n"

    tracemalloc.start()
    rows = list(read_rows(body(), name="x.csv"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [outcome for _, outcome in brief(rows)] == [["1", "a"], "row_too_large", ["3", "b"]]
    assert peak < 2_000_000


def test_the_largest_row_is_measured_in_bytes() -> None:
    fits = "é" * (MAX_ROW_BYTES // 2)
    assert brief(read(f"t\n{fits}\n{fits}x\n".encode())) == [(2, [fits]), (3, "row_too_large")]
    assert brief(read(f't\r\n"{fits[:-1]}"\r\n"{fits}"\r\n'.encode())) == [(2, [fits[:-1]]), (3, "row_too_large")]


@pytest.mark.parametrize("size", [None, 1, 1_000])
def test_json_lines_are_strict_and_a_bad_line_costs_no_other(size: int | None) -> None:
    lines = [
        b'{"id":1,"t":"a"}',
        b'{"id":1,"id":2}',
        b'{"t":NaN}',
        b'{"t":1e999}',
        b'{"t":123456789012345678901234567890}',
        b'{"t":"\\ud800"}',
        b'{"t":"\\u0000"}',
        b"[1]",
        b'"text"',
        b"{t:1}",
        b"   ",
        b'{"t":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
        b'{"t":' + b"[" * 40 + b"]" * 40 + b"}",
        b'{"t":"' + b"x" * MAX_ROW_BYTES + b'"}',
        b'{"t":{"n":1.5}}',
    ]
    bad = "bad_json"
    if size == 1:
        del lines[13]
    found = brief(read(codecs.BOM_UTF8 + b"\r\n".join(lines), "x.jsonl", size=size))
    assert found == [
        (1, [1, "a"]),
        *((line, bad) for line in range(2, 8)),
        (8, "not_an_object"),
        (9, "not_an_object"),
        (10, bad),
        (12, bad),
        (13, bad),
        *([(14, "row_too_large")] if size != 1 else []),
        (len(lines), [{"n": 1.5}]),
    ]


def test_the_detail_of_a_bad_row_does_not_repeat_it() -> None:
    rows = read(b'{"' + b"k" * 500 + b'":1,"' + b"k" * 500 + b'":2}\n{"a":SECRET}\n', "x.jsonl")
    assert all(isinstance(row, BadRow) and len(row.detail) < 100 and "SECRET" not in row.detail for row in rows)


@pytest.mark.parametrize(
    ("name", "start", "form"),
    [
        ("a.csv", b'{"a"', Form.CSV),
        ("a.JSONL", b"a,b", Form.JSON_LINES),
        ("a.ndjson", b"", Form.JSON_LINES),
        ("a", b'\xef\xbb\xbf {"a"', Form.JSON_LINES),
        ("a.txt", b"a,b", Form.CSV),
    ],
)
def test_the_form_is_told_by_the_name_and_else_by_the_content(name: str, start: bytes, form: Form) -> None:
    assert form_of(name, start) is form


@pytest.mark.parametrize(
    ("cell", "types", "value"),
    [
        ("7", {"integer"}, 7),
        ("-7", {"integer"}, -7),
        ("07", {"integer"}, "07"),
        ("+7", {"integer"}, "+7"),
        (" 7", {"integer"}, " 7"),
        ("7.0", {"integer"}, "7.0"),
        ("\u0667", {"integer"}, "\u0667"),
        ("9223372036854775807", {"integer"}, 2**63 - 1),
        ("9223372036854775808", {"integer"}, "9223372036854775808"),
        ("7", {"number"}, 7),
        ("0.25", {"number"}, 0.25),
        ("1e5", {"number"}, 100_000.0),
        ("1e999", {"number"}, "1e999"),
        ("nan", {"number"}, "nan"),
        ("true", {"boolean"}, True),
        ("True", {"boolean"}, "True"),
        ("", {"integer", "null"}, None),
        ("", {"integer"}, ""),
    ],
)
def test_a_cell_becomes_what_it_spells_exactly(cell: str, types: set[str], value: object) -> None:
    converted = typed_cell(cell, frozenset(types))
    assert (converted, type(converted)) == (value, type(value))


def test_only_declared_cells_that_may_not_be_text_are_converted() -> None:
    schema = {
        "properties": {"n": {"type": "integer"}, "t": {"type": ["string", "integer"]}, "e": {"enum": [1]}, "a": True}
    }
    assert declared_cell_types(schema) == {"n": {"integer"}}
    (row,) = read(b"n,t,other\n1,2,3\n", cell_types=declared_cell_types(schema))
    assert isinstance(row, Row)
    assert row.values == {"n": 1, "t": "2", "other": "3"}


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8) | st.sampled_from(
    ['"', ",", "\r\n", "\n", "\r", '""', " ", "é", "💶"]
)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=6),
    style=st.sampled_from([("\r\n", csv.QUOTE_MINIMAL), ("\n", csv.QUOTE_ALL), ("\r", csv.QUOTE_ALL)]),
    size=st.integers(1, 40),
)
def test_valid_csv_reads_as_pythons_own_reader_reads_it(
    rows: list[list[str]], style: tuple[str, Any], size: int
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=style[0], quoting=style[1]).writerows([["a", "b", "c"], *rows])
    expected = list(csv.reader(io.StringIO(text.getvalue(), newline=""), strict=True))[1:]
    found = read(text.getvalue().encode(), size=size)
    assert [list(row.values.values()) for row in found if isinstance(row, Row)] == expected
    assert expected == rows


@settings(max_examples=200, deadline=None)
@given(body=st.text(st.sampled_from('ab,"\r\n é')).map(str.encode) | st.binary(max_size=60), size=st.integers(1, 9))
def test_the_chunks_of_a_stream_make_no_difference(body: bytes, size: int) -> None:
    def outcome(size: int | None) -> object:
        try:
            return read(body, size=size)
        except FileRefused as refused:
            return refused.refusal, refused.line

    assert outcome(None) == outcome(size)
