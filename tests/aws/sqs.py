"""An in-memory SQS (standard queues) with the shape of `boto3.client("sqs")`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from random import Random
from typing import Any

from tests.aws.client import ACCOUNT, REGION, Client, Params, Response
from tests.aws.clock import Clock
from tests.aws.errors import Rejection
from tests.aws.faults import Faults
from tests.aws.messages import attributes_md5, md5_of, message_bytes, system_attributes
from tests.aws.queues import Message, Queue

_SQS = "AWS.SimpleQueueService."
_ENTRY_ID = re.compile(r"[A-Za-z0-9_-]{1,80}\Z")
_MAX_VISIBILITY = 43_200
_MAX_DELAY = 900


class Sqs(Client):
    """Standard queues in virtual time.

    Long polling does not wait: a receive answers at once, empty or not. Messages come in order of sending
    (see `tests.aws.delivery.drain` for shuffled and repeated deliveries). A receipt handle works until the
    next receive.
    """

    service = "sqs"

    def __init__(self, clock: Clock, faults: Faults, *, validate: bool = True) -> None:
        super().__init__(clock, faults, validate=validate)
        self._queues: dict[str, Queue] = {}
        self._messages_made = 0

    # --- outside of AWS

    def peek(self, queue_url: str) -> list[str]:
        """The bodies of all messages, visible or not, in order of arrival; without hook."""
        return [message.body for message in self.queue(queue_url).live()]

    def queue(self, queue_url: str) -> Queue:
        """The queue behind a URL."""
        queue = self._queues.get(queue_url.rsplit("/", 1)[-1])
        if queue is None:
            raise _missing_queue()
        return queue

    def bury(self, queue: Queue, message: Message) -> None:
        """Move a message to the dead-letter queue, with its id, count and time of sending."""
        target = self._by_arn(queue.dead_letter_arn)
        if target is not None:
            target.add(message)

    def take(self, queue: Queue, limit: int, visibility: float, rng: Random | None = None) -> list[Message]:
        """Receive from a queue without hook, as AWS's own pollers do."""
        return queue.take(limit, visibility, lambda message: self.bury(queue, message), rng)

    def _by_arn(self, arn: str) -> Queue | None:
        queue = self._queues.get(arn.rsplit(":", 1)[-1])
        return queue if queue is not None and queue.arn == arn else None

    # --- queues

    def create_queue(self, **params: Any) -> Response:
        """Create a queue; the same name with the same attributes answers with the existing one."""
        return self.invoke("CreateQueue", params, self._create_queue)

    def _create_queue(self, params: Params) -> Response:
        name = params["QueueName"]
        attributes = {key: str(value) for key, value in params.get("Attributes", {}).items()}
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,80}", name):
            raise _bad_value("Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
        self._check_policy(attributes)
        existing = self._queues.get(name)
        if existing is not None:
            for key, value in attributes.items():
                if self._attributes(existing).get(key) != value:
                    message = f"A queue already exists with the same name and a different value for attribute {key}"
                    raise Rejection("QueueAlreadyExists", message)
            return {"QueueUrl": existing.url}
        url = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}"
        queue = Queue(name, url, f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}", self.clock)
        queue.configure(attributes)
        self._queues[name] = queue
        return {"QueueUrl": url}

    def _check_policy(self, attributes: Mapping[str, str]) -> None:
        if not attributes.get("RedrivePolicy"):
            return
        policy = json.loads(attributes["RedrivePolicy"])
        if "deadLetterTargetArn" not in policy or "maxReceiveCount" not in policy:
            raise _bad_value(
                f"Value {attributes['RedrivePolicy']} for parameter RedrivePolicy is invalid. "
                "Reason: Redrive policy does not contain mandatory attribute"
            )
        if self._by_arn(policy["deadLetterTargetArn"]) is None:
            raise _missing_queue()

    def set_queue_attributes(self, **params: Any) -> Response:
        """Change attributes of a queue."""
        return self.invoke("SetQueueAttributes", params, self._set_queue_attributes)

    def _set_queue_attributes(self, params: Params) -> Response:
        attributes = {key: str(value) for key, value in params["Attributes"].items()}
        self._check_policy(attributes)
        self.queue(params["QueueUrl"]).configure(attributes)
        return {}

    def get_queue_url(self, **params: Any) -> Response:
        """The URL of a queue by name."""
        return self.invoke("GetQueueUrl", params, lambda p: {"QueueUrl": self.queue(p["QueueName"]).url})

    def get_queue_attributes(self, **params: Any) -> Response:
        """Settings and approximate (here: exact) numbers of messages, all as text."""
        return self.invoke("GetQueueAttributes", params, self._get_queue_attributes)

    def _get_queue_attributes(self, params: Params) -> Response:
        everything = self._attributes(self.queue(params["QueueUrl"]))
        wanted = params.get("AttributeNames", [])
        if "All" in wanted:
            return {"Attributes": everything}
        unknown = [name for name in wanted if name not in everything and name != "RedrivePolicy"]
        if unknown:
            raise Rejection("InvalidAttributeName", f"Unknown Attribute {unknown[0]}.")
        chosen = {name: everything[name] for name in wanted if name in everything}
        return {"Attributes": chosen} if chosen else {}

    def _attributes(self, queue: Queue) -> dict[str, str]:
        visible, flying, delayed = queue.counts()
        attributes = {
            "QueueArn": queue.arn,
            "VisibilityTimeout": str(int(queue.visibility)),
            "MessageRetentionPeriod": str(int(queue.retention)),
            "DelaySeconds": str(int(queue.delay)),
            "MaximumMessageSize": str(queue.max_bytes),
            "ReceiveMessageWaitTimeSeconds": queue.given.get("ReceiveMessageWaitTimeSeconds", "0"),
            "ApproximateNumberOfMessages": str(visible),
            "ApproximateNumberOfMessagesNotVisible": str(flying),
            "ApproximateNumberOfMessagesDelayed": str(delayed),
        }
        if queue.given.get("RedrivePolicy"):
            attributes["RedrivePolicy"] = queue.given["RedrivePolicy"]
        return attributes

    def purge_queue(self, **params: Any) -> Response:
        """Delete every message."""
        return self.invoke("PurgeQueue", params, self._purge_queue)

    def _purge_queue(self, params: Params) -> Response:
        queue = self.queue(params["QueueUrl"])
        for message in list(queue.messages.values()):
            queue.remove(message)
        return {}

    # --- sending

    def send_message(self, **params: Any) -> Response:
        """Send one message of at most 1 MiB (or the queue's own limit)."""
        return self.invoke("SendMessage", params, lambda p: self._send(self.queue(p["QueueUrl"]), p))

    def _send(self, queue: Queue, entry: Mapping[str, Any]) -> Response:
        body, attributes = entry["MessageBody"], entry.get("MessageAttributes", {})
        if message_bytes(body, attributes) > queue.max_bytes:
            raise _bad_value(
                f"One or more parameters are invalid. Reason: Message must be shorter than {queue.max_bytes} bytes."
            )
        if not body:
            raise Rejection("MissingParameter", "The request must contain the parameter MessageBody.")
        delay = entry.get("DelaySeconds", queue.delay)
        if not 0 <= delay <= _MAX_DELAY:
            raise _bad_value(
                f"Value {delay} for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900."
            )
        self._messages_made += 1
        digest = hashlib.sha256(f"{queue.name}/{self._messages_made}".encode()).hexdigest()
        message_id = f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"
        queue.add(Message(message_id, body, dict(attributes), self.clock.now(), queue.arn), delay)
        answer = {"MessageId": message_id, "MD5OfMessageBody": md5_of(body.encode())}
        if attributes:
            answer["MD5OfMessageAttributes"] = attributes_md5(attributes)
        return answer

    def send_message_batch(self, **params: Any) -> Response:
        """Send up to 10 messages of together at most 1 MiB; each fails or succeeds by itself."""
        return self.invoke("SendMessageBatch", params, self._send_message_batch)

    def _send_message_batch(self, params: Params) -> Response:
        queue = self.queue(params["QueueUrl"])
        entries = params["Entries"]
        _check_batch(entries, "Send")
        total = sum(message_bytes(entry["MessageBody"], entry.get("MessageAttributes", {})) for entry in entries)
        if total > 1_048_576:
            message = f"Batch requests cannot be longer than 1048576 bytes. You have sent {total} bytes."
            raise Rejection(_SQS + "BatchRequestTooLong", message)
        return _each(entries, lambda entry: self._send(queue, entry))

    # --- receiving

    def receive_message(self, **params: Any) -> Response:
        """Up to MaxNumberOfMessages (1 to 10) visible messages; the answer has no Messages when there are
        none.
        """
        return self.invoke("ReceiveMessage", params, self._receive_message)

    def _receive_message(self, params: Params) -> Response:
        queue = self.queue(params["QueueUrl"])
        limit = params.get("MaxNumberOfMessages", 1)
        if not 1 <= limit <= 10:
            raise _bad_value(
                f"Value {limit} for parameter MaxNumberOfMessages is invalid. "
                "Reason: Must be between 1 and 10, if provided."
            )
        visibility = params.get("VisibilityTimeout", queue.visibility)
        _check_visibility(visibility)
        system = {*params.get("AttributeNames", ()), *params.get("MessageSystemAttributeNames", ())}
        custom = params.get("MessageAttributeNames", ())
        shown = [_shown(message, system, custom) for message in self.take(queue, limit, visibility)]
        return {"Messages": shown} if shown else {}

    def delete_message(self, **params: Any) -> Response:
        """Delete a received message; a stale handle succeeds and deletes nothing, as AWS may do."""
        return self.invoke("DeleteMessage", params, lambda p: self._delete(self.queue(p["QueueUrl"]), p))

    def _delete(self, queue: Queue, entry: Mapping[str, Any]) -> Response:
        message = _by_handle(queue, entry["ReceiptHandle"])
        if message is not None and message.handle == entry["ReceiptHandle"]:
            queue.remove(message)
        return {}

    def delete_message_batch(self, **params: Any) -> Response:
        """Delete up to 10 messages; each fails or succeeds by itself."""
        return self.invoke("DeleteMessageBatch", params, self._delete_message_batch)

    def _delete_message_batch(self, params: Params) -> Response:
        queue = self.queue(params["QueueUrl"])
        _check_batch(params["Entries"], "Delete")
        return _each(params["Entries"], lambda entry: self._delete(queue, entry))

    def change_message_visibility(self, **params: Any) -> Response:
        """Hide a message in flight for so many seconds from now; 0 makes it visible."""
        return self.invoke("ChangeMessageVisibility", params, self._change_visibility)

    def _change_visibility(self, params: Params) -> Response:
        queue = self.queue(params["QueueUrl"])
        seconds = params["VisibilityTimeout"]
        _check_visibility(seconds)
        message = _by_handle(queue, params["ReceiptHandle"])
        queue.counts()
        if message is None or not message.in_flight:
            raise Rejection(
                _SQS + "MessageNotInflight",
                f"Value {params['ReceiptHandle']} for parameter ReceiptHandle is invalid. Reason: Message "
                "does not "
                "exist or is not available for visibility timeout change.",
            )
        queue.set_visibility(message, seconds)
        return {}

    # --- dead letters

    def start_message_move_task(self, **params: Any) -> Response:
        """Move every message of a dead-letter queue, at once, to `DestinationArn` or back to where each was
        sent. Moved messages are new ones: new id, new time of sending, no receives.
        """
        return self.invoke("StartMessageMoveTask", params, self._start_move)

    def _start_move(self, params: Params) -> Response:
        source = self._by_arn(params["SourceArn"])
        if source is None:
            raise Rejection("ResourceNotFoundException", "The resource that you specified doesn't exist.")
        if not any(queue.dead_letter_arn == source.arn for queue in self._queues.values()):
            raise _bad_value("Source queue must be configured as a Dead Letter Queue.")
        for message in list(source.live()):
            target = self._by_arn(params.get("DestinationArn", message.origin))
            if target is None:
                raise Rejection("ResourceNotFoundException", "The resource that you specified doesn't exist.")
            source.remove(message)
            self._send(target, {"MessageBody": message.body, "MessageAttributes": message.attributes})
        return {"TaskHandle": f"move-{source.name}-{self.clock.millis()}"}


def _missing_queue() -> Rejection:
    return Rejection(_SQS + "NonExistentQueue", "The specified queue does not exist.")


def _bad_value(message: str) -> Rejection:
    return Rejection("InvalidParameterValue", message)


def _check_visibility(seconds: float) -> None:
    if not 0 <= seconds <= _MAX_VISIBILITY:
        raise _bad_value(
            f"Value {seconds} for parameter VisibilityTimeout is invalid. Reason: Must be >= 0 and <= 43200."
        )


def _check_batch(entries: list[Any], action: str) -> None:
    if not entries:
        message = f"There should be at least one {action}MessageBatchRequestEntry in the request."
        raise Rejection(_SQS + "EmptyBatchRequest", message)
    if len(entries) > 10:
        message = f"Maximum number of entries per request are 10. You have sent {len(entries)}."
        raise Rejection(_SQS + "TooManyEntriesInBatchRequest", message)
    seen: set[str] = set()
    for entry in entries:
        if not _ENTRY_ID.match(entry["Id"]):
            message = (
                "A batch entry id can only contain alphanumeric characters, hyphens and underscores. "
                "It can be at most 80 letters long."
            )
            raise Rejection(_SQS + "InvalidBatchEntryId", message)
        if entry["Id"] in seen:
            raise Rejection(_SQS + "BatchEntryIdsNotDistinct", f"Id {entry['Id']} repeated.")
        seen.add(entry["Id"])


def _each(entries: list[Any], act: Any) -> Response:
    successful: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    for entry in entries:
        try:
            successful.append({"Id": entry["Id"], **act(entry)})
        except Rejection as refused:
            failed.append({"Id": entry["Id"], "Code": refused.code, "Message": refused.message, "SenderFault": True})
    answer: Response = {}
    if successful:
        answer["Successful"] = successful
    if failed:
        answer["Failed"] = failed
    return answer


def _by_handle(queue: Queue, handle: str) -> Message | None:
    message_id, mark, count = handle.rpartition("#")
    if not mark or not count.isdigit():
        message = f'The input receipt handle "{handle}" is not a valid receipt handle.'
        raise Rejection("ReceiptHandleIsInvalid", message, 404)
    return queue.messages.get(message_id)


def _shown(message: Message, system: set[str], custom: Any) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "MessageId": message.id,
        "ReceiptHandle": message.handle,
        "MD5OfBody": md5_of(message.body.encode()),
        "Body": message.body,
    }
    attributes = system_attributes(message)
    chosen = {name: value for name, value in attributes.items() if name in system or "All" in system}
    if chosen:
        shown["Attributes"] = chosen
    wanted = {
        name: value
        for name, value in message.attributes.items()
        if any(c in ("All", ".*", name) or (c.endswith(".*") and name.startswith(c[:-2])) for c in custom)
    }
    if wanted:
        shown["MessageAttributes"] = wanted
        shown["MD5OfMessageAttributes"] = attributes_md5(wanted)
    return shown
