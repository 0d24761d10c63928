"""Posting an entry together with the change of state that it pays for."""

from collections.abc import Collection, Mapping, Sequence
from enum import Enum
from typing import Protocol

from smallpeck.kernel.errors import Conflict
from smallpeck.kernel.writes import Contention, UnitOfWork, Write, WriteConflict
from smallpeck.ledger.accounts import Account
from smallpeck.ledger.posting import Balance, Entry, account_ref, entry_ref, record

POST_ATTEMPTS = 10


class InsufficientFunds(Conflict):
    """An account does not hold what the entry takes from it. Nothing was written."""

    code = "insufficient_funds"

    def __init__(self, accounts: Sequence[Account]) -> None:
        super().__init__("there is not enough money for this")
        self.accounts = tuple(accounts)


class EntryMismatch(Conflict):
    """An entry with this id stands already and says something else."""

    code = "entry_mismatch"


class Posted(Enum):
    """What became of an entry."""

    NOW = "now"
    BEFORE = "before"


class Books(Protocol):
    """Reads of the ledger that posting needs."""

    def balances(self, accounts: Collection[Account], currency: str) -> Mapping[Account, Balance]:
        """The present balance of each account, zero where it has none yet; consistent."""
        ...

    def input_hash(self, entry_id: str) -> str | None:
        """The input hash of a recorded entry, or None where there is none; consistent."""
        ...


def post(*, entry: Entry, alongside: Sequence[Write], books: Books, unit: UnitOfWork) -> Posted:
    """Records `entry` and makes the writes `alongside` it in one transaction.

    Returns BEFORE, having written nothing, where the same entry was recorded earlier (then `alongside` was too).
    Raises InsufficientFunds, EntryMismatch, WriteConflict where a write of `alongside` did not hold, or Contention.
    """
    deltas = entry.deltas()
    with_statement = [account for account in deltas if account.has_statement]
    with_balance = [account for account in deltas if account.has_balance]
    for _ in range(POST_ATTEMPTS):
        balances = books.balances(with_statement, entry.currency) if with_statement else {}
        short = [a for a in with_statement if balances[a].balance_micros + deltas[a] < 0]
        if short:
            # An earlier posting of this very entry may be what emptied the account.
            if _recorded(entry, books):
                return Posted.BEFORE
            raise InsufficientFunds(short)
        try:
            unit.commit([*record(entry, balances), *alongside])
            return Posted.NOW
        except WriteConflict as conflict:
            if conflict.hit(entry_ref(entry.entry_id)) or _recorded(entry, books):
                _recorded(entry, books)
                return Posted.BEFORE
            if any(conflict.hit(write.ref) for write in alongside):
                raise
            dry = [a for a in with_balance if not a.has_statement and conflict.hit(account_ref(a, entry.currency))]
            if dry:
                raise InsufficientFunds(dry) from conflict
    raise Contention("the account is busy; try again")


def _recorded(entry: Entry, books: Books) -> bool:
    stored = books.input_hash(entry.entry_id)
    if stored is not None and stored != entry.input_hash():
        raise EntryMismatch("this was recorded before with other amounts")
    return stored is not None
