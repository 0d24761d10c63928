"""A requester's commands: what they send, what they show, and what they end with."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.main import main
from tests.unit.cli.conftest import FakeStage

ACCOUNT = "/v1/requester"
SPEC = """\
title: Is this [a cat]?
instructions: Look.
price: "0.50"
answer_schema:
  enum: [cat, dog]
"""


def batch(**others: Any) -> dict[str, Any]:
    return {
        "batch_id": "b1",
        "title": "Is this [a cat]?",
        "state": "draft",
        "task_count": 0,
        "price": "0.50",
        "cost": "0.00",
        "currency": "USD",
        "created_at": "2026-11-22T09:00:00.000Z",
        "answer_schema": {"enum": ["cat", "dog"]},
    } | others


def report(**others: Any) -> dict[str, Any]:
    return {
        "state": "waiting",
        "rows_read": 0,
        "rows_accepted": 0,
        "rows_rejected": 0,
        "error_code": None,
        "error_detail": None,
        "error_line": None,
        "quarantine_url": None,
    } | others


@pytest.fixture
def read_json(capsys: pytest.CaptureFixture[str]) -> Callable[[], Any]:
    return lambda: json.loads(capsys.readouterr().out)


def test_a_list_follows_cursors_and_shows_titles_as_they_are(
    stage: FakeStage, capsys: pytest.CaptureFixture[str], read_json: Callable[[], Any]
) -> None:
    first = {"batches": [batch()], "next_cursor": "more"}
    stage.answers("GET", f"{ACCOUNT}/batches", first, {"batches": [batch(batch_id="b2")], "next_cursor": None})
    assert main(["batches", "list", "--json"]) == 0
    assert [one["batch_id"] for one in read_json()["batches"]] == ["b1", "b2"]
    assert "cursor=more" in stage.requests[-1].path

    assert main(["batches", "list"]) == 0
    assert "Is this [a cat]?" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["batch.yaml", "batch.json"])
def test_a_spec_becomes_a_draft_under_its_key(stage: FakeStage, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = {"title": "Is this [a cat]?", "instructions": "Look.", "price": "0.50"}
    wanted |= {"answer_schema": {"enum": ["cat", "dog"]}}  # type: ignore[dict-item]
    spec = stage.folder / name
    spec.write_text(SPEC if name.endswith(".yaml") else json.dumps(wanted))
    stage.answers("POST", f"{ACCOUNT}/batches", {"batch": batch(), "upload": {}}, status=201)
    assert main(["batches", "create", str(spec), "--key", "k1", "--only-id"]) == 0
    assert capsys.readouterr().out == "b1\n"
    assert stage.requests[-1].document == wanted
    assert stage.requests[-1].headers["idempotency-key"] == "k1"


@pytest.mark.parametrize(
    ("content", "said"), [("title: [", "line"), ("- a\n", "not a mapping"), ("a: 1\na: 2\n", "line 2")]
)
def test_a_spec_that_cannot_be_read_is_a_mistake_of_the_caller(
    stage: FakeStage, content: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = stage.folder / "batch.yaml"
    spec.write_text(content)
    assert main(["batches", "create", str(spec)]) == 2
    assert said in capsys.readouterr().err
    assert main(["batches", "create", str(stage.folder / "none.yaml")]) == 2
    assert stage.requests == []


def test_a_problem_is_shown_with_its_pointers(stage: FakeStage, capsys: pytest.CaptureFixture[str]) -> None:
    problem = {
        "title": "The request is not allowed as it is",
        "status": 422,
        "detail": "the body is not allowed",
        "code": "invalid",
        "errors": [{"pointer": "/price", "detail": "not an amount"}, {"pointer": "", "detail": "[b]old"}],
    }
    spec = stage.folder / "batch.yaml"
    spec.write_text(SPEC)
    stage.answers("POST", f"{ACCOUNT}/batches", problem, status=422)
    assert main(["batches", "create", str(spec)]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "not allowed as it is" in told.err
    assert "/price: not an amount" in told.err
    assert "(whole): [b]old" in told.err

    assert main(["batches", "create", str(spec), "--json"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert json.loads(told.err) == problem


def test_what_the_gateway_answers_is_shown_too(stage: FakeStage, capsys: pytest.CaptureFixture[str]) -> None:
    stage.answers("GET", f"{ACCOUNT}/batches/b1", {"message": "Unauthorized"}, status=401)
    assert main(["batches", "show", "b1"]) == 1
    told = capsys.readouterr().err
    assert "HTTP 401" in told
    assert "Unauthorized" in told


@pytest.mark.parametrize("change", ["publish", "close", "cancel"])
def test_a_batch_is_changed_under_a_key(stage: FakeStage, change: str, read_json: Callable[[], Any]) -> None:
    stage.answers("POST", f"{ACCOUNT}/batches/b1/{change}", batch(state="active"))
    assert main(["batches", change, "b1", "--json"]) == 0
    assert read_json()["state"] == "active"
    assert stage.requests[-1].headers["idempotency-key"]


def test_progress_is_watched_until_the_end(stage: FakeStage, read_json: Callable[[], Any]) -> None:
    def found(state: str, closed: int) -> dict[str, Any]:
        return {"state": state, "task_count": 4, "tasks_closed": closed, "spent": "1.00"}

    stage.answers("GET", f"{ACCOUNT}/batches/b1/progress", found("active", 1), found("closing", 4), found("closed", 4))
    assert main(["batches", "progress", "b1", "--watch", "--every", "0.01", "--json"]) == 0
    assert read_json()["state"] == "closed"
    assert len(stage.requests) == 3


def test_results_go_into_a_file_or_to_stdout(stage: FakeStage, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    content = b'{"row_id":"r1","answer":"cat"}\n'
    link = {"format": "jsonl", "url": f"{stage.url}/file", "expires_at": "2026-11-22T10:00:00.000Z"}
    stage.answers("GET", f"{ACCOUNT}/batches/b1/results", link)
    stage.answers("GET", "/file", content)
    target = stage.folder / "results.jsonl"
    assert main(["batches", "results", "b1", "--format", "jsonl", "-o", str(target), "--json"]) == 0
    assert json.loads(capfdbinary.readouterr().out) == {"format": "jsonl", "path": str(target), "bytes": len(content)}
    assert target.read_bytes() == content
    assert [path.name for path in stage.folder.glob("*.part")] == []
    assert "format=jsonl" in stage.requests[0].path

    assert main(["batches", "results", "b1"]) == 0
    assert capfdbinary.readouterr().out == content


def test_a_file_for_label_studio_gets_its_labelling_configuration_beside_it(
    stage: FakeStage, read_json: Callable[[], Any]
) -> None:
    link = {"format": "labelstudio", "url": f"{stage.url}/file", "expires_at": "", "label_config": "<View>é</View>"}
    stage.answers("GET", f"{ACCOUNT}/batches/b1/results", link)
    stage.answers("GET", "/file", b"[]")
    target, config = stage.folder / "tasks.json", stage.folder / "tasks.json.config.xml"
    assert main(["batches", "results", "b1", "--format", "labelstudio", "-o", str(target), "--json"]) == 0
    assert read_json() == {"format": "labelstudio", "path": str(target), "bytes": 2, "label_config": str(config)}
    assert config.read_text(encoding="utf-8") == "<View>é</View>"


def test_the_quality_report_is_a_page_unless_asked_otherwise(
    stage: FakeStage, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    link = {"format": "html", "url": f"{stage.url}/file", "expires_at": "2026-11-22T10:00:00.000Z"}
    stage.answers("GET", f"{ACCOUNT}/batches/b1/quality", link)
    stage.answers("GET", "/file", b"<!doctype html>")
    target = stage.folder / "report.html"
    assert main(["batches", "quality", "b1", "-o", str(target)]) == 0
    assert target.read_bytes() == b"<!doctype html>"
    assert "format=html" in stage.requests[0].path
    capfdbinary.readouterr()

    assert main(["batches", "quality", "b1", "--format", "json"]) == 0
    assert capfdbinary.readouterr().out == b"<!doctype html>"
    assert "format=json" in stage.requests[-2].path
    with pytest.raises(SystemExit):
        main(["batches", "quality", "b1", "--format", "pdf"])


def uploading(stage: FakeStage, *reports: dict[str, Any]) -> None:
    form = {"url": f"{stage.url}/bucket", "fields": {"key": "uploads/r/b1/words.csv", "policy": "signed"}}
    stage.answers("POST", f"{ACCOUNT}/batches/b1/upload", form)
    stage.answers("POST", "/bucket", b"", status=204)
    stage.answers("GET", f"{ACCOUNT}/batches/b1/import", *reports)


def test_an_upload_waits_for_the_import_and_shows_rejected_rows(
    stage: FakeStage, capsys: pytest.CaptureFixture[str]
) -> None:
    done = report(state="done", rows_read=3, rows_accepted=2, rows_rejected=1, quarantine_url=f"{stage.url}/bad")
    uploading(stage, report(), report(state="splitting"), done)
    stage.answers("GET", "/bad", b'{"line":3,"reason":"columns","detail":"3 instead of 2"}\n')
    file = stage.folder / "words.csv"
    content = b"id,word\n1,cat\n" + b"x" * 200_000
    file.write_bytes(content)

    assert main(["upload", "b1", str(file)]) == 0
    told = capsys.readouterr().out
    assert "columns" in told
    assert "3 instead of 2" in told
    assert stage.asked(f"{ACCOUNT}/batches/b1/upload")[0].document == {"filename": "words.csv"}
    sent = stage.asked("/bucket")[0]
    assert b'name="key"\r\n\r\nuploads/r/b1/words.csv\r\n' in sent.body
    boundary = sent.headers["content-type"].partition("boundary=")[2].encode()
    assert sent.body.endswith(b"\r\n\r\n" + content + b"\r\n--" + boundary + b"--\r\n")

    uploading(stage, report(), done)
    assert main(["upload", "b1", str(file), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["report"]["rows_accepted"] == 2
    assert document["rejected"] == [{"line": 3, "reason": "columns", "detail": "3 instead of 2"}]


def test_a_file_that_is_no_good_ends_with_1_and_an_older_failure_is_not_taken_for_its(
    stage: FakeStage, read_json: Callable[[], Any]
) -> None:
    older = report(state="failed", error_code="bad_file", error_detail="not UTF-8", error_line=7)
    newer = report(state="failed", error_code="bad_file", error_detail="no header", error_line=1)
    uploading(stage, older, older, report(state="splitting"), newer)
    file = stage.folder / "my words.csv"
    file.write_bytes(b"\n")
    assert main(["upload", "b1", str(file), "--json"]) == 1
    assert read_json()["report"] == newer
    assert stage.asked(f"{ACCOUNT}/batches/b1/upload")[0].document == {"filename": "tasks.csv"}


def test_only_a_file_that_the_api_knows_is_sent(stage: FakeStage, tmp_path: Path) -> None:
    (tmp_path / "words.xlsx").write_bytes(b"PK")
    assert main(["upload", "b1", str(tmp_path / "words.xlsx")]) == 2
    assert main(["upload", "b1", str(tmp_path / "none.csv")]) == 2
    assert not stage.asked("/bucket")
