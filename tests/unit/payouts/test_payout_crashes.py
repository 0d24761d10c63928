"""Every single fault at every call of AWS and of the rail, then the same again: none is paid twice, nothing is lost."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from smallpeck.kernel.errors import SmallPeckError
from smallpeck.payouts import model, recording, sending
from smallpeck.payouts.model import Payout, PayoutState
from smallpeck.payouts.rails.port import Order
from tests.aws import Crash, Fault, Plan
from tests.unit.payouts.world import DAY, FIVE, PayoutWorld

FAULTS = (Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER)
ADDRESSES = ("ann@example.com", "refuse-bob@example.com", "late-cy@example.com", "timeout-before-di@example.com",
             "timeout-after-ed@example.com", "error500-after-flo@example.com")  # fmt: skip
WORKERS = dict(enumerate(ADDRESSES))


def new_world() -> PayoutWorld:
    world = PayoutWorld()
    for number, address in WORKERS.items():
        world.earn(f"w{number}", FIVE + 123_456, address=address)
    return world


def flow(world: PayoutWorld) -> None:
    for number in WORKERS:
        world.ask(f"w{number}")
    world.run()


def with_fault(
    fault: Fault, at: int, *, gap_seconds: float, race: Callable[[PayoutWorld], object] = flow
) -> PayoutWorld:
    """The flow with one fault; then, after a gap, again as clients and workflows repeat it."""
    world = new_world()
    plan = Plan(fault, at, race=lambda: race(world))
    with world.aws.faults.planned(plan):
        try:
            flow(world)
        except (Crash, Exception):  # noqa: BLE001 - whatever the caller sees, it repeats
            assert plan.fired
    assert plan.fired
    world.aws.clock.advance(gap_seconds)
    flow(world)
    return world


def calls() -> int:
    world = new_world()
    return world.aws.faults.count_calls(lambda: flow(world))


CALLS = calls()


@pytest.mark.parametrize(("fault", "gap_seconds"), [*((fault, 0) for fault in FAULTS), (Fault.CRASH_AFTER, 700)])
def test_one_fault_anywhere_changes_no_sum(fault: Fault, gap_seconds: int) -> None:
    for at in range(CALLS):
        world = with_fault(fault, at, gap_seconds=gap_seconds)
        world.check()
        assert {payout.state for payout in world.every_payout()} == {PayoutState.SETTLED, PayoutState.RELEASED}
        assert len(world.every_payout()) == len(WORKERS)


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
def test_a_fault_and_a_month_later_nothing_is_sent_again(fault: Fault) -> None:
    """The window of the rail's keys has passed, and with it the provider's memory of them."""
    for at in range(CALLS):
        month_later(fault, at).check(done=False)


def month_later(fault: Fault, at: int) -> PayoutWorld:
    world = new_world()
    with world.aws.faults.planned(Plan(fault, at)), pytest.raises(Crash):
        flow(world)
    world.aws.clock.advance(31 * DAY)
    forgotten = {key: world.provider.payments.pop(key) for key in list(world.provider.payments)}
    flow(world)
    assert not forgotten.keys() & world.provider.payments.keys(), "a key was sent again after the window"
    world.provider.payments.update(forgotten)
    return world


def test_the_same_run_twice_at_once_pays_once() -> None:
    for at in range(CALLS):
        with_fault(Fault.RACE, at, gap_seconds=0).check()


# What the tests above are worth: with one layer of protection off, they must find it out.


@contextmanager
def found_out(expected: tuple[type[BaseException], ...] = (AssertionError,)) -> Iterator[None]:
    with pytest.raises(expected):
        yield


def test_a_key_that_is_not_the_stored_one_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = count()
    original = sending._order

    def fresh(payout: Payout) -> Order:
        return replace(original(payout), key=f"k{next(numbers)}")

    monkeypatch.setattr(sending, "_order", fresh)
    with found_out():
        for at in range(CALLS):
            with_fault(Fault.TIMEOUT_AFTER, at, gap_seconds=0).check()


def test_a_write_without_its_condition_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    original = model.change
    monkeypatch.setattr(model, "change", lambda before, after: replace(original(before, after), when=()))
    with found_out((AssertionError, SmallPeckError)):
        for at in range(CALLS):
            with_fault(Fault.RACE, at, gap_seconds=0).check()


def test_a_send_that_is_not_written_down_first_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(payout: Payout, ports: Any) -> None:
        destination = ports.destinations.at_version(payout.worker_id, payout.destination_version)
        begun = model.begin_send(payout, now_ms=ports.clock.now_ms())
        answer = ports.rails[payout.rail].pay(sending._order(begun), destination)
        ports.unit.commit([model.change(payout, begun)])
        recording.record(begun, answer, ports)

    monkeypatch.setattr(sending, "_send", careless)
    with found_out():
        for at in range(CALLS):
            month_later(Fault.CRASH_AFTER, at).check(done=False)
