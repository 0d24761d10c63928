"""Exports: what is known of a batch while it runs, and nothing that is undecided or was rejected."""

import csv
import io
import json
from typing import Any

import pytest

from smallpeck.kernel.errors import IdempotencyMismatch
from smallpeck.runtime import exports
from smallpeck.runtime.wiring import wired
from smallpeck.tasks.exporting import Export, ExportNotFound, ExportState
from smallpeck.tasks.model import Batch, BatchState, Review, WrongBatchState
from smallpeck.tasks.result_forms import ResultForm
from smallpeck.tasks.reviewing import Decision, Rejection, decide
from smallpeck.tasks.steering import pause
from tests.aws import Crash, Fault, Plan
from tests.functions.world import WORK, Platform, stepped


def start(platform: Platform, batch: Batch, form: ResultForm = "jsonl", key: str = "k1") -> Export:
    fresh = platform.world.batch(batch.batch_id)
    return exports.start_export(platform.wiring, fresh, form, key)


def run(platform: Platform) -> list[dict[str, Any]]:
    """The workflow's one step, for every execution that was started."""
    from functions.batch_finish.handler import handler

    started = [one for one in platform.aws.sfn.executions if "export_id" in one.input]
    return [stepped(handler, {"step": "export", **json.loads(one.input)}) for one in started]


def text(platform: Platform, export: Export) -> str:
    body: bytes = platform.aws.s3.get_object(Bucket=WORK, Key=export.key)["Body"].read()
    return body.decode()


def rows(platform: Platform, export: Export) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text(platform, export).splitlines()]


def test_a_running_batch_is_exported_with_results_and_answers_so_far(platform: Platform) -> None:
    world = platform.world
    batch = world.active(4, page_size=2)
    for worker in ("ann", "bob", "cy"):
        world.answer(worker, "cat", batch=batch)
    world.leased("dan", batch=batch)
    export = start(platform, batch)
    assert (export.state, export.key) == (ExportState.RUNNING, f"results/b1/exports/{export.export_id}.jsonl")
    assert run(platform) == [{"state": "done", "tasks": 4, "closed_tasks": len(closed(platform))}]
    found = rows(platform, export)
    assert [one["row_id"] for one in found] == ["0", "1", "2", "3"]
    votes = sum(len(one["answers"]) for one in found)
    assert votes == 6
    for one in found:
        if one["status"] == "closed":
            assert (one["answer"], one["confidence"], len(one["answers"])) == ("cat", 1.0, 3)
        else:
            assert (one["answer"], one["confidence"], one["tied"]) == (None, 0.0, False)
    done = exports.get_export(platform.wiring, world.batch(), export.export_id)
    assert (done.state, done.tasks, done.finished_at_ms) == (ExportState.DONE, 4, world.now_ms)


def closed(platform: Platform) -> list[Any]:
    return [one for one in platform.world.every_task(platform.world.batch()) if one.status == "closed"]


def test_the_same_in_csv(platform: Platform) -> None:
    batch = platform.world.active(2, min_answers=1, max_answers=1, page_size=1)
    platform.world.answer("ann", "=cat", batch=batch)
    export = start(platform, batch, "csv")
    run(platform)
    found = list(csv.DictReader(io.StringIO(text(platform, export))))
    assert sorted((one["status"], one["answer"]) for one in found) == [("closed", "'=cat"), ("open", "")]


@pytest.mark.parametrize("review", [Review.MANUAL, Review.DEADLINE])
def test_an_answer_is_exported_once_it_is_approved_and_never_when_it_is_rejected(
    platform: Platform, review: Review
) -> None:
    world = platform.world
    batch = world.active(1, review=review, review_seconds=86_400, rubric=("Look.",), min_answers=2, max_answers=2)
    pages = {worker: world.answer(worker, f"of {worker}", batch=batch) for worker in ("ann", "bob")}
    undecided = start(platform, batch, key="k1")
    run(platform)
    assert [one["answers"] for one in rows(platform, undecided)] == [[]]
    assert "of ann" not in text(platform, undecided)
    decide_all(platform, pages["ann"].page_id, approve=True)
    decide_all(platform, pages["bob"].page_id, approve=False)
    decided = start(platform, batch, key="k2")
    run(platform)
    assert [[one["worker_id"] for one in row["answers"]] for row in rows(platform, decided)] == [["ann"]]
    assert "of bob" not in text(platform, decided)


def decide_all(platform: Platform, page_id: str, *, approve: bool) -> None:
    world = platform.world
    why = None if approve else Rejection(0, "this is not what the picture shows")
    decisions = [Decision(page_id, one.task_id, why) for one in world.page(page_id).assignments]
    told = decide(
        batch=world.batch(), decisions=decisions, reads=world.tasks, unit=world.table, nudge=world.nudged.append
    )
    assert told == {page_id: "accepted"}
    world.grade(page_id)


def test_the_same_key_is_the_same_export_and_another_form_is_refused(platform: Platform) -> None:
    batch = platform.world.active(2)
    first = start(platform, batch)
    assert start(platform, batch) == first
    assert len(platform.aws.sfn.executions) == 1
    run(platform)
    assert start(platform, batch).state is ExportState.DONE
    assert start(platform, batch, key="k2").export_id != first.export_id
    with pytest.raises(IdempotencyMismatch):
        start(platform, batch, "csv")


def test_an_export_is_what_it_was_when_it_was_written(platform: Platform) -> None:
    world = platform.world
    batch = world.active(2, min_answers=1, max_answers=1)
    export = start(platform, batch)
    run(platform)
    before = text(platform, export)
    world.answer("ann", "cat", batch=batch)
    run(platform)
    assert text(platform, export) == before


@pytest.mark.parametrize("state", ["draft", "ready"])
def test_what_was_never_published_has_nothing_to_export(platform: Platform, state: str) -> None:
    batch = platform.world.ready(2) if state == "ready" else platform.world.draft()
    with platform.unchanged(), pytest.raises(WrongBatchState):
        start(platform, batch)


def test_a_paused_and_a_closed_batch_are_exported_too(platform: Platform) -> None:
    world = platform.world
    batch = world.active(2, min_answers=1, max_answers=1)
    world.answer("ann", "cat", batch=batch)
    pause(batch=batch, reads=world.tasks, unit=world.table)
    exported = [start(platform, batch, key="paused")]
    world.finish()
    exported.append(start(platform, batch, key="closed"))
    assert world.batch().state is BatchState.CLOSED
    run(platform)
    assert [{one["answer"] for one in rows(platform, export)} for export in exported] == [{"cat"}, {"cat"}]


def test_there_is_no_export_of_another_batch(platform: Platform) -> None:
    one, other = platform.world.active(1), platform.world.active(1, batch_id="b2")
    export = start(platform, one)
    with pytest.raises(ExportNotFound):
        exports.get_export(platform.wiring, other, export.export_id)


def test_a_failed_export_says_so_and_stays_failed(platform: Platform) -> None:
    from functions.batch_finish.handler import handler

    batch = platform.world.active(1)
    export = start(platform, batch)
    payload = {"batch_id": "b1", "export_id": export.export_id}
    assert stepped(handler, {"step": "fail_export", **payload})["state"] == "failed"
    assert stepped(handler, {"step": "export", **payload})["state"] == "failed"
    assert start(platform, batch).state is ExportState.FAILED
    done = start(platform, batch, key="k2")
    run(platform)
    assert stepped(handler, {"step": "fail_export", "batch_id": "b1", "export_id": done.export_id})["state"] == "done"


def exported(plan: Plan | None) -> tuple[str, Export, int]:
    platform = Platform()
    with wired(platform.wiring):
        batch = platform.world.active(30, page_size=10)
        platform.world.answer("ann", "cat", batch=batch)

        def all_of_it() -> None:
            start(platform, batch)
            run(platform)

        calls = 0
        if plan is None:
            calls = platform.aws.faults.count_calls(all_of_it)
        else:
            with platform.aws.faults.planned(plan), pytest.raises(Crash):
                all_of_it()
        all_of_it()
        export = start(platform, batch)
    return text(platform, export), export, calls


def test_an_export_killed_at_any_call_ends_the_same_when_it_is_asked_for_again() -> None:
    expected, export, calls = exported(None)
    assert (export.state, export.tasks) == (ExportState.DONE, 30)
    assert calls > 5
    for call in range(calls):
        for fault in (Fault.CRASH_BEFORE, Fault.CRASH_AFTER):
            assert exported(Plan(fault, at=call))[:2] == (expected, export), (call, fault)
