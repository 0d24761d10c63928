"""What the sweeper finds once a minute: forgotten pages, leases that ran out, batches that are over."""

import json

import pytest

from smallpeck.tasks.model import BatchState
from tests.aws import Fault, Plan
from tests.functions.world import Platform
from tests.support import World


def lost(platform: Platform, worker: str = "ann") -> str:
    """The id of a page that was accepted and whose message is gone."""
    client = platform.worker(worker)
    page = client.leased()
    client.submitted(page)
    platform.aws.sqs.purge_queue(QueueUrl=platform.queue_url)
    page_id: str = page["page_id"]
    return page_id


def test_with_nothing_to_do_nothing_is_done(platform: Platform) -> None:
    with platform.unchanged():
        assert platform.sweep() == {"pages_nudged": 0, "batches_finishing": 0}


def test_an_accepted_page_whose_message_was_lost_is_queued_again_and_decided(platform: Platform) -> None:
    platform.world.active(10)
    page_id = lost(platform)
    platform.aws.clock.advance(60)
    # Its message may still be on the way.
    assert platform.sweep()["pages_nudged"] == 0
    platform.aws.clock.advance(61)
    assert platform.sweep()["pages_nudged"] == 1
    assert [json.loads(body) for body in platform.queued] == [{"v": 1, "page_id": page_id}]
    platform.deliver()
    assert platform.worker("ann").get(f"/pages/{page_id}/submission").json["state"] == "decided"
    assert platform.world.earned("ann") == 3_000_000
    assert platform.sweep()["pages_nudged"] == 0


def test_a_submission_that_could_not_be_queued_is_accepted_and_found_again(platform: Platform) -> None:
    platform.world.active(10)
    ann = platform.worker("ann")
    page = ann.leased()
    answers = {"answers": [{"task_id": one["task_id"], "answer": "cat"} for one in page["assignments"]]}
    with platform.aws.faults.planned(Plan(Fault.ERROR_BEFORE, at="sqs.SendMessage:*")):
        told = ann.post(f"/pages/{page['page_id']}/submission", answers)
    assert (told.status, told.json["code"], told.headers["retry-after"]) == (503, "unavailable", "2")
    assert platform.queued == []
    assert ann.get(f"/pages/{page['page_id']}/submission").json["state"] == "submitted"
    platform.aws.clock.advance(121)
    platform.sweep()
    platform.deliver()
    assert platform.world.earned("ann") == 3_000_000


def test_many_forgotten_pages_are_found_over_all_shards(platform: Platform) -> None:
    platform.world.active(40, page_size=1, min_answers=1, max_answers=1)
    pages = {lost(platform, f"worker-{n}") for n in range(40)}
    platform.aws.clock.advance(121)
    assert platform.sweep()["pages_nudged"] == 40
    assert {json.loads(body)["page_id"] for body in platform.queued} == pages
    platform.deliver()
    assert sum(platform.world.earned(f"worker-{n}") for n in range(40)) == 40 * 300_000


def test_seats_of_leases_that_ran_out_are_open_again(platform: Platform) -> None:
    batch = platform.world.active(10, min_answers=1, max_answers=1)
    ann = platform.worker("ann")
    page = ann.leased()
    platform.aws.clock.advance(599)
    platform.sweep()
    assert ann.get(f"/pages/{page['page_id']}").json["state"] == "leased"
    platform.aws.clock.advance(1)
    platform.sweep()
    assert {len(task.holders) for task in platform.world.every_task(batch)} == {0}
    assert {one["state"] for one in ann.get(f"/pages/{page['page_id']}").json["assignments"]} == {"expired"}
    with platform.unchanged():
        platform.sweep()


def test_a_batch_past_its_deadline_is_told_to_finish_and_finishes(platform: Platform) -> None:
    world = platform.world
    world.active(10, deadline_ms=world.now_ms + 3_600_000)
    ann, bob = platform.worker("ann"), platform.worker("bob")
    ann.submitted(ann.leased())
    platform.deliver()
    platform.aws.clock.advance(3_590)
    late = bob.leased()
    assert platform.sweep()["batches_finishing"] == 0
    platform.aws.clock.advance(10)
    assert [platform.sweep()["batches_finishing"] for _ in range(3)] == [1, 1, 1]
    (execution,) = platform.finishing
    assert json.loads(execution.input) == {"batch_id": "b1", "final": "closed"}
    # Who had leased before may still answer.
    bob.submitted(late, "dog")
    platform.deliver()
    platform.finish()
    assert world.batch().state is BatchState.CLOSED
    assert (world.earned("ann"), world.earned("bob")) == (3_000_000, 3_000_000)
    assert platform.sweep()["batches_finishing"] == 0


def test_a_batch_that_is_done_is_told_to_finish_although_the_grader_died_before_it_could(platform: Platform) -> None:
    platform.world.active(10, min_answers=1, max_answers=1)
    ann = platform.worker("ann")
    ann.submitted(ann.leased())
    with platform.aws.faults.planned(Plan(Fault.THROTTLED_ON, at="stepfunctions.*")):
        platform.deliver()
    assert len(platform.held) == 1
    assert platform.finishing == []
    assert platform.sweep()["batches_finishing"] == 1
    assert len(platform.finishing) == 1


def test_a_batch_that_is_closing_is_told_again(platform: Platform) -> None:
    platform.world.active(10)
    platform.step("begin", "b1", final="cancelled")
    assert platform.sweep()["batches_finishing"] == 1
    platform.finish(final="closed")
    assert platform.world.batch().state is BatchState.CANCELLED


def test_a_sweep_that_fails_on_the_way_is_made_whole_by_the_next(platform: Platform) -> None:
    platform.world.active(20)
    for worker in ("ann", "bob"):
        lost(platform, worker)
    platform.aws.clock.advance(121)
    with (
        platform.aws.faults.planned(Plan(Fault.ERROR_BEFORE, at="sqs.*", nth=2)),
        pytest.raises(Exception, match="InternalFailure"),
    ):
        platform.sweep()
    platform.sweep()
    platform.deliver()
    assert [platform.world.earned(worker) for worker in ("ann", "bob")] == [3_000_000] * 2


def test_more_batches_than_are_read_at_once_are_all_looked_after(platform: Platform) -> None:
    world: World = platform.world
    for n in range(120):
        world.active(1, batch_id=f"b{n}", deadline_ms=world.now_ms + 1_000)
    platform.aws.clock.advance(1)
    assert platform.sweep()["batches_finishing"] == 120
    assert len(platform.finishing) == 120
