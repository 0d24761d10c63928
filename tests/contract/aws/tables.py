"""The tables that the contract of DynamoDB is tested on."""

from __future__ import annotations

from typing import Any


def _table(name: str, keys: str, attributes: str, *indexes: dict[str, Any]) -> dict[str, Any]:
    kinds = ("HASH", "RANGE")
    table: dict[str, Any] = {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": k, "KeyType": kind} for k, kind in zip(keys.split(), kinds, strict=False)],
        "AttributeDefinitions": [
            {"AttributeName": entry.split(":")[0], "AttributeType": entry.split(":")[1]} for entry in attributes.split()
        ],
    }
    if indexes:
        table["GlobalSecondaryIndexes"] = list(indexes)
    return table


def _index(name: str, keys: str, projection: str, *extra: str) -> dict[str, Any]:
    kinds = ("HASH", "RANGE")
    included = {"NonKeyAttributes": list(extra)} if extra else {}
    return {
        "IndexName": name,
        "KeySchema": [{"AttributeName": k, "KeyType": kind} for k, kind in zip(keys.split(), kinds, strict=False)],
        "Projection": {"ProjectionType": projection, **included},
    }


TABLES = [
    _table(
        "main",
        "pk sk",
        "pk:S sk:S state:S rank:N owner:S kind:S",
        _index("by_state", "state rank", "ALL"),
        _index("by_owner", "owner", "KEYS_ONLY"),
        _index("by_kind", "kind sk", "INCLUDE", "note"),
    ),
    _table("solo", "id", "id:S"),
    _table("numbers", "id at", "id:N at:N"),
    _table("binary", "id part", "id:S part:B"),
]


def create(client: Any) -> None:
    """Create every table."""
    for table in TABLES:
        client.create_table(**table)
