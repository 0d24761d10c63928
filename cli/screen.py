"""What a command says: a document for programs, tables for people, and bars while it waits."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

_NOT_A_TERMINAL_COLUMNS = 200
_NOTHING = "-"


@dataclass(frozen=True)
class Said:
    """What came of a command. `code` is what the process ends with."""

    document: Any
    shown: Sequence[RenderableType] = ()
    code: int = 0


@dataclass(frozen=True)
class Screen:
    """Where it is said. Progress goes to stderr, so that stdout is the outcome alone."""

    as_json: bool = False
    out: Console = field(default_factory=lambda: _console(stderr=False))
    err: Console = field(default_factory=lambda: _console(stderr=True))

    def say(self, said: Said) -> None:
        """The outcome."""
        if self.as_json:
            print(json.dumps(said.document, indent=2, ensure_ascii=False))
            return
        for one in said.shown:
            self.out.print(one, highlight=False, markup=False)

    def complain(self, title: str, detail: str, document: Mapping[str, Any], errors: Iterable[Any] = ()) -> None:
        """What went wrong."""
        if self.as_json:
            self.err.print(json.dumps(document, ensure_ascii=False), highlight=False, markup=False, soft_wrap=True)
            return
        self.err.print(Text(title, style="bold red"), soft_wrap=True)
        if detail:
            self.err.print(Text(f"  {detail}"), soft_wrap=True)
        for one in errors:
            where = " ".join(part for part in (one.get("in", ""), one.get("pointer", "")) if part)
            self.err.print(Text(f"  {where or '(whole)'}: {one.get('detail', '')}"), soft_wrap=True)

    @contextmanager
    def bar(self, what: str, total: float | None = None, *, size: bool = False) -> Iterator["Bar"]:
        """A bar while the block runs; of bytes where `size`."""
        unit: tuple[ProgressColumn, ...] = (
            (DownloadColumn(), TransferSpeedColumn()) if size else (MofNCompleteColumn(),)
        )
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), *unit)
        with Progress(*columns, TimeElapsedColumn(), console=self.err, disable=self.as_json) as progress:
            yield Bar(progress, progress.add_task(what, total=total))


@dataclass(frozen=True)
class Bar:
    """A bar that moves."""

    progress: Progress
    task: Any

    def add(self, count: float) -> None:
        """So much more."""
        self.progress.advance(self.task, count)

    def set(self, completed: float, total: float | None = None, what: str | None = None) -> None:
        """So much by now."""
        self.progress.update(self.task, completed=completed, total=total, description=what)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> RenderableType:
    """Rows under their names. Numbers stand to the right, and nothing is cut off."""
    found = [[cell(value) for value in row] for row in rows]
    shown = Table()
    for number, name in enumerate(columns):
        numeric = bool(found) and all(_is_number(row[number].plain) for row in found)
        shown.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in found:
        shown.add_row(*row)
    return Group(Text(title, style="bold"), shown if found else Text("  none"))


def facts(title: str, document: Mapping[str, Any], leave_out: Iterable[str] = ()) -> RenderableType:
    """A document's members, one under the other."""
    shown = Table(show_header=False)
    shown.add_column(no_wrap=True)
    shown.add_column(overflow="fold")
    left = set(leave_out)
    for name, value in document.items():
        if name not in left:
            shown.add_row(name.replace("_", " "), cell(value))
    return Group(Text(title, style="bold"), shown)


def cell(value: Any) -> Text:
    """A value as text."""
    if value is None or value in ("", [], {}):
        return Text(_NOTHING)
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    if isinstance(value, int):
        return Text(f"{value:,}")
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return Text(", ".join(value))
    return Text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _is_number(text: str) -> bool:
    return text == _NOTHING or text.replace(",", "").replace(".", "", 1).lstrip("-").isdigit()


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=_NOT_A_TERMINAL_COLUMNS)
