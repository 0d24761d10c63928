"""SQS and what fires by itself: partial failures, dead letters, redrive, delays, rules and schedules."""

import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cli.wait import until
from tests.contract.ministack.lab import ROLE, WITNESS, Lab

PICKY = """
    import json, os
    import boto3
    sqs = boto3.client("sqs")

    def handler(event, context):
        failed = []
        for record in event["Records"]:
            if record["body"] == "bad":
                failed.append({"itemIdentifier": record["messageId"]})
            else:
                sqs.send_message(QueueUrl=os.environ["WITNESS"], MessageBody=json.dumps(record))
        return {"batchItemFailures": failed}
"""


def _redrive(dead: str, after: int) -> str:
    return json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": after})


def test_of_a_batch_only_the_failed_message_ends_in_the_dead_letter_queue(lab: Lab) -> None:
    """Deliveries are at least once, here too: a slow start is enough for a second one."""
    sqs, functions = lab.client("sqs"), lab.client("lambda")
    witness, _ = lab.queue()
    dead_url, dead = lab.queue()
    url, arn = lab.queue(VisibilityTimeout="3", RedrivePolicy=_redrive(dead, 1))
    functions.create_event_source_mapping(
        EventSourceArn=arn,
        FunctionName=lab.function(PICKY, environment={"WITNESS": witness}),
        BatchSize=10,
        FunctionResponseTypes=["ReportBatchItemFailures"],
        ScalingConfig={"MaximumConcurrency": 2},
    )
    for body in ("good", "bad", "also good"):
        sqs.send_message(QueueUrl=url, MessageBody=body)
    assert {record["body"] for record in lab.hear(witness, 2)} == {"also good", "good"}

    def dead_letters() -> list[dict[str, Any]]:
        return lab.take(dead_url)

    assert "bad" in [message["Body"] for message in until(dead_letters, what="the dead letter")]


def test_dead_letters_cannot_be_moved_back_by_one_call(lab: Lab) -> None:
    """AWS has StartMessageMoveTask; here a redrive is receive, send, delete."""
    sqs = lab.client("sqs")
    _, dead = lab.queue()
    lab.queue(RedrivePolicy=_redrive(dead, 1))
    with pytest.raises(ClientError, match="InvalidAction"):
        sqs.start_message_move_task(SourceArn=dead)


def test_a_message_can_wait_before_it_is_seen(lab: Lab) -> None:
    sqs, (url, _) = lab.client("sqs"), lab.queue()
    sqs.send_message(QueueUrl=url, MessageBody='"later"', DelaySeconds=1)
    sent = time.monotonic()
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    assert lab.hear(url) == ["later"]
    assert time.monotonic() - sent > 0.9


def test_a_first_in_first_out_queue_knows_duplicates(lab: Lab) -> None:
    sqs = lab.client("sqs")
    attributes = {"FifoQueue": "true"}
    url = sqs.create_queue(QueueName=lab.name("queue") + ".fifo", Attributes=attributes)["QueueUrl"]
    for number, token in (("1", "a"), ("1 again", "a"), ("2", "b")):
        sqs.send_message(QueueUrl=url, MessageBody=f'"{number}"', MessageGroupId="g", MessageDeduplicationId=token)
    assert lab.hear(url, 2) == ["1", "2"]


def test_a_rule_passes_on_what_matches(lab: Lab) -> None:
    events, (url, arn) = lab.client("events"), lab.queue()
    rule = lab.name("rule")
    events.put_rule(Name=rule, EventPattern='{"source": ["peck"], "detail": {"amount": [{"numeric": [">", 5]}]}}')
    events.put_targets(Rule=rule, Targets=[{"Id": "1", "Arn": arn, "InputPath": "$.detail"}])
    for amount in (3, 7):
        entry = {"Source": "peck", "DetailType": "Paid", "Detail": json.dumps({"amount": amount})}
        assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0
    assert lab.hear(url) == [{"amount": 7}]


def test_a_schedule_for_one_moment_fires(lab: Lab) -> None:
    """The emulator looks every ten seconds, so that is how late it may be."""
    witness, _ = lab.queue()
    function = lab.function(WITNESS, environment={"WITNESS": witness})
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 1))
    lab.client("scheduler").create_schedule(
        Name=lab.name("schedule"),
        ScheduleExpression=f"at({moment})",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": function, "RoleArn": ROLE, "Input": '{"sweep": "now"}'},
    )
    assert lab.hear(witness, seconds=45) == [{"sweep": "now"}]


def test_a_rate_is_accepted_for_rules_and_schedules(lab: Lab) -> None:
    """Both fire a minute after they were made; that minute is not spent here."""
    _, arn = lab.queue()
    for rate in ("rate(1 minute)", "rate(1 day)", "cron(0 3 * * ? *)"):
        rule = lab.name("rule")
        lab.client("events").put_rule(Name=rule, ScheduleExpression=rate)
        assert lab.client("events").describe_rule(Name=rule)["State"] == "ENABLED"
        lab.client("scheduler").create_schedule(
            Name=lab.name("schedule"),
            ScheduleExpression=rate,
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={"Arn": arn, "RoleArn": ROLE},
        )
