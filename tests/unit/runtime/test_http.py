"""What a route is given, and what becomes of its answer."""

import json
from typing import Any

import pytest

from smallpeck.kernel.clock import SystemClock
from smallpeck.kernel.ids import derived_id, is_id
from smallpeck.runtime.http import Api, Call, Reply
from smallpeck.runtime.schemas import Health, NoBody, View
from smallpeck.runtime.settings import Settings
from smallpeck.runtime.wiring import Wiring, wired
from tests.gateway import Context, ask, claims, event
from tests.unit.runtime.sample_api import GOOD, NOW_MS, get, post, sample

THINGS = "/v1/worker/things"


def test_a_route_is_given_who_asks_and_what_for() -> None:
    api, reached = sample()
    answer = post(api, body=GOOD | {"deadline": "2026-11-23T09:39:07.250Z"})
    (call,) = reached
    assert answer.status == 201
    assert (call.user_id, call.idempotency_key, call.now_ms) == ("user-1", "key-1", NOW_MS)
    assert (call.body.price, call.body.part, call.query, call.path) == ("0.05", None, None, {})
    assert call.route == "POST /v1/worker/things"
    assert answer.json == {
        "thing_id": derived_id("th", "user-1", "POST /v1/worker/things", "key-1"),
        "price_micros": 50_000,
        "deadline_ms": 1_795_426_747_250,
    }


def test_an_answer_is_json_that_nobody_keeps() -> None:
    answer = post(sample()[0], body=GOOD)
    assert answer.headers == {
        "content-type": "application/json",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "x-correlation-id": "request-1",
    }


def test_the_same_key_names_the_same_thing_and_another_key_or_user_another() -> None:
    api, _ = sample()
    first = post(api, body=GOOD).json["thing_id"]
    assert is_id(first)
    assert post(api, body=GOOD).json["thing_id"] == first
    assert post(api, body=GOOD, key="key-2").json["thing_id"] != first
    assert post(api, body=GOOD, token=claims("user-2")).json["thing_id"] != first


def test_the_same_key_with_another_body_can_be_told_apart() -> None:
    api, reached = sample()
    for body in (GOOD, dict(reversed(GOOD.items())), GOOD | {"count": 2}):
        post(api, body=body)
    one, same, other = (call.content_hash for call in reached)
    assert one == same != other


def test_an_id_cannot_be_made_where_no_key_was_asked_for() -> None:
    api, reached = sample()
    get(api, f"{THINGS}/t1")
    with pytest.raises(LookupError, match="Idempotency-Key"):
        reached[0].new_id("th")


def test_parts_of_the_path() -> None:
    api, reached = sample()
    answer = post(api, f"{THINGS}/t-1/parts/P_2/move")
    assert reached[0].path == {"thing_id": "t-1", "part_id": "P_2"}
    assert (answer.status, answer.headers["location"]) == (202, "/elsewhere")


def test_a_key_that_is_optional() -> None:
    api, reached = sample()
    for key in ("k", None):
        assert post(api, f"{THINGS}/t/parts/p/move", key=key).status == 202
    assert [call.idempotency_key for call in reached] == ["k", ""]


@pytest.mark.parametrize("asked", [{}, {"raw": ""}, {"raw": "  "}, {"body": {}}, {"raw": b"{}"}])
def test_a_route_without_a_body_takes_nothing_or_an_empty_object(asked: dict[str, Any]) -> None:
    headers = {"content-type": "application/json"} if asked else {}
    assert post(sample()[0], f"{THINGS}/t/parts/p/move", headers=headers, **asked).status == 202


@pytest.mark.parametrize(("raw", "status"), [(None, 200), ("{}", 200), ('{"a": 1}', 422), ("[]", 422)])
def test_a_route_may_say_that_its_body_is_empty(raw: str | None, status: int) -> None:
    api = Api("worker", clock=SystemClock())

    @api.route("POST", "/close", body=NoBody, reply=Health)
    def close(call: Call[NoBody]) -> Health:
        return Health(status=type(call.body).__name__)

    assert ask(api.handler, event("POST", "/v1/worker/close", raw=raw)).status == status


def test_a_word_in_the_path_comes_before_an_id() -> None:
    api, reached = sample()
    assert get(api, f"{THINGS}/newest").json == {"path": {}}
    assert reached[0].route.endswith("/newest")


def test_an_escaped_letter_is_that_letter() -> None:
    assert get(sample()[0], "/v1/worker/%74hings/%6eewest").status == 200


def test_a_list_goes_on_with_its_cursor() -> None:
    api, _ = sample()
    first = get(api, THINGS, query="limit=2").json
    assert first["things"] == [0, 1]
    # How many may change from one run to the next.
    second = get(api, THINGS, query=f"limit=3&cursor={first['next_cursor']}").json
    assert second["things"] == [2, 3, 4]
    assert get(api, THINGS).json["things"] == list(range(20))


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"', "application/json "],
)
def test_json_by_any_of_its_names(content_type: str) -> None:
    answer = post(sample()[0], body=GOOD, headers={"content-type": content_type})
    assert answer.status == 201


def test_header_names_in_any_case() -> None:
    asked = event("POST", THINGS, raw=json.dumps(GOOD), headers={"content-type": ""})
    asked["headers"] |= {"Content-Type": "application/json", "Idempotency-Key": "k"}
    assert ask(sample()[0].handler, asked).status == 201


def test_a_body_that_the_gateway_encoded() -> None:
    assert post(sample()[0], raw=json.dumps(GOOD).encode()).status == 201


def test_a_caller_of_several_roles() -> None:
    assert get(sample()[0], f"{THINGS}/t", token=claims(groups="[requester worker]")).status == 200


def test_the_public_route_needs_no_token() -> None:
    api, reached = sample()
    answer = get(api, "/healthz", token={})
    assert (answer.status, answer.json) == (200, {"status": "ok"})
    assert reached[0].user_id == ""
    assert ask(api.handler, event("POST", "/healthz", token={})).status == 405


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("checkout-7f.3:a", True),
        ("0" * 128, True),
        ("0" * 129, False),
        ("a b", False),
        ("a\nb", False),
        ("<script>", False),
        ("", False),
    ],
)
def test_a_well_formed_correlation_id_is_kept(given: str, *, kept: bool) -> None:
    answer = get(sample()[0], f"{THINGS}/t", headers={"x-correlation-id": given})
    assert answer.headers["x-correlation-id"] == (given if kept else "request-1")


def test_without_a_gateway_the_request_is_lambdas() -> None:
    asked = event("GET", f"{THINGS}/t")
    del asked["requestContext"]["requestId"]
    assert ask(sample()[0].handler, asked).headers["x-correlation-id"] == "lambda-request-1"


def test_a_problem_names_the_path_it_is_about_whatever_the_path_holds() -> None:
    problem = get(sample()[0], '/v1/worker/"<\u20ac>\ud800').json
    assert problem["instance"] == "/v1/worker/%22%3C%E2%82%AC%3E%3F"


def test_a_dependency_that_is_busy_is_503_with_when_to_ask_again() -> None:
    from botocore.exceptions import ClientError

    api = Api("worker", clock=SystemClock())

    @api.route("GET", "/busy", reply=Health)
    def busy(_call: Call) -> Health:
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "arn:aws:..."}}, "Query")

    answer = get(api, "/v1/worker/busy")
    assert (answer.status, answer.json["code"], answer.headers["retry-after"]) == (503, "unavailable", "2")
    assert "arn" not in answer.text


def test_a_route_that_answers_with_something_else_is_a_fault() -> None:
    class Other(View):
        secret: str

    api = Api("worker", clock=SystemClock())

    @api.route("GET", "/odd", reply=Health)
    def odd(_call: Call) -> Other:
        return Other(secret="s")

    assert get(api, "/v1/worker/odd").json["code"] == "internal"


def test_an_answer_without_a_body() -> None:
    api = Api("worker", clock=SystemClock())

    @api.route("GET", "/none", status=204)
    def none(_call: Call) -> Reply:
        return Reply(None)

    answer = get(api, "/v1/worker/none")
    assert (answer.status, answer.text) == (204, "")
    assert "content-type" not in answer.headers


def test_a_route_cannot_be_named_twice() -> None:
    api, _ = sample()
    with pytest.raises(ValueError, match="GET /v1/worker/things is there already"):
        api.route("GET", "/things", reply=Health)(lambda _call: Health(status="ok"))


def test_the_time_is_the_wirings_where_no_other_clock_is_given() -> None:
    class Stopped:
        def now_ms(self) -> int:
            return 7

    api = Api("worker")
    seen: list[int] = []

    @api.route("GET", "/now", reply=Health)
    def now(call: Call) -> Health:
        seen.append(call.now_ms)
        return Health(status="ok")

    with wired(Wiring(Settings(), clock=Stopped())):
        get(api, "/v1/worker/now")
    assert seen == [7]


def test_a_crash_is_no_answer() -> None:
    class Crash(BaseException):
        pass

    api = Api("worker", clock=SystemClock())

    @api.route("GET", "/crash", reply=Health)
    def crash(_call: Call) -> Health:
        raise Crash

    with pytest.raises(Crash):
        api.handler(event("GET", "/v1/worker/crash"), Context())
