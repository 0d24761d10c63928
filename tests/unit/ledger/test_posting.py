"""Entries, accounts, and the writes that record an entry."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallpeck.kernel.money import MAX_AMOUNT_MICROS, BadAmount
from smallpeck.kernel.writes import Change, Create, ref
from smallpeck.ledger import accounts
from smallpeck.ledger.accounts import (
    Account,
    chargeback,
    escrow,
    from_path,
    funding,
    platform_losses,
    platform_revenue,
    rail_cash,
    rail_clearing,
    requester_available,
    requester_held,
    requester_receivable,
    reserve,
    suspense,
    worker_available,
    worker_pending,
    worker_receivable,
)
from smallpeck.ledger.chain import leaf
from smallpeck.ledger.posting import (
    Balance,
    Entry,
    EntryKind,
    Link,
    LinkKind,
    Posting,
    account_ref,
    entry_fields,
    entry_from,
    entry_ref,
    record,
)

ALL = [
    requester_available("r1"),
    requester_held("r1"),
    requester_receivable("r1"),
    escrow("b1", 7),
    worker_available("w1"),
    worker_pending("w1"),
    worker_receivable("w1"),
    reserve("b1", 7),
    platform_revenue(),
    platform_losses(),
    rail_clearing("gateway"),
    rail_cash("gateway"),
    funding("test"),
    chargeback("test"),
    suspense("test"),
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
    "path",
    [
        "",
        "worker",
        "worker:w1",
        "worker:w1:spent",
        "worker::available",
        "worker:w1:available:EUR",
        "escrow:b1:x",
        "escrow:b1:7",
        "escrow:b1:+7",
        "escrow:b1:\u0660\u0667",
        "platform:loss",
        "rail:x:hidden",
        "funding:",
        "a:b:c:d",
    ],
)
def test_no_other_account_can_exist(path: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        from_path(path)


def test_the_chart_in_the_docstring_says_which_accounts_have_what() -> None:
    chart = [
        row.split()[:4]
        for row in (accounts.__doc__ or "").splitlines()
        if row.startswith("    ") and ("yes" in row.split() or "no" in row.split())
    ]

    assert [row[1:3] for row in chart] == [
        ["yes" if has else "no" for has in (account.has_balance, account.has_statement)] for account in ALL
    ]
    assert [row[0].split(":")[::2] for row in chart if row[0].startswith(("worker", "requester"))] == [
        account.path.split(":")[::2] for account in ALL if account.has_statement
    ]
    assert [row[3] == "<=" for row in chart] == [account.is_debt for account in ALL]


def test_an_account_with_a_statement_has_a_balance() -> None:
    assert all(account.has_balance for account in ALL if account.has_statement)


def test_only_a_receivable_may_be_below_zero_and_it_is_never_above() -> None:
    balances = [account for account in ALL if account.has_balance]

    assert [a.path for a in balances if a.allows(-1)] == ["requester:r1:receivable", "worker:w1:receivable"]
    assert [a for a in balances if a.allows(1)] == [a for a in balances if not a.is_debt]
    assert all(account.allows(0) for account in balances)


def test_a_pending_entry_leaves_money_where_it_is_held() -> None:
    assert [account.path for account in ALL if account.holds] == [
        "requester:r1:held",
        "worker:w1:pending",
        "reserve:b1:07",
    ]


@pytest.mark.parametrize("amount", [0, -1, MAX_AMOUNT_MICROS + 1])
def test_a_posting_moves_something(amount: int) -> None:
    with pytest.raises(ValueError, match="moves more than zero"):
        Posting(funding("test"), worker_available("w1"), amount)


def test_a_posting_has_two_accounts_and_an_entry_a_posting() -> None:
    with pytest.raises(ValueError, match="two accounts"):
        Posting(funding("test"), funding("test"), 1)
    with pytest.raises(ValueError, match="at least one"):
        entry()


@pytest.mark.parametrize("currency", ["", "usd", "XXX", "USD:EUR", "USD "])
def test_an_entry_is_in_one_currency_that_the_platform_knows(currency: str) -> None:
    with pytest.raises(BadAmount):
        entry(Posting(funding("test"), worker_available("w1"), 1), currency=currency)


@pytest.mark.parametrize(
    "forged",
    [
        Account("worker:w1:available:EUR", has_balance=True, has_statement=True),
        Account("worker:w1:available", has_balance=False, has_statement=False),
        Account("worker:w1:available", has_balance=True, has_statement=True, is_debt=True),
        Account("worker:w1:savings", has_balance=True, has_statement=True),
        worker_available("w1:available"),
    ],
)
def test_an_account_brings_no_currency_and_no_rules_of_its_own(forged: Account) -> None:
    for one in (Posting(funding("test"), forged, 1), Posting(forged, funding("test"), 1)):
        with pytest.raises(ValueError, match=r"chart|no such account"):
            entry(one)


def test_an_entry_is_the_same_when_it_is_read_again() -> None:
    link = Link(LinkKind.REVERSES, "e0", (1, 0))
    whole = entry(Posting(requester_available("r1"), requester_held("r1"), 5), units=3, links=(link,))
    held = dataclasses.replace(whole, onward=(escrow("b1", 1),), links=(Link(LinkKind.CORRECTS, "e0"),))

    for one in (CREDIT, whole, held):
        assert entry_from(entry_fields(one)) == one
        assert entry_from(entry_fields(one)).input_hash() == entry_fields(one)["input_hash"]


@pytest.mark.parametrize(
    "change",
    [{"at_ms": 6}, {"units": 2}, {"reference": "p2"}, {"links": [{"kind": "corrects", "entry_id": "e0"}]}],
)
def test_everything_that_is_stored_of_an_entry_is_in_its_leaf(change: dict[str, object]) -> None:
    fields = entry_fields(CREDIT)

    assert leaf(fields).hex() == fields["entry_hash"] == leaf({**fields, "pk": "ENTRY#e1", "sk": "ENTRY"}).hex()
    assert leaf({**fields, **change}) != leaf(fields)


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
        {"links": (Link(LinkKind.CORRECTS, "e0"),)},
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
    assert isinstance(row, Create)
    assert worker_change.set == {"seq": 4, "head_hash": row.fields["row_hash"]}
    assert worker_change.add == {"balance_micros": 300_000}
    assert (row.fields["amount_micros"], row.fields["balance_micros"]) == (300_000, 300_050)


def test_publishing_over_every_escrow_shard_leaves_room_in_one_transaction() -> None:
    shards = [Posting(requester_available("r1"), escrow("b1", n), 1) for n in range(accounts.MAX_ESCROW_SHARDS)]

    assert len(record(entry(*shards), {requester_available("r1"): Balance(64, 1)})) + 10 <= 100


def test_an_account_that_nets_to_zero_keeps_its_balance_and_its_row() -> None:
    worker, shard = worker_available("w1"), escrow("b1", 0)
    there_and_back = entry(Posting(worker, shard, 5), Posting(shard, worker, 5))

    writes = record(there_and_back, {worker: Balance(9, 1)})

    assert [one.ref.entity for one in writes] == ["entry", "account", "statement_row"]
