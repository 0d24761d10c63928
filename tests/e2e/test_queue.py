"""The queue between submitting and grading: what cannot be graded is held, and goes through once it can."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest

from cli.wait import until
from tests.e2e.market import PATIENCE_SECONDS, Market, decided, lease, submit

SECONDS_HIDDEN = "2"
UNKNOWN_PAGE = {"v": 1, "page_id": "g00000000000000000000000000"}


class Submissions:
    """The submissions queue and its dead-letter queue."""

    def __init__(self, market: Market) -> None:
        self.sqs: Any = market.platform.engine.client("sqs")
        self.functions: Any = market.platform.engine.client("lambda")
        self.url = market.platform.deployment.output("SubmissionsQueueUrl")
        self.dead_url = market.platform.deployment.output("SubmissionsDeadLetterQueueUrl")
        arn = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        (self.mapping,) = self.functions.list_event_source_mappings(EventSourceArn=arn)["EventSourceMappings"]

    def send(self, body: str) -> None:
        """One message."""
        self.sqs.send_message(QueueUrl=self.url, MessageBody=body)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Nothing is graded meanwhile."""
        self._enable(enabled=False)
        try:
            yield
        finally:
            self._enable(enabled=True)

    def take_dead(self, *wanted: str) -> list[str]:
        """Waits for a dead letter with each of these texts, and takes them: their bodies."""
        found: list[str] = []

        def enough() -> bool:
            answer = self.sqs.receive_message(QueueUrl=self.dead_url, MaxNumberOfMessages=10)
            for message in answer.get("Messages", []):
                found.append(message["Body"])
                self.sqs.delete_message(QueueUrl=self.dead_url, ReceiptHandle=message["ReceiptHandle"])
            return all(any(text in body for body in found) for text in wanted)

        until(enough, what=f"dead letters about {wanted}", seconds=PATIENCE_SECONDS, every=0.5)
        return [next(body for body in found if text in body) for text in wanted]

    def _enable(self, *, enabled: bool) -> None:
        self.functions.update_event_source_mapping(UUID=self.mapping["UUID"], Enabled=enabled)


@pytest.fixture(scope="module")
def submissions(market: Market) -> Iterator[Submissions]:
    """The queue, from which a message that failed comes back after two seconds instead of minutes."""
    queue = Submissions(market)
    names = ["VisibilityTimeout"]
    usual = queue.sqs.get_queue_attributes(QueueUrl=queue.url, AttributeNames=names)["Attributes"]
    queue.sqs.set_queue_attributes(QueueUrl=queue.url, Attributes={"VisibilityTimeout": SECONDS_HIDDEN})
    yield queue
    queue.sqs.set_queue_attributes(QueueUrl=queue.url, Attributes=usual)


def test_poison_ends_in_the_dead_letter_queue_and_holds_up_no_other(market: Market, submissions: Submissions) -> None:
    offer, worker = market.offer(5, min_answers=1, max_answers=1), market.person("worker")
    poison = ["not json", json.dumps(UNKNOWN_PAGE)]
    with submissions.stopped():
        submissions.send(poison[0])
        page = lease(worker, offer.batch_id)
        submit(worker, page)
        submissions.send(poison[1])

    submission = decided(worker, page["page_id"])

    assert {one["state"] for one in submission["assignments"]} == {"approved"}
    assert submissions.take_dead(*poison) == poison
    assert market.books_balance()


def test_what_was_held_goes_through_when_it_is_repaired_and_redriven(market: Market, submissions: Submissions) -> None:
    offer, worker = market.offer(5, min_answers=1, max_answers=1), market.person("worker")
    tables: Any = market.platform.engine.client("dynamodb")
    with submissions.stopped():
        page = lease(worker, offer.batch_id)
        submit(worker, page)
        table, batch = _take_away(tables, {"pk": {"S": f"BATCH#{offer.batch_id}"}, "sk": {"S": "BATCH"}})
    (held,) = submissions.take_dead(page["page_id"])
    tables.put_item(TableName=table, Item=batch)
    assert Decimal(worker.get("/balance")["available"]) == 0

    for _ in range(3):  # a redrive may come more than once, at any age
        submissions.send(held)

    submission = decided(worker, page["page_id"])
    assert {one["state"] for one in submission["assignments"]} == {"approved"}
    offer.ends()
    assert Decimal(worker.get("/balance")["available"]) == Decimal("2.00")
    assert len(worker.every("/statement", "rows")) == 1
    assert market.books_balance()


def _take_away(tables: Any, key: dict[str, Any]) -> tuple[str, Any]:
    """Deletes an item, whatever table it is in: the table, and the item as it was."""
    for table in tables.list_tables()["TableNames"]:
        found = tables.delete_item(TableName=table, Key=key, ReturnValues="ALL_OLD").get("Attributes")
        if found:
            return table, found
    raise AssertionError("there is no such item")
