"""The webhooks' function: what providers sign is taken, whatever it says; all else is refused and changes nothing."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from functions.payout_events.handler import _READERS, api
from local.rails.peer import Call
from smallpeck.payouts.events import wait
from smallpeck.payouts.model import PayoutState
from smallpeck.runtime.payout_rails import event_ports
from smallpeck.runtime.settings import Settings
from smallpeck.runtime.wiring import Wiring, wired
from tests.gateway import Answer, Context, event
from tests.unit.payouts.rails_world import AUTHORITY, RailsWorld

S = PayoutState
TABLES = {f"{name}_table": name for name in ("platform", "ledger")}


@dataclass
class Secrets:
    text: str

    def get_secret_value(self, **arguments: Any) -> dict[str, str]:
        assert arguments == {"SecretId": "arn:events"}
        return {"SecretString": self.text}


@dataclass
class Desk:
    world: RailsWorld
    wiring: Wiring

    def post(self, rail: str, call: Call, **changes: Any) -> Answer:
        given: dict[str, Any] = {"raw": call.body, "headers": dict(call.headers), "token": {}} | changes
        answered = api.handler(event("POST", f"/v1/webhooks/{rail}", **given), Context())
        return Answer(answered["statusCode"], answered["headers"], answered["body"])


@pytest.fixture
def desk() -> Iterator[Desk]:
    world = RailsWorld()
    told = {"paypal": world.paypal.webhook_secret(), "stripe": world.stripe.webhook_secret()}
    environment = Settings.environment(stage="local", rail_events_secret_arn="arn:events", **TABLES)
    clients = {
        "dynamodb": world.aws.dynamodb, "secretsmanager": Secrets(json.dumps(told)), "stepfunctions": world.aws.sfn,
    }  # fmt: skip
    wiring = Wiring(Settings.from_environment(environment), clock=world, clients=clients)
    wiring.table = world.table
    # The same reader, but one whose certificates come from the peer.
    wiring._made[_READERS["paypal"]] = world.readers["paypal"]
    with wired(wiring):
        yield Desk(world, wiring)


def sent(desk: Desk, rail: str, address: str) -> str:
    payout_id = desk.world.due("ann", rail, address).payout_id
    desk.world.send()
    desk.world.process()
    return payout_id


def test_a_return_that_stripe_tells_of_is_credited_once(desk: Desk) -> None:
    world = desk.world
    payout_id = sent(desk, "stripe", "acct_1")
    (transfer_id,) = world.stripe.transfers
    world.stripe.take_calls()
    world.stripe.reverse(transfer_id, 975, {"reason": "fraudulent"})
    (call,) = world.stripe.take_calls()
    answers = [desk.post("stripe", call) for _ in range(3)]
    assert [(one.status, one.json) for one in answers] == [(200, {"state": "applied"})] * 3
    payout = world.payout(payout_id)
    assert (payout.state, payout.reason, world.balance("ann")) == (S.RETURNED, "fraudulent", 10_000_000)
    world.check_rails()


def test_the_last_word_lets_the_workflow_go_on(desk: Desk) -> None:
    world = desk.world
    payout = world.payout(sent(desk, "paypal", "ann@example.com"))
    assert payout.run_id is not None
    wait(run_id=payout.run_id, token="the-token", open_chunks=frozenset({0}), ports=desk.wiring.once(event_ports))
    assert world.aws.sfn.answers == []
    for call in world.paypal.take_calls():
        for _ in range(2):
            assert desk.post("paypal", call).status == 200
    assert {one.token for one in world.aws.sfn.answers} == {"the-token"}
    assert world.payout(payout.payout_id).state is S.SETTLED


@pytest.mark.parametrize("rail", ["paypal", "stripe"])
def test_what_is_not_signed_is_refused_and_changes_nothing(desk: Desk, rail: str) -> None:
    sent(desk, rail, "ann@example.com" if rail == "paypal" else "acct_1")
    call = desk.world.peers[rail].take_calls()[0]
    before = desk.world.aws.dynamodb.dump("platform")
    for forged in (Call({"content-type": "application/json"}, call.body), Call(call.headers, b"{}")):
        answer = desk.post(rail, forged)
        assert (answer.status, answer.json["code"]) == (403, "bad_signature")
        assert answer.headers["content-type"] == "application/problem+json"
    assert desk.world.aws.dynamodb.dump("platform") == before


def test_too_large_a_body_is_refused_unread(desk: Desk) -> None:
    assert desk.post("stripe", Call({}, b"x" * 300_000)).status == 413


@pytest.mark.parametrize("rail", ["gateway", "sepa", "nobody", "paypal/more"])
def test_there_is_nothing_for_others(desk: Desk, rail: str) -> None:
    assert desk.post(rail, Call({}, b"{}")).status in {401, 404}


def test_a_rail_that_the_stage_was_told_nothing_of_has_no_webhook(desk: Desk) -> None:
    answer = desk.post("circle", Call({}, b"{}"))
    assert (answer.status, answer.json["code"]) == (404, "no_webhook")


def test_nothing_of_a_call_is_logged(desk: Desk, capfd: pytest.CaptureFixture[str]) -> None:
    sent(desk, "stripe", "acct_secretive")
    call = desk.world.stripe.take_calls()[0]
    desk.post("stripe", call)
    desk.post("stripe", Call(call.headers, call.body + b" "))
    printed = capfd.readouterr().out
    assert "RailEventsApplied" in printed
    assert "acct_secretive" not in printed
    assert call.headers["stripe-signature"] not in printed


def test_the_certificates_of_the_world_are_those_of_its_authority() -> None:
    assert AUTHORITY.pem.startswith("-----BEGIN CERTIFICATE")
