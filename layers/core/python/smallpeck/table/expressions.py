"""Spells storage-neutral writes as DynamoDB expressions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from smallpeck.kernel.writes import (
    Absent,
    AtLeast,
    Below,
    Change,
    Check,
    Condition,
    Create,
    Equals,
    Lacks,
    Path,
    Present,
    Value,
    Write,
)
from smallpeck.table import keys
from smallpeck.table.marshal import to_attribute, to_item


@dataclass
class Placeholders:
    """Hands out `#n` and `:v` and remembers what they stand for."""

    names: dict[str, str] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)

    def path(self, path: Path) -> str:
        """The document path of a field."""
        return ".".join(self._name(part) for part in ((path,) if isinstance(path, str) else path))

    def value(self, value: Value) -> str:
        """The placeholder of a value."""
        placeholder = f":v{len(self.values)}"
        self.values[placeholder] = to_attribute(value)
        return placeholder

    def arguments(self) -> dict[str, Any]:
        """The call's arguments that say what the placeholders stand for."""
        filled: dict[str, Any] = {}
        if self.names:
            filled["ExpressionAttributeNames"] = {placeholder: name for name, placeholder in self.names.items()}
        if self.values:
            filled["ExpressionAttributeValues"] = self.values
        return filled

    def _name(self, name: str) -> str:
        return self.names.setdefault(name, f"#n{len(self.names)}")


def spell(write: Write, table_names: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """(kind, arguments) of one member of a TransactWriteItems: kind is "Put", "Update" or "ConditionCheck".

    The arguments of a Put or an Update are those of PutItem and UpdateItem too.
    """
    table, key = keys.key_of(write.ref)
    arguments: dict[str, Any] = {"TableName": table_names[table]}
    placeholders = Placeholders()
    if isinstance(write, Create):
        index = {
            name: value for entry, parts in write.index.items() for name, value in keys.index_key(entry, parts).items()
        }
        arguments["Item"] = to_item({**key, **index, **write.fields})
        arguments["ConditionExpression"] = f"attribute_not_exists({placeholders.path(keys.PARTITION_KEY)})"
        return "Put", arguments | placeholders.arguments()
    arguments["Key"] = to_item(key)
    if isinstance(write, Change):
        arguments["UpdateExpression"] = _update(write, placeholders)
    if write.when:
        arguments["ConditionExpression"] = conditions(write.when, placeholders)
    return ("ConditionCheck" if isinstance(write, Check) else "Update"), arguments | placeholders.arguments()


def conditions(when: Iterable[Condition], placeholders: Placeholders) -> str:
    """One condition expression that holds where all of `when` hold."""
    return " AND ".join(_condition(one, placeholders) for one in when)


def _condition(condition: Condition, placeholders: Placeholders) -> str:
    path = placeholders.path(condition.path or keys.PARTITION_KEY)
    match condition:
        case Equals(value=value):
            return f"{path} = {placeholders.value(value)}"
        case AtLeast(minimum=minimum):
            return f"{path} >= {placeholders.value(minimum)}"
        case Below(limit=limit):
            return f"{path} < {placeholders.value(limit)}"
        case Absent():
            return f"attribute_not_exists({path})"
        case Present():
            return f"attribute_exists({path})"
        case Lacks(member=member):
            return f"NOT contains({path}, {placeholders.value(member)})"
    raise TypeError(f"not a condition: {condition!r}")


def _update(change: Change, placeholders: Placeholders) -> str:
    assignments = dict(change.set)
    removals = list(change.remove)
    taken_out: set[str] = set()
    for entry, parts in change.index.items():
        if parts is None:
            taken_out.update(keys.index_names(entry)[1:])
        else:
            assignments.update(keys.index_key(entry, parts))
    removals += sorted(taken_out - assignments.keys())
    additions: dict[Path, Value] = {**change.add, **change.extend}
    clauses = {
        "SET": [f"{placeholders.path(path)} = {placeholders.value(value)}" for path, value in assignments.items()],
        "REMOVE": [placeholders.path(path) for path in removals],
        "ADD": [f"{placeholders.path(path)} {placeholders.value(value)}" for path, value in additions.items()],
    }
    return " ".join(f"{word} {', '.join(parts)}" for word, parts in clauses.items() if parts)
