"""The hook: every fault at its place, retries as the SDK makes them, the trace, sweeps."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from tests.aws import Aws, Crash, Fault, Plan
from tests.aws.faults import Run, sweep
from tests.contract.aws.steps import n, s
from tests.contract.aws.tables import create

Json = dict[str, Any]


def build() -> Aws:
    aws = Aws()
    create(aws.dynamodb)
    return aws


def put(aws: Aws, key: str = "a") -> None:
    aws.dynamodb.put_item(TableName="solo", Item={"id": s(key)})


def add(aws: Aws) -> None:
    aws.dynamodb.update_item(
        TableName="solo",
        Key={"id": s("a")},
        UpdateExpression="ADD v :one",
        ExpressionAttributeValues={":one": n(1)},
    )


def transact(aws: Aws) -> None:
    update: Json = {"TableName": "solo", "Key": {"id": s("a")}, "UpdateExpression": "ADD v :one"}
    update["ExpressionAttributeValues"] = {":one": n(1)}
    put_other = {"Put": {"TableName": "main", "Item": {"pk": s("p"), "sk": s("k")}}}
    aws.dynamodb.transact_write_items(TransactItems=[{"Update": update}, put_other])


@pytest.mark.parametrize(
    ("fault", "error", "committed"),
    [
        (Fault.CRASH_BEFORE, Crash, False),
        (Fault.CRASH_AFTER, Crash, True),
        (Fault.THROTTLED_ONCE, "ThrottlingException", False),
        (Fault.THROTTLED_ON, "ThrottlingException", False),
        (Fault.ERROR_BEFORE, "InternalServerError", False),
        (Fault.ERROR_AFTER, "InternalServerError", True),
        (Fault.TIMEOUT_BEFORE, ReadTimeoutError, False),
        (Fault.TIMEOUT_AFTER, ReadTimeoutError, True),
        (Fault.CONFLICT, "TransactionConflictException", False),
    ],
)
def test_each_fault(fault: Fault, error: type[BaseException] | str, committed: bool) -> None:  # noqa: FBT001
    aws = build()
    wanted = getattr(aws.dynamodb.exceptions, error) if isinstance(error, str) else error
    with aws.faults.planned(Plan(fault, 0)), pytest.raises(wanted):
        put(aws)
    assert (aws.dynamodb.count("solo") == 1) is committed
    put(aws)
    assert aws.dynamodb.count("solo") == 1


def test_a_crash_passes_through_except_exception() -> None:
    aws = build()
    aws.faults.plan(Plan(Fault.CRASH_BEFORE, 0))

    def careless() -> None:
        try:
            put(aws)
        except Exception:  # noqa: BLE001 - what this test is about
            pytest.fail("the dead do not handle errors")

    with pytest.raises(Crash):
        careless()


def test_throttled_once_and_on_and_on() -> None:
    aws = build()
    with aws.faults.planned(Plan(Fault.THROTTLED_ONCE, 0)):
        with pytest.raises(ClientError):
            put(aws)
        put(aws)
    with aws.faults.planned(plan := Plan(Fault.THROTTLED_ON, "dynamodb.PutItem:solo")):
        for _ in range(3):
            with pytest.raises(ClientError):
                put(aws, "b")
        aws.dynamodb.get_item(TableName="solo", Key={"id": s("a")})
    assert len(plan.fired) == 3
    put(aws, "b")
    assert aws.dynamodb.count("solo") == 2


def test_a_conflict_cancels_a_transaction_with_its_reason() -> None:
    aws = build()
    with (
        aws.faults.planned(Plan(Fault.CONFLICT, "*")),
        pytest.raises(aws.dynamodb.exceptions.TransactionCanceledException) as caught,
    ):
        transact(aws)
    codes = [reason["Code"] for reason in caught.value.response["CancellationReasons"]]
    assert codes == ["TransactionConflict", "None"]
    assert aws.dynamodb.count("solo") == aws.dynamodb.count("main") == 0


def test_a_conflict_waits_for_a_call_that_can_have_one() -> None:
    aws = build()
    with aws.faults.planned(Plan(Fault.CONFLICT, "*")):
        aws.dynamodb.get_item(TableName="solo", Key={"id": s("a")})
        aws.dynamodb.batch_write_item(RequestItems={"solo": [{"PutRequest": {"Item": {"id": s("a")}}}]})
        with pytest.raises(aws.dynamodb.exceptions.TransactionConflictException):
            put(aws)


def test_a_race_runs_whole_and_nested_before_the_call() -> None:
    aws = build()
    unique: Json = {
        "TableName": "solo",
        "Item": {"id": s("a")},
        "ConditionExpression": "attribute_not_exists(id)",
    }
    rival = Plan(Fault.RACE, "dynamodb.PutItem:solo", race=lambda: aws.dynamodb.put_item(**unique))
    with (
        aws.faults.planned(rival),
        pytest.raises(aws.dynamodb.exceptions.ConditionalCheckFailedException),
    ):
        aws.dynamodb.put_item(**unique)
    assert len(rival.fired) == 1
    assert rival.race_errors == []
    assert [line.split(" ", 2)[1] for line in list(aws.faults.trace)[-2:]] == [">", ""]


def test_what_the_rival_raises_stays_with_the_rival() -> None:
    aws = build()

    def lose() -> None:
        raise ValueError("mine")

    with aws.faults.planned(plan := Plan(Fault.RACE, 0, race=lose)):
        put(aws)
    assert [str(error) for error in plan.race_errors] == ["mine"]


def named_site(aws: Aws) -> None:
    put(aws, "site")


def test_plans_find_their_call() -> None:
    def struck(plan: Plan) -> int:
        """Which of the calls crashes."""
        aws = build()
        calls: list[Callable[[Aws], None]] = [put, add, put, named_site, transact]
        with aws.faults.planned(plan):
            for number, call in enumerate(calls):
                try:
                    call(aws)
                except Crash:
                    return number
        return -1

    assert struck(Plan(Fault.CRASH_BEFORE, 1)) == 1
    assert struck(Plan(Fault.CRASH_BEFORE, "dynamodb.PutItem:solo", nth=2)) == 2
    assert struck(Plan(Fault.CRASH_BEFORE, "*.UpdateItem:*")) == 1
    assert struck(Plan(Fault.CRASH_BEFORE, "@named_site")) == 3
    assert struck(Plan(Fault.CRASH_BEFORE, "*:solo,main")) == 4
    assert struck(Plan(Fault.CRASH_BEFORE, 9)) == -1


def test_the_sdk_repeats_what_it_may_and_takes_virtual_time() -> None:
    aws = Aws(max_attempts=3)
    create(aws.dynamodb)
    start = aws.clock.now()
    with aws.faults.planned(Plan(Fault.THROTTLED_ONCE, 0)):
        add(aws)
    assert aws.clock.now() > start
    assert aws.dynamodb.dump("solo")[0]["v"] == n(1)
    with aws.faults.planned(Plan(Fault.TIMEOUT_AFTER, 0)):
        add(aws)
    assert aws.dynamodb.dump("solo")[0]["v"] == n(3)
    with aws.faults.planned(Plan(Fault.TIMEOUT_AFTER, 0)):
        transact(aws)
    assert aws.dynamodb.dump("solo")[0]["v"] == n(4)
    with aws.faults.planned(plan := Plan(Fault.THROTTLED_ON, 0)), pytest.raises(ClientError):
        add(aws)
    assert len(plan.fired) == 3


def test_every_service_passes_the_hook() -> None:
    aws = Aws()
    aws.s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    url = aws.sqs.create_queue(QueueName="work")["QueueUrl"]
    calls: list[Callable[[], object]] = [
        lambda: aws.sqs.send_message(QueueUrl=url, MessageBody="x"),
        lambda: aws.s3.put_object(Bucket="bucket", Key="k", Body=b""),
        lambda: aws.sfn.start_execution(stateMachineArn="arn:aws:states:eu:1:stateMachine:pay"),
    ]
    codes = ["RequestThrottled", "SlowDown", "ThrottlingException"]
    labels = ["sqs.SendMessage:work", "s3.PutObject:bucket", "stepfunctions.StartExecution:pay"]
    for call, code, label in zip(calls, codes, labels, strict=True):
        with aws.faults.planned(plan := Plan(Fault.THROTTLED_ONCE, 0)), pytest.raises(ClientError) as caught:
            call()
        assert caught.value.response["Error"]["Code"] == code
        assert plan.fired[0].endswith(label)
        with aws.faults.planned(Plan(Fault.TIMEOUT_BEFORE, 0)), pytest.raises(ReadTimeoutError):
            call()
        assert aws.faults.count_calls(call) == 1


def test_the_trace_hash_tells_runs_apart() -> None:
    def trace(key: str, fault: Fault | None = None) -> str:
        aws = build()
        if fault is not None:
            aws.faults.plan(Plan(fault, 0))
        with suppress(ClientError):
            put(aws, key)
        return aws.faults.trace_hash

    assert trace("a") == trace("a")
    assert len({trace("a"), trace("b"), trace("a", Fault.ERROR_AFTER), trace("a", Fault.CONFLICT)}) == 4


def flow(aws: Aws) -> None:
    """Two writes; sound against repetition only in the second."""
    add(aws)
    aws.dynamodb.get_item(TableName="solo", Key={"id": s("a")})
    put(aws, "b")


def test_a_sweep_meets_every_call_with_every_fault_it_can_have() -> None:
    runs = list(sweep(build, flow))
    assert len(runs) == 10 + 9 + 10
    assert len({str(run) for run in runs}) == len(runs)
    assert all(plan.fired for run in runs for plan in run.plans)
    outcomes = {run.plans[0].fault: type(run.error).__name__ for run in runs if run.plans[0].at == 0}
    assert outcomes[Fault.CRASH_AFTER] == "Crash"
    assert outcomes[Fault.TIMEOUT_AFTER] == "ReadTimeoutError"
    assert outcomes[Fault.RACE] == "NoneType"


def test_a_sweep_finds_what_repetition_breaks() -> None:
    broken: set[str] = set()
    for run in sweep(build, flow):
        if run.error is not None:
            flow(run.world)
        if run.world.dynamodb.dump("solo")[0]["v"] != n(1):
            broken.add(f"{run.plans[0].at} {run.plans[0].fault}")
        assert run.world.dynamodb.count("solo") == 2
    assert "0 timeout after commit" in broken
    assert "0 race" in broken
    assert "0 crash before" not in broken


def recovering(aws: Aws) -> None:
    """The flow, invoked again after each death, as Lambda's retries would."""
    for _ in range(4):
        try:
            flow(aws)
            return
        except (Crash, ClientError, ReadTimeoutError):
            continue


def test_pairs_of_faults_strike_the_recovery_too() -> None:
    chosen = (Fault.CRASH_AFTER, Fault.ERROR_BEFORE)
    runs: list[Run[Aws]] = list(sweep(build, recovering, faults=chosen, pairs=True))
    singles = [run for run in runs if len(run.plans) == 1]
    pairs = [run for run in runs if len(run.plans) == 2]
    assert len(singles) == 3 * 2
    assert len(pairs) > len(singles)
    assert all(len(plan.fired) == 1 for run in runs for plan in run.plans)
    assert all(run.error is None for run in runs)
