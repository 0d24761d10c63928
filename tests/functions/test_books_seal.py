"""The function of the workflow that seals a day, and the workflow's own file."""

import json
from pathlib import Path
from typing import Any

import pytest

from functions.books_seal.handler import handler
from smallpeck.kernel.clock import to_rfc3339
from smallpeck.ledger.seal_service import SEGMENTS
from tests.functions.world import SEALS, WORK, Platform, stepped

MACHINE: dict[str, Any] = json.loads(Path("infra/workflows/books_seal.asl.json").read_text(encoding="utf-8"))


def credited(platform: Platform, batch_id: str = "b1") -> None:
    """A deposit, an escrow and a credit, and the day after them."""
    platform.world.active(10, batch_id=batch_id)
    platform.world.answer("ann", batch=platform.world.batch(batch_id))
    platform.aws.clock.advance(86_400)


def now(platform: Platform) -> str:
    return to_rfc3339(platform.world.now_ms)


def scanned(platform: Platform) -> list[str]:
    return [stepped(handler, {"step": "scan", "segment": one})["runs"] for one in range(SEGMENTS)]


def test_the_steps_seal_a_day_and_leave_its_root(platform: Platform) -> None:
    credited(platform)
    begun = stepped(handler, {"step": "begin", "scheduled_at": now(platform)})
    assert (begun["known"], begun["sealed"], begun["segments"]) == (0, False, list(range(SEGMENTS)))

    sealed = platform.seal(now(platform))

    assert sealed == {
        "day": begun["day"], "number": 0, "new": 6, "known": 0, "differences": 0, "file": "", "unchanged": True,
    }  # fmt: skip
    keys = platform.aws.s3.bucket(SEALS).keys
    assert [key for key in keys if key.startswith("roots/")] == ["roots/000000.json"]
    assert {key.partition("/")[0] for key in keys} == {"lists", "roots"}
    assert {key.partition("/")[0] for key in platform.aws.s3.bucket(WORK).keys} == {"seal-runs"}


def test_a_day_that_is_sealed_is_said_to_be(platform: Platform) -> None:
    credited(platform)
    platform.seal(now(platform))
    begun = stepped(handler, {"step": "begin", "scheduled_at": now(platform)})
    assert (begun["known"], begun["sealed"]) == (1, True)


def test_what_has_changed_is_counted_for_the_alarm_and_listed_where_no_log_shows_it(
    platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    credited(platform)
    platform.seal(now(platform))
    platform.aws.dynamodb.delete_item(
        TableName="ledger", Key={"pk": {"S": "STATEMENT#worker:ann:available:USD"}, "sk": {"S": "000000000001"}}
    )
    capsys.readouterr()
    seen = stepped(handler, {"step": "verify", "known": 1, "runs": scanned(platform)})

    assert (seen["unchanged"], seen["differences"], seen["known"], seen["new"]) == (False, 1, 5, 0)
    written = capsys.readouterr().out
    lines = [json.loads(line) for line in written.splitlines() if line.startswith("{")]
    assert [line["SealDifferences"] for line in lines if "SealDifferences" in line] == [[1.0]]
    assert "worker:ann" not in written
    listed = platform.aws.s3.get_object(Bucket=WORK, Key=f"seal-runs/{seen['file']}.json")["Body"].read()
    assert json.loads(listed)[0]["name"] == "row/worker:ann:available:USD/1"


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"step": "begin"},
        {"step": "begin", "scheduled_at": 7},
        {"step": "begin", "scheduled_at": "2026-01-01T00:15:00Z", "more": 1},
        {"step": "scan", "segment": SEGMENTS},
        {"step": "scan", "segment": -1},
        {"step": "seal", "day": "2026-01-01", "known": 0, "runs": []},
        {"step": "seal", "day": "yesterday", "known": 0, "runs": ["0" * 64] * SEGMENTS},
        {"step": "verify", "known": -1, "runs": ["0" * 64] * SEGMENTS},
        {"step": "verify", "known": 0, "runs": ["../roots/000000"] * SEGMENTS},
        {"step": "other"},
    ],
)
def test_what_is_no_step_has_the_name_that_the_workflow_does_not_retry(
    platform: Platform, event: dict[str, Any]
) -> None:
    with platform.unchanged(), pytest.raises(Exception, match="no step") as caught:
        stepped(handler, event)
    assert type(caught.value).__name__ == "SmallPeck.Invalid"


def test_a_schedule_without_a_moment_and_runs_that_are_gone_have_names_too(platform: Platform) -> None:
    with pytest.raises(Exception, match="no moment") as caught:
        stepped(handler, {"step": "begin", "scheduled_at": "tomorrow"})
    assert type(caught.value).__name__ == "SmallPeck.Malformed"
    with pytest.raises(Exception, match="is gone") as caught:
        stepped(handler, {"step": "verify", "known": 0, "runs": ["0" * 64] * SEGMENTS})
    assert type(caught.value).__name__ == "SmallPeck.Unavailable"


def test_the_function_is_what_every_task_of_the_workflow_calls() -> None:
    states = MACHINE["States"]
    tasks = [state for state in states.values() if state["Type"] == "Task"]
    tasks += states["Scan"]["ItemProcessor"]["States"].values()
    assert [task["Parameters"]["step"] for task in tasks] == ["begin", "seal", "verify", "scan"]
    assert {task["Resource"] for task in tasks} == {"${BooksSeal}"}
    assert all(task["Retry"] and task["TimeoutSeconds"] for task in tasks)


def test_the_workflow_fails_where_something_has_changed() -> None:
    states = MACHINE["States"]
    assert states["Unchanged"]["Default"] == "SealsDiffer"
    assert states["SealsDiffer"]["Type"] == "Fail"
    assert states["Seal"]["Catch"][0] == {
        "ErrorEquals": ["SmallPeck.Conflict"], "ResultPath": "$.overtaken", "Next": "Begin",
    }  # fmt: skip
