"""The payout world with a bank behind a mailbox: the real rail, the inbox, and the state machine over the ledger."""

import json
from dataclasses import dataclass, field, replace

from local.rails.sepa_bank import Bank
from smallpeck.payouts import events, running
from smallpeck.payouts.events import EventPorts
from smallpeck.payouts.mailbox_store import S3Mailbox
from smallpeck.payouts.model import Payout, PayoutState
from smallpeck.payouts.rails.port import RailEvent
from smallpeck.payouts.rails.sepa import SepaRail, debtor
from smallpeck.payouts.rails.sepa_answers import Credit
from smallpeck.payouts.rails.sepa_inbox import Inbox, take_in_all
from smallpeck.payouts.runs import Ports, Run
from smallpeck.payouts.service import WorkerPayoutFacts
from smallpeck.people.model import Destination
from tests.unit.payouts.world import PayoutWorld

IBAN = "DE89370400440532013000"
THEIRS = "NL91ABNA0417164300"
SECRET = json.dumps({"name": "Small Peck", "iban": IBAN})
TEN = 10_000_000


@dataclass
class SepaWorld(PayoutWorld):
    """One platform, one bank."""

    credits: list[Credit] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.aws.s3.create_bucket(Bucket="work")
        self.mailbox = S3Mailbox(self.aws.s3, "work", "sepa")
        self.bank = Bank(self.mailbox, IBAN)
        self.connect()

    def connect(self) -> None:
        """As a new process does: nothing is remembered but what is stored."""
        self.rail = SepaRail(self.mailbox, debtor(SECRET))
        self.ports = Ports(**(self.ports.__dict__ | {"parcel_rails": {"sepa": self.rail}}))
        self.event_ports = EventPorts(
            payouts=self.payouts, books=self.books, unit=self.table, clock=self, signals=self,
            events=self.payouts, waiting=self,
        )  # fmt: skip
        self.inbox = Inbox(self.rail, self.hear, self)

    def tell(self, token: str) -> None:
        raise AssertionError(f"nobody waits: {token}")

    def hear(self, event: RailEvent) -> object:
        return events.receive(rail="sepa", event=event, ports=self.event_ports)

    def due(self, worker_id: str, holder: str = "Ann Lee", *, key: str = "k", iban: str = THEIRS) -> Payout:
        """A worker with ten euro who asks for all of it."""
        version = 1 + sum(known == worker_id for known, _ in self.people.addresses)
        self.people.addresses[worker_id, version] = Destination("sepa", f"{iban}, {holder}")
        self.people.facts[worker_id] = WorkerPayoutFacts(None, version, "sepa", None)
        self.earn(worker_id, TEN, currency="EUR")
        return self.ask(worker_id, key=key, currency="EUR")

    def send(self, key: str = "run") -> Run:
        run = super().send(key)
        for parcel in range(run.parcels):
            running.send_parcel(run_id=run.run_id, parcel=parcel, ports=self.ports)
        return run

    def bank_works(self, after_ms: int = 0) -> None:
        self.aws.clock.advance(after_ms / 1000)
        # What goes wrong, goes wrong with us: the bank's own calls are let through.
        plans, self.aws.faults._plans = self.aws.faults._plans, []
        self.bank.work(self.now_ms())
        self.aws.faults._plans = plans

    def take_in(self) -> int:
        """All that lies in the inbox, as often as it is called."""
        return take_in_all(since_ms=0, inbox=self.inbox)

    def with_credits(self) -> None:
        """Somebody takes credits that carry a reference of theirs."""

        def take(credit: Credit) -> bool:
            self.credits.append(credit)
            return credit.text.startswith("SP-")

        self.inbox = replace(self.inbox, credit=take)

    def euro(self, worker_id: str) -> int:
        return self.balance(worker_id, "EUR")

    def check_sepa(self, *, done: bool = True) -> None:
        """What must hold whatever happened; with `done`, that nothing is left over either."""
        entries = {entry["entry_id"] for entry in self.entries()}
        paid = {one.end_to_end for one in self.bank.paid}
        ever = {one.end_to_end for one in self.bank.payments.values() if one.paid}
        reserved = settled = 0
        for payout in self.every_payout():
            ended = {what for what in ("settle", "release", "return") if f"{payout.payout_id}/{what}" in entries}
            end_to_end = payout.payout_id.replace("_", "-")
            reserved += payout.amount_micros if payout.is_reserved else 0
            settled += payout.sent_micros if "settle" in ended and "return" not in ended else 0
            match payout.state:
                case PayoutState.SETTLED:
                    assert ended == {"settle"}
                    assert end_to_end in paid
                case PayoutState.RELEASED:
                    assert ended == {"release"}
                    assert end_to_end not in ever
                case PayoutState.RETURNED:
                    assert ended in ({"return"}, {"settle", "return"})
                    assert end_to_end not in paid
                case PayoutState.FROZEN:
                    pass
                case _:
                    assert ended == set()
        assert self.journal("rail:sepa:clearing") == reserved
        assert self.journal("rail:sepa:cash") == settled
        assert not (done and reserved), "clearing does not drain"
