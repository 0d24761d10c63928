"""SQS to Lambda as AWS does it: an event source that polls a queue and calls a handler with batches."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.aws.client import ACCOUNT, REGION
from tests.aws.clock import Clock
from tests.aws.faults import Crash
from tests.aws.messages import attributes_md5, md5_of, system_attributes
from tests.aws.queues import Message, Queue
from tests.aws.sqs import Sqs

Handler = Callable[[dict[str, Any], Any], Any]


class LambdaContext:
    """The context object of an invocation; its remaining time runs with the virtual clock."""

    memory_limit_in_mb = 256
    function_version = "1"

    def __init__(self, clock: Clock, name: str, request_id: str, timeout: float = 30.0) -> None:
        self.function_name = name
        self.aws_request_id = request_id
        self.invoked_function_arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}:live"
        self.log_group_name = f"/aws/lambda/{name}"
        self.log_stream_name = request_id
        self._clock = clock
        self._deadline = clock.now() + timeout

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the invocation would be stopped; never negative."""
        return max(0, int((self._deadline - self._clock.now()) * 1000))


@dataclass
class Drained:
    """What a drain did: batches delivered, messages deleted, messages that failed (each time counted),
    errors.
    """

    batches: int = 0
    deleted: int = 0
    failed: int = 0
    errors: list[BaseException] = field(default_factory=list)


def sqs_event(queue: Queue, messages: list[Message]) -> dict[str, Any]:
    """The event that Lambda's event source mapping builds of some messages."""
    return {"Records": [_record(queue, message) for message in messages]}


def _record(queue: Queue, message: Message) -> dict[str, Any]:
    record: dict[str, Any] = {
        "messageId": message.id,
        "receiptHandle": message.handle,
        "body": message.body,
        "attributes": system_attributes(message),
        "messageAttributes": {name: _attribute(value) for name, value in message.attributes.items()},
        "md5OfBody": md5_of(message.body.encode()),
        "eventSource": "aws:sqs",
        "eventSourceARN": queue.arn,
        "awsRegion": REGION,
    }
    if message.attributes:
        record["md5OfMessageAttributes"] = attributes_md5(message.attributes)
    return record


def _attribute(value: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"stringListValues": [], "binaryListValues": [], "dataType": value["DataType"]}
    if "BinaryValue" in value:
        shown["binaryValue"] = base64.b64encode(value["BinaryValue"]).decode()
    else:
        shown["stringValue"] = value["StringValue"]
    return shown


def drain(
    sqs: Sqs,
    queue_url: str,
    handler: Handler,
    *,
    batch_size: int = 10,
    seed: int | None = None,
    duplicate: float = 0.0,
    wait: bool = True,
    report_failures: bool = True,
    function_name: str = "worker",
    max_batches: int = 1_000_000,
) -> Drained:
    """Deliver until the queue has nothing left, as a Lambda event source mapping with partial batch
    responses.

    The handler gets (event, context) and may return `batchItemFailures`; failed messages come back after
    their visibility timeout and go to the dead-letter queue after too many receives. A handler that raises
    (or dies by a `Crash`) fails its whole batch. `seed` shuffles the deliveries; `duplicate` is the
    probability that a message which succeeded is delivered once more. `wait` moves the clock to when hidden
    messages come back; without it the drain ends when nothing is visible. `max_batches` guards against a
    queue that never empties (RuntimeError).
    """
    queue = sqs.queue(queue_url)
    rng = Random(seed) if seed is not None else None
    repeats = Random(seed or 0)
    repeated: set[str] = set()
    done = Drained()
    while True:
        messages = sqs.take(queue, batch_size, queue.visibility, rng)
        if not messages:
            moment = queue.next_visible() if wait else None
            if moment is None:
                return done
            sqs.clock.advance_to(moment)
            continue
        if done.batches >= max_batches:
            raise RuntimeError(f"{queue.name} is not empty after {max_batches} batches")
        done.batches += 1
        request_id = f"{function_name}-{queue.name}-{done.batches}"
        context = LambdaContext(sqs.clock, function_name, request_id, queue.visibility)
        try:
            answer = handler(sqs_event(queue, messages), context)
            failures = failed_ids(answer, messages) if report_failures else set()
        except (Exception, Crash) as error:  # noqa: BLE001 - whatever a handler raises, Lambda survives it
            done.errors.append(error)
            failures = {message.id for message in messages}
        for message in messages:
            if message.id in failures:
                done.failed += 1
            elif duplicate and message.id not in repeated and repeats.random() < duplicate:
                repeated.add(message.id)
                queue.set_visibility(message, 0)
            else:
                queue.remove(message)
                done.deleted += 1


def failed_ids(answer: Any, messages: list[Message]) -> set[str]:
    """The messages that a handler's answer reports as failed. As in Lambda a malformed answer, or an
    identifier that is empty or not in the batch, fails all of them; no answer, or an empty list, fails
    none.
    """
    everything = {message.id for message in messages}
    if not answer:
        return set()
    if not isinstance(answer, dict):
        return everything
    listed = answer.get("batchItemFailures")
    if not listed:
        return set()
    found: set[str] = set()
    for entry in listed:
        identifier = entry.get("itemIdentifier") if isinstance(entry, dict) else None
        if identifier not in everything:
            return everything
        found.add(str(identifier))
    return found
