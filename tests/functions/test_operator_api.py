"""What operators' clients may do, and what they are refused."""

import json

import pytest

from tests.functions.world import APIS, MACHINES, ROUTES, Platform, routes_of
from tests.gateway import ask, claims, event


def started(platform: Platform, machine: str) -> list[tuple[str, object]]:
    found = [one for one in platform.aws.sfn.executions if one.state_machine == MACHINES[machine]]
    return [(one.name, json.loads(one.input)) for one in found]


def test_an_operator_uses_every_route(platform: Platform) -> None:
    op = platform.operator()
    platform.world.deposit(5_000_000)

    asked = op.post("/audits", key="a1")
    audit_id = asked.json["audit_id"]
    assert (asked.status, asked.json["state"], asked.json["books_balanced"]) == (202, "running", None)
    assert started(platform, "books_audit") == [(audit_id, {"audit_id": audit_id})]
    assert op.get(f"/audits/{audit_id}").json == asked.json
    platform.audit(audit_id)
    found = op.get(f"/audits/{audit_id}").json
    assert (found["state"], found["books_balanced"], found["entries"], found["differences"]) == (
        "finished", True, 1, [],
    )  # fmt: skip
    assert {"USD": "5.00"} in found["totals"].values()

    run = op.post("/payout-runs", {"rounds": 2, "first_wait_seconds": 5}, key="r1")
    run_id = run.json["run_id"]
    assert (run.status, run.json["state"], run.json["members"]) == (202, "collecting", 0)
    assert started(platform, "payout_run") == [(run_id, {"run_id": run_id})]
    assert op.get(f"/payout-runs/{run_id}").json == run.json

    booked = {"bank_entry_id": "e1", "reference": "", "amount": "5.00"}
    held = op.post("/bank-credits", booked, key="b1").json["suspense_id"]
    assert [one["suspense_id"] for one in op.get("/suspense").json["suspense"]] == [held]
    assert op.post(f"/suspense/{held}/resolution", {"requester_id": "r1"}, key="s1").json["state"] == "assigned"

    assert platform.answered == routes_of("operator")


@pytest.mark.parametrize(("path", "body"), [("/audits", {}), ("/payout-runs", {"rounds": 3})])
def test_a_request_that_is_sent_again_gives_the_same_answer_and_changes_nothing(
    platform: Platform, path: str, body: dict[str, int]
) -> None:
    op = platform.operator()
    first = op.post(path, body, key="k1")
    platform.aws.clock.advance(3_600)
    with platform.unchanged():
        assert op.post(path, body, key="k1").json == first.json
    assert op.post(path, body, key="k2").json != first.json
    assert platform.operator("another").post(path, body, key="k1").json != first.json


def test_what_may_not_be(platform: Platform) -> None:
    op = platform.operator()
    op.refused("GET", "/audits/nothing", 404, "audit_not_found")
    op.refused("GET", "/payout-runs/nothing", 404, "run_not_found")
    op.post("/payout-runs", {"rounds": 3}, key="r1")
    op.refused("POST", "/payout-runs", 422, "idempotency_mismatch", body={"rounds": 4}, key="r1")
    op.refused("POST", "/payout-runs", 422, "invalid", body={"rounds": 21}, key="r2")
    op.refused("POST", "/payout-runs", 422, "invalid", body={"first_wait_seconds": 0}, key="r2")
    op.refused("POST", "/audits", 400, "idempotency_key_required")


@pytest.mark.parametrize("role", ["worker", "requester"])
def test_nobody_else_is_let_in(platform: Platform, role: str) -> None:
    other = platform.client(role, "somebody")
    for audience, route in ROUTES:
        if audience != "operator":
            continue
        asked = event(route.method, route.path, key="k", body={}, token=claims(other.user, f"[{role}]"))
        with platform.unchanged():
            answer = ask(APIS["operator"].handler, asked)
        assert (answer.status, answer.json["code"]) == (403, "wrong_role")
