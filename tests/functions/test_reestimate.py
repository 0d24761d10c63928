"""The steps that estimate a batch again when it ends, and what its requester sees of it."""

import json
from typing import Any

import pytest

from functions.reestimate.handler import handler
from tests.functions.test_batch_finish import files
from tests.functions.world import WORK, Platform
from tests.gateway import Context

CHOICE: dict[str, Any] = {"consensus": '{"method":"choice","options":3}', "page_size": 20} | {
    "min_answers": 4,
    "max_answers": 4,
}


def answered(platform: Platform, **facts: Any) -> None:
    """Three who agree and one who says something else, of twenty tasks; then the batch begins to close."""
    platform.world.active(20, **(CHOICE | facts))
    for name, answer in {"ann": "cat", "bob": "cat", "cem": "cat", "dov": "dog"}.items():
        worker = platform.worker(name)
        worker.submitted(worker.leased(), answer)
    platform.deliver()
    platform.step("begin", "b1", final="closed")
    assert platform.step("recount", "b1")["ready"]
    platform.step("refund", "b1")


def report(platform: Platform) -> Any:
    return json.loads(platform.aws.s3.get_object(Bucket=WORK, Key="results/b1/report.json")["Body"].read())


def test_a_batch_of_choices_is_fitted_at_once(platform: Platform) -> None:
    answered(platform)
    assert platform.reestimate("plan") == {"way": "models", "chunks": [0]}
    assert platform.reestimate("gather", chunk=0) == {"tasks": 20}
    assert platform.reestimate("fit", round=0) == {"round": 1, "done": True}
    assert platform.reestimate("decide", chunk=0, round=1) == {"tasks": 20, "changed": 20, "left": 0}
    assert platform.reestimate("decide", chunk=0, round=1) == {"tasks": 20, "changed": 0, "left": 0}
    assert platform.reestimate("conclude", round=1) == {"tasks": 20}
    workers = {one["worker_id"]: one for one in report(platform)["workers"]}
    assert workers["ann"]["accuracy"] > 0.7
    assert workers["dov"]["accuracy"] < 0.3
    assert workers["ann"]["interval"][0] > workers["dov"]["interval"][1]


def test_other_methods_take_rounds_over_the_chunks(platform: Platform) -> None:
    answered(platform, consensus='{"method":"multiple","options":["cat","dog"]}', answer_schema="{}")
    assert platform.reestimate("plan")["way"] == "counts"
    platform.reestimate("gather", chunk=0)
    for number in (1, 2, 3):
        assert platform.reestimate("fit", round=number - 1) == {"round": number, "done": False}
        assert platform.reestimate("tally", chunk=0, round=number) == {"workers": 4}
    assert platform.reestimate("fit", round=3) == {"round": 4, "done": True}
    assert platform.reestimate("decide", chunk=0, round=4)["tasks"] == 20


def test_results_are_published_with_what_was_estimated_again(platform: Platform) -> None:
    answered(platform)
    (before,) = {
        task.result.confidence_ppm for task in platform.world.every_task(platform.world.batch()) if task.result
    }
    platform.finish()
    lines = [json.loads(line) for line in files(platform)["jsonl"].splitlines()]
    (after,) = {round(one["confidence"] * 1_000_000) for one in lines}
    assert {one["answer"] for one in lines} == {"cat"}
    assert after != before


def test_the_whole_ending_may_run_again(platform: Platform) -> None:
    answered(platform)
    platform.finish()
    tables, written = platform.dump()["platform"], files(platform)
    told = report(platform)
    platform.finish()
    assert (platform.dump()["platform"], files(platform)) == (tables, written)
    # The batch is closed now, and the report says since when.
    assert report(platform) == {**told, "batch": report(platform)["batch"]}


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"step": "plan"},
        {"step": "plan", "batch_id": "b#1"},
        {"step": "gather", "batch_id": "b1"},
        {"step": "gather", "batch_id": "b1", "chunk": -1},
        {"step": "gather", "batch_id": "b1", "chunk": "0"},
        {"step": "fit", "batch_id": "b1", "round": None},
        {"step": "tally", "batch_id": "b1", "chunk": 0, "round": 0},
        {"step": "decide", "batch_id": "b1", "chunk": 0, "round": 1, "more": 1},
        {"step": "celebrate", "batch_id": "b1"},
    ],
)
def test_a_payload_that_is_no_step_is_refused_by_name(platform: Platform, payload: dict[str, Any]) -> None:
    with platform.unchanged(), pytest.raises(Exception, match="bad_step") as refused:
        handler(payload, Context())
    assert type(refused.value).__name__ == "SmallPeck.Invalid"


STEPS = {
    "plan": {},
    "gather": {"chunk": 0},
    "fit": {"round": 0},
    "tally": {"chunk": 0, "round": 1},
    "decide": {"chunk": 0, "round": 1},
    "conclude": {"round": 1},
}


@pytest.mark.parametrize("step", STEPS)
def test_a_batch_that_is_not_there_or_still_takes_answers(platform: Platform, step: str) -> None:
    with platform.unchanged(), pytest.raises(Exception, match="batch_not_found") as refused:
        platform.reestimate(step, "nothing", **STEPS[step])
    assert type(refused.value).__name__ == "SmallPeck.NotFound"
    platform.world.active(20, **CHOICE)
    with platform.unchanged(), pytest.raises(Exception, match="wrong_batch_state") as early:
        platform.reestimate(step, "b1", **STEPS[step])
    assert type(early.value).__name__ == "SmallPeck.Conflict"


def test_a_chunk_that_the_batch_does_not_have(platform: Platform) -> None:
    answered(platform)
    with platform.unchanged(), pytest.raises(Exception, match="no_such_chunk") as refused:
        platform.reestimate("gather", chunk=1)
    assert type(refused.value).__name__ == "SmallPeck.NotFound"
