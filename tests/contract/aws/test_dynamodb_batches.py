"""The contract of DynamoDB for batches, transactions and tables."""

from __future__ import annotations

from typing import Any

from tests.contract.aws.conftest import Pair
from tests.contract.aws.steps import Scenario, Step, compare, n, s, scenarios
from tests.contract.aws.tables import TABLES

Json = dict[str, Any]
BAD = "ValidationException"
CANCELED = "TransactionCanceledException"


def put(key: str, value: int, **more: Any) -> Json:
    return {"Put": {"TableName": "solo", "Item": {"id": s(key), "v": n(value)}, **more}}


def update(key: str, expression: str, values: Json, **more: Any) -> Json:
    about = {"UpdateExpression": expression, "ExpressionAttributeValues": values}
    return {"Update": {"TableName": "solo", "Key": {"id": s(key)}, **about, **more}}


def check(key: str, condition: str, **more: Any) -> Json:
    about = {"TableName": "solo", "Key": {"id": s(key)}, "ConditionExpression": condition}
    return {"ConditionCheck": {**about, **more}}


def transact(*entries: Json, **about: Any) -> Step:
    more = {name: about.pop(name) for name in ("ClientRequestToken",) if name in about}
    return Step("transact_write_items", {"TransactItems": list(entries), **more}, **about)


def get(key: str, **about: Any) -> Step:
    return Step("get_item", {"TableName": "solo", "Key": {"id": s(key)}}, **about)


ABSENT = "attribute_not_exists(id)"
PRESENT = "attribute_exists(id)"

TRANSACTIONS = [
    Scenario(
        "all or nothing",
        [
            transact(put("a", 1), put("b", 1, ConditionExpression=ABSENT)),
            get("a"),
            transact(put("c", 1), put("b", 2, ConditionExpression=ABSENT), raises=CANCELED),
            get("c"),
            get("b"),
            transact(
                put("c", 1),
                update("b", "SET v = v + :one", {":one": n(1)}, ConditionExpression=PRESENT),
                {"Delete": {"TableName": "solo", "Key": {"id": s("a")}, "ConditionExpression": PRESENT}},
                check("nobody", ABSENT),
            ),
            get("a"),
            get("b"),
            get("c"),
        ],
    ),
    Scenario(
        "reasons in order",
        [
            transact(put("a", 1)),
            transact(
                put("x", 1),
                check("a", "v = :v", ExpressionAttributeValues={":v": n(2)}),
                update("a2", "SET v = :v", {":v": n(1)}, ConditionExpression=PRESENT),
                raises=CANCELED,
            ),
            transact(
                put("x", 1),
                put("a", 2, ConditionExpression=ABSENT, ReturnValuesOnConditionCheckFailure="ALL_OLD"),
                raises=CANCELED,
            ),
            transact(
                check("nobody", PRESENT, ReturnValuesOnConditionCheckFailure="ALL_OLD"),
                put("x", 1),
                raises=CANCELED,
            ),
            get("x"),
        ],
    ),
    Scenario(
        "updates that cannot be made are reasons too",
        [
            transact(put("a", 1)),
            transact(
                put("b", 1),
                update("a", "SET v = absent + :one", {":one": n(1)}),
                raises=CANCELED,
                moto="raises ValidationException for the whole request",
            ),
            get("b"),
        ],
    ),
    Scenario(
        "refused transactions",
        [
            transact(put("a", 1), put("a", 2), raises=BAD),
            transact(put("a", 1), update("a", "SET v = :v", {":v": n(1)}), raises=BAD),
            transact(*[put(f"k{number}", 1) for number in range(101)], raises=BAD),
            transact(raises="ParamValidationError"),
            transact({**put("a", 1), **check("b", PRESENT)}, raises=BAD),
            transact(put("a", 1, ConditionExpression="v = :v"), raises=BAD, moto="breaks"),
            transact(update("a", "SET id = :v", {":v": n(1)}), raises=CANCELED, moto="raises ValidationException"),
            transact({"Put": {"TableName": "none", "Item": {"id": s("a")}}}, raises="ResourceNotFoundException"),
            get("a"),
        ],
    ),
    Scenario(
        "a hundred items",
        [
            transact(*[put(f"k{number}", number) for number in range(100)]),
            get("k99"),
        ],
    ),
    Scenario(
        "request tokens",
        [
            transact(update("a", "ADD v :v", {":v": n(1)}), ClientRequestToken="token"),
            transact(update("a", "ADD v :v", {":v": n(1)}), ClientRequestToken="token"),
            get("a", shows={"Item": {"id": s("a"), "v": n(1)}}, moto="ignores the token"),
            transact(
                update("a", "ADD v :v", {":v": n(2)}),
                ClientRequestToken="token",
                raises="IdempotentParameterMismatchException",
                moto="ignores the token",
            ),
        ],
    ),
]


@scenarios(*TRANSACTIONS)
def test_transactions(scenario: Scenario, dynamodb: Pair) -> None:
    compare(scenario, *dynamodb)


READS = Scenario(
    "transactional reads",
    [
        transact(put("a", 1), put("b", 2)),
        Step(
            "transact_get_items",
            {
                "TransactItems": [
                    {"Get": {"TableName": "solo", "Key": {"id": s("b")}}},
                    {"Get": {"TableName": "solo", "Key": {"id": s("nobody")}}},
                    {"Get": {"TableName": "solo", "Key": {"id": s("a")}, "ProjectionExpression": "v"}},
                ]
            },
            shows={"Responses": [{"Item": {"id": s("b"), "v": n(2)}}, {}, {"Item": {"v": n(1)}}]},
            moto="ignores projections",
        ),
        Step(
            "transact_get_items",
            {"TransactItems": [{"Get": {"TableName": "none", "Key": {"id": s("b")}}}]},
            raises="ResourceNotFoundException",
        ),
    ],
)


def write(*entries: Json, **about: Any) -> Step:
    return Step("batch_write_item", {"RequestItems": {"solo": list(entries)}}, **about)


def putting(key: str, value: int) -> Json:
    return {"PutRequest": {"Item": {"id": s(key), "v": n(value)}}}


def deleting(key: str) -> Json:
    return {"DeleteRequest": {"Key": {"id": s(key)}}}


def read(*keys: str, **about: Any) -> Step:
    return Step("batch_get_item", {"RequestItems": {"solo": {"Keys": [{"id": s(key)} for key in keys]}}}, **about)


BATCHES = Scenario(
    "batches",
    [
        write(putting("a", 1), putting("b", 2), deleting("nobody")),
        write(putting("c", 3), deleting("a")),
        read("a", "b", "c"),
        Step(
            "batch_get_item",
            {
                "RequestItems": {
                    "solo": {
                        "Keys": [{"id": s("b")}],
                        "ProjectionExpression": "#v",
                        "ExpressionAttributeNames": {"#v": "v"},
                        "ConsistentRead": True,
                    }
                }
            },
        ),
        write(putting("a", 1), deleting("a"), raises=BAD, moto="does not look for duplicates"),
        write(*[putting(f"k{number}", 1) for number in range(26)], raises=BAD, moto="takes more than 25"),
        write({}, raises=BAD, moto="ignores it"),
        write(raises="ParamValidationError"),
        read("b", "b", raises=BAD),
        read(*[f"k{number}" for number in range(101)], raises=BAD),
        Step(
            "batch_write_item",
            {"RequestItems": {"none": [putting("a", 1)]}},
            raises="ResourceNotFoundException",
        ),
        Step(
            "batch_get_item",
            {"RequestItems": {"none": {"Keys": [{"id": s("a")}]}}},
            raises="ResourceNotFoundException",
        ),
    ],
)

MANAGING = Scenario(
    "tables",
    [
        Step("create_table", TABLES[1], raises="ResourceInUseException"),
        Step("describe_table", {"TableName": "none"}, raises="ResourceNotFoundException"),
        Step(
            "create_table",
            {
                **TABLES[1],
                "TableName": "unused",
                "AttributeDefinitions": [
                    {"AttributeName": "id", "AttributeType": "S"},
                    {"AttributeName": "other", "AttributeType": "S"},
                ],
            },
            raises=BAD,
        ),
        Step(
            "create_table",
            {
                **TABLES[1],
                "TableName": "undefined",
                "AttributeDefinitions": [{"AttributeName": "other", "AttributeType": "S"}],
            },
            raises=BAD,
        ),
    ],
)


@scenarios(READS, BATCHES, MANAGING)
def test_batches_and_tables(scenario: Scenario, dynamodb: Pair) -> None:
    compare(scenario, *dynamodb)


def test_descriptions_agree(dynamodb: Pair) -> None:
    for table in TABLES:
        shown = []
        for client in dynamodb[:2]:
            described = client.describe_table(TableName=table["TableName"])["Table"]
            indexes = described.get("GlobalSecondaryIndexes", [])
            shown.append(
                (
                    described["TableStatus"],
                    described["KeySchema"],
                    sorted(described["AttributeDefinitions"], key=str),
                    [
                        (index["IndexName"], index["KeySchema"], index["Projection"]["ProjectionType"])
                        for index in indexes
                    ],
                )
            )
        assert shown[0] == shown[1]
