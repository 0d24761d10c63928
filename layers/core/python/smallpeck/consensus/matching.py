"""Which objects of several workers are one object: at most one of each worker, the closest first.

Objects go by their numbers. Closeness is a share from 0 (nothing to do with each other) to 1 (the same), computed by
the caller.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from smallpeck.consensus.geometry import Box

Pair = tuple[int, int]


@dataclass(frozen=True)
class Group:
    """Objects that are taken to be one; how close they are to each other in the mean of all pairs,
    1 for a single one.
    """

    members: tuple[int, ...]
    closeness: float


@dataclass
class _Growing:
    members: list[int]
    owners: set[int]
    sums: dict[int, float] = field(default_factory=dict)
    within: float = 0.0


def touching(reaches: Sequence[Box]) -> Iterator[Pair]:
    """The pairs of boxes that touch or overlap, the smaller number first: a sweep from left to right."""
    order = sorted(range(len(reaches)), key=lambda number: reaches[number])
    swept = [(*reaches[number], number) for number in order]
    for place, (_, top, right, bottom, one) in enumerate(swept):
        for left, upper, _, lower, other in swept[place + 1 :]:
            if left > right:
                break
            if upper <= bottom and lower >= top:
                yield (one, other) if one < other else (other, one)


def grouped(owners: Sequence[int], close_pairs: Iterable[tuple[int, int, float]], *, least: float) -> list[Group]:
    """Groups of objects 0 to n - 1, `owners` saying whose each is; no group has two objects of one owner.

    Average linkage (Sokal and Michener 1958): the two groups whose objects are closest in the mean over all pairs are
    joined, as long as that is at least `least`. `close_pairs` are the pairs of different owners with their closeness;
    who is not in it is not close at all. Equal means fall by the numbers, so the caller sorts what it numbers.
    """
    groups = {number: _Growing([number], {owner}) for number, owner in enumerate(owners)}
    queue: list[tuple[float, int, int]] = []
    for one, other, close in close_pairs:
        groups[one].sums[other] = groups[other].sums[one] = close
        if close >= least:
            queue.append((-close, one, other))
    heapq.heapify(queue)
    made = len(owners)
    while queue:
        _, one, other = heapq.heappop(queue)
        if one not in groups or other not in groups:
            continue
        joined = _joined(groups.pop(one), groups.pop(other), other)
        for neighbour in list(joined.sums):
            if neighbour not in groups:
                del joined.sums[neighbour]
                continue
            near = groups[neighbour]
            near.sums.pop(one, None)
            near.sums.pop(other, None)
            if near.owners & joined.owners:
                del joined.sums[neighbour]
                continue
            near.sums[made] = joined.sums[neighbour]
            mean = joined.sums[neighbour] / (len(near.members) * len(joined.members))
            if mean >= least:
                heapq.heappush(queue, (-mean, neighbour, made))
        groups[made] = joined
        made += 1
    return sorted((_finished(group) for group in groups.values()), key=lambda group: group.members)


def matched(
    many: int, others: int, closeness: Callable[[int, int], float], *, least: float
) -> list[tuple[int, int, float]]:
    """One-to-one pairs of objects 0 to `many` - 1 with objects 0 to `others` - 1, the closest first, and how close.

    Pairs closer than `least` or as close; equal ones fall by the numbers.
    """
    pairs = sorted(
        (-close, one, other)
        for one in range(many)
        for other in range(others)
        if (close := closeness(one, other)) >= least and close > 0
    )
    left, right = set(range(many)), set(range(others))
    found = []
    for close, one, other in pairs:
        if one in left and other in right:
            left.remove(one)
            right.remove(other)
            found.append((one, other, -close))
    return found


def _joined(one: _Growing, other: _Growing, name_of_other: int) -> _Growing:
    between = one.sums.pop(name_of_other, 0.0)
    sums = dict(one.sums)
    for neighbour, total in other.sums.items():
        sums[neighbour] = sums.get(neighbour, 0.0) + total
    return _Growing(one.members + other.members, one.owners | other.owners, sums, one.within + other.within + between)


def _finished(group: _Growing) -> Group:
    many = len(group.members)
    mean = group.within / (many * (many - 1) / 2) if many > 1 else 1.0
    return Group(tuple(sorted(group.members)), mean)
