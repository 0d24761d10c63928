"""Money that came in and belongs to nobody yet: it stands in suspense until a person says whose it is.

The entry that brought it waits for one other, `<entry>/resolution`, which gives it to a requester or sends it back to
where it came from. There is one such id, so the money goes one way, once.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Any, Protocol

from smallpeck.kernel.errors import Conflict, NotFound
from smallpeck.kernel.ids import derived_id
from smallpeck.kernel.writes import (
    Change,
    Contention,
    Create,
    Equals,
    Path,
    Ref,
    UnitOfWork,
    Value,
    WriteConflict,
    ref,
)
from smallpeck.ledger.accounts import funding, suspense
from smallpeck.ledger.freezing import FreezeReads, income, recover
from smallpeck.ledger.phases import resolution_id
from smallpeck.ledger.posting import Entry, EntryKind, Link, LinkKind, Posting
from smallpeck.ledger.service import Books, EntryMismatch, NotOwed, post

RESOLVE_ATTEMPTS = 10


class SuspenseState(StrEnum):
    """waiting -> assigned | returned."""

    WAITING = "waiting"
    ASSIGNED = "assigned"
    """It was given to a requester."""
    RETURNED = "returned"
    """It was sent back to where it came from."""


class SuspenseNotFound(NotFound):
    """There is no such money in suspense."""

    code = "suspense_not_found"

    def __init__(self) -> None:
        super().__init__("there is no such money in suspense")


class AlreadyResolved(Conflict):
    """It was decided before, otherwise."""

    code = "already_resolved"

    def __init__(self) -> None:
        super().__init__("this was decided before, otherwise")


@dataclass(frozen=True)
class Suspended:
    """Money of a source in suspense, and why. `reference` is what came with it, as far as it may be an id."""

    suspense_id: str
    source: str
    entry_id: str
    amount_micros: int
    currency: str
    reason: str
    reference: str
    at_ms: int
    state: SuspenseState = SuspenseState.WAITING
    requester_id: str | None = None
    resolved_by: str | None = None
    resolved_at_ms: int | None = None


class SuspenseReads(FreezeReads, Protocol):
    """What resolving reads."""

    def suspended(self, suspense_id: str) -> Suspended | None: ...


def suspense_ref(suspense_id: str) -> Ref:
    """The item of money in suspense."""
    return ref("suspense", suspense_id)


def taken(
    *, source: str, entry_id: str, amount_micros: int, currency: str, reason: str, reference: str, at_ms: int
) -> tuple[Entry, Create, Suspended]:
    """The entry that brings money into suspense, and the item that goes alongside it."""
    held = Suspended(
        suspense_id=derived_id("s", entry_id),
        source=source,
        entry_id=entry_id,
        amount_micros=amount_micros,
        currency=currency,
        reason=reason,
        reference=reference,
        at_ms=at_ms,
    )
    entry = Entry(
        entry_id=entry_id,
        kind=EntryKind.DEPOSIT,
        currency=currency,
        reference=held.suspense_id,
        postings=(Posting(funding(source), suspense(source), amount_micros),),
        at_ms=at_ms,
    )
    create = Create(suspense_ref(held.suspense_id), _stored(held), index={"suspended": (at_ms, held.suspense_id)})
    return entry, create, held


def resolve(
    *,
    suspense_id: str,
    requester_id: str | None,
    operator_id: str,
    now_ms: int,
    reads: SuspenseReads,
    books: Books,
    unit: UnitOfWork,
) -> Suspended:
    """Gives the money to a requester (what they owe is paid first), or back to its source where that is None.

    Doing it again is the same as once. Raises SuspenseNotFound and AlreadyResolved.
    """
    for _ in range(RESOLVE_ATTEMPTS):
        held = reads.suspended(suspense_id)
        if held is None:
            raise SuspenseNotFound
        state = SuspenseState.RETURNED if requester_id is None else SuspenseState.ASSIGNED
        if held.state is not SuspenseState.WAITING:
            if (held.state, held.requester_id) != (state, requester_id):
                raise AlreadyResolved
            break
        after = replace(held, state=state, requester_id=requester_id, resolved_by=operator_id, resolved_at_ms=now_ms)
        try:
            _post_resolution(after, now_ms, reads, books, unit)
        except (WriteConflict, EntryMismatch, NotOwed):
            continue  # somebody else decided, or the requester's debt has changed: look again
        held = after
        break
    else:
        raise Contention("the account is busy; try again")
    if requester_id is not None:
        recover(requester_id=requester_id, currency=held.currency, at_ms=now_ms, books=books, reads=reads, unit=unit)
    return held


def _post_resolution(after: Suspended, now_ms: int, reads: SuspenseReads, books: Books, unit: UnitOfWork) -> None:
    account, amount = suspense(after.source), after.amount_micros
    postings: tuple[Posting, ...] = (Posting(account, funding(after.source), amount),)
    changes: tuple[Change, ...] = ()
    if after.requester_id is not None:
        whole = income(
            source=account,
            amount_micros=amount,
            requester_id=after.requester_id,
            currency=after.currency,
            books=books,
            freeze=reads.freeze(after.requester_id),
        )
        postings, changes = whole.postings, whole.changes
    goes_on = amount if after.requester_id is not None else 0
    entry = Entry(
        entry_id=resolution_id(after.entry_id),
        kind=EntryKind.POST if goes_on else EntryKind.VOID,
        currency=after.currency,
        reference=after.suspense_id,
        postings=postings,
        at_ms=now_ms,
        links=(Link(LinkKind.RESOLVES, after.entry_id, (goes_on,)),),
    )
    was: dict[str, Value] = {"state": SuspenseState.WAITING}
    changed: dict[Path, Value] = {name: value for name, value in _stored(after).items() if was.get(name) != value}
    mark = Change(
        suspense_ref(after.suspense_id),
        set=changed,
        when=(Equals("state", SuspenseState.WAITING),),
        index={"suspended": None},
    )
    post(entry=entry, alongside=[mark, *changes], books=books, unit=unit)


def suspended_from(item: Mapping[str, Any]) -> Suspended:
    """Money in suspense from its stored fields."""
    given = {one.name: item[one.name] for one in fields(Suspended) if one.name in item}
    return Suspended(**{**given, "state": SuspenseState(given["state"])})


def _stored(held: Suspended) -> dict[str, Value]:
    return {name: value for name, value in asdict(held).items() if value is not None}
