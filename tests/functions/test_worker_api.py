"""What workers' clients may do, and what they are refused."""

from typing import Any

import pytest

from smallpeck.kernel.clock import to_rfc3339
from smallpeck.ledger.verifying import sealed_and_not, verify
from smallpeck.tasks.model import BatchState
from tests.functions.world import Client, Platform, answers_to, routes_of
from tests.support import REQUESTER

DOLLAR: dict[str, Any] = {"price_micros": 1_000_000, "reward_micros": 600_000, "fee_micros": 400_000}
ADDRESS = "ann@example.com"
DESTINATION = {"rail": "gateway", "address": ADDRESS}


def earn(platform: Platform, worker: str = "ann", batch_id: str = "b1") -> Client:
    """A worker with 6.00."""
    platform.world.active(10, batch_id=batch_id, **DOLLAR)
    client = platform.worker(worker)
    client.submitted(client.leased(f"earn-{batch_id}", batch_id))
    platform.deliver()
    return client


def test_a_worker_uses_every_route(platform: Platform) -> None:
    platform.world.active(20, **DOLLAR)
    ann = platform.worker("ann")
    assert ann.get("/healthz", token={}).json == {"status": "ok"}

    fresh = ann.get("/profile").json
    manual = {"worker_id": "ann", "automatic_payouts": False}
    assert fresh == manual | {"country": None, "languages": [], "payout_threshold": "5.00"}
    said = ann.put("/profile", {"country": "KE", "languages": ["sw", "en"], "payout_threshold": "5.50"}).json
    assert said == manual | {"country": "KE", "languages": ["en", "sw"], "payout_threshold": "5.50"}
    assert ann.get("/profile").json == said

    (offered,) = ann.get("/batches").json["batches"]
    assert (offered["batch_id"], offered["reward"], offered["currency"]) == ("b1", "0.60", "USD")
    assert ann.get("/batches/b1").json == offered

    leased = ann.post("/pages", {"batch_id": "b1"}, key="k1")
    assert (leased.status, leased.json["retry_after_seconds"]) == (201, None)
    page = leased.json["page"]
    assert [(one["state"], one["input"]) for one in page["assignments"]] == [("leased", {"n": 1})] * 10
    assert ann.get(f"/pages/{page['page_id']}").json == page
    other = ann.leased("k2")
    assert [one["page_id"] for one in ann.get("/pages").json["pages"]] == sorted(
        (page["page_id"], other["page_id"]), reverse=True
    )

    returned = ann.post(f"/pages/{other['page_id']}/return")
    assert (returned.status, returned.json["state"]) == (200, "returned")
    assert {(one["state"], one["input"]) for one in returned.json["assignments"]} == {("returned", None)}

    accepted = ann.submitted(page)
    assert (accepted["state"], accepted["credited"], accepted["decided_at"]) == ("submitted", "0.00", None)
    assert ann.get(f"/pages/{page['page_id']}/submission").json.items() <= accepted.items()
    platform.deliver()
    decided = ann.get(f"/pages/{page['page_id']}/submission").json
    assert (decided["state"], decided["credited"], decided["currency"]) == ("decided", "6.00", "USD")
    assert {one["state"] for one in decided["assignments"]} == {"approved"}
    assert {one["credited"] for one in ann.get("/pages").json["pages"]} == {None, "6.00"}
    assert ann.get("/balance").json == {"available": "6.00", "currency": "USD"}
    (row,) = ann.get("/statement").json["rows"]
    assert (row["kind"], row["amount"], row["balance"], row["reference"]) == ("credit", "6.00", "6.00", page["page_id"])

    there = ann.put("/payout-destination", DESTINATION).json
    assert there == {"rail": "gateway", "address_masked": "a…om", "changed_at": None}
    assert ann.get("/payout-destination").json == there
    assert ann.get("/earnings").json["credited"] == "6.00"
    assert ann.get("/payout-quote", "amount=5.99").json["arrives"] == "5.99"
    asked = ann.post("/payouts", {"amount": "5.99"}, key="p1")
    assert asked.status == 201
    assert (asked.json["amount"], asked.json["state"], asked.json["rail"]) == ("5.99", "requested", "gateway")
    assert ann.get(f"/payouts/{asked.json['payout_id']}").json == asked.json
    assert ann.get("/payouts").json == {"payouts": [asked.json], "next_cursor": None}
    assert ann.get("/balance").json["available"] == "0.01"

    proven(platform, ann)
    assert platform.answered == routes_of("worker")


def proven(platform: Platform, client: Client) -> None:
    """The statement of a worker, checked by what anybody may fetch."""
    assert client.get("/v1/root", token={}).json["code"] == "root_not_found"
    platform.aws.clock.advance(86_400)
    sealed = platform.seal(to_rfc3339(platform.world.now_ms))
    assert (sealed["unchanged"], sealed["differences"]) == (True, 0)
    assert platform.seal(to_rfc3339(platform.world.now_ms))["sealed"]
    document, root = client.get("/statement.json").json, client.get("/v1/root", token={}).json
    keys = client.get("/v1/keys", token={}).json["keys"]
    assert (sealed_and_not(document), verify(document, roots=[root], keys=keys)) == ((2, 0), [])
    assert client.get("/v1/root", f"day={root['record']['day']}", token={}).json == root
    assert client.get("/v1/root", "day=2001-01-01", token={}).status == 404
    told = [(row["seq"], row["entry_id"]) for row in reversed(client.get("/statement").json["rows"])]
    assert [(row["seq"], row["entry_id"]) for row in document["rows"]] == told
    first = client.get("/statement.json", "limit=1").json
    second = client.get("/statement.json", f"limit=1&after_seq={first['period']['last_seq']}").json
    assert [*first["rows"], *second["rows"]] == document["rows"]
    assert (first["period"]["more"], second["period"]["more"]) == (True, False)


def test_a_request_that_is_sent_again_gives_the_same_answer_and_changes_nothing(platform: Platform) -> None:
    ann = earn(platform)
    platform.world.active(10, batch_id="b2")
    ann.put("/payout-destination", DESTINATION)
    page = ann.leased("k1", "b2")
    platform.world.active(10, batch_id="b3")
    back, sent = ann.leased("k2", "b3"), answers_to(page)
    requests: list[tuple[str, str, dict[str, Any]]] = [
        ("PUT", "/profile", {"body": {"country": "KE"}}),
        ("POST", "/pages", {"body": {"batch_id": "b2"}, "key": "k1"}),
        ("POST", f"/pages/{back['page_id']}/return", {}),
        ("PUT", "/payout-destination", {"body": DESTINATION}),
        ("POST", "/payouts", {"body": {}, "key": "p1"}),
    ]
    for method, path, asked in requests:
        first = ann.ask(method, path, **asked)
        platform.aws.clock.advance(60)
        with platform.unchanged():
            again = ann.ask(method, path, **asked)
        assert (again.status, again.json) == (first.status, first.json), path
    accepted = ann.post(f"/pages/{page['page_id']}/submission", sent)
    platform.deliver()
    platform.aws.clock.advance(86_400)
    with platform.unchanged():
        again = ann.post(f"/pages/{page['page_id']}/submission", sent)
    assert (accepted.status, accepted.json["state"], again.status, again.json["state"]) == (
        202, "submitted", 202, "decided",
    )  # fmt: skip


def test_the_same_answers_before_the_grader_came_nudge_it_again(platform: Platform) -> None:
    platform.world.active(10)
    ann = platform.worker()
    page = ann.leased()
    assert ann.submitted(page) == ann.submitted(page)
    assert platform.queued == [f'{{"v":1,"page_id":"{page["page_id"]}"}}'] * 2


def test_a_worker_who_gets_no_page_is_told_when_to_ask_again(platform: Platform) -> None:
    platform.world.active(10, min_answers=1, max_answers=1)
    platform.worker("ann").leased()
    answer = platform.worker("bob").post("/pages", {"batch_id": "b1"}, key="k1")
    assert (answer.status, answer.json) == (200, {"page": None, "retry_after_seconds": 10})
    assert answer.headers["retry-after"] == "10"


def test_named_tasks_come_in_the_order_in_which_they_were_named(platform: Platform) -> None:
    batch = platform.world.active(10, named=True)
    tasks = [task.task_id for task in platform.world.every_task(batch)][3:6][::-1]
    assert [one["task_id"] for one in platform.worker().leased(tasks=tasks)["assignments"]] == tasks


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"batch_id": "nothing"}, 404, "batch_not_found"),
        ({"batch_id": "draft"}, 404, "batch_not_found"),
        ({"batch_id": "closing"}, 409, "batch_not_active"),
        ({"batch_id": "late"}, 409, "batch_not_active"),
        ({"batch_id": "kenyan"}, 403, "not_eligible"),
        ({"batch_id": "german"}, 403, "not_eligible"),
        ({"batch_id": "b1", "tasks": ["t1"]}, 403, "forbidden"),
        ({"batch_id": "named", "tasks": ["t1"]}, 422, "invalid"),
        ({"batch_id": "named", "tasks": []}, 422, "invalid"),
    ],
)
def test_a_lease_that_may_not_be(platform: Platform, body: dict[str, Any], status: int, code: str) -> None:
    world = platform.world
    world.active(10)
    world.draft(batch_id="draft")
    world.active(10, batch_id="closing")
    platform.step("begin", "closing", final="closed")
    world.active(10, batch_id="late", deadline_ms=world.now_ms + 1_000)
    world.active(10, batch_id="kenyan", countries=frozenset({"KE"}))
    world.active(10, batch_id="german", languages=frozenset({"de"}))
    world.active(10, batch_id="named", named=True)
    platform.aws.clock.advance(1)
    platform.worker().refused("POST", "/pages", status, code, body=body, key="k1")


def test_a_requester_does_not_work_for_themselves(platform: Platform) -> None:
    platform.world.active(10)
    platform.worker(REQUESTER).refused("POST", "/pages", 403, "not_eligible", body={"batch_id": "b1"}, key="k")


def test_only_batches_that_the_worker_may_do_are_offered(platform: Platform) -> None:
    world = platform.world
    world.active(5)
    world.active(5, batch_id="b2", countries=frozenset({"KE"}))
    world.active(5, batch_id="b3", languages=frozenset({"sw", "en"}))
    world.ready(5, batch_id="b4")
    ann = platform.worker()
    assert [one["batch_id"] for one in ann.everything("/batches", "batches")] == ["b1"]
    ann.put("/profile", {"country": "KE", "languages": ["en"]})
    assert {one["batch_id"] for one in ann.everything("/batches", "batches", limit=1)} == {"b1", "b2", "b3"}


def test_a_third_open_page_is_refused(platform: Platform) -> None:
    platform.world.active(50)
    ann = platform.worker()
    ann.leased("k1")
    ann.leased("k2")
    ann.refused("POST", "/pages", 409, "too_many_pages", body={"batch_id": "b1"}, key="k3")


def test_what_may_not_be_done_with_a_page(platform: Platform) -> None:
    platform.world.active(50)
    ann = platform.worker()
    expired, page = ann.leased("k1"), ann.leased("k2")
    path = f"/pages/{page['page_id']}"
    ann.refused("GET", f"{path}/submission", 404, "no_submission")
    wrong = answers_to(page, "cat")
    wrong["answers"][3]["answer"] = "fish"
    told = ann.refused("POST", f"{path}/submission", 422, "invalid", body=wrong).json
    assert [one["pointer"] for one in told["errors"]] == ["/answers/3/answer"]
    ann.refused("POST", f"{path}/submission", 422, "invalid", body={"answers": []})
    ann.refused("POST", f"{path}/submission", 422, "invalid", body=answers_to(expired))
    ann.submitted(page)
    ann.refused("POST", f"{path}/submission", 409, "already_submitted", body=answers_to(page, "dog"))
    ann.refused("POST", f"{path}/return", 409, "page_not_leased")
    platform.aws.clock.advance(601)
    assert ann.get(f"/pages/{expired['page_id']}").json["state"] == "expired"
    path = f"/pages/{expired['page_id']}"
    ann.refused("POST", f"{path}/submission", 409, "lease_expired", body=answers_to(expired))
    ann.refused("POST", f"{path}/return", 409, "lease_expired")
    ann.refused("GET", "/pages/nothing", 404, "page_not_found")


def test_what_may_not_be_said_of_oneself(platform: Platform) -> None:
    ann = platform.worker()
    for body, pointers in (
        ({"country": "XX"}, ["/country"]),
        ({"languages": ["English"]}, ["/languages/0"]),
        ({"payout_threshold": "4.99"}, ["/payout_threshold"]),
        ({"country": "ke", "languages": ["e", "e"]}, ["/country", "/languages", "/languages/0", "/languages/1"]),
    ):
        told = ann.refused("PUT", "/profile", 422, "bad_profile", body=body).json
        assert [one["pointer"] for one in told["errors"]] == pointers
    ann.refused("GET", "/payout-destination", 404, "no_payout_destination")
    told = ann.refused("PUT", "/payout-destination", 422, "bad_destination", body=DESTINATION | {"address": " a\n"})
    assert [one["pointer"] for one in told.json["errors"]] == ["/address"]
    ann.refused("PUT", "/payout-destination", 422, "invalid", body=DESTINATION | {"rail": "barter"})
    bank = {"rail": "sepa", "address": "DE89370400440532013000, Ann Lee"}
    told = ann.refused("PUT", "/payout-destination", 422, "bad_destination", body=bank)
    assert told.json["errors"] == [{"pointer": "/rail", "detail": "one of: gateway"}]


def test_payouts_that_may_not_be(platform: Platform) -> None:
    ann = earn(platform)
    ann.refused("POST", "/payouts", 409, "no_destination", body={}, key="p1")
    ann.put("/payout-destination", DESTINATION)
    ann.refused("POST", "/payouts", 409, "below_threshold", body={"amount": "4.99"}, key="p1")
    ann.refused("POST", "/payouts", 409, "below_threshold", body={"currency": "EUR"}, key="p1")
    ann.refused("POST", "/payouts", 409, "insufficient_funds", body={"amount": "6.01"}, key="p1")
    ann.refused("GET", "/payouts/nothing", 404, "payout_not_found")
    assert ann.post("/payouts", {}, key="p1").json["amount"] == "6.00"


def test_lists_go_on_where_their_cursor_says(platform: Platform) -> None:
    ann = earn(platform)
    ann.put("/payout-destination", DESTINATION)
    for n in range(2, 8):
        earn(platform, batch_id=f"b{n}")
        platform.aws.clock.advance(1)
        assert ann.post("/payouts", {"amount": "5.00"}, key=f"p{n}").status == 201
    for path, name, count in (("/batches", "batches", 7), ("/pages", "pages", 7), ("/payouts", "payouts", 6)):
        whole = ann.everything(path, name)
        assert len(whole) == count
        for limit in (1, 2, count):
            assert ann.everything(path, name, limit=limit) == whole
    whole = ann.everything("/statement", "rows")
    assert [row["seq"] for row in whole] == list(range(13, 0, -1))
    assert ann.everything("/statement", "rows", "currency=USD&", limit=3) == whole
    assert [one["requested_at"] for one in ann.everything("/payouts", "payouts")] == sorted(
        (one["requested_at"] for one in ann.everything("/payouts", "payouts")), reverse=True
    )


def test_a_worker_never_sees_another_worker_or_what_the_requester_pays(platform: Platform) -> None:
    world = platform.world
    world.active(10, answer_schema='{"type":"string"}', min_answers=3, max_answers=3, **DOLLAR)
    ann, bob = platform.worker("ann"), platform.worker("bob")
    ann.submitted(ann.leased(), "the answer of a n n")
    platform.deliver()
    ann.put("/payout-destination", DESTINATION)
    page = bob.leased()
    texts = [
        bob.post(f"/pages/{page['page_id']}/submission", answers_to(page, "mine")).text,
        *(bob.get(path).text for path in (f"/pages/{page['page_id']}", f"/pages/{page['page_id']}/submission")),
    ]
    platform.deliver()
    bob.put("/payout-destination", {"rail": "gateway", "address": "robert@example.com"})
    asked = bob.post("/payouts", {}, key="p1")
    paths = (
        "/profile", "/batches", "/batches/b1", "/pages", f"/pages/{page['page_id']}", "/balance", "/statement",
        "/statement.json", f"/pages/{page['page_id']}/submission", "/payout-destination", "/payouts",
        f"/payouts/{asked.json['payout_id']}",
    )  # fmt: skip
    texts += [asked.text, *(bob.get(path).text for path in paths)]
    everything = "\n".join(texts)
    assert '"mine"' not in everything
    for secret in ("ann", "the answer of", REQUESTER, "escrow", "price", "1.00", "0.40", "obert@", "gold"):
        assert secret not in everything, secret


def test_a_page_that_has_left_the_workers_hands_shows_no_input(platform: Platform) -> None:
    platform.world.active(20)
    ann = platform.worker()
    page = ann.leased("k1")
    ann.submitted(page)
    assert {one["input"] for one in ann.get(f"/pages/{page['page_id']}").json["assignments"]} == {None}


def test_work_goes_on_in_a_batch_that_closes_until_its_leases_end(platform: Platform) -> None:
    platform.world.active(10)
    ann = platform.worker()
    page = ann.leased()
    platform.step("begin", "b1", final="closed")
    ann.submitted(page)
    platform.deliver()
    platform.finish()
    assert platform.world.batch().state is BatchState.CLOSED
    assert ann.get(f"/pages/{page['page_id']}/submission").json["credited"] == "3.00"
    assert ann.get("/batches/b1").status == 200
    assert ann.get("/batches").json["batches"] == []
