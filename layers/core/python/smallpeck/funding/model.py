"""A deposit's life, as pure functions of its state and a fact.

    created --> paid --> credited --> charged_back
       |  ^______|
       v
    expired

`paid` is what the provider said; `credited` is what the books say, and only an entry leads there. Who pays what, and
in which currency, stands in the deposit since before the provider heard of it. A payment that is not exactly that is
held: it goes into suspense under the deposit's id, and a person decides. What a provider says comes in any order and
more than once: a fact that is known changes nothing, and of two that contradict each other the first one stands.

Facts are recorded first. `due` names what must follow from them in the books, one step after the other; each step is
one transaction with the mark that it is done.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, TypeAlias

from smallpeck.kernel.errors import NotFound
from smallpeck.kernel.writes import Change, Create, Equals, Path, Ref, Value, ref


class DepositState(StrEnum):
    """Where a deposit stands."""

    CREATED = "created"
    """The requester may pay; nothing has come."""
    PAID = "paid"
    """The provider has the money, and it is not the requester's yet."""
    CREDITED = "credited"
    """The money is the requester's; disputes and refunds take some of it away."""
    EXPIRED = "expired"
    """Nobody paid in time, or the payment failed."""
    CHARGED_BACK = "charged_back"
    """All of it went back."""


class DisputeState(StrEnum):
    """open -> won | lost."""

    OPEN = "open"
    WON = "won"
    """The money stays with the platform, and is the requester's again."""
    LOST = "lost"
    """The money is gone."""


class Alarm(StrEnum):
    """What needs a person, as it is counted."""

    HELD = "FundingHeld"
    """Money came in that could not be assigned, or a message about money that the books do not know."""
    CONTRADICTED = "FundingContradicted"
    """A provider said two different things about one payment."""
    DISPUTED = "FundingDisputed"
    """A requester disputes a payment."""


@dataclass(frozen=True)
class Paid:
    """The provider has received a payment. `payment_id` is the provider's."""

    payment_id: str
    amount_micros: int
    currency: str


@dataclass(frozen=True)
class NotPaid:
    """Nothing came and nothing will: the checkout expired, or the payment failed."""

    reason: str


@dataclass(frozen=True)
class Disputed:
    """A payment, or a part of it, is disputed; `decided` says how that ended, None while it is open."""

    payment_id: str
    dispute_id: str
    amount_micros: int
    currency: str
    decided: DisputeState | None = None


@dataclass(frozen=True)
class Refunded:
    """Of a payment, so much in all was sent back."""

    payment_id: str
    total_micros: int
    currency: str


Fact: TypeAlias = Paid | NotPaid | Disputed | Refunded


@dataclass(frozen=True)
class Dispute:
    """A dispute of a deposit's payment. `entered` and `concluded`: how far the books have followed."""

    amount_micros: int
    state: DisputeState = DisputeState.OPEN
    entered: bool = False
    batches_paused: bool = False
    concluded: bool = False


@dataclass(frozen=True)
class HeldPayment:
    """A payment that is not what the deposit says."""

    amount_micros: int
    currency: str
    reason: str
    entered: bool = False


class DepositNotFound(NotFound):
    """There is no such deposit, or it is another requester's."""

    code = "deposit_not_found"

    def __init__(self) -> None:
        super().__init__("there is no such deposit")


@dataclass(frozen=True)
class Deposit:
    """One checkout. `session_id` and `url` are the provider's, None until it has answered."""

    deposit_id: str
    requester_id: str
    source: str
    currency: str
    amount_micros: int
    request_hash: str
    created_at_ms: int
    expires_at_ms: int
    state: DepositState = DepositState.CREATED
    version: int = 1
    session_id: str | None = None
    url: str | None = None
    payment_id: str | None = None
    reason: str | None = None
    """Why nothing came, where it expired."""
    credited_at_ms: int | None = None
    disputes: Mapping[str, Dispute] = field(default_factory=dict)
    held: Mapping[str, HeldPayment] = field(default_factory=dict)
    """By the id of the payment."""
    refunded_micros: int = 0
    refunds_entered_micros: int = 0

    @property
    def disputed_micros(self) -> int:
        """What disputes have taken, or will have when the books have followed; those that were won took nothing."""
        return sum(one.amount_micros for one in self.disputes.values() if one.state is not DisputeState.WON)

    @property
    def lost_micros(self) -> int:
        """What is gone for good, as the books say."""
        lost = (one for one in self.disputes.values() if one.state is DisputeState.LOST and one.concluded)
        return sum(one.amount_micros for one in lost) + self.refunds_entered_micros

    @property
    def is_watched(self) -> bool:
        """Whether something is still to come, or still to be done."""
        return self.state is DepositState.CREATED or due(self) is not None


class Step(StrEnum):
    """What follows from the facts of a deposit."""

    HOLD = "hold"
    """A payment goes into suspense."""
    CREDIT = "credit"
    """The payment goes to the requester."""
    DISPUTE = "dispute"
    """The disputed money is taken from the requester, who is frozen."""
    PAUSE = "pause"
    """The requester's batches are offered to nobody."""
    CONCLUDE = "conclude"
    """The disputed money comes back or is gone."""
    REFUND = "refund"
    """Money that was sent back is taken from the requester."""


@dataclass(frozen=True)
class Due:
    """The next step, and the payment or dispute that it is about."""

    step: Step
    subject: str = ""


def due(deposit: Deposit) -> Due | None:
    """What has to be done next, or None."""
    for payment_id, payment in sorted(deposit.held.items()):
        if not payment.entered:
            return Due(Step.HOLD, payment_id)
    if deposit.state is DepositState.PAID and deposit.payment_id is not None:
        return Due(Step.CREDIT)
    if deposit.state not in (DepositState.CREDITED, DepositState.CHARGED_BACK):
        return None
    for dispute_id, dispute in sorted(deposit.disputes.items()):
        if not dispute.entered and dispute.state is not DisputeState.WON:
            return Due(Step.DISPUTE, dispute_id)
        if dispute.entered and not dispute.batches_paused:
            return Due(Step.PAUSE, dispute_id)
        if dispute.entered and dispute.state is not DisputeState.OPEN and not dispute.concluded:
            return Due(Step.CONCLUDE, dispute_id)
    if deposit.refunded_micros > deposit.refunds_entered_micros:
        return Due(Step.REFUND)
    return None


@dataclass(frozen=True)
class Heard:
    """A deposit after a fact; `alarm` where a person should know of it."""

    deposit: Deposit
    alarm: Alarm | None = None


def heard(deposit: Deposit, fact: Fact) -> Heard:
    """The deposit after a fact. The same fact again, or one that comes too late, changes nothing."""
    match fact:
        case Paid():
            return _paid(deposit, fact)
        case NotPaid():
            if deposit.state is DepositState.CREATED:
                return Heard(replace(deposit, state=DepositState.EXPIRED, reason=fact.reason))
            late = deposit.state is DepositState.EXPIRED
            return Heard(deposit, None if late else Alarm.CONTRADICTED)
        case Disputed():
            return _disputed(deposit, fact)
        case Refunded():
            return _refunded(deposit, fact)


def is_as_agreed(deposit: Deposit, fact: Paid) -> bool:
    """Whether a payment is what the deposit says, to the coin."""
    return (fact.amount_micros, fact.currency) == (deposit.amount_micros, deposit.currency)


def _paid(deposit: Deposit, fact: Paid) -> Heard:
    as_agreed = is_as_agreed(deposit, fact)
    if fact.payment_id == deposit.payment_id:
        return Heard(deposit, None if as_agreed else Alarm.CONTRADICTED)
    known = deposit.held.get(fact.payment_id)
    if known is not None:
        same = (fact.amount_micros, fact.currency) == (known.amount_micros, known.currency)
        return Heard(deposit, None if same else Alarm.CONTRADICTED)
    if as_agreed and deposit.payment_id is None:
        return Heard(replace(deposit, state=DepositState.PAID, payment_id=fact.payment_id, reason=None))
    if deposit.payment_id is not None:
        reason = "paid_again"
    else:
        reason = "another_currency" if fact.currency != deposit.currency else "another_amount"
    held = {**deposit.held, fact.payment_id: HeldPayment(fact.amount_micros, fact.currency, reason)}
    state = DepositState.PAID if deposit.state in (DepositState.CREATED, DepositState.EXPIRED) else deposit.state
    return Heard(replace(deposit, held=held, state=state), Alarm.HELD)


def _disputed(deposit: Deposit, fact: Disputed) -> Heard:
    if not _is_about(deposit, fact.payment_id):
        return Heard(deposit, Alarm.HELD)
    known = deposit.disputes.get(fact.dispute_id)
    if known is None:
        as_agreed = fact.currency == deposit.currency and 0 < fact.amount_micros <= _left(deposit)
        # What is not ours to take is not taken; the requester is frozen all the same, and a person looks.
        amount = min(fact.amount_micros, _left(deposit)) if fact.currency == deposit.currency else 0
        dispute = Dispute(max(0, amount), fact.decided or DisputeState.OPEN)
        after = replace(deposit, disputes={**deposit.disputes, fact.dispute_id: dispute})
        return Heard(after, Alarm.DISPUTED if as_agreed else Alarm.CONTRADICTED)
    same_amount = (fact.amount_micros, fact.currency) == (known.amount_micros, deposit.currency)
    if fact.decided is None or fact.decided is known.state:
        return Heard(deposit, None if same_amount else Alarm.CONTRADICTED)
    if known.state is not DisputeState.OPEN:
        return Heard(deposit, Alarm.CONTRADICTED)
    decided = replace(known, state=fact.decided)
    after = replace(deposit, disputes={**deposit.disputes, fact.dispute_id: decided})
    return Heard(after, None if same_amount else Alarm.CONTRADICTED)


def _refunded(deposit: Deposit, fact: Refunded) -> Heard:
    if not _is_about(deposit, fact.payment_id) or fact.currency != deposit.currency:
        return Heard(deposit, Alarm.HELD)
    if fact.total_micros <= deposit.refunded_micros:
        return Heard(deposit)
    most = deposit.amount_micros - deposit.disputed_micros
    total = max(deposit.refunded_micros, min(fact.total_micros, most))
    after = deposit if total == deposit.refunded_micros else replace(deposit, refunded_micros=total)
    return Heard(after, None if total == fact.total_micros else Alarm.CONTRADICTED)


def _is_about(deposit: Deposit, payment_id: str) -> bool:
    """Whether this is the deposit's own payment; one that nobody has told us of yet may be."""
    return payment_id not in deposit.held and deposit.payment_id in (None, payment_id)


def _left(deposit: Deposit) -> int:
    return deposit.amount_micros - deposit.disputed_micros - deposit.refunded_micros


def held_entered(deposit: Deposit, payment_id: str) -> Deposit:
    """A held payment stands in suspense."""
    entered = replace(deposit.held[payment_id], entered=True)
    return replace(deposit, held={**deposit.held, payment_id: entered})


def credited(deposit: Deposit, now_ms: int) -> Deposit:
    """The payment is the requester's."""
    return replace(deposit, state=DepositState.CREDITED, credited_at_ms=now_ms)


def with_dispute(deposit: Deposit, dispute_id: str, dispute: Dispute) -> Deposit:
    """How far the books have followed a dispute; the state follows when nothing is left."""
    return _ended(replace(deposit, disputes={**deposit.disputes, dispute_id: dispute}))


def refunds_entered(deposit: Deposit) -> Deposit:
    """What was sent back stands in the books."""
    return _ended(replace(deposit, refunds_entered_micros=deposit.refunded_micros))


def _ended(deposit: Deposit) -> Deposit:
    gone = deposit.lost_micros >= deposit.amount_micros
    return replace(deposit, state=DepositState.CHARGED_BACK if gone else DepositState.CREDITED)


def deposit_ref(deposit_id: str) -> Ref:
    """The item of a deposit."""
    return ref("deposit", deposit_id)


def create(deposit: Deposit) -> Create:
    """Writes a new deposit."""
    owner = (deposit.requester_id, deposit.created_at_ms, deposit.deposit_id)
    return Create(
        deposit_ref(deposit.deposit_id),
        _stored(deposit),
        index={"deposit_of": owner, "watched": (deposit.created_at_ms, deposit.deposit_id)},
    )


def change(before: Deposit, after: Deposit) -> Change:
    """Writes the deposit after a step, where nobody changed it meanwhile."""
    stored = _stored(replace(after, version=before.version + 1))
    was = _stored(before)
    changed: dict[Path, Value] = {name: value for name, value in stored.items() if was.get(name) != value}
    gone: tuple[Path, ...] = tuple(name for name in was if name not in stored)
    watched = (before.created_at_ms, before.deposit_id) if after.is_watched else None
    return Change(
        deposit_ref(before.deposit_id),
        set=changed,
        remove=gone,
        when=(Equals("version", before.version),),
        index={"watched": watched},
    )


def deposit_from(item: Mapping[str, Any]) -> Deposit:
    """A deposit from its stored fields."""
    given = {one.name: item[one.name] for one in fields(Deposit) if one.name in item}
    given["state"] = DepositState(given["state"])
    given["disputes"] = {
        name: Dispute(**{**one, "state": DisputeState(one["state"])}) for name, one in item.get("disputes", {}).items()
    }
    given["held"] = {name: HeldPayment(**one) for name, one in item.get("held", {}).items()}
    return Deposit(**given)


def _stored(deposit: Deposit) -> dict[str, Value]:
    return {name: value for name, value in asdict(deposit).items() if value is not None}
