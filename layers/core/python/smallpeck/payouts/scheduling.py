"""Payouts that nobody asks for: once a day, for workers who want that, then payout runs for all that is payable.

Every id follows from the day of the schedule, so a day may be worked through any number of times, after any crash and
beside itself: each worker is asked for once in each currency, and the same runs are started.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from smallpeck.kernel.clock import Clock, from_rfc3339, to_rfc3339
from smallpeck.kernel.errors import Invalid
from smallpeck.kernel.money import MINOR_UNIT_DECIMALS
from smallpeck.kernel.writes import UnitOfWork
from smallpeck.ledger.accounts import worker_available
from smallpeck.ledger.service import Books, InsufficientFunds
from smallpeck.payouts.running import Workflow, start_run
from smallpeck.payouts.runs import MAX_MEMBERS, PayoutReads, Run, Waits
from smallpeck.payouts.service import (
    BelowThreshold,
    DestinationCoolingOff,
    NoDestination,
    PayoutRules,
    RailCurrency,
    RailUnknown,
    Workers,
    request_payout,
)

ROUTE = "schedule payout_schedule"
OPERATOR = "payout-schedule"
WORKERS_AT_ONCE = 1_000
"""With its requests one step ends well within a function's life, and a million workers within a workflow's history."""
MAX_RUNS = 20
_BALANCES_AT_ONCE = 100
_PAYABLE_AT_ONCE = 5_000

# Why a worker is left for another day.
_NOT_NOW = (BelowThreshold, NoDestination, DestinationCoolingOff, RailUnknown, RailCurrency, InsufficientFunds)


class AutomaticWorkers(Protocol):
    """Who knows the workers that are paid out without asking."""

    def automatic(self, *, after: str | None, limit: int) -> tuple[list[str], str | None]:
        """Some of them, and where the next ones stand; may be stale."""
        ...


@dataclass(frozen=True)
class SchedulePorts:
    """What the schedule needs from outside."""

    automatic: AutomaticWorkers
    workers: Workers
    rules: PayoutRules
    payouts: PayoutReads
    books: Books
    unit: UnitOfWork
    clock: Clock
    workflow: Workflow


@dataclass(frozen=True)
class Requested:
    """Where the list of workers goes on (None at its end), and how many payouts this step has asked for."""

    after: str | None
    payouts: int


def day_of(scheduled_at: str) -> str:
    """The day (UTC) that the schedule runs for, as "2026-11-22"; raises Invalid where it is no moment."""
    try:
        return to_rfc3339(from_rfc3339(scheduled_at))[:10]
    except (ValueError, OverflowError) as error:
        raise Invalid("scheduled_at is no moment such as 2026-11-22T06:00:00Z") from error


def request_due(*, day: str, after: str | None, ports: SchedulePorts) -> Requested:
    """Asks for the payouts of some of the workers whose balance reaches their threshold, in every currency.

    One worker who cannot be paid holds up no other of them; the first error is raised after all were tried.
    """
    workers, following = ports.automatic.automatic(after=after, limit=WORKERS_AT_ONCE)
    requested = 0
    errors: list[Exception] = []
    for worker_id, currency in _candidates(workers, ports):
        try:
            requested += _request(worker_id, currency, day, ports)
        except Exception as error:  # noqa: BLE001 - raised again below
            errors.append(error)
    if errors:
        raise errors[0]
    return Requested(following, requested)


def start_runs(*, day: str, ports: SchedulePorts) -> list[Run]:
    """Starts the day's payout runs: one, and more where more is payable than one run can take."""
    return [
        start_run(
            operator_id=OPERATOR,
            idempotency_key=f"{day}/{number}",
            waits=Waits(),
            now_ms=ports.clock.now_ms(),
            payouts=ports.payouts,
            unit=ports.unit,
            workflow=ports.workflow,
        )
        for number in range(max(1, -(-_payable(ports) // MAX_MEMBERS)))
    ]


def _payable(ports: SchedulePorts) -> int:
    """How many payouts wait for a run, as far as MAX_RUNS can take them."""
    until_ms, count = ports.clock.now_ms(), 0
    after: str | None = None
    while True:
        listed, after = ports.payouts.payable(until_ms=until_ms, after=after, limit=_PAYABLE_AT_ONCE)
        count += len(listed)
        if after is None or count >= MAX_RUNS * MAX_MEMBERS:
            return min(count, MAX_RUNS * MAX_MEMBERS)


def _candidates(workers: list[str], ports: SchedulePorts) -> Iterator[tuple[str, str]]:
    """(worker, currency) of every balance that reaches the platform's threshold; a worker's own is looked at later."""
    for first in range(0, len(workers), _BALANCES_AT_ONCE):
        accounts = {worker_available(one): one for one in workers[first : first + _BALANCES_AT_ONCE]}
        for currency in sorted(MINOR_UNIT_DECIMALS):
            balances = ports.books.balances(list(accounts), currency)
            for account, worker_id in accounts.items():
                if balances[account].balance_micros >= ports.rules.threshold_micros:
                    yield worker_id, currency


def _request(worker_id: str, currency: str, day: str, ports: SchedulePorts) -> int:
    if not ports.workers.payout_facts(worker_id).automatic:
        return 0  # switched off a moment ago
    try:
        request_payout(
            worker_id=worker_id,
            amount_micros=None,
            currency=currency,
            idempotency_key=f"{day}/{currency}",
            now_ms=ports.clock.now_ms(),
            rules=ports.rules,
            payouts=ports.payouts,
            workers=ports.workers,
            books=ports.books,
            unit=ports.unit,
            route=ROUTE,
        )
    except _NOT_NOW:
        return 0
    return 1
