"""Attribute values: canonical form, sizes in bytes, numbers, keys. All in DynamoDB JSON (`{"S": "x"}`).

Canonical means that equal values are equal Python objects: numbers without superfluous zeros, sets sorted.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterable, Mapping
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from itertools import pairwise
from typing import Any, NamedTuple

from tests.aws.errors import Rejection, invalid

Value = dict[str, Any]
Item = dict[str, Value]
Scalar = str | bytes | Decimal

MAX_ITEM_BYTES = 400 * 1024
MAX_PARTITION_KEY_BYTES = 2048
MAX_SORT_KEY_BYTES = 1024
_MAX_DEPTH = 32
_ARITHMETIC = Context(prec=38, Emin=-130, Emax=125, traps=[Inexact, Overflow, InvalidOperation])


class Record(NamedTuple):
    """A stored item: its packed form and its size in bytes."""

    data: bytes
    size: int

    def item(self) -> Item:
        """A fresh copy of the item."""
        unpacked: Item = marshal.loads(self.data)  # noqa: S302 - we packed it
        return unpacked


class Key(NamedTuple):
    """The primary key of an item as comparable scalars; `sort` is "" in a table without a sort key."""

    partition: Scalar
    sort: Scalar


def utf8(text: str) -> int:
    """The length of a text in UTF-8 bytes."""
    return len(text) if text.isascii() else len(text.encode())


def number(text: object) -> Decimal:
    """The number in an `N`; refuses what DynamoDB refuses (38 digits, 1E-130 to 9.99E+125)."""
    try:
        value = Decimal(str(text))
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        invalid(f"The parameter cannot be converted to a numeric value: {text}")
    return bounded(value)


def bounded(value: Decimal) -> Decimal:
    """Refuse numbers outside of the range or precision of DynamoDB."""
    if not value:
        return Decimal(0)
    value = value.normalize(Context(prec=400))
    if len(value.as_tuple().digits) > 38:
        invalid("Attempting to store more than 38 significant digits in a Number")
    if value.adjusted() > 125:
        invalid("Number overflow. Attempting to store a number with magnitude larger than supported range")
    if value.adjusted() < -130:
        invalid("Number underflow. Attempting to store a number with magnitude smaller than supported range")
    return value


def number_text(value: Decimal) -> str:
    """The canonical text of a number: plain digits, no exponent, no trailing zeros."""
    return format(bounded(value), "f")


def canonical_number(text: object) -> str:
    """The canonical text of an `N` as sent."""
    if (
        isinstance(text, str)
        and text.isdigit()
        and text.isascii()
        and len(text) < 38
        and (text[0] != "0" or text == "0")
    ):
        return text
    return number_text(number(text))


def number_size(text: str) -> int:
    """The size of a canonical number: a byte per two significant digits, one more, one for a minus sign."""
    negative = text[0] == "-"
    digits = text.lstrip("-").replace(".", "").strip("0")
    return (len(digits) + 1) // 2 + 1 + negative


def binary(data: Any) -> bytes:
    """The bytes of a `B`, which boto3 also takes as bytearray or as its Binary wrapper."""
    return bytes(getattr(data, "value", data))


def canonical(value: Mapping[str, Any], depth: int = 0) -> tuple[Value, int]:
    """The canonical form of a value and its size in bytes; refuses malformed ones."""
    if len(value) != 1:
        if not value:
            invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
        invalid(
            "Supplied AttributeValue has more than one datatypes set, "
            "must contain exactly one of the supported datatypes"
        )
    ((kind, data),) = value.items()
    if kind == "S":
        return {"S": data}, utf8(data)
    if kind == "N":
        text = canonical_number(data)
        return {"N": text}, number_size(text)
    if kind == "B":
        raw = binary(data)
        return {"B": raw}, len(raw)
    if kind == "BOOL":
        return {"BOOL": data}, 1
    if kind == "NULL":
        if data is not True:
            invalid("One or more parameter values were invalid: Null attribute value types must have the value of true")
        return {"NULL": True}, 1
    if kind in _SETS:
        return _canonical_set(kind, data)
    return _canonical_nested(kind, data, depth)


def _canonical_nested(kind: str, data: Any, depth: int) -> tuple[Value, int]:
    if depth >= _MAX_DEPTH:
        invalid("Nesting Levels have exceeded supported limits")
    size = 3
    if kind == "L":
        members = []
        for element in data:
            member, member_size = canonical(element, depth + 1)
            members.append(member)
            size += member_size + 1
        return {"L": members}, size
    if kind != "M":
        invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
    entries = {}
    for name, element in data.items():
        entries[name], member_size = canonical(element, depth + 1)
        size += utf8(name) + member_size + 1
    return {"M": entries}, size


_SETS = {"SS": "string", "NS": "number", "BS": "binary"}


def _canonical_set(kind: str, data: Iterable[Any]) -> tuple[Value, int]:
    if kind == "SS":
        members: list[Any] = sorted(data)
        size = sum(map(utf8, members))
    elif kind == "NS":
        members = [number_text(value) for value in sorted(map(number, data))]
        size = sum(map(number_size, members))
    else:
        members = sorted(map(binary, data))
        size = sum(map(len, members))
    if not members:
        invalid(f"One or more parameter values were invalid: An {_SETS[kind]} set  may not be empty")
    if any(left == right for left, right in pairwise(members)):
        listed = ", ".join(map(str, data))
        invalid(f"One or more parameter values were invalid: Input collection [{listed}] contains duplicates.")
    return {kind: members}, size


def make_set(kind: str, members: Iterable[Any]) -> Value | None:
    """A canonical set value of the (already canonical) members; None when there are none."""
    ordered = sorted(members, key=Decimal) if kind == "NS" else sorted(members)
    return {kind: ordered} if ordered else None


def canonical_item(item: Mapping[str, Mapping[str, Any]]) -> tuple[Item, int]:
    """The canonical form of an item and its size in bytes (names and values, UTF-8)."""
    result: Item = {}
    size = 0
    for name, value in item.items():
        result[name], value_size = canonical(value)
        size += utf8(name) + value_size
    return result, size


def value_size(value: Value) -> int:
    """The size of a canonical value in bytes."""
    ((kind, data),) = value.items()
    if kind == "S":
        return utf8(data)
    if kind == "N":
        return number_size(data)
    if kind == "B":
        return len(data)
    if kind in ("BOOL", "NULL"):
        return 1
    if kind == "SS":
        return sum(map(utf8, data))
    if kind == "NS":
        return sum(map(number_size, data))
    if kind == "BS":
        return sum(map(len, data))
    if kind == "L":
        return 3 + sum(value_size(member) + 1 for member in data)
    return 3 + sum(utf8(name) + value_size(member) + 1 for name, member in data.items())


def item_size(item: Item) -> int:
    """The size of a canonical item in bytes."""
    return sum(utf8(name) + value_size(value) for name, value in item.items())


def pack(item: Item, size: int) -> Record:
    """A record of a canonical item of known size."""
    return Record(marshal.dumps(item), size)


def calculate(left: str, operator: str, right: str) -> str:
    """The canonical sum or difference of two canonical numbers; refuses a result beyond 38 digits."""
    try:
        a, b = Decimal(left), Decimal(right)
        total = _ARITHMETIC.add(a, b) if operator == "+" else _ARITHMETIC.subtract(a, b)
    except Inexact:
        invalid("Attempting to store more than 38 significant digits in a Number")
    except Overflow:
        invalid("Number overflow. Attempting to store a number with magnitude larger than supported range")
    return number_text(total)


class Schema(NamedTuple):
    """The key attributes of a table or index and their types; `sort` is empty when there is none."""

    partition: str
    partition_type: str
    sort: str = ""
    sort_type: str = "S"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the key attributes."""
        return (self.partition, self.sort) if self.sort else (self.partition,)

    def types(self) -> tuple[tuple[str, str], ...]:
        """Name and type of each key attribute."""
        first = (self.partition, self.partition_type)
        return (first, (self.sort, self.sort_type)) if self.sort else (first,)


def scalar(value: Value) -> Scalar:
    """The comparable form of a canonical S, N or B."""
    ((kind, data),) = value.items()
    result: Scalar = Decimal(data) if kind == "N" else data
    return result


def key_of_item(schema: Schema, item: Item) -> Key:
    """The primary key of a whole item (put); refuses missing, mistyped, empty and over-long keys."""
    for name, kind in schema.types():
        value = item.get(name)
        if value is None:
            invalid(f"One or more parameter values were invalid: Missing the key {name} in the item")
        if kind not in value:
            actual = next(iter(value))
            invalid(
                f"One or more parameter values were invalid: Type mismatch for key {name} "
                f"expected: {kind} actual: {actual}"
            )
    return _checked_key(schema, item)


def key_of_request(schema: Schema, key: Mapping[str, Mapping[str, Any]]) -> tuple[Key, Item]:
    """The primary key in a `Key` parameter and its canonical form; it must be exactly the key schema."""
    canonical_key, _ = canonical_item(key)
    if len(canonical_key) != len(schema.names):
        raise Rejection("ValidationException", "The provided key element does not match the schema")
    for name, kind in schema.types():
        if kind not in canonical_key.get(name, ()):
            invalid("The provided key element does not match the schema")
    return _checked_key(schema, canonical_key), canonical_key


def _checked_key(schema: Schema, item: Item) -> Key:
    partition = scalar(item[schema.partition])
    sort = scalar(item[schema.sort]) if schema.sort else ""
    for name, value in zip(schema.names, (partition, sort), strict=False):
        if value in {"", b""}:
            invalid(
                "One or more parameter values are not valid. The AttributeValue for a key attribute "
                f"cannot contain an empty {'string' if value == '' else 'binary'} value. Key: {name}"
            )
    if key_bytes(partition) > MAX_PARTITION_KEY_BYTES:
        invalid(
            "One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit "
            f"of{MAX_PARTITION_KEY_BYTES} bytes"
        )
    if key_bytes(sort) > MAX_SORT_KEY_BYTES:
        invalid(
            "One or more parameter values were invalid: Aggregated size of all range keys has exceeded "
            f"the size limit of {MAX_SORT_KEY_BYTES} bytes"
        )
    return Key(partition, sort)


def key_bytes(value: Scalar) -> int:
    """The size of a key scalar in bytes."""
    if isinstance(value, str):
        return utf8(value)
    return len(value) if isinstance(value, bytes) else number_size(number_text(value))
