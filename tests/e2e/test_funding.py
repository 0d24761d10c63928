"""A requester pays on the simulated Checkout, disputes it, and is frozen until that is over: over HTTP, deployed."""

import http.client
import json
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

from cli.client import Client
from cli.wait import until
from local.clients import sign_up
from local.running import Platform


def asked(method: str, url: str) -> Any:
    """What the provider answers to whoever pays."""
    parts = urlsplit(url)
    with closing(http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=30)) as connection:
        connection.request(method, f"{parts.path}?{parts.query}", b"")
        response = connection.getresponse()
        body = response.read()
    assert response.status == 200, body
    return json.loads(body) if method == "POST" else body.decode()


def state_of(requester: Client, deposit_id: str, state: str) -> None:
    until(lambda: requester.get(f"/checkouts/{deposit_id}")["state"] == state, what=state, seconds=60, every=0.2)


def test_a_requester_prepays_disputes_and_is_free_again(platform: Platform) -> None:
    requester = sign_up(platform, "requester", "payer")
    opened = requester.post("/checkouts", {"amount": "20.00", "currency": "USD"})
    assert opened["state"] == "created"
    assert "Pay 2000 USD" in asked("GET", opened["url"])
    session = asked("POST", f"{opened['url']}?mode=duplicate")["id"]
    state_of(requester, opened["deposit_id"], "credited")
    assert requester.get("/funds", currency="USD")["available"] == "20.00"

    dispute = platform.checkout.dispute(session)
    until(lambda: requester.get("/funds", currency="USD")["frozen"], what="the freeze", seconds=60, every=0.2)
    assert requester.get("/funds", currency="USD")["available"] == "0.00"
    platform.checkout.decide(dispute, won=True)
    until(lambda: not requester.get("/funds", currency="USD")["frozen"], what="its end", seconds=60, every=0.2)
    assert requester.get("/funds", currency="USD")["available"] == "20.00"


def test_money_by_bank_is_booked_by_an_operator(platform: Platform) -> None:
    requester, operator = sign_up(platform, "requester", "banker"), sign_up(platform, "operator", "teller")
    told = requester.post("/bank-transfers", {"currency": "EUR"})
    booked = {"bank_entry_id": f"e2e/{told['reference']}", "reference": told["printed"], "amount": "7.50"}
    assert operator.post("/bank-credits", booked)["suspense_id"] is None
    assert requester.get("/funds", currency="EUR")["available"] == "7.50"
