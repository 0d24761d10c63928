"""Python values <-> DynamoDB JSON. Numbers are whole: what may hold a fraction is stored as JSON text."""

from collections.abc import Mapping, Sequence
from typing import Any

from smallpeck.kernel.writes import Value


def to_attribute(value: Value) -> dict[str, Any]:
    """The attribute value of a Python value, such as {"N": "7"}."""
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case str():
            return {"S": str(value)}  # a StrEnum becomes its text
        case bytes():
            return {"B": value}
        case frozenset():
            return {"SS": sorted(value)}
        case Mapping():
            return {"M": {name: to_attribute(inner) for name, inner in value.items()}}
        case Sequence():
            return {"L": [to_attribute(inner) for inner in value]}
    raise TypeError(f"cannot store a {type(value).__name__}")


def from_attribute(attribute: Mapping[str, Any]) -> Any:
    """The Python value of an attribute value."""
    ((kind, value),) = attribute.items()
    match kind:
        case "S" | "BOOL" | "B":
            return value
        case "N":
            return int(value)
        case "NULL":
            return None
        case "M":
            return from_item(value)
        case "L":
            return [from_attribute(inner) for inner in value]
        case "SS":
            return frozenset(value)
    raise TypeError(f"cannot read a {kind}")


def to_item(fields: Mapping[str, Value]) -> dict[str, Any]:
    """A whole item in DynamoDB JSON."""
    return {name: to_attribute(value) for name, value in fields.items()}


def from_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """A whole item in Python values, keys and index attributes included."""
    # Most attributes are text or numbers, and whole tables are read through here.
    return {
        name: value["S"] if "S" in value else int(value["N"]) if "N" in value else from_attribute(value)
        for name, value in item.items()
    }
