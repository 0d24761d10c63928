"""Words of several texts side by side: a network of columns, each with one word, or none, of every text.

Built as in ROVER (Fiscus 1997), one text after another by dynamic programming, with three differences: it begins with
the text that shares most words with the others, so that the order of the texts has no say; the cost of a place in a
column is summed over the words that stand in it (sum of pairs: Carrillo and Lipman 1988); and words that are spelled
alike cost less than others (edit distance: Levenshtein 1966, by the bit-parallel way of Hyyrö 2003).
"""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from smallpeck.consensus.normalising import Words

GAP = 0.65
_UNEQUAL = 0.3
_UNLIKE = 0.9

Column = tuple[str, ...]
"""The word of each text, in the order of the texts; empty where a text has none."""


def unlikeness(one: str, other: str) -> float:
    """The edit distance of two words over the length of the longer: 0 for equal words, 1 for nothing in common."""
    if one == other:
        return 0.0
    return _unlike(one, other) if one < other else _unlike(other, one)


@lru_cache(maxsize=1 << 16)
def _unlike(one: str, other: str) -> float:
    return _edits(one, other) / max(len(one), len(other))


def word_errors(said: Sequence[str], right: Sequence[str]) -> int:
    """How many words must be replaced, left out or put in to turn one text into the other (the errors of WER)."""
    above = list(range(len(right) + 1))
    for row, word in enumerate(said, 1):
        left = row
        line = [row]
        for place, other in enumerate(right):
            left = min(above[place] + (word != other), above[place + 1] + 1, left + 1)
            line.append(left)
        above = line
    return above[-1]


def matched(said: Words, right: Words) -> list[bool]:
    """For each word of `said`, whether it stands in `right` at its place of the alignment."""
    return [column[0] == column[1] for column in _pairwise(said, right) if column[0]]


@lru_cache(maxsize=4096)
def network(texts: tuple[Words, ...]) -> tuple[Column, ...]:
    """The columns of these texts, in the order of what was said. Same texts, same columns, whatever their order."""
    order = sorted(range(len(texts)), key=lambda number: (-_shared(texts, number), texts[number]))
    columns: list[list[str]] = []
    for many, number in enumerate(order):
        columns = _with_text(columns, texts[number], many)
    back = [order.index(number) for number in range(len(texts))]
    return tuple(tuple(column[place] for place in back) for column in columns)


def _shared(texts: tuple[Words, ...], number: int) -> float:
    """How much of a text the others have too: Dice's coefficients of their words, summed."""
    mine = Counter(texts[number])
    shares = []
    for other, text in enumerate(texts):
        if other != number and (text or texts[number]):
            shares.append(2 * sum((mine & Counter(text)).values()) / (len(text) + len(texts[number])))
    return round(sum(sorted(shares)), 9)


def _pairwise(one: Words, other: Words) -> list[list[str]]:
    return _with_text([[word] for word in one], other, 1)


def _with_text(columns: list[list[str]], text: Words, many: int) -> list[list[str]]:
    """Columns of `many` texts with one more text, at the smallest cost."""
    counts = [Counter(word for word in column if word) for column in columns]
    standing = [(tuple(count.items()), GAP * (many - sum(count.values()))) for count in counts]
    skipping = [GAP * sum(count.values()) for count in counts]
    new = GAP * many
    width = len(columns)
    costs: dict[str, list[float]] = {}
    above = [0.0]
    for skip in skipping:
        above.append(above[-1] + skip)
    moves = [[1] * (width + 1)]
    for word in text:
        cost = costs.get(word)
        if cost is None:
            cost = costs[word] = [_cost(word, count, absent) for count, absent in standing]
        left = above[0] + new
        line, steps = [left], [2]
        for place in range(width):
            both, step = above[place] + cost[place], 0
            if left + skipping[place] < both:
                both, step = left + skipping[place], 1
            if above[place + 1] + new < both:
                both, step = above[place + 1] + new, 2
            left = both
            line.append(left)
            steps.append(step)
        above = line
        moves.append(steps)
    return _traced(columns, text, many, moves)


def _traced(columns: list[list[str]], text: Words, many: int, moves: list[list[int]]) -> list[list[str]]:
    found: list[list[str]] = []
    row, place = len(text), len(columns)
    while row or place:
        step = moves[row][place]
        if step == 0:
            found.append([*columns[place - 1], text[row - 1]])
        elif step == 1:
            found.append([*columns[place - 1], ""])
        else:
            found.append([""] * many + [text[row - 1]])
        row -= step != 1
        place -= step != 2  # noqa: PLR2004
    found.reverse()
    return found


def _cost(word: str, standing: tuple[tuple[str, int], ...], absent: float) -> float:
    total = absent
    for other, times in standing:
        if other != word:
            total += times * (_UNEQUAL + _UNLIKE * (_unlike(word, other) if word < other else _unlike(other, word)))
    return total


def _edits(one: str, other: str) -> int:
    """Levenshtein's distance; a column of its table is held in the bits of two numbers."""
    if not one or not other:
        return len(one) or len(other)
    places: dict[str, int] = {}
    for place, sign in enumerate(one):
        places[sign] = places.get(sign, 0) | 1 << place
    every, last = (1 << len(one)) - 1, 1 << (len(one) - 1)
    up, down, score = every, 0, len(one)
    for sign in other:
        equal = places.get(sign, 0)
        vertical = equal | down
        diagonal = (((equal & up) + up) ^ up) | equal
        right_up = down | ~(diagonal | up)
        right_down = up & diagonal
        score += bool(right_up & last) - bool(right_down & last)
        right_up = right_up << 1 | 1
        right_down = right_down << 1
        up = (right_down | ~(vertical | right_up)) & every
        down = right_up & vertical & every
    return score
