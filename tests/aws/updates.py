"""Evaluation of UpdateExpressions: an item and an update give a new item."""

from __future__ import annotations

import marshal
from itertools import pairwise
from typing import Any

from tests.aws.errors import invalid
from tests.aws.evaluation import Scope, check_overlap, lookup
from tests.aws.expressions import Node, Path, Update
from tests.aws.items import Item, Schema, Value, calculate, make_set

_ADDABLE = ("N", "SS", "NS", "BS")
_SETS = ("SS", "NS", "BS")
_LONG = {
    "S": "STRING",
    "N": "NUMBER",
    "B": "BINARY",
    "BOOL": "BOOLEAN",
    "L": "LIST",
    "M": "MAP",
    "NULL": "NULL",
}
_LONG |= {"SS": "STRING_SET", "NS": "NUMBER_SET", "BS": "BINARY_SET"}


def apply_update(item: Item, update: Update, scope: Scope, schema: Schema) -> tuple[Item, list[Path]]:
    """The updated item and the (resolved) paths written. Every operand is read from the item as it was."""
    targets = [scope.resolve(path) for path in update.targets()]
    for path in targets:
        if path[0] in schema.names:
            invalid(
                f"One or more parameter values were invalid: Cannot update attribute {path[0]}. "
                "This attribute is part of the key"
            )
    check_overlap("UpdateExpression", targets)
    _check_literals(update, scope)
    fresh: Item = dict(item)
    if any(len(path) > 1 for path in targets):
        fresh = marshal.loads(marshal.dumps(item))  # noqa: S302 - a deep copy
    assignments: list[tuple[Path, Value | None]] = []
    for path, node in update.sets:
        assignments.append((scope.resolve(path), _evaluate(node, item, scope)))
    for path, name in update.adds:
        assignments.append((scope.resolve(path), _added(lookup(item, path, scope.names), scope.values[name])))
    for path, name in update.deletes:
        old = lookup(item, path, scope.names)
        if old is not None:
            assignments.append((scope.resolve(path), _without(old, scope.values[name])))
    for path, value in sorted(assignments, key=_list_position):
        if value is not None:
            _assign(fresh, path, value)
    removed = [scope.resolve(path) for path in update.removes]
    removed += [path for path, value in assignments if value is None]
    for path in sorted(removed, key=_list_position, reverse=True):
        _remove(fresh, path)
    return fresh, targets


def _list_position(entry: Any) -> int:
    path = entry[0] if isinstance(entry[0], tuple) else entry
    return path[-1] if isinstance(path[-1], int) else -1


def _check_literals(update: Update, scope: Scope) -> None:
    for _, node in update.sets:
        _check_literal(node, scope)
    for clause, entries, allowed in (("ADD", update.adds, _ADDABLE), ("DELETE", update.deletes, _SETS)):
        for _, name in entries:
            actual = next(iter(scope.values[name]))
            if actual not in allowed:
                invalid(
                    "Invalid UpdateExpression: Incorrect operand type for operator or function; "
                    f"operator: {clause}, operand type: {_LONG[actual]}, typeSet: "
                    f"ALLOWED_FOR_{clause}_OPERAND"
                )


def _check_literal(node: Node, scope: Scope) -> None:
    if node[0] == "sum":
        operator, wanted, operands = node[1], "N", node[2:]
    elif node[0] == "call" and node[1] == "list_append":
        operator, wanted, operands = "list_append", "L", node[2]
    elif node[0] == "call":
        _check_literal(node[2][1], scope)
        return
    else:
        return
    for operand in operands:
        if operand[0] == "value" and wanted not in scope.values[operand[1]]:
            actual = next(iter(scope.values[operand[1]]))
            invalid(
                "Invalid UpdateExpression: Incorrect operand type for operator or function; "
                f"operator or function: {operator}, operand type: {actual}"
            )
        _check_literal(operand, scope)


def _evaluate(node: Node, item: Item, scope: Scope) -> Value:
    form = node[0]
    if form == "value":
        return scope.values[node[1]]
    if form == "path":
        found = lookup(item, node[1], scope.names)
        if found is None:
            invalid("The provided expression refers to an attribute that does not exist in the item")
        return found
    if form == "sum":
        left, right = _evaluate(node[2], item, scope), _evaluate(node[3], item, scope)
        if "N" not in left or "N" not in right:
            invalid("An operand in the update expression has an incorrect data type")
        return {"N": calculate(left["N"], node[1], right["N"])}
    if node[1] == "if_not_exists":
        path, default = node[2]
        found = lookup(item, path[1], scope.names)
        return found if found is not None else _evaluate(default, item, scope)
    first, second = (_evaluate(argument, item, scope) for argument in node[2])
    if "L" not in first or "L" not in second:
        invalid("An operand in the update expression has an incorrect data type")
    return {"L": first["L"] + second["L"]}


def _added(old: Value | None, value: Value) -> Value:
    if old is None:
        return value
    ((kind, data),) = value.items()
    if kind not in old:
        invalid("An operand in the update expression has an incorrect data type")
    if kind == "N":
        return {"N": calculate(old["N"], "+", data)}
    joined = make_set(kind, set(old[kind]) | set(data))
    return joined if joined is not None else value


def _without(old: Value, value: Value) -> Value | None:
    ((kind, data),) = value.items()
    if kind not in old:
        invalid("An operand in the update expression has an incorrect data type")
    return make_set(kind, set(old[kind]) - set(data))


def _step(container: Any, part: str | int) -> Value | None:
    if isinstance(part, int):
        member: Value | None = container[part] if part < len(container) else None
        return member
    entry: Value | None = container.get(part)
    return entry


def _parent(item: Item, path: Path) -> Any:
    """The dict or list that holds the last step of the path, or None where the way there is barred."""
    container: Any = item
    for part, following in pairwise(path):
        value = _step(container, part)
        container = (value or {}).get("L" if isinstance(following, int) else "M")
        if container is None:
            return None
    return container


def _assign(item: Item, path: Path, value: Value) -> None:
    container = _parent(item, path)
    if container is None:
        invalid("The document path provided in the update expression is invalid for update")
    last = path[-1]
    if isinstance(last, int) and last >= len(container):
        container.append(value)
    else:
        container[last] = value


def _remove(item: Item, path: Path) -> None:
    container = _parent(item, path)
    last = path[-1]
    if container is None:
        invalid("The document path provided in the update expression is invalid for update")
    if isinstance(last, int):
        if last < len(container):
            del container[last]
    else:
        container.pop(last, None)
