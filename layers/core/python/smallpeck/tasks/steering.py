"""Changing the course of a published batch: pause, resume, ask for more, take more time."""

from smallpeck.kernel.errors import IdempotencyMismatch, Invalid, Problem
from smallpeck.kernel.ids import content_hash, derived_id
from smallpeck.kernel.writes import Change, Equals, Path, UnitOfWork, Value, WriteConflict
from smallpeck.ledger.accounts import escrow, requester_available
from smallpeck.ledger.posting import Entry, EntryKind, Posting
from smallpeck.ledger.service import Books, EntryMismatch, post
from smallpeck.tasks.batches import BatchReads, own_batch
from smallpeck.tasks.model import MAX_ANSWERS_PER_TASK, PUBLISHED, Batch, BatchState, WrongBatchState, batch_ref


def pause(*, batch: Batch, reads: BatchReads, unit: UnitOfWork) -> Batch:
    """Offers the batch to nobody for now. What is leased can still be submitted, and is paid."""
    return _turn(batch, BatchState.ACTIVE, BatchState.PAUSED, reads, unit)


def resume(*, batch: Batch, reads: BatchReads, unit: UnitOfWork) -> Batch:
    """Offers a paused batch again."""
    return _turn(batch, BatchState.PAUSED, BatchState.ACTIVE, reads, unit)


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
    InsufficientFunds and IdempotencyMismatch.
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
        post(entry=entry, alongside=[change], books=books, unit=unit)
    except EntryMismatch as error:
        raise IdempotencyMismatch from error
    return own_batch(reads.batch(batch.batch_id), batch.requester_id)


def _turn(batch: Batch, before: BatchState, after: BatchState, reads: BatchReads, unit: UnitOfWork) -> Batch:
    if batch.state is after:
        return batch
    if batch.state is not before:
        raise WrongBatchState(f"this batch is {batch.state}")
    try:
        unit.commit([Change(batch_ref(batch.batch_id), set={"state": after}, when=(Equals("state", before),))])
    except WriteConflict:
        return _turn(own_batch(reads.batch(batch.batch_id), batch.requester_id), before, after, reads, unit)
    return own_batch(reads.batch(batch.batch_id), batch.requester_id)


def _move_deadline(batch: Batch, deadline_ms: int, reads: BatchReads, unit: UnitOfWork) -> Batch:
    unit.commit(
        [
            Change(
                batch_ref(batch.batch_id),
                set={"deadline_ms": deadline_ms},
                when=(Equals("state", batch.state),),
                index={"open": (deadline_ms, batch.batch_id)},
            )
        ]
    )
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
