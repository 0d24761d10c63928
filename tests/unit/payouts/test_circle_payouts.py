"""USDC payouts over the state machine: lost answers, notifications that name nobody, money that comes back."""

import io
import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import urllib3
from botocore.exceptions import ReadTimeoutError

from local.rails.circle import Circle, Mode
from smallpeck.payouts import events, running
from smallpeck.payouts.events import EventPorts, EventState
from smallpeck.payouts.model import Payout, PayoutState
from smallpeck.payouts.rails.circle import CircleRail
from smallpeck.payouts.rails.port import RailEvent
from smallpeck.payouts.reference_store import S3References
from smallpeck.payouts.runs import Ports
from smallpeck.payouts.service import WorkerPayoutFacts
from smallpeck.people.model import Destination
from tests.aws import Aws, Crash, Fault, Plan
from tests.unit.payouts.world import PayoutWorld

ADDRESS = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
TEN = 10_000_000
S = PayoutState


@dataclass
class CircleHttp:
    """Circle instead of a network: every call passes the fault hook; silence is a timeout."""

    aws: Aws
    circle: Circle

    def request(self, method: str, url: str, **arguments: Any) -> urllib3.BaseHTTPResponse:
        parts = urlsplit(url)

        def act() -> tuple[int, dict[str, Any]] | None:
            if method == "POST":
                return self.circle.post(parts.path, json.loads(arguments["body"]))
            return self.circle.get(parts.path, parse_qs(parts.query))

        try:
            reply = self.aws.faults.run("rail", f"{method.capitalize()}Circle", {"TableName": "circle"}, act)
        except ReadTimeoutError:
            reply = None
        if reply is None:
            raise urllib3.exceptions.TimeoutError
        content = io.BytesIO(json.dumps(reply[1]).encode())
        return urllib3.HTTPResponse(content, status=reply[0], preload_content=False)


@dataclass
class CircleWorld(PayoutWorld):
    """One platform and Circle."""

    circle: Circle = field(default_factory=Circle)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.aws.s3.create_bucket(Bucket="work")
        references = S3References(self.aws.s3, "work", "circle")
        http = CircleHttp(self.aws, self.circle)
        self.rail = CircleRail("https://circle.test", "key", "1000", http, references)
        self.ports = Ports(**(self.ports.__dict__ | {"rails": {"circle": self.rail}}))
        self.event_ports = EventPorts(
            payouts=self.payouts, books=self.books, unit=self.table, clock=self, signals=self,
            events=self.payouts, waiting=self,
        )  # fmt: skip

    def tell(self, token: str) -> None:
        raise AssertionError(f"nobody waits: {token}")

    def due(self, worker_id: str = "w-1", mode: Mode = Mode.OK) -> Payout:
        self.circle.modes[ADDRESS.lower()] = mode
        self.people.addresses[worker_id, 1] = Destination("circle", f"BASE:{ADDRESS}")
        self.people.facts[worker_id] = WorkerPayoutFacts(None, 1, "circle", None)
        self.earn(worker_id, TEN)
        return self.ask(worker_id)

    def notified(self, circle_id: str, number: int = 1) -> EventState:
        event = RailEvent(f"m-{circle_id}-{number}", "payouts", follow=circle_id)
        return events.receive(rail="circle", event=event, ports=self.event_ports)

    def follow(self) -> int:
        return events.follow_all(rails={"circle": self.rail}, ports=self.event_ports)


@pytest.fixture
def world() -> CircleWorld:
    return CircleWorld()


@pytest.mark.parametrize(
    "mode", [Mode.OK, Mode.LATE, Mode.TIMEOUT_BEFORE, Mode.TIMEOUT_AFTER, Mode.ERROR_AFTER, Mode.INACTIVE]
)
def test_a_payout_is_paid_once_whatever_was_lost_or_late(world: CircleWorld, mode: Mode) -> None:
    payout = world.due(mode=mode)
    world.run(rounds=6)
    assert world.payout(payout.payout_id).state is S.SETTLED
    assert [str(amount) for _, amount in world.circle.executed] == ["9.50"]
    assert world.balance("w-1") == 0
    assert world.alarms == []


def test_a_failed_payout_is_credited_back_once_and_says_why(world: CircleWorld) -> None:
    payout = world.due(mode=Mode.FAIL)
    world.run()
    released = world.payout(payout.payout_id)
    assert (released.state, released.reason) == (S.RELEASED, "insufficient_funds")
    assert world.balance("w-1") == TEN


@pytest.mark.parametrize("mode", [Mode.OTHER_AMOUNT, Mode.CONTRADICT])
def test_a_contradiction_freezes(world: CircleWorld, mode: Mode) -> None:
    payout = world.due(mode=mode)
    world.run()
    reference = world.payout(payout.payout_id).reference
    if mode is Mode.CONTRADICT:
        assert reference is not None
        world.notified(reference)
        world.follow()
    assert world.payout(payout.payout_id).state is S.FROZEN
    assert world.balance("w-1") == 0


def test_money_that_comes_back_is_credited_back_once(world: CircleWorld) -> None:
    payout = world.due(mode=Mode.RETURN)
    world.run()
    reference = world.payout(payout.payout_id).reference
    assert reference is not None
    world.circle.come_back(reference)
    for number in range(3):
        assert world.notified(reference, number) is EventState.FOLLOWED
        world.follow()
    returned = world.payout(payout.payout_id)
    assert (returned.state, returned.reason) == (S.RETURNED, "payout_returned")
    assert world.balance("w-1") == TEN
    assert world.journal("rail:circle:cash") == world.journal("rail:circle:clearing") == 0


def test_a_notification_about_a_payout_that_nobody_knows_is_held_with_an_alarm(world: CircleWorld) -> None:
    world.due()
    world.run()
    (circle_id,) = world.circle.payouts
    world.aws.s3.delete_object(Bucket="work", Key=f"circle/{circle_id}/{world.every_payout()[0].payout_id}")
    world.notified(circle_id)
    world.follow()
    assert [name for name, _ in world.alarms] == ["RailEventHeld"]


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.TIMEOUT_AFTER])
def test_whatever_call_fails_it_is_paid_once(fault: Fault) -> None:
    def prepared() -> CircleWorld:
        world = CircleWorld()
        world.due()
        return world

    counted = prepared()
    calls = counted.aws.faults.count_calls(counted.run)
    for at in range(calls):
        world = prepared()
        with suppress(Crash, Exception), world.aws.faults.planned(Plan(fault, at)):
            world.run()
        world.aws.clock.advance(3600)
        world.run()
        running.query_earlier(ports=world.ports)
        world.run("again")
        assert [one.state for one in world.every_payout()] == [S.SETTLED], at
        assert len(world.circle.executed) == 1, at
        assert world.journal("rail:circle:clearing") == 0, at
