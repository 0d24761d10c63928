"""The payout schedule's real workflow file on the emulator, with a function that plays its part from a script."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.engine import Engine
from tests.contract.ministack.lab import ROLE, Lab

ASL = Path(__file__).resolve().parents[2] / "infra" / "workflows" / "payout_schedule.asl.json"
DUE = "2026-11-22T06:00:00Z"

ACTOR = """
    import json, os
    import boto3
    sqs = boto3.client("sqs")
    NotFound = type("SmallPeck.NotFound", (Exception,), {})

    def handler(event, context):
        sqs.send_message(QueueUrl=os.environ["WITNESS"], MessageBody=json.dumps(event))
        script = json.loads(os.environ["SCRIPT"])
        if event["step"] in script["broken"] or event.get("after") in script["broken"]:
            raise NotFound("as told")
        if event["step"] == "start":
            return {"run_ids": ["r_1"]}
        after = script["list"][event["after"]]
        return {"payouts": 1, "after": after, "more": after != ""}
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Engine(wait_scale=0.05) as running:
        yield Lab(running)


def carried(lab: Lab, given: dict[str, Any], *broken: str) -> tuple[dict[str, Any], list[tuple[str, ...]]]:
    """How an execution ended, and the steps that the function was asked for, sorted."""
    url, _ = lab.queue()
    script = {"list": {"": "bob", "bob": "dan", "dan": ""}, "broken": broken}
    function = lab.function(ACTOR, environment={"WITNESS": url, "SCRIPT": json.dumps(script)})
    machines = lab.client("stepfunctions")
    machine = machines.create_state_machine(
        name=lab.name("payday"), definition=ASL.read_text().replace("${PayoutSchedule}", function), roleArn=ROLE
    )["stateMachineArn"]
    ended = lab.ended(machines.start_execution(stateMachineArn=machine, input=json.dumps(given))["executionArn"])
    told: list[Any] = []
    while messages := lab.take(url):
        told += [json.loads(message["Body"]) for message in messages]
    assert all(one.pop("scheduled_at") == DUE for one in told)
    return ended, sorted(tuple(one.values()) for one in told)


def test_the_whole_list_is_asked_for_and_then_the_runs_start(lab: Lab) -> None:
    ended, told = carried(lab, {"scheduled_at": DUE})
    assert ended["status"] == "SUCCEEDED"
    assert told == [("request", ""), ("request", "bob"), ("request", "dan"), ("start",)]


def test_a_list_that_cannot_be_read_on_starts_the_runs_all_the_same_and_fails(lab: Lab) -> None:
    ended, told = carried(lab, {"scheduled_at": DUE}, "bob")
    assert (ended["status"], ended["error"]) == ("FAILED", "SmallPeck.NotFound")
    assert told == [("request", ""), ("request", "bob"), ("start",)]


def test_runs_that_cannot_start_fail(lab: Lab) -> None:
    ended, told = carried(lab, {"scheduled_at": DUE}, "start")
    assert (ended["status"], ended["error"]) == ("FAILED", "SmallPeck.NotFound")
    assert told[-1] == ("start",)


@pytest.mark.parametrize("given", [{}, {"scheduled_at": 7}, {"day": DUE}])
def test_an_input_without_a_moment_fails_with_its_cause(lab: Lab, given: dict[str, Any]) -> None:
    ended, told = carried(lab, given)
    assert (ended["status"], ended["cause"]) == ("FAILED", "the input needs scheduled_at, a moment")
    assert told == []
