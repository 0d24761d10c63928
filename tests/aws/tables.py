"""Tables and their global secondary indexes: plain dicts and, per partition, one sorted list of entries."""

from __future__ import annotations

import gc
import marshal
import zlib
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple

from tests.aws.capacity import Bill, write_units
from tests.aws.clock import Clock
from tests.aws.errors import invalid
from tests.aws.items import (
    Item,
    Key,
    Record,
    Scalar,
    Schema,
    canonical_item,
    item_size,
    key_of_item,
    pack,
    scalar,
)

Entry = tuple[Any, ...]
"""A line of a partition's sorted list: (partition, sort) of the table, (index sort, Key) of an index."""


class Partitions:
    """Sorted entries by partition value, and a lazy order over the partitions for scans."""

    def __init__(self) -> None:
        self.lists: dict[Scalar, list[Entry]] = {}
        self._order: list[tuple[int, Scalar]] | None = None

    def add(self, partition: Scalar, entry: Entry) -> None:
        """Insert an entry that is not there yet."""
        entries = self.lists.get(partition)
        if entries is None:
            self.lists[partition] = [entry]
            if self._order is not None:
                insort(self._order, (scan_position(partition), partition))
        else:
            insort(entries, entry)

    def remove(self, partition: Scalar, entry: Entry) -> None:
        """Take an entry out."""
        entries = self.lists[partition]
        del entries[bisect_left(entries, entry)]
        if not entries:
            del self.lists[partition]
            if self._order is not None:
                place = (scan_position(partition), partition)
                del self._order[bisect_left(self._order, place)]

    def in_scan_order(self, start: Scalar | None, low: int, high: int) -> Iterator[Scalar]:
        """Partitions whose scan position is in [low, high), from `start` (inclusive) on."""
        if self._order is None:
            self._order = sorted((scan_position(partition), partition) for partition in self.lists)
        at = bisect_left(self._order, (low,))
        if start is not None:
            at = bisect_left(self._order, (scan_position(start), start))
        while at < len(self._order) and self._order[at][0] < high:
            yield self._order[at][1]
            at += 1


SCAN_POSITIONS = 1 << 32


def scan_position(partition: Scalar) -> int:
    """Where a partition comes in a scan: a stable hash of 32 bits."""
    return zlib.crc32(partition if isinstance(partition, bytes) else str(partition).encode())


class Image(NamedTuple):
    """What an index holds of an item: where it stands and how large its projection is."""

    partition: Scalar
    entry: Entry
    projected: Item


class Index:
    """A global secondary index. Its entries name items; what they show comes from the table or, while the
    index lags, from the images kept in `lagging`.
    """

    def __init__(self, name: str, schema: Schema, projection: str, attributes: frozenset[str]) -> None:
        self.name = name
        self.schema = schema
        self.projection = projection
        self.attributes = attributes
        """Names of everything projected (keys included); empty for ALL."""
        self.partitions = Partitions()
        self.lagging: dict[Key, Record | None] = {}
        self.open_changes: dict[Key, int] = {}

    def image(self, key: Key, item: Item | None) -> Image | None:
        """How the item appears in this index; None where it lacks an index key."""
        if item is None or any(name not in item for name in self.schema.names):
            return None
        sort = scalar(item[self.schema.sort]) if self.schema.sort else ""
        return Image(scalar(item[self.schema.partition]), (sort, key), self.projected(item))

    def projected(self, item: Item) -> Item:
        """The attributes that the index carries."""
        if not self.attributes:
            return item
        return {name: value for name, value in item.items() if name in self.attributes}

    def move(self, before: Image | None, after: Image | None) -> None:
        """Change the entries of one item."""
        if before is not None and after is not None and before[:2] == after[:2]:
            return
        if before is not None:
            self.partitions.remove(before.partition, before.entry)
        if after is not None:
            self.partitions.add(after.partition, after.entry)

    def check(self, item: Item) -> None:
        """Refuse values that cannot stand in the keys of this index."""
        for name, kind in self.schema.types():
            value = item.get(name)
            if value is None:
                continue
            if kind not in value:
                invalid(
                    f"One or more parameter values were invalid: Type mismatch for Index Key {name} "
                    f"Expected: {kind} Actual: {next(iter(value))} IndexName: {self.name}"
                )
            if value[kind] in ("", b""):
                invalid(
                    "One or more parameter values are not valid. A value specified for a secondary index "
                    "key is "
                    "not supported. The AttributeValue for a key attribute cannot contain an empty "
                    f"{'string' if kind == 'S' else 'binary'} value. IndexName: {self.name}, IndexKey: {name}"
                )


def index_units(before: Image | None, after: Image | None) -> float:
    """Write units that a change costs on an index: a put, a delete, both when the key moves, or nothing."""
    if before is None and after is None:
        return 0.0
    if before is None or after is None:
        present = before or after
        return write_units(item_size(present.projected)) if present else 0.0
    if before[:2] != after[:2]:
        return write_units(item_size(before.projected)) + write_units(item_size(after.projected))
    if before.projected == after.projected:
        return 0.0
    return write_units(max(item_size(before.projected), item_size(after.projected)))


class Lag(NamedTuple):
    """How far indexes are behind: by a number of writes, by seconds, or until `settle` (both None)."""

    writes: int | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class _Pending:
    write: int
    moment: float
    index: Index
    key: Key
    before: Item | None
    after: Item | None


class Table:
    """One table: items by key, sorted partitions, indexes, and the changes that indexes have not seen yet."""

    def __init__(self, name: str, schema: Schema, indexes: Iterable[Index], clock: Clock) -> None:
        self.name = name
        self.schema = schema
        self.indexes = {index.name: index for index in indexes}
        self.items: dict[Key, Record] = {}
        self.partitions = Partitions()
        self.clock = clock
        self.lag: Lag | None = None
        self.writes = 0
        self._pending: deque[_Pending] = deque()

    def check(self, item: Item) -> None:
        """Refuse an item that an index cannot take."""
        for index in self.indexes.values():
            index.check(item)

    def apply(self, key: Key, before: Item | None, after: Item | None, record: Record | None, bill: Bill) -> None:
        """Replace the item at `key` (`after` None deletes) and bill what the indexes cost."""
        self.writes += 1
        for index in self.indexes.values():
            old, new = index.image(key, before), index.image(key, after)
            units = index_units(old, new)
            if units:
                bill.write(self.name, units, index.name)
            if self.lag is None:
                index.move(old, new)
            elif old is not None or new is not None:
                if key not in index.lagging:
                    index.lagging[key] = self.items.get(key)
                index.open_changes[key] = index.open_changes.get(key, 0) + 1
                was, becomes = marshal.loads(marshal.dumps((before, after)))  # noqa: S302 - a deep copy
                self._pending.append(_Pending(self.writes, self.clock.now(), index, key, was, becomes))
        if record is not None:
            if key not in self.items:
                self.partitions.add(key.partition, key)
            self.items[key] = record
        elif key in self.items:
            del self.items[key]
            self.partitions.remove(key.partition, key)

    def record_in(self, index: Index, key: Key) -> Record:
        """The item as the index sees it."""
        record = index.lagging.get(key) if index.lagging else None
        return record if record is not None else self.items[key]

    def catch_up(self, *, everything: bool = False) -> None:
        """Let the indexes see the changes that are due."""
        while self._pending:
            pending = self._pending[0]
            if not everything and not self._is_due(pending):
                return
            self._pending.popleft()
            index, key = pending.index, pending.key
            index.move(index.image(key, pending.before), index.image(key, pending.after))
            index.open_changes[key] -= 1
            if index.open_changes[key]:
                after = pending.after
                index.lagging[key] = pack(after, item_size(after)) if after is not None else None
            else:
                del index.open_changes[key], index.lagging[key]

    def _is_due(self, pending: _Pending) -> bool:
        if self.lag is None:
            return True
        if self.lag.writes is not None:
            return pending.write <= self.writes - self.lag.writes
        return self.lag.seconds is not None and pending.moment <= self.clock.now() - self.lag.seconds

    def seed(self, items: Iterable[Mapping[str, Mapping[str, Any]]]) -> int:
        """Put many items without hook, bill or conditions; sorts once at the end. Returns how many were
        new.
        """
        collecting = gc.isenabled()
        gc.disable()  # nothing here makes garbage in cycles, and searching for some doubles the time
        try:
            return self._seed(items)
        finally:
            if collecting:
                gc.enable()

    def _seed(self, items: Iterable[Mapping[str, Mapping[str, Any]]]) -> int:
        touched: set[Scalar] = set()
        lists = self.partitions.lists
        count = 0
        for raw in items:
            item, size = canonical_item(raw)
            key = key_of_item(self.schema, item)
            if key in self.items:
                self.apply(key, self.items[key].item(), item, pack(item, size), Bill("Seed"))
                continue
            count += 1
            self.items[key] = pack(item, size)
            if key.partition in lists:
                lists[key.partition].append(key)
                touched.add(key.partition)
            else:
                lists[key.partition] = [key]
            for index in self.indexes.values():
                if all(name in item for name in index.schema.names):
                    sort = scalar(item[index.schema.sort]) if index.schema.sort else ""
                    partition = scalar(item[index.schema.partition])
                    index.partitions.lists.setdefault(partition, []).append((sort, key))
        for partition in touched:
            lists[partition].sort()
        self.partitions._order = None
        for index in self.indexes.values():
            index.partitions._order = None
            for entries in index.partitions.lists.values():
                entries.sort()
        return count


def range_of(entries: list[Entry], place: int, operator: str, operands: list[Any]) -> tuple[int, int]:
    """The slice of a sorted list whose sort value (member `place` of each entry) meets a key condition."""
    sort = itemgetter(place)
    first = operands[0]
    if operator == "=":
        return bisect_left(entries, first, key=sort), bisect_right(entries, first, key=sort)
    if operator == "<":
        return 0, bisect_left(entries, first, key=sort)
    if operator == "<=":
        return 0, bisect_right(entries, first, key=sort)
    if operator == ">":
        return bisect_right(entries, first, key=sort), len(entries)
    if operator == ">=":
        return bisect_left(entries, first, key=sort), len(entries)
    if operator == "BETWEEN":
        return bisect_left(entries, first, key=sort), bisect_right(entries, operands[1], key=sort)
    length = len(first)
    low = bisect_left(entries, first, key=sort)
    return low, bisect_right(entries, first, key=lambda entry: entry[place][:length])
