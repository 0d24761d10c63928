"""The circle rail against a Circle that speaks its contract, over real HTTP; and against ones that do not."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import urllib3

from local.rails.circle import Circle, Mode, serving
from smallpeck.kernel.ids import derived_id
from smallpeck.payouts.model import Answer, Fact
from smallpeck.payouts.rails import RAILS, connect
from smallpeck.payouts.rails.circle import MAX_ANSWER_BYTES, CircleRail, idempotency_key, outcome
from smallpeck.payouts.rails.exchange import BadProvider
from smallpeck.payouts.rails.port import News, Order
from smallpeck.payouts.reference_store import ReferenceFailed, S3References
from smallpeck.people.model import Destination
from tests.aws import Aws, Fault, Plan

API_KEY = "SAND_API_KEY:id:secret"
ADDRESS = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
SOLANA = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
PAYOUT = derived_id("p_", "x")
ORDER = Order("k_1", PAYOUT, "r_1", 5_000_000, "USD")
THERE = Destination("circle", f"BASE:{ADDRESS}")
F = Fact


@dataclass
class Kept:
    """References in memory."""

    payouts: dict[str, str] = field(default_factory=dict)
    down: bool = False

    def remember(self, reference: str, payout_id: str) -> None:
        if self.down:
            raise ReferenceFailed("down")
        self.payouts[reference] = payout_id

    def payout_of(self, reference: str) -> str | None:
        return self.payouts.get(reference)


@pytest.fixture
def circle() -> Circle:
    return Circle()


@contextmanager
def rail_to(url: str, *, api_key: str = API_KEY, read_seconds: float = 5.0) -> Iterator[CircleRail]:
    pool = urllib3.PoolManager(maxsize=1, retries=False)
    try:
        yield CircleRail(url, api_key, "1000", pool, Kept(), timeout=urllib3.Timeout(connect=2.0, read=read_seconds))
    finally:
        pool.clear()


@pytest.fixture
def rail(circle: Circle) -> Iterator[CircleRail]:
    with serving(circle, api_key=API_KEY) as (url, _), rail_to(url) as connected:
        yield connected


def next_order(answer: Answer, order: Order = ORDER) -> Order:
    return replace(order, reference=answer.reference or order.reference)


def asked(rail: CircleRail, order: Order, rounds: int = 5) -> list[Fact]:
    """As a run does: sent, then asked, and sent again where that is what it takes."""
    answer = rail.pay(order, THERE)
    heard = [answer.fact]
    for _ in range(rounds):
        order = next_order(answer, order)
        answer = rail.ask(order)
        if answer.fact is F.SEND_TO_ASK:
            answer = rail.pay(order, THERE)
        heard.append(answer.fact)
    return heard


WAYS: list[tuple[Mode, list[Fact], int]] = [
    (Mode.OK, [F.PENDING, F.PAID, F.PAID], 1),
    (Mode.FAIL, [F.PENDING, F.REFUSED, F.REFUSED], 0),
    (Mode.LATE, [F.PENDING, F.PENDING, F.PENDING, F.PAID], 1),
    (Mode.MALFORMED, [F.REFUSED, F.REFUSED], 0),
    (Mode.TIMEOUT_BEFORE, [F.UNCLEAR, F.PENDING, F.PAID], 1),
    (Mode.TIMEOUT_AFTER, [F.UNCLEAR, F.PENDING, F.PAID], 1),
    (Mode.ERROR_AFTER, [F.UNCLEAR, F.PENDING, F.PAID], 1),
    (Mode.RETURN, [F.PENDING, F.PAID], 1),
    (Mode.CONTRADICT, [F.PENDING, F.PAID, F.REFUSED], 1),
    (Mode.OTHER_AMOUNT, [F.MISMATCH], 1),
    (Mode.INACTIVE, [F.SEND_TO_ASK, F.SEND_TO_ASK, F.PENDING, F.PAID], 1),
    (Mode.DENIED, [F.REFUSED, F.REFUSED], 0),
]


@pytest.mark.parametrize(("mode", "facts", "paid"), WAYS)
def test_what_is_heard_of_each_way(rail: CircleRail, circle: Circle, mode: Mode, facts: list[Fact], paid: int) -> None:
    circle.modes[ADDRESS.lower()] = mode
    assert asked(rail, ORDER)[: len(facts)] == facts
    assert len(circle.executed) == paid


def test_every_way_is_tried() -> None:
    assert {mode for mode, *_ in WAYS} == set(Mode)


def test_what_is_sent_is_what_circle_asks_for(rail: CircleRail, circle: Circle) -> None:
    answer = rail.pay(ORDER, THERE)
    (recipient,) = circle.recipients.values()
    bodies = {path: body for body, path in circle.first.values()}
    assert answer.reference is not None
    assert bodies[answer.reference] == {
        "idempotencyKey": idempotency_key("payout", "k_1"),
        "source": {"type": "wallet", "id": "1000"},
        "destination": {"type": "address_book", "id": recipient["id"]},
        "amount": {"amount": "5.00", "currency": "USD"},
        "toAmount": {"currency": "USD"},
    }
    assert bodies[recipient["id"]]["address"] == ADDRESS
    assert bodies[recipient["id"]]["metadata"] == {"nickname": "payouts"}


def test_the_originator_goes_along_where_the_travel_rule_asks_for_it(rail: CircleRail, circle: Circle) -> None:
    identity = {"type": "business", "name": "Small Peck", "addresses": []}
    answer = replace(rail, identities=(identity,)).pay(ORDER, THERE)
    assert [body["source"]["identities"] for body, made in circle.first.values() if made == answer.reference] == [
        [identity]
    ]


def test_a_key_is_a_uuid_of_version_4_and_always_the_same() -> None:
    assert idempotency_key("payout", "k_1") == idempotency_key("payout", "k_1")
    assert idempotency_key("payout", "k_1") != idempotency_key("payout", "k_2")
    assert idempotency_key("payout", "k_1")[14] == "4"


def test_many_payouts_to_one_address_enter_it_once(rail: CircleRail, circle: Circle) -> None:
    for number in range(3):
        rail.pay(replace(ORDER, key=f"k_{number}"), THERE)
    assert len(circle.recipients) == 1
    assert len(circle.executed) == 3


def test_an_address_that_is_in_the_book_under_another_key_is_found(rail: CircleRail, circle: Circle) -> None:
    body = {"idempotencyKey": idempotency_key("recipient", "BASE", ADDRESS), "chain": "BASE", "address": ADDRESS}
    circle.post("/v1/addressBook/recipients", body)
    assert rail.pay(ORDER, THERE).fact is F.PENDING


def test_addresses_on_solana_keep_their_spelling(rail: CircleRail, circle: Circle) -> None:
    assert rail.pay(ORDER, Destination("circle", f"SOL:{SOLANA}")).fact is F.PENDING
    assert [one["address"] for one in circle.recipients.values()] == [SOLANA]


@pytest.mark.parametrize(
    ("order", "address", "reason"),
    [
        (replace(ORDER, currency="EUR"), THERE.address, "currency_not_carried"),
        (ORDER, f"BASE:{ADDRESS.lower()}", "destination_not_reached"),
        (ORDER, "ann@example.com", "destination_not_reached"),
    ],
)
def test_what_cannot_be_carried_is_refused_without_a_word(
    rail: CircleRail, circle: Circle, order: Order, address: str, reason: str
) -> None:
    assert rail.pay(order, Destination("circle", address)) == Answer(F.REFUSED, reason)
    assert circle.recipients == {}


def test_a_payout_that_comes_back_is_followed_to_whom_it_was_for(rail: CircleRail, circle: Circle) -> None:
    answer = rail.pay(ORDER, THERE)
    assert answer.reference is not None
    circle.come_back(answer.reference)
    assert rail.ask(next_order(answer)).fact is F.RETURNED
    (news,) = rail.follow(answer.reference) or ()
    assert (news.payout_id, news.answer.fact, news.answer.reason) == (PAYOUT, F.RETURNED, "payout_returned")
    assert (news.amount_micros, news.currency) == (5_000_000, "USD")


def test_a_payout_that_was_never_kept_is_followed_to_nobody(rail: CircleRail, circle: Circle) -> None:
    answer = rail.pay(ORDER, THERE)
    assert answer.reference is not None
    forgetful = replace(rail, references=Kept())
    assert [one.payout_id for one in forgetful.follow(answer.reference) or ()] == [answer.reference]
    assert forgetful.follow("00000000-0000-4000-8000-000000000000") is None
    assert forgetful.follow("../../v1/payouts") is None


def test_what_is_not_remembered_is_not_believed_and_asked_again(rail: CircleRail, circle: Circle) -> None:
    kept = rail.references
    assert isinstance(kept, Kept)
    kept.down = True
    assert rail.pay(ORDER, THERE) == Answer(F.UNCLEAR, "not_remembered")
    kept.down = False
    assert rail.ask(ORDER).fact is F.SEND_TO_ASK
    assert rail.pay(ORDER, THERE).fact is F.PENDING
    assert list(kept.payouts.values()) == [PAYOUT]
    assert len(circle.executed) == 1


def test_nobody_there_or_a_wrong_key_is_unclear_and_pays_nothing(circle: Circle) -> None:
    with serving(circle, api_key=API_KEY) as (url, _), rail_to(url, api_key="another") as rail:
        assert rail.pay(ORDER, THERE) == Answer(F.UNCLEAR, "http_401")
    with rail_to(url) as rail:
        assert rail.pay(ORDER, THERE).fact is F.UNCLEAR
        assert rail.ask(replace(ORDER, reference="6e2e451e-a3f9-4856-a8e0-d60a990c754e")).fact is F.UNCLEAR
        assert rail.follow("6e2e451e-a3f9-4856-a8e0-d60a990c754e") is None
    assert circle.executed == []


ID = "6e2e451e-a3f9-4856-a8e0-d60a990c754e"
PAID = {
    "id": ID,
    "destination": {"type": "address_book", "id": "2b9f9ed9-ac9d-5f6e-954b-a29e03ee3259"},
    "amount": {"amount": "5.00", "currency": "USD"},
    "status": "complete",
    "updateDate": "2026-01-05T10:00:00.000Z",
}


@pytest.mark.parametrize(
    ("changes", "fact", "reason"),
    [
        ({}, F.PAID, None),
        ({"status": "pending"}, F.PENDING, None),
        ({"status": "failed", "errorCode": "insufficient_funds"}, F.REFUSED, "insufficient_funds"),
        ({"status": "failed", "errorCode": "Ann Lee"}, F.REFUSED, None),
        ({"status": "failed", "errorCode": "transaction_returned"}, F.RETURNED, "transaction_returned"),
        ({"return": {"status": "pending", "reason": "payout_returned"}}, F.PAID, None),
        ({"return": {"status": "complete", "reason": "payout_returned"}}, F.RETURNED, "payout_returned"),
        ({"status": "sent"}, F.UNCLEAR, "unreadable"),
        ({"status": ["complete"]}, F.UNCLEAR, "unreadable"),
        ({"id": "../1"}, F.UNCLEAR, "unreadable"),
        ({"id": None}, F.UNCLEAR, "unreadable"),
    ],
)
def test_what_a_payout_object_says(changes: dict[str, Any], fact: Fact, reason: str | None) -> None:
    answer = outcome(PAID | changes)
    assert (answer.fact, answer.reason) == (fact, reason)


@dataclass
class Canned:
    """Gives the same answer to everything."""

    answer: Callable[[], tuple[int, bytes]]

    def request(self, method: str, url: str, **arguments: Any) -> urllib3.BaseHTTPResponse:
        import io

        assert arguments["redirect"] is False
        assert arguments["retries"] is False
        status, content = self.answer()
        return urllib3.HTTPResponse(io.BytesIO(content), status=status, preload_content=False)


def says(status: int, document: Mapping[str, Any] | bytes) -> Canned:
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Canned(lambda: (status, content))


@pytest.mark.parametrize(
    "http",
    [
        says(500, {}),
        says(429, {"code": 4, "message": "too many"}),
        says(302, {"data": PAID}),
        says(200, b""),
        says(200, b"[]"),
        says(200, b'{"data": 1}'),
        says(200, b'{"data": {}, "data": {}}'),
        says(200, {"data": PAID | {"id": "11111111-a3f9-4856-a8e0-d60a990c754e"}}),
        says(200, {"data": PAID | {"amount": {"amount": 5.0, "currency": "USD"}}}),
        says(200, {"data": PAID | {"amount": {"amount": "NaN", "currency": "USD"}}}),
        says(200, {"data": PAID | {"amount": None}}),
        says(200, b" " * (MAX_ANSWER_BYTES + 1)),
        says(404, {"code": 2, "message": "Resource not found"}),
    ],
)
def test_only_a_documented_answer_about_this_payout_counts(http: Canned) -> None:
    rail = CircleRail("https://circle.test", API_KEY, "1000", http, Kept())
    assert rail.ask(replace(ORDER, reference=ID)).fact is F.UNCLEAR
    assert rail.pay(ORDER, THERE).fact is F.UNCLEAR


@pytest.mark.parametrize(
    "changes", [{"amount": {"amount": "5.01", "currency": "USD"}}, {"amount": {"amount": "5.00", "currency": "EUR"}}]
)
def test_another_amount_is_a_mismatch(changes: dict[str, Any]) -> None:
    rail = CircleRail("https://circle.test", API_KEY, "1000", says(200, {"data": PAID | changes}), Kept())
    assert rail.ask(replace(ORDER, reference=ID)).fact is F.MISMATCH


def test_a_transient_failure_of_circles_is_no_refusal() -> None:
    for status, code in ((400, -1), (400, "2"), (409, 1083), (403, 3)):
        rail = CircleRail("https://circle.test", API_KEY, "1000", says(status, {"code": code, "message": "x"}), Kept())
        assert rail.pay(ORDER, THERE).fact is F.UNCLEAR


SECRET = json.dumps({"api_key": API_KEY, "wallet_id": "1000", "references": "s3://work/circle"})


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("http://api.circle.com", SECRET),
        ("https://ann@api.circle.com", SECRET),
        ("https://api.circle.com?x=1", SECRET),
        ("https://api.circle.com", "secret"),
        ("https://api.circle.com", json.dumps({"api_key": "a b", "wallet_id": "1", "references": "s3://work/circle"})),
        ("https://api.circle.com", json.dumps({"api_key": "a", "wallet_id": "1", "references": "https://work/circle"})),
        ("https://api.circle.com", json.dumps(json.loads(SECRET) | {"identities": "Ann"})),
    ],
)
def test_what_cannot_be_spoken_to_safely_is_found_at_the_start(
    url: str, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with pytest.raises(BadProvider):
        connect("circle", url=url, secret=secret, stage="prod")


def test_the_rail_is_registered_and_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    rail = connect("circle", url="https://api.circle.com/", secret=SECRET, stage="prod")
    assert isinstance(rail, CircleRail)
    assert rail.url == "https://api.circle.com"
    assert "secret" not in repr(rail)
    assert RAILS["circle"].carries("USD")
    assert not RAILS["circle"].carries("EUR")


def test_references_are_kept_in_s3() -> None:
    aws = Aws()
    aws.s3.create_bucket(Bucket="work")
    kept = S3References(aws.s3, "work", "circle")
    assert kept.payout_of(ID) is None
    for _ in range(2):
        kept.remember(ID, PAYOUT)
    assert kept.payout_of(ID) == PAYOUT
    kept.remember(ID, "p_other")
    assert kept.payout_of(ID) is None
    assert kept.payout_of("../x") is None
    with pytest.raises(ValueError):
        kept.remember("../x", PAYOUT)
    for fault in (Fault.TIMEOUT_AFTER, Fault.ERROR_BEFORE):
        with aws.faults.planned(Plan(fault, 0)), pytest.raises(ReferenceFailed):
            kept.remember(ID, PAYOUT)
        with aws.faults.planned(Plan(fault, 0)), pytest.raises(ReferenceFailed):
            kept.payout_of(ID)


def test_news_carries_what_circle_says_it_paid() -> None:
    rail = CircleRail("https://circle.test", API_KEY, "1000", says(200, {"data": PAID}), Kept({ID: PAYOUT}))
    paid = Answer(F.PAID, reference=ID, at_ms=1_767_607_200_000)
    assert rail.follow(ID) == [News(PAYOUT, paid, 5_000_000, "USD")]
