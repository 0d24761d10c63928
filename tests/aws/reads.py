"""Query and scan on tables and indexes, and the plain reads by key."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.aws.capacity import Bill, read_units
from tests.aws.errors import Rejection, invalid
from tests.aws.evaluation import Compiled, Scope, check_overlap, compiled, project, scope_of
from tests.aws.expressions import Node, Path, Projection, parse_projection
from tests.aws.items import Item, Key, Schema, canonical_item, item_size, key_of_request, scalar
from tests.aws.tables import SCAN_POSITIONS, Entry, Index, Partitions, Table, range_of

PAGE_BYTES = 1024 * 1024
Request = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _View:
    """The table or one of its indexes, as something to list."""

    table: Table
    index: Index | None

    @property
    def schema(self) -> Schema:
        return self.index.schema if self.index is not None else self.table.schema

    @property
    def partitions(self) -> Partitions:
        return self.index.partitions if self.index is not None else self.table.partitions

    @property
    def sort_place(self) -> int:
        return 0 if self.index is not None else 1

    def read(self, entry: Entry) -> tuple[Item, int]:
        """The item behind an entry as this view shows it, and its size in bytes."""
        if self.index is None:
            record = self.table.items[entry]  # type: ignore[index]
            return record.item(), record.size
        record = self.table.record_in(self.index, entry[1])
        if not self.index.attributes:
            return record.item(), record.size
        shown = self.index.projected(record.item())
        return shown, item_size(shown)

    def key_names(self) -> tuple[str, ...]:
        """What a LastEvaluatedKey holds."""
        return tuple(dict.fromkeys((*self.schema.names, *self.table.schema.names)))

    def start(self, key: Mapping[str, Mapping[str, Any]]) -> tuple[Any, Entry]:
        """The partition and entry that an ExclusiveStartKey names."""
        item, _ = canonical_item(key)
        types = dict((*self.schema.types(), *self.table.schema.types()))
        if set(item) != set(types) or any(types[name] not in value for name, value in item.items()):
            invalid("The provided starting key is invalid")
        base = Key(
            scalar(item[self.table.schema.partition]),
            scalar(item[self.table.schema.sort]) if self.table.schema.sort else "",
        )
        if self.index is None:
            return base.partition, base
        sort = scalar(item[self.schema.sort]) if self.schema.sort else ""
        return scalar(item[self.schema.partition]), (sort, base)


def read_key(table: Table, request: Request, bill: Bill, *, transactional: bool = False) -> Item | None:
    """GetItem: the item or its projection; None when absent."""
    projection, scope = _projection(request, [])
    key, _ = key_of_request(table.schema, request["Key"])
    record = table.items.get(key)
    size = record.size if record is not None else 0
    consistent = bool(request.get("ConsistentRead", False))
    bill.read(table.name, read_units(size, consistent=consistent, transactional=transactional))
    if record is None:
        return None
    return _shown(record.item(), projection, scope)


def query(table: Table, request: Request, bill: Bill) -> dict[str, Any]:
    """Query a table or index; the answer without metadata."""
    view = _view(table, request)
    condition = compiled("KeyConditionExpression", request.get("KeyConditionExpression") or "")
    filtering = _filter(request)
    uses = [condition.use] + ([filtering.use] if filtering is not None else [])
    projection, scope = _projection(request, uses)
    for part in (condition, filtering):
        if part is not None:
            part.check(scope)
    partition, operator, operands = _key_condition(condition.parsed.root, view.schema, scope)
    if filtering is not None:
        _refuse_keys_in_filter(filtering, view.schema, scope)
    entries = view.partitions.lists.get(partition, [])
    low, high = 0, len(entries)
    if operator:
        low, high = range_of(entries, view.sort_place, operator, operands)
    forward = bool(request.get("ScanIndexForward", True))
    if "ExclusiveStartKey" in request:
        start_partition, start = view.start(request["ExclusiveStartKey"])
        if start_partition != partition:
            invalid("The provided starting key is outside query boundaries based on provided conditions")
        if forward:
            low = max(low, _after(entries, start))
        else:
            high = min(high, _before(entries, start))
    places = range(low, high) if forward else range(high - 1, low - 1, -1)
    return _page(view, (entries[place] for place in places), request, filtering, projection, scope, bill)


def scan(table: Table, request: Request, bill: Bill) -> dict[str, Any]:
    """Scan a table or index, or one segment of it; the answer without metadata."""
    view = _view(table, request)
    filtering = _filter(request)
    projection, scope = _projection(request, [filtering.use] if filtering is not None else [])
    if filtering is not None:
        filtering.check(scope)
    segment, total = request.get("Segment"), request.get("TotalSegments")
    if (segment is None) != (total is None):
        missing, given = ("Segment", "TotalSegments") if segment is None else ("TotalSegments", "Segment")
        invalid(f"The {missing} parameter is required but was not present in the request when {given} is present")
    if segment is not None and total is not None and segment >= total:
        invalid(
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: "
            f"Segment: {segment} is not less than TotalSegments: {total}"
        )
    low = SCAN_POSITIONS * (segment or 0) // (total or 1)
    high = SCAN_POSITIONS * ((segment or 0) + 1) // (total or 1)
    start: tuple[Any, Entry] | None = None
    if "ExclusiveStartKey" in request:
        start = view.start(request["ExclusiveStartKey"])

    def entries() -> Iterator[Entry]:
        for partition in view.partitions.in_scan_order(start[0] if start else None, low, high):
            listed = view.partitions.lists[partition]
            first = _after(listed, start[1]) if start is not None and partition == start[0] else 0
            for place in range(first, len(listed)):
                yield listed[place]

    return _page(view, entries(), request, filtering, projection, scope, bill)


def _after(entries: list[Entry], entry: Entry) -> int:
    return bisect_right(entries, entry)


def _before(entries: list[Entry], entry: Entry) -> int:
    return bisect_left(entries, entry)


def _view(table: Table, request: Request) -> _View:
    name = request.get("IndexName")
    if name is None:
        return _View(table, None)
    if name not in table.indexes:
        invalid(f"The table does not have the specified index: {name}")
    if request.get("ConsistentRead"):
        invalid("Consistent reads are not supported on global secondary indexes")
    index = table.indexes[name]
    if request.get("Select") == "ALL_ATTRIBUTES" and index.attributes:
        invalid(
            "One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not supported for "
            "global "
            f"secondary index {name} because its projection type is not ALL"
        )
    table.catch_up()
    return _View(table, index)


def _filter(request: Request) -> Compiled | None:
    return compiled("FilterExpression", request["FilterExpression"]) if "FilterExpression" in request else None


def _projection(
    request: Request, uses: list[tuple[str, frozenset[str], frozenset[str]]]
) -> tuple[Projection | None, Scope]:
    projection: Projection | None = None
    if "ProjectionExpression" in request:
        projection = parse_projection(request["ProjectionExpression"])
        uses = [*uses, ("ProjectionExpression", projection.names, frozenset())]
    scope = scope_of(request, uses)
    if projection is not None:
        check_overlap("ProjectionExpression", [scope.resolve(path) for path in projection.paths])
    return projection, scope


def _shown(item: Item, projection: Projection | None, scope: Scope) -> Item:
    if projection is None:
        return item
    return project(item, [scope.resolve(path) for path in projection.paths])


def _page(
    view: _View,
    entries: Iterable[Entry],
    request: Request,
    filtering: Compiled | None,
    projection: Projection | None,
    scope: Scope,
    bill: Bill,
) -> dict[str, Any]:
    limit = request.get("Limit")
    if limit is not None and limit < 1:
        invalid(
            f"1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint: "
            "Member must have value greater than or equal to 1"
        )
    counting = request.get("Select") == "COUNT"
    if counting and projection is not None:
        invalid("Cannot specify the ProjectionExpression when choosing to get only the Count")
    items: list[Item] = []
    count = scanned = size = 0
    last: Item | None = None
    stopped = False
    for entry in entries:
        item, item_bytes = view.read(entry)
        scanned += 1
        size += item_bytes
        last = item
        if filtering is None or filtering.holds(item, scope):
            count += 1
            if not counting:
                items.append(_shown(item, projection, scope))
        if scanned == limit or size >= PAGE_BYTES:
            stopped = True
            break
    consistent = bool(request.get("ConsistentRead", False))
    index_name = view.index.name if view.index is not None else ""
    bill.read(view.table.name, read_units(size, consistent=consistent), index_name)
    answer: dict[str, Any] = {"Count": count, "ScannedCount": scanned}
    if not counting:
        answer["Items"] = items
    if stopped and last is not None:
        key_item = last
        answer["LastEvaluatedKey"] = {name: dict(key_item[name]) for name in view.key_names()}
    return answer


def _key_condition(root: Node, schema: Schema, scope: Scope) -> tuple[Any, str, list[Any]]:
    """The partition value, and the operator and operands on the sort key ("" for none)."""
    parts = [root[1], root[2]] if root[0] == "and" else [root]
    partition: Any = None
    sort: tuple[str, list[Any]] | None = None
    for part in parts:
        operator, path, operands = _simple(part)
        name = scope.resolve(path)[0] if len(path) == 1 else ""
        if name not in schema.names:
            missing = schema.sort if partition is not None else schema.partition
            invalid(f"Query condition missed key schema element: {missing or schema.partition}")
        is_partition = name == schema.partition
        kind = schema.partition_type if is_partition else schema.sort_type
        values = [scope.values[operand] for operand in operands]
        if any(kind not in value for value in values):
            invalid("One or more parameter values were invalid: Condition parameter type does not match schema type")
        if any(value[kind] in ("", b"") for value in values) and operator != "begins_with":
            invalid(
                "One or more parameter values are not valid. The AttributeValue for a key attribute "
                "cannot contain "
                f"an empty string value. Key: {name}"
            )
        scalars = [scalar(value) for value in values]
        if is_partition:
            if partition is not None:
                invalid("KeyConditionExpressions must only contain one condition per key")
            if operator != "=":
                invalid("Query key condition not supported")
            partition = scalars[0]
        elif sort is not None:
            invalid("KeyConditionExpressions must only contain one condition per key")
        else:
            if operator == "begins_with" and kind == "N":
                invalid("Query key condition not supported")
            sort = (operator, scalars)
    if partition is None:
        invalid(f"Query condition missed key schema element: {schema.partition}")
    return partition, *(sort or ("", []))


_MIRRORED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


def _simple(node: Node) -> tuple[str, Path, list[str]]:
    """Operator, path and `:value` operands of one key comparison."""
    form = node[0]
    if form == "compare" and node[1] in _MIRRORED:
        operator, left, right = node[1:]
        if left[0] == "value":
            operator, left, right = _MIRRORED[operator], right, left
        if left[0] == "path" and right[0] == "value":
            return operator, left[1], [right[1]]
    elif form == "between" and node[1][0] == "path" and node[2][0] == node[3][0] == "value":
        return "BETWEEN", node[1][1], [node[2][1], node[3][1]]
    elif form == "call" and node[1] == "begins_with":
        path, prefix = node[2]
        if path[0] == "path" and prefix[0] == "value":
            return "begins_with", path[1], [prefix[1]]
    elif form == "and":
        invalid("Conditions can be of length 1 or 2 only")
    elif form in ("or", "not", "in") or (form == "compare" and node[1] == "<>"):
        invalid(f"Invalid operator used in KeyConditionExpression: {_operator(node)}")
    message = "Invalid KeyConditionExpression: The expression is not a comparison of a key with a value"
    raise Rejection("ValidationException", message)


def _operator(node: Node) -> str:
    return str(node[1] if node[0] == "compare" else node[0]).upper()


def _refuse_keys_in_filter(filtering: Compiled, schema: Schema, scope: Scope) -> None:
    for path in filtering.parsed.paths:
        if scope.resolve(path)[0] in schema.names:
            invalid(
                "Filter Expression can only contain non-primary key attributes: "
                f"Primary key attribute: {scope.resolve(path)[0]}"
            )
