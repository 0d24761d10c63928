"""Posting an entry together with the change of state that it pays for; resolving, reversing and correcting entries.

Whatever is recorded here is recorded once: its id follows from the business fact, and stands on condition of absence.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from smallpeck.kernel.errors import Conflict, NotFound, Unavailable
from smallpeck.kernel.writes import Contention, UnitOfWork, Write, WriteConflict
from smallpeck.ledger import corrections
from smallpeck.ledger.accounts import Account
from smallpeck.ledger.corrections import Way
from smallpeck.ledger.phases import BadResolution, posted, voided
from smallpeck.ledger.posting import Balance, Entry, Posting, account_ref, entry_ref, record, row_ref

POST_ATTEMPTS = 10
MAX_REVERSALS = 100
"""How many reversals one entry may have."""


class InsufficientFunds(Conflict):
    """An account does not hold what the entry takes from it. Nothing was written."""

    code = "insufficient_funds"

    def __init__(self, accounts: Sequence[Account]) -> None:
        super().__init__("there is not enough money for this")
        self.accounts = tuple(accounts)


class NotOwed(Conflict):
    """More would be paid into a receivable than is owed. Nothing was written."""

    code = "not_owed"

    def __init__(self) -> None:
        super().__init__("less than this is owed")


class BalanceBehind(Unavailable):
    """A balance item is older than its statement: it was damaged and must be rebuilt. Nothing was written."""

    code = "balance_behind"


class EntryNotFound(NotFound):
    """There is no such entry."""

    code = "entry_not_found"

    def __init__(self) -> None:
        super().__init__("there is no such entry")


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

    def entry(self, entry_id: str) -> Entry | None:
        """A recorded entry, or None where there is none; consistent."""
        ...


def post(*, entry: Entry, alongside: Sequence[Write], books: Books, unit: UnitOfWork) -> Posted:
    """Records `entry` and makes the writes `alongside` it in one transaction.

    Returns BEFORE, having written nothing, where the same entry was recorded earlier (then `alongside` was too).
    Raises InsufficientFunds, NotOwed, EntryMismatch, WriteConflict where a write of `alongside` did not hold,
    BalanceBehind, or Contention.
    """
    deltas = entry.deltas()
    with_statement = [account for account in deltas if account.has_statement]
    for _ in range(POST_ATTEMPTS):
        balances = books.balances(with_statement, entry.currency) if with_statement else {}
        refused = [a for a in with_statement if not _may_stand(a, balances[a].balance_micros, deltas[a])]
        if refused:
            # An earlier posting of this very entry may be what emptied the account.
            if _recorded(entry, books):
                return Posted.BEFORE
            raise _refusal(refused)
        try:
            unit.commit([*record(entry, balances), *alongside])
            return Posted.NOW
        except WriteConflict as conflict:
            if conflict.hit(entry_ref(entry.entry_id)) or _recorded(entry, books):
                _recorded(entry, books)
                return Posted.BEFORE
            if any(conflict.hit(write.ref) for write in alongside):
                raise
            _explain(conflict, entry, balances)
    raise Contention("the account is busy; try again")


def resolve(
    *,
    pending_id: str,
    goes_on: bool,
    amounts_micros: Sequence[int] | None = None,
    at_ms: int,
    alongside: Sequence[Write] = (),
    books: Books,
    unit: UnitOfWork,
) -> Posted:
    """Resolves a pending entry, once: posts it (`goes_on`; of each posting all, or `amounts_micros`) or voids it.

    The same resolution again is BEFORE, another one raises EntryMismatch. Raises EntryNotFound, NotPending and
    BadResolution too, and whatever `post` raises.
    """
    if amounts_micros is not None and not goes_on:
        raise BadResolution("what is voided goes back as a whole")
    entry = _entry(pending_id, books)
    resolution = posted(entry, at_ms=at_ms, amounts_micros=amounts_micros) if goes_on else voided(entry, at_ms=at_ms)
    return post(entry=resolution, alongside=alongside, books=books, unit=unit)


@dataclass(frozen=True)
class Reversed:
    """A reversal as it is recorded, and when."""

    entry: Entry
    posted: Posted


def reverse(
    *,
    entry_id: str,
    amounts_micros: Sequence[int] | None = None,
    ways: Mapping[int, Way] | None = None,
    reference: str,
    at_ms: int,
    alongside: Sequence[Write] = (),
    books: Books,
    unit: UnitOfWork,
) -> Reversed:
    """Takes back what an entry moved: `amounts_micros` of each posting, or all that is left.

    `reference` names the business fact: the same one again finds its reversal, and raises EntryMismatch where it
    took back other amounts. `ways` are by the number of the posting (see `corrections.Way`). All reversals of an
    entry together take back at most what it moved. Raises EntryNotFound, NotReversible, ReversalTooLarge, BadReversal,
    InsufficientFunds where the sources do not hold enough, and whatever else `post` raises.
    """
    original, by_posting = _entry(entry_id, books), dict(ways or {})
    sources = corrections.sources_of(original, by_posting)
    before: list[Entry] = []
    for _ in range(MAX_REVERSALS + POST_ATTEMPTS):
        number = len(before) + 1
        recorded = books.entry(corrections.reversal_id(entry_id, number))
        if recorded is not None:
            if recorded.reference == reference:
                if not corrections.is_same(recorded, entry=original, amounts_micros=amounts_micros):
                    raise EntryMismatch("this was recorded before with other amounts")
                return Reversed(recorded, Posted.BEFORE)
            before.append(recorded)
            continue
        if number > MAX_REVERSALS:
            raise corrections.NotReversible(f"an entry has at most {MAX_REVERSALS} reversals")
        present = books.balances(sources, original.currency) if sources else {}
        entry = corrections.reversal(
            entry=original,
            number=number,
            amounts_micros=corrections.asked_for(original, amounts_micros, before),
            ways=by_posting,
            balances={account: balance.balance_micros for account, balance in present.items()},
            reference=reference,
            at_ms=at_ms,
        )
        if entry is None:
            if books.entry(corrections.reversal_id(entry_id, number)) is not None:
                continue
            raise InsufficientFunds(sources)
        try:
            return Reversed(entry, post(entry=entry, alongside=alongside, books=books, unit=unit))
        except (EntryMismatch, InsufficientFunds):
            # Another reversal took this number, or money left a source meanwhile: look again.
            continue
    raise Contention("the entry is busy; try again")


def correct(
    *,
    entry_id: str,
    postings: Sequence[Posting],
    reference: str,
    at_ms: int,
    alongside: Sequence[Write] = (),
    books: Books,
    unit: UnitOfWork,
) -> Posted:
    """Corrects an entry, once, by moving money to or from its accounts.

    The same correction again is BEFORE, another one raises EntryMismatch. Raises EntryNotFound and BadCorrection too,
    and whatever `post` raises.
    """
    entry = corrections.correction(_entry(entry_id, books), postings=postings, reference=reference, at_ms=at_ms)
    return post(entry=entry, alongside=alongside, books=books, unit=unit)


def _entry(entry_id: str, books: Books) -> Entry:
    entry = books.entry(entry_id)
    if entry is None:
        raise EntryNotFound
    return entry


def _may_stand(account: Account, balance_micros: int, delta: int) -> bool:
    """A receivable may be paid down to nothing, any other account may be emptied; the other way there is no end."""
    return delta == 0 or (delta > 0) is not account.is_debt or account.allows(balance_micros + delta)


def _refusal(accounts: Sequence[Account]) -> Conflict:
    short = [account for account in accounts if not account.is_debt]
    return InsufficientFunds(short) if short else NotOwed()


def _explain(conflict: WriteConflict, entry: Entry, balances: Mapping[Account, Balance]) -> None:
    """Raises where looking at the balances once more would not help."""
    dry = []
    for account in entry.deltas():
        balance_hit = account.has_balance and conflict.hit(account_ref(account, entry.currency))
        if account.has_statement:
            row = row_ref(account, entry.currency, balances[account].seq + 1)
            if conflict.hit(row) and not balance_hit:
                raise BalanceBehind("the balance of an account was damaged") from conflict
        elif balance_hit:
            dry.append(account)
    if dry:
        raise InsufficientFunds(dry) from conflict


def _recorded(entry: Entry, books: Books) -> bool:
    stored = books.input_hash(entry.entry_id)
    if stored is not None and stored != entry.input_hash():
        raise EntryMismatch("this was recorded before with other amounts")
    return stored is not None
