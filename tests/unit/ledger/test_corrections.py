"""Taking back what an entry moved, and putting right what it said."""

from collections.abc import Mapping
from typing import Any

import pytest

from smallpeck.kernel.writes import Create, ref
from smallpeck.ledger.accounts import (
    Account,
    escrow,
    platform_revenue,
    rail_cash,
    requester_available,
    reserve,
    worker_available,
    worker_pending,
    worker_receivable,
)
from smallpeck.ledger.corrections import (
    BadCorrection,
    BadReversal,
    NotReversible,
    ReversalTooLarge,
    Way,
    recovery,
    reversal_id,
)
from smallpeck.ledger.phases import Hold, pending
from smallpeck.ledger.posting import Balance, Posting
from smallpeck.ledger.service import (
    MAX_REVERSALS,
    EntryMismatch,
    EntryNotFound,
    InsufficientFunds,
    NotOwed,
    Posted,
    Reversed,
    correct,
    post,
    resolve,
    reverse,
)
from tests.aws.faults import Fault, sweep
from tests.aws.schedule import interleave
from tests.unit.ledger.books import Ledger

WORKER, SHARD, REQUESTER = worker_available("w1"), escrow("b1", 0), requester_available("r1")
OWED, RESERVE = worker_receivable("w1"), reserve("b1", 0)
WATERFALL = {0: Way((RESERVE, WORKER, OWED), REQUESTER), 1: Way(destination=REQUESTER)}


def credited() -> Ledger:
    """An answer was paid for: 300 to the worker, 200 to the platform."""
    ledger = Ledger()
    ledger.fund(SHARD, 1_000)
    ledger.post("c1", Posting(SHARD, WORKER, 300), Posting(SHARD, platform_revenue(), 200))
    return ledger


def paid_out(in_reserve: int = 0, left: int = 0) -> Ledger:
    """The worker has withdrawn all but `left`; `in_reserve` is held back."""
    ledger = credited()
    if in_reserve:
        ledger.fund(RESERVE, in_reserve)
    if left < 300:
        ledger.post("out", Posting(WORKER, rail_cash("gateway"), 300 - left))
    return ledger


def take_back(
    ledger: Ledger,
    *amounts: int,
    fact: str = "chargeback-1",
    ways: Mapping[int, Way] | None = None,
    entry_id: str = "c1",
    **facts: Any,
) -> Reversed:
    return reverse(
        entry_id=entry_id,
        amounts_micros=amounts or None,
        ways=ways,
        reference=fact,
        at_ms=5,
        books=ledger.books,
        unit=ledger.table,
        **facts,
    )


def taken(ledger: Ledger) -> list[tuple[str, int]]:
    """The ids of the reversals and what they moved together."""
    return [
        (item["entry_id"], sum(one["amount_micros"] for one in item["postings"]))
        for item in ledger.items("ledger", "ENTRY#c1/reversal")
    ]


def test_all_that_an_entry_moved_goes_back_to_where_it_came_from() -> None:
    ledger = credited()

    done = take_back(ledger)

    assert (done.posted, done.entry.entry_id) == (Posted.NOW, "c1/reversal")
    assert ledger.micros(SHARD, WORKER) == [1_000, 0]
    row = ledger.rows()[0]
    assert (row["kind"], row["amount_micros"], row["links"]) == (
        "reversal",
        -300,
        [{"kind": "reverses", "entry_id": "c1"}],
    )


def test_parts_are_taken_back_one_after_another_and_never_more_than_there_was() -> None:
    ledger = credited()

    take_back(ledger, 100, 0, fact="a")
    take_back(ledger, 150, 200, fact="b")
    with pytest.raises(ReversalTooLarge):
        take_back(ledger, 51, 0, fact="c")
    last = take_back(ledger, fact="c")

    assert last.entry.entry_id == "c1/reversal/3"
    assert last.entry.links[0].amounts_micros == (50, 0)
    assert ledger.micros(SHARD, WORKER) == [1_000, 0]
    with pytest.raises(ReversalTooLarge):
        take_back(ledger, fact="d")


def test_one_posting_is_not_taken_back_in_the_name_of_another() -> None:
    with pytest.raises(ReversalTooLarge):
        take_back(credited(), 301, 0)


@pytest.mark.parametrize("amounts", [(0, 0), (1,), (1, 1, 1), (-1, 2)])
def test_a_reversal_says_what_it_takes_back(amounts: tuple[int, ...]) -> None:
    with pytest.raises(BadReversal):
        take_back(credited(), *amounts)


def test_the_same_fact_again_is_the_same_reversal() -> None:
    ledger = credited()
    take_back(ledger, 100, 0, fact="a")
    take_back(ledger, 100, 0, fact="b")

    again = take_back(ledger, 100, 0, fact="a")

    assert (again.posted, again.entry.entry_id) == (Posted.BEFORE, "c1/reversal")
    assert take_back(ledger, fact="b").posted is Posted.BEFORE
    with pytest.raises(EntryMismatch):
        take_back(ledger, 101, 0, fact="a")
    assert ledger.micros(WORKER) == [100]


@pytest.mark.parametrize(
    ("in_reserve", "left", "expected"),
    [
        (500, 300, [200, 300, 0]),
        (300, 0, [0, 0, 0]),
        (100, 300, [0, 100, 0]),
        (100, 50, [0, 0, -150]),
        (0, 0, [0, 0, -300]),
    ],
)
def test_after_a_payout_the_reserve_pays_first_then_the_balance_then_the_worker_owes(
    in_reserve: int, left: int, expected: list[int]
) -> None:
    ledger = paid_out(in_reserve, left)

    take_back(ledger, ways=WATERFALL)

    assert ledger.micros(RESERVE, WORKER, OWED) == expected
    assert ledger.micros(REQUESTER) == [500]
    assert ledger.told(OWED) == ledger.stored(OWED)


def test_the_same_fact_is_the_same_reversal_though_it_would_be_paid_by_others_now() -> None:
    ledger = paid_out()
    take_back(ledger, 300, 0, ways=WATERFALL)
    ledger.fund(RESERVE, 300, key="late")

    assert take_back(ledger, 300, 0, ways=WATERFALL).posted is Posted.BEFORE
    assert ledger.micros(RESERVE, OWED) == [300, -300]


def test_without_a_receivable_nobody_falls_below_zero() -> None:
    ledger = paid_out(left=10)

    with pytest.raises(InsufficientFunds) as caught:
        take_back(ledger)

    assert caught.value.accounts == (WORKER,)
    assert ledger.balance(WORKER) == Balance(10, 2)


def test_a_debt_is_paid_from_what_comes_later_and_never_overpaid() -> None:
    ledger = paid_out()
    take_back(ledger, ways=WATERFALL)
    ledger.credit("c2", 400)

    def pay(entry_id: str, micros: int) -> Posted:
        entry = recovery(
            entry_id=entry_id,
            source=WORKER,
            receivable=OWED,
            currency="USD",
            amount_micros=micros,
            reference="w1",
            at_ms=9,
        )
        return post(entry=entry, alongside=[], books=ledger.books, unit=ledger.table)

    with pytest.raises(NotOwed):
        pay("too-much", 301)
    assert pay("p1", 100) is Posted.NOW
    assert pay("p2", 200) is Posted.NOW
    assert pay("p2", 200) is Posted.BEFORE
    with pytest.raises(NotOwed):
        pay("p3", 1)
    assert ledger.micros(WORKER, OWED) == [100, 0]


def test_who_owes_nothing_cannot_pay_a_debt() -> None:
    ledger = credited()
    with pytest.raises(NotOwed):
        ledger.post("x", Posting(WORKER, OWED, 1))
    with pytest.raises(ValueError, match="nobody owes"):
        recovery(
            entry_id="x",
            source=WORKER,
            receivable=SHARD,
            currency="USD",
            amount_micros=1,
            reference="w1",
            at_ms=1,
        )


def test_a_pending_entry_a_reversal_and_an_absent_entry_are_not_reversed() -> None:
    ledger = credited()
    take_back(ledger, 1, 0)
    holds = [Hold(SHARD, worker_pending("w1"), WORKER, 50)]
    entry = pending(entry_id="h1", currency="USD", reference="r", holds=holds, at_ms=1)
    post(entry=entry, alongside=[], books=ledger.books, unit=ledger.table)

    for entry_id in ("h1", "c1/reversal"):
        with pytest.raises(NotReversible):
            take_back(ledger, entry_id=entry_id)
    with pytest.raises(EntryNotFound):
        take_back(ledger, entry_id="nothing")


def test_of_a_resolution_only_what_went_on_is_taken_back() -> None:
    ledger = credited()
    holds = [Hold(SHARD, worker_pending("w1"), WORKER, 50), Hold(SHARD, worker_pending("w1"), WORKER, 50)]
    entry = pending(entry_id="h1", currency="USD", reference="r", holds=holds, at_ms=1)
    post(entry=entry, alongside=[], books=ledger.books, unit=ledger.table)
    resolve(pending_id="h1", goes_on=True, amounts_micros=[0, 30], at_ms=2, books=ledger.books, unit=ledger.table)

    done = take_back(ledger, entry_id="h1/resolution", ways={0: Way(destination=SHARD)})

    assert done.entry.links[0].amounts_micros == (30, 0, 0)
    assert ledger.micros(SHARD, WORKER, worker_pending("w1")) == [500, 300, 0]


def test_an_entry_has_so_many_reversals_and_no_more() -> None:
    ledger = credited()
    for number in range(MAX_REVERSALS):
        take_back(ledger, 1, 0, fact=f"f{number}")

    with pytest.raises(NotReversible):
        take_back(ledger, 1, 0, fact="one more")
    assert take_back(ledger, 1, 0, fact="f99").posted is Posted.BEFORE


@pytest.mark.parametrize("seed", range(40))
def test_many_reversals_at_once_never_take_more_than_there_was(seed: int) -> None:
    ledger = credited()

    done = interleave(
        ledger.faults,
        {
            "a": lambda: take_back(ledger, 200, 0, fact="a"),
            "a again": lambda: take_back(ledger, 200, 0, fact="a"),
            "b": lambda: take_back(ledger, 200, 0, fact="b"),
            "c": lambda: take_back(ledger, 100, 200, fact="c"),
        },
        seed,
    )

    assert all(isinstance(error, ReversalTooLarge) for error in done.errors.values()), done.errors
    assert sum(200 if fact in "ab" else 100 for fact in made(ledger)) == 300 - ledger.stored(WORKER).balance_micros
    assert len(made(ledger)) == len(set(made(ledger)))
    assert ledger.told(WORKER) == ledger.stored(WORKER)


def made(ledger: Ledger) -> list[str]:
    return [item["reference"] for item in ledger.items("ledger", "ENTRY#c1/reversal")]


def test_whoever_dies_or_is_doubled_has_taken_it_back_once_or_not_at_all() -> None:
    beside = Create(ref("batch", "b1"), {})

    def flow(ledger: Ledger) -> object:
        return take_back(ledger, 300, 200, ways=WATERFALL, alongside=[beside])

    runs = 0
    for run in sweep(lambda: paid_out(in_reserve=100, left=50), flow, pairs=True):
        runs += 1
        ledger = run.world
        done = bool(taken(ledger))
        assert (ledger.table.get(beside.ref) is not None) is done, str(run)
        flow(ledger)
        assert taken(ledger) == [("c1/reversal", 500)], str(run)
        assert ledger.micros(RESERVE, WORKER, OWED, REQUESTER) == [0, 0, -150, 500], str(run)
    assert runs > 100


def test_money_that_leaves_a_source_meanwhile_is_taken_elsewhere() -> None:
    def race(ledger: Ledger) -> None:
        ledger.post("again-out", Posting(WORKER, rail_cash("gateway"), 50))

    for run in sweep(
        lambda: paid_out(left=50), lambda ledger: take_back(ledger, ways=WATERFALL), faults=[Fault.RACE], race=race
    ):
        assert run.error is None, str(run)
        assert run.world.micros(WORKER, OWED) in ([0, -300], [0, -250]), str(run)


def amends(ledger: Ledger, *postings: Posting, entry_id: str = "c1") -> Posted:
    return correct(
        entry_id=entry_id, postings=postings, reference="ticket-7", at_ms=6, books=ledger.books, unit=ledger.table
    )


def test_a_correction_moves_what_went_to_the_wrong_place() -> None:
    ledger = credited()
    right = worker_available("w2")

    assert amends(ledger, Posting(WORKER, right, 300)) is Posted.NOW
    assert amends(ledger, Posting(WORKER, right, 300)) is Posted.BEFORE
    with pytest.raises(EntryMismatch):
        amends(ledger, Posting(WORKER, right, 299))

    assert ledger.micros(WORKER, right) == [0, 300]
    assert ledger.rows(right)[0]["links"] == [{"kind": "corrects", "entry_id": "c1"}]
    assert amends(ledger, Posting(right, WORKER, 300), entry_id="c1/correction") is Posted.NOW
    assert ledger.micros(WORKER, right) == [300, 0]


def test_a_correction_has_to_do_with_the_entry() -> None:
    ledger = credited()
    other: Account = worker_available("w9")
    ledger.fund(other, 5)

    with pytest.raises(BadCorrection):
        amends(ledger, Posting(other, REQUESTER, 5))
    with pytest.raises(EntryNotFound):
        amends(ledger, Posting(WORKER, other, 5), entry_id="nothing")
    holds = [Hold(SHARD, worker_pending("w1"), WORKER, 50)]
    entry = pending(entry_id="h1", currency="USD", reference="r", holds=holds, at_ms=1)
    post(entry=entry, alongside=[], books=ledger.books, unit=ledger.table)
    with pytest.raises(BadCorrection):
        amends(ledger, Posting(worker_pending("w1"), WORKER, 50), entry_id="h1")


def test_a_correction_is_in_the_currency_of_its_entry() -> None:
    ledger = Ledger()
    ledger.post("e1", Posting(rail_cash("gateway"), WORKER, 5), currency="EUR")

    amends(ledger, Posting(WORKER, REQUESTER, 5), entry_id="e1")

    assert ledger.balance(REQUESTER, "EUR").balance_micros == 5
    assert ledger.balance(REQUESTER).balance_micros == 0


def test_numbers_of_reversals() -> None:
    assert [reversal_id("e", number) for number in (1, 2, 10)] == ["e/reversal", "e/reversal/2", "e/reversal/10"]
