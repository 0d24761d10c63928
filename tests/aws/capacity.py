"""What calls cost in DynamoDB capacity units, by the rules of on-demand billing."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any


def read_units(size: int, *, consistent: bool, transactional: bool = False) -> float:
    """Read units of `size` bytes: 4 KB steps, at least one; half when eventual, double in a transaction."""
    units = max(1, -(-size // 4096))
    if transactional:
        return 2.0 * units
    return float(units) if consistent else units / 2


def write_units(size: int, *, transactional: bool = False) -> float:
    """Write units of `size` bytes: 1 KB steps, at least one; double in a transaction."""
    return float(max(1, -(-size // 1024)) * (2 if transactional else 1))


@dataclass(frozen=True, slots=True)
class Charge:
    """What one call cost on one table or one of its indexes (`index` is "" for the table itself)."""

    operation: str
    table: str
    index: str
    read: float
    write: float


@dataclass
class Bill:
    """The capacity of one call while it runs; becomes charges and the ConsumedCapacity of the answer."""

    operation: str
    charges: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(lambda: [0.0, 0.0]))

    def read(self, table: str, units: float, index: str = "") -> None:
        """Add read units."""
        self.charges[table, index][0] += units

    def write(self, table: str, units: float, index: str = "") -> None:
        """Add write units."""
        self.charges[table, index][1] += units

    def consumed(self, mode: str) -> list[dict[str, Any]]:
        """The ConsumedCapacity entries, one per table, for ReturnConsumedCapacity TOTAL or INDEXES."""
        entries: dict[str, dict[str, Any]] = {}
        for (table, index), (read, write) in self.charges.items():
            entry = entries.setdefault(table, {"TableName": table, "CapacityUnits": 0.0})
            entry["CapacityUnits"] += read + write
            if mode == "INDEXES":
                units = {"CapacityUnits": read + write}
                if index:
                    entry.setdefault("GlobalSecondaryIndexes", {})[index] = units
                else:
                    entry["Table"] = units
        return list(entries.values())


class Meter:
    """The sum of what a world's DynamoDB calls cost.

    `charges` lists every charge in order (`keep` off: only totals, for long runs); `read` and `write` are
    units in total, `calls` counts calls by operation.
    """

    def __init__(self, *, keep: bool = True) -> None:
        self.keep = keep
        self.reset()

    def reset(self) -> None:
        """Start again at zero."""
        self.read = 0.0
        self.write = 0.0
        self.calls: dict[str, int] = defaultdict(int)
        self.charges: list[Charge] = []

    def book(self, bill: Bill) -> None:
        """Take the charges of a finished (or refused) call."""
        self.calls[bill.operation] += 1
        for (table, index), (read, write) in bill.charges.items():
            self.read += read
            self.write += write
            if self.keep:
                self.charges.append(Charge(bill.operation, table, index, read, write))

    def dollars(self, *, read_million: float = 0.125, write_million: float = 0.625) -> float:
        """The on-demand price of everything, in USD, at the given USD per million request units."""
        return (self.read * read_million + self.write * write_million) / 1_000_000
