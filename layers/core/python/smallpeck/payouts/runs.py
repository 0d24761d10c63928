"""A payout run: its own state, and what it needs from outside."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Protocol

from smallpeck.kernel.clock import Clock
from smallpeck.kernel.errors import Conflict, NotFound
from smallpeck.kernel.ids import derived_id
from smallpeck.kernel.writes import Absent, Change, Create, Equals, Fields, Path, Present, Ref, UnitOfWork, Value, ref
from smallpeck.ledger.service import Books
from smallpeck.payouts.model import Payout
from smallpeck.payouts.rails.port import Destination, Parcel, ParcelRail, Rail, RailTerms
from smallpeck.payouts.service import Payouts

MAX_MEMBERS = 10_000
CHUNK = 20
MAX_WAIT_SECONDS = 3600
MAX_ROUNDS = 10
CHUNKS_PER_ROUND = 200
"""With MAX_ROUNDS this keeps a full run's history well below the 25,000 events that a workflow may have."""
_PARCEL_KEY = re.compile(r"(r_[0-9A-Z]{26})-([0-9]{1,6})", re.ASCII)
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
    returned: int = 0
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
    parcels: int = 0
    filling: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """While members are taken: rail and currency -> the number of the parcel that is being filled, and how many it
    holds.
    """

    @property
    def chunks(self) -> int:
        """How many chunks the members make."""
        return -(-self.members // CHUNK)


@dataclass(frozen=True)
class Ending:
    """A run as it was counted, and the chunks with a member that has no outcome."""

    run: Run
    open_chunks: tuple[int, ...]
    told: bool = False
    """Whether the rails of all that is open say by themselves what becomes of it."""

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
class Wait:
    """A workflow that waits until the rails have said what became of the run's payouts.

    `chunks` are those it waits for, `answered` those whose members all have an outcome; a chunk never loses one.
    """

    token: str | None
    chunks: frozenset[str]
    answered: frozenset[str]

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to wait for."""
        return self.token is not None and self.chunks <= self.answered


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

    def in_parcel(self, run_id: str, number: int) -> list[Payout]:
        """The payouts that go out with a parcel of a run, in order; consistent."""
        ...

    def parcel(self, run_id: str, number: int) -> Parcel | None:
        """A parcel that was sent, or is about to be; None before that; consistent."""
        ...

    def wait(self, run_id: str) -> Wait | None:
        """The wait of a run, or None where it never waited to be told; consistent."""
        ...


class Signals(Protocol):
    """Where a person is called."""

    def alarm(self, name: str, subject: str) -> None:
        """Something stands still until a person looks at it; `subject` is an id."""
        ...


@dataclass(frozen=True)
class RecordPorts:
    """What it takes to write down what a rail said."""

    payouts: PayoutReads
    books: Books
    unit: UnitOfWork
    clock: Clock
    signals: Signals


@dataclass(frozen=True, kw_only=True)
class Ports(RecordPorts):
    """What a payout run needs from outside. A rail is in `rails` or in `parcel_rails`, as its terms say."""

    rails: Mapping[str, Rail]
    parcel_rails: Mapping[str, ParcelRail] = field(default_factory=dict)
    terms: Mapping[str, RailTerms]
    destinations: Destinations


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
    fields: dict[str, Value] = {"payout_id": payout.payout_id}
    if payout.parcel is not None:
        fields["parcel"] = payout.parcel
    return Create(ref("run_member", run_id, payout.number), fields)


def place(run: Run, payout: Payout, terms: Mapping[str, RailTerms]) -> tuple[Run, int | None]:
    """The parcel of the run that a new member goes out with (None: it goes out by itself), and the run after that."""
    limit = terms[payout.rail].parcel_limit if payout.rail in terms else 0
    if not limit:
        return run, None
    name = f"{payout.rail}:{payout.currency}"
    number, held = run.filling.get(name, (run.parcels, 0))
    if held >= limit:
        number, held = run.parcels, 0
    parcels = max(run.parcels, number + 1)
    return replace(run, parcels=parcels, filling={**run.filling, name: (number, held + 1)}), number


def parcel_ref(run_id: str, number: int) -> Ref:
    """The item of a parcel."""
    return ref("parcel", run_id, number)


def create_parcel(parcel: Parcel) -> Create:
    """The write of a parcel that is about to be sent for the first time."""
    stored: Fields = {one.name: getattr(parcel, one.name) for one in fields(parcel) if one.name != "reference"}
    return Create(parcel_ref(parcel.run_id, parcel.number), stored)


def name_parcel(parcel: Parcel, reference: str) -> Change:
    """The write of what the rail calls a parcel; it holds while it has no name there."""
    when = (Present(), Absent("reference"))
    return Change(parcel_ref(parcel.run_id, parcel.number), set={"reference": reference}, when=when)


def parcel_from(item: Mapping[str, Any]) -> Parcel:
    """The parcel of a stored item."""
    return Parcel(**{one.name: item[one.name] for one in fields(Parcel) if one.name in item})


def parcel_key(run_id: str, number: int) -> str:
    """The key of every send of a parcel."""
    return f"{run_id}-{number}"


def parcel_of_key(key: str) -> tuple[str, int] | None:
    """The run and the number in a parcel's key; None where it is none."""
    found = _PARCEL_KEY.fullmatch(key)
    return None if found is None else (found[1], int(found[2]))


def wait_ref(run_id: str) -> Ref:
    """The item of a run's wait."""
    return ref("run_wait", run_id)


def wait_from(item: Mapping[str, Any]) -> Wait:
    """The wait of a stored item."""
    return Wait(item.get("token"), frozenset(item.get("chunks", ())), frozenset(item.get("answered", ())))


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
    filling: dict[str, Value] = {name: list(held) for name, held in run.filling.items()}
    return flat | {"waits": waits, "tally": tally, "filling": filling}
