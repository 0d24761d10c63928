"""What reaches the grader: twice, late, out of order, broken. Everything accepted is decided once, or held."""

import json
from typing import Any

import pytest

from functions.grader.handler import handler as grader
from smallpeck.ledger.accounts import escrow
from smallpeck.runtime.wiring import wired
from smallpeck.tasks.model import MAX_ANSWER_BYTES
from tests.aws import Fault, Plan, drain
from tests.functions.world import MAX_RECEIVES, TWO_WEEKS_SECONDS, VISIBILITY_SECONDS, Platform
from tests.support import World

POISON = "this is not JSON"
WORKERS = tuple(f"worker-{n}" for n in range(10))


def waiting(platform: Platform, workers: tuple[str, ...] = WORKERS, **facts: Any) -> list[str]:
    """Ids of pages, one task each, that were submitted and not graded. Their messages are queued."""
    count = len(workers)
    platform.world.active(count, page_size=1, min_answers=1, max_answers=1, **facts)
    pages = []
    for name in workers:
        worker = platform.worker(name)
        page = worker.leased()
        worker.submitted(page)
        pages.append(page["page_id"])
    return pages


def states(platform: Platform, pages: list[str]) -> list[str]:
    return [platform.world.page(page_id).state for page_id in pages]


def paid(world: World, workers: tuple[str, ...] = WORKERS) -> list[int]:
    return [world.earned(worker) for worker in workers]


def spent(world: World) -> int:
    batch = world.batch()
    left = sum(world.balance(escrow("b1", shard)).balance_micros for shard in range(batch.escrow_shards))
    return batch.cost_micros - left


def test_a_submission_that_is_delivered_three_times_is_paid_once(platform: Platform) -> None:
    (page_id,) = waiting(platform, ("ann",))
    platform.nudge(page_id)
    platform.nudge(page_id)
    done = platform.deliver()
    assert (done.batches, done.deleted, done.failed) == (1, 3, 0)
    assert paid(platform.world, ("ann",)) == [300_000]
    assert spent(platform.world) == 500_000
    with platform.unchanged():
        platform.nudge(page_id)
        platform.deliver()


@pytest.mark.parametrize("seed", range(5))
def test_deliveries_that_come_shuffled_and_twice(platform: Platform, seed: int) -> None:
    pages = waiting(platform)
    done = platform.deliver(seed=seed, duplicate=0.7, batch_size=3)
    assert done.batches > 4
    assert (done.failed, platform.queued, platform.held) == (0, [], [])
    assert states(platform, pages) == ["decided"] * 10
    assert paid(platform.world) == [300_000] * 10
    assert spent(platform.world) == 5_000_000


def test_one_poison_message_in_ten_is_the_only_one_that_comes_back(platform: Platform) -> None:
    pages = waiting(platform, WORKERS[:9])
    platform.send(POISON)
    done = platform.deliver(wait=False)
    assert (done.batches, done.deleted, done.failed, done.errors) == (1, 9, 1, [])
    assert platform.queued == [POISON]
    assert states(platform, pages) == ["decided"] * 9
    assert paid(platform.world, WORKERS[:9]) == [300_000] * 9
    done = platform.deliver()
    assert (done.batches, done.deleted, done.failed) == (MAX_RECEIVES - 1, 0, MAX_RECEIVES - 1)
    assert (platform.queued, platform.held) == ([], [POISON])
    assert paid(platform.world, WORKERS[:9]) == [300_000] * 9


@pytest.mark.parametrize(
    "body",
    [
        POISON,
        "[]",
        '"page"',
        "{}",
        '{"v":2,"page_id":"g1"}',
        '{"v":"1","page_id":"g1"}',
        '{"page_id":"g1"}',
        '{"v":1}',
        '{"v":1,"page_id":7}',
        '{"v":1,"page_id":"a#b"}',
        '{"v":1,"page_id":"gNOTHING"}',
        "[" * 100_000,
    ],
    ids=lambda body: body[:30],
)
def test_a_message_that_cannot_be_handled_is_held_and_counted(
    platform: Platform, body: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {name: platform.dump()[name] for name in ("platform", "ledger")}
    platform.send(body)
    done = platform.deliver()
    assert (done.deleted, done.failed, done.errors) == (0, MAX_RECEIVES, [])
    assert platform.held == [body]
    assert {name: platform.dump()[name] for name in before} == before
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["PagesNotGraded"] for line in lines if "PagesNotGraded" in line] == [[1.0]] * MAX_RECEIVES


def test_a_message_with_or_without_a_trace_is_the_same(platform: Platform) -> None:
    pages = waiting(platform, ("ann",))
    trace = {"StringValue": "Root=1-0-0;Parent=0;Sampled=1", "DataType": "String"}
    platform.send(json.dumps({"v": 1, "page_id": pages[0]}), MessageAttributes={"AWSTraceHeader": trace})
    assert platform.deliver().failed == 0
    assert states(platform, pages) == ["decided"]


def test_pages_in_the_other_order_come_to_the_same(platform: Platform) -> None:
    outcomes = []
    for backwards in (False, True):
        other = Platform()
        outcomes.append(graded(other, backwards=backwards))
    assert outcomes[0] == outcomes[1]


def graded(platform: Platform, *, backwards: bool) -> list[Any]:
    """Three workers disagree about five tasks; what becomes of it, whatever comes first."""
    world = platform.world
    with wired(platform.wiring):
        batch = world.active(5, min_answers=2, max_answers=3)
        pages = []
        for name, answer in (("ann", "cat"), ("bob", "dog"), ("cy", "dog")):
            worker = platform.worker(name)
            # The third seat is offered only when two have disagreed, so it is there in either order.
            answered = worker.post("/pages", {"batch_id": "b1"}, key="k1").json["page"]
            if answered is None:
                platform.deliver()
                answered = worker.leased("k2")
            worker.submitted(answered, answer)
            pages.append(answered["page_id"])
            if len(pages) == 2:
                events = [json.dumps({"v": 1, "page_id": page_id}) for page_id in pages]
                platform.aws.sqs.purge_queue(QueueUrl=platform.queue_url)
                for body in events[::-1] if backwards else events:
                    platform.send(body)
        platform.deliver()
    results = [(task.result, sorted(task.votes)) for task in world.every_task(batch)]
    return [results, paid(world, ("ann", "bob", "cy")), spent(world)]


def broken(_event: dict[str, Any], _context: Any) -> Any:
    raise RuntimeError("a bad deployment")


def test_a_redrive_after_nearly_two_weeks_gives_the_same_as_the_first_time(platform: Platform) -> None:
    pages = waiting(platform, WORKERS[:3])
    done = platform.deliver(broken)
    assert len(done.errors) == MAX_RECEIVES
    assert len(platform.held) == 3
    platform.aws.clock.advance(TWO_WEEKS_SECONDS - MAX_RECEIVES * VISIBILITY_SECONDS - 60)
    platform.redrive()
    platform.deliver()
    assert platform.held == []
    assert states(platform, pages) == ["decided"] * 3
    assert paid(platform.world, WORKERS[:3]) == [300_000] * 3
    for page_id in pages:
        platform.nudge(page_id)
    assert platform.deliver().failed == 0
    assert spent(platform.world) == 1_500_000


def test_a_page_whose_message_was_lost_to_two_weeks_is_found_by_the_sweeper(platform: Platform) -> None:
    pages = waiting(platform, WORKERS[:3])
    platform.deliver(broken)
    platform.aws.clock.advance(TWO_WEEKS_SECONDS + 1)
    assert (platform.queued, platform.held) == ([], [])
    assert platform.sweep()["pages_nudged"] == 3
    platform.deliver()
    assert states(platform, pages) == ["decided"] * 3
    assert paid(platform.world, WORKERS[:3]) == [300_000] * 3


def test_a_page_is_judged_on_when_it_was_accepted(platform: Platform) -> None:
    pages = waiting(platform, ("ann",), deadline_ms=platform.world.now_ms + 3_600_000)
    platform.aws.clock.advance(7 * 86_400)
    # The lease and the batch's deadline have passed; somebody else is refused, the page is not.
    platform.worker("bob").refused("POST", "/pages", 409, "batch_not_active", body={"batch_id": "b1"}, key="k")
    platform.sweep()
    platform.deliver()
    page = platform.world.page(pages[0])
    assert (page.state, page.credited_micros) == ("decided", 300_000)
    assert page.accepted_at_ms is not None
    assert page.accepted_at_ms < page.expires_at_ms < (page.decided_at_ms or 0)
    (task,) = platform.world.every_task(platform.world.batch())
    assert task.votes["ann"].accepted_at_ms == page.accepted_at_ms


@pytest.mark.parametrize("fault", [Fault.ERROR_BEFORE, Fault.TIMEOUT_AFTER, Fault.CRASH_AFTER])
def test_a_grader_that_fails_in_the_middle_of_a_batch_loses_and_doubles_nothing(
    platform: Platform, fault: Fault
) -> None:
    pages = waiting(platform)
    with platform.aws.faults.planned(Plan(fault, at="dynamodb.TransactWriteItems:*", nth=5)):
        done = platform.deliver()
    assert done.failed in (1, 10)
    assert (states(platform, pages), platform.queued, platform.held) == (["decided"] * 10, [], [])
    assert paid(platform.world) == [300_000] * 10
    assert spent(platform.world) == 5_000_000


def test_the_last_answer_starts_the_end_of_the_batch_once(platform: Platform) -> None:
    pages = waiting(platform)
    platform.deliver()
    (execution,) = platform.finishing
    assert (execution.name, json.loads(execution.input)) == (
        "finish-b1", {"batch_id": "b1", "final": "closed"},
    )  # fmt: skip
    for page_id in pages:
        platform.nudge(page_id)
    platform.deliver()
    assert len(platform.finishing) == 1


def test_a_start_that_failed_is_made_again(platform: Platform) -> None:
    waiting(platform, ("ann",))
    with platform.aws.faults.planned(Plan(Fault.ERROR_BEFORE, at="stepfunctions.*")):
        done = platform.deliver()
    assert (done.failed, done.deleted, len(platform.finishing)) == (1, 1, 1)


def test_the_largest_page_goes_through(platform: Platform) -> None:
    platform.world.active(50, page_size=50, min_answers=1, max_answers=1, answer_schema='{"type":"string"}')
    ann = platform.worker("ann")
    page = ann.leased()
    body = {
        "answers": [
            {"task_id": one["task_id"], "answer": f"{n:02d}" + "x" * (MAX_ANSWER_BYTES - 4)}
            for n, one in enumerate(page["assignments"])
        ]
    }
    assert len(json.dumps(body)) > 150_000
    assert ann.post(f"/pages/{page['page_id']}/submission", body).status == 202
    assert max(map(len, platform.queued)) < 100
    platform.deliver()
    assert platform.world.earned("ann") == 15_000_000


def test_the_grader_answers_with_what_failed_alone(platform: Platform) -> None:
    waiting(platform, ("ann",))
    platform.send(POISON)
    answers = []

    def seen(event: dict[str, Any], context: Any) -> Any:
        answers.append(([one["messageId"] for one in event["Records"]], grader(event, context)))
        return answers[-1][1]

    drain(platform.aws.sqs, platform.queue_url, seen, wait=False)
    ((ids, answer),) = answers
    assert answer == {"batchItemFailures": [{"itemIdentifier": ids[1]}]}
