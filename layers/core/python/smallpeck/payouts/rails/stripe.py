"""The `stripe` rail: Stripe Connect. One payout is one transfer to the worker's connected account.

The transfer's group is the payout's id, so a transfer whose answer was lost is found by listing. Stripe keeps a key for
a day, which is no longer than our margin: nothing is sent a second time, and what Stripe lists nothing of a day later
never arrived. A transfer is paid when it is made. The bank payout that follows from the connected account can fail long
after; then the transfers in it are reversed, all of each, and the money is the worker's again.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import stripe

from smallpeck.kernel.money import minor_unit_micros
from smallpeck.payouts.model import Answer, Fact
from smallpeck.payouts.rails.exchange import BadProvider, checked_address, secret_fields
from smallpeck.payouts.rails.port import Destination, News, Order, Unreadable
from smallpeck.payouts.rails.stripe_events import transfer_news

TIMEOUT_SECONDS = (3.0, 20.0)
PAGE = 100
REFUSALS = frozenset(
    {
        "account_closed", "account_invalid", "balance_insufficient", "insufficient_capabilities_for_transfer",
        "resource_missing", "transfers_not_allowed",
    }
)  # fmt: skip
"""What Stripe refuses a transfer for once it has looked at it; it answers the same to the same key from then on."""

T = TypeVar("T")


@dataclass(frozen=True)
class StripeRail:
    """One Stripe platform account."""

    client: stripe.StripeClient = field(repr=False)

    def pay(self, order: Order, destination: Destination) -> Answer:
        """See `smallpeck.payouts.rails.port.Rail`."""

        def create() -> Answer:
            transfer = self.client.v1.transfers.create(
                params={
                    "amount": order.amount_micros // minor_unit_micros(order.currency),
                    "currency": order.currency.lower(),
                    "destination": destination.address,
                    "transfer_group": order.payout_id,
                    "metadata": {"payout_id": order.payout_id, "run_id": order.run_id},
                },
                options={"idempotency_key": order.key},
            )
            return _answer(transfer.to_dict(), order)

        return _answered(create)

    def ask(self, order: Order) -> Answer:
        """See `smallpeck.payouts.rails.port.Rail`."""

        def look() -> Answer:
            if order.reference is not None:
                return _answer(self.client.v1.transfers.retrieve(order.reference).to_dict(), order)
            listed = self.client.v1.transfers.list(params={"transfer_group": order.payout_id, "limit": 2})
            if not listed.data:
                return Answer(Fact.NEVER_HEARD)
            return Answer(Fact.MISMATCH) if len(listed.data) > 1 else _answer(listed.data[0].to_dict(), order)

        answer = _answered(look)
        # A question is never refused a payment.
        return Answer(Fact.UNCLEAR, reason=answer.reason) if answer.fact is Fact.REFUSED else answer

    def totals(self, run_id: str) -> Mapping[str, int] | None:
        """None: transfers are not listed by run."""
        del run_id
        return None

    def follow(self, what: str) -> Sequence[News] | None:
        """See `smallpeck.payouts.rails.port.Following`: `what` is an account and a failed bank payout of it."""
        account, _, payout_id = what.partition("/")
        try:
            payout = self.client.v1.payouts.retrieve(payout_id, options={"stripe_account": account}).to_dict()
            if payout.get("status") != "failed":
                return []
            reason = _code(payout.get("failure_code")) or "bank_payout_failed"
            found = [self._taken_back(one, reason) for one in self._transfers_of(payout_id, account)]
        except (stripe.StripeError, Unreadable):
            return None
        return [news for news in found if news is not None]

    def _transfers_of(self, payout_id: str, account: str) -> list[str]:
        listed = self.client.v1.balance_transactions.list(
            params={"payout": payout_id, "limit": PAGE, "expand": ["data.source"]},
            options={"stripe_account": account},
        )
        sources = [transaction.to_dict().get("source") for transaction in listed.auto_paging_iter()]
        transfers = [source.get("source_transfer") for source in sources if isinstance(source, dict)]
        return list(dict.fromkeys(one for one in transfers if isinstance(one, str)))

    def _taken_back(self, transfer_id: str, reason: str) -> News | None:
        transfer = self.client.v1.transfers.retrieve(transfer_id)
        if "payout_id" not in (transfer.metadata or {}):
            return None
        if not transfer.amount_reversed:
            self.client.v1.transfers.reversals.create(
                transfer_id,
                params={"amount": transfer.amount, "metadata": {"reason": reason}},
                options={"idempotency_key": f"{transfer_id}-back"},
            )
            transfer = self.client.v1.transfers.retrieve(transfer_id)
        return transfer_news(transfer.to_dict(), None)


def connect(*, url: str, secret: str, stage: str) -> StripeRail:
    """Stripe at `url`. `secret` is a JSON object with api_key."""
    (api_key,) = secret_fields(secret, "api_key")
    if not api_key.startswith(("sk_", "rk_")):
        raise BadProvider("the key is no secret key of Stripe's")
    # It would log addresses of requests, which hold what accounts are called.
    logging.getLogger("stripe").setLevel(logging.ERROR)
    http = stripe.RequestsClient(timeout=TIMEOUT_SECONDS)
    addresses: Any = {"api": checked_address(url, stage)}
    return StripeRail(stripe.StripeClient(api_key, base_addresses=addresses, max_network_retries=0, http_client=http))


def _answered(act: Callable[[], Answer]) -> Answer:
    try:
        return act()
    except stripe.InvalidRequestError as error:
        code = _code(error.code)
        if code in REFUSALS:
            return Answer(Fact.REFUSED, reason=code)
        return Answer(Fact.UNCLEAR, reason=code or f"http_{error.http_status}")
    except stripe.APIConnectionError:
        return Answer(Fact.UNCLEAR, reason="no_answer")
    except stripe.StripeError as error:
        return Answer(Fact.UNCLEAR, reason=f"http_{error.http_status}" if error.http_status else "unreadable")


def _answer(transfer: Mapping[str, Any], order: Order) -> Answer:
    created = transfer.get("created")
    try:
        news = transfer_news(transfer, created * 1000 if isinstance(created, int) else None)
    except Unreadable:
        news = None
    if news is None or news.payout_id != order.payout_id:
        return Answer(Fact.UNCLEAR, reason="unreadable")
    if (news.amount_micros, news.currency) != (order.amount_micros, order.currency):
        return Answer(Fact.MISMATCH)
    return news.answer


def _code(value: object) -> str | None:
    return value if isinstance(value, str) and value.replace("_", "").isalnum() and len(value) <= 40 else None  # noqa: PLR2004 - a code's length
