"""A worker's answers: accepted, and approved at once."""

from unittest.mock import patch

from smallpeck.kernel.ids import spread
from smallpeck.ledger.accounts import escrow
from smallpeck.ledger.posting import Entry, EntryKind, Posting
from smallpeck.ledger.service import post
from smallpeck.tasks import batches
from tests.sim import work
from tests.sim.books import Stored
from tests.sim.scene import TaskScene
from tests.sim.script import Flow, Script, Step

LEARNING = '{"method":"choice","options":3}'
"""A consensus that learns how skilled its workers are."""
SUBMITTED_SECONDS = 130
WAITING_FOR_REVIEW = frozenset({"submitted", "in_review"})


def with_batch() -> TaskScene:
    """Two tasks that want two answers each; ann has given hers and is paid."""
    scene = TaskScene()
    scene.active(2, min_answers=2, max_answers=2, page_size=2, lease_seconds=86_400, consensus=LEARNING)
    page = scene.leased("ann")
    scene.submit(page)
    scene.grade(page.page_id)
    return scene


def told(scene: TaskScene) -> None:
    """Delivers what the queue holds, as Lambda does when nothing fails."""
    while scene.nudged:
        scene.grade(scene.nudged.pop(0))


def settle(scene: TaskScene) -> None:
    """The queue is worked off; the sweeper nudges what was forgotten."""
    told(scene)
    if any(item["state"]["S"] in WAITING_FOR_REVIEW for item in pages(scene)):
        scene.aws.clock.advance(SUBMITTED_SECONDS)
        scene.sweep()
        told(scene)


def pages(scene: TaskScene) -> list[dict[str, dict[str, str]]]:
    """Every page, as it is stored."""
    return [item for item in scene.aws.dynamodb.dump("platform") if item["sk"]["S"] == "PAGE"]


def check(scene: TaskScene, stored: Stored, _script: Script) -> list[str]:
    """Everything that was accepted is decided."""
    return work.problems(scene, stored)


def _leased() -> TaskScene:
    scene = with_batch()
    scene.notes["page"] = scene.leased("bob").page_id
    scene.nudged.clear()
    return scene


def _submit(scene: TaskScene) -> None:
    page = scene.submit(scene.page(scene.notes["page"]))
    scene.notes["accepted"] |= {page.page_id}


def submitted_page() -> TaskScene:
    scene = _leased()
    _submit(scene)
    return scene


def _grade(scene: TaskScene) -> None:
    """One delivery of the message that names the page."""
    scene.grade(scene.notes["page"])


def _dry() -> TaskScene:
    """The escrow shard of the page holds less than its answers cost, so that another one pays the rest."""
    scene = TaskScene()
    with patch.object(batches, "escrow_shards_for", lambda *_: 2):
        batch = scene.active(2, min_answers=1, max_answers=1, page_size=2, lease_seconds=86_400)
    page = scene.leased("bob")
    home = spread(2, page.page_id)
    posting = Posting(escrow("b1", home), escrow("b1", 1 - home), batch.price_micros)
    entry = Entry("moved", EntryKind.CORRECTION, "USD", "moved", (posting,), scene.now_ms)
    post(entry=entry, alongside=[], books=scene.books, unit=scene.table)
    scene.notes["page"] = page.page_id
    _submit(scene)
    return scene


def _expired() -> TaskScene:
    """A lease that ends a second after the answers come."""
    scene = TaskScene()
    scene.active(2, min_answers=1, max_answers=1, page_size=2, lease_seconds=600)
    scene.notes["page"] = scene.leased("bob").page_id
    scene.aws.clock.advance(599)
    return scene


def _expire(scene: TaskScene) -> None:
    """The lease ends, and somebody else asks for work."""
    scene.aws.clock.advance(2)
    scene.sweep()
    scene.lease("cy", key="k2")


def _settle_expired(scene: TaskScene) -> None:
    settle(scene)
    scene.aws.clock.advance(700)
    scene.sweep()
    told(scene)


FLOWS = (
    Flow("submit", _leased, (Step("submit", _submit),), settle, check, money="submit"),
    Flow("approve", submitted_page, (Step("grade", _grade, message=True),), settle, check, pairs=True, money="approve"),
    Flow("approve_dry", _dry, (Step("grade", _grade, message=True),), settle, check, money="approve"),
    Flow(
        "submit_late",
        _expired,
        (Step("submit", _submit, rival=_expire),),
        _settle_expired,
        check,
        money="submit",
    ),
    Flow(
        "work",
        _leased,
        (Step("submit", _submit), Step("grade", _grade, message=True)),
        settle,
        check,
        narrow=True,
        money="submit, approve",
    ),
)
