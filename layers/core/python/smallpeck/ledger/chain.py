"""The hash chain of a statement, and what an entry is as a leaf of a Merkle tree. Pure: mappings in, hashes out.

A statement row holds `row_hash` = SHA-256 (hex) over the canonical JSON of [`previous_hash`, the row]: every field that
is stored (seq, entry id, the entry's input hash, amount, the balance after it, currency, ...) and the name of its
account, but neither the row's keys nor `row_hash` itself. `previous_hash` is that of the row before it, so that
whoever holds some rows in a line can tell whether any of them was changed, removed, added or moved. The balance item
holds the `head_hash`, the hash of the newest row. Rows that were written before there was a chain hold no hash; the
first one that does follows `GENESIS`, wherever it stands.

An entry's leaf is SHA-256 over a zero byte (RFC 6962: leaves and nodes never look alike) and the canonical JSON of all
its stored fields; the entry holds it as `entry_hash`.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from smallpeck.kernel.ids import canonical_json, content_hash

GENESIS = "0" * 64
"""What the first row of a chain follows."""

LEAF_PREFIX = b"\x00"

JUMP = "the balance is not the one before and the amount"
"""What is wrong with a row whose entry was posted on a damaged balance: all else about it may be right."""

_KEYS = frozenset({"pk", "sk"})


@dataclass(frozen=True)
class Head:
    """Where a chain ends: the newest row's number and hash (None: no row, or none that is chained), and its balance."""

    seq: int = 0
    row_hash: str | None = None
    balance_micros: int = 0


@dataclass(frozen=True)
class Break:
    """Where a run of rows is not what was recorded."""

    seq: int
    what: str


def row_hash(name: str, row: Mapping[str, Any]) -> str:
    """The hash (hex) of a statement row that holds its `previous_hash`; `name` is "<account>:<currency>"."""
    content = _without_keys(row)
    content.pop("row_hash", None)
    previous = content.pop("previous_hash")
    content["account"] = name
    return content_hash([previous, content])


def chained(name: str, row: Mapping[str, Any], head_hash: str | None) -> dict[str, Any]:
    """The row with its `previous_hash` and `row_hash`, to follow the row whose hash is `head_hash`."""
    linked = {**row, "previous_hash": head_hash or GENESIS}
    return {**linked, "row_hash": row_hash(name, linked)}


def verify(name: str, rows: Iterable[Mapping[str, Any]], *, after: Head | None = None) -> tuple[Head, list[Break]]:
    """Checks rows that stand in a line, oldest first, and returns where they end and what is wrong with them.

    `after` is where the rows before them ended; without it the first row's word is taken for what it follows. For a
    whole statement give `Head()`; then compare the returned head with that of the balance item. Balances and numbers
    are checked whether rows are chained or not.
    """
    head, breaks = after, []
    for row in rows:
        seq = int(row["seq"])
        breaks += [Break(seq, what) for what in _wrong(name, row, head)]
        head = Head(seq, row.get("row_hash"), int(row["balance_micros"]))
    return head or Head(), breaks


def _wrong(name: str, row: Mapping[str, Any], head: Head | None) -> list[str]:
    wrong = []
    if row["currency"] != name.rpartition(":")[2]:
        wrong.append("the row is in another currency than its account")
    if head is not None:
        if row["seq"] != head.seq + 1:
            wrong.append(f"the row follows number {head.seq}")
        if row["balance_micros"] != head.balance_micros + row["amount_micros"]:
            wrong.append(JUMP)
    if "row_hash" not in row or "previous_hash" not in row:
        if (head is not None and head.row_hash is not None) or "row_hash" in row or "previous_hash" in row:
            wrong.append("the row is not chained")
        return wrong
    if row["row_hash"] != row_hash(name, row):
        wrong.append("the row is not what was recorded")
    if head is not None and row["previous_hash"] != (head.row_hash or GENESIS):
        wrong.append("the row does not follow the one before it")
    return wrong


def leaf_content(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What an entry's leaf is made of: its stored item (as `LedgerStore` gives it) without keys and `entry_hash`."""
    content = _without_keys(entry)
    content.pop("entry_hash", None)
    return content


def leaf(entry: Mapping[str, Any]) -> bytes:
    """The Merkle leaf (32 bytes) of a stored entry, with or without its keys and its `entry_hash`."""
    return hashlib.sha256(LEAF_PREFIX + canonical_json(leaf_content(entry)).encode()).digest()


def _without_keys(item: Mapping[str, Any]) -> dict[str, Any]:
    content = dict(item)
    for key in _KEYS:
        content.pop(key, None)
    return content
