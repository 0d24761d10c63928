"""A page whose escrow shard has run dry is paid from another one, once, whoever grades it at the same time."""

import pytest

from smallpeck.kernel.ids import spread
from smallpeck.kernel.writes import Contention
from smallpeck.ledger.accounts import escrow
from smallpeck.ledger.posting import Entry, EntryKind, Posting
from smallpeck.ledger.service import post
from smallpeck.tasks import batches
from tests.aws import Fault, Plan
from tests.support import World

REWARD = 300_000


def dry_page(monkeypatch: pytest.MonkeyPatch) -> tuple[World, str]:
    """A submitted page of two answers, whose own shard holds the price of one."""
    world = World()
    monkeypatch.setattr(batches, "escrow_shards_for", lambda *_: 2)
    batch = world.active(2, min_answers=1, max_answers=1, page_size=2)
    page = world.leased("ann")
    world.submit(page)
    home = spread(2, page.page_id)
    posting = Posting(escrow("b1", home), escrow("b1", 1 - home), batch.price_micros)
    entry = Entry("moved", EntryKind.CORRECTION, "USD", "moved", (posting,), world.now_ms)
    post(entry=entry, alongside=[], books=world.books, unit=world.table)
    return world, page.page_id


@pytest.mark.parametrize("call", range(12))
def test_a_twin_that_pays_from_other_shards_is_met_by_trying_again(call: int, monkeypatch: pytest.MonkeyPatch) -> None:
    world, page_id = dry_page(monkeypatch)
    with world.aws.faults.planned(Plan(Fault.RACE, at=call, race=lambda: world.grade(page_id))):
        try:
            world.grade(page_id)
        except Contention:
            world.grade(page_id)
    assert world.earned("ann") == 2 * REWARD
    assert world.tasks.progress("b1").answers == 2
    assert [world.balance(escrow("b1", shard)).balance_micros for shard in range(2)] == [0, 0]
