"""Bugs on the way from an answer to its reward, and of the money of a batch."""

from dataclasses import replace
from typing import Any

from smallpeck.kernel.entropy import random_bytes
from smallpeck.kernel.writes import Change
from smallpeck.ledger.accounts import escrow
from smallpeck.ledger.service import Posted
from smallpeck.tasks import batches, finishing, settling, submissions, sweeping
from tests.sim.breaking import apart, instead, no_condition, returning, rewriting
from tests.sim.mutations import Mutations
from tests.sim.mutations.ledger import ENTRY_OVERWRITES, NEVER_RECORDED

ANY_PAGE = no_condition("page")
ANY_AMOUNT = no_condition("account", "balance_micros")
"""Escrow holds what its batch costs and no more, which stops most of what is paid twice."""
ANY_TASK = no_condition("task")


def _paid_by_chance(real: Any) -> Any:
    def pay(page: Any, batch: Any, entry_id: str, *rest: Any) -> Any:
        return real(page, batch, f"{entry_id}-{random_bytes(4).hex()}", *rest)

    return pay


def _all_paid(real: Any) -> Any:
    """Every answer of the page is paid, rejected ones too."""

    def pay(page: Any, batch: Any, entry_id: str, _answers: int, *rest: Any) -> Any:
        return real(page, batch, entry_id, len(page.assignments), *rest)

    return pay


def _rewarded_without_fee(real: Any) -> Any:
    def credit(*args: Any) -> Any:
        entry = real(*args)
        return replace(entry, postings=entry.postings[:1])

    return credit


def _said_before_it_is(real: Any) -> Any:
    """The 202 is given whatever became of the write."""

    def submit(*, page: Any, unit: Any, **more: Any) -> Any:
        try:
            return real(page=page, unit=unit, **more)
        except Exception:  # noqa: BLE001 - the bug
            return page

    return submit


def _never_listed(write: Any) -> Any:
    if write.ref.entity != "page" or not isinstance(write, Change) or "submitted" not in write.index:
        return write
    return replace(write, index={})


def _nothing_refunded(_real: Any) -> Any:
    return lambda **_more: 0


def _refunded_unchecked(real: Any) -> Any:
    """What stands in escrow goes back, whatever is still to be paid from it."""

    def refund(*, batch_id: str, reads: Any, books: Any, **more: Any) -> Any:
        class Believing:
            def __getattr__(self, name: str) -> Any:
                return getattr(reads, name)

            def progress(self, _batch_id: str) -> Any:
                batch = reads.batch(batch_id)
                shards = [escrow(batch_id, shard) for shard in range(batch.escrow_shards)]
                held = sum(one.balance_micros for one in books.balances(shards, batch.currency).values())
                return replace(reads.progress(batch_id), answers=(batch.cost_micros - held) // batch.price_micros)

        return real(batch_id=batch_id, reads=Believing(), books=books, **more)

    return refund


def _one_shard_forgotten(real: Any) -> Any:
    def entry(*args: Any, **more: Any) -> Any:
        whole = real(*args, **more)
        part = replace(whole.postings[0], amount_micros=whole.postings[0].amount_micros - 500_000)
        return replace(whole, postings=(part, *whole.postings[1:]))

    return entry


def always_new(real: Any) -> Any:
    def post(*, entry: Any, **more: Any) -> Any:
        return real(entry=replace(entry, entry_id=f"{entry.entry_id}-{random_bytes(4).hex()}"), **more)

    return post


def paid_first(real: Any) -> Any:
    """The money moves first, and what it pays for is written after it."""

    def post(*, entry: Any, alongside: Any, books: Any, unit: Any) -> Any:
        posted = real(entry=entry, alongside=[], books=books, unit=unit)
        if posted is Posted.NOW and alongside:
            unit.commit(alongside)
        return posted

    return post


def paid_last(real: Any) -> Any:
    def post(*, entry: Any, alongside: Any, books: Any, unit: Any) -> Any:
        if alongside:
            unit.commit(alongside)
        return real(entry=entry, alongside=[], books=books, unit=unit)

    return post


MUTANTS: Mutations = {
    "credited at any state": (
        "a round is settled only where the page is as it was read",
        "approve",
        [ANY_PAGE],
        [ENTRY_OVERWRITES, NEVER_RECORDED, ANY_AMOUNT],
    ),
    "credit by chance": (
        "a credit's id is its page and round",
        "approve",
        [instead(settling, "_pay", _paid_by_chance)],
        [ANY_PAGE, ANY_AMOUNT],
    ),
    "credit before its page": (
        "credit and page are one transaction",
        "approve",
        [instead(settling, "post", paid_first)],
    ),
    "page before its credit": (
        "credit and page are one transaction",
        "approve",
        [instead(settling, "post", paid_last)],
    ),
    "rejected answers paid": ("only approved answers are paid", "reject", [instead(settling, "_pay", _all_paid)]),
    "fee not taken": (
        "a credit takes the whole price",
        "approve",
        [instead(settling, "_credit", _rewarded_without_fee)],
    ),
    "skill beside its page": (
        "skill is counted with the round it comes from",
        "approve",
        [apart("skill", before=True)],
    ),
    "progress beside its page": (
        "answers are counted with the round that approves them",
        "refund_open",
        [apart("progress", before=True)],
    ),
    "vote at any version": (
        "a vote stands on the version of its task and on its seat",
        "approve",
        [ANY_TASK],
    ),
    "rejection not counted with its page": (
        "a rejection is counted with the decision",
        "reject",
        [apart("progress", before=True)],
    ),
    "accepted before it is stored": (
        "a 202 is given only for what is stored",
        "submit",
        [instead(submissions, "submit", _said_before_it_is)],
    ),
    "accepted after its lease": (
        "answers are accepted only while the lease runs and nobody expired it",
        "submit_late",
        [ANY_PAGE],
    ),
    "forgotten by the sweeper": (
        "what was accepted is nudged again when its message is lost",
        "submit",
        [returning(sweeping, "nudge_forgotten", value=0)],
    ),
    "not listed for the sweeper": (
        "what was accepted is listed until it is decided",
        "submit",
        [rewriting(_never_listed)],
    ),
    "decided twice over": (
        "a page's decisions are taken once",
        "reject",
        [ANY_PAGE, no_condition("progress")],
    ),
    "published before it is paid": (
        "escrow and publication are one transaction",
        "publish",
        [instead(batches, "post", paid_last)],
    ),
    "paid before it is published": (
        "escrow and publication are one transaction",
        "publish",
        [instead(batches, "post", paid_first)],
    ),
    "escrow by chance": (
        "an escrow entry's id follows from the batch",
        "publish",
        [instead(batches, "post", always_new)],
        [no_condition("batch")],
    ),
    "refund by chance": (
        "a refund's id follows from the batch",
        "refund",
        [instead(finishing, "post", always_new)],
        [no_condition("account", "balance_micros")],
    ),
    "nothing refunded": (
        "a batch gives back what it did not spend",
        "refund",
        [instead(finishing, "refund", _nothing_refunded)],
    ),
    "a part refunded": ("a refund empties the escrow", "refund", [instead(finishing, "Entry", _one_shard_forgotten)]),
    "refund while work is open": (
        "a refund waits until escrow and approved answers add up",
        "refund_open",
        [instead(finishing, "refund", _refunded_unchecked), returning(finishing.Recount, "ready", value=True)],
    ),
}
