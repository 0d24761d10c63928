"""Step Functions: the states, errors and maps that the workflows are made of."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cli.wait import until
from tests.contract.ministack.lab import ROLE, Lab

INVOKE = "arn:aws:states:::lambda:invoke"

FAILING = """
    class Declined(Exception): pass
    def handler(event, context):
        raise Declined("no")
"""


def _task(function: str, **more: Any) -> dict[str, Any]:
    parameters = {"FunctionName": function, "Payload.$": "$"}
    return {"Type": "Task", "Resource": INVOKE, "Parameters": parameters, "End": True} | more


def _map(processor: dict[str, Any], *, mode: str, **more: Any) -> dict[str, Any]:
    inner = {"ProcessorConfig": {"Mode": mode}, "StartAt": "Each", "States": {"Each": processor}}
    if mode == "DISTRIBUTED":
        inner["ProcessorConfig"] = {"Mode": mode, "ExecutionType": "STANDARD"}
    return {"Type": "Map", "ItemProcessor": inner, "End": True} | more


PASS = {"Type": "Pass", "End": True}


def test_a_task_is_given_its_input_and_selects_its_result(lab: Lab) -> None:
    function = lab.function("def handler(event, context): return {'double': event['n'] * 2}")
    machine = lab.machine({"Double": _task(function, ResultSelector={"answer.$": "$.Payload.double"})})
    assert lab.run(machine, {"n": 21}) == {"answer": 42}


def test_catch_finds_a_python_error_by_its_class_name(lab: Lab) -> None:
    function = lab.function(FAILING)
    catch = [{"ErrorEquals": ["Declined"], "ResultPath": "$.error", "Next": "Note"}]
    machine = lab.machine(
        {"Pay": _task(function, Catch=catch), "Note": {"Type": "Pass", "OutputPath": "$.error", "End": True}}
    )
    told = lab.run(machine)
    assert told["Error"] == "Declined"
    assert json.loads(told["Cause"])["errorMessage"] == "no"


def test_an_error_that_nobody_catches_is_the_executions_error(lab: Lab) -> None:
    other = [{"ErrorEquals": ["SomethingElse"], "Next": "Never"}]
    machine = lab.machine({"Pay": _task(lab.function(FAILING), Catch=other), "Never": PASS})
    assert lab.run(machine) == "Declined"


def test_retry_repeats_by_name_and_gives_up(lab: Lab) -> None:
    table = lab.table()
    function = lab.function(
        """
        import boto3, os
        class NotYet(Exception): pass
        def handler(event, context):
            told = boto3.client("dynamodb").update_item(
                TableName=os.environ["TABLE"], Key={"pk": {"S": "n"}, "sk": {"S": "-"}}, ReturnValues="ALL_NEW",
                UpdateExpression="ADD n :one", ExpressionAttributeValues={":one": {"N": "1"}})
            if int(told["Attributes"]["n"]["N"]) < event["good"]:
                raise NotYet()
            return int(told["Attributes"]["n"]["N"])
        """,
        environment={"TABLE": table},
    )
    retry = [{"ErrorEquals": ["NotYet"], "IntervalSeconds": 1, "BackoffRate": 2.0, "MaxAttempts": 2}]
    machine = lab.machine({"Try": _task(function, Retry=retry, OutputPath="$.Payload")})
    assert lab.run(machine, {"good": 3}) == 3
    assert lab.run(machine, {"good": 100}) == "NotYet"


def test_wait_choice_and_fail(lab: Lab) -> None:
    states = {
        "Rest": {"Type": "Wait", "SecondsPath": "$.seconds", "Next": "Which"},
        "Which": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.amount", "NumericGreaterThan": 10, "Next": "Much"}],
            "Default": "Little",
        },
        "Much": {"Type": "Succeed"},
        "Little": {"Type": "Fail", "Error": "TooLittle", "Cause": "not worth the fee"},
    }
    machine = lab.machine(states)
    assert lab.run(machine, {"seconds": 5, "amount": 11})["amount"] == 11, "five seconds pass in a quarter"
    assert lab.run(machine, {"seconds": 0, "amount": 1}) == "TooLittle"


def test_an_inline_map_keeps_the_order_and_parameters(lab: Lab) -> None:
    machine = lab.machine(
        {
            "All": _map(
                PASS,
                mode="INLINE",
                ItemsPath="$.items",
                MaxConcurrency=2,
                ItemSelector={"item.$": "$$.Map.Item.Value", "batch.$": "$.batch"},
            )
        }
    )
    told = lab.run(machine, {"batch": "b", "items": [3, 1, 2]})
    assert told == [{"item": item, "batch": "b"} for item in (3, 1, 2)]


def _distributed(bucket: str, key: str, **more: Any) -> dict[str, Any]:
    reader = {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "JSON"},
        "Parameters": {"Bucket": bucket, "Key": key},
    }
    return _map(PASS, mode="DISTRIBUTED", ItemReader=reader, MaxConcurrency=10) | more


def test_a_distributed_map_reads_a_manifest_one_item_per_child(lab: Lab) -> None:
    s3, bucket = lab.client("s3"), lab.bucket()
    parts = [{"key": f"part-{number}", "rows": 500} for number in range(12)]
    s3.put_object(Bucket=bucket, Key="manifest.json", Body=json.dumps(parts))
    selected = {"part.$": "$$.Map.Item.Value.key", "batch.$": "$.batch"}
    machine = lab.machine({"All": _distributed(bucket, "manifest.json", ItemSelector=selected)})
    told = lab.run(machine, {"batch": "b"})
    assert told == [{"part": f"part-{number}", "batch": "b"} for number in range(12)]


def test_a_distributed_map_ignores_batcher_version_and_result_writer(lab: Lab) -> None:
    """So a workflow must be right with one part per child, by plain key, and results that come back inline."""
    s3, bucket = lab.client("s3"), lab.bucket()
    old = s3.put_object(Bucket=bucket, Key="m", Body=b'["old"]')["VersionId"]
    s3.put_object(Bucket=bucket, Key="m", Body=b'["new", "newer"]')
    state = _distributed(
        bucket,
        "m",
        ItemBatcher={"MaxItemsPerBatch": 10},
        ResultWriter={
            "Resource": "arn:aws:states:::s3:putObject",
            "Parameters": {"Bucket": bucket, "Prefix": "out"},
        },
    )
    state["ItemReader"]["Parameters"]["VersionId"] = old
    assert lab.run(lab.machine({"All": state})) == ["new", "newer"]
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket, Prefix="out")


def test_a_distributed_map_fails_with_a_child_unless_failures_are_tolerated(lab: Lab) -> None:
    s3, bucket = lab.client("s3"), lab.bucket()
    s3.put_object(Bucket=bucket, Key="m", Body=b"[1, 2, 3]")
    state = _distributed(bucket, "m", ResultPath=None)
    state["ItemProcessor"]["States"]["Each"] = {
        "Type": "Choice",
        "Choices": [{"Variable": "$", "NumericEquals": 2, "Next": "Bad"}],
        "Default": "Good",
    }
    state["ItemProcessor"]["States"] |= {
        "Good": {"Type": "Succeed"},
        "Bad": {"Type": "Fail", "Error": "BadPart"},
    }
    assert lab.run(lab.machine({"All": state})) == "States.ExceedToleratedFailureThreshold"
    assert lab.run(lab.machine({"All": state | {"ToleratedFailurePercentage": 50}}), {"kept": 1}) == {"kept": 1}


def test_a_task_token_is_answered_from_outside(lab: Lab) -> None:
    url, _ = lab.queue()
    waiting = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": url, "MessageBody": {"token.$": "$$.Task.Token"}},
        "End": True,
    }
    workflows = lab.client("stepfunctions")
    started = workflows.start_execution(stateMachineArn=lab.machine({"Ask": waiting}), input="{}")
    (message,) = lab.hear(url)
    workflows.send_task_success(taskToken=message["token"], output='{"verdict": "installed"}')
    assert json.loads(lab.ended(started["executionArn"])["output"]) == {"verdict": "installed"}


def test_a_task_that_waits_too_long_times_out(lab: Lab) -> None:
    url, _ = lab.queue()
    waiting = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": url, "MessageBody": {"token.$": "$$.Task.Token"}},
        "TimeoutSeconds": 2,
        "Catch": [{"ErrorEquals": ["States.Timeout"], "Next": "Late"}],
        "End": True,
    }
    late = {"Type": "Pass", "Result": "late", "End": True}
    assert lab.run(lab.machine({"Ask": waiting, "Late": late})) == "late"


def test_an_executions_name_can_be_used_once(lab: Lab) -> None:
    workflows, machine = lab.client("stepfunctions"), lab.machine({"One": PASS})
    first = workflows.start_execution(stateMachineArn=machine, name="import-1", input='{"a": 1}')
    lab.ended(first["executionArn"])
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        workflows.start_execution(stateMachineArn=machine, name="import-1", input='{"a": 2}')


def test_a_running_execution_refuses_its_name_even_with_the_same_input(lab: Lab) -> None:
    """AWS answers with the running execution: starting one must take the refusal for success."""
    workflows = lab.client("stepfunctions")
    machine = lab.machine({"Rest": {"Type": "Wait", "Seconds": 36000, "End": True}})
    started = workflows.start_execution(stateMachineArn=machine, name="same", input="{}")
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        workflows.start_execution(stateMachineArn=machine, name="same", input="{}")
    workflows.stop_execution(executionArn=started["executionArn"])
    assert lab.ended(started["executionArn"])["status"] == "ABORTED"


def test_a_result_that_is_a_string_of_json_is_read_as_json(lab: Lab) -> None:
    """AWS leaves it a string: functions in workflows return objects."""
    function = lab.function("def handler(event, context): return '3'")
    assert lab.run(lab.machine({"Say": _task(function, OutputPath="$.Payload")})) == 3


def test_intrinsic_functions_and_jsonata(lab: Lab) -> None:
    paths = {"Type": "Pass", "Parameters": {"name.$": "States.Format('{}-{}', $.a, $.b)"}, "End": True}
    assert lab.run(lab.machine({"Name": paths}), {"a": "x", "b": 1}) == {"name": "x-1"}
    jsonata = {
        "Type": "Pass",
        "QueryLanguage": "JSONata",
        "Output": "{% {'sum': $sum($states.input.n)} %}",
        "End": True,
    }
    assert lab.run(lab.machine({"Sum": jsonata}), {"n": [1, 2]}) == {"sum": 3}


def test_an_object_in_a_bucket_starts_an_execution_with_its_version(lab: Lab) -> None:
    events, s3, bucket = lab.client("events"), lab.client("s3"), lab.bucket(eventbridge=True)
    machine, rule = lab.machine({"One": PASS}), lab.name("rule")
    pattern = {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [bucket]}, "object": {"key": [{"prefix": "inbox/"}]}},
    }
    events.put_rule(Name=rule, EventPattern=json.dumps(pattern))
    paths = {"key": "$.detail.object.key", "version": "$.detail.object.version-id"}
    transformed = {
        "InputPathsMap": paths,
        "InputTemplate": '{"key": <key>, "version": <version>}',
    }
    target = {"Id": "1", "Arn": machine, "RoleArn": ROLE, "InputTransformer": transformed}
    events.put_targets(Rule=rule, Targets=[target])
    s3.put_object(Bucket=bucket, Key="elsewhere/a.csv", Body=b"x")
    version = s3.put_object(Bucket=bucket, Key="inbox/r1/a b.csv", Body=b"x")["VersionId"]
    workflows = lab.client("stepfunctions")

    def executions() -> Any:
        return workflows.list_executions(stateMachineArn=machine)["executions"]

    (started,) = until(executions, what="the execution")
    assert json.loads(lab.ended(started["executionArn"])["input"]) == {
        "key": "inbox/r1/a b.csv",
        "version": version,
    }
