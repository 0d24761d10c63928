"""Control tasks from upload to results: their requester sees them, and no worker can tell them from other tasks."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.functions.world import Client, Platform, answers_to
from tests.support import REQUESTER

GOLD = "heffalump"
ORDINARY = ["cat", "dog"]
DRAFT: dict[str, Any] = {
    "title": "Cats and dogs",
    "instructions": "Say what you see.",
    "price": "0.05",
    "min_answers": 2,
    "max_answers": 2,
    "page_size": 5,
    "named": True,
    "task_schema": {"type": "object", "properties": {"picture": {"type": "string"}}, "additionalProperties": False},
    "answer_schema": {"enum": [*ORDINARY, GOLD]},
    "control_column": "truth",
}
CONTROLS = ("c0", "c1")
ROWS = b"picture,truth\n" + b"".join(b"%s,%s\n" % (one.encode(), GOLD.encode()) for one in CONTROLS)
ROWS += b"".join(b"p%d,\n" % n for n in range(10))


def published(platform: Platform, **facts: Any) -> tuple[Client, str]:
    platform.world.deposit(10_000_000)
    requester = platform.requester(REQUESTER)
    made = requester.post("/batches", {**DRAFT, **facts}, key="b1")
    assert made.status == 201, made.text
    platform.run_import(platform.upload(made.json["upload"], ROWS))
    batch_id = made.json["batch"]["batch_id"]
    answer = requester.post(f"/batches/{batch_id}/publish", key="p1")
    assert answer.status == 200, answer.text
    return requester, batch_id


def control_ids(requester: Client, batch_id: str) -> set[str]:
    tasks = requester.everything(f"/batches/{batch_id}/tasks", "tasks")
    return {one["task_id"] for one in tasks if one["control"]}


def shape(value: Any) -> Any:
    """What a value looks like, whatever it says: names, and the types and lengths of what stands there."""
    if isinstance(value, Mapping):
        return {name: shape(one) for name, one in value.items()}
    return [shape(one) for one in value] if isinstance(value, list) else (type(value).__name__, len(str(value)))


def test_the_requester_is_told_which_tasks_are_controls(platform: Platform) -> None:
    requester, batch_id = published(platform)
    batch = requester.get(f"/batches/{batch_id}").json
    assert (batch["control_column"], batch["control_count"], batch["task_count"]) == ("truth", 2, 12)
    assert batch["cost"] == "1.20"
    tasks = requester.everything(f"/batches/{batch_id}/tasks", "tasks")
    assert [one["input"]["picture"] for one in tasks if one["control"]] == list(CONTROLS)
    assert [one["input"] for one in tasks if not one["control"]] == [{"picture": f"p{n}"} for n in range(10)]
    assert all("truth" not in one["input"] for one in tasks)


def test_nothing_that_a_worker_can_fetch_tells_a_control_task_from_others(platform: Platform) -> None:
    requester, batch_id = published(platform)
    controls = control_ids(requester, batch_id)
    ann = platform.worker("ann")
    page = ann.leased(batch_id=batch_id)
    told = [ann.get(f"/batches/{batch_id}").json, ann.get("/batches").json, page]
    told += [ann.get(f"/pages/{page['page_id']}").json, ann.get("/pages").json]
    sent = ann.post(f"/pages/{page['page_id']}/submission", answers_to(page, "dog")).json
    platform.deliver()
    decided = ann.get(f"/pages/{page['page_id']}/submission").json
    after = ann.get(f"/pages/{page['page_id']}").json
    told += [sent, decided, after, ann.get("/pages").json, ann.get("/statement").json, ann.get("/earnings").json]

    for view in (page, sent, decided, after):
        assignments = view["assignments"]
        mine = [one for one in assignments if one["task_id"] in controls]
        others = [one for one in assignments if one["task_id"] not in controls]
        assert mine
        assert others
        assert {json.dumps(shape(one)) for one in mine} == {json.dumps(shape(one)) for one in others}
        assert {one["state"] for one in mine} == {one["state"] for one in others}
    for view in told:
        text = json.dumps(view)
        assert "gold" not in text
        assert "control" not in text
        assert GOLD not in json.dumps(_without_schemas(view))
    assert decided["credited"] == page_pay(platform, batch_id, 5)


def _without_schemas(view: Any) -> dict[str, Any]:
    """A view without what is asked: the allowed answers are told to everybody."""
    if "batches" in view:
        return {"batches": [_without_schemas(one) for one in view["batches"]]}
    return {name: one for name, one in view.items() if name != "answer_schema"}


def page_pay(platform: Platform, batch_id: str, answers: int) -> str:
    return f"{platform.world.batch(batch_id).reward_micros * answers / 1_000_000:.2f}"


def test_ids_do_not_say_where_in_the_file_a_task_stands(platform: Platform) -> None:
    _, batch_id = published(platform)
    page = platform.worker("ann").leased(batch_id=batch_id)
    assert all(not one["task_id"].startswith("t000000") for one in page["assignments"])


def test_a_control_task_cannot_be_leased_by_name(platform: Platform) -> None:
    requester, batch_id = published(platform)
    control = min(control_ids(requester, batch_id))
    ann = platform.worker("ann")
    body = {"batch_id": batch_id, "tasks": [control]}
    refused = ann.post("/pages", body, key="k9")
    taken = requester.everything(f"/batches/{batch_id}/tasks", "tasks")
    full = next(one["task_id"] for one in taken if not one["control"])
    for n in range(2):
        platform.worker(f"w{n}").leased(f"n{n}", batch_id, tasks=[full])
    other = ann.post("/pages", {"batch_id": batch_id, "tasks": [full]}, key="k10")
    assert (refused.status, refused.json["code"]) == (409, "tasks_not_offered")
    same = ("status", "code", "detail", "title", "errors")
    assert {name: refused.json[name] for name in same} == {name: other.json[name] for name in same}


def test_a_batch_ends_when_the_work_is_done_and_gives_back_what_controls_did_not_need(platform: Platform) -> None:
    requester, batch_id = published(platform)
    for worker in ("ann", "bob", "cy"):
        for n in range(4):
            answer = platform.worker(worker).post("/pages", {"batch_id": batch_id}, key=f"k{n}")
            if answer.json.get("page") is None:
                break
            platform.worker(worker).submitted(answer.json["page"], "dog")
            platform.deliver()
    assert platform.finishing
    platform.finish(batch_id)
    tasks = requester.everything(f"/batches/{batch_id}/tasks", "tasks")
    assert {one["answer"] for one in tasks if one["control"]} == {GOLD}
    assert {one["answer"] for one in tasks if not one["control"]} == {"dog"}
    assert requester.get(f"/batches/{batch_id}").json["state"] == "closed"


@pytest.mark.parametrize(
    "facts",
    [
        {"control_column": "picture"},
        {"control_column": "id"},
        {"task_schema": {"required": ["truth"]}},
    ],
)
def test_the_control_column_is_none_that_workers_see(platform: Platform, facts: dict[str, Any]) -> None:
    refused = platform.requester(REQUESTER).refused(
        "POST", "/batches", 422, "invalid", body={**DRAFT, **facts}, key="b2"
    )
    assert [one["pointer"] for one in refused.json["errors"]] == ["/control_column"]
