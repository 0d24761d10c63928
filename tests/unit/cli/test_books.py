"""An operator's commands, and the outputs of a stage."""

import json
from typing import Any

import boto3
import pytest
from moto import mock_aws

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


def test_outputs_of_a_deployed_stage(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        cloudformation = boto3.client("cloudformation", region_name="us-east-1")
        for stack, outputs in {
            "stateful": {"UserPoolId": "pool", "ExportsOutputX": "y"},
            "service": {"ApiId": "a"},
        }.items():
            template = {
                "Resources": {f"Topic{stack}": {"Type": "AWS::SNS::Topic"}},
                "Outputs": {name: {"Value": value} for name, value in outputs.items()},
            }
            cloudformation.create_stack(StackName=f"small-peck-dev-{stack}", TemplateBody=json.dumps(template))
        assert main(["outputs", "--stage", "dev", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["outputs"] == {"ApiId": "a", "UserPoolId": "pool"}

        assert main(["outputs", "--stage", "prod"]) == 1
        assert "does not exist" in capsys.readouterr().err


def test_a_mistyped_command_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["batchs"], ["batches"], ["audit", "--stage", "home"]):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 2
    assert "usage" in capsys.readouterr().err
