"""A payout run: its own state, and what it needs from outside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Protocol

from smallpeck.kernel.clock import Clock
from smallpeck.kernel.errors import Conflict, NotFound
from smallpeck.kernel.ids import derived_id
from smallpeck.kernel.writes import Change, Create, Equals, Path, Ref, UnitOfWork, Value, ref
from smallpeck.ledger.service import Books
from smallpeck.payouts.model import Answer, Payout
from smallpeck.payouts.service import Payouts, RailTerms

MAX_MEMBERS = 10_000
CHUNK = 20
MAX_WAIT_SECONDS = 3600
MAX_ROUNDS = 10
CHUNKS_PER_ROUND = 200
"""With MAX_ROUNDS this keeps a full run's history well below the 25,000 events that a workflow may have."""
RUN_ROUTE = "POST /v1/operator/payout-runs"


class RunState(StrEnum):
    """Where a payout run stands."""

    COLLECTING = "collecting"
    """Payouts become members; nothing is sent."""
    SENDING = "sending"
    """The membership is frozen."""
    WAITING = "waiting"
    """Some members have no outcome yet; later runs ask about them too."""
    FINISHED = "finished"
    """Every member is settled, released or frozen."""


@dataclass(frozen=True)
class Tally:
    """How the members of a run stand. `paid` is what the rails were asked to pay for settled ones, by currency."""

    settled: int = 0
    released: int = 0
    frozen: int = 0
    unresolved: int = 0
    paid: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Waits:
    """How often a run asks about unknown outcomes before it ends, and how long it waits before the first time."""

    rounds: int = 8
    first_wait_seconds: int = 60

    def before(self, round_: int) -> int:
        """Seconds before round `round_` (from 0): doubling, up to an hour."""
        return int(min(self.first_wait_seconds * 2 ** min(round_, MAX_ROUNDS), MAX_WAIT_SECONDS))


@dataclass(frozen=True)
class Run:
    """One payout run. `reconciled` says whether the rails' own totals equal ours; None: not known."""

    run_id: str
    operator_id: str
    started_at_ms: int
    waits: Waits
    state: RunState = RunState.COLLECTING
    version: int = 1
    members: int = 0
    tally: Tally = Tally()
    reconciled: bool | None = None

    @property
    def chunks(self) -> int:
        """How many chunks the members make."""
        return -(-self.members // CHUNK)


@dataclass(frozen=True)
class Ending:
    """A run as it was counted, and the chunks with a member that has no outcome."""

    run: Run
    open_chunks: tuple[int, ...]

    def again(self, round_: int) -> bool:
        """Whether to ask once more after `round_` rounds."""
        return bool(self.open_chunks) and round_ < self.run.waits.rounds

    def to_ask(self, round_: int) -> list[int]:
        """The chunks of round `round_`: all open ones, or where they are too many, others each time."""
        start = round_ * CHUNKS_PER_ROUND % max(1, len(self.open_chunks))
        return list((self.open_chunks[start:] + self.open_chunks[:start])[:CHUNKS_PER_ROUND])


class RunNotFound(NotFound):
    """There is no such payout run."""

    code = "run_not_found"


class MembershipOpen(Conflict):
    """The run's membership is not frozen, so nothing may be sent."""

    code = "membership_open"


@dataclass(frozen=True)
class Order:
    """What a rail is asked to pay, but for where. `key` is the idempotency key of every send of it."""

    key: str
    payout_id: str
    run_id: str
    amount_micros: int
    currency: str


class Destination(Protocol):
    """Where a payout goes: personal data, never logged, never stored with a payout."""

    @property
    def rail(self) -> str: ...

    @property
    def address(self) -> str: ...


class Rail(Protocol):
    """A way for money to leave. Its methods answer UNCLEAR (or None) rather than raise where no answer came."""

    def pay(self, order: Order, destination: Destination) -> Answer:
        """Asks for the payment; the same key asks for the same payment again."""
        ...

    def ask(self, order: Order) -> Answer:
        """What became of the payment with the order's key; pays nothing."""
        ...

    def totals(self, run_id: str) -> Mapping[str, int] | None:
        """Micros paid for a run by currency, as the rail sees it; None where it did not say."""
        ...


class Destinations(Protocol):
    """Who knows where payouts go."""

    def at_version(self, worker_id: str, version: int, /) -> Destination | None:
        """The destination of a worker that had this version, or None where it is gone for good."""
        ...


class PayoutReads(Payouts, Protocol):
    """Reads of payouts and runs."""

    def payouts(self, payout_ids: Sequence[str]) -> Mapping[str, Payout]:
        """The payouts that exist, by id; consistent."""
        ...

    def payable(self, *, until_ms: int, after: str | None, limit: int) -> tuple[list[str], str | None]:
        """Payouts that no run has taken, requested up to `until_ms`, and where the next ones stand; may be stale."""
        ...

    def unresolved(self, *, until_ms: int, limit: int) -> list[str]:
        """Payouts in runs without an outcome, untouched since `until_ms`; may be stale."""
        ...

    def run(self, run_id: str) -> Run | None:
        """The run, or None; consistent."""
        ...

    def members(self, run_id: str, first: int, last: int) -> list[Payout]:
        """The payouts that are members `first` to `last` of a run, in order; consistent."""
        ...


class Signals(Protocol):
    """Where a person is called."""

    def alarm(self, name: str, subject: str) -> None:
        """Something stands still until a person looks at it; `subject` is an id."""
        ...


@dataclass(frozen=True)
class Ports:
    """What a payout run needs from outside."""

    payouts: PayoutReads
    books: Books
    unit: UnitOfWork
    rails: Mapping[str, Rail]
    terms: Mapping[str, RailTerms]
    destinations: Destinations
    clock: Clock
    signals: Signals


def run_id_of(operator_id: str, idempotency_key: str) -> str:
    """The id of the run that an operator starts under a key."""
    return derived_id("r_", operator_id, RUN_ROUTE, idempotency_key)


def run_ref(run_id: str) -> Ref:
    """The item of a run."""
    return ref("run", run_id)


def create_run(run: Run) -> Create:
    """The write of a new run."""
    return Create(run_ref(run.run_id), _fields(run))


def create_member(run_id: str, payout: Payout) -> Create:
    """The write that makes a payout member `payout.number` of a run."""
    if payout.number is None:
        raise ValueError("a member has a number")
    return Create(ref("run_member", run_id, payout.number), {"payout_id": payout.payout_id})


def next_run(run: Run, **changes: Any) -> Run:
    """The run after a change."""
    return replace(run, version=run.version + 1, **changes)


def change_run(before: Run, after: Run) -> Change:
    """The write from one state of a run to the next: it holds only while nobody else made another."""
    changed: dict[Path, Value] = dict(_fields(after).items())
    return Change(run_ref(after.run_id), set=changed, when=(Equals("version", before.version),))


def run_from(item: Mapping[str, Any]) -> Run:
    """The run of a stored item."""
    known = {one.name: item[one.name] for one in fields(Run) if one.name in item}
    return Run(
        **known | {"state": RunState(item["state"]), "waits": Waits(**item["waits"]), "tally": Tally(**item["tally"])}
    )


def _fields(run: Run) -> dict[str, Value]:
    flat: dict[str, Value] = {one.name: getattr(run, one.name) for one in fields(run)}
    waits = {"rounds": run.waits.rounds, "first_wait_seconds": run.waits.first_wait_seconds}
    tally: dict[str, Value] = {one.name: getattr(run.tally, one.name) for one in fields(run.tally)}
    return flat | {"waits": waits, "tally": tally}
