"""A requester decides on answers: approves, rejects, or lets the review end."""

from smallpeck.tasks import reviewing
from smallpeck.tasks.model import Review
from smallpeck.tasks.reviewing import Decision, Rejection
from tests.sim import work
from tests.sim.books import Stored
from tests.sim.flows import answers
from tests.sim.scene import TaskScene
from tests.sim.script import Flow, Script, Step

REVIEW_SECONDS = 86_400
RUBRIC = ("the answer is off the point",)
WHY = Rejection(0, "This shows a dog, not the cat that it is said to be.")


def _in_review() -> TaskScene:
    scene = TaskScene()
    scene.active(
        2,
        min_answers=1,
        max_answers=1,
        page_size=2,
        lease_seconds=86_400,
        review=Review.DEADLINE,
        review_seconds=REVIEW_SECONDS,
        rubric=RUBRIC,
        consensus=answers.LEARNING,
    )
    page = scene.leased("bob")
    scene.submit(page)
    scene.grade(page.page_id)
    scene.nudged.clear()
    scene.notes["page"] = page.page_id
    scene.notes["tasks"] = tuple(one.task_id for one in page.assignments)
    scene.notes["accepted"] = frozenset({page.page_id})
    return scene


def _decide(scene: TaskScene, decisions: list[Decision]) -> None:
    outcomes = reviewing.decide(
        batch=scene.batch(), decisions=decisions, reads=scene.tasks, unit=scene.table, nudge=scene.nudged.append
    )
    if reviewing.Outcome.ACCEPTED in outcomes.values():
        scene.notes["decided"] = True


def _approve(scene: TaskScene) -> None:
    _decide(scene, [Decision(scene.notes["page"])])


def _reject(scene: TaskScene) -> None:
    first, second = scene.notes["tasks"]
    page_id = scene.notes["page"]
    _decide(scene, [Decision(page_id, first, WHY), Decision(page_id, second)])


def _grade(scene: TaskScene) -> None:
    scene.grade(scene.notes["page"])


def _end_review(scene: TaskScene) -> None:
    scene.aws.clock.advance_to(scene.aws.clock.now() + REVIEW_SECONDS)


def _settle(scene: TaskScene) -> None:
    answers.told(scene)
    if any(item["state"]["S"] == "in_review" for item in answers.pages(scene)):
        scene.aws.clock.advance(REVIEW_SECONDS)
        scene.sweep()
        answers.told(scene)


def _check(scene: TaskScene, stored: Stored, _script: Script) -> list[str]:
    return work.problems(scene, stored)


def _check_rejected(scene: TaskScene, stored: Stored, script: Script) -> list[str]:
    """What the requester was told is taken is what becomes of the answers."""
    wrong = _check(scene, stored, script)
    (page,) = stored.items["PAGE"]
    states = tuple(one["state"] for one in page["assignments"])
    if "decided" in scene.notes and states != ("rejected", "approved"):
        wrong.append(f"the decisions were taken, and the answers are {states}")
    (progress,) = [item for item in stored.items["PROGRESS"] if "rejected" in item or "rejections" in item] or [{}]
    rejected = states.count("rejected")
    counted = (progress.get("rejected", 0), progress.get("rejections", 0))
    if counted != (rejected, rejected):
        wrong.append(f"{rejected} answers are rejected, counted are {counted}")
    return wrong


FLOWS = (
    Flow(
        "approve_review",
        _in_review,
        (Step("decide", _approve), Step("grade", _grade, message=True)),
        _settle,
        _check,
        narrow=True,
        money="approve",
    ),
    Flow(
        "reject",
        _in_review,
        (Step("decide", _reject), Step("grade", _grade, message=True)),
        _settle,
        _check_rejected,
        money="reject",
    ),
    Flow(
        "review_ends",
        _in_review,
        (Step("the review ends", _end_review), Step("grade", _grade, message=True)),
        _settle,
        _check,
        narrow=True,
        money="approve",
    ),
)
