"""What a provider of checkouts is to funding: what it is asked, what it answers, and what it says unasked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from smallpeck.funding.model import Fact
from smallpeck.kernel.errors import Forbidden, Invalid, Malformed, Unavailable


class ForgedEvent(Forbidden):
    """A webhook call that the provider has not signed, or not lately."""

    code = "bad_signature"

    def __init__(self) -> None:
        super().__init__("this was not signed by who it should be from, or not lately")


class UnreadableEvent(Malformed):
    """A webhook call that is signed but cannot be read."""

    code = "unreadable_event"


class CheckoutRefused(Invalid):
    """The provider does not take this payment: too little, too much, or a currency that it does not know."""

    code = "checkout_refused"


class ProviderSilent(Unavailable):
    """The provider did not answer, or not so that it could be understood. Asking again later is safe."""

    code = "provider_silent"


@dataclass(frozen=True)
class CheckoutOrder:
    """What a checkout is opened for. The deposit's id is the idempotency key of every call about it."""

    deposit_id: str
    amount_micros: int
    currency: str
    expires_at_ms: int


@dataclass(frozen=True)
class Session:
    """A checkout as the provider knows it: its id there, and where the requester pays."""

    session_id: str
    url: str


@dataclass(frozen=True)
class FundingEvent:
    """Something that a provider said by itself, verified. Without a fact there is nothing to act on.

    `deposit_id` is whom the provider says that it is about; None where it names only the payment.
    """

    source: str
    event_id: str
    kind: str
    fact: Fact | None = None
    deposit_id: str | None = None
    is_held: bool = False
    """It is about money, but cannot be entered: a currency without books, or something that should be there is not."""


class Checkouts(Protocol):
    """A provider of checkouts. `source` names it in accounts and ids."""

    @property
    def source(self) -> str: ...

    def open(self, order: CheckoutOrder) -> Session:
        """Opens a checkout; the same order again is the same checkout. Raises CheckoutRefused or ProviderSilent."""
        ...

    def look(self, session_id: str) -> Fact | None:
        """What became of a checkout; None while it is open. Raises ProviderSilent."""
        ...

    def deposit_of(self, payment_id: str) -> str | None:
        """The deposit that a payment was for; None where it was for none. Raises ProviderSilent."""
        ...


class EventReader(Protocol):
    """Who knows the provider's signature."""

    def read(self, headers: Mapping[str, str], body: bytes, *, now_ms: int) -> FundingEvent:
        """The event of a webhook call; raises ForgedEvent or UnreadableEvent. `headers` are by lower-case names."""
        ...
