"""The contract of DynamoDB for single items: writes, conditions, refusals."""

from __future__ import annotations

from tests.contract.aws.conftest import Pair
from tests.contract.aws.items import BAD, FAILED, RICH, fails, get, holds, put, refused, step, update
from tests.contract.aws.steps import Scenario, Step, compare, li, m, n, s, scenarios

PUTTING = [
    Scenario("put and get every type", [put(RICH), get("rich", ConsistentRead=True), get("nobody")]),
    Scenario(
        "put returns the old item",
        [
            put({"id": s("a"), "v": n(1)}, ReturnValues="ALL_OLD"),
            put({"id": s("a"), "v": n(2)}, ReturnValues="ALL_OLD"),
            put({"id": s("a")}, ReturnValues="ALL_NEW", raises=BAD),
            get("a"),
        ],
    ),
    Scenario(
        "put on condition of absence",
        [
            put({"id": s("a"), "v": n(1)}, ConditionExpression="attribute_not_exists(id)"),
            put({"id": s("a"), "v": n(2)}, ConditionExpression="attribute_not_exists(id)", raises=FAILED),
            put(
                {"id": s("a"), "v": n(3)},
                ConditionExpression="attribute_not_exists(id)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                raises=FAILED,
            ),
            get("a"),
        ],
    ),
    Scenario(
        "delete",
        [
            put({"id": s("a"), "v": n(1)}),
            step(
                "delete_item",
                {"raises": FAILED},
                Key={"id": s("a")},
                ConditionExpression="v = :two",
                ExpressionAttributeValues={":two": n(2)},
            ),
            step("delete_item", {}, Key={"id": s("a")}, ReturnValues="ALL_OLD"),
            step("delete_item", {}, Key={"id": s("a")}, ReturnValues="ALL_OLD"),
            step(
                "delete_item",
                {"raises": FAILED},
                Key={"id": s("a")},
                ConditionExpression="attribute_exists(id)",
            ),
            get("a"),
        ],
    ),
    Scenario(
        "numbers are canonical",
        [
            put({"id": s("a"), "v": li(n("1.50"), n("007"), n("-0"), n("1E3"), n("0.000"), n("-2.10"))}),
            get(
                "a",
                shows={"Item": {"id": s("a"), "v": li(n("1.5"), n(7), n(0), n(1000), n(0), n("-2.1"))}},
                moto="keeps the text of numbers",
            ),
            put({"id": s("a"), "v": n("many")}, raises=BAD),
            put({"id": s("a"), "v": n("1" * 39)}, raises=BAD, moto="knows no precision"),
            put({"id": s("a"), "v": n("1E126")}, raises=BAD, moto="knows no range"),
        ],
    ),
    Scenario(
        "keys",
        [
            put({"v": n(1)}, raises=BAD),
            put({"id": n(1)}, raises=BAD),
            put({"id": s("")}, raises=BAD),
            put({"id": s("x" * 2049)}, raises=BAD),
            put({"id": s("x" * 2048)}),
            Step("get_item", {"TableName": "solo", "Key": {"id": n(1)}}, raises=BAD, moto="does not check it"),
            Step("get_item", {"TableName": "solo", "Key": {"id": s("a"), "more": s("b")}}, raises=BAD),
            Step("get_item", {"TableName": "main", "Key": {"pk": s("a")}}, raises=BAD),
            Step("get_item", {"TableName": "solo", "Key": {"id": s("")}}, raises=BAD),
            Step(
                "put_item",
                {"TableName": "main", "Item": {"pk": s("a"), "sk": s("x" * 1025)}},
                raises=BAD,
            ),
            Step("put_item", {"TableName": "numbers", "Item": {"id": n(1), "at": s("2")}}, raises=BAD),
            Step("put_item", {"TableName": "nowhere", "Item": {"id": n(1)}}, raises="ResourceNotFoundException"),
            Step(
                "get_item",
                {"TableName": "nowhere", "Key": {"id": s("1")}},
                raises="ResourceNotFoundException",
            ),
        ],
    ),
    Scenario(
        "values of index keys",
        [
            Step(
                "put_item",
                {"TableName": "main", "Item": {"pk": s("a"), "sk": s("1"), "state": n(1)}},
                raises=BAD,
                moto="does not check the types of index keys",
            ),
            Step(
                "put_item",
                {"TableName": "main", "Item": {"pk": s("a"), "sk": s("1"), "state": s("")}},
                raises=BAD,
            ),
            Step(
                "update_item",
                {
                    "TableName": "main",
                    "Key": {"pk": s("a"), "sk": s("1")},
                    "UpdateExpression": "SET #s = :s",
                    "ExpressionAttributeNames": {"#s": "state"},
                    "ExpressionAttributeValues": {":s": s("")},
                },
                raises=BAD,
                moto="checks index keys in puts only",
            ),
        ],
    ),
    Scenario(
        "malformed values",
        [
            put({"id": s("a"), "v": {"SS": []}}, raises=BAD),
            put({"id": s("a"), "v": {"SS": ["x", "x"]}}, raises=BAD, moto="takes duplicates"),
            put({"id": s("a"), "v": {"NS": ["1", "1.0"]}}, raises=BAD, moto="compares numbers as text"),
            put({"id": s("a"), "v": {"NULL": False}}, raises=BAD),
            put({"id": s("a"), "v": {}}, raises=BAD, moto="breaks on an empty value"),
            put({"id": s("a"), "v": {"S": "a", "N": "1"}}, raises=BAD, moto="takes the first type"),
            put({"id": s("a"), "v": {"S": 5}}, raises="ParamValidationError"),
        ],
    ),
    Scenario(
        "item size",
        [
            put({"id": s("a"), "v": s("x" * (400 * 1024 - 4))}, moto="draws the line at 405,000 bytes"),
            put({"id": s("a"), "v": s("x" * (400 * 1024 - 3))}, raises=BAD),
            update(
                "SET w = :w",
                {":w": s("x")},
                key="a",
                raises=BAD,
                moto="does not check updates",
                ReturnValues="NONE",
            ),
        ],
    ),
]


@scenarios(*PUTTING)
def test_writes(scenario: Scenario, dynamodb: Pair) -> None:
    compare(scenario, *dynamodb)


CONDITIONS = [
    Scenario(
        "existence and type",
        [
            put(RICH),
            holds("attribute_exists(title)"),
            holds("attribute_exists(#map.b.c)".replace("#map", "#m"), ExpressionAttributeNames={"#m": "map"}),
            fails("attribute_exists(nothing)"),
            fails("attribute_not_exists(title)"),
            holds("attribute_not_exists(#l[3])", ExpressionAttributeNames={"#l": "list"}),
            holds("attribute_exists(#l[2].deep)", ExpressionAttributeNames={"#l": "list"}),
            holds("attribute_type(yes, :t)", {":t": s("BOOL")}),
            fails("attribute_type(title, :t)", {":t": s("N")}),
            refused("attribute_type(title, :t)", {":t": s("title")}, moto="takes any type name"),
        ],
    ),
    Scenario(
        "comparisons",
        [
            put(RICH),
            holds("#c = :v", {":v": n("10.0")}, ExpressionAttributeNames={"#c": "count"}),
            holds("#c > :v AND #c < :w", {":v": n(9), ":w": n(11)}, ExpressionAttributeNames={"#c": "count"}),
            holds("#c <> :v", {":v": s("10")}, ExpressionAttributeNames={"#c": "count"}),
            holds("#c >= :v AND #c <= :v", {":v": n(10)}, ExpressionAttributeNames={"#c": "count"}),
            holds("nothing <> :v", {":v": n(1)}),
            fails("nothing = :v", {":v": n(1)}),
            fails("nothing < :v", {":v": n(1)}),
            holds("#t > :v", {":v": s("hz")}, ExpressionAttributeNames={"#t": "title"}),
            holds("#n = :v", {":v": {"SS": ["a", "b"]}}, ExpressionAttributeNames={"#n": "names"}),
            holds("#m.b = :v", {":v": m(c=n(2))}, ExpressionAttributeNames={"#m": "map"}),
            holds("yes = :v", {":v": {"BOOL": True}}),
            fails("yes = :v", {":v": {"BOOL": False}}),
            refused("yes < :v", {":v": {"BOOL": True}}, moto="orders anything"),
        ],
    ),
    Scenario(
        "functions and ranges",
        [
            put(RICH),
            holds("begins_with(#t, :v)", {":v": s("hä")}, ExpressionAttributeNames={"#t": "title"}),
            fails("begins_with(#t, :v)", {":v": s("ä")}, ExpressionAttributeNames={"#t": "title"}),
            refused("begins_with(#t, :v)", {":v": n(1)}, ExpressionAttributeNames={"#t": "title"}, moto="takes it"),
            holds("contains(#t, :v)", {":v": s("llo")}, ExpressionAttributeNames={"#t": "title"}),
            holds("contains(#n, :v)", {":v": s("a")}, ExpressionAttributeNames={"#n": "names"}),
            fails("contains(#n, :v)", {":v": s("z")}, ExpressionAttributeNames={"#n": "names"}),
            holds("contains(nums, :v)", {":v": n(3)}),
            holds("contains(#l, :v)", {":v": n(1)}, ExpressionAttributeNames={"#l": "list"}),
            holds("size(#l) = :v", {":v": n(3)}, ExpressionAttributeNames={"#l": "list"}),
            holds("size(#n) > :v", {":v": n(1)}, ExpressionAttributeNames={"#n": "names"}),
            holds("size(packed) = :v", {":v": n(2)}),
            holds("#c BETWEEN :a AND :b", {":a": n(10), ":b": n(20)}, ExpressionAttributeNames={"#c": "count"}),
            fails("#c BETWEEN :a AND :b", {":a": n(11), ":b": n(20)}, ExpressionAttributeNames={"#c": "count"}),
            refused(
                "#c BETWEEN :a AND :b",
                {":a": n(20), ":b": n(10)},
                ExpressionAttributeNames={"#c": "count"},
                moto="does not look at the bounds",
            ),
            holds("#c IN (:a, :b)", {":a": n(1), ":b": n(10)}, ExpressionAttributeNames={"#c": "count"}),
            fails("#c IN (:a)", {":a": n(1)}, ExpressionAttributeNames={"#c": "count"}),
        ],
    ),
    Scenario(
        "logic and precedence",
        [
            put(RICH),
            holds("NOT attribute_exists(nothing)"),
            holds("attribute_exists(title) OR attribute_exists(nothing) AND attribute_exists(nothing)"),
            fails("(attribute_exists(title) OR attribute_exists(nothing)) AND attribute_exists(nothing)"),
            fails("NOT (attribute_exists(title) OR attribute_exists(nothing))"),
            holds("not attribute_exists(nothing) and attribute_exists(id)"),
            refused("((attribute_exists(title)))"),
        ],
    ),
    Scenario(
        "refused expressions",
        [
            put(RICH),
            refused("attribute_exists(", moto="breaks"),
            refused("unknown(title)"),
            refused("title", moto="breaks"),
            refused("id = :missing", moto="breaks"),
            refused("#missing = :seen", moto="breaks"),
            refused("attribute_exists(id)", {":unused": n(1)}),
            refused("attribute_exists(id)", ExpressionAttributeNames={"#unused": "x"}),
            refused("state = :seen"),
            refused("id == :seen", moto="breaks"),
            refused("", moto="takes an empty condition"),
            put({"id": s("a")}, ExpressionAttributeValues={":v": n(1)}, raises=BAD, moto="does not look"),
            put(
                {"id": s("a")},
                ConditionExpression="attribute_exists(id)",
                ExpressionAttributeValues={},
                raises=BAD,
            ),
        ],
    ),
]


@scenarios(*CONDITIONS)
def test_conditions(scenario: Scenario, dynamodb: Pair) -> None:
    compare(scenario, *dynamodb)
