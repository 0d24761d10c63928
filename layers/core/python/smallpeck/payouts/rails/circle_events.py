"""Circle's notifications: Amazon SNS messages of one topic, and what they say.

SNS signs with RSA over named members of the message, by a certificate whose address the message itself names; both
that and the address that confirms a subscription must be SNS's own, and the topic must be the one that was told. Which
payout a notification is about it does not say: that is followed up (`CircleRail.follow`), so what it claims is never
believed.
"""

import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import urllib3
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.x509 import Certificate, NameOID, load_pem_x509_certificate

from smallpeck.kernel.clock import from_rfc3339
from smallpeck.kernel.errors import Unavailable
from smallpeck.payouts.rails.exchange import STAGE_WITHOUT_TLS, BadProvider, Http, fetch, json_object, secret_fields
from smallpeck.payouts.rails.port import Forged, RailEvent, Unreadable

MAX_AGE_SECONDS = 26 * 3600
"""SNS repeats a delivery for hours, under the moment of the first; replays are told apart by their id."""
MAX_AHEAD_SECONDS = 300
MAX_CERTIFICATE_BYTES = 65_536
MAX_KEPT = 8
TIMEOUT = urllib3.Timeout(2.0, 3.0)

_HOST = re.compile(r"sns\.[a-z0-9-]{1,40}\.amazonaws\.com", re.ASCII)
_CERTIFICATE_PATH = re.compile(r"/SimpleNotificationService-[A-Za-z0-9]{1,64}\.pem", re.ASCII)
_OWN_NAME = re.compile(r"sns(?:[.-][a-z0-9.-]{1,60})?\.amazonaws\.com", re.ASCII)
_TOPIC = re.compile(r"arn:aws:sns:[a-z0-9-]{1,40}:[0-9]{12}:[A-Za-z0-9_-]{1,256}", re.ASCII)
_MESSAGE_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_KIND = re.compile(r"[A-Za-z][A-Za-z._]{0,59}", re.ASCII)
_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    **dict.fromkeys(
        ("SubscriptionConfirmation", "UnsubscribeConfirmation"),
        ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    ),
}
_OPTIONAL = "Subject"
_CONFIRMATION = "SubscriptionConfirmation"
_OK = 200


@dataclass(frozen=True)
class CircleEvents:
    """See `smallpeck.payouts.rails.port.EventReader`. Certificates are kept while the process lives."""

    topic_arn: str
    http: Http = field(repr=False)
    plain_host: str | None = None
    """A host and port that is spoken to without TLS, where the stage is local."""
    kept: dict[str, Certificate] = field(default_factory=dict, repr=False)

    def read(self, headers: Mapping[str, str], body: bytes, *, now_ms: int) -> RailEvent:
        """See `EventReader`; Unavailable where the certificate cannot be fetched, or a subscription not confirmed.

        A subscription to the right topic is confirmed here, and nothing else comes of it.
        """
        del headers
        message = json_object(body) or {}
        if any(not isinstance(value, str) for value in message.values()):
            raise Forged("this is not signed")
        names = _SIGNED.get(message.get("Type", ""), ())
        if not names or any(name not in message for name in names if name != _OPTIONAL):
            raise Forged("this is not signed")
        if message["TopicArn"] != self.topic_arn:
            raise Forged("this is of another topic")
        self._verify(message, "".join(f"{name}\n{message[name]}\n" for name in names if name in message), now_ms)
        if _MESSAGE_ID.fullmatch(message["MessageId"]) is None:
            raise Unreadable("the message has no id")
        if message["Type"] == _CONFIRMATION:
            self._confirm(message["SubscribeURL"])
        if message["Type"] != "Notification":
            return RailEvent(message["MessageId"], message["Type"])
        return _event(message["MessageId"], message["Message"])

    def _verify(self, message: Mapping[str, str], signed: str, now_ms: int) -> None:
        algorithm = {"1": SHA1(), "2": SHA256()}.get(message.get("SignatureVersion", ""))  # noqa: S303 - SNS's version 1
        if algorithm is None:
            raise Forged("this is signed in a way that is not taken")
        key = self._key(message.get("SigningCertURL", ""), now_ms)
        try:
            key.verify(b64decode(message.get("Signature", ""), validate=True), signed.encode(), PKCS1v15(), algorithm)
            age_ms = now_ms - from_rfc3339(message["Timestamp"])
        except (InvalidSignature, ValueError):
            raise Forged("the signature is not that of the sender") from None
        if not -MAX_AHEAD_SECONDS * 1000 <= age_ms <= MAX_AGE_SECONDS * 1000:
            raise Forged("this was not signed lately")

    def _key(self, url: str, now_ms: int) -> RSAPublicKey:
        certificate = self.kept.get(url) or self._fetched(url)
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        if len(names) != 1 or _OWN_NAME.fullmatch(str(names[0].value)) is None:
            raise Forged("the certificate is somebody else's")
        moment = datetime.fromtimestamp(now_ms / 1000, UTC)
        if not certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc:
            self.kept.pop(url, None)
            raise Forged("the certificate does not stand")
        key = certificate.public_key()
        if not isinstance(key, RSAPublicKey):
            raise Forged("the certificate holds no RSA key")
        if len(self.kept) < MAX_KEPT:
            self.kept[url] = certificate
        return key

    def _fetched(self, url: str) -> Certificate:
        if _CERTIFICATE_PATH.fullmatch(self._path_at_sender(url)) is None:
            raise Forged("the certificate is not at the sender's own address")
        got = fetch(self.http, "GET", url, headers={}, content=None, timeout=TIMEOUT, max_bytes=MAX_CERTIFICATE_BYTES)
        if isinstance(got, str) or got[0] != _OK:
            raise Unavailable("the sender's certificate cannot be had", retry_after_seconds=60)
        try:
            return load_pem_x509_certificate(got[1])
        except ValueError:
            raise Forged("there is no certificate at that address") from None

    def _confirm(self, url: str) -> None:
        path = self._path_at_sender(url)
        query = parse_qs(urlsplit(url).query)
        if (
            path not in {"", "/"}
            or query.get("Action") != ["ConfirmSubscription"]
            or query.get("TopicArn") != [self.topic_arn]
        ):
            raise Unreadable("this address confirms no subscription")
        got = fetch(self.http, "GET", url, headers={}, content=None, timeout=TIMEOUT, max_bytes=MAX_CERTIFICATE_BYTES)
        if isinstance(got, str) or got[0] != _OK:
            raise Unavailable("the subscription could not be confirmed", retry_after_seconds=60)

    def _path_at_sender(self, url: str) -> str:
        """The path of an address that is the sender's; raises Forged."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise Forged("an address in this cannot be read") from None
        theirs = parts.scheme == "https" and _HOST.fullmatch(parts.hostname or "") and port in {None, 443}
        plain = parts.scheme == "http" and self.plain_host is not None and parts.netloc == self.plain_host
        if not (theirs or plain) or "@" in parts.netloc or parts.fragment:
            raise Forged("an address in this is not the sender's own")
        return parts.path


def reader(*, secret: str, stage: str) -> CircleEvents:
    """`secret` is a JSON object with `topic_arn`, the topic that Circle announces; locally also `plain_host`."""
    (topic_arn,) = secret_fields(secret, "topic_arn")
    if _TOPIC.fullmatch(topic_arn) is None:
        raise BadProvider("a topic is arn:aws:sns:region:account:name")
    host = (json_object(secret.encode()) or {}).get("plain_host") if stage == STAGE_WITHOUT_TLS else None
    return CircleEvents(
        topic_arn, urllib3.PoolManager(maxsize=1, retries=False), host if isinstance(host, str) else None
    )


def _event(event_id: str, text: str) -> RailEvent:
    document = json_object(text.encode())
    if document is None:
        raise Unreadable("the message is no JSON object")
    kind = document.get("notificationType")
    if not isinstance(kind, str) or _KIND.fullmatch(kind) is None:
        raise Unreadable("the message is of no kind")
    payout = document.get("payout")
    circle_id = payout.get("id") if kind == "payouts" and isinstance(payout, dict) else None
    if kind == "payouts" and (not isinstance(circle_id, str) or _MESSAGE_ID.fullmatch(circle_id) is None):
        raise Unreadable("the message names no payout")
    return RailEvent(event_id, kind, follow=circle_id)
