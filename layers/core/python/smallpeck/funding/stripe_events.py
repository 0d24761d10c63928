"""Stripe's webhooks: whether Stripe has signed them, and lately.

The library checks the signature (HMAC-SHA256 over `time.body`); that the time lies within five minutes of ours is
checked here, with our clock, and in both directions.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import stripe

from smallpeck.funding.port import ForgedEvent, FundingEvent, UnreadableEvent
from smallpeck.funding.stripe_facts import event_of

HEADER = "stripe-signature"
TOLERANCE_SECONDS = 300
MAX_HEADER = 2_048


@dataclass(frozen=True)
class StripeEvents:
    """See `smallpeck.funding.port.EventReader`. Two secrets stand while one is being replaced."""

    secrets: tuple[str, ...] = field(repr=False)

    def read(self, headers: Mapping[str, str], body: bytes, *, now_ms: int) -> FundingEvent:
        """See `smallpeck.funding.port.EventReader`."""
        header = headers.get(HEADER, "")
        try:
            text = body.decode()
        except UnicodeDecodeError as error:
            raise UnreadableEvent("the event is not UTF-8") from error
        signed_at_seconds = _signed_at(header)
        if not any(_has_signed(secret, text, header) for secret in self.secrets):
            raise ForgedEvent
        if abs(now_ms // 1000 - signed_at_seconds) > TOLERANCE_SECONDS:
            raise ForgedEvent
        return event_of(_document(text))


def reader(secret: str) -> StripeEvents:
    """`secret` is the endpoint's signing secret, or two of them with a blank between."""
    return StripeEvents(tuple(secret.split()))


def _has_signed(secret: str, text: str, header: str) -> bool:
    try:
        return bool(stripe.WebhookSignature.verify_header(text, header, secret, None))
    except stripe.SignatureVerificationError:
        return False


def _signed_at(header: str) -> int:
    """The moment that the signature is over, in seconds, read as the library reads it; raises ForgedEvent."""
    times = [part[2:] for part in header.split(",") if part.startswith("t=")]
    if len(header) > MAX_HEADER or not header.isascii() or len(times) != 1 or not times[0].isdecimal():
        raise ForgedEvent
    return int(times[0])


def _document(text: str) -> Mapping[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableEvent("the event is not JSON") from error
    if not isinstance(document, dict):
        raise UnreadableEvent("the event is no object")
    return document
