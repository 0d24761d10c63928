"""Faults at every call of AWS and of the provider, deliveries doubled, weeks between: no money is lost or made."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from local.checkout import Mode
from smallpeck.funding import hearing, model, settling
from smallpeck.funding.model import DepositState
from smallpeck.kernel.errors import SmallPeckError
from smallpeck.tasks.model import BatchState
from tests.aws import Crash, Fault, Plan
from tests.unit.funding.world import DAY, HUNDRED, FundingWorld

FAULTS = (Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.TIMEOUT_AFTER)
OPENING = ("paid", "held", "looked after", "pays again")
"""Flows that open a checkout, which is not opened late."""
PRICE = 500_000
Flow = Callable[[FundingWorld], None]


def paid(world: FundingWorld) -> None:
    deposit = world.open()
    if deposit.state is DepositState.CREATED and not world.checkout.said:
        world.pay(deposit, Mode.DUPLICATE)
    world.deliver()


def heard(world: FundingWorld) -> None:
    world.deliver()


def won(world: FundingWorld) -> None:
    _disputed(world, won=True)


def lost(world: FundingWorld) -> None:
    _disputed(world, won=False)


def _disputed(world: FundingWorld, *, won: bool) -> None:
    world.deliver()
    (session,) = world.checkout.sessions.values()
    if not session.disputes:
        world.checkout.dispute(session.session_id, 8_000)
    world.deliver()
    for dispute_id, dispute in session.disputes.items():
        if dispute["status"] == "needs_response":
            world.checkout.decide(dispute_id, won=won)
    world.deliver()


def refunded(world: FundingWorld) -> None:
    (session,) = world.checkout.sessions.values()
    if not session.refunded:
        world.checkout.refund(session.session_id, 9_000)
    world.deliver()


def held(world: FundingWorld) -> None:
    deposit = world.open()
    if not world.checkout.said:
        world.pay(deposit, Mode.ANOTHER_AMOUNT)
    world.deliver()
    for one in world.funding.in_suspense(after=None, limit=10)[0]:
        world.resolve(one.suspense_id)


def banked(world: FundingWorld) -> None:
    reference = world.reference(currency="USD")
    world.banked(reference.reference, currency="USD")
    credit = world.banked("RF00", HUNDRED, currency="USD", entry="e2")
    assert credit.suspense_id is not None
    world.resolve(credit.suspense_id)


def looked_after(world: FundingWorld) -> None:
    deposit = world.open()
    (session,) = world.checkout.sessions.values()
    if session.status == "open":
        world.pay(deposit, Mode.LOST)
    world.aws.clock.advance(700)
    world.look_after()


def empty() -> FundingWorld:
    return FundingWorld()


def said() -> FundingWorld:
    """A payment that nothing was heard of yet."""
    world = FundingWorld()
    world.pay(world.open(), Mode.DUPLICATE)
    return world


def spent() -> FundingWorld:
    """A requester who has paid and spent half of it."""
    world = FundingWorld()
    world.paid()
    world.publish(world.ready(34))
    return world


def in_debt() -> FundingWorld:
    """A requester who owes 51 units, and pays again."""
    world = spent()
    (session,) = world.checkout.sessions.values()
    world.decided(world.checkout.dispute(session.session_id), won=False)
    assert world.owed == 102 * PRICE
    return world


def pays_again(world: FundingWorld) -> None:
    deposit = world.open(key="k2")
    if deposit.state is DepositState.CREATED and len(world.checkout.said) < 5:
        world.pay(deposit, Mode.DUPLICATE)
    world.deliver()


# A flow, the world that it begins in, and what is free and owed when it is over.
FLOWS: dict[str, tuple[Callable[[], FundingWorld], Flow, int, int]] = {
    "paid": (empty, paid, HUNDRED, 0),
    "heard": (said, heard, HUNDRED, 0),
    "won": (spent, won, HUNDRED - 102 * PRICE, 0),
    "lost": (spent, lost, 0, 102 * PRICE - 20_000_000),
    "refunded": (spent, refunded, 0, 102 * PRICE - 10_000_000),
    "held": (empty, held, HUNDRED + 1_000_000, 0),
    "banked": (empty, banked, 2 * HUNDRED, 0),
    "looked after": (empty, looked_after, HUNDRED, 0),
    "pays again": (in_debt, pays_again, HUNDRED - 102 * PRICE, 0),
}


def with_fault(name: str, fault: Fault, at: int, gap_seconds: float) -> FundingWorld:
    """The flow with one fault; then, after a gap, again as clients, providers and schedules repeat it."""
    build, flow, _, _ = FLOWS[name]
    world = build()
    plan = Plan(fault, at, race=lambda: flow(world))
    with world.aws.faults.planned(plan):
        try:
            flow(world)
        except (Crash, Exception):  # noqa: BLE001 - whatever the caller sees, it repeats
            assert plan.fired
    world.aws.clock.advance(gap_seconds)
    flow(world)
    return world


def calls(name: str) -> int:
    build, flow, _, _ = FLOWS[name]
    world = build()
    return world.aws.faults.count_calls(lambda: flow(world))


def check(world: FundingWorld, name: str) -> None:
    world.check()
    _, _, free, owed = FLOWS[name]
    assert (world.free, world.owed) == (free, owed)
    assert world.is_frozen == bool(owed)
    assert world.sums().get("chargeback:stripe:USD", 0) == 0
    assert world.suspended_micros() + world.suspended_micros("bank") == 0
    if name in ("won", "lost"):
        assert world.batch().state is BatchState.PAUSED


@pytest.mark.parametrize("name", FLOWS)
def test_one_fault_anywhere_loses_and_makes_nothing(name: str) -> None:
    for at in range(calls(name)):
        for fault in FAULTS:
            check(with_fault(name, fault, at, 30), name)


@pytest.mark.parametrize("name", FLOWS)
def test_nor_does_it_when_it_is_repeated_late(name: str) -> None:
    for at in range(calls(name)):
        check(with_fault(name, Fault.CRASH_AFTER, at, 700 if name in OPENING else 31 * DAY), name)


@pytest.mark.parametrize("name", FLOWS)
def test_the_same_twice_at_once_is_the_same_as_once(name: str) -> None:
    for at in range(calls(name)):
        check(with_fault(name, Fault.RACE, at, 30), name)


# What the tests above are worth: with one layer of protection off, they must find it out.


def found_out(name: str, faults: tuple[Fault, ...]) -> bool:
    for at in range(calls(name)):
        for fault in faults:
            try:
                check(with_fault(name, fault, at, 30), name)
            except (AssertionError, SmallPeckError):
                return True
    return False


def test_an_entry_named_by_the_event_and_not_by_the_deposit_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = iter(range(1_000))
    monkeypatch.setattr(settling, "credit_id", lambda _deposit: f"entry-{next(numbers)}")
    original = model.credited
    monkeypatch.setattr(model, "credited", lambda deposit, now_ms: deposit if now_ms < 0 else original(deposit, now_ms))
    change = model.change
    monkeypatch.setattr(model, "change", lambda before, after: replace(change(before, after), when=()))
    assert found_out("paid", (Fault.RACE,))


def test_a_dispute_that_pauses_nothing_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FundingWorld, "pause_all", lambda _self, _requester: None)
    assert found_out("lost", (Fault.CRASH_AFTER,))


def test_a_schedule_that_asks_nobody_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hearing, "look_at", lambda deposit, **_how: deposit)
    assert found_out("looked after", (Fault.CRASH_AFTER,))
