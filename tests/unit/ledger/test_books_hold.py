"""Whatever is done to the books, in any order, doubled, at once and with faults: they hold."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from botocore.exceptions import ClientError, ReadTimeoutError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smallpeck.kernel.errors import Conflict, Invalid, NotFound, Unavailable
from smallpeck.ledger.accounts import (
    Account,
    escrow,
    funding,
    platform_revenue,
    rail_cash,
    rail_clearing,
    requester_available,
    requester_held,
    reserve,
    worker_available,
    worker_pending,
    worker_receivable,
)
from smallpeck.ledger.audit import Sums, account_of, differences_of
from smallpeck.ledger.audit_store import AuditStore
from smallpeck.ledger.corrections import Way, recovery
from smallpeck.ledger.phases import Hold, pending
from smallpeck.ledger.posting import Entry, EntryKind, LinkKind, Posting, entry_from
from smallpeck.ledger.rebuilding import repair, survey
from smallpeck.ledger.service import correct, post, resolve, reverse
from tests.aws import Crash, Fault, Plan
from tests.aws.schedule import interleave
from tests.unit.ledger.books import Ledger

REFUSALS = (Conflict, Invalid, NotFound)
LOST = (Crash, ClientError, ReadTimeoutError, Unavailable)
WORKERS = [worker_available(name) for name in ("ann", "bob")]
SHARDS = [escrow("b1", 0), escrow("b1", 1)]
REQUESTER, HELD = requester_available("r1"), requester_held("r1")


@dataclass(frozen=True)
class Step:
    """One thing that somebody does. The same step again is the same business fact."""

    what: str
    who: int
    amount: int
    target: int
    currency: str

    @property
    def name(self) -> str:
        return f"{self.what}-{self.who}-{self.amount}-{self.target}-{self.currency}"

    def run(self, ledger: Ledger, known: Sequence[str]) -> object:
        worker, shard = WORKERS[self.who], SHARDS[self.target % 2]
        name = worker.path.split(":")[1]
        match self.what:
            case "deposit":
                return self.move(ledger, Posting(funding("test"), REQUESTER, self.amount * 3))
            case "escrow":
                return self.move(ledger, *(Posting(REQUESTER, one, self.amount) for one in SHARDS))
            case "credit":
                fee = Posting(shard, platform_revenue(), self.amount)
                return self.move(ledger, Posting(shard, worker, self.amount), fee)
            case "payout":
                return self.move(ledger, Posting(worker, rail_clearing("gateway"), self.amount))
            case "settle":
                return self.move(ledger, Posting(rail_clearing("gateway"), rail_cash("gateway"), self.amount))
            case "hold":
                holds = [
                    Hold(shard, worker_pending(name), worker, self.amount),
                    Hold(shard, reserve("b1", 0), worker, 1 + self.target),
                    Hold(REQUESTER, HELD, shard, self.amount),
                ]
                entry = pending(entry_id=self.name, currency=self.currency, reference="r", holds=holds, at_ms=1)
                return post(entry=entry, alongside=[], books=ledger.books, unit=ledger.table)
            case "recover":
                entry = recovery(
                    entry_id=self.name,
                    source=worker,
                    receivable=worker_receivable(name),
                    currency=self.currency,
                    amount_micros=self.amount,
                    reference=name,
                    at_ms=1,
                )
                return post(entry=entry, alongside=[], books=ledger.books, unit=ledger.table)
            case _:
                return self.undo(ledger, known[self.target % len(known)] if known else "none")

    def undo(self, ledger: Ledger, entry_id: str) -> object:
        stored = ledger.books.entry(entry_id)
        count = len(stored.postings) if stored else 1
        amounts = [self.amount, *[0] * (count - 1)]
        match self.what:
            case "post" | "void":
                return resolve(
                    pending_id=entry_id,
                    goes_on=self.what == "post",
                    amounts_micros=amounts if self.who and self.what == "post" else None,
                    at_ms=2,
                    books=ledger.books,
                    unit=ledger.table,
                )
            case "reverse":
                owed = tuple(worker_receivable(one.path.split(":")[1]) for one in WORKERS[:1])
                ways = {n: Way((p.destination, *owed)) for n, p in enumerate(stored.postings)} if stored else {}
                return reverse(
                    entry_id=entry_id,
                    amounts_micros=amounts if self.who else None,
                    ways=ways,
                    reference=self.name,
                    at_ms=3,
                    books=ledger.books,
                    unit=ledger.table,
                )
            case _:
                wrong = stored.postings[0].destination if stored else REQUESTER
                right = WORKERS[wrong == WORKERS[0]]
                return correct(
                    entry_id=entry_id,
                    postings=[Posting(wrong, right, 1)],
                    reference="t",
                    at_ms=4,
                    books=ledger.books,
                    unit=ledger.table,
                )

    def move(self, ledger: Ledger, *postings: Posting) -> object:
        entry = Entry(self.name, EntryKind.CREDIT, self.currency, "r", postings, 1)
        return post(entry=entry, alongside=[], books=ledger.books, unit=ledger.table)


MOVES = ("deposit", "escrow", "credit", "payout", "settle", "hold", "recover", "post", "void", "reverse", "correct")
steps = st.builds(
    Step,
    st.sampled_from(MOVES),
    st.integers(0, 1),
    st.integers(1, 40),
    st.integers(0, 9),
    st.sampled_from(["USD", "USD", "USD", "JPY"]),
)
faults = st.tuples(st.sampled_from([f for f in Fault if f is not Fault.RACE]), st.integers(0, 6))
relaxed = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def fresh() -> Ledger:
    ledger = Ledger()
    for currency in ("USD", "JPY"):
        Step("deposit", 0, 200, 0, currency).run(ledger, [])
        Step("escrow", 0, 150, 0, currency).run(ledger, [])
        Step("credit", 0, 30, 0, currency).run(ledger, [])
        Step("hold", 0, 30, 1, currency).run(ledger, [])
    return ledger


def known(ledger: Ledger) -> list[str]:
    return [item["entry_id"] for item in ledger.items("ledger", "ENTRY#")]


def attempt(ledger: Ledger, step: Step, targets: Sequence[str]) -> None:
    with suppress(*REFUSALS):
        step.run(ledger, targets)


def assert_hold(ledger: Ledger) -> None:
    """Every rule of the books, from what is stored."""
    entries = {item["entry_id"]: entry_from(item) for item in ledger.items("ledger", "ENTRY#")}
    sums: dict[tuple[Account, str], int] = {}
    for entry in entries.values():
        assert sum(entry.deltas().values()) == 0
        for account, delta in entry.deltas().items():
            sums[account, entry.currency] = sums.get((account, entry.currency), 0) + delta
    assert {sum(v for (_, c), v in sums.items() if c == currency) for currency in ("USD", "JPY")} == {0}
    for (account, currency), micros in sums.items():
        if account.has_balance:
            assert ledger.stored(account, currency).balance_micros == micros
            assert account.allows(micros), account
        if account.has_statement:
            assert ledger.told(account, currency) == ledger.stored(account, currency)
    assert_linked(entries)
    found = survey(books=ledger.books)
    assert found.all_right, found
    assert_audited(ledger)


def assert_linked(entries: dict[str, Entry]) -> None:
    taken: dict[str, list[int]] = {}
    for entry in entries.values():
        for link in entry.links:
            original = entries[link.entry_id]
            assert original.currency == entry.currency
            if link.kind is LinkKind.RESOLVES:
                assert original.is_pending
                assert entry.entry_id == f"{original.entry_id}/resolution"
            elif link.kind is LinkKind.REVERSES:
                before = taken.setdefault(original.entry_id, [0] * len(original.postings))
                taken[original.entry_id] = [a + b for a, b in zip(before, link.amounts_micros, strict=True)]
    for entry_id, amounts in taken.items():
        most = [posting.amount_micros for posting in entries[entry_id].postings]
        assert all(amount <= limit for amount, limit in zip(amounts, most, strict=True))


def assert_audited(ledger: Ledger) -> None:
    sums, store = Sums(), AuditStore(ledger.table)
    for item in store.ledger(0, 1):
        sums.add(item)
    balances = store.platform().balances
    assert sums.defects.listed == []
    for name in sums.accounts.keys() | balances.keys():
        account = account_of(name)
        assert account is not None
        if account.has_balance:
            assert list(differences_of(name, sums.accounts[name], balances.get(name))) == []


@relaxed
@given(st.lists(steps, max_size=25))
def test_the_books_hold_after_any_steps(done: list[Step]) -> None:
    ledger = fresh()
    for step in done:
        attempt(ledger, step, known(ledger))
    assert_hold(ledger)


@relaxed
@given(st.lists(st.tuples(steps, faults), max_size=12))
def test_the_books_hold_whatever_dies_or_is_lost_and_is_done_again(done: list[tuple[Step, tuple[Fault, int]]]) -> None:
    ledger = fresh()
    for step, (fault, at) in done:
        targets = known(ledger)
        with ledger.faults.planned(Plan(fault, at)), suppress(*LOST):
            attempt(ledger, step, targets)
        before = len(known(ledger))
        attempt(ledger, step, targets)
        again = len(known(ledger))
        attempt(ledger, step, targets)
        assert len(known(ledger)) == again <= before + 1
    assert_hold(ledger)


@relaxed
@given(st.lists(steps, min_size=2, max_size=5), st.integers(0, 1 << 30))
def test_the_books_hold_though_all_is_done_twice_and_at_once(done: list[Step], seed: int) -> None:
    ledger = fresh()
    targets = known(ledger)
    flows = {
        f"{number}{copy}": partial(attempt, ledger, step, targets) for number, step in enumerate(done) for copy in "ab"
    }

    interleave(ledger.faults, flows, seed).check()

    assert_hold(ledger)


@relaxed
@given(st.lists(steps, max_size=15), st.data())
def test_balances_that_are_lost_are_made_again(done: list[Step], data: st.DataObject) -> None:
    ledger = fresh()
    for step in done:
        attempt(ledger, step, known(ledger))
    items = ledger.items("platform", "ACCOUNT#")
    for item in items:
        match data.draw(st.sampled_from(["lose", "drift", "keep"])):
            case "lose":
                ledger.remove("platform", item)
            case "drift":
                ledger.rewrite("platform", item | {"balance_micros": item["balance_micros"] + 1})

    found = survey(books=ledger.books)
    repair(found=found, names=[one.name for one in found.repairs], unit=ledger.table)

    made = {item["pk"]: item for item in ledger.items("platform", "ACCOUNT#")}
    assert {pk: item for pk, item in made.items() if item["balance_micros"] or "seq" in item} == {
        item["pk"]: item for item in items if item["balance_micros"] or "seq" in item
    }
    assert_hold(ledger)
