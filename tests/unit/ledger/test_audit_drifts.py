"""One micro too many or too few, anywhere in the books: the audit finds every one of them."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from smallpeck.ledger.accounts import escrow, funding, platform_revenue, rail_cash, rail_clearing
from smallpeck.ledger.audit import by_class
from smallpeck.ledger.chain import leaf, row_hash
from smallpeck.ledger.posting import Entry, EntryKind, Posting, entry_fields, entry_from
from smallpeck.table.marshal import to_item
from tests.support import World
from tests.unit.ledger.auditing import audited
from tests.unit.ledger.test_audit import busy_books, items, rewrite

DRIFTS_OF_EACH = 20
TABLES = ("platform", "ledger")

Drift = Callable[[World, random.Random, int], None]


def posted(world: World, posting: Posting) -> None:
    """An entry as the ledger would have written it, whose balances nobody has changed."""
    entry = Entry("forged", EntryKind.CORRECTION, "USD", "r", (posting,), world.now_ms)
    rewrite(world, "ledger", {"pk": "ENTRY#forged", "sk": "ENTRY", **entry_fields(entry)})


def between(one: Any, other: Any, by: int) -> Posting:
    """One micro from one to the other, or back."""
    return Posting(one, other, 1) if by > 0 else Posting(other, one, 1)


def in_a_balance(world: World, dice: random.Random, by: int) -> None:
    """A balance item of a worker or a requester."""
    item = dice.choice([one for one in items(world, "platform", "ACCOUNT#") if "escrow" not in one["pk"]])
    rewrite(world, "platform", item | {"balance_micros": item["balance_micros"] + by})


def in_an_entry(world: World, dice: random.Random, by: int) -> None:
    """A posting; every other time all hashes of the entry are made to fit again, as a forger would."""
    item = dice.choice(items(world, "ledger", "ENTRY#"))
    dice.choice(item["postings"])["amount_micros"] += by
    if dice.random() < 0.5:
        item["input_hash"] = entry_from(item).input_hash()
        item["entry_hash"] = leaf(item).hex()
    rewrite(world, "ledger", item)


def in_a_row(world: World, dice: random.Random, by: int) -> None:
    """The amount of a statement row, its balance or both; every other time its hash fits again."""
    item = dice.choice(items(world, "ledger", "STATEMENT#"))
    for field in dice.choice([["amount_micros"], ["balance_micros"], ["amount_micros", "balance_micros"]]):
        item[field] += by
    if dice.random() < 0.5:
        item["row_hash"] = row_hash(item["pk"].removeprefix("STATEMENT#"), item)
    rewrite(world, "ledger", item)


def in_the_clearing(world: World, dice: random.Random, by: int) -> None:
    """What a rail still owes an answer for: the payout says another amount, or an entry moved what no payout says."""
    clearing = rail_clearing("gateway")
    match dice.randrange(3):
        case 0:
            is_open = ("requested", "unknown", "frozen")
            item = dice.choice([one for one in items(world, "platform", "PAYOUT#") if one.get("state") in is_open])
            rewrite(world, "platform", item | {"amount_micros": item["amount_micros"] + by})
        case 1:
            posted(world, between(clearing, rail_cash("gateway"), by))
        case _:
            posted(world, between(clearing, platform_revenue(), by))


def in_the_escrow(world: World, dice: random.Random, by: int) -> None:
    """A shard's balance item, or a whole posting that only the open work contradicts."""
    item = dice.choice([one for one in items(world, "platform", "ACCOUNT#escrow:b1:") if one["balance_micros"] > 1])
    rewrite(world, "platform", item | {"balance_micros": item["balance_micros"] + by})
    if dice.random() < 0.5:
        shard = int(item["pk"].split(":")[2])
        posted(world, between(funding("test"), escrow("b1", shard), by))


def put_back(world: World, clean: dict[str, list[dict[str, Any]]]) -> None:
    for name, stored in clean.items():
        before = {(one["pk"]["S"], one["sk"]["S"]): one for one in stored}
        for one in world.aws.dynamodb.dump(name):
            key = one["pk"]["S"], one["sk"]["S"]
            if key not in before:
                world.aws.dynamodb.delete_item(TableName=name, Key=to_item({"pk": key[0], "sk": key[1]}))
            elif one != before[key]:
                world.aws.dynamodb.put_item(TableName=name, Item=before[key])


@pytest.mark.parametrize(
    ("drift", "first_seed"),
    [
        (in_a_balance, 0),
        (in_an_entry, 1_000),
        (in_a_row, 2_000),
        (in_the_clearing, 3_000),
        (in_the_escrow, 4_000),
    ],
)
def test_every_drift_by_one_micro_is_found(drift: Drift, first_seed: int) -> None:
    world = busy_books()
    clean = {name: world.aws.dynamodb.dump(name) for name in TABLES}
    found = []
    for seed in range(first_seed, first_seed + DRIFTS_OF_EACH):
        dice = random.Random(seed)
        drift(world, dice, dice.choice([-1, 1]))
        if not audited(world).books_balanced:
            found.append(seed)
        put_back(world, clean)

    assert found == list(range(first_seed, first_seed + DRIFTS_OF_EACH))
    assert audited(world).books_balanced


def test_differences_are_summed_up_without_a_name_in_them() -> None:
    world = busy_books()
    for dice in (random.Random(1), random.Random(2), random.Random(3)):
        for drift in (in_a_balance, in_an_entry, in_a_row, in_the_clearing, in_the_escrow):
            drift(world, dice, 1)

    report = audited(world)
    summed = by_class(report.differences)

    assert sum(int(one["differences"]) for one in summed) == report.difference_count
    known = {"worker", "requester", "escrow", "rail:gateway:clearing", "entries and unknown accounts"}
    assert known & {"worker", "escrow"} <= {one["accounts"] for one in summed} <= known | {"platform:revenue"}
    assert any(one["off_micros"] for one in summed)
