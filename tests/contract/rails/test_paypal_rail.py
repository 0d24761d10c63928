"""The PayPal rail against a peer that speaks the published contract, over real HTTP; its webhooks, and forgeries."""

import base64
import json
import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import urllib3

from local.rails import peer
from local.rails.authority import new_authority
from local.rails.paypal import CERTIFICATE_PATH, CLIENT_SECRET, WEBHOOK_ID, Mode, PayPal
from local.rails.peer import Call, Trouble
from smallpeck.payouts.model import Answer, Fact
from smallpeck.payouts.rails import connect
from smallpeck.payouts.rails.exchange import BadProvider
from smallpeck.payouts.rails.paypal import PayPalRail
from smallpeck.payouts.rails.paypal_events import PayPalEvents, reader
from smallpeck.payouts.rails.port import Forged, Item, Order, Parcel, Unreadable
from smallpeck.people.model import Destination

RUN = "r_" + "0" * 26
PARCEL = Parcel(f"{RUN}-0", "paypal", RUN, 0, "USD", sending_started_at_ms=1_000)
F = Fact
NOW_MS = 1_795_000_000_000
SENT = "PAYMENT.PAYOUTS-ITEM.SUCCEEDED"
AUTHORITY = new_authority()


class Clock:
    def __init__(self) -> None:
        self.ms = NOW_MS

    def now_ms(self) -> int:
        return self.ms


@pytest.fixture
def paypal() -> PayPal:
    return PayPal(clock=Clock(), authority=AUTHORITY)


@pytest.fixture
def rail(paypal: PayPal) -> Iterator[PayPalRail]:
    with peer.serving(paypal) as url:
        paypal.url = url
        connected = connect("paypal", url=url, secret=paypal.secret, stage="local")
        assert isinstance(connected, PayPalRail)
        yield replace(connected, timeout=urllib3.Timeout(2.0, 5.0))
        assert isinstance(connected.http, urllib3.PoolManager)
        connected.http.clear()


def order(name: str = "p_1", micros: int = 9_750_000, reference: str | None = None) -> Order:
    return Order(f"k_{name}", name, RUN, micros, "USD", reference)


def items(*addresses: str) -> list[Item]:
    return [Item(order(f"p_{n}"), Destination("paypal", address)) for n, address in enumerate(addresses)]


def named(paypal: PayPal) -> Parcel:
    return replace(PARCEL, reference=next(iter(paypal.batches)))


MODES: list[tuple[Mode, list[Fact]]] = [
    # What is said after each time the provider has worked on it.
    (Mode.OK, [F.PAID, F.PAID, F.PAID]),
    (Mode.REFUSE, [F.REFUSED, F.REFUSED, F.REFUSED]),
    (Mode.LATE, [F.PENDING, F.PENDING, F.PAID]),
    (Mode.UNCLAIMED, [F.UNCLAIMED, F.UNCLAIMED, F.UNCLAIMED]),
    (Mode.CLAIMED, [F.UNCLAIMED, F.PAID, F.PAID]),
    (Mode.REFUND, [F.PAID, F.RETURNED, F.RETURNED]),
    (Mode.REVERSE, [F.PAID, F.RETURNED, F.RETURNED]),
    (Mode.HOLD, [F.PENDING, F.PAID, F.PAID]),
    (Mode.BLOCK, [F.PENDING, F.PENDING, F.PENDING]),
    (Mode.TWICE, [F.PAID, F.REFUSED, F.REFUSED]),
    (Mode.NEVER, [F.PENDING, F.PENDING, F.PENDING]),
]


@pytest.mark.parametrize(("mode", "facts"), MODES)
def test_what_is_heard_of_each_mode(rail: PayPalRail, paypal: PayPal, mode: Mode, facts: list[Fact]) -> None:
    said = rail.send(PARCEL, items(f"{mode}-ann@example.com"))
    assert (said.answers["p_0"].fact, said.reference) == (F.PENDING, next(iter(paypal.batches)))
    heard: list[Answer] = []
    for _ in facts:
        paypal.process()
        heard.append(rail.ask(named(paypal), [order("p_0")]).answers["p_0"])
        alone = rail.ask(named(paypal), [order("p_0", reference=heard[-1].reference)]).answers["p_0"]
        assert alone == heard[-1], "asked about alone it is the same"
    assert [answer.fact for answer in heard] == facts


def test_every_mode_is_tried() -> None:
    assert {mode for mode, _ in MODES} == set(Mode)


def test_fifteen_thousand_items_go_in_one_message_and_come_back_in_pages(rail: PayPalRail, paypal: PayPal) -> None:
    said = rail.send(PARCEL, items(*(f"w{n}@example.com" for n in range(15_000))))
    assert (len(said.answers), len(paypal.batches)) == (15_000, 1)
    paypal.process()
    assert rail.ask(named(paypal), [order(f"p_{n}") for n in (0, 7_000, 14_999, 3)]).answers.keys() == {
        "p_0", "p_3", "p_7000", "p_14999"
    }  # fmt: skip
    assert rail.totals([named(paypal)]) == {"USD": 15_000 * 9_750_000}
    assert rail.send(PARCEL, items(*("x@example.com",) * 15_001)).answers["p_0"].fact is F.PENDING, "known already"


def test_sent_again_it_is_refused_with_a_link_and_paid_once(rail: PayPalRail, paypal: PayPal) -> None:
    paypal.troubles.append(("POST /v1/payments/payouts", Trouble.LOST_AFTER))
    assert rail.send(PARCEL, items("ann@example.com")).answers["p_0"].fact is F.UNCLEAR
    assert rail.ask(PARCEL, [order("p_0")]).answers["p_0"].fact is F.SEND_TO_ASK
    said = rail.send(PARCEL, items("ann@example.com"))
    assert (said.reference, len(paypal.batches)) == (next(iter(paypal.batches)), 1)
    paypal.process()
    assert paypal.payments("p_0") == 1


def test_an_item_of_another_amount_is_a_mismatch(rail: PayPalRail, paypal: PayPal) -> None:
    rail.send(PARCEL, items("ann@example.com"))
    paypal.process()
    assert rail.ask(named(paypal), [order("p_0", 1_000_000)]).answers["p_0"].fact is F.MISMATCH


def test_what_is_not_in_a_batch_was_never_heard_of_once_it_is_done(rail: PayPalRail, paypal: PayPal) -> None:
    rail.send(PARCEL, items("ann@example.com"))
    assert rail.ask(named(paypal), [order("p_9")]).answers["p_9"].fact is F.PENDING
    paypal.process()
    assert rail.ask(named(paypal), [order("p_9")]).answers["p_9"].fact is F.NEVER_HEARD


def test_a_denied_batch_refuses_all(rail: PayPalRail, paypal: PayPal) -> None:
    rail.send(PARCEL, items("ann@example.com"))
    batch = next(iter(paypal.batches.values()))
    batch.status, batch.items[0].status = "DENIED", "DENIED"
    assert rail.ask(named(paypal), [order("p_0")]).answers["p_0"].fact is F.REFUSED


@pytest.mark.parametrize("trouble", Trouble)
def test_no_answer_is_unclear(rail: PayPalRail, paypal: PayPal, trouble: Trouble) -> None:
    rail.send(PARCEL, items("ann@example.com"))
    paypal.troubles.append(("GET /v1/payments/payouts", trouble))
    assert rail.ask(named(paypal), [order("p_0")]).answers["p_0"].fact is F.UNCLEAR
    paypal.troubles.append(("GET /v1/payments/payouts", trouble))
    assert rail.totals([named(paypal)]) is None


def test_a_token_is_kept_until_it_ends_and_made_anew_when_it_was_taken_back(rail: PayPalRail, paypal: PayPal) -> None:
    for n in range(3):
        rail.send(replace(PARCEL, key=f"{RUN}-{n}"), items("ann@example.com"))
    assert len(paypal.tokens) == 1
    paypal.tokens = {"token-other"}
    assert rail.send(replace(PARCEL, key=f"{RUN}-9"), items("ann@example.com")).reference is not None
    assert len(paypal.batches) == 4


def test_only_what_is_unclaimed_can_be_cancelled(rail: PayPalRail, paypal: PayPal) -> None:
    rail.send(PARCEL, items("unclaimed-ann@example.com", "bob@example.com"))
    paypal.process()
    ann, bob = (item.item_id for item in next(iter(paypal.batches.values())).items)
    assert rail.cancel(order("p_0", reference=ann)).fact is F.RETURNED
    assert rail.cancel(order("p_1", reference=bob)).fact is F.UNCLEAR


@pytest.mark.parametrize(
    "secret", ["", "x", "[]", "{}", '{"client_id": "a"}', '{"client_id": "a", "client_secret": ""}']
)
def test_a_secret_that_is_none_stops_it_at_the_start(secret: str) -> None:
    with pytest.raises(BadProvider):
        connect("paypal", url="https://paypal.test", secret=secret, stage="prod")


def test_it_is_spoken_to_over_tls_and_shows_no_secret(paypal: PayPal) -> None:
    with pytest.raises(BadProvider):
        connect("paypal", url="http://paypal.test", secret=paypal.secret, stage="prod")
    assert CLIENT_SECRET not in repr(connect("paypal", url="https://paypal.test", secret=paypal.secret, stage="prod"))


# Webhooks


@pytest.fixture
def events(rail: PayPalRail, paypal: PayPal) -> PayPalEvents:
    told = paypal.webhook_secret(plain_host=paypal.url.removeprefix("http://"))
    return reader(secret=json.dumps(told), stage="local")


def event(**changes: Any) -> dict[str, Any]:
    item = {"amount": {"value": "9.75", "currency": "USD"}, "sender_item_id": "p_0", "receiver": "ann@example.com"}
    resource = {"payout_item_id": "I1", "time_processed": "2026-11-22T10:00:00Z", "payout_item": item}
    return {"id": "WH-1", "event_type": SENT, "resource": resource} | changes


def read(events: PayPalEvents, call: Call, *, now_ms: int = NOW_MS) -> Any:
    return events.read(call.headers, call.body, now_ms=now_ms)


def test_a_signed_event_is_read(events: PayPalEvents, paypal: PayPal) -> None:
    (news,) = read(events, paypal.call(event())).news
    assert (news.payout_id, news.answer.fact, news.amount_micros, news.currency) == ("p_0", F.PAID, 9_750_000, "USD")
    assert news.answer.reference == "I1"


def changed(call: Call, **headers: str) -> Call:
    return Call({**call.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}, call.body)


OTHER_URLS = [
    "https://api.paypal.com.evil.example" + CERTIFICATE_PATH, "https://evil.example" + CERTIFICATE_PATH,
    "https://api.paypal.com@evil.example" + CERTIFICATE_PATH, "http://api.paypal.com" + CERTIFICATE_PATH,
    "https://api.paypal.com:8443" + CERTIFICATE_PATH, "https://api.paypal.com/v1/other/CERT-1",
    "https://api.paypal.com/v1/notifications/certs/../../CERT", "https://169.254.169.254" + CERTIFICATE_PATH,
    "file:///etc/passwd", "https://api.paypal.com" + CERTIFICATE_PATH + "?x=1", "https://[", "",
    "https://api.paypal.com:99999" + CERTIFICATE_PATH,
]  # fmt: skip


@pytest.mark.parametrize("url", OTHER_URLS)
def test_a_certificate_from_elsewhere_is_never_fetched(events: PayPalEvents, paypal: PayPal, url: str) -> None:
    class Nobody:
        def request(self, method: str, url: str, **arguments: Any) -> urllib3.BaseHTTPResponse:
            raise AssertionError(f"{method} {url} was asked for")

    with pytest.raises(Forged):
        read(replace(events, http=Nobody()), changed(paypal.call(event()), paypal_cert_url=url))


@pytest.mark.parametrize("name", ["transmission_id", "transmission_time", "transmission_sig", "cert_url", "auth_algo"])
@pytest.mark.parametrize("value", ["", "x", "é", "SHA1withRSA", "x" * 5_000])
def test_any_header_changed_is_a_forgery(events: PayPalEvents, paypal: PayPal, name: str, value: str) -> None:
    with pytest.raises(Forged):
        read(events, changed(paypal.call(event()), **{f"paypal_{name}": value}))


def test_a_changed_body_is_a_forgery(events: PayPalEvents, paypal: PayPal) -> None:
    call = paypal.call(event())
    with pytest.raises(Forged):
        read(events, Call(call.headers, call.body.replace(b"9.75", b"9.76")))


def test_another_webhooks_event_is_a_forgery(events: PayPalEvents, paypal: PayPal) -> None:
    with pytest.raises(Forged):
        read(events, paypal.call(event(), webhook_id=WEBHOOK_ID + "0"))


def test_a_certificate_of_somebody_else_is_a_forgery(events: PayPalEvents, paypal: PayPal) -> None:
    strangers = {
        "another root": new_authority("Another").signer(),
        "another name": AUTHORITY.signer("messages.paypal.com.evil.example"),
        "a name that only ends so": AUTHORITY.signer("evilpaypal.com"),
        "over": AUTHORITY.signer(not_after=datetime(2021, 1, 1, tzinfo=UTC)),
        "not yet": AUTHORITY.signer(not_before=datetime(2048, 1, 1, tzinfo=UTC)),
    }
    for signer in strangers.values():
        paypal.signer = signer
        with pytest.raises(Forged):
            read(replace(events, kept={}), paypal.call(event()))


def test_a_kept_certificate_is_not_believed_beyond_its_time(events: PayPalEvents, paypal: PayPal) -> None:
    paypal.signer = AUTHORITY.signer(not_after=datetime(2027, 1, 1, tzinfo=UTC))
    read(events, paypal.call(event()))
    with pytest.raises(Forged):
        read(events, paypal.call(event()), now_ms=int(datetime(2027, 1, 2, tzinfo=UTC).timestamp() * 1000))


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"id": 1}', b'{"id": "WH-1", "id": "WH-2", "event_type": "x"}'])
def test_a_signed_body_that_is_no_event_is_refused(events: PayPalEvents, paypal: PayPal, body: bytes) -> None:
    call = paypal.call(event())
    message = f"T|2026|{WEBHOOK_ID}|{zlib.crc32(body)}".encode()
    signature = base64.b64encode(paypal.signer.sign(message)).decode()
    signed = changed(
        call, paypal_transmission_id="T", paypal_transmission_time="2026", paypal_transmission_sig=signature
    )
    with pytest.raises(Unreadable):
        read(events, Call(signed.headers, body))


def test_deployed_only_the_pinned_roots_are_trusted(paypal: PayPal) -> None:
    told = json.dumps(paypal.webhook_secret(plain_host="127.0.0.1:1"))
    deployed = reader(secret=told, stage="prod")
    assert deployed.plain_host is None
    names = {root.subject.rfc4514_string() for root in deployed.roots}
    assert len(names) == 5
    assert all("DigiCert" in name for name in names)
