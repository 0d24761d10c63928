"""Charts as SVG that fetches nothing, runs nothing and can be read aloud: each has a title and says what it shows.

Inside a page the colours come from its style sheet: `STYLE` names them for light and for dark, `framed` draws with the
classes in it.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

STYLE: Final = (
    ":root{color-scheme:light dark;--page:#f4f6f8;--card:#ffffff;--ink:#17202b;--soft:#566270;--line:#dfe4ea;"
    "--main:#0b6fb3;--pale:#cfe3f1;--warm:#c2540a}"
    "@media(prefers-color-scheme:dark){:root{--page:#0e1319;--card:#171e26;--ink:#e8edf2;--soft:#9caab8;"
    "--line:#2b3541;--main:#58b2ec;--pale:#1f3d54;--warm:#f0a04b}}"
    ".chart{display:block;width:100%;height:auto;font:11px system-ui,sans-serif}"
    ".chart text{fill:var(--soft)}.chart .strong{fill:var(--ink);font-weight:600}"
    ".chart .end{text-anchor:end}.chart .middle{text-anchor:middle}"
    ".chart .grid{stroke:var(--line);stroke-width:1}.chart .axis{stroke:var(--soft);stroke-width:1}"
    ".chart .bar{fill:var(--main)}.chart .dot{fill:var(--main)}"
    ".chart .whisker{stroke:var(--main);stroke-opacity:.45;stroke-linecap:round}"
    ".chart .guide{stroke:var(--warm);stroke-width:1.5;stroke-dasharray:5 4}"
    ".chart .guided{fill:var(--warm)}"
)
WIDTH: Final = 360
_HEIGHT: Final = 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 344, 26, 188
_LABELLED: Final = 12
_TICK_LABELS, _EDGE_LABELS = 10, 5
_SHARES: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
_NOT_XML: Final = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Named:
    """What a chart is called, in an id that no other on the page has and in words; `told` is what it shows."""

    name: str
    title: str
    told: str


@dataclass(frozen=True)
class Bar:
    """A column of a chart: what stands below it, how high it is, and what is said of it."""

    label: str
    value: int
    told: str


@dataclass(frozen=True)
class Estimate:
    """A share with the interval that it lies in, at a place from 0 to 1. `weight`, from 0 to 1, is how large it is."""

    place: float
    share: float
    low: float
    high: float
    told: str
    weight: float = 0.5


def safe_text(text: str) -> str:
    """Text as it may stand in XML and HTML, whatever it holds."""
    return escape(_NOT_XML.sub("\ufffd", text), quote=True)


def framed(named: Named, parts: Sequence[str], *, width: int, height: int, attributes: Mapping[str, str]) -> str:
    """An image of these parts, with its title and what it shows."""
    title, desc = f"{named.name}-title", f"{named.name}-desc"
    more = "".join(f' {name}="{safe_text(value)}"' for name, value in attributes.items())
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="{title} {desc}" '
        f'viewBox="0 0 {width} {height}"{more}>'
    )
    return "\n".join(
        (
            opening,
            f'<title id="{title}">{safe_text(named.title)}</title>',
            f'<desc id="{desc}">{safe_text(named.told)}</desc>',
            *parts,
            "</svg>",
            "",
        )
    )


def columns(named: Named, bars: Sequence[Bar], *, across: str, up: str, end: str | None = None) -> str:
    """A column for each of `bars`, side by side. `across` and `up` name the axes. With `end` the labels stand where
    columns begin, and it where the last one ends; otherwise below the columns.
    """
    top = _nice_top(max((bar.value for bar in bars), default=0))
    step = (_RIGHT - _LEFT) / max(1, len(bars))
    gap = min(6.0, step * 0.18)
    every = math.ceil(len(bars) / (_TICK_LABELS if end is None else _EDGE_LABELS))
    shift = 0.5 if end is None else 0.0
    parts = _scale_up([(top * quarter / 4, f"{top * quarter // 4:,}") for quarter in range(5)], top)
    for place, bar in enumerate(bars):
        x, y = _LEFT + place * step + gap / 2, _height(bar.value, top)
        middle = _LEFT + (place + 0.5) * step
        if bar.value:
            tall = max(1.5, _BOTTOM - y)
            shape = f'x="{x:.1f}" y="{_BOTTOM - tall:.1f}" width="{step - gap:.1f}" height="{tall:.1f}" rx="1.5"'
            parts.append(f'<rect class="bar" {shape}><title>{safe_text(bar.told)}</title></rect>')
            if len(bars) <= _LABELLED:
                parts.append(_text(middle, y - 5, f"{bar.value:,}", "middle strong"))
        if place % every == 0:
            parts.append(_text(_LEFT + (place + shift) * step, _BOTTOM + 15, bar.label, "middle"))
    if end is not None:
        parts.append(_text(_RIGHT, _BOTTOM + 15, end, "middle"))
    return _drawn(named, parts, across, up)


def reliability(named: Named, found: Sequence[Estimate], *, across: str, up: str) -> str:
    """Shares that came true, over those that were expected: on the diagonal where both are the same."""
    parts = _shares_up()
    for share in _SHARES:
        x = _LEFT + share * (_RIGHT - _LEFT)
        parts += [_line(x, _TOP, x, _BOTTOM, "grid"), _text(x, _BOTTOM + 15, f"{share:.0%}", "middle")]
    parts += [
        _line(_LEFT, _BOTTOM, _RIGHT, _TOP, "guide"),
        *_legend(_TOP + 14, "as sure as right"),
    ]
    for one in found:
        x = _LEFT + one.place * (_RIGHT - _LEFT)
        parts += _estimate(one, x, width=2.5, radius=3 + 4 * math.sqrt(one.weight))
    return _drawn(named, parts, across, up)


def dots_and_whiskers(named: Named, found: Sequence[Estimate], *, mean: float | None, across: str, up: str) -> str:
    """Estimates side by side, in their order, each with its interval; a line at the mean of all."""
    parts = _shares_up()
    step = (_RIGHT - _LEFT) / max(1, len(found))
    for place, one in enumerate(found):
        width, radius = min(3.0, max(1.0, step * 0.4)), min(4.5, max(1.6, step * 0.45))
        parts += _estimate(one, _LEFT + (place + 0.5) * step, width=width, radius=radius)
    if mean is not None:
        y = _height(mean, 1.0)
        parts += [_line(_LEFT, y, _RIGHT, y, "guide"), *_legend(_BOTTOM - 14, f"mean {mean:.0%}")]
    return _drawn(named, parts, across, up)


def _estimate(one: Estimate, x: float, *, width: float, radius: float) -> list[str]:
    low, high, y = (_height(share, 1.0) for share in (one.low, one.high, one.share))
    return [
        f'<line class="whisker" x1="{x:.1f}" y1="{low:.1f}" x2="{x:.1f}" y2="{high:.1f}" stroke-width="{width:.1f}"/>',
        f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"><title>{safe_text(one.told)}</title></circle>',
    ]


def _legend(y: float, text: str) -> list[str]:
    return [_line(_LEFT + 8, y, _LEFT + 30, y, "guide"), _text(_LEFT + 35, y + 4, text, "guided")]


def _drawn(named: Named, parts: Sequence[str], across: str, up: str) -> str:
    outside = [
        _line(_LEFT, _BOTTOM, _RIGHT, _BOTTOM, "axis"),
        _text(_LEFT - 36, _TOP - 13, up, ""),
        _text((_LEFT + _RIGHT) / 2, _BOTTOM + 33, across, "middle"),
    ]
    return framed(named, [*parts, *outside], width=WIDTH, height=_HEIGHT, attributes={"class": "chart"})


def _shares_up() -> list[str]:
    return _scale_up([(share, f"{share:.0%}") for share in _SHARES], 1.0)


def _scale_up(ticks: Sequence[tuple[float, str]], top: float) -> list[str]:
    parts = []
    for value, label in ticks:
        y = _height(value, top)
        parts += [_line(_LEFT, y, _RIGHT, y, "grid"), _text(_LEFT - 6, y + 4, label, "end")]
    return parts


def _height(value: float, top: float) -> float:
    return _BOTTOM - (_BOTTOM - _TOP) * value / top


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{safe_text(text)}</text>'


def _nice_top(most: int) -> int:
    """The round number at or above `most` that a scale ends with; a whole number of quarters from eight on."""
    if most <= 4:  # noqa: PLR2004 (four quarters of one)
        return 4
    power: int = 10 ** (len(str(most)) - 1)
    for tenths in (10, 12, 16, 20, 24, 32, 40, 48, 60, 80, 100):
        top = tenths * power // 10
        if top >= most and top % 4 == 0:
            return top
    return 12 * power
