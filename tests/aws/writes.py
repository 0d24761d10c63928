"""Single-item writes in two steps: `prepare` decides without changing anything, `commit` applies.

A transaction prepares all of its writes before it commits any, so nothing has to be copied or undone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.aws.capacity import Bill, write_units
from tests.aws.errors import Rejection, invalid
from tests.aws.evaluation import Compiled, Scope, compiled, project, scope_of
from tests.aws.expressions import Path, Update, parse_update
from tests.aws.items import (
    MAX_ITEM_BYTES,
    Item,
    Key,
    Record,
    canonical_item,
    item_size,
    key_of_item,
    key_of_request,
    pack,
)
from tests.aws.tables import Table
from tests.aws.updates import apply_update

Request = Mapping[str, Any]


class Intent(NamedTuple):
    """A request that has been read and found well-formed, before the state of the table matters."""

    kind: str
    table: Table
    key: Key
    key_item: Item
    item: Item
    update: Update | None
    condition: Compiled | None
    scope: Scope
    on_failure: str
    size: int
    """The size of `item` in bytes."""


class Change(NamedTuple):
    """A write that may go ahead."""

    table: Table
    key: Key
    before: Item | None
    after: Item | None
    record: Record | None
    targets: list[Path]
    size: int
    """The larger of the old and new size in bytes, which is what is billed."""


class ConditionFailed(Exception):
    """The condition of a write does not hold; carries the item as it is."""

    def __init__(self, item: Item | None, size: int) -> None:
        super().__init__("The conditional request failed")
        self.item = item
        self.size = size


def read_request(kind: str, table: Table, request: Request) -> Intent:
    """Check everything about a Put, Update, Delete or ConditionCheck that does not need the stored item."""
    condition = (
        compiled("ConditionExpression", request["ConditionExpression"]) if ("ConditionExpression" in request) else None
    )
    update = parse_update(request["UpdateExpression"]) if "UpdateExpression" in request else None
    uses = []
    if update is not None:
        uses.append(("UpdateExpression", update.names, update.values))
    if condition is not None:
        uses.append(condition.use)
    scope = scope_of(request, uses)
    if condition is not None:
        condition.check(scope)
    item: Item = {}
    size = 0
    if kind == "Put":
        item, size = canonical_item(request["Item"])
        key = key_of_item(table.schema, item)
        table.check(item)
        key_item = {name: item[name] for name in table.schema.names}
    else:
        key, key_item = key_of_request(table.schema, request["Key"])
    on_failure = request.get("ReturnValuesOnConditionCheckFailure", "NONE")
    return Intent(kind, table, key, key_item, item, update, condition, scope, on_failure, size)


def prepare(intent: Intent) -> Change:
    """Evaluate the condition and compute the new item. Raises ConditionFailed, or Rejection for a bad
    update.
    """
    table, key = intent.table, intent.key
    record = table.items.get(key)
    before = record.item() if record is not None else None
    old_size = record.size if record is not None else 0
    if intent.condition is not None and not intent.condition.holds(before or {}, intent.scope):
        raise ConditionFailed(before, old_size)
    targets: list[Path] = []
    if intent.kind == "ConditionCheck":
        return Change(table, key, before, before, record, targets, old_size)
    if intent.kind == "Delete":
        return Change(table, key, before, None, None, targets, old_size)
    after, new_size = intent.item, intent.size
    if intent.kind == "Update":
        after = before if before is not None else intent.key_item
        if intent.update is not None:
            after, targets = apply_update(after, intent.update, intent.scope, table.schema)
            table.check(after)
        new_size = item_size(after)
    if new_size > MAX_ITEM_BYTES:
        about = "Item size to update" if intent.kind == "Update" else "Item size"
        invalid(f"{about} has exceeded the maximum allowed size")
    return Change(table, key, before, after, pack(after, new_size), targets, max(old_size, new_size))


def commit(change: Change, bill: Bill, *, transactional: bool = False) -> None:
    """Make a change and bill it."""
    bill.write(change.table.name, write_units(change.size, transactional=transactional))
    if change.after is not change.before:
        change.table.apply(change.key, change.before, change.after, change.record, bill)


def write(intent: Intent, bill: Bill) -> Change:
    """Prepare and commit one write, or refuse it with ConditionalCheckFailedException (also billed)."""
    try:
        change = prepare(intent)
    except ConditionFailed as failed:
        bill.write(intent.table.name, write_units(failed.size))
        extra: dict[str, Any] = {}
        if intent.on_failure == "ALL_OLD" and failed.item is not None:
            extra["Item"] = failed.item
        raise Rejection("ConditionalCheckFailedException", "The conditional request failed", 400, **extra) from None
    commit(change, bill)
    return change


def returned(change: Change, mode: str) -> Item | None:
    """The Attributes of the answer for a ReturnValues mode; None where the answer has none."""
    if mode == "ALL_OLD":
        return change.before
    if mode == "ALL_NEW":
        return change.after
    if mode == "UPDATED_OLD":
        return project(change.before or {}, change.targets) or None
    if mode == "UPDATED_NEW":
        return project(change.after or {}, change.targets) or None
    return None
