"""Taking back what an entry moved, and putting right what it said: new entries that are linked to it.

A reversal takes back all or a part of each posting of an entry, mostly from where it went and to where it came from.
The first one stands under `<entry>/reversal`, the n-th under `<entry>/reversal/<n>`: no two can have one number, and
each is written knowing all before it, so that together they never take back more than the entry moved, whoever runs at
the same time. The business fact behind a reversal is its `reference`; the same fact again is the same reversal.
A correction moves money between the accounts of an entry and others, once per entry, under `<entry>/correction`; what
corrects a correction is linked to that. `ledger.service` records both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from smallpeck.kernel.errors import Conflict, Invalid
from smallpeck.ledger.accounts import Account
from smallpeck.ledger.posting import Entry, EntryKind, Link, LinkKind, Posting


class BadReversal(Invalid):
    """Not one amount for each posting, an amount below zero, or nothing at all."""

    code = "bad_reversal"


class NotReversible(Conflict):
    """The entry is pending (it is resolved instead) or takes something back itself (it is corrected instead)."""

    code = "entry_not_reversible"


class ReversalTooLarge(Conflict):
    """More than is left of what the entry moved."""

    code = "reversal_too_large"


class BadCorrection(Invalid):
    """A movement that has nothing to do with the entry, or of money that waits for a resolution."""

    code = "bad_correction"


@dataclass(frozen=True)
class Way:
    """How a posting is taken back.

    `sources` are asked in their order for what they hold: an account without a balance item and a receivable give
    everything. None: where the posting moved the money. `destination` None: where it came from.
    """

    sources: tuple[Account, ...] | None = None
    destination: Account | None = None


def reversal_id(entry_id: str, number: int) -> str:
    """The id of an entry's reversal; numbers begin at 1."""
    return f"{entry_id}/reversal" if number == 1 else f"{entry_id}/reversal/{number}"


def reversible(entry: Entry) -> tuple[int, ...]:
    """How much of each posting can be taken back in all. Of a resolution, only what went on; raises NotReversible."""
    kinds = {link.kind: link for link in entry.links}
    if entry.is_pending:
        raise NotReversible("a pending entry is resolved, not reversed")
    if LinkKind.REVERSES in kinds:
        raise NotReversible("a reversal is corrected, not reversed")
    if LinkKind.RESOLVES in kinds:
        went_on = sum(1 for amount in kinds[LinkKind.RESOLVES].amounts_micros if amount)
        return tuple(p.amount_micros if n < went_on else 0 for n, p in enumerate(entry.postings))
    return tuple(posting.amount_micros for posting in entry.postings)


def left(entry: Entry, before: Sequence[Entry]) -> tuple[int, ...]:
    """How much of each posting is left to take back after the reversals `before`."""
    remaining = list(reversible(entry))
    for earlier in before:
        for number, amount in enumerate(_taken(earlier, entry.entry_id)):
            remaining[number] -= amount
    return tuple(remaining)


def asked_for(entry: Entry, amounts_micros: Sequence[int] | None, before: Sequence[Entry]) -> tuple[int, ...]:
    """How much of each posting a reversal takes back: what is given, or all that is left.

    Raises BadReversal, ReversalTooLarge or NotReversible.
    """
    remaining = left(entry, before)
    amounts = remaining if amounts_micros is None else tuple(amounts_micros)
    if len(amounts) != len(entry.postings) or any(amount < 0 for amount in amounts):
        raise BadReversal("a reversal takes back an amount of each posting")
    if any(amount > rest for amount, rest in zip(amounts, remaining, strict=True)) or not any(remaining):
        raise ReversalTooLarge("that is more than is left of the entry")
    if not any(amounts):
        raise BadReversal("a reversal takes something back")
    return amounts


def reversal(
    *,
    entry: Entry,
    number: int,
    amounts_micros: Sequence[int],
    ways: Mapping[int, Way],
    balances: Mapping[Account, int],
    reference: str,
    at_ms: int,
) -> Entry | None:
    """The reversal with this number, or None where the sources do not hold enough.

    `ways` are by the number of the posting; `balances` are the micros that stand in each source with a balance item.
    """
    available = dict(balances)
    postings: list[Posting] = []
    for index, (posting, amount) in enumerate(zip(entry.postings, amounts_micros, strict=True)):
        way, missing = ways.get(index, Way()), amount
        destination = way.destination or posting.source
        for source in way.sources or (posting.destination,):
            limited = source.has_balance and not source.is_debt
            part = min(missing, max(0, available.get(source, 0))) if limited else missing
            if part and source != destination:
                postings.append(Posting(source, destination, part))
                available[source] = available.get(source, 0) - part
                missing -= part
        if missing:
            return None
    return Entry(
        entry_id=reversal_id(entry.entry_id, number),
        kind=EntryKind.REVERSAL,
        currency=entry.currency,
        reference=reference,
        postings=tuple(postings),
        at_ms=at_ms,
        links=(Link(LinkKind.REVERSES, entry.entry_id, tuple(amounts_micros)),),
    )


def sources_of(entry: Entry, ways: Mapping[int, Way]) -> list[Account]:
    """Every account with a balance item that a reversal may take from."""
    found: dict[Account, None] = {}
    for index, posting in enumerate(entry.postings):
        for source in ways.get(index, Way()).sources or (posting.destination,):
            if source.has_balance:
                found[source] = None
    return list(found)


def is_same(recorded: Entry, *, entry: Entry, amounts_micros: Sequence[int] | None) -> bool:
    """Whether a recorded reversal takes back what is asked for; None stands for whatever was left then.

    From where it was taken depended on what stood where at that time.
    """
    return amounts_micros is None or _taken(recorded, entry.entry_id) == tuple(amounts_micros)


def correction_id(entry_id: str) -> str:
    """The id of the one entry that may correct another."""
    return f"{entry_id}/correction"


def correction(entry: Entry, *, postings: Sequence[Posting], reference: str, at_ms: int) -> Entry:
    """The correction of an entry, in its currency; raises BadCorrection."""
    if entry.is_pending:
        raise BadCorrection("a pending entry is resolved, not corrected")
    own = entry.deltas()
    if any(posting.source not in own and posting.destination not in own for posting in postings):
        raise BadCorrection("a correction moves money to or from accounts of the entry")
    return Entry(
        entry_id=correction_id(entry.entry_id),
        kind=EntryKind.CORRECTION,
        currency=entry.currency,
        reference=reference,
        postings=tuple(postings),
        at_ms=at_ms,
        links=(Link(LinkKind.CORRECTS, entry.entry_id),),
    )


def recovery(
    *,
    entry_id: str,
    source: Account,
    receivable: Account,
    currency: str,
    amount_micros: int,
    reference: str,
    at_ms: int,
) -> Entry:
    """A debt, or a part of it, is paid from an account of who owes it."""
    if not receivable.is_debt:
        raise ValueError(f"nobody owes anything in {receivable.path}")
    return Entry(
        entry_id=entry_id,
        kind=EntryKind.RECOVERY,
        currency=currency,
        reference=reference,
        postings=(Posting(source, receivable, amount_micros),),
        at_ms=at_ms,
    )


def _taken(reversing: Entry, entry_id: str) -> tuple[int, ...]:
    for link in reversing.links:
        if link.kind is LinkKind.REVERSES and link.entry_id == entry_id:
            return link.amounts_micros
    raise ValueError(f"{reversing.entry_id} does not reverse {entry_id}")
