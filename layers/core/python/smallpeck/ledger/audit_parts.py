"""What the parts of an audit hand on to each other, as files: sums that add up, in whatever order they are joined.

A part is a list of files of `CHUNK_ACCOUNTS` accounts each and an index that names them, so that who joins the parts
holds one such file beside the sums. Fingerprints are sums of hashes, kept by their last 128 bits.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from operator import attrgetter
from typing import Any, Protocol

from smallpeck.kernel.ids import canonical_json
from smallpeck.ledger.audit import PRINT_BITS, AccountSums, Claim, Difference, Differences, StoredBalance, Sums
from smallpeck.ledger.audit_look import Look

CHUNK_ACCOUNTS = 5_000

_COUNTS = ("entries", "entries_micros", "rows", "rows_micros", "chains")
_PRINTS = ("entries_print", "rows_print", "chain_print", "hash_print")
_counts, _prints = attrgetter(*_COUNTS), attrgetter(*_PRINTS)


class Files(Protocol):
    """Files under the SHA-256 (hex) of what is in them."""

    def put(self, text: bytes, /) -> str:
        """Keeps a file and returns its hash."""
        ...

    def get(self, file: str, /) -> bytes:
        """A file by its hash; raises Unavailable where something else stands there, or nothing."""
        ...


@dataclass(frozen=True)
class PlatformPart:
    """What one part of the platform table says: balance items by name, and what each claimant has seen, as JSON."""

    balances: Mapping[str, StoredBalance]
    seen: Sequence[Any]


def put_sums(sums: Sums, files: Files) -> str:
    """Keeps the fold of a part of the ledger; the hash of its index."""
    rows = (
        [name, *_counts(one), *(value & PRINT_BITS for value in _prints(one))] for name, one in sums.accounts.items()
    )
    index = {"entries": sums.entries, "rows": sums.rows, "defects": asdict(sums.defects)}
    return _put(files, {**index, "chunks": _put_chunks(rows, files)})


def add_sums(file: str, files: Files, whole: Sums) -> None:
    """Adds the fold of a part to the whole."""
    index = _get(files, file)
    part = Sums(entries=index["entries"], rows=index["rows"], defects=_differences(index["defects"]))
    whole.merge(part)
    for name, *numbers in _chunks(index, files):
        sums = AccountSums(**dict(zip((*_COUNTS, *_PRINTS), numbers, strict=True)))
        if name in whole.accounts:
            whole.accounts[name].merge(sums)
        else:
            whole.accounts[name] = sums


def put_platform(part: PlatformPart, files: Files) -> str:
    """Keeps what a part of the platform table says; the hash of its index."""
    rows = ([name, one.balance_micros, one.seq, one.head_hash] for name, one in part.balances.items())
    return _put(files, {"seen": list(part.seen), "chunks": _put_chunks(rows, files)})


def platform_part(file: str, files: Files) -> PlatformPart:
    """What a part of the platform table says."""
    index = _get(files, file)
    balances = {name: StoredBalance(micros, seq, head) for name, micros, seq, head in _chunks(index, files)}
    return PlatformPart(balances, index["seen"])


def put_look(look: Look, files: Files) -> str:
    """Keeps a look; its hash."""
    fields = {
        **vars(look),
        "found": asdict(look.found),
        "balances": {name: one and [one.balance_micros, one.seq, one.head_hash] for name, one in look.balances.items()},
        "claims": [[*group, claim and asdict(claim)] for group, claim in look.claims.items()],
    }
    return _put(files, fields)


def look_of(file: str, files: Files) -> Look:
    """A look that was kept."""
    fields = _get(files, file)
    return Look(
        **{
            **fields,
            "found": _differences(fields["found"]),
            "balances": {name: one and StoredBalance(*one) for name, one in fields["balances"].items()},
            "claims": {(group, currency): claim and _claim(claim) for group, currency, claim in fields["claims"]},
        }
    )


def _claim(fields: Mapping[str, Any]) -> Claim:
    return Claim(**{**fields, "allowed_micros": tuple(fields["allowed_micros"])})


def _differences(fields: Mapping[str, Any]) -> Differences:
    return Differences(fields["count"], [Difference(**one) for one in fields["listed"]])


def _put_chunks(rows: Iterable[Sequence[Any]], files: Files) -> list[str]:
    waiting, chunks = iter(rows), []
    while chunk := list(islice(waiting, CHUNK_ACCOUNTS)):
        chunks.append(_put(files, chunk))
    return chunks


def _chunks(index: Mapping[str, Any], files: Files) -> Iterator[list[Any]]:
    for chunk in index["chunks"]:
        yield from _get(files, chunk)


def _put(files: Files, value: object) -> str:
    return files.put(canonical_json(value).encode())


def _get(files: Files, file: str) -> Any:
    return json.loads(files.get(file))
