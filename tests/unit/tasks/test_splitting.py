"""A file becomes parts, a manifest and a quarantine: complete, repeatable, in memory that does not grow with it."""

import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from smallpeck.kernel.ids import ordinal_of_task
from smallpeck.tasks import splitting
from smallpeck.tasks.lines import Refusal
from smallpeck.tasks.splitting import KeySet, Split, SplitOrder, parse_part, split

SCHEMA = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "text": {"type": "string", "maxLength": 40}, "n": {"type": "integer"}},
    "required": ["text"],
}


class Writer:
    def __init__(self, sink: "Sink", name: str) -> None:
        self.sink, self.name, self.body, self.abandoned = sink, name, b"", False

    def write(self, body: bytes) -> None:
        self.body += body

    def close(self) -> str:
        return self.sink.put(self.name, self.body)

    def abandon(self) -> None:
        self.abandoned = True


class Sink:
    """Keeps files in memory, or with `forget` only their sizes."""

    def __init__(self, *, forget: bool = False) -> None:
        self.files: dict[str, bytes] = {}
        self.forget = forget

    def put(self, name: str, body: bytes) -> str:
        assert self.forget or name not in self.files
        self.files[name] = b"" if self.forget else body
        return f"k/{name}"

    def writer(self, name: str) -> Writer:
        return Writer(self, name)


def run(body: bytes, *, schema: Any = SCHEMA, name: str = "x.csv", size: int = 1_000) -> tuple[Split, Sink]:
    sink = Sink()
    chunks = (body[at : at + size] for at in range(0, len(body), size))
    return split(chunks=chunks, order=SplitOrder("b1", name, schema), sink=sink), sink


def quarantined(sink: Sink) -> list[tuple[int, str]]:
    lines = sink.files["quarantine.jsonl"].splitlines()
    return [(one["line"], one["reason"]) for one in map(json.loads, lines)]


def test_rows_become_parts_with_line_ordinal_and_input() -> None:
    found, sink = run(b'id,text,n\na,"one\ntwo",1\nb,x,2\n')
    assert (found.read, found.accepted, found.rejected, found.parts, found.refused) == (2, 2, 0, 1, None)
    assert json.loads(sink.files["manifest.json"]) == [{"key": "k/parts/000000.jsonl", "part": 0, "rows": 2}]
    first, second = parse_part(sink.files["parts/000000.jsonl"])
    assert (first.line, first.ordinal, first.row_id) == (2, 0, "a")
    assert first.input_text == '{"id":"a","n":1,"text":"one\\ntwo"}'
    assert (second.line, ordinal_of_task(second.task_id)) == (4, 1)
    assert found.largest_input_bytes == len(first.input_text)
    assert "quarantine.jsonl" not in sink.files


def test_every_bad_row_is_in_quarantine_with_line_and_reason() -> None:
    body = b"id,text,n\na,x,1\na,y,2\nb\n,z,3\nc,w,four\nd," + b"w" * 41 + b",5\ne,ok,6\n"
    found, sink = run(body)
    assert quarantined(sink) == [
        (3, "duplicate_row_id"),
        (4, "ragged_row"),
        (5, "bad_row_id"),
        (6, "schema"),
        (7, "schema"),
    ]
    assert (found.read, found.accepted, found.rejected) == (7, 2, 5)
    assert [bad.line for bad in found.sample] == [3, 4, 5, 6, 7]
    assert found.sample[3].detail == "/n must be integer"
    assert [row.row_id for row in parse_part(sink.files["parts/000000.jsonl"])] == ["a", "e"]


def test_a_rejected_row_does_not_take_its_id() -> None:
    found, _ = run(b"id,text,n\na,x,bad\na,x,1\n")
    assert (found.accepted, found.rejected) == (1, 1)


def test_rows_without_an_id_are_told_apart_by_what_they_say() -> None:
    body = b'{"text":"x","n":1}\n{"n":1,"text":"x"}\n{"text":"y"}\n{"id":7,"text":"x"}\n{"id":"7","text":"x"}\n'
    found, sink = run(body, name="x.jsonl", schema={})
    assert quarantined(sink) == [(2, "duplicate_row"), (5, "duplicate_row_id")]
    assert [row.row_id for row in parse_part(sink.files["parts/000000.jsonl"])] == ["line-1", "line-3", "7"]
    assert found.accepted == 3


@pytest.mark.parametrize("row_id", ["true", "1.5", "null", "[]", '""', f'"{"x" * 201}"'])
def test_an_id_is_short_text_or_a_whole_number(row_id: str) -> None:
    _, sink = run(b'{"id":' + row_id.encode() + b'}\n{"id":1}\n', name="x.jsonl", schema={})
    assert quarantined(sink) == [(1, "bad_row_id")]


def test_a_row_that_grows_too_large_as_json_is_rejected() -> None:
    body = b"id,text\na," + b"\x01" * 20_000 + b"\nb,x\n"
    _, sink = run(body, schema={})
    assert quarantined(sink) == [(2, "row_too_large")]


def test_a_file_without_one_good_row_is_refused_with_its_quarantine() -> None:
    found, sink = run(b"id,text\na\nb\n")
    assert found.refused is not None
    assert (found.refused.refusal, found.read, found.rejected) == (Refusal.NO_GOOD_ROWS, 2, 2)
    assert found.quarantine_key == "k/quarantine.jsonl"
    assert set(sink.files) == {"quarantine.jsonl"}


def test_a_refused_file_has_no_manifest(monkeypatch: pytest.MonkeyPatch) -> None:
    found, sink = run(b'id,text\na,x\nb\nc,"open\n')
    assert found.refused is not None
    assert (found.refused.refusal, found.refused.line) == (Refusal.UNCLOSED_QUOTE, 4)
    assert sink.files == {}
    monkeypatch.setattr(splitting, "MAX_FILE_BYTES", 10)
    found, _ = run(b"id,text\na,x\nb,y\n", size=4)
    assert found.refused is not None
    assert found.refused.refusal == Refusal.FILE_TOO_LARGE


def generated(rows: int, *, size: int = 65_536) -> Iterator[bytes]:
    held = b"id,text,n\n"
    for number in range(rows):
        bad = number % 100 == 99
        held += b"r%d,some text of row %d,%s\n" % (number, number, b"bad" if bad else b"%d" % number)
        if len(held) >= size:
            yield held
            held = b""
    yield held


def test_parts_are_small_dense_and_the_same_every_time() -> None:
    first, second = Sink(), Sink()
    found = split(chunks=generated(5_000), order=SplitOrder("b1", "x.csv", SCHEMA), sink=first)
    again = split(chunks=generated(5_000, size=777), order=SplitOrder("b1", "x.csv", SCHEMA), sink=second)
    assert (found, first.files) == (again, second.files)
    assert (found.read, found.accepted, found.rejected) == (5_000, 4_950, 50)
    manifest = json.loads(first.files["manifest.json"])
    assert [part["rows"] for part in manifest] == [500] * 9 + [450]
    rows = [row for part in manifest for row in parse_part(first.files[part["key"].removeprefix("k/")])]
    assert [row.ordinal for row in rows] == list(range(4_950))
    assert len({row.task_id for row in rows}) == 4_950


def test_large_rows_make_parts_of_few_rows() -> None:
    body = b"id,text\n" + b"".join(b"%d,%s\n" % (number, b"x" * 60_000) for number in range(150))
    found, sink = run(body, schema={}, size=100_000)
    assert found.accepted == 150
    parts = [body for name, body in sink.files.items() if name.startswith("parts/")]
    assert len(parts) == 3
    assert max(map(len, parts)) <= splitting.MAX_PART_BYTES


def peak_bytes(rows: int) -> int:
    tracemalloc.start()
    split(chunks=generated(rows), order=SplitOrder("b1", "x.csv", {}), sink=Sink(forget=True))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize("rows", [2_500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_memory_does_not_grow_with_the_file(rows: int) -> None:
    peak_bytes(100)
    small, large = peak_bytes(rows), peak_bytes(4 * rows)
    assert large - largest_set(4 * rows) <= 1.5 * (small - largest_set(rows))


def largest_set(members: int) -> int:
    """Bytes of a set of ids at its largest growth: the new table with the old one beside it."""
    slots = 1_024
    while 2 * members > slots:
        slots *= 2
    return 16 * (slots + slots // 2)


@pytest.mark.slow
def test_fifty_thousand_rows() -> None:
    found = split(chunks=generated(50_000), order=SplitOrder("b1", "x.csv", SCHEMA), sink=Sink(forget=True))
    assert (found.read, found.accepted, found.rejected, found.parts) == (50_000, 49_500, 500, 99)


def test_a_key_set_knows_what_it_was_given() -> None:
    keys, known = KeySet(), set()
    for number in range(5_000):
        key = b"%d" % (number * 7 % 3_000)
        assert keys.add(key) is (key not in known)
        known.add(key)
    assert len(keys) == len(known) == 3_000
