"""Merkle trees: roots as RFC 6962 defines them, and proofs that hold for what they are of and for nothing else."""

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallpeck.ledger import merkle
from smallpeck.ledger.merkle import BadProof, Builder, consistency, is_consistent, node, path, root_of, root_of_path

LEAVES = [hashlib.sha256(b"\0" + n.to_bytes(2, "big")).digest() for n in range(201)]
SIZES = range(1, 201)

# The tree of the reference implementation's tests, after RFC 6962: its leaves, and its root after each of them.
KNOWN_CONTENT = (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)  # fmt: skip
KNOWN_ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


def defined(leaves: Sequence[bytes]) -> bytes:
    """The root as the definition says it."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\1" + defined(leaves[:k]) + defined(leaves[k:])).digest()


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_those_of_certificate_transparency(size: int) -> None:
    leaves = [hashlib.sha256(b"\0" + bytes.fromhex(content)).digest() for content in KNOWN_CONTENT[:size]]
    assert root_of(leaves).hex() == KNOWN_ROOTS[size - 1]


def test_roots_follow_the_definition_for_every_size() -> None:
    assert root_of([]) == merkle.EMPTY == defined([])
    builder = Builder()
    for size in SIZES:
        builder.add(LEAVES[size - 1])
        assert builder.root() == root_of(LEAVES[:size]) == defined(LEAVES[:size])


def test_a_builder_holds_a_hash_for_each_bit_and_no_more() -> None:
    builder = Builder()
    for _ in range(100_000):
        builder.add(LEAVES[0])
    assert len(builder._full) == (100_000).bit_count()


@pytest.mark.parametrize("size", SIZES)
def test_every_leaf_of_a_tree_has_a_proof_that_holds(size: int) -> None:
    leaves = LEAVES[:size]
    root = defined(leaves)
    for index in range(size):
        assert root_of_path(leaves[index], index=index, size=size, siblings=path(leaves, index)) == root


def leads(leaf: bytes, index: int, size: int, siblings: Sequence[bytes]) -> bytes | None:
    """Where a proof leads, or None where it is none."""
    try:
        return root_of_path(leaf, index=index, size=size, siblings=siblings)
    except BadProof:
        return None


@given(st.data())
def test_a_proof_with_one_flipped_bit_fails(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 200))
    index = data.draw(st.integers(0, size - 1))
    hashes = [LEAVES[index], *path(LEAVES[:size], index)]
    struck = data.draw(st.integers(0, len(hashes) - 1))
    bit = data.draw(st.integers(0, 255))
    hashes[struck] = (int.from_bytes(hashes[struck], "big") ^ 1 << bit).to_bytes(32, "big")
    assert leads(hashes[0], index, size, hashes[1:]) != root_of(LEAVES[:size])


@given(st.integers(1, 200), st.data())
def test_a_proof_fails_for_another_index_size_or_length(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    leaf, siblings, root = LEAVES[index], path(LEAVES[:size], index), root_of(LEAVES[:size])
    for other in set(range(size)) - {index}:
        assert leads(leaf, other, size, siblings) != root
    assert leads(leaf, size, size, siblings) is None
    assert leads(leaf, -1, size, siblings) is None
    assert leads(leaf, index, size, [*siblings, LEAVES[-1]]) is None
    if siblings:
        assert leads(leaf, index, size, siblings[:-1]) is None
    if len(siblings) > 1 and siblings[0] != siblings[1]:
        assert leads(leaf, index, size, [siblings[1], siblings[0], *siblings[2:]]) != root


def test_a_node_is_never_taken_for_a_leaf() -> None:
    leaves = LEAVES[:4]
    inner = [node(*leaves[:2]), node(*leaves[2:])]
    assert root_of(inner) == root_of(leaves)
    # That is why the size of a tree is part of what is published.
    assert leads(inner[0], 0, 4, path(inner, 0)) is None


def test_there_is_no_proof_of_what_is_not_there() -> None:
    for index in (-1, 3):
        with pytest.raises(IndexError):
            path(LEAVES[:3], index)
    for size in (0, 4):
        with pytest.raises(IndexError):
            consistency(LEAVES[:3], size)


@pytest.mark.parametrize("new_size", range(1, 66))
def test_a_tree_that_has_grown_proves_that_it_only_grew(new_size: int) -> None:
    new_root = root_of(LEAVES[:new_size])
    for old_size in range(1, new_size + 1):
        old_root, proof = root_of(LEAVES[:old_size]), consistency(LEAVES[:new_size], old_size)

        def holds(
            old_size: int = old_size,
            old_root: bytes = old_root,
            new_root: bytes = new_root,
            proof: Sequence[bytes] = tuple(proof),
        ) -> bool:
            return is_consistent(
                old_size=old_size, old_root=old_root, new_size=new_size, new_root=new_root, proof=proof
            )

        assert holds()
        assert not holds(old_root=LEAVES[200])
        assert not holds(new_root=LEAVES[200])
        assert not holds(proof=[*proof, LEAVES[0]])
        assert not holds(old_size=0)
        assert not holds(old_size=new_size + 1)
        for struck in range(len(proof)):
            assert not holds(proof=[*proof[:struck], LEAVES[200], *proof[struck + 1 :]])
            assert not holds(proof=proof[:struck])


@pytest.mark.parametrize("chunk", [4, 32])
def test_the_roots_of_runs_of_leaves_make_the_root_of_all(chunk: int) -> None:
    for size in SIZES:
        leaves = LEAVES[:size]
        runs = [leaves[start : start + chunk] for start in range(0, size, chunk)]
        roots = [root_of(run) for run in runs]
        assert root_of(roots) == root_of(leaves)
        for index in (0, size // 2, size - 1):
            number, inside = divmod(index, chunk)
            assert path(runs[number], inside) + path(roots, number) == path(leaves, index)
