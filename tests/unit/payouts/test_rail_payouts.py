"""Payouts by PayPal and Stripe: what workers get, and what comes back."""

import json
from functools import partial

import pytest

from local.rails.peer import Handling, Trouble
from smallpeck.kernel.errors import Conflict, Forbidden
from smallpeck.payouts import events, running
from smallpeck.payouts.events import EventState
from smallpeck.payouts.model import Answer, Fact, PayoutState
from smallpeck.payouts.rails import RAILS, port
from smallpeck.payouts.rails.port import News, RailEvent
from smallpeck.payouts.runs import Ending, RunState
from smallpeck.payouts.service import DestinationCoolingOff, PayoutRules, RailCurrency
from tests.aws import Fault, Plan
from tests.unit.payouts.rails_world import RailsWorld
from tests.unit.payouts.world import DAY, HOUR

S = PayoutState
TEN = 10_000_000
SENT = TEN - 250_000


@pytest.fixture
def world() -> RailsWorld:
    return RailsWorld()


def state(world: RailsWorld, payout_id: str) -> PayoutState:
    return world.payout(payout_id).state


def test_paypal_is_asked_once_for_all_and_tells_of_each(world: RailsWorld) -> None:
    asked = [world.due(f"w{n}", "paypal", f"ann{n}@example.com").payout_id for n in range(45)]
    run = world.send()
    assert (run.members, run.parcels, len(world.paypal.batches)) == (45, 1, 1)
    (batch,) = world.paypal.batches.values()
    assert batch.sender_batch_id == f"{run.run_id}-0"
    assert sorted(item.body["sender_item_id"] for item in batch.items) == sorted(asked)
    assert {state(world, one) for one in asked} == {S.UNKNOWN}
    world.process()
    world.deliver()
    assert {state(world, one) for one in asked} == {S.SETTLED}
    ending = running.end(run_id=run.run_id, ports=world.ports)
    assert (ending.run.state, ending.run.reconciled) == (RunState.FINISHED, True)
    assert ending.run.tally.paid == {"USD": 45 * SENT}
    world.check_rails()
    assert world.alarms == []


def test_parcels_hold_one_rail_and_one_currency_and_no_more_than_they_may(
    world: RailsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(port, "MAX_PARCEL_ITEMS", 3)
    for n in range(7):
        world.due(f"w{n}", "paypal", f"w{n}@example.com")
    world.due("s", "stripe", "acct_1")
    world.goes("e", "paypal", "e@example.com")
    world.earn("e", TEN, currency="EUR")
    world.ask("e", currency="EUR")
    run = world.send()
    found = [[one.worker_id for one in world.payouts.in_parcel(run.run_id, n)] for n in range(run.parcels)]
    assert sorted(map(len, found)) == [1, 1, 3, 3]
    assert sorted(one for parcel in found for one in parcel) == ["e", *(f"w{n}" for n in range(7))]
    assert len(world.paypal.batches) == 4
    world.process()
    world.deliver()
    world.check_rails()


def test_an_unclaimed_payment_comes_back_after_thirty_days_once_and_says_why(world: RailsWorld) -> None:
    payout_id = world.due("ann", "paypal", "unclaimed-ann@example.com").payout_id
    run = world.send()
    world.process()
    world.deliver()
    payout = world.payout(payout_id)
    assert (payout.state, payout.reason) == (S.UNCLAIMED, "unclaimed")
    assert world.balance("ann") == 0
    assert world.journal("rail:paypal:clearing") == TEN
    world.aws.clock.advance(30 * DAY)
    world.process()
    calls = world.paypal.take_calls()
    assert [world.receive("paypal", call) for call in [*calls, *calls]] == [EventState.APPLIED] * 2
    payout = world.payout(payout_id)
    assert (payout.state, payout.reason) == (S.RETURNED, "returned")
    assert world.balance("ann") == TEN, "in full, the fee too"
    ending = running.end(run_id=run.run_id, ports=world.ports)
    assert (ending.run.tally.returned, ending.run.reconciled) == (1, True)
    world.check_rails()
    assert world.alarms == []


def test_a_return_that_nobody_told_of_is_found_by_asking(world: RailsWorld) -> None:
    world.paypal.handling["PAYMENT.PAYOUTS-ITEM.RETURNED"] = Handling.LOST
    payout_id = world.due("ann", "paypal", "unclaimed-ann@example.com").payout_id
    world.run()
    world.process()
    running.query_earlier(ports=world.ports)
    world.aws.clock.advance(30 * DAY)
    world.process()
    running.query_earlier(ports=world.ports)
    assert (state(world, payout_id), world.balance("ann")) == (S.RETURNED, TEN)
    world.check_rails()


def test_what_paypal_forgets_to_send_back_is_cancelled(world: RailsWorld) -> None:
    payout_id = world.due("ann", "paypal", "unclaimed-ann@example.com").payout_id
    world.run()
    world.process()
    running.query_earlier(ports=world.ports)
    world.aws.clock.advance(34 * DAY)
    running.query_earlier(ports=world.ports)
    assert (state(world, payout_id), world.balance("ann")) == (S.RETURNED, TEN)
    world.check_rails()


@pytest.mark.parametrize(
    ("address", "reason"), [("refund-a@example.com", "refunded"), ("reverse-a@example.com", "reversed")]
)
def test_money_that_comes_back_after_it_was_paid_is_credited_in_full_once(
    world: RailsWorld, address: str, reason: str
) -> None:
    payout_id = world.due("ann", "paypal", address).payout_id
    world.send()
    world.process()
    world.deliver()
    assert (state(world, payout_id), world.balance("ann")) == (S.SETTLED, 0)
    assert world.journal("platform:revenue") == 250_000
    world.aws.clock.advance(40 * DAY)
    world.process()
    calls = world.paypal.take_calls()
    for call in [*calls, *calls]:
        world.receive("paypal", call)
    payout = world.payout(payout_id)
    assert (payout.state, payout.reason, world.balance("ann")) == (S.RETURNED, reason, TEN)
    assert world.journal("platform:revenue") == 0
    world.check_rails()


def test_events_in_the_wrong_order_come_to_the_same(world: RailsWorld) -> None:
    payout_id = world.due("ann", "paypal", "refund-ann@example.com").payout_id
    world.send()
    for _ in range(2):
        world.process()
        world.aws.clock.advance(60)
    for call in reversed(world.paypal.take_calls()):
        world.receive("paypal", call)
    assert (state(world, payout_id), world.balance("ann"), world.alarms) == (S.RETURNED, TEN, [])
    world.check_rails()


def test_a_failed_bank_payout_of_stripe_is_taken_back_and_credited_once(world: RailsWorld) -> None:
    payout_id = world.due("ann", "stripe", "acct_failing").payout_id
    run = world.send()
    assert (state(world, payout_id), world.net_micros(world.payout(payout_id))) == (S.SETTLED, SENT)
    assert running.end(run_id=run.run_id, ports=world.ports).run.reconciled is None, "Stripe lists no runs"
    world.process()
    world.deliver()
    world.aws.clock.advance(3 * DAY)
    world.process()
    assert world.deliver() == [EventState.FOLLOWED]
    assert world.follow() == 1
    for _ in range(2):
        world.deliver()
        world.follow()
    payout = world.payout(payout_id)
    assert (payout.state, payout.reason, world.balance("ann")) == (S.RETURNED, "account_closed", TEN)
    world.check_rails()
    assert world.alarms == []


def test_a_refused_transfer_is_released_with_its_reason(world: RailsWorld) -> None:
    payout_id = world.due("ann", "stripe", "acct_refuse1").payout_id
    world.send()
    payout = world.payout(payout_id)
    assert (payout.state, payout.reason, world.balance("ann")) == (S.RELEASED, "account_invalid", TEN)
    world.check_rails()


def test_a_transfer_whose_answer_was_lost_is_found(world: RailsWorld) -> None:
    world.stripe.troubles.append(("POST /v1/transfers", Trouble.LOST_AFTER))
    payout_id = world.due("ann", "stripe", "acct_1").payout_id
    assert world.run().tally.settled == 1
    assert state(world, payout_id) is S.SETTLED
    world.check_rails()


def test_a_transfer_that_never_arrived_is_never_sent_again_and_released_a_day_later(world: RailsWorld) -> None:
    world.stripe.troubles.append(("POST /v1/transfers", Trouble.LOST_BEFORE))
    payout_id = world.due("ann", "stripe", "acct_1").payout_id
    world.run()
    assert state(world, payout_id) is S.UNKNOWN
    world.aws.clock.advance(25 * HOUR)
    running.query_earlier(ports=world.ports)
    payout = world.payout(payout_id)
    assert (payout.state, payout.reason, world.balance("ann")) == (S.RELEASED, "never_arrived", TEN)
    assert sum(one.method == "POST" for one in world.stripe_http.asked) == 1
    world.check_rails()


@pytest.mark.parametrize("trouble", Trouble)
def test_a_batch_whose_answer_was_lost_is_found_by_sending_it_again(world: RailsWorld, trouble: Trouble) -> None:
    world.paypal.troubles.append(("POST /v1/payments/payouts", trouble))
    payout_id = world.due("ann", "paypal", "ann@example.com").payout_id
    run = world.send()
    world.query(run.run_id)
    world.process()
    assert world.query(run.run_id).run.state is RunState.FINISHED
    assert (state(world, payout_id), len(world.paypal.batches)) == (S.SETTLED, 1)
    world.check_rails()


def test_the_name_of_a_batch_whose_answer_was_lost_comes_with_its_event(world: RailsWorld) -> None:
    world.paypal.troubles.append(("POST /v1/payments/payouts", Trouble.LOST_AFTER))
    world.due("ann", "paypal", "never-ann@example.com")
    run = world.send()
    parcel = world.payouts.parcel(run.run_id, 0)
    assert parcel is not None
    assert parcel.reference is None
    world.process()
    world.deliver()
    parcel = world.payouts.parcel(run.run_id, 0)
    assert parcel is not None
    assert parcel.reference == next(iter(world.paypal.batches))


def test_asked_again_after_the_window_has_passed_nothing_is_sent(world: RailsWorld) -> None:
    """PayPal took the batch, the answer was lost, and a month later it has forgotten the key."""
    world.paypal.troubles.append(("POST /v1/payments/payouts", Trouble.LOST_AFTER))
    world.paypal.handling = dict.fromkeys(
        ("PAYMENT.PAYOUTSBATCH.SUCCESS", "PAYMENT.PAYOUTS-ITEM.SUCCEEDED"), Handling.LATE
    )
    payout_id = world.due("ann", "paypal", "ann@example.com").payout_id
    run = world.send()
    world.process()
    world.aws.clock.advance(31 * DAY)
    for _ in range(3):
        world.query(run.run_id)
    assert (state(world, payout_id), len(world.paypal.batches)) == (S.UNKNOWN, 1)
    assert ("PayoutStuck", payout_id) in world.alarms
    world.paypal.release()
    world.deliver()
    assert state(world, payout_id) is S.SETTLED, "its word is as good late"
    world.check_rails()


def test_one_bad_address_does_not_hold_up_the_others(world: RailsWorld) -> None:
    good = world.due("ann", "paypal", "ann@example.com").payout_id
    bad = world.due("bob", "paypal", "no address").payout_id
    run = world.send()
    assert (state(world, bad), world.payout(bad).reason) == (S.RELEASED, "invalid_receiver")
    world.query(run.run_id)
    world.process()
    world.query(run.run_id)
    assert state(world, good) is S.SETTLED
    world.check_rails()


def test_without_funds_nothing_is_lost(world: RailsWorld) -> None:
    world.paypal.funds = False
    payout_id = world.due("ann", "paypal", "ann@example.com").payout_id
    run = world.send()
    assert (state(world, payout_id), world.payout(payout_id).reason) == (S.UNKNOWN, "http_422")
    world.paypal.funds = True
    world.query(run.run_id)
    world.process()
    world.query(run.run_id)
    assert state(world, payout_id) is S.SETTLED
    world.check_rails()


def test_a_blocked_payment_calls_a_person_once(world: RailsWorld) -> None:
    payout_id = world.due("ann", "paypal", "block-ann@example.com").payout_id
    run = world.send()
    world.process()
    for _ in range(2):
        world.query(run.run_id)
    world.deliver()
    assert (state(world, payout_id), world.payout(payout_id).reason) == (S.UNKNOWN, "blocked")
    assert world.alarms == [("PayoutHeld", payout_id)]
    assert world.journal("rail:paypal:clearing") == TEN


def test_a_contradiction_is_frozen(world: RailsWorld) -> None:
    payout_id = world.due("ann", "paypal", "twice-ann@example.com").payout_id
    world.send()
    for _ in range(2):
        world.process()
        world.deliver()
    assert state(world, payout_id) is S.FROZEN
    assert world.alarms == [("PayoutFrozen", payout_id)]
    assert world.balance("ann") == 0
    world.check_rails(done=False)


def test_an_event_of_another_amount_freezes(world: RailsWorld) -> None:
    payout = world.due("ann", "paypal", "never-ann@example.com")
    world.send()
    item = next(iter(world.paypal.batches.values())).items[0]
    item.body["amount"]["value"] = "1.00"
    item.status, item.since_ms = "SUCCESS", world.now_ms()
    event = {"id": "WH-1", "event_type": "PAYMENT.PAYOUTS-ITEM.SUCCEEDED", "resource": item.document()}
    assert world.receive("paypal", world.paypal.call(event)) is EventState.APPLIED
    assert state(world, payout.payout_id) is S.FROZEN
    assert world.alarms == [("PayoutFrozen", payout.payout_id)]


@pytest.mark.parametrize("payout_id", ["p_" + "0" * 26, "p#1", ""])
def test_an_event_of_an_unknown_payout_is_held(world: RailsWorld, payout_id: str) -> None:
    transfer = {
        "id": "tr_1",
        "amount": 5,
        "amount_reversed": 0,
        "currency": "usd",
        "metadata": {"payout_id": payout_id},
    }
    event = {"id": "evt_1", "type": "transfer.created", "created": 1, "data": {"object": transfer}}
    call = world.stripe.call(event)
    expected = EventState.HELD if payout_id else EventState.IGNORED
    assert [world.receive("stripe", call) for _ in range(2)] == [expected] * 2
    assert [name for name, _ in world.alarms] == (["RailEventHeld"] if payout_id else [])


def test_an_event_of_a_payout_that_was_never_sent_is_held(world: RailsWorld) -> None:
    payout = world.due("ann", "stripe", "acct_1")
    news = News(payout.payout_id, Answer(Fact.PAID))
    state_ = events.receive(rail="stripe", event=RailEvent("evt_1", "transfer.created", (news,)), ports=world.events)
    assert (state_, state(world, payout.payout_id)) == (EventState.HELD, S.REQUESTED)


def test_a_rail_has_no_say_about_anothers_payout(world: RailsWorld) -> None:
    payout = world.due("ann", "paypal", "never-ann@example.com")
    world.send()
    news = News(payout.payout_id, Answer(Fact.PAID))
    event = RailEvent("evt_1", "transfer.created", (news,))
    assert events.receive(rail="stripe", event=event, ports=world.events) is EventState.HELD
    assert state(world, payout.payout_id) is S.UNKNOWN


def test_an_unknown_kind_of_event_is_stored_and_ignored(world: RailsWorld) -> None:
    event = {"id": "WH-9", "event_type": "CUSTOMER.DISPUTE.CREATED", "resource": {}}
    assert world.receive("paypal", world.paypal.call(event)) is EventState.IGNORED
    assert world.payouts.event_state(events.our_id("paypal", "WH-9")) is EventState.IGNORED


def test_two_withdrawals_at_once_are_one(world: RailsWorld) -> None:
    world.goes("ann", "paypal", "ann@example.com")
    world.earn("ann", TEN)
    second: list[Exception] = []

    def other() -> None:
        world.ask("ann", TEN, key="two")

    plan = Plan(Fault.RACE, "dynamodb.TransactWriteItems:*", race=other)
    with world.aws.faults.planned(plan):
        try:
            world.ask("ann", TEN, key="one")
        except Conflict as error:
            second.append(error)
    assert plan.fired
    assert len(second) + len(plan.race_errors) == 1
    assert len(world.every_payout()) == 1
    world.send()
    world.process()
    world.deliver()
    world.check_rails()


def test_a_destination_changed_an_hour_before_gets_nothing(world: RailsWorld) -> None:
    world.earn("ann", TEN)
    world.goes("ann", "paypal", "thief@example.com", changed_at_ms=world.now_ms())
    world.aws.clock.advance(HOUR)
    with pytest.raises(DestinationCoolingOff) as refused:
        world.ask("ann")
    assert isinstance(refused.value, Forbidden)
    assert refused.value.retry_after_seconds == 71 * HOUR


def test_a_destination_changed_after_the_request_is_not_where_it_goes(world: RailsWorld) -> None:
    payout = world.due("ann", "paypal", "ann@example.com")
    world.goes("ann", "paypal", "thief@example.com", changed_at_ms=world.now_ms())
    world.send()
    (batch,) = world.paypal.batches.values()
    assert [item.body["receiver"] for item in batch.items] == ["ann@example.com"]
    assert batch.items[0].body["sender_item_id"] == payout.payout_id


def test_a_currency_that_a_rail_does_not_carry_is_refused(world: RailsWorld) -> None:
    world.goes("ann", "paypal", "ann@example.com")
    world.earn("ann", TEN, currency="KES")
    with pytest.raises(RailCurrency):
        world.ask("ann", currency="KES")


def test_what_is_not_offered_is_not_reserved(world: RailsWorld) -> None:
    world.goes("ann", "stripe", "acct_1")
    world.earn("ann", TEN)
    world.rules = PayoutRules(5_000_000, 0, {"gateway": RAILS["gateway"]})
    with pytest.raises(Exception, match="not possible at present"):
        world.ask("ann")
    assert world.balance("ann") == TEN


def waiting(world: RailsWorld, run_id: str) -> Ending:
    ending = running.end(run_id=run_id, ports=world.ports)
    events.wait(run_id=run_id, token="token", open_chunks=frozenset(ending.open_chunks), ports=world.events)
    return ending


def test_a_workflow_that_waits_is_told_when_the_last_outcome_is_in(world: RailsWorld) -> None:
    for n in range(45):
        world.due(f"w{n}", "paypal", f"w{n}@example.com")
    run = world.send()
    assert waiting(world, run.run_id).told
    assert world.told == []
    world.process()
    calls = world.paypal.take_calls()
    for call in calls[:-2]:
        world.receive("paypal", call)
    assert world.told == [], "one is open"
    for call in calls[-2:]:
        world.receive("paypal", call)
    assert set(world.told) == {"token"}


def test_an_outcome_that_comes_between_count_and_wait_is_not_missed(world: RailsWorld) -> None:
    def fresh() -> tuple[RailsWorld, str]:
        made = RailsWorld()
        for n in range(2):
            made.due(f"w{n}", "paypal", f"w{n}@example.com")
        run = made.send()
        made.process()
        return made, run.run_id

    made, run_id = fresh()
    calls = made.aws.faults.count_calls(partial(waiting, made, run_id))
    for at in range(calls):
        made, run_id = fresh()
        plan = Plan(Fault.RACE, at, race=made.deliver)
        with made.aws.faults.planned(plan):
            waiting(made, run_id)
        assert plan.race_errors == []
        assert set(made.told) == {"token"}, at


def test_rails_that_do_not_tell_are_asked(world: RailsWorld) -> None:
    world.due("ann", "paypal", "never-ann@example.com")
    run = world.send()
    assert running.end(run_id=run.run_id, ports=world.ports).told
    world.due("bob", "gateway", "never-bob@example.com")
    run = world.send("two")
    assert not running.end(run_id=run.run_id, ports=world.ports).told


def test_a_stored_event_holds_nothing_of_a_person(world: RailsWorld) -> None:
    world.due("ann", "paypal", "ann@example.com")
    world.send()
    world.process()
    world.deliver()
    stored = json.dumps(list(world.table.segment("platform", 0, 1)), default=str)
    assert "RAIL_EVENT#" in stored
    assert "example.com" not in stored
