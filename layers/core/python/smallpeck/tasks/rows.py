"""Reads the rows of an uploaded file from a stream of bytes, in memory bounded by one row and one chunk.

CSV as in RFC 4180 (first line names the columns; LF, CRLF and CR all end lines; a quote inside an unquoted field is
itself), or JSON Lines (one JSON object a line). Blank lines are no rows. UTF-8 only, with or without a BOM.

A file that cannot be understood as a whole is refused (`FileRefused`, with the line). A single row that cannot be
used comes out as a `BadRow`; it never costs the other rows.
"""

import codecs
import csv
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NoReturn, TypeAlias

from smallpeck.tasks.lines import FileRefused, Lines, Refusal, sniffed
from smallpeck.tasks.schema import ECHO_CHARACTERS, MAX_INTEGER, unfit_for_json

MAX_ROWS: Final = 1_000_000
MAX_ROW_BYTES: Final = 64 * 1024
MAX_COLUMNS: Final = 500
ROW_ID: Final = "id"


class Form(StrEnum):
    """How rows are written in a file."""

    CSV = "csv"
    JSON_LINES = "jsonl"


class Rejection(StrEnum):
    """Why one row is put into quarantine."""

    RAGGED_ROW = "ragged_row"
    ROW_TOO_LARGE = "row_too_large"
    BAD_QUOTING = "bad_quoting"
    """Text after a closing quote."""
    BAD_JSON = "bad_json"
    NOT_AN_OBJECT = "not_an_object"
    SCHEMA = "schema"
    BAD_ROW_ID = "bad_row_id"
    DUPLICATE_ROW_ID = "duplicate_row_id"
    DUPLICATE_ROW = "duplicate_row"
    """A row without an id that says the same as an earlier one."""
    BAD_CONTROL = "bad_control"
    """The known answer is none that a worker could give."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row that could be read. `line` is where it begins; the header is line 1. `cells` says that its values are text
    but for declared types, as those of CSV are.
    """

    line: int
    values: dict[str, Any]
    cells: bool = False


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be used. `detail` never repeats more than a name from it."""

    line: int
    reason: Rejection
    detail: str


ReadRow: TypeAlias = Row | BadRow


def read_rows(
    chunks: Iterable[bytes], *, name: str = "", cell_types: Mapping[str, frozenset[str]] | None = None
) -> Iterator[ReadRow]:
    """The rows of a file in order. `name` helps to tell its form; `cell_types` see `declared_cell_types`.

    Raises FileRefused, possibly after some rows: then none of them counts.
    """
    start, stream = sniffed(chunks)
    lines = Lines(stream)
    rows = (
        _json_rows(lines)
        if form_of(name, start) is Form.JSON_LINES
        else _csv_rows(lines, cell_types if cell_types is not None else {})
    )
    count = 0
    for row in rows:
        count += 1
        if count > MAX_ROWS:
            raise FileRefused(Refusal.TOO_MANY_ROWS, f"a file has at most {MAX_ROWS} rows", row.line)
        yield row
    if not count:
        raise FileRefused(Refusal.HEADER_ONLY, "the file names columns but has no rows")


def form_of(name: str, start: bytes) -> Form:
    """The form of a file: by the ending of its name where that says it, else by its first character."""
    ending = name.lower().rpartition(".")[2]
    if ending in ("jsonl", "ndjson", "json"):
        return Form.JSON_LINES
    if ending == "csv":
        return Form.CSV
    return Form.JSON_LINES if start.removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"{" else Form.CSV


def _too_large(text: str) -> bool:
    return len(text) > MAX_ROW_BYTES or (not text.isascii() and len(text.encode()) > MAX_ROW_BYTES)


_TOO_LARGE_DETAIL: Final = f"a row has at most {MAX_ROW_BYTES} bytes"


# CSV


class _Place(StrEnum):
    """Where in a record the scanner stands."""

    FIELD_START = "field_start"
    UNQUOTED = "unquoted"
    QUOTED = "quoted"
    AFTER_QUOTE = "after_quote"


@dataclass(slots=True)
class _Record:
    """One CSV record while its pieces arrive; it can hold line ends between quotes."""

    line: int
    place: _Place = _Place.FIELD_START
    pieces: list[str] = field(default_factory=list)
    size: int = 0
    quote_line: int = 0
    misquoted: bool = False

    def take(self, piece: str, line: int) -> None:
        """Adds a piece, which is kept only while the record is not too large."""
        self.size += len(piece)
        if self.size > MAX_ROW_BYTES + len("\r\n"):
            self.pieces.clear()
        else:
            self.pieces.append(piece)
        self._scan(piece, line)

    def _scan(self, text: str, line: int) -> None:
        at, length, place = 0, len(text), self.place
        while at < length:
            match place:
                case _Place.QUOTED:
                    at = text.find('"', at) + 1
                    if not at:
                        break
                    place = _Place.AFTER_QUOTE
                    continue
                case _Place.UNQUOTED:
                    at = text.find(",", at) + 1
                    if not at:
                        break
                    place = _Place.FIELD_START
                    continue
                case _Place.AFTER_QUOTE if text[at] == '"':
                    place = _Place.QUOTED
                case _Place.AFTER_QUOTE if text[at] not in ",\r\n":
                    if line > self.quote_line:
                        raise FileRefused(Refusal.UNCLOSED_QUOTE, "a quote is not closed", self.quote_line)
                    self.misquoted = True
                    place = _Place.UNQUOTED
                case _Place.FIELD_START if text[at] == '"':
                    place, self.quote_line = _Place.QUOTED, line
                case _:
                    place = _Place.FIELD_START if text[at] == "," else _Place.UNQUOTED
            at += 1
        self.place = place


def _records(lines: Lines) -> Iterator[tuple[int, list[str] | BadRow]]:
    """(line, cells) of every CSV record."""
    record: _Record | None = None
    for piece, ends in lines:
        if record is None:
            if ends and '"' not in piece and len(piece) <= MAX_ROW_BYTES:
                text = piece.rstrip("\r\n")
                if text:
                    yield lines.number, _cells(text, lines.number)
                continue
            record = _Record(lines.number)
        record.take(piece, lines.number)
        if ends and record.place is not _Place.QUOTED:
            yield record.line, _finished(record)
            record = None
    if record is not None:
        raise FileRefused(Refusal.UNCLOSED_QUOTE, "a quote is not closed", record.quote_line)


def _cells(text: str, line: int) -> list[str] | BadRow:
    return BadRow(line, Rejection.ROW_TOO_LARGE, _TOO_LARGE_DETAIL) if _too_large(text) else text.split(",")


def _finished(record: _Record) -> list[str] | BadRow:
    text = "".join(record.pieces)
    if not record.pieces or _too_large(text.rstrip("\r\n")):
        return BadRow(record.line, Rejection.ROW_TOO_LARGE, _TOO_LARGE_DETAIL)
    if record.misquoted:
        return BadRow(record.line, Rejection.BAD_QUOTING, "text after a closing quote")
    (cells,) = csv.reader([text], strict=True)
    return cells


def _csv_rows(lines: Lines, cell_types: Mapping[str, frozenset[str]]) -> Iterator[ReadRow]:
    records = _records(lines)
    line, first = next(records, (1, []))
    columns = _columns(line, first)
    typed = [(column, cell_types[column]) for column in columns if column in cell_types]
    for line, cells in records:
        if isinstance(cells, BadRow):
            yield cells
        elif len(cells) != len(columns):
            yield BadRow(line, Rejection.RAGGED_ROW, f"{len(cells)} cells under {len(columns)} columns")
        else:
            values: dict[str, Any] = dict(zip(columns, cells, strict=True))
            for column, types in typed:
                values[column] = typed_cell(values[column], types)
            yield Row(line, values, cells=True)


def _columns(line: int, header: list[str] | BadRow) -> list[str]:
    if isinstance(header, BadRow):
        raise FileRefused(Refusal.BAD_HEADER, f"the line of column names cannot be read: {header.detail}", line)
    if not header:
        raise FileRefused(Refusal.EMPTY_FILE, "the file has no lines but blank ones")
    if len(header) > MAX_COLUMNS:
        raise FileRefused(Refusal.BAD_HEADER, f"a file has at most {MAX_COLUMNS} columns", line)
    seen: set[str] = set()
    for place, column in enumerate(header, 1):
        if not column.strip():
            raise FileRefused(Refusal.EMPTY_COLUMN_NAME, f"column {place} has no name", line)
        if column in seen:
            shown = column[:ECHO_CHARACTERS]
            raise FileRefused(Refusal.DUPLICATE_COLUMN, f'two columns are named "{shown}"', line)
        seen.add(column)
    return header


_INTEGER: Final = re.compile(r"0|-?[1-9][0-9]{0,18}", re.ASCII)
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,18})(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)


def declared_cell_types(schema: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """The JSON types of the properties whose CSV cells are converted: those declared and not allowed to be text."""
    properties = schema.get("properties", {})
    declared = {}
    for name, inner in properties.items():
        types = inner.get("type", "string") if isinstance(inner, Mapping) else "string"
        names = frozenset([types] if isinstance(types, str) else types)
        if "string" not in names:
            declared[name] = names
    return declared


def typed_cell(cell: str, types: frozenset[str]) -> str | int | float | bool | None:
    """The value that `cell` spells exactly in one of `types`; the cell itself where it spells none."""
    if not cell:
        return None if "null" in types else cell
    if types & {"integer", "number"} and _INTEGER.fullmatch(cell) and abs(int(cell)) <= MAX_INTEGER:
        return int(cell)
    if "number" in types and _NUMBER.fullmatch(cell) and math.isfinite(float(cell)):
        return float(cell)
    if "boolean" in types and cell in ("true", "false"):
        return cell == "true"
    return cell


def spelled_value(cell: str) -> Any:
    """The JSON value that `cell` spells, as strictly as those of JSON Lines are read; raises ValueError."""
    try:
        value = _DECODER.decode(cell)
    except RecursionError:
        raise ValueError("nested too deep") from None
    unfit = unfit_for_json(value)
    if unfit is not None:
        raise ValueError(unfit.detail)
    return value


# JSON Lines


def _json_rows(lines: Lines) -> Iterator[ReadRow]:
    kept: list[str] = []
    size = 0
    seen = False
    for piece, ends in lines:
        size += len(piece)
        if size <= MAX_ROW_BYTES + len("\r\n"):
            kept.append(piece)
        if not ends:
            continue
        text, fits = "".join(kept).rstrip("\r\n"), size <= MAX_ROW_BYTES + len("\r\n")
        kept, size = [], 0
        if not fits or _too_large(text):
            seen = True
            yield BadRow(lines.number, Rejection.ROW_TOO_LARGE, _TOO_LARGE_DETAIL)
        elif text.strip(" \t"):
            seen = True
            yield _json_row(text, lines.number)
    if not seen:
        raise FileRefused(Refusal.EMPTY_FILE, "the file has no lines but blank ones")


def _json_row(text: str, line: int) -> ReadRow:
    try:
        value = _DECODER.decode(text)
    except _NotStrict as error:
        return BadRow(line, Rejection.BAD_JSON, str(error))
    except json.JSONDecodeError as error:
        return BadRow(line, Rejection.BAD_JSON, f"not JSON: {error.msg} at character {error.pos + 1}")
    except RecursionError:
        return BadRow(line, Rejection.BAD_JSON, "nested too deep")
    if not isinstance(value, dict):
        return BadRow(line, Rejection.NOT_AN_OBJECT, "a row is a JSON object")
    unfit = unfit_for_json(value)
    return Row(line, value) if unfit is None else BadRow(line, Rejection.BAD_JSON, unfit.detail)


class _NotStrict(ValueError):
    """JSON that this reader does not accept although Python would."""


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _NotStrict(f'"{twice[:ECHO_CHARACTERS]}" stands twice in one object')
    return found


def _no_constant(name: str) -> NoReturn:
    raise _NotStrict(f"{name} is not JSON")


def _small_integer(digits: str) -> int:
    if len(digits) > len(str(-MAX_INTEGER)):
        raise _NotStrict("an integer must fit 64 bits")
    return int(digits)


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_no_duplicates, parse_constant=_no_constant, parse_int=_small_integer
)
