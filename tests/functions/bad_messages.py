"""Rows 40 to 49: messages that reach the grader broken, twice, late or out of order."""

import json
from collections.abc import Callable
from typing import Any

from smallpeck.runtime.requests import MAX_BODY_BYTES
from smallpeck.runtime.wiring import wired
from smallpeck.tasks.model import MAX_ANSWER_BYTES
from tests.functions.bad_inputs import Row
from tests.functions.world import MAX_RECEIVES, TWO_WEEKS_SECONDS, Platform, answers_to


def submitted(platform: Platform, count: int = 9) -> list[str]:
    """Ids of accepted pages of as many workers; their messages wait."""
    platform.world.active(count, page_size=1, min_answers=1, max_answers=1)
    pages = []
    for n in range(count):
        worker = platform.worker(f"worker-{n}")
        page = worker.leased()
        worker.submitted(page)
        pages.append(page["page_id"])
    return pages


def earned(platform: Platform, count: int = 9) -> list[int]:
    return [platform.world.earned(f"worker-{n}") for n in range(count)]


def held(*bodies: str) -> Callable[[Platform], None]:
    """Messages that are tried a few times, then held where an operator sees them; those beside them go through."""

    def run(platform: Platform) -> None:
        for body in bodies:
            _held(Platform() if platform.held else platform, body)

    return run


def _held(platform: Platform, body: str) -> None:
    with wired(platform.wiring):
        submitted(platform)
        platform.send(body)
        done = platform.deliver()
        assert (done.deleted, done.failed, done.errors) == (9, MAX_RECEIVES, [])
        assert (platform.queued, platform.held) == ([], [body])
        assert earned(platform) == [300_000] * 9


def delivered_again(platform: Platform) -> None:
    pages = submitted(platform)
    platform.deliver(duplicate=1.0)
    before = platform.dump()
    for page_id in pages * 2:
        platform.nudge(page_id)
    assert platform.deliver().failed == 0
    assert platform.dump() == before
    assert earned(platform) == [300_000] * 9


def out_of_order(platform: Platform) -> None:
    """A message may come before what it speaks of can be read, or after everything: both end decided once."""
    pages = submitted(platform)
    platform.deliver(seed=7, batch_size=2)
    worker = platform.worker("late")
    platform.world.active(1, batch_id="b2", min_answers=1, max_answers=1)
    page = worker.leased("k", "b2")
    # Before the submission there is nothing to decide, and the message is done.
    platform.nudge(page["page_id"])
    assert platform.deliver().failed == 0
    worker.submitted(page)
    platform.deliver()
    assert {platform.world.page(page_id).state for page_id in [*pages, page["page_id"]]} == {"decided"}
    assert platform.world.earned("late") == 300_000


def one_poison_in_ten(platform: Platform) -> None:
    submitted(platform)
    platform.send("poison")
    done = platform.deliver(wait=False)
    assert (done.batches, done.deleted, done.failed) == (1, 9, 1)
    assert platform.queued == ["poison"]
    assert earned(platform) == [300_000] * 9


def largest(platform: Platform) -> None:
    platform.world.active(50, page_size=50, min_answers=1, max_answers=1, answer_schema='{"type":"string"}')
    ann = platform.worker("ann")
    page = ann.leased()
    path, body = f"/pages/{page['page_id']}/submission", answers_to(page, "x" * (MAX_ANSWER_BYTES - 2))
    text = json.dumps(body)
    told = text + " " * (MAX_BODY_BYTES - len(text))
    ann.refused("POST", path, 413, "too_large", raw=told + " ")
    ann.refused("POST", path, 422, "invalid", body=answers_to(page, "x" * (MAX_ANSWER_BYTES - 1)))
    assert ann.ask("POST", path, raw=told).status == 202
    platform.deliver()
    assert platform.world.earned("ann") == 50 * 300_000


def redriven(platform: Platform) -> None:
    def broken(_event: dict[str, Any], _context: Any) -> None:
        raise RuntimeError("a bad deployment")

    submitted(platform)
    platform.deliver(broken)
    assert len(platform.held) == 9
    platform.aws.clock.advance(TWO_WEEKS_SECONDS - 3_600)
    platform.redrive()
    platform.deliver()
    assert earned(platform) == [300_000] * 9
    platform.aws.clock.advance(TWO_WEEKS_SECONDS)
    # Anything that was lost for good would be found by the sweeper.
    assert platform.sweep()["pages_nudged"] == 0


def older_than_its_deadline(platform: Platform) -> None:
    world = platform.world
    batch = world.active(1, deadline_ms=world.now_ms + 700_000, min_answers=1, max_answers=1)
    ann, bob = platform.worker("ann"), platform.worker("bob")
    page = ann.leased()
    platform.aws.clock.advance(599)
    ann.submitted(page)
    platform.aws.clock.advance(86_400)
    bob.refused("POST", "/pages", 409, "batch_not_active", body={"batch_id": "b1"}, key="k")
    platform.deliver()
    assert world.earned("ann") == 300_000
    (task,) = world.every_task(batch)
    assert task.votes["ann"].accepted_at_ms < batch.deadline_ms < world.now_ms


def without_a_trace(platform: Platform) -> None:
    pages = submitted(platform, 2)
    platform.aws.sqs.purge_queue(QueueUrl=platform.queue_url)
    platform.nudge(pages[0])
    trace = {"AWSTraceHeader": {"StringValue": "Root=1-0-0", "DataType": "String"}}
    platform.send(json.dumps({"v": 1, "page_id": pages[1]}), MessageAttributes=trace)
    platform.deliver()
    assert earned(platform, 2) == [300_000] * 2


ROWS = [
    Row(40, "a message that is not JSON", held("poison", "{", "[" * 100_000)),
    Row(41, "a message of an unknown version", held('{"v":2,"page_id":"g1"}', '{"page_id":"g1"}', "[]", '{"v":"1"}')),
    Row(42, "a message about a page that is not there", held('{"v":1,"page_id":"gNOTHING"}', '{"v":1,"page_id":"a#"}')),
    Row(43, "a message twice", delivered_again),
    Row(44, "messages out of order", out_of_order),
    Row(45, "one poison message in ten", one_poison_in_ten),
    Row(46, "the largest body, and a larger one", largest),
    Row(47, "a redrive after two weeks", redriven),
    Row(48, "a message older than the deadline", older_than_its_deadline),
    Row(49, "a message without a trace", without_a_trace),
]
