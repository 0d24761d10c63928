"""The real workflow file of the daily seal on the emulator, with a function that plays its part from a script."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.engine import Engine
from tests.contract.ministack.lab import ROLE, Lab

ASL = Path(__file__).resolve().parents[2] / "infra" / "workflows" / "books_seal.asl.json"
DUE = "2026-11-22T00:15:00Z"

ACTOR = """
    import json, os
    import boto3
    sqs = boto3.client("sqs")
    Conflict = type("SmallPeck.Conflict", (Exception,), {})
    NotFound = type("SmallPeck.NotFound", (Exception,), {})

    def handler(event, context):
        sqs.send_message(QueueUrl=os.environ["WITNESS"], MessageBody=json.dumps(event))
        script = json.loads(os.environ["SCRIPT"])
        step = event["step"]
        if step == script["broken"]:
            raise NotFound("as told")
        if step == "begin":
            told = sqs.get_queue_attributes(QueueUrl=os.environ["WITNESS"], AttributeNames=["All"])["Attributes"]
            again = script["overtaken"] and int(told["ApproximateNumberOfMessages"]) > 2
            return {"day": "2026-11-21", "known": 3, "sealed": script["sealed"] or again, "segments": [0, 1, 2]}
        if step == "scan":
            return {"runs": "f" * 63 + str(event["segment"]), "items": 1}
        if step == "seal" and script["overtaken"]:
            raise Conflict("another seal was made")
        return {"differences": script["differences"], "unchanged": script["differences"] == 0, "file": ""}
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Engine(wait_scale=0.05) as running:
        yield Lab(running)


def carried(lab: Lab, given: dict[str, Any], **script: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """How an execution ended, and the steps that the function was asked for."""
    url, _ = lab.queue()
    played = {"sealed": False, "differences": 0, "broken": "", "overtaken": False} | script
    function = lab.function(ACTOR, environment={"WITNESS": url, "SCRIPT": json.dumps(played)})
    machines = lab.client("stepfunctions")
    machine = machines.create_state_machine(
        name=lab.name("seal"), definition=ASL.read_text().replace("${BooksSeal}", function), roleArn=ROLE
    )["stateMachineArn"]
    ended = lab.ended(machines.start_execution(stateMachineArn=machine, input=json.dumps(given))["executionArn"])
    told: list[dict[str, Any]] = []
    while messages := lab.take(url):
        told += [json.loads(message["Body"]) for message in messages]
    return ended, told


def steps(told: list[dict[str, Any]]) -> Counter[str]:
    return Counter(one["step"] for one in told)


def test_a_day_is_scanned_in_parts_and_sealed_from_all_of_them(lab: Lab) -> None:
    ended, told = carried(lab, {"scheduled_at": DUE})
    assert ended["status"] == "SUCCEEDED"
    assert steps(told) == {"begin": 1, "scan": 3, "seal": 1}
    assert sorted(one["segment"] for one in told if one["step"] == "scan") == [0, 1, 2]
    (seal,) = [one for one in told if one["step"] == "seal"]
    runs = ["f" * 63 + str(segment) for segment in range(3)]
    assert seal == {"step": "seal", "day": "2026-11-21", "known": 3, "runs": runs}


def test_a_sealed_day_is_left_alone_but_may_be_looked_at(lab: Lab) -> None:
    ended, told = carried(lab, {"scheduled_at": DUE}, sealed=True)
    assert (ended["status"], steps(told)) == ("SUCCEEDED", {"begin": 1})
    ended, told = carried(lab, {"scheduled_at": DUE, "verify": True}, sealed=True)
    assert (ended["status"], steps(told)) == ("SUCCEEDED", {"begin": 1, "scan": 3, "verify": 1})


def test_a_seal_that_was_overtaken_begins_again(lab: Lab) -> None:
    ended, told = carried(lab, {"scheduled_at": DUE}, overtaken=True)
    assert (ended["status"], steps(told)) == ("SUCCEEDED", {"begin": 2, "scan": 3, "seal": 1})


@pytest.mark.parametrize("given", [{}, {"verify": True}])
def test_whatever_has_changed_fails_the_execution(lab: Lab, given: dict[str, Any]) -> None:
    ended, _ = carried(lab, {"scheduled_at": DUE, **given}, differences=2)
    assert (ended["status"], ended["error"]) == ("FAILED", "SmallPeck.SealsDiffer")


@pytest.mark.parametrize("step", ["begin", "scan", "seal"])
def test_a_step_that_fails_ends_with_its_name(lab: Lab, step: str) -> None:
    ended, told = carried(lab, {"scheduled_at": DUE}, broken=step)
    assert (ended["status"], ended["error"]) == ("FAILED", "SmallPeck.NotFound")
    assert steps(told)[step] >= 1


@pytest.mark.parametrize("given", [{}, {"scheduled_at": 7}, {"day": DUE}])
def test_an_input_without_a_moment_fails_with_its_cause(lab: Lab, given: dict[str, Any]) -> None:
    ended, told = carried(lab, given)
    assert (ended["status"], ended["cause"]) == ("FAILED", "the input needs scheduled_at, a moment")
    assert told == []
