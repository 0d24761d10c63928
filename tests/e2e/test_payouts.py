"""Payouts to a provider that refuses, is late, or hides what it did: at most one payment, and books that balance."""

from decimal import Decimal
from typing import Any

import pytest

from cli.client import Client
from cli.errands import paid_out
from local.provider import Mode
from tests.e2e.market import Market, work_through

TASKS = 13
EARNED = Decimal("5.20")
ENDINGS = {
    Mode.OK: "settled",
    Mode.REFUSE: "released",
    Mode.LATE: "settled",
    Mode.TIMEOUT_BEFORE: "settled",
    Mode.TIMEOUT_AFTER: "settled",
    Mode.ERROR_AFTER: "settled",
}
"""How a payout ends, by how the provider treats it."""


@pytest.fixture(scope="module")
def workers(market: Market) -> dict[Mode, Client]:
    """Workers who have earned enough to be paid out; the provider knows how to treat each."""
    offer = market.offer(TASKS, min_answers=len(ENDINGS), max_answers=len(ENDINGS))
    found = {}
    for mode in ENDINGS:
        worker = found[mode] = market.person("worker")
        market.platform.provider.set_mode(worker.email, mode)
        assert work_through(worker, offer.batch_id) == TASKS
    offer.ends()
    return found


@pytest.fixture(scope="module")
def run(market: Market, workers: dict[Mode, Client]) -> Any:
    """A payout run that everybody asked for."""
    for worker in workers.values():
        assert Decimal(worker.get("/balance")["available"]) == EARNED
        worker.put("/payout-destination", {"rail": "gateway", "address": worker.email})
        worker.post("/payouts", {"currency": "USD"})
        assert Decimal(worker.get("/balance")["available"]) == 0
    return paid_out(market.person("operator"))


def test_the_run_ends_with_an_outcome_for_everybody(run: Any) -> None:
    assert (run["members"], run["settled"], run["released"]) == (6, 5, 1)
    assert (run["frozen"], run["unresolved"], run["reconciled"]) == (0, 0, True)
    assert Decimal(run["paid"]["USD"]) == 5 * EARNED


@pytest.mark.parametrize("mode", ENDINGS)
def test_a_payout_ends_settled_or_released(run: Any, workers: dict[Mode, Client], mode: Mode) -> None:
    worker = workers[mode]
    (payout,) = worker.every("/payouts", "payouts")
    assert (payout["state"], Decimal(payout["amount"])) == (ENDINGS[mode], EARNED)
    released = payout["state"] == "released"
    assert payout["reason"] == ("account_closed" if released else None)
    assert Decimal(worker.get("/balance")["available"]) == (EARNED if released else 0)


def test_nobody_was_paid_twice_and_the_books_balance(run: Any, market: Market) -> None:
    books = market.platform.provider.books()
    assert books["most_payments_per_key"] == 1
    assert (books["paid_count"], Decimal(books["paid"]["USD"])) == (5, 5 * EARNED)
    assert market.books_balance()


def test_another_run_finds_nothing_to_pay(run: Any, market: Market) -> None:
    before = market.platform.provider.books()
    again = paid_out(market.person("operator"))
    assert (again["members"], again["settled"]) == (0, 0)
    assert market.platform.provider.books() == before


def test_released_money_can_be_asked_for_again(run: Any, market: Market, workers: dict[Mode, Client]) -> None:
    worker = workers[Mode.REFUSE]
    market.platform.provider.set_mode(worker.email, Mode.OK)
    worker.post("/payouts", {"currency": "USD"})
    assert paid_out(market.person("operator"))["settled"] == 1
    states = [payout["state"] for payout in worker.every("/payouts", "payouts")]
    assert sorted(states) == ["released", "settled"]
    assert market.books_balance()
