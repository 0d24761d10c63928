"""Every single fault at every call of sending, settling and returning by PayPal and Stripe: at most one payment, and
what comes back is credited once.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count

import pytest

from local.rails.peer import Call
from smallpeck.kernel.errors import SmallPeckError
from smallpeck.payouts import events, model, running, sending, service
from smallpeck.payouts.model import Payout, PayoutState
from smallpeck.payouts.rails.port import Forged
from tests.aws import Crash, Fault, Plan
from tests.unit.payouts.rails_world import RailsWorld
from tests.unit.payouts.world import DAY

S = PayoutState
TEN = 10_000_000
FAULTS = (Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER)
WORKERS = {
    "ann": ("paypal", "ann@example.com", S.SETTLED),
    "bea": ("paypal", "refund-bea@example.com", S.RETURNED),
    "cyd": ("paypal", "unclaimed-cyd@example.com", S.RETURNED),
    "dan": ("paypal", "refuse-dan@example.com", S.RELEASED),
    "eva": ("stripe", "acct_eva", S.SETTLED),
    "fay": ("stripe", "acct_failfay", S.RETURNED),
}


def new_world() -> RailsWorld:
    world = RailsWorld()
    for worker_id, (rail, address, _) in WORKERS.items():
        world.goes(worker_id, rail, address)
        world.earn(worker_id, TEN)
    return world


def send(world: RailsWorld) -> None:
    """What is asked for goes out."""
    for worker_id in WORKERS:
        world.ask(worker_id)
    world.run()


def settle(world: RailsWorld) -> None:
    """What the rails say by themselves arrives, and they are asked."""
    deliver(world)
    for n in range(2):
        world.run(f"settle-{n}")


def deliver(world: RailsWorld) -> None:
    """Every webhook call until it is answered well, as providers do; each twice."""
    for rail, peer in world.peers.items():
        calls = peer.take_calls()
        for number, call in enumerate(calls):
            try:
                received(world, rail, call)
                received(world, rail, call)
            except BaseException:
                peer.calls += calls[number:]
                raise


def received(world: RailsWorld, rail: str, call: Call) -> None:
    try:
        world.receive(rail, call)
    except Forged:
        assert rail == "stripe", "only theirs are too old, and asking makes up for it"


def come_back(world: RailsWorld) -> None:
    """A month later."""
    world.process()
    world.process()
    deliver(world)
    world.follow()
    deliver(world)
    running.query_earlier(ports=world.ports)


def story(world: RailsWorld, fault: Fault | None = None, at: int = 0, *, step: int = 0, gap_seconds: float = 1) -> None:
    """The whole life, with one fault in one step of it; each step is made again after it."""
    for number, act in enumerate((send, settle, come_back)):
        if number == 1:
            world.process()
        if number == 2:
            world.aws.clock.advance(31 * DAY)
        if fault is None or number != step:
            act(world)
            continue
        plan = Plan(fault, at, race=lambda act=act: act(world))  # type: ignore[misc]
        with world.aws.faults.planned(plan):
            try:
                act(world)
            except (Crash, Exception):  # noqa: BLE001 - whatever the caller sees, it repeats
                assert plan.fired
        world.aws.clock.advance(gap_seconds)
        world.connect()
        act(world)


def calls_of(step: int) -> int:
    world = new_world()
    counts = []
    for number, act in enumerate((send, settle, come_back)):
        if number == 1:
            world.process()
        if number == 2:
            world.aws.clock.advance(31 * DAY)
        counts.append(world.aws.faults.count_calls(lambda act=act: act(world)))  # type: ignore[misc]
    return counts[step]


def all_as_it_should_be(world: RailsWorld, *, stuck: frozenset[str] = frozenset()) -> None:
    world.check_rails(done=not stuck)
    payouts = world.every_payout()
    assert len(payouts) == len(WORKERS)
    for payout in payouts:
        assert payout.state is WORKERS[payout.worker_id][2] or payout.worker_id in stuck, payout
        back = payout.state in {S.RETURNED, S.RELEASED}
        assert world.balance(payout.worker_id) == (TEN if back else 0)
        assert bool(payout.reason) == (payout.state is not S.SETTLED)


def test_without_a_fault_each_ends_as_its_rail_says() -> None:
    world = new_world()
    story(world)
    all_as_it_should_be(world)
    assert world.alarms == []


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", [0, 1, 2])
def test_one_fault_anywhere_changes_no_sum(fault: Fault, step: int) -> None:
    # Each fault at every fourth call, so that all of them together see every call.
    for at in range(FAULTS.index(fault), calls_of(step), len(FAULTS)):
        world = new_world()
        story(world, fault, at, step=step)
        world.run("last")
        world.aws.clock.advance(2 * DAY)
        running.query_earlier(ports=world.ports)
        world.check_rails(done=False)
        paid_late = {one.worker_id for one in world.every_payout() if one.reason == "never_arrived"}
        assert paid_late <= {"eva", "fay"}, "Stripe is never sent anything twice"
        for payout in world.every_payout():
            if payout.worker_id not in paid_late:
                assert payout.state is WORKERS[payout.worker_id][2], (at, payout)


@pytest.mark.parametrize("step", [0, 1, 2])
def test_the_same_twice_at_once_pays_once(step: int) -> None:
    for at in range(step, calls_of(step), 5):
        world = new_world()
        story(world, Fault.RACE, at, step=step)
        world.check_rails()


# What the tests above are worth: with one layer of protection off, they must find it out.


@contextmanager
def found_out(*expected: type[BaseException]) -> Iterator[None]:
    with pytest.raises((AssertionError, *expected)):
        yield


def test_another_name_for_a_parcel_each_time_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers, original = count(), sending._written_down
    monkeypatch.setattr(
        sending, "_written_down", lambda *given: replace(original(*given), key=f"{given[0].run_id}-{next(numbers)}")
    )
    with found_out():
        for at in range(calls_of(0)):
            world = new_world()
            story(world, Fault.TIMEOUT_AFTER, at)
            all_as_it_should_be(world)


def test_a_write_without_its_condition_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    original = model.change
    monkeypatch.setattr(model, "change", lambda before, after: replace(original(before, after), when=()))
    with found_out(SmallPeckError):
        for step in (0, 1, 2):
            for at in range(0, calls_of(step), 3):
                world = new_world()
                story(world, Fault.RACE, at, step=step)
                world.check_rails()


def test_a_return_under_an_id_that_is_not_the_payouts_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the state machine forgetting that it was returned, the entry's id alone must hold."""
    numbers, original = count(), service.return_entry

    def careless(payout: Payout, *, now_ms: int) -> object:
        entry = original(payout, now_ms=now_ms)
        return replace(entry, entry_id=f"{entry.entry_id}-{next(numbers)}")

    monkeypatch.setattr("smallpeck.payouts.recording.return_entry", careless)
    with found_out():
        world = new_world()
        story(world)
        all_as_it_should_be(world)


def test_an_event_that_is_not_remembered_is_still_applied_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The state machine holds where the memory of event ids is off."""
    numbers = count()
    monkeypatch.setattr(events, "our_id", lambda rail, event_id: f"e_{rail}{next(numbers)}")
    world = new_world()
    story(world)
    all_as_it_should_be(world)
