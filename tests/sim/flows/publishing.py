"""A batch is paid for, and what it did not spend goes back."""

from smallpeck.tasks import finishing
from smallpeck.tasks.model import BatchState
from tests.sim import work
from tests.sim.books import Stored
from tests.sim.flows import answers
from tests.sim.scene import TaskScene
from tests.sim.script import Flow, Script, Step
from tests.support import REQUESTER

RECOUNTS = 5


def _ready() -> TaskScene:
    scene = TaskScene()
    batch = scene.ready(3, min_answers=1, max_answers=2)
    scene.deposit(batch.cost_micros + 700_000)
    return scene


def _publish(scene: TaskScene) -> None:
    scene.publish(scene.batch())


def _nothing(_scene: TaskScene) -> None:
    return


def _check_published(scene: TaskScene, stored: Stored, script: Script) -> list[str]:
    wrong = work.problems(scene, stored)
    total = stored.balance(f"requester:{REQUESTER}:available") + sum(
        item["balance_micros"] for name, item in stored.balances.items() if name.startswith("escrow:")
    )
    if total != scene.batch().cost_micros + 700_000:
        wrong.append(f"the requester's money and the escrow come to {total}")
    if not script.lost and script.gap_seconds < 86_400 and scene.batch().state is not BatchState.ACTIVE:
        wrong.append("the batch was never published")
    return wrong


def _worked() -> TaskScene:
    """Half of the work is done and paid, and nobody does the rest."""
    scene = TaskScene()
    scene.active(2, min_answers=2, max_answers=2, page_size=2, consensus=answers.LEARNING)
    page = scene.leased("ann")
    scene.submit(page)
    scene.grade(page.page_id)
    scene.nudged.clear()
    scene.notes["accepted"] = frozenset({page.page_id})
    return scene


def _begin(scene: TaskScene) -> None:
    finishing.begin(batch_id="b1", final=BatchState.CLOSED, reads=scene.tasks, unit=scene.table)


def _recount(scene: TaskScene) -> None:
    if not scene.recount().ready:
        raise finishing.NotReady("work is open")


def _refund(scene: TaskScene) -> None:
    finishing.refund(batch_id="b1", now_ms=scene.now_ms, reads=scene.tasks, books=scene.books, unit=scene.table)


def _end(scene: TaskScene) -> None:
    finishing.end(batch_id="b1", now_ms=scene.now_ms, reads=scene.tasks, unit=scene.table)


def _finish(scene: TaskScene) -> None:
    """The workflow's next execution: the deadline has passed, or the batch is closing."""
    answers.settle(scene)
    if scene.batch().state in (BatchState.CLOSING, BatchState.ACTIVE):
        scene.aws.clock.advance(31 * 86_400)
        scene.sweep()
        if scene.told_to_finish:
            _whole_workflow(scene)


def _whole_workflow(scene: TaskScene) -> None:
    _begin(scene)
    for _ in range(RECOUNTS):
        if scene.recount().ready:
            break
        scene.aws.clock.advance(3_600)
    else:
        raise finishing.NotReady("the batch is never ready")
    _refund(scene)
    _end(scene)


def _check_finished(scene: TaskScene, stored: Stored, _script: Script) -> list[str]:
    wrong = work.problems(scene, stored)
    batch = scene.batch()
    if batch.state is not BatchState.CLOSED:
        wrong.append(f"the batch is {batch.state}")
    back = stored.balance(f"requester:{REQUESTER}:available")
    if back != batch.cost_micros // 2:
        wrong.append(f"{back} of {batch.cost_micros} went back; half of the work was done")
    return wrong


def _open_work() -> TaskScene:
    """Nobody does the rest, but bob's answers are accepted and not decided yet."""
    scene = _worked()
    page = scene.leased("bob")
    scene.submit(page)
    scene.nudged.clear()
    scene.notes["page"] = page.page_id
    scene.notes["accepted"] |= {page.page_id}
    return scene


def _grade(scene: TaskScene) -> None:
    scene.grade(scene.notes["page"])


def _check_all_paid(scene: TaskScene, stored: Stored, _script: Script) -> list[str]:
    wrong = work.problems(scene, stored)
    back = stored.balance(f"requester:{REQUESTER}:available")
    return [*wrong, f"{back} went back, and all work was done"] if back else wrong


FLOWS = (
    Flow(
        "refund_open",
        _open_work,
        (
            Step("begin", _begin),
            Step("recount", _recount),
            Step("grade", _grade, message=True),
            Step("recount again", _recount),
            Step("refund", _refund, follows=True),
            Step("end", _end, follows=True),
        ),
        _finish,
        _check_all_paid,
        money="refund",
    ),
    Flow("publish", _ready, (Step("publish", _publish),), _nothing, _check_published, money="publish"),
    Flow(
        "refund",
        _worked,
        (
            Step("begin", _begin),
            Step("recount", _recount, follows=True),
            Step("refund", _refund, follows=True),
            Step("end", _end, follows=True),
        ),
        _finish,
        _check_finished,
        money="refund",
    ),
)
