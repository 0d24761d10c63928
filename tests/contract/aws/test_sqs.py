"""The contract of SQS."""

from __future__ import annotations

import json
from typing import Any

from tests.contract.aws.conftest import Pair
from tests.contract.aws.steps import Answer, Scenario, Step, compare, scenarios

Json = dict[str, Any]
NO_QUEUE = "AWS.SimpleQueueService.NonExistentQueue"
VALUE = "InvalidParameterValue"


def create(name: str, **attributes: str) -> Step:
    return Step("create_queue", {"QueueName": name, "Attributes": attributes})


def on(operation: str, more: Json | None = None, **about: Any) -> Step:
    """A call about the queue that the first step made."""

    def params(so_far: list[Answer]) -> Json:
        return {"QueueUrl": so_far[0]["QueueUrl"], **(more or {})}

    return Step(operation, params, **about)


def received(operation: str, more: Json | None = None, *, back: int = 1, **about: Any) -> Step:
    """A call about the message that was received `back` steps ago."""

    def params(so_far: list[Answer]) -> Json:
        handle = so_far[-back]["Messages"][0]["ReceiptHandle"]
        return {"QueueUrl": so_far[0]["QueueUrl"], "ReceiptHandle": handle, **(more or {})}

    return Step(operation, params, **about)


def send(body: str, **more: Any) -> Step:
    return on("send_message", {"MessageBody": body, **more})


TYPED = {
    "kind": {"DataType": "String", "StringValue": "page"},
    "size": {"DataType": "Number", "StringValue": "3"},
    "raw": {"DataType": "Binary", "BinaryValue": b"\x00\x01"},
}
COUNTS = [
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
]

LISTED = [
    Scenario(
        "send, receive, delete",
        [
            create("work"),
            on("receive_message"),
            send("one"),
            on("get_queue_attributes", {"AttributeNames": COUNTS}),
            on("receive_message"),
            on("get_queue_attributes", {"AttributeNames": COUNTS}),
            on("receive_message"),
            received("delete_message", back=3),
            on("get_queue_attributes", {"AttributeNames": COUNTS}),
        ],
    ),
    Scenario(
        "attributes of messages",
        [
            create("work"),
            send("typed", MessageAttributes=TYPED),
            on("receive_message", {"AttributeNames": ["ApproximateReceiveCount"], "VisibilityTimeout": 0}),
            on("receive_message", {"MessageAttributeNames": ["All"], "VisibilityTimeout": 0}),
            on("receive_message", {"MessageAttributeNames": ["kind"], "VisibilityTimeout": 0}),
            on(
                "receive_message",
                {"MessageSystemAttributeNames": ["All"], "MessageAttributeNames": ["nothing"]},
            ),
        ],
    ),
    Scenario(
        "batches",
        [
            create("work"),
            on("send_message_batch", {"Entries": [{"Id": str(n), "MessageBody": f"m{n}"} for n in range(4)]}),
            on("receive_message", {"MaxNumberOfMessages": 10}),
            Step(
                "delete_message_batch",
                lambda so_far: {
                    "QueueUrl": so_far[0]["QueueUrl"],
                    "Entries": [
                        {"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]}
                        for n, message in enumerate(so_far[-1]["Messages"])
                    ],
                },
            ),
            on("get_queue_attributes", {"AttributeNames": COUNTS}),
            on(
                "delete_message_batch",
                {"Entries": [{"Id": "a", "ReceiptHandle": "what"}]},
            ),
            on("send_message_batch", {"Entries": []}, raises="AWS.SimpleQueueService.EmptyBatchRequest"),
            on(
                "send_message_batch",
                {"Entries": [{"Id": str(n), "MessageBody": "m"} for n in range(11)]},
                raises="AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
            ),
            on(
                "send_message_batch",
                {"Entries": [{"Id": "a", "MessageBody": "m"}] * 2},
                raises="AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
            ),
            on(
                "send_message_batch",
                {"Entries": [{"Id": "a b", "MessageBody": "m"}]},
                raises="AWS.SimpleQueueService.InvalidBatchEntryId",
            ),
            on(
                "send_message_batch",
                {"Entries": [{"Id": str(n), "MessageBody": "x" * 600_000} for n in range(2)]},
                raises="AWS.SimpleQueueService.BatchRequestTooLong",
            ),
        ],
    ),
    Scenario(
        "visibility",
        [
            create("work", VisibilityTimeout="30"),
            send("one"),
            on("receive_message"),
            received("change_message_visibility", {"VisibilityTimeout": 0}),
            on("receive_message", {"AttributeNames": ["ApproximateReceiveCount"]}),
            received("change_message_visibility", {"VisibilityTimeout": 60}),
            on("receive_message"),
            received("change_message_visibility", {"VisibilityTimeout": 43201}, back=3, raises=VALUE),
        ],
    ),
    Scenario(
        "refusals",
        [
            create("work"),
            send("x" * 1_048_576),
            on("send_message", {"MessageBody": "x" * 1_048_577}, raises=VALUE),
            on("send_message", {"MessageBody": ""}, raises="MissingParameter", moto="takes empty bodies"),
            on("send_message", {"MessageBody": "x", "DelaySeconds": 901}, raises=VALUE),
            on("receive_message", {"MaxNumberOfMessages": 11}, raises=VALUE),
            on("receive_message", {"MaxNumberOfMessages": 0}, raises=VALUE),
            on("delete_message", {"ReceiptHandle": "what"}, raises="ReceiptHandleIsInvalid"),
            on(
                "change_message_visibility",
                {"ReceiptHandle": "what", "VisibilityTimeout": 1},
                raises="ReceiptHandleIsInvalid",
            ),
            Step("get_queue_url", {"QueueName": "nowhere"}, raises=NO_QUEUE),
            Step(
                "send_message",
                {
                    "QueueUrl": "https://sqs.eu-central-1.amazonaws.com/123456789012/nowhere",
                    "MessageBody": "x",
                },
                raises=NO_QUEUE,
            ),
            Step("create_queue", {"QueueName": "a b"}, raises=VALUE),
            on("get_queue_attributes", {"AttributeNames": ["Colour"]}, raises="InvalidAttributeName"),
        ],
    ),
    Scenario(
        "queues",
        [
            create("work", VisibilityTimeout="5"),
            create("work", VisibilityTimeout="5"),
            Step(
                "create_queue",
                {"QueueName": "work", "Attributes": {"VisibilityTimeout": "6"}},
                raises="QueueAlreadyExists",
            ),
            Step("get_queue_url", {"QueueName": "work"}),
            on("set_queue_attributes", {"Attributes": {"VisibilityTimeout": "7"}}),
            on("get_queue_attributes", {"AttributeNames": ["VisibilityTimeout", "RedrivePolicy"]}),
            send("x"),
            on("purge_queue"),
            on("receive_message"),
        ],
    ),
    Scenario(
        "delays",
        [
            create("work", DelaySeconds="30"),
            send("later"),
            send("now", DelaySeconds=0),
            on("receive_message", {"MaxNumberOfMessages": 10}),
            on("get_queue_attributes", {"AttributeNames": COUNTS}),
        ],
    ),
]


@scenarios(*LISTED)
def test_queues(scenario: Scenario, sqs: Pair) -> None:
    compare(scenario, *sqs)


def test_a_message_received_too_often_is_buried(sqs: Pair) -> None:
    for client in sqs[:2]:
        dead = client.create_queue(QueueName="dead")["QueueUrl"]
        arn = client.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 2})
        work = client.create_queue(QueueName="work", Attributes={"RedrivePolicy": policy})["QueueUrl"]
        sent = client.send_message(QueueUrl=work, MessageBody="poison")["MessageId"]
        for _ in range(2):
            (message,) = client.receive_message(QueueUrl=work)["Messages"]
            client.change_message_visibility(QueueUrl=work, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
        assert "Messages" not in client.receive_message(QueueUrl=work)
        (buried,) = client.receive_message(QueueUrl=dead)["Messages"]
        assert (buried["MessageId"], buried["Body"]) == (sent, "poison")
