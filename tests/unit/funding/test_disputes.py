"""Disputes and refunds: what a requester may do meanwhile, who pays, and that workers are paid all the same."""

import json
from itertools import permutations

import pytest

from smallpeck.funding.model import Alarm, DepositState
from smallpeck.ledger.accounts import worker_available
from smallpeck.ledger.freezing import FundsFrozen, recover
from smallpeck.ledger.posting import EntryKind, LinkKind
from smallpeck.tasks import steering
from smallpeck.tasks.model import PAUSED_FOR_FUNDS, Batch, BatchClosed, BatchState
from tests.support import REQUESTER
from tests.unit.funding.world import DAY, HUNDRED, FundingWorld

PRICE = 500_000


@pytest.fixture
def world() -> FundingWorld:
    return FundingWorld()


def published(world: FundingWorld, tasks: int = 20, batch_id: str = "b1") -> Batch:
    """A batch that is paid for with prepaid money."""
    return world.publish(world.ready(tasks, batch_id=batch_id))


def resume(world: FundingWorld, batch_id: str = "b1") -> Batch:
    return steering.resume(batch=world.batch(batch_id), reads=world.tasks, unit=world.table)


def extend(world: FundingWorld, more: int, deadline_ms: int | None = None) -> Batch:
    return steering.extend(
        batch=world.batch(),
        more_answers=more,
        deadline_ms=deadline_ms,
        idempotency_key=f"x{more}",
        now_ms=world.now_ms,
        reads=world.tasks,
        books=world.books,
        unit=world.table,
    )


def test_a_dispute_takes_what_is_free_and_makes_a_debt_of_the_rest(world: FundingWorld) -> None:
    deposit = world.paid()
    published(world)
    assert world.free == HUNDRED - 60 * PRICE

    dispute = world.disputed(deposit)

    assert (world.free, world.owed, world.is_frozen) == (0, 60 * PRICE, True)
    assert world.sums()["chargeback:stripe:USD"] == HUNDRED
    assert world.alarms == {Alarm.DISPUTED: 1}
    entry = world.books.entry(f"{deposit.deposit_id}/dispute/{dispute}")
    assert entry is not None
    assert entry.kind is EntryKind.CHARGEBACK
    assert [(link.kind, link.entry_id) for link in entry.links] == [
        (LinkKind.REVERSES, f"{deposit.deposit_id}/deposit")
    ]
    batch = world.batch()
    assert (batch.state, batch.paused_for) == (BatchState.PAUSED, PAUSED_FOR_FUNDS)
    world.check()


def test_nothing_is_spent_while_funds_are_frozen(world: FundingWorld) -> None:
    deposit = world.paid()
    published(world)
    other = world.ready(1, batch_id="b2")
    world.deposit(HUNDRED)
    world.disputed(deposit, 1_000)
    assert world.free > 0

    before = world.sums()
    later = world.batch().deadline_ms + DAY * 1000
    with pytest.raises(FundsFrozen):
        world.publish(other)
    with pytest.raises(FundsFrozen):
        resume(world)
    for more, deadline_ms in ((1, None), (0, later)):
        with pytest.raises(FundsFrozen):
            extend(world, more, deadline_ms)
    assert world.sums() == before
    assert world.batch("b2").state is BatchState.READY


def test_workers_in_the_middle_of_it_are_paid(world: FundingWorld) -> None:
    deposit = world.paid()
    published(world)
    credited, handed_in, holding = (world.leased(worker) for worker in ("ann", "bob", "cy"))
    world.submit(credited)
    world.grade(credited.page_id)
    world.submit(handed_in)
    world.disputed(deposit)

    world.grade(handed_in.page_id)
    world.submit(holding)
    world.grade(holding.page_id)

    assert [world.balance(worker_available(one)).balance_micros for one in ("ann", "bob", "cy")] == [3_000_000] * 3
    with pytest.raises(BatchClosed):
        world.lease("di")
    world.check()


def test_a_dispute_that_is_won_gives_everything_back(world: FundingWorld) -> None:
    deposit = world.paid()
    published(world)
    before = world.free
    world.decided(world.disputed(deposit), won=True)

    assert (world.free, world.owed, world.is_frozen) == (before, 0, False)
    assert world.sums()["chargeback:stripe:USD"] == 0
    assert world.deposit_now(deposit).state is DepositState.CREDITED
    assert world.batch().state is BatchState.PAUSED
    resumed = resume(world)
    assert (resumed.state, resumed.paused_for) == (BatchState.ACTIVE, None)
    world.check()


def test_a_dispute_that_is_lost_stays_and_unspent_work_pays_the_debt(world: FundingWorld) -> None:
    deposit = world.paid()
    published(world)
    world.answer("ann")
    world.decided(world.disputed(deposit), won=False)

    assert world.deposit_now(deposit).state is DepositState.CHARGED_BACK
    assert (world.free, world.owed, world.is_frozen) == (0, 60 * PRICE, True)
    assert world.sums()["chargeback:stripe:USD"] == 0
    world.check()

    world.finish()
    paid = recover(
        requester_id=REQUESTER, currency="USD", at_ms=world.now_ms, books=world.books, reads=world.funding,
        unit=world.table,
    )  # fmt: skip
    assert paid == 50 * PRICE
    assert (world.free, world.owed, world.is_frozen) == (0, 10 * PRICE, True), "what the worker earned is still owed"
    world.check()

    world.paid(10 * PRICE, key="k2")
    assert (world.free, world.owed, world.is_frozen) == (0, 0, False)
    world.check()


def test_what_comes_in_pays_the_debt_first(world: FundingWorld) -> None:
    deposit = world.paid()
    published(world)
    world.decided(world.disputed(deposit), won=False)
    world.paid(40_000_000, key="k2")
    assert (world.free, world.owed, world.is_frozen) == (10_000_000, 0, False)
    world.check()


def test_a_part_of_a_payment_can_be_disputed(world: FundingWorld) -> None:
    deposit = world.paid()
    first, second = world.disputed(deposit, 3_000), world.disputed(deposit, 2_000)
    assert (world.free, world.owed) == (HUNDRED - 50_000_000, 0)
    world.decided(first, won=True)
    assert (world.free, world.is_frozen) == (HUNDRED - 20_000_000, True)
    world.decided(second, won=False)
    assert (world.free, world.is_frozen) == (HUNDRED - 20_000_000, False)
    assert world.deposit_now(deposit).state is DepositState.CREDITED
    world.check()


def test_disputes_and_refunds_never_take_more_than_was_paid(world: FundingWorld) -> None:
    deposit = world.paid()
    assert deposit.session_id is not None
    world.disputed(deposit, 7_000)
    world.checkout.refund(deposit.session_id, 5_000)
    world.deliver()
    assert (world.free, world.owed) == (0, 0)
    assert world.alarms[Alarm.CONTRADICTED] == 1


def test_a_refund_is_taken_from_the_requester_once_however_it_is_told(world: FundingWorld) -> None:
    deposit = world.paid()
    assert deposit.session_id is not None
    world.checkout.refund(deposit.session_id, 1_000)
    world.checkout.refund(deposit.session_id, 2_000)
    for text in (*reversed(world.checkout.outbox), *world.checkout.outbox):
        world.hear(text)
    assert (world.free, world.owed) == (HUNDRED - 30_000_000, 0)
    assert world.sums()["funding:stripe:USD"] == -HUNDRED + 30_000_000
    world.check()


def test_everything_refunded_is_charged_back(world: FundingWorld) -> None:
    deposit = world.paid()
    published(world)
    assert deposit.session_id is not None
    world.checkout.refund(deposit.session_id, 10_000)
    world.deliver()
    assert world.deposit_now(deposit).state is DepositState.CHARGED_BACK
    assert (world.free, world.owed, world.is_frozen) == (0, 60 * PRICE, True)
    world.check()


def a_dispute_in_words(*, won: bool) -> tuple[FundingWorld, list[str]]:
    """Everything that is said of a payment that is disputed and decided."""
    world = FundingWorld()
    deposit = world.open()
    world.pay(deposit)
    assert deposit.session_id is not None
    world.checkout.decide(world.checkout.dispute(deposit.session_id), won=won)
    return world, [*world.checkout.outbox]


@pytest.mark.parametrize("won", [True, False])
@pytest.mark.parametrize("order", [*permutations(range(4))])
def test_in_any_order_and_twice_it_comes_to_the_same(order: tuple[int, ...], *, won: bool) -> None:
    world, said = a_dispute_in_words(won=won)
    for number in (*order, *order):
        world.hear(said[number])
    assert (world.free, world.owed, world.is_frozen) == (HUNDRED if won else 0, 0, False)
    assert world.sums().get("chargeback:stripe:USD", 0) == 0
    assert not world.alarms[Alarm.CONTRADICTED]
    world.check()


def test_a_dispute_is_decided_once(world: FundingWorld) -> None:
    deposit = world.paid()
    dispute = world.disputed(deposit)
    world.decided(dispute, won=False)
    closed = json.loads(json.dumps(world.checkout.said[-1]))
    closed["id"], closed["data"]["object"]["status"] = "evt_other", "won"
    world.hear(json.dumps(closed))
    assert (world.free, world.alarms[Alarm.CONTRADICTED]) == (0, 1)
    world.check()


def test_a_dispute_in_another_currency_freezes_and_takes_nothing(world: FundingWorld) -> None:
    deposit = world.paid()
    assert deposit.session_id is not None
    world.checkout.dispute(deposit.session_id)
    event = json.loads(world.checkout.outbox[0])
    event["data"]["object"]["currency"] = "eur"
    world.hear(json.dumps(event))
    assert (world.free, world.is_frozen, world.alarms) == (HUNDRED, True, {Alarm.CONTRADICTED: 1})


def test_an_inquiry_takes_nothing_and_freezes_nobody(world: FundingWorld) -> None:
    deposit = world.paid()
    assert deposit.session_id is not None
    world.checkout.dispute(deposit.session_id)
    for text in world.checkout.outbox:
        event = json.loads(text)
        event["data"]["object"]["status"] = "warning_needs_response"
        world.hear(json.dumps(event))
    assert (world.free, world.is_frozen) == (HUNDRED, False)


def test_a_dispute_of_somebody_elses_payment_is_held(world: FundingWorld) -> None:
    deposit = world.paid()
    assert deposit.session_id is not None
    world.checkout.dispute(deposit.session_id)
    event = json.loads(world.checkout.outbox[0])
    event["data"]["object"]["payment_intent"] = "pi_unknown"
    world.hear(json.dumps(event))
    assert (world.free, world.is_frozen, world.alarms) == (HUNDRED, False, {Alarm.HELD: 1})
