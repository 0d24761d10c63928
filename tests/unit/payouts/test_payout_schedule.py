"""Payouts that nobody asks for: once a day each, whatever dies, repeats or races; and the runs that send them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from smallpeck.kernel.errors import Invalid, Unavailable
from smallpeck.payouts import running, scheduling
from smallpeck.payouts.model import PayoutState
from smallpeck.payouts.quoting import next_run_ms
from smallpeck.payouts.scheduling import SchedulePorts, day_of, request_due, start_runs
from smallpeck.payouts.service import request_payout
from tests.aws import Crash, Fault, Plan
from tests.unit.payouts.world import DAY, FIVE, HOUR, PayoutWorld

TODAY = "2026-11-22"


@dataclass
class Automatic:
    """The list of workers, as an index gives it."""

    workers: list[str] = field(default_factory=list)

    def automatic(self, *, after: str | None, limit: int) -> tuple[list[str], str | None]:
        rest = [one for one in sorted(self.workers) if after is None or one > after]
        return rest[:limit], rest[limit - 1] if len(rest) > limit else None


@dataclass
class Desk:
    world: PayoutWorld = field(default_factory=PayoutWorld)
    listed: Automatic = field(default_factory=Automatic)

    @property
    def ports(self) -> SchedulePorts:
        world = self.world
        return SchedulePorts(
            automatic=self.listed,
            workers=world.people,
            rules=world.rules,
            payouts=world.payouts,
            books=world.books,
            unit=world.table,
            clock=world,
            workflow=world,
        )

    def wants(self, worker: str, micros: int, *, currency: str = "USD", threshold: int | None = None) -> None:
        self.world.earn(worker, micros, currency=currency)
        facts = self.world.people.facts[worker]
        self.world.people.facts[worker] = replace(facts, automatic=True, threshold_micros=threshold)
        if worker not in self.listed.workers:
            self.listed.workers.append(worker)

    def schedule(self, day: str = TODAY) -> int:
        """The steps, as the workflow makes them."""
        after: str | None = None
        asked = 0
        while True:
            done = request_due(day=day, after=after, ports=self.ports)
            asked, after = asked + done.payouts, done.after
            if after is None:
                break
        start_runs(day=day, ports=self.ports)
        return asked

    def paid(self) -> dict[tuple[str, str], int]:
        found: dict[tuple[str, str], int] = {}
        for one in self.world.every_payout():
            found[one.worker_id, one.currency] = found.get((one.worker_id, one.currency), 0) + one.amount_micros
        return found


def three() -> Desk:
    desk = Desk()
    desk.wants("ann", FIVE + 123_456)
    desk.wants("bob", 2 * FIVE, threshold=2 * FIVE)
    desk.wants("cy", FIVE, currency="EUR")
    desk.wants("cy", FIVE + 10_000)
    return desk


ALL = {("ann", "USD"): 5_120_000, ("bob", "USD"): 2 * FIVE, ("cy", "EUR"): FIVE, ("cy", "USD"): FIVE + 10_000}


def test_whoever_reaches_their_threshold_is_paid_in_every_currency() -> None:
    desk = three()
    desk.wants("below", FIVE - 1)
    desk.wants("patient", 3 * FIVE, threshold=4 * FIVE)
    desk.world.earn("manual", 9 * FIVE)
    assert desk.schedule() == 4
    assert desk.paid() == ALL
    assert desk.world.balance("ann") == 3_456
    assert {one.state for one in desk.world.every_payout()} == {PayoutState.REQUESTED}
    (run_id,) = desk.world.started
    running.freeze(run_id=run_id, ports=desk.world.ports)
    running.send(run_id=run_id, chunk=0, ports=desk.world.ports)
    assert running.end(run_id=run_id, ports=desk.world.ports).run.tally.settled == 4
    desk.world.check()


def test_twice_a_day_is_once_and_another_day_is_another() -> None:
    desk = three()
    desk.schedule()
    desk.wants("ann", FIVE)
    assert desk.schedule() == 1  # found by its key, not asked for again
    assert desk.paid() == ALL
    assert len(set(desk.world.started)) == 1
    assert desk.schedule("2026-11-23") == 1
    assert desk.paid() == ALL | {("ann", "USD"): 5_120_000 + FIVE}
    assert len(set(desk.world.started)) == 2


def test_who_cannot_be_paid_now_holds_up_nobody() -> None:
    desk = three()
    for worker in ("aaa", "bbb", "ccc", "ddd"):
        desk.wants(worker, FIVE)
    people = desk.world.people.facts
    people["aaa"] = replace(people["aaa"], destination_version=None, rail=None)
    people["bbb"] = replace(people["bbb"], destination_changed_at_ms=desk.world.now_ms())
    people["ccc"] = replace(people["ccc"], rail="barter")
    people["ddd"] = replace(people["ddd"], automatic=False)  # the index is a moment behind
    assert desk.schedule() == 4
    assert desk.paid() == ALL


def test_a_worker_s_own_key_is_no_key_of_the_schedule() -> None:
    desk = three()
    desk.world.ask("ann", FIVE, key=f"{TODAY}/USD")
    desk.wants("ann", FIVE)
    desk.schedule()
    assert desk.paid()["ann", "USD"] == FIVE + FIVE + 120_000


def test_the_list_is_worked_through_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduling, "WORKERS_AT_ONCE", 7)
    monkeypatch.setattr(scheduling, "_BALANCES_AT_ONCE", 3)
    desk = Desk()
    for number in range(20):
        desk.wants(f"w{number:02d}", FIVE)
    done = request_due(day=TODAY, after=None, ports=desk.ports)
    assert (done.after, done.payouts) == ("w06", 7)
    assert desk.schedule() == 13
    assert len(desk.paid()) == 20


def test_there_are_as_many_runs_as_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduling, "MAX_MEMBERS", 2)
    monkeypatch.setattr(scheduling, "_PAYABLE_AT_ONCE", 3)
    desk = Desk()
    assert len(start_runs(day=TODAY, ports=desk.ports)) == 1
    for number in range(7):
        desk.wants(f"w{number}", FIVE)
    desk.schedule("2026-11-23")
    assert len(set(desk.world.started)) == 1 + 4
    monkeypatch.setattr(scheduling, "MAX_RUNS", 3)
    assert len(start_runs(day="2026-11-24", ports=desk.ports)) == 3


def calls() -> int:
    desk = three()
    return desk.world.aws.faults.count_calls(desk.schedule)


CALLS = calls()
FAULTS = (Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER, Fault.THROTTLED_ONCE)


@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault_at_any_call_and_the_same_again_pays_everybody_once(fault: Fault) -> None:
    for at in range(CALLS):
        desk = three()
        plan = Plan(fault, at)
        with desk.world.aws.faults.planned(plan):
            try:
                desk.schedule()
            except (Crash, Exception):  # noqa: BLE001 - whatever the workflow sees, it repeats
                assert plan.fired
        desk.schedule()
        assert desk.paid() == ALL
        assert len(set(desk.world.started)) == 1


def test_two_at_once_pay_everybody_once() -> None:
    for at in range(CALLS):
        desk = three()
        plan = Plan(Fault.RACE, at, race=desk.schedule)
        with desk.world.aws.faults.planned(plan):
            desk.schedule()
        assert plan.race_errors == []
        assert desk.paid() == ALL


def test_an_id_that_does_not_follow_from_the_day_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = iter(range(10**6))

    def forgetful(**asked_for: object) -> object:
        return request_payout(**(asked_for | {"idempotency_key": f"k{next(numbers)}"}))  # type: ignore[arg-type]

    monkeypatch.setattr(scheduling, "request_payout", forgetful)
    desk = three()
    desk.schedule()
    desk.wants("ann", FIVE)
    desk.schedule()
    assert desk.paid() != ALL


def test_the_others_are_asked_for_before_an_error_is_raised() -> None:
    desk = three()

    def broken(worker_id: str, found: Callable[[str], object] = desk.world.people.payout_facts) -> object:
        if worker_id == "ann":
            raise Unavailable("busy")
        return found(worker_id)

    desk.world.people.payout_facts = broken  # type: ignore[method-assign, assignment]
    with pytest.raises(Unavailable):
        request_due(day=TODAY, after=None, ports=desk.ports)
    assert desk.paid() == {key: micros for key, micros in ALL.items() if key[0] != "ann"}


@pytest.mark.parametrize("moment", ["2026-11-22T06:00:00Z", "2026-11-22T23:59:59.999Z", "2026-11-23T01:30:00+02:00"])
def test_the_day_is_that_of_the_schedule_in_utc(moment: str) -> None:
    assert day_of(moment) == TODAY


@pytest.mark.parametrize("moment", ["", "today", "2026-11-22", "2026-11-22T06:00:00", "<aws.scheduler.scheduled-time>"])
def test_what_is_no_moment_has_no_day(moment: str) -> None:
    with pytest.raises(Invalid):
        day_of(moment)


def test_the_next_run_is_at_the_hour_and_never_now() -> None:
    midnight = 20_000 * DAY * 1000
    hour = HOUR * 1000
    assert next_run_ms(midnight, 6) == midnight + 6 * hour
    assert next_run_ms(midnight + 6 * hour - 1, 6) == midnight + 6 * hour
    assert next_run_ms(midnight + 6 * hour, 6) == midnight + 30 * hour
    assert next_run_ms(midnight, 0) == midnight + 24 * hour
