"""Known answers in an uploaded file: what makes a row a control task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from smallpeck.kernel.errors import Problem
from smallpeck.kernel.ids import canonical_json
from smallpeck.tasks.model import MAX_ANSWER_BYTES
from smallpeck.tasks.rows import BadRow, Rejection, Row, spelled_value
from smallpeck.tasks.schema import Checker

_SHOWN_PROBLEMS: Final = 3
_SHOWN_POINTER_CHARACTERS: Final = 80


@dataclass
class KnownAnswers:
    """Takes the known answers out of rows. `column` names where they stand; None: there are none."""

    column: str | None
    answer_schema: Mapping[str, Any]
    rows: int = 0
    found: int = 0

    @property
    def missed(self) -> bool:
        """Whether rows were looked at, and none had the column."""
        return self.column is not None and self.rows > 0 and not self.found

    def take(self, row: Row) -> BadRow | str | None:
        """The known answer as canonical JSON text, no longer among the row's values; None where nothing stands there.

        A cell of CSV is the text that it holds where that can be an answer, else the JSON value that it spells.
        """
        if self.column is None:
            return None
        self.rows += 1
        self.found += self.column in row.values
        value = row.values.pop(self.column, None)
        if value is None or value == "":
            return None
        problems = self._check.problems(value)
        if problems and row.cells and isinstance(value, str):
            try:
                value = spelled_value(value)
                problems = self._check.problems(value)
            except ValueError:
                pass  # it is text, and what is wrong with that is said
        if problems:
            return BadRow(row.line, Rejection.BAD_CONTROL, f"the known answer: {shown(problems)}")
        text = canonical_json(value)
        if len(text.encode()) > MAX_ANSWER_BYTES:
            return BadRow(row.line, Rejection.BAD_CONTROL, f"a known answer has at most {MAX_ANSWER_BYTES} bytes")
        return text

    @cached_property
    def _check(self) -> Checker:
        return Checker(self.answer_schema)


def shown(problems: Sequence[Problem]) -> str:
    """The first problems on one line."""
    said = [f"{one.pointer[:_SHOWN_POINTER_CHARACTERS]} {one.detail}".strip() for one in problems]
    return "; ".join(said[:_SHOWN_PROBLEMS])
