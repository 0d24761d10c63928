"""The books audit: silent on right books, and never silent on wrong ones."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from smallpeck.kernel.writes import Change, Present, ref
from smallpeck.ledger.accounts import (
    escrow,
    funding,
    platform_revenue,
    rail_cash,
    rail_clearing,
    worker_available,
)
from smallpeck.ledger.audit import StoredRow
from smallpeck.ledger.audit_service import (
    AuditNotFound,
    AuditReport,
    AuditState,
    fail_audit,
    get_audit,
    schedule_audit,
    start_audit,
)
from smallpeck.ledger.audit_store import AuditStore
from smallpeck.ledger.posting import Entry, EntryKind, Posting
from smallpeck.ledger.service import post
from smallpeck.payouts import model as payouts
from smallpeck.payouts.service import release_entry, reserve_entry, settle_entry
from smallpeck.runtime.claims import claimants
from smallpeck.table.marshal import from_item, to_item
from smallpeck.tasks.model import BatchState, batch_ref
from tests.aws import Fault, Plan
from tests.support import World
from tests.unit.ledger.auditing import asked, audited, carried_out, ports_of, store_of


def move(world: World, entry_id: str, *postings: Posting, currency: str = "USD") -> None:
    entry = Entry(entry_id, EntryKind.CREDIT, currency, "r", postings, world.now_ms)
    post(entry=entry, alongside=[], books=world.books, unit=world.table)


def payout(world: World, worker: str, micros: int, state: payouts.PayoutState, key: str = "k") -> payouts.Payout:
    """A payout with the entries of its state."""
    asked = payouts.Payout(
        payout_id=payouts.payout_id(worker, key),
        worker_id=worker,
        rail="gateway",
        destination_version=1,
        currency="USD",
        amount_micros=micros,
        fee_micros=0,
        request_hash="h",
        requested_at_ms=world.now_ms,
        touched_at_ms=world.now_ms,
    )
    post(entry=reserve_entry(asked), alongside=[payouts.create(asked)], books=world.books, unit=world.table)
    if state is payouts.PayoutState.REQUESTED:
        return asked
    taken = payouts.take(asked, run_id="r1", number=0, now_ms=world.now_ms)
    world.table.commit([payouts.change(asked, taken)])
    sending = payouts.begin_send(taken, now_ms=world.now_ms)
    world.table.commit([payouts.change(taken, sending)])
    outcome = {
        payouts.PayoutState.SETTLED: payouts.Fact.PAID,
        payouts.PayoutState.RELEASED: payouts.Fact.REFUSED,
        payouts.PayoutState.UNKNOWN: payouts.Fact.UNCLEAR,
        payouts.PayoutState.FROZEN: payouts.Fact.MISMATCH,
    }[state]
    learned = payouts.learn(sending, payouts.Answer(outcome), now_ms=world.now_ms)
    change = payouts.change(sending, learned)
    if state is payouts.PayoutState.SETTLED:
        post(entry=settle_entry(learned, now_ms=world.now_ms), alongside=[change], books=world.books, unit=world.table)
    elif state is payouts.PayoutState.RELEASED:
        post(entry=release_entry(learned, now_ms=world.now_ms), alongside=[change], books=world.books, unit=world.table)
    else:
        world.table.commit([change])
    return learned


def busy_books() -> World:
    """Work under way in one batch, another one over, and a payout in every state."""
    world = World()
    world.active(30, batch_id="b1")
    for worker in ("ann", "bob", "cyd"):
        for key in ("1", "2"):
            world.answer(worker, batch=world.batch("b1"), key=key)
            world.deposit(1_000_000, key=f"{worker}{key}")
    world.active(4, batch_id="b2", price_micros=7, reward_micros=4, fee_micros=3)
    world.answer("ann", batch=world.batch("b2"), key="3")
    world.finish("b2")
    world.ready(3, batch_id="b3")
    payout(world, "ann", 1_000_000, payouts.PayoutState.REQUESTED)
    payout(world, "ann", 500_000, payouts.PayoutState.SETTLED, "2")
    payout(world, "bob", 1_000_000, payouts.PayoutState.UNKNOWN)
    payout(world, "bob", 500_000, payouts.PayoutState.FROZEN, "2")
    payout(world, "cyd", 1_000_000, payouts.PayoutState.RELEASED)
    return world


def rewrite(world: World, table: str, item: dict[str, Any]) -> None:
    """Puts an item as nothing in the platform would."""
    world.aws.dynamodb.put_item(TableName=table, Item=to_item(item))


def items(world: World, table: str, prefix: str) -> list[dict[str, Any]]:
    return [fields for fields in map(from_item, world.aws.dynamodb.dump(table)) if fields["pk"].startswith(prefix)]


def test_right_books_balance() -> None:
    world = busy_books()

    report = audited(world)

    assert report.books_balanced
    assert report.differences == ()
    assert report.in_motion == 0
    assert report.entries == len(items(world, "ledger", "ENTRY#"))
    assert report.statement_rows == len(items(world, "ledger", "STATEMENT#"))


def test_the_report_says_what_stands_where() -> None:
    report = audited(busy_books())

    # 60 of 90 answers of b1 are approved, 4 of 12 of b2; payouts requested, unknown and frozen are on their way.
    assert report.totals == {
        "escrow": {"USD": 30 * 500_000},
        "funding:test": {"USD": -(90 * 500_000 + 6_000_000 + 84)},
        "platform:revenue": {"USD": 60 * 200_000 + 4 * 3},
        "rail:gateway:cash": {"USD": 500_000},
        "rail:gateway:clearing": {"USD": 1_000_000 + 1_000_000 + 500_000},
        "requester": {"USD": 6_000_000 + 84 - 28},
        "worker": {"USD": 60 * 300_000 + 16 - 3_000_000},
    }


def test_empty_books_balance() -> None:
    report = audited(World())

    assert report.books_balanced
    assert report.accounts == 0


@pytest.mark.parametrize("state", list(BatchState))
def test_escrow_stands_only_behind_published_work(state: BatchState) -> None:
    world = World()
    world.active(10)
    world.table.commit([Change(batch_ref("b1"), set={"state": state}, when=(Present(),))])

    report = audited(world)

    assert report.books_balanced == (state in (BatchState.ACTIVE, BatchState.PAUSED, BatchState.CLOSING))


def test_an_answer_that_was_counted_and_not_paid_is_found() -> None:
    world = World()
    world.active(10)
    world.answer("ann")
    world.table.increment(ref("progress", "b1", 0), "answers", 1, below=1_000)

    report = audited(world)

    assert [one.subject for one in report.differences] == ["escrow:b1:USD"]
    assert report.differences[0].expected_micros == 20 * 500_000 - 500_000


def test_escrow_without_a_batch_is_found() -> None:
    world = World()
    move(world, "e1", Posting(funding("test"), escrow("nobody", 0), 5))

    assert [one.subject for one in audited(world).differences] == ["escrow:nobody:USD"]


def test_clearing_without_a_payout_is_found() -> None:
    world = World()
    move(world, "e1", Posting(funding("test"), rail_clearing("gateway"), 5))

    difference = audited(world).differences[0]

    assert (difference.subject, difference.expected_micros, difference.found_micros) == (
        "rail:gateway:clearing:USD",
        0,
        5,
    )


def test_a_payout_without_its_money_is_found() -> None:
    world = busy_books()
    open_payout = next(item for item in items(world, "platform", "PAYOUT#") if item["state"] == "unknown")
    rewrite(world, "platform", open_payout | {"state": "settled"})

    assert [one.subject for one in audited(world).differences] == ["rail:gateway:clearing:USD"]


def test_the_same_account_in_another_currency_is_another_account() -> None:
    world = World()
    world.deposit(5_000_000, key="usd")
    world.deposit(7_000_000, key="eur", currency="EUR")

    report = audited(world)

    assert report.books_balanced
    assert report.totals["requester"] == {"USD": 5_000_000, "EUR": 7_000_000}


def drift_balance(world: World, dice: random.Random, by: int) -> None:
    item = dice.choice(items(world, "platform", "ACCOUNT#"))
    rewrite(world, "platform", item | {"balance_micros": item["balance_micros"] + by})


def damaged(world: World, table: str, item: dict[str, Any]) -> list[str]:
    rewrite(world, table, item)
    return [one.what for one in audited(world).differences]


def test_a_row_that_is_gone_is_found() -> None:
    world = busy_books()
    row = items(world, "ledger", "STATEMENT#worker:ann")[1]
    world.aws.dynamodb.delete_item(TableName="ledger", Key=to_item({"pk": row["pk"], "sk": row["sk"]}))

    assert {one.subject for one in audited(world).differences} == {"worker:ann:available:USD"}


def test_an_entry_that_is_gone_is_found() -> None:
    world = busy_books()
    entry = next(item for item in items(world, "ledger", "ENTRY#") if item["kind"] == "credit")
    world.aws.dynamodb.delete_item(TableName="ledger", Key=to_item({"pk": entry["pk"], "sk": entry["sk"]}))

    assert not audited(world).books_balanced


def test_an_entry_under_another_id_is_found() -> None:
    world = World()
    world.deposit(5_000_000)
    (entry,) = items(world, "ledger", "ENTRY#")

    assert "the entry does not stand under its id" in damaged(world, "ledger", entry | {"pk": "ENTRY#other"})


def test_two_rows_that_swapped_their_entries_are_found() -> None:
    world = World()
    world.deposit(5, key="1")
    world.deposit(5, key="2")
    first, second = items(world, "ledger", "STATEMENT#")
    rewrite(world, "ledger", first | {"entry_id": second["entry_id"]})

    assert [one.what for one in audited(world).differences] == [
        "the row is not what was recorded",
        "the statement does not tell its entries",
    ]


def test_an_entry_of_nothing_is_found() -> None:
    world = World()
    world.deposit(5)
    (entry,) = items(world, "ledger", "ENTRY#")
    nothing = {"source": "funding:test", "destination": "requester:r:available", "amount_micros": 0}

    assert "a posting that moves nothing" in damaged(
        world, "ledger", entry | {"pk": "ENTRY#e2", "entry_id": "e2", "postings": [nothing]}
    )
    assert "the entry has no postings" in damaged(
        world, "ledger", entry | {"pk": "ENTRY#e2", "entry_id": "e2", "postings": []}
    )


def test_what_cannot_be_read_is_found() -> None:
    world = World()

    assert damaged(world, "ledger", {"pk": "ENTRY#x", "sk": "ENTRY"}) == ["neither an entry nor a statement row"]


def test_an_account_that_cannot_exist_is_found() -> None:
    world = World()

    assert damaged(world, "platform", {"pk": "ACCOUNT#pocket:mine:USD", "sk": "BALANCE", "balance_micros": 0}) == [
        "an account or a balance that cannot exist"
    ]


def test_money_below_zero_is_found() -> None:
    world = World()
    move(world, "e1", Posting(platform_revenue(), rail_cash("gateway"), 5))

    assert [(one.subject, one.what) for one in audited(world).differences] == [
        ("platform:revenue:USD", "below zero"),
    ]


def test_only_some_of_many_differences_are_listed() -> None:
    world = World()
    for number in range(120):
        rewrite(
            world,
            "platform",
            {"pk": f"ACCOUNT#worker:w{number}:available:USD", "sk": "BALANCE", "balance_micros": 1, "seq": 0},
        )

    report = audited(world)

    assert report.difference_count == 120
    assert len(report.differences) == 100


class Meddler(AuditStore):
    """Lets something happen each time that a part of the ledger has been read."""

    happens: list[Callable[[], None]]

    def ledger(self, segment: int, segments: int) -> Any:
        yield from super().ledger(segment, segments)
        if self.happens:
            self.happens.pop(0)()


def meddled(world: World, happens: list[Callable[[], None]]) -> AuditReport:
    store = Meddler(world.table, claimants)
    object.__setattr__(store, "happens", happens)
    return audited(world, store)


def test_money_that_moves_during_the_audit_is_no_difference() -> None:
    world = busy_books()
    numbers = iter(range(100))

    def something() -> None:
        number = next(numbers)
        world.deposit(1_000_000, key=f"late{number}", requester=f"r{number}")
        world.deposit(1_000_000, key=f"more{number}")

    report = meddled(world, [something] * 8)

    assert report.books_balanced
    assert report.in_motion == 0


def test_payouts_and_credits_during_the_audit_are_no_difference() -> None:
    world = busy_books()
    world.active(30, batch_id="b4")

    def a_credit() -> None:
        world.answer("dan", batch=world.batch("b4"))

    def a_payout() -> None:
        payout(world, "dan", 1_000_000, payouts.PayoutState.REQUESTED)

    def a_settled_payout() -> None:
        payout(world, "dan", 1_000_000, payouts.PayoutState.SETTLED, "2")

    report = meddled(world, [a_credit, a_payout, a_settled_payout])

    assert report.differences == ()
    assert report.in_motion == 0


class Unlucky(AuditStore):
    """Lets something happen before the ledger is read, and at the first reading misses one entry of it."""

    happens: Callable[[], object]
    missed: str
    passes: list[int]

    def ledger(self, segment: int, segments: int) -> Any:
        if segment == 0:
            if not self.passes:
                self.happens()
            self.passes.append(segment)
        for item in super().ledger(segment, segments):
            if len(self.passes) > 1 or getattr(item, "entry_id", "") != self.missed or isinstance(item, StoredRow):
                yield item


def test_a_payout_that_came_and_went_during_the_audit_is_no_difference() -> None:
    world = busy_books()
    store = Unlucky(world.table, claimants)
    # Its settling is seen and its reserve is not: the clearing account seems to be below zero.
    for name, value in {
        "happens": lambda: payout(world, "ann", 3_000_000, payouts.PayoutState.SETTLED, "late"),
        "missed": f"{payouts.payout_id('ann', 'late')}/reserve",
        "passes": [],
    }.items():
        object.__setattr__(store, name, value)

    report = audited(world, store)

    assert report.differences == ()
    assert len(store.passes) > 1


def test_an_account_that_never_rests_is_counted_as_in_motion() -> None:
    world = World()
    numbers = iter(range(100))

    def something() -> None:
        world.deposit(1_000_000, key=str(next(numbers)))

    something()
    report = meddled(world, [something] * 100)

    assert report.books_balanced
    assert report.in_motion == 1


def test_a_drift_is_found_while_other_money_moves() -> None:
    world = busy_books()
    drift_balance(world, random.Random(1), 1)
    numbers = iter(range(100))

    def something() -> None:
        world.deposit(1_000_000, key=f"late{next(numbers)}", requester="somebody-else")

    report = meddled(world, [something] * 8)

    assert report.difference_count > 0


@pytest.mark.parametrize("segments", [1, 3, 8])
def test_the_parts_of_the_table_add_up_to_the_whole(segments: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smallpeck.ledger.audit_service.SEGMENTS", segments)

    assert audited(busy_books()).books_balanced


def seeded(entries: int) -> World:
    """Books of `entries` credits to a tenth as many workers, put straight into the tables."""
    world = World()
    workers = entries // 10
    fund = Entry("fund", EntryKind.DEPOSIT, "USD", "r", (Posting(funding("test"), escrow("b1", 0), entries * 500),), 1)
    platform: dict[str, dict[str, Any]] = {}
    ledger = [_entry_item(fund)]
    for number in range(entries):
        worker, seq = worker_available(f"w{number % workers}"), number // workers + 1
        entry = Entry(
            f"e{number}",
            EntryKind.CREDIT,
            "USD",
            "p",
            (Posting(escrow("b1", 0), worker, 300), Posting(escrow("b1", 0), platform_revenue(), 200)),
            1,
        )
        ledger.append(_entry_item(entry))
        ledger.append(
            {
                "pk": f"STATEMENT#{worker.path}:USD",
                "sk": f"{seq:012d}",
                "seq": seq,
                "entry_id": entry.entry_id,
                "kind": entry.kind,
                "currency": "USD",
                "reference": "p",
                "amount_micros": 300,
                "balance_micros": 300 * seq,
                "at_ms": 1,
            }
        )
        platform[worker.path] = {
            "pk": f"ACCOUNT#{worker.path}:USD",
            "sk": "BALANCE",
            "balance_micros": 300 * seq,
            "seq": seq,
        }
    world.aws.dynamodb.seed("ledger", map(to_item, ledger))
    world.aws.dynamodb.seed("platform", map(to_item, platform.values()))
    return world


def _entry_item(entry: Entry) -> dict[str, Any]:
    postings = [
        {"source": one.source.path, "destination": one.destination.path, "amount_micros": one.amount_micros}
        for one in entry.postings
    ]
    return {
        "pk": f"ENTRY#{entry.entry_id}",
        "sk": "ENTRY",
        "entry_id": entry.entry_id,
        "kind": entry.kind,
        "currency": entry.currency,
        "reference": entry.reference,
        "at_ms": entry.at_ms,
        "input_hash": entry.input_hash(),
        "postings": postings,
    }


@pytest.mark.parametrize("most", [10_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_four_times_the_entries_cost_at_most_five_times_the_calls_and_units(most: int) -> None:
    costs = []
    for entries in (most // 4, most):
        world = seeded(entries)
        calls, units = world.aws.faults.calls, world.aws.dynamodb.meter.read
        report = audited(world)
        assert report.books_balanced
        assert report.entries == entries + 1
        costs.append((world.aws.faults.calls - calls, world.aws.dynamodb.meter.read - units))

    assert costs[1][0] <= 5 * costs[0][0]
    assert costs[1][1] <= 5 * costs[0][1]


def test_an_audit_is_started_once_for_one_request() -> None:
    world = World()
    started: list[str] = []

    def ask(key: str) -> Any:
        return start_audit(
            operator_id="op",
            idempotency_key=key,
            now_ms=world.now_ms,
            audits=store_of(world),
            unit=world.table,
            start=started.append,
        )

    first, again, other = ask("k1"), ask("k1"), ask("k2")

    assert first == again
    assert other.audit_id != first.audit_id
    # The same execution name, which the workflow service starts once.
    assert started == [first.audit_id, first.audit_id, other.audit_id]


def test_a_finished_audit_is_read_with_its_report() -> None:
    world = busy_books()
    audit_id = asked(world).audit_id
    drift_balance(world, random.Random(3), 1)

    report = run(world, audit_id)

    found = get_audit(audit_id=audit_id, audits=store_of(world))
    assert found.state is AuditState.FINISHED
    assert found.report == report
    assert not report.books_balanced


def test_an_audit_that_ran_is_not_run_again() -> None:
    world = busy_books()
    audit_id = asked(world).audit_id
    report = run(world, audit_id)
    drift_balance(world, random.Random(3), 1)

    assert run(world, audit_id) == report


def test_two_runs_of_one_audit_leave_one_report() -> None:
    world = busy_books()
    audit_id = asked(world).audit_id
    twin: list[AuditReport] = []
    race = Plan(Fault.RACE, "dynamodb.UpdateItem:platform", race=lambda: twin.append(run(world, audit_id)))

    with world.aws.faults.planned(race):
        world.aws.clock.advance(5)
        report = run(world, audit_id)

    assert twin == [report]


def test_an_audit_without_a_report_has_failed_and_may_run_again() -> None:
    world = busy_books()
    store = store_of(world)
    audit_id = asked(world).audit_id

    fail_audit(audit_id=audit_id, audits=store, unit=world.table)
    assert get_audit(audit_id=audit_id, audits=store).state is AuditState.FAILED

    run(world, audit_id)
    fail_audit(audit_id=audit_id, audits=store, unit=world.table)
    assert get_audit(audit_id=audit_id, audits=store).state is AuditState.FINISHED


def run(world: World, audit_id: str) -> AuditReport:
    return carried_out(audit_id, ports_of(world))


def test_a_day_has_one_scheduled_audit() -> None:
    world = World()

    first, again, other = (
        schedule_audit(scheduled_at=moment, now_ms=world.now_ms, unit=world.table)
        for moment in ("2026-11-22T03:30:00Z", "2026-11-22T04:00:00Z", "2026-11-23T03:30:00Z")
    )

    assert first == again != other
    audit = get_audit(audit_id=first, audits=store_of(world))
    assert (audit.state, audit.requested_by) == (AuditState.RUNNING, "schedule")
    assert run(world, first).books_balanced


def test_there_is_no_audit_that_nobody_asked_for() -> None:
    with pytest.raises(AuditNotFound):
        get_audit(audit_id="au_x", audits=store_of(World()))


def test_the_audit_writes_nothing_but_its_report() -> None:
    world = busy_books()
    ports, audit_id = ports_of(world), asked(world).audit_id
    before, stored = len(world.aws.faults.trace), world.aws.dynamodb.dump("ledger")

    carried_out(audit_id, ports)

    operations = {line.split()[-2].split(":")[0] for line in list(world.aws.faults.trace)[before:]}
    assert operations <= {f"dynamodb.{one}" for one in ("Scan", "BatchGetItem", "GetItem", "Query", "UpdateItem")}
    changed = [line for line in list(world.aws.faults.trace)[before:] if "UpdateItem" in line]
    assert len(changed) == 1
    assert world.aws.dynamodb.dump("ledger") == stored
