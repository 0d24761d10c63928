"""Asking for money."""

from functools import partial

import pytest

from smallpeck.kernel.errors import Category, IdempotencyMismatch, Invalid, NotFound
from smallpeck.ledger.service import InsufficientFunds
from smallpeck.payouts import service
from smallpeck.payouts.model import PayoutState
from smallpeck.payouts.rails.port import RailTerms
from smallpeck.payouts.service import (
    BelowThreshold,
    DestinationCoolingOff,
    NoDestination,
    RailUnknown,
    WorkerPayoutFacts,
)
from tests.aws import Fault, Plan
from tests.unit.payouts.world import FIVE, HOUR, PayoutWorld


@pytest.fixture
def world() -> PayoutWorld:
    return PayoutWorld()


def nothing_moved(world: PayoutWorld, worker_id: str, micros: int) -> bool:
    return world.balance(worker_id) == micros and world.every_payout() == []


def test_a_request_reserves_and_the_remainder_stays(world: PayoutWorld) -> None:
    world.earn("w", FIVE + 1_239_999)
    payout = world.ask("w")
    assert (payout.amount_micros, payout.state) == (FIVE + 1_230_000, PayoutState.REQUESTED)
    assert world.balance("w") == 9_999
    assert world.journal("rail:gateway:clearing") == payout.amount_micros
    world.check(done=False)


def test_a_replay_is_the_same_payout_even_when_everything_was_asked_for(world: PayoutWorld) -> None:
    world.earn("w", FIVE)
    payout = world.ask("w", key="a")
    world.earn("w", 2 * FIVE)
    assert world.ask("w", key="a") == payout
    assert world.balance("w") == 2 * FIVE


def test_the_same_key_with_another_body_is_refused(world: PayoutWorld) -> None:
    world.earn("w", 4 * FIVE)
    world.ask("w", FIVE, key="a")
    for amount, currency in ((2 * FIVE, "USD"), (None, "USD"), (FIVE, "EUR")):
        with pytest.raises(IdempotencyMismatch) as raised:
            world.ask("w", amount, key="a", currency=currency)
        assert (raised.value.code, raised.value.category) == ("idempotency_mismatch", Category.INVALID)
    assert world.balance("w") == 3 * FIVE


def test_the_same_key_of_another_worker_is_another_payout(world: PayoutWorld) -> None:
    for worker in ("v", "w"):
        world.earn(worker, FIVE)
    assert world.ask("v").payout_id != world.ask("w").payout_id


@pytest.mark.parametrize("amount", [FIVE + 10_000, 100 * FIVE])
def test_more_than_the_balance_is_a_conflict(world: PayoutWorld, amount: int) -> None:
    world.earn("w", FIVE)
    with pytest.raises(InsufficientFunds) as raised:
        world.ask("w", amount)
    assert raised.value.category is Category.CONFLICT
    assert nothing_moved(world, "w", FIVE)


@pytest.mark.parametrize("amount", [0, -FIVE, FIVE + 1, FIVE + 9_999, 2**63])
def test_an_amount_that_is_no_sum_of_coins_is_refused(world: PayoutWorld, amount: int) -> None:
    world.earn("w", 2 * FIVE)
    with pytest.raises(Invalid) as raised:
        world.ask("w", amount)
    assert [problem.pointer for problem in raised.value.problems] == ["/amount"]
    assert nothing_moved(world, "w", 2 * FIVE)


def test_yen_leave_in_whole_yen(world: PayoutWorld) -> None:
    world.earn("w", 700_999_999, currency="JPY")
    with pytest.raises(Invalid):
        world.ask("w", 5_500_000, currency="JPY")
    assert world.ask("w", currency="JPY").amount_micros == 700_000_000


def test_two_at_once_take_the_money_once(world: PayoutWorld) -> None:
    """The second request runs whole at every call of the first, in turn."""
    calls = _calls_of_a_request()
    for at in range(calls):
        world = PayoutWorld()
        world.earn("w", FIVE + 500_000)
        plan = Plan(Fault.RACE, at, race=partial(world.ask, "w", FIVE, key="b"))
        refused: list[Exception] = []
        with world.aws.faults.planned(plan):
            try:
                world.ask("w", FIVE, key="a")
            except InsufficientFunds as error:
                refused.append(error)
        assert plan.fired
        refused += plan.race_errors
        assert [type(error) for error in refused] == [InsufficientFunds]
        assert world.balance("w") == 500_000
        assert len(world.every_payout()) == 1
        world.check(done=False)


def test_all_means_what_is_there_when_it_is_taken() -> None:
    for at in range(_calls_of_a_request()):
        world = PayoutWorld()
        world.earn("w", 3 * FIVE)
        plan = Plan(Fault.RACE, at, race=partial(world.ask, "w", FIVE, key="b"))
        with world.aws.faults.planned(plan):
            assert world.ask("w", key="a").amount_micros == 2 * FIVE
        assert plan.fired
        assert plan.race_errors == []
        assert world.balance("w") == 0
        world.check(done=False)


@pytest.mark.parametrize("other", [None, FIVE])
def test_the_same_request_twice_at_once_is_one_payout(other: int | None) -> None:
    for at in range(_calls_of_a_request()):
        world = PayoutWorld()
        world.earn("w", FIVE + 500_000)
        plan = Plan(Fault.RACE, at, race=partial(_ask_and_earn, world, other))
        with world.aws.faults.planned(plan):
            world.ask("w", other)
        assert plan.fired
        assert plan.race_errors == []
        (payout,) = world.every_payout()
        assert world.balance("w") + payout.amount_micros == 2 * FIVE + 500_000
        world.check(done=False)


def _ask_and_earn(world: PayoutWorld, amount: int | None) -> None:
    world.ask("w", amount)
    world.earn("w", FIVE)


def _calls_of_a_request() -> int:
    world = PayoutWorld()
    world.earn("w", FIVE + 500_000)
    return world.aws.faults.count_calls(lambda: world.ask("w", FIVE))


@pytest.mark.parametrize(("own", "balance", "allowed"), [
    (None, FIVE - 10_000, False), (None, FIVE, True), (1_000_000, FIVE - 10_000, False), (1_000_000, FIVE, True),
    (2 * FIVE, 2 * FIVE - 10_000, False), (2 * FIVE, 2 * FIVE, True),
])  # fmt: skip
def test_the_threshold_is_the_platforms_or_the_workers_own_above_it(
    world: PayoutWorld, own: int | None, balance: int, *, allowed: bool
) -> None:
    world.earn("w", balance)
    world.people.facts["w"] = WorkerPayoutFacts(own, 1, "gateway", None)
    if allowed:
        assert world.ask("w").amount_micros == balance
        return
    with pytest.raises(BelowThreshold):
        world.ask("w")
    assert nothing_moved(world, "w", balance)


def test_a_destination_changed_in_the_last_72_hours_is_forbidden(world: PayoutWorld) -> None:
    world.earn("w", 2 * FIVE)
    changed_at_ms = world.now_ms()
    world.people.goes_to("w", "new@example.com", changed_at_ms=changed_at_ms)
    world.aws.clock.advance(72 * HOUR - 1)
    with pytest.raises(DestinationCoolingOff) as raised:
        world.ask("w")
    assert (raised.value.category, raised.value.retry_after_seconds) == (Category.FORBIDDEN, 1)
    assert nothing_moved(world, "w", 2 * FIVE)
    world.aws.clock.advance(1)
    assert world.ask("w").destination_version == 2


def test_a_replay_is_answered_whatever_has_changed_since(world: PayoutWorld) -> None:
    world.earn("w", FIVE)
    payout = world.ask("w")
    world.people.goes_to("w", "new@example.com", changed_at_ms=world.now_ms())
    assert world.ask("w") == payout


def test_without_a_destination_there_is_no_payout(world: PayoutWorld) -> None:
    world.earn("w", FIVE)
    world.people.facts.clear()
    with pytest.raises(NoDestination):
        world.ask("w")
    world.people.facts["w"] = WorkerPayoutFacts(None, 1, "carrier-pigeon", None)
    with pytest.raises(RailUnknown):
        world.ask("w")
    assert nothing_moved(world, "w", FIVE)


def test_a_stored_payout_holds_no_personal_data(world: PayoutWorld) -> None:
    world.earn("w", FIVE, address="ann.example@example.com")
    world.ask("w")
    world.run()
    assert "ann.example" not in repr(list(world.table.segment("platform", 0, 1)))
    assert "ann.example" not in repr(list(world.table.segment("ledger", 0, 1)))


def test_a_worker_reads_their_own_payouts_only(world: PayoutWorld) -> None:
    for worker in ("v", "w"):
        world.earn(worker, 9 * FIVE)
    mine = []
    for key in "abcde":
        mine.append(world.ask("w", FIVE, key=key).payout_id)
        world.aws.clock.advance(1)
    theirs = world.ask("v").payout_id
    listed, after = [], None
    while True:
        found = world.payouts.of_worker("w", after=after, limit=2)
        listed += [payout.payout_id for payout in found.payouts]
        after = found.next_after
        if after is None:
            break
    assert listed == mine[::-1]
    assert service.owned_payout(worker_id="w", payout_id=mine[0], payouts=world.payouts).payout_id == mine[0]
    for absent in (theirs, "p_nothing"):
        with pytest.raises(NotFound):
            service.owned_payout(worker_id="w", payout_id=absent, payouts=world.payouts)


def test_a_rail_with_terms_that_lose_money_is_no_rail() -> None:
    with pytest.raises(ValueError, match="for a day at least"):
        RailTerms(window_seconds=86_399, minimum_micros=1, fee_micros=0)
    with pytest.raises(ValueError, match="above its fee"):
        RailTerms(window_seconds=864_000, minimum_micros=5, fee_micros=5)
