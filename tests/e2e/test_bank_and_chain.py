"""Payouts by bank and to a chain: through the mailbox in the bucket, and with notifications that are only followed."""

from decimal import Decimal
from typing import Any

import pytest

from cli.client import Client, Refused
from cli.errands import paid_out
from cli.wait import until
from tests.e2e.market import PATIENCE_SECONDS, Market, csv_file, csv_rows, work_through

TASKS = 13
ACCOUNT = "NL91 ABNA 0417 1643 00"
WALLET = "BASE:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


def earned(market: Market, currency: str) -> Client:
    """A worker with enough to be paid out."""
    offer = market.draft(csv_file(csv_rows(TASKS)), currency=currency, min_answers=1, max_answers=1)
    offer.requester.post("/deposits", {"amount": offer.get()["cost"], "currency": currency})
    offer.requester.post(f"/batches/{offer.batch_id}/publish")
    worker = market.person("worker")
    assert work_through(worker, offer.batch_id) == TASKS
    offer.ends()
    return worker


def asks(worker: Client, rail: str, address: str, currency: str) -> None:
    worker.put("/payout-destination", {"rail": rail, "address": address})
    worker.post("/payouts", {"currency": currency})


def only(worker: Client) -> Any:
    (payout,) = worker.every("/payouts", "payouts")
    return payout


def test_the_bank_pays_one_and_refuses_another(market: Market) -> None:
    ann, bob = earned(market, "EUR"), earned(market, "EUR")
    asks(ann, "sepa", f"{ACCOUNT}, Ann Lee", "EUR")
    asks(bob, "sepa", f"{ACCOUNT}, Refuse Bob", "EUR")
    run = paid_out(market.person("operator"))
    assert (run["settled"], run["released"], run["frozen"], run["unresolved"]) == (1, 1, 0, 0)
    assert (only(ann)["state"], only(bob)["state"]) == ("settled", "released")
    assert only(bob)["reason"] == "ac04_account_closed"
    paid = [one.amount for one in market.platform.bank.paid]
    assert paid == [Decimal(only(ann)["amount"]) - Decimal(only(ann)["fee"])]
    assert market.books_balance()


def test_a_payout_to_a_chain_is_asked_about_and_settled(market: Market) -> None:
    ann = earned(market, "USD")
    asks(ann, "circle", WALLET, "USD")
    run = paid_out(market.person("operator"))
    assert (run["settled"], run["frozen"], run["unresolved"]) == (1, 0, 0)
    assert only(ann)["state"] == "settled"
    (paid,) = market.platform.circle.executed
    assert paid[1] == Decimal(only(ann)["amount"]) - Decimal(only(ann)["fee"])
    assert market.books_balance()


def test_money_that_comes_back_from_the_bank_is_the_workers_again(market: Market) -> None:
    ann = earned(market, "EUR")
    asks(ann, "sepa", f"{ACCOUNT}, Anna Lee", "EUR")
    paid_out(market.person("operator"))
    bank = market.platform.bank
    payment = bank.payments[only(ann)["payout_id"].replace("_", "-")]
    bank.booking(payment, "CRDT", payment.at_ms + 86_400_000, reason="AC04")
    until(lambda: only(ann)["state"] == "returned", what="the return", seconds=PATIENCE_SECONDS, every=0.2)
    assert Decimal(ann.get("/balance", currency="EUR")["available"]) == Decimal(only(ann)["amount"])
    assert market.books_balance()


@pytest.mark.parametrize(
    ("rail", "address"), [("sepa", "NL92ABNA0417164300, Ann Lee"), ("circle", WALLET.lower()), ("circle", "DOGE:x")]
)
def test_an_address_with_a_mistake_is_refused(market: Market, rail: str, address: str) -> None:
    worker = market.person("worker")
    with pytest.raises(Refused) as refused:
        worker.put("/payout-destination", {"rail": rail, "address": address})
    assert refused.value.code == "bad_destination"
