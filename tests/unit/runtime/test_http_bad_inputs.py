"""Bad requests get a clear problem and reach no route. Numbers are those of the list of bad inputs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema
import pytest

from local.openapi_document import PROBLEM
from smallpeck.runtime.cursors import Scope
from smallpeck.runtime.requests import MAX_BODY_BYTES
from tests.gateway import Answer, ask, claims, event
from tests.unit.runtime.sample_api import CURSORS, GOOD, sample

THINGS = "/v1/worker/things"
ROUTE = "GET /v1/worker/things"


@dataclass(frozen=True)
class Case:
    """A request, and what it gets."""

    name: str
    asked: Mapping[str, Any]
    status: int
    code: str
    pointers: tuple[str, ...] = ()


def make(**asked: Any) -> dict[str, Any]:
    return event("POST", THINGS, **{"key": "key-1", "body": GOOD, **asked})


def sent(raw: str | bytes, content_type: str = "application/json") -> dict[str, Any]:
    return event("POST", THINGS, raw=raw, key="key-1", headers={"content-type": content_type})


def good(**changed: Any) -> dict[str, Any]:
    return make(body=GOOD | changed)


def price(value: Any, currency: str = "USD") -> dict[str, Any]:
    return good(price=value, currency=currency)


def listed(query: str) -> dict[str, Any]:
    return event("GET", THINGS, query=query)


def at(path: str, method: str = "GET", **asked: Any) -> dict[str, Any]:
    return event(method, path, **asked)


def cursor_of(user: str, route: str = ROUTE) -> str:
    return f"cursor={CURSORS.sign('20', Scope(user, route))}"


def padded(size: int) -> str:
    text = json.dumps(GOOD)
    return text + " " * (size - len(text))


BODIES = [
    Case("1 no body", event("POST", THINGS, key="k"), 400, "body_required"),
    Case("1 an empty body", sent(""), 400, "body_required"),
    Case("1 a body of blanks", sent(" \n"), 400, "body_required"),
    Case("2 not JSON", sent("{price: 1}"), 400, "bad_json"),
    Case("2 cut off", sent(json.dumps(GOOD)[:-1]), 400, "bad_json"),
    Case("2 a form", sent(b"price=1"), 400, "bad_json"),
    Case("3 an array for the object", sent("[]"), 422, "invalid", ("",)),
    Case("3 a string for the object", sent('"x"'), 422, "invalid", ("",)),
    Case("3 null for the object", sent("null"), 422, "invalid", ("",)),
    Case("3 an array for an object inside", good(part=[1]), 422, "invalid", ("/part",)),
    Case("3 an object for an array inside", good(part={"name": "x", "parts": {}}), 422, "invalid", ("/part/parts",)),
    Case("4 duplicate keys", sent('{"price": "1", "price": "2"}'), 400, "bad_json"),
    Case("4 duplicate keys inside", sent('{"part": {"name": "a", "name": "b"}}'), 400, "bad_json"),
    Case("5 NaN", sent('{"price": NaN}'), 400, "bad_json"),
    Case("5 Infinity", sent('{"count": Infinity}'), 400, "bad_json"),
    Case("5 minus Infinity", sent('{"count": -Infinity}'), 400, "bad_json"),
    Case("6 amount as a float", price(0.05), 422, "invalid", ("/price",)),
    Case("6 amount as a whole number", price(1), 422, "invalid", ("/price",)),
    Case("7 negative", price("-1"), 422, "invalid", ("/price",)),
    Case("8 zero", price("0.00"), 422, "bad_amount", ("/price",)),
    Case("9 1e30", price("1e30"), 422, "invalid", ("/price",)),
    Case("9 2^63", price(str(2**63)), 422, "invalid", ("/price",)),
    Case("9 over the largest amount", price("1000000000.01"), 422, "bad_amount", ("/price",)),
    Case("9 a thousand digits", price("9" * 1_000), 422, "invalid", ("/price",)),
    Case("10 more decimals than allowed", price("0.001"), 422, "bad_amount", ("/price",)),
    Case("11 JPY with decimals", price("5.0", "JPY"), 422, "bad_amount", ("/price",)),
    Case("12 unknown currency", price("1", "XXX"), 422, "invalid", ("/currency",)),
    Case("12 a currency in lower case", price("1", "usd"), 422, "invalid", ("/currency",)),
    Case("amount with blanks", price(" 1"), 422, "invalid", ("/price",)),
    Case("amount with a line end", price("1\n"), 422, "invalid", ("/price",)),
    Case("amount in other digits", price("\u0661"), 422, "invalid", ("/price",)),
    Case("13 unknown field", good(extra=1), 422, "invalid", ("/extra",)),
    Case("13 unknown field inside", good(part={"name": "x", "a/b": 1}), 422, "invalid", ("/part/a~1b",)),
    Case("13 missing fields", make(body={"price": "1"}), 422, "invalid", ("/owner_id", "/currency")),
    Case("a float where a whole number is needed", good(count=1.5), 422, "invalid", ("/count",)),
    Case("a string where a number is needed", good(count="1"), 422, "invalid", ("/count",)),
    Case("true where a number is needed", good(count=True), 422, "invalid", ("/count",)),
    Case("wrong inside an array", good(part={"name": "x", "parts": [1, "2"]}), 422, "invalid", ("/part/parts/1",)),
    Case("20 invalid UTF-8", sent(b'{"price": "\xff"}'), 400, "bad_json"),
    Case("20 a lone surrogate, escaped", sent('{"price": "\\ud800"}'), 400, "bad_json"),
    Case("20 a lone surrogate, as the gateway could pass it", sent('{"price": "\ud800"}'), 400, "bad_json"),
    Case("21 NUL in an id", good(owner_id="a\0b"), 422, "invalid", ("/owner_id",)),
    Case("22 # in an id", good(owner_id="a#b"), 422, "invalid", ("/owner_id",)),
    Case("23 path traversal in an id", good(owner_id="../b"), 422, "invalid", ("/owner_id",)),
    Case("an empty id", good(owner_id=""), 422, "invalid", ("/owner_id",)),
    Case("an id with a line end", good(owner_id="a\n"), 422, "invalid", ("/owner_id",)),
    Case("an id too long", good(owner_id="a" * 81), 422, "invalid", ("/owner_id",)),
    Case("26 one byte too many", sent(padded(MAX_BODY_BYTES + 1)), 413, "too_large"),
    Case("26 one byte too many, encoded", sent(padded(MAX_BODY_BYTES + 1).encode()), 413, "too_large"),
    Case("26 far too much", sent("x" * 5_000_000), 413, "too_large"),
    Case("26 too many bytes in few characters", sent("\u20ac" * (MAX_BODY_BYTES // 2)), 413, "too_large"),
    Case("27 depth 1,000", sent('{"part":' * 1_000 + "1" + "}" * 1_000), 400, "bad_json"),
    Case("27 depth 100,000", sent("[" * 100_000), 400, "bad_json"),
    Case("28 a form's content type", sent(json.dumps(GOOD), "text/plain"), 415, "unsupported_media_type"),
    Case("28 no content type", make(headers={"content-type": ""}), 415, "unsupported_media_type"),
    Case(
        "28 another charset", sent(json.dumps(GOOD), "application/json; charset=latin1"), 415, "unsupported_media_type"
    ),
    Case("28 nearly JSON", sent(json.dumps(GOOD), "application/jsonp"), 415, "unsupported_media_type"),
    Case("38 deadline past", good(deadline="2026-11-22T09:39:07.249Z"), 422, "bad_moment", ("/deadline",)),
    Case("38 year 9999", good(deadline="9999-12-31T23:59:59Z"), 422, "bad_moment", ("/deadline",)),
    Case("38 a day that is none", good(deadline="2027-02-30T00:00:00Z"), 422, "invalid", ("/deadline",)),
    Case("38 no zone", good(deadline="2027-02-03T00:00:00"), 422, "invalid", ("/deadline",)),
    Case("38 another calendar's week", good(deadline="2027-W01-1T00:00:00Z"), 422, "invalid", ("/deadline",)),
    Case("38 milliseconds", good(deadline=1_900_000_000_000), 422, "invalid", ("/deadline",)),
]

HEADERS = [
    Case(
        "14 no Idempotency-Key",
        event("POST", THINGS, body=GOOD),
        400,
        "idempotency_key_required",
        ("/Idempotency-Key",),
    ),
    Case("15 key over 255 characters", make(key="k" * 256), 400, "bad_idempotency_key", ("/Idempotency-Key",)),
    Case("15 key with a control character", make(key="a\tb"), 400, "bad_idempotency_key", ("/Idempotency-Key",)),
    Case("15 key with NUL", make(key="a\0"), 400, "bad_idempotency_key", ("/Idempotency-Key",)),
    Case("15 key with a line end", make(key="a\n"), 400, "bad_idempotency_key", ("/Idempotency-Key",)),
    Case("15 key with DEL", make(key="\x7f"), 400, "bad_idempotency_key", ("/Idempotency-Key",)),
    Case(
        "15 a bad key where one is optional",
        event("POST", f"{THINGS}/t/parts/p/move", key="k" * 256),
        400,
        "bad_idempotency_key",
        ("/Idempotency-Key",),
    ),
]

PATHS = [
    Case("21 NUL in the path", at(f"{THINGS}/a%00b"), 422, "bad_id", ("/thing_id",)),
    Case("21 NUL in the path, as the gateway decodes it", at(f"{THINGS}/a\0b"), 422, "bad_id", ("/thing_id",)),
    Case("22 # in the path", at(f"{THINGS}/a%23b"), 422, "bad_id", ("/thing_id",)),
    Case("22 # in the path, as the gateway decodes it", at(f"{THINGS}/a#b"), 422, "bad_id", ("/thing_id",)),
    Case("22 % in the path", at(f"{THINGS}/a%2523b"), 422, "bad_id", ("/thing_id",)),
    Case("an id too long in the path", at(f"{THINGS}/{'a' * 81}"), 422, "bad_id", ("/thing_id",)),
    Case("23 dot segments", at(f"{THINGS}/../../operator/audits"), 404, "no_such_path"),
    Case("23 dot segments to a route", at(f"{THINGS}/x/../y"), 404, "no_such_path"),
    Case("23 encoded dot segments", at(f"{THINGS}/%2e%2e"), 404, "no_such_path"),
    Case("23 encoded slashes", at(f"{THINGS}/..%2f..%2fetc%2fpasswd"), 404, "no_such_path"),
    Case("23 an encoded slash in an id", at(f"{THINGS}/a%2Fb"), 404, "no_such_path"),
    Case("23 backslashes", at(f"{THINGS}/..\\..\\x"), 404, "no_such_path"),
    Case("invalid UTF-8 in the path", at(f"{THINGS}/%ff"), 404, "no_such_path"),
    Case("an unknown path", at("/v1/worker/nothing"), 404, "no_such_path"),
    Case("a path too short", at("/v1/worker"), 404, "no_such_path"),
    Case("a path too long", at(f"{THINGS}/x/y"), 404, "no_such_path"),
    Case("a path with a slash at its end", at(f"{THINGS}/"), 404, "no_such_path"),
    Case("an empty segment", at("/v1//things"), 404, "no_such_path"),
    Case("another version", at("/v2/worker/things"), 404, "no_such_path"),
    Case("another audience's path", at("/v1/operator/things"), 404, "no_such_path"),
    Case("the public path inside the audience", at("/v1/worker/healthz"), 404, "no_such_path"),
    Case("the template for the path", at(f"{THINGS}/{{thing_id}}"), 422, "bad_id", ("/thing_id",)),
    Case("a path of 10,000 characters", at("/" + "a" * 10_000), 404, "no_such_path"),
    Case("no path", at(""), 404, "no_such_path"),
    Case("29 unknown method", at(THINGS, "DELETE"), 405, "method_not_allowed"),
    Case("29 a method of another route", at(f"{THINGS}/t", "POST"), 405, "method_not_allowed"),
    Case("29 a method that is none", at(THINGS, "BREW"), 405, "method_not_allowed"),
    Case("another's object", at(f"{THINGS}/other"), 404, "not_found"),
]

QUERIES = [
    Case("24 forged cursor", listed("cursor=AAAA"), 400, "bad_cursor"),
    Case("24 another's cursor", listed(cursor_of("user-2")), 400, "bad_cursor"),
    Case("24 another list's cursor", listed(cursor_of("user-1", "GET /v1/worker/payouts")), 400, "bad_cursor"),
    Case("24 an empty cursor", listed("cursor="), 422, "invalid", ("/cursor",)),
    Case("24 a huge cursor", listed("cursor=" + "A" * 2_000), 422, "invalid", ("/cursor",)),
    Case("25 limit 0", listed("limit=0"), 422, "invalid", ("/limit",)),
    Case("25 limit -1", listed("limit=-1"), 422, "invalid", ("/limit",)),
    Case("25 limit 1e9", listed("limit=1e9"), 422, "invalid", ("/limit",)),
    Case("25 limit 1000000000", listed("limit=1000000000"), 422, "invalid", ("/limit",)),
    Case("25 limit 101", listed("limit=101"), 422, "invalid", ("/limit",)),
    Case("25 limit 10.0", listed("limit=10.0"), 422, "invalid", ("/limit",)),
    Case("25 limit with blanks", listed("limit=%2010"), 422, "invalid", ("/limit",)),
    Case("25 no limit", listed("limit="), 422, "invalid", ("/limit",)),
    Case("a parameter given twice", listed("limit=1&limit=2"), 400, "bad_parameter"),
    Case("13 an unknown parameter", listed("offset=5"), 422, "invalid", ("/offset",)),
    Case("13 a parameter where none is taken", at(f"{THINGS}/t", query="a=1"), 422, "invalid", ("/a",)),
    Case("20 invalid UTF-8 in the query", listed("cursor=%ff"), 400, "bad_parameter"),
    Case("1,000 parameters", listed("&".join(f"a{n}=1" for n in range(1_000))), 400, "bad_parameter"),
    Case("a query of 10,000 characters", listed("cursor=" + "A" * 10_000), 400, "bad_parameter"),
    Case(
        "13 a body where none is taken", at(f"{THINGS}/t/parts/p/move", "POST", body={"x": 1}), 422, "invalid", ("/x",)
    ),
    Case("an array where no body is taken", at(f"{THINGS}/t/parts/p/move", "POST", body=[]), 422, "invalid", ("",)),
]

ACCESS = [
    Case("nobody", listed("") | {"requestContext": {"http": {"method": "GET"}}}, 401, "access_token_required"),
    Case("an ID token", event("GET", THINGS, token=claims(token_use="id")), 401, "access_token_required"),
    Case("a token of nobody", event("GET", THINGS, token=claims(user="")), 401, "access_token_required"),
    Case("another role", event("GET", THINGS, token=claims(groups="[requester]")), 403, "wrong_role"),
    Case("no role", event("GET", THINGS, token=claims(groups=None)), 403, "wrong_role"),
    Case("a role that begins the same", event("GET", THINGS, token=claims(groups="[worker-x]")), 403, "wrong_role"),
    Case("another role on a path that is none", event("GET", "/x", token=claims(groups="[x]")), 403, "wrong_role"),
    Case("nobody, with a bad body", event("POST", THINGS, raw="{", token={}), 401, "access_token_required"),
]

STATES = [
    Case("a thing that is closed", at(f"{THINGS}/closed"), 409, "gone"),
    Case("17 the same request in progress", at(f"{THINGS}/busy"), 409, "in_progress"),
    Case("a fault of ours", at(f"{THINGS}/broken"), 500, "internal"),
]

CASES = [*BODIES, *HEADERS, *PATHS, *QUERIES, *ACCESS, *STATES]
REACHING = {"another's object", *(case.name for case in STATES)}


def refused(case: Case) -> Answer:
    api, reached = sample()
    answer = ask(api.handler, case.asked)
    assert case.name in REACHING or not reached
    return answer


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_bad_request_gets_a_problem_and_changes_nothing(case: Case) -> None:
    answer = refused(case)
    problem = answer.json
    assert (answer.status, problem["code"]) == (case.status, case.code), problem
    assert problem["status"] == case.status
    assert tuple(one["pointer"] for one in problem["errors"]) == case.pointers
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-correlation-id"] == problem["correlation_id"]
    jsonschema.validate(problem, PROBLEM)
    assert "Traceback" not in answer.text
    assert ".py" not in answer.text


def test_the_largest_body_is_read() -> None:
    api, reached = sample()
    assert ask(api.handler, sent(padded(MAX_BODY_BYTES))).status == 201
    assert ask(api.handler, sent(padded(MAX_BODY_BYTES).encode())).status == 201
    assert len(reached) == 2


def test_the_longest_key_is_read() -> None:
    api, reached = sample()
    assert ask(api.handler, make(key="k" * 255)).status == 201
    assert reached[0].idempotency_key == "k" * 255


def test_an_unknown_method_is_told_the_known_ones() -> None:
    api, _ = sample()
    assert ask(api.handler, at(THINGS, "PUT")).headers["allow"] == "GET, POST"


def test_nobody_is_told_what_is_needed() -> None:
    api, _ = sample()
    assert ask(api.handler, event("GET", THINGS, token={})).headers["www-authenticate"].startswith("Bearer")


def test_who_should_come_back_is_told_when() -> None:
    api, _ = sample()
    assert ask(api.handler, at(f"{THINGS}/busy")).headers["retry-after"] == "3"


def test_what_was_sent_is_not_repeated() -> None:
    api, _ = sample()
    for value in ("anna@example.com", "4111111111111111", 41.5):
        answer = ask(api.handler, good(owner_id=value, count=value))
        assert answer.status == 422
        assert str(value) not in answer.text


def test_many_mistakes_are_told_in_part() -> None:
    api, _ = sample()
    answer = ask(api.handler, good(**{f"x{n}": 1 for n in range(500)}))
    assert len(answer.json["errors"]) == 20
