"""How a batch is finished: the real definition, run by the emulator, with a function that plays both it calls."""

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cli.wait import until
from infra.packaging import WORKFLOWS
from local.engine import Engine

ROLE = "arn:aws:iam::000000000000:role/anyone"

# Calls are written down in a file, because a function that raises loses its process and all that it remembers.
PLAYER = """
import json, os

def handler(event, context):
    with open(os.environ["CALLS"], "a+") as calls:
        calls.seek(0)
        before = [json.loads(line) for line in calls]
        calls.write(json.dumps(event) + "\\n")
    same = [one for one in before if one == event]
    part = json.loads(os.environ["PARTS"])[event["batch_id"]]
    error = part.get(event["step"])
    if error and len(same) < error["times"]:
        raise type(error["name"], (Exception,), {})("as told")
    if event["step"] == "recount":
        ready = len(same) >= part.get("waits", 0)
        return {"open_leases": 0 if ready else 3, "undecided": 0, "ready": ready, "wait_seconds": 30}
    if event["step"] == "plan":
        return {"way": part.get("way", "none"), "chunks": list(range(part.get("chunks", 0)))}
    if event["step"] == "fit":
        return {"round": event["round"] + 1, "done": event["round"] >= part.get("rounds", 0)}
    return {"shards": 2}
"""
PARTS: Mapping[str, Mapping[str, Any]] = {
    "b-at-once": {},
    "b-with-open-leases": {"waits": 2},
    "b-busy": {"begin": {"name": "SmallPeck.Unavailable", "times": 2}},
    "b-last-settlement": {"refund": {"name": "SmallPeck.Conflict", "times": 1}},
    "b-models": {"way": "models", "chunks": 3},
    "b-counts": {"way": "counts", "chunks": 2, "rounds": 3},
    "b-many": {"way": "models", "chunks": 216},
    "b-busy-chunk": {"way": "models", "chunks": 2, "gather": {"name": "SmallPeck.Unavailable", "times": 1}},
    "b-broken-chunk": {"way": "models", "chunks": 2, "decide": {"name": "ValueError", "times": 99}},
    "b-broken": {"publish": {"name": "ValueError", "times": 99}},
}
LAST = ("plan", "conclude", "publish", "end")


class Ended(NamedTuple):
    """How an execution ended, and the steps that were called, in order."""

    status: str
    error: str | None
    cause: str | None
    calls: list[dict[str, Any]]

    @property
    def steps(self) -> list[str]:
        """The names of the steps."""
        return [call["step"] for call in self.calls]


class Workflow:
    """The workflow, ready to run."""

    def __init__(self, engine: Engine, calls: Path) -> None:
        self._calls = calls
        self._calls.touch()
        self._states = engine.client("stepfunctions")
        functions = engine.client("lambda")
        functions.create_function(
            FunctionName="player",
            Runtime="python3.11",
            Role=ROLE,
            Handler="index.handler",
            Code={"ZipFile": _zipped(PLAYER)},
            Timeout=20,
            Environment={"Variables": {"CALLS": str(calls), "PARTS": json.dumps(PARTS)}},
        )
        arn = functions.get_function(FunctionName="player")["Configuration"]["FunctionArn"]
        definition = (WORKFLOWS / "batch_finish.asl.json").read_text()
        for name in ("${BatchFinish}", "${Reestimate}"):
            definition = definition.replace(name, arn)
        self._arn = self._states.create_state_machine(name="finish", definition=definition, roleArn=ROLE)[
            "stateMachineArn"
        ]

    def run(self, given: Mapping[str, Any]) -> Ended:
        """One execution, to its end."""
        execution = self._states.start_execution(stateMachineArn=self._arn, input=json.dumps(given))["executionArn"]

        def ended() -> dict[str, Any] | None:
            described: dict[str, Any] = self._states.describe_execution(executionArn=execution)
            return None if described["status"] == "RUNNING" else described

        end = until(ended, what="the end of the workflow", seconds=60)
        calls = [json.loads(line) for line in self._calls.read_text().splitlines()]
        own = [call for call in calls if call["batch_id"] == given.get("batch_id")]
        return Ended(end["status"], end.get("error"), end.get("cause"), own)


def _zipped(code: str) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("index.py", code)
    return held.getvalue()


@pytest.fixture(scope="module")
def workflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workflow]:
    """The workflow on an emulator whose waits are a thousand times shorter."""
    with Engine(wait_scale=0.001) as engine:
        yield Workflow(engine, tmp_path_factory.mktemp("finish") / "calls.jsonl")


def test_a_batch_without_open_work_is_finished_in_one_go(workflow: Workflow) -> None:
    ended = workflow.run({"batch_id": "b-at-once", "final": "cancelled"})
    assert ended.status == "SUCCEEDED"
    assert ended.calls == [
        {"step": "begin", "batch_id": "b-at-once", "final": "cancelled"},
        *({"step": step, "batch_id": "b-at-once"} for step in ("recount", "refund", "plan")),
        {"step": "conclude", "batch_id": "b-at-once", "round": 0},
        *({"step": step, "batch_id": "b-at-once"} for step in ("publish", "end")),
    ]


def test_open_leases_are_waited_for(workflow: Workflow) -> None:
    ended = workflow.run({"batch_id": "b-with-open-leases", "final": "closed"})
    assert ended.status == "SUCCEEDED"
    assert ended.steps == ["begin", "recount", "recount", "recount", "refund", *LAST]


def test_a_step_is_made_again_while_something_is_busy(workflow: Workflow) -> None:
    ended = workflow.run({"batch_id": "b-busy", "final": "closed"})
    assert ended.status == "SUCCEEDED"
    assert ended.steps == ["begin", "begin", "begin", "recount", "refund", *LAST]


def test_a_refund_waits_for_the_last_settlement(workflow: Workflow) -> None:
    ended = workflow.run({"batch_id": "b-last-settlement", "final": "closed"})
    assert ended.status == "SUCCEEDED"
    assert ended.steps == ["begin", "recount", "refund", "refund", *LAST]


def test_the_chunks_are_gathered_fitted_and_decided(workflow: Workflow) -> None:
    ended = workflow.run({"batch_id": "b-models", "final": "closed"})
    assert ended.status == "SUCCEEDED"
    assert ended.steps[3:] == ["plan", *["gather"] * 3, "fit", *["decide"] * 3, "conclude", "publish", "end"]
    assert chunks(ended, "gather") == [(0, None), (1, None), (2, None)]
    assert chunks(ended, "decide") == [(0, 1), (1, 1), (2, 1)]


def test_rounds_of_tallies_go_on_until_all_is_known(workflow: Workflow) -> None:
    ended = workflow.run({"batch_id": "b-counts", "final": "closed"})
    assert ended.status == "SUCCEEDED"
    rounds = [*["tally"] * 2, "fit"] * 3
    assert ended.steps[3:] == ["plan", *["gather"] * 2, "fit", *rounds, *["decide"] * 2, "conclude", "publish", "end"]
    assert [call["round"] for call in ended.calls if call["step"] == "fit"] == [0, 1, 2, 3]
    assert chunks(ended, "tally") == [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3)]
    assert chunks(ended, "decide") == [(0, 4), (1, 4)]


def test_the_largest_batch_passes_through_whole(workflow: Workflow) -> None:
    ended = workflow.run({"batch_id": "b-many", "final": "closed"})
    assert ended.status == "SUCCEEDED"
    assert chunks(ended, "decide") == [(number, 1) for number in range(216)]


def test_a_chunk_is_made_again_while_something_is_busy(workflow: Workflow) -> None:
    ended = workflow.run({"batch_id": "b-busy-chunk", "final": "closed"})
    assert ended.status == "SUCCEEDED"
    assert chunks(ended, "gather") == [(0, None), (0, None), (1, None), (1, None)]


def test_a_chunk_that_cannot_be_decided_ends_the_workflow_before_anything_is_published(workflow: Workflow) -> None:
    ended = workflow.run({"batch_id": "b-broken-chunk", "final": "closed"})
    assert (ended.status, ended.error) == ("FAILED", "ValueError")
    assert not {"publish", "end"} & set(ended.steps)


def chunks(ended: Ended, step: str) -> list[tuple[int, int | None]]:
    """The chunks and rounds that a step was called for, sorted."""
    return sorted((call["chunk"], call.get("round")) for call in ended.calls if call["step"] == step)


def test_a_fault_ends_the_workflow_with_its_name_and_is_not_tried_again(workflow: Workflow) -> None:
    ended = workflow.run({"batch_id": "b-broken", "final": "closed"})
    assert (ended.status, ended.error) == ("FAILED", "ValueError")
    assert "as told" in (ended.cause or "")
    assert ended.steps == ["begin", "recount", "refund", "plan", "conclude", "publish"]


@pytest.mark.parametrize(
    "given",
    [{}, {"batch_id": "b-unasked"}, {"final": "closed"}, {"batch_id": 7, "final": "closed"}]
    + [{"batch_id": "b-unasked", "final": final} for final in ("open", "", None, 1)],
)
def test_an_input_that_lacks_something_ends_with_the_cause_and_calls_nothing(
    workflow: Workflow, given: Mapping[str, Any]
) -> None:
    ended = workflow.run(given)
    assert (ended.status, ended.error, ended.calls) == ("FAILED", "SmallPeck.Malformed", [])
    assert "batch_id" in (ended.cause or "")
