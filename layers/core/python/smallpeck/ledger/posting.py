"""Entries and postings, and the writes that record an entry with the balances it changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from smallpeck.kernel.ids import content_hash
from smallpeck.kernel.money import MAX_AMOUNT_MICROS
from smallpeck.kernel.writes import Absent, AtLeast, Change, Condition, Create, Equals, Ref, Write, ref
from smallpeck.ledger.accounts import Account


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

    def __post_init__(self) -> None:
        if not self.postings:
            raise ValueError("an entry has at least one posting")

    def deltas(self) -> dict[Account, int]:
        """The net change of each account in micros; sums to zero by construction."""
        changes: dict[Account, int] = {}
        for posting in self.postings:
            changes[posting.source] = changes.get(posting.source, 0) - posting.amount_micros
            changes[posting.destination] = changes.get(posting.destination, 0) + posting.amount_micros
        return changes

    def input_hash(self) -> str:
        """What tells another entry under the same id from a replay of this one. The time of recording is not in it."""
        lines = [[p.source.path, p.destination.path, p.amount_micros] for p in self.postings]
        return content_hash([self.entry_id, self.kind, self.currency, self.reference, lines])


@dataclass(frozen=True)
class Balance:
    """A balance item: micros, and how many statement rows the account has so far."""

    balance_micros: int = 0
    seq: int = 0


def account_ref(account: Account, currency: str) -> Ref:
    """The balance item of an account in one currency."""
    return ref("account", f"{account.path}:{currency}")


def entry_ref(entry_id: str) -> Ref:
    """The item of an entry."""
    return ref("entry", entry_id)


def statement_name(account: Account, currency: str) -> str:
    """The name under which an account's statement rows stand."""
    return f"{account.path}:{currency}"


def record(entry: Entry, balances: Mapping[Account, Balance]) -> list[Write]:
    """The writes of an entry: itself on condition of absence, and every balance and statement row that it touches.

    `balances` holds the present balance of each account with a statement; the writes hold only while it is so.
    A debit of any account holds only where enough is there.
    """
    writes: list[Write] = [
        Create(
            entry_ref(entry.entry_id),
            {
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
            },
        )
    ]
    for account, delta in sorted(entry.deltas().items()):
        if account.has_statement:
            writes += _statement(entry, account, delta, balances[account])
        elif account.has_balance and delta:
            enough: tuple[Condition, ...] = (AtLeast("balance_micros", -delta),) if delta < 0 else ()
            writes.append(Change(account_ref(account, entry.currency), add={"balance_micros": delta}, when=enough))
    return writes


def _statement(entry: Entry, account: Account, delta: int, present: Balance) -> Sequence[Write]:
    after = Balance(present.balance_micros + delta, present.seq + 1)
    unchanged: Condition = Equals("seq", present.seq) if present.seq else Absent("seq")
    enough: tuple[Condition, ...] = (AtLeast("balance_micros", -delta),) if delta < 0 else ()
    return (
        Change(
            account_ref(account, entry.currency),
            set={"seq": after.seq},
            add={"balance_micros": delta},
            when=(unchanged, *enough),
        ),
        Create(
            ref("statement_row", statement_name(account, entry.currency), after.seq),
            {
                "seq": after.seq,
                "entry_id": entry.entry_id,
                "kind": entry.kind,
                "currency": entry.currency,
                "reference": entry.reference,
                "amount_micros": delta,
                "balance_micros": after.balance_micros,
                "at_ms": entry.at_ms,
                **_units(entry),
            },
        ),
    )


def _units(entry: Entry) -> dict[str, int]:
    return {} if entry.units is None else {"units": entry.units}
