"""Rebuilding the balances: they are a projection of the journal, and can be made from it again.

`survey` folds all entries and says which balance items are not what follows from them; `repair` writes those that
somebody has looked at and named. Nothing is repaired by the way.

The platform may work meanwhile. The journal is folded, the balance items are read, and the journal is folded again:
entries are never removed, so an account with as many entries in the second fold as in the first had exactly those when
its balance was read. The others are `in_motion`, and another survey will tell. A repair holds only while the item is as
it was read. What stands in a balance item:

    balance_micros   the sum of the account's entries
    seq              how many statement rows the account has (accounts with a statement)
    head_hash        the hash of the newest row (accounts with a statement, once rows are chained)

The journal itself is not repaired: while one entry is not what was recorded, no balance can be told from it, and where
the rows of a statement do not agree with the entries, its account is `damaged` and its balance left alone. Where the
rows agree with the entries but one states a wrong balance after it, because an entry was posted on a damaged balance,
the account is `damaged` as well (a row is never changed), but its balance can be told and repaired.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from smallpeck.kernel.money import BadAmount
from smallpeck.kernel.writes import Absent, Change, Condition, Equals, Path, UnitOfWork, Value, WriteConflict, ref
from smallpeck.ledger.accounts import Account, from_path
from smallpeck.ledger.chain import JUMP, Head, leaf, verify
from smallpeck.ledger.posting import BALANCE_FIELDS, Entry, entry_from

_PRINT_BITS = (1 << 128) - 1


class ProjectionReads(Protocol):
    """What a survey reads. All reads are consistent."""

    def entries(self) -> Iterator[Mapping[str, Any]]:
        """Every entry as it is stored, in any order."""
        ...

    def stored_balances(self) -> Mapping[str, Mapping[str, Any]]:
        """Every balance item by name ("<account>:<currency>"): those of `BALANCE_FIELDS` that it has."""
        ...

    def statement_rows(self, account: Account, currency: str, first: int, last: int) -> Iterator[Mapping[str, Any]]:
        """The rows `first` to `last` of a statement, oldest first."""
        ...


@dataclass
class Movements:
    """What the journal says of one account in one currency. `fingerprint` tells which entries moved how much."""

    entries: int = 0
    micros: int = 0
    fingerprint: int = 0


@dataclass
class Journal:
    """A fold of entries, in any order. `damaged` are the ids of those that are not what was recorded."""

    accounts: dict[str, Movements] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)

    def add(self, item: Mapping[str, Any]) -> None:
        """Takes in an entry as it is stored."""
        entry = _intact(item)
        if entry is None:
            self.damaged.append(str(item.get("entry_id", item.get("pk"))))
            return
        for account, delta in entry.deltas().items():
            movements = self.accounts.setdefault(f"{account.path}:{entry.currency}", Movements())
            movements.entries += 1
            movements.micros += delta
            movements.fingerprint += _print(entry.entry_id, delta)


def fold(entries: Iterable[Mapping[str, Any]]) -> Journal:
    """The journal of these stored entries."""
    journal = Journal()
    for item in entries:
        journal.add(item)
    return journal


@dataclass(frozen=True)
class Repair:
    """A balance item that is not what follows from the journal. `stored` None: there is none.

    `stored` and `right` hold those of `BALANCE_FIELDS` that are there and that should be.
    """

    name: str
    stored: Mapping[str, Any] | None
    right: Mapping[str, int | str]

    def write(self) -> Change:
        """The write that makes it right, while the item is as it was read."""
        unchanged: tuple[Condition, ...] = (Absent(),)
        if self.stored is not None:
            unchanged = tuple(
                Equals(one, self.stored[one]) if one in self.stored else Absent(one) for one in BALANCE_FIELDS
            )
        right: dict[Path, Value] = dict(self.right.items())
        surplus = tuple(one for one in BALANCE_FIELDS if one in (self.stored or {}) and one not in self.right)
        return Change(ref("account", self.name), set=right, remove=surplus, when=unchanged)


@dataclass(frozen=True)
class Survey:
    """How the balance items stand against the journal.

    `damaged` are accounts whose statement does not agree with their entries, and balance items of accounts that cannot
    have one, with what is wrong; `damaged_entries` are entries that are not what was recorded.
    """

    accounts: int
    repairs: tuple[Repair, ...]
    in_motion: tuple[str, ...]
    damaged: Mapping[str, tuple[str, ...]]
    damaged_entries: tuple[str, ...]

    @property
    def all_right(self) -> bool:
        """Whether every balance item is what follows from the journal."""
        return not (self.repairs or self.in_motion or self.damaged or self.damaged_entries)


@dataclass(frozen=True)
class Repaired:
    """What became of repairs; `moved` were changed by somebody meanwhile and need another survey."""

    repaired: tuple[str, ...]
    moved: tuple[str, ...]


def survey(*, books: ProjectionReads) -> Survey:
    """Compares every balance item with what follows from the journal. Writes nothing."""
    journal = fold(books.entries())
    stored = books.stored_balances()
    again = fold(books.entries())
    if again.damaged:
        return Survey(len(again.accounts), (), (), {}, tuple(sorted(again.damaged)))
    repairs: list[Repair] = []
    in_motion: list[str] = []
    damaged: dict[str, tuple[str, ...]] = {}
    names = sorted(again.accounts.keys() | stored.keys())
    for name in names:
        movements = journal.accounts.get(name, Movements())
        if movements.entries != again.accounts.get(name, Movements()).entries:
            in_motion.append(name)
            continue
        present = stored.get(name)
        right, wrong = standing(name, movements, books)
        if wrong or (right is None and present is not None):
            damaged[name] = tuple(wrong) or ("an account that cannot have a balance item",)
        if right is not None and (present or {"balance_micros": 0}) != right:
            repairs.append(Repair(name, present, right))
    return Survey(len(names), tuple(repairs), tuple(in_motion), damaged, ())


def standing(
    name: str, movements: Movements, books: ProjectionReads
) -> tuple[dict[str, int | str] | None, Sequence[str]]:
    """What should stand in an account's balance item (None: nothing, or it cannot be told), and what is wrong."""
    path, _, currency = name.rpartition(":")
    try:
        account = from_path(path)
    except ValueError:
        return None, ["an account that cannot exist"]
    if not account.has_balance:
        return None, []
    right: dict[str, int | str] = {"balance_micros": movements.micros}
    if not account.has_statement or not movements.entries:
        return right, []
    told = _Told(books.statement_rows(account, currency, 1, movements.entries))
    try:
        head, breaks = verify(name, told.rows(), after=Head())
    except (KeyError, TypeError):
        return None, ["a row that cannot be read"]
    wrong = [f"row {one.seq}: {one.what}" for one in breaks]
    can_be_told = all(one.what == JUMP for one in breaks)
    if head.seq != movements.entries or (told.fingerprint - movements.fingerprint) & _PRINT_BITS:
        wrong.append("the statement does not tell the entries")
        can_be_told = False
    right["seq"] = movements.entries
    if head.row_hash is not None:
        right["head_hash"] = head.row_hash
    return (right if can_be_told else None), wrong


def repair(*, found: Survey, names: Collection[str], unit: UnitOfWork) -> Repaired:
    """Writes those repairs of a survey that are named."""
    chosen = [one for one in found.repairs if one.name in names]
    moved = []
    for one in chosen:
        try:
            unit.commit([one.write()])
        except WriteConflict:
            moved.append(one.name)
    return Repaired(tuple(one.name for one in chosen if one.name not in moved), tuple(moved))


@dataclass
class _Told:
    """Passes rows on, and remembers which entries they told."""

    source: Iterable[Mapping[str, Any]]
    fingerprint: int = 0

    def rows(self) -> Iterator[Mapping[str, Any]]:
        for row in self.source:
            self.fingerprint += _print(row["entry_id"], row["amount_micros"])
            yield row


def _intact(item: Mapping[str, Any]) -> Entry | None:
    try:
        entry = entry_from(item)
        own_hash = item.get("entry_hash")
        intact = entry.input_hash() == item["input_hash"] and own_hash in (None, leaf(item).hex())
    except (BadAmount, KeyError, TypeError, ValueError):
        return None
    return entry if intact else None


def _print(entry_id: str, delta: int) -> int:
    return int.from_bytes(hashlib.blake2b(f"{entry_id}\0{delta}".encode(), digest_size=16).digest(), "big")
