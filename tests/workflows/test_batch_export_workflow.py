"""The export's real workflow file on the emulator, with a function that plays its parts from a script."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.engine import Engine
from tests.contract.ministack.lab import ROLE, Lab

ASL = Path(__file__).resolve().parents[2] / "infra" / "workflows" / "batch_export.asl.json"
IDS = {"batch_id": "b1", "export_id": "e1"}
DONE = {"state": "done", "tasks": 3, "closed_tasks": 2}

ACTOR = """
    import json, os
    import boto3
    sqs = boto3.client("sqs")
    Conflict = type("SmallPeck.Conflict", (Exception,), {})

    def handler(event, context):
        sqs.send_message(QueueUrl=os.environ["WITNESS"], MessageBody=json.dumps(event))
        if event["step"] in json.loads(os.environ["CONFLICTS"]):
            raise Conflict("something: is not as it was")
        return {"state": "done", "tasks": 3, "closed_tasks": 2}
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Engine(wait_scale=0.05) as running:
        yield Lab(running)


def carried(lab: Lab, given: dict[str, Any], *conflicts: str) -> tuple[dict[str, Any], list[Any]]:
    """How an execution ended, and what the function was asked for."""
    url, _ = lab.queue()
    actor = lab.function(ACTOR, environment={"WITNESS": url, "CONFLICTS": json.dumps(conflicts)})
    machines = lab.client("stepfunctions")
    machine = machines.create_state_machine(
        name=lab.name("export"), definition=ASL.read_text().replace("${BatchFinish}", actor), roleArn=ROLE
    )
    started = machines.start_execution(stateMachineArn=machine["stateMachineArn"], input=json.dumps(given))
    ended = lab.ended(started["executionArn"])
    told: list[Any] = []
    while messages := lab.take(url):
        told += [json.loads(message["Body"]) for message in messages]
    return ended, told


def test_an_export_is_written_in_one_step(lab: Lab) -> None:
    ended, told = carried(lab, IDS)
    assert (ended["status"], json.loads(ended["output"])) == ("SUCCEEDED", DONE)
    assert told == [{"step": "export", **IDS}]


@pytest.mark.parametrize("conflicts", [("export",), ("export", "fail_export")])
def test_an_export_that_cannot_be_written_is_recorded_as_failed_and_fails(lab: Lab, conflicts: tuple[str, ...]) -> None:
    ended, told = carried(lab, IDS, *conflicts)
    assert (ended["status"], ended["error"]) == ("FAILED", "SmallPeck.Conflict")
    assert told == [{"step": "export", **IDS}, {"step": "fail_export", **IDS}]


def test_an_input_without_an_export_fails_with_its_cause(lab: Lab) -> None:
    ended, told = carried(lab, {"batch_id": "b1"})
    assert (ended["status"], ended["error"], told) == ("FAILED", "SmallPeck.Malformed", [])
