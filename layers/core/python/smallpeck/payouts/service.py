"""A worker asks for money: reserve it and remember the request, in one transaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from smallpeck.kernel.errors import Conflict, Forbidden, IdempotencyMismatch, Invalid, NotFound, Problem, Unavailable
from smallpeck.kernel.money import MAX_AMOUNT_MICROS, format_amount, whole_minor_units
from smallpeck.kernel.writes import Contention, UnitOfWork
from smallpeck.ledger.accounts import platform_revenue, rail_cash, rail_clearing, worker_available
from smallpeck.ledger.posting import Entry, EntryKind, Posting
from smallpeck.ledger.service import Books, EntryMismatch, InsufficientFunds, Posted, post
from smallpeck.payouts import model
from smallpeck.payouts.model import Payout, PayoutState
from smallpeck.payouts.rails.port import RailTerms

REQUEST_ATTEMPTS = 10


class BelowThreshold(Conflict):
    """Less than the least amount of a payout."""

    code = "below_threshold"


class NoDestination(Conflict):
    """The worker has not said where payouts go."""

    code = "no_destination"


class DestinationCoolingOff(Forbidden):
    """The destination was changed too short a time ago."""

    code = "destination_cooling_off"


class PayoutNotFound(NotFound):
    """There is no such payout, or it is another worker's."""

    code = "payout_not_found"

    def __init__(self) -> None:
        super().__init__("there is no such payout")


class RailUnknown(Unavailable):
    """The destination names a rail that this installation does not have."""

    code = "rail_unknown"


class RailCurrency(Conflict):
    """The rail of the destination does not carry this currency."""

    code = "rail_currency"


@dataclass(frozen=True)
class WorkerPayoutFacts:
    """What a payout needs to know of a worker. The destination is named by its version; None: there is none."""

    threshold_micros: int | None
    destination_version: int | None
    rail: str | None
    destination_changed_at_ms: int | None
    """When the destination was last changed; None while it is the first."""
    automatic: bool = False
    """Whether the worker is paid out without asking."""


class Workers(Protocol):
    """Who knows the workers."""

    def payout_facts(self, worker_id: str) -> WorkerPayoutFacts:
        """The present facts of a worker; consistent."""
        ...


class Payouts(Protocol):
    """Reads of payouts that a request needs."""

    def payout(self, payout_id: str) -> Payout | None:
        """The payout, or None; consistent."""
        ...


@dataclass(frozen=True)
class PayoutRules:
    """The platform's rules and its rails."""

    threshold_micros: int
    cooling_off_seconds: int
    rails: Mapping[str, RailTerms]

    def least_micros(self, facts: WorkerPayoutFacts) -> int:
        """The least that this worker can be paid out."""
        terms = self.rails.get(facts.rail or "")
        minimum_micros = 0 if terms is None else terms.minimum_micros
        return model.effective_threshold(self.threshold_micros, facts.threshold_micros, minimum_micros)

    def cooling_off_left_seconds(self, facts: WorkerPayoutFacts, now_ms: int) -> int:
        """Seconds until the worker's destination may be used; 0 where it may."""
        return model.cooling_off_left_seconds(facts.destination_changed_at_ms, self.cooling_off_seconds, now_ms)


def request_payout(
    *,
    worker_id: str,
    amount_micros: int | None,
    currency: str,
    idempotency_key: str,
    now_ms: int,
    rules: PayoutRules,
    payouts: Payouts,
    workers: Workers,
    books: Books,
    unit: UnitOfWork,
    route: str = model.REQUEST_ROUTE,
) -> Payout:
    """The payout of this request, reserved now or before. `amount_micros` None asks for all whole minor units.

    Keys belong to their `route`: nobody takes the key of another way of asking. Raises IdempotencyMismatch,
    BelowThreshold, NoDestination, RailUnknown, RailCurrency, DestinationCoolingOff, InsufficientFunds.
    """
    check_amount(amount_micros, currency)
    payout_id = model.payout_id(worker_id, idempotency_key, route)
    asked = model.request_hash(amount_micros, currency)
    for _ in range(REQUEST_ATTEMPTS):
        stored = payouts.payout(payout_id)
        if stored is not None:
            return _replayed(stored, asked)
        available = worker_available(worker_id)
        balance = books.balances([available], currency)[available].balance_micros
        wanted = model.payable_micros(balance, currency) if amount_micros is None else amount_micros
        try:
            payout = _allowed(
                worker_id=worker_id,
                payout_id=payout_id,
                asked=asked,
                amount_micros=wanted,
                currency=currency,
                facts=workers.payout_facts(worker_id),
                rules=rules,
                now_ms=now_ms,
            )
        except BelowThreshold:
            # The same request may have run at the same time and be what emptied the balance.
            if payouts.payout(payout_id) is None:
                raise
            continue
        try:
            posted = post(entry=reserve_entry(payout), alongside=[model.create(payout)], books=books, unit=unit)
        except InsufficientFunds:
            # The balance fell meanwhile: what is all of it now is asked for again; a fixed sum is not.
            if amount_micros is not None:
                raise
            continue
        except EntryMismatch:
            # The same request ran at the same time and saw another balance: its payout is the answer.
            continue
        if posted is Posted.NOW:
            return payout
    raise Contention("the account is busy; try again")


def owned_payout(*, worker_id: str, payout_id: str, payouts: Payouts) -> Payout:
    """A worker's payout; another's is as absent as one that never was."""
    payout = payouts.payout(payout_id)
    if payout is None or payout.worker_id != worker_id:
        raise PayoutNotFound
    return payout


def reserve_entry(payout: Payout) -> Entry:
    """The amount leaves the balance and waits for the rail."""
    posting = Posting(worker_available(payout.worker_id), rail_clearing(payout.rail), payout.amount_micros)
    return _entry(payout, "reserve", EntryKind.PAYOUT_RESERVE, [posting], payout.requested_at_ms)


def settle_entry(payout: Payout, *, now_ms: int) -> Entry:
    """The rail paid: the money has left, the fee is the platform's."""
    clearing = rail_clearing(payout.rail)
    postings = [Posting(clearing, rail_cash(payout.rail), payout.sent_micros)]
    if payout.fee_micros:
        postings.append(Posting(clearing, platform_revenue(), payout.fee_micros))
    return _entry(payout, "settle", EntryKind.PAYOUT_SETTLE, postings, now_ms)


def release_entry(payout: Payout, *, now_ms: int) -> Entry:
    """The rail did not pay: the whole amount is the worker's again."""
    posting = Posting(rail_clearing(payout.rail), worker_available(payout.worker_id), payout.amount_micros)
    return _entry(payout, "release", EntryKind.PAYOUT_RELEASE, [posting], now_ms)


def return_entry(payout: Payout, *, now_ms: int) -> Entry:
    """The money came back: the whole amount is the worker's again. `payout` is as it was before that."""
    worker = worker_available(payout.worker_id)
    if payout.state is PayoutState.SETTLED:
        postings = [Posting(rail_cash(payout.rail), worker, payout.sent_micros)]
        if payout.fee_micros:
            postings.append(Posting(platform_revenue(), worker, payout.fee_micros))
    else:
        postings = [Posting(rail_clearing(payout.rail), worker, payout.amount_micros)]
    return _entry(payout, "return", EntryKind.PAYOUT_RELEASE, postings, now_ms)


def _entry(payout: Payout, what: str, kind: EntryKind, postings: list[Posting], now_ms: int) -> Entry:
    return Entry(
        entry_id=f"{payout.payout_id}/{what}",
        kind=kind,
        currency=payout.currency,
        reference=payout.payout_id,
        postings=tuple(postings),
        at_ms=now_ms,
    )


def check_amount(amount_micros: int | None, currency: str) -> None:
    """Raises Invalid where no payout can have this amount."""
    whole = whole_minor_units(amount_micros or 0, currency)
    if amount_micros is not None and not (0 < amount_micros == whole <= MAX_AMOUNT_MICROS):
        problem = Problem("/amount", "an amount above zero in whole minor units")
        raise Invalid("the amount cannot be paid out", problems=[problem])


def _replayed(stored: Payout, asked: str) -> Payout:
    if stored.request_hash != asked:
        raise IdempotencyMismatch
    return stored


def _allowed(
    *,
    worker_id: str,
    payout_id: str,
    asked: str,
    amount_micros: int,
    currency: str,
    facts: WorkerPayoutFacts,
    rules: PayoutRules,
    now_ms: int,
) -> Payout:
    if facts.destination_version is None or facts.rail is None:
        raise NoDestination("say first where payouts go")
    if facts.rail not in rules.rails:
        raise RailUnknown("payouts to this kind of destination are not possible at present")
    if not rules.rails[facts.rail].carries(currency):
        raise RailCurrency(f"payouts to this kind of destination are not possible in {currency}")
    left = rules.cooling_off_left_seconds(facts, now_ms)
    if left:
        raise DestinationCoolingOff("the payout destination was changed a short time ago", retry_after_seconds=left)
    least = rules.least_micros(facts)
    if amount_micros < least:
        raise BelowThreshold(f"a payout is at least {format_amount(least, currency)} {currency}")
    return Payout(
        payout_id=payout_id,
        worker_id=worker_id,
        rail=facts.rail,
        destination_version=facts.destination_version,
        currency=currency,
        amount_micros=amount_micros,
        fee_micros=rules.rails[facts.rail].fee_in(currency),
        request_hash=asked,
        requested_at_ms=now_ms,
        touched_at_ms=now_ms,
    )
