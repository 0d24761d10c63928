"""When a requester may not spend: their payment is disputed, or they owe the platform something.

One item for each requester says so. Whatever spends a requester's money checks in its own transaction that the item
does not say `frozen`, and whatever changes a requester's debt changes the item in its transaction too. What comes in
pays the debt first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from smallpeck.kernel.errors import Conflict
from smallpeck.kernel.writes import (
    Absent,
    Change,
    Check,
    Contention,
    Equals,
    Path,
    Ref,
    UnitOfWork,
    Value,
    WriteConflict,
    ref,
)
from smallpeck.ledger.accounts import Account, requester_available, requester_receivable
from smallpeck.ledger.corrections import recovery
from smallpeck.ledger.posting import Posting
from smallpeck.ledger.service import Books, EntryMismatch, InsufficientFunds, NotOwed, post

RECOVER_ATTEMPTS = 10


class FundsFrozen(Conflict):
    """A payment of this requester is disputed, or they owe something: nothing of theirs can be spent."""

    code = "funds_frozen"

    def __init__(self) -> None:
        super().__init__("a payment of yours is disputed or something is owed; nothing can be spent until that is over")


@dataclass(frozen=True)
class Freeze:
    """Why a requester may not spend: how many disputes are open, and the currencies in which they owe something."""

    requester_id: str
    open_disputes: int = 0
    owing: tuple[str, ...] = ()
    version: int = 0

    @property
    def is_frozen(self) -> bool:
        """Whether nothing of theirs may be spent."""
        return self.open_disputes > 0 or bool(self.owing)


class FreezeReads(Protocol):
    """What freezing reads."""

    def freeze(self, requester_id: str) -> Freeze:
        """How a requester stands; consistent."""
        ...


def freeze_ref(requester_id: str) -> Ref:
    """The item that says how a requester stands."""
    return ref("freeze", requester_id)


def freeze_from(requester_id: str, item: Mapping[str, Any] | None) -> Freeze:
    """How a requester stands, from the stored item; None is a requester of whom nothing bad is known."""
    if item is None:
        return Freeze(requester_id)
    return Freeze(requester_id, item["open_disputes"], tuple(item["owing"]), item["version"])


def not_frozen(requester_id: str) -> Check:
    """Holds where the requester may spend; goes into the transaction that spends."""
    return Check(freeze_ref(requester_id), when=(Absent("frozen"),))


def changed(before: Freeze, *, disputes: int = 0, owes: Mapping[str, bool] | None = None) -> Change:
    """So many disputes more are open, and in these currencies something is owed now, or no more.

    Raises WriteConflict where more would be closed than are open: somebody else has closed the last meanwhile.
    """
    currencies = {*before.owing}
    for currency, is_owed in (owes or {}).items():
        (currencies.add if is_owed else currencies.discard)(currency)
    after = Freeze(before.requester_id, before.open_disputes + disputes, tuple(sorted(currencies)), before.version + 1)
    if after.open_disputes < 0:
        raise WriteConflict([])
    fields: dict[Path, Value] = {
        "open_disputes": after.open_disputes,
        "owing": list(after.owing),
        "version": after.version,
        **({"frozen": True} if after.is_frozen else {}),
    }
    return Change(
        freeze_ref(before.requester_id),
        set=fields,
        remove=() if after.is_frozen else ("frozen",),
        when=(Equals("version", before.version) if before.version else Absent("version"),),
    )


@dataclass(frozen=True)
class Income:
    """How money comes to a requester: what they owe is paid first. `changes` go alongside the entry."""

    postings: tuple[Posting, ...]
    changes: tuple[Change, ...]


def income(
    *, source: Account, amount_micros: int, requester_id: str, currency: str, books: Books, freeze: Freeze
) -> Income:
    """The postings that bring `amount_micros` from `source` to a requester.

    Only where they owe something is the freeze changed. Another change of the debt meanwhile has changed the freeze, so
    that the transaction does not hold.
    """
    available, debt = requester_available(requester_id), requester_receivable(requester_id)
    if currency not in freeze.owing:
        return Income((Posting(source, available, amount_micros),), ())
    owed = -books.balances([debt], currency)[debt].balance_micros
    paid = min(owed, amount_micros)
    postings = [Posting(source, debt, paid)] if paid else []
    if amount_micros > paid:
        postings.append(Posting(source, available, amount_micros - paid))
    return Income(tuple(postings), (changed(freeze, owes={currency: owed > paid}),))


def recover(*, requester_id: str, currency: str, at_ms: int, books: Books, reads: FreezeReads, unit: UnitOfWork) -> int:
    """Pays what a requester owes from what has come back to their account meanwhile; returns how much, in micros.

    The entry is named by the statement row of the debt that it follows, so that it is made once.
    """
    available, debt = requester_available(requester_id), requester_receivable(requester_id)
    for _ in range(RECOVER_ATTEMPTS):
        freeze = reads.freeze(requester_id)
        if currency not in freeze.owing:
            return 0
        found = books.balances([available, debt], currency)
        owed, there = -found[debt].balance_micros, found[available].balance_micros
        amount = min(owed, there)
        if amount <= 0:
            return 0
        entry = recovery(
            entry_id=f"recovery/{requester_id}/{currency}/{found[debt].seq}",
            source=available,
            receivable=debt,
            currency=currency,
            amount_micros=amount,
            reference=requester_id,
            at_ms=at_ms,
        )
        change = changed(freeze, owes={currency: owed > amount})
        try:
            post(entry=entry, alongside=[change], books=books, unit=unit)
        except (WriteConflict, EntryMismatch, InsufficientFunds, NotOwed):
            continue  # the debt or the account has changed meanwhile: look again
        return amount
    raise Contention("the account is busy; try again")
