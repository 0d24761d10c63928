"""Results as files: CSV and JSON Lines, one line a task in the order it is given, in bounded memory.

CSV is RFC 4180 (CRLF, quotes doubled) in UTF-8. Text that a spreadsheet would run as a formula, because it begins with
`=`, `+`, `-`, `@`, a tab or a carriage return, gets an apostrophe in front; JSON Lines hold the text as it was.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, TypeAlias

ResultForm: TypeAlias = Literal["csv", "jsonl"]

COLUMNS: Final = ("task_id", "row_id", "line", "status", "answer", "confidence", "tied", "answers")
INPUT_PREFIX: Final = "input."
CONTENT_TYPES: Final[Mapping[str, str]] = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl"}
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
_CHUNK_CHARACTERS: Final = 64 * 1024


@dataclass(frozen=True)
class TaskResult:
    """What is told of one task. `answer` is None where nobody answered; `answers` are those it came from."""

    task_id: str
    row_id: str
    line: int
    input: Mapping[str, Any]
    answer: Any
    confidence: float
    tied: bool
    status: str
    answers: Sequence[Mapping[str, Any]] = ()


def results_key(batch_id: str, form: str) -> str:
    """Where the results file of a batch stands in the work bucket."""
    return f"results/{batch_id}/results.{form}"


def export_key(batch_id: str, export_id: str, form: str) -> str:
    """Where an export of a batch's results so far stands in the work bucket."""
    return f"results/{batch_id}/exports/{export_id}.{form}"


class Lines(Protocol):
    """A form that results are written in, one after the other."""

    def add(self, result: TaskResult, /) -> bytes:
        """What is to be written now that this result has come; mostly nothing."""
        ...

    def end(self) -> bytes:
        """What is left to write."""
        ...


class CsvLines:
    """Results as CSV. `input_columns` are the properties of the input that get a column `input.<name>` each;
    without any, one column `input` holds it whole as JSON.
    """

    def __init__(self, input_columns: Sequence[str] = ()) -> None:
        self._columns = tuple(input_columns)
        self._text = io.StringIO()
        self._writer = csv.writer(self._text, lineterminator="\r\n")
        inputs = [INPUT_PREFIX + name for name in self._columns] or ["input"]
        self._writer.writerow([_safe(name) for name in (*COLUMNS, *inputs)])

    def add(self, result: TaskResult, /) -> bytes:
        """See `Lines`."""
        columns = self._columns
        given = [result.input.get(name) for name in columns] if columns else [_json(result.input)]
        self._writer.writerow(
            [
                _safe(result.task_id),
                _safe(result.row_id),
                result.line,
                _safe(result.status),
                _cell(result.answer),
                f"{result.confidence:.6f}",
                _cell(result.tied),
                _json(result.answers),
                *map(_cell, given),
            ]
        )
        return _taken(self._text) if self._text.tell() >= _CHUNK_CHARACTERS else b""

    def end(self) -> bytes:
        """See `Lines`."""
        return _taken(self._text)


class JsonLines:
    """Results as JSON Lines: the fields of `TaskResult`, one object a line."""

    def __init__(self) -> None:
        self._text = io.StringIO()

    def add(self, result: TaskResult, /) -> bytes:
        """See `Lines`."""
        self._text.write(_json(vars(result)) + "\n")
        return _taken(self._text) if self._text.tell() >= _CHUNK_CHARACTERS else b""

    def end(self) -> bytes:
        """See `Lines`."""
        return _taken(self._text)


def lines_of(form: str, input_columns: Sequence[str]) -> Lines:
    """The lines of a form, at their beginning."""
    return CsvLines(input_columns) if form == "csv" else JsonLines()


def csv_chunks(results: Iterable[TaskResult], *, input_columns: Sequence[str] = ()) -> Iterator[bytes]:
    """The results as CSV; see `CsvLines`."""
    return _chunks(CsvLines(input_columns), results)


def json_chunks(results: Iterable[TaskResult]) -> Iterator[bytes]:
    """The results as JSON Lines; see `JsonLines`."""
    return _chunks(JsonLines(), results)


def _chunks(lines: Lines, results: Iterable[TaskResult]) -> Iterator[bytes]:
    for result in results:
        chunk = lines.add(result)
        if chunk:
            yield chunk
    last = lines.end()
    if last:
        yield last


def _taken(text: io.StringIO) -> bytes:
    body = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    return body


def _cell(value: Any) -> str:
    """Text as it is but harmless, nothing for None, and JSON for everything else."""
    if value is None:
        return ""
    return _safe(value) if isinstance(value, str) else _json(value)


def _safe(text: str) -> str:
    return "'" + text if text.startswith(_FORMULA_STARTS) else text


# One encoder for all: making one for every cell would cost more than the encoding.
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _json(value: Any) -> str:
    return _ENCODER.encode(value)
