"""Prepaying as requesters, providers and operators see it, through the functions."""

from collections.abc import Iterator

import pytest

from functions.funding_watch.handler import handler as funding_watch
from local.checkout import Mode
from smallpeck.funding.creditor_reference import creditor_reference
from smallpeck.ledger.accounts import requester_available
from smallpeck.runtime.wiring import wired
from tests.aws import Fault, Plan
from tests.functions.paying import Paying
from tests.functions.requester_tour import ready
from tests.functions.world import Platform
from tests.gateway import Context
from tests.support import REQUESTER

BODY = {"amount": "100.00", "currency": "USD"}


@pytest.fixture
def paying() -> Iterator[Paying]:
    made = Paying()
    with wired(made.platform.wiring):
        yield made


def funds(platform: Platform, currency: str = "USD") -> tuple[str, str, bool]:
    told = platform.requester().get("/funds", f"currency={currency}").json
    return told["available"], told["owed"], told["frozen"]


def test_a_requester_pays_and_publishes(paying: Paying) -> None:
    me = paying.platform.requester()
    opened = me.post("/checkouts", BODY, key="k1")
    assert (opened.status, opened.json["state"]) == (201, "created")
    assert opened.json["url"].startswith("https://checkout.test/pay/")
    path = f"/checkouts/{opened.json['deposit_id']}"
    assert me.get(path).json == me.post("/checkouts", BODY, key="k1").json == opened.json

    paying.pay(opened.json, Mode.DUPLICATE)
    assert set(paying.deliver()) == {"applied"}

    credited = me.get(path).json
    assert (credited["state"], credited["url"], credited["disputed"]) == ("credited", None, "0.00")
    assert me.get("/checkouts").json["checkouts"] == [credited]
    assert funds(paying.platform) == ("100.00", "0.00", False)
    (row,) = me.get("/statement").json["rows"]
    assert (row["kind"], row["reference"]) == ("deposit", credited["deposit_id"])
    tour = ready(paying.platform)
    assert tour.post("publish")["state"] == "active"


def test_a_dispute_freezes_work_until_it_is_won(paying: Paying) -> None:
    platform = paying.platform
    me = platform.requester()
    session = paying.pay(me.post("/checkouts", BODY, key="k1").json)
    paying.deliver()
    tour = ready(platform)
    tour.post("publish")
    page = platform.worker().leased(batch_id=tour.batch_id)
    dispute = paying.checkout.dispute(session)
    paying.deliver()

    told = me.get(tour.path).json
    assert (told["state"], told["paused_for"]) == ("paused", "funds_frozen")
    assert funds(platform) == ("0.00", "20.00", True)
    platform.world.deposit(100_000_000)  # money alone does not help
    for action, body in (("resume", {}), ("extend", {"more_answers": 1})):
        me.refused("POST", f"{tour.path}/{action}", 409, "funds_frozen", body=body, key="f")
    other = ready(platform, key="b2")
    me.refused("POST", f"{other.path}/publish", 409, "funds_frozen", body={}, key="f")
    platform.worker().submitted(page)
    platform.deliver()
    assert platform.worker().get("/balance").json["available"] == "4.00"

    paying.checkout.decide(dispute, won=True)
    paying.deliver()
    assert funds(platform) == ("180.00", "0.00", False)
    assert tour.post("resume")["paused_for"] is None


def test_unspent_work_pays_what_a_lost_dispute_left(paying: Paying) -> None:
    platform = paying.platform
    session = paying.pay(platform.requester().post("/checkouts", BODY, key="k1").json)
    paying.deliver()
    tour = ready(platform)
    tour.post("publish")
    paying.checkout.decide(paying.checkout.dispute(session), won=False)
    paying.deliver()
    assert funds(platform) == ("0.00", "20.00", True)
    platform.finish(tour.batch_id)
    assert funds(platform) == ("0.00", "0.00", False)


def test_what_the_provider_never_said_is_asked_for(paying: Paying) -> None:
    platform = paying.platform
    paying.pay(platform.requester().post("/checkouts", BODY, key="k1").json, Mode.LOST)
    assert paying.watch() == {"changed": 0, "silent": 0}
    platform.aws.clock.advance(3_600)
    with platform.aws.faults.planned(Plan(Fault.TIMEOUT_BEFORE, "provider.Get:checkout")):
        assert paying.watch() == {"changed": 0, "silent": 1}
    assert paying.watch() == {"changed": 1, "silent": 0}
    assert funds(platform) == ("100.00", "0.00", False)


def test_where_no_provider_is_there_are_no_checkouts(platform: Platform) -> None:
    me = platform.requester()
    me.refused("POST", "/checkouts", 403, "checkouts_closed", body=BODY, key="k1")
    me.refused("POST", "/bank-transfers", 403, "bank_transfers_closed", body={}, key="k1")
    assert funding_watch({}, Context()) == {"changed": 0, "silent": 0}


def test_what_requesters_may_not_ask(paying: Paying) -> None:
    me = paying.platform.requester()
    me.refused("POST", "/checkouts", 400, "idempotency_key_required", body=BODY)
    me.refused("POST", "/checkouts", 422, "checkout_refused", body={"amount": "1000000.00"}, key="k")
    me.refused("POST", "/checkouts", 422, "bad_amount", body={"amount": "0"}, key="k")
    me.refused("POST", "/checkouts", 422, "bad_amount", body={"amount": "1.001"}, key="k")
    me.refused("POST", "/checkouts", 422, "invalid", body={"amount": "5", "state": "credited"}, key="k")
    opened = me.post("/checkouts", BODY, key="k1").json
    me.refused("POST", "/checkouts", 422, "idempotency_mismatch", body=BODY | {"amount": "1.00"}, key="k1")
    other = paying.platform.requester("another")
    other.refused("GET", f"/checkouts/{opened['deposit_id']}", 404, "deposit_not_found")
    assert other.get("/checkouts").json["checkouts"] == []


def test_a_silent_provider_is_said_to_be_so(paying: Paying) -> None:
    me, platform = paying.platform.requester(), paying.platform
    with platform.aws.faults.planned(Plan(Fault.TIMEOUT_AFTER, "provider.Post:checkout")):
        answer = me.post("/checkouts", BODY, key="k1")
    assert (answer.status, answer.json["code"]) == (503, "provider_silent")
    assert me.post("/checkouts", BODY, key="k1").json["url"]
    assert len(paying.checkout.sessions) == 1


# Webhooks


def test_only_what_was_signed_lately_is_taken(paying: Paying) -> None:
    paying.pay(paying.platform.requester().post("/checkouts", BODY, key="k1").json)
    (text,) = paying.checkout.outbox
    signed = paying.checkout.signed(text)
    for headers in (
        {},
        {"stripe-signature": "t=1,v1=0"},
        signed | {"stripe-signature": signed["stripe-signature"][:-1]},
    ):
        with paying.platform.unchanged():
            answer = paying.tell(text, headers)
        assert (answer.status, answer.json["code"]) == (403, "bad_signature")
    paying.platform.aws.clock.advance(301)
    with paying.platform.unchanged():
        assert paying.tell(text, signed).status == 403
    assert paying.tell(text).status == 200
    assert funds(paying.platform)[0] == "100.00"


def test_the_same_event_weeks_later_changes_nothing(paying: Paying) -> None:
    paying.pay(paying.platform.requester().post("/checkouts", BODY, key="k1").json)
    (text,) = paying.checkout.outbox
    paying.deliver()
    paying.platform.aws.clock.advance(40 * 86_400)
    with paying.platform.unchanged():
        assert paying.tell(text).json == {"outcome": "applied"}


def test_calls_that_are_no_events(paying: Paying) -> None:
    for text in ("", "{", "[]", '{"id":"evt_1"}'):
        answer = paying.tell(text)
        assert (answer.status, answer.json["code"]) == (400, "unreadable_event")
    assert paying.tell("{}", method="GET").status == 405
    assert paying.tell('{"x":"' + "y" * 300_000 + '"}').status == 413
    assert paying.tell('{"id":"evt_1","type":"payout.paid","data":{"object":{}}}').json == {"outcome": "ignored"}


def test_a_provider_is_told_to_try_again_where_it_must_be_asked_and_is_silent(paying: Paying) -> None:
    platform = paying.platform
    session = paying.pay(platform.requester().post("/checkouts", BODY, key="k1").json, Mode.LOST)
    paying.checkout.dispute(session)
    text = paying.checkout.outbox[0]
    with (
        platform.aws.faults.planned(Plan(Fault.TIMEOUT_BEFORE, "provider.Get:checkout")),
        platform.unchanged(),
    ):
        assert paying.tell(text).status == 503
    assert paying.tell(text).status == 200
    assert funds(platform) == ("0.00", "0.00", True)


# Banks and suspense


def test_money_by_bank_and_what_an_operator_does_with_the_rest(paying: Paying) -> None:
    platform = paying.platform
    me, op = platform.requester(), platform.operator()
    told = me.post("/bank-transfers", {}, key="k1")
    assert (told.status, told.json["currency"], told.json["iban"]) == (201, "EUR", "DE89370400440532013000")
    assert told.json["printed"].replace(" ", "") == told.json["reference"]
    assert me.post("/bank-transfers", {}, key="k1").json == told.json

    booked = {"bank_entry_id": "2026-01-05/17", "reference": told.json["printed"], "amount": "250.00"}
    credit = op.post("/bank-credits", booked, key="b1")
    assert (credit.status, credit.json["requester_id"], credit.json["suspense_id"]) == (201, REQUESTER, None)
    assert op.post("/bank-credits", booked, key="another").json == credit.json
    assert funds(platform, "EUR")[0] == "250.00"
    op.refused("POST", "/bank-credits", 409, "bank_credit_mismatch", body=booked | {"amount": "251.00"}, key="b2")

    lost = booked | {"bank_entry_id": "2026-01-05/18", "reference": creditor_reference("NOBODY")}
    held = op.post("/bank-credits", lost, key="b3").json
    assert (held["requester_id"], held["reason"]) == (None, "unknown_reference")
    (waiting,) = op.get("/suspense").json["suspense"]
    assert (waiting["suspense_id"], waiting["amount"], waiting["state"]) == (held["suspense_id"], "250.00", "waiting")
    path = f"/suspense/{held['suspense_id']}/resolution"
    resolved = op.post(path, {"requester_id": REQUESTER}, key="s1").json
    assert resolved["state"] == "assigned"
    assert op.post(path, {"requester_id": REQUESTER}, key="s2").json == resolved
    op.refused("POST", path, 409, "already_resolved", body={"requester_id": None}, key="s3")
    op.refused("POST", "/suspense/none/resolution", 404, "suspense_not_found", body={"requester_id": None}, key="s")
    assert op.get("/suspense").json["suspense"] == []
    balance = platform.world.balance(requester_available(REQUESTER), "EUR")
    assert balance.balance_micros == 500_000_000
