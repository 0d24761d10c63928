"""Results as files: CSV and JSON Lines, one line a task in the order it is given, in bounded memory.

CSV is RFC 4180 (CRLF, quotes doubled) in UTF-8. Text that a spreadsheet would run as a formula, because it begins with
`=`, `+`, `-`, `@`, a tab or a carriage return, gets an apostrophe in front; JSON Lines hold the text as it was.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

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


def csv_chunks(results: Iterable[TaskResult], *, input_columns: Sequence[str] = ()) -> Iterator[bytes]:
    """The results as CSV. `input_columns` are the properties of the input that get a column `input.<name>` each;
    without any, one column `input` holds it whole as JSON.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    inputs = [INPUT_PREFIX + name for name in input_columns] or ["input"]
    writer.writerow([_safe(name) for name in (*COLUMNS, *inputs)])
    for result in results:
        given = [result.input.get(name) for name in input_columns] if input_columns else [_json(result.input)]
        writer.writerow(
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
        if text.tell() >= _CHUNK_CHARACTERS:
            yield _taken(text)
    yield _taken(text)


def json_chunks(results: Iterable[TaskResult]) -> Iterator[bytes]:
    """The results as JSON Lines: the fields of `TaskResult`, one object a line."""
    text = io.StringIO()
    for result in results:
        text.write(_json(vars(result)) + "\n")
        if text.tell() >= _CHUNK_CHARACTERS:
            yield _taken(text)
    if text.tell():
        yield _taken(text)


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


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
