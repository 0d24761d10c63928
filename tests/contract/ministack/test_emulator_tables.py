"""DynamoDB: what the atomic write, the indexes and the streams of this emulator do."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.ministack.lab import WITNESS, Lab

Item = dict[str, dict[str, str]]


def _item(pk: str, sk: str = "-", **more: str) -> Item:
    return {name: {"S": value} for name, value in {"pk": pk, "sk": sk, **more}.items()}


def _put_new(table: str, item: Item) -> dict[str, Any]:
    return {"Put": {"TableName": table, "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}}


def test_a_cancelled_transaction_says_why_and_changes_nothing(lab: Lab) -> None:
    dynamodb, table = lab.client("dynamodb"), lab.table()
    dynamodb.put_item(TableName=table, Item=_item("taken", owner="first"))
    collision = _put_new(table, _item("taken", owner="second"))
    collision["Put"]["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    with pytest.raises(dynamodb.exceptions.TransactionCanceledException) as raised:
        dynamodb.transact_write_items(TransactItems=[_put_new(table, _item("free")), collision])
    reasons = raised.value.response["CancellationReasons"]
    assert [reason["Code"] for reason in reasons] == ["None", "ConditionalCheckFailed"]
    assert reasons[1]["Item"]["owner"] == {"S": "first"}
    assert "Item" not in dynamodb.get_item(TableName=table, Key=_item("free"))


def test_a_failed_condition_returns_the_item_if_asked(lab: Lab) -> None:
    dynamodb, table = lab.client("dynamodb"), lab.table()
    dynamodb.put_item(TableName=table, Item=_item("a", owner="first"))
    with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException) as raised:
        dynamodb.update_item(
            TableName=table,
            Key=_item("a"),
            UpdateExpression="SET #o = :me",
            ConditionExpression="#o = :nobody",
            ExpressionAttributeNames={"#o": "owner"},
            ExpressionAttributeValues={":me": {"S": "me"}, ":nobody": {"S": "nobody"}},
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    assert raised.value.response["Item"]["owner"] == {"S": "first"}


def test_a_request_token_makes_a_transaction_repeatable(lab: Lab) -> None:
    dynamodb, table = lab.client("dynamodb"), lab.table()
    write = {
        "Update": {
            "TableName": table,
            "Key": _item("counter"),
            "UpdateExpression": "ADD n :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        }
    }
    for _ in range(2):
        dynamodb.transact_write_items(TransactItems=[write], ClientRequestToken="same")
    assert dynamodb.get_item(TableName=table, Key=_item("counter"))["Item"]["n"] == {"N": "1"}
    with pytest.raises(ClientError, match="IdempotentParameterMismatch"):
        dynamodb.transact_write_items(TransactItems=[_put_new(table, _item("other"))], ClientRequestToken="same")


def test_conflicting_transactions_never_cancel_each_other(lab: Lab) -> None:
    """AWS answers TransactionConflict to some of these: retries must be proven against the simulation."""
    dynamodb, table = lab.client("dynamodb"), lab.table()

    def add(_: int) -> None:
        update = {
            "TableName": table,
            "Key": _item("hot"),
            "UpdateExpression": "ADD n :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        }
        dynamodb.transact_write_items(TransactItems=[{"Update": update}])

    with ThreadPoolExecutor(8) as writers:
        list(writers.map(add, range(80)))
    assert dynamodb.get_item(TableName=table, Key=_item("hot"))["Item"]["n"] == {"N": "80"}


def test_a_transaction_refuses_one_item_twice_and_more_than_a_hundred(lab: Lab) -> None:
    dynamodb, table = lab.client("dynamodb"), lab.table()
    twice = [_put_new(table, _item("a")), _put_new(table, _item("a"))]
    many = [_put_new(table, _item(f"a{number}")) for number in range(101)]
    for wrong in (twice, many):
        with pytest.raises(ClientError, match="ValidationException"):
            dynamodb.transact_write_items(TransactItems=wrong)


def test_an_index_is_sparse_and_pages(lab: Lab) -> None:
    dynamodb, table = lab.client("dynamodb"), lab.table(index=True)
    dynamodb.put_item(TableName=table, Item=_item("not-indexed"))
    for number in range(5):
        dynamodb.put_item(TableName=table, Item=_item(f"p{number}", g="group", h=f"{number}", other="x"))
    asked: dict[str, Any] = {
        "TableName": table,
        "IndexName": "by-g",
        "KeyConditionExpression": "g = :g AND h >= :h",
        "ExpressionAttributeValues": {":g": {"S": "group"}, ":h": {"S": "1"}},
        "Limit": 3,
    }
    first = dynamodb.query(**asked)
    second = dynamodb.query(**asked, ExclusiveStartKey=first["LastEvaluatedKey"])
    assert [item["h"]["S"] for item in first["Items"] + second["Items"]] == ["1", "2", "3", "4"]
    assert "other" not in first["Items"][0]
    assert "LastEvaluatedKey" not in second


def test_an_item_is_at_most_400_kilobytes(lab: Lab) -> None:
    with pytest.raises(ClientError, match="ValidationException"):
        lab.client("dynamodb").put_item(TableName=lab.table(), Item=_item("a", much="x" * 410_000))


def test_capacity_is_told_when_asked(lab: Lab) -> None:
    told = lab.client("dynamodb").put_item(TableName=lab.table(), Item=_item("a"), ReturnConsumedCapacity="TOTAL")
    assert told["ConsumedCapacity"]["CapacityUnits"] == 1.0


def test_a_stream_reaches_a_function_through_its_filter(lab: Lab) -> None:
    dynamodb, table = lab.client("dynamodb"), lab.table(stream=True)
    witness, _ = lab.queue()
    function = lab.function(WITNESS, environment={"WITNESS": witness})
    stream = dynamodb.describe_table(TableName=table)["Table"]["LatestStreamArn"]
    lab.client("lambda").create_event_source_mapping(
        EventSourceArn=stream,
        FunctionName=function,
        StartingPosition="TRIM_HORIZON",
        BatchSize=10,
        FunctionResponseTypes=["ReportBatchItemFailures"],
        FilterCriteria={"Filters": [{"Pattern": '{"dynamodb": {"Keys": {"pk": {"S": [{"prefix": "WORK#"}]}}}}'}]},
    )
    for pk in ("OTHER#1", "WORK#1"):
        dynamodb.put_item(TableName=table, Item=_item(pk, state="new"))
    dynamodb.delete_item(TableName=table, Key=_item("WORK#1"))
    records: list[dict[str, Any]] = []
    while len(records) < 2:
        records += [record for event in lab.hear(witness) for record in event["Records"]]
    assert [record["eventName"] for record in records] == ["INSERT", "REMOVE"]
    assert records[0]["dynamodb"]["NewImage"]["state"] == {"S": "new"}
    assert records[1]["dynamodb"]["OldImage"]["state"] == {"S": "new"}


def test_an_expired_item_stays_readable_for_a_while(lab: Lab) -> None:
    """The sweep comes once a minute; on AWS it may take days. Readers must look at the time themselves."""
    dynamodb, table = lab.client("dynamodb"), lab.table()
    dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"})
    gone = {**_item("old"), "ttl": {"N": str(int(time.time()) - 3600)}}
    dynamodb.put_item(TableName=table, Item=gone)
    assert dynamodb.get_item(TableName=table, Key=_item("old"))["Item"] == gone
