"""Entries and postings, and the writes that record an entry with the balances it changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from smallpeck.kernel.ids import content_hash
from smallpeck.kernel.money import MAX_AMOUNT_MICROS, minor_unit_micros
from smallpeck.kernel.writes import (
    Absent,
    AtLeast,
    Below,
    Change,
    Condition,
    Create,
    Equals,
    Fields,
    Path,
    Ref,
    Value,
    Write,
    ref,
)
from smallpeck.ledger.accounts import Account, from_path
from smallpeck.ledger.chain import chained, leaf


class EntryKind(StrEnum):
    """Why money moved."""

    DEPOSIT = "deposit"
    """A requester's money came in."""
    ESCROW = "escrow"
    """Money was set aside for work that is published."""
    CREDIT = "credit"
    """A settlement round: rewards to a worker, fees to the platform."""
    REFUND = "refund"
    """What published work did not spend went back to the requester."""
    PAYOUT_RESERVE = "payout_reserve"
    """A worker asked for money; it left the balance and waits for the rail."""
    PAYOUT_SETTLE = "payout_settle"
    """The rail paid."""
    PAYOUT_RELEASE = "payout_release"
    """The rail did not pay; the money is the worker's again."""
    HOLD = "hold"
    """Money is held until a resolution says where it goes."""
    POST = "post"
    """A pending entry was resolved: what it held, or a part of it, went on."""
    VOID = "void"
    """A pending entry was resolved: what it held went back."""
    REVERSAL = "reversal"
    """What an entry moved, or a part of it, was taken back."""
    CORRECTION = "correction"
    """An entry had said something wrong."""
    RECOVERY = "recovery"
    """A debt was paid from what came later."""
    WRITE_OFF = "write_off"
    """A debt was given up."""
    CHARGEBACK = "chargeback"
    """A requester's payment was disputed, or the dispute was decided."""


class LinkKind(StrEnum):
    """What an entry is to another."""

    RESOLVES = "resolves"
    REVERSES = "reverses"
    CORRECTS = "corrects"


@dataclass(frozen=True)
class Link:
    """An entry's relation to an earlier one.

    `amounts_micros` has one amount for each posting of that entry: how much of it goes on (a resolution; the rest goes
    back) or is taken back (a reversal). A correction has none.
    """

    kind: LinkKind
    entry_id: str
    amounts_micros: tuple[int, ...] = ()


@dataclass(frozen=True)
class Posting:
    """One movement: `amount_micros` (above zero) from `source` to `destination`."""

    source: Account
    destination: Account
    amount_micros: int

    def __post_init__(self) -> None:
        if not 0 < self.amount_micros <= MAX_AMOUNT_MICROS:
            raise ValueError("a posting moves more than zero and at most the largest amount")
        if self.source == self.destination:
            raise ValueError("a posting has two accounts")


@dataclass(frozen=True)
class Entry:
    """One immutable journal entry in one currency. `reference` is opaque: the business fact that caused it.

    `entry_id` follows from that fact (never from the clock or from chance), so a fact is recorded once.
    """

    entry_id: str
    kind: EntryKind
    currency: str
    reference: str
    postings: tuple[Posting, ...]
    at_ms: int
    units: int | None = None
    """How many things it pays for, where they can be counted; for statements, no part of the hash."""
    links: tuple[Link, ...] = ()
    """The earlier entries that it resolves, reverses or corrects."""
    onward: tuple[Account, ...] = ()
    """Of a pending entry: where the money of each posting goes on to. Empty: the entry is not pending."""

    def __post_init__(self) -> None:
        if not self.postings:
            raise ValueError("an entry has at least one posting")
        minor_unit_micros(self.currency)
        for posting in self.postings:
            _on_the_chart(posting.source)
            _on_the_chart(posting.destination)
        if self.onward:
            _check_pending(self.postings, self.onward)

    @property
    def is_pending(self) -> bool:
        """Whether it waits for a resolution (or has had one)."""
        return bool(self.onward)

    def deltas(self) -> dict[Account, int]:
        """The net change of each account in micros; sums to zero by construction."""
        changes: dict[Account, int] = {}
        for posting in self.postings:
            changes[posting.source] = changes.get(posting.source, 0) - posting.amount_micros
            changes[posting.destination] = changes.get(posting.destination, 0) + posting.amount_micros
        return changes

    def input_hash(self) -> str:
        """What tells another entry under the same id from a replay of this one. The time of recording is not in it."""
        return input_hash(
            entry_id=self.entry_id,
            kind=self.kind,
            currency=self.currency,
            reference=self.reference,
            postings=[(p.source.path, p.destination.path, p.amount_micros) for p in self.postings],
            links=[_link_fields(link) for link in self.links],
            onward=[account.path for account in self.onward],
        )


def input_hash(
    *,
    entry_id: str,
    kind: str,
    currency: str,
    reference: str,
    postings: Sequence[tuple[str, str, int]],
    links: Sequence[Mapping[str, Any]] = (),
    onward: Sequence[str] = (),
) -> str:
    """The input hash of an entry as it is stored; `postings` are (source, destination, micros)."""
    inputs: list[object] = [entry_id, kind, currency, reference, list(postings)]
    if links or onward:
        inputs += [[dict(link) for link in links], list(onward)]
    return content_hash(inputs)


def _on_the_chart(account: Account) -> None:
    # A path may not carry a currency or a flag of its own.
    if from_path(account.path) != account:
        raise ValueError(f"the account is not what the chart says: {account.path}")


def _check_pending(postings: Sequence[Posting], onward: Sequence[Account]) -> None:
    if len(onward) != len(postings):
        raise ValueError("a pending entry says of each posting where its money goes on to")
    for posting, account in zip(postings, onward, strict=True):
        _on_the_chart(account)
        if not posting.destination.holds:
            raise ValueError(f"a pending entry cannot leave money in {posting.destination.path}")
        if account == posting.destination:
            raise ValueError("a pending entry's money goes on to another account")


BALANCE_FIELDS = ("balance_micros", "seq", "head_hash")
"""What a balance item holds."""


@dataclass(frozen=True)
class Balance:
    """A balance item: micros, and how many statement rows the account has so far."""

    balance_micros: int = 0
    seq: int = 0
    head_hash: str | None = None
    """The hash of the newest statement row (`ledger.chain`); None where no row is chained yet."""


def account_ref(account: Account, currency: str) -> Ref:
    """The balance item of an account in one currency."""
    return ref("account", f"{account.path}:{currency}")


def entry_ref(entry_id: str) -> Ref:
    """The item of an entry."""
    return ref("entry", entry_id)


def statement_name(account: Account, currency: str) -> str:
    """The name under which an account's statement rows stand."""
    return f"{account.path}:{currency}"


def row_ref(account: Account, currency: str, seq: int) -> Ref:
    """The item of one statement row."""
    return ref("statement_row", statement_name(account, currency), seq)


def record(entry: Entry, balances: Mapping[Account, Balance]) -> list[Write]:
    """The writes of an entry: itself on condition of absence, and every balance and statement row that it touches.

    `balances` holds the present balance of each account with a statement; the writes hold only while it is so.
    A debit of any account holds only where enough is there, a credit of a receivable only where as much is owed.
    """
    fields = entry_fields(entry)
    writes: list[Write] = [Create(entry_ref(entry.entry_id), fields)]
    for account, delta in sorted(entry.deltas().items()):
        if account.has_statement:
            writes += _statement(entry, fields["input_hash"], account, delta, balances[account])
        elif account.has_balance and delta:
            add: Mapping[Path, int] = {"balance_micros": delta}
            writes.append(Change(account_ref(account, entry.currency), add=add, when=_enough(account, delta)))
    return writes


def entry_fields(entry: Entry) -> dict[str, Value]:
    """The stored fields of an entry."""
    fields: dict[str, Value] = {
        "entry_id": entry.entry_id,
        "kind": entry.kind,
        "currency": entry.currency,
        "reference": entry.reference,
        "at_ms": entry.at_ms,
        **_units(entry),
        "input_hash": entry.input_hash(),
        "postings": [
            {"source": p.source.path, "destination": p.destination.path, "amount_micros": p.amount_micros}
            for p in entry.postings
        ],
    }
    if entry.links:
        fields["links"] = [_link_fields(link) for link in entry.links]
    if entry.onward:
        fields["onward"] = [account.path for account in entry.onward]
    return {**fields, "entry_hash": leaf(fields).hex()}


def entry_from(item: Mapping[str, Any]) -> Entry:
    """An entry from its stored fields; raises KeyError or ValueError where they are none."""
    return Entry(
        entry_id=item["entry_id"],
        kind=EntryKind(item["kind"]),
        currency=item["currency"],
        reference=item["reference"],
        postings=tuple(
            Posting(from_path(one["source"]), from_path(one["destination"]), one["amount_micros"])
            for one in item["postings"]
        ),
        at_ms=item["at_ms"],
        units=item.get("units"),
        links=tuple(
            Link(LinkKind(one["kind"]), one["entry_id"], tuple(one.get("amounts_micros", ())))
            for one in item.get("links", ())
        ),
        onward=tuple(from_path(path) for path in item.get("onward", ())),
    )


def _statement(entry: Entry, inputs: Value, account: Account, delta: int, present: Balance) -> Sequence[Write]:
    seq = present.seq + 1
    name = statement_name(account, entry.currency)
    row: dict[str, Value] = {
        "seq": seq,
        "entry_id": entry.entry_id,
        "kind": entry.kind,
        "currency": entry.currency,
        "reference": entry.reference,
        "amount_micros": delta,
        "balance_micros": present.balance_micros + delta,
        "at_ms": entry.at_ms,
        **_units(entry),
        "input_hash": inputs,
    }
    if entry.links:
        row["links"] = [{"kind": link.kind, "entry_id": link.entry_id} for link in entry.links]
    linked = chained(name, row, present.head_hash)
    return (
        Change(
            account_ref(account, entry.currency),
            set={"seq": seq, "head_hash": linked["row_hash"]},
            add={"balance_micros": delta},
            when=(*_unchanged(present), *_enough(account, delta)),
        ),
        Create(row_ref(account, entry.currency, seq), linked),
    )


def _unchanged(present: Balance) -> tuple[Condition, ...]:
    """The row states the balance and follows the head, so neither may be repaired meanwhile either."""
    if not present.seq:
        return (Absent("seq"),)
    head: Condition = Equals("head_hash", present.head_hash) if present.head_hash else Absent("head_hash")
    return Equals("seq", present.seq), Equals("balance_micros", present.balance_micros), head


def _enough(account: Account, delta: int) -> tuple[Condition, ...]:
    if account.is_debt:
        return (Below("balance_micros", 1 - delta),) if delta > 0 else ()
    return (AtLeast("balance_micros", -delta),) if delta < 0 else ()


def _link_fields(link: Link) -> Fields:
    amounts: Fields = {"amounts_micros": list(link.amounts_micros)} if link.amounts_micros else {}
    return {"kind": link.kind, "entry_id": link.entry_id, **amounts}


def _units(entry: Entry) -> dict[str, int]:
    return {} if entry.units is None else {"units": entry.units}
