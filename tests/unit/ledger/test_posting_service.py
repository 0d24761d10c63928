"""Posting: an entry is recorded once, with what it pays for, whatever happens meanwhile."""

from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from smallpeck.kernel.writes import Change, Contention, Create, Equals, Present, WriteConflict, ref
from smallpeck.ledger.accounts import Account, escrow, funding, platform_revenue, requester_available, worker_available
from smallpeck.ledger.posting import Balance, Posting, account_ref
from smallpeck.ledger.service import POST_ATTEMPTS, EntryMismatch, InsufficientFunds, Posted
from tests.aws import Crash, Fault, Plan
from tests.unit.ledger.books import Ledger

WORKER, SHARD, REQUESTER = worker_available("w1"), escrow("b1", 0), requester_available("r1")


@pytest.fixture
def ledger() -> Ledger:
    made = Ledger()
    made.fund(SHARD, 1_000)
    return made


def test_money_moves_with_its_entry_and_its_statement_row(ledger: Ledger) -> None:
    assert ledger.credit(micros=300) is Posted.NOW

    assert ledger.balance(SHARD) == Balance(700, 0)
    assert ledger.balance(WORKER) == Balance(300, 1)
    (row,) = ledger.rows()
    assert (row["seq"], row["entry_id"], row["amount_micros"], row["balance_micros"]) == (1, "c1", 300, 300)


def test_the_same_entry_again_changes_nothing(ledger: Ledger) -> None:
    ledger.credit(at_ms=1)
    before = [ledger.aws.dynamodb.dump(name) for name in ("platform", "ledger")]

    assert ledger.credit(at_ms=99, alongside=[Create(ref("batch", "b1"), {})]) is Posted.BEFORE

    assert [ledger.aws.dynamodb.dump(name) for name in ("platform", "ledger")] == before


def test_the_same_entry_again_is_known_though_the_account_is_empty_since(ledger: Ledger) -> None:
    ledger.credit("c1", 300)
    ledger.post("out", Posting(WORKER, SHARD, 300))

    assert ledger.post("out", Posting(WORKER, SHARD, 300)) is Posted.BEFORE


def test_another_entry_under_the_same_id_is_refused(ledger: Ledger) -> None:
    ledger.credit("c1", 300)

    with pytest.raises(EntryMismatch):
        ledger.credit("c1", 301)
    assert ledger.balance(WORKER) == Balance(300, 1)


def test_another_entry_under_the_same_id_is_refused_though_there_is_no_money_for_it(ledger: Ledger) -> None:
    ledger.credit("c1", 300)
    ledger.post("out", Posting(WORKER, SHARD, 300))

    with pytest.raises(EntryMismatch):
        ledger.post("out", Posting(WORKER, SHARD, 200))


@pytest.mark.parametrize("source", [SHARD, REQUESTER])
def test_no_account_falls_below_zero(ledger: Ledger, source: Account) -> None:
    ledger.fund(source, 50, key="more")
    held = ledger.balance(source).balance_micros

    with pytest.raises(InsufficientFunds) as caught:
        ledger.post("c1", Posting(source, WORKER, held + 1), alongside=[Create(ref("batch", "b1"), {})])

    assert caught.value.accounts == (source,)
    assert ledger.balance(WORKER) == Balance(0, 0)
    assert ledger.table.get(ref("batch", "b1")) is None
    assert ledger.post("c1", Posting(source, WORKER, held)) is Posted.NOW


def test_accounts_without_a_balance_may_be_below_zero(ledger: Ledger) -> None:
    assert ledger.post("x", Posting(platform_revenue(), funding("test"), 5)) is Posted.NOW


def test_currencies_do_not_mix(ledger: Ledger) -> None:
    with pytest.raises(InsufficientFunds):
        ledger.credit(currency="EUR")

    ledger.post("eur", Posting(funding("test"), WORKER, 7), currency="EUR")
    assert ledger.balance(WORKER) == Balance(0, 0)
    assert ledger.balance(WORKER, "EUR") == Balance(7, 1)


def test_what_is_alongside_happens_with_the_money_or_not_at_all(ledger: Ledger) -> None:
    ledger.table.commit([Create(ref("page", "p1"), {"state": "decided"})])
    settle = Change(ref("page", "p1"), set={"state": "paid"}, when=(Present(), Equals("state", "submitted")))

    with pytest.raises(WriteConflict) as caught:
        ledger.credit(alongside=[settle])

    assert caught.value.hit(settle.ref)
    assert ledger.balance(WORKER) == Balance(0, 0)
    assert ledger.books.input_hash("c1") is None


def raced(ledger: Ledger, *races: Callable[[], object]) -> list[Plan]:
    return [
        Plan(Fault.RACE, "dynamodb.TransactWriteItems*", nth=number + 1, race=race) for number, race in enumerate(races)
    ]


def test_two_entries_at_once_both_count(ledger: Ledger) -> None:
    (race,) = raced(ledger, lambda: ledger.credit("c2", 20))

    with ledger.aws.faults.planned(race):
        assert ledger.credit("c1", 100) is Posted.NOW

    assert race.race_errors == []
    assert ledger.balance(WORKER) == Balance(120, 2)
    assert [(row["entry_id"], row["balance_micros"]) for row in ledger.rows()] == [("c1", 120), ("c2", 20)]


def test_the_same_entry_twice_at_once_counts_once(ledger: Ledger) -> None:
    (race,) = raced(ledger, lambda: ledger.credit("c1", 100))

    with ledger.aws.faults.planned(race):
        assert ledger.credit("c1", 100) is Posted.BEFORE

    assert ledger.balance(WORKER) == Balance(100, 1)


def test_another_entry_of_the_same_id_at_once_is_refused(ledger: Ledger) -> None:
    (race,) = raced(ledger, lambda: ledger.credit("c1", 99))

    with ledger.aws.faults.planned(race), pytest.raises(EntryMismatch):
        ledger.credit("c1", 100)

    assert ledger.balance(WORKER) == Balance(99, 1)


def test_money_that_is_taken_meanwhile_is_not_there(ledger: Ledger) -> None:
    ledger.fund(REQUESTER, 100)
    (race,) = raced(ledger, lambda: ledger.post("first", Posting(REQUESTER, SHARD, 60)))

    with ledger.aws.faults.planned(race), pytest.raises(InsufficientFunds) as caught:
        ledger.post("second", Posting(REQUESTER, SHARD, 60))

    assert caught.value.accounts == (REQUESTER,)
    assert ledger.balance(REQUESTER) == Balance(40, 2)


def test_an_escrow_shard_that_runs_dry_meanwhile_is_named(ledger: Ledger) -> None:
    (race,) = raced(ledger, lambda: ledger.post("first", Posting(SHARD, worker_available("w2"), 950)))

    with ledger.aws.faults.planned(race), pytest.raises(InsufficientFunds) as caught:
        ledger.credit("c1", 100)

    assert caught.value.accounts == (SHARD,)


def test_money_that_comes_meanwhile_counts(ledger: Ledger) -> None:
    ledger.fund(REQUESTER, 100)
    (race,) = raced(ledger, lambda: ledger.fund(REQUESTER, 60, key="late"))

    with ledger.aws.faults.planned(race):
        ledger.post("out", Posting(REQUESTER, SHARD, 100))

    assert ledger.balance(REQUESTER) == Balance(60, 3)


def test_an_account_that_never_rests_is_given_up(ledger: Ledger) -> None:
    others = iter(range(POST_ATTEMPTS))
    plans = raced(ledger, *[lambda: ledger.credit(f"other{next(others)}", 1)] * POST_ATTEMPTS)

    with ledger.aws.faults.planned(*plans), pytest.raises(Contention):
        ledger.credit("c1", 100)

    assert ledger.balance(WORKER) == Balance(POST_ATTEMPTS, POST_ATTEMPTS)
    assert ledger.books.input_hash("c1") is None


def test_whoever_dies_at_any_call_has_moved_the_money_once_or_not_at_all() -> None:
    calls = Ledger()
    calls.fund(SHARD, 1_000)
    count = calls.aws.faults.count_calls(calls.credit)
    assert count == 2

    for fault in (Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.TIMEOUT_AFTER, Fault.ERROR_AFTER, Fault.ERROR_BEFORE):
        for at in range(count):
            ledger = Ledger()
            ledger.fund(SHARD, 1_000)
            beside = Create(ref("batch", "b1"), {})
            with (
                ledger.aws.faults.planned(Plan(fault, at)),
                pytest.raises((Crash, ClientError, ReadTimeoutError)),
            ):
                ledger.credit(alongside=[beside])
            done = ledger.books.input_hash("c1") is not None
            assert (ledger.table.get(beside.ref) is not None) is done
            assert ledger.balance(WORKER) == (Balance(100, 1) if done else Balance(0, 0))

            assert ledger.credit(alongside=[beside]) is (Posted.BEFORE if done else Posted.NOW)
            assert ledger.balance(WORKER) == Balance(100, 1)
            assert ledger.balance(SHARD) == Balance(900, 0)
            assert len(ledger.rows()) == 1


def test_a_busy_account_is_tried_again(ledger: Ledger) -> None:
    with ledger.aws.faults.planned(Plan(Fault.CONFLICT, "dynamodb.TransactWriteItems*")):
        assert ledger.credit() is Posted.NOW


def test_a_statement_is_read_newest_first_and_goes_on(ledger: Ledger) -> None:
    for number in range(1, 6):
        ledger.credit(f"c{number}", number)

    first = ledger.books.statement(WORKER, "USD", before=None, limit=3)
    rest = ledger.books.statement(WORKER, "USD", before=first.next_after, limit=3)

    assert [row["entry_id"] for row in first.items + rest.items] == ["c5", "c4", "c3", "c2", "c1"]
    assert rest.next_after is None
    assert (ledger.books.statement_row(WORKER, "USD", 2) or {})["entry_id"] == "c2"
    assert ledger.books.statement_row(WORKER, "USD", 6) is None


def test_many_balances_are_read_at_once(ledger: Ledger) -> None:
    ledger.credit()
    before = ledger.aws.faults.calls

    found = ledger.books.balances([WORKER, SHARD, REQUESTER], "USD")

    shown = {account: Balance(held.balance_micros, held.seq) for account, held in found.items()}
    assert shown == {
        WORKER: Balance(100, 1),
        SHARD: Balance(900, 0),
        REQUESTER: Balance(0, 0),
    }
    assert ledger.aws.faults.calls - before == 1


def test_everything_is_every_entry_and_every_row(ledger: Ledger) -> None:
    ledger.credit()

    found = [item["pk"] for segment in range(3) for item in ledger.books.everything(segment, 3)]

    assert sorted(found) == ["ENTRY#c1", f"ENTRY#fund-{SHARD.path}-0", "STATEMENT#worker:w1:available:USD"]


def test_a_balance_item_that_does_not_exist_is_zero(ledger: Ledger) -> None:
    assert ledger.balance(REQUESTER) == Balance(0, 0)
    assert ledger.table.get(account_ref(REQUESTER, "USD")) is None
