"""Stripe's webhooks: who has signed them, and what they say.

The signature is HMAC-SHA256 over `time.body` with the endpoint's signing secret; a call signed more than five minutes
from now is refused. Two secrets stand while one is being replaced.
"""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from smallpeck.kernel.money import MINOR_UNIT_DECIMALS, minor_unit_micros
from smallpeck.payouts.model import Answer, Fact
from smallpeck.payouts.rails.exchange import BadProvider, json_object
from smallpeck.payouts.rails.port import Forged, News, RailEvent, Unreadable

HEADER = "stripe-signature"
TOLERANCE_SECONDS = 300
MAX_HEADER = 2_048

_ID = re.compile(r"[A-Za-z0-9_]{1,120}", re.ASCII)
_CODE = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)
_TIME = re.compile(r"[0-9]{1,12}", re.ASCII)


@dataclass(frozen=True)
class StripeEvents:
    """See `smallpeck.payouts.rails.port.EventReader`."""

    secrets: tuple[str, ...] = field(repr=False)

    def read(self, headers: Mapping[str, str], body: bytes, *, now_ms: int) -> RailEvent:
        """See `smallpeck.payouts.rails.port.EventReader`."""
        check_signature(headers.get(HEADER, ""), body, self.secrets, now_ms=now_ms)
        return _event(body)


def check_signature(header: str, body: bytes, secrets: tuple[str, ...], *, now_ms: int) -> None:
    """Raises Forged where none of `secrets` has signed the body within the last five minutes."""
    parts = [part.partition("=") for part in header[:MAX_HEADER].split(",")]
    times = [value for name, _, value in parts if name.strip() == "t"]
    given = [value for name, _, value in parts if name.strip() == "v1"]
    if len(header) > MAX_HEADER or len(times) != 1 or not _TIME.fullmatch(times[0]) or not given:
        raise Forged("this is not signed")
    signed = f"{times[0]}.".encode() + body
    expected = [hmac.new(secret.encode(), signed, sha256).hexdigest().encode() for secret in secrets]
    # Each with each, so that the time taken says nothing.
    fits = [hmac.compare_digest(one, other.encode()) for one in expected for other in given]
    if not any(fits):
        raise Forged("the signature is not that of the sender")
    if abs(now_ms - int(times[0]) * 1000) > TOLERANCE_SECONDS * 1000:
        raise Forged("this was signed too long ago")


def reader(*, secret: str, stage: str) -> StripeEvents:
    """`secret` is a JSON object with signing_secrets, a list of one or two."""
    del stage
    told = (json_object(secret.encode()) or {}).get("signing_secrets")
    secrets = tuple(one for one in told if isinstance(one, str) and one.isascii()) if isinstance(told, list) else ()
    if not 1 <= len(secrets) <= 2 or any(len(one) < 16 for one in secrets):  # noqa: PLR2004 - a secret's length
        raise BadProvider("the signing secrets of the webhook are missing")
    return StripeEvents(secrets)


def transfer_news(transfer: Mapping[str, Any], at_ms: int | None) -> News | None:
    """What a transfer of theirs says about the payout that it was made for; None where it is none of ours."""
    payout_id = _object(transfer.get("metadata")).get("payout_id")
    currency = str(transfer.get("currency")).upper()
    if not isinstance(payout_id, str) or not payout_id:
        return None
    amount, back = transfer.get("amount"), transfer.get("amount_reversed")
    if not isinstance(amount, int) or not isinstance(back, int) or currency not in MINOR_UNIT_DECIMALS:
        raise Unreadable("the transfer's amount cannot be read")
    found = transfer.get("id")
    reference = found if isinstance(found, str) and _ID.fullmatch(found) else None
    if not back:
        answer = Answer(Fact.PAID, reference=reference, at_ms=at_ms)
    elif back == amount:
        answer = Answer(Fact.RETURNED, reason=_reason(transfer), reference=reference, at_ms=at_ms)
    else:
        answer = Answer(Fact.MISMATCH, at_ms=at_ms)
    return News(payout_id, answer, amount * minor_unit_micros(currency), currency)


def _event(body: bytes) -> RailEvent:
    document = json_object(body)
    if document is None:
        raise Unreadable("the event is no JSON object")
    event_id, kind, created = (document.get(name) for name in ("id", "type", "created"))
    if not isinstance(event_id, str) or not _ID.fullmatch(event_id) or not isinstance(kind, str):
        raise Unreadable("the event has no id, or no type")
    told = _object(_object(document.get("data")).get("object"))
    if kind in ("transfer.created", "transfer.reversed"):
        if not isinstance(created, int):
            raise Unreadable("the event has no moment")
        news = transfer_news(told, created * 1000)
        return RailEvent(event_id, kind, () if news is None else (news,))
    if kind == "payout.failed":
        account, payout = document.get("account"), told.get("id")
        if isinstance(account, str) and _ID.fullmatch(account) and isinstance(payout, str) and _ID.fullmatch(payout):
            return RailEvent(event_id, kind, follow=f"{account}/{payout}")
    return RailEvent(event_id, kind)


def _reason(transfer: Mapping[str, Any]) -> str:
    made = _object(transfer.get("reversals")).get("data")
    for one in made if isinstance(made, list) else []:
        reason = _object(_object(one).get("metadata")).get("reason")
        if isinstance(reason, str) and _CODE.fullmatch(reason):
            return reason
    return "reversed"


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
