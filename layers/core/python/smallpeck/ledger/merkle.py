"""Merkle trees as in RFC 6962 and RFC 9162: roots, inclusion proofs and consistency proofs. Pure.

A leaf is SHA-256 over a zero byte and its content (`ledger.chain.leaf`), a node SHA-256 over a one byte and its two
children. A tree of n > 1 leaves is split at the largest power of two below n, so the left side is always full. That is
why the roots of runs of `CHUNK` leaves (the last may be shorter) make, joined as leaves are, the root of the whole.
"""

import hashlib
from collections.abc import Iterable, Sequence

CHUNK = 1_024
"""Leaves in a file of a seal: a power of two."""

NODE_PREFIX = b"\x01"
EMPTY = hashlib.sha256().digest()
"""The root of no leaves."""


class BadProof(ValueError):
    """A proof that cannot belong to a tree of the size it is said to be of."""


def node(left: bytes, right: bytes) -> bytes:
    """The hash of a node."""
    return hashlib.sha256(NODE_PREFIX + left + right).digest()


class Builder:
    """The root of leaves that come one by one; holds one hash for each bit of their number."""

    def __init__(self) -> None:
        self.size = 0
        self._full: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        """Appends a leaf."""
        carried, before = leaf, self.size
        while before & 1:
            carried = node(self._full.pop(), carried)
            before >>= 1
        self._full.append(carried)
        self.size += 1

    def root(self) -> bytes:
        """The root of what was appended so far."""
        if not self._full:
            return EMPTY
        joined = self._full[-1]
        for left in reversed(self._full[:-1]):
            joined = node(left, joined)
        return joined


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root of these leaves, in memory that does not grow with them."""
    builder = Builder()
    for leaf in leaves:
        builder.add(leaf)
    return builder.root()


def split(size: int) -> int:
    """Where a tree of `size` (above one) leaves is split: the largest power of two below it."""
    return 1 << ((size - 1).bit_length() - 1)


def path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The inclusion proof of one leaf, from its sibling up."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"there is no leaf {index} among {len(leaves)}")
    siblings: list[bytes] = []
    low, high = 0, len(leaves)
    while high - low > 1:
        middle = low + split(high - low)
        if index < middle:
            siblings.append(root_of(leaves[middle:high]))
            high = middle
        else:
            siblings.append(root_of(leaves[low:middle]))
            low = middle
    return siblings[::-1]


def root_of_path(leaf: bytes, *, index: int, size: int, siblings: Sequence[bytes]) -> bytes:
    """The root that an inclusion proof leads to; raises BadProof where it is too short or too long."""
    if not 0 <= index < size:
        raise BadProof(f"there is no leaf {index} in a tree of {size}")
    place, last, hashed = index, size - 1, leaf
    for sibling in siblings:
        if last == 0:
            raise BadProof("the proof is too long")
        if place & 1 or place == last:
            hashed = node(sibling, hashed)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            hashed = node(hashed, sibling)
        place, last = place >> 1, last >> 1
    if last:
        raise BadProof("the proof is too short")
    return hashed


def consistency(leaves: Sequence[bytes], size: int) -> list[bytes]:
    """The proof that the first `size` (above zero) of these leaves are the beginning of all of them."""
    if not 0 < size <= len(leaves):
        raise IndexError(f"{size} is no beginning of {len(leaves)} leaves")
    return _subproof(leaves, size, known=True)


def _subproof(leaves: Sequence[bytes], size: int, *, known: bool) -> list[bytes]:
    if size == len(leaves):
        return [] if known else [root_of(leaves)]
    middle = split(len(leaves))
    if size <= middle:
        return [*_subproof(leaves[:middle], size, known=known), root_of(leaves[middle:])]
    return [*_subproof(leaves[middle:], size - middle, known=False), root_of(leaves[:middle])]


def is_consistent(*, old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether a tree that had `old_root` has only grown since (RFC 9162, 2.1.4.2)."""
    if not 0 < old_size <= new_size:
        return False
    if old_size == new_size:
        return old_root == new_root and not proof
    hashes = list(proof) if old_size & (old_size - 1) else [old_root, *proof]
    if not hashes:
        return False
    place, last = old_size - 1, new_size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old = new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            old, new = node(sibling, old), node(sibling, new)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            new = node(new, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and old == old_root and new == new_root
