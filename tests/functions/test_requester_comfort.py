"""What makes requesters' work easier: they see before they pay, watch, steer and decide."""

import json
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from smallpeck.ledger.accounts import escrow
from smallpeck.runtime.wiring import wired
from tests.functions.requester_tour import BATCH, REVIEWED, RUBRIC, WHY, Tour, approve, ready, reject, rows
from tests.functions.world import Client, Platform, answers_to

DAY = 86_400
SVG = "{http://www.w3.org/2000/svg}"


# Describing


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ({}, ("instant", 0)),
        ({"review": {"mode": "instant"}}, ("instant", 0)),
        ({"review": {"mode": "deadline"}}, ("deadline", 3 * DAY)),
        ({"review": {"mode": "deadline", "seconds": 14 * DAY}}, ("deadline", 14 * DAY)),
        ({"review": {"mode": "manual"}}, ("manual", 30 * DAY)),
        ({"review": {"mode": "manual", "seconds": 3_600}}, ("manual", 3_600)),
    ],
)
def test_a_batch_says_who_decides_and_for_how_long(
    platform: Platform, asked: dict[str, Any], shown: tuple[str, int]
) -> None:
    made = platform.requester().post("/batches", BATCH | asked | {"expected_seconds": 20}, key="k").json["batch"]
    assert (made["review"]["mode"], made["review"]["seconds"]) == shown
    assert (made["rubric"], made["expected_seconds"]) == (RUBRIC, 20)


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"review": {"mode": "instant", "seconds": 3_600}}, "/review/seconds"),
        ({"review": {"mode": "deadline", "seconds": 14 * DAY + 1}}, "/review/seconds"),
        ({"review": {"mode": "deadline", "seconds": 3_599}}, "/review/seconds"),
        ({"review": {"mode": "manual", "seconds": 30 * DAY + 1}}, "/review/seconds"),
        ({"review": {"mode": "never"}}, "/review/mode"),
        ({"rubric": ["x"] * 21}, "/rubric"),
        ({"rubric": ["x" * 301]}, "/rubric/0"),
        ({"rubric": [""]}, "/rubric/0"),
        ({"expected_seconds": 0}, "/expected_seconds"),
        ({"expected_seconds": 86_401}, "/expected_seconds"),
    ],
)
def test_a_review_that_may_not_be(platform: Platform, changed: dict[str, Any], pointer: str) -> None:
    told = platform.requester().refused("POST", "/batches", 422, "invalid", body=BATCH | changed, key="k").json
    assert [one["pointer"] for one in told["errors"]] == [pointer]


def test_workers_are_shown_the_rubric(platform: Platform) -> None:
    tour = ready(platform).published()
    assert platform.worker().get(f"/batches/{tour.batch_id}").json["rubric"] == RUBRIC
    assert platform.worker().get("/batches").json["batches"][0]["rubric"] == RUBRIC


# Before money moves


def test_validating_pricing_and_previewing_change_nothing(platform: Platform) -> None:
    me = platform.requester()
    draft = Tour(platform, me, me.post("/batches", BATCH, key="draft").json["batch"]["batch_id"])
    full = ready(platform, file=rows(20, 30))
    running = ready(platform, "b2").published()
    running.answered("ann")
    for tour in (draft, full, running):
        with platform.unchanged():
            assert tour.post("validate", key=None)
            assert tour.post("price", key=None, query="workers=3")
            assert tour.get("preview")
            assert tour.get("progress")
            assert me.get(f"{tour.path}/report").status == 200


@pytest.mark.parametrize(
    ("price", "answers", "fee_basis_points"), [("0.50", 2, 2_000), ("0.333333", 5, 4_000), ("0.000001", 7, 2_000)]
)
def test_the_price_is_what_publishing_then_takes(price: str, answers: int, fee_basis_points: int) -> None:
    platform = Platform(fee_basis_points=fee_basis_points)
    with wired(platform.wiring):
        tour = ready(platform, price=price, max_answers=answers)
        told = tour.post("price", key=None)
        before = tour.me.post("/deposits", {"amount": "100.00"}, key="d").json["available"]
        tour.post("publish")
        after = tour.me.get("/account").json["available"]
        batch = platform.world.batch(tour.batch_id)
        shards = range(batch.escrow_shards)
        reserved = sum(platform.world.balance(escrow(batch.batch_id, shard)).balance_micros for shard in shards)
    micros = [round(float(one) * 1_000_000) for one in (before, after, told["cost"], told["reward"], told["fee"])]
    assert micros[0] - micros[1] == micros[2] == micros[3] + micros[4] == reserved
    assert told["answers"] == 20 * answers


def test_times_are_unknown_then_expected_then_measured(platform: Platform) -> None:
    unknown = ready(platform).post("price", key=None)
    names = ("seconds_per_answer", "seconds_from", "duration_seconds", "least_duration_seconds", "hourly_pay")
    assert [unknown[name] for name in names] == [None] * 5

    tour = ready(platform, "b2", expected_seconds=20)
    told = tour.post("price", key=None, query="workers=5")
    # 40 answers, five at once: eight rounds of 20 seconds; 0.40 for each.
    assert [told[name] for name in names] == [20.0, "expected", 160, 80, "72.00"]
    assert told["workers"] == 5
    assert (told["least_answers"], told["least_cost"]) == (20, "10.00")

    tour.published().answered("ann")
    measured = tour.post("price", key=None)
    assert measured["seconds_from"] == "measured"
    assert measured["seconds_per_answer"] == pytest.approx(10, rel=0.1)
    assert measured["workers"] == 10


@pytest.mark.parametrize("workers", ["0", "-1", "1.5", "many", "100001", ""])
def test_a_number_of_workers_that_is_none(platform: Platform, workers: str) -> None:
    tour = ready(platform)
    tour.me.refused("POST", f"{tour.path}/price", 422, "invalid", body={}, query=f"workers={workers}")


def test_a_batch_that_could_be_published_says_so_and_is(platform: Platform) -> None:
    tour = ready(platform)
    poor = tour.post("validate", key=None)
    assert (poor["publishable"], poor["problems"], poor["missing"]) == (False, [], "20.00")
    tour.me.post("/deposits", {"amount": "19.99"}, key="d1")
    assert tour.post("validate", key=None)["missing"] == "0.01"
    tour.me.refused("POST", f"{tour.path}/publish", 409, "insufficient_funds", key="k")
    tour.me.post("/deposits", {"amount": "0.01"}, key="d2")
    fine = tour.post("validate", key=None)
    assert (fine["publishable"], fine["missing"], fine["available"], fine["cost"]) == (True, "0.00", "20.00", "20.00")
    assert tour.post("publish")["state"] == "active"


def test_rejected_rows_are_told_line_by_line(platform: Platform) -> None:
    for key, bad, shown in (("b1", 0, 0), ("b2", 7, 7), ("b3", 25, 25), ("b4", 150, 100)):
        told = ready(platform, key, file=rows(20, bad)).post("validate", key=None)
        assert told["imported"]["rows_rejected"] == bad
        assert [one["line"] for one in told["rejected_rows"]] == list(range(22, 22 + shown))
        assert {one["reason"] for one in told["rejected_rows"]} <= {"ragged_row"}
        assert all(one["detail"] for one in told["rejected_rows"])


def test_what_is_in_the_way_is_named(platform: Platform) -> None:
    me = platform.requester()
    draft = Tour(platform, me, me.post("/batches", BATCH, key="d").json["batch"]["batch_id"])
    told = draft.post("validate", key=None)
    assert [one["pointer"] for one in told["problems"]] == [""]
    assert (told["imported"]["state"], told["publishable"]) == ("waiting", False)

    heavy = ready(platform, "b2", file=b"id,text\nr0," + b"x" * 2_000 + b"\n", page_size=50)
    platform.aws.clock.advance(31 * DAY)
    told = heavy.post("validate", key=None)
    assert [one["pointer"] for one in told["problems"]] == ["/deadline", "/page_size"]
    assert told["page_bytes"] > told["page_bytes_max"] == 240_000
    refused = me.refused("POST", f"{heavy.path}/publish", 422, "invalid", key="k").json
    assert [(one["pointer"], one["detail"]) for one in refused["errors"]] == [
        (one["pointer"], one["detail"]) for one in told["problems"]
    ]


def test_a_preview_is_what_the_first_worker_gets(platform: Platform) -> None:
    tour = ready(platform)
    shown = tour.get("preview")
    ann = platform.worker("ann")
    ann.refused("GET", f"/batches/{tour.batch_id}", 404, "batch_not_found")
    tour.published()
    offered = ann.get(f"/batches/{tour.batch_id}").json
    assert {name: offered[name] for name in shown["batch"]} == shown["batch"]
    assert shown["batch"]["instructions"] == BATCH["instructions"]
    assert shown["batch"]["answer_schema"] == BATCH["answer_schema"]
    leased = ann.leased(batch_id=tour.batch_id)
    assert shown["page"].keys() == leased.keys()
    assert shown["page"] | {"page_id": leased["page_id"]} == leased


def test_a_preview_without_tasks_and_of_a_small_batch(platform: Platform) -> None:
    me = platform.requester()
    draft = Tour(platform, me, me.post("/batches", BATCH, key="d").json["batch"]["batch_id"])
    assert draft.get("preview")["page"] is None
    assert len(ready(platform, "b2", file=rows(3)).get("preview")["page"]["assignments"]) == 3


# Steering


def test_a_paused_batch_is_hidden_and_comes_back(platform: Platform) -> None:
    tour = ready(platform).published()
    ann, bob = platform.worker("ann"), platform.worker("bob")
    held = ann.leased(batch_id=tour.batch_id)
    assert tour.post("pause")["state"] == "paused"
    assert bob.get("/batches").json["batches"] == []
    bob.refused("POST", "/pages", 409, "batch_not_active", body={"batch_id": tour.batch_id}, key="k")
    ann.submitted(held)
    platform.deliver()
    assert ann.get("/balance").json["available"] == "4.00"
    assert tour.post("resume")["state"] == "active"
    assert len(bob.leased(batch_id=tour.batch_id)["assignments"]) == 10


def test_steering_sent_again_is_the_same_and_changes_nothing(platform: Platform) -> None:
    tour = ready(platform, max_answers=1).published()
    body = {"more_answers": 1, "deadline": "2026-03-01T00:00:00.000Z"}
    for what, given in (("pause", None), ("resume", None), ("extend", body)):
        first = tour.post(what, given)
        with platform.unchanged():
            assert tour.post(what, given) == first
    assert (first["min_answers"], first["max_answers"], first["deadline"]) == (2, 2, body["deadline"])
    assert tour.me.get("/account").json["available"] == "80.00"
    tour.me.refused("POST", f"{tour.path}/extend", 422, "idempotency_mismatch", body={"more_answers": 2}, key="k")


def test_an_extension_sent_again_after_the_end_is_still_the_same(platform: Platform) -> None:
    tour = ready(platform, max_answers=1).published()
    tour.post("extend", {"more_answers": 1})
    tour.post("close", key="c")
    platform.finish(tour.batch_id)
    with platform.unchanged():
        assert tour.post("extend", {"more_answers": 1})["state"] == "closed"
    tour.me.refused("POST", f"{tour.path}/extend", 409, "wrong_batch_state", body={"more_answers": 1}, key="new")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "invalid"),
        ({"more_answers": -1}, 422, "invalid"),
        ({"more_answers": 100}, 422, "invalid"),
        ({"deadline": "2026-01-15T00:00:00Z"}, 422, "invalid"),
        ({"deadline": "2025-01-15T00:00:00Z"}, 422, "bad_moment"),
        ({"more_answers": 10}, 409, "insufficient_funds"),
    ],
)
def test_an_extension_that_may_not_be(platform: Platform, body: dict[str, Any], status: int, code: str) -> None:
    tour = ready(platform).published()
    tour.me.refused("POST", f"{tour.path}/extend", status, code, body=body, key="e")


def test_steering_in_another_state_is_refused(platform: Platform) -> None:
    tour = ready(platform)
    for what, body in (("pause", {}), ("resume", {}), ("extend", {"more_answers": 1})):
        tour.me.refused("POST", f"{tour.path}/{what}", 409, "wrong_batch_state", body=body, key="k")


# Deciding


def test_a_requester_sees_what_waits_and_decides(platform: Platform) -> None:
    tour = ready(platform, **REVIEWED).published()
    page = tour.answered("ann")
    (shown,) = tour.get("review")["pages"]
    assert (shown["page_id"], shown["worker_id"]) == (page["page_id"], "ann")
    assert shown["review_ends_at"] == "2026-01-04T00:01:40.000Z"
    assert [one["task_id"] for one in shown["answers"]] == [one["task_id"] for one in page["assignments"]]
    assert [one["input"] for one in shown["answers"]] == [one["input"] for one in page["assignments"]]
    assert {(one["state"], one["answer"], one["clause"]) for one in shown["answers"]} == {("submitted", "cat", None)}
    assert tour.decide(reject(page), approve(page)) == {page["page_id"]: "accepted"}
    platform.deliver()
    assert tour.get("review")["pages"] == []
    assert platform.worker("ann").get("/balance").json["available"] == "3.60"
    progress = tour.get("progress")
    assert (progress["answers_approved"], progress["answers_rejected"], progress["spent"]) == (9, 1, "4.50")


def test_a_rejected_answer_is_sealed_from_its_requester(platform: Platform) -> None:
    tour = ready(platform, **REVIEWED).published()
    page = tour.answered("ann")
    tour.decide(reject(page))
    for _ in range(2):
        sealed = tour.get("review")["pages"][0]["answers"][0]
        assert (sealed["state"], sealed["answer"], sealed["clause"], sealed["explanation"]) == (
            "rejected", None, 0, WHY,
        )  # fmt: skip
        platform.deliver()
    task = tour.get(f"tasks/{page['assignments'][0]['task_id']}")
    assert (task["answer"], task["answers"]) == (None, [])


def test_a_worker_is_told_why_an_answer_was_rejected_once_it_is(platform: Platform) -> None:
    tour = ready(platform, **REVIEWED).published()
    page = tour.answered("ann")
    path = f"/pages/{page['page_id']}/submission"
    tour.decide(reject(page), approve(page))
    waiting, *_ = platform.worker("ann").get(path).json["assignments"]
    assert (waiting["state"], waiting["clause"], waiting["explanation"]) == ("submitted", None, None)
    platform.deliver()
    rejected, *others = platform.worker("ann").get(path).json["assignments"]
    assert (rejected["state"], rejected["clause"], rejected["explanation"]) == (
        "rejected", REVIEWED["rubric"][0], WHY,
    )  # fmt: skip
    assert {(one["state"], one["explanation"]) for one in others} == {("approved", None)}


def test_unanswered_tasks_are_not_shown_for_review(platform: Platform) -> None:
    tour = ready(platform, **REVIEWED).published()
    ann = platform.worker("ann")
    page = ann.leased(batch_id=tour.batch_id)
    ann.post(f"/pages/{page['page_id']}/submission", {"answers": answers_to(page)["answers"][:2]})
    platform.deliver()
    assert len(tour.get("review")["pages"][0]["answers"]) == 2


def test_reviews_go_on_where_their_cursor_says(platform: Platform) -> None:
    tour = ready(platform, **REVIEWED, page_size=2).published()
    pages = [tour.answered(f"w{n}")["page_id"] for n in range(7)]
    for limit in (1, 3, 20):
        found = tour.me.everything(f"{tour.path}/review", "pages", limit=limit)
        assert [one["page_id"] for one in found] == pages
    tour.me.refused("GET", f"{tour.path}/review", 422, "invalid", query="limit=21")


def test_many_decisions_at_once_have_an_outcome_each(platform: Platform) -> None:
    tour = ready(platform, **REVIEWED, page_size=2).published()
    pages = [tour.answered(f"w{n}") for n in range(3)]
    other = ready(platform, "b2", **REVIEWED).published().answered("zed")
    told = tour.decide(*map(approve, pages), approve(other), approve({"page_id": "nothing"}))
    assert list(told.values()) == ["accepted"] * 3 + ["unknown"] * 2
    with platform.unchanged():
        assert tour.post("validate", key=None)
    queued = len(platform.queued)
    assert tour.decide(*map(approve, pages)) == dict.fromkeys((one["page_id"] for one in pages), "accepted")
    assert len(platform.queued) > queued  # told again, in case the first message was lost
    platform.deliver()
    assert tour.get("progress")["answers_approved"] == 6
    with platform.unchanged():
        assert set(tour.decide(*map(approve, pages)).values()) == {"accepted"}


@pytest.mark.parametrize(
    ("decision", "pointer"),
    [
        ({"decision": "reject", "clause": 0}, "/decisions/0/explanation"),
        ({"decision": "reject", "explanation": WHY}, "/decisions/0/clause"),
        ({"decision": "reject", "clause": 2, "explanation": WHY}, "/decisions/0/clause"),
        ({"decision": "reject", "clause": -1, "explanation": WHY}, "/decisions/0/clause"),
        ({"decision": "reject", "clause": 0, "explanation": "bad"}, "/decisions/0/explanation"),
        ({"decision": "approve", "clause": 0}, "/decisions/0"),
        ({"decision": "maybe"}, "/decisions/0/decision"),
    ],
)
def test_a_decision_that_may_not_be(platform: Platform, decision: dict[str, Any], pointer: str) -> None:
    tour = ready(platform, **REVIEWED).published()
    page = tour.answered("ann")
    body = {"decisions": [{"page_id": page["page_id"], **decision}]}
    told = tour.me.refused("POST", f"{tour.path}/decisions", 422, "invalid", body=body, key="k").json
    assert [one["pointer"] for one in told["errors"]] == [pointer]


def test_more_decisions_than_a_request_takes(platform: Platform) -> None:
    tour = ready(platform, **REVIEWED).published()
    for count in (0, 201):
        body = {"decisions": [approve({"page_id": f"p{n}"}) for n in range(count)]}
        tour.me.refused("POST", f"{tour.path}/decisions", 422, "invalid", body=body, key="k")


def test_too_many_rejections_are_refused_whole(platform: Platform) -> None:
    tour = ready(platform, **REVIEWED).published()
    page = tour.answered("ann")
    body = {"decisions": [reject(page, None)]}
    tour.me.refused("POST", f"{tour.path}/decisions", 409, "rejection_budget_spent", body=body, key="k")


def test_what_nobody_decides_is_approved_when_the_review_ends(platform: Platform) -> None:
    tour = ready(platform, **REVIEWED).published()
    tour.answered("ann")
    platform.aws.clock.advance(3 * DAY - 1)
    platform.sweep()
    platform.deliver()
    assert tour.get("progress")["answers_approved"] == 0
    platform.aws.clock.advance(1)
    platform.sweep()
    platform.deliver()
    assert tour.get("progress")["answers_approved"] == 10
    assert platform.worker("ann").get("/balance").json["available"] == "4.00"


# Watching


def test_progress_follows_an_answer_from_lease_to_payment(platform: Platform) -> None:
    tour = ready(platform, **REVIEWED).published()

    def counts() -> list[int]:
        told = tour.get("progress")
        assert told["in_work_complete"]
        return [told[f"answers_{name}"] for name in ("leased", "submitted", "in_review", "approved")]

    ann = platform.worker("ann")
    page = ann.leased(batch_id=tour.batch_id)
    assert counts() == [10, 0, 0, 0]
    ann.submitted(page)
    assert counts() == [0, 10, 0, 0]
    platform.deliver()
    assert counts() == [0, 0, 10, 0]
    tour.decide(approve(page))
    platform.deliver()
    assert counts() == [0, 0, 0, 10]


def test_progress_tells_costs_disputes_and_the_expected_end(platform: Platform) -> None:
    tour = ready(platform, min_answers=2).published()
    told = tour.get("progress")
    assert (told["expected_end"], told["refund_expected"], told["median_seconds"]) == (None, "0.00", None)
    for worker, answer in (("ann", "cat"), ("bob", "dog")):
        tour.answered(worker, answer)
    told = tour.get("progress")
    # 20 of 40 answers in 200 seconds: 200 more.
    assert (told["answers_approved"], told["spent"]) == (20, "10.00")
    assert told["expected_end"] == "2026-01-01T00:06:40.000Z"
    tour.answered("ann", "cat", "k2")
    tour.answered("bob", "dog", "k2")
    told = tour.get("progress")
    assert (told["tasks_closed"], told["tasks_disputed"]) == (20, 20)
    platform.finish(tour.batch_id)
    assert tour.get("progress")["refund_expected"] == "0.00"


def test_what_comes_back_is_what_progress_said(platform: Platform) -> None:
    tour = ready(platform, max_answers=5).published()
    tour.answered("ann")
    # Of 50.00 paid, 5.00 are spent, and each of 20 open tasks takes one more at least.
    assert tour.get("progress")["refund_expected"] == "35.00"
    tour.post("close", key="c")
    expected = tour.get("progress")["refund_expected"]
    before = float(tour.me.get("/account").json["available"])
    platform.finish(tour.batch_id)
    assert float(tour.me.get("/account").json["available"]) - before == float(expected) == 45.0
    assert tour.get("progress")["refund_expected"] == "45.00"


def plotted(client: Client, path: str) -> ET.Element:
    answer = client.get(path)
    assert (answer.status, answer.headers["content-type"]) == (200, "image/svg+xml; charset=utf-8")
    return ET.fromstring(answer.text)  # noqa: S314 - our own answer


def test_the_plot_is_an_image_that_can_be_read_aloud_and_fetches_nothing(platform: Platform) -> None:
    tour = ready(platform, title="Cats & <dogs>\u0001", max_answers=1).published()
    tour.answered("ann")
    image = plotted(tour.me, f"{tour.path}/progress.svg")
    assert (image.tag, image.get("role")) == (f"{SVG}svg", "img")
    named = {one.get("id"): one.text or "" for one in image}
    title, desc = (named[name] for name in (image.get("aria-labelledby") or "").split())
    assert title == "Progress of Cats & <dogs>\ufffd"
    assert "Of 20 answers 10 are approved and 0 are in work." in desc
    assert "Spent so far: 5.00 USD." in desc
    assert {one.tag.removeprefix(SVG) for one in image.iter()} == {"svg", "title", "desc", "rect", "text"}
    assert not any("http" in value or "url(" in value for one in image.iter() for value in one.attrib.values())
    bars = [float(one.get("width") or 0) for one in image.iter(f"{SVG}rect") if one.get("height") == "28"]
    assert bars == [300.0, 300.0, 600.0, 300.0, 300.0, 600.0]


def test_every_batch_can_be_plotted_and_reported(platform: Platform) -> None:
    me = platform.requester()
    draft = Tour(platform, me, me.post("/batches", BATCH, key="d").json["batch"]["batch_id"])
    cancelled = ready(platform, "b2")
    cancelled.post("cancel")
    closed = ready(platform, "b3").published()
    closed.answered("ann")
    closed.post("close", key="c")
    platform.finish(closed.batch_id)
    for tour in (draft, cancelled, closed):
        assert plotted(me, f"{tour.path}/progress.svg").tag == f"{SVG}svg"
        assert me.get(f"{tour.path}/report").status == 200


class Page(HTMLParser):
    """The tags, addresses and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action")]

    def handle_data(self, data: str) -> None:
        self.text += data + "\n"


def test_the_report_is_one_page_with_import_progress_and_costs(platform: Platform) -> None:
    tour = ready(platform, file=rows(20, 3)).published()
    tour.answered("ann")
    answer = tour.me.get(f"{tour.path}/report")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    page = Page(answer.text)
    assert page.addresses == []
    assert {"svg", "table", "h1"} <= set(page.tags)
    words = [line.strip() for line in page.text.splitlines()]
    for fact, value in (
        ("Rows read", "23"),
        ("Rows accepted", "20"),
        ("Rows rejected", "3"),
        ("Spent so far", "5.00 USD for 10"),
        ("All answers", "20.00 USD for 40"),
        ("Comes back, as far as can be told", "5.00 USD"),
    ):
        assert words[words.index(fact) + 1] == value, fact
    lines = [number for number, word in enumerate(words) if word == "ragged_row"]
    assert [words[number - 1] for number in lines] == ["22", "23", "24"]


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "\"><img src=x onerror='x'>", "</title></style></svg><b>"]
)
def test_what_a_requester_or_a_file_says_stays_text(platform: Platform, text: str) -> None:
    schema = {"type": "object", "required": [text], "properties": {}}
    me = platform.requester()
    made = me.post("/batches", BATCH | {"title": text, "task_schema": schema}, key="k").json
    platform.run_import(platform.upload(made["upload"], b"id,text\nr0,x\n"))
    answer = me.get(f"/batches/{made['batch']['batch_id']}/report")
    page = Page(answer.text)
    assert set(page.tags) <= {
        "html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "svg", "desc", "rect", "text",
        "table", "thead", "tbody", "tr", "th", "td",
    }  # fmt: skip
    assert page.addresses == []
    assert text not in answer.text
    assert f"Progress of {text}" in page.text
    assert "sandbox" in answer.headers["content-security-policy"]


# Dropping files


def test_credentials_for_an_inbox_are_bound_to_who_asks(platform: Platform) -> None:
    given = platform.requester("somebody").post("/inbox-credentials", {}, key="k").json
    (asked,) = platform.tokens.asked
    assert given["prefix"] == "inbox/somebody/"
    assert (given["access_key_id"], given["expires_at"]) == ("ASIA", "2033-01-01T00:00:00.000Z")
    objects = json.loads(asked["Policy"])["Statement"][0]
    assert objects["Resource"] == f"arn:aws:s3:::{given['bucket']}/inbox/somebody/*"


# Results while it runs


def test_results_are_fetched_while_the_batch_runs(platform: Platform) -> None:
    from tests.functions.test_batch_export import run

    tour = ready(platform).published()
    tour.answered("ann")
    asked = tour.post("exports", {"format": "jsonl"})
    assert (asked["state"], asked["url"]) == ("running", None)
    assert tour.post("exports", {"format": "jsonl"}) == asked
    run(platform)
    done = tour.get(f"exports/{asked['export_id']}")
    assert (done["state"], done["tasks"], done["closed_tasks"]) == ("done", 20, 0)
    told = [json.loads(line) for line in platform.fetch(done["url"]).splitlines()]
    assert sum(bool(one["answers"]) for one in told) == 10
    me, path = tour.me, f"{tour.path}/exports"
    me.refused("POST", path, 422, "idempotency_mismatch", body={"format": "csv"}, key="k")
    me.refused("GET", f"{path}/nothing", 404, "export_not_found")
    draft = ready(platform, "b2")
    me.refused("POST", f"{draft.path}/exports", 409, "wrong_batch_state", body={}, key="k")
