"""Changing the course of a published batch: pause, resume, ask for more, take more time.

Where the requester's funds are frozen the platform pauses their batches, and only pausing is left to them.
"""

from typing import Protocol

from smallpeck.kernel.errors import IdempotencyMismatch, Invalid, Problem
from smallpeck.kernel.ids import content_hash, derived_id
from smallpeck.kernel.writes import Change, Equals, Path, UnitOfWork, Value, WriteConflict
from smallpeck.ledger.accounts import escrow, requester_available
from smallpeck.ledger.freezing import FundsFrozen, not_frozen
from smallpeck.ledger.posting import Entry, EntryKind, Posting
from smallpeck.ledger.service import Books, EntryMismatch, post
from smallpeck.tasks.batches import BatchReads, own_batch
from smallpeck.tasks.model import (
    MAX_ANSWERS_PER_TASK,
    PAUSED_FOR_FUNDS,
    PUBLISHED,
    Batch,
    BatchState,
    WrongBatchState,
    batch_ref,
)

BATCHES_AT_ONCE = 100


class RequesterBatches(BatchReads, Protocol):
    """What pausing everything of a requester reads."""

    def batches_of(self, requester_id: str, *, after: str | None, limit: int) -> tuple[list[Batch], str | None]: ...


def pause(*, batch: Batch, reads: BatchReads, unit: UnitOfWork) -> Batch:
    """Offers the batch to nobody for now. What is leased can still be submitted, and is paid."""
    return _turn(batch, BatchState.ACTIVE, BatchState.PAUSED, reads, unit)


def resume(*, batch: Batch, reads: BatchReads, unit: UnitOfWork) -> Batch:
    """Offers a paused batch again. Raises FundsFrozen where the requester may not spend."""
    return _turn(batch, BatchState.PAUSED, BatchState.ACTIVE, reads, unit)


def pause_all(*, requester_id: str, reads: RequesterBatches, unit: UnitOfWork) -> None:
    """Pauses every batch of a requester who may not spend. What is leased can still be submitted, and is paid.

    No batch becomes active meanwhile: publishing and resuming hold only where the requester may spend.
    """
    after: str | None = None
    while True:
        batches, after = reads.batches_of(requester_id, after=after, limit=BATCHES_AT_ONCE)
        for batch in batches:
            if batch.state is BatchState.ACTIVE:
                _turn(batch, BatchState.ACTIVE, BatchState.PAUSED, reads, unit, why=PAUSED_FOR_FUNDS)
        if after is None:
            return


def extend(
    *,
    batch: Batch,
    more_answers: int,
    deadline_ms: int | None,
    idempotency_key: str,
    now_ms: int,
    reads: BatchReads,
    books: Books,
    unit: UnitOfWork,
) -> Batch:
    """Asks for more answers to every task that is still open, or gives the batch more time, or both.

    The price of the additional answers is taken for every task, as at publishing; what closed tasks do not need comes
    back at the end. Doing it again under the same key is the same as once. Raises WrongBatchState, Invalid,
    InsufficientFunds, FundsFrozen and IdempotencyMismatch.
    """
    wanted = content_hash([more_answers, deadline_ms])
    entry_id = f"{batch.batch_id}/extend/{derived_id('x', batch.batch_id, idempotency_key)}"
    reference = f"{batch.batch_id}/{wanted}"
    recorded = books.input_hash(entry_id)
    if recorded is not None:
        if not more_answers or recorded != _entry(batch, more_answers, entry_id, reference, now_ms).input_hash():
            raise IdempotencyMismatch
        return batch
    if not more_answers and deadline_ms == batch.deadline_ms:
        return batch
    _check(batch, more_answers, deadline_ms, now_ms)
    if not more_answers:
        return _move_deadline(batch, deadline_ms or batch.deadline_ms, reads, unit)
    entry = _entry(batch, more_answers, entry_id, reference, now_ms)
    changed: dict[Path, Value] = {
        "min_answers": batch.min_answers + more_answers,
        "max_answers": batch.max_answers + more_answers,
        "extensions": batch.extensions + 1,
        "deadline_ms": deadline_ms or batch.deadline_ms,
    }
    change = Change(
        batch_ref(batch.batch_id),
        set=changed,
        when=(Equals("state", batch.state), Equals("extensions", batch.extensions)),
        index={"open": (deadline_ms or batch.deadline_ms, batch.batch_id)},
    )
    try:
        post(entry=entry, alongside=[change, not_frozen(batch.requester_id)], books=books, unit=unit)
    except EntryMismatch as error:
        raise IdempotencyMismatch from error
    except WriteConflict as conflict:
        raise _refusal(conflict, batch) from None
    return own_batch(reads.batch(batch.batch_id), batch.requester_id)


def _turn(
    batch: Batch,
    before: BatchState,
    after: BatchState,
    reads: BatchReads,
    unit: UnitOfWork,
    *,
    why: str | None = None,
) -> Batch:
    if batch.state is after or (why is not None and batch.state is not before):
        return batch
    if batch.state is not before:
        raise WrongBatchState(f"this batch is {batch.state}")
    turn = Change(
        batch_ref(batch.batch_id),
        set={"state": after, **({"paused_for": why} if why else {})},
        remove=() if why else ("paused_for",),
        when=(Equals("state", before),),
    )
    solvent = [not_frozen(batch.requester_id)] if after is BatchState.ACTIVE else []
    try:
        unit.commit([turn, *solvent])
    except WriteConflict as conflict:
        if any(conflict.hit(check.ref) for check in solvent):
            raise FundsFrozen from None
        again = own_batch(reads.batch(batch.batch_id), batch.requester_id)
        return _turn(again, before, after, reads, unit, why=why)
    return own_batch(reads.batch(batch.batch_id), batch.requester_id)


def _refusal(conflict: WriteConflict, batch: Batch) -> Exception:
    return FundsFrozen() if conflict.hit(not_frozen(batch.requester_id).ref) else conflict


def _move_deadline(batch: Batch, deadline_ms: int, reads: BatchReads, unit: UnitOfWork) -> Batch:
    change = Change(
        batch_ref(batch.batch_id),
        set={"deadline_ms": deadline_ms},
        when=(Equals("state", batch.state),),
        index={"open": (deadline_ms, batch.batch_id)},
    )
    try:
        unit.commit([change, not_frozen(batch.requester_id)])
    except WriteConflict as conflict:
        raise _refusal(conflict, batch) from None
    return own_batch(reads.batch(batch.batch_id), batch.requester_id)


def _entry(batch: Batch, more_answers: int, entry_id: str, reference: str, now_ms: int) -> Entry:
    base, more = divmod(batch.task_count * more_answers, batch.escrow_shards)
    amounts = [(base + (shard < more)) * batch.price_micros for shard in range(batch.escrow_shards)]
    return Entry(
        entry_id=entry_id,
        kind=EntryKind.ESCROW,
        currency=batch.currency,
        reference=reference,
        postings=tuple(
            Posting(requester_available(batch.requester_id), escrow(batch.batch_id, shard), amount)
            for shard, amount in enumerate(amounts)
            if amount
        ),
        at_ms=now_ms,
    )


def _check(batch: Batch, more_answers: int, deadline_ms: int | None, now_ms: int) -> None:
    if batch.state not in PUBLISHED:
        raise WrongBatchState(f"this batch is {batch.state}")
    problems = []
    if more_answers < 0 or batch.max_answers + more_answers > MAX_ANSWERS_PER_TASK:
        problems.append(Problem("/more_answers", f"a task has at most {MAX_ANSWERS_PER_TASK} answers"))
    if deadline_ms is not None and not now_ms < deadline_ms >= batch.deadline_ms:
        problems.append(Problem("/deadline", "not before the deadline that stands"))
    if not more_answers and deadline_ms is None:
        problems.append(Problem("", "more answers, a later deadline, or both"))
    if problems:
        raise Invalid("the batch cannot be extended so", problems=problems)
