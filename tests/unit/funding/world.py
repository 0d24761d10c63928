"""Requesters who pay on a simulated Checkout, through the library that speaks to the real one; in a line each."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import stripe
from botocore.exceptions import ReadTimeoutError

from local.checkout import Checkout, Mode
from smallpeck.funding import bank, checkouts, hearing, suspense
from smallpeck.funding.bank import BankCredit
from smallpeck.funding.checkouts import Opening
from smallpeck.funding.events import Outcome
from smallpeck.funding.model import Alarm, Deposit
from smallpeck.funding.settling import Ports
from smallpeck.funding.store import FundingStore
from smallpeck.funding.stripe_checkout import connect
from smallpeck.funding.stripe_events import reader
from smallpeck.kernel.money import minor_unit_micros
from smallpeck.ledger.accounts import from_path, requester_available, requester_receivable
from smallpeck.tasks import steering
from tests.aws import Aws
from tests.support import REQUESTER, World

HOUR = 3_600
DAY = 24 * HOUR
HUNDRED = 100_000_000
KEY, SIGNING_SECRET = "rk_test_key", "whsec_signing_secret_one"


class InProcess(stripe.HTTPClient):
    """The provider instead of a network: every call passes the fault hook; silence is a broken connection."""

    name = "in-process"

    def __init__(self, checkout: Checkout, aws: Aws) -> None:
        super().__init__()
        self.checkout, self.aws = checkout, aws

    def request(  # type: ignore[override]
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[str, int, Mapping[str, str]]:
        lower = {name.lower(): value for name, value in headers.items()}
        body = (post_data or "").encode()
        path = url.removeprefix("https://checkout.test")

        def act() -> Any:
            return self.checkout.handle(method, path, lower, body)

        try:
            reply = self.aws.faults.run("provider", method.capitalize(), {"TableName": "checkout"}, act)
        except ReadTimeoutError as error:
            raise stripe.APIConnectionError("no answer") from error  # type: ignore[no-untyped-call]
        return json.dumps(reply.document), reply.status, {}

    def close(self) -> None:
        pass


@dataclass
class FundingWorld(World):
    """Everything that funding asks for."""

    alarms: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.checkout = Checkout(KEY, SIGNING_SECRET, now=lambda: self.now_ms / 1000)
        self.funding = FundingStore(self.table)
        self.provider = connect(
            url="https://checkout.test",
            secret=KEY,
            success_url="https://example.com/paid",
            cancel_url="https://example.com/not",
            stage="prod",
            http=InProcess(self.checkout, self.aws),
        )
        self.events = reader(SIGNING_SECRET)

    @property
    def ports(self) -> Ports:
        return Ports(self.funding, self.books, self.table, self.provider, self, self)

    def pause_all(self, requester_id: str, /) -> None:
        steering.pause_all(requester_id=requester_id, reads=self.tasks, unit=self.table)

    def alarm(self, alarm: Alarm, _subject: str, /) -> None:
        self.alarms[alarm] += 1

    # Use cases in a line each

    def open(self, micros: int = HUNDRED, *, key: str = "k1", currency: str = "USD", who: str = REQUESTER) -> Deposit:
        return checkouts.open_checkout(
            requester_id=who,
            amount_micros=micros,
            currency=currency,
            idempotency_key=key,
            now_ms=self.now_ms,
            opening=Opening(self.funding, self.table, self.provider),
        )

    def pay(self, deposit: Deposit, mode: Mode = Mode.OK) -> None:
        assert deposit.session_id is not None
        self.checkout.pay(deposit.session_id, mode)

    def hear(self, text: str) -> Outcome:
        event = self.events.read(self.checkout.signed(text), text.encode(), now_ms=self.now_ms)
        return hearing.hear(event=event, now_ms=self.now_ms, ports=self.ports)

    def deliver(self) -> list[Outcome]:
        """Hears everything that the provider has to say, in its order."""
        outcomes = []
        while self.checkout.outbox:
            outcomes.append(self.hear(self.checkout.outbox[0]))
            self.checkout.outbox.pop(0)
        return outcomes

    def look_after(self) -> hearing.LookedAfter:
        return hearing.look_after(now_ms=self.now_ms, ports=self.ports)

    def paid(self, micros: int = HUNDRED, *, key: str = "k1", mode: Mode = Mode.OK) -> Deposit:
        """A deposit that was opened, paid and heard of."""
        deposit = self.open(micros, key=key)
        self.pay(deposit, mode)
        self.deliver()
        return self.deposit_now(deposit)

    def deposit_now(self, deposit: Deposit) -> Deposit:
        found = self.funding.deposit(deposit.deposit_id)
        assert found is not None
        return found

    def disputed(self, deposit: Deposit, minor: int | None = None) -> str:
        assert deposit.session_id is not None
        dispute = self.checkout.dispute(deposit.session_id, minor)
        self.deliver()
        return dispute

    def decided(self, dispute_id: str, *, won: bool) -> None:
        self.checkout.decide(dispute_id, won=won)
        self.deliver()

    def reference(self, *, currency: str = "EUR", key: str = "r1") -> bank.BankReference:
        return bank.reference_for(
            requester_id=REQUESTER,
            currency=currency,
            idempotency_key=key,
            now_ms=self.now_ms,
            reads=self.funding,
            unit=self.table,
        )

    def banked(self, reference: str, micros: int = HUNDRED, *, currency: str = "EUR", entry: str = "e1") -> BankCredit:
        return bank.credit_received(
            reference=reference,
            amount_micros=micros,
            currency=currency,
            bank_entry_id=entry,
            now_ms=self.now_ms,
            reads=self.funding,
            books=self.books,
            unit=self.table,
            signals=self,
        )

    def resolve(self, suspense_id: str, to: str | None = REQUESTER) -> suspense.Suspended:
        return suspense.resolve(
            suspense_id=suspense_id,
            requester_id=to,
            operator_id="op",
            now_ms=self.now_ms,
            reads=self.funding,
            books=self.books,
            unit=self.table,
        )

    # What stands in the books

    @property
    def free(self) -> int:
        return self.balance(requester_available(REQUESTER)).balance_micros

    @property
    def owed(self) -> int:
        return -self.balance(requester_receivable(REQUESTER)).balance_micros

    @property
    def is_frozen(self) -> bool:
        return self.funding.freeze(REQUESTER).is_frozen

    def sums(self) -> dict[str, int]:
        """The micros of each account, by its name with the currency, from the entries alone."""
        found: dict[str, int] = {}
        for entry in self.books.entries():
            for posting in entry["postings"]:
                for path, sign in ((posting["source"], -1), (posting["destination"], 1)):
                    name = f"{path}:{entry['currency']}"
                    found[name] = found.get(name, 0) + sign * posting["amount_micros"]
        return found

    def suspended_micros(self, source: str = "stripe", currency: str = "USD") -> int:
        return self.sums().get(f"suspense:{source}:{currency}", 0)

    def check(self) -> None:
        """Sums are zero, balances are the sums of entries, nothing but debts is below zero, and the provider's books
        are ours.
        """
        sums = self.sums()
        by_currency: Counter[str] = Counter()
        for name, micros in sums.items():
            path, _, currency = name.rpartition(":")
            by_currency[currency] += micros
            account = from_path(path)
            if account.has_balance:
                assert self.balance(account, currency).balance_micros == micros, name
                assert account.allows(micros), name
        assert not any(by_currency.values())
        for currency, minor in self.checkout.received().items():
            held = minor * minor_unit_micros(currency)
            # What is disputed has left the provider, and not our books until that is decided.
            disputed = sums.get(f"chargeback:stripe:{currency}", 0)
            assert -sums.get(f"funding:stripe:{currency}", 0) - disputed == held
        freeze = self.funding.freeze(REQUESTER)
        owing = {name.rpartition(":")[2] for name, micros in sums.items() if ":receivable:" in name and micros}
        assert set(freeze.owing) == owing
