r"""A payout's life, as pure functions of its state, a fact and the time.

    requested --> in_run --> sending --> settled
                     |          |  ^  \-> released
                     |          v  |  \-> frozen
                     |        unknown --> settled, released, frozen
                     v
                  released (nowhere to send it: it was never sent)

An unknown outcome is not a failure: the money stays reserved, and the rail is asked until it says what happened.
`frozen` is a contradiction that a person must look at; nothing moves its money any more.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

from smallpeck.kernel.errors import Conflict
from smallpeck.kernel.ids import content_hash, derived_id
from smallpeck.kernel.money import whole_minor_units
from smallpeck.kernel.writes import Change, Create, Equals, Ref, Value, ref

RESEND_MARGIN_SECONDS = 24 * 3600
REQUEST_ROUTE = "POST /v1/worker/payouts"


class PayoutState(StrEnum):
    """Where a payout stands."""

    REQUESTED = "requested"
    """The amount is reserved; no run has taken it."""
    IN_RUN = "in_run"
    """A member of a payout run, not sent."""
    SENDING = "sending"
    """Its key is stored; the rail may have heard of it."""
    UNKNOWN = "unknown"
    """Sent, and the rail has not said how it ended."""
    SETTLED = "settled"
    """The rail paid."""
    RELEASED = "released"
    """The rail did not pay; the amount is the worker's again."""
    FROZEN = "frozen"
    """The rail contradicted itself, or us."""


UNRESOLVED = frozenset({PayoutState.IN_RUN, PayoutState.SENDING, PayoutState.UNKNOWN})


class Fact(StrEnum):
    """What a rail said about one payout."""

    PAID = "paid"
    REFUSED = "refused"
    """Not paid, and never will be under this key."""
    PENDING = "pending"
    """Accepted; the outcome comes later."""
    NEVER_HEARD = "never_heard"
    """The rail knows no payout of this key."""
    UNCLEAR = "unclear"
    """No answer, or none that can be read."""
    MISMATCH = "mismatch"
    """The rail knows this payout with another amount or currency."""


@dataclass(frozen=True)
class Answer:
    """A rail's answer. `reason` and `reference` are short codes, never text about a person."""

    fact: Fact
    reason: str | None = None
    reference: str | None = None


class IllegalTransition(Conflict):
    """The payout's state does not allow this."""

    code = "illegal_transition"


@dataclass(frozen=True)
class Payout:
    """One payout. Who is paid, and where, is known by worker and version of their destination only."""

    payout_id: str
    worker_id: str
    rail: str
    destination_version: int
    currency: str
    amount_micros: int
    fee_micros: int
    request_hash: str
    requested_at_ms: int
    touched_at_ms: int
    state: PayoutState = PayoutState.REQUESTED
    version: int = 1
    run_id: str | None = None
    number: int | None = None
    rail_key: str | None = None
    sending_started_at_ms: int | None = None
    attempts: int = 0
    acknowledged: bool = False
    reason: str | None = None
    reference: str | None = None
    decided_at_ms: int | None = None

    @property
    def sent_micros(self) -> int:
        """What the rail is asked to pay; the fee stays with the platform."""
        return self.amount_micros - self.fee_micros


def payout_id(worker_id: str, idempotency_key: str, route: str = REQUEST_ROUTE) -> str:
    """The id of the payout that is asked for under a key; each way of asking has keys of its own."""
    return derived_id("p_", worker_id, route, idempotency_key)


def request_hash(amount_micros: int | None, currency: str) -> str:
    """What tells another request under the same key from a replay; None asks for everything."""
    return content_hash([amount_micros, currency])


def payable_micros(balance_micros: int, currency: str) -> int:
    """What of a balance can leave: whole minor units; the remainder stays."""
    return whole_minor_units(max(balance_micros, 0), currency)


def effective_threshold(platform_micros: int, own_micros: int | None, rail_minimum_micros: int) -> int:
    """The least amount of a payout: a worker's own threshold counts only above the platform's."""
    return max(platform_micros, own_micros or 0, rail_minimum_micros)


def cooling_off_left_seconds(changed_at_ms: int | None, cooling_off_seconds: int, now_ms: int) -> int:
    """Seconds until a changed destination may be used; 0 where it may. A first destination was never changed."""
    if changed_at_ms is None:
        return 0
    left_ms = changed_at_ms + cooling_off_seconds * 1000 - now_ms
    return max(0, -(-left_ms // 1000))


def take(payout: Payout, *, run_id: str, number: int, now_ms: int) -> Payout:
    """Requested -> in_run: the payout is member `number` of a run."""
    _must_be(payout, PayoutState.REQUESTED)
    return _next(payout, now_ms, state=PayoutState.IN_RUN, run_id=run_id, number=number)


def begin_send(payout: Payout, *, now_ms: int) -> Payout:
    """The state to store before the rail is called. A resend keeps the first key and the first moment."""
    _must_be(payout, PayoutState.IN_RUN, PayoutState.UNKNOWN)
    return _next(
        payout,
        now_ms,
        state=PayoutState.SENDING,
        attempts=payout.attempts + 1,
        rail_key=payout.rail_key or derived_id("k_", payout.payout_id),
        sending_started_at_ms=payout.sending_started_at_ms or now_ms,
    )


def may_resend(payout: Payout, *, window_seconds: int, now_ms: int) -> bool:
    """Whether the rail surely still remembers the key of the first send: its window less a day has not passed."""
    if payout.state is not PayoutState.UNKNOWN or payout.sending_started_at_ms is None:
        return False
    return now_ms < payout.sending_started_at_ms + (window_seconds - RESEND_MARGIN_SECONDS) * 1000


def answered_to_send(payout: Payout, answer: Answer) -> Answer:
    """What an answer to a send is worth: refusing a resend says nothing about the send before it, so ask."""
    if payout.attempts > 1 and answer.fact is Fact.REFUSED:
        return Answer(Fact.UNCLEAR)
    return answer


def learn(payout: Payout, answer: Answer, *, now_ms: int) -> Payout:
    """The payout after a rail's answer; the same object where the answer changes nothing."""
    match payout.state:
        case PayoutState.SENDING | PayoutState.UNKNOWN:
            return _learn_open(payout, answer, now_ms)
        case PayoutState.SETTLED:
            against = {Fact.REFUSED, Fact.MISMATCH}
        case PayoutState.RELEASED:
            against = {Fact.PAID, Fact.PENDING, Fact.MISMATCH}
        case PayoutState.FROZEN:
            return payout
        case PayoutState.REQUESTED | PayoutState.IN_RUN:
            raise IllegalTransition("a payout that was not sent has no answer")
    return _freeze(payout, answer, now_ms) if answer.fact in against else payout


def abandon(payout: Payout, *, reason: str, now_ms: int) -> Payout:
    """In_run -> released: there is nowhere to send it, and it was never sent."""
    _must_be(payout, PayoutState.IN_RUN)
    return _next(payout, now_ms, state=PayoutState.RELEASED, reason=reason, decided_at_ms=now_ms)


def _learn_open(payout: Payout, answer: Answer, now_ms: int) -> Payout:
    match answer.fact:
        case Fact.PAID:
            return _next(
                payout,
                now_ms,
                state=PayoutState.SETTLED,
                reason=None,
                reference=answer.reference,
                decided_at_ms=now_ms,
            )
        case Fact.REFUSED:
            return _next(
                payout,
                now_ms,
                state=PayoutState.RELEASED,
                reason=answer.reason or "other",
                reference=answer.reference,
                decided_at_ms=now_ms,
            )
        case Fact.PENDING:
            return _next(payout, now_ms, state=PayoutState.UNKNOWN, reason=answer.reason, acknowledged=True)
        case Fact.NEVER_HEARD if payout.acknowledged:
            return _freeze(payout, answer, now_ms)
        case Fact.MISMATCH:
            return _freeze(payout, answer, now_ms)
        case Fact.UNCLEAR | Fact.NEVER_HEARD:
            return _next(payout, now_ms, state=PayoutState.UNKNOWN, reason=answer.reason)
    raise TypeError(f"not a fact: {answer.fact!r}")


def _freeze(payout: Payout, answer: Answer, now_ms: int) -> Payout:
    before = "pending" if payout.acknowledged and payout.state in UNRESOLVED else payout.state.value
    return _next(payout, now_ms, state=PayoutState.FROZEN, reason=f"{before}_then_{answer.fact.value}")


def _next(payout: Payout, now_ms: int, **changes: Any) -> Payout:
    return replace(payout, version=payout.version + 1, touched_at_ms=now_ms, **changes)


def _must_be(payout: Payout, *states: PayoutState) -> None:
    if payout.state not in states:
        raise IllegalTransition(f"the payout is {payout.state.value}")


def payout_ref(identifier: str) -> Ref:
    """The item of a payout."""
    return ref("payout", identifier)


def create(payout: Payout) -> Create:
    """The write of a new payout."""
    return Create(
        payout_ref(payout.payout_id),
        {name: value for name, value in _fields(payout).items() if value is not None},
        index={
            "payout_of": (payout.worker_id, payout.requested_at_ms, payout.payout_id),
            "payable": (payout.requested_at_ms, payout.payout_id),
        },
    )


def change(before: Payout, after: Payout) -> Change:
    """The write from one state to the next: it holds only while nobody else made another."""
    old, new = _fields(before), _fields(after)
    changed = {name: value for name, value in new.items() if value != old[name]}
    waits = after.state in UNRESOLVED
    index: dict[str, tuple[str | int, ...] | None] = {"payable": None}
    index["unresolved"] = (after.touched_at_ms, after.payout_id) if waits else None
    return Change(
        payout_ref(after.payout_id),
        set={name: value for name, value in changed.items() if value is not None},
        remove=tuple(name for name, value in changed.items() if value is None),
        when=(Equals("version", before.version),),
        index=index,
    )


def payout_from(item: Mapping[str, Any]) -> Payout:
    """The payout of a stored item."""
    known = {field.name: item[field.name] for field in fields(Payout) if field.name in item}
    return Payout(**known | {"state": PayoutState(item["state"])})


def _fields(payout: Payout) -> dict[str, Value]:
    return {field.name: getattr(payout, field.name) for field in fields(payout)}
