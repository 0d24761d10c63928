"""What a rail is to the payouts: its terms, what it is asked, what it answers, and what it says unasked.

There are two sorts. A `Rail` is asked payout by payout. A `ParcelRail` is asked for a *parcel* at once: those payouts
of one run that go out by one rail in one currency, up to `RailTerms.parcel_items` of them. Who is in a parcel, and its
key, are stored before the first send and never change. `RailTerms.parcel_items` says which sort a rail is; None is a
`Rail`. A rail that says by itself what became of a payout has an `EventReader` too (`RailTerms.tells`).

Nothing here raises where no answer came: silence, and whatever is not a documented answer about exactly this payout,
is `Fact.UNCLEAR`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from smallpeck.kernel.errors import Forbidden, Malformed
from smallpeck.kernel.money import whole_minor_units
from smallpeck.payouts.model import RESEND_MARGIN_SECONDS, Answer

MAX_PARCEL_ITEMS = 1_000
"""How many members of a run go into one parcel at most, whatever more the rail would take: what one step can read,
unseal and mark well within its life.
"""


@dataclass(frozen=True)
class RailTerms:
    """What a rail promises and asks, the same in every currency. The fee is taken from what the worker withdraws."""

    window_seconds: int
    """How long the rail remembers an idempotency key."""
    minimum_micros: int
    fee_micros: int
    delivers_from_seconds: int = 0
    delivers_within_seconds: int = 3 * 24 * 3600
    """When money arrives after it was sent: no sooner than, and no later than."""
    currencies: frozenset[str] | None = None
    """What it can carry; None: every currency that the platform keeps books in."""
    parcel_items: int | None = None
    """How many payouts the rail takes in one message; None: one by one."""
    tells: bool = False
    """Whether it says by itself what became of a payout, so that asking is only for when that was lost."""
    lists_all: bool = False
    """Whether "never heard of it" is true for good once every send of it is a day old: the rail forgets nothing."""
    unclaimed_seconds: int | None = None
    """How long a payout waits for somebody to claim it before the rail sends it back; None: there is no such thing."""

    def __post_init__(self) -> None:
        if self.window_seconds < RESEND_MARGIN_SECONDS:
            raise ValueError("a rail remembers a key for a day at least")
        if not 0 <= self.fee_micros < self.minimum_micros:
            raise ValueError("a rail's minimum is above its fee")
        if not 0 <= self.delivers_from_seconds <= self.delivers_within_seconds:
            raise ValueError("a rail delivers from one moment on until a later one")
        if self.parcel_items is not None and self.parcel_items < 1:
            raise ValueError("a parcel holds one payout at least")

    def fee_in(self, currency: str) -> int:
        """The fee of one payout, in whole minor units."""
        return whole_minor_units(self.fee_micros, currency)

    def carries(self, currency: str) -> bool:
        """Whether payouts in this currency can go out by the rail."""
        return self.currencies is None or currency in self.currencies

    @property
    def parcel_limit(self) -> int:
        """How many payouts a parcel holds at most; 0 where payouts go out one by one."""
        return min(self.parcel_items or 0, MAX_PARCEL_ITEMS)


@dataclass(frozen=True)
class Order:
    """What a rail is asked to pay, but for where. `key` is the idempotency key of every send of it."""

    key: str
    payout_id: str
    run_id: str
    amount_micros: int
    currency: str
    reference: str | None = None
    """What the rail itself calls the payment, where it has said so."""


class Destination(Protocol):
    """Where a payout goes: personal data, never logged, never stored with a payout."""

    @property
    def rail(self) -> str: ...

    @property
    def address(self) -> str: ...


@dataclass(frozen=True)
class Item:
    """One payout of a parcel, and where it goes."""

    order: Order
    destination: Destination = field(repr=False)


@dataclass(frozen=True)
class Parcel:
    """Payouts that a rail is asked for in one message. All that is here is stored before the first send."""

    key: str
    """At most 35 characters, `<run>-<number>`: the idempotency key of every send of it."""
    rail: str
    run_id: str
    number: int
    currency: str
    sending_started_at_ms: int
    reference: str | None = None
    """What the rail itself calls it, where it has said so."""


@dataclass(frozen=True)
class Said:
    """What a rail said about a parcel. `answers` are by payout id; one that is not there is UNCLEAR."""

    answers: Mapping[str, Answer] = field(default_factory=dict)
    reference: str | None = None
    """What the rail calls the parcel, where it said so."""


class Rail(Protocol):
    """A way for money to leave, payout by payout."""

    def pay(self, order: Order, destination: Destination) -> Answer:
        """Asks for the payment; the same key asks for the same payment again."""
        ...

    def ask(self, order: Order) -> Answer:
        """What became of the payment with the order's key; pays nothing."""
        ...

    def totals(self, run_id: str) -> Mapping[str, int] | None:
        """Micros paid for a run by currency, as the rail sees it; None where it did not say."""
        ...


class ParcelRail(Protocol):
    """A way for money to leave, many payouts in one message.

    `Fact.SEND_TO_ASK` as the answer about a payout has its parcel sent again, the same items under the same key, while
    the rail's window allows: for rails that know a message again, but can only be asked by sending it.
    """

    def send(self, parcel: Parcel, items: Sequence[Item]) -> Said:
        """Asks for the payments; the same parcel asks for the same payments again."""
        ...

    def ask(self, parcel: Parcel, orders: Sequence[Order]) -> Said:
        """What became of some payouts of a parcel; pays nothing."""
        ...

    def totals(self, parcels: Sequence[Parcel]) -> Mapping[str, int] | None:
        """Micros paid for all the parcels of a run by currency, as the rail sees it; None where it did not say."""
        ...


class Cancelling(Protocol):
    """A rail with `unclaimed_seconds`."""

    def cancel(self, order: Order) -> Answer:
        """Takes back a payment that nobody has claimed: RETURNED where that is done, else what is the case."""
        ...


@dataclass(frozen=True)
class News:
    """What a rail said about one payout. `amount_micros` and `currency` are the payment's, None where it is silent."""

    payout_id: str
    answer: Answer
    amount_micros: int | None = None
    currency: str | None = None


@dataclass(frozen=True)
class RailEvent:
    """Something that a rail said by itself, verified. `kind` is the rail's own word for it."""

    event_id: str
    kind: str
    news: tuple[News, ...] = ()
    parcel_key: str | None = None
    parcel_reference: str | None = None
    """What the rail calls the parcel of that key."""
    follow: str | None = None
    """What the rail must be asked before it is clear which payouts this is about; opaque, for `Following.follow`."""

    @property
    def is_known(self) -> bool:
        """Whether it says anything that is acted on."""
        return bool(self.news or self.follow or (self.parcel_key and self.parcel_reference))


class EventReader(Protocol):
    """Who knows the rail's signature."""

    def read(self, headers: Mapping[str, str], body: bytes, *, now_ms: int) -> RailEvent:
        """The event of a webhook call; raises Forged or Unreadable. `headers` are by their lower-case names."""
        ...


class Following(Protocol):
    """A rail whose events can need a question before they say which payouts they are about."""

    def follow(self, what: str) -> Sequence[News] | None:
        """What an event comes to; None where no answer came. May ask the rail to take the money back."""
        ...


class Forged(Forbidden):
    """A webhook call that the rail has not signed, or not lately."""

    code = "bad_signature"


class Unreadable(Malformed):
    """A webhook call that is signed but cannot be read."""

    code = "unreadable_event"
