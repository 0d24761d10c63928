"""What is dropped into an inbox becomes a batch, once, or a report of what is wrong, and never silence."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from smallpeck.kernel.errors import SmallPeckError
from smallpeck.ledger.accounts import escrow, requester_available
from smallpeck.runtime.inboxes import inbox_credentials, session_policy
from smallpeck.runtime.settings import Settings
from smallpeck.runtime.wiring import Wiring, wired
from smallpeck.tasks.importing import Ignored, Upload, begin
from smallpeck.tasks.model import BatchState
from tests.aws import Crash, Fault, Plan
from tests.functions.import_workflow import UPLOADS
from tests.functions.inbox_workflow import GOOD, REQUESTER, SPEC, Failed, Inbox

COST_MICROS = 3 * 3 * 500_000


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    made = Inbox()
    made.world.deposit(10_000_000)
    with wired(made.wiring):
        yield made


def items(inbox: Inbox) -> list[dict[str, Any]]:
    found = [item for table in ("platform", "ledger") for item in inbox.world.table.segment(table, 0, 1)]
    return sorted(found, key=lambda item: (item["pk"], item["sk"]))


def yaml_spec(version_id: str, more: str = "") -> bytes:
    return f"""# A batch of pictures
title: "Cats and dogs"
instructions: |
  Say what you see.
price: "0.50"
countries: [NO, DE]
deadline: 2030-01-01T00:00:00Z
answer_schema:
  enum: [cat, dog]
data:
  key: cats/batch.csv
  version_id: {version_id}
publish: true
{more}""".encode()


def test_a_dropped_spec_is_imported_paid_and_published(inbox: Inbox) -> None:
    event = inbox.drop()
    output = inbox.run(event)
    report = inbox.report(event)
    assert output == {"state": "published", "batch_id": report["batch_id"]}
    assert report == {
        "state": "published",
        "spec": {"key": event["key"], "version_id": event["version_id"]},
        "batch_id": report["batch_id"],
        "batch_state": "active",
        "problems": [],
        "rows": {"read": 4, "accepted": 3, "rejected": 1},
        "rejected_rows": [{"line": 4, "reason": "ragged_row", "detail": "1 cells under 2 columns"}],
        "cost": "4.50",
        "currency": "USD",
        "what_to_do": "nothing is to be done",
    }
    batch = inbox.world.batch(report["batch_id"])
    assert (batch.state, batch.task_count, batch.requester_id) == (BatchState.ACTIVE, 3, REQUESTER)
    assert (batch.price_micros, batch.fee_micros) == (500_000, 100_000)
    assert inbox.world.balance(requester_available(REQUESTER)).balance_micros == 10_000_000 - COST_MICROS
    assert inbox.world.balance(escrow(batch.batch_id, 0)).balance_micros == COST_MICROS
    assert len(inbox.world.leased("ann", batch=batch).assignments) == 3


def test_yaml_says_the_same_as_json(inbox: Inbox) -> None:
    held = inbox.upload(GOOD, f"inbox/{REQUESTER}/cats/batch.csv")
    event = inbox.upload(yaml_spec(held["version_id"]), f"inbox/{REQUESTER}/cats/batch.yaml")
    inbox.run(event)
    report = inbox.report(event)
    assert (report["state"], report["cost"]) == ("published", "4.50")
    batch = inbox.world.batch(report["batch_id"])
    assert (batch.countries, batch.instructions) == (frozenset({"NO", "DE"}), "Say what you see.\n")
    assert batch.deadline_ms == datetime(2030, 1, 1, tzinfo=UTC).timestamp() * 1000


def test_a_spec_that_does_not_ask_for_publishing_ends_ready(inbox: Inbox) -> None:
    event = inbox.drop(publish=False)
    inbox.run(event)
    report = inbox.report(event)
    assert (report["state"], report["batch_state"], report["cost"]) == ("ready", "ready", "4.50")
    assert inbox.world.balance(requester_available(REQUESTER)).balance_micros == 10_000_000


def test_the_same_event_again_changes_nothing(inbox: Inbox) -> None:
    event = inbox.drop()
    inbox.run(event)
    before, report = items(inbox), inbox.report(event)
    inbox.world.aws.clock.advance(86_400)
    inbox.run(event)
    assert (items(inbox), inbox.report(event)) == (before, report)


def test_an_event_that_comes_again_after_the_deadline_is_still_the_same_batch(inbox: Inbox) -> None:
    held = inbox.upload(GOOD, f"inbox/{REQUESTER}/cats/batch.csv")
    event = inbox.upload(yaml_spec(held["version_id"]), f"inbox/{REQUESTER}/cats/batch.yml")
    inbox.run(event)
    inbox.world.aws.clock.advance(20 * 366 * 86_400)
    inbox.run(event)
    assert inbox.report(event)["state"] == "published"


@pytest.mark.parametrize("at", ["Open", "Import", "Split", "Complete", "Conclude"])
def test_two_executions_of_one_event_make_one_batch(inbox: Inbox, at: str) -> None:
    event = inbox.drop()
    run, nested = inbox._task, list[str]()

    def interrupted(name: str, state: Any, data: Any) -> Any:
        if name == at and not nested:
            nested.append(name)
            inbox.run(event)
        return run(name, state, data)

    inbox._task = interrupted  # type: ignore[method-assign]
    inbox.run(event)
    assert nested == [at]
    assert inbox.report(event)["state"] == "published"
    assert [item["sk"] for item in items(inbox)].count("BATCH") == 1
    assert inbox.world.balance(requester_available(REQUESTER)).balance_micros == 10_000_000 - COST_MICROS


def test_each_version_of_a_spec_is_a_batch_of_its_own_in_whatever_order_they_come(inbox: Inbox) -> None:
    first, second = inbox.drop(), inbox.drop(title="Dogs and cats")
    inbox.run(second)
    inbox.run(first)
    titles = {item["title"]: item["state"] for item in items(inbox) if item["sk"] == "BATCH"}
    assert titles == {"Cats and dogs": "active", "Dogs and cats": "active"}
    assert inbox.report(first)["spec"]["version_id"] == first["version_id"]


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "no title": ({"title": None}, "invalid", "/title"),
    "unknown field": ({"colour": "red"}, "invalid", "/colour"),
    "price is a number": ({"price": 0.5}, "invalid", "/price"),
    "no price": ({"price": "0"}, "bad_amount", "/price"),
    "more at least than at most": ({"min_answers": 5, "max_answers": 3}, "invalid", "/min_answers"),
    "no such country": ({"countries": ["DE", "Germany"]}, "invalid", "/countries/1"),
    "bad answer schema": ({"answer_schema": {"$ref": "#"}}, "bad_schema", "/answer_schema"),
    "deadline has passed": ({"deadline": "2020-01-01T00:00:00Z"}, "bad_moment", "/deadline"),
    "publish not said": ({"publish": None}, "invalid", "/publish"),
    "publish is no boolean": ({"publish": "yes"}, "invalid", "/publish"),
    "no data": ({"data": None}, "invalid", "/data"),
    "no version": ({"data": {"key": "cats/batch.csv"}}, "invalid", "/data/version_id"),
    "data of another": ({"data": {"key": "inbox/requester-2/b.csv", "version_id": "v"}}, "bad_data_key", "/data/key"),
    "data up the tree": ({"data": {"key": "../requester-2/b.csv", "version_id": "v"}}, "bad_data_key", "/data/key"),
    "data elsewhere": ({"data": {"key": "/uploads/x.csv", "version_id": "v"}}, "bad_data_key", "/data/key"),
    "the spec itself": ({"data": {"key": "cats/batch.json", "version_id": "v"}}, "bad_data_key", "/data/key"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_spec_with_an_error_ends_as_a_report_and_changes_nothing(inbox: Inbox, case: str) -> None:
    changes, code, pointer = REFUSED[case]
    event, before = inbox.drop(**changes), items(inbox)
    assert inbox.run(event)["state"] == "refused"
    report = inbox.report(event)
    assert (report["state"], report["batch_id"], report["rows"]) == ("refused", None, None)
    assert report["what_to_do"]
    assert any(one["code"] == code and one["pointer"].startswith(pointer) for one in report["problems"]), report
    assert items(inbox) == before
    assert "Import" not in inbox.visited


def test_a_problem_names_the_line_of_a_yaml_spec(inbox: Inbox) -> None:
    event = inbox.upload(yaml_spec("v", "min_answers: 0\n"), f"inbox/{REQUESTER}/batch.yaml")
    inbox.run(event)
    (problem,) = inbox.report(event)["problems"]
    assert (problem["pointer"], problem["line"]) == ("/min_answers", 14)


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("x.json", b"{", None),
        ("x.json", b'{"title": 1, "title": 2}', None),
        ("x.json", b"", None),
        ("x.yaml", b"title: [1", 1),
        ("x.yaml", b"a: 1\na: 2\n", 2),
        ("x.yaml", b"\xff\xfe", None),
        ("x.yaml", b"# nothing\n", None),
        ("x.yaml", b"title: " + b"x" * 70_000, None),
        ("x.yml", b"a: !!python/object/apply:os.system ['true']\n", 1),
    ],
)
def test_a_file_that_is_no_spec_ends_as_a_report(inbox: Inbox, name: str, text: bytes, line: int | None) -> None:
    event = inbox.upload(text, f"inbox/{REQUESTER}/{name}")
    assert inbox.run(event)["state"] == "refused"
    (problem,) = inbox.report(event)["problems"]
    assert (problem["code"], problem["line"]) == ("bad_spec", line)


@pytest.mark.parametrize("changes", [{"key": "cats/other.csv"}, {"version_id": "unknown"}])
def test_data_that_is_not_there_ends_as_a_report(inbox: Inbox, changes: dict[str, str]) -> None:
    held = inbox.upload(GOOD, f"inbox/{REQUESTER}/cats/batch.csv")
    event = inbox.drop(data={"key": "cats/batch.csv", "version_id": held["version_id"]} | changes)
    inbox.run(event)
    report = inbox.report(event)
    assert (report["state"], report["batch_state"]) == ("refused", "draft")
    assert [(one["pointer"], one["code"]) for one in report["problems"]] == [("/data", "file_gone")]


def test_a_spec_that_was_deleted_meanwhile_ends_as_a_report(inbox: Inbox) -> None:
    event = inbox.drop()
    inbox.world.aws.s3.delete_object(Bucket=UPLOADS, Key=event["key"], VersionId=event["version_id"])
    inbox.run(event)
    assert inbox.report(event)["problems"][0]["code"] == "file_gone"


def test_data_that_cannot_be_imported_ends_as_a_report_with_its_line(inbox: Inbox) -> None:
    held = inbox.upload(b'id,text\na,"open\n', f"inbox/{REQUESTER}/cats/batch.csv")
    event = inbox.drop(data={"key": "cats/batch.csv", "version_id": held["version_id"]})
    inbox.run(event)
    (problem,) = inbox.report(event)["problems"]
    assert (problem["pointer"], problem["code"], problem["line"]) == ("/data", "unclosed_quote", 2)


def test_without_funds_nothing_is_paid_and_the_batch_can_be_published_later(inbox: Inbox) -> None:
    event = inbox.drop(price="5.00")
    inbox.run(event)
    report = inbox.report(event)
    assert (report["state"], report["batch_state"], report["cost"]) == ("refused", "ready", "45.00")
    assert [one["code"] for one in report["problems"]] == ["insufficient_funds"]
    assert "45.00 USD" in report["what_to_do"]
    assert inbox.world.balance(requester_available(REQUESTER)).balance_micros == 10_000_000
    inbox.world.deposit(40_000_000, key="more")
    assert inbox.world.publish(inbox.world.batch(report["batch_id"])).state is BatchState.ACTIVE


def test_a_batch_that_cannot_be_published_says_why(inbox: Inbox) -> None:
    event = inbox.drop(data=None)
    held = inbox.upload(b"id,text\na," + b"x" * 20_000 + b"\n", f"inbox/{REQUESTER}/big.csv")
    event = inbox.drop(data={"key": "big.csv", "version_id": held["version_id"]}, page_size=50)
    inbox.run(event)
    report = inbox.report(event)
    assert (report["state"], report["problems"][0]["pointer"]) == ("refused", "/page_size")


def test_an_inbox_of_nobody_is_told_so() -> None:
    inbox = Inbox(known=False)
    with wired(inbox.wiring):
        event = inbox.drop()
        inbox.run(event)
    assert [one["code"] for one in inbox.report(event)["problems"]] == ["no_such_requester"]
    assert items(inbox) == []


def test_a_batch_that_took_another_file_meanwhile_is_not_published(inbox: Inbox) -> None:
    event = inbox.drop()
    run, done = inbox._task, list[Any]()

    def interrupted(name: str, state: Any, data: Any) -> Any:
        if name == "Import" and not done:
            batch_id = data["opened"]["batch_id"]
            upload = inbox.upload(b"id,text\nz,z\n", f"uploads/{REQUESTER}/{batch_id}/other.csv")
            done.append(None)
            done.append(inbox.execute(upload)["state"])
        return run(name, state, data)

    inbox._task = interrupted  # type: ignore[method-assign]
    inbox.run(event)
    assert done[1] == "done"
    assert [one["code"] for one in inbox.report(event)["problems"]] == ["not_imported"]
    assert inbox.world.balance(requester_available(REQUESTER)).balance_micros == 10_000_000


@pytest.mark.parametrize("step", ["Open", "Import", "Split", "WritePart", "Complete", "Conclude"])
def test_a_fault_of_ours_ends_as_a_report_and_as_a_failure(inbox: Inbox, step: str) -> None:
    event = inbox.drop()
    inbox.faults[step] = [RuntimeError("gone")]
    with pytest.raises(Failed, match=r"RuntimeError|Failed"):
        inbox.run(event)
    report = inbox.report(event)
    assert (report["state"], report["problems"][0]["code"]) == ("failed", "internal")
    assert report["what_to_do"]
    assert inbox.world.balance(requester_available(REQUESTER)).balance_micros == 10_000_000


def test_a_fault_after_publishing_says_that_it_is_published(inbox: Inbox) -> None:
    event = inbox.drop()
    run, done = inbox._task, list[str]()

    def interrupted(name: str, state: Any, data: Any) -> Any:
        answer = run(name, state, data)
        if name == "Conclude" and not done:
            done.append(name)
            raise RuntimeError("gone")
        return answer

    inbox._task = interrupted  # type: ignore[method-assign]
    with pytest.raises(Failed):
        inbox.run(event)
    report = inbox.report(event)
    assert (report["state"], report["batch_state"]) == ("failed", "active")
    assert report["what_to_do"] == "nothing is to be done"


def dropped(plan: Plan | None) -> tuple[list[dict[str, Any]], Any, int]:
    """What is stored and reported after a drop that died by `plan` and ran again; and how many calls one takes."""
    inbox = Inbox()
    inbox.world.deposit(10_000_000)
    event = inbox.drop()
    faults = inbox.world.aws.faults
    with wired(inbox.wiring):
        calls = 0
        if plan is None:
            calls = faults.count_calls(lambda: inbox.run(event))
        else:
            with faults.planned(plan), pytest.raises(Crash):
                inbox.run(event)
        inbox.run(event)
    return items(inbox), inbox.report(event), calls


def test_a_drop_killed_at_any_call_ends_the_same_when_it_runs_again() -> None:
    stored, report, calls = dropped(None)
    assert report["state"] == "published"
    assert calls > 25
    times = {"started_at_ms", "finished_at_ms", "created_at_ms", "at_ms", "deadline_ms"}

    def timeless(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{name: item[name] for name in item.keys() - times} for item in found]

    for call in range(calls):
        for fault in (Fault.CRASH_BEFORE, Fault.CRASH_AFTER):
            again, told, _ = dropped(Plan(fault, at=call))
            assert (timeless(again), told) == (timeless(stored), report), (call, fault)


def test_a_report_starts_nothing(inbox: Inbox) -> None:
    event = inbox.drop()
    inbox.run(event)
    inbox.visited.clear()
    held = inbox.world.aws.s3.get_object(Bucket=UPLOADS, Key=event["key"] + ".report.json")
    inbox.run({"bucket": UPLOADS, "key": event["key"] + ".report.json", "version_id": held["VersionId"]})
    assert inbox.visited == ["CheckInput", "IsReport", "Ignored"]
    assert inbox.reports() == [event["key"] + ".report.json"]


@pytest.mark.parametrize("key", ["inbox/r#1/x.yaml", "inbox/x.yaml", "uploads/requester-1/b1/x.json", "inbox/r/x.csv"])
def test_what_is_no_spec_in_an_inbox_is_left_alone(inbox: Inbox, key: str) -> None:
    event = inbox.upload(json.dumps(SPEC).encode(), key)
    assert inbox.run(event)["state"] == "ignored"
    assert inbox.reports() == []


def test_a_name_too_long_for_a_report_beside_it_still_gets_one(inbox: Inbox) -> None:
    event = inbox.upload(b"{", f"inbox/{REQUESTER}/{'x' * 990}.json")
    inbox.run(event)
    (key,) = inbox.reports()
    assert len(key) < 100
    assert json.loads(inbox.world.aws.s3.get_object(Bucket=UPLOADS, Key=key)["Body"].read())["state"] == "refused"


def test_a_file_in_an_inbox_is_imported_into_a_batch_of_its_own_requester_only(inbox: Inbox) -> None:
    inbox.world.draft()
    reads, unit = inbox.wiring.once(import_reads), inbox.world.table
    for key, why in {
        "inbox/requester-2/x.csv": Ignored.NO_SUCH_BATCH,
        "uploads/requester-1/b1/x.csv": Ignored.NOT_AN_UPLOAD,
        "inbox/requester-1/": Ignored.NOT_AN_UPLOAD,
    }.items():
        assert begin(upload=Upload(UPLOADS, key, "v"), into="b1", now_ms=1, reads=reads, unit=unit) is why


def import_reads(wiring: Wiring) -> Any:
    from smallpeck.tasks.import_store import ImportStore

    return ImportStore(wiring.table)


@pytest.mark.parametrize("payload", [{}, {"step": "open"}, {"step": "conclude", "bucket": "b", "key": "k"}])
def test_a_payload_that_is_no_step_is_refused_by_name(payload: dict[str, Any]) -> None:
    from functions.inbox_open.handler import handler

    with pytest.raises(Exception, match="bad_step") as refused:
        handler(payload, None)
    assert isinstance(refused.value.__cause__, SmallPeckError)


class Tokens:
    """Stands for STS: says what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def assume_role(self, **arguments: Any) -> dict[str, Any]:
        self.asked.append(arguments)
        until = datetime(2033, 1, 1, tzinfo=UTC)
        return {
            "Credentials": {
                "AccessKeyId": "ASIA", "SecretAccessKey": "secret", "SessionToken": "token", "Expiration": until,
            }
        }  # fmt: skip


def test_credentials_reach_one_inbox_for_an_hour_and_make_the_requester_known() -> None:
    inbox, tokens = Inbox(known=False), Tokens()
    settings = Settings(
        stage="local", platform_table="platform", uploads_bucket=UPLOADS, inbox_role_arn="arn:aws-cn:iam::1:role/drop"
    )
    clients = {"sts": tokens, "dynamodb": inbox.world.aws.dynamodb}
    given = inbox_credentials(Wiring(settings, clients=clients), "q" * 80)
    (asked,) = tokens.asked
    assert asked["DurationSeconds"] == 3_600
    assert len(asked["RoleSessionName"]) == 64
    assert json.loads(asked["Policy"]) == session_policy(UPLOADS, "q" * 80, partition="aws-cn")
    assert len(asked["Policy"]) < 2_048
    assert (given["prefix"], given["expires_at"]) == (f"inbox/{'q' * 80}/", "2033-01-01T00:00:00.000Z")
    assert [item["pk"] for item in items(inbox)] == [f"REQUESTER#{'q' * 80}"]


def test_the_sample_event_is_one_that_the_rule_hands_on(inbox: Inbox) -> None:
    key = json.loads(Path("events/samples/s3_spec_dropped.json").read_text())["detail"]["object"]["key"]
    inbox.run(inbox.upload(b"title: 1", key))
    assert inbox.reports() == [key + ".report.json"]
