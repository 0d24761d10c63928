"""The contract of DynamoDB for query, scan and indexes."""

from __future__ import annotations

from typing import Any

from tests.contract.aws.conftest import Pair
from tests.contract.aws.steps import Answer, Scenario, Step, compare, n, s, scenarios

Json = dict[str, Any]
BAD = "ValidationException"
NO_LAST_KEY = "looks one item ahead: no LastEvaluatedKey when the limit is met exactly at the end"


def puts(*rows: str) -> list[Step]:
    """Rows `pk sk name=value ...` of the table `main`; `rank` is a number."""
    steps = []
    for row in rows:
        pk, sk, *rest = row.split()
        item = {"pk": s(pk), "sk": s(sk)}
        for pair in rest:
            name, value = pair.split("=")
            item[name] = n(value) if name == "rank" else s(value)
        steps.append(Step("put_item", {"TableName": "main", "Item": item}))
    return steps


def query(condition: str, values: Json, **more: Any) -> Step:
    about = {name: more.pop(name) for name in ("raises", "shows", "moto") if name in more}
    params = {"TableName": "main", "KeyConditionExpression": condition, "ExpressionAttributeValues": values}
    return Step("query", {**params, **more}, **about)


def index(name: str, condition: str, values: Json, **more: Any) -> Step:
    return query(condition, values, IndexName=name, **more)


def following(first: Step) -> Step:
    """The same query from where the last answer stopped."""

    def params(so_far: list[Answer]) -> Json:
        return {**first.params, "ExclusiveStartKey": so_far[-1]["LastEvaluatedKey"]}

    return Step(first.operation, params, moto=first.moto)


P = {":p": s("p")}
ROWS = puts("p a1 note=x", "p a2 note=y", "p b1 note=x", "p b2", "p c1 note=x", "q a1", "p é1", "p Z1", "p a")


def pv(**values: Any) -> Json:
    return {**P, **{f":{name}": value for name, value in values.items()}}


SORT_KEYS = Scenario(
    "conditions on the sort key",
    [
        *ROWS,
        query("pk = :p", P),
        query("pk = :p", P, ScanIndexForward=False),
        query("pk = :p AND sk = :s", pv(s=s("b1"))),
        query("pk = :p AND sk < :s", pv(s=s("b1"))),
        query("pk = :p AND sk <= :s", pv(s=s("b1"))),
        query("pk = :p AND sk > :s", pv(s=s("b1"))),
        query("pk = :p AND sk >= :s", pv(s=s("b1")), ScanIndexForward=False),
        query("pk = :p AND sk BETWEEN :s AND :t", pv(s=s("a2"), t=s("b2"))),
        query("pk = :p AND begins_with(sk, :s)", pv(s=s("a"))),
        query("begins_with(sk, :s) AND pk = :p", pv(s=s("b"))),
        query("#p = :p AND (#s = :s)", pv(s=s("b1")), ExpressionAttributeNames={"#p": "pk", "#s": "sk"}),
        query("pk = :p", {":p": s("nobody")}),
        query("pk = :p", P, Select="COUNT"),
        query("pk = :p", P, ConsistentRead=True, ProjectionExpression="sk"),
    ],
)

FILTERS = Scenario(
    "filters",
    [
        *ROWS,
        query("pk = :p", pv(x=s("x")), FilterExpression="note = :x"),
        query("pk = :p", pv(x=s("x")), FilterExpression="note = :x", Select="COUNT"),
        query("pk = :p", P, FilterExpression="attribute_not_exists(note)", ProjectionExpression="sk, note"),
        query("pk = :p", pv(x=s("x")), FilterExpression="note = :x", Limit=2),
        query("pk = :p", pv(x=s("a1")), FilterExpression="sk = :x", raises=BAD, moto="filters by keys"),
    ],
)

PAGES = Scenario(
    "pages",
    [
        *ROWS,
        first := query("pk = :p", P, Limit=3),
        following(first),
        backward := query("pk = :p AND sk < :s", pv(s=s("b2")), Limit=2, ScanIndexForward=False),
        following(backward),
        query("pk = :p AND begins_with(sk, :s)", pv(s=s("c")), Limit=1),
        query("pk = :p", P, Limit=8, moto=NO_LAST_KEY, shows={"LastEvaluatedKey": {"pk": s("p"), "sk": s("é1")}}),
        query("pk = :p", P, Limit=9),
        query("pk = :p", P, ExclusiveStartKey={"pk": s("p"), "sk": s("a15")}, Limit=1),
        query("pk = :p", P, Limit=0, raises="ParamValidationError"),
        query("pk = :p", P, ExclusiveStartKey={"pk": s("p")}, raises=BAD, moto="breaks"),
        query("pk = :p", P, ExclusiveStartKey={"pk": s("z"), "sk": s("1")}, raises=BAD, moto="takes any key"),
    ],
)

REFUSED = Scenario(
    "refused queries",
    [
        *ROWS,
        query("sk = :p", P, raises=BAD),
        query("note = :p", P, raises=BAD),
        query("pk > :p", P, raises=BAD),
        query("pk = :p AND note = :s", pv(s=s("x")), raises=BAD),
        query("pk = :p OR sk = :s", pv(s=s("x")), raises=BAD, moto="breaks"),
        query("pk = :p AND sk <> :s", pv(s=s("x")), raises=BAD, moto="breaks"),
        query("pk = :p AND sk IN (:s)", pv(s=s("x")), raises=BAD, moto="breaks"),
        query("pk = :p AND contains(sk, :s)", pv(s=s("x")), raises=BAD),
        query("pk = :p AND sk = :s AND sk = :s", pv(s=s("x")), raises=BAD, moto="takes it"),
        query("pk = :p", {":p": n(1)}, raises=BAD, moto="does not check types"),
        query("pk = :p", {":p": s("")}, raises=BAD),
        query("pk = :p AND sk = :s", pv(s=n(1)), raises=BAD, moto="does not check types"),
        query("pk = :p", pv(unused=n(1)), raises=BAD, moto="does not look"),
        query("pk = :q", P, raises=BAD),
        query("pk = :p", P, IndexName="nowhere", raises=BAD, moto="has another code"),
        query("", P, raises=BAD),
        Step("query", {"TableName": "main"}, raises=BAD),
        index(
            "by_owner",
            "#o = :p",
            P,
            ExpressionAttributeNames={"#o": "owner"},
            ConsistentRead=True,
            raises=BAD,
        ),
        Step(
            "query",
            {
                "TableName": "none",
                "KeyConditionExpression": "pk = :p",
                "ExpressionAttributeValues": P,
            },
            raises="ResourceNotFoundException",
        ),
    ],
)

INDEXED = puts(
    "t1 m state=open rank=3 owner=ann kind=k note=n1",
    "t2 m state=open rank=10 owner=bob kind=k",
    "t3 m state=done rank=1 owner=ann kind=k note=n3",
    "t4 m state=open owner=ann",
    "t5 m rank=5",
    "t6 m state=open rank=-2 kind=k note=n6",
)
BY_STATE = {"ExpressionAttributeNames": {"#s": "state"}}
BY_OWNER = {"ExpressionAttributeNames": {"#o": "owner"}}
OPEN = {":o": s("open")}


def move(key: str, expression: str, values: Json | None = None) -> Step:
    params: Json = {
        "TableName": "main",
        "Key": {"pk": s(key), "sk": s("m")},
        "UpdateExpression": expression,
        "ExpressionAttributeNames": {"#s": "state"},
    }
    if values is not None:
        params["ExpressionAttributeValues"] = values
    return Step("update_item", params)


INDEXES = Scenario(
    "sparse indexes and projections",
    [
        *INDEXED,
        index("by_state", "#s = :o", OPEN, **BY_STATE),
        index("by_state", "#s = :o", OPEN, ScanIndexForward=False, **BY_STATE),
        index(
            "by_state",
            "#s = :o AND #r > :n",
            {**OPEN, ":n": n(2)},
            ExpressionAttributeNames={"#s": "state", "#r": "rank"},
        ),
        index(
            "by_owner",
            "#o = :a AND begins_with(pk, :t)",
            {":a": s("ann"), ":t": s("t")},
            raises=BAD,
            **BY_OWNER,
        ),
        index("by_owner", "#o = :a", {":a": s("bob")}, **BY_OWNER),
        index("by_kind", "kind = :k", {":k": s("k")}, FilterExpression="attribute_exists(note)", Select="COUNT"),
        index("by_kind", "kind = :k AND sk = :m", {":k": s("k"), ":m": s("m")}, Select="COUNT"),
        index("by_kind", "kind = :k", {":k": s("k")}, Select="ALL_ATTRIBUTES", raises=BAD),
        index("by_kind", "kind = :k", {":k": s("none")}),
        first := index("by_state", "#s = :o", OPEN, Limit=2, **BY_STATE),
        following(first),
    ],
)

MOVING = Scenario(
    "indexes follow writes",
    [
        *INDEXED,
        move("t1", "SET #s = :d", {":d": s("done")}),
        index("by_state", "#s = :o", OPEN, **BY_STATE),
        index("by_state", "#s = :o", {":o": s("done")}, **BY_STATE),
        move("t2", "REMOVE #s"),
        Step("delete_item", {"TableName": "main", "Key": {"pk": s("t6"), "sk": s("m")}}),
        *puts("t5 m state=open rank=5", "t4 m"),
        index("by_state", "#s = :o", OPEN, **BY_STATE),
        index("by_owner", "#o = :a", {":a": s("bob")}, **BY_OWNER),
    ],
)


@scenarios(SORT_KEYS, FILTERS, PAGES, REFUSED, INDEXES, MOVING)
def test_query(scenario: Scenario, dynamodb: Pair) -> None:
    compare(scenario, *dynamodb)


def scan(**more: Any) -> Step:
    about = {name: more.pop(name) for name in ("raises", "shows", "moto") if name in more}
    return Step("scan", {"TableName": "main", **more}, **about)


SCANS = Scenario(
    "scans",
    [
        scan(),
        *INDEXED,
        scan(),
        scan(Select="COUNT"),
        scan(FilterExpression="attribute_exists(note)", ProjectionExpression="pk, note"),
        scan(FilterExpression="pk = :p", ExpressionAttributeValues={":p": s("t1")}),
        scan(IndexName="by_owner"),
        scan(
            IndexName="by_state",
            FilterExpression="#r > :n",
            ExpressionAttributeValues={":n": n(0)},
            ExpressionAttributeNames={"#r": "rank"},
        ),
        scan(Segment=2, TotalSegments=2, raises=BAD),
        scan(Segment=0, raises=BAD),
        scan(IndexName="nowhere", raises=BAD),
        scan(ExpressionAttributeValues={":p": s("t1")}, raises=BAD, moto="does not look"),
    ],
)


@scenarios(SCANS)
def test_scan(scenario: Scenario, dynamodb: Pair) -> None:
    fake, moto, normal = dynamodb

    def unordered(answer: Answer) -> Answer:
        plain: Answer = normal(answer)
        if "Items" in plain:
            plain["Items"] = sorted(plain["Items"], key=repr)
        return plain

    compare(scenario, fake, moto, unordered)


def test_segments_and_pages_of_a_scan_cover_everything_once(dynamodb: Pair) -> None:
    for client in dynamodb[:2]:
        for number in range(40):
            client.put_item(TableName="main", Item={"pk": s(f"p{number % 11}"), "sk": s(f"{number}")})
        seen: list[tuple[str, str]] = []
        for segment in range(3):
            params: Json = {"TableName": "main", "Segment": segment, "TotalSegments": 3, "Limit": 4}
            for answer in client.get_paginator("scan").paginate(**params):
                seen += [(item["pk"]["S"], item["sk"]["S"]) for item in answer["Items"]]
        assert len(seen) == 40
        assert len(set(seen)) == 40


NUMBERS = [
    Step("put_item", {"TableName": "numbers", "Item": {"id": n(identifier), "at": n(at)}})
    for identifier, at in (("1", "10"), ("1.0", "9"), ("1", "-3"), ("1", "0.5"), ("2", "1"))
]
PARTS = [
    Step("put_item", {"TableName": "binary", "Item": {"id": s("x"), "part": {"B": part}}})
    for part in (b"\x00", b"\xff", b"a", b"ab", b"")
]


def typed(table: str, condition: str, values: Json, **more: Any) -> Step:
    step = query(condition, values, **more)
    return Step(step.operation, {**step.params, "TableName": table}, step.raises, step.shows, step.moto)


TYPED = Scenario(
    "number and binary keys",
    [
        *NUMBERS,
        typed(
            "numbers",
            "id = :i",
            {":i": n("1.00")},
            shows={"Items": [{"id": n(1), "at": n(at)} for at in ("-3", "0.5", "9", "10")]},
            moto="compares keys as text",
        ),
        typed(
            "numbers",
            "id = :i AND #a >= :n",
            {":i": n(2), ":n": n("1.0")},
            ExpressionAttributeNames={"#a": "at"},
        ),
        Step("get_item", {"TableName": "numbers", "Key": {"id": n(2), "at": n(1)}}),
        *PARTS[:-1],
        Step(PARTS[-1].operation, PARTS[-1].params, raises=BAD, moto="takes an empty binary key"),
        Step("get_item", {"TableName": "binary", "Key": {"id": s("x"), "part": {"B": b"ab"}}}),
        typed("binary", "id = :i AND begins_with(part, :b)", {":i": s("x"), ":b": {"B": b"a"}}, Select="COUNT"),
    ],
)


@scenarios(TYPED)
def test_key_types(scenario: Scenario, dynamodb: Pair) -> None:
    compare(scenario, *dynamodb)
