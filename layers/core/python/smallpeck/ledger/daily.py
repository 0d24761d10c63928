"""What moved on a worker's account, day by day (UTC), from its statement.

Rows stand in the order in which they were posted; the moments in them were taken when each request began, so they may
be out of order by as long as a request lives. The search takes that into account: a day's rows are exactly those whose
moment lies in it.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from smallpeck.kernel.errors import Invalid, Problem
from smallpeck.ledger.accounts import Account
from smallpeck.ledger.posting import Balance, EntryKind

DAY_MS = 86_400_000
MAX_DAYS = 92
MAX_ROWS = 20_000
DISORDER_MS = 900_000  # no function lives longer


class TooManyMovements(Invalid):
    """More rows than are added up in one request."""

    code = "too_many_movements"


class BadPeriod(Invalid):
    """A period that ends before it begins, or is too long."""

    code = "bad_period"


class StatementReads(Protocol):
    """What adding up a statement reads."""

    def balances(self, accounts: Collection[Account], currency: str) -> Mapping[Account, Balance]: ...
    def statement_row(self, account: Account, currency: str, seq: int) -> Mapping[str, Any] | None: ...
    def statement_rows(self, account: Account, currency: str, first: int, last: int) -> Iterator[Mapping[str, Any]]: ...


@dataclass
class Day:
    """One day's movements in micros: `credited` - `paid_out` + `came_back` is the change of the balance.

    `number` counts days since 1970; `units` is how many things the credits paid for.
    """

    number: int
    credited: int = 0
    paid_out: int = 0
    came_back: int = 0
    units: int = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """Counts one row of the statement."""
        match row["kind"]:
            case EntryKind.PAYOUT_RESERVE:
                self.paid_out -= row["amount_micros"]
            case EntryKind.PAYOUT_RELEASE:
                self.came_back += row["amount_micros"]
            case _:
                self.credited += row["amount_micros"]
                self.units += row.get("units", 0)


def by_day(*, account: Account, currency: str, first: int, last: int, books: StatementReads) -> list[Day]:
    """Every day from `first` to `last` (numbers, both included). Raises BadPeriod and TooManyMovements."""
    _check(first, last)
    days = {number: Day(number) for number in range(first, last + 1)}
    rows = books.balances([account], currency)[account].seq
    start = _search(account, currency, (1, rows + 1), first * DAY_MS - DISORDER_MS, books)
    end = _search(account, currency, (start, rows + 1), (last + 1) * DAY_MS + DISORDER_MS, books)
    if end - start > MAX_ROWS:
        detail = f"more than {MAX_ROWS} movements; ask for fewer days"
        raise TooManyMovements(detail, problems=[Problem("/from", detail)])
    if start < end:
        for row in books.statement_rows(account, currency, start, end - 1):
            day = days.get(row["at_ms"] // DAY_MS)
            if day is not None:
                day.add(row)
    return list(days.values())


def _check(first: int, last: int) -> None:
    if last < first:
        detail = "the last day is before the first"
        raise BadPeriod(detail, problems=[Problem("/to", detail)])
    if last - first >= MAX_DAYS:
        detail = f"at most {MAX_DAYS} days at once"
        raise BadPeriod(detail, problems=[Problem("/from", detail)])


def _search(account: Account, currency: str, between: tuple[int, int], moment_ms: int, books: StatementReads) -> int:
    """A row that is not before the moment, and whose predecessor is; `between` where to look, its end excluded."""
    low, high = between
    probe = high - 1  # mostly the last days are asked for
    while low < high:
        row = books.statement_row(account, currency, probe)
        if row is None:
            raise LookupError(f"row {probe} of a statement is missing")
        if row["at_ms"] >= moment_ms:
            high = probe
        else:
            low = probe + 1
        probe = (low + high) // 2
    return low
