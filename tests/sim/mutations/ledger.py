"""Bugs in the books."""

from dataclasses import replace
from typing import Any

from smallpeck.kernel.entropy import random_bytes
from smallpeck.kernel.writes import Change
from smallpeck.ledger import corrections, funding, phases, posting, service
from smallpeck.ledger.posting import Entry
from smallpeck.ledger.store import LedgerStore
from tests.sim.breaking import Patch, apart, instead, left_out, no_condition, overwriting, returning
from tests.sim.mutations import Mutations

ENTRY_OVERWRITES = overwriting("entry")
ROWS_OVERWRITE = overwriting("statement_row")
ANY_BALANCE = no_condition("account")
ANY_SEQ = no_condition("account", "seq", "head_hash")
NO_LOOK_BEFORE = returning(service, "_may_stand", value=True)
NEVER_RECORDED = returning(service, "_recorded", value=False)


def by_chance(owner: object, name: str) -> Patch:
    """An id that is another one each time."""
    return instead(owner, name, lambda real: lambda *args, **more: f"{real(*args, **more)}{random_bytes(4).hex()}")


def _fee_forgotten(real: Any) -> Any:
    def deltas(entry: Entry) -> Any:
        return {account: delta for account, delta in real(entry).items() if account.has_statement}

    return deltas


def _one_micro_more(real: Any) -> Any:
    def record(entry: Entry, balances: Any) -> Any:
        writes = real(entry, balances)
        last = next(n for n, write in reversed(list(enumerate(writes))) if isinstance(write, Change))
        add = {path: amount + 1 for path, amount in writes[last].add.items()}
        return [*writes[:last], replace(writes[last], add=add), *writes[last + 1 :]]

    return record


def _without_onward(real: Any) -> Any:
    def posted(entry: Entry, **more: Any) -> Any:
        resolution = real(entry, **more)
        way = "posted" if resolution.kind == "post" else "voided"
        return replace(resolution, entry_id=f"{entry.entry_id}/{way}")

    return posted


def _other_fact(real: Any) -> Any:
    """Recorded reversals seem to be those of another fact."""

    def entry(books: LedgerStore, entry_id: str) -> Entry | None:
        found: Entry | None = real(books, entry_id)
        return replace(found, reference="another") if found is not None and "/reversal" in entry_id else found

    return entry


MUTANTS: Mutations = {
    "entry overwritten": ("an entry stands on condition of absence", "deposit", [ENTRY_OVERWRITES, NEVER_RECORDED]),
    "entry id by chance": (
        "an entry's id follows from the business fact",
        "deposit",
        [by_chance(funding, "derived_id")],
    ),
    "row overwritten": (
        "a statement row stands on condition of absence",
        "deposit_two",
        [ROWS_OVERWRITE, no_condition("account")],
    ),
    "balance at any number": (
        "a balance changes only where its statement is as it was read",
        "deposit_two",
        [ANY_SEQ],
        [ROWS_OVERWRITE, no_condition("account", "balance_micros")],
    ),
    "balance below zero": (
        "an account is debited only where enough is there",
        "payout_two_asked",
        [ANY_BALANCE, NO_LOOK_BEFORE],
        [ROWS_OVERWRITE],
    ),
    "escrow below zero": (
        "an escrow shard pays only what it holds",
        "approve_dry",
        [no_condition("account", "balance_micros")],
    ),
    "entry after its balances": (
        "entry and balances are one transaction",
        "deposit",
        [apart("entry", before=False)],
    ),
    "entry before its balances": (
        "entry and balances are one transaction",
        "publish",
        [apart("entry", before=True)],
    ),
    "rows by themselves": (
        "balance and statement row are one transaction",
        "deposit",
        [apart("statement_row", before=False)],
    ),
    "row left out": ("every balance with a statement has its row", "publish", [left_out("statement_row")]),
    "a micro more": (
        "each balance moves by what its postings say",
        "approve",
        [instead(service, "record", _one_micro_more)],
    ),
    "accounts without statement forgotten": (
        "every account of an entry is changed",
        "refund",
        [instead(posting.Entry, "deltas", _fee_forgotten)],
    ),
    "chain begun again": (
        "a statement row follows the row before it",
        "deposit_two",
        [instead(posting, "chained", lambda real: lambda name, row, _head: real(name, row, None))],
    ),
    "resolved in two ways": (
        "one id for every resolution of a hold",
        "hold_or_void",
        [instead(service, "posted", _without_onward), instead(service, "voided", _without_onward)],
        [no_condition("account", "balance_micros"), NO_LOOK_BEFORE],
    ),
    "resolution by chance": (
        "the id of a resolution follows from the hold",
        "hold",
        [by_chance(phases, "resolution_id")],
        [no_condition("account", "balance_micros"), NO_LOOK_BEFORE],
    ),
    "same id, other content": (
        "an entry with other content under the same id is an error",
        "hold_or_void",
        [
            instead(
                service, "_recorded", lambda _real: lambda entry, books: books.input_hash(entry.entry_id) is not None
            )
        ],
    ),
    "reversal not recognised": (
        "a reversal is known again by its business fact",
        "reversal_twice",
        [instead(LedgerStore, "entry", _other_fact)],
    ),
    "reversal without end": (
        "reversals together take back at most what was moved",
        "reversal_beside",
        [instead(corrections, "left", lambda _real: lambda entry, _before: corrections.reversible(entry))],
    ),
    "reversal number by chance": (
        "two reversals never have one number",
        "reversal_beside",
        [by_chance(corrections, "reversal_id")],
    ),
    "correction by chance": (
        "the id of a correction follows from the entry",
        "correction",
        [by_chance(corrections, "correction_id")],
    ),
}
