"""The progress of a batch as a plot: an SVG of its own, readable aloud, that fetches nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from functions.requester_api.schemas import ProgressView
from smallpeck.tasks.charts import Named, framed, safe_text

_WIDTH = 640
_LEFT, _BAR, _BAR_HEIGHT = 20, 600, 28
_ROW, _TOP, _LEGEND_COLUMN, _LEGEND_LINE = 110, 34, 200, 20
_COLUMNS = 3


@dataclass(frozen=True)
class _Part:
    """A share of a bar. Colours are told apart by those who cannot tell red from green; every share has its number."""

    name: str
    count: int
    colour: str


def progress_svg(title: str, seen: ProgressView) -> str:
    """The plot: one bar of the answers that are paid for, and one of the tasks."""
    in_work = seen.answers_leased + seen.answers_submitted + seen.answers_in_review
    more = "" if seen.in_work_complete else " or more"
    answers = (
        _Part("approved", seen.answers_approved, "#0072b2"),
        _Part("in review", seen.answers_in_review, "#e69f00"),
        _Part("submitted", seen.answers_submitted, "#f0e442"),
        _Part("in workers' hands", seen.answers_leased, "#56b4e9"),
        _Part("not asked for yet", max(0, seen.answers_paid_for - seen.answers_approved - in_work), "#dddddd"),
    )
    tasks = (
        _Part("closed in agreement", seen.tasks_closed - seen.tasks_disputed, "#0072b2"),
        _Part("closed in dispute", seen.tasks_disputed, "#d55e00"),
        _Part("open", max(0, seen.task_count - seen.tasks_closed), "#dddddd"),
    )
    told = (
        f"The batch is {seen.state}. Of {seen.answers_paid_for} answers {seen.answers_approved} are approved and "
        f"{in_work}{more} are in work. Of {seen.task_count} tasks {seen.tasks_closed} are closed, "
        f"{seen.tasks_disputed} of them in dispute. Spent so far: {seen.spent} {seen.currency}."
    )
    rows = [_row(0, "Answers", answers), _row(1, "Tasks", tasks)]
    height = _TOP + len(rows) * _ROW
    attributes = {"width": str(_WIDTH), "height": str(height), "font-family": "sans-serif", "font-size": "13"}
    named = Named("progress", f"Progress of {title}", told)
    return framed(named, rows, width=_WIDTH, height=height, attributes=attributes)


def _row(number: int, name: str, parts: Sequence[_Part]) -> str:
    top = _TOP + number * _ROW
    whole = sum(part.count for part in parts)
    lines = [f'<text x="{_LEFT}" y="{top - 8}" font-weight="bold">{name}: {whole}</text>']
    before = 0
    for place, part in enumerate(parts):
        if part.count:
            x, end = (_LEFT + _BAR * edge / whole for edge in (before, before + part.count))
            lines.append(
                f'<rect x="{x:.2f}" y="{top}" width="{end - x:.2f}" height="{_BAR_HEIGHT}" fill="{part.colour}"/>'
            )
        before += part.count
        lines += _legend(part, _LEFT + place % _COLUMNS * _LEGEND_COLUMN, top + 46 + place // _COLUMNS * _LEGEND_LINE)
    lines.append(f'<rect x="{_LEFT}" y="{top}" width="{_BAR}" height="{_BAR_HEIGHT}" fill="none" stroke="#555555"/>')
    return "\n".join(lines)


def _legend(part: _Part, x: int, y: int) -> tuple[str, str]:
    return (
        f'<rect x="{x}" y="{y - 10}" width="12" height="12" fill="{part.colour}" stroke="#555555"/>',
        f'<text x="{x + 18}" y="{y}">{safe_text(part.name)}: {part.count}</text>',
    )
