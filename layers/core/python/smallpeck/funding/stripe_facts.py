"""What Stripe's objects say about a payment, as facts. Amounts of theirs are whole minor units."""

from collections.abc import Mapping
from typing import Any

from smallpeck.funding.model import Disputed, DisputeState, Fact, NotPaid, Paid, Refunded
from smallpeck.funding.port import FundingEvent, UnreadableEvent
from smallpeck.kernel.ids import is_id
from smallpeck.kernel.money import MAX_AMOUNT_MICROS, MINOR_UNIT_DECIMALS, minor_unit_micros

SOURCE = "stripe"
_DECIDED = {"won": DisputeState.WON, "lost": DisputeState.LOST}


def identifier(document: Mapping[str, Any], name: str) -> str:
    """An id of theirs; raises UnreadableEvent where there is none."""
    value = document.get(name)
    if not isinstance(value, str) or not is_id(value):
        raise UnreadableEvent(f"there is no {name}")
    return value


def session_fact(session: Mapping[str, Any]) -> Fact | None:
    """What a Checkout Session says; None while it may still be paid. Raises UnreadableEvent."""
    if session.get("payment_status") == "paid":
        return Paid(_payment(session), *_money(session, "amount_total"))
    return NotPaid("expired") if session.get("status") == "expired" else None


def event_of(document: Mapping[str, Any]) -> FundingEvent:
    """An event; raises UnreadableEvent where it has no id or no type. What cannot be entered is held."""
    event_id, kind = identifier(document, "id"), document.get("type")
    data = document.get("data")
    told = data.get("object") if isinstance(data, dict) else None
    if not isinstance(kind, str) or len(kind) > 100 or not isinstance(told, dict):  # noqa: PLR2004 - the length of a name
        raise UnreadableEvent("the event has no type, or says nothing")
    try:
        return FundingEvent(SOURCE, event_id, kind, _fact(kind, told), _deposit_id(kind, told))
    except UnreadableEvent:
        return FundingEvent(SOURCE, event_id, kind, is_held=True)


def _fact(kind: str, told: Mapping[str, Any]) -> Fact | None:
    match kind:
        case "checkout.session.completed" | "checkout.session.async_payment_succeeded":
            return session_fact(told)
        case "checkout.session.async_payment_failed":
            return NotPaid("payment_failed")
        case "checkout.session.expired":
            return NotPaid("expired")
        case "charge.dispute.created" | "charge.dispute.funds_withdrawn" | "charge.dispute.closed":
            return _dispute(kind, told)
        case "charge.refunded":
            return Refunded(_payment(told), *_money(told, "amount_refunded"))
        case _:
            return None


def _dispute(kind: str, told: Mapping[str, Any]) -> Disputed | None:
    status = told.get("status")
    if isinstance(status, str) and status.startswith("warning_"):
        return None  # an inquiry: nothing has been taken
    decided = _DECIDED.get(str(status)) if kind == "charge.dispute.closed" else None
    if kind == "charge.dispute.closed" and decided is None:
        raise UnreadableEvent("a dispute was closed, and not how")
    return Disputed(_payment(told), identifier(told, "id"), *_money(told, "amount"), decided)


def _deposit_id(kind: str, told: Mapping[str, Any]) -> str | None:
    metadata = told.get("metadata")
    named = metadata.get("deposit_id") if isinstance(metadata, dict) else None
    found = told.get("client_reference_id") or named if kind.startswith("checkout.session.") else named
    return found if isinstance(found, str) and is_id(found) else None


def _payment(told: Mapping[str, Any]) -> str:
    return identifier(told, "payment_intent")


def _money(told: Mapping[str, Any], name: str) -> tuple[int, str]:
    amount, currency = told.get(name), str(told.get("currency")).upper()
    if isinstance(amount, bool) or not isinstance(amount, int) or currency not in MINOR_UNIT_DECIMALS:
        raise UnreadableEvent("the amount cannot be read")
    micros = amount * minor_unit_micros(currency)
    if not 0 < micros <= MAX_AMOUNT_MICROS:
        raise UnreadableEvent("the amount cannot be")
    return micros, currency
