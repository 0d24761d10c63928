"""What calls cost, by the published rules of DynamoDB; moto counts a unit per call, so there is no other
side.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.aws import Aws
from tests.aws.items import canonical_item
from tests.contract.aws.steps import li, m, n, s
from tests.contract.aws.tables import create

Json = dict[str, Any]
KB = 1024


@pytest.fixture
def world() -> Aws:
    aws = Aws()
    create(aws.dynamodb)
    return aws


def solo(aws: Aws, key: str, size: int) -> None:
    """Put an item of exactly `size` bytes and forget what it cost."""
    aws.dynamodb.put_item(TableName="solo", Item={"id": s(key), "v": s("x" * (size - 3 - len(key)))})
    aws.dynamodb.meter.reset()


def cost(aws: Aws, operation: str, **params: Any) -> tuple[float, float]:
    """Read and write units of one call."""
    aws.dynamodb.meter.reset()
    getattr(aws.dynamodb, operation)(**params)
    return aws.dynamodb.meter.read, aws.dynamodb.meter.write


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (s("hé"), 3),
        (n("0"), 1),
        (n("123"), 3),
        (n("-12.5"), 4),
        ({"B": b"123"}, 3),
        ({"BOOL": True}, 1),
        ({"NULL": True}, 1),
        ({"SS": ["a", "bc"]}, 3),
        (li(s("a"), n(1)), 3 + 2 + 3),
        (m(ab=s("a")), 3 + 2 + 1 + 1),
    ],
)
def test_sizes(value: Json, size: int) -> None:
    assert canonical_item({"name": value})[1] == 4 + size


@pytest.mark.parametrize(("size", "units"), [(100, 1), (4 * KB, 1), (4 * KB + 1, 2), (9 * KB, 3)])
def test_reads_are_rounded_to_4_kb(world: Aws, size: int, units: int) -> None:
    solo(world, "a", size)
    key = {"TableName": "solo", "Key": {"id": s("a")}}
    assert cost(world, "get_item", **key, ConsistentRead=True) == (units, 0)
    assert cost(world, "get_item", **key) == (units / 2, 0)
    assert cost(world, "get_item", **key, ProjectionExpression="id") == (units / 2, 0)
    assert cost(world, "transact_get_items", TransactItems=[{"Get": key}]) == (units * 2, 0)
    batch = {"solo": {"Keys": [{"id": s("a")}, {"id": s("absent")}]}}
    assert cost(world, "batch_get_item", RequestItems=batch) == (units / 2 + 0.5, 0)


@pytest.mark.parametrize(("size", "units"), [(100, 1), (KB, 1), (KB + 1, 2)])
def test_writes_are_rounded_to_1_kb(world: Aws, size: int, units: int) -> None:
    item = {"id": s("a"), "v": s("x" * (size - 4))}
    assert cost(world, "put_item", TableName="solo", Item=item) == (0, units)
    update = {"UpdateExpression": "REMOVE w", "TableName": "solo", "Key": {"id": s("a")}}
    assert cost(world, "update_item", **update) == (0, units)
    assert cost(world, "put_item", TableName="solo", Item={"id": s("a")}) == (0, units)
    world.dynamodb.put_item(TableName="solo", Item=item)
    assert cost(
        world,
        "transact_write_items",
        TransactItems=[{"Delete": {"TableName": "solo", "Key": {"id": s("a")}}}],
    ) == (
        0,
        units * 2,
    )


def test_refused_writes_cost_too(world: Aws) -> None:
    solo(world, "a", 3 * KB)
    absent = {"TableName": "solo", "Item": {"id": s("a")}, "ConditionExpression": "attribute_not_exists(id)"}
    with pytest.raises(world.dynamodb.exceptions.ConditionalCheckFailedException):
        world.dynamodb.put_item(**absent)
    assert world.dynamodb.meter.write == 3
    with pytest.raises(world.dynamodb.exceptions.TransactionCanceledException):
        world.dynamodb.transact_write_items(TransactItems=[{"Put": absent}])
    assert world.dynamodb.meter.write == 3 + 6
    assert world.dynamodb.meter.calls == {"PutItem": 1, "TransactWriteItems": 1}


def test_a_query_rounds_the_sum_of_what_it_read(world: Aws) -> None:
    for number in range(10):
        item = {"pk": s("p"), "sk": s(str(number)), "v": s("x" * (KB - 8))}
        world.dynamodb.put_item(TableName="main", Item=item)
    query = {
        "TableName": "main",
        "KeyConditionExpression": "pk = :p",
        "ExpressionAttributeValues": {":p": s("p")},
    }
    assert cost(world, "query", **query) == (1.5, 0)
    assert cost(world, "query", **query, ConsistentRead=True) == (3, 0)
    assert cost(world, "query", **query, Limit=3, ConsistentRead=True) == (1, 0)
    assert cost(world, "query", **query, FilterExpression="attribute_exists(absent)") == (1.5, 0)
    assert cost(world, "scan", TableName="main") == (1.5, 0)
    assert cost(world, "query", **{**query, "ExpressionAttributeValues": {":p": s("none")}}) == (0.5, 0)


def test_indexes_cost_what_changes_in_them(world: Aws) -> None:
    key = {"pk": s("p"), "sk": s("k")}

    def change(expression: str, **values: Json) -> tuple[float, float]:
        """Units of the table and of its indexes."""
        world.dynamodb.meter.reset()
        params: Json = {"TableName": "main", "Key": key, "UpdateExpression": expression}
        names = {f"#{name}": name for name in ("state", "rank", "owner") if f"#{name}" in expression}
        if names:
            params["ExpressionAttributeNames"] = names
        if values:
            params["ExpressionAttributeValues"] = {f":{name}": value for name, value in values.items()}
        world.dynamodb.update_item(**params)
        charges = world.dynamodb.meter.charges
        return (
            sum(charge.write for charge in charges if not charge.index),
            sum(charge.write for charge in charges if charge.index),
        )

    assert change("SET note = :n", n=s("x")) == (1, 0)
    assert change("SET #state = :s, #rank = :r", s=s("open"), r=n(1)) == (1, 1)
    assert change("SET note = :n", n=s("y")) == (1, 1)
    assert change("SET note = :n", n=s("y")) == (1, 0)
    assert change("SET #rank = :r", r=n(2)) == (1, 2)
    assert change("SET #owner = :o", o=s("ann")) == (1, 2)
    assert change("SET note = :n", n=s("x" * 1500)) == (2, 2)
    assert change("REMOVE #state") == (2, 2)
    assert change("REMOVE #owner") == (2, 1)


def test_an_index_read_counts_the_projection_only(world: Aws) -> None:
    for number in range(5):
        item = {"pk": s(f"p{number}"), "sk": s("k"), "owner": s("ann"), "big": s("x" * 4000)}
        world.dynamodb.put_item(TableName="main", Item=item)
    about = {
        "TableName": "main",
        "IndexName": "by_owner",
        "KeyConditionExpression": "#o = :a",
        "ExpressionAttributeNames": {"#o": "owner"},
        "ExpressionAttributeValues": {":a": s("ann")},
    }
    assert cost(world, "query", **about) == (0.5, 0)


def test_consumed_capacity_is_shown_on_request(world: Aws) -> None:
    item = {"pk": s("p"), "sk": s("k"), "owner": s("ann")}
    answer = world.dynamodb.put_item(TableName="main", Item=item, ReturnConsumedCapacity="INDEXES")
    assert answer["ConsumedCapacity"] == {
        "TableName": "main",
        "CapacityUnits": 2,
        "Table": {"CapacityUnits": 1},
        "GlobalSecondaryIndexes": {"by_owner": {"CapacityUnits": 1}},
    }
    answer = world.dynamodb.get_item(TableName="solo", Key={"id": s("a")}, ReturnConsumedCapacity="TOTAL")
    assert answer["ConsumedCapacity"] == {"TableName": "solo", "CapacityUnits": 0.5}
    answer = world.dynamodb.transact_write_items(
        TransactItems=[{"Put": {"TableName": "solo", "Item": {"id": s("a")}}}], ReturnConsumedCapacity="TOTAL"
    )
    assert answer["ConsumedCapacity"] == [{"TableName": "solo", "CapacityUnits": 2}]


def test_prices(world: Aws) -> None:
    world.dynamodb.meter.read, world.dynamodb.meter.write = 1_000_000, 2_000_000
    assert world.dynamodb.meter.dollars() == pytest.approx(0.125 + 1.25)
