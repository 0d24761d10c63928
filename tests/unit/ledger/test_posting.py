"""Entries, accounts, and the writes that record an entry."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallpeck.kernel.money import MAX_AMOUNT_MICROS
from smallpeck.kernel.writes import Change, Create, ref
from smallpeck.ledger import accounts
from smallpeck.ledger.accounts import (
    Account,
    escrow,
    from_path,
    funding,
    platform_revenue,
    rail_cash,
    rail_clearing,
    requester_available,
    worker_available,
)
from smallpeck.ledger.posting import Balance, Entry, EntryKind, Posting, account_ref, entry_ref, record

ALL = [
    requester_available("r1"),
    escrow("b1", 7),
    worker_available("w1"),
    platform_revenue(),
    rail_clearing("gateway"),
    rail_cash("gateway"),
    funding("test"),
]


def entry(*postings: Posting, **facts: object) -> Entry:
    given = {"entry_id": "e1", "kind": EntryKind.CREDIT, "currency": "USD", "reference": "p1", "at_ms": 5} | facts
    return Entry(postings=postings, **given)  # type: ignore[arg-type]


CREDIT = entry(
    Posting(escrow("b1", 7), worker_available("w1"), 300_000), Posting(escrow("b1", 7), platform_revenue(), 200_000)
)


@pytest.mark.parametrize("account", ALL)
def test_an_account_is_found_by_its_path(account: Account) -> None:
    assert from_path(account.path) == account


@pytest.mark.parametrize(
    "path", ["", "worker", "worker:w1", "worker:w1:spent", "escrow:b1:x", "platform:loss", "rail:x:hidden", "a:b:c:d"]
)
def test_no_other_account_can_exist(path: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        from_path(path)


def test_the_chart_in_the_docstring_says_which_accounts_have_what() -> None:
    chart = {
        row.split()[0]: tuple(word == "yes" for word in row.split()[1:3])
        for row in (accounts.__doc__ or "").splitlines()
        if row.startswith("    ") and ("yes" in row.split() or "no" in row.split())
    }

    assert list(chart.values()) == [(account.has_balance, account.has_statement) for account in ALL]


def test_an_account_with_a_statement_has_a_balance() -> None:
    assert all(account.has_balance for account in ALL if account.has_statement)


@pytest.mark.parametrize("amount", [0, -1, MAX_AMOUNT_MICROS + 1])
def test_a_posting_moves_something(amount: int) -> None:
    with pytest.raises(ValueError, match="moves more than zero"):
        Posting(funding("test"), worker_available("w1"), amount)


def test_a_posting_has_two_accounts_and_an_entry_a_posting() -> None:
    with pytest.raises(ValueError, match="two accounts"):
        Posting(funding("test"), funding("test"), 1)
    with pytest.raises(ValueError, match="at least one"):
        entry()


postings = st.builds(
    lambda pair, amount: Posting(pair[0], pair[1], amount),
    st.permutations(ALL).map(lambda shuffled: shuffled[:2]),
    st.integers(1, MAX_AMOUNT_MICROS),
)


@given(st.lists(postings, min_size=1, max_size=10))
def test_an_entry_sums_to_zero(made: list[Posting]) -> None:
    assert sum(entry(*made).deltas().values()) == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"entry_id": "e2"},
        {"kind": EntryKind.REFUND},
        {"currency": "EUR"},
        {"reference": "p2"},
        {"postings": CREDIT.postings[:1]},
        {"postings": CREDIT.postings[::-1]},
        {"postings": (dataclasses.replace(CREDIT.postings[0], amount_micros=300_001), CREDIT.postings[1])},
        {"postings": (dataclasses.replace(CREDIT.postings[0], source=escrow("b1", 8)), CREDIT.postings[1])},
    ],
)
def test_another_entry_has_another_hash(changes: dict[str, object]) -> None:
    assert dataclasses.replace(CREDIT, **changes).input_hash() != CREDIT.input_hash()  # type: ignore[arg-type]


def test_a_replay_has_the_same_hash_whenever_it_is_recorded() -> None:
    assert dataclasses.replace(CREDIT, at_ms=99).input_hash() == CREDIT.input_hash()


def test_an_entry_is_written_with_what_it_changes_and_nothing_else() -> None:
    writes = record(CREDIT, {worker_available("w1"): Balance(50, 3)})

    assert [one.ref for one in writes] == [
        entry_ref("e1"),
        account_ref(escrow("b1", 7), "USD"),
        account_ref(worker_available("w1"), "USD"),
        ref("statement_row", "worker:w1:available:USD", 4),
    ]
    written, escrow_change, worker_change, row = writes
    assert isinstance(written, Create)
    assert written.fields["input_hash"] == CREDIT.input_hash()
    assert isinstance(escrow_change, Change)
    assert escrow_change.add == {"balance_micros": -500_000}
    assert isinstance(worker_change, Change)
    assert (worker_change.set, worker_change.add) == ({"seq": 4}, {"balance_micros": 300_000})
    assert isinstance(row, Create)
    assert (row.fields["amount_micros"], row.fields["balance_micros"]) == (300_000, 300_050)


def test_publishing_over_every_escrow_shard_leaves_room_in_one_transaction() -> None:
    shards = [Posting(requester_available("r1"), escrow("b1", n), 1) for n in range(accounts.MAX_ESCROW_SHARDS)]

    assert len(record(entry(*shards), {requester_available("r1"): Balance(64, 1)})) + 10 <= 100


def test_an_account_that_nets_to_zero_keeps_its_balance_and_its_row() -> None:
    worker, shard = worker_available("w1"), escrow("b1", 0)
    there_and_back = entry(Posting(worker, shard, 5), Posting(shard, worker, 5))

    writes = record(there_and_back, {worker: Balance(9, 1)})

    assert [one.ref.entity for one in writes] == ["entry", "account", "statement_row"]
