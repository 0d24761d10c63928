"""What a day's seal is: which leaves it holds, in which order, and the documents that say so. Pure.

Every day all entries and statement rows that no earlier seal holds, and whose moment lies before the end of the day
(UTC), are sealed: they become the leaves of one Merkle tree. What is recorded late, with an older moment, is sealed by
the next seal that finds it; no seal ever changes. Each item has a name, "entry/<entry id>" or
"row/<account>:<currency>/<seq>", and a fingerprint: `chain.leaf` of an entry, `row_fingerprint` of a row. Its leaf is
SHA-256 over a zero byte and the canonical JSON of [name, fingerprint (hex)]. Leaves stand in the order of SHA-256 of
their names.

    list      canonical JSON [[name, fingerprint], ...]: up to `merkle.CHUNK` items of a day; kept under its SHA-256
    manifest  which lists a day has, and the leaves of the log before it; kept under its SHA-256
    record    {"day", "until_ms", "size", "root", "manifest"}: the day in one line; a leaf of the log
    root      record, log {"size", "root", "path"}, previous day and consistency proof, public keys, signature; kept
              under the number of the seal, never overwritten

The log is a Merkle tree over the records of all days, so that each root covers everything that was ever sealed.
"""

import bisect
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from smallpeck.kernel.clock import from_rfc3339
from smallpeck.kernel.errors import Malformed
from smallpeck.kernel.ids import canonical_json
from smallpeck.ledger import merkle
from smallpeck.ledger.chain import LEAF_PREFIX
from smallpeck.ledger.signatures import Document, Jwk

ROOT_TYPE = "smallpeck.root.v1"
DAY_MS = 86_400_000
_EPOCH = date(1970, 1, 1).toordinal()
_NOT_IN_LEAVES = frozenset({"pk", "sk", "row_hash"})

Sealed = tuple[str, bytes]
"""(name, fingerprint): what a seal holds of one item."""


class BadMoment(Malformed):
    """A moment that is none."""

    code = "bad_moment"


def entry_name(entry_id: str) -> str:
    """What an entry is called in a seal."""
    return f"entry/{entry_id}"


def row_name(account: str, seq: int) -> str:
    """What a statement row is called in a seal; `account` is "<account>:<currency>"."""
    return f"row/{account}/{seq}"


def order(name: str) -> bytes:
    """Where a name stands among all names."""
    return hashlib.sha256(name.encode()).digest()


def row_fingerprint(account: str, row: Mapping[str, Any]) -> bytes:
    """What tells a statement row (with or without its keys and its `row_hash`) from any other: SHA-256, 32 bytes.

    It is over a zero byte and the canonical JSON of the row's fields and of the name of its account, as `account`.
    """
    content = {field: value for field, value in row.items() if field not in _NOT_IN_LEAVES}
    return hashlib.sha256(LEAF_PREFIX + canonical_json({**content, "account": account}).encode()).digest()


def leaf_of(name: str, fingerprint: bytes) -> bytes:
    """The leaf of an item; it holds the name, so that no item's place can be given out as another's."""
    return hashlib.sha256(LEAF_PREFIX + canonical_json([name, fingerprint.hex()]).encode()).digest()


def day_before(moment: str) -> str:
    """The last day that has ended at a moment (RFC 3339), as "2026-11-21"; raises BadMoment."""
    try:
        return day_of(from_rfc3339(moment) - DAY_MS)
    except (ValueError, OverflowError) as error:
        raise BadMoment("the schedule gives no moment") from error


def day_of(moment_ms: int) -> str:
    """The day (UTC) of a moment."""
    return datetime.fromtimestamp(moment_ms // 1_000, UTC).date().isoformat()


def end_of(day: str) -> int:
    """The first millisecond after a day."""
    return (date.fromisoformat(day).toordinal() + 1 - _EPOCH) * DAY_MS


def list_text(items: Sequence[Sealed]) -> bytes:
    """A list as it is kept."""
    return canonical_json([[name, fingerprint.hex()] for name, fingerprint in items]).encode()


def list_of(text: bytes) -> list[Sealed]:
    """The items of a list."""
    return [(name, bytes.fromhex(fingerprint)) for name, fingerprint in json.loads(text)]


def list_root(items: Sequence[Sealed]) -> bytes:
    """The root of the leaves of a list."""
    return merkle.root_of(leaf_of(*one) for one in items)


@dataclass(frozen=True)
class Chunk:
    """One list of a day: where its first name stands, how many leaves it has, their root, and the list's hash."""

    first: bytes
    size: int
    root: bytes
    file: str


@dataclass(frozen=True)
class Manifest:
    """The lists of a day, and the leaves of the log of all days before it."""

    day: str
    chunks: tuple[Chunk, ...]
    log: tuple[bytes, ...]

    def text(self) -> bytes:
        """As it is kept."""
        chunks = [[one.first.hex(), one.size, one.root.hex(), one.file] for one in self.chunks]
        return canonical_json({"day": self.day, "chunks": chunks, "log": [leaf.hex() for leaf in self.log]}).encode()

    @classmethod
    def of(cls, text: bytes) -> "Manifest":
        """The manifest of a text."""
        given = json.loads(text)
        chunks = tuple(
            Chunk(bytes.fromhex(first), size, bytes.fromhex(root), file) for first, size, root, file in given["chunks"]
        )
        return cls(given["day"], chunks, tuple(bytes.fromhex(leaf) for leaf in given["log"]))

    def root(self) -> bytes:
        """The root of the day."""
        return merkle.root_of(chunk.root for chunk in self.chunks)

    def size(self) -> int:
        """How many leaves the day has."""
        return sum(chunk.size for chunk in self.chunks)

    def place(self, name: str) -> int | None:
        """The number of the chunk that a name stands in if the day has it."""
        number = bisect.bisect_right([chunk.first for chunk in self.chunks], order(name)) - 1
        return None if number < 0 else number

    def proof(self, number: int, items: Sequence[Sealed], name: str) -> tuple[int, bytes, list[bytes]] | None:
        """Index in the day, fingerprint and inclusion proof of a name; None where chunk `number` (`items`) has none."""
        for index, (other, fingerprint) in enumerate(items):
            if other == name:
                inside = merkle.path([leaf_of(*one) for one in items], index)
                above = merkle.path([chunk.root for chunk in self.chunks], number)
                return number * merkle.CHUNK + index, fingerprint, inside + above
        return None


def chunks_of(items: Iterator[Sealed]) -> Iterator[tuple[Chunk, bytes]]:
    """The lists of these items, which come in their order, each with its text."""
    held: list[Sealed] = []
    for one in items:
        held.append(one)
        if len(held) == merkle.CHUNK:
            yield _chunk(held)
            held = []
    if held:
        yield _chunk(held)


def _chunk(items: Sequence[Sealed]) -> tuple[Chunk, bytes]:
    text = list_text(items)
    return Chunk(order(items[0][0]), len(items), list_root(items), hashlib.sha256(text).hexdigest()), text


def record_of(manifest: Manifest) -> Document:
    """The record of a day."""
    return {
        "day": manifest.day,
        "until_ms": end_of(manifest.day),
        "size": manifest.size(),
        "root": manifest.root().hex(),
        "manifest": hashlib.sha256(manifest.text()).hexdigest(),
    }


def record_leaf(record: Mapping[str, Any]) -> bytes:
    """The leaf of a record in the log."""
    return hashlib.sha256(LEAF_PREFIX + canonical_json(record).encode()).digest()


def root_document(
    *, manifest: Manifest, previous: Mapping[str, Any] | None, keys: Sequence[Jwk], sealed_at_ms: int
) -> Document:
    """The root of a day, not yet signed. `previous` is the root of the day before it, or None for the first."""
    record = record_of(manifest)
    log = [*manifest.log, record_leaf(record)]
    before = None
    if previous is not None:
        proof = merkle.consistency(log, previous["log"]["size"])
        before = {
            "day": previous["record"]["day"],
            "log": {"size": previous["log"]["size"], "root": previous["log"]["root"]},
            "consistency": hexes(proof),
        }
    return {
        "type": ROOT_TYPE,
        "record": record,
        "log": {
            "size": len(log),
            "root": merkle.root_of(log).hex(),
            "path": hexes(merkle.path(log, len(log) - 1)),
        },
        "previous": before,
        "sealed_at_ms": sealed_at_ms,
        "keys": [dict(key) for key in keys],
    }


def hexes(hashes: Sequence[bytes]) -> list[str]:
    """Hashes as they stand in documents."""
    return [one.hex() for one in hashes]
