"""The functions as AWS calls them: the grader with a message, the payout run with the steps of its workflow."""

import contextlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from functions.grader.handler import handler as grader
from functions.payout_run.handler import handler as payout_run
from smallpeck.kernel.writes import Contention
from smallpeck.runtime.observability import logger
from smallpeck.runtime.payout_rails import payout_ports
from smallpeck.runtime.problems import WorkflowError
from smallpeck.runtime.settings import Settings
from smallpeck.runtime.wiring import Wiring, wired
from tests.gateway import Context
from tests.sim.flows import answers, paying
from tests.sim.scene import PayoutScene, SimClock, TaskScene
from tests.sim.script import Flow, Step
from tests.support import TABLE_NAMES

_GIVEN: Mapping[str, Any] = {
    "stage": "local",
    "submissions_queue_url": "https://sqs.test/submissions",
    "batch_finish_arn": "arn:aws:states:eu-central-1:000000000000:stateMachine:batch_finish",
    **{f"{table}_table": name for table, name in TABLE_NAMES.items()},
}
SETTINGS = Settings(**_GIVEN)


@contextlib.contextmanager
def _deployed(scene: TaskScene | PayoutScene) -> Iterator[Wiring]:
    """The scene behind the real wiring, and nothing on the screen."""
    clients = {"dynamodb": scene.aws.dynamodb, "stepfunctions": scene.aws.sfn}
    wiring = Wiring(SETTINGS, clock=SimClock(scene.aws.clock), clients=clients)
    wiring.table = scene.table
    if isinstance(scene, PayoutScene):
        wiring._made[payout_ports] = scene.ports
    level = logger.log_level
    logger.setLevel("CRITICAL")
    try:
        with contextlib.redirect_stdout(io.StringIO()), wired(wiring):
            yield wiring
    finally:
        logger.setLevel(level)


def _grade(scene: TaskScene) -> None:
    """One batch of the queue, of one message; what fails comes back."""
    record = {
        "messageId": "m1",
        "receiptHandle": "r1",
        "body": json.dumps({"v": 1, "page_id": scene.notes["page"]}),
        "attributes": {},
        "messageAttributes": {},
        "md5OfBody": "",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-central-1:000000000000:submissions",
        "awsRegion": "eu-central-1",
    }
    with _deployed(scene):
        answer = grader({"Records": [record]}, Context())
    if answer["batchItemFailures"]:
        raise Contention("the message comes back")


def _step(scene: PayoutScene, asked: Mapping[str, Any]) -> None:
    with _deployed(scene):
        try:
            payout_run({"run_id": paying.RUN, **asked}, Context())
        except WorkflowError as error:
            raise Contention(str(error)) from error


def _of_run(**asked: Any) -> Callable[[PayoutScene], None]:
    return partial(_step, asked=asked)


FLOWS = (
    Flow(
        "grader_function",
        answers.submitted_page,
        (Step("grade", _grade, message=True),),
        answers.settle,
        answers.check,
        narrow=True,
        money="approve",
    ),
    Flow(
        "payout_run_function",
        partial(paying.started, "ann@example.com"),
        (
            Step("freeze", _of_run(step="freeze")),
            Step("send", _of_run(step="send", chunk=0), follows=True),
            Step("end", _of_run(step="end", round=0), follows=True),
        ),
        paying.settle,
        paying.check,
        narrow=True,
        money="payout",
    ),
)
