"""What it takes to take in the bank's answers: the mailbox, the payouts, and the requesters' transfers."""

from functools import partial
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlsplit

from smallpeck.runtime import funding, payout_rails
from smallpeck.runtime.settings import MissingSetting
from smallpeck.runtime.wiring import Wiring

if TYPE_CHECKING:
    from smallpeck.payouts.rails.sepa import SepaRail
    from smallpeck.payouts.rails.sepa_answers import Credit
    from smallpeck.payouts.rails.sepa_inbox import Inbox

RAIL: Final = "sepa"
DAYS_TAKEN_IN_AGAIN: Final = 3
_DAY_MS: Final = 86_400_000


def take_in(here: Wiring, key: str) -> int:
    """Acts on the answer that lies under `key` in the bucket; returns how many there were.

    Raises MissingSetting where the stage has no bank: whatever was put there, somebody waits for it.
    """
    from smallpeck.payouts.rails import sepa_inbox
    from smallpeck.payouts.rails.mailbox import Folder

    name = key.removeprefix(f"{urlsplit(here.settings.sepa_url).path.strip('/')}/{Folder.IN}/")
    if not name or name == key:
        return 0
    sepa_inbox.take_in(name=name, inbox=here.once(answers_inbox))
    return 1


def take_in_all(here: Wiring) -> int:
    """Acts again on every answer of the last days, for those whose arrival was not told or not survived."""
    from smallpeck.payouts.rails import sepa_inbox

    if not has_bank(here):
        return 0
    since_ms = here.clock.now_ms() - DAYS_TAKEN_IN_AGAIN * _DAY_MS
    return sepa_inbox.take_in_all(since_ms=since_ms, inbox=here.once(answers_inbox))


def has_bank(here: Wiring) -> bool:
    """Whether the stage pays by bank."""
    try:
        return bool(here.settings.sepa_url)
    except MissingSetting:
        return False


def answers_inbox(here: Wiring) -> "Inbox":
    """See `smallpeck.payouts.rails.sepa_inbox.Inbox`."""
    from smallpeck.payouts import events
    from smallpeck.payouts.rails.sepa_inbox import Inbox

    ports = here.once(payout_rails.event_ports)
    return Inbox(
        rail=here.once(sepa_rail),
        hear=lambda event: events.receive(rail=RAIL, event=event, ports=ports),
        signals=payout_rails.PayoutAlarms(),
        credit=partial(give_credit, here),
    )


def sepa_rail(here: Wiring) -> "SepaRail":
    """The rail, for what it reads."""
    from smallpeck.payouts.rails import connect

    settings = here.settings
    secret = here.secret(settings.sepa_secret_arn)
    return cast("SepaRail", connect(RAIL, url=settings.sepa_url, secret=secret, stage=settings.stage))


def give_credit(here: Wiring, received: "Credit") -> bool:
    """Gives money to the requester whose reference came with it; says whether it is somebody's.

    Without a reference of ours, or without an id of the bank's for exactly this booking, it is nobody's: a person
    enters it, who knows what else reaches this account.
    """
    from smallpeck.funding import bank
    from smallpeck.funding.creditor_reference import canonical

    reads = here.once(funding.funding_store)
    reference = canonical(received.text)
    known = None if reference is None else reads.bank_reference(reference)
    if known is None or received.reference is None or received.amount_micros <= 0:
        return False
    try:
        bank.credit_received(
            reference=known.reference,
            amount_micros=received.amount_micros,
            currency=received.currency,
            bank_entry_id=received.reference,
            now_ms=here.clock.now_ms(),
            reads=reads,
            books=here.ledger,
            unit=here.table,
            signals=funding.FundingAlarms(),
        )
    except bank.BankCreditMismatch:
        return False
    return True
