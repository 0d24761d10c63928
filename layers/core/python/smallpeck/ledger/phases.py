"""Entries in two phases: a pending entry holds money, and exactly one resolution says where it goes.

The pending entry moves money from its source to an account that holds (a requester's held, a worker's pending, a
reserve) and names where it goes on to. Its resolution, under the id `<entry>/resolution`, is a new entry: it posts (the
money goes on), voids (it goes back to where it came from), or posts a part of each posting and voids the rest at once.
`ledger.service.resolve` records it.

What a pending entry holds leaves only by its resolution, or there would be nothing left to resolve: a reserve that
reversals draw on and a reserve that pending entries hold in have different references.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from smallpeck.kernel.errors import Conflict, Invalid
from smallpeck.ledger.accounts import Account
from smallpeck.ledger.posting import Entry, EntryKind, Link, LinkKind, Posting


class NotPending(Conflict):
    """The entry does not wait for a resolution: it moved its money for good."""

    code = "entry_not_pending"


class BadResolution(Invalid):
    """More than was held, or not one amount for each posting."""

    code = "bad_resolution"


@dataclass(frozen=True)
class Hold:
    """`amount_micros` from `source` waits in `held`, to go on to `destination` or back."""

    source: Account
    held: Account
    destination: Account
    amount_micros: int


def pending(
    *,
    entry_id: str,
    currency: str,
    reference: str,
    holds: Sequence[Hold],
    at_ms: int,
    kind: EntryKind = EntryKind.HOLD,
    units: int | None = None,
) -> Entry:
    """The entry that holds money until its resolution."""
    return Entry(
        entry_id=entry_id,
        kind=kind,
        currency=currency,
        reference=reference,
        postings=tuple(Posting(hold.source, hold.held, hold.amount_micros) for hold in holds),
        at_ms=at_ms,
        units=units,
        onward=tuple(hold.destination for hold in holds),
    )


def resolution_id(pending_id: str) -> str:
    """The id of the one entry that may resolve a pending entry."""
    return f"{pending_id}/resolution"


def posted(entry: Entry, *, at_ms: int, amounts_micros: Sequence[int] | None = None) -> Entry:
    """The resolution that lets the money go on: all of it, or of each posting the amount that is given.

    Raises NotPending, and BadResolution where an amount is below zero or above what its posting held.
    """
    held = [posting.amount_micros for posting in entry.postings]
    goes_on = held if amounts_micros is None else list(amounts_micros)
    if not entry.is_pending:
        raise NotPending("the entry does not wait for a resolution")
    if len(goes_on) != len(held) or not all(0 <= part <= whole for part, whole in zip(goes_on, held, strict=False)):
        raise BadResolution("a resolution posts of each posting at most what it held")
    onward = [
        Posting(posting.destination, destination, part)
        for posting, destination, part in zip(entry.postings, entry.onward, goes_on, strict=True)
        if part
    ]
    back = [
        Posting(posting.destination, posting.source, posting.amount_micros - part)
        for posting, part in zip(entry.postings, goes_on, strict=True)
        if part < posting.amount_micros
    ]
    return Entry(
        entry_id=resolution_id(entry.entry_id),
        kind=EntryKind.POST if onward else EntryKind.VOID,
        currency=entry.currency,
        reference=entry.reference,
        postings=(*onward, *back),
        at_ms=at_ms,
        units=entry.units,
        links=(Link(LinkKind.RESOLVES, entry.entry_id, tuple(goes_on)),),
    )


def voided(entry: Entry, *, at_ms: int) -> Entry:
    """The resolution that gives everything back. Raises NotPending."""
    return posted(entry, at_ms=at_ms, amounts_micros=[0] * len(entry.postings))
