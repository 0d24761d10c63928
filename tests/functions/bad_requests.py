"""Rows 1 to 38, and those without a number: what the API refuses, at its real routes."""

import json
from functools import partial
from typing import Any

import pytest

from smallpeck.runtime.cursors import Scope
from smallpeck.runtime.requests import MAX_BODY_BYTES
from smallpeck.runtime.wiring import wired
from smallpeck.tasks.model import BatchState
from tests.aws import Crash, Fault, Plan
from tests.aws.schedule import interleave
from tests.functions.bad_inputs import (
    BATCH,
    BODIES,
    DESTINATION,
    DOLLAR,
    USERS,
    Row,
    amount,
    any_route,
    every_route,
    inside,
    on_every,
    on_every_path,
    raw,
    stage,
    with_body,
    with_key,
    with_list,
    with_path,
)
from tests.functions.world import ROUTES, Platform, answers_to
from tests.gateway import claims

MONEY = {
    "POST /v1/worker/pages",
    "POST /v1/worker/payouts",
    "POST /v1/requester/deposits",
    "POST /v1/requester/batches",
    "POST /v1/requester/batches/{batch_id}/publish",
    "POST /v1/requester/batches/{batch_id}/close",
    "POST /v1/requester/batches/{batch_id}/cancel",
    "POST /v1/requester/batches/{batch_id}/pause",
    "POST /v1/requester/batches/{batch_id}/resume",
    "POST /v1/requester/batches/{batch_id}/extend",
    "POST /v1/requester/batches/{batch_id}/exports",
    "POST /v1/requester/batches/{batch_id}/decisions",
    "POST /v1/operator/audits",
    "POST /v1/operator/payout-runs",
}
"""Routes that make or move something that cannot be told apart by its path."""


def padded(body: Any) -> str:
    text = json.dumps(body)
    return text + " " * (MAX_BODY_BYTES + 1 - len(text))


def spliced(text: str) -> Any:
    """Puts a member in front of what a body holds."""

    def make(body: Any) -> str:
        rest = json.dumps(body)[1:]
        return "{" + text + ("," if body else "") + rest

    return make


def other_content_type(platform: Platform) -> None:
    for given in ("text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", ""):
        for client, route, path, asked in every_route(platform, with_body):
            told = {"headers": {"content-type": given}}
            client.refused(route.method, path, 415, "unsupported_media_type", **asked, **told, raw="{}")


def decimals(path: str) -> str:
    return "0.0000001" if path == "/batches" else "5.001"


def earned(platform: Platform) -> Any:
    """Ann, with 6.00 and a first destination."""
    platform.world.active(10, **DOLLAR)
    ann = platform.worker("ann")
    ann.submitted(ann.leased())
    platform.deliver()
    ann.put("/payout-destination", DESTINATION)
    return ann


def another_body(platform: Platform) -> None:
    platform.world.active(10, batch_id="b2")
    ann, me, op = earned(platform), platform.requester(), platform.operator()
    for client, path, first, second in (
        (ann, "/pages", {"batch_id": "b2"}, {"batch_id": "b1"}),
        (ann, "/pages", {"batch_id": "b2"}, {"batch_id": "b2", "tasks": ["t1"]}),
        (ann, "/payouts", {"amount": "5.00"}, {"amount": "5.01"}),
        (me, "/deposits", {"amount": "5.00"}, {"amount": "5.01"}),
        (me, "/deposits", {"amount": "5.00"}, {"amount": "5.00", "currency": "EUR"}),
        (me, "/batches", BATCH, BATCH | {"price": "0.51"}),
        (op, "/payout-runs", {}, {"rounds": 1}),
    ):
        assert client.post(path, first, key="one key").status < 300
        client.refused("POST", path, 422, "idempotency_mismatch", body=second, key="one key")


def in_progress(platform: Platform) -> None:
    platform.world.active(10)
    ann = platform.worker("ann")
    with platform.aws.faults.planned(Plan(Fault.CRASH_BEFORE, at="@_claim")), pytest.raises(Crash):
        ann.post("/pages", {"batch_id": "b1"}, key="k1")
    platform.aws.clock.advance(14)
    told = ann.refused("POST", "/pages", 409, "in_progress", body={"batch_id": "b1"}, key="k1")
    assert told.headers["retry-after"] == "2"
    platform.aws.clock.advance(1)
    assert len(ann.leased("k1")["assignments"]) == 10


def same_answer(platform: Platform) -> None:
    ann, me, op = earned(platform), platform.requester(), platform.operator()
    platform.world.active(10, batch_id="b2")
    platform.world.ready(1, batch_id="b3")
    for client, path, body in (
        (ann, "/pages", {"batch_id": "b2"}),
        (ann, "/payouts", {}),
        (me, "/deposits", {"amount": "5.00"}),
        (me, "/batches", BATCH),
        (me, "/batches/b3/publish", {}),
        (me, "/batches/b2/close", {}),
        (op, "/audits", {}),
        (op, "/payout-runs", {}),
    ):
        first = client.post(path, body, key="one key")
        assert first.status < 300, first.text
        with platform.unchanged():
            again = client.post(path, body, key="one key")
        assert (again.status, again.json) == (first.status, first.json)


def independent(platform: Platform) -> None:
    platform.world.active(10)
    pages = {platform.worker(name).leased("one key")["page_id"] for name in ("ann", "bob")}
    requesters = [platform.requester(name) for name in ("r1", "r2")]
    batches = {one.post("/batches", BATCH, key="one key").json["batch"]["batch_id"] for one in requesters}
    for one in requesters:
        assert one.post("/deposits", {"amount": "5.00"}, key="one key").json["available"] == "5.00"
    runs = {platform.operator(name).post("/payout-runs", {}, key="one key").json["run_id"] for name in ("o1", "o2")}
    assert [len(found) for found in (pages, batches, runs)] == [2, 2, 2]


def forged(platform: Platform) -> None:
    for client, route, path, _ in every_route(platform, with_list):
        sign = platform.wiring.cursors.sign
        wrong = (
            "AAAA",
            sign("1", Scope("somebody else", route.name)),
            sign("1", Scope(client.user, "GET /v1/worker/nothing")),
            sign("1", Scope(client.user, route.name, {"currency": "EUR", "batch_id": "b9"})),
            f"{sign('1', Scope(client.user, route.name))}A",
        )
        for cursor in wrong:
            client.refused(route.method, path, 400, "bad_cursor", query=f"cursor={cursor}")


def another_s_cursor(platform: Platform) -> None:
    """A cursor that was given to one caller, for one list, is no cursor of another's or of another list."""
    owner, other = platform.requester("r1"), platform.requester("r2")
    for client in (owner, other):
        for key in ("k1", "k2"):
            client.post("/batches", BATCH, key=key)
            client.post("/deposits", {"amount": "1.00"}, key=key)
    for path in ("/batches", "/statement"):
        given = owner.get(path, "limit=1").json["next_cursor"]
        assert owner.get(path, f"limit=1&cursor={given}").status == 200
        other.refused("GET", path, 400, "bad_cursor", query=f"cursor={given}")
        elsewhere = "/statement" if path == "/batches" else "/batches"
        owner.refused("GET", elsewhere, 400, "bad_cursor", query=f"cursor={given}")
    owner.refused("GET", "/statement", 400, "bad_cursor", query=f"currency=EUR&cursor={given}")


def no_limit(platform: Platform) -> None:
    for client, route, path, _ in every_route(platform, with_list):
        for limit in ("0", "-1", "1e9", "1000000000", "101", "1.0", ""):
            client.refused(route.method, path, 422, "invalid", query=f"limit={limit}")


def other_method(platform: Platform) -> None:
    for client, route, path, _ in every_route(platform, any_route):
        for unknown in ("DELETE", "PATCH", "BREW"):
            told = client.refused(unknown, path, 405, "method_not_allowed")
            assert route.method in told.headers["allow"]


def over(platform: Platform) -> None:
    """Submitting to, or leasing, what is over."""
    batch = platform.world.active(10, named=True, min_answers=1, max_answers=1)
    ann, bob = platform.worker("ann"), platform.worker("bob")
    page = ann.leased()
    full = [page["assignments"][0]["task_id"]]
    bob.refused("POST", "/pages", 409, "tasks_not_offered", body={"batch_id": "b1", "tasks": full}, key="k")
    platform.aws.clock.advance(batch.lease_seconds)
    ann.refused("POST", f"/pages/{page['page_id']}/submission", 409, "lease_expired", body=answers_to(page))
    bob.submitted(bob.leased("k2"))
    platform.deliver()
    platform.finish()
    assert platform.world.batch().state is BatchState.CLOSED
    ann.refused("POST", f"/pages/{page['page_id']}/submission", 409, "lease_expired", body=answers_to(page))
    ann.refused("POST", "/pages", 409, "batch_not_active", body={"batch_id": "b1"}, key="k3")


def without_a_lease(platform: Platform) -> None:
    """Another's page is as absent as one that never was: 404, which goes before this row's 403."""
    platform.world.active(20)
    ann, bob = platform.worker("ann"), platform.worker("bob")
    page = ann.leased()
    path = f"/pages/{page['page_id']}"
    bob.refused("POST", f"{path}/submission", 404, "page_not_found", body=answers_to(page))
    bob.refused("POST", f"{path}/return", 404, "page_not_found")
    own = bob.leased()
    bob.refused("POST", f"/pages/{own['page_id']}/submission", 422, "invalid", body=answers_to(page) | {"x": 1})
    ann.post(f"{path}/return")
    ann.refused("POST", f"{path}/submission", 409, "page_not_leased", body=answers_to(page))


def same_page(platform: Platform) -> None:
    platform.world.active(40)
    ann = platform.worker("ann")
    page = ann.leased("k1")
    with platform.unchanged():
        assert ann.leased("k1") == page
    assert ann.leased("k2")["page_id"] != page["page_id"]
    ann.submitted(page)
    platform.deliver()
    platform.aws.clock.advance(30 * 86_400)
    again = ann.post("/pages", {"batch_id": "b1"}, key="k1").json["page"]
    assert (again["page_id"], again["state"]) == (page["page_id"], "decided")


def too_much(platform: Platform) -> None:
    ann = earned(platform)
    ann.refused("POST", "/payouts", 409, "insufficient_funds", body={"amount": "6.01"}, key="p")
    assert ann.post("/payouts", {"amount": "6.00"}, key="p").status == 201
    ann.refused("POST", "/payouts", 409, "insufficient_funds", body={"amount": "5.00"}, key="p2")


def two_at_once(_platform: Platform) -> None:
    """Whatever the order of their calls, one is paid; and the same request twice is one payout."""
    for amount_given in ({"amount": "6.00"}, {}):
        for seed in range(12):
            for keys, outcome in ((("p1", "p2"), [201, 409]), (("p1", "p1"), [201, 201])):
                platform = Platform()
                with wired(platform.wiring):
                    ann = earned(platform)
                    flows = [partial(ann.post, "/payouts", amount_given, key=key) for key in keys]
                    answers = interleave(platform.aws.faults, flows, seed).check().results.values()
                    assert sorted(one.status for one in answers) == outcome, [one.text for one in answers]
                    refused = [one.json["code"] for one in answers if one.status == 409]
                    assert refused in ([], ["insufficient_funds"], ["below_threshold"])
                    assert ann.get("/balance").json["available"] == "0.00"
                    assert len(ann.get("/payouts").json["payouts"]) == 1


def changed_destination(platform: Platform) -> None:
    ann = earned(platform)
    ann.put("/payout-destination", DESTINATION | {"address": "another@example.com"})
    for seconds, left in ((0, "259200"), (259_199, "1")):
        platform.aws.clock.advance(seconds)
        told = ann.refused("POST", "/payouts", 403, "destination_cooling_off", body={}, key="p")
        assert told.headers["retry-after"] == left
    platform.aws.clock.advance(1)
    assert ann.post("/payouts", {}, key="p").status == 201


def cancelled_with_pages_pending(platform: Platform) -> None:
    world = platform.world
    batch = world.active(30)
    ann, bob, me = platform.worker("ann"), platform.worker("bob"), platform.requester()
    ann.submitted(ann.leased())
    held = bob.leased()
    assert me.post("/batches/b1/cancel", key="x").json["state"] == "closing"
    platform.step("begin", "b1", final="cancelled")
    assert platform.step("recount", "b1")["ready"] is False
    assert me.get("/account").json["available"] == "0.00"
    bob.submitted(held)
    platform.deliver()
    platform.finish()
    assert world.batch().state is BatchState.CANCELLED
    assert (world.earned("ann"), world.earned("bob")) == (3_000_000, 3_000_000)
    assert me.get("/account").json["available"] == "35.00"
    assert batch.cost_micros == 45_000_000


def another_s_object(platform: Platform) -> None:
    for client, route, path, asked in every_route(platform, with_path):
        if client.audience == "operator" or route.path == "/v1/worker/batches/{batch_id}":
            continue  # operators own nothing; an offered batch is everybody's
        method = route.method
        other = platform.client(client.audience, "somebody-else")
        answers = {"answers": [{"task_id": "t", "answer": "cat"}]}
        body = answers if path.endswith("/submission") else BODIES.get(route.name, {})
        given = {} if method == "GET" else {"body": body}
        answer = other.ask(method, path, **asked, **given)
        assert answer.status == 404, (path, answer.text)
        other.refused(method, path, 404, answer.json["code"], **asked, **given)
        absent = other.ask(method, path.replace(path.split("/")[2], "absent"), **asked, **given)
        assert (absent.status, absent.json["detail"]) == (404, answer.json["detail"])


def id_token(platform: Platform) -> None:
    for client, route, path, asked in every_route(platform, any_route):
        for token in (claims(client.user, f"[{client.audience}]", token_use="id"), {}):
            told = client.refused(route.method, path, 401, "access_token_required", **asked, token=token)
            assert told.headers["www-authenticate"].startswith("Bearer")


def wrong_role(platform: Platform) -> None:
    for client, route, path, asked in every_route(platform, any_route):
        others = (f"[{name}]" for name in USERS if name != client.audience)
        for groups in (None, "[]", f"[{client.audience}s]", *others):
            client.refused(route.method, path, 403, "wrong_role", **asked, token=claims(client.user, groups))


def missing_key(platform: Platform) -> None:
    assert {route.name for _, route in ROUTES if with_key(route)} >= MONEY
    for client, route, path, _ in every_route(platform, with_key):
        client.refused(route.method, path, 400, "idempotency_key_required")


def deadline(*moments: str) -> Any:
    def run(platform: Platform) -> None:
        stage(platform)
        for moment in moments:
            body = BATCH | {"deadline": moment}
            answer = platform.requester().ask("POST", "/batches", body=body, key="k")
            code = answer.json["code"]
            assert code in ("invalid", "bad_moment"), answer.text
            told = platform.requester().refused("POST", "/batches", 422, code, body=body, key="k").json
            assert [one["pointer"] for one in told["errors"]] == ["/deadline"]

    return run


ROWS = [
    on_every(1, "no body", with_body, status=400, code="body_required"),
    raw(1, "an empty body", "", status=400, code="body_required"),
    raw(1, "a body of blanks", " \n", status=400, code="body_required"),
    raw(2, "not JSON", "{amount: 1}", status=400, code="bad_json"),
    raw(2, "JSON that is cut off", '{"amount": "1', status=400, code="bad_json"),
    raw(3, "an array for the object", "[]", status=422, code="invalid"),
    raw(3, "a string for the object", '"x"', status=422, code="invalid"),
    inside(4, "a member twice", spliced('"x": 1, "x": 2'), status=400, code="bad_json"),
    inside(4, "a member twice, inside", spliced('"x": {"y": 1, "y": 2}'), status=400, code="bad_json"),
    inside(5, "NaN", spliced('"x": NaN'), status=400, code="bad_json"),
    inside(5, "Infinity", spliced('"x": -Infinity'), status=400, code="bad_json"),
    inside(5, "a number beyond floats", spliced('"x": 1e999'), status=400, code="bad_json"),
    amount(6, "a float", 5.5),
    amount(6, "a whole number", 5),
    amount(7, "negative", "-5.00"),
    amount(8, "zero", "0"),
    amount(8, "zero with decimals", "0.00"),
    amount(9, "1e30", "1e30"),
    amount(9, "2 to the 63rd", str(2**63)),
    amount(9, "a thousand million and a bit", "1000000000.01"),
    amount(10, "more decimals than the field allows", decimals),
    amount(11, "JPY with decimals", "500.5", currency="JPY"),
    amount(12, "an unknown currency", "5.00", currency="XXX", at_currency=True),
    amount(12, "a currency in lower case", "5.00", currency="usd", at_currency=True),
    inside(13, "a field that is not known", spliced('"surprise": 1'), status=422, code="invalid"),
    Row(14, "no Idempotency-Key", missing_key),
    on_every(15, "a key of 256 characters", with_key, status=400, code="bad_idempotency_key", key="k" * 256),
    on_every(15, "a key with a control character", with_key, status=400, code="bad_idempotency_key", key="a\x1fb"),
    on_every(15, "a key with a line end", with_key, status=400, code="bad_idempotency_key", key="a\n"),
    Row(16, "the same key with another body", another_body),
    Row(17, "the same key while the request is worked on", in_progress),
    Row(18, "the same key after success", same_answer),
    Row(19, "the same key of another user", independent),
    raw(20, "invalid UTF-8", b'{"x": "\xff"}', status=400, code="bad_json"),
    inside(20, "a lone surrogate", spliced('"x": "\\ud800"'), status=400, code="bad_json"),
    on_every_path(21, "NUL in an id", "a%00b", status=422, code="bad_id"),
    on_every_path(22, "# in an id", "a%23b", status=422, code="bad_id"),
    on_every_path(23, "path traversal", "..%2f..%2foperator%2faudits", status=404, code="no_such_path"),
    on_every_path(23, "dot segments", "../x", status=404, code="no_such_path"),
    Row(24, "a forged cursor", forged),
    Row(24, "another's cursor", another_s_cursor),
    Row(25, "a limit out of range", no_limit),
    raw(26, "one byte too many", padded({}), status=413, code="too_large"),
    raw(26, "one byte too many, as bytes", padded({}).encode(), status=413, code="too_large"),
    raw(27, "depth 1,000", '{"x":' * 1_000 + "1" + "}" * 1_000, status=400, code="bad_json"),
    raw(27, "depth 100,000, never closed", "[" * 100_000, status=400, code="bad_json"),
    Row(28, "another content type", other_content_type),
    Row(29, "an unknown method", other_method),
    Row(30, "a closed, expired or full task", over),
    Row(31, "without a lease, or on another's", without_a_lease),
    Row(32, "a lease with the same key", same_page),
    Row(34, "withdrawing more than the balance", too_much),
    Row(35, "two withdrawals at once", two_at_once),
    Row(36, "a destination that was changed in the last 72 hours", changed_destination),
    Row(37, "cancelling with submissions pending", cancelled_with_pages_pending),
    Row(38, "a deadline in the past", deadline("2025-12-31T23:59:59Z", "2026-01-01T00:00:00Z", "1970-01-01T00:00:00Z")),
    Row(38, "a deadline in the year 9999", deadline("9999-12-31T23:59:59Z", "2031-02-01T00:00:00Z")),
    Row(38, "a deadline that is none", deadline("2026-02-30T00:00:00Z", "2026-02-03T00:00:00", "tomorrow")),
    Row(0, "another's object", another_s_object),
    Row(0, "an ID token, or none", id_token),
    Row(0, "a role that may not", wrong_role),
]
