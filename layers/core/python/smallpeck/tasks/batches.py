"""A requester's batch from draft to its end, as use cases."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from smallpeck.kernel.errors import Conflict, IdempotencyMismatch, Invalid, Problem
from smallpeck.kernel.ids import derived_id
from smallpeck.kernel.writes import Change, Create, Equals, UnitOfWork, Write, WriteConflict
from smallpeck.ledger.accounts import MAX_ESCROW_SHARDS, escrow, requester_available
from smallpeck.ledger.freezing import FundsFrozen, not_frozen
from smallpeck.ledger.posting import Entry, EntryKind, Posting
from smallpeck.ledger.service import Books, post
from smallpeck.tasks.model import (
    MAX_PAGE_BYTES,
    PUBLISHED,
    Batch,
    BatchNotFound,
    BatchState,
    WrongBatchState,
    batch_ref,
    escrow_shards_for,
)

_ENDED = (BatchState.CLOSED, BatchState.CANCELLED)


class NoResults(Conflict):
    """The batch has not ended, so its results are not published."""

    code = "no_results_yet"


class BatchReads(Protocol):
    """What the use cases of a batch read."""

    def batch(self, batch_id: str) -> Batch | None: ...


class StartFinish(Protocol):
    """Starts the workflow that finishes a batch; starting it again is the same start."""

    def __call__(self, batch_id: str, /) -> None: ...


@dataclass(frozen=True)
class Progress:
    """What the settlement rounds of a batch have counted: approved and rejected answers, closed tasks.

    `disputed` are those of the closed tasks whose answers were tied or hardly agreed. `rejections` are those that the
    requester has asked for; `rejected` follows when they are carried out.
    """

    answers: int
    rejected: int
    closed: int
    disputed: int = 0
    rejections: int = 0
    median_seconds: float | None = None
    """How long an answer took, in the median; None before the first."""
    skips: Mapping[str, int] = field(default_factory=dict)
    """How many tasks workers left undone, by the reason they gave (`smallpeck.tasks.skips`)."""


@dataclass(frozen=True)
class InWork:
    """Answers that may still come to count: leased now, submitted and not graded, waiting for the requester.

    They are counted one after the other, so an answer that moves on meanwhile may be missed or seen twice. Where they
    are not `complete`, there are more than were counted.
    """

    leased: int = 0
    submitted: int = 0
    in_review: int = 0
    complete: bool = True

    @property
    def answers(self) -> int:
        """All of them."""
        return self.leased + self.submitted + self.in_review


def batch_id_of(requester_id: str, idempotency_key: str) -> str:
    """The id of the batch that a requester creates under an idempotency key."""
    return derived_id("b", requester_id, "batch", idempotency_key)


def own_batch(batch: Batch | None, requester_id: str) -> Batch:
    """The batch, if it is this requester's; BatchNotFound otherwise."""
    if batch is None or batch.requester_id != requester_id:
        raise BatchNotFound
    return batch


def created_before(*, batch_id: str, request_hash: str, reads: BatchReads) -> Batch | None:
    """The batch of a request that is sent again, as it is now; raises IdempotencyMismatch."""
    known = reads.batch(batch_id)
    if known is not None and known.request_hash != request_hash:
        raise IdempotencyMismatch
    return known


def create_batch(*, batch: Batch, reads: BatchReads, unit: UnitOfWork) -> Batch:
    """Stores a draft; the same request under the same key gives the batch as it is now."""
    create = Create(
        batch_ref(batch.batch_id),
        {
            **{name: value for name, value in batch.__dict__.items() if value is not None},
            "countries": sorted(batch.countries),
            "languages": sorted(batch.languages),
        },
        index={"batch_of": (batch.requester_id, batch.created_at_ms, batch.batch_id)},
    )
    try:
        unit.commit([create])
        return batch
    except WriteConflict:
        known = own_batch(reads.batch(batch.batch_id), batch.requester_id)
        if known.request_hash != batch.request_hash:
            raise IdempotencyMismatch from None
        return known


def publish(*, batch: Batch, now_ms: int, reads: BatchReads, books: Books, unit: UnitOfWork) -> Batch:
    """Pays for all answers of a batch and offers it to workers, or changes nothing.

    The price of every answer of every task moves from the requester to the batch's escrow in one entry. Publishing
    twice is the same as once. Raises WrongBatchState, Invalid, InsufficientFunds and FundsFrozen.
    """
    if batch.state in (*PUBLISHED, BatchState.CLOSING, *_ENDED):
        return batch
    if batch.state is not BatchState.READY:
        raise WrongBatchState(f"this batch is {batch.state}; it can be published when its import is done")
    problems = publishing_problems(batch, now_ms)
    if problems:
        raise Invalid("this batch cannot be published", problems=problems)
    shards = escrow_shards_for(batch, MAX_ESCROW_SHARDS)
    base, more = divmod(batch.answers_paid_for, shards)
    entry = Entry(
        entry_id=f"{batch.batch_id}/escrow",
        kind=EntryKind.ESCROW,
        currency=batch.currency,
        reference=batch.batch_id,
        postings=tuple(
            Posting(
                requester_available(batch.requester_id),
                escrow(batch.batch_id, shard),
                (base + (shard < more)) * batch.price_micros,
            )
            for shard in range(shards)
        ),
        at_ms=now_ms,
    )
    activate = Change(
        batch_ref(batch.batch_id),
        set={"state": BatchState.ACTIVE, "escrow_shards": shards, "published_at_ms": now_ms},
        when=(Equals("state", BatchState.READY), Equals("task_count", batch.task_count)),
        index={"open": (batch.deadline_ms, batch.batch_id)},
    )
    solvent = not_frozen(batch.requester_id)
    try:
        post(entry=entry, alongside=[activate, solvent], books=books, unit=unit)
    except WriteConflict as conflict:
        raise (FundsFrozen() if conflict.hit(solvent.ref) else conflict) from None
    return own_batch(reads.batch(batch.batch_id), batch.requester_id)


def finish(*, batch: Batch, final: BatchState, reads: BatchReads, unit: UnitOfWork, start_finish: StartFinish) -> Batch:
    """Ends a batch: at once where it was never published, else through the workflow that waits for open work.

    `final` is CLOSED or CANCELLED; the first request decides. Doing it again is the same as once.
    """
    if batch.state in _ENDED:
        return batch
    if batch.state is BatchState.IMPORTING:
        raise WrongBatchState("a file of this batch is being imported; try again when that is done")
    if batch.state in (BatchState.DRAFT, BatchState.READY):
        if final is not BatchState.CANCELLED:
            raise WrongBatchState(f"this batch is {batch.state}; cancel it instead")
        unit.commit([Change(batch_ref(batch.batch_id), set={"state": final}, when=(Equals("state", batch.state),))])
    else:
        if batch.state in PUBLISHED:
            with suppress(WriteConflict):  # somebody else began it, which is what was asked for
                unit.commit([begin_closing(batch, final)])
        start_finish(batch.batch_id)
    return own_batch(reads.batch(batch.batch_id), batch.requester_id)


def begin_closing(batch: Batch, final: BatchState) -> Write:
    """A published batch offers no more work."""
    return Change(
        batch_ref(batch.batch_id),
        set={"state": BatchState.CLOSING, "final": final},
        when=(Equals("state", batch.state),),
    )


def with_results(batch: Batch) -> Batch:
    """The batch, if its results are published; NoResults otherwise."""
    if batch.closed_at_ms is None:
        raise NoResults("the results are published when the batch has ended")
    return batch


def editable(batch: Batch, states: Collection[BatchState]) -> Batch:
    """The batch, if it is in one of `states`; WrongBatchState otherwise."""
    if batch.state not in states:
        raise WrongBatchState(f"this batch is {batch.state}")
    return batch


def publishing_problems(batch: Batch, now_ms: int) -> list[Problem]:
    """What keeps a batch whose tasks stand from being published, but for money."""
    problems = []
    if batch.task_count == 0:
        problems.append(Problem("", "the batch has no task"))
    elif 2 * batch.control_count > batch.task_count:
        detail = f"at most half of the tasks can be control tasks; {batch.control_count} of {batch.task_count} are"
        problems.append(Problem("/control_column", detail))
    if batch.deadline_ms <= now_ms:
        problems.append(Problem("/deadline", "the deadline has passed"))
    if batch.page_bytes > MAX_PAGE_BYTES:
        problems.append(
            Problem("/page_size", f"a page of this batch could weigh {batch.page_bytes} of {MAX_PAGE_BYTES} bytes")
        )
    return problems
