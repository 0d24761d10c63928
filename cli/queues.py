"""Sends what a dead-letter queue holds back to where it came from.

    python -m cli.queues --stage dev                 every dead-letter queue of the stage that holds something
    python -m cli.queues --stage dev --queue NAME    only those whose name contains NAME

Safe at any age: whoever receives a message a second time finds its work done. Queues that hold undelivered events have
no queue to go back to; they are only counted here, and events/catalogue.md says how each is made up for.
"""

import argparse
import sys
from collections.abc import Iterator
from typing import Any

MARK = "deadletters"  # in the names that CloudFormation makes from infra.constructs.queue.DeadLetterQueue


def dead_letter_queues(sqs: Any, stage: str, name: str) -> Iterator[str]:
    """URLs of the stage's dead-letter queues whose name contains `name`."""
    for page in sqs.get_paginator("list_queues").paginate(QueueNamePrefix=f"small-peck-{stage}"):
        for url in page.get("QueueUrls", []):
            queue = url.rpartition("/")[2]
            if MARK in queue.lower() and name.lower() in queue.lower():
                yield url


def redrive(sqs: Any, stage: str, name: str) -> int:
    """Starts a move task for every such queue that holds messages; returns how many messages are on their way."""
    moved = 0
    for url in dead_letter_queues(sqs, stage, name):
        names = ["QueueArn", "ApproximateNumberOfMessages"]
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        held = int(attributes["ApproximateNumberOfMessages"])
        has_source = bool(sqs.list_dead_letter_source_queues(QueueUrl=url).get("queueUrls"))
        if held and has_source:
            sqs.start_message_move_task(SourceArn=attributes["QueueArn"])
            moved += held
        what = "on their way back" if has_source else "undelivered events"
        print(f"{held:>8} {what:<20} {url.rpartition('/')[2]}")
    return moved


def main() -> int:
    """Redrives the queues of a stage, with the credentials of the environment."""
    import boto3

    options = argparse.ArgumentParser(prog="cli.queues", description=__doc__)
    options.add_argument("--stage", required=True, choices=("dev", "prod"))
    options.add_argument("--queue", default="", help="part of the queue's name")
    chosen = options.parse_args()
    redrive(boto3.client("sqs"), chosen.stage, chosen.queue)
    return 0


if __name__ == "__main__":
    sys.exit(main())
