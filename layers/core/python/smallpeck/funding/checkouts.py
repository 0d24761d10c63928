"""Prepaying by a provider's checkout: a deposit is recorded, then a page is opened where the requester pays it."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from smallpeck.funding import model
from smallpeck.funding.hearing import look_at
from smallpeck.funding.model import Deposit, DepositNotFound, DepositState
from smallpeck.funding.port import CheckoutOrder, CheckoutRefused, Checkouts, ProviderSilent
from smallpeck.funding.settling import FundingReads, Ports
from smallpeck.kernel.errors import Conflict, Forbidden, IdempotencyMismatch, Problem
from smallpeck.kernel.ids import content_hash, derived_id
from smallpeck.kernel.writes import UnitOfWork, WriteConflict

CHECKOUT_ROUTE = "POST /v1/requester/checkouts"
OPEN_SECONDS = 7_200
"""How long a requester may take to pay."""
OPEN_UNTIL_SECONDS = 1_920
"""Providers refuse a checkout that ends within half an hour, so none is opened from then on."""
MAX_MICROS = 999_999_990_000
"""What a card payment can be at most: eight digits of hundredths."""


class CheckoutsClosed(Forbidden):
    """The stage has no provider of checkouts."""

    code = "checkouts_closed"

    def __init__(self) -> None:
        super().__init__("there is no checkout here")


class CheckoutExpired(Conflict):
    """It took too long; nothing was paid. A new Idempotency-Key opens a new checkout."""

    code = "checkout_expired"

    def __init__(self) -> None:
        super().__init__("this checkout has expired; open a new one")


@dataclass(frozen=True)
class Opening:
    """What opening a checkout needs."""

    reads: FundingReads
    unit: UnitOfWork
    checkouts: Checkouts


def open_checkout(
    *, requester_id: str, amount_micros: int, currency: str, idempotency_key: str, now_ms: int, opening: Opening
) -> Deposit:
    """The deposit of this request with the page to pay it on, made now or before.

    The deposit is stored before the provider hears of it, and its id is the key under which it hears of it: it opens
    one page, however often it is asked. Raises CheckoutRefused, CheckoutExpired, IdempotencyMismatch, ProviderSilent.
    """
    if amount_micros > MAX_MICROS:
        detail = "this is more than one payment can be"
        raise CheckoutRefused(detail, problems=[Problem("/amount", detail)])
    deposit = Deposit(
        deposit_id=derived_id("d", requester_id, CHECKOUT_ROUTE, idempotency_key),
        requester_id=requester_id,
        source=opening.checkouts.source,
        currency=currency,
        amount_micros=amount_micros,
        request_hash=content_hash([amount_micros, currency]),
        created_at_ms=now_ms,
        expires_at_ms=(now_ms // 1000 + OPEN_SECONDS) * 1000,
    )
    try:
        opening.unit.commit([model.create(deposit)])
    except WriteConflict:
        known = opening.reads.deposit(deposit.deposit_id)
        if known is None or known.request_hash != deposit.request_hash:
            raise IdempotencyMismatch from None
        deposit = known
    if deposit.session_id is not None or deposit.state is not DepositState.CREATED:
        return deposit
    if now_ms > deposit.expires_at_ms - OPEN_UNTIL_SECONDS * 1000:
        raise CheckoutExpired
    order = CheckoutOrder(deposit.deposit_id, deposit.amount_micros, deposit.currency, deposit.expires_at_ms)
    session = opening.checkouts.open(order)
    opened = replace(deposit, session_id=session.session_id, url=session.url)
    with suppress(WriteConflict):  # the same request, sent twice, has stored the same page
        opening.unit.commit([model.change(deposit, opened)])
    return _own(opening.reads.deposit(deposit.deposit_id), requester_id)


def read_checkout(
    *, deposit_id: str, requester_id: str, now_ms: int, reads: FundingReads, ports: Callable[[], Ports]
) -> Deposit:
    """A requester's deposit. While nothing is known of it the provider is asked; its silence changes nothing."""
    deposit = _own(reads.deposit(deposit_id), requester_id)
    if deposit.is_watched:
        with suppress(ProviderSilent):
            return look_at(deposit, now_ms=now_ms, ports=ports(), wait_seconds=0)
    return deposit


def _own(deposit: Deposit | None, requester_id: str) -> Deposit:
    if deposit is None or deposit.requester_id != requester_id:
        raise DepositNotFound
    return deposit
