"""Payout runs, and what rails do to them."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from local.provider import Mode
from smallpeck.kernel.errors import IdempotencyMismatch, Invalid
from smallpeck.payouts import running
from smallpeck.payouts.model import PayoutState
from smallpeck.payouts.rails.port import RailTerms
from smallpeck.payouts.runs import MembershipOpen, Run, RunNotFound, RunState, Waits
from smallpeck.payouts.service import PayoutRules
from smallpeck.payouts.store import PayoutStore
from tests.aws import Fault, Plan
from tests.unit.payouts.world import DAY, FIVE, PayoutWorld

UNSENT = {PayoutState.REQUESTED, PayoutState.IN_RUN}


@pytest.fixture
def world() -> PayoutWorld:
    return PayoutWorld()


def posts(world: PayoutWorld) -> list[str]:
    return [key for method, _, key in world.http.requests if method == "POST"]


def asked(world: PayoutWorld, *addresses: str) -> list[str]:
    """Payouts of 5.00, one per address, in order."""
    found = []
    for number, address in enumerate(addresses):
        world.earn(f"w{number:05d}", FIVE, address=address)
        found.append(world.ask(f"w{number:05d}").payout_id)
        world.aws.clock.advance(0.001)
    return found


@pytest.mark.parametrize(("mode", "state", "sends"), [
    (Mode.OK, PayoutState.SETTLED, 1), (Mode.REFUSE, PayoutState.RELEASED, 1), (Mode.LATE, PayoutState.SETTLED, 1),
    (Mode.TIMEOUT_BEFORE, PayoutState.SETTLED, 2), (Mode.TIMEOUT_AFTER, PayoutState.SETTLED, 1),
    (Mode.ERROR_BEFORE, PayoutState.SETTLED, 2), (Mode.ERROR_AFTER, PayoutState.SETTLED, 1),
    (Mode.TWICE, PayoutState.SETTLED, 1),
])  # fmt: skip
def test_whatever_the_rail_does_the_payout_ends_once(
    world: PayoutWorld, mode: Mode, state: PayoutState, sends: int
) -> None:
    (payout_id,) = asked(world, f"{mode}-ann@example.com")
    run = world.run()
    payout = world.payout(payout_id)
    assert payout.state is state
    assert posts(world) == [payout.rail_key] * sends
    assert world.balance("w00000") == (FIVE if state is PayoutState.RELEASED else 0)
    assert run.state is RunState.FINISHED
    world.check()
    assert world.alarms == []


def test_a_refusal_says_why(world: PayoutWorld) -> None:
    (payout_id,) = asked(world, "refuse-ann@example.com")
    world.run()
    assert world.payout(payout_id).reason == "account_closed"


def test_what_is_never_answered_stays_unknown_and_reserved(world: PayoutWorld) -> None:
    (payout_id,) = asked(world, "never-ann@example.com")
    run = world.run()
    assert (world.payout(payout_id).state, run.state) == (PayoutState.UNKNOWN, RunState.WAITING)
    assert world.journal("rail:gateway:clearing") == FIVE
    assert len(posts(world)) == 1, "silence is no reason to send again"


def test_an_empty_run_is_fine(world: PayoutWorld) -> None:
    run = world.run()
    assert (run.state, run.members, run.tally.paid) == (RunState.FINISHED, 0, {})


def test_the_membership_is_frozen_before_the_first_send(world: PayoutWorld) -> None:
    asked(world, "a@example.com")
    run = world.start_run()
    with pytest.raises(MembershipOpen):
        running.send(run_id=run.run_id, chunk=0, ports=world.ports)
    running.freeze(run_id=run.run_id, ports=world.ports)
    world.earn("late", FIVE)
    late = world.ask("late")
    running.freeze(run_id=run.run_id, ports=world.ports)
    world.send()
    assert world.payout(late.payout_id).state is PayoutState.REQUESTED
    assert len(posts(world)) == 1


def test_nobody_joins_once_the_membership_is_closed(world: PayoutWorld) -> None:
    """One of two that freeze the same run is slow, and has yet to write down what it found."""
    (payout_id,) = asked(world, "ann@example.com")
    run_id = world.start_run().run_id

    class Lagging(PayoutStore):
        def payable(self, **_: object) -> tuple[list[str], str | None]:
            return [], None

    close_it = partial(running.freeze, run_id=run_id, ports=replace(world.ports, payouts=Lagging(world.table)))
    plan = Plan(Fault.RACE, "dynamodb.TransactWriteItems:platform", race=close_it)
    with world.aws.faults.planned(plan):
        assert running.freeze(run_id=run_id, ports=world.ports).members == 0
    assert plan.fired
    assert world.payout(payout_id).state is PayoutState.REQUESTED
    world.run("next")
    world.check()


def test_members_are_numbered_in_the_order_they_asked(world: PayoutWorld) -> None:
    payout_ids = asked(world, *(f"{n}@example.com" for n in range(101)))
    run = world.run()
    assert run.members == 101
    assert run.chunks == 6
    members = world.payouts.members(run.run_id, 0, 100)
    assert [payout.payout_id for payout in members] == payout_ids
    assert [payout.number for payout in members] == list(range(101))
    world.check()


def test_a_run_takes_its_limit_and_the_next_run_the_rest(world: PayoutWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "MAX_MEMBERS", 50)
    asked(world, *(f"{n}@example.com" for n in range(60)))
    assert [world.run(key).members for key in ("one", "two", "three")] == [50, 10, 0]
    world.check()


def test_two_runs_at_once_share_the_payouts() -> None:
    def fresh() -> PayoutWorld:
        world = PayoutWorld()
        asked(world, *(f"{n}@example.com" for n in range(45)))
        return world

    world = fresh()
    calls = world.aws.faults.count_calls(lambda: world.send("one"))
    for at in range(0, calls, 23):
        world = fresh()
        plan = Plan(Fault.RACE, at, race=partial(world.send, "two"))
        with world.aws.faults.planned(plan):
            world.run("one")
        assert plan.fired
        assert plan.race_errors == []
        world.run("two")
        world.check()
        assert len(posts(world)) == 45


def test_an_index_that_lags_takes_nobody_twice(world: PayoutWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    payout_ids = asked(world, "a@example.com", "b@example.com")
    world.run("one")
    monkeypatch.setattr(type(world.payouts), "payable", lambda _self, **_: ([*payout_ids, "p_gone"], None))
    assert world.run("two").members == 0
    assert len(posts(world)) == 2


def test_a_resend_uses_the_stored_key(world: PayoutWorld) -> None:
    (payout_id,) = asked(world, "timeout-before-ann@example.com")
    run = world.send()
    key = world.payout(payout_id).rail_key
    world.aws.clock.advance(29 * DAY - 120)
    world.query(run.run_id)
    assert posts(world) == [key, key]
    world.check()


def test_after_the_window_nothing_is_sent_again_and_somebody_is_called(world: PayoutWorld) -> None:
    (payout_id,) = asked(world, "timeout-before-ann@example.com")
    run = world.send()
    world.aws.clock.advance(29 * DAY)
    for _ in range(2):
        world.query(run.run_id)
    assert len(posts(world)) == 1
    assert world.payout(payout_id).state is PayoutState.UNKNOWN
    assert set(world.alarms) == {("PayoutStuck", payout_id)}
    assert world.journal("rail:gateway:clearing") == FIVE


def test_a_provider_that_forgets_what_it_accepted_is_not_paid_again(world: PayoutWorld) -> None:
    (payout_id,) = asked(world, "late-ann@example.com")
    run = world.send()
    world.provider.reset()
    world.query(run.run_id)
    assert world.payout(payout_id).state is PayoutState.FROZEN
    assert world.payout(payout_id).reason == "pending_then_never_heard"
    assert len(posts(world)) == 1
    assert ("PayoutFrozen", payout_id) in world.alarms


def test_paid_and_refused_freezes_and_moves_nothing_more() -> None:
    """Two questions overlap, and the provider answers one with paid and the other with refused."""
    for at in ("rail.Get:payouts", "dynamodb.TransactWriteItems:ledger*"):
        world = PayoutWorld()
        (payout_id,) = asked(world, "twice-ann@example.com")
        run = world.send()
        plan = Plan(Fault.RACE, at, race=partial(world.query, run.run_id))
        with world.aws.faults.planned(plan):
            world.query(run.run_id)
        assert plan.fired
        payout = world.payout(payout_id)
        assert payout.state is PayoutState.FROZEN
        assert payout.reason in ("settled_then_refused", "released_then_paid")
        ended = [e["entry_id"] for e in world.entries() if e["entry_id"].endswith(("/settle", "/release"))]
        assert len(ended) == 1
        assert ("PayoutFrozen", payout_id) in world.alarms
        world.query(run.run_id)
        assert world.payout(payout_id) == payout


def test_a_refused_resend_is_asked_about_before_the_money_comes_back(world: PayoutWorld) -> None:
    """Some providers refuse a repeated key, whatever became of the first payment."""
    (payout_id,) = asked(world, "timeout-before-ann@example.com")
    run = world.send()
    world.provider.set_mode("timeout-before-ann", Mode.REFUSE)
    world.query(run.run_id)
    assert len(posts(world)) == 2
    assert world.payout(payout_id).state is PayoutState.UNKNOWN
    world.query(run.run_id)
    assert world.payout(payout_id).state is PayoutState.RELEASED
    world.check()


@pytest.mark.parametrize(("status", "state"), [("paid", PayoutState.SETTLED), ("refused", PayoutState.RELEASED)])
def test_an_older_answer_does_not_contradict_a_newer_one(world: PayoutWorld, status: str, state: PayoutState) -> None:
    """`pending` is on its way into the books while another question hears the outcome."""
    world.provider.set_mode("slow", Mode.LATE, 99)
    (payout_id,) = asked(world, "slow-ann@example.com")
    run = world.send()

    def hear_the_outcome() -> None:
        (payment,) = world.provider.payments.values()
        payment.status = status
        if status == "paid":
            world.provider._execute(payment)
        world.query(run.run_id)

    plan = Plan(Fault.RACE, "dynamodb.UpdateItem:platform", nth=2, race=hear_the_outcome)
    with world.aws.faults.planned(plan):
        world.query(run.run_id)
    assert "UpdateItem" in plan.fired[0]
    assert world.payout(payout_id).state is state
    assert world.alarms == []


def test_another_amount_freezes(world: PayoutWorld) -> None:
    (payout_id,) = asked(world, "timeout-after-ann@example.com")
    run = world.send()
    world.provider.payments[world.payout(payout_id).rail_key or ""].body["amount"] = "50.00"
    world.query(run.run_id)
    assert world.payout(payout_id).state is PayoutState.FROZEN
    assert world.journal("rail:gateway:clearing") == FIVE


def test_totals_that_differ_call_somebody(world: PayoutWorld) -> None:
    asked(world, "ann@example.com")
    run = world.send()
    world.provider.executed.append(world.provider.executed[0])
    ending = running.end(run_id=run.run_id, ports=world.ports)
    assert ending.run.reconciled is False
    assert world.alarms == [("RailTotalsDiffer", run.run_id)]


def test_one_bad_payout_holds_up_no_other(world: PayoutWorld) -> None:
    payout_ids = asked(world, "a@example.com", "b@example.com", "c@example.com")

    class Broken:
        def at_version(self, worker_id: str, version: int, /) -> Any:
            if worker_id == "w00001":
                raise ConnectionError("cannot be read")
            return world.people.at_version(worker_id, version)

    run = running.freeze(run_id=world.start_run().run_id, ports=world.ports)
    with pytest.raises(ConnectionError):
        running.send(run_id=run.run_id, chunk=0, ports=replace(world.ports, destinations=Broken()))
    states = [world.payout(one).state for one in payout_ids]
    assert states == [PayoutState.SETTLED, PayoutState.IN_RUN, PayoutState.SETTLED]
    world.run()
    world.check()


def test_with_nowhere_to_send_it_the_money_comes_back(world: PayoutWorld) -> None:
    gone, moved = asked(world, "a@example.com", "b@example.com")
    del world.people.addresses["w00000", 1]
    world.people.addresses["w00001", 1] = replace(world.people.addresses["w00001", 1], rail="other")
    world.run()
    for payout_id in (gone, moved):
        assert (world.payout(payout_id).state, world.payout(payout_id).reason) == ("released", "no_destination")
    assert world.balance("w00000") == FIVE
    assert posts(world) == []
    world.check()


def test_what_may_have_been_sent_is_not_given_back_for_want_of_a_destination(world: PayoutWorld) -> None:
    (payout_id,) = asked(world, "timeout-before-ann@example.com")
    run = world.send()
    world.people.addresses.clear()
    world.query(run.run_id)
    assert world.payout(payout_id).state is PayoutState.UNKNOWN
    assert ("PayoutStuck", payout_id) in world.alarms


def test_a_payout_goes_where_it_went_when_it_was_asked_for(world: PayoutWorld) -> None:
    (payout_id,) = asked(world, "ann@example.com")
    world.people.goes_to("w00000", "thief@example.com", changed_at_ms=world.now_ms())
    world.run()
    payment = world.provider.payments[world.payout(payout_id).rail_key or ""]
    assert payment.body["destination"] == "ann@example.com"


def test_a_later_run_asks_about_what_an_earlier_one_left(world: PayoutWorld) -> None:
    world.provider.set_mode("slow", Mode.LATE, 3)
    payout_ids = asked(world, "slow-ann@example.com", "ok@example.com")
    first = world.send("one")
    running.end(run_id=first.run_id, ports=world.ports)
    for number in range(3):
        world.aws.clock.advance(DAY)
        world.run(f"later-{number}")
    assert {world.payout(one).state for one in payout_ids} == {PayoutState.SETTLED}
    found = world.payouts.run(first.run_id)
    assert found is not None
    assert found.state is RunState.FINISHED
    world.check()


def test_a_later_run_takes_over_from_one_that_died_while_collecting(world: PayoutWorld) -> None:
    asked(world, *(f"{n}@example.com" for n in range(41)))
    calls = 0
    with (
        world.aws.faults.planned(Plan(Fault.CRASH_AFTER, "dynamodb.TransactWriteItems:platform")),
        pytest.raises(BaseException, match="crash after"),
    ):
        running.freeze(run_id=world.start_run("dead").run_id, ports=world.ports)
    world.aws.clock.advance(DAY)
    for number in range(3):
        calls += world.run(f"later-{number}").members
    assert calls == 1
    world.check()


def test_starting_again_is_the_same_run(world: PayoutWorld) -> None:
    run = world.start_run()
    assert world.start_run() == run
    assert world.started == [run.run_id] * 2, "starting a workflow of the same name twice is one execution"
    world.run()
    world.start_run()
    assert len(world.started) == 3
    with pytest.raises(IdempotencyMismatch):
        running.start_run(
            operator_id="op", idempotency_key="run", waits=Waits(rounds=1), now_ms=0,
            payouts=world.payouts, unit=world.table, workflow=world,
        )  # fmt: skip


@pytest.mark.parametrize("waits", [Waits(rounds=11), Waits(rounds=-1), Waits(first_wait_seconds=0)])
def test_a_run_with_strange_waits_is_refused(world: PayoutWorld, waits: Waits) -> None:
    with pytest.raises(Invalid):
        running.start_run(
            operator_id="op", idempotency_key="run", waits=waits, now_ms=0,
            payouts=world.payouts, unit=world.table, workflow=world,
        )  # fmt: skip


def test_steps_of_no_run_or_no_chunk_are_refused(world: PayoutWorld) -> None:
    with pytest.raises(RunNotFound):
        running.freeze(run_id="r_none", ports=world.ports)
    run: Run = world.send()
    with pytest.raises(Invalid):
        running.send(run_id=run.run_id, chunk=0, ports=world.ports)


def test_a_fee_stays_with_the_platform(world: PayoutWorld) -> None:
    terms = {"gateway": RailTerms(window_seconds=30 * DAY, minimum_micros=1_000_000, fee_micros=250_000)}
    world.rules = PayoutRules(FIVE, 0, terms)
    payout_ids = asked(world, "ann@example.com", "refuse-bob@example.com")
    run = world.run()
    assert [world.payout(one).state for one in payout_ids] == ["settled", "released"]
    assert world.journal("platform:revenue") == 250_000
    assert world.journal("rail:gateway:cash") == FIVE - 250_000
    assert world.balance("w00001") == FIVE
    assert run.tally.paid == {"USD": FIVE - 250_000}
    world.check()
