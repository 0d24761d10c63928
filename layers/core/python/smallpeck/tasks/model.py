"""Batches and tasks: their states, and every decision about them as a pure function of state, fact and time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from smallpeck.consensus.method import NOTHING_KNOWN, Budget, SkillCounts
from smallpeck.kernel.errors import Conflict, NotFound
from smallpeck.kernel.ids import spread
from smallpeck.kernel.writes import Ref, ref

MAX_PAGE_SIZE = 50
MAX_OPEN_PAGES = 2
MAX_ANSWER_BYTES = 3_072  # a hundred of them, with who gave them, fit the 400 KB of a task's item
MAX_PAGE_BYTES = 240_000
MAX_ANSWERS_PER_TASK = 100
MAX_SHARDS = 16
TASKS_PER_SHARD = 2_000
CONTROL_RANKS = 10**8 - 1
CONTROL = "control"


class BatchState(StrEnum):
    """draft -> importing -> ready -> active <-> paused -> closing -> closed | cancelled."""

    DRAFT = "draft"
    """Described, without tasks."""
    IMPORTING = "importing"
    """A file is being read; a file that cannot be read puts the batch back to draft."""
    READY = "ready"
    """Tasks stand; nothing is paid or offered yet."""
    ACTIVE = "active"
    """Paid for and offered to workers."""
    PAUSED = "paused"
    """Paid for, but offered to nobody; what is leased can be submitted."""
    CLOSING = "closing"
    """Offers no more work; waits for open leases and undecided pages."""
    CLOSED = "closed"
    """Results are published and what was not spent is refunded."""
    CANCELLED = "cancelled"
    """Stopped by the requester; what was answered before is paid and published."""


class Review(StrEnum):
    """Who decides on answers, and when."""

    INSTANT = "instant"
    """Approved as soon as validation has passed; final."""
    DEADLINE = "deadline"
    """The requester may decide for some time; what is undecided then is approved."""
    MANUAL = "manual"
    """The requester decides; nobody goes unpaid for it: what is undecided after thirty days is approved."""


class BatchNotFound(NotFound):
    """There is no such batch, or it is another requester's."""

    code = "batch_not_found"

    def __init__(self) -> None:
        super().__init__("there is no such batch")


PAUSED_FOR_FUNDS = "funds_frozen"
"""The requester's funds are frozen (`smallpeck.ledger.freezing`)."""

PUBLISHED = frozenset({BatchState.ACTIVE, BatchState.PAUSED})
"""States in which a batch is paid for and its requester may still change its course."""


class TaskNotFound(NotFound):
    """The batch has no such task."""

    code = "task_not_found"

    def __init__(self) -> None:
        super().__init__("there is no such task in this batch")


class BatchClosed(Conflict):
    """The batch offers no work (any more)."""

    code = "batch_not_active"


class WrongBatchState(Conflict):
    """The batch is not in a state in which this can be done."""

    code = "wrong_batch_state"


@dataclass(frozen=True)
class Batch:
    """What a requester publishes. `task_schema` and `answer_schema` are JSON Schema 2020-12 as JSON text.

    A task closes with `max_answers` answers, or from `min_answers` on as soon as its result is sure enough: `consensus`
    says how answers become a result (settings of `smallpeck.consensus.method.method_of`, as JSON text), `target_ppm`
    how sure it has to be (None: as the method has it). `control_count` of the tasks are control tasks: `control_column`
    names where in the uploaded file their known answers stand, and `shuffle_key`, which nobody is told, hides which
    they are (`smallpeck.tasks.shuffling`).
    `price_micros` = `reward_micros` + `fee_micros`, for each answer. `rubric` are the published clauses that a
    rejection must name; without any, nothing can be rejected. `expected_seconds` is how long the requester thinks that
    an answer takes; `median_seconds` how long it does take, as `smallpeck.tasks.sweeping` has measured it last.
    """

    batch_id: str
    requester_id: str
    title: str
    instructions: str
    kind: str
    currency: str
    price_micros: int
    reward_micros: int
    fee_micros: int
    min_answers: int
    max_answers: int
    page_size: int
    lease_seconds: int
    task_schema: str
    answer_schema: str
    named: bool
    countries: frozenset[str]
    languages: frozenset[str]
    deadline_ms: int
    created_at_ms: int
    request_hash: str
    review: Review = Review.INSTANT
    review_seconds: int = 0
    rubric: tuple[str, ...] = ()
    expected_seconds: int | None = None
    state: BatchState = BatchState.DRAFT
    task_count: int = 0
    shards: int = 1
    escrow_shards: int = 1
    largest_input_bytes: int = 0
    final: BatchState | None = None
    published_at_ms: int | None = None
    closed_at_ms: int | None = None
    extensions: int = 0
    median_seconds: float | None = None
    measured_at_ms: int | None = None
    consensus: str = '{"method":"plurality"}'
    target_ppm: int | None = None
    control_count: int = 0
    control_column: str | None = None
    shuffle_key: str | None = None
    paused_for: str | None = None
    """Why the platform has paused it (`PAUSED_FOR_FUNDS`); None where its requester has."""

    @property
    def budget(self) -> Budget:
        """How many answers a task takes, and how sure its result has to be."""
        return Budget(self.min_answers, self.max_answers, self.target_ppm)

    @property
    def answers_paid_for(self) -> int:
        """How many answers the escrow of the whole batch pays."""
        return self.task_count * self.max_answers

    @property
    def cost_micros(self) -> int:
        """What publishing takes from the requester."""
        return self.answers_paid_for * self.price_micros

    @property
    def page_bytes(self) -> int:
        """The most that one page can weigh: its inputs and the answers to them."""
        return self.page_size * (self.largest_input_bytes + MAX_ANSWER_BYTES)

    def place(self, ordinal: int) -> tuple[int, int]:
        """(shard, position) of a task."""
        return ordinal % self.shards, ordinal // self.shards

    def shard_size(self, shard: int) -> int:
        """How many tasks stand in a shard."""
        return (self.task_count - shard + self.shards - 1) // self.shards


def shards_for(task_count: int) -> int:
    """Over how many partitions the tasks of a batch are spread."""
    return min(MAX_SHARDS, max(1, task_count // TASKS_PER_SHARD + 1))


def escrow_shards_for(batch: Batch, most: int) -> int:
    """Over how many accounts the escrow is spread: enough for busy batches, few enough to hold twenty pages each."""
    return min(most, max(1, batch.answers_paid_for // (20 * batch.page_size)))


@dataclass(frozen=True)
class WorkerFacts:
    """What decides whether a worker may do a batch."""

    worker_id: str
    country: str | None = None
    languages: frozenset[str] = frozenset()


def may_do(worker: WorkerFacts, batch: Batch) -> bool:
    """Whether the batch's requirements let this worker in. Nobody works for themselves."""
    return (
        worker.worker_id != batch.requester_id
        and (not batch.countries or worker.country in batch.countries)
        and (not batch.languages or bool(batch.languages & worker.languages))
    )


class TaskStatus(StrEnum):
    """Whether a task takes answers."""

    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True)
class Holder:
    """Who sits on a seat without having answered: the page that leased it, and until when."""

    page_id: str
    expires_at_ms: int


@dataclass(frozen=True)
class Vote:
    """One worker's answer to a task, as canonical JSON text, and the page it came with.

    `accuracy_ppm` is how often the worker was last believed to be right; `credit` what the answer says about that.
    """

    page_id: str
    answer: str
    accepted_at_ms: int
    accuracy_ppm: int = 0
    credit: SkillCounts = NOTHING_KNOWN


@dataclass(frozen=True)
class Result:
    """What a task's answers amount to. `answer` is canonical JSON text; None where nobody answered.

    `parts_ppm` are the confidences of the answer's parts, where it has any (`smallpeck.consensus.method.Decision`).
    """

    answer: str | None
    confidence_ppm: int
    tied: bool
    parts_ppm: tuple[int, ...] = ()


@dataclass(frozen=True)
class Task:
    """The state of one unit of work: the only authority on its seats.

    `version` counts votes and closings; `wanted` says that the task stands in the index of those that want an answer.
    `disputed` says how it closed: its answers were tied, or too few of them agreed. `closing_credit` is what closing it
    said about all its workers together. `gold` is the known answer of a control task, as canonical JSON text.
    """

    batch_id: str
    task_id: str
    ordinal: int
    status: TaskStatus = TaskStatus.OPEN
    seats_taken: int = 0
    version: int = 0
    holders: Mapping[str, Holder] = field(default_factory=dict)
    votes: Mapping[str, Vote] = field(default_factory=dict)
    refused_by: frozenset[str] = frozenset()
    wanted: bool = False
    result: Result | None = None
    closed_by: str | None = None
    disputed: bool = False
    closing_credit: SkillCounts = NOTHING_KNOWN
    gold: str | None = None

    @property
    def is_control(self) -> bool:
        """Whether its answer is known."""
        return self.gold is not None

    @property
    def shown_status(self) -> str:
        """The status as its requester is told it."""
        return CONTROL if self.is_control else self.status

    def asks(self, batch: Batch) -> bool:
        """Whether the task asks for another worker.

        Up to `min_answers` always; beyond that one at a time, because the answer that is being given may settle it.
        No answer settles a control task: it takes as many as are paid for.
        """
        at_once = batch.max_answers if self.is_control else batch.min_answers
        return self.status is TaskStatus.OPEN and (
            self.seats_taken < at_once or (self.seats_taken < batch.max_answers and not self.holders)
        )

    def offers_seat_to(self, worker_id: str, batch: Batch) -> bool:
        """Whether this worker may take a seat: the task asks, and they neither hold one, nor answered, nor refused."""
        return (
            self.asks(batch)
            and worker_id not in self.holders
            and worker_id not in self.votes
            and worker_id not in self.refused_by
        )

    def held_by(self, page_id: str, worker_id: str) -> bool:
        """Whether this page has a seat, answered or not."""
        holder, vote = self.holders.get(worker_id), self.votes.get(worker_id)
        return (holder is not None and holder.page_id == page_id) or (vote is not None and vote.page_id == page_id)


def batch_ref(batch_id: str) -> Ref:
    """The item of a batch."""
    return ref("batch", batch_id)


def task_ref(batch: Batch, ordinal: int) -> Ref:
    """The item of a task's state."""
    return ref("task", batch.batch_id, *batch.place(ordinal))


def want_key(batch: Batch, ordinal: int, band: int) -> tuple[str | int, ...]:
    """Where a task with a free seat stands in the index of tasks that want answers."""
    shard, position = batch.place(ordinal)
    return (batch.batch_id, shard, band, position)


def control_key(batch_id: str, ordinal: int, control_count: int) -> tuple[str | int, ...]:
    """Where one of so many control tasks stands in the index of those with a free seat: anywhere, but always there."""
    rank = spread(CONTROL_RANKS, batch_id, str(ordinal))
    return (batch_id, rank % shards_for(control_count), rank)


def new_task_fields(task_id: str, ordinal: int, gold: str | None = None) -> dict[str, str | int | Mapping[str, str]]:
    """The stored fields of a task that nobody has touched."""
    known: dict[str, str | int | Mapping[str, str]] = {} if gold is None else {"gold": gold}
    return known | {
        "task_id": task_id,
        "ordinal": ordinal,
        "status": TaskStatus.OPEN,
        "seats_taken": 0,
        "version": 0,
        "holders": {},
        "votes": {},
    }
