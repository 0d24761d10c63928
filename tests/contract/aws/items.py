"""Steps on the table `solo`: one item of every type, and short ways to write calls about it."""

from __future__ import annotations

from typing import Any

from tests.contract.aws.steps import Step, li, m, n, s

Json = dict[str, Any]
BAD = "ValidationException"
FAILED = "ConditionalCheckFailedException"

RICH: Json = {
    "id": s("rich"),
    "title": s("hällo"),
    "count": n("10"),
    "packed": {"B": b"\x00\x01"},
    "yes": {"BOOL": True},
    "gone": {"NULL": True},
    "list": li(s("a"), n("1"), m(deep=s("x"))),
    "map": m(a=s("1"), b=m(c=n("2")), items=li(s("p"), s("q"))),
    "names": {"SS": ["b", "a"]},
    "nums": {"NS": ["3", "1"]},
    "blobs": {"BS": [b"2", b"1"]},
    "empty": s(""),
}


def put(item: Json, **more: Any) -> Step:
    return step("put_item", more, Item=item)


def get(key: str, **more: Any) -> Step:
    return step("get_item", more, Key={"id": s(key)})


def update(expression: str, values: Json | None = None, key: str = "rich", **more: Any) -> Step:
    params: Json = {"Key": {"id": s(key)}, "UpdateExpression": expression}
    if values is not None:
        params["ExpressionAttributeValues"] = values
    return step("update_item", {"ReturnValues": "ALL_NEW", **more}, **params)


def step(operation: str, more: Json, **params: Any) -> Step:
    about = {name: more.pop(name) for name in ("raises", "shows", "moto") if name in more}
    return Step(operation, {"TableName": "solo", **params, **more}, **about)


def conditional(condition: str, values: Json | None = None, **more: Any) -> Step:
    """A write that goes ahead when the condition holds for the rich item."""
    params: Json = {
        "Key": {"id": s("rich")},
        "UpdateExpression": "SET seen = :seen",
        "ConditionExpression": condition,
    }
    params["ExpressionAttributeValues"] = {":seen": s("y"), **(values or {})}
    return step("update_item", more, **params)


def holds(condition: str, values: Json | None = None, **more: Any) -> Step:
    return conditional(condition, values, **more)


def fails(condition: str, values: Json | None = None, **more: Any) -> Step:
    return conditional(condition, values, raises=FAILED, **more)


def refused(condition: str, values: Json | None = None, **more: Any) -> Step:
    return conditional(condition, values, raises=BAD, **more)
