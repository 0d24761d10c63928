"""Overlaps of boxes and polygons against areas known by hand, and distances of points and lines."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallpeck.consensus.geometry import (
    Box,
    Points,
    bounds,
    box_overlap,
    frechet_distance,
    hausdorff_distance,
    length,
    mean_distance,
    nearest_on,
    polygon_area,
    polygon_overlap,
    resampled,
    weighted_quantile,
)

SQUARE: Points = ((0, 0), (10, 0), (10, 10), (0, 10))
# An L of three quarters of the square, and a comb whose three teeth point downwards.
ELL: Points = ((0, 0), (10, 0), (10, 5), (5, 5), (5, 10), (0, 10))
COMB: Points = ((0, 0), (10, 0), (10, 10), (8, 10), (8, 2), (6, 2), (6, 10), (4, 10), (4, 2), (2, 2), (2, 10), (0, 10))
STRAIGHT: Points = ((0, 0), (10, 0))

corners = st.tuples(st.integers(0, 40), st.integers(0, 40))
sizes = st.tuples(st.integers(1, 30), st.integers(1, 30))
boxes = st.builds(lambda at, size: Box(at[0], at[1], at[0] + size[0], at[1] + size[1]), corners, sizes)


def moved(ring: Points, across: float, down: float) -> Points:
    return tuple((x + across, y + down) for x, y in ring)


def star(seed: int, arms: int = 9) -> Points:
    """A simple polygon, mostly not convex: corners at any distance, all around a middle."""
    draw = random.Random(seed)
    turns = [2 * math.pi * arm / arms for arm in range(arms)]
    reach = [draw.uniform(2, 20) for _ in turns]
    return tuple((50 + r * math.cos(t), 50 + r * math.sin(t)) for r, t in zip(reach, turns, strict=True))


def inside(ring: Points, x: float, y: float) -> bool:
    crossings = [
        x < x1 + (x2 - x1) * (y - y1) / (y2 - y1)
        for (x1, y1), (x2, y2) in zip(ring, (*ring[1:], ring[0]), strict=True)
        if (y1 > y) != (y2 > y)
    ]
    return sum(crossings) % 2 == 1


def test_boxes_overlap_by_the_share_of_their_union_that_both_cover() -> None:
    assert box_overlap(Box(0, 0, 10, 10), Box(5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert box_overlap(Box(0, 0, 10, 10), Box(10, 0, 20, 10)) == 0
    assert box_overlap(Box(0, 0, 10, 10), Box(2, 2, 7, 7)) == pytest.approx(0.25)
    assert box_overlap(Box(3, 3, 3, 3), Box(3, 3, 3, 3)) == 1


def test_areas_of_polygons_are_the_same_whichever_way_round() -> None:
    assert polygon_area(SQUARE) == 100
    assert polygon_area(tuple(reversed(ELL))) == 75
    assert polygon_area(COMB) == 68


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [
        (SQUARE, SQUARE, 1.0),
        (SQUARE, moved(SQUARE, 5, 0), 1 / 3),
        (SQUARE, moved(SQUARE, 5, 5), 25 / 175),
        (SQUARE, moved(SQUARE, 10, 0), 0.0),
        (SQUARE, ((5, -5), (15, 5), (5, 15), (-5, 5)), 100 / 200),
        (SQUARE, ((0, 0), (10, 0), (0, 10)), 0.5),
        (SQUARE, ELL, 0.75),
        (ELL, moved(ELL, 5, 5), 0.0),
        (ELL, ((5, 5), (10, 5), (10, 10), (5, 10)), 0.0),
        (COMB, SQUARE, 0.68),
        (COMB, ((0, 4), (10, 4), (10, 8), (0, 8)), 24 / (68 + 40 - 24)),
        (COMB, ((2, 3), (4, 3), (4, 9), (2, 9)), 0.0),
        (COMB, moved(COMB, 2, 0), (2 * 8) / (68 + 68 - 2 * 8)),
    ],
    ids=lambda value: None,
)
def test_polygons_overlap_as_worked_out_by_hand(one: Points, other: Points, share: float) -> None:
    assert polygon_overlap(one, other) == pytest.approx(share, abs=1e-9)
    assert polygon_overlap(tuple(reversed(other)), one) == pytest.approx(share, abs=1e-9)


@given(boxes, boxes)
def test_a_rectangle_is_a_polygon_too(one: Box, other: Box) -> None:
    def ring(box: Box) -> Points:
        return ((box.left, box.top), (box.right, box.top), (box.right, box.bottom), (box.left, box.bottom))

    assert polygon_overlap(ring(one), ring(other)) == pytest.approx(box_overlap(one, other), abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_overlaps_of_ragged_outlines_are_those_that_counting_points_shows(seed: int) -> None:
    one, other = star(seed), moved(star(seed + 100), 4, -3)
    around = bounds(one + other)
    steps = 60
    both = either = 0
    for row in range(steps):
        for column in range(steps):
            x = around.left + (column + 0.5) * (around.right - around.left) / steps
            y = around.top + (row + 0.5) * (around.bottom - around.top) / steps
            here, there = inside(one, x, y), inside(other, x, y)
            both += here and there
            either += here or there
    assert polygon_overlap(one, other) == pytest.approx(both / either, abs=0.03)


@given(st.integers(0, 10_000), st.integers(0, 10_000))
@settings(max_examples=40)
def test_the_overlap_of_outlines_is_a_share_and_does_not_mind_their_order(one: int, other: int) -> None:
    first, second = star(one), star(other)
    share = polygon_overlap(first, second)
    assert 0 <= share <= 1
    assert polygon_overlap(second, first) == pytest.approx(share, abs=1e-9)
    area = polygon_area(first) + polygon_area(second)
    assert share * area / (1 + share) <= min(polygon_area(first), polygon_area(second)) + 1e-6


def test_lines_are_as_far_apart_as_they_look() -> None:
    above: Points = ((0, 4), (10, 4))
    assert mean_distance(STRAIGHT, above) == pytest.approx(4)
    assert hausdorff_distance(STRAIGHT, above) == pytest.approx(4)
    assert frechet_distance(STRAIGHT, above) == pytest.approx(4)


def test_a_peak_moves_the_farthest_distance_and_hardly_the_mean_one() -> None:
    peaked: Points = ((0, 0), (4.9, 0), (5, 6), (5.1, 0), (10, 0))
    assert hausdorff_distance(STRAIGHT, peaked) == pytest.approx(6)
    assert mean_distance(STRAIGHT, peaked) < 2


def test_only_the_leash_minds_the_direction() -> None:
    back = tuple(reversed(STRAIGHT))
    assert mean_distance(STRAIGHT, back) == pytest.approx(0, abs=1e-9)
    assert hausdorff_distance(STRAIGHT, back) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(STRAIGHT, back) == 10


def test_the_leash_may_wait_but_not_go_back() -> None:
    assert frechet_distance(((0, 0), (10, 0)), ((0, 1), (5, 1), (10, 1))) == pytest.approx(math.hypot(5, 1))
    assert frechet_distance(((0, 0), (5, 0), (2, 0), (10, 0)), ((0, 0), (5, 0), (10, 0))) == 3


def test_the_nearest_point_may_be_between_two_corners() -> None:
    assert nearest_on(((0, 0), (10, 0), (10, 10)), (4, -3)) == (4, 0)
    assert nearest_on(((0, 0), (10, 0), (10, 10)), (13, 12)) == (10, 10)


@given(st.lists(corners, min_size=2, max_size=6), st.integers(2, 20))
def test_samples_of_a_line_lie_on_it_from_end_to_end(line: list[tuple[int, int]], count: int) -> None:
    points = tuple((float(x), float(y)) for x, y in line)
    found = resampled(points, count)
    assert len(found) == count
    assert found[0] == points[0]
    if length(points) > 0:
        assert found[-1] == points[-1]
    assert all(math.dist(nearest_on(points, sample), sample) < 1e-6 for sample in found)


def test_quantiles_go_by_weight() -> None:
    assert weighted_quantile([(1, 1), (2, 1), (9, 1)], 0.5) == 2
    assert weighted_quantile([(1, 1), (2, 1)], 0.5) == pytest.approx(1.5)
    assert weighted_quantile([(1, 10), (2, 1)], 0.5) < 1.1
    assert weighted_quantile([(7, 1), (7, 3)], 0.35) == 7


@given(st.lists(st.tuples(st.floats(-100, 100), st.floats(0.1, 5)), min_size=1, max_size=8), st.floats(0, 1))
def test_a_quantile_lies_among_the_values_whatever_their_order(values: list[tuple[float, float]], share: float) -> None:
    found = weighted_quantile(values, share)
    assert min(v for v, _ in values) - 1e-9 <= found <= max(v for v, _ in values) + 1e-9
    assert weighted_quantile(reversed(values), share) == pytest.approx(found)
