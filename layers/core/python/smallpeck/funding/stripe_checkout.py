"""Stripe Checkout: a page of Stripe's on which a requester pays a deposit.

The deposit's id goes with the session and with the payment, so that whatever Stripe says later can be found again.
Stripe keeps an idempotency key for a day; a session is opened within two hours of its deposit or never.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

import stripe

from smallpeck.funding.model import Fact
from smallpeck.funding.port import CheckoutOrder, CheckoutRefused, ProviderSilent, Session, UnreadableEvent
from smallpeck.funding.stripe_facts import SOURCE, identifier, session_fact
from smallpeck.kernel.money import minor_unit_micros

TIMEOUT_SECONDS = (3.0, 9.0)
STAGE_WITHOUT_TLS = "local"
PRODUCT = "Prepaid funds"

T = TypeVar("T")


class BadProvider(ValueError):
    """The provider's address or key cannot be used."""


@dataclass(frozen=True)
class StripeCheckouts:
    """See `smallpeck.funding.port.Checkouts`. `success_url` and `cancel_url` are where Stripe sends the payer then."""

    client: stripe.StripeClient = field(repr=False)
    success_url: str
    cancel_url: str
    source: str = SOURCE

    def open(self, order: CheckoutOrder) -> Session:
        """See `smallpeck.funding.port.Checkouts`."""
        named = {"deposit_id": order.deposit_id}
        params: Any = {
            "mode": "payment",
            "client_reference_id": order.deposit_id,
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {
                        "currency": order.currency.lower(),
                        "unit_amount": order.amount_micros // minor_unit_micros(order.currency),
                        "product_data": {"name": PRODUCT},
                    },
                }
            ],
            "metadata": named,
            "payment_intent_data": {"metadata": named},
            "expires_at": order.expires_at_ms // 1000,
            "success_url": self.success_url,
            "cancel_url": self.cancel_url,
        }

        def create() -> Session:
            made = self.client.v1.checkout.sessions.create(
                params=params, options={"idempotency_key": order.deposit_id}
            ).to_dict()
            url = made.get("url")
            if not isinstance(url, str):
                raise ProviderSilent("the provider's answer has no address to pay at")
            return Session(identifier(made, "id"), url)

        return _answered(create)

    def look(self, session_id: str) -> Fact | None:
        """See `smallpeck.funding.port.Checkouts`."""
        return _answered(lambda: session_fact(self.client.v1.checkout.sessions.retrieve(session_id).to_dict()))

    def deposit_of(self, payment_id: str) -> str | None:
        """See `smallpeck.funding.port.Checkouts`."""

        def look() -> str | None:
            try:
                found: Mapping[str, Any] = self.client.v1.payment_intents.retrieve(payment_id).to_dict()
            except stripe.InvalidRequestError as error:
                if error.code == "resource_missing":
                    return None
                raise
            metadata = found.get("metadata")
            return identifier(metadata, "deposit_id") if isinstance(metadata, dict) and metadata else None

        return _answered(look)


def connect(
    *, url: str, secret: str, success_url: str, cancel_url: str, stage: str, http: stripe.HTTPClient | None = None
) -> StripeCheckouts:
    """Stripe at `url`, with a key that may write Checkout Sessions and read PaymentIntents. Raises BadProvider."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and stage == STAGE_WITHOUT_TLS):
        raise BadProvider("a provider is spoken to over https")
    if not secret.isascii() or not secret.isprintable() or not secret.strip():
        raise BadProvider("the key cannot stand in a header")
    logging.getLogger("stripe").setLevel(logging.ERROR)  # it would log the addresses of requests
    client = stripe.StripeClient(
        secret.strip(),
        base_addresses={"api": url.rstrip("/")},
        max_network_retries=0,
        http_client=http or stripe.RequestsClient(timeout=TIMEOUT_SECONDS),
    )
    return StripeCheckouts(client, success_url, cancel_url)


def _answered(act: Callable[[], T]) -> T:
    """Only what was refused for what it asks is a refusal; whatever else is no answer."""
    try:
        return act()
    except stripe.IdempotencyError as error:
        raise ProviderSilent("the provider knows this checkout otherwise") from error
    except stripe.InvalidRequestError as error:
        if error.http_status == 400:  # noqa: PLR2004 - the status that Stripe refuses parameters with
            raise CheckoutRefused("the provider does not take this payment") from error
        raise ProviderSilent("the provider did not answer this") from error
    except (stripe.StripeError, UnreadableEvent) as error:
        raise ProviderSilent("the provider did not answer") from error
