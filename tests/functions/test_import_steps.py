"""An uploaded file becomes tasks, once, whatever arrives twice, late, broken or under an odd name."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smallpeck.kernel.errors import SmallPeckError
from smallpeck.kernel.writes import ref
from smallpeck.runtime.wiring import wired
from smallpeck.tasks.import_store import ImportStore
from smallpeck.tasks.importing import ImportReport, ImportState
from smallpeck.tasks.model import BatchState, TaskStatus
from tests.aws import Crash, Fault, Plan
from tests.functions.import_workflow import DEFINITION, HANDLERS, UPLOADS, Failed, Imports

GOOD = b"id,text\n" + b"".join(b"r%d,text %d\n" % (n, n) for n in range(1_203)) + b"ragged\nr0,again\n"


@pytest.fixture
def imports() -> Iterator[Imports]:
    made = Imports()
    made.world.draft()
    with wired(made.wiring):
        yield made


def report(imports: Imports) -> ImportReport:
    found = ImportStore(imports.world.table).report("b1")
    assert found is not None
    return found


def all_items(imports: Imports) -> list[dict[str, Any]]:
    return sorted(imports.world.table.segment("platform", 0, 1), key=lambda item: (item["pk"], item["sk"]))


def test_a_file_becomes_tasks_and_a_quarantine(imports: Imports) -> None:
    output = imports.execute(imports.upload(GOOD))
    assert (output["state"], output["read"], output["accepted"], output["rejected"]) == ("done", 1_205, 1_203, 2)
    batch = imports.world.batch()
    assert (batch.state, batch.task_count, batch.shards) == (BatchState.READY, 1_203, 1)
    assert batch.largest_input_bytes == len('{"id":"r1202","text":"text 1202"}')
    pairs = list(imports.world.tasks.every_task_with_input(batch))
    assert [task.ordinal for task, _ in pairs] == list(range(1_203))
    task, given = pairs[1_202]
    assert (given["task_id"], given["row_id"], given["line"]) == (task.task_id, "r1202", 1_204)
    assert (task.status, task.seats_taken, json.loads(given["input"])["text"]) == (TaskStatus.OPEN, 0, "text 1202")
    lines = imports.kept(report(imports).quarantine_key or "").splitlines()
    assert [(one["line"], one["reason"]) for one in map(json.loads, lines)] == [
        (1_205, "ragged_row"),
        (1_206, "duplicate_row_id"),
    ]


def test_the_imported_batch_can_be_published_and_worked_on(imports: Imports) -> None:
    imports.execute(imports.upload(b"id,text\na,x\nb,y\n"))
    batch = imports.world.batch()
    imports.world.deposit(batch.cost_micros)
    imports.world.publish(batch)
    assert len(imports.world.leased("worker-1").assignments) == 2


def test_the_same_event_again_changes_nothing(imports: Imports) -> None:
    event = imports.upload(GOOD)
    imports.execute(event)
    before = all_items(imports)
    assert imports.execute(event) == {"ignored": "imported", "batch_id": None, "import_id": None}
    assert all_items(imports) == before


def test_two_executions_of_one_event_make_one_import(imports: Imports) -> None:
    event = imports.upload(GOOD)
    nested: list[Any] = []
    run = imports._task

    def interrupted(name: str, state: Any, data: Any) -> Any:
        if name in ("Split", "WritePart", "Complete") and name not in nested:
            nested.append(name)
            imports.execute(event)
        return run(name, state, data)

    imports._task = interrupted  # type: ignore[method-assign]
    assert imports.execute(event)["state"] == "done"
    assert imports.world.batch().task_count == 1_203
    assert report(imports).state is ImportState.DONE


def test_another_version_is_ignored_while_one_is_imported_and_after(imports: Imports) -> None:
    first, second = imports.upload(GOOD), imports.upload(b"id,text\nz,z\n")
    seen: list[Any] = []
    run = imports._task

    def interrupted(name: str, state: Any, data: Any) -> Any:
        if name == "Split" and not seen:
            seen.append(None)
            seen.append(imports.execute(second))
        return run(name, state, data)

    imports._task = interrupted  # type: ignore[method-assign]
    imports.execute(first)
    assert seen[1]["ignored"] == "another_import"
    assert imports.execute(second)["ignored"] == "not_a_draft"
    assert imports.world.batch().task_count == 1_203


def test_the_version_of_the_event_is_read_although_the_object_was_replaced(imports: Imports) -> None:
    event = imports.upload(b"id,text\na,x\n")
    imports.upload(b"id,text\na,x\nb,y\n")
    imports.execute(event)
    assert imports.world.batch().task_count == 1


@pytest.mark.parametrize(
    ("body", "code", "line"),
    [
        (b"", "empty_file", None),
        (b"id,text\n", "header_only", None),
        ("id,text\n1,ä\n".encode("latin-1"), "not_utf8", 2),
        (b'id,text\n1,"x\n', "unclosed_quote", 2),
        (b"id,id\n1,2\n", "duplicate_column", 1),
        (b"\x1f\x8b\x08\x00", "not_text", None),
        (b"id,text\n1\n2\n", "no_good_rows", None),
    ],
)
def test_a_refused_file_leaves_a_draft_with_a_report(
    imports: Imports, body: bytes, code: str, line: int | None
) -> None:
    output = imports.execute(imports.upload(body))
    assert (output["state"], output["error_code"], output["error_line"]) == ("refused", code, line)
    assert imports.world.batch().state is BatchState.DRAFT
    found = report(imports)
    assert (found.state, found.error_code, found.error_line) == (ImportState.REFUSED, code, line)
    assert found.error_detail
    assert [item["sk"] for item in all_items(imports)] == ["BATCH", "IMPORT"]
    assert imports.execute(imports.upload(b"id,text\na,x\n"))["state"] == "done"
    assert report(imports).error_code is None


def test_a_version_that_was_deleted_is_refused(imports: Imports) -> None:
    event = imports.upload(GOOD)
    imports.world.aws.s3.delete_object(Bucket=UPLOADS, Key=event["key"], VersionId=event["version_id"])
    assert imports.execute(event)["error_code"] == "file_gone"


@pytest.mark.parametrize("name", ["100% + more.csv", "tâches 標 💶.csv", "a%2Fb+c.csv", "a b.csv", "?x=1&y.csv"])
def test_the_key_is_taken_as_the_event_has_it(imports: Imports, name: str) -> None:
    assert imports.execute(imports.upload(b"id,text\na,x\n", f"uploads/requester-1/b1/{name}"))["state"] == "done"


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("uploads/requester-2/b1/x.csv", "no_such_batch"),
        ("uploads/requester-1/b2/x.csv", "no_such_batch"),
        ("uploads/requester-1/b1/more/x.csv", "not_an_upload"),
        ("uploads/requester-1/b1/", "not_an_upload"),
        ("uploads/requester-1/b1", "not_an_upload"),
        ("uploads/requester-1/b#1/x.csv", "not_an_upload"),
        ("uploads/../b1/x.csv", "not_an_upload"),
        ("inbox/requester-1/b1/x.csv", "not_an_upload"),
    ],
)
def test_a_key_that_is_no_upload_of_the_batches_requester_is_ignored(imports: Imports, key: str, why: str) -> None:
    before = all_items(imports)
    assert imports.execute(imports.upload(GOOD, key))["ignored"] == why
    assert all_items(imports) == before


def test_a_fault_before_any_task_gives_the_batch_back(imports: Imports) -> None:
    imports.faults["Split"] = [RuntimeError("out of memory")]
    with pytest.raises(Failed, match="RuntimeError"):
        imports.execute(imports.upload(GOOD))
    assert imports.world.batch().state is BatchState.DRAFT
    assert (report(imports).state, report(imports).error_code) == (ImportState.FAILED, "internal")
    assert imports.execute(imports.upload(b"id,text\na,x\n"))["state"] == "done"


@pytest.mark.parametrize("step", ["WritePart", "Complete"])
def test_a_fault_while_tasks_are_written_holds_the_import_until_it_runs_again(imports: Imports, step: str) -> None:
    event = imports.upload(GOOD)
    imports.faults[step] = [RuntimeError("gone")]
    with pytest.raises(Failed, match="RuntimeError"):
        imports.execute(event)
    assert imports.world.batch().state is BatchState.IMPORTING
    assert report(imports).state is ImportState.HELD
    assert imports.execute(imports.upload(b"id,text\nz,z\n"))["ignored"] == "another_import"
    assert imports.execute(event)["state"] == "done"
    assert imports.world.batch().task_count == len(list(imports.world.tasks.every_task(imports.world.batch(), 0)))
    assert report(imports).error_code is None


@pytest.mark.parametrize("missing", ["bucket", "key", "version_id"])
def test_an_input_that_lacks_a_field_fails_with_its_cause(imports: Imports, missing: str) -> None:
    event = imports.upload(GOOD)
    del event[missing]
    with pytest.raises(Failed, match=r"SmallPeck\.Malformed"):
        imports.execute(event)
    assert imports.visited == ["CheckInput", "BadInput"]


SMALL = b"id,text\n" + b"".join(b"r%d,t\n" % n for n in range(70)) + b"ragged\n"


def imported(plan: Plan | None) -> tuple[list[dict[str, Any]], int]:
    """Everything stored after an import that died by `plan` and ran again, and how many calls one import takes."""
    imports = Imports()
    imports.world.draft()
    event = imports.upload(SMALL)
    faults = imports.world.aws.faults
    with wired(imports.wiring):
        calls = 0
        if plan is None:
            calls = faults.count_calls(lambda: imports.execute(event))
        else:
            with faults.planned(plan), pytest.raises(Crash):
                imports.execute(event)
        imports.execute(event)
    times = {"started_at_ms", "finished_at_ms"}
    return [{name: item[name] for name in item.keys() - times} for item in all_items(imports)], calls


def test_an_import_killed_at_any_call_ends_the_same_when_it_runs_again() -> None:
    expected, calls = imported(None)
    assert calls > 15
    for call in range(calls):
        for fault in (Fault.CRASH_BEFORE, Fault.CRASH_AFTER):
            assert imported(Plan(fault, at=call))[0] == expected, (call, fault)


def test_what_a_part_of_500_tasks_costs(imports: Imports) -> None:
    event = imports.upload(b"id,text\n" + b"".join(b"r%d,t\n" % n for n in range(500)))
    faults = imports.world.aws.faults
    costs: list[int] = []
    run = imports._task

    def counted(name: str, state: Any, data: Any) -> Any:
        if name != "WritePart":
            return run(name, state, data)
        costs.extend(faults.count_calls(lambda: run(name, state, data)) for _ in range(2))
        return run(name, state, data)

    imports._task = counted  # type: ignore[method-assign]
    imports.execute(event)
    # A file, a batch, 20 x 25 inputs, 10 x 50 tasks, a count; a replay looks at what stands after each transaction.
    assert costs == [1 + 1 + 20 + 10 + 1, 1 + 1 + 20 + 2 * 10 + 1]


@pytest.mark.parametrize("function", ["split", "part", "report"])
def test_a_payload_that_is_no_step_is_refused_by_name(imports: Imports, function: str) -> None:
    handler = HANDLERS[f"${{Import{function.capitalize()}}}"]
    for payload in ({}, {"step": "begin"}, {"step": "other"}, {"batch_id": "b#1", "import_id": "i"}):
        with pytest.raises(Exception, match="bad_step") as refused:
            handler(payload, None)
        assert type(refused.value).__name__ == "SmallPeck.Invalid"
        assert isinstance(refused.value.__cause__, SmallPeckError)


def test_tasks_of_another_import_are_never_taken_for_ours(imports: Imports) -> None:
    event = imports.upload(b"id,text\na,x\n")
    imports.world.table.put_all([(ref("task", "b1", 0, 0), {"task_id": "another"})])
    with pytest.raises(Failed, match=r"SmallPeck\.Conflict"):
        imports.execute(event)
    assert report(imports).state is ImportState.HELD


def test_the_workflow_calls_each_function_and_retries_what_is_safe() -> None:
    def tasks(states: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for state in states.values():
            if state["Type"] == "Task":
                yield state
            yield from tasks(state.get("ItemProcessor", {}).get("States", {}))

    found = list(tasks(DEFINITION["States"]))
    assert {state["Resource"] for state in found} == {"${ImportSplit}", "${ImportPart}", "${ImportReport}"}
    for state in found:
        names = [name for retry in state["Retry"] if retry["MaxAttempts"] for name in retry["ErrorEquals"]]
        assert "SmallPeck.Unavailable" in names
        assert "SmallPeck.Conflict" not in names
    parts = DEFINITION["States"]["WriteParts"]
    assert (parts["ToleratedFailureCount"], parts["ResultPath"]) == (0, None)
    assert parts["ItemProcessor"]["ProcessorConfig"]["Mode"] == "DISTRIBUTED"


def test_the_sample_event_has_what_the_rule_hands_on(imports: Imports) -> None:
    detail = json.loads(Path("events/samples/s3_object_created.json").read_text())["detail"]
    stored = imports.upload(b"id,text\na,x\n", detail["object"]["key"])
    event = {
        "bucket": detail["bucket"]["name"],
        "key": detail["object"]["key"],
        "version_id": detail["object"]["version-id"],
    }
    assert imports.execute(event | {"bucket": stored["bucket"], "version_id": stored["version_id"]})["state"] == "done"
