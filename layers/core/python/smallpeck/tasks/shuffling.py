"""What hides the order of a file from those who see single tasks of it.

Control tasks come from anywhere in the file, the other tasks of a page by ticket, one after the other. An id that says
where its task stands, or a page of neighbours with one stranger among them, would tell which is the control task. So a
batch with a control column names its tasks by a permutation of their places, and its tickets name them in another one.
"""

import hashlib
from typing import Final

from smallpeck.kernel.ids import ordinal_of_task, task_id

ORDINALS: Final = 32**7  # as many as seven characters of an id can name
_ROUNDS: Final = range(4)


def id_of_task(ordinal: int, row_key: bytes, batch_id: str, shuffle_key: str | None) -> str:
    """The id of a task; with a key nobody who lacks it can tell the ordinal from it."""
    place = ordinal if shuffle_key is None else shuffled(ordinal, ORDINALS, shuffle_key)
    return task_id(place, row_key, batch_id)


def ordinal_of(identifier: str, shuffle_key: str | None) -> int | None:
    """The ordinal inside a task id, or None where it is not one. Whether there is such a task is another question."""
    place = ordinal_of_task(identifier)
    return place if place is None or shuffle_key is None else unshuffled(place, ORDINALS, shuffle_key)


def shuffled(number: int, count: int, key: str) -> int:
    """Where a permutation of range(count), one for each key, puts a number.

    A Feistel network over the next even number of bits, walked until it is back in the range (Black and Rogaway,
    "Ciphers with arbitrary finite domains", 2002).
    """
    half = _half_bits(count)
    while True:
        left, right = number >> half, number & ((1 << half) - 1)
        for turn in _ROUNDS:
            left, right = right, left ^ _mixed(right, turn, half, key)
        number = left << half | right
        if number < count:
            return number


def unshuffled(number: int, count: int, key: str) -> int:
    """The number that `shuffled` puts there."""
    half = _half_bits(count)
    while True:
        left, right = number >> half, number & ((1 << half) - 1)
        for turn in reversed(_ROUNDS):
            left, right = right ^ _mixed(left, turn, half, key), left
        number = left << half | right
        if number < count:
            return number


def _half_bits(count: int) -> int:
    return max(1, ((count - 1).bit_length() + 1) // 2)


def _mixed(value: int, turn: int, bits: int, key: str) -> int:
    said = value.to_bytes(8, "big") + bytes((turn,))
    digest = hashlib.blake2b(said, key=key.encode()[:64], digest_size=8).digest()
    return int.from_bytes(digest, "big") & ((1 << bits) - 1)
