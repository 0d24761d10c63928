"""Rows 50 to 65: files that are broken or odd, events that come twice, and too little money."""

import gzip
import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

from functions.import_report.handler import handler as import_report
from smallpeck.tasks.model import BatchState
from tests.functions.bad_inputs import BATCH, Row
from tests.functions.world import UPLOADS, Platform, stepped
from tests.support import REQUESTER

GOOD = b"id,text\nr0,a\nr1,b\n"


def draft(platform: Platform, **changed: Any) -> tuple[str, dict[str, Any]]:
    """A new batch and the form for its file."""
    made = platform.requester().post("/batches", BATCH | changed, key="b1").json
    return made["batch"]["batch_id"], made["upload"]


def imported(platform: Platform, body: bytes, **changed: Any) -> tuple[str, dict[str, Any]]:
    """The batch of a file, and what its requester is told became of it."""
    batch_id, form = draft(platform, **changed)
    platform.run_import(platform.upload(form, body))
    report = platform.requester().get(f"/batches/{batch_id}/import").json
    if report["state"] == "done":
        assert report["rows_read"] == report["rows_accepted"] + report["rows_rejected"]
    return batch_id, report


def inputs(platform: Platform, batch_id: str) -> list[dict[str, Any]]:
    tasks = platform.requester().everything(f"/batches/{batch_id}/tasks", "tasks", limit=2)
    return [one["input"] for one in tasks]


def refused(body: bytes, code: str, line: int | None = None, **changed: Any) -> Callable[[Platform], None]:
    """The whole file is refused: a draft without tasks, an error with its line, and another file may follow."""

    def run(platform: Platform) -> None:
        batch_id, report = imported(platform, body, **changed)
        assert (report["state"], report["error_code"], report["error_line"]) == ("refused", code, line)
        assert report["error_detail"]
        me = platform.requester()
        found = me.get(f"/batches/{batch_id}").json
        assert (found["state"], found["task_count"]) == ("draft", 0)
        assert not [item for item in platform.aws.dynamodb.dump("platform") if item["pk"]["S"].startswith("TASKS#")]
        form = me.post(f"/batches/{batch_id}/upload", {}).json
        assert platform.run_import(platform.upload(form, GOOD))["state"] == "done"
        assert me.get(f"/batches/{batch_id}/import").json["error_code"] is None

    return run


def accepted(body: bytes, expected: list[dict[str, Any]], **changed: Any) -> Callable[[Platform], None]:
    """The file is fine: its rows are the tasks."""

    def run(platform: Platform) -> None:
        batch_id, report = imported(platform, body, **changed)
        assert (report["state"], report["rows_rejected"]) == ("done", 0)
        assert inputs(platform, batch_id) == expected

    return run


def quarantined(body: bytes, expected: list[tuple[int, str]], kept: int) -> Callable[[Platform], None]:
    """Some rows are put aside with line and reason; the others are tasks."""

    def run(platform: Platform) -> None:
        batch_id, report = imported(platform, body)
        assert (report["state"], report["rows_accepted"], report["rows_rejected"]) == ("done", kept, len(expected))
        lines = [json.loads(line) for line in platform.fetch(report["quarantine_url"]).splitlines()]
        assert [(one["line"], one["reason"]) for one in lines] == expected
        assert len(inputs(platform, batch_id)) == kept

    return run


def zipped() -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("tasks.csv", GOOD)
    return body.getvalue()


def formula(platform: Platform) -> None:
    batch_id, _ = imported(platform, b"id,text\n=1+1,=cmd\n", task_schema={"properties": {"id": {}, "text": {}}})
    assert inputs(platform, batch_id) == [{"id": "=1+1", "text": "=cmd"}]
    me = platform.requester()
    me.post("/deposits", {"amount": "10.00"}, key="d")
    me.post(f"/batches/{batch_id}/publish", key="p")
    platform.finish(batch_id)
    written = {
        form: platform.fetch(me.get(f"/batches/{batch_id}/results", f"format={form}").json["url"])
        for form in ("csv", "jsonl")
    }
    assert json.loads(written["jsonl"])["input"] == {"id": "=1+1", "text": "=cmd"}
    cells = written["csv"].decode().splitlines()[1].split(",")
    assert {"'=1+1", "'=cmd"} <= set(cells)
    assert not [cell for cell in cells if cell.startswith("=")]


def replaced_while_read(platform: Platform) -> None:
    batch_id, form = draft(platform)
    first = platform.upload(form, GOOD)
    platform.upload(form, b"id,text\nr9,other\n")
    assert platform.run_import(first)["state"] == "done"
    assert [one["id"] for one in inputs(platform, batch_id)] == ["r0", "r1"]


def deleted_before_it_was_read(platform: Platform) -> None:
    batch_id, form = draft(platform)
    upload = platform.upload(form, GOOD)
    platform.aws.s3.delete_object(Bucket=UPLOADS, Key=upload["key"], VersionId=upload["version_id"])
    platform.run_import(upload)
    found = platform.requester().get(f"/batches/{batch_id}/import").json
    assert (found["state"], found["error_code"]) == ("refused", "file_gone")


def event_twice(platform: Platform) -> None:
    batch_id, form = draft(platform)
    upload = platform.upload(form, GOOD)
    platform.run_import(upload)
    with platform.unchanged():
        assert platform.run_import(upload)["ignored"] == "imported"
    assert len(inputs(platform, batch_id)) == 2


def events_out_of_order(platform: Platform) -> None:
    batch_id, form = draft(platform)
    first, second = platform.upload(form, b"id,text\nold,x\n"), platform.upload(form, GOOD)
    begun = stepped(import_report, {"step": "begin", **second})
    assert begun["ignored"] is None
    with platform.unchanged():
        assert platform.run_import(first)["ignored"] == "another_import"
    assert platform.run_import(second)["state"] == "done"
    with platform.unchanged():
        assert platform.run_import(first)["ignored"] == "not_a_draft"
    assert [one["id"] for one in inputs(platform, batch_id)] == ["r0", "r1"]


def odd_keys(platform: Platform) -> None:
    """Keys come as S3 has them; those that no form could have made are nobody's upload."""
    batch_id, _ = draft(platform)
    for key in (
        f"uploads/{REQUESTER}/{batch_id}%2Ftasks.csv",
        f"uploads/{REQUESTER}/{batch_id}+x/tasks.csv",
        f"uploads/someone/{batch_id}/tasks.csv",
        f"uploads/../{batch_id}/tasks.csv",
        f"uploads/{REQUESTER}/{batch_id}/a/tasks.csv",
        f"inbox/{REQUESTER}/{batch_id}/tasks.csv",
    ):
        upload = platform.put(key, GOOD)
        with platform.unchanged():
            assert platform.run_import(upload)["ignored"] in ("not_an_upload", "no_such_batch"), key
    name = f"uploads/{REQUESTER}/{batch_id}/100% + tâches 標 💶.csv"
    assert platform.run_import(platform.put(name, GOOD))["state"] == "done"
    assert len(inputs(platform, batch_id)) == 2


def too_little_money(platform: Platform) -> None:
    batch_id, _ = imported(platform, GOOD)
    me = platform.requester()
    assert me.get(f"/batches/{batch_id}").json["cost"] == "3.00"
    me.refused("POST", f"/batches/{batch_id}/publish", 409, "insufficient_funds", key="p")
    me.post("/deposits", {"amount": "2.99"}, key="d1")
    me.post("/deposits", {"amount": "5.00", "currency": "EUR"}, key="d2")
    me.refused("POST", f"/batches/{batch_id}/publish", 409, "insufficient_funds", key="p")
    platform.worker().refused("POST", "/pages", 404, "batch_not_found", body={"batch_id": batch_id}, key="k")
    me.post("/deposits", {"amount": "0.01"}, key="d3")
    assert me.post(f"/batches/{batch_id}/publish", key="p").json["state"] == BatchState.ACTIVE
    assert me.get("/account").json["available"] == "0.00"


def large_line(platform: Platform) -> None:
    _, report = imported(platform, LARGE_LINE, filename="tasks.jsonl")
    assert (report["rows_accepted"], report["rows_rejected"]) == (1, 1)
    (line,) = platform.fetch(report["quarantine_url"]).splitlines()
    assert (json.loads(line)["line"], json.loads(line)["reason"]) == (2, "row_too_large")


PAIR = [{"id": "r0", "text": "a"}, {"id": "r1", "text": "b"}]
LARGE = b'id,text\nr0,a\nr1,"' + b"x" * 5_000_000 + b'"\nr2,c\n'
LARGE_LINE = b'{"id":"r0"}\n{"id":"' + b"x" * 5_000_000 + b'"}\n'

ROWS = [
    Row(50, "an empty file", refused(b"", "empty_file")),
    Row(50, "a file of blank lines", refused(b"\n\r\n\n", "empty_file")),
    Row(51, "a header alone", refused(b"id,text\n", "header_only")),
    Row(52, "UTF-16", refused("id,text\nr0,a\n".encode("utf-16"), "not_utf8", 1)),
    Row(52, "Latin-1", refused("id,text\nr0,a\nr1,ä\n".encode("latin-1"), "not_utf8", 3)),
    Row(53, "a BOM", accepted(b"\xef\xbb\xbf" + GOOD, PAIR)),
    Row(54, "CRLF", accepted(GOOD.replace(b"\n", b"\r\n"), PAIR)),
    Row(54, "mixed ends of lines", accepted(b"id,text\r\nr0,a\nr1,b", PAIR)),
    Row(55, "ragged rows", quarantined(GOOD + b"r2\nr3,c,d\nr4,e\n", [(4, "ragged_row"), (5, "ragged_row")], 3)),
    Row(56, "a quote that is not closed", refused(b'id,text\nr0,a\nr1,"b\nr2,c\n', "unclosed_quote", 3)),
    Row(57, "a column twice", refused(b"id,text,id\n1,2,3\n", "duplicate_column", 1)),
    Row(58, "a row's id twice", quarantined(GOOD + b"r0,again\n", [(4, "duplicate_row_id")], 2)),
    Row(58, "a row twice, without ids", quarantined(b"text\na\nb\na\n", [(4, "duplicate_row")], 2)),
    Row(59, "a formula", formula),
    Row(60, "a row of 5 MB", quarantined(LARGE, [(3, "row_too_large")], 2)),
    Row(60, "a JSON line of 5 MB", large_line),
    Row(61, "gzip by the name of CSV", refused(gzip.compress(GOOD), "not_text")),
    Row(61, "zip by the name of CSV", refused(zipped(), "not_text")),
    Row(62, "an object that is replaced while it is read", replaced_while_read),
    Row(62, "a version that is deleted before it is read", deleted_before_it_was_read),
    Row(63, "an event twice", event_twice),
    Row(63, "events out of order", events_out_of_order),
    Row(64, "keys with %, + and Unicode", odd_keys),
    Row(65, "too little money", too_little_money),
]
