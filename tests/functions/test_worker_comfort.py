"""What makes a worker's day easier: choosing work, fetching ahead, skipping with a reason, knowing what comes in."""

import json
from typing import Any

import pytest

from smallpeck.kernel.clock import to_rfc3339
from smallpeck.kernel.money import parse_amount
from smallpeck.payouts.rails.port import RailTerms
from smallpeck.payouts.service import PayoutRules
from smallpeck.runtime import wiring
from smallpeck.runtime.wiring import wired
from smallpeck.tasks import browsing, dispatch, seats
from smallpeck.tasks.model import Review
from smallpeck.tasks.skips import Skip, SkipReason
from tests.aws import Crash, Fault, Plan
from tests.functions.world import Client, Platform, answers_to
from tests.support import World

DAY = 86_400
DESTINATION = {"rail": "gateway", "address": "ann@example.com"}
DOLLAR: dict[str, Any] = {"price_micros": 1_000_000, "reward_micros": 600_000, "fee_micros": 400_000}
REASONS = ("unclear_instructions", "broken_media", "cannot_judge", "offensive", "other")


def answered(platform: Platform, worker: str, batch_id: str, seconds: int, key: str = "k") -> None:
    """A page of ten answers that took so many seconds in all."""
    client = platform.worker(worker)
    page = client.leased(f"{key}-{batch_id}", batch_id)
    platform.aws.clock.advance(seconds)
    client.submitted(page)
    platform.deliver()


def market(platform: Platform) -> Client:
    """Four measured batches and one that nobody has touched."""
    world = platform.world
    for number, (batch_id, reward, kind, currency) in enumerate(
        (
            ("quick", 100_000, "choice", "USD"),
            ("rich", 900_000, "choice", "USD"),
            ("slow", 500_000, "box", "USD"),
            ("euro", 200_000, "choice", "EUR"),
            ("new", 300_000, "choice", "USD"),
        )
    ):
        price: dict[str, Any] = {"price_micros": reward + 100_000, "reward_micros": reward, "fee_micros": 100_000}
        deadline_ms = world.now_ms + (9 - number) * 10**9
        batch = world.ready(20, batch_id=batch_id, kind=kind, currency=currency, deadline_ms=deadline_ms, **price)
        world.deposit(batch.cost_micros, key=batch_id, currency=currency)
        world.publish(batch)
    for batch_id, seconds in (("quick", 20), ("rich", 600 - 1), ("slow", 400), ("euro", 100)):
        answered(platform, "zoe", batch_id, seconds)
    platform.sweep()
    return platform.worker("ann")


def ids(client: Client, query: str = "", limit: int = 100) -> list[str]:
    return [one["batch_id"] for one in client.everything("/batches", "batches", query, limit)]


# Choosing


def test_a_batch_shows_what_an_hour_of_it_brings(platform: Platform) -> None:
    ann = market(platform)
    shown = {one["batch_id"]: one for one in ann.get("/batches").json["batches"]}
    assert (shown["new"]["median_seconds"], shown["new"]["hourly"]) == (None, None)
    for batch_id, took in (("quick", 2), ("rich", 59.9), ("slow", 40), ("euro", 10)):
        one = shown[batch_id]
        assert one["median_seconds"] == pytest.approx(took, rel=0.1, abs=0.25)
        reward = parse_amount(one["reward"], one["currency"])
        exact = reward * 3_600 / one["median_seconds"]
        assert exact - 10_000 < parse_amount(one["hourly"], one["currency"]) <= exact
    assert ann.get("/batches/quick").json == shown["quick"]
    assert (shown["quick"]["rubric"], shown["quick"]["expected_seconds"]) == ([], None)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["new", "euro", "slow", "rich", "quick"]),
        ("sort=deadline&", ["new", "euro", "slow", "rich", "quick"]),
        ("sort=reward&", ["euro", "rich", "slow", "new", "quick"]),
        ("sort=hourly&", ["euro", "quick", "rich", "slow", "new"]),
        ("sort=median&", ["quick", "euro", "slow", "rich", "new"]),
        ("sort=reward&currency=USD&", ["rich", "slow", "new", "quick"]),
        ("kind=box&", ["slow"]),
        ("kind=video&", []),
        ("min_reward=0.3&currency=USD&sort=reward&", ["rich", "slow", "new"]),
        ("min_reward=0.300001&currency=USD&sort=reward&", ["rich", "slow"]),
        ("min_hourly=50&currency=USD&sort=hourly&", ["quick", "rich"]),
        ("min_hourly=1&currency=EUR&", ["euro"]),
        ("max_median_seconds=12&sort=median&", ["quick", "euro"]),
        ("max_median_seconds=1&", []),
        ("kind=choice&max_median_seconds=100&sort=reward&currency=USD&", ["rich", "quick"]),
    ],
)
def test_batches_are_filtered_and_sorted_and_read_some_at_a_time(
    platform: Platform, query: str, expected: list[str]
) -> None:
    ann = market(platform)
    assert ids(ann, query) == expected
    for limit in (1, 2, 3):
        assert ids(ann, query, limit) == expected


@pytest.mark.parametrize(
    ("query", "status", "code", "pointer"),
    [
        ("sort=price", 422, "invalid", "/sort"),
        ("kind=A%20b", 422, "invalid", "/kind"),
        ("currency=QQQ", 422, "invalid", "/currency"),
        ("min_reward=0.1", 422, "currency_required", "/currency"),
        ("min_hourly=5", 422, "currency_required", "/currency"),
        ("min_reward=-1&currency=USD", 422, "invalid", "/min_reward"),
        ("min_reward=0.0000001&currency=USD", 422, "bad_amount", "/min_reward"),
        ("min_hourly=0.001&currency=USD", 422, "bad_amount", "/min_hourly"),
        ("min_hourly=5.5&currency=JPY", 422, "bad_amount", "/min_hourly"),
        ("max_median_seconds=0", 422, "invalid", "/max_median_seconds"),
        ("max_median_seconds=1e9", 422, "invalid", "/max_median_seconds"),
        ("max_median_seconds=1.5", 422, "invalid", "/max_median_seconds"),
        ("reward=1", 422, "invalid", "/reward"),
    ],
)
def test_a_query_that_cannot_be_is_refused_with_its_name(
    platform: Platform, query: str, status: int, code: str, pointer: str
) -> None:
    told = platform.worker().refused("GET", "/batches", status, code, query=query).json
    assert [(one["in"], one["pointer"]) for one in told["errors"]] == [("query", pointer)]


def test_a_cursor_belongs_to_its_filters_and_order(platform: Platform) -> None:
    ann = market(platform)
    cursor = ann.get("/batches", "sort=hourly&limit=1").json["next_cursor"]
    assert ann.get("/batches", f"sort=hourly&limit=2&cursor={cursor}").status == 200
    for query in ("", "sort=reward&", "sort=hourly&kind=choice&", "sort=hourly&currency=USD&"):
        ann.refused("GET", "/batches", 400, "bad_cursor", query=f"{query}cursor={cursor}")


def test_reading_for_an_order_is_bounded(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browsing, "LOOKED_AT", 20)
    monkeypatch.setattr(browsing, "AT_ONCE", 8)
    for number in range(30):
        platform.world.active(1, batch_id=f"b{number:02d}", deadline_ms=platform.world.now_ms + 10**9 + number)
    ann = platform.worker("ann")
    calls = platform.aws.faults.count_calls(lambda: ann.get("/batches", "sort=reward&limit=5"))
    assert calls == 2 * 3 + 1
    assert ids(ann, "sort=reward&", 5) == [f"b{number:02d}" for number in range(24)]
    assert ids(ann, "", 5) == [f"b{number:02d}" for number in range(30)]
    # Where nothing fits, a request gives up after so many, and says where to go on.
    answer = ann.get("/batches", "kind=box&limit=5").json
    assert answer["batches"] == []
    assert answer["next_cursor"] is not None
    assert ids(ann, "kind=box&", 5) == []


def test_measuring_is_done_by_the_sweeper_and_written_only_where_it_differs(platform: Platform) -> None:
    platform.world.active(60)
    answered(platform, "ann", "b1", 80)
    assert platform.world.batch().median_seconds is None
    platform.sweep()
    measured = platform.world.batch()
    assert measured.median_seconds == pytest.approx(8, rel=0.1)
    assert measured.measured_at_ms == platform.world.now_ms
    platform.aws.clock.advance(60)
    with platform.unchanged():
        platform.sweep()
    for worker in ("bob", "cy"):
        answered(platform, worker, "b1", 400)
    platform.sweep()
    assert platform.world.batch().median_seconds == pytest.approx(40, rel=0.1)


# Fetching ahead


def ahead(client: Client, page: dict[str, Any], key: str = "n1", answer: str = "cat") -> Any:
    body = answers_to(page, answer) | {"next": {"idempotency_key": key}}
    return client.post(f"/pages/{page['page_id']}/submission", body)


def test_a_receipt_carries_the_next_page_and_again_the_same(platform: Platform) -> None:
    platform.world.active(30)
    ann = platform.worker("ann")
    first = ann.leased()
    got = ahead(ann, first)
    assert (got.status, got.json["state"], got.json["next_page_code"]) == (202, "submitted", None)
    following = got.json["next_page"]
    assert following["page_id"] != first["page_id"]
    assert [(one["state"], one["input"]) for one in following["assignments"]] == [("leased", {"n": 1})] * 10
    before = platform.dump()["platform"]
    assert ahead(ann, first).json["next_page"] == following
    assert platform.dump()["platform"] == before
    # It is the page of that key, however it is asked for.
    assert ann.leased("n1") == following
    platform.deliver()
    last = ahead(ann, following, "n2").json["next_page"]
    assert ahead(ann, last, "n3").json["next_page"] is None
    platform.deliver()
    assert platform.world.earned("ann") == 30 * 300_000


def test_a_receipt_without_a_next_page_says_why(platform: Platform) -> None:
    world = platform.world
    world.active(10)
    ann = platform.worker("ann")
    got = ahead(ann, ann.leased()).json
    assert (got["state"], got["next_page"], got["next_page_code"]) == ("submitted", None, "nothing_to_do")
    assert got["retry_after_seconds"] == dispatch.RETRY_AFTER_SECONDS
    world.active(50, batch_id="b2")
    first = ann.leased("k2", "b2")
    assert ahead(ann, first, "k1").json["next_page_code"] == "idempotency_mismatch"
    for key in ("k3", "k4"):
        ann.leased(key, "b2")
    assert ahead(ann, first, "k5").json["next_page_code"] == "too_many_pages"
    assert ahead(ann, first, "k3").json["next_page"]["state"] == "leased"
    platform.step("begin", "b2", final="closed")
    assert ahead(ann, first, "k6").json["next_page_code"] == "batch_not_active"


@pytest.mark.parametrize("fault", [Fault.ERROR_BEFORE, Fault.ERROR_AFTER, Fault.THROTTLED_ON, Fault.TIMEOUT_AFTER])
def test_what_fails_while_fetching_never_spoils_the_receipt(platform: Platform, fault: Fault) -> None:
    platform.world.active(30)
    ann = platform.worker("ann")
    page = ann.leased()
    with platform.aws.faults.planned(Plan(fault, at="@lease_page")):
        got = ahead(ann, page)
    assert (got.status, got.json["state"], got.json["next_page"]) == (202, "submitted", None)
    assert (got.json["next_page_code"], got.json["retry_after_seconds"]) == ("unavailable", 2)
    platform.aws.clock.advance(20)
    assert len(ahead(ann, page).json["next_page"]["assignments"]) == 10


def test_a_bug_while_fetching_never_spoils_the_receipt(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    platform.world.active(30)
    ann = platform.worker("ann")
    page = ann.leased()
    with monkeypatch.context() as patched:
        patched.setattr(dispatch, "lease_page", lambda **_: 1 / 0)
        got = ahead(ann, page)
    assert (got.status, got.json["next_page_code"]) == (202, "internal")
    assert ahead(ann, page).json["next_page"] is not None


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
def test_a_death_at_any_call_of_it_ends_with_one_next_page_and_one_credit(fault: Fault) -> None:
    def fresh() -> tuple[Platform, Client, dict[str, Any]]:
        platform = Platform()
        platform.world.active(20, min_answers=1, max_answers=1)
        ann = platform.worker("ann")
        with wired(platform.wiring):
            return platform, ann, ann.leased()

    counted, client, page = fresh()
    with wired(counted.wiring):
        calls = counted.aws.faults.count_calls(lambda: ahead(client, page))
    assert calls > 10
    for call in range(calls):
        platform, ann, first = fresh()
        with wired(platform.wiring):
            with platform.aws.faults.planned(Plan(fault, at=call)), pytest.raises(Crash):
                ahead(ann, first)
            platform.aws.clock.advance(20)
            following = ahead(ann, first).json["next_page"]
            platform.deliver()
            assert platform.world.earned("ann") == 10 * 300_000
            tasks = platform.world.every_task(platform.world.batch())
            held = [task.holders["ann"].page_id for task in tasks if task.holders]
            if following is not None:
                assert set(held) <= {following["page_id"]}


@pytest.mark.parametrize("key", ["", "k" * 256, "a\nb", "é", 7, None])
def test_a_key_that_cannot_be_is_refused_and_nothing_is_accepted(platform: Platform, key: Any) -> None:
    platform.world.active(20)
    ann = platform.worker("ann")
    page = ann.leased()
    body = answers_to(page) | {"next": {"idempotency_key": key}}
    told = ann.refused("POST", f"/pages/{page['page_id']}/submission", 422, "invalid", body=body).json
    assert [one["pointer"] for one in told["errors"]] == ["/next/idempotency_key"]


# Skipping


def with_skips(page: dict[str, Any], *reasons: str) -> dict[str, Any]:
    body = answers_to(page)
    for one, reason in zip(body["answers"], reasons, strict=False):
        one["skip"] = reason
        del one["answer"]
    return body


def skips(world: World, batch_id: str = "b1") -> dict[str, int]:
    return dict(world.tasks.progress(batch_id).skips)


def test_a_skipped_task_is_returned_and_its_reason_counted_once(platform: Platform) -> None:
    world = platform.world
    world.active(10, min_answers=1, max_answers=1)
    ann = platform.worker("ann")
    page = ann.leased()
    body = with_skips(page, "broken_media", "broken_media", "other")
    told = ann.post(f"/pages/{page['page_id']}/submission", body)
    assert told.status == 202
    assert [(one["state"], one["skip"]) for one in told.json["assignments"]] == [
        ("returned", "broken_media"), ("returned", "broken_media"), ("returned", "other"), *[("submitted", None)] * 7,
    ]  # fmt: skip
    platform.nudge(page["page_id"])
    platform.deliver()
    assert ann.post(f"/pages/{page['page_id']}/submission", body).json["state"] == "decided"
    assert skips(world) == {"broken_media": 2, "other": 1}
    assert world.earned("ann") == 7 * 300_000
    # Others get them, ann never again.
    assert ann.post("/pages", {"batch_id": "b1"}, key="k2").json["page"] is None
    other = platform.worker("bob").leased()
    assert {one["task_id"] for one in other["assignments"]} == {one["task_id"] for one in page["assignments"][:3]}
    ann.refused(
        "POST", f"/pages/{page['page_id']}/submission", 409, "already_submitted",
        body=with_skips(page, "broken_media", "broken_media", "offensive"),
    )  # fmt: skip


def test_skips_of_a_page_in_review_are_counted_before_anything_is_decided(platform: Platform) -> None:
    world = platform.world
    world.active(10, review=Review.MANUAL, review_seconds=DAY, min_answers=1, max_answers=1)
    ann = platform.worker("ann")
    page = ann.leased()
    body = with_skips(page, "cannot_judge")
    ann.post(f"/pages/{page['page_id']}/submission", body)
    platform.deliver()
    assert skips(world) == {"cannot_judge": 1}
    again = ann.post(f"/pages/{page['page_id']}/submission", body)
    assert (again.status, again.json["state"]) == (202, "in_review")
    platform.aws.clock.advance(DAY)
    platform.sweep()
    platform.deliver()
    assert world.earned("ann") == 9 * 300_000
    assert skips(world) == {"cannot_judge": 1}


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
@pytest.mark.parametrize("review", [Review.INSTANT, Review.DEADLINE])
def test_a_grader_that_dies_at_any_call_counts_skips_once(fault: Fault, review: Review) -> None:
    def submitted() -> tuple[World, str]:
        world = World()
        world.active(4, review=review, review_seconds=DAY, min_answers=1, max_answers=1)
        page = world.leased("ann")
        given: list[tuple[str, object]] = [(one.task_id, "cat") for one in page.assignments[1:]]
        world.submit(page, answers=[(page.assignments[0].task_id, Skip(SkipReason.OFFENSIVE)), *given])
        return world, page.page_id

    counted, counted_id = submitted()
    for call in range(counted.aws.faults.count_calls(lambda: counted.grade(counted_id))):
        world, page_id = submitted()
        with world.aws.faults.planned(Plan(fault, at=call)), pytest.raises(Crash):
            world.grade(page_id)
        world.grade(page_id)
        world.grade(page_id)
        assert skips(world) == {"offensive": 1}


def test_a_page_is_given_back_with_a_reason(platform: Platform) -> None:
    world = platform.world
    world.active(30)
    ann = platform.worker("ann")
    page, plain = ann.leased("k1"), ann.leased("k2")
    assert ann.post(f"/pages/{plain['page_id']}/return").status == 200
    assert skips(world) == {}
    for reason in ("unclear_instructions", "unclear_instructions", "other"):
        assert ann.post(f"/pages/{page['page_id']}/return", query=f"reason={reason}").json["state"] == "returned"
    assert skips(world) == {"unclear_instructions": 10}
    third = ann.leased("k3")
    told = ann.refused("POST", f"/pages/{third['page_id']}/return", 422, "invalid", query="reason=boring").json
    assert [one["pointer"] for one in told["errors"]] == ["/reason"]


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
def test_a_return_with_a_reason_that_dies_at_any_call_counts_once(fault: Fault) -> None:
    def give_back(world: World, page_id: str) -> None:
        seats.return_page(
            page=world.page(page_id), batch=world.batch(), reason=SkipReason.OTHER, now_ms=world.now_ms,
            reads=world.tasks, unit=world.table,
        )  # fmt: skip

    def leased() -> tuple[World, str]:
        world = World()
        world.active(4, min_answers=1, max_answers=1)
        return world, world.leased("ann").page_id

    counted, counted_id = leased()
    for call in range(counted.aws.faults.count_calls(lambda: give_back(counted, counted_id))):
        world, page_id = leased()
        with world.aws.faults.planned(Plan(fault, at=call)), pytest.raises(Crash):
            give_back(world, page_id)
        give_back(world, page_id)
        assert skips(world) == {"other": 4}
        assert len(world.leased("bob").assignments) == 4


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"skip": "boring"}, "/answers/0/skip"),
        ({"skip": None}, "/answers/0/skip"),
        ({"skip": "other", "answer": "cat"}, "/answers/0/answer"),
        ({}, "/answers/0/answer"),
        ({"answer": "fish"}, "/answers/0/answer"),
        ({"skip": "other", "why": "tired"}, "/answers/0/why"),
    ],
)
def test_an_answer_that_is_neither_is_refused_where_it_stands(
    platform: Platform, change: dict[str, Any], pointer: str
) -> None:
    platform.world.active(10)
    ann = platform.worker("ann")
    page = ann.leased()
    body = answers_to(page)
    body["answers"][0] = {"task_id": body["answers"][0]["task_id"], **change}
    told = ann.refused("POST", f"/pages/{page['page_id']}/submission", 422, "invalid", body=body).json
    assert [one["pointer"] for one in told["errors"]] == [pointer]


def test_a_submission_of_skips_alone_is_refused_and_says_how_to_return_the_page(platform: Platform) -> None:
    platform.world.active(10)
    ann = platform.worker("ann")
    page = ann.leased()
    body = with_skips(page, *["other"] * 10)
    told = ann.refused("POST", f"/pages/{page['page_id']}/submission", 422, "invalid", body=body).json
    assert [(one["pointer"], "return the page" in one["detail"]) for one in told["errors"]] == [("/answers", True)]
    body["answers"].append(body["answers"][0])
    told = ann.refused("POST", f"/pages/{page['page_id']}/submission", 422, "invalid", body=body).json
    assert told["errors"][0]["pointer"] == "/answers/10/task_id"


def test_every_reason_is_taken(platform: Platform) -> None:
    platform.world.active(10)
    ann = platform.worker("ann")
    page = ann.leased()
    assert ann.post(f"/pages/{page['page_id']}/submission", with_skips(page, *REASONS)).status == 202
    platform.deliver()
    assert skips(platform.world) == dict.fromkeys(REASONS, 1)


# Earnings


def day(platform: Platform) -> str:
    return to_rfc3339(platform.world.now_ms)[:10]


def test_earnings_by_day_add_up_to_the_statement_to_the_micro(platform: Platform) -> None:
    ann = platform.worker("ann")
    ann.put("/payout-destination", DESTINATION)
    odd: dict[str, Any] = {"price_micros": 1_111_111, "reward_micros": 911_111, "fee_micros": 200_000}
    days = [day(platform)]
    for number in range(7):
        platform.world.active(30, batch_id=f"b{number}", **odd)
        for page in range(number % 3 + 1):
            ann.submitted(ann.leased(f"k{page}-{number}", f"b{number}"))
            platform.deliver()
        if number % 2:
            assert ann.post("/payouts", {}, key=f"p{number}").status == 201
        platform.aws.clock.advance(DAY + 3_600)
        days.append(day(platform))
    told = ann.get("/earnings", f"from={days[0]}&to={days[-1]}").json
    rows = ann.everything("/statement", "rows", limit=7)
    by_day: dict[str, int] = {}
    for row in rows:
        by_day[row["at"][:10]] = by_day.get(row["at"][:10], 0) + micros(row["amount"])
    assert {one["day"]: change(one) for one in told["days"] if change(one)} == {d: m for d, m in by_day.items() if m}
    assert change(told) == micros(ann.get("/balance").json["available"])
    assert micros(told["credited"]) == sum(micros(row["amount"]) for row in rows if row["kind"] == "credit")
    assert told["answers"] == sum(one["answers"] for one in told["days"])
    assert told["answers"] == sum((number % 3 + 1) * 10 for number in range(7))
    for first, last in ((1, 3), (2, 2), (0, 6), (6, 7)):
        part = ann.get("/earnings", f"from={days[first]}&to={days[last]}").json
        inside = [one for one in told["days"] if days[first] <= one["day"] <= days[last]]
        assert part["days"] == inside
        assert change(part) == sum(map(change, inside))
    assert ann.get("/earnings", f"from={days[-1]}").json["days"][-1]["day"] == days[-1]
    assert len(ann.get("/earnings").json["days"]) == 30
    assert ann.get("/earnings", "currency=EUR").json["credited"] == "0.00"


def micros(text: str) -> int:
    whole = parse_amount(text.removeprefix("-"), "USD", decimals=6)
    return -whole if text.startswith("-") else whole


def change(one: dict[str, Any]) -> int:
    return micros(one["credited"]) - micros(one["paid_out"]) + micros(one["came_back"])


def test_earnings_read_few_rows_of_a_long_statement(platform: Platform) -> None:
    ann = platform.worker("ann")
    platform.world.active(500, page_size=1, min_answers=1, max_answers=1)
    for number in range(300):
        ann.submitted(ann.leased(f"k{number}"))
        platform.deliver()
        platform.aws.clock.advance(3_600)
    calls = platform.aws.faults.count_calls(lambda: ann.get("/earnings", f"from={day(platform)}"))
    assert calls <= 2 + 2 * 10


@pytest.mark.parametrize(
    ("query", "code", "pointer"),
    [
        ("from=2026-02-30", "invalid", "/from"),
        ("from=2026-2-3", "invalid", "/from"),
        ("to=yesterday", "invalid", "/to"),
        ("from=2026-03-02&to=2026-03-01", "bad_period", "/to"),
        ("from=2026-01-01&to=2026-04-03", "bad_period", "/from"),
        ("from=2026-01-01&to=9999-12-31", "bad_period", "/from"),
        ("currency=QQQ", "invalid", "/currency"),
        ("from_=2026-01-01", "invalid", "/from_"),
        ("day=2026-01-01", "invalid", "/day"),
    ],
)
def test_days_that_cannot_be_are_refused(platform: Platform, query: str, code: str, pointer: str) -> None:
    told = platform.worker().refused("GET", "/earnings", 422, code, query=query).json
    assert [one["pointer"] for one in told["errors"]] == [pointer]


@pytest.mark.parametrize("query", ["from=2026-01-01&to=2026-04-02", "to=9999-12-31", "to=0001-02-01", "to=1970-01-01"])
def test_any_days_that_are_not_too_many_are_told(platform: Platform, query: str) -> None:
    told = platform.worker().get("/earnings", query)
    assert told.status == 200, told.text
    assert told.json["answers"] == 0


# What a payout comes to


def rich(platform: Platform, dollars: int = 6) -> Client:
    platform.world.active(10 * (dollars // 6), batch_id="pay", **DOLLAR)
    ann = platform.worker("ann")
    for number in range(dollars // 6):
        ann.submitted(ann.leased(f"pay{number}", "pay"))
        platform.deliver()
    return ann


@pytest.mark.parametrize("amount", ["", "5.00", "5.99", "6.00"])
def test_a_quote_is_what_the_request_then_reserves(platform: Platform, amount: str) -> None:
    ann = rich(platform)
    ann.put("/payout-destination", DESTINATION)
    with platform.unchanged():
        quote = ann.get("/payout-quote", f"amount={amount}" if amount else "").json
    assert quote["missing"] == []
    payout = ann.post("/payouts", {"amount": amount} if amount else {}, key="p").json
    assert {name: quote[name] for name in ("amount", "fee", "currency", "rail")} == {
        name: payout[name] for name in ("amount", "fee", "currency", "rail")
    }
    assert micros(quote["arrives"]) == micros(payout["amount"]) - micros(payout["fee"])


def test_a_quote_with_a_fee_is_what_the_request_then_reserves(platform: Platform) -> None:
    terms = RailTerms(30 * DAY, 1_000_000, 255_000, delivers_from_seconds=DAY, delivers_within_seconds=2 * DAY)
    rules = PayoutRules(5_000_000, 0, {"gateway": terms})
    platform.wiring._made[wiring.payout_rules] = rules
    ann = rich(platform)
    ann.put("/payout-destination", DESTINATION)
    quote = ann.get("/payout-quote").json
    payout = ann.post("/payouts", {}, key="p").json
    assert (quote["fee"], quote["arrives"], quote["threshold"]) == ("0.25", "5.75", "5.00")
    assert (payout["fee"], payout["amount"]) == (quote["fee"], quote["amount"])
    run = quote["next_run"]
    assert run[11:] == "06:00:00.000Z"
    assert [int(quote[name][8:10]) - int(run[8:10]) for name in ("earliest_arrival", "latest_arrival")] == [1, 2]


def test_a_quote_says_what_is_missing_by_the_code_of_the_refusal(platform: Platform) -> None:
    ann = rich(platform)
    for prepare, amount, codes in (
        (lambda: None, "4.99", ["no_destination", "below_threshold"]),
        (lambda: ann.put("/payout-destination", DESTINATION), "4.99", ["below_threshold"]),
        (lambda: None, "6.01", ["insufficient_funds"]),
        (lambda: ann.put("/profile", {"payout_threshold": "6.50"}), "6.00", ["below_threshold"]),
        (
            lambda: ann.put("/payout-destination", DESTINATION | {"address": "new@example.com"}),
            "7.00",
            ["destination_cooling_off", "insufficient_funds"],
        ),
    ):
        prepare()
        quote = ann.get("/payout-quote", f"amount={amount}").json
        assert [one["code"] for one in quote["missing"]] == codes
        refused = ann.post("/payouts", {"amount": amount}, key=f"p{amount}")
        assert refused.json["code"] == codes[0]
        assert (quote["rail"] is None) == (quote["earliest_arrival"] is None) == ("no_destination" in codes)
    cooling = quote["missing"][0]
    assert cooling["until"] == to_rfc3339(platform.world.now_ms + 259_200_000)
    assert quote["next_run"] > cooling["until"]


@pytest.mark.parametrize(
    ("query", "code", "pointer"),
    [
        ("amount=0", "bad_amount", "/amount"),
        ("amount=5.001", "bad_amount", "/amount"),
        ("amount=-5", "invalid", "/amount"),
        ("amount=500.5&currency=JPY", "bad_amount", "/amount"),
        ("currency=usd", "invalid", "/currency"),
        ("sum=1", "invalid", "/sum"),
    ],
)
def test_an_amount_that_cannot_be_is_refused(platform: Platform, query: str, code: str, pointer: str) -> None:
    told = platform.worker().refused("GET", "/payout-quote", 422, code, query=query).json
    assert [(one["in"], one["pointer"]) for one in told["errors"]] == [("query", pointer)]


# Automatic payouts


def test_payouts_can_be_automatic_only_with_a_destination(platform: Platform) -> None:
    ann = platform.worker("ann")
    told = ann.refused("PUT", "/profile", 422, "bad_profile", body={"automatic_payouts": True}).json
    assert [one["pointer"] for one in told["errors"]] == ["/automatic_payouts"]
    ann.put("/payout-destination", DESTINATION)
    assert ann.put("/profile", {"automatic_payouts": True}).json["automatic_payouts"] is True
    assert ann.get("/profile").json["automatic_payouts"] is True
    assert ann.put("/profile", {}).json["automatic_payouts"] is False
    ann.refused("PUT", "/profile", 422, "invalid", body={"automatic_payouts": "yes"})
    assert "ann@" not in json.dumps(platform.dump()["platform"])
