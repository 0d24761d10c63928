"""Splits an uploaded file into parts of checked rows, a manifest of them, and a quarantine of rejected rows.

Everything written follows from the file's bytes and the batch alone, so splitting the same version again, after
whatever crash, writes the same bytes under the same names.
"""

import hashlib
import json
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from smallpeck.kernel.ids import canonical_json
from smallpeck.tasks.controls import KnownAnswers, shown
from smallpeck.tasks.lines import FileRefused, Refusal
from smallpeck.tasks.rows import MAX_ROW_BYTES, ROW_ID, BadRow, ReadRow, Rejection, Row, declared_cell_types, read_rows
from smallpeck.tasks.schema import ECHO_CHARACTERS, Checker
from smallpeck.tasks.shuffling import id_of_task

MAX_FILE_BYTES: Final = 1_000_000_000
MAX_PART_ROWS: Final = 500
MAX_PART_BYTES: Final = 4 * 1024 * 1024
MAX_ROW_ID_CHARACTERS: Final = 200
SAMPLED_REJECTIONS: Final = 20
MANIFEST: Final = "manifest.json"
QUARANTINE: Final = "quarantine.jsonl"


class PartSink(Protocol):
    """Where the files of one import are kept."""

    def put(self, name: str, body: bytes) -> str:
        """Keeps a file under `name`, in place of an earlier one, and returns the key that reads it."""
        ...

    def writer(self, name: str) -> "PartWriter":
        """Begins a file that arrives piece by piece and may be large."""
        ...


class PartWriter(Protocol):
    """A file being written. It is there when `close` has returned, and not at all before."""

    def write(self, body: bytes) -> None:
        """Adds to the file."""
        ...

    def close(self) -> str:
        """Keeps the file, in place of an earlier one, and returns its key."""
        ...

    def abandon(self) -> None:
        """Forgets what was written."""
        ...


@dataclass(frozen=True)
class SplitOrder:
    """What a split needs to know of its batch. `name` is the uploaded file's; of the rest see `Batch`."""

    batch_id: str
    name: str
    task_schema: Mapping[str, Any]
    answer_schema: Mapping[str, Any] = field(default_factory=dict)
    control_column: str | None = None
    shuffle_key: str | None = None


@dataclass(frozen=True)
class PartRow:
    """One accepted row: a task to be. `row_id` is the row's own or names its line; `input_text` is canonical JSON, and
    so is `gold`, the known answer of a control task.
    """

    line: int
    ordinal: int
    task_id: str
    row_id: str
    input_text: str
    gold: str | None = None


@dataclass(frozen=True)
class Split:
    """What became of a file: accepted + rejected = read; `controls` of the accepted rows are control tasks. A refused
    file has no parts.
    """

    read: int = 0
    accepted: int = 0
    controls: int = 0
    rejected: int = 0
    largest_input_bytes: int = 0
    parts: int = 0
    manifest_key: str | None = None
    quarantine_key: str | None = None
    sample: tuple[BadRow, ...] = ()
    refused: FileRefused | None = None


def split(*, chunks: Iterable[bytes], order: SplitOrder, sink: PartSink) -> Split:
    """Reads a file to its end and writes its parts, its quarantine and, last, the manifest of the parts."""
    rows = read_rows(_limited(chunks), name=order.name, cell_types=declared_cell_types(order.task_schema))
    splitter = _Splitter(order, sink)
    try:
        for row in rows:
            splitter.take(row)
    except FileRefused as refused:
        splitter.abandon()
        return Split(refused=refused)
    return splitter.finish()


def parse_part(body: bytes) -> list[PartRow]:
    """The rows of a part file."""
    return [PartRow(**json.loads(line)) for line in body.splitlines()]


def _limited(chunks: Iterable[bytes]) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > MAX_FILE_BYTES:
            raise FileRefused(Refusal.FILE_TOO_LARGE, f"a file has at most {MAX_FILE_BYTES} bytes")
        yield chunk


class _Splitter:
    def __init__(self, order: SplitOrder, sink: PartSink) -> None:
        self._order = order
        self._sink = sink
        self._checker = Checker(order.task_schema) if order.task_schema else None
        self._seen = KeySet()
        self._parts = _Parts(sink)
        self._quarantine: PartWriter | None = None
        self._sample: list[BadRow] = []
        self._known_answers = KnownAnswers(order.control_column, order.answer_schema)
        self._read = self._accepted = self._rejected = self._controls = self._largest = 0

    def take(self, row: ReadRow) -> None:
        """Puts a row into a part or into the quarantine."""
        self._read += 1
        bad = row if isinstance(row, BadRow) else self._accept(row)
        if bad is None:
            return
        self._rejected += 1
        if len(self._sample) < SAMPLED_REJECTIONS:
            self._sample.append(bad)
        if self._quarantine is None:
            self._quarantine = self._sink.writer(QUARANTINE)
        self._quarantine.write(_json_line({"line": bad.line, "reason": bad.reason, "detail": bad.detail}))

    def abandon(self) -> None:
        """Forgets the quarantine of a file that is refused."""
        if self._quarantine is not None:
            self._quarantine.abandon()

    def finish(self) -> Split:
        """Writes what is still held, and the manifest."""
        if self._accepted + self._rejected != self._read:
            raise AssertionError(f"{self._accepted} + {self._rejected} rows came of {self._read}")
        parts = self._parts.finish()
        quarantine_key = self._quarantine.close() if self._quarantine is not None else None
        refused = None
        manifest_key = None
        if self._accepted and self._known_answers.missed:
            detail = f'no row has "{(self._order.control_column or "")[:ECHO_CHARACTERS]}", the control column'
            refused = FileRefused(Refusal.NO_CONTROL_COLUMN, detail)
        elif self._accepted:
            manifest = [{"part": part, "key": key, "rows": rows} for part, (key, rows) in enumerate(parts)]
            manifest_key = self._sink.put(MANIFEST, canonical_json(manifest).encode())
        else:
            refused = FileRefused(Refusal.NO_GOOD_ROWS, f"none of the {self._read} rows can be used")
        return Split(
            read=self._read,
            accepted=self._accepted,
            controls=self._controls,
            rejected=self._rejected,
            largest_input_bytes=self._largest,
            parts=len(parts),
            manifest_key=manifest_key,
            quarantine_key=quarantine_key,
            sample=tuple(self._sample),
            refused=refused,
        )

    def _accept(self, row: Row) -> BadRow | None:
        gold = self._known_answers.take(row)
        if isinstance(gold, BadRow):
            return gold
        problems = self._checker.problems(row.values) if self._checker else []
        if problems:
            return BadRow(row.line, Rejection.SCHEMA, shown(problems))
        text = canonical_json(row.values)
        size = len(text.encode())
        if size > MAX_ROW_BYTES:
            return BadRow(row.line, Rejection.ROW_TOO_LARGE, f"a row as JSON has at most {MAX_ROW_BYTES} bytes")
        row_id = None
        if ROW_ID in row.values:
            row_id = _row_id(row.values[ROW_ID])
            if row_id is None:
                detail = f"an id is a whole number or text of 1 to {MAX_ROW_ID_CHARACTERS} characters"
                return BadRow(row.line, Rejection.BAD_ROW_ID, detail)
        key = row_key(row_id, text)
        if not self._seen.add(key):
            if row_id is None:
                return BadRow(row.line, Rejection.DUPLICATE_ROW, "says the same as an earlier row")
            return BadRow(row.line, Rejection.DUPLICATE_ROW_ID, "an earlier row has this id")
        ordinal = self._accepted
        self._accepted += 1
        self._largest = max(self._largest, size)
        self._controls += gold is not None
        identifier = id_of_task(ordinal, key, self._order.batch_id, self._order.shuffle_key)
        self._parts.add(
            {
                "line": row.line,
                "ordinal": ordinal,
                "task_id": identifier,
                "row_id": row_id if row_id is not None else f"line-{row.line}",
                "input_text": text,
                **({} if gold is None else {"gold": gold}),
            }
        )
        return None


def row_key(row_id: str | None, input_text: str) -> bytes:
    """What tells a batch's rows apart: the row's id where it has one, else all that it says."""
    return b"row:" + input_text.encode() if row_id is None else b"id:" + row_id.encode()


def _row_id(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = str(value)
    return text if 0 < len(text) <= MAX_ROW_ID_CHARACTERS else None


def _json_line(record: Mapping[str, Any]) -> bytes:
    return canonical_json(record).encode() + b"\n"


@dataclass
class _Parts:
    """Writes rows as numbered part files, holding one of them at a time."""

    sink: PartSink
    written: list[tuple[str, int]] = field(default_factory=list)
    _lines: list[bytes] = field(default_factory=list)
    _size: int = 0

    def add(self, record: Mapping[str, Any]) -> None:
        """Adds a row, after writing the part that has no room for it."""
        line = _json_line(record)
        if self._size + len(line) > MAX_PART_BYTES or len(self._lines) == MAX_PART_ROWS:
            self._flush()
        self._lines.append(line)
        self._size += len(line)

    def finish(self) -> list[tuple[str, int]]:
        """(key, number of rows) of every part."""
        self._flush()
        return self.written

    def _flush(self) -> None:
        if self._lines:
            key = self.sink.put(f"parts/{len(self.written):06d}.jsonl", b"".join(self._lines))
            self.written.append((key, len(self._lines)))
            self._lines = []
            self._size = 0


class KeySet:
    """A set of byte strings by their 128-bit digests: 32 to 64 bytes a member, where a Python set takes 150.

    That two different keys of a million share a digest has a chance of 1 to 10**27.
    """

    def __init__(self) -> None:
        self._slots = 1024
        self._table = array("Q", (0,)) * (2 * self._slots)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, key: bytes) -> bool:
        """Adds a key; False where it was there already."""
        digest = hashlib.blake2b(key, digest_size=16).digest()
        high, low = int.from_bytes(digest[:8], "big") or 1, int.from_bytes(digest[8:], "big")
        at = self._find(high, low)
        if self._table[at]:
            return False
        self._table[at], self._table[at + 1] = high, low
        self._count += 1
        if 2 * self._count > self._slots:
            self._grow()
        return True

    def _find(self, high: int, low: int) -> int:
        table, mask = self._table, self._slots - 1
        slot = low & mask
        while table[2 * slot] and (table[2 * slot] != high or table[2 * slot + 1] != low):
            slot = (slot + 1) & mask
        return 2 * slot

    def _grow(self) -> None:
        old = self._table
        self._slots *= 2
        self._table = array("Q", (0,)) * (2 * self._slots)
        for at in range(0, len(old), 2):
            if old[at]:
                place = self._find(old[at], old[at + 1])
                self._table[place], self._table[place + 1] = old[at], old[at + 1]
