"""Dead-letter queues are emptied back to where their messages came from; undelivered events are left alone."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from cli.queues import dead_letter_queues, redrive


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


def test_only_the_stages_queues_with_a_source_are_sent_back(sqs: Any, capsys: pytest.CaptureFixture[str]) -> None:
    held = queue_with_dead_letters(sqs, "small-peck-dev-service-Submissions")
    other = queue_with_dead_letters(sqs, "small-peck-prod-service-Submissions")
    events = sqs.create_queue(QueueName="small-peck-dev-service-ImportDeadLettersQueue1")["QueueUrl"]
    for url in (held, held, other, events):
        sqs.send_message(QueueUrl=url, MessageBody="{}")
    moving = Moving(sqs)
    assert redrive(moving, "dev", "") == 2
    assert [arn.rpartition(":")[2] for arn in moving.started] == ["small-peck-dev-service-SubmissionsDeadLettersQueue1"]
    assert "undelivered events" in capsys.readouterr().out


def test_a_name_narrows_it_down(sqs: Any) -> None:
    queue_with_dead_letters(sqs, "small-peck-dev-service-Submissions")
    assert list(dead_letter_queues(sqs, "dev", "imports")) == []
    assert len(list(dead_letter_queues(sqs, "dev", "submissions"))) == 1
