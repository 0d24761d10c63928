"""The queues of a stage: what waits in them, and sending what a dead-letter queue holds back to where it came from.

Sending back is safe at any age: whoever receives a message a second time finds its work done. Queues that hold
undelivered events have no queue to go back to; they are only counted, and events/catalogue.md says how each is made
up for.
"""

import json
from argparse import Namespace
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cli.screen import Said, Screen, table
from cli.stages import open_stage
from smallpeck.kernel.clock import SystemClock

DEAD_LETTERS: Final = "deadletters"
"""In the names that CloudFormation makes from infra.constructs.queue.DeadLetterQueue."""
_WAITING: Final = "ApproximateNumberOfMessages"
_IN_FLIGHT: Final = "ApproximateNumberOfMessagesNotVisible"
_DELAYED: Final = "ApproximateNumberOfMessagesDelayed"
_AGE: Final = "ApproximateAgeOfOldestMessage"
_LOOKED_BACK: Final = timedelta(minutes=15)
_AT_ONCE: Final = 10
_METRICS_AT_ONCE: Final = 500


@dataclass(frozen=True, kw_only=True)
class Queue:
    """One queue as it stands. `sources` send it what they could not handle."""

    url: str
    arn: str
    waiting: int
    in_flight: int
    delayed: int
    sources: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its name."""
        return self.url.rpartition("/")[2]

    @property
    def kind(self) -> str:
        """`work`, `dead_letters`, or `undelivered` for events that no queue had held before."""
        if DEAD_LETTERS not in self.name.lower():
            return "work"
        return "dead_letters" if self.sources else "undelivered"

    def document(self, oldest_seconds: int | None) -> dict[str, Any]:
        """For programs."""
        return {
            "queue": self.name,
            "kind": self.kind,
            "waiting": self.waiting,
            "in_flight": self.in_flight,
            "delayed": self.delayed,
            "oldest_seconds": oldest_seconds,
        }


def queues(sqs: Any, stage: str, name: str = "") -> Iterator[Queue]:
    """The stage's queues whose name contains `name`."""
    found = {}
    for page in sqs.get_paginator("list_queues").paginate(QueueNamePrefix=f"small-peck-{stage}"):
        for url in page.get("QueueUrls", []):
            found[url] = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    sources: dict[str, list[str]] = defaultdict(list)
    for url, attributes in found.items():
        if "RedrivePolicy" in attributes:
            sources[json.loads(attributes["RedrivePolicy"])["deadLetterTargetArn"]].append(url)
    for url, attributes in found.items():
        if name.lower() in url.rpartition("/")[2].lower():
            yield _queue(url, attributes, tuple(sources[attributes["QueueArn"]]))


def redrive(sqs: Any, stage: str, name: str, *, by_hand: bool = False) -> list[tuple[Queue, int]]:
    """Sends back what the stage's dead-letter queues hold; each of them, and how many messages are on their way.

    `by_hand` carries the messages over one by one, where SQS cannot move them itself.
    """
    found = []
    for queue in queues(sqs, stage, name):
        if queue.kind == "work":
            continue
        moved = queue.waiting if queue.kind == "dead_letters" else 0
        if moved and by_hand:
            moved = _carry(sqs, queue)
        elif moved:
            sqs.start_message_move_task(SourceArn=queue.arn)
        found.append((queue, moved))
    return found


def oldest_seconds(cloudwatch: Any, names: Sequence[str]) -> Mapping[str, int]:
    """How old the oldest message of each queue is, where that was measured in the last quarter of an hour."""
    end = datetime.fromtimestamp(SystemClock().now_ms() / 1000, UTC)
    found: dict[str, int] = {}
    for first in range(0, len(names), _METRICS_AT_ONCE):
        some = names[first : first + _METRICS_AT_ONCE]
        queries = [{"Id": f"q{number}", "MetricStat": _age_of(name)} for number, name in enumerate(some)]
        pages = cloudwatch.get_paginator("get_metric_data").paginate(
            MetricDataQueries=queries, StartTime=end - _LOOKED_BACK, EndTime=end, ScanBy="TimestampDescending"
        )
        for page in pages:
            for one in page["MetricDataResults"]:
                if one["Values"]:
                    found.setdefault(some[int(one["Id"][1:])], int(one["Values"][0]))
    return found


def show(options: Namespace, _screen: Screen) -> Said:
    """What waits where."""
    stage = open_stage(options.stage)
    found = sorted(queues(stage.client("sqs"), options.stage), key=lambda queue: (queue.kind != "work", queue.name))
    ages = oldest_seconds(stage.client("cloudwatch"), [queue.name for queue in found])
    told = [queue.document(ages.get(queue.name)) for queue in found]
    columns = ["queue", "kind", "waiting", "in flight", "delayed", "oldest, seconds"]
    return Said({"queues": told}, [table("Queues", columns, [list(one.values()) for one in told])])


def send_back(options: Namespace, _screen: Screen) -> Said:
    """Redrives dead-letter queues."""
    stage = open_stage(options.stage)
    found = redrive(stage.client("sqs"), options.stage, options.queue, by_hand=stage.local)
    told = [
        {"queue": queue.name, "kind": queue.kind, "held": queue.waiting, "sent_back": moved} for queue, moved in found
    ]
    rows = [list(one.values()) for one in told]
    return Said({"queues": told}, [table("Dead-letter queues", ["queue", "kind", "held", "sent back"], rows)])


def _queue(url: str, attributes: Mapping[str, str], sources: tuple[str, ...]) -> Queue:
    return Queue(
        url=url,
        arn=attributes["QueueArn"],
        waiting=int(attributes[_WAITING]),
        in_flight=int(attributes[_IN_FLIGHT]),
        delayed=int(attributes[_DELAYED]),
        sources=sources,
    )


def _carry(sqs: Any, queue: Queue) -> int:
    # Sent before it is deleted: whoever is interrupted sends it twice, which does no harm.
    carried = 0
    while True:
        got = sqs.receive_message(QueueUrl=queue.url, MaxNumberOfMessages=_AT_ONCE, MessageAttributeNames=["All"])
        messages = got.get("Messages", [])
        for message in messages:
            attributes = message.get("MessageAttributes", {})
            sqs.send_message(QueueUrl=queue.sources[0], MessageBody=message["Body"], MessageAttributes=attributes)
            sqs.delete_message(QueueUrl=queue.url, ReceiptHandle=message["ReceiptHandle"])
        carried += len(messages)
        if not messages:
            return carried


def _age_of(name: str) -> dict[str, Any]:
    metric = {"Namespace": "AWS/SQS", "MetricName": _AGE, "Dimensions": [{"Name": "QueueName", "Value": name}]}
    return {"Metric": metric, "Period": 60, "Stat": "Maximum"}
