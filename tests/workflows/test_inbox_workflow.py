"""The inbox's real workflow file on the emulator, around the import's, with functions that play parts from a script."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.wait import until
from local.engine import Engine
from tests.contract.ministack.lab import ROLE, Lab

WORKFLOWS = Path(__file__).resolve().parents[2] / "infra" / "workflows"
SPEC = {"bucket": "uploads", "key": "inbox/r1/tâches 100% + more.yaml", "version_id": "s1"}
OPENED = {
    "state": "importing", "batch_id": "b1", "data_key": "inbox/r1/b.csv", "data_version_id": "d1", "publish": True,
}  # fmt: skip
DATA = {"bucket": "uploads", "key": "inbox/r1/b.csv", "version_id": "d1"}
IDS = {"batch_id": "b1", "import_id": "i1"}

ACTOR = """
    import json, os
    import boto3
    sqs = boto3.client("sqs")
    Conflict = type("SmallPeck.Conflict", (Exception,), {})

    def handler(event, context):
        step = event.get("step") or ("part" if "part" in event else "split")
        sqs.send_message(QueueUrl=os.environ["WITNESS"], MessageBody=json.dumps({"did": step, **event}))
        script = json.loads(os.environ["SCRIPT"])
        if step in script.get("conflicts", []):
            raise Conflict("import_over: this import has ended")
        return script.get(step, {})
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Engine(wait_scale=0.05) as running:
        yield Lab(running)


def machine(lab: Lab, name: str, values: dict[str, str]) -> str:
    definition = (WORKFLOWS / f"{name}.asl.json").read_text()
    for key, value in values.items():
        definition = definition.replace("${" + key + "}", value)
    assert "${" not in definition
    made = lab.client("stepfunctions").create_state_machine(name=lab.name(name), definition=definition, roleArn=ROLE)
    arn: str = made["stateMachineArn"]
    return arn


def inbox(lab: Lab, **script: Any) -> tuple[str, str]:
    """The machine, and the queue that tells what the functions were asked for."""
    bucket = lab.bucket()
    manifest = [{"part": 0, "key": "parts/0.jsonl", "rows": 3}]
    lab.client("s3").put_object(Bucket=bucket, Key="manifest.json", Body=json.dumps(manifest).encode())
    played = {
        "open": OPENED,
        "begin": {"ignored": None, **IDS},
        "split": {"state": "writing", "manifest_key": "manifest.json", "shards": 1},
        "complete": {"state": "done"},
        "conclude": {"state": "published", "batch_id": "b1"},
    } | script
    url, _ = lab.queue()
    actor = lab.function(ACTOR, environment={"WITNESS": url, "SCRIPT": json.dumps(played)})
    functions = dict.fromkeys(("ImportSplit", "ImportPart", "ImportReport"), actor)
    imports = machine(lab, "import", {**functions, "WorkBucket": bucket})
    return machine(lab, "inbox", {"InboxOpen": actor, "ImportMachine": imports}), url


def carried(lab: Lab, given: dict[str, Any], **script: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """How an execution ended, and what the functions were asked for, in order."""
    arn, url = inbox(lab, **script)
    started = lab.client("stepfunctions").start_execution(stateMachineArn=arn, input=json.dumps(given))
    ended = lab.ended(started["executionArn"], seconds=60)
    told: list[dict[str, Any]] = []
    while messages := lab.take(url):
        told += [json.loads(message["Body"]) for message in messages]
    return ended, told


def test_a_drop_is_opened_imported_into_its_batch_and_concluded(lab: Lab) -> None:
    ended, told = carried(lab, SPEC)
    assert (ended["status"], json.loads(ended["output"])) == ("SUCCEEDED", {"state": "published", "batch_id": "b1"})
    assert told == [
        {"did": "open", "step": "open", **SPEC},
        {"did": "begin", "step": "begin", **DATA, "batch_id": "b1"},
        {"did": "split", **IDS, **DATA},
        {"did": "part", **IDS, "shards": 1, "part": 0, "key": "parts/0.jsonl"},
        {"did": "complete", "step": "complete", **IDS},
        {"did": "conclude", "step": "conclude", **SPEC, "opened": OPENED},
    ]


def test_a_refused_spec_ends_at_once_and_is_no_failure(lab: Lab) -> None:
    refused = {"state": "refused", "batch_id": None, "data_key": None, "data_version_id": None, "publish": False}
    ended, told = carried(lab, SPEC, open=refused)
    assert (ended["status"], json.loads(ended["output"])) == ("SUCCEEDED", refused)
    assert [one["did"] for one in told] == ["open"]


def test_refused_data_is_concluded_too(lab: Lab) -> None:
    refused = {"state": "refused", "error_code": "not_utf8"}
    ended, told = carried(lab, SPEC, split=refused, conclude={"state": "refused", "batch_id": "b1"})
    assert (ended["status"], json.loads(ended["output"])["state"]) == ("SUCCEEDED", "refused")
    assert [one["did"] for one in told] == ["open", "begin", "split", "conclude"]


@pytest.mark.parametrize("step", ["open", "split", "conclude"])
def test_what_fails_for_good_is_reported_and_fails_the_execution(lab: Lab, step: str) -> None:
    ended, told = carried(lab, SPEC, conflicts=[step])
    assert ended["status"] == "FAILED"
    assert told[-1] == {"did": "fail", "step": "fail", **SPEC}
    assert [one["did"] for one in told].count("fail") == 1


def test_a_failure_that_cannot_even_be_reported_is_still_a_failure(lab: Lab) -> None:
    ended, _ = carried(lab, SPEC, conflicts=["open", "fail"])
    assert (ended["status"], ended["error"]) == ("FAILED", "SmallPeck.Conflict")


def test_a_report_ends_before_any_function_is_called(lab: Lab) -> None:
    ended, told = carried(lab, {**SPEC, "key": "inbox/r1/b.yaml.report.json"})
    assert (ended["status"], told) == ("SUCCEEDED", [])


def test_an_input_without_a_version_fails_with_its_cause(lab: Lab) -> None:
    ended, told = carried(lab, {"bucket": "uploads", "key": "inbox/r1/b.yaml"})
    assert (ended["status"], ended["error"], told) == ("FAILED", "SmallPeck.Malformed", [])


def test_the_rule_starts_it_for_specs_in_inboxes_and_for_nothing_else(lab: Lab) -> None:
    s3, rules = lab.client("s3"), lab.client("events")
    bucket = lab.bucket(eventbridge=True)
    url, queue_arn = lab.queue()
    pattern = {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {
            "bucket": {"name": [bucket]},
            "object": {"key": [{"wildcard": f"inbox/*{ending}"} for ending in (".yaml", ".yml", ".json")]},
        },
    }
    name = lab.name("rule")
    rules.put_rule(Name=name, EventPattern=json.dumps(pattern))
    rules.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": queue_arn}])
    for key in ("inbox/r/b.csv", "uploads/r/b/x.json", "inbox/r/x.yaml.txt", "inbox/r/a b/x.yml", "inbox/r/x.yaml"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    seen: list[str] = []

    def both() -> bool:
        seen.extend(json.loads(one["Body"])["detail"]["object"]["key"] for one in lab.take(url))
        return len(seen) > 1

    until(both, what="two events")
    assert sorted(seen) == ["inbox/r/a b/x.yml", "inbox/r/x.yaml"]
