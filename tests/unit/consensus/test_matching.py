"""Which marks are of one object: the closest first, never two of one worker."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from smallpeck.consensus.geometry import Box
from smallpeck.consensus.matching import Group, grouped, matched, touching

places = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 60)), max_size=14)


def close(one: int, other: int) -> float:
    """Of two places on a line."""
    return max(0.0, 1 - abs(one - other) / 10)


def groups_of(marks: list[tuple[int, int]], least: float = 0.25) -> list[Group]:
    pairs = combinations(range(len(marks)), 2)
    near = [(a, b, close(marks[a][1], marks[b][1])) for a, b in pairs if marks[a][0] != marks[b][0]]
    return grouped([owner for owner, _ in marks], near, least=least)


def test_marks_that_are_close_become_one_group() -> None:
    found = groups_of([(0, 0), (0, 50), (1, 1), (1, 51), (2, 2)])
    assert [group.members for group in found] == [(0, 2, 4), (1, 3)]
    assert found[1].closeness == close(50, 51)


def test_two_marks_of_one_worker_stay_apart_however_close() -> None:
    assert [group.members for group in groups_of([(0, 10), (0, 11), (1, 10)])] == [(0, 2), (1,)]


def test_a_chain_of_near_ones_is_cut_where_its_ends_are_far() -> None:
    assert [group.members for group in groups_of([(0, 0), (1, 6), (2, 12)])] in ([(0, 1), (2,)], [(0,), (1, 2)])


@given(places)
def test_every_mark_is_in_one_group_with_at_most_one_of_each_worker(marks: list[tuple[int, int]]) -> None:
    found = groups_of(marks)
    assert sorted(number for group in found for number in group.members) == list(range(len(marks)))
    for group in found:
        owners = [marks[number][0] for number in group.members]
        assert len(owners) == len(set(owners))
        pairs = [close(marks[a][1], marks[b][1]) for a in group.members for b in group.members if a < b]
        assert not pairs or abs(group.closeness - sum(pairs) / len(pairs)) < 1e-9
        assert not pairs or group.closeness >= 0.25 - 1e-9


@given(st.lists(st.integers(0, 40), max_size=6), st.lists(st.integers(0, 40), max_size=6))
def test_pairs_are_one_to_one_and_close_enough(ones: list[int], others: list[int]) -> None:
    found = matched(len(ones), len(others), lambda a, b: close(ones[a], others[b]), least=0.5)
    assert len({a for a, _, _ in found}) == len({b for _, b, _ in found}) == len(found)
    assert all(closeness == close(ones[a], others[b]) >= 0.5 for a, b, closeness in found)
    taken_ones, taken_others = {a for a, _, _ in found}, {b for _, b, _ in found}
    left = [
        (a, b) for a in range(len(ones)) for b in range(len(others)) if a not in taken_ones and b not in taken_others
    ]
    assert all(close(ones[a], others[b]) < 0.5 for a, b in left)


@given(st.lists(st.tuples(*[st.integers(0, 20)] * 2, *[st.integers(0, 8)] * 2), max_size=12))
def test_the_sweep_finds_all_boxes_that_touch(sizes: list[tuple[int, int, int, int]]) -> None:
    boxes = [Box(x, y, x + width, y + height) for x, y, width, height in sizes]
    touch = [
        (a, b)
        for a, b in combinations(range(len(boxes)), 2)
        if boxes[a].left <= boxes[b].right
        and boxes[b].left <= boxes[a].right
        and boxes[a].top <= boxes[b].bottom
        and boxes[b].top <= boxes[a].bottom
    ]
    assert sorted(touching(boxes)) == touch
