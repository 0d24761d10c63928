"""The contract of DynamoDB for update expressions and projections."""

from __future__ import annotations

from tests.contract.aws.conftest import Pair
from tests.contract.aws.items import BAD, FAILED, RICH, get, put, step, update
from tests.contract.aws.steps import Scenario, compare, li, m, n, s, scenarios

UPDATES = [
    Scenario(
        "set",
        [
            put(RICH),
            update(
                "SET a = :v, b = title, #c = #c + :one",
                {":v": s("x"), ":one": n("0.5")},
                ExpressionAttributeNames={"#c": "count"},
            ),
            update("SET fresh = if_not_exists(fresh, :zero) + :one", {":zero": n(0), ":one": n(1)}),
            update("SET fresh = if_not_exists(fresh, :zero) + :one", {":zero": n(0), ":one": n(1)}),
            update("SET fresh = fresh - :one", {":one": n("0.1")}),
            update("SET a = if_not_exists(nothing, title)"),
            update("SET a = nothing", raises=BAD),
            update("SET a = title + :one", {":one": n(1)}, raises=BAD),
            update("SET a = :x + :one", {":one": n(1), ":x": s("1")}, raises=BAD),
            update("SET a = b, b = a"),
            get("rich"),
        ],
    ),
    Scenario(
        "nested paths and lists",
        [
            put(RICH),
            update("SET #m.a = :v, #m.b.d = :v", {":v": n(5)}, ExpressionAttributeNames={"#m": "map"}),
            update("SET #l[0] = :v", {":v": n(5)}, ExpressionAttributeNames={"#l": "list"}),
            update("SET #l[9] = :v", {":v": n(6)}, ExpressionAttributeNames={"#l": "list"}),
            update("SET #l[2].deep = :v", {":v": n(7)}, ExpressionAttributeNames={"#l": "list"}),
            update("SET #l = list_append(#l, :v)", {":v": li(s("end"))}, ExpressionAttributeNames={"#l": "list"}),
            update("SET q = list_append(:v, if_not_exists(q, :none))", {":v": li(s("1")), ":none": li()}),
            update("SET q = list_append(:v, q)", {":v": li(s("0"))}),
            update("REMOVE #l[0], #l[1]", ExpressionAttributeNames={"#l": "list"}),
            update("REMOVE #m.b.c, nothing", ExpressionAttributeNames={"#m": "map"}),
            update("SET nothing.a = :v", {":v": n(5)}, raises=BAD),
            update("SET yes.a = :v", {":v": n(5)}, raises=BAD, moto="ignores it"),
            update("SET a = list_append(:v, :v)", {":v": s("0")}, raises=BAD),
            get("rich"),
        ],
    ),
    Scenario(
        "add and delete",
        [
            put(RICH),
            update("ADD #c :v, fresh :v", {":v": n(3)}, ExpressionAttributeNames={"#c": "count"}),
            update("ADD #n :v", {":v": {"SS": ["c", "a"]}}, ExpressionAttributeNames={"#n": "names"}),
            update("ADD nums :v", {":v": {"NS": ["2"]}}),
            update("ADD made :v", {":v": {"SS": ["x"]}}),
            update("DELETE #n :v", {":v": {"SS": ["c", "z"]}}, ExpressionAttributeNames={"#n": "names"}),
            update("DELETE made :v", {":v": {"SS": ["x"]}}),
            update("DELETE nothing :v", {":v": {"SS": ["x"]}}),
            update("ADD id :v", {":v": n(1)}, raises=BAD),
            update("ADD yes :v", {":v": n(1)}, raises=BAD),
            update("ADD fresh :v", {":v": s("1")}, raises=BAD),
            update("DELETE #n :v", {":v": s("a")}, ExpressionAttributeNames={"#n": "names"}, raises=BAD),
            update(
                "DELETE #n :v",
                {":v": {"NS": ["1"]}},
                ExpressionAttributeNames={"#n": "names"},
                raises=BAD,
            ),
            get("rich"),
        ],
    ),
    Scenario(
        "several sections",
        [
            put(RICH),
            update(
                "SET a = :v REMOVE gone ADD fresh :one DELETE #n :d",
                {":v": s("x"), ":one": n(1), ":d": {"SS": ["a"]}},
                ExpressionAttributeNames={"#n": "names"},
            ),
            update("SET a = :v SET b = :v", {":v": s("x")}, raises=BAD),
            update("SET a = :v, a = :v", {":v": s("x")}, raises=BAD),
            update("SET a.b = :v REMOVE a", {":v": s("x")}, raises=BAD),
            update("SET id = :v", {":v": s("x")}, raises=BAD),
            update("REMOVE id", raises=BAD),
            update("SET a", raises=BAD),
            update("SET a = :v +", {":v": n(1)}, raises=BAD),
            update("SET a = :v", {":v": n(1), ":w": n(1)}, raises=BAD),
            update("SET state = :v", {":v": n(1)}, raises=BAD),
            update("MOVE a = :v", {":v": n(1)}, raises=BAD),
            update("SET a = size(id)", raises=BAD),
            get("rich"),
        ],
    ),
    Scenario(
        "update creates",
        [
            update("SET a = :v", {":v": n(1)}, key="new"),
            update("REMOVE a", key="newer"),
            step("update_item", {"moto": "breaks without an expression"}, Key={"id": s("bare")}),
            get("bare", shows={"Item": {"id": s("bare")}}),
            update(
                "SET a = :v",
                {":v": n(1)},
                key="never",
                ConditionExpression="attribute_exists(id)",
                raises=FAILED,
            ),
            get("never"),
        ],
    ),
    Scenario(
        "return values",
        [
            put(RICH),
            update(
                "SET a = :v, #c = :v",
                {":v": n(1)},
                ExpressionAttributeNames={"#c": "count"},
                ReturnValues="UPDATED_OLD",
            ),
            update(
                "SET a = :v, #c = :v",
                {":v": n(2)},
                ExpressionAttributeNames={"#c": "count"},
                ReturnValues="UPDATED_NEW",
            ),
            update(
                "SET #m.a = :v",
                {":v": n(2)},
                ExpressionAttributeNames={"#m": "map"},
                ReturnValues="UPDATED_NEW",
            ),
            update("REMOVE a", ReturnValues="ALL_OLD"),
            update("REMOVE #c", ExpressionAttributeNames={"#c": "count"}, ReturnValues="UPDATED_OLD"),
            update("SET a = :v", {":v": n(2)}, ReturnValues="NONE"),
            update("SET a = :v", {":v": n(2)}, key="other", ReturnValues="ALL_OLD"),
        ],
    ),
    Scenario(
        "projections",
        [
            put(RICH),
            get("rich", ProjectionExpression="id, yes, nothing"),
            get(
                "rich",
                shows={"Item": {"map": m(b=m(c=n(2)), a=s("1")), "list": li(m(deep=s("x")))}},
                moto="cannot project list members by placeholder",
                ProjectionExpression="#m.b.c, #m.a, #l[2].deep",
                ExpressionAttributeNames={"#m": "map", "#l": "list"},
            ),
            get(
                "rich",
                shows={"Item": {"list": li(s("a"), m(deep=s("x")))}},
                moto="cannot project list members by placeholder",
                ProjectionExpression="#l[0], #l[2]",
                ExpressionAttributeNames={"#l": "list"},
            ),
            get("rich", ProjectionExpression="nothing"),
            get(
                "rich",
                ProjectionExpression="#m, #m.a",
                ExpressionAttributeNames={"#m": "map"},
                raises=BAD,
                moto="merges overlapping paths",
            ),
            get("rich", ProjectionExpression="#x", raises=BAD, moto="ignores it"),
            get("rich", ProjectionExpression="id,", raises=BAD, moto="takes a trailing comma"),
            get("rich", ProjectionExpression="state", raises=BAD),
        ],
    ),
]


@scenarios(*UPDATES)
def test_updates(scenario: Scenario, dynamodb: Pair) -> None:
    compare(scenario, *dynamodb)
