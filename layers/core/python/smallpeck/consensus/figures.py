"""The four forms of a marked object: how it is written in an answer, how close two are, what several make together.

Closeness is a share from 0 to 1 on one scale for all forms: 1 is the same, and from one half on two objects count as
one and the same thing. For areas it is intersection over union. For points and lines it falls evenly with the distance
and is one half at the tolerance, a number of pixels.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from smallpeck.consensus.geometry import (
    Box,
    Point,
    Points,
    bounds,
    box_overlap,
    distance,
    mean_distance,
    nearest_on,
    polygon_area,
    polygon_overlap,
    weighted_quantile,
)

INNER_SHARE = 0.35
_DECIMALS = 3


class Form(Protocol):
    """One form. A figure is whatever the form's `read` makes: hashable, and ordered among its like."""

    def read(self, marked: Mapping[str, Any]) -> Any:
        """The figure that an object of an answer describes; None for what is none."""
        ...

    def written(self, figure: Any) -> dict[str, Any]:
        """The object as it stands in an answer, rounded to thousandths of a pixel."""
        ...

    def reach(self, figure: Any) -> Box:
        """Where something must be to be close at all."""
        ...

    def closeness(self, one: Any, other: Any) -> float:
        """From 0 to 1."""
        ...

    def merged(self, figures: Sequence[Any], weights: Sequence[float]) -> Any:
        """One figure out of several of one object, the heavier counting more. Equal figures give themselves."""
        ...


@dataclass(frozen=True, slots=True)
class Boxes:
    """`{"x", "y", "width", "height"}`, x and y being the upper left corner.

    Merged edge by edge by a weighted quantile that leans inwards (`INNER_SHARE` of the weight is inside): people leave
    a margin around what they mark more often than they cut it off.
    """

    def read(self, marked: Mapping[str, Any]) -> Box | None:
        """See `Form`."""
        numbers = _numbers(marked, ("x", "y", "width", "height"))
        if numbers is None or numbers[2] < 0 or numbers[3] < 0:
            return None
        left, top, width, height = numbers
        return Box(left, top, left + width, top + height)

    def written(self, figure: Box) -> dict[str, Any]:
        """See `Form`."""
        return {
            "x": _plain(figure.left),
            "y": _plain(figure.top),
            "width": _plain(figure.right - figure.left),
            "height": _plain(figure.bottom - figure.top),
        }

    def reach(self, figure: Box) -> Box:
        """See `Form`."""
        return figure

    def closeness(self, one: Box, other: Box) -> float:
        """See `Form`: intersection over union."""
        return box_overlap(one, other)

    def merged(self, figures: Sequence[Box], weights: Sequence[float]) -> Box:
        """See `Form`."""

        def edge(number: int, share: float) -> float:
            return weighted_quantile(((box[number], w) for box, w in zip(figures, weights, strict=True)), share)

        left, top = edge(0, 1 - INNER_SHARE), edge(1, 1 - INNER_SHARE)
        right, bottom = edge(2, INNER_SHARE), edge(3, INNER_SHARE)
        if left > right or top > bottom:
            left, top, right, bottom = (edge(number, 0.5) for number in range(4))
        return Box(left, top, max(left, right), max(top, bottom))


@dataclass(frozen=True, slots=True)
class Marks:
    """Points, `{"x", "y"}`; merged by a weighted median of each coordinate."""

    tolerance: float

    def read(self, marked: Mapping[str, Any]) -> Point | None:
        """See `Form`."""
        numbers = _numbers(marked, ("x", "y"))
        return None if numbers is None else (numbers[0], numbers[1])

    def written(self, figure: Point) -> dict[str, Any]:
        """See `Form`."""
        return {"x": _plain(figure[0]), "y": _plain(figure[1])}

    def reach(self, figure: Point) -> Box:
        """See `Form`."""
        return _widened(Box(*figure, *figure), self.tolerance)

    def closeness(self, one: Point, other: Point) -> float:
        """See `Form`: by Euclid's distance."""
        return max(0.0, 1 - distance(one, other) / (2 * self.tolerance))

    def merged(self, figures: Sequence[Point], weights: Sequence[float]) -> Point:
        """See `Form`."""
        return _middle(list(zip(figures, weights, strict=True)))


@dataclass(frozen=True, slots=True)
class Polygons:
    """`{"points": [[x, y], ...]}`, at least three, the outline closing by itself; convex or not.

    The outline closest to all others in the weighted mean gives the corners. Each corner goes to the weighted median
    of the points nearest to it on all outlines, if that is closer to all of them together.
    """

    def read(self, marked: Mapping[str, Any]) -> Points | None:
        """See `Form`."""
        points = _points(marked, 3)
        if points is None:
            return None
        ring = points[:-1] if points[0] == points[-1] else points
        return ring if len(set(ring)) > 2 and polygon_area(ring) > 0 else None  # noqa: PLR2004 (two are a line)

    def written(self, figure: Points) -> dict[str, Any]:
        """See `Form`."""
        return {"points": [[_plain(x), _plain(y)] for x, y in figure]}

    def reach(self, figure: Points) -> Box:
        """See `Form`."""
        return bounds(figure)

    def closeness(self, one: Points, other: Points) -> float:
        """See `Form`: intersection over union."""
        return _polygon_closeness(one, other) if one <= other else _polygon_closeness(other, one)

    def merged(self, figures: Sequence[Points], weights: Sequence[float]) -> Points:
        """See `Form`."""
        outlines = [(*ring, ring[0]) for ring in figures]
        best = _most_central(self, figures, weights)
        pulled = tuple(
            _middle([(nearest_on(line, corner), w) for line, w in zip(outlines, weights, strict=True)])
            for corner in best
        )
        if polygon_area(pulled) <= 0:
            return best
        return _closer(self, best, pulled, figures, weights)


@dataclass(frozen=True, slots=True)
class Lines:
    """`{"points": [[x, y], ...]}`, at least two, drawn in either direction.

    Merged as polygons are, save that ends go to the weighted median of ends.
    """

    tolerance: float

    def read(self, marked: Mapping[str, Any]) -> Points | None:
        """See `Form`."""
        points = _points(marked, 2)
        return points if points is not None and len(set(points)) > 1 else None

    def written(self, figure: Points) -> dict[str, Any]:
        """See `Form`."""
        return {"points": [[_plain(x), _plain(y)] for x, y in figure]}

    def reach(self, figure: Points) -> Box:
        """See `Form`."""
        return _widened(bounds(figure), self.tolerance)

    def closeness(self, one: Points, other: Points) -> float:
        """See `Form`: by the mean distance of each line from the other."""
        first, second = (one, other) if one <= other else (other, one)
        return max(0.0, 1 - _line_distance(first, second) / (2 * self.tolerance))

    def merged(self, figures: Sequence[Points], weights: Sequence[float]) -> Points:
        """See `Form`."""
        best = _most_central(self, figures, weights)
        turned = [_turned(line, best) for line in figures]
        inner = [
            _middle([(nearest_on(line, point), w) for line, w in zip(turned, weights, strict=True)])
            for point in best[1:-1]
        ]
        first, last = (_middle([(line[end], w) for line, w in zip(turned, weights, strict=True)]) for end in (0, -1))
        pulled = (first, *inner, last)
        return _closer(self, best, pulled, figures, weights) if len(set(pulled)) > 1 else best


def form_of(name: str, *, tolerance: float) -> Form:
    """The form called boxes, polygons, points or lines; `tolerance` in pixels matters to the last two.

    Raises ValueError for another name.
    """
    if name == "boxes":
        return Boxes()
    if name == "polygons":
        return Polygons()
    if name == "points":
        return Marks(tolerance)
    if name == "lines":
        return Lines(tolerance)
    raise ValueError(f"{name!r} is none of boxes, polygons, points, lines")


def _widened(box: Box, margin: float) -> Box:
    return Box(box.left - margin, box.top - margin, box.right + margin, box.bottom + margin)


@lru_cache(maxsize=65_536)
def _polygon_closeness(one: Points, other: Points) -> float:
    return polygon_overlap(one, other)


@lru_cache(maxsize=65_536)
def _line_distance(one: Points, other: Points) -> float:
    return mean_distance(one, other)


def _most_central(form: Form, figures: Sequence[Points], weights: Sequence[float]) -> Points:
    """The figure closest to all in the weighted mean; of equals the first in order."""
    return min(set(figures), key=lambda one: (-_together(form, one, figures, weights), one))


def _closer(form: Form, one: Points, other: Points, figures: Sequence[Points], weights: Sequence[float]) -> Points:
    """`other` if it is closer to all the figures, else `one`."""
    better = _together(form, other, figures, weights) > _together(form, one, figures, weights)
    return other if better else one


def _together(form: Form, one: Points, figures: Sequence[Points], weights: Sequence[float]) -> float:
    return math.fsum(w * form.closeness(one, figure) for figure, w in zip(figures, weights, strict=True))


def _turned(line: Points, like: Points) -> Points:
    """The line in the direction in which its ends are nearer to those of another."""
    same = distance(line[0], like[0]) + distance(line[-1], like[-1])
    other = distance(line[-1], like[0]) + distance(line[0], like[-1])
    return line if same <= other else tuple(reversed(line))


def _middle(points: Sequence[tuple[Point, float]]) -> Point:
    return (
        weighted_quantile(((x, weight) for (x, _), weight in points), 0.5),
        weighted_quantile(((y, weight) for (_, y), weight in points), 0.5),
    )


def _numbers(marked: Mapping[str, Any], names: Sequence[str]) -> list[float] | None:
    found = [_number(marked.get(name)) for name in names]
    read = [value for value in found if value is not None]
    return read if len(read) == len(names) else None


def _points(marked: Mapping[str, Any], least: int) -> Points | None:
    raw = marked.get("points")
    if not isinstance(raw, list) or len(raw) < least:
        return None
    found: list[Point] = []
    for pair in raw:
        if not isinstance(pair, list) or len(pair) != 2:  # noqa: PLR2004 (x and y)
            return None
        x, y = _number(pair[0]), _number(pair[1])
        if x is None or y is None:
            return None
        found.append((x, y))
    return tuple(found)


_FARTHEST = 1e9


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _FARTHEST:
        return None
    return float(value)


def _plain(value: float) -> float | int:
    rounded = round(value, _DECIMALS)
    return int(rounded) if rounded == int(rounded) else rounded
