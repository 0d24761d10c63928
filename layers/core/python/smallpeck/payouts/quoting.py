"""What a payout would come to, before it is asked for: nothing is reserved, and nothing promised but the fee."""

from dataclasses import dataclass

from smallpeck.kernel.money import format_amount
from smallpeck.ledger.accounts import worker_available
from smallpeck.ledger.service import Books, InsufficientFunds
from smallpeck.payouts import model
from smallpeck.payouts.service import (
    BelowThreshold,
    DestinationCoolingOff,
    NoDestination,
    PayoutRules,
    RailCurrency,
    RailUnknown,
    WorkerPayoutFacts,
    Workers,
    check_amount,
)

_DAY_MS = 86_400_000
_HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Missing:
    """Why the payout would be refused now: the code of the error, in words, and until when where that is known."""

    code: str
    detail: str
    until_ms: int | None = None


@dataclass(frozen=True)
class Quote:
    """A payout as it would be reserved. Arrival is estimated: the next scheduled run it could be in, and from there on
    what the rail states; None where there is no rail.
    """

    amount_micros: int
    fee_micros: int
    currency: str
    rail: str | None
    least_micros: int
    next_run_ms: int
    earliest_ms: int | None
    latest_ms: int | None
    missing: tuple[Missing, ...]

    @property
    def arrives_micros(self) -> int:
        """What reaches the worker."""
        return max(0, self.amount_micros - self.fee_micros)


def next_run_ms(now_ms: int, hour_utc: int) -> int:
    """When payout runs are scheduled next, after a moment."""
    today_ms = now_ms - now_ms % _DAY_MS + hour_utc * _HOUR_MS
    return today_ms if today_ms > now_ms else today_ms + _DAY_MS


def quote_payout(
    *,
    worker_id: str,
    amount_micros: int | None,
    currency: str,
    now_ms: int,
    hour_utc: int,
    rules: PayoutRules,
    workers: Workers,
    books: Books,
) -> Quote:
    """What a request for this payout would reserve, and all that it would be refused for.

    `amount_micros` None asks for all whole minor units; runs are scheduled at `hour_utc`. Raises Invalid.
    """
    check_amount(amount_micros, currency)
    account = worker_available(worker_id)
    balance = books.balances([account], currency)[account].balance_micros
    amount = model.payable_micros(balance, currency) if amount_micros is None else amount_micros
    facts = workers.payout_facts(worker_id)
    terms = rules.rails.get(facts.rail or "")
    ready_ms = now_ms + rules.cooling_off_left_seconds(facts, now_ms) * 1000
    run_ms = next_run_ms(ready_ms, hour_utc)
    return Quote(
        amount_micros=amount,
        fee_micros=0 if terms is None else terms.fee_in(currency),
        currency=currency,
        rail=facts.rail,
        least_micros=rules.least_micros(facts),
        next_run_ms=run_ms,
        earliest_ms=None if terms is None else run_ms + terms.delivers_from_seconds * 1000,
        latest_ms=None if terms is None else run_ms + terms.delivers_within_seconds * 1000,
        missing=tuple(_missing(facts, rules, amount, balance, currency, now_ms)),
    )


def _missing(
    facts: WorkerPayoutFacts, rules: PayoutRules, amount: int, balance: int, currency: str, now_ms: int
) -> list[Missing]:
    found = []
    if facts.destination_version is None or facts.rail is None:
        found.append(Missing(NoDestination.code, "say first where payouts go"))
    elif facts.rail not in rules.rails:
        found.append(Missing(RailUnknown.code, "payouts to this kind of destination are not possible at present"))
    elif not rules.rails[facts.rail].carries(currency):
        detail = f"payouts to this kind of destination are not possible in {currency}"
        found.append(Missing(RailCurrency.code, detail))
    left = rules.cooling_off_left_seconds(facts, now_ms)
    if left:
        until_ms = now_ms + left * 1000
        detail = "the payout destination was changed a short time ago"
        found.append(Missing(DestinationCoolingOff.code, detail, until_ms))
    least = rules.least_micros(facts)
    if amount < least:
        found.append(Missing(BelowThreshold.code, f"a payout is at least {format_amount(least, currency)} {currency}"))
    if amount > balance:
        found.append(Missing(InsufficientFunds.code, "there is not enough money for this"))
    return found
