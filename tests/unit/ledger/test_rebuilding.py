"""Balances are a projection of the journal: whatever happens to them, they can be made again."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from smallpeck.kernel.writes import Change, Present
from smallpeck.ledger.accounts import (
    escrow,
    funding,
    platform_revenue,
    requester_available,
    reserve,
    worker_available,
    worker_pending,
    worker_receivable,
)
from smallpeck.ledger.corrections import Way
from smallpeck.ledger.phases import Hold, pending
from smallpeck.ledger.posting import Posting, account_ref
from smallpeck.ledger.rebuilding import Survey, fold, repair, survey
from smallpeck.ledger.service import Posted, post, resolve, reverse
from tests.aws import Fault, Plan
from tests.unit.ledger.books import Ledger

WORKER, SHARD, REQUESTER = worker_available("w1"), escrow("b1", 0), requester_available("r1")
OWED = worker_receivable("w1")


def lived_in() -> Ledger:
    """Two currencies, credits, a hold that was resolved in part, a debt, and rows from before the chain."""
    ledger = Ledger()
    ledger.fund(REQUESTER, 5_000)
    ledger.post("e-b1", Posting(REQUESTER, SHARD, 2_000), Posting(REQUESTER, escrow("b1", 1), 1_000))
    for number in range(4):
        ledger.post(f"c{number}", Posting(SHARD, WORKER, 100), Posting(SHARD, platform_revenue(), 50))
    ledger.post("eur", Posting(funding("test"), WORKER, 7), currency="EUR")
    holds = [Hold(SHARD, worker_pending("w1"), WORKER, 90), Hold(SHARD, reserve("b1", 0), WORKER, 9)]
    entry = pending(entry_id="h1", currency="USD", reference="r", holds=holds, at_ms=1)
    post(entry=entry, alongside=[], books=ledger.books, unit=ledger.table)
    resolve(pending_id="h1", goes_on=True, amounts_micros=[40, 9], at_ms=2, books=ledger.books, unit=ledger.table)
    ways = {0: Way((OWED,), REQUESTER)}
    reverse(
        entry_id="c0", amounts_micros=[60, 0], ways=ways, reference="x", at_ms=3, books=ledger.books, unit=ledger.table
    )
    return ledger


def surveyed(ledger: Ledger) -> Survey:
    return survey(books=ledger.books)


def balances(ledger: Ledger) -> list[dict[str, Any]]:
    """The balance items; one that says nothing is as good as none."""
    return [item for item in ledger.items("platform", "ACCOUNT#") if item.get("balance_micros") or item.get("seq")]


def rebuilt(ledger: Ledger) -> Survey:
    found = surveyed(ledger)
    done = repair(found=found, names=[one.name for one in found.repairs], unit=ledger.table)
    assert done.moved == ()
    return found


def test_right_balances_need_nothing() -> None:
    found = surveyed(lived_in())

    assert found.all_right
    assert found.accounts == 11


def delete(ledger: Ledger, item: dict[str, Any]) -> None:
    ledger.remove("platform", item)


def one_more(ledger: Ledger, item: dict[str, Any]) -> None:
    ledger.rewrite("platform", item | {"balance_micros": item.get("balance_micros", 0) + 1})


def lose_the_amount(ledger: Ledger, item: dict[str, Any]) -> None:
    ledger.rewrite("platform", {name: value for name, value in item.items() if name != "balance_micros"})


def count_wrong(ledger: Ledger, item: dict[str, Any]) -> None:
    ledger.rewrite("platform", item | {"seq": item.get("seq", 0) + 1})


def other_head(ledger: Ledger, item: dict[str, Any]) -> None:
    ledger.rewrite("platform", item | {"head_hash": "f" * 64})


def no_head(ledger: Ledger, item: dict[str, Any]) -> None:
    ledger.rewrite("platform", {name: value for name, value in item.items() if name not in ("head_hash", "seq")})


DAMAGES = [delete, one_more, lose_the_amount, count_wrong, other_head, no_head]


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damaged_balance_is_made_again_to_the_micro(damage: Callable[[Ledger, dict[str, Any]], None]) -> None:
    ledger = lived_in()
    before = balances(ledger)
    for item in ledger.items("platform", "ACCOUNT#"):
        damage(ledger, item)

    found = rebuilt(ledger)

    assert found.damaged == {}
    assert balances(ledger) == before
    assert surveyed(ledger).all_right


@pytest.mark.parametrize("seed", range(20))
def test_any_mixture_of_damages_is_made_right_and_work_goes_on(seed: int) -> None:
    chance = random.Random(seed)
    ledger = lived_in()
    before = balances(ledger)
    for item in ledger.items("platform", "ACCOUNT#"):
        if chance.random() < 0.7:
            chance.choice(DAMAGES)(ledger, item)

    rebuilt(ledger)

    assert balances(ledger) == before
    assert ledger.credit("next", 5) is Posted.NOW
    assert ledger.told(WORKER) == ledger.stored(WORKER)
    assert surveyed(ledger).all_right


def test_a_balance_that_no_entry_explains_is_emptied_and_can_be_used() -> None:
    ledger = Ledger()
    ledger.table.commit([Change(account_ref(WORKER, "USD"), set={"balance_micros": 9, "seq": 3, "head_hash": "f"})])

    rebuilt(ledger)

    assert surveyed(ledger).all_right
    ledger.fund(WORKER, 5)
    assert ledger.told(WORKER) == ledger.stored(WORKER)


def test_a_survey_writes_nothing_and_a_repair_only_what_is_named() -> None:
    ledger = lived_in()
    for item in ledger.items("platform", "ACCOUNT#"):
        one_more(ledger, item)
    before = [ledger.items(name) for name in ("platform", "ledger")]

    found = surveyed(ledger)
    assert [ledger.items(name) for name in ("platform", "ledger")] == before

    done = repair(found=found, names=["worker:w1:available:USD", "worker:w9:available:USD"], unit=ledger.table)
    assert done.repaired == ("worker:w1:available:USD",)
    assert [one.name for one in surveyed(ledger).repairs] == [
        one.name for one in found.repairs if one.name != "worker:w1:available:USD"
    ]


def test_a_survey_says_what_stands_there_and_what_should() -> None:
    ledger = lived_in()
    (item,) = ledger.items("platform", "ACCOUNT#escrow:b1:01")
    one_more(ledger, item)

    (found,) = surveyed(ledger).repairs

    assert (found.name, found.stored, found.right) == (
        "escrow:b1:01:USD",
        {"balance_micros": 1_001},
        {"balance_micros": 1_000},
    )


@pytest.mark.parametrize("account", [WORKER, SHARD])
def test_an_account_that_moved_since_is_left_to_another_survey(account: Any) -> None:
    ledger = lived_in()
    (item,) = ledger.items("platform", f"ACCOUNT#{account.path}:USD")
    one_more(ledger, item)
    found = surveyed(ledger)
    ledger.credit("late", 5)
    names = [one.name for one in found.repairs]

    done = repair(found=found, names=names, unit=ledger.table)

    assert done.moved == tuple(names)
    again = rebuilt(ledger)
    assert [one.name for one in again.repairs] == names
    assert surveyed(ledger).repairs == ()


def test_a_row_that_was_posted_on_a_damaged_balance_stays_known_but_the_balance_is_right_again() -> None:
    ledger = lived_in()
    (item,) = ledger.items("platform", "ACCOUNT#worker:w1:available:USD")
    one_more(ledger, item)
    ledger.credit("late", 5)

    rebuilt(ledger)
    found = surveyed(ledger)

    assert found.repairs == ()
    assert found.damaged == {
        "worker:w1:available:USD": (f"row {item['seq'] + 1}: the balance is not the one before and the amount",)
    }
    assert ledger.stored(WORKER).balance_micros == item["balance_micros"] + 5


@pytest.mark.parametrize("at", range(12))
def test_entries_that_come_during_a_survey_are_never_mistaken_for_damage(at: int) -> None:
    ledger = lived_in()
    race = Plan(Fault.RACE, at, race=lambda: ledger.credit("late", 5))

    with ledger.faults.planned(race):
        found = surveyed(ledger)

    assert found.repairs == ()
    assert found.damaged == {}
    assert set(found.in_motion) <= {"worker:w1:available:USD", "escrow:b1:00:USD"}
    assert surveyed(ledger).all_right


def test_a_repair_that_was_heard_of_too_late_is_made_once() -> None:
    ledger = lived_in()
    (item,) = ledger.items("platform", "ACCOUNT#escrow:b1:01")
    one_more(ledger, item)
    found = surveyed(ledger)
    names = [found.repairs[0].name]

    assert repair(found=found, names=names, unit=ledger.table).repaired == tuple(names)
    assert repair(found=found, names=names, unit=ledger.table).moved == tuple(names)
    assert surveyed(ledger).all_right


@pytest.mark.parametrize(
    "change",
    [
        {"at_ms": 99},
        {"reference": "other"},
        {"postings": []},
        {"currency": "XXX"},
        {"input_hash": "0" * 64},
        {"kind": "gift"},
    ],
)
def test_while_an_entry_is_not_what_was_recorded_nothing_is_repaired(change: dict[str, Any]) -> None:
    ledger = lived_in()
    (entry,) = (item for item in ledger.items("ledger", "ENTRY#c1") if item["entry_id"] == "c1")
    ledger.rewrite("ledger", entry | change)
    for item in ledger.items("platform", "ACCOUNT#"):
        one_more(ledger, item)

    found = surveyed(ledger)

    assert found.damaged_entries == ("c1",)
    assert found.repairs == ()
    assert not found.all_right


def test_an_account_whose_statement_is_damaged_is_not_repaired() -> None:
    ledger = lived_in()
    row = ledger.rows()[2]
    ledger.remove("ledger", row)
    (item,) = ledger.items("platform", "ACCOUNT#worker:w1:available:USD")
    one_more(ledger, item)

    found = surveyed(ledger)

    assert list(found.damaged) == ["worker:w1:available:USD"]
    assert "the statement does not tell the entries" in found.damaged["worker:w1:available:USD"]
    assert found.repairs == ()


def test_a_row_that_cannot_be_read_is_damage() -> None:
    ledger = lived_in()
    row = ledger.rows()[0]
    ledger.rewrite("ledger", {name: row[name] for name in ("pk", "sk")})

    assert surveyed(ledger).damaged == {"worker:w1:available:USD": ("a row that cannot be read",)}


def test_a_balance_item_where_there_can_be_none_is_damage() -> None:
    ledger = lived_in()
    for path in ("platform:revenue", "nobody:x"):
        ledger.rewrite("platform", {"pk": f"ACCOUNT#{path}:USD", "sk": "BALANCE", "balance_micros": 5})

    assert set(surveyed(ledger).damaged) == {"platform:revenue:USD", "nobody:x:USD"}


def test_rows_from_before_the_chain_are_no_damage() -> None:
    ledger = lived_in()
    rows = ledger.rows()[::-1]
    for row in rows:
        ledger.rewrite("ledger", {k: v for k, v in row.items() if k not in ("row_hash", "previous_hash", "input_hash")})
    ledger.table.commit([Change(account_ref(WORKER, "USD"), remove=("head_hash",), when=(Present(),))])

    assert surveyed(ledger).all_right
    ledger.credit("next", 5)
    before = balances(ledger)
    for item in ledger.items("platform", "ACCOUNT#"):
        delete(ledger, item)
    rebuilt(ledger)
    assert balances(ledger) == before


def test_a_fold_of_entries_is_the_same_in_any_order() -> None:
    entries = lived_in().items("ledger", "ENTRY#")
    folded = fold(entries).accounts

    assert fold(entries[::-1]).accounts == folded
    assert sum(one.micros for one in folded.values()) == 0


def test_an_entry_that_is_posted_during_a_repair_states_the_repaired_balance() -> None:
    ledger = lived_in()
    (item,) = ledger.items("platform", "ACCOUNT#worker:w1:available:USD")
    one_more(ledger, item)
    found = surveyed(ledger)
    names = [one.name for one in found.repairs]
    mend = Plan(
        Fault.RACE,
        "dynamodb.TransactWriteItems*",
        race=lambda: repair(found=found, names=names, unit=ledger.table),
    )

    with ledger.faults.planned(mend):
        ledger.credit("late", 5)

    assert mend.fired
    assert surveyed(ledger).all_right
