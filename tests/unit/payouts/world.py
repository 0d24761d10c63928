"""Workers with money, a simulated provider behind the real gateway rail, and payout runs in a line each."""

import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import urllib3
from botocore.exceptions import ReadTimeoutError

from local.provider import Provider
from smallpeck.ledger.accounts import funding, worker_available
from smallpeck.ledger.posting import Entry, EntryKind, Posting
from smallpeck.ledger.service import post
from smallpeck.ledger.store import LedgerStore
from smallpeck.payouts import running
from smallpeck.payouts.model import Payout, PayoutState
from smallpeck.payouts.rails import RAILS
from smallpeck.payouts.rails.gateway import GatewayRail
from smallpeck.payouts.runs import Ending, Ports, Run, RunState, Waits
from smallpeck.payouts.service import PayoutRules, WorkerPayoutFacts, request_payout
from smallpeck.payouts.store import PayoutStore
from smallpeck.people.model import Destination
from smallpeck.table.client import Table
from tests.aws import Aws
from tests.support import TABLE_NAMES, create_tables

HOUR = 3600
DAY = 24 * HOUR
FIVE = 5_000_000
OPEN = {PayoutState.REQUESTED, PayoutState.IN_RUN, PayoutState.SENDING, PayoutState.UNKNOWN, PayoutState.FROZEN}


@dataclass
class ProviderHttp:
    """The provider instead of a network: every call passes the fault hook; silence is a timeout."""

    aws: Aws
    provider: Provider
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    """(method, url, idempotency key) of what was sent."""

    def request(self, method: str, url: str, **arguments: Any) -> urllib3.BaseHTTPResponse:
        assert arguments["retries"] is False
        assert arguments["redirect"] is False
        key = arguments["headers"].get("Idempotency-Key", "")

        def act() -> urllib3.BaseHTTPResponse | None:
            self.requests.append((method, url, key))
            return self._answer(method, url, key, arguments["body"])

        try:
            answer = self.aws.faults.run("rail", method.capitalize(), {"TableName": "payouts"}, act)
        except ReadTimeoutError:
            answer = None
        if answer is None:
            raise urllib3.exceptions.TimeoutError
        return answer

    def _answer(self, method: str, url: str, key: str, body: bytes | None) -> urllib3.BaseHTTPResponse | None:
        path = url.removeprefix("https://gateway.test")
        if method == "POST":
            reply = self.provider.pay(key, json.loads(body or b""))
        elif path.startswith("/payouts?run="):
            run_id = path.partition("=")[2]
            return _response(200, {"run_id": run_id} | self.provider.totals(run_id))
        else:
            reply = self.provider.ask(path.removeprefix("/payouts/"))
        return None if reply is None else _response(reply.status, reply.document)


def _response(status: int, document: dict[str, Any]) -> urllib3.HTTPResponse:
    return urllib3.HTTPResponse(io.BytesIO(json.dumps(document).encode()), status=status, preload_content=False)


@dataclass
class People:
    """What is known of workers: their facts, and every version of their destination."""

    addresses: dict[tuple[str, int], Destination] = field(default_factory=dict)
    facts: dict[str, WorkerPayoutFacts] = field(default_factory=dict)

    def payout_facts(self, worker_id: str) -> WorkerPayoutFacts:
        return self.facts.get(worker_id, WorkerPayoutFacts(None, None, None, None))

    def at_version(self, worker_id: str, version: int, /) -> Destination | None:
        return self.addresses.get((worker_id, version))

    def goes_to(self, worker_id: str, address: str, *, changed_at_ms: int | None = None) -> None:
        version = 1 + sum(known == worker_id for known, _ in self.addresses)
        self.addresses[worker_id, version] = Destination("gateway", address)
        self.facts[worker_id] = WorkerPayoutFacts(None, version, "gateway", changed_at_ms)


@dataclass
class PayoutWorld:
    """One platform with one provider."""

    aws: Aws = field(default_factory=lambda: Aws(validate=False))
    provider: Provider = field(default_factory=Provider)
    people: People = field(default_factory=People)
    alarms: list[tuple[str, str]] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        create_tables(self.aws.dynamodb)
        self.table = Table(api=self.aws.dynamodb, names=TABLE_NAMES, pause=lambda _: None)
        self.books = LedgerStore(self.table)
        self.payouts = PayoutStore(self.table)
        self.http = ProviderHttp(self.aws, self.provider)
        self.rules = PayoutRules(threshold_micros=FIVE, cooling_off_seconds=72 * HOUR, rails=RAILS)
        self.ports = Ports(
            payouts=self.payouts,
            books=self.books,
            unit=self.table,
            rails={"gateway": GatewayRail("https://gateway.test", "secret", self.http)},
            terms=RAILS,
            destinations=self.people,
            clock=self,
            signals=self,
        )

    def now_ms(self) -> int:
        return self.aws.clock.millis()

    def alarm(self, name: str, subject: str) -> None:
        self.alarms.append((name, subject))

    def start(self, run_id: str) -> None:
        self.started.append(run_id)

    def earn(self, worker_id: str, micros: int, *, currency: str = "USD", address: str | None = None) -> None:
        """Money for a worker, who is paid at `address`."""
        posting = Posting(funding("test"), worker_available(worker_id), micros)
        number = next(self.numbers)
        entry = Entry(f"earn-{worker_id}-{currency}-{number}", EntryKind.CREDIT, currency, "test", (posting,), 1)
        post(entry=entry, alongside=[], books=self.books, unit=self.table)
        if address is not None or worker_id not in self.people.facts:
            self.people.goes_to(worker_id, address or f"{worker_id}@example.com")

    def balance(self, worker_id: str, currency: str = "USD") -> int:
        account = worker_available(worker_id)
        return self.books.balances([account], currency)[account].balance_micros

    def ask(self, worker_id: str, amount: int | None = None, *, key: str = "k", currency: str = "USD") -> Payout:
        """A worker's request for a payout."""
        return request_payout(
            worker_id=worker_id,
            amount_micros=amount,
            currency=currency,
            idempotency_key=key,
            now_ms=self.now_ms(),
            rules=self.rules,
            payouts=self.payouts,
            workers=self.people,
            books=self.books,
            unit=self.table,
        )

    def payout(self, payout_id: str) -> Payout:
        found = self.payouts.payout(payout_id)
        assert found is not None
        return found

    def start_run(self, key: str = "run") -> Run:
        return running.start_run(
            operator_id="op",
            idempotency_key=key,
            waits=Waits(),
            now_ms=self.now_ms(),
            payouts=self.payouts,
            unit=self.table,
            workflow=self,
        )

    def send(self, key: str = "run") -> Run:
        """A run up to where everything was sent once."""
        run = running.freeze(run_id=self.start_run(key).run_id, ports=self.ports)
        for chunk in range(run.chunks):
            running.send(run_id=run.run_id, chunk=chunk, ports=self.ports)
        return run

    def query(self, run_id: str) -> Ending:
        """One round of questions."""
        for chunk in running.end(run_id=run_id, ports=self.ports).open_chunks:
            running.query(run_id=run_id, chunk=chunk, ports=self.ports)
        return running.end(run_id=run_id, ports=self.ports)

    def run(self, key: str = "run", *, rounds: int = 4) -> Run:
        """A whole run, as the workflow carries it."""
        run = self.send(key)
        running.query_earlier(ports=self.ports)
        ending = running.end(run_id=run.run_id, ports=self.ports)
        for _ in range(rounds):
            if not ending.open_chunks:
                break
            self.aws.clock.advance(60)
            ending = self.query(run.run_id)
        return ending.run

    def entries(self) -> list[dict[str, Any]]:
        return [item for item in self.books.everything(0, 1) if "postings" in item]

    def journal(self, path: str) -> int:
        """What the journal says an account holds, whatever the currency."""
        total = 0
        for entry in self.entries():
            for posting in entry["postings"]:
                total += posting["amount_micros"] * ((posting["destination"] == path) - (posting["source"] == path))
        return total

    def every_payout(self) -> list[Payout]:
        items = self.table.segment("platform", 0, 1)
        return [self.payout(item["payout_id"]) for item in items if item["sk"] == "PAYOUT"]

    def check(self, *, done: bool = True) -> None:
        """What must hold whatever happened; with `done`, that nothing is left over either."""
        payouts = self.every_payout()
        entries = [entry["entry_id"] for entry in self.entries()]
        paid = Counter(self.provider.payments[one.key].body["payout_id"] for one in self.provider.executed)
        for payout in payouts:
            ended = [what for what in ("settle", "release") if f"{payout.payout_id}/{what}" in entries]
            assert paid[payout.payout_id] <= 1, "paid twice"
            match payout.state:
                case PayoutState.SETTLED:
                    assert ended == ["settle"]
                    assert paid[payout.payout_id] == 1
                case PayoutState.RELEASED:
                    assert ended == ["release"]
                    assert paid[payout.payout_id] == 0
                case PayoutState.FROZEN:
                    assert len(ended) <= 1
                case _:
                    assert ended == []
        reserved = sum(
            payout.amount_micros
            for payout in payouts
            if payout.state in OPEN and not {f"{payout.payout_id}/settle", f"{payout.payout_id}/release"} & {*entries}
        )
        assert self.journal("rail:gateway:clearing") == reserved
        for worker_id in {payout.worker_id for payout in payouts}:
            assert self.journal(f"worker:{worker_id}:available") == self.balance(worker_id) >= 0
        if done:
            assert reserved == 0, "clearing does not drain"
            executed = sum(int(one.amount * 1_000_000) for one in self.provider.executed)
            assert self.journal("rail:gateway:cash") == executed
            runs = [self.payouts.run(payout.run_id or "") for payout in payouts]
            assert all(run is not None and run.state is RunState.FINISHED and run.reconciled for run in runs)
