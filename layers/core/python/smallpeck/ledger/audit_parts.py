"""What the parts of an audit hand on to each other, as files: sums that add up, in whatever order they are joined.

A part is a list of files of `CHUNK_ACCOUNTS` accounts each and an index that names them, so that who joins the parts
holds one such file beside the sums.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import islice
from operator import attrgetter
from typing import Any, Protocol

from smallpeck.kernel.ids import canonical_json
from smallpeck.ledger.audit import AccountSums, Claim, Difference, Differences, StoredBalance, Sums
from smallpeck.ledger.audit_look import Look

CHUNK_ACCOUNTS = 5_000

_numbers = attrgetter(*(one.name for one in fields(AccountSums)))


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
    rows = ([name, *_numbers(one)] for name, one in sums.accounts.items())
    index = {"entries": sums.entries, "rows": sums.rows, "defects": asdict(sums.defects)}
    return _put(files, {**index, "chunks": _put_chunks(rows, files)})


def add_sums(file: str, files: Files, whole: Sums) -> None:
    """Adds the fold of a part to the whole."""
    index = _get(files, file)
    part = Sums(entries=index["entries"], rows=index["rows"], defects=_differences(index["defects"]))
    whole.merge(part)
    for name, *numbers in _chunks(index, files):
        sums = AccountSums(*numbers)
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
    kept = {
        **vars(look),
        "found": asdict(look.found),
        "balances": {name: one and [one.balance_micros, one.seq, one.head_hash] for name, one in look.balances.items()},
        "claims": [[*group, claim and asdict(claim)] for group, claim in look.claims.items()],
    }
    return _put(files, kept)


def look_of(file: str, files: Files) -> Look:
    """A look that was kept."""
    kept = _get(files, file)
    return Look(
        **{
            **kept,
            "found": _differences(kept["found"]),
            "balances": {name: one and StoredBalance(*one) for name, one in kept["balances"].items()},
            "claims": {(group, currency): claim and _claim(claim) for group, currency, claim in kept["claims"]},
        }
    )


def _claim(kept: Mapping[str, Any]) -> Claim:
    return Claim(**{**kept, "allowed_micros": tuple(kept["allowed_micros"])})


def _differences(kept: Mapping[str, Any]) -> Differences:
    return Differences(kept["count"], [Difference(**one) for one in kept["listed"]])


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
