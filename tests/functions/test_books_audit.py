"""The function of the books audit workflow, and the workflow's own file."""

import json
from pathlib import Path
from typing import Any

import pytest

from functions.books_audit.handler import handler
from smallpeck.ledger.audit_service import SEGMENTS, Audit, AuditState, get_audit
from smallpeck.runtime import wiring
from smallpeck.runtime.settings import Settings
from smallpeck.runtime.wiring import Wiring
from tests.functions.world import WORK, Platform, stepped
from tests.gateway import Context
from tests.unit.ledger.auditing import asked, store_of

MACHINE: dict[str, Any] = json.loads(Path("infra/workflows/books_audit.asl.json").read_text(encoding="utf-8"))
NOBODYS, A_FILE = "au_" + "0" * 26, "0" * 64
SCAN = {"step": "ledger", "segment": 0, "again": ""}
PARTS = {"platform": [A_FILE] * SEGMENTS, "ledger": [A_FILE] * SEGMENTS, "again": ""}
LOOK = {"step": "look", "audit_id": NOBODYS, "started_at_ms": 0, **PARTS}


def audit(platform: Platform, audit_id: str) -> Audit:
    return get_audit(audit_id=audit_id, audits=store_of(platform.world))


def drift(platform: Platform) -> None:
    """One micro more than the requester has."""
    platform.world.deposit(5)
    platform.aws.dynamodb.update_item(
        TableName="platform",
        Key={"pk": {"S": "ACCOUNT#requester:requester-1:available:USD"}, "sk": {"S": "BALANCE"}},
        UpdateExpression="ADD balance_micros :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )


def test_right_books_are_told_to_the_workflow_and_recorded(platform: Platform) -> None:
    platform.world.active(4)
    platform.world.answer("ann")
    audit_id = asked(platform.world).audit_id

    looked = platform.audit(audit_id)

    assert {**looked, "says": ""} == {
        "finished": True, "again": "", "books_balanced": True, "differences": 0, "in_motion": 0, "says": "",
    }  # fmt: skip
    report = audit(platform, audit_id).report
    assert report is not None
    # The deposit, the escrow, the credit.
    assert report.entries == 3
    assert {key.partition("/")[0] for key in platform.aws.s3.bucket(WORK).keys} == {"audit-parts"}


def test_wrong_books_are_counted_and_told_by_classes_of_accounts(
    platform: Platform, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    drift(platform)
    audit_id = asked(platform.world).audit_id
    capsys.readouterr()

    looked = platform.audit(audit_id)

    assert (looked["books_balanced"], looked["differences"]) == (False, 1)
    assert looked["says"] == f"audit {audit_id}: 1 differences; requester USD: 1, off by 1 micros"
    written = capsys.readouterr().out
    lines = [json.loads(line) for line in written.splitlines() if line.startswith("{")]
    assert [line["BooksDifferences"] for line in lines if "BooksDifferences" in line] == [[1.0]]
    (told,) = [vars(one) for one in caplog.records if "by_class" in vars(one)]
    assert told["by_class"] == [{"accounts": "requester", "currency": "USD", "differences": 1, "off_micros": 1}]
    # Whose account it is stands in the report, and in no log.
    assert "requester-1" not in f"{written}{told}"
    report = audit(platform, audit_id).report
    assert report is not None
    assert report.differences[0].subject == "requester:requester-1:available:USD"


def test_what_moves_between_a_scan_and_the_look_is_scanned_again(platform: Platform) -> None:
    drift(platform)
    audit_id = asked(platform.world).audit_id
    begun = stepped(handler, {"step": "begin", "audit_id": audit_id})
    found = platform.audit_parts("platform"), platform.audit_parts("ledger")
    platform.world.deposit(7, key="late")

    looked = platform.audit_look(begun, audit_id, *found)
    assert (looked["finished"], len(looked["again"])) == (False, 64)

    again = platform.audit_parts("ledger", again=looked["again"])
    looked = platform.audit_look(begun, audit_id, found[0], again, again=looked["again"])
    # The balance is off, and so is the row that was posted on it.
    assert (looked["finished"], looked["differences"], looked["in_motion"]) == (True, 2, 0)


def test_a_step_that_is_tried_again_gives_the_same_answer(platform: Platform) -> None:
    audit_id = asked(platform.world).audit_id
    first = platform.audit(audit_id)
    drift(platform)

    assert platform.audit(audit_id).items() >= first.items()
    begun = stepped(handler, {"step": "begin", "audit_id": audit_id})
    assert {name: begun[name] for name in first} == first


def test_an_audit_without_a_report_is_recorded_as_failed(platform: Platform) -> None:
    audit_id = asked(platform.world).audit_id

    assert handler({"step": "fail", "audit_id": audit_id}, Context()) is None
    assert audit(platform, audit_id).state is AuditState.FAILED


def test_a_scheduled_audit_is_one_for_its_day(platform: Platform) -> None:
    due = {"step": "schedule", "scheduled_at": "2026-11-22T03:30:00Z"}

    first, again = stepped(handler, due), stepped(handler, due)

    assert first == again
    assert audit(platform, first["audit_id"]).requested_by == "schedule"
    assert platform.audit(first["audit_id"])["books_balanced"]
    seen = platform.operator().get(f"/audits/{first['audit_id']}").json
    assert (seen["state"], seen["books_balanced"]) == ("finished", True)


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"audit_id": NOBODYS},
        {"step": "begin"},
        {"step": "begin", "audit_id": 7},
        {"step": "begin", "audit_id": "au_#"},
        {"step": "begin", "audit_id": NOBODYS, "more": 1},
        {"step": "schedule", "scheduled_at": 7},
        {"step": "platform", "segment": SEGMENTS},
        {**SCAN, "segment": -1},
        {**SCAN, "again": "../seal-runs/x"},
        {"step": "ledger", "segment": 0},
        {**LOOK, "platform": []},
        {**LOOK, "ledger": ["x"] * SEGMENTS},
        {**LOOK, "started_at_ms": -1},
        {"step": "fail", "audit_id": None},
        {"step": "other"},
    ],
)
def test_what_is_no_step_has_the_name_that_the_workflow_does_not_retry(
    platform: Platform, event: dict[str, Any]
) -> None:
    with platform.unchanged(), pytest.raises(Exception, match="no step") as caught:
        handler(event, Context())

    assert type(caught.value).__name__ == "SmallPeck.Invalid"


@pytest.mark.parametrize("event", [{"step": "begin", "audit_id": NOBODYS}, {"step": "fail", "audit_id": NOBODYS}, LOOK])
def test_an_audit_that_nobody_asked_for_is_not_found(platform: Platform, event: dict[str, Any]) -> None:
    with platform.unchanged(), pytest.raises(Exception, match="no such audit") as caught:
        handler(event, Context())

    assert type(caught.value).__name__ == "SmallPeck.NotFound"


def test_a_schedule_without_a_moment_and_parts_that_are_gone_have_names_too(platform: Platform) -> None:
    with pytest.raises(Exception, match="no moment") as caught:
        handler({"step": "schedule", "scheduled_at": "tomorrow"}, Context())
    assert type(caught.value).__name__ == "SmallPeck.Malformed"
    with pytest.raises(Exception, match="is gone") as caught:
        handler({**LOOK, "audit_id": asked(platform.world).audit_id}, Context())
    assert type(caught.value).__name__ == "SmallPeck.Unavailable"


def states() -> dict[str, dict[str, Any]]:
    """Every state, those inside of maps too."""
    found: dict[str, dict[str, Any]] = dict(MACHINE["States"])
    for state in MACHINE["States"].values():
        found |= state.get("ItemProcessor", {}).get("States", {})
    return found


def test_the_function_is_what_every_task_of_the_workflow_calls_but_the_alarm() -> None:
    tasks = {name: state for name, state in states().items() if state["Type"] == "Task"}
    alarm = tasks.pop("Alarm")

    assert {state["Resource"] for state in tasks.values()} == {"${BooksAudit}"}
    assert [state["Parameters"]["step"] for state in tasks.values()] == [
        "schedule", "begin", "look", "fail", "platform", "ledger",
    ]  # fmt: skip
    assert all(state["Retry"] and state["TimeoutSeconds"] for state in tasks.values())
    assert alarm["Parameters"] == {
        "TopicArn": "${AlarmTopic}", "Subject": "The books differ", "Message.$": "$.looked.says",
    }  # fmt: skip


def test_the_ledger_is_scanned_in_parts_after_the_platform_and_again_while_something_moves() -> None:
    machine = MACHINE["States"]

    assert (machine["ScanPlatform"]["Type"], machine["ScanPlatform"]["Next"]) == ("Map", "ScanLedger")
    assert (machine["ScanLedger"]["Type"], machine["ScanLedger"]["Next"]) == ("Map", "Look")
    assert machine["IsCertain"]["Default"] == "ScanLedger"
    assert machine["FirstLook"]["Result"] == {"again": ""}


def test_the_workflow_fails_where_the_books_differ_and_where_there_is_no_report() -> None:
    machine = MACHINE["States"]

    assert machine["Balanced"]["Default"] == "Alarm"
    assert machine["Alarm"]["Next"] == machine["Alarm"]["Catch"][0]["Next"] == "BooksDiffer"
    assert machine["BooksDiffer"]["Type"] == "Fail"
    for name in ("Begin", "ScanPlatform", "ScanLedger", "Look"):
        assert machine[name]["Catch"][0]["Next"] == "RecordFailure"
    assert machine["RecordFailure"]["Next"] == machine["RecordFailure"]["Catch"][0]["Next"] == "Stopped"
    assert machine["Stopped"]["Type"] == "Fail"


def test_a_workflow_is_started_under_the_name_of_its_audit() -> None:
    started: list[dict[str, Any]] = []

    class Workflows:
        def start_execution(self, **arguments: Any) -> None:
            started.append(arguments)

    settings = Settings(books_audit_arn="arn:audit")
    wiring.start_audit(Wiring(settings, clients={"stepfunctions": Workflows()}))("au_1")

    assert started == [{"stateMachineArn": "arn:audit", "name": "au_1", "input": '{"audit_id": "au_1"}'}]
