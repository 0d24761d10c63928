"""The books audit: every balance computed anew from the journal, and held against what is stored.

Pure folds: items of the ledger table go in one by one, in any order and in any number of parts, and per account there
remain a few numbers. Whether a statement tells exactly the entries of its account is decided by fingerprints: the sum,
over its rows, of a hash of each must be the same sum over the entries. Whether its running balance is right, by
another: the hashes of "row n, balance after it" less those of "row n - 1, balance before row n" leave nothing but the
last row and the beginning. So it is with the chain of rows (`ledger.chain`): those of "row n, its hash" less those of
"row n - 1, the hash that row n follows" leave nothing but the head, which the balance item states.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

from smallpeck.ledger.accounts import Account, from_path
from smallpeck.ledger.chain import GENESIS
from smallpeck.ledger.posting import input_hash

MAX_LISTED = 100
_PRINT_BITS = (1 << 128) - 1
"""Fingerprints are sums of hashes; so many bits of them count."""
_ESCROW = re.compile(r"escrow:[^:]+:[A-Z]{3}")
_ALL_TOGETHER = "all accounts together"
_EITHER_SIGN = ("funding:", "suspense:", "chargeback:", "platform:losses")


class StoredEntry(NamedTuple):
    """An entry as it lies in the ledger table. `key_id` is the id in its key.

    `postings` are (source, destination, micros). `hash_holds` says whether its own hash, if it has one, is right.
    """

    key_id: str
    entry_id: str
    kind: str
    currency: str
    reference: str
    input_hash: str
    postings: tuple[tuple[str, str, int], ...]
    links: tuple[Mapping[str, Any], ...] = ()
    onward: tuple[str, ...] = ()
    hash_holds: bool = True


class StoredRow(NamedTuple):
    """A statement row as it lies in the ledger table; `name` (account and currency) and `key_seq` are from its key.

    `hash_holds` says whether its own hash, if it has one, is right.
    """

    name: str
    key_seq: int
    seq: int
    entry_id: str
    kind: str
    currency: str
    reference: str
    amount_micros: int
    balance_micros: int
    row_hash: str | None = None
    previous_hash: str | None = None
    hash_holds: bool = True


@dataclass(frozen=True)
class UnreadableItem:
    """An item that is neither an entry nor a statement row. `key` is its partition key."""

    key: str


LedgerItem = StoredEntry | StoredRow | UnreadableItem


@dataclass(frozen=True)
class StoredBalance:
    """A balance item."""

    balance_micros: int
    seq: int
    head_hash: str | None = None


@dataclass(frozen=True)
class Claim:
    """What a feature says stands in a group of accounts: the escrow of one reference, or a rail's clearing account.

    Any of `allowed_micros` is right. `basis` says from which facts the claim was made: two claims with the same basis
    were made while nothing had changed.
    """

    group: str
    currency: str
    allowed_micros: tuple[int, ...]
    basis: str


@dataclass(frozen=True)
class Difference:
    """One thing in which the books do not agree. `subject` is an account, an entry or a row."""

    subject: str
    what: str
    expected_micros: int | None = None
    found_micros: int | None = None


@dataclass
class Differences:
    """All differences counted, the first ones listed."""

    count: int = 0
    listed: list[Difference] = field(default_factory=list)

    def add(self, *differences: Difference) -> None:
        """Counts them, and lists them while there is room."""
        self.count += len(differences)
        self.listed += differences[: max(0, MAX_LISTED - len(self.listed))]

    def merge(self, other: "Differences") -> None:
        """Takes over another part's."""
        self.count += other.count
        self.listed += other.listed[: max(0, MAX_LISTED - len(self.listed))]


@dataclass(slots=True)
class AccountSums:
    """What the journal and the statement say of one account in one currency."""

    entries: int = 0
    entries_micros: int = 0
    entries_print: int = 0
    rows: int = 0
    rows_micros: int = 0
    rows_print: int = 0
    chain_print: int = 0
    chains: int = 0
    hash_print: int = 0

    def merge(self, other: "AccountSums") -> None:
        """Adds another part's."""
        self.entries += other.entries
        self.entries_micros += other.entries_micros
        self.entries_print += other.entries_print
        self.rows += other.rows
        self.rows_micros += other.rows_micros
        self.rows_print += other.rows_print
        self.chain_print += other.chain_print
        self.chains += other.chains
        self.hash_print += other.hash_print


@dataclass
class Sums:
    """The fold over some part of the ledger table. With `only`, accounts that are not named there are passed over."""

    only: Collection[str] | None = None
    entries: int = 0
    rows: int = 0
    accounts: dict[str, AccountSums] = field(default_factory=dict)
    defects: Differences = field(default_factory=Differences)

    def add(self, item: LedgerItem) -> None:
        """Takes in one item."""
        match item:
            case StoredEntry():
                self._add_entry(item)
            case StoredRow():
                self._add_row(item)
            case UnreadableItem(key=key):
                self.defects.add(Difference(key, "neither an entry nor a statement row"))

    def merge(self, other: "Sums") -> None:
        """Adds what was folded from another part of the table."""
        self.entries += other.entries
        self.rows += other.rows
        self.defects.merge(other.defects)
        for name, sums in other.accounts.items():
            self._account(name).merge(sums)

    def _account(self, name: str) -> AccountSums:
        sums = self.accounts.get(name)
        if sums is None:
            sums = self.accounts[name] = AccountSums()
        return sums

    def _add_entry(self, entry: StoredEntry) -> None:
        self.entries += 1
        if self.only is None and (defects := _entry_defects(entry)):
            self.defects.add(*defects)
        deltas: dict[str, int] = {}
        for source, destination, amount_micros in entry.postings:
            deltas[source] = deltas.get(source, 0) - amount_micros
            deltas[destination] = deltas.get(destination, 0) + amount_micros
        for path, delta in deltas.items():
            name = f"{path}:{entry.currency}"
            if self.only is not None and name not in self.only:
                continue
            sums = self._account(name)
            sums.entries += 1
            sums.entries_micros += delta
            if _has_statement(path):
                sums.entries_print += _print(
                    f"{entry.entry_id}\0{entry.kind}\0{entry.reference}\0{entry.currency}\0{delta}"
                )

    def _add_row(self, row: StoredRow) -> None:
        self.rows += 1
        if self.only is not None and row.name not in self.only:
            return
        if row.key_seq != row.seq or row.name.rpartition(":")[2] != row.currency:
            self.defects.add(Difference(f"{row.name}#{row.key_seq}", "the row does not stand where it says"))
        if not row.hash_holds:
            self.defects.add(Difference(f"{row.name}#{row.key_seq}", "the row is not what was recorded"))
        sums = self._account(row.name)
        sums.rows += 1
        sums.rows_micros += row.amount_micros
        sums.rows_print += _print(f"{row.entry_id}\0{row.kind}\0{row.reference}\0{row.currency}\0{row.amount_micros}")
        before = _print(f"{row.seq - 1}\0{row.balance_micros - row.amount_micros}")
        sums.chain_print += _print(f"{row.seq}\0{row.balance_micros}") - before
        if row.row_hash is not None:
            sums.hash_print += _print(f"{row.seq}\0{row.row_hash}")
            if row.previous_hash == GENESIS:
                sums.chains += 1
            else:
                sums.hash_print -= _print(f"{row.seq - 1}\0{row.previous_hash}")


def account_of(name: str) -> Account | None:
    """The account of "<account>:<currency>", or None where no such account can exist."""
    path = name.rpartition(":")[0]
    try:
        return from_path(path)
    except ValueError:
        return None


def differences_of(name: str, sums: AccountSums, balance: StoredBalance | None) -> Iterator[Difference]:
    """What is wrong with one account, if nothing moved while it was looked at."""
    account = account_of(name)
    if account is None or not account.has_balance:
        if account is None or balance is not None:
            yield Difference(name, "an account or a balance that cannot exist")
        elif sums.entries_micros < 0 and not account.path.startswith(_EITHER_SIGN) and group_of(name) is None:
            # (Where features make claims, those are looked at: a clearing account may be caught between two entries.)
            yield Difference(name, "below zero", found_micros=sums.entries_micros)
        return
    stored = balance or StoredBalance(0, 0)
    if stored.balance_micros != sums.entries_micros:
        yield Difference(name, "balance is not the sum of its entries", sums.entries_micros, stored.balance_micros)
    if not account.allows(stored.balance_micros):
        what = "a receivable above zero" if account.is_debt else "below zero"
        yield Difference(name, what, found_micros=stored.balance_micros)
    if stored.seq != sums.rows:
        yield Difference(name, f"{sums.rows} statement rows, the balance counts {stored.seq}")
    if (sums.rows_print - sums.entries_print) & _PRINT_BITS:
        yield Difference(name, "the statement does not tell its entries", sums.entries_micros, sums.rows_micros)
    unbroken = _print(f"{sums.rows}\0{sums.rows_micros}") - _print("0\x000") if sums.rows else 0
    if (sums.chain_print - unbroken) & _PRINT_BITS:
        yield Difference(name, "the statement's rows do not follow from each other")
    head = _print(f"{stored.seq}\0{stored.head_hash}") if stored.head_hash is not None else 0
    if (sums.hash_print - head) & _PRINT_BITS or sums.chains != (stored.head_hash is not None):
        yield Difference(name, "the chain of the statement does not lead to its head")


def group_of(name: str) -> tuple[str, str] | None:
    """(group, currency) of an account that features make claims on, or None."""
    path, _, currency = name.rpartition(":")
    if path.startswith("escrow:"):
        return path.rpartition(":")[0], currency
    if path.startswith("rail:") and path.endswith(":clearing"):
        return path, currency
    return None


def held(name: str, sums: Mapping[str, AccountSums], balances: Mapping[str, StoredBalance]) -> int:
    """What stands in an account: its balance item, or the sum of its entries where it has none."""
    account = account_of(name)
    if account is not None and account.has_balance:
        return balances[name].balance_micros if name in balances else 0
    return sums[name].entries_micros if name in sums else 0


def claim_difference(key: tuple[str, str], claim: Claim | None, found_micros: int) -> Difference | None:
    """What is wrong with a group of accounts; without a claim nothing may stand there."""
    allowed = claim.allowed_micros if claim else (0,)
    if found_micros in allowed:
        return None
    return Difference(f"{key[0]}:{key[1]}", "not what is reserved there", allowed[0], found_micros)


def account_class(name: str) -> str:
    """The kind of an account, for totals: whose it is, or its path; what is not available names itself too."""
    path = name.rpartition(":")[0]
    first, word = path.partition(":")[0], path.rpartition(":")[2]
    if first in ("requester", "worker"):
        return first if word == "available" else f"{first} {word}"
    return first if first in ("escrow", "reserve") else path


def totals(sums: Mapping[str, AccountSums], balances: Mapping[str, StoredBalance]) -> dict[str, dict[str, int]]:
    """What stands in each class of accounts, by currency."""
    found: dict[str, dict[str, int]] = {}
    for name in sorted(sums.keys() | balances.keys()):
        currencies = found.setdefault(account_class(name), {})
        currency = name.rpartition(":")[2]
        currencies[currency] = currencies.get(currency, 0) + held(name, sums, balances)
    return found


def unbalanced(of_classes: Mapping[str, Mapping[str, int]]) -> Iterable[Difference]:
    """One difference for each currency in which all accounts together do not hold zero."""
    sums: dict[str, int] = {}
    for currencies in of_classes.values():
        for currency, micros in currencies.items():
            sums[currency] = sums.get(currency, 0) + micros
    return [Difference(currency, _ALL_TOGETHER, 0, micros) for currency, micros in sums.items() if micros]


def by_class(differences: Iterable[Difference]) -> list[dict[str, str | int]]:
    """Differences summed up without naming anybody: by `accounts` (a class of them) and `currency`.

    `differences` are how many, `off_micros` by how much they are off, together and whatever their sign. What concerns a
    single entry, or an account that cannot exist, has no currency.
    """
    found: dict[tuple[str, str], list[int]] = {}
    for one in differences:
        name = one.subject.partition("#")[0]
        if account_of(name) is not None or _ESCROW.fullmatch(name):
            key = (account_class(name), name.rpartition(":")[2])
        elif one.what == _ALL_TOGETHER:
            key = (_ALL_TOGETHER, one.subject)
        else:
            key = ("entries and unknown accounts", "")
        count_and_off = found.setdefault(key, [0, 0])
        count_and_off[0] += 1
        count_and_off[1] += abs((one.expected_micros or 0) - (one.found_micros or 0))
    return [
        {"accounts": accounts, "currency": currency, "differences": count, "off_micros": off}
        for (accounts, currency), (count, off) in sorted(found.items())
    ]


def _entry_defects(entry: StoredEntry) -> Sequence[Difference]:
    subject, defects = entry.key_id, []
    if entry.entry_id != entry.key_id:
        defects.append(Difference(subject, "the entry does not stand under its id"))
    if not entry.postings:
        defects.append(Difference(subject, "the entry has no postings"))
    for source, destination, amount_micros in entry.postings:
        if amount_micros <= 0 or source == destination:
            defects.append(Difference(subject, "a posting that moves nothing", found_micros=amount_micros))
    inputs = input_hash(
        entry_id=entry.entry_id,
        kind=entry.kind,
        currency=entry.currency,
        reference=entry.reference,
        postings=entry.postings,
        links=entry.links,
        onward=entry.onward,
    )
    if inputs != entry.input_hash or not entry.hash_holds:
        defects.append(Difference(subject, "the entry is not what was recorded"))
    return defects


def _has_statement(path: str) -> bool:
    return path.startswith(("worker:", "requester:"))


def _print(text: str) -> int:
    """The fingerprint of parts that stand with a zero byte between them."""
    return int.from_bytes(blake2b(text.encode(), digest_size=16).digest(), "big")
