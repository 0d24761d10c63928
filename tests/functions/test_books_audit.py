"""The function of the books audit workflow, and the workflow's own file."""

import json
from pathlib import Path
from typing import Any

import pytest

from functions.books_audit.handler import handler
from smallpeck.ledger.audit_service import Audit, AuditState, get_audit, start_audit
from smallpeck.runtime import wiring
from smallpeck.runtime.settings import Settings
from smallpeck.runtime.wiring import Wiring, wired
from tests.support import World

MACHINE: dict[str, Any] = json.loads(Path("infra/workflows/books_audit.asl.json").read_text(encoding="utf-8"))


class Context:
    function_name = "books_audit"
    aws_request_id = "request-1"


class Deployed:
    """The function as it is deployed, over a world."""

    def __init__(self) -> None:
        self.world = World()
        settings = Settings(stage="local", platform_table="platform", ledger_table="ledger")
        self.wiring = Wiring(settings, clients={"dynamodb": self.world.aws.dynamodb})

    def asked(self, key: str = "k") -> str:
        return start_audit(
            operator_id="op",
            idempotency_key=key,
            now_ms=self.world.now_ms,
            audits=wiring.audit_store(self.wiring),
            unit=self.world.table,
            start=lambda _: None,
        ).audit_id

    def run(self, **event: Any) -> Any:
        with wired(self.wiring):
            return handler(event, Context())

    def audit(self, audit_id: str) -> Audit:
        return get_audit(audit_id=audit_id, audits=wiring.audit_store(self.wiring))


@pytest.fixture
def deployed() -> Deployed:
    return Deployed()


def test_right_books_are_told_to_the_workflow_and_recorded(deployed: Deployed) -> None:
    deployed.world.active(4)
    deployed.world.answer("ann")
    audit_id = deployed.asked()

    assert deployed.run(audit_id=audit_id) == {"books_balanced": True, "differences": 0, "in_motion": 0}

    report = deployed.audit(audit_id).report
    assert report is not None
    # The deposit, the escrow, the credit.
    assert report.entries == 3


def test_wrong_books_are_counted_for_the_alarm(deployed: Deployed, capsys: pytest.CaptureFixture[str]) -> None:
    deployed.world.deposit(5)
    deployed.world.aws.dynamodb.update_item(
        TableName="platform",
        Key={"pk": {"S": "ACCOUNT#requester:requester-1:available:USD"}, "sk": {"S": "BALANCE"}},
        UpdateExpression="ADD balance_micros :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )

    answer = deployed.run(audit_id=deployed.asked())

    assert answer == {"books_balanced": False, "differences": 1, "in_motion": 0}
    written = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert [line["BooksDifferences"] for line in written if "BooksDifferences" in line] == [[1.0]]


def test_a_step_that_is_tried_again_gives_the_same_answer(deployed: Deployed) -> None:
    audit_id = deployed.asked()
    first = deployed.run(audit_id=audit_id)
    deployed.world.deposit(5)

    assert deployed.run(audit_id=audit_id) == first
    report = deployed.audit(audit_id).report
    assert report is not None
    assert report.entries == 0


def test_an_audit_without_a_report_is_recorded_as_failed(deployed: Deployed) -> None:
    audit_id = deployed.asked()

    assert deployed.run(audit_id=audit_id, failed=True) is None
    assert deployed.audit(audit_id).state is AuditState.FAILED


@pytest.mark.parametrize(
    "event",
    [{}, {"audit_id": 7}, {"audit_id": "au_#"}, {"audit_id": "au_" + "0" * 26, "more": 1}, {"audit_id": None}],
)
def test_what_is_no_step_has_the_name_that_the_workflow_does_not_retry(
    deployed: Deployed, event: dict[str, Any]
) -> None:
    with pytest.raises(Exception, match="no step") as caught:
        deployed.run(**event)

    assert type(caught.value).__name__ == "SmallPeck.Invalid"


def test_an_audit_that_nobody_asked_for_is_not_found(deployed: Deployed) -> None:
    with pytest.raises(Exception, match="no such audit") as caught:
        deployed.run(audit_id="au_" + "0" * 26)

    assert type(caught.value).__name__ == "SmallPeck.NotFound"


def test_the_function_is_what_every_task_of_the_workflow_calls() -> None:
    tasks = [state for state in MACHINE["States"].values() if state["Type"] == "Task"]

    assert {state["Resource"] for state in tasks} == {"${BooksAudit}"}
    assert all(state["Catch"] and state["Retry"] and state["TimeoutSeconds"] for state in tasks)


def test_the_workflow_fails_where_the_books_differ_and_where_there_is_no_report() -> None:
    states = MACHINE["States"]

    assert states["Balanced"]["Default"] == "BooksDiffer"
    assert states["BooksDiffer"]["Type"] == "Fail"
    assert states["Audit"]["Catch"][0]["Next"] == "RecordFailure"
    assert states["RecordFailure"]["Next"] == states["RecordFailure"]["Catch"][0]["Next"] == "Stopped"
    assert states["Stopped"]["Type"] == "Fail"


def test_a_workflow_is_started_under_the_name_of_its_audit(deployed: Deployed) -> None:
    started: list[dict[str, Any]] = []

    class Workflows:
        def start_execution(self, **arguments: Any) -> None:
            started.append(arguments)

    settings = Settings(books_audit_arn="arn:audit")
    wiring.start_audit(Wiring(settings, clients={"stepfunctions": Workflows()}))("au_1")

    assert started == [{"stateMachineArn": "arn:audit", "name": "au_1", "input": '{"audit_id": "au_1"}'}]
