"""The import's real workflow file on the emulator, with functions that play their parts from a script."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.engine import Engine
from tests.contract.ministack.lab import ROLE, Lab

ASL = Path(__file__).resolve().parents[2] / "infra" / "workflows" / "import.asl.json"
KEY = "uploads/r1/b1/tâches 100% + more.csv"
GIVEN = {"bucket": "uploads", "key": KEY, "version_id": "v1", "size": 10}
IDS = {"batch_id": "b1", "import_id": "i1"}

ACTOR = """
    import json, os
    import boto3
    sqs = boto3.client("sqs")
    Unavailable = type("SmallPeck.Unavailable", (Exception,), {})
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


def carried(lab: Lab, given: dict[str, Any], **script: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """How an execution ended, and what the functions were asked for, parts in order."""
    bucket = lab.bucket()
    manifest = [{"part": part, "key": f"parts/{part}.jsonl", "rows": 500} for part in range(7)]
    lab.client("s3").put_object(Bucket=bucket, Key="manifest.json", Body=json.dumps(manifest).encode())
    split = {"state": "writing", "manifest_key": "manifest.json", "shards": 2}
    filled = {"begin": {"ignored": None, **IDS}, "split": split, "complete": {"state": "done"}} | script
    url, _ = lab.queue()
    actor = lab.function(ACTOR, environment={"WITNESS": url, "SCRIPT": json.dumps(filled)})
    definition = ASL.read_text().replace("${WorkBucket}", bucket)
    for name in ("ImportSplit", "ImportPart", "ImportReport"):
        definition = definition.replace("${" + name + "}", actor)
    machines = lab.client("stepfunctions")
    machine = machines.create_state_machine(name=lab.name("import"), definition=definition, roleArn=ROLE)
    started = machines.start_execution(stateMachineArn=machine["stateMachineArn"], input=json.dumps(given))
    ended = lab.ended(started["executionArn"])
    told: list[dict[str, Any]] = []
    while messages := lab.take(url):
        told += [json.loads(message["Body"]) for message in messages]
    return ended, sorted(told, key=lambda one: (one["did"], one.get("part", 0)))


def test_a_file_is_split_written_part_by_part_and_completed(lab: Lab) -> None:
    ended, told = carried(lab, GIVEN)
    assert (ended["status"], json.loads(ended["output"])) == ("SUCCEEDED", {"state": "done"})
    version = {"bucket": "uploads", "key": KEY, "version_id": "v1"}
    assert told == [
        {"did": "begin", "step": "begin", **version},
        {"did": "complete", "step": "complete", **IDS},
        *({"did": "part", **IDS, "shards": 2, "part": part, "key": f"parts/{part}.jsonl"} for part in range(7)),
        {"did": "split", **IDS, **version},
    ]


@pytest.mark.parametrize(
    ("script", "done"),
    [
        ({"begin": {"ignored": "no_such_batch", "batch_id": None, "import_id": None}}, ["begin"]),
        ({"split": {"state": "refused", "error_code": "not_utf8"}}, ["begin", "split"]),
        ({"split": {"state": "done"}}, ["begin", "split"]),
    ],
)
def test_an_ignored_or_refused_upload_is_an_answer_and_no_failure(
    lab: Lab, script: dict[str, Any], done: list[str]
) -> None:
    ended, told = carried(lab, GIVEN, **script)
    assert (ended["status"], json.loads(ended["output"])) == ("SUCCEEDED", script[done[-1]])
    assert [one["did"] for one in told] == done


@pytest.mark.parametrize("step", ["split", "part", "complete"])
def test_a_step_that_fails_for_good_gives_the_import_up_and_fails(lab: Lab, step: str) -> None:
    ended, told = carried(lab, GIVEN, conflicts=[step])
    assert ended["status"] == "FAILED"
    assert ended["error"] == ("States.ExceedToleratedFailureThreshold" if step == "part" else "SmallPeck.Conflict")
    assert [one for one in told if one["did"] == "give_up"] == [{"did": "give_up", "step": "give_up", **IDS}]


def test_an_input_without_a_version_fails_with_its_cause(lab: Lab) -> None:
    ended, told = carried(lab, {"bucket": "uploads", "key": KEY})
    assert (ended["status"], ended["error"], told) == ("FAILED", "SmallPeck.Malformed", [])
    assert "version_id" in ended["cause"]
