r"""A payout's life, as pure functions of its state, a fact and the time.

    requested --> in_run --> sending --> settled --> returned
                     |          |  ^  \-> released
                     |          v  |  \-> frozen
                     |        unknown --> settled, released, returned, unclaimed, frozen
                     |          |
                     v          v
                  released    unclaimed --> settled, released, returned, frozen
                  (nowhere to send it: it was never sent)

An unknown outcome is not a failure: the money stays reserved, and the rail is asked until it says what happened.
`released` never left; `returned` left and came back, also long after the rail had said that it was paid. `frozen` is a
contradiction that a person must look at; nothing moves its money any more.

What rails say comes in any order and more than once. Where an answer carries the rail's own moment, one that is older
than what was decided by is no contradiction, only late.
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
    UNCLAIMED = "unclaimed"
    """The rail holds it until the worker claims it, or until it comes back."""
    SETTLED = "settled"
    """The rail paid."""
    RELEASED = "released"
    """The rail did not pay; the amount is the worker's again."""
    RETURNED = "returned"
    """It came back from where it was sent; the amount is the worker's again."""
    FROZEN = "frozen"
    """The rail contradicted itself, or us."""


UNRESOLVED = frozenset({PayoutState.IN_RUN, PayoutState.SENDING, PayoutState.UNKNOWN, PayoutState.UNCLAIMED})


class Fact(StrEnum):
    """What a rail said about one payout."""

    PAID = "paid"
    REFUSED = "refused"
    """Not paid, and never will be under this key."""
    PENDING = "pending"
    """Accepted; the outcome comes later."""
    UNCLAIMED = "unclaimed"
    """The rail holds the money until somebody claims it."""
    RETURNED = "returned"
    """The rail has the money back from where it had sent it, all of it, for good."""
    NEVER_HEARD = "never_heard"
    """The rail knows no payout of this key."""
    SEND_TO_ASK = "send_to_ask"
    """The rail only says what became of a payout when it is sent again under the same key."""
    UNCLEAR = "unclear"
    """No answer, or none that can be read."""
    MISMATCH = "mismatch"
    """The rail knows this payout with another amount or currency."""


@dataclass(frozen=True)
class Answer:
    """A rail's answer. `reason` and `reference` are short codes, never text about a person.

    `at_ms` is when it became so, as the rail says; None where it does not.
    """

    fact: Fact
    reason: str | None = None
    reference: str | None = None
    at_ms: int | None = None


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
    parcel: int | None = None
    """The number of the run's parcel that it goes out with; None where it goes out by itself."""
    rail_key: str | None = None
    sending_started_at_ms: int | None = None
    attempts: int = 0
    acknowledged: bool = False
    reason: str | None = None
    reference: str | None = None
    decided_at_ms: int | None = None
    said_at_ms: int | None = None
    """The rail's own moment of what was decided by."""

    @property
    def is_reserved(self) -> bool:
        """Whether its amount has left the balance, and has neither left the platform nor come back."""
        undecided = self.state is PayoutState.FROZEN and self.decided_at_ms is None
        return undecided or self.state is PayoutState.REQUESTED or self.state in UNRESOLVED

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


def take(payout: Payout, *, run_id: str, number: int, now_ms: int, parcel: int | None = None) -> Payout:
    """Requested -> in_run: the payout is member `number` of a run, and goes out with that run's `parcel`."""
    _must_be(payout, PayoutState.REQUESTED)
    return _next(payout, now_ms, state=PayoutState.IN_RUN, run_id=run_id, number=number, parcel=parcel)


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
    return is_remembered(payout.sending_started_at_ms, window_seconds=window_seconds, now_ms=now_ms)


def is_remembered(first_send_ms: int, *, window_seconds: int, now_ms: int) -> bool:
    """Whether a rail's window less a day has not passed since a first send."""
    return now_ms < first_send_ms + (window_seconds - RESEND_MARGIN_SECONDS) * 1000


def answered_to_send(payout: Payout, answer: Answer) -> Answer:
    """What an answer to a send is worth: refusing a resend says nothing about the send before it, so ask."""
    if payout.attempts > 1 and answer.fact is Fact.REFUSED:
        return Answer(Fact.UNCLEAR)
    return answer


def believed(payout: Payout, answer: Answer, *, window_seconds: int, lists_all: bool, now_ms: int) -> Answer:
    """What "never heard of it" is worth: where the rail forgets nothing and no send can still be on its way, a no.

    The last send was a day before the end of the window, or earlier.
    """
    started_ms = payout.sending_started_at_ms
    if not lists_all or answer.fact is not Fact.NEVER_HEARD or started_ms is None or payout.acknowledged:
        return answer
    over = now_ms >= started_ms + window_seconds * 1000
    return Answer(Fact.REFUSED, reason="never_arrived") if over else answer


def learn(payout: Payout, answer: Answer, *, now_ms: int) -> Payout:
    """The payout after a rail's answer; the same object where the answer changes nothing."""
    match payout.state:
        case PayoutState.SENDING | PayoutState.UNKNOWN | PayoutState.UNCLAIMED:
            return _learn_open(payout, answer, now_ms)
        case PayoutState.SETTLED if answer.fact is Fact.RETURNED:
            return _decide(payout, PayoutState.RETURNED, answer, now_ms)
        case PayoutState.FROZEN:
            return payout
        case PayoutState.REQUESTED | PayoutState.IN_RUN:
            raise IllegalTransition("a payout that was not sent has no answer")
    late = answer.at_ms is not None and payout.said_at_ms is not None and answer.at_ms <= payout.said_at_ms
    against = _ALWAYS_AGAINST[payout.state] | (frozenset() if late else _AGAINST_WHEN_NEWER[payout.state])
    return _freeze(payout, answer, now_ms) if answer.fact in against else payout


def abandon(payout: Payout, *, reason: str, now_ms: int) -> Payout:
    """In_run -> released: there is nowhere to send it, and it was never sent."""
    _must_be(payout, PayoutState.IN_RUN)
    return _next(payout, now_ms, state=PayoutState.RELEASED, reason=reason, decided_at_ms=now_ms)


_ALWAYS_AGAINST = {
    PayoutState.SETTLED: frozenset({Fact.REFUSED, Fact.MISMATCH}),
    PayoutState.RELEASED: frozenset({Fact.PAID, Fact.MISMATCH}),
    PayoutState.RETURNED: frozenset({Fact.MISMATCH}),
}
_AGAINST_WHEN_NEWER = {
    PayoutState.SETTLED: frozenset[Fact](),
    PayoutState.RELEASED: frozenset({Fact.PENDING, Fact.UNCLAIMED}),
    PayoutState.RETURNED: frozenset({Fact.PAID, Fact.PENDING, Fact.UNCLAIMED}),
}
_DECIDING = {
    Fact.PAID: PayoutState.SETTLED,
    Fact.REFUSED: PayoutState.RELEASED,
    Fact.RETURNED: PayoutState.RETURNED,
}


def _learn_open(payout: Payout, answer: Answer, now_ms: int) -> Payout:
    waits = PayoutState.UNCLAIMED if payout.state is PayoutState.UNCLAIMED else PayoutState.UNKNOWN
    reference = answer.reference or payout.reference
    match answer.fact:
        case Fact.PAID | Fact.REFUSED | Fact.RETURNED:
            return _decide(payout, _DECIDING[answer.fact], answer, now_ms)
        case Fact.UNCLAIMED:
            return _next(
                payout,
                now_ms,
                state=PayoutState.UNCLAIMED,
                reason=answer.reason or "unclaimed",
                reference=reference,
                acknowledged=True,
            )
        case Fact.PENDING:
            reason = payout.reason if waits is PayoutState.UNCLAIMED else answer.reason
            return _next(payout, now_ms, state=waits, reason=reason, reference=reference, acknowledged=True)
        case Fact.NEVER_HEARD if payout.acknowledged:
            return _freeze(payout, answer, now_ms)
        case Fact.MISMATCH:
            return _freeze(payout, answer, now_ms)
        case Fact.UNCLEAR | Fact.NEVER_HEARD | Fact.SEND_TO_ASK:
            reason = payout.reason if waits is PayoutState.UNCLAIMED else answer.reason
            return _next(payout, now_ms, state=waits, reason=reason)
    raise TypeError(f"not a fact: {answer.fact!r}")


def _decide(payout: Payout, state: PayoutState, answer: Answer, now_ms: int) -> Payout:
    reason = None if state is PayoutState.SETTLED else answer.reason or "other"
    return _next(
        payout,
        now_ms,
        state=state,
        reason=reason,
        reference=answer.reference or payout.reference,
        decided_at_ms=now_ms,
        said_at_ms=answer.at_ms,
    )


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
