"""The recording stand-in for Step Functions."""

from __future__ import annotations

import pytest

from tests.aws import Aws

MACHINE = "arn:aws:states:eu-central-1:123456789012:stateMachine:payout"


def start(aws: Aws, name: str, text: str = "{}") -> str:
    return str(aws.sfn.start_execution(stateMachineArn=MACHINE, name=name, input=text)["executionArn"])


def test_a_name_is_one_execution(aws: Aws) -> None:
    arn = start(aws, "run-1", '{"a": 1}')
    assert arn == "arn:aws:states:eu-central-1:123456789012:execution:payout:run-1"
    assert start(aws, "run-1", '{"a": 1}') == arn
    with pytest.raises(aws.sfn.exceptions.ExecutionAlreadyExists):
        start(aws, "run-1", '{"a": 2}')
    aws.sfn.finish(arn)
    with pytest.raises(aws.sfn.exceptions.ExecutionAlreadyExists):
        start(aws, "run-1", '{"a": 1}')
    start(aws, "run-2")
    assert [execution.name for execution in aws.sfn.executions] == ["run-1", "run-2"]
    assert aws.sfn.executions[0].input == '{"a": 1}'
    assert aws.sfn.describe_execution(executionArn=arn)["status"] == "SUCCEEDED"


def test_refusals(aws: Aws) -> None:
    with pytest.raises(aws.sfn.exceptions.InvalidExecutionInput):
        start(aws, "run", "not json")
    with pytest.raises(aws.sfn.exceptions.ExecutionDoesNotExist):
        aws.sfn.describe_execution(executionArn=MACHINE)
    assert aws.sfn.executions == []


def test_without_a_name_each_start_is_new(aws: Aws) -> None:
    for _ in range(2):
        aws.sfn.start_execution(stateMachineArn=MACHINE)
    assert len({execution.arn for execution in aws.sfn.executions}) == 2


def test_task_answers_are_recorded_once(aws: Aws) -> None:
    aws.sfn.send_task_success(taskToken="t1", output='{"ok": true}')
    aws.sfn.send_task_failure(taskToken="t2", error="Refused", cause="why")
    assert [(answer.token, answer.output, answer.error) for answer in aws.sfn.answers] == [
        ("t1", '{"ok": true}', ""),
        ("t2", None, "Refused"),
    ]
    for token in ("t1", "t2"):
        with pytest.raises(aws.sfn.exceptions.TaskTimedOut):
            aws.sfn.send_task_success(taskToken=token, output="{}")
    aws.sfn.refused_tokens.add("t3")
    with pytest.raises(aws.sfn.exceptions.TaskTimedOut):
        aws.sfn.send_task_failure(taskToken="t3")
