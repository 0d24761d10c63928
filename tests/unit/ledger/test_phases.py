"""Pending entries: money is held, and exactly one resolution says where it goes."""

import itertools
from collections.abc import Callable

import pytest

from smallpeck.kernel.writes import Create, ref
from smallpeck.ledger.accounts import (
    Account,
    escrow,
    funding,
    platform_revenue,
    requester_available,
    requester_held,
    reserve,
    worker_available,
    worker_pending,
)
from smallpeck.ledger.phases import BadResolution, Hold, NotPending, pending, posted, voided
from smallpeck.ledger.posting import Balance, Entry, EntryKind, Posting
from smallpeck.ledger.service import EntryMismatch, EntryNotFound, Posted, post, resolve
from tests.aws.faults import Fault, sweep
from tests.aws.schedule import interleave
from tests.unit.ledger.books import Ledger

WORKER, PENDING, SHARD = worker_available("w1"), worker_pending("w1"), escrow("b1", 0)
HELD, SPARE = requester_held("r1"), requester_available("r1")
REWARD = Hold(SHARD, PENDING, WORKER, 300)
FEE = Hold(SHARD, reserve("b1", 0), platform_revenue(), 200)


def hold(*holds: Hold) -> Entry:
    return pending(entry_id="h1", currency="USD", reference="offer", holds=holds or (REWARD, FEE), at_ms=1)


def holding() -> Ledger:
    ledger = Ledger()
    ledger.fund(SHARD, 1_000)
    post(entry=hold(), alongside=[], books=ledger.books, unit=ledger.table)
    return ledger


def goes_on(ledger: Ledger, *amounts: int, at_ms: int = 2) -> Posted:
    return resolve(
        pending_id="h1",
        goes_on=True,
        amounts_micros=amounts or None,
        at_ms=at_ms,
        books=ledger.books,
        unit=ledger.table,
    )


def goes_back(ledger: Ledger) -> Posted:
    return resolve(pending_id="h1", goes_on=False, at_ms=2, books=ledger.books, unit=ledger.table)


def standing(ledger: Ledger) -> list[int]:
    return ledger.micros(SHARD, PENDING, reserve("b1", 0), WORKER)


def test_a_pending_entry_holds_the_money() -> None:
    assert standing(holding()) == [500, 300, 200, 0]


def test_all_of_it_goes_on() -> None:
    ledger = holding()

    assert goes_on(ledger) is Posted.NOW

    assert standing(ledger) == [500, 0, 0, 300]


def test_all_of_it_goes_back() -> None:
    ledger = holding()

    assert goes_back(ledger) is Posted.NOW

    assert standing(ledger) == [1_000, 0, 0, 0]
    assert ledger.told(PENDING) == ledger.stored(PENDING)


def test_a_part_goes_on_and_the_rest_goes_back_at_once() -> None:
    ledger = holding()

    assert goes_on(ledger, 100, 0) is Posted.NOW

    assert standing(ledger) == [900, 0, 0, 100]
    (first, second) = ledger.books.statement(PENDING, "USD", before=None, limit=9).items
    assert (second["kind"], first["kind"]) == (EntryKind.HOLD, EntryKind.POST)
    assert first["links"] == [{"kind": "resolves", "entry_id": "h1"}]


def test_a_resolution_is_a_new_entry_linked_to_the_pending_one() -> None:
    resolution = posted(hold(), at_ms=2, amounts_micros=[100, 200])

    assert resolution.entry_id == "h1/resolution"
    assert [(one.kind, one.entry_id, one.amounts_micros) for one in resolution.links] == [
        ("resolves", "h1", (100, 200))
    ]
    assert not resolution.is_pending
    assert voided(hold(), at_ms=2).kind is EntryKind.VOID


@pytest.mark.parametrize("amounts", [(301, 0), (-1, 0), (1,), (1, 1, 1)])
def test_no_more_goes_on_than_was_held(amounts: tuple[int, ...]) -> None:
    with pytest.raises(BadResolution):
        posted(hold(), at_ms=2, amounts_micros=amounts)


def test_what_is_voided_is_voided_as_a_whole() -> None:
    ledger = holding()

    with pytest.raises(BadResolution):
        resolve(pending_id="h1", goes_on=False, amounts_micros=[1, 1], at_ms=2, books=ledger.books, unit=ledger.table)

    assert standing(ledger) == [500, 300, 200, 0]


def test_the_same_resolution_again_changes_nothing() -> None:
    ledger = holding()
    goes_on(ledger, 100, 0)
    before = [ledger.items(name) for name in ("platform", "ledger")]

    assert goes_on(ledger, 100, 0, at_ms=99) is Posted.BEFORE

    assert [ledger.items(name) for name in ("platform", "ledger")] == before


@pytest.mark.parametrize("other", [goes_back, lambda ledger: goes_on(ledger, 99, 0), goes_on])
def test_another_resolution_of_the_same_entry_is_refused(other: Callable[[Ledger], Posted]) -> None:
    ledger = holding()
    goes_on(ledger, 100, 0)

    with pytest.raises(EntryMismatch):
        other(ledger)

    assert standing(ledger) == [900, 0, 0, 100]


def test_only_a_pending_entry_is_resolved() -> None:
    ledger = holding()
    ledger.post("e1", Posting(SHARD, WORKER, 5))

    with pytest.raises(EntryNotFound):
        resolve(pending_id="e2", goes_on=True, at_ms=1, books=ledger.books, unit=ledger.table)
    for goes in (True, False):
        with pytest.raises(NotPending):
            resolve(pending_id="e1", goes_on=goes, at_ms=1, books=ledger.books, unit=ledger.table)


@pytest.mark.parametrize(
    "bad",
    [
        Hold(SHARD, WORKER, platform_revenue(), 1),
        Hold(SHARD, PENDING, PENDING, 1),
        Hold(SHARD, PENDING, Account("worker:w1:savings", has_balance=True, has_statement=True), 1),
    ],
)
def test_money_is_held_where_it_can_be_and_goes_on_to_somewhere_else(bad: Hold) -> None:
    with pytest.raises(ValueError, match=r"pending entry|no such account"):
        hold(bad)


def test_a_pending_entry_says_where_each_posting_goes_on_to() -> None:
    with pytest.raises(ValueError, match="of each posting"):
        Entry("h1", EntryKind.HOLD, "USD", "r", (Posting(SHARD, PENDING, 1),), 1, onward=(WORKER, WORKER))


def test_two_holds_of_one_requester_do_not_touch_each_other() -> None:
    ledger = Ledger()
    ledger.fund(SPARE, 100)
    for name in ("h1", "h2"):
        entry = pending(
            entry_id=name, currency="USD", reference="r", holds=[Hold(SPARE, HELD, funding("test"), 50)], at_ms=1
        )
        post(entry=entry, alongside=[], books=ledger.books, unit=ledger.table)

    goes_back(ledger)
    goes_back(ledger)

    assert ledger.micros(SPARE, HELD) == [50, 50]


@pytest.mark.parametrize("seed", range(40))
def test_whoever_resolves_at_the_same_time_one_of_them_decides(seed: int) -> None:
    ledger = holding()

    done = interleave(
        ledger.faults,
        {
            "post": lambda: goes_on(ledger),
            "again": lambda: goes_on(ledger),
            "void": lambda: goes_back(ledger),
            "part": lambda: goes_on(ledger, 1, 1),
        },
        seed,
    )

    assert list(done.results.values()).count(Posted.NOW) == 1
    assert all(isinstance(error, EntryMismatch) for error in done.errors.values())
    assert standing(ledger) in ([500, 0, 0, 300], [1_000, 0, 0, 0], [998, 0, 0, 1])
    assert ledger.told(WORKER) == ledger.stored(WORKER)


def test_whoever_dies_or_hears_nothing_has_resolved_once_or_not_at_all() -> None:
    beside = Create(ref("batch", "b1"), {})
    runs = 0

    def flow(ledger: Ledger) -> object:
        return resolve(
            pending_id="h1", goes_on=True, at_ms=3, alongside=[beside], books=ledger.books, unit=ledger.table
        )

    for run in sweep(holding, flow, pairs=True):
        runs += 1
        ledger = run.world
        done = ledger.books.entry("h1/resolution") is not None
        assert standing(ledger) == ([500, 0, 0, 300] if done else [500, 300, 200, 0]), str(run)
        assert (ledger.table.get(beside.ref) is not None) is done
        assert flow(ledger) is (Posted.BEFORE if done else Posted.NOW), str(run)
        assert standing(ledger) == [500, 0, 0, 300]
        assert ledger.told(WORKER) == ledger.stored(WORKER)
    assert runs > 100


def test_duplicates_with_other_wishes_at_every_call_leave_one_resolution() -> None:
    for run in sweep(holding, goes_on, faults=[Fault.RACE], race=goes_back):
        assert run.error is None or isinstance(run.error, EntryMismatch)
        assert standing(run.world) in ([500, 0, 0, 300], [1_000, 0, 0, 0])
        assert len(run.world.items("ledger", "ENTRY#h1/")) == 1


def test_every_split_of_what_was_held_is_the_whole_of_it() -> None:
    for reward, fee in itertools.product((0, 1, 299, 300), (0, 1, 200)):
        resolution = posted(hold(), at_ms=2, amounts_micros=[reward, fee])
        deltas = resolution.deltas()
        assert deltas.get(PENDING) == -300
        assert deltas.get(reserve("b1", 0)) == -200
        assert deltas.get(WORKER, 0) == reward
        assert deltas.get(SHARD, 0) == 500 - reward - fee


def test_statements_of_pending_accounts_are_chained_too() -> None:
    ledger = holding()
    goes_on(ledger)

    assert ledger.told(PENDING) == ledger.stored(PENDING)
    assert ledger.balance(PENDING) == Balance(0, 2)
