"""The gateway rail against a provider that speaks its contract, over real HTTP; and against ones that do not."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from typing import Any

import pytest
import urllib3

from local.provider import Mode, Provider, serving
from smallpeck.payouts.model import Fact
from smallpeck.payouts.rails import RAILS, WEBHOOKS, connect
from smallpeck.payouts.rails.gateway import MAX_ANSWER_BYTES, BadGateway, GatewayRail
from smallpeck.payouts.rails.gateway import connect as connect_gateway
from smallpeck.payouts.rails.port import Order
from smallpeck.people.model import Destination

SECRET = "a-secret"
ORDER = Order(key="k_1", payout_id="p_1", run_id="r_1", amount_micros=5_000_000, currency="USD")
F = Fact


@pytest.fixture
def provider() -> Provider:
    return Provider()


@contextmanager
def rail_to(url: str, secret: str = SECRET, read_seconds: float = 5.0) -> Iterator[GatewayRail]:
    rail = connect_gateway(url=url, secret=secret, stage="local")
    pool = rail.http
    assert isinstance(pool, urllib3.PoolManager)
    try:
        yield replace(rail, timeout=urllib3.Timeout(connect=2.0, read=read_seconds))
    finally:
        pool.clear()


@pytest.fixture
def rail(provider: Provider) -> Iterator[GatewayRail]:
    with serving(provider, secret=SECRET) as url, rail_to(url) as connected:
        yield connected


def to(address: str) -> Destination:
    return Destination("gateway", address)


MODES: list[tuple[Mode, list[Fact], int]] = [
    # What is said to: a send, a query, another query, another send, a query; and how much was paid in the end.
    (Mode.OK, [F.PAID, F.PAID, F.PAID, F.PAID, F.PAID], 1),
    (Mode.REFUSE, [F.REFUSED, F.REFUSED, F.REFUSED, F.REFUSED, F.REFUSED], 0),
    (Mode.LATE, [F.PENDING, F.PENDING, F.PAID, F.PAID, F.PAID], 1),
    (Mode.TIMEOUT_BEFORE, [F.UNCLEAR, F.NEVER_HEARD, F.NEVER_HEARD, F.PAID, F.PAID], 1),
    (Mode.TIMEOUT_AFTER, [F.UNCLEAR, F.PAID, F.PAID, F.UNCLEAR, F.PAID], 1),
    (Mode.ERROR_BEFORE, [F.UNCLEAR, F.NEVER_HEARD, F.NEVER_HEARD, F.PAID, F.PAID], 1),
    (Mode.ERROR_AFTER, [F.UNCLEAR, F.PAID, F.PAID, F.UNCLEAR, F.PAID], 1),
    (Mode.TWICE, [F.PENDING, F.PAID, F.REFUSED, F.REFUSED, F.PAID], 1),
    (Mode.NEVER, [F.UNCLEAR, F.UNCLEAR, F.UNCLEAR, F.UNCLEAR, F.UNCLEAR], 0),
]


@pytest.mark.parametrize(("mode", "facts", "paid"), MODES)
def test_what_is_heard_of_each_mode(
    rail: GatewayRail, provider: Provider, mode: Mode, facts: list[Fact], paid: int
) -> None:
    destination = to(f"{mode}-ann@example.com")
    said = [
        rail.pay(ORDER, destination),
        rail.ask(ORDER),
        rail.ask(ORDER),
        rail.pay(ORDER, destination),
        rail.ask(ORDER),
    ]
    assert [answer.fact for answer in said] == facts
    assert len(provider.executed) == paid
    assert rail.totals("r_1") == ({"USD": 5_000_000} if paid else {})


def test_every_mode_is_tried() -> None:
    assert {mode for mode, *_ in MODES} == set(Mode)


def test_answers_carry_a_reason_and_a_reference(rail: GatewayRail) -> None:
    assert rail.pay(ORDER, to("refuse-ann@example.com")).reason == "account_closed"
    other = replace(ORDER, key="k_2", payout_id="p_2")
    assert rail.pay(other, to("ann@example.com")).reference == "sim-k_2"
    assert rail.pay(replace(other, key="k_3"), to("timeout-after-ann@example.com")).reason == "no_answer"
    assert rail.pay(replace(other, key="k_4"), to("error500-after-ann@example.com")).reason == "http_500"


def test_a_real_timeout_is_unclear(provider: Provider) -> None:
    with serving(provider, secret=SECRET, hold_seconds=30) as url, rail_to(url, read_seconds=0.05) as rail:
        answer = rail.pay(ORDER, to("timeout-after-ann@example.com"))
        assert (answer.fact, answer.reason) == (F.UNCLEAR, "timeout")
    assert len(provider.executed) == 1


def test_nobody_there_is_unclear() -> None:
    with serving(Provider(), secret=SECRET) as url:
        pass
    with rail_to(url) as rail:
        assert rail.pay(ORDER, to("ann@example.com")).fact is F.UNCLEAR
        assert rail.ask(ORDER).fact is F.UNCLEAR
        assert rail.totals("r_1") is None


def test_a_wrong_secret_is_unclear_and_pays_nothing(provider: Provider) -> None:
    with serving(provider, secret=SECRET) as url, rail_to(url, secret="another") as rail:
        assert rail.pay(ORDER, to("ann@example.com")).reason == "http_401"
        assert rail.ask(ORDER).fact is F.UNCLEAR
    assert provider.payments == {}


def test_the_same_key_with_another_body_decides_nothing(rail: GatewayRail, provider: Provider) -> None:
    assert rail.pay(ORDER, to("ann@example.com")).fact is F.PAID
    more = replace(ORDER, amount_micros=6_000_000)
    assert rail.pay(more, to("ann@example.com")).reason == "http_409"
    assert rail.ask(more).fact is F.MISMATCH
    assert len(provider.executed) == 1


def test_concurrent_sends_of_one_key_are_one_payment(rail: GatewayRail, provider: Provider) -> None:
    threads = [threading.Thread(target=rail.pay, args=(ORDER, to("ann@example.com"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(provider.executed) == 1


def test_the_controls(provider: Provider) -> None:
    with serving(provider, secret=SECRET) as url, rail_to(url) as rail:
        pool = rail.http
        headers = {"Authorization": f"Bearer {SECRET}"}
        mode = json.dumps({"prefix": "zz", "mode": "late", "queries": 1}).encode()
        assert pool.request("POST", f"{url}/control/modes", body=mode, headers=headers).status == 200
        assert rail.pay(ORDER, to("zz@example.com")).fact is F.PENDING
        assert rail.ask(ORDER).fact is F.PAID
        books = json.loads(pool.request("GET", f"{url}/control/totals", headers=headers).data)
        assert books == {"paid_count": 1, "paid": {"USD": "5.00"}, "keys": 1, "most_payments_per_key": 1}
        assert pool.request("POST", f"{url}/control/reset", headers=headers).status == 200
        assert provider.payments == {}
        assert pool.request("POST", f"{url}/control/modes", body=b"{", headers=headers).status == 400


GOOD = {"key": "k_1", "payout_id": "p_1", "status": "paid", "amount": "5.00", "currency": "USD"}


def body(**changes: Any) -> bytes:
    return json.dumps({name: value for name, value in (GOOD | changes).items() if value is not None}).encode()


@contextmanager
def answering(status: int, content: bytes, **headers: str) -> Iterator[GatewayRail]:
    """A rail to a server that answers everything the same way."""
    hits: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            hits.append(self.path)
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _answer  # noqa: N815 - the names are http.server's

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        with rail_to(f"http://127.0.0.1:{server.server_port}") as rail:
            yield rail
        assert len(hits) == 1, "one attempt a call, and no redirect followed"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def pay(rail: GatewayRail) -> Fact:
    return rail.pay(ORDER, to("ann@example.com")).fact


def ask(rail: GatewayRail) -> Fact:
    return rail.ask(ORDER).fact


@pytest.mark.parametrize("call", [pay, ask])
@pytest.mark.parametrize(("status", "content", "fact"), [
    (200, body(), F.PAID), (201, body(), F.PAID), (202, body(status="pending"), F.PENDING),
    (200, body(status="refused", reason="Jane Doe's account is closed"), F.REFUSED),
    (200, body(amount="5.01"), F.MISMATCH), (200, body(currency="EUR"), F.MISMATCH),
    (200, body(amount=5.0), F.UNCLEAR), (200, body(amount=None), F.UNCLEAR), (200, body(amount="5.000"), F.UNCLEAR),
    (200, body(status="PAID"), F.UNCLEAR), (200, body(status=None), F.UNCLEAR), (200, body(status=["paid"]), F.UNCLEAR),
    (200, body(key="k_2"), F.UNCLEAR), (200, body(payout_id="p_2"), F.UNCLEAR), (200, body(key=None), F.UNCLEAR),
    (200, b"", F.UNCLEAR), (200, b"paid", F.UNCLEAR), (200, b"[]", F.UNCLEAR), (200, b"\xff", F.UNCLEAR),
    (200, body()[:-1], F.UNCLEAR), (200, b"[" * 50_000, F.UNCLEAR),
    (200, body()[:-1] + b', "status": "refused"}', F.UNCLEAR),
    (200, body() + b" " * MAX_ANSWER_BYTES, F.UNCLEAR),
    (204, b"", F.UNCLEAR), (400, body(status="refused"), F.UNCLEAR), (401, b"{}", F.UNCLEAR), (404, b"", F.UNCLEAR),
    (404, b"<html>", F.UNCLEAR), (404, body(status="never_heard", key="k_2"), F.UNCLEAR),
    (409, body(), F.UNCLEAR), (429, b"{}", F.UNCLEAR), (500, body(), F.UNCLEAR), (503, body(), F.UNCLEAR),
])  # fmt: skip
def test_only_a_documented_answer_about_this_payout_counts(
    call: Callable[[GatewayRail], Fact], status: int, content: bytes, fact: Fact
) -> None:
    with answering(status, content) as rail:
        assert call(rail) is fact


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with answering(status, body(), Location="/elsewhere") as rail:
        assert pay(rail) is F.UNCLEAR


def test_only_asking_can_hear_that_a_key_is_unknown() -> None:
    unheard = body(status="never_heard")
    with answering(404, unheard) as rail:
        assert ask(rail) is F.NEVER_HEARD
    with answering(404, unheard) as rail:
        assert pay(rail) is F.UNCLEAR


def test_what_a_provider_writes_freely_is_not_kept() -> None:
    written = body(status="refused", reason="Jane Doe's account is closed", reference="Jane Doe")
    with answering(200, written) as rail:
        answer = rail.pay(ORDER, to("ann@example.com"))
    assert (answer.reason, answer.reference) == (None, None)


@pytest.mark.parametrize("totals", [b"", b"{}", b'{"run_id":"r_2","paid":{}}', b'{"run_id":"r_1","paid":{"USD":5}}',
                                    b'{"run_id":"r_1","paid":{"XXX":"5"}}', b'{"run_id":"r_1","paid":[]}'])  # fmt: skip
def test_totals_that_say_nothing(totals: bytes) -> None:
    with answering(200, totals) as rail:
        assert rail.totals("r_1") is None


@pytest.mark.parametrize(("url", "secret", "stage"), [
    ("http://gateway.example.com", "s", "prod"), ("http://gateway.example.com", "s", "dev"),
    ("ftp://gateway.example.com", "s", "local"), ("gateway.example.com", "s", "local"), ("https://", "s", "prod"),
    ("https://me:you@gateway.example.com", "s", "prod"), ("https://gateway.example.com/?a=1", "s", "prod"),
    ("https://gateway.example.com", "", "prod"), ("https://gateway.example.com", "a\nb", "prod"),
    ("https://gateway.example.com", "é", "prod"), ("https://gateway.example.com", "s" * 1025, "prod"),
])  # fmt: skip
def test_an_address_or_secret_that_is_not_safe_is_refused(url: str, secret: str, stage: str) -> None:
    with pytest.raises(BadGateway):
        connect("gateway", url=url, secret=secret, stage=stage)


def test_the_registry_names_what_can_be_connected_to() -> None:
    rail = connect("gateway", url="https://gateway.example.com/base/", secret=SECRET, stage="prod")
    assert isinstance(rail, GatewayRail)
    assert rail.url == "https://gateway.example.com/base"
    assert SECRET not in repr(rail)
    for name in RAILS:
        module = import_module(f"smallpeck.payouts.rails.{name}")
        assert callable(module.connect), name
    for name in WEBHOOKS:
        assert RAILS[name].tells == (name != "circle")
        assert callable(import_module(f"smallpeck.payouts.rails.{name}_events").reader), name
    with pytest.raises(ValueError, match="no such rail"):
        connect("os", url="https://gateway.example.com", secret=SECRET, stage="prod")
