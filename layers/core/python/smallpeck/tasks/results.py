"""What results are, and the two forms that every batch has: CSV and JSON Lines, one line a task in the order it is
given, in bounded memory. `smallpeck.tasks.result_forms` names all forms.

CSV is RFC 4180 (CRLF, quotes doubled) in UTF-8. Text that a spreadsheet would run as a formula, because it begins with
`=`, `+`, `-`, `@`, a tab or a carriage return, gets an apostrophe in front; JSON Lines hold the text as it was.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final, Protocol

COLUMNS: Final = ("task_id", "row_id", "line", "status", "answer", "confidence", "tied", "answers")
INPUT_PREFIX: Final = "input."
PARTS_COLUMN: Final = "parts"
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
_CHUNK_CHARACTERS: Final = 64 * 1024


@dataclass(frozen=True)
class TaskResult:
    """What is told of one task. `answer` is None where nobody answered; `answers` are those it came from.

    `parts` are the confidences of the single objects or options of an answer that is a list, in its order; empty where
    nothing is known of them. `answered_at` is when the last of the answers came (RFC 3339), None where none did.
    """

    task_id: str
    row_id: str
    line: int
    input: Mapping[str, Any]
    answer: Any
    confidence: float
    tied: bool
    status: str
    answers: Sequence[Mapping[str, Any]] = ()
    parts: Sequence[float] = ()
    answered_at: str | None = None


class Lines(Protocol):
    """A form that results are written in, one after the other."""

    @property
    def left_out(self) -> int:
        """How many tasks stand in the file without their answer, because the form cannot hold it."""
        ...

    def add(self, result: TaskResult, /) -> bytes:
        """What is to be written now that this result has come; mostly nothing."""
        ...

    def end(self) -> Iterator[bytes]:
        """What is left to write, piece by piece."""
        ...

    def close(self) -> None:
        """Gives back what is held, written to its end or not."""
        ...


class TextLines:
    """What the forms have in common: text that is given away in pieces."""

    left_out: int = 0

    def __init__(self) -> None:
        self.text = io.StringIO()

    def piece(self) -> bytes:
        """The text so far if it is worth a write; otherwise nothing yet."""
        return self.taken() if self.text.tell() >= _CHUNK_CHARACTERS else b""

    def taken(self) -> bytes:
        """The text so far."""
        body = self.text.getvalue().encode()
        self.text.seek(0)
        self.text.truncate()
        return body

    def end(self) -> Iterator[bytes]:
        """See `Lines`."""
        yield self.taken()

    def close(self) -> None:
        """See `Lines`."""


class CsvLines(TextLines):
    """Results as CSV. `input_columns` are the properties of the input that get a column `input.<name>` each;
    without any, one column `input` holds it whole as JSON. The last column is `parts`, where answers have any.
    """

    def __init__(self, input_columns: Sequence[str] = (), *, with_parts: bool = False) -> None:
        super().__init__()
        self._columns = tuple(input_columns)
        self._with_parts = with_parts
        self._writer = csv.writer(self.text, lineterminator="\r\n")
        inputs = [INPUT_PREFIX + name for name in self._columns] or ["input"]
        parts = [PARTS_COLUMN] if with_parts else []
        self._writer.writerow([_safe(name) for name in (*COLUMNS, *inputs, *parts)])

    def add(self, result: TaskResult, /) -> bytes:
        """See `Lines`."""
        columns = self._columns
        given = [result.input.get(name) for name in columns] if columns else [spelled(result.input)]
        parts = [spelled(list(result.parts))] if self._with_parts else []
        self._writer.writerow(
            [
                _safe(result.task_id),
                _safe(result.row_id),
                result.line,
                _safe(result.status),
                _cell(result.answer),
                f"{result.confidence:.6f}",
                _cell(result.tied),
                spelled(result.answers),
                *map(_cell, given),
                *parts,
            ]
        )
        return self.piece()


class JsonLines(TextLines):
    """Results as JSON Lines: the fields of `TaskResult`, one object a line."""

    def add(self, result: TaskResult, /) -> bytes:
        """See `Lines`."""
        self.text.write(spelled(vars(result)) + "\n")
        return self.piece()


def csv_chunks(results: Iterable[TaskResult], *, input_columns: Sequence[str] = ()) -> Iterator[bytes]:
    """The results as CSV; see `CsvLines`."""
    return chunks(CsvLines(input_columns), results)


def json_chunks(results: Iterable[TaskResult]) -> Iterator[bytes]:
    """The results as JSON Lines; see `JsonLines`."""
    return chunks(JsonLines(), results)


def chunks(lines: Lines, results: Iterable[TaskResult]) -> Iterator[bytes]:
    """The results in a form, piece by piece; none is empty."""
    with closing(lines):
        for result in results:
            piece = lines.add(result)
            if piece:
                yield piece
        yield from filter(None, lines.end())


def _cell(value: Any) -> str:
    """Text as it is but harmless, nothing for None, and JSON for everything else."""
    if value is None:
        return ""
    return _safe(value) if isinstance(value, str) else spelled(value)


def _safe(text: str) -> str:
    return "'" + text if text.startswith(_FORMULA_STARTS) else text


# One encoder for all: making one for every cell would cost more than the encoding.
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def spelled(value: Any) -> str:
    """A value as JSON on one line, letters as they are."""
    return _ENCODER.encode(value)
