"""Virtual time in SQS, dead letters, and deliveries to a handler as Lambda makes them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.aws import Aws, Crash, drain

Json = dict[str, Any]
FIELDS = {"messageId", "receiptHandle", "body", "attributes", "messageAttributes", "md5OfBody"}
FIELDS |= {"eventSource", "eventSourceARN", "awsRegion"}


def make(aws: Aws, count: int = 0, receives: int = 3, **attributes: str) -> tuple[str, str]:
    """The URLs of a work queue with `count` messages and of its dead-letter queue."""
    dead = aws.sqs.create_queue(QueueName="dead")["QueueUrl"]
    policy = json.dumps({"deadLetterTargetArn": aws.sqs.queue(dead).arn, "maxReceiveCount": receives})
    work = aws.sqs.create_queue(QueueName="work", Attributes={"RedrivePolicy": policy, **attributes})["QueueUrl"]
    for number in range(count):
        aws.sqs.send_message(QueueUrl=work, MessageBody=str(number))
    return work, dead


def bodies(event: Json) -> list[str]:
    return [record["body"] for record in event["Records"]]


def test_visibility_and_delay_run_on_the_virtual_clock(aws: Aws) -> None:
    work, _ = make(aws, 1, VisibilityTimeout="30")
    aws.sqs.send_message(QueueUrl=work, MessageBody="late", DelaySeconds=40)
    assert len(aws.sqs.receive_message(QueueUrl=work, MaxNumberOfMessages=10)["Messages"]) == 1
    aws.clock.advance(29)
    assert "Messages" not in aws.sqs.receive_message(QueueUrl=work)
    aws.clock.advance(1)
    (again,) = aws.sqs.receive_message(QueueUrl=work, AttributeNames=["All"])["Messages"]
    assert (again["Body"], again["Attributes"]["ApproximateReceiveCount"]) == ("0", "2")
    aws.clock.advance(10)
    assert aws.sqs.receive_message(QueueUrl=work)["Messages"][0]["Body"] == "late"


def test_a_stale_handle_deletes_nothing(aws: Aws) -> None:
    work, _ = make(aws, 1)
    (first,) = aws.sqs.receive_message(QueueUrl=work, VisibilityTimeout=0)["Messages"]
    (second,) = aws.sqs.receive_message(QueueUrl=work)["Messages"]
    aws.sqs.delete_message(QueueUrl=work, ReceiptHandle=first["ReceiptHandle"])
    assert aws.sqs.peek(work) == ["0"]
    aws.sqs.delete_message(QueueUrl=work, ReceiptHandle=second["ReceiptHandle"])
    assert aws.sqs.peek(work) == []


def test_a_message_that_is_not_in_flight_cannot_be_hidden(aws: Aws) -> None:
    work, _ = make(aws, 1)
    (message,) = aws.sqs.receive_message(QueueUrl=work, VisibilityTimeout=1)["Messages"]
    aws.clock.advance(1)
    with pytest.raises(aws.sqs.exceptions.MessageNotInflight):
        aws.sqs.change_message_visibility(QueueUrl=work, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=5)


def test_retention_counts_from_sending_also_in_the_dead_letter_queue(aws: Aws) -> None:
    work, dead = make(aws, 1, receives=1, MessageRetentionPeriod="1209600")
    aws.sqs.set_queue_attributes(QueueUrl=dead, Attributes={"MessageRetentionPeriod": "1209600"})
    end = aws.clock.now() + 14 * 86_400
    aws.clock.advance(13 * 86_400)
    drain(aws.sqs, work, lambda event, context: {"batchItemFailures": [{"itemIdentifier": ""}]})
    aws.clock.advance_to(end - 1)
    (late,) = aws.sqs.receive_message(QueueUrl=dead, VisibilityTimeout=0)["Messages"]
    assert (late["Body"], aws.sqs.peek(dead)) == ("0", ["0"])
    aws.clock.advance_to(end)
    assert aws.sqs.peek(dead) == []
    assert "Messages" not in aws.sqs.receive_message(QueueUrl=dead)


def test_events_look_as_those_of_lambda(aws: Aws) -> None:
    work, _ = make(aws)
    attributes: Json = {"kind": {"DataType": "String", "StringValue": "page"}}
    attributes["raw"] = {"DataType": "Binary", "BinaryValue": b"\x01"}
    sent = aws.sqs.send_message(QueueUrl=work, MessageBody="x", MessageAttributes=attributes)
    events: list[Json] = []

    def handler(event: Json, context: Any) -> None:
        events.append(event)
        assert context.get_remaining_time_in_millis() == 30_000
        assert context.aws_request_id

    done = drain(aws.sqs, work, handler)
    assert (done.batches, done.deleted, done.failed) == (1, 1, 0)
    (record,) = events[0]["Records"]
    assert set(record) == FIELDS | {"md5OfMessageAttributes"}
    assert record["messageId"] == sent["MessageId"]
    assert record["eventSourceARN"] == aws.sqs.queue(work).arn
    assert record["messageAttributes"] == {
        "kind": {"stringValue": "page", "stringListValues": [], "binaryListValues": [], "dataType": "String"},
        "raw": {"binaryValue": "AQ==", "stringListValues": [], "binaryListValues": [], "dataType": "Binary"},
    }
    assert record["attributes"]["ApproximateReceiveCount"] == "1"


def test_only_the_failed_messages_of_a_batch_come_back(aws: Aws) -> None:
    work, dead = make(aws, 5, receives=2)
    batches: list[list[str]] = []

    def handler(event: Json, context: Any) -> Json:
        batches.append(bodies(event))
        failed = [record["messageId"] for record in event["Records"] if record["body"] in "13"]
        return {"batchItemFailures": [{"itemIdentifier": name} for name in failed]}

    done = drain(aws.sqs, work, handler, batch_size=3)
    assert batches == [["0", "1", "2"], ["3", "4"], ["1", "3"]]
    assert (done.deleted, done.failed) == (3, 4)
    assert (aws.sqs.peek(work), aws.sqs.peek(dead)) == ([], ["1", "3"])


@pytest.mark.parametrize(
    "answer",
    [
        {"batchItemFailures": [{"itemIdentifier": ""}]},
        {"batchItemFailures": [{"itemIdentifier": None}]},
        {"batchItemFailures": [{"id": "x"}]},
        {"batchItemFailures": [{"itemIdentifier": "unknown"}]},
        "nonsense",
    ],
)
def test_a_malformed_answer_fails_the_whole_batch(aws: Aws, answer: Any) -> None:
    work, dead = make(aws, 2, receives=1)
    drain(aws.sqs, work, lambda event, context: answer)
    assert aws.sqs.peek(dead) == ["0", "1"]


@pytest.mark.parametrize("answer", [None, {}, {"batchItemFailures": []}, {"batchItemFailures": None}])
def test_an_empty_answer_succeeds(aws: Aws, answer: Any) -> None:
    work, dead = make(aws, 2, receives=1)
    assert drain(aws.sqs, work, lambda event, context: answer).deleted == 2
    assert aws.sqs.peek(dead) == []


@pytest.mark.parametrize("error", [ValueError("bad"), Crash("dead")])
def test_a_handler_that_dies_gets_its_batch_again(aws: Aws, error: BaseException) -> None:
    work, _ = make(aws, 2)
    attempts = []

    def handler(event: Json, context: Any) -> None:
        attempts.append((bodies(event), aws.clock.now()))
        if len(attempts) == 1:
            raise error

    start = aws.clock.now()
    done = drain(aws.sqs, work, handler)
    assert attempts == [(["0", "1"], start), (["0", "1"], start + 30)]
    assert done.errors == [error]


def test_without_waiting_hidden_messages_stay(aws: Aws) -> None:
    work, _ = make(aws, 1)
    done = drain(aws.sqs, work, lambda event, context: "no", wait=False)
    assert (done.batches, aws.sqs.peek(work)) == (1, ["0"])


def test_failures_are_ignored_when_they_are_not_reported(aws: Aws) -> None:
    work, _ = make(aws, 1)
    failing = {"batchItemFailures": [{"itemIdentifier": ""}]}
    assert drain(aws.sqs, work, lambda event, context: failing, report_failures=False).deleted == 1


def delivered(seed: int | None, duplicate: float) -> list[str]:
    aws = Aws()
    work, _ = make(aws, 30)
    seen: list[str] = []
    drain(aws.sqs, work, lambda event, context: seen.extend(bodies(event)), seed=seed, duplicate=duplicate)
    return seen


def test_shuffled_and_repeated_deliveries_follow_the_seed() -> None:
    plain = [str(number) for number in range(30)]
    assert delivered(None, 0) == plain
    shuffled = delivered(7, 0)
    assert sorted(shuffled, key=int) == plain
    assert shuffled != plain
    assert shuffled == delivered(7, 0)
    assert shuffled != delivered(8, 0)
    twice = delivered(7, 1)
    assert sorted(twice, key=int) == sorted(plain * 2, key=int)
    assert 30 < len(delivered(7, 0.5)) < 60


def test_a_queue_that_never_empties_is_noticed(aws: Aws) -> None:
    url = aws.sqs.create_queue(QueueName="endless")["QueueUrl"]
    aws.sqs.send_message(QueueUrl=url, MessageBody="x")
    with pytest.raises(RuntimeError, match="not empty after 5"):
        drain(aws.sqs, url, lambda event, context: "no", max_batches=5)


def test_redrive_sends_anew(aws: Aws) -> None:
    work, dead = make(aws, 2, receives=1)
    drain(aws.sqs, work, lambda event, context: "no")
    old = list(aws.sqs.queue(dead).messages)
    aws.clock.advance(3 * 86_400)
    aws.sqs.start_message_move_task(SourceArn=aws.sqs.queue(dead).arn)
    assert (aws.sqs.peek(work), aws.sqs.peek(dead)) == (["0", "1"], [])
    assert not set(old) & set(aws.sqs.queue(work).messages)
    aws.clock.advance(3 * 86_400)
    assert drain(aws.sqs, work, lambda event, context: None).deleted == 2


def test_redrive_needs_a_dead_letter_queue(aws: Aws) -> None:
    work, dead = make(aws)
    other = aws.sqs.queue(aws.sqs.create_queue(QueueName="other")["QueueUrl"]).arn
    with pytest.raises(aws.sqs.exceptions.ClientError, match="Dead Letter"):
        aws.sqs.start_message_move_task(SourceArn=aws.sqs.queue(work).arn)
    with pytest.raises(aws.sqs.exceptions.ResourceNotFoundException):
        aws.sqs.start_message_move_task(SourceArn="arn:aws:sqs:eu-central-1:123456789012:none")
    aws.sqs.send_message(QueueUrl=dead, MessageBody="x")
    aws.sqs.start_message_move_task(SourceArn=aws.sqs.queue(dead).arn, DestinationArn=other)
    assert aws.sqs.peek("other") == ["x"]
