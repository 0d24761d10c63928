"""The payout run's real workflow file on the emulator, with a function that plays its part from a script."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.engine import Engine
from tests.contract.ministack.lab import ROLE, Lab

ASL = Path(__file__).resolve().parents[2] / "infra" / "workflows" / "payout_run.asl.json"

ACTOR = """
    import json, os
    import boto3
    sqs = boto3.client("sqs")
    Unavailable = type("SmallPeck.Unavailable", (Exception,), {})
    NotFound = type("SmallPeck.NotFound", (Exception,), {})

    def handler(event, context):
        sqs.send_message(QueueUrl=os.environ["WITNESS"], MessageBody=json.dumps(event))
        script = json.loads(os.environ["SCRIPT"])
        if event["step"] in script.get("not_found", []) or event.get("chunk") in script.get("bad_chunks", []):
            raise NotFound("run_not_found: there is no such payout run")
        if event["step"] == "freeze":
            return {"members": 45, "chunks": script["chunks"], "parcels": script.get("parcels", [])}
        if event["step"] == "wait":
            if script.get("answer", True):
                boto3.client("stepfunctions").send_task_success(taskToken=event["token"], output="{}")
            return {"done": True}
        if event["step"] != "end":
            return {"done": True}
        left = script["rounds"] - event["round"]
        return {"state": "waiting", "unresolved": left, "again": left > 0, "chunks": script["chunks"][:1],
                "told": script.get("told", False), "wait_seconds": 1, "next_round": event["round"] + 1}
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Engine(wait_scale=0.001) as running:
        yield Lab(running)


def carried(lab: Lab, given: dict[str, Any], **script: Any) -> tuple[dict[str, Any], list[tuple[Any, ...]]]:
    """How an execution ended, and the steps that the function was asked for, sorted."""
    url, _ = lab.queue()
    filled = {"chunks": [0, 1, 2], "rounds": 0} | script
    function = lab.function(ACTOR, environment={"WITNESS": url, "SCRIPT": json.dumps(filled)})
    machines = lab.client("stepfunctions")
    machine = machines.create_state_machine(
        name=lab.name("payout-run"), definition=ASL.read_text().replace("${PayoutRun}", function), roleArn=ROLE
    )["stateMachineArn"]
    ended = lab.ended(machines.start_execution(stateMachineArn=machine, input=json.dumps(given))["executionArn"])
    told: list[Any] = []
    while messages := lab.take(url):
        told += [json.loads(message["Body"]) for message in messages]
    assert all(one.pop("run_id") == "r_1" for one in told)
    assert all(one.pop("token") for one in told if one["step"] == "wait")
    return ended, sorted(tuple(str(value) for value in one.values()) for one in told)


SENT = [("send", "0"), ("send", "1"), ("send", "2")]


def test_every_chunk_is_sent_and_rounds_go_on_while_something_is_open(lab: Lab) -> None:
    ended, told = carried(lab, {"run_id": "r_1"}, rounds=2)
    assert ended["status"] == "SUCCEEDED"
    rounds = [("end", "0"), ("end", "1"), ("end", "2")]
    assert told == [*rounds, ("freeze",), ("query",), ("query", "0"), ("query", "0"), *SENT]


def test_parcels_are_sent_after_the_chunks(lab: Lab) -> None:
    ended, told = carried(lab, {"run_id": "r_1"}, parcels=[0, 1])
    assert ended["status"] == "SUCCEEDED"
    assert told == [("end", "0"), ("freeze",), ("query",), *SENT, ("send_parcel", "0"), ("send_parcel", "1")]


def test_a_run_whose_rails_tell_waits_for_their_word_and_asks_nobody(lab: Lab) -> None:
    ended, told = carried(lab, {"run_id": "r_1"}, rounds=1, told=True)
    assert ended["status"] == "SUCCEEDED"
    assert told == [("end", "0"), ("end", "1"), ("freeze",), ("query",), *SENT, ("wait",)]


def test_a_word_that_never_comes_is_asked_for(lab: Lab) -> None:
    ended, told = carried(lab, {"run_id": "r_1"}, rounds=1, told=True, answer=False)
    assert ended["status"] == "SUCCEEDED"
    assert told == [("end", "0"), ("end", "1"), ("freeze",), ("query",), ("query", "0"), *SENT, ("wait",)]


def test_a_run_with_nobody_in_it_ends_well(lab: Lab) -> None:
    ended, told = carried(lab, {"run_id": "r_1"}, chunks=[])
    assert ended["status"] == "SUCCEEDED"
    assert told == [("end", "0"), ("freeze",), ("query",)]


def test_a_chunk_that_fails_leaves_the_others_alone(lab: Lab) -> None:
    ended, told = carried(lab, {"run_id": "r_1"}, bad_chunks=[1])
    assert ended["status"] == "SUCCEEDED"
    assert told == [("end", "0"), ("freeze",), ("query",), *SENT]


def test_a_run_that_never_was_fails_with_its_cause(lab: Lab) -> None:
    ended, told = carried(lab, {"run_id": "r_1"}, not_found=["freeze"])
    assert (ended["status"], ended["error"]) == ("FAILED", "SmallPeck.NotFound")
    assert "run_not_found" in ended["cause"]
    assert told == [("freeze",)]


@pytest.mark.parametrize("given", [{}, {"run_id": 7}, {"run": "r_1"}])
def test_an_input_without_a_run_fails_with_its_cause(lab: Lab, given: dict[str, Any]) -> None:
    ended, told = carried(lab, given)
    assert (ended["status"], ended["cause"]) == ("FAILED", "the input needs run_id, a string")
    assert told == []
