"""What requesters' clients may do, and what they are refused."""

import json
from typing import Any

import pytest

from functions.import_report.handler import handler as import_report
from smallpeck.runtime.wiring import wired
from smallpeck.tasks.model import BatchState
from tests.functions.requester_tour import use_what_makes_it_easier
from tests.functions.world import Client, Platform, routes_of, stepped
from tests.support import REQUESTER

ROWS = b"id,text\n" + b"".join(b"r%d,text %d\n" % (n, n) for n in range(12)) + b"ragged\n"
BATCH: dict[str, Any] = {
    "title": "Cats and dogs",
    "instructions": "Say what you see.",
    "price": "0.50",
    "answer_schema": {"enum": ["cat", "dog"]},
    "min_answers": 1,
    "max_answers": 1,
    "deadline": "2026-02-01T00:00:00.000Z",
}


def ready(platform: Platform, client: Client, key: str = "b1", **changed: Any) -> str:
    """The id of a batch of twelve tasks, imported."""
    made = client.post("/batches", BATCH | changed, key=key)
    assert made.status == 201, made.text
    assert platform.run_import(platform.upload(made.json["upload"], ROWS))["state"] == "done"
    batch_id: str = made.json["batch"]["batch_id"]
    return batch_id


def published(platform: Platform, client: Client, key: str = "b1", **changed: Any) -> str:
    """The id of a batch that is paid for and offered."""
    batch_id = ready(platform, client, key, **changed)
    assert client.post("/deposits", {"amount": "100.00"}, key=f"d-{key}").status == 201
    assert client.post(f"/batches/{batch_id}/publish", key="p").json["state"] == "active"
    return batch_id


def test_a_requester_uses_every_route(platform: Platform) -> None:
    me = platform.requester()
    assert me.get("/account").json == {"requester_id": REQUESTER, "available": "0.00", "currency": "USD"}
    given = me.post("/deposits", {"amount": "20.00"}, key="d1")
    assert (given.status, given.json["available"]) == (201, "20.00")

    made = me.post("/batches", BATCH, key="b1")
    assert made.status == 201
    batch, form = made.json["batch"], made.json["upload"]
    path = f"/batches/{batch['batch_id']}"
    assert (batch["state"], batch["price"], batch["reward"], batch["fee"]) == ("draft", "0.50", "0.40", "0.10")
    assert form["fields"]["key"] == f"uploads/{REQUESTER}/{batch['batch_id']}/tasks.csv"
    assert (form["max_bytes"], form["expires_at"]) == (1_000_000_000, "2026-01-01T01:00:00.000Z")
    assert me.get(path).json == batch
    assert me.get(f"{path}/import").json["state"] == "waiting"
    other = me.post(f"{path}/upload", {"filename": "more.jsonl"}).json
    assert other["fields"]["key"].endswith("/more.jsonl")

    assert platform.run_import(platform.upload(form, ROWS))["state"] == "done"
    report = me.get(f"{path}/import").json
    assert (report["state"], report["rows_read"], report["rows_accepted"], report["rows_rejected"]) == (
        "done", 13, 12, 1,
    )  # fmt: skip
    assert json.loads(platform.fetch(report["quarantine_url"]))["line"] == 14

    active = me.post(f"{path}/publish", key="p1").json
    assert (active["state"], active["task_count"], active["cost"]) == ("active", 12, "6.00")
    assert me.get("/account").json["available"] == "14.00"
    assert [row["amount"] for row in me.get("/statement").json["rows"]] == ["-6.00", "20.00"]
    assert me.get("/batches").json == {"batches": [active], "next_cursor": None}

    ann = platform.worker("ann")
    ann.submitted(ann.leased(batch_id=batch["batch_id"]))
    platform.deliver()
    assert me.get(f"{path}/progress").json == {
        "state": "active", "task_count": 12, "tasks_closed": 10, "tasks_disputed": 0, "answers_approved": 10,
        "answers_rejected": 0, "answers_leased": 0, "answers_submitted": 0, "answers_in_review": 0,
        "in_work_complete": True, "answers_paid_for": 12, "spent": "5.00", "refund_expected": "0.00",
        "currency": "USD", "median_seconds": 1.1, "expected_end": "2026-01-01T00:00:00.000Z",
    }  # fmt: skip
    tasks = me.get(f"{path}/tasks").json["tasks"]
    assert [one["row_id"] for one in tasks] == [f"r{n}" for n in range(12)]
    done = next(one for one in tasks if one["status"] == "closed")
    assert (done["answer"], done["tied"]) == ("cat", False)
    assert 0.5 < done["confidence"] < 1, "one worker of whom nothing is known"
    assert done["answers"] == [{"worker_id": "ann", "answer": "cat"}]
    assert me.get(f"{path}/tasks/{done['task_id']}").json == done

    assert me.post(f"{path}/close", key="c1").json["state"] == "closing"
    assert [json.loads(one.input)["batch_id"] for one in platform.finishing] == [batch["batch_id"]]
    platform.finish(batch["batch_id"])
    closed = me.get(path).json
    assert (closed["state"], closed["closed_at"]) == ("closed", "2026-01-01T00:00:00.000Z")
    assert me.get("/account").json["available"] == "15.00"
    for form_name in ("csv", "jsonl"):
        link = me.get(f"{path}/results", f"format={form_name}").json
        assert link["format"] == form_name
        assert platform.fetch(link["url"]).count(b"text ") == 12
    assert me.get(f"{path}/quality").json["format"] == "html"

    second = me.post("/batches", BATCH, key="b2").json["batch"]["batch_id"]
    assert me.post(f"/batches/{second}/cancel", key="x1").json["state"] == "cancelled"
    platform.answered |= use_what_makes_it_easier()
    assert platform.answered >= routes_of("requester")


def test_a_request_that_is_sent_again_gives_the_same_answer_and_changes_nothing(platform: Platform) -> None:
    me = platform.requester()
    draft, other = (ready(platform, me, key) for key in ("b1", "b2"))
    requests: list[tuple[str, dict[str, Any]]] = [
        ("/deposits", {"body": {"amount": "50.00"}, "key": "d1"}),
        ("/batches", {"body": BATCH | {"title": "Another"}, "key": "b3"}),
        (f"/batches/{draft}/publish", {"key": "p1"}),
        (f"/batches/{draft}/close", {"key": "c1"}),
        (f"/batches/{other}/cancel", {"key": "x1"}),
    ]
    for path, asked in requests:
        first = me.post(path, **asked)
        assert first.status in (200, 201), first.text
        with platform.unchanged():
            again = me.post(path, **asked)
        assert (again.status, again.json) == (first.status, first.json), path


def test_a_batch_may_be_described_again_with_its_key_long_after_its_deadline(platform: Platform) -> None:
    me = platform.requester()
    first = me.post("/batches", BATCH, key="b1")
    platform.aws.clock.advance(400 * 86_400)
    with platform.unchanged():
        again = me.post("/batches", BATCH, key="b1")
    assert (again.status, again.json["batch"]) == (201, first.json["batch"])


@pytest.mark.parametrize(
    ("changed", "code", "pointer"),
    [
        ({"price": "0"}, "bad_amount", "/price"),
        ({"price": "0.0000001"}, "bad_amount", "/price"),
        ({"min_answers": 4, "max_answers": 3}, "invalid", "/min_answers"),
        ({"max_answers": 101}, "invalid", "/max_answers"),
        ({"page_size": 51}, "invalid", "/page_size"),
        ({"lease_seconds": 59}, "invalid", "/lease_seconds"),
        ({"kind": "poem"}, "invalid", "/kind"),
        ({"title": ""}, "invalid", "/title"),
        ({"answer_schema": {"type": "texts"}}, "bad_schema", "/answer_schema/type"),
        ({"answer_schema": {"$ref": "#"}}, "bad_schema", "/answer_schema/$ref"),
        ({"task_schema": {"pattern": "(a+)+"}}, "bad_schema", "/task_schema/pattern"),
        ({"filename": "../tasks.csv"}, "invalid", "/filename"),
        ({"filename": "tasks.exe"}, "invalid", "/filename"),
        ({"deadline": "2026-01-01T00:00:00Z"}, "bad_moment", "/deadline"),
        ({"countries": ["Kenya"]}, "invalid", "/countries/0"),
        ({"countries": ["KE", "XX"]}, "invalid", "/countries/1"),
        ({"languages": ["English"]}, "invalid", "/languages/0"),
    ],
)
def test_a_batch_that_may_not_be(platform: Platform, changed: dict[str, Any], code: str, pointer: str) -> None:
    told = platform.requester().refused("POST", "/batches", 422, code, body=BATCH | changed, key="b1").json
    assert [one["pointer"] for one in told["errors"]] == [pointer]


def test_what_a_batch_in_another_state_refuses(platform: Platform) -> None:
    me = platform.requester()
    draft = me.post("/batches", BATCH, key="draft").json["batch"]["batch_id"]
    for action in ("publish", "close"):
        me.refused("POST", f"/batches/{draft}/{action}", 409, "wrong_batch_state", key="k")
    me.refused("GET", f"/batches/{draft}/results", 409, "no_results_yet")
    full = ready(platform, me)
    me.refused("POST", f"/batches/{full}/upload", 409, "wrong_batch_state", body={})
    me.refused("POST", f"/batches/{full}/publish", 409, "insufficient_funds", key="k")
    me.refused("GET", f"/batches/{full}/tasks/t{'0' * 23}", 404, "task_not_found")
    me.refused("GET", f"/batches/{full}/tasks/r1", 404, "task_not_found")
    me.refused("GET", f"/batches/{full}/results", 422, "invalid", query="format=xml")
    for action in ("publish", "close", "cancel", "upload"):
        me.refused("POST", f"/batches/nothing/{action}", 404, "batch_not_found", key="k", body={})


def test_a_batch_that_is_being_imported_can_be_neither_published_nor_cancelled(platform: Platform) -> None:
    me = platform.requester()
    made = me.post("/batches", BATCH, key="b1").json
    stepped(import_report, {"step": "begin", **platform.upload(made["upload"], ROWS)})
    for action in ("publish", "cancel", "close", "upload"):
        me.refused("POST", f"/batches/{made['batch']['batch_id']}/{action}", 409, "wrong_batch_state", key="k", body={})


def test_a_page_that_could_be_too_large_is_not_published(platform: Platform) -> None:
    me = platform.requester()
    made = me.post("/batches", BATCH | {"page_size": 50}, key="b1").json
    platform.run_import(platform.upload(made["upload"], b"id,text\nr0," + b"x" * 2_000 + b"\n"))
    me.post("/deposits", {"amount": "10.00"}, key="d1")
    path = f"/batches/{made['batch']['batch_id']}/publish"
    told = me.refused("POST", path, 422, "invalid", key="k").json
    assert [one["pointer"] for one in told["errors"]] == ["/page_size"]


def test_a_deadline_that_passed_before_publishing(platform: Platform) -> None:
    me = platform.requester()
    batch_id = ready(platform, me)
    me.post("/deposits", {"amount": "10.00"}, key="d1")
    platform.aws.clock.advance(31 * 86_400)
    told = me.refused("POST", f"/batches/{batch_id}/publish", 422, "invalid", key="k").json
    assert [one["pointer"] for one in told["errors"]] == ["/deadline"]


def test_test_money_has_a_limit_and_is_for_stages_without_real_money() -> None:
    for stage, amount, status, code in (
        ("local", "100.01", 422, "deposit_too_large"),
        ("prod", "1.00", 403, "test_deposits_closed"),
        ("prod", "100.01", 403, "test_deposits_closed"),
    ):
        platform = Platform(stage=stage, max_deposit_micros=100_000_000)
        with wired(platform.wiring):
            platform.requester().refused("POST", "/deposits", status, code, body={"amount": amount}, key="d1")


def test_the_fee_of_the_installation_is_inside_the_price() -> None:
    platform = Platform(fee_basis_points=4_000)
    with wired(platform.wiring):
        batch = platform.requester().post("/batches", BATCH | {"price": "0.333333"}, key="b1").json["batch"]
    assert (batch["price"], batch["reward"], batch["fee"]) == ("0.333333", "0.20", "0.133333")


def test_lists_go_on_where_their_cursor_says(platform: Platform) -> None:
    me = platform.requester()
    batch_id = ready(platform, me)
    for n in range(6):
        platform.aws.clock.advance(n % 2)  # some in the same millisecond
        assert me.post("/batches", BATCH, key=f"more {n}").status == 201
        assert me.post("/deposits", {"amount": "1.00"}, key=f"d{n}").status == 201
    lists = (("/batches", "batches", 7), ("/statement", "rows", 6), (f"/batches/{batch_id}/tasks", "tasks", 12))
    for path, name, count in lists:
        whole = me.everything(path, name)
        assert len(whole) == count
        for limit in (1, 2, 3, count):
            assert me.everything(path, name, limit=limit) == whole
    made = [one["created_at"] for one in me.everything("/batches", "batches")]
    assert made == sorted(made, reverse=True)


def test_a_cancelled_batch_pays_what_was_answered_and_refunds_the_rest(platform: Platform) -> None:
    me = platform.requester()
    batch_id = published(platform, me)
    ann = platform.worker("ann")
    page = ann.leased(batch_id=batch_id)
    ann.submitted(page)
    assert me.post(f"/batches/{batch_id}/cancel", key="x").json["state"] == "closing"
    # Whoever asks first decides how it ends.
    assert me.post(f"/batches/{batch_id}/close", key="c").json["state"] == "closing"
    platform.deliver()
    platform.finish(batch_id, final="closed")
    assert me.get(f"/batches/{batch_id}").json["state"] == BatchState.CANCELLED
    assert me.get("/account").json["available"] == "95.00"
    assert ann.get("/balance").json["available"] == "4.00"
    assert platform.fetch(me.get(f"/batches/{batch_id}/results").json["url"]).count(b"cat") >= 10


def test_a_batch_that_was_cancelled_before_it_was_published_costs_nothing(platform: Platform) -> None:
    me = platform.requester()
    batch_id = ready(platform, me)
    assert me.post(f"/batches/{batch_id}/cancel", key="x").json["state"] == "cancelled"
    assert platform.finishing == []
    with platform.unchanged():
        assert me.post(f"/batches/{batch_id}/cancel", key="y").json["state"] == "cancelled"
    me.refused("GET", f"/batches/{batch_id}/results", 409, "no_results_yet")
    platform.worker().refused("GET", f"/batches/{batch_id}", 404, "batch_not_found")
