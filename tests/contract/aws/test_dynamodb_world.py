"""What the in-memory DynamoDB has beyond moto: lag, seeding, large pages, tokens in virtual time, repair of
batches.
"""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ParamValidationError

from tests.aws import Aws
from tests.contract.aws.steps import li, n, s
from tests.contract.aws.tables import create

Json = dict[str, Any]


@pytest.fixture
def world() -> Aws:
    aws = Aws()
    create(aws.dynamodb)
    return aws


def state(aws: Aws, key: str, value: str, rank: int = 1) -> None:
    item = {"pk": s(key), "sk": s("k"), "state": s(value), "rank": n(rank)}
    aws.dynamodb.put_item(TableName="main", Item=item)


def listed(aws: Aws, value: str) -> list[str]:
    """Keys in the index, with the rank that it shows."""
    answer = aws.dynamodb.query(
        TableName="main",
        IndexName="by_state",
        KeyConditionExpression="#s = :s",
        ExpressionAttributeNames={"#s": "state"},
        ExpressionAttributeValues={":s": s(value)},
    )
    return [f"{item['pk']['S']}{item['rank']['N']}" for item in answer["Items"]]


def test_an_index_lags_until_it_settles(world: Aws) -> None:
    state(world, "a", "open")
    world.dynamodb.lag_indexes("main")
    state(world, "a", "done", 2)
    state(world, "a", "done", 3)
    state(world, "b", "open")
    assert (listed(world, "open"), listed(world, "done")) == (["a1"], [])
    stored = world.dynamodb.get_item(TableName="main", Key={"pk": s("a"), "sk": s("k")})["Item"]
    assert stored["state"] == s("done")
    world.dynamodb.settle("main", keep_lagging=True)
    assert (listed(world, "open"), listed(world, "done")) == (["b1"], ["a3"])
    world.dynamodb.delete_item(TableName="main", Key={"pk": s("b"), "sk": s("k")})
    assert listed(world, "open") == ["b1"]
    world.dynamodb.settle("main")
    assert listed(world, "open") == []
    state(world, "c", "open")
    assert listed(world, "open") == ["c1"]


def test_an_index_lags_by_writes(world: Aws) -> None:
    world.dynamodb.lag_indexes("main", writes=2)
    state(world, "a", "open")
    assert listed(world, "open") == []
    state(world, "b", "open")
    assert listed(world, "open") == []
    state(world, "a", "open", 9)
    assert listed(world, "open") == ["a1"]


def test_an_index_lags_by_seconds(world: Aws) -> None:
    world.dynamodb.lag_indexes("main", seconds=0.5)
    state(world, "a", "open")
    world.clock.advance(0.4)
    assert listed(world, "open") == []
    world.clock.advance(0.1)
    assert listed(world, "open") == ["a1"]


def test_seeding_equals_putting() -> None:
    items = [
        {
            "pk": s(f"p{number % 7}"),
            "sk": s(f"{number * 37 % 100}"),
            "state": s("open"),
            "rank": n(f"{number % 5}.0"),
        }
        for number in range(100)
    ]
    worlds = [Aws(), Aws()]
    for world in worlds:
        create(world.dynamodb)
    assert worlds[0].dynamodb.seed("main", items) == 100
    for item in items:
        worlds[1].dynamodb.put_item(TableName="main", Item=item)
    assert worlds[0].dynamodb.dump("main") == worlds[1].dynamodb.dump("main")
    assert listed(worlds[0], "open") == listed(worlds[1], "open")
    assert len(listed(worlds[0], "open")) == 100
    assert worlds[0].dynamodb.seed("main", items[:5]) == 0
    assert worlds[0].dynamodb.count("main") == 100
    assert worlds[0].dynamodb.meter.write == 0


def test_seeding_and_writing_mix(world: Aws) -> None:
    world.dynamodb.seed("main", [{"pk": s("p"), "sk": s(key)} for key in "dbf"])
    world.dynamodb.put_item(TableName="main", Item={"pk": s("p"), "sk": s("c")})
    world.dynamodb.scan(TableName="main")
    world.dynamodb.seed("main", [{"pk": s("p"), "sk": s("a")}, {"pk": s("q"), "sk": s("a")}])
    answer = world.dynamodb.query(
        TableName="main", KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": s("p")}
    )
    assert [item["sk"]["S"] for item in answer["Items"]] == ["a", "b", "c", "d", "f"]
    assert world.dynamodb.scan(TableName="main")["Count"] == 6


def test_answers_are_copies(world: Aws) -> None:
    sent = {"id": s("a"), "v": li(n(1))}
    world.dynamodb.put_item(TableName="solo", Item=sent)
    sent["v"]["L"].append(n(2))
    world.dynamodb.get_item(TableName="solo", Key={"id": s("a")})["Item"]["v"]["L"].clear()
    assert world.dynamodb.dump("solo") == [{"id": s("a"), "v": li(n(1))}]


def test_a_page_holds_a_megabyte(world: Aws) -> None:
    for number in range(5):
        item = {"pk": s("p"), "sk": s(str(number)), "v": s("x" * 300_000)}
        world.dynamodb.put_item(TableName="main", Item=item)
    query = {
        "TableName": "main",
        "KeyConditionExpression": "pk = :p",
        "ExpressionAttributeValues": {":p": s("p")},
    }
    pages = [answer["Count"] for answer in world.dynamodb.get_paginator("query").paginate(**query)]
    assert pages == [4, 1]
    counted = [a["Count"] for a in world.dynamodb.get_paginator("query").paginate(**query, Select="COUNT")]
    assert counted == [4, 1]


def add(aws: Aws, token: str | None, amount: int = 1) -> None:
    update = {
        "TableName": "solo",
        "Key": {"id": s("a")},
        "UpdateExpression": "ADD v :v",
        "ExpressionAttributeValues": {":v": n(amount)},
    }
    more: Json = {} if token is None else {"ClientRequestToken": token}
    aws.dynamodb.transact_write_items(TransactItems=[{"Update": update}], **more)


def total(aws: Aws) -> str:
    return str(aws.dynamodb.get_item(TableName="solo", Key={"id": s("a")})["Item"]["v"]["N"])


def test_a_request_token_lasts_ten_minutes(world: Aws) -> None:
    add(world, "t")
    world.clock.advance(599)
    add(world, "t")
    assert total(world) == "1"
    with pytest.raises(world.dynamodb.exceptions.IdempotentParameterMismatchException):
        add(world, "t", 2)
    world.clock.advance(1)
    add(world, "t", 5)
    assert total(world) == "6"


def test_without_a_token_each_transaction_counts(world: Aws) -> None:
    add(world, None)
    add(world, None)
    assert total(world) == "2"


def test_a_failed_transaction_does_not_use_up_its_token(world: Aws) -> None:
    put = {"TableName": "solo", "Item": {"id": s("b")}, "ConditionExpression": "attribute_not_exists(id)"}
    world.dynamodb.put_item(**put)
    with pytest.raises(world.dynamodb.exceptions.TransactionCanceledException):
        world.dynamodb.transact_write_items(TransactItems=[{"Put": put}], ClientRequestToken="t")
    world.dynamodb.delete_item(TableName="solo", Key={"id": s("b")})
    world.dynamodb.transact_write_items(TransactItems=[{"Put": put}], ClientRequestToken="t")
    assert world.dynamodb.count("solo") == 1


def test_an_oversized_item_cancels_its_transaction(world: Aws) -> None:
    with pytest.raises(world.dynamodb.exceptions.TransactionCanceledException) as caught:
        world.dynamodb.transact_write_items(
            TransactItems=[
                {"Put": {"TableName": "solo", "Item": {"id": s("small")}}},
                {"Put": {"TableName": "solo", "Item": {"id": s("big"), "v": s("x" * 500_000)}}},
            ]
        )
    reasons = caught.value.response["CancellationReasons"]
    assert [reason["Code"] for reason in reasons] == ["None", "ValidationError"]
    assert world.dynamodb.count("solo") == 0


def test_a_transaction_holds_four_megabytes(world: Aws) -> None:
    puts = [
        {"Put": {"TableName": "solo", "Item": {"id": s(str(number)), "v": s("x" * 399_000)}}} for number in range(11)
    ]
    with pytest.raises(world.dynamodb.exceptions.ClientError, match="4 MB"):
        world.dynamodb.transact_write_items(TransactItems=puts)
    world.dynamodb.transact_write_items(TransactItems=puts[:10])
    assert world.dynamodb.count("solo") == 10


def test_batches_can_come_back_unprocessed(world: Aws) -> None:
    world.dynamodb.unprocessed_every = 3
    pending: Json = {"solo": [{"PutRequest": {"Item": {"id": s(str(number))}}} for number in range(7)]}
    calls = 0
    while pending:
        pending = world.dynamodb.batch_write_item(RequestItems=pending)["UnprocessedItems"]
        calls += 1
    assert (calls, world.dynamodb.count("solo")) == (3, 7)
    keys: Json = {"solo": {"Keys": [{"id": s(str(number))} for number in range(7)], "ConsistentRead": True}}
    answer = world.dynamodb.batch_get_item(RequestItems=keys)
    left = answer["UnprocessedKeys"]["solo"]
    assert len(answer["Responses"]["solo"]) + len(left["Keys"]) == 7
    assert left["ConsistentRead"] is True


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"UpdateExpression": "SET v = absent"}, "refers to an attribute that does not exist"),
        ({"UpdateExpression": "SET id = id"}, "part of the key"),
        ({"UpdateExpression": "SET v = :x"}, "not defined; attribute value: :x"),
        ({"UpdateExpression": "SET size = id"}, "reserved keyword; reserved keyword: size"),
        ({"UpdateExpression": "SET v = id, v = id"}, "overlap"),
        (
            {"UpdateExpression": "SET v = :a", "ExpressionAttributeValues": {":a": n(1), ":b": n(1)}},
            r"unused in expressions: keys: \{:b\}",
        ),
        ({"UpdateExpression": "SET v ; id"}, "Syntax error"),
        (
            {
                "UpdateExpression": "SET v = :a - :b",
                "ExpressionAttributeValues": {":a": n("1E60"), ":b": n(1)},
            },
            "38 significant digits",
        ),
    ],
)
def test_messages_of_refusals(world: Aws, change: Json, message: str) -> None:
    with pytest.raises(world.dynamodb.exceptions.ValidationException, match=message):
        world.dynamodb.update_item(TableName="solo", Key={"id": s("a")}, **change)
    assert world.dynamodb.count("solo") == 0


def test_parameters_are_checked_as_botocore_does(world: Aws) -> None:
    with pytest.raises(ParamValidationError, match="Unknown parameter"):
        world.dynamodb.get_item(TableName="solo", Key={"id": s("a")}, Consistent=True)
    with pytest.raises(ParamValidationError, match="Missing required parameter"):
        world.dynamodb.put_item(TableName="solo")
