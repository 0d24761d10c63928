"""What funding needs, joined: the provider, the requester's batches, and who calls a person."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from smallpeck.runtime import observability, wiring
from smallpeck.runtime.wiring import Wiring

if TYPE_CHECKING:
    from smallpeck.funding.checkouts import Opening
    from smallpeck.funding.model import Alarm
    from smallpeck.funding.port import Checkouts
    from smallpeck.funding.settling import Ports
    from smallpeck.funding.store import FundingStore
    from smallpeck.funding.stripe_events import StripeEvents


@dataclass(frozen=True)
class BankAccount:
    """The account that requesters send money to."""

    holder: str
    iban: str
    bic: str


@dataclass(frozen=True)
class FundingAlarms:
    """Counts what an alarm watches; see `smallpeck.funding.bank.Signals`."""

    def alarm(self, alarm: "Alarm", subject: str, /) -> None:
        """See `smallpeck.funding.bank.Signals`."""
        observability.logger.error("money needs a person", extra={"alarm": alarm.value, "subject": subject})
        observability.count(alarm.value)


@dataclass(frozen=True)
class RequesterWork:
    """See `smallpeck.funding.settling.Batches`."""

    here: Wiring

    def pause_all(self, requester_id: str, /) -> None:
        """See `smallpeck.funding.settling.Batches`."""
        from smallpeck.tasks import steering

        steering.pause_all(requester_id=requester_id, reads=self.here.once(wiring.task_store), unit=self.here.table)


def funding_store(here: Wiring) -> "FundingStore":
    from smallpeck.funding.store import FundingStore

    return FundingStore(here.table)


def checkouts(here: Wiring) -> "Checkouts":
    """The provider; raises CheckoutsClosed where the stage has none."""
    from smallpeck.funding.checkouts import CheckoutsClosed

    settings = here.settings
    if not settings.checkout_url:
        raise CheckoutsClosed
    from smallpeck.funding.stripe_checkout import connect

    return connect(
        url=settings.checkout_url,
        secret=here.secret(settings.checkout_secret_arn),
        success_url=settings.checkout_success_url,
        cancel_url=settings.checkout_cancel_url,
        stage=settings.stage,
    )


def opening(here: Wiring) -> "Opening":
    from smallpeck.funding.checkouts import Opening

    return Opening(here.once(funding_store), here.table, here.once(checkouts))


def funding_ports(here: Wiring) -> "Ports":
    """What hearing, settling and looking after deposits need."""
    from smallpeck.funding.settling import Ports

    return Ports(
        reads=here.once(funding_store),
        books=here.ledger,
        unit=here.table,
        checkouts=here.once(checkouts),
        batches=RequesterWork(here),
        signals=FundingAlarms(),
    )


def event_reader(here: Wiring) -> "StripeEvents":
    from smallpeck.funding.stripe_events import reader

    return reader(here.secret(here.settings.checkout_events_secret_arn))


def bank_account(here: Wiring) -> BankAccount:
    """Where requesters send money; raises BankTransfersClosed where the stage has no account."""
    from smallpeck.funding.bank import BankTransfersClosed

    settings = here.settings
    if not settings.bank_iban:
        raise BankTransfersClosed
    return BankAccount(settings.bank_holder, settings.bank_iban, settings.bank_bic)


def recover_debt(here: Wiring, batch_id: str) -> int:
    """What has come back from a batch pays what its requester owes; returns how much, in micros."""
    from smallpeck.ledger.freezing import recover

    batch = here.once(wiring.task_store).batch(batch_id)
    if batch is None:
        return 0
    return recover(
        requester_id=batch.requester_id,
        currency=batch.currency,
        at_ms=here.clock.now_ms(),
        books=here.ledger,
        reads=here.once(funding_store),
        unit=here.table,
    )
