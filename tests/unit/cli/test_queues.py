"""Dead-letter queues are emptied back to where their messages came from; undelivered events are left alone."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from cli.queues import oldest_seconds, queues, redrive


class Moving:
    """moto's SQS, which cannot move messages, with a note of what was asked to move."""

    def __init__(self, sqs: Any) -> None:
        self._sqs = sqs
        self.started: list[str] = []

    def start_message_move_task(self, *, SourceArn: str) -> None:  # noqa: N803 - AWS's name
        self.started.append(SourceArn)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sqs, name)


@pytest.fixture
def sqs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield boto3.client("sqs", region_name="us-east-1")


def queue_with_dead_letters(sqs: Any, name: str) -> str:
    held: str = sqs.create_queue(QueueName=f"{name}DeadLettersQueue1")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=held, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 5})
    sqs.create_queue(QueueName=f"{name}Queue1", Attributes={"RedrivePolicy": policy})
    return held


def test_only_the_stages_queues_with_a_source_are_sent_back(sqs: Any) -> None:
    held = queue_with_dead_letters(sqs, "small-peck-dev-service-Submissions")
    other = queue_with_dead_letters(sqs, "small-peck-prod-service-Submissions")
    events = sqs.create_queue(QueueName="small-peck-dev-service-ImportDeadLettersQueue1")["QueueUrl"]
    for url in (held, held, other, events):
        sqs.send_message(QueueUrl=url, MessageBody="{}")
    moving = Moving(sqs)
    found = {(queue.kind, queue.waiting, moved) for queue, moved in redrive(moving, "dev", "")}
    assert found == {("dead_letters", 2, 2), ("undelivered", 1, 0)}
    assert [arn.rpartition(":")[2] for arn in moving.started] == ["small-peck-dev-service-SubmissionsDeadLettersQueue1"]


def test_a_name_narrows_it_down(sqs: Any) -> None:
    queue_with_dead_letters(sqs, "small-peck-dev-service-Submissions")
    assert redrive(Moving(sqs), "dev", "imports") == []
    assert len(redrive(Moving(sqs), "dev", "submissions")) == 1


def test_where_sqs_cannot_move_messages_they_are_carried_over(sqs: Any) -> None:
    held = queue_with_dead_letters(sqs, "small-peck-local-service-Submissions")
    for number in range(12):
        sqs.send_message(QueueUrl=held, MessageBody=str(number))
    moving = Moving(sqs)
    assert [moved for _, moved in redrive(moving, "local", "", by_hand=True)] == [12]
    assert moving.started == []
    by_kind = {queue.kind: queue.waiting for queue in queues(sqs, "local")}
    assert by_kind == {"work": 12, "dead_letters": 0}


def test_ages_are_told_where_they_were_measured() -> None:
    class CloudWatch:
        """Knows one queue."""

        def get_paginator(self, _name: str) -> Any:
            return self

        def paginate(self, *, MetricDataQueries: list[Any], **_: Any) -> Any:  # noqa: N803 - AWS's name
            named = {one["MetricStat"]["Metric"]["Dimensions"][0]["Value"]: one["Id"] for one in MetricDataQueries}
            yield {
                "MetricDataResults": [{"Id": named["old"], "Values": [90.0, 30.0]}, {"Id": named["new"], "Values": []}]
            }

    assert oldest_seconds(CloudWatch(), ["new", "old"]) == {"old": 90}
