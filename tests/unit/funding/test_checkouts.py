"""Prepaying: what comes in is the requester's once, whatever the provider says, and how often."""

import json

import pytest

from local.checkout import Mode
from smallpeck.funding import model
from smallpeck.funding.checkouts import MAX_MICROS, OPEN_SECONDS, CheckoutExpired, read_checkout
from smallpeck.funding.events import Outcome
from smallpeck.funding.model import Alarm, DepositNotFound, DepositState, NotPaid, Paid
from smallpeck.funding.port import CheckoutRefused, ProviderSilent
from smallpeck.funding.suspense import AlreadyResolved, SuspenseNotFound, SuspenseState
from smallpeck.kernel.errors import IdempotencyMismatch
from smallpeck.ledger.accounts import requester_available
from smallpeck.ledger.posting import LinkKind
from tests.aws import Fault, Plan
from tests.support import REQUESTER
from tests.unit.funding.world import DAY, HOUR, HUNDRED, FundingWorld


@pytest.fixture
def world() -> FundingWorld:
    return FundingWorld()


def test_a_requester_pays_and_has_the_money(world: FundingWorld) -> None:
    deposit = world.open()
    assert (deposit.state, deposit.amount_micros) == (DepositState.CREATED, HUNDRED)
    assert deposit.url == f"https://checkout.test/pay/{deposit.session_id}"
    assert world.free == 0

    world.pay(deposit)
    assert world.deliver() == [Outcome.APPLIED]

    assert world.deposit_now(deposit).state is DepositState.CREDITED
    assert world.free == HUNDRED
    entry = world.books.entry(f"{deposit.deposit_id}/deposit")
    assert entry is not None
    assert entry.reference == deposit.deposit_id
    assert not world.alarms
    world.check()


def test_the_provider_is_told_what_the_record_says(world: FundingWorld) -> None:
    deposit = world.open(12_340_000, currency="EUR")
    assert deposit.session_id is not None
    told = world.checkout.sessions[deposit.session_id].params
    assert told["client_reference_id"] == told["metadata[deposit_id]"] == deposit.deposit_id
    assert told["payment_intent_data[metadata][deposit_id]"] == deposit.deposit_id
    assert told["line_items[0][price_data][unit_amount]"] == "1234"
    assert told["line_items[0][price_data][currency]"] == "eur"
    assert told["success_url"] == "https://example.com/paid"
    assert [*world.checkout.keys] == [deposit.deposit_id]


def test_a_currency_without_hundredths(world: FundingWorld) -> None:
    deposit = world.open(5_000_000_000, currency="JPY")
    assert deposit.session_id is not None
    assert world.checkout.sessions[deposit.session_id].amount == 5_000
    world.pay(deposit)
    world.deliver()
    assert world.balance(requester_available(REQUESTER), "JPY").balance_micros == 5_000_000_000
    world.check()


def test_the_same_request_again_is_the_same_checkout(world: FundingWorld) -> None:
    first = world.open()
    world.aws.clock.advance(HOUR)
    assert world.open() == world.deposit_now(first) == first
    assert len(world.checkout.sessions) == 1
    with pytest.raises(IdempotencyMismatch):
        world.open(HUNDRED + 10_000)
    assert world.open(key="k2").deposit_id != first.deposit_id
    assert world.open(who="another").deposit_id != first.deposit_id


def test_what_one_payment_cannot_be(world: FundingWorld) -> None:
    with pytest.raises(CheckoutRefused):
        world.open(MAX_MICROS + 10_000)
    with pytest.raises(CheckoutRefused):
        world.open(10_000, key="k2")
    assert world.checkout.sessions == {}


def test_a_checkout_that_was_never_opened_is_not_opened_late(world: FundingWorld) -> None:
    plan = Plan(Fault.TIMEOUT_AFTER, "provider.Post:checkout")
    with world.aws.faults.planned(plan), pytest.raises(ProviderSilent):
        world.open()
    world.aws.clock.advance(OPEN_SECONDS - 1_900)
    with pytest.raises(CheckoutExpired):
        world.open()
    world.aws.clock.advance(HOUR)
    world.look_after()
    (deposit,), _ = world.funding.deposits_of(REQUESTER, after=None, limit=10)
    assert (deposit.state, deposit.reason) == (DepositState.EXPIRED, "never_opened")
    assert world.funding.watched(after=None, limit=10) == ([], None)


def test_nobody_pays(world: FundingWorld) -> None:
    deposit = world.open()
    world.aws.clock.advance(3 * HOUR)
    assert world.look_after().changed == 1
    assert world.deliver() == [Outcome.APPLIED]
    assert (world.deposit_now(deposit).state, world.free) == (DepositState.EXPIRED, 0)


@pytest.mark.parametrize("mode", [Mode.OK, Mode.DUPLICATE, Mode.SLOW, Mode.CONTRADICTORY])
def test_however_it_is_said_the_money_comes_once(world: FundingWorld, mode: Mode) -> None:
    deposit = world.paid(mode=mode)
    assert (deposit.state, world.free) == (DepositState.CREDITED, HUNDRED)
    assert world.alarms[Alarm.CONTRADICTED] == (1 if mode is Mode.CONTRADICTORY else 0)
    assert world.suspended_micros() == 0
    world.check()


def test_a_payment_that_fails_later_brings_nothing(world: FundingWorld) -> None:
    deposit = world.paid(mode=Mode.FAILED)
    assert (deposit.state, deposit.reason, world.free) == (DepositState.EXPIRED, "payment_failed", 0)
    world.check()


def test_what_is_said_late_counts(world: FundingWorld) -> None:
    deposit = world.paid(mode=Mode.LATE)
    assert deposit.state is DepositState.CREATED
    world.aws.clock.advance(20 * DAY)
    world.checkout.flush()
    world.deliver()
    assert world.deposit_now(deposit).state is DepositState.CREDITED
    world.check()


def test_what_is_lost_is_asked_for(world: FundingWorld) -> None:
    deposit = world.paid(mode=Mode.LOST)
    assert world.look_after().changed == 0, "it was opened a moment ago"
    world.aws.clock.advance(HOUR)
    assert world.look_after().changed == 1
    assert world.free == HUNDRED
    assert world.look_after().changed == 0
    assert world.deposit_now(deposit).state is DepositState.CREDITED
    world.check()


def test_a_requester_who_looks_need_not_wait(world: FundingWorld) -> None:
    deposit = world.paid(mode=Mode.LOST)

    def read(who: str = REQUESTER) -> model.Deposit:
        return read_checkout(
            deposit_id=deposit.deposit_id,
            requester_id=who,
            now_ms=world.now_ms,
            reads=world.funding,
            ports=lambda: world.ports,
        )

    with world.aws.faults.planned(Plan(Fault.TIMEOUT_BEFORE, "provider.Get:checkout")):
        assert read().state is DepositState.CREATED
    assert read().state is DepositState.CREDITED
    with pytest.raises(DepositNotFound):
        read("another")


def test_a_silent_provider_holds_up_nobody_else(world: FundingWorld) -> None:
    for number in range(3):
        world.paid(key=f"k{number}", mode=Mode.LOST)
    world.aws.clock.advance(HOUR)
    with world.aws.faults.planned(Plan(Fault.TIMEOUT_BEFORE, "provider.Get:checkout", nth=2)):
        found = world.look_after()
    assert (found.changed, found.silent) == (2, 1)
    assert world.look_after().changed == 1
    assert world.free == 3 * HUNDRED


def test_the_same_event_weeks_later_does_nothing(world: FundingWorld) -> None:
    deposit = world.open()
    world.pay(deposit)
    (text,) = world.checkout.outbox
    world.deliver()
    entries = len([*world.books.entries()])
    for _ in range(3):
        world.aws.clock.advance(31 * DAY)
        assert world.hear(text) is Outcome.APPLIED
    assert (world.free, len([*world.books.entries()])) == (HUNDRED, entries)
    assert world.deposit_now(deposit).version == 4


# Money that is not what was agreed


def test_another_amount_is_held_and_given_by_a_person(world: FundingWorld) -> None:
    deposit = world.paid(mode=Mode.ANOTHER_AMOUNT)
    assert (deposit.state, world.free) == (DepositState.PAID, 0)
    assert world.alarms == {Alarm.HELD: 1}
    ((held,), _) = world.funding.in_suspense(after=None, limit=10)
    assert (held.amount_micros, held.currency, held.reason) == (HUNDRED + 1_000_000, "USD", "another_amount")
    assert held.reference == deposit.deposit_id
    assert world.suspended_micros() == held.amount_micros
    world.check()

    resolved = world.resolve(held.suspense_id)
    assert (resolved.state, resolved.resolved_by) == (SuspenseState.ASSIGNED, "op")
    assert (world.free, world.suspended_micros()) == (held.amount_micros, 0)
    assert world.funding.in_suspense(after=None, limit=10) == ([], None)
    entry = world.books.entry(f"{held.entry_id}/resolution")
    assert entry is not None
    assert [(link.kind, link.entry_id) for link in entry.links] == [(LinkKind.RESOLVES, held.entry_id)]
    assert world.resolve(held.suspense_id).state is SuspenseState.ASSIGNED
    for other in ("another", None):
        with pytest.raises(AlreadyResolved):
            world.resolve(held.suspense_id, other)
    assert world.free == held.amount_micros
    world.check()


def test_what_is_held_can_be_sent_back(world: FundingWorld) -> None:
    world.paid(mode=Mode.ANOTHER_AMOUNT)
    ((held,), _) = world.funding.in_suspense(after=None, limit=10)
    assert world.resolve(held.suspense_id, None).state is SuspenseState.RETURNED
    assert (world.free, world.suspended_micros()) == (0, 0)
    assert not any(world.sums().values())
    with pytest.raises(SuspenseNotFound):
        world.resolve("nothing")


def test_a_second_payment_of_one_deposit_is_held(world: FundingWorld) -> None:
    deposit = world.paid()
    again = Paid("pi_another", HUNDRED, "USD")
    found = model.heard(deposit, again)
    assert found.alarm is Alarm.HELD
    assert found.deposit.held["pi_another"].reason == "paid_again"
    assert model.heard(found.deposit, again) == model.Heard(found.deposit)


def test_a_payment_of_no_deposit_is_held(world: FundingWorld) -> None:
    deposit = world.open()
    world.pay(deposit)
    event = json.loads(world.checkout.outbox.pop())
    event["data"]["object"] |= {"client_reference_id": "nobody", "metadata": {}}
    for event_id in ("evt_1", "evt_1", "evt_2"):
        assert world.hear(json.dumps(event | {"id": event_id})) is Outcome.HELD
    assert (world.free, world.suspended_micros()) == (0, HUNDRED)
    assert world.alarms[Alarm.HELD] == 3


def test_money_in_a_currency_without_books_calls_a_person(world: FundingWorld) -> None:
    deposit = world.open()
    world.pay(deposit)
    event = json.loads(world.checkout.outbox.pop())
    event["data"]["object"]["currency"] = "xau"
    assert world.hear(json.dumps(event)) is Outcome.HELD
    assert (world.alarms, world.free) == ({Alarm.HELD: 1}, 0)


def test_what_is_nothing_to_us_is_kept_and_no_more(world: FundingWorld) -> None:
    text = json.dumps({"id": "evt_1", "type": "customer.created", "data": {"object": {}}})
    assert world.hear(text) is Outcome.IGNORED
    assert world.hear(text) is Outcome.IGNORED
    assert world.funding.event("stripe", "evt_1") is not None
    assert not world.alarms


# The states alone


DEPOSIT = model.Deposit("d1", REQUESTER, "stripe", "USD", HUNDRED, "h", 0, 1)


def test_facts_in_any_order_lead_to_the_same() -> None:
    facts: list[model.Fact] = [
        Paid("pi", HUNDRED, "USD"),
        NotPaid("expired"),
        Paid("pi", HUNDRED, "USD"),
        NotPaid("payment_failed"),
    ]
    for turn in range(len(facts)):
        deposit = DEPOSIT
        for fact in facts[turn:] + facts[:turn]:
            deposit = model.heard(deposit, fact).deposit
        assert (deposit.state, deposit.payment_id, deposit.held) == (DepositState.PAID, "pi", {})


def test_a_deposit_is_stored_and_found_as_it_is() -> None:
    dispute = model.Dispute(5, model.DisputeState.LOST, entered=True)
    held = model.HeldPayment(5, "EUR", "another_currency")
    full = model.Deposit(
        "d1", "r", "stripe", "USD", 5, "h", 1, 2, disputes={"dp": dispute}, held={"pi": held}, payment_id="pi2"
    )
    assert model.deposit_from(model.create(full).fields) == full
