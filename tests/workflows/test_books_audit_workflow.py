"""The real workflow file of the books audit on the emulator, with a function that plays its part from a script."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.engine import Engine
from tests.contract.ministack.lab import ROLE, Lab

ASL = Path(__file__).resolve().parents[2] / "infra" / "workflows" / "books_audit.asl.json"
DUE, ASKED = "2026-11-22T03:30:00Z", "au_1"

ACTOR = """
    import json, os
    import boto3
    sqs = boto3.client("sqs")
    NotFound = type("SmallPeck.NotFound", (Exception,), {})

    def handler(event, context):
        sqs.send_message(QueueUrl=os.environ["WITNESS"], MessageBody=json.dumps(event))
        script = json.loads(os.environ["SCRIPT"])
        step = event["step"]
        if step == script["broken"]:
            raise NotFound("as told")
        found = {"finished": True, "again": "", "books_balanced": script["differences"] == 0, "says": "worker USD: 1"}
        if step == "schedule":
            return {"audit_id": "au_of_the_day"}
        if step == "begin":
            return {**found, "finished": script["known"], "segments": [0, 1, 2], "started_at_ms": 7}
        if step in ("platform", "ledger"):
            return {"file": step[0] + str(event["segment"]) + event.get("again", "")}
        if step == "look" and event["again"] != "b" * script["moves"]:
            return {**found, "finished": False, "books_balanced": False, "again": event["again"] + "b"}
        return found if step == "look" else None
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Engine(wait_scale=0.05) as running:
        yield Lab(running)


def carried(
    lab: Lab, given: dict[str, Any], **script: Any
) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """How an execution ended, the steps that the function was asked for, and what the alarm's topic was told."""
    url, _ = lab.queue()
    alarm_url, alarm_arn = lab.queue()
    topics = lab.client("sns")
    topic = topics.create_topic(Name=lab.name("alarms"))["TopicArn"]
    topics.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=alarm_arn)
    played = {"known": False, "differences": 0, "broken": "", "moves": 0} | script
    function = lab.function(ACTOR, environment={"WITNESS": url, "SCRIPT": json.dumps(played)})
    machines = lab.client("stepfunctions")
    definition = ASL.read_text().replace("${BooksAudit}", function).replace("${AlarmTopic}", topic)
    machine = machines.create_state_machine(name=lab.name("audit"), definition=definition, roleArn=ROLE)
    started = machines.start_execution(stateMachineArn=machine["stateMachineArn"], input=json.dumps(given))
    ended = lab.ended(started["executionArn"])
    return ended, taken(lab, url), taken(lab, alarm_url)


def taken(lab: Lab, url: str) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []
    while messages := lab.take(url):
        told += [json.loads(message["Body"]) for message in messages]
    return told


def steps(told: list[dict[str, Any]]) -> Counter[str]:
    return Counter(one["step"] for one in told)


def test_the_tables_are_scanned_in_parts_the_platform_first_and_all_are_joined(lab: Lab) -> None:
    ended, told, alarmed = carried(lab, {"audit_id": ASKED})

    assert (ended["status"], alarmed) == ("SUCCEEDED", [])
    assert steps(told) == {"begin": 1, "platform": 3, "ledger": 3, "look": 1}
    assert {one["step"] for one in told[1:4]} == {"platform"}
    assert told[-1] == {
        "step": "look", "audit_id": ASKED, "started_at_ms": 7, "again": "",
        "platform": ["p0", "p1", "p2"], "ledger": ["l0", "l1", "l2"],
    }  # fmt: skip


def test_while_something_moves_the_ledger_is_scanned_again_for_it(lab: Lab) -> None:
    ended, told, _ = carried(lab, {"audit_id": ASKED}, moves=2)

    assert ended["status"] == "SUCCEEDED"
    assert steps(told) == {"begin": 1, "platform": 3, "ledger": 9, "look": 3}
    assert Counter(one["again"] for one in told if one["step"] == "ledger") == {"": 3, "b": 3, "bb": 3}
    assert (told[-1]["again"], told[-1]["ledger"]) == ("bb", ["l0bb", "l1bb", "l2bb"])


def test_books_that_differ_fail_the_execution_and_tell_the_alarm_by_how_much(lab: Lab) -> None:
    ended, _, alarmed = carried(lab, {"audit_id": ASKED}, differences=1)

    assert (ended["status"], ended["error"], ended["cause"]) == ("FAILED", "SmallPeck.BooksDiffer", "worker USD: 1")
    assert [(one["Subject"], one["Message"]) for one in alarmed] == [("The books differ", "worker USD: 1")]


def test_an_audit_that_is_over_is_not_scanned_again(lab: Lab) -> None:
    ended, told, _ = carried(lab, {"audit_id": ASKED}, known=True)
    assert (ended["status"], steps(told)) == ("SUCCEEDED", {"begin": 1})
    ended, told, _ = carried(lab, {"audit_id": ASKED}, known=True, differences=1)
    assert (ended["error"], steps(told)) == ("SmallPeck.BooksDiffer", {"begin": 1})


def test_the_schedule_makes_its_audit_first(lab: Lab) -> None:
    ended, told, _ = carried(lab, {"scheduled_at": DUE})

    assert ended["status"] == "SUCCEEDED"
    assert told[:2] == [
        {"step": "schedule", "scheduled_at": DUE},
        {"step": "begin", "audit_id": "au_of_the_day"},
    ]
    assert told[-1]["audit_id"] == "au_of_the_day"


@pytest.mark.parametrize("step", ["begin", "platform", "ledger", "look"])
def test_a_step_that_fails_is_recorded_and_ends_with_its_name(lab: Lab, step: str) -> None:
    ended, told, _ = carried(lab, {"audit_id": ASKED}, broken=step)

    assert (ended["status"], ended["error"]) == ("FAILED", "SmallPeck.NotFound")
    assert told[-1] == {"step": "fail", "audit_id": ASKED}


@pytest.mark.parametrize("given", [{}, {"audit_id": 7}, {"scheduled_at": 7}])
def test_an_input_that_names_no_audit_fails_with_its_cause(lab: Lab, given: dict[str, Any]) -> None:
    ended, told, _ = carried(lab, given)

    assert ended["status"] == "FAILED"
    assert ended["cause"] == "the input needs audit_id, a string, or scheduled_at, a moment"
    assert told == []
