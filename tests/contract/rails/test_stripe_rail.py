"""The Stripe rail against a peer that speaks the published contract, over real HTTP; its webhooks, and forgeries."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import stripe as library

from local.rails import peer
from local.rails.peer import Call, Trouble
from local.rails.stripe import API_KEY, SIGNING_SECRET, Stripe
from smallpeck.payouts.model import Fact
from smallpeck.payouts.rails import connect
from smallpeck.payouts.rails.exchange import BadProvider
from smallpeck.payouts.rails.port import Forged, Order, Unreadable
from smallpeck.payouts.rails.stripe import StripeRail
from smallpeck.payouts.rails.stripe_events import TOLERANCE_SECONDS, StripeEvents, check_signature, reader
from smallpeck.people.model import Destination

F = Fact
ORDER = Order("k_1", "p_1", "r_1", 9_750_000, "USD")
NOW_MS = 1_795_000_000_000


class Clock:
    def now_ms(self) -> int:
        return NOW_MS


@pytest.fixture
def stripe() -> Stripe:
    return Stripe(clock=Clock())


@pytest.fixture
def rail(stripe: Stripe) -> Iterator[StripeRail]:
    with peer.serving(stripe) as url:
        connected = connect("stripe", url=url, secret=stripe.secret, stage="local")
        assert isinstance(connected, StripeRail)
        yield connected
        connected.client._requestor._client.close()  # type: ignore[union-attr]


def to(account: str) -> Destination:
    return Destination("stripe", account)


def test_a_transfer_is_paid_when_it_is_made(rail: StripeRail, stripe: Stripe) -> None:
    answer = rail.pay(ORDER, to("acct_1"))
    assert answer.fact is F.PAID
    (transfer,) = stripe.transfers.values()
    assert (transfer["amount"], transfer["currency"], transfer["transfer_group"]) == (975, "usd", "p_1")
    assert rail.pay(ORDER, to("acct_1")).reference == answer.reference == transfer["id"]
    assert rail.ask(ORDER).fact is rail.ask(replace(ORDER, reference=answer.reference)).fact is F.PAID
    assert stripe.payments("p_1") == 1


def test_amounts_are_in_the_smallest_coin(rail: StripeRail, stripe: Stripe) -> None:
    rail.pay(replace(ORDER, amount_micros=500_000_000, currency="JPY"), to("acct_1"))
    assert [one["amount"] for one in stripe.transfers.values()] == [500]


def test_what_is_refused_says_why(rail: StripeRail) -> None:
    assert rail.pay(ORDER, to("acct_refuse")) == rail.pay(ORDER, to("acct_refuse"))
    assert rail.pay(ORDER, to("acct_refuse")).reason == "account_invalid"
    assert rail.ask(ORDER).fact is F.NEVER_HEARD


@pytest.mark.parametrize("trouble", Trouble)
def test_no_answer_is_unclear_and_nothing_is_sent_twice(rail: StripeRail, stripe: Stripe, trouble: Trouble) -> None:
    stripe.troubles.append(("POST", trouble))
    assert rail.pay(ORDER, to("acct_1")).fact is F.UNCLEAR
    done = trouble in (Trouble.LOST_AFTER, Trouble.ERROR_AFTER)
    assert rail.ask(ORDER).fact is (F.PAID if done else F.NEVER_HEARD)
    stripe.troubles.append(("GET", trouble))
    assert rail.ask(ORDER).fact is F.UNCLEAR


def test_another_amount_and_two_transfers_are_mismatches(rail: StripeRail) -> None:
    rail.pay(ORDER, to("acct_1"))
    assert rail.ask(replace(ORDER, amount_micros=1_000_000)).fact is F.MISMATCH
    assert rail.pay(replace(ORDER, amount_micros=1_000_000), to("acct_1")).fact is F.UNCLEAR, "the key is taken"
    rail.pay(replace(ORDER, key="k_2"), to("acct_1"))
    assert rail.ask(ORDER).fact is F.MISMATCH


def test_a_reversal_is_a_return_and_a_part_of_one_a_mismatch(rail: StripeRail, stripe: Stripe) -> None:
    reference = rail.pay(ORDER, to("acct_1")).reference
    assert reference is not None
    stripe.reverse(reference, 100)
    assert rail.ask(ORDER).fact is F.MISMATCH
    stripe.reverse(reference, 875, {"reason": "account_closed"})
    assert (rail.ask(ORDER).fact, rail.ask(ORDER).reason) == (F.RETURNED, "account_closed")


def test_a_wrong_key_is_unclear(stripe: Stripe) -> None:
    with peer.serving(stripe) as url:
        rail = connect("stripe", url=url, secret=json.dumps({"api_key": "sk_test_other"}), stage="local")
        assert isinstance(rail, StripeRail)
        assert rail.pay(ORDER, to("acct_1")).reason == "http_401"
        assert rail.ask(ORDER).fact is F.UNCLEAR
        rail.client._requestor._client.close()  # type: ignore[union-attr]
    assert stripe.transfers == {}


def failed_payout(stripe: Stripe) -> str:
    """What the event of a failed bank payout has to be asked about."""
    stripe.process()
    for payout in stripe.payouts.values():
        payout.at_ms = 0
    stripe.process()
    (payout,) = stripe.payouts.values()
    return f"{payout.account}/{payout.payout_id}"


def test_a_failed_bank_payout_is_followed_to_its_transfers_and_taken_back_once(
    rail: StripeRail, stripe: Stripe
) -> None:
    rail.pay(ORDER, to("acct_fail1"))
    what = failed_payout(stripe)
    for _ in range(2):
        found = rail.follow(what)
        assert found is not None
        assert [(one.payout_id, one.answer.fact, one.answer.reason) for one in found] == [
            ("p_1", F.RETURNED, "account_closed")
        ]
    assert stripe.paid("p_1") == 0
    stripe.troubles.append(("GET", Trouble.LOST_BEFORE))
    assert rail.follow(what) is None
    assert rail.follow("acct_other/" + what.partition("/")[2]) is None


@pytest.mark.parametrize("secret", ["", "[]", "{}", '{"api_key": "pk_test_1"}'])
def test_a_secret_that_is_none_stops_it_at_the_start(secret: str) -> None:
    with pytest.raises(BadProvider):
        connect("stripe", url="https://api.stripe.com", secret=secret, stage="prod")
    assert API_KEY not in repr(connect("stripe", url="https://x.test", secret=Stripe().secret, stage="prod"))


# Webhooks


@pytest.fixture
def events(stripe: Stripe) -> StripeEvents:
    made = reader(secret=json.dumps(stripe.webhook_secret()), stage="prod")
    assert isinstance(made, StripeEvents)
    return made


def event(**changes: Any) -> dict[str, Any]:
    transfer = {"id": "tr_1", "amount": 975, "amount_reversed": 0, "currency": "usd", "metadata": {"payout_id": "p_1"}}
    return {"id": "evt_1", "type": "transfer.created", "created": 1_795_000_000, "data": {"object": transfer}} | changes


def read(events: StripeEvents, call: Call, *, now_ms: int = NOW_MS) -> Any:
    return events.read(call.headers, call.body, now_ms=now_ms)


def test_a_signed_event_is_read(events: StripeEvents, stripe: Stripe) -> None:
    (news,) = read(events, stripe.call(event())).news
    assert (news.payout_id, news.answer.fact, news.amount_micros, news.currency) == ("p_1", F.PAID, 9_750_000, "USD")


def test_the_librarys_own_signatures_are_taken(events: StripeEvents) -> None:
    body = json.dumps(event())
    header = library.WebhookSignature.generate_signature_header(body, SIGNING_SECRET, timestamp=NOW_MS // 1000)
    assert events.read({"stripe-signature": header}, body.encode(), now_ms=NOW_MS).event_id == "evt_1"


@pytest.mark.parametrize("seconds", [-TOLERANCE_SECONDS, 0, TOLERANCE_SECONDS])
def test_five_minutes_are_allowed_and_no_more(events: StripeEvents, stripe: Stripe, seconds: int) -> None:
    read(events, stripe.call(event(), at_ms=NOW_MS + seconds * 1000))
    beyond = seconds + (1 if seconds > 0 else -1)
    if seconds:
        with pytest.raises(Forged):
            read(events, stripe.call(event(), at_ms=NOW_MS + beyond * 1000))


@pytest.mark.parametrize(
    "header",
    ["", "t=1", "v1=00", "t=x,v1=00", "t=1,t=1795000000,v1=00", "t=1795000000,v1=", "t=1795000000,v1=é", "x" * 9_999],
)
def test_a_signature_that_is_none_is_a_forgery(events: StripeEvents, header: str) -> None:
    with pytest.raises(Forged):
        events.read({"stripe-signature": header}, b"{}", now_ms=NOW_MS)
    with pytest.raises(Forged):
        events.read({}, b"{}", now_ms=NOW_MS)


def test_another_secret_a_changed_body_and_a_test_scheme_are_forgeries(events: StripeEvents, stripe: Stripe) -> None:
    call = stripe.call(event())
    forged = [
        stripe.call(event(), secret="whsec_somebody_elses_secret"),
        Call(call.headers, call.body.replace(b"975", b"976")),
        Call({"stripe-signature": call.headers["stripe-signature"].replace("v1=", "v0=")}, call.body),
    ]
    for one in forged:
        with pytest.raises(Forged):
            read(events, one)


def test_two_secrets_stand_while_one_is_replaced(stripe: Stripe) -> None:
    call = stripe.call(event())
    check_signature(
        call.headers["stripe-signature"], call.body, ("whsec_the_new_secret", SIGNING_SECRET), now_ms=NOW_MS
    )


@pytest.mark.parametrize("body", [[], {"id": 1}, {"id": "evt_1"}, event(created=None), event(data={"object": {}})])
def test_what_cannot_be_read_is_refused_or_says_nothing(events: StripeEvents, stripe: Stripe, body: Any) -> None:
    call = stripe.call(body)
    if isinstance(body, dict) and body.get("data") == {"object": {}}:
        assert not read(events, call).is_known
    else:
        with pytest.raises(Unreadable):
            read(events, call)


@pytest.mark.parametrize("secret", ["", "{}", '{"signing_secrets": []}', '{"signing_secrets": ["short"]}'])
def test_without_a_signing_secret_nothing_is_read(secret: str) -> None:
    with pytest.raises(BadProvider):
        reader(secret=secret, stage="prod")
