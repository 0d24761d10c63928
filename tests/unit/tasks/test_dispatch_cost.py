"""Dispatch stays cheap and calm: whatever the size of a batch, and however many ask at once."""

from dataclasses import dataclass, replace
from functools import partial

import pytest

from smallpeck.kernel.writes import Below, Change, Equals
from smallpeck.tasks import dispatch
from smallpeck.tasks.model import Batch, Task
from smallpeck.tasks.pages import Page
from tests.aws.faults import Call
from tests.aws.schedule import interleave
from tests.support import World
from tests.unit.tasks.wanting import past_first_rounds

WORKERS = 1_000


@dataclass(frozen=True)
class Cost:
    calls: int
    reads: float
    writes: float


def cost_of_a_page(task_count: int) -> Cost:
    """The second page of a new batch: the first makes the ticket item."""
    world = World()
    world.active(task_count, deadline_ms=world.now_ms + 10**9)
    batch = world.batch()
    for n in range(20):
        world.leased(f"early-{n}", batch=batch)
    world.aws.dynamodb.meter.reset()
    calls = world.aws.faults.count_calls(lambda: world.leased("ann", batch=batch))
    meter = world.aws.dynamodb.meter
    return Cost(calls, meter.read, meter.write)


@pytest.mark.parametrize(
    "task_count", [20_000, pytest.param(1_000_000, marks=pytest.mark.slow)], ids=["20,000", "1,000,000"]
)
def test_a_page_costs_the_same_in_a_batch_of_any_size(task_count: int) -> None:
    assert cost_of_a_page(task_count) == cost_of_a_page(500)


def test_a_page_of_ten_makes_ten_claims_and_six_other_calls() -> None:
    """Page, membership, ticket, tasks; page and membership written together; ten claims; the page handed out."""
    assert cost_of_a_page(500).calls == 10 + 6


def is_preparation(call: Call) -> bool:
    """Everything before the first claim of a worker: reads, the ticket, and the page itself."""
    return not call.is_write or "TICKETS" in str(call.params.get("Key")) or call.operation == "TransactWriteItems"


@dataclass(frozen=True)
class Rush:
    """A thousand workers who all look at a new batch before any of them takes a seat."""

    claims: int
    failed: int
    seats: int


def rushed(world: World, batch: Batch, workers: int) -> Rush:
    """Workers who all look before any of them takes a seat."""
    claims: set[int] = set()

    def note_claims(call: Call) -> None:
        if call.operation == "UpdateItem" and "TASKS#" in str(call.params["Key"]):
            claims.add(call.index)

    world.aws.faults.watch = note_claims
    flows = {f"worker-{n}": partial(world.lease, f"worker-{n}", batch=batch) for n in range(workers)}
    outcome = interleave(world.aws.faults, flows, is_preparation).check()
    world.aws.faults.watch = None
    refused = {int(line.split()[0]) for line in world.aws.faults.trace if "ConditionalCheckFailed" in line}
    for task in world.every_task(batch):
        assert task.seats_taken == len(task.holders) + len(task.votes) <= batch.max_answers
    seats = sum(len(page.assignments) for page in outcome.results.values() if isinstance(page, Page))
    return Rush(len(claims), len(claims & refused), seats)


def rush(task_count: int) -> Rush:
    world = World()
    return rushed(world, world.active(task_count), WORKERS)


@pytest.mark.parametrize("task_count", [500, 20_000])
def test_a_thousand_workers_who_all_look_before_any_takes_hardly_ever_collide(task_count: int) -> None:
    found = rush(task_count)
    assert found.seats == min(WORKERS * 10, task_count * 3)
    assert found.failed <= 0.05 * found.claims, found


def test_insisting_on_what_was_read_would_make_them_collide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Why a claim states what it needs: docs/decisions/0001."""
    stated = dispatch.claim

    def as_read(page: Page, batch: Batch, task: Task) -> Change:
        write = stated(page, batch, task)
        kept = tuple(one for one in write.when if not isinstance(one, Below))
        return replace(write, when=tuple(dict.fromkeys((*kept, Equals("seats_taken", task.seats_taken)))))

    monkeypatch.setattr(dispatch, "claim", as_read)
    assert rush(500) == Rush(claims=2_500, failed=1_000, seats=1_500)


def cost_of_a_wanted_page(task_count: int) -> Cost:
    """A page from the index, where every task has had its first answers."""
    world, batch = past_first_rounds(task_count)
    for n in range(3):
        world.leased(f"early-{n}", batch=batch)
    world.aws.dynamodb.meter.reset()
    calls = world.aws.faults.count_calls(lambda: world.leased("ann", batch=batch))
    meter = world.aws.dynamodb.meter
    return Cost(calls, meter.read, meter.write)


def test_a_page_from_the_index_costs_the_same_in_a_batch_of_any_size() -> None:
    """Beside the page's own calls: a ticket that is gone, the index twice, the turn, what is known of the worker."""
    for cost in (cost_of_a_wanted_page(500), cost_of_a_wanted_page(10_000)):
        assert cost.calls <= 10 + 12
        assert cost.reads <= 2 * 10
        assert cost.writes <= 10 * 2 + 10  # a claim takes the task out of the index as well


@pytest.mark.parametrize(("task_count", "workers"), [(8_000, 200), pytest.param(40_000, 1_000, marks=pytest.mark.slow)])
def test_workers_who_all_look_into_the_index_at_once_hardly_ever_collide(task_count: int, workers: int) -> None:
    """They ask for a quarter of what is listed, in the same moment."""
    found = rushed(*past_first_rounds(task_count), workers)
    assert found.failed <= 0.05 * found.claims, found
    assert found.seats >= 0.95 * workers * 10


@pytest.mark.parametrize(("task_count", "workers"), [(4_000, 200), pytest.param(20_000, 1_000, marks=pytest.mark.slow)])
def test_new_workers_who_all_ask_for_control_tasks_at_once_hardly_ever_collide(task_count: int, workers: int) -> None:
    world = World()
    batch = world.active(task_count, controls=dict.fromkeys(range(task_count // 20), '"cat"'))
    found = rushed(world, batch, workers)
    assert found.failed <= 0.05 * found.claims, found
    assert found.seats >= 0.95 * workers * 10
