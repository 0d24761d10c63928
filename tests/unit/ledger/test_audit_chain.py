"""The books audit follows the chains of statements, in whatever order it reads them."""

from typing import Any

import pytest

from smallpeck.ledger.accounts import worker_available
from smallpeck.ledger.audit import Sums, differences_of
from smallpeck.ledger.audit_store import AuditStore
from smallpeck.ledger.chain import GENESIS, row_hash
from tests.unit.ledger.books import SHARD, Ledger

NAME = f"{worker_available('w1').path}:USD"


def told() -> Ledger:
    ledger = Ledger()
    ledger.fund(SHARD, 1_000)
    for number in range(1, 6):
        ledger.credit(f"c{number}", number)
    return ledger


def found(ledger: Ledger) -> list[str]:
    """What the audit says of the worker's account and of single items."""
    whole, store = Sums(), AuditStore(ledger.table)
    for segment in range(3):
        part = Sums()
        for item in list(store.ledger(segment, 3))[::-1]:
            part.add(item)
        whole.merge(part)
    balance = store.platform().balances.get(NAME)
    return [one.what for one in [*whole.defects.listed, *differences_of(NAME, whole.accounts[NAME], balance)]]


CHANGED, ASTRAY = "the row is not what was recorded", "the chain of the statement does not lead to its head"


def test_an_unbroken_chain_leads_to_its_head() -> None:
    assert found(told()) == []


def test_another_head_is_found() -> None:
    ledger = told()
    (item,) = ledger.items("platform", "ACCOUNT#worker")
    ledger.rewrite("platform", item | {"head_hash": "f" * 64})

    assert found(ledger) == [ASTRAY]


@pytest.mark.parametrize("number", range(5))
def test_a_changed_row_is_found_though_it_is_hashed_anew(number: int) -> None:
    ledger = told()
    row = ledger.rows()[::-1][number] | {"at_ms": 99}

    ledger.rewrite("ledger", row)
    assert found(ledger) == [CHANGED]

    ledger.rewrite("ledger", hashed(row))
    assert found(ledger) == [ASTRAY]


@pytest.mark.parametrize("number", range(5))
def test_a_row_that_leaves_the_chain_is_found(number: int) -> None:
    ledger = told()
    row = ledger.rows()[::-1][number]
    ledger.rewrite("ledger", {k: v for k, v in row.items() if k not in ("row_hash", "previous_hash")})

    assert found(ledger) == [ASTRAY]


def test_a_chain_that_begins_twice_is_found() -> None:
    ledger = told()
    ledger.rewrite("ledger", hashed(ledger.rows()[2] | {"previous_hash": GENESIS}))

    assert ASTRAY in found(ledger)


def test_a_changed_moment_of_an_entry_is_found() -> None:
    ledger = told()
    (entry,) = (item for item in ledger.items("ledger", "ENTRY#c3"))
    ledger.rewrite("ledger", entry | {"at_ms": 99})

    assert found(ledger) == ["the entry is not what was recorded"]


def hashed(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"row_hash": row_hash(NAME, row)}
