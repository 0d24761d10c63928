"""The steps that finish a batch, each of which may run again, and the files that they leave."""

import csv
import io
import json
from typing import Any

import pytest

from functions.batch_finish.handler import handler
from smallpeck.ledger.accounts import escrow, requester_available
from smallpeck.runtime.wiring import wired
from smallpeck.tasks.model import BatchState
from tests.functions.test_requester_api import BATCH
from tests.functions.world import WORK, Platform
from tests.gateway import Context
from tests.support import REQUESTER

FREE = {"answer_schema": {"type": "string"}, "task_schema": {"properties": {"id": {}, "text": {}}}}


def files(platform: Platform, batch_id: str = "b1") -> dict[str, bytes]:
    found = {}
    for form in ("csv", "jsonl"):
        key = f"results/{batch_id}/results.{form}"
        found[form] = platform.aws.s3.get_object(Bucket=WORK, Key=key)["Body"].read()
    return found


def refunded(platform: Platform) -> int:
    return platform.world.balance(requester_available(REQUESTER)).balance_micros


def worked(platform: Platform, rows: bytes, answers: dict[str, list[Any]], **changed: Any) -> str:
    """A batch of `rows` as a requester makes it, answered by workers, one answer per row each."""
    me = platform.requester()
    facts = BATCH | {"min_answers": len(answers), "max_answers": len(answers), "page_size": 2} | FREE | changed
    made = me.post("/batches", facts, key="b").json
    batch_id: str = made["batch"]["batch_id"]
    assert platform.run_import(platform.upload(made["upload"], rows))["state"] == "done"
    me.post("/deposits", {"amount": "100.00"}, key="d")
    assert me.post(f"/batches/{batch_id}/publish", key="p").status == 200
    ordinals = {task.task_id: task.ordinal for task in platform.world.every_task(platform.world.batch(batch_id))}
    for name, given in answers.items():
        worker, n = platform.worker(name), 0
        while (page := worker.post("/pages", {"batch_id": batch_id}, key=f"k{n}").json["page"]) is not None:
            body = [{"task_id": (t := one["task_id"]), "answer": given[ordinals[t]]} for one in page["assignments"]]
            assert worker.post(f"/pages/{page['page_id']}/submission", {"answers": body}).status == 202
            n += 1
    platform.deliver()
    return batch_id


def test_the_steps_of_a_batch_that_was_answered_in_part(platform: Platform) -> None:
    world = platform.world
    batch = world.active(20)
    ann, bob = platform.worker("ann"), platform.worker("bob")
    ann.submitted(ann.leased())
    open_page = bob.leased()
    assert platform.step("begin", "b1", final="closed") == {"shards": 1}
    found = platform.step("recount", "b1")
    assert (found["open_leases"], found["undecided"], found["ready"]) == (20, 0, False)
    assert found["wait_seconds"] > 0
    bob.submitted(open_page, "dog")
    assert platform.step("recount", "b1")["ready"] is False
    platform.deliver()
    found = platform.step("recount", "b1")
    assert (found["open_leases"], found["undecided"], found["ready"]) == (0, 0, True)
    assert {task.status for task in world.every_task(batch)} == {"closed"}
    assert platform.step("refund", "b1") == {"refunded_micros": 40 * 500_000}
    assert platform.step("publish", "b1") == {"tasks": 20}
    assert platform.step("end", "b1") == {"state": "closed"}
    assert refunded(platform) == 40 * 500_000
    assert sum(world.balance(escrow("b1", n)).balance_micros for n in range(world.batch().escrow_shards)) == 0


def test_every_step_may_run_again_at_every_point(platform: Platform) -> None:
    platform.world.active(20)
    ann = platform.worker("ann")
    ann.submitted(ann.leased())
    platform.deliver()
    done: list[tuple[str, dict[str, str]]] = []
    for step, more in (("begin", {"final": "closed"}), ("recount", {}), ("refund", {}), ("publish", {}), ("end", {})):
        platform.step(step, "b1", **more)
        done.append((step, more))
        written = files(platform) if step in ("publish", "end") else {}
        tables = {name: platform.dump()[name] for name in ("platform", "ledger")}
        for again, arguments in done:
            platform.step(again, "b1", **arguments)
        assert {name: platform.dump()[name] for name in tables} == tables, step
        assert not written or files(platform) == written
    assert refunded(platform) == 50 * 500_000


def test_a_refund_before_the_last_page_is_settled_waits(platform: Platform) -> None:
    platform.world.active(10, min_answers=1, max_answers=1)
    ann = platform.worker("ann")
    ann.submitted(ann.leased())
    platform.step("begin", "b1", final="closed")
    assert platform.step("recount", "b1")["ready"] is False
    platform.aws.clock.advance(3_600)
    # The lease is long over, but what was accepted is not given up.
    assert platform.step("recount", "b1")["ready"] is False
    platform.deliver()
    assert platform.step("recount", "b1")["ready"] is True
    assert platform.step("refund", "b1") == {"refunded_micros": 0}


def test_nobody_answered(platform: Platform) -> None:
    batch = platform.world.active(10)
    platform.finish(final="cancelled")
    assert platform.world.batch().state is BatchState.CANCELLED
    assert refunded(platform) == batch.cost_micros
    rows = [json.loads(line) for line in files(platform)["jsonl"].splitlines()]
    assert [(one["answer"], one["confidence"], one["tied"], one["answers"]) for one in rows] == [
        (None, 0, False, [])
    ] * 10


def test_results_stand_in_the_order_of_the_file_with_every_answer(platform: Platform) -> None:
    rows = 'id,text\nr9,first\nr1,zweite Zeile: ä\nr5,"a, ""quoted""\nline"\n'.encode()
    answers = {"ann": ["a", "b", "x"], "bob": ["a", "c", "y"], "cy": ["z", "c", "w"]}
    batch_id = worked(platform, rows, answers)
    platform.finish(batch_id)
    written = files(platform, batch_id)
    lines = [json.loads(line) for line in written["jsonl"].splitlines()]
    assert [(one["row_id"], one["line"], one["input"]["text"]) for one in lines] == [
        ("r9", 2, "first"), ("r1", 3, "zweite Zeile: ä"), ("r5", 4, 'a, "quoted"\nline'),
    ]  # fmt: skip
    assert [(one["answer"], round(one["confidence"], 3), one["tied"]) for one in lines[:2]] == [
        ("a", 0.667, False), ("c", 0.667, False),
    ]  # fmt: skip
    assert lines[0]["answers"] == [
        {"worker_id": "ann", "answer": "a"}, {"worker_id": "bob", "answer": "a"}, {"worker_id": "cy", "answer": "z"},
    ]  # fmt: skip
    table = list(csv.DictReader(io.StringIO(written["csv"].decode(), newline="")))
    assert [(one["row_id"], one["answer"], one["tied"], one["input.text"]) for one in table] == [
        (one["row_id"], one["answer"], str(one["tied"]).lower(), one["input"]["text"]) for one in lines
    ]
    assert [json.loads(one["answers"]) for one in table] == [one["answers"] for one in lines]


def test_ties_are_told_and_fall_the_same_way_whoever_came_first() -> None:
    outcomes = []
    for order in (("ann", "bob"), ("bob", "ann")):
        platform = Platform()
        said = {"ann": ["cat"] * 20, "bob": ["dog"] * 20}
        with wired(platform.wiring):
            rows = b"id\n" + b"".join(b"r%d\n" % n for n in range(20))
            batch_id = worked(platform, rows, {name: said[name] for name in order}, page_size=20)
            platform.finish(batch_id)
            lines = [json.loads(line) for line in files(platform, batch_id)["jsonl"].splitlines()]
        assert {(one["tied"], one["confidence"]) for one in lines} == {(True, 0.5)}
        outcomes.append([one["answer"] for one in lines])
    assert outcomes[0] == outcomes[1]
    # A fair draw per task, not always the same side.
    assert {"cat", "dog"} == set(outcomes[0])


def test_formulas_are_harmless_in_a_spreadsheet_and_whole_elsewhere(platform: Platform) -> None:
    texts = ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\tx", "plain"]
    rows = "id,text\n" + "".join(f'"={n}","{text}"\n' for n, text in enumerate(texts))
    batch_id = worked(platform, rows.encode(), {"ann": texts})
    platform.finish(batch_id)
    written = files(platform, batch_id)
    lines = [json.loads(line) for line in written["jsonl"].splitlines()]
    assert [(one["row_id"], one["input"]["text"], one["answer"]) for one in lines] == [
        (f"={n}", text, text) for n, text in enumerate(texts)
    ]
    table = list(csv.reader(io.StringIO(written["csv"].decode(), newline="")))
    assert not [cell for row in table for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    head = table[0]
    assert [row[head.index("answer")] for row in table[1:]] == [f"'{text}" for text in texts[:5]] + ["plain"]


def test_a_batch_over_several_shards_is_published_in_the_order_of_its_file(platform: Platform) -> None:
    platform.world.active(40, shards=7, min_answers=1, max_answers=1)
    for n in range(4):
        worker = platform.worker(f"worker-{n}")
        worker.submitted(worker.leased())
    platform.deliver()
    platform.finish()
    lines = [json.loads(line) for line in files(platform)["jsonl"].splitlines()]
    assert [one["row_id"] for one in lines] == [str(n) for n in range(40)]
    assert {one["status"] for one in lines} == {"closed"}


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"step": "begin", "batch_id": "b1"},
        {"step": "begin", "batch_id": "b1", "final": "active"},
        {"step": "recount"},
        {"step": "recount", "batch_id": "b#1"},
        {"step": "refund", "batch_id": "b1", "more": 1},
        {"step": "celebrate", "batch_id": "b1"},
    ],
)
def test_a_payload_that_is_no_step_is_refused_by_name(platform: Platform, payload: dict[str, str]) -> None:
    with platform.unchanged(), pytest.raises(Exception, match="bad_step") as refused:
        handler(payload, Context())
    assert type(refused.value).__name__ == "SmallPeck.Invalid"


@pytest.mark.parametrize("step", ["recount", "refund", "publish", "end"])
def test_a_batch_that_is_not_there(platform: Platform, step: str) -> None:
    with platform.unchanged(), pytest.raises(Exception, match="batch_not_found") as refused:
        platform.step(step, "nothing")
    assert type(refused.value).__name__ == "SmallPeck.NotFound"


def test_steps_that_come_too_early_change_nothing(platform: Platform) -> None:
    platform.world.active(10)
    with platform.unchanged():
        assert platform.step("recount", "b1")["ready"] is True
        assert platform.step("refund", "b1") == {"refunded_micros": 0}
        assert platform.step("end", "b1") == {"state": "active"}
