"""Whether a statement document holds: everything that can be checked with nothing but it and published roots.

Checked are its signature, the chain of its rows and their sums, that each row and entry that was sealed stands in the
seal of its day, that the seal stands in a root that was given, and that the roots follow each other. Needs no network.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from smallpeck.ledger import chain, merkle, seals, signatures
from smallpeck.ledger.signatures import BadSignature, Jwk
from smallpeck.ledger.statement_document import STATEMENT_TYPE

SEALED_WITHIN_MS = 2 * seals.DAY_MS
"""A row this much older than the end of the newest root's day must be in a seal."""

_BROKEN = (KeyError, TypeError, ValueError, AttributeError, IndexError)


def verify(document: Any, *, roots: Sequence[Any], keys: Sequence[Jwk] | None = None) -> list[str]:
    """What is wrong with a statement document, in words; nothing where all of it holds.

    `keys` are those that may have signed; None: those that the roots publish.
    """
    problems: list[str] = []
    held: list[Mapping[str, Any]] = []
    for number, root in enumerate(roots, 1):
        wrong = list(_guarded(lambda root=root: _root(root, keys), "the root is not written as a root is"))
        problems += [f"root {number}: {one}" for one in wrong]
        held += [] if wrong else [root]
    problems += _guarded(lambda: _follow(held), "the roots cannot be compared")
    known = keys if keys is not None else [key for root in held for key in root["keys"]]
    problems += _guarded(lambda: _statement(document, held, known), "this is not written as a statement document is")
    return problems


def sealed_and_not(document: Mapping[str, Any]) -> tuple[int, int]:
    """How many rows of a document are sealed together with their entries, and how many are not yet."""
    sealed = sum(1 for one in document["proofs"] if one["row"] is not None and one["entry"] is not None)
    return sealed, len(document["rows"]) - sealed


def _guarded(look: Any, otherwise: str) -> list[str]:
    problems: list[str] = []
    try:
        problems.extend(look())
    except _BROKEN as error:
        problems.append(f"{otherwise} ({type(error).__name__}: {error})")
    return problems


def _signature(document: Mapping[str, Any], keys: Sequence[Jwk], purpose: str) -> Iterator[str]:
    try:
        signatures.check(document, keys, purpose)
    except BadSignature as error:
        yield f"signature: {error}"


def _root(root: Mapping[str, Any], keys: Sequence[Jwk] | None) -> Iterator[str]:
    if root["type"] != seals.ROOT_TYPE:
        yield f"this is a {root['type']}"
        return
    yield from _signature(root, keys if keys is not None else root["keys"], signatures.ROOT)
    record, log = root["record"], root["log"]
    if not _leads(seals.record_leaf(record), log["size"] - 1, log["size"], log["path"], log["root"]):
        yield "the day is not the last one of its log"
    before = root["previous"]
    if before is None:
        if log["size"] != 1:
            yield "it names no day before it, and is not the first"
    elif not merkle.is_consistent(
        old_size=before["log"]["size"],
        old_root=bytes.fromhex(before["log"]["root"]),
        new_size=log["size"],
        new_root=bytes.fromhex(log["root"]),
        proof=_hashes(before["consistency"]),
    ):
        yield "the log before it was changed"


def _follow(roots: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    by_size = {root["log"]["size"]: root for root in roots}
    for root in roots:
        if by_size[root["log"]["size"]]["log"]["root"] != root["log"]["root"]:
            yield f"two of the roots are of the same number and differ ({root['record']['day']})"
        before = root["previous"]
        earlier = by_size.get(before["log"]["size"]) if before is not None else None
        if before is not None and earlier is not None and earlier["log"]["root"] != before["log"]["root"]:
            yield f"the root of {root['record']['day']} does not follow that of {earlier['record']['day']}"


def _statement(document: Mapping[str, Any], roots: Sequence[Mapping[str, Any]], keys: Sequence[Jwk]) -> Iterator[str]:
    if document["type"] != STATEMENT_TYPE:
        yield f"this is a {document['type']}, not a statement document"
        return
    yield from _signature(document, keys, signatures.STATEMENT)
    yield from _rows(document)
    yield from _proofs(document)
    yield from _days(document, roots)
    yield from _freshness(document, roots)


def _rows(document: Mapping[str, Any]) -> Iterator[str]:
    name, rows = f"{document['account']}:{document['currency']}", document["rows"]
    opening, head = _head(document["opening"]), _head(document["head"])
    if opening.seq == 0 and opening != chain.Head():
        yield "opening: a statement begins with nothing"
    end, breaks = chain.verify(name, rows, after=opening)
    for one in breaks:
        yield f"row {one.seq}: {one.what}"
    if rows and _period(document) != (rows[0]["seq"], rows[-1]["seq"], rows[0]["at_ms"], rows[-1]["at_ms"]):
        yield "period: it is not that of the rows"
    if not rows and (document["period"] is not None or opening != head):
        yield "rows: there are none, though there should be"
    if end.seq > head.seq or (end.seq == head.seq and end != head):
        yield f"head: the rows end with number {end.seq} and {end.balance_micros} micros, which the head does not say"
    if rows and document["period"]["more"] is not (end.seq < head.seq):
        yield f"rows: they end with number {end.seq}, the account with number {head.seq}"
    moved = sum(row["amount_micros"] for row in rows)
    if opening.balance_micros + moved != end.balance_micros:
        yield f"sums: {opening.balance_micros} and movements of {moved} are not {end.balance_micros} micros"


def _head(said: Mapping[str, Any]) -> chain.Head:
    return chain.Head(said["seq"], said["row_hash"], said["balance_micros"])


def _period(document: Mapping[str, Any]) -> tuple[Any, ...] | None:
    said = document["period"]
    return None if said is None else (said["first_seq"], said["last_seq"], said["from_ms"], said["to_ms"])


def _proofs(document: Mapping[str, Any]) -> Iterator[str]:
    name, rows = f"{document['account']}:{document['currency']}", document["rows"]
    if [one["seq"] for one in document["proofs"]] != [row["seq"] for row in rows]:
        yield "proofs: they are not those of the rows"
        return
    for row, proof in zip(rows, document["proofs"], strict=True):
        of_row, of_entry = proof["row"], proof["entry"]
        if of_row is not None:
            if of_row["fingerprint"] != seals.row_fingerprint(name, row).hex():
                yield f"row {row['seq']}: it is not the row that was sealed"
            if not _in_its_day(seals.row_name(name, row["seq"]), of_row, document):
                yield f"row {row['seq']}: it does not stand in the seal of {of_row['day']}"
        if of_entry is not None and not _in_its_day(seals.entry_name(row["entry_id"]), of_entry, document):
            yield f"row {row['seq']}: its entry {row['entry_id']} does not stand in the seal of {of_entry['day']}"


def _in_its_day(name: str, proof: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
    record = document["days"][proof["day"]]["record"]
    leaf = seals.leaf_of(name, bytes.fromhex(proof["fingerprint"]))
    return record["day"] == proof["day"] and _leads(leaf, proof["index"], record["size"], proof["path"], record["root"])


def _days(document: Mapping[str, Any], roots: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    newest = document["root"]
    if newest is None:
        if document["days"]:
            yield "root: there are seals, and no root that they stand in"
        return
    log = newest["log"]
    given = [root for root in roots if root["log"]["size"] == log["size"]]
    same = [root for root in given if root["log"]["root"] == log["root"]]
    if any(root["record"]["day"] != newest["day"] for root in same):
        yield f"root: the root that was given is not of {newest['day']}"
    for day, said in document["days"].items():
        record = said["record"]
        if not _leads(seals.record_leaf(record), said["number"], log["size"], said["path"], log["root"]):
            yield f"root: the seal of {day} does not stand in the root of {newest['day']}"
        if same or any(root["record"] == record for root in roots):
            continue
        if given:
            yield f"root: the document's root of {newest['day']} is another one than was given"
        else:
            yield f"root: that of {day} or of {newest['day']} is needed and was not given"


def _freshness(document: Mapping[str, Any], roots: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    newest = [document["root"]["day"]] if document["root"] is not None else []
    days = [*newest, *(root["record"]["day"] for root in roots if root["sealed_at_ms"] < document["issued_at_ms"])]
    if not days:
        return
    until_ms = seals.end_of(max(days))
    for row, proof in zip(document["rows"], document["proofs"], strict=False):
        if None in (proof["row"], proof["entry"]) and row["at_ms"] < until_ms - SEALED_WITHIN_MS:
            yield f"row {row['seq']}: it should have been sealed long ago, and is not"


def _leads(leaf: bytes, index: int, size: int, path: Sequence[str], root: str) -> bool:
    try:
        return merkle.root_of_path(leaf, index=index, size=size, siblings=_hashes(path)).hex() == root
    except merkle.BadProof:
        return False


def _hashes(texts: Sequence[str]) -> list[bytes]:
    return [bytes.fromhex(text) for text in texts]
