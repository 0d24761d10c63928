"""Batches past their first rounds: every task has votes, is undecided, and stands in the index."""

from collections.abc import Iterator
from random import Random
from typing import Any

from smallpeck.kernel.writes import ref
from smallpeck.table import keys
from smallpeck.table.marshal import to_item
from smallpeck.tasks.model import Batch, Task, Vote, new_task_fields, task_ref
from smallpeck.tasks.shuffling import id_of_task
from smallpeck.tasks.voting import listing
from tests.support import World

DYNAMIC: dict[str, Any] = {
    "consensus": '{"method":"choice","options":3}',
    "answer_schema": '{"enum":["cat","dog","bird"]}',
    "min_answers": 2,
    "max_answers": 7,
}


def past_first_rounds(task_count: int, *, seed: int = 1, **facts: Any) -> tuple[World, Batch]:
    """A batch whose every task has two votes, alike or not, by workers of different accuracy."""
    world = World()
    batch = world.active(task_count, **{**DYNAMIC, **facts})
    world.aws.dynamodb.seed("platform", _items(batch, Random(seed)))
    return world, world.batch()


def _items(batch: Batch, draw: Random) -> Iterator[dict[str, Any]]:
    for ordinal in range(batch.task_count):
        identifier = id_of_task(ordinal, str(ordinal).encode(), batch.batch_id, batch.shuffle_key)
        votes = {
            f"voter-{n}": Vote("g", draw.choice(('"cat"', '"dog"')), 0, draw.randrange(400_000, 900_000))
            for n in range(2)
        }
        task = Task(batch.batch_id, identifier, ordinal, seats_taken=2, version=2, votes=votes)
        stored: dict[str, Any] = {
            name: {"page_id": one.page_id, "answer": one.answer, "accepted_at_ms": 0, "accuracy_ppm": one.accuracy_ppm}
            for name, one in votes.items()
        }
        ((entry, place),) = listing(batch, task).items()
        assert place is not None
        yield to_item(
            {
                **keys.key_of(task_ref(batch, ordinal))[1],
                **new_task_fields(identifier, ordinal),
                "seats_taken": 2,
                "version": 2,
                "votes": stored,
                **keys.index_key(entry, place),
            }
        )
    for shard in range(batch.shards):
        drawn = batch.shard_size(shard) * batch.min_answers
        yield to_item({**keys.key_of(ref("tickets", batch.batch_id, shard))[1], "next": drawn})
