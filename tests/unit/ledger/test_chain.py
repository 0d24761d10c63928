"""The chain of a statement's rows: whatever is changed, removed, added or moved shows."""

import copy
import hashlib
from typing import Any

import pytest

from smallpeck.kernel.ids import canonical_json, content_hash
from smallpeck.kernel.writes import Change, Present
from smallpeck.ledger.accounts import escrow, requester_available, worker_available
from smallpeck.ledger.chain import GENESIS, Head, leaf, row_hash, verify
from smallpeck.ledger.posting import account_ref, statement_name
from smallpeck.ledger.service import BalanceBehind
from tests.aws import Fault, Plan
from tests.unit.ledger.books import Ledger

WORKER, SHARD, REQUESTER = worker_available("w1"), escrow("b1", 0), requester_available("r1")
NAME = statement_name(WORKER, "USD")


def told(count: int = 5) -> Ledger:
    ledger = Ledger()
    ledger.fund(SHARD, 1_000)
    for number in range(1, count + 1):
        ledger.credit(f"c{number}", number)
    return ledger


def rows_of(ledger: Ledger) -> list[dict[str, Any]]:
    return ledger.rows()[::-1]


def test_every_row_follows_the_one_before_it_and_the_balance_knows_the_last() -> None:
    ledger = told()

    head, breaks = verify(NAME, rows_of(ledger), after=Head())

    assert breaks == []
    assert head == Head(5, ledger.stored(WORKER).head_hash, 15)
    assert [row["previous_hash"] for row in rows_of(ledger)] == [
        GENESIS,
        *(row["row_hash"] for row in rows_of(ledger)[:-1]),
    ]


def test_a_row_names_the_entry_and_its_inputs() -> None:
    ledger = told(1)
    (row,) = rows_of(ledger)

    assert row["input_hash"] == ledger.books.input_hash("c1")
    stored = {name: value for name, value in row.items() if name not in ("pk", "sk", "row_hash", "previous_hash")}
    assert row["row_hash"] == content_hash([GENESIS, {**stored, "account": NAME}])
    assert set(stored) == {
        "seq", "entry_id", "kind", "currency", "reference", "amount_micros", "balance_micros", "at_ms", "input_hash"
    }  # fmt: skip


@pytest.mark.parametrize(
    "field", ["seq", "entry_id", "kind", "reference", "amount_micros", "balance_micros", "at_ms", "input_hash"]
)
@pytest.mark.parametrize("number", [0, 2, 4])
def test_a_changed_field_shows(number: int, field: str) -> None:
    rows = rows_of(told())
    rows[number][field] = rows[number][field] + (1 if isinstance(rows[number][field], int) else "x")

    assert number + 1 in [one.seq - (field == "seq") for one in verify(NAME, rows, after=Head())[1]]


def test_a_row_that_is_hashed_anew_no_longer_leads_to_the_head() -> None:
    ledger = told()
    rows = rows_of(ledger)
    rows[4]["amount_micros"] += 1
    rows[4]["balance_micros"] += 1
    rows[4]["row_hash"] = row_hash(NAME, rows[4])

    head, breaks = verify(NAME, rows, after=Head())

    assert breaks == []
    assert head.row_hash != ledger.stored(WORKER).head_hash


@pytest.mark.parametrize("number", range(4))
def test_a_removed_row_shows(number: int) -> None:
    rows = rows_of(told())
    del rows[number]

    assert verify(NAME, rows, after=Head())[1]


def test_two_rows_that_change_places_show() -> None:
    rows = rows_of(told())
    rows[1], rows[2] = rows[2], rows[1]

    assert verify(NAME, rows, after=Head())[1]


def test_an_added_row_shows() -> None:
    rows = rows_of(told())
    extra = copy.deepcopy(rows[4]) | {"seq": 6, "previous_hash": GENESIS}
    extra["row_hash"] = row_hash(NAME, extra)

    assert verify(NAME, [*rows, extra], after=Head())[1]


def test_rows_of_another_account_or_currency_show() -> None:
    rows = rows_of(told())

    assert verify(statement_name(REQUESTER, "USD"), rows, after=Head())[1]
    assert verify(statement_name(WORKER, "EUR"), rows, after=Head())[1]


def test_some_rows_in_a_line_prove_themselves() -> None:
    rows = rows_of(told())

    assert verify(NAME, rows[2:4])[1] == []
    assert verify(NAME, rows[2:4], after=Head(2, rows[1]["row_hash"], 3))[1] == []
    assert verify(NAME, rows[2:4], after=Head(2, rows[0]["row_hash"], 3))[1]
    assert verify(NAME, [])[0] == Head()


def without_chain(ledger: Ledger, count: int) -> None:
    """The first rows as they were written before there was a chain."""
    for row in rows_of(ledger)[:count]:
        ledger.rewrite("ledger", {k: v for k, v in row.items() if k not in ("row_hash", "previous_hash", "input_hash")})


def test_rows_from_before_the_chain_begin_it() -> None:
    ledger = told(2)
    without_chain(ledger, 2)
    ledger.table.commit([Change(account_ref(WORKER, "USD"), remove=("head_hash",), when=(Present(),))])

    ledger.credit("c3", 3)
    ledger.credit("c4", 4)

    rows = rows_of(ledger)
    assert [row.get("previous_hash") for row in rows] == [None, None, GENESIS, rows[2]["row_hash"]]
    assert ledger.told(WORKER) == ledger.stored(WORKER)


def test_a_chain_that_began_does_not_stop() -> None:
    ledger = told()
    rows = rows_of(ledger)
    without_chain(ledger, 3)
    assert [one.what for one in verify(NAME, rows_of(ledger), after=Head())[1]] == [
        "the row does not follow the one before it"
    ]

    del rows[2]["row_hash"]
    assert "the row is not chained" in [one.what for one in verify(NAME, rows, after=Head())[1]]


def test_a_head_that_is_changed_while_an_entry_is_posted_is_not_followed() -> None:

    ledger = told(1)
    right = ledger.stored(WORKER).head_hash or ""

    def set_head(head: str) -> None:
        ledger.table.commit([Change(account_ref(WORKER, "USD"), set={"head_hash": head})])

    set_head("f" * 64)
    plan = Plan(Fault.RACE, "dynamodb.TransactWriteItems*", race=lambda: set_head(right))
    with ledger.faults.planned(plan):
        ledger.credit("c2", 2)

    assert plan.fired
    assert ledger.told(WORKER) == ledger.stored(WORKER)


def test_nothing_is_posted_on_a_balance_that_lags_behind_its_statement() -> None:
    ledger = told(2)
    (item,) = ledger.items("platform", "ACCOUNT#worker:w1")
    ledger.remove("platform", item)

    with pytest.raises(BalanceBehind):
        ledger.credit("c3", 3)

    assert ledger.books.input_hash("c3") is None


def test_an_escrow_shard_has_no_chain() -> None:
    ledger = told()

    assert ledger.stored(SHARD).head_hash is None


def test_a_leaf_is_what_rfc_6962_makes_of_the_stored_entry() -> None:

    ledger = Ledger()
    ledger.fund(WORKER, 5)
    (item,) = ledger.items("ledger", "ENTRY#")
    content = {name: value for name, value in item.items() if name not in ("pk", "sk", "entry_hash")}

    assert leaf(item) == hashlib.sha256(b"\x00" + canonical_json(content).encode()).digest()
    assert leaf(item).hex() == item["entry_hash"]
    assert leaf(content) == leaf(item)
