"""A statement that proves itself: rows, where they stand in the seals of their days, and a signature over all of it.

    type      "smallpeck.statement.v1"
    account, currency, issued_at_ms
    period    {"first_seq", "last_seq", "from_ms", "to_ms", "more"}: the rows below; null where there are none
    opening   {"seq", "balance_micros", "row_hash"}: the row before them (0, 0 and null before the first)
    head      the same of the newest row of the account
    rows      as they are recorded, oldest first (`ledger.chain` says how they are chained)
    proofs    of each row {"seq", "row", "entry"}: {"day", "index", "fingerprint", "path"} of the row and of the entry
              behind it; null where it is not sealed yet
    days      of each of these days {"number", "record", "path"}: its record, and the record's number in the log and
              inclusion proof there
    root      {"day", "log": {"size", "root"}}: the newest root; null before the first
    signature see `ledger.signatures`

The leaf of a row follows from what stands in the document. Of an entry only the fingerprint is shown, because the entry
also says what others paid; whoever may see it can tell that this is its fingerprint.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from smallpeck.ledger import merkle, seals
from smallpeck.ledger.accounts import Account
from smallpeck.ledger.posting import Balance, statement_name
from smallpeck.ledger.seal_service import Files, Roots, SealFact, manifest_of
from smallpeck.ledger.seals import Manifest
from smallpeck.ledger.signatures import Document, Signer, signed

STATEMENT_TYPE = "smallpeck.statement.v1"
MAX_ROWS = 100

_KEYS = ("pk", "sk")


class Statements(Protocol):
    """Reads of statements; consistent."""

    def balances(self, accounts: Sequence[Account], currency: str) -> Mapping[Account, Balance]:
        """The present balance of each account."""
        ...

    def statement_row(self, account: Account, currency: str, seq: int) -> Mapping[str, Any] | None:
        """One row."""
        ...

    def statement_rows(self, account: Account, currency: str, first: int, last: int) -> Iterator[Mapping[str, Any]]:
        """The rows `first` to `last`, oldest first."""
        ...


@dataclass(frozen=True)
class ProofPorts:
    """Everything that a statement document is made from."""

    books: Statements
    lists: Files
    roots: Roots
    signer: Signer


def issue(*, account: Account, currency: str, after_seq: int, limit: int, now_ms: int, ports: ProofPorts) -> Document:
    """The signed document of up to `limit` rows after number `after_seq`. Raises DamagedFile."""
    balance = ports.books.balances([account], currency)[account]
    after = min(after_seq, balance.seq)
    last = min(after + limit, balance.seq)
    rows = [_shown(row) for row in ports.books.statement_rows(account, currency, after + 1, last)]
    opening = None if after == 0 else ports.books.statement_row(account, currency, after)
    found = _Proofs(ports, rows)
    name = statement_name(account, currency)
    proofs = [
        {
            "seq": row["seq"],
            "row": found.of(seals.row_name(name, row["seq"]), row["at_ms"]),
            "entry": found.of(seals.entry_name(row["entry_id"]), row["at_ms"]),
        }
        for row in rows
    ]
    document = {
        "type": STATEMENT_TYPE,
        "account": account.path,
        "currency": currency,
        "issued_at_ms": now_ms,
        "period": _period(rows, balance.seq) if rows else None,
        "opening": _end(opening),
        "head": {"seq": balance.seq, "balance_micros": balance.balance_micros, "row_hash": balance.head_hash},
        "rows": rows,
        "proofs": proofs,
        "days": found.days(),
        "root": found.newest(),
    }
    return signed(document, ports.signer)


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in _KEYS}


def _period(rows: Sequence[Mapping[str, Any]], newest_seq: int) -> dict[str, Any]:
    return {
        "first_seq": rows[0]["seq"],
        "last_seq": rows[-1]["seq"],
        "from_ms": rows[0]["at_ms"],
        "to_ms": rows[-1]["at_ms"],
        "more": rows[-1]["seq"] < newest_seq,
    }


def _end(row: Mapping[str, Any] | None) -> dict[str, Any]:
    if row is None:
        return {"seq": 0, "balance_micros": 0, "row_hash": None}
    return {"seq": row["seq"], "balance_micros": row["balance_micros"], "row_hash": row.get("row_hash")}


@dataclass
class _Proofs:
    """Finds names in the seals that may hold them: that of their day first, then later ones."""

    ports: ProofPorts
    rows: Sequence[Mapping[str, Any]]
    _facts: list[SealFact] = field(init=False)
    _manifests: dict[str, tuple[Document, Manifest]] = field(default_factory=dict)
    _used: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        first = seals.day_of(min(row["at_ms"] for row in self.rows)) if self.rows else "9"
        self._facts = self.ports.roots.facts(since=first)

    def of(self, name: str, at_ms: int) -> dict[str, Any] | None:
        """Where a name stands, or None where no seal has it yet."""
        day = seals.day_of(at_ms)
        for fact in self._facts:
            if fact.day < day:
                continue
            _, manifest = self._day(fact)
            number = manifest.place(name)
            if number is None:
                continue
            items = seals.list_of(self.ports.lists.get(manifest.chunks[number].file))
            proof = manifest.proof(number, items, name)
            if proof is not None:
                index, fingerprint, path = proof
                self._used.add(fact.day)
                return {
                    "day": fact.day,
                    "index": index,
                    "fingerprint": fingerprint.hex(),
                    "path": seals.hexes(path),
                }
        return None

    def days(self) -> dict[str, Any]:
        """The records of the days that were found, each with its way to the newest root."""
        if not self._used:
            return {}
        newest, manifest = self._day(self._facts[-1])
        log = [*manifest.log, seals.record_leaf(newest["record"])]
        numbers = {fact.day: fact.number for fact in self._facts}
        return {
            day: {
                "number": numbers[day],
                "record": self._manifests[day][0]["record"],
                "path": seals.hexes(merkle.path(log, numbers[day])),
            }
            for day in sorted(self._used)
        }

    def newest(self) -> dict[str, Any] | None:
        """The root that all proofs of the document lead to."""
        fact = self._facts[-1] if self._facts else self.ports.roots.newest()
        if fact is None:
            return None
        root = self._day(fact)[0]
        return {"day": fact.day, "log": {"size": root["log"]["size"], "root": root["log"]["root"]}}

    def _day(self, fact: SealFact) -> tuple[Document, Manifest]:
        if fact.day not in self._manifests:
            root = self.ports.roots.get(fact.number)
            self._manifests[fact.day] = root, manifest_of(root, self.ports.lists)
        return self._manifests[fact.day]
