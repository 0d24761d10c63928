"""An operator's commands, and the outputs of a stage."""

import json
from typing import Any

import pytest

from cli.main import main
from tests.unit.cli.conftest import FakeStage

API = "/v1/operator"


def audit(*, balanced: bool) -> dict[str, Any]:
    difference = {"subject": "worker:w1", "what": "balance", "expected_micros": 5, "found_micros": 6}
    return {
        "audit_id": "a1",
        "state": "finished",
        "requested_at": "2026-11-22T09:00:00.000Z",
        "books_balanced": balanced,
        "entries": 3,
        "difference_count": 0 if balanced else 1,
        "differences": [] if balanced else [difference],
        "totals": {"escrow": {"USD": "1.50"}},
    }


@pytest.mark.parametrize(("balanced", "code"), [(True, 0), (False, 1)])
def test_books_that_do_not_balance_end_with_1(
    *, stage: FakeStage, balanced: bool, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    running = {"audit_id": "a1", "state": "running"}
    stage.answers("POST", f"{API}/audits", running, status=202)
    stage.answers("GET", f"{API}/audits/a1", running, audit(balanced=balanced))
    assert main(["audit", "--json"]) == code
    assert json.loads(capsys.readouterr().out) == audit(balanced=balanced)
    assert main(["audit"]) == code
    told = capsys.readouterr().out
    assert "1.50" in told
    assert ("worker:w1" in told) is not balanced


@pytest.mark.parametrize(("reconciled", "code"), [(True, 0), (None, 0), (False, 1)])
def test_a_payout_run_is_waited_for(
    *, stage: FakeStage, reconciled: bool | None, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    counts: dict[str, Any] = {"members": 2, "settled": 0, "released": 0, "frozen": 0, "unresolved": 0}
    run = {"run_id": "p1", "state": "sending", "paid": {}, "reconciled": None, **counts}
    ended = run | {"state": "finished", "settled": 2, "paid": {"USD": "12.34"}, "reconciled": reconciled}
    stage.answers("POST", f"{API}/payout-runs", run, status=202)
    stage.answers("GET", f"{API}/payout-runs/p1", run, ended)
    assert main(["payouts", "run", "--rounds", "3", "--first-wait", "2"]) == code
    assert "12.34" in capsys.readouterr().out
    assert stage.requests[0].document == {"rounds": 3, "first_wait_seconds": 2}


def test_outputs_of_this_machine(stage: FakeStage, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["outputs", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["stage"] == "local"
    assert told["outputs"]["ApiUrl"] == stage.url
    assert "password" not in json.dumps(told)


def stack(outputs: dict[str, str]) -> bytes:
    """What CloudFormation says of a stack."""
    members = "".join(
        f"<member><OutputKey>{name}</OutputKey><OutputValue>{value}</OutputValue></member>"
        for name, value in outputs.items()
    )
    return (
        "<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>s</StackName>"
        f"<Outputs>{members}</Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>"
    ).encode()


@pytest.fixture
def account(stage: FakeStage, monkeypatch: pytest.MonkeyPatch) -> FakeStage:
    """An AWS account whose every service is the fake."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", stage.url)
    return stage


def test_outputs_of_a_deployed_stage(account: FakeStage, capsys: pytest.CaptureFixture[str]) -> None:
    account.answers("POST", "/", stack({"UserPoolId": "pool", "ExportsOutputX": "y"}), stack({"ApiId": "a"}))
    assert main(["outputs", "--stage", "dev", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["outputs"] == {"ApiId": "a", "UserPoolId": "pool"}
    assert [b"small-peck-dev-stateful" in one.body for one in account.requests] == [True, False]


def test_what_aws_refuses_is_said(account: FakeStage, capsys: pytest.CaptureFixture[str]) -> None:
    said = b"<ErrorResponse><Error><Code>ValidationError</Code><Message>no such stack</Message></Error></ErrorResponse>"
    account.answers("POST", "/", said, status=400)
    assert main(["outputs", "--stage", "prod", "--json"]) == 1
    assert json.loads(capsys.readouterr().err)["detail"] == "no such stack"


def test_a_deployed_stage_needs_a_region(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    assert main(["queues", "--stage", "prod"]) == 1
    assert "AWS_REGION" in capsys.readouterr().err


def test_a_mistyped_command_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["batchs"], ["batches"], ["audit", "--stage", "home"]):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 2
    assert "usage" in capsys.readouterr().err
