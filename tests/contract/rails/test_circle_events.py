"""Circle's notifications: whose they are, what they say, and everything that is forged."""

import base64
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
import urllib3

from local.rails.circle import CERTIFICATE_PATH, TOPIC_ARN, Announcer, Circle, serving
from smallpeck.kernel.errors import Unavailable
from smallpeck.payouts.rails import reader
from smallpeck.payouts.rails.circle_events import MAX_AGE_SECONDS, MAX_AHEAD_SECONDS, CircleEvents
from smallpeck.payouts.rails.exchange import BadProvider
from smallpeck.payouts.rails.port import EventReader, Forged, Unreadable

NOW_MS = 1_767_607_200_000
NOW = datetime.fromtimestamp(NOW_MS / 1000, UTC)
ID = "6e2e451e-a3f9-4856-a8e0-d60a990c754e"
PAYOUT = {"id": ID, "status": "complete", "amount": {"amount": "5.00", "currency": "USD"}}
SNS = "https://sns.us-west-2.amazonaws.com"


@dataclass
class Fetcher:
    """Serves the certificate, and says yes to a confirmation."""

    certificate: bytes
    status: int = 200
    asked: list[str] = field(default_factory=list)

    def request(self, method: str, url: str, **arguments: Any) -> urllib3.BaseHTTPResponse:
        assert (method, arguments["redirect"], arguments["retries"]) == ("GET", False, False)
        self.asked.append(url)
        return urllib3.HTTPResponse(io.BytesIO(self.certificate), status=self.status, preload_content=False)


ANNOUNCER = Announcer(now=NOW)


@pytest.fixture
def fetcher() -> Fetcher:
    return Fetcher(ANNOUNCER.certificate)


@pytest.fixture
def events(fetcher: Fetcher) -> CircleEvents:
    return CircleEvents(TOPIC_ARN, fetcher)


def read(events: EventReader, body: bytes, now_ms: int = NOW_MS) -> Any:
    return events.read({}, body, now_ms=now_ms)


def notification() -> bytes:
    return ANNOUNCER.notification(PAYOUT, now_ms=NOW_MS)


def changed(body: bytes, **changes: Any) -> bytes:
    return json.dumps(json.loads(body) | changes).encode()


def test_a_notification_names_the_payout_to_follow_and_nothing_is_believed(
    events: CircleEvents, fetcher: Fetcher
) -> None:
    event = read(events, notification())
    assert (event.kind, event.follow, event.news) == ("payouts", ID, ())
    assert event.is_known
    again = read(events, notification())
    assert again.event_id != event.event_id
    assert fetcher.asked == [SNS + CERTIFICATE_PATH]


def test_the_older_signature_is_taken_too(events: CircleEvents) -> None:
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA1

    message = json.loads(notification())
    names = ("Message", "MessageId", "Timestamp", "TopicArn", "Type")
    signed = "".join(f"{name}\n{message[name]}\n" for name in names)
    signature = ANNOUNCER.key.sign(signed.encode(), PKCS1v15(), SHA1())  # noqa: S303 - SNS's version 1
    older = {"SignatureVersion": "1", "Signature": base64.b64encode(signature).decode()}
    body = json.dumps(message | older).encode()
    assert read(events, body).follow == ID


def test_a_subject_is_signed_where_there_is_one(events: CircleEvents) -> None:
    message = json.dumps({"notificationType": "payouts", "payout": PAYOUT})
    body = ANNOUNCER.signed({"Type": "Notification", "Message": message, "Subject": "hello"}, now_ms=NOW_MS)
    assert read(events, body).follow == ID
    with pytest.raises(Forged):
        read(events, changed(body, Subject="bye"))


@pytest.mark.parametrize("kind", ["transfers", "addressBookRecipients", "settlements"])
def test_other_kinds_are_stored_and_nothing_more(events: CircleEvents, kind: str) -> None:
    message = json.dumps({"notificationType": kind, "transfer": {"id": ID}})
    event = read(events, ANNOUNCER.signed({"Type": "Notification", "Message": message}, now_ms=NOW_MS))
    assert (event.kind, event.is_known) == (kind, False)


def test_a_subscription_to_our_topic_is_confirmed(events: CircleEvents, fetcher: Fetcher) -> None:
    event = read(events, ANNOUNCER.confirmation(now_ms=NOW_MS))
    assert (event.kind, event.is_known) == ("SubscriptionConfirmation", False)
    assert fetcher.asked[-1].startswith(f"{SNS}/?Action=ConfirmSubscription")


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.test/?Action=ConfirmSubscription",
        "https://sns.us-west-2.amazonaws.com.evil.test/?Action=ConfirmSubscription",
        "http://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription",
        "https://sns.us-west-2.amazonaws.com:8443/",
        "https://a@sns.us-west-2.amazonaws.com/",
        "https://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "https://[",
    ],
)
def test_only_the_senders_own_addresses_are_asked(events: CircleEvents, fetcher: Fetcher, url: str) -> None:
    """Even well signed: an address that is nobody's but the sender's is never fetched."""
    message = {"Message": "x", "SubscribeURL": url, "Token": "t", "Type": "SubscriptionConfirmation"}
    with pytest.raises(Forged):
        read(events, ANNOUNCER.signed(message, now_ms=NOW_MS))
    with pytest.raises(Forged):
        read(events, changed(notification(), SigningCertURL=url))
    assert set(fetcher.asked) <= {SNS + CERTIFICATE_PATH}


@pytest.mark.parametrize("query", ["", "Action=Unsubscribe", "Action=ConfirmSubscription&TopicArn=arn:aws:sns:x:1:y"])
def test_another_request_than_a_confirmation_is_not_made(events: CircleEvents, query: str) -> None:
    message = {"Message": "x", "SubscribeURL": f"{SNS}/?{query}", "Token": "t", "Type": "SubscriptionConfirmation"}
    with pytest.raises(Unreadable):
        read(events, ANNOUNCER.signed(message, now_ms=NOW_MS))


@pytest.mark.parametrize(
    "changes",
    [
        {"Message": "{}"},
        {"MessageId": ID},
        {"Timestamp": "2026-01-05T10:00:01.000Z"},
        {"TopicArn": "arn:aws:sns:us-west-2:000000000000:another"},
        {"Type": "SubscriptionConfirmation"},
        {"Type": "Other"},
        {"Subject": "added"},
        {"Signature": "AAAA"},
        {"Signature": "not base 64"},
        {"SignatureVersion": "3"},
        {"SigningCertURL": f"{SNS}/another.pem"},
        {"SigningCertURL": f"{SNS}/../SimpleNotificationService-x.pem"},
        {"Message": {"a": 1}},
        {"MessageId": None},
    ],
)
def test_a_changed_message_is_forged(events: CircleEvents, changes: Mapping[str, Any]) -> None:
    with pytest.raises(Forged):
        read(events, changed(notification(), **changes))


def test_a_message_of_somebody_elses_topic_is_forged_however_well_it_is_signed(events: CircleEvents) -> None:
    message = {"Type": "Notification", "Message": json.dumps({"notificationType": "payouts", "payout": PAYOUT})}
    theirs = ANNOUNCER.signed(message, now_ms=NOW_MS, topic_arn="arn:aws:sns:us-west-2:111111111111:theirs")
    with pytest.raises(Forged):
        read(events, theirs)


@pytest.mark.parametrize("body", [b"", b"[]", b"x", b"{}", b'{"Type": "Notification"}', b'{"Type":"a","Type":"b"}'])
def test_what_is_no_message_is_forged(events: CircleEvents, body: bytes) -> None:
    with pytest.raises(Forged):
        read(events, body)


def test_old_and_early_messages_are_forged(events: CircleEvents) -> None:
    body = notification()
    assert read(events, body, NOW_MS + MAX_AGE_SECONDS * 1000).follow == ID
    assert read(events, body, NOW_MS - MAX_AHEAD_SECONDS * 1000).follow == ID
    for now_ms in (NOW_MS + MAX_AGE_SECONDS * 1000 + 1, NOW_MS - MAX_AHEAD_SECONDS * 1000 - 1):
        with pytest.raises(Forged):
            read(events, body, now_ms)


@pytest.mark.parametrize("name", ["evil.test", "sns.amazonaws.com.evil.test", "s3.amazonaws.com", "xsns.amazonaws.com"])
def test_the_certificate_of_somebody_else_is_not_believed(name: str) -> None:
    other = Announcer(now=NOW, common_name=name)
    with pytest.raises(Forged):
        read(CircleEvents(TOPIC_ARN, Fetcher(other.certificate)), other.notification(PAYOUT, now_ms=NOW_MS))


def test_a_certificate_that_has_run_out_is_not_believed(events: CircleEvents) -> None:
    late_ms = NOW_MS + 400 * 86_400_000
    with pytest.raises(Forged):
        read(events, ANNOUNCER.notification(PAYOUT, now_ms=late_ms), late_ms)
    assert events.kept == {}


def test_a_certificate_that_cannot_be_had_is_tried_again_later(fetcher: Fetcher) -> None:
    fetcher.status = 503
    with pytest.raises(Unavailable):
        read(CircleEvents(TOPIC_ARN, fetcher), notification())
    with pytest.raises(Forged):
        read(CircleEvents(TOPIC_ARN, Fetcher(b"no certificate")), notification())


@pytest.mark.parametrize(
    "message",
    [
        "x",
        "[]",
        '{"notificationType": 1}',
        '{"notificationType": "a b"}',
        '{"notificationType": "payouts"}',
        '{"notificationType": "payouts", "payout": {"id": "../1"}}',
    ],
)
def test_a_signed_message_that_says_nothing_is_unreadable(events: CircleEvents, message: str) -> None:
    with pytest.raises(Unreadable):
        read(events, ANNOUNCER.signed({"Type": "Notification", "Message": message}, now_ms=NOW_MS))


def test_the_reader_is_made_from_its_secret() -> None:
    made = reader("circle", secret=json.dumps({"topic_arn": TOPIC_ARN, "plain_host": "127.0.0.1:1"}), stage="prod")
    assert isinstance(made, CircleEvents)
    assert (made.topic_arn, made.plain_host) == (TOPIC_ARN, None)
    for secret in ("x", "{}", json.dumps({"topic_arn": "arn:aws:sqs:us-west-2:000000000000:x"})):
        with pytest.raises(BadProvider):
            reader("circle", secret=secret, stage="prod")


def test_over_real_http_on_the_local_stage() -> None:
    announcer = Announcer(now=NOW)
    with serving(Circle(), api_key="key", announcer=announcer) as (url, server):
        host = url.removeprefix("http://")
        made = reader("circle", secret=json.dumps({"topic_arn": TOPIC_ARN, "plain_host": host}), stage="local")
        assert read(made, announcer.notification(PAYOUT, now_ms=NOW_MS)).follow == ID
        read(made, announcer.confirmation(now_ms=NOW_MS))
        assert server.confirmed == 1
        assert isinstance(made, CircleEvents)
        assert isinstance(made.http, urllib3.PoolManager)
        made.http.clear()
