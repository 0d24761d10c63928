"""Who has signed a webhook call, and when; and what its words mean."""

import json
from typing import Any

import pytest
import stripe

from local.checkout import Checkout
from smallpeck.funding.model import Disputed, DisputeState, NotPaid, Paid, Refunded
from smallpeck.funding.port import ForgedEvent, UnreadableEvent
from smallpeck.funding.stripe_checkout import BadProvider, connect
from smallpeck.funding.stripe_events import TOLERANCE_SECONDS, reader

SECRET, OTHER = "whsec_one_secret_of_some_length", "whsec_another_secret_of_length"
NOW = 1_800_000_000
SESSION = {
    "id": "cs_1",
    "client_reference_id": "d1",
    "payment_intent": "pi_1",
    "amount_total": 1234,
    "currency": "usd",
    "payment_status": "paid",
    "status": "complete",
}
DISPUTE = {"id": "dp_1", "payment_intent": "pi_1", "amount": 5, "currency": "usd", "status": "needs_response"}
DECIDED = {
    won: Disputed("pi_1", "dp_1", 50_000, "USD", DisputeState.WON if won else DisputeState.LOST)
    for won in (True, False)
}
CHARGE = {"payment_intent": "pi_1", "amount_refunded": 5, "currency": "usd", "metadata": {"deposit_id": "d1"}}


def event(kind: str = "checkout.session.completed", told: Any = None, **more: Any) -> str:
    return json.dumps({"id": "evt_1", "type": kind, "data": {"object": SESSION if told is None else told}, **more})


def header(text: str, *, secret: str = SECRET, at: int = NOW) -> dict[str, str]:
    return {"stripe-signature": stripe.WebhookSignature.generate_signature_header(text, secret, at)}


def read(text: str, headers: dict[str, str] | None = None, *, now: int = NOW, secret: str = SECRET) -> Any:
    given = header(text) if headers is None else headers
    return reader(secret).read(given, text.encode(), now_ms=now * 1000)


def test_the_simulated_provider_signs_as_the_library_does() -> None:
    checkout = Checkout("key", SECRET, now=lambda: float(NOW))
    text = event()
    assert checkout.signed(text)["stripe-signature"] == header(text)["stripe-signature"]


@pytest.mark.parametrize("off", [0, TOLERANCE_SECONDS, -TOLERANCE_SECONDS])
def test_what_is_signed_lately_is_read(off: int) -> None:
    found = read(event(), now=NOW + off)
    assert (found.source, found.event_id, found.deposit_id) == ("stripe", "evt_1", "d1")
    assert found.fact == Paid("pi_1", 12_340_000, "USD")


@pytest.mark.parametrize("off", [TOLERANCE_SECONDS + 1, -TOLERANCE_SECONDS - 1, 40 * 86_400])
def test_what_was_signed_long_ago_or_in_the_future_is_refused(off: int) -> None:
    with pytest.raises(ForgedEvent):
        read(event(), now=NOW + off)


def test_forged_calls_are_refused() -> None:
    text, good = event(), header(event())["stripe-signature"]
    signature = good.partition("v1=")[2]
    forged = [
        "",
        "v1=" + signature,
        f"t={NOW}",
        f"t={NOW},v1=",
        f"t={NOW},v1={'0' * 64}",
        f"t={NOW},v0={signature}",
        f"t={NOW + 1},v1={signature}",
        f"t={NOW},t={NOW},v1={signature}",
        f"t=\u0664,v1={signature}",
        f"t={NOW},v1=\u00e9",
        f"t=+{NOW},v1={signature}",
        good + "," * 3_000,
        header(text, secret=OTHER)["stripe-signature"],
    ]
    for one in forged:
        with pytest.raises(ForgedEvent):
            read(text, {"stripe-signature": one})
    with pytest.raises(ForgedEvent):
        read(text, {})
    with pytest.raises(ForgedEvent):
        read(text + " ", header(text))
    with pytest.raises(ForgedEvent):
        read(text, secret=" ")


def test_two_secrets_stand_while_one_is_replaced() -> None:
    for secret in (SECRET, OTHER):
        assert read(event(), header(event(), secret=secret), secret=f"{SECRET} {OTHER}").fact is not None


@pytest.mark.parametrize(
    "text", ["", "nothing", "[]", "[" * 100_000, "{}", '{"id":"e"}', '{"id":"a#b","type":"x","data":{"object":{}}}']
)
def test_what_is_signed_and_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(UnreadableEvent):
        read(text)
    with pytest.raises(UnreadableEvent):
        reader(SECRET).read({}, b"\xff", now_ms=0)


@pytest.mark.parametrize(
    ("kind", "told", "fact"),
    [
        ("checkout.session.completed", SESSION | {"payment_status": "unpaid"}, None),
        ("checkout.session.async_payment_succeeded", SESSION, Paid("pi_1", 12_340_000, "USD")),
        ("checkout.session.async_payment_failed", SESSION, NotPaid("payment_failed")),
        ("checkout.session.expired", SESSION, NotPaid("expired")),
        ("charge.dispute.created", DISPUTE, Disputed("pi_1", "dp_1", 50_000, "USD")),
        ("charge.dispute.funds_withdrawn", DISPUTE, Disputed("pi_1", "dp_1", 50_000, "USD")),
        ("charge.dispute.closed", DISPUTE | {"status": "won"}, DECIDED[True]),
        ("charge.dispute.closed", DISPUTE | {"status": "lost"}, DECIDED[False]),
        ("charge.dispute.closed", DISPUTE | {"status": "warning_closed"}, None),
        ("charge.refunded", CHARGE, Refunded("pi_1", 50_000, "USD")),
        ("charge.updated", CHARGE, None),
    ],
)  # fmt: skip
def test_what_is_said(kind: str, told: dict[str, Any], fact: Any) -> None:
    found = read(event(kind, told))
    assert (found.fact, found.is_held) == (fact, False)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("checkout.session.completed", SESSION | {"payment_intent": None}),
        ("checkout.session.completed", SESSION | {"amount_total": "1234"}),
        ("checkout.session.completed", SESSION | {"amount_total": True}),
        ("checkout.session.completed", SESSION | {"amount_total": 0}),
        ("checkout.session.completed", SESSION | {"amount_total": 10**18}),
        ("checkout.session.completed", SESSION | {"currency": "xau"}),
        ("charge.dispute.created", DISPUTE | {"payment_intent": None}),
        ("charge.dispute.closed", DISPUTE),
        ("charge.refunded", CHARGE | {"amount_refunded": -1}),
    ],
)
def test_money_that_cannot_be_entered_is_held(kind: str, told: dict[str, Any]) -> None:
    found = read(event(kind, told))
    assert (found.fact, found.is_held) == (None, True)


@pytest.mark.parametrize(
    ("url", "secret", "stage"),
    [("http://api.stripe.com", "rk_1", "prod"), ("ftp://x", "rk_1", "local"), ("https://x", "", "prod"),
     ("https://x", "rk_\n1", "prod")],
)  # fmt: skip
def test_a_provider_that_cannot_be_spoken_to_safely(url: str, secret: str, stage: str) -> None:
    with pytest.raises(BadProvider):
        connect(url=url, secret=secret, success_url="", cancel_url="", stage=stage)
