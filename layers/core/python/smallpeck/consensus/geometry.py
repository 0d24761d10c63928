"""Plane geometry of answers: overlaps of boxes and polygons, distances of points and lines. Pure, no state.

Coordinates are in one unit of length (pixels, where images are annotated), x to the right and y downwards; areas are in
that unit squared, overlaps are shares from 0 to 1.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

Point = tuple[float, float]
Points = tuple[Point, ...]
Segment = tuple[Point, Point]


class Box(NamedTuple):
    """A rectangle along the axes; `left <= right` and `top <= bottom`."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def area(self) -> float:
        return (self.right - self.left) * (self.bottom - self.top)


def bounds(points: Points) -> Box:
    """The smallest box around some points."""
    across, down = [x for x, _ in points], [y for _, y in points]
    return Box(min(across), min(down), max(across), max(down))


def common_area(one: Box, other: Box) -> float:
    """The area of the intersection of two boxes."""
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    return width * height if width > 0 and height > 0 else 0.0


def box_overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes (Jaccard's index). Equal boxes overlap wholly, even without an area."""
    if one == other:
        return 1.0
    left, top, right, bottom = one
    far_left, far_top, far_right, far_bottom = other
    width = min(right, far_right) - max(left, far_left)
    height = min(bottom, far_bottom) - max(top, far_top)
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    return common / ((right - left) * (bottom - top) + (far_right - far_left) * (far_bottom - far_top) - common)


def polygon_area(ring: Points) -> float:
    """The area inside a simple polygon (Gauss's shoelace formula), whichever way round it runs."""
    return abs(math.fsum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in _edges(ring))) / 2


def polygon_overlap(one: Points, other: Points) -> float:
    """Intersection over union of two polygons, convex or not. Exact up to rounding.

    The plane is cut into level slabs at every vertex and at every crossing of two edges. Inside a slab edges do not
    cross, so the widths of intersection and union change linearly, and a slab's area is its height times the width
    half-way up (a sweep after Shamos and Hoey 1976). Inside is where a ray crosses the outline an odd number of times,
    so that an outline that crosses itself has an area as well.
    """
    if one == other:
        return 1.0
    if common_area(bounds(one), bounds(other)) <= 0:
        return 0.0
    mine, theirs = _slanted(one), _slanted(other)
    levels = sorted({y for segment in (*mine, *theirs) for _, y in segment} | set(_crossing_levels((*mine, *theirs))))
    common: list[float] = []
    union: list[float] = []
    for low, high in pairwise(levels):
        half = (low + high) / 2
        inside, around = _widths(_cuts(mine, half), _cuts(theirs, half))
        common.append(inside * (high - low))
        union.append(around * (high - low))
    whole = math.fsum(union)
    return min(1.0, math.fsum(common) / whole) if whole > 0 else 0.0


def distance(one: Point, other: Point) -> float:
    """Euclid's."""
    return math.dist(one, other)


def nearest_on(line: Points, point: Point) -> Point:
    """The point of a polyline that is nearest to `point`; the earliest of several as near."""
    x, y = point
    best = line[0]
    nearest = (best[0] - x) ** 2 + (best[1] - y) ** 2
    for (x1, y1), (x2, y2) in pairwise(line):
        across, down = x2 - x1, y2 - y1
        square = across * across + down * down
        share = ((x - x1) * across + (y - y1) * down) / square if square > 0 else 1.0
        found = (x1 + share * across, y1 + share * down) if 0 < share < 1 else (x1, y1) if share <= 0 else (x2, y2)
        apart = (found[0] - x) ** 2 + (found[1] - y) ** 2
        if apart < nearest:
            best, nearest = found, apart
    return best


def length(line: Points) -> float:
    """How long a polyline is."""
    return math.fsum(math.dist(start, end) for start, end in pairwise(line))


def resampled(line: Points, count: int) -> Points:
    """`count` (at least 2) points along a polyline, evenly spaced by its length, both ends included."""
    whole = length(line)
    if whole == 0:
        return (line[0],) * count
    found = [line[0]]
    passed, wanted = 0.0, 1
    for start, end in pairwise(line):
        step = math.dist(start, end)
        while wanted < count - 1 and step > 0 and passed + step >= whole * wanted / (count - 1):
            share = min(1.0, max(0.0, (whole * wanted / (count - 1) - passed) / step))
            found.append((start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])))
            wanted += 1
        passed += step
    found.extend([line[-1]] * (count - len(found)))
    return tuple(found)


def mean_distance(one: Points, other: Points, *, samples: int = 16) -> float:
    """How far two polylines lie apart in the mean: from evenly spaced points of each to the nearest point of the other,
    the two means averaged. 0 for equal lines, whichever way they run.
    """
    there = math.fsum(math.dist(p, nearest_on(other, p)) for p in resampled(one, samples)) / samples
    back = math.fsum(math.dist(p, nearest_on(one, p)) for p in resampled(other, samples)) / samples
    return (there + back) / 2


def hausdorff_distance(one: Points, other: Points, *, samples: int = 32) -> float:
    """The farthest that a point of one polyline lies from the other (Hausdorff 1914), on vertices and even samples."""
    there = max(math.dist(p, nearest_on(other, p)) for p in (*one, *resampled(one, samples)))
    back = max(math.dist(p, nearest_on(one, p)) for p in (*other, *resampled(other, samples)))
    return max(there, back)


def frechet_distance(one: Points, other: Points) -> float:
    """The shortest leash for walking both sequences of points from first to last without going back: the discrete
    Frechet distance (Eiter and Mannila 1994). Unlike the others it minds the direction.
    """
    before: list[float] = []
    for here in one:
        row: list[float] = []
        for number, there in enumerate(other):
            ways = ([row[-1]] if row else []) + before[max(0, number - 1) : number + 1]
            row.append(max(math.dist(here, there), min(ways, default=0.0)))
        before = row
    return before[-1]


def weighted_quantile(values: Iterable[tuple[float, float]], share: float) -> float:
    """The value with `share` of the weight below it, of (value, weight > 0) pairs, interpolated between the middles of
    their weights; 0.5 is a weighted median, and of two values of equal weight their mean.
    """
    ordered = sorted(values)
    aim = share * math.fsum(weight for _, weight in ordered)
    below = 0.0
    last: tuple[float, float] | None = None
    for value, weight in ordered:
        middle = below + weight / 2
        if aim <= middle:
            if last is None or value == last[0]:
                return value
            return last[0] + (value - last[0]) * (aim - last[1]) / (middle - last[1])
        last = (value, middle)
        below += weight
    return ordered[-1][0]


def _edges(ring: Points) -> Iterable[Segment]:
    return zip(ring, (*ring[1:], ring[0]), strict=True)


def _slanted(ring: Points) -> list[Segment]:
    """The edges that are not level, each from its upper to its lower end."""
    return [(start, end) if start[1] < end[1] else (end, start) for start, end in _edges(ring) if start[1] != end[1]]


def _crossing_levels(segments: Sequence[Segment]) -> Iterable[float]:
    ordered = sorted(segments, key=lambda segment: segment[0][1])
    for number, ((ax, ay), (bx, by)) in enumerate(ordered):
        for (cx, cy), (dx, dy) in ordered[number + 1 :]:
            if cy >= by:
                break
            turn = (bx - ax) * (dy - cy) - (by - ay) * (dx - cx)
            if turn == 0:
                continue
            along = ((cx - ax) * (dy - cy) - (cy - ay) * (dx - cx)) / turn
            across = ((cx - ax) * (by - ay) - (cy - ay) * (bx - ax)) / turn
            if 0 < along < 1 and 0 < across < 1:
                yield ay + along * (by - ay)


def _cuts(segments: Sequence[Segment], level: float) -> list[float]:
    """Where a level line crosses an outline, from left to right."""
    return sorted(x1 + (x2 - x1) * (level - y1) / (y2 - y1) for (x1, y1), (x2, y2) in segments if y1 < level < y2)


def _widths(one: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    """How much of a level line lies inside both outlines, and inside at least one."""
    both = around = 0.0
    inside_one = inside_other = False
    last = 0.0
    for cut, of_one in sorted([(x, True) for x in one] + [(x, False) for x in other]):
        if inside_one and inside_other:
            both += cut - last
        if inside_one or inside_other:
            around += cut - last
        last = cut
        if of_one:
            inside_one = not inside_one
        else:
            inside_other = not inside_other
    return both, around
