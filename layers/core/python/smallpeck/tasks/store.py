"""How tasks, batches and pages are read from DynamoDB. Writes go through the unit of work."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import zip_longest
from typing import Any

from smallpeck.consensus.method import SkillCounts
from smallpeck.consensus.online import Knowledge
from smallpeck.kernel.writes import ref
from smallpeck.table import keys
from smallpeck.table.client import Slice, Table
from smallpeck.tasks.batches import InWork, Progress
from smallpeck.tasks.dispatch import Membership
from smallpeck.tasks.model import Batch, BatchState, Holder, Result, Review, Task, TaskStatus, Vote, batch_ref, task_ref
from smallpeck.tasks.pace import median_seconds
from smallpeck.tasks.pages import (
    SUBMITTED_SHARDS,
    Assignment,
    AssignmentState,
    Page,
    PageState,
    member_ref,
    page_ref,
)
from smallpeck.tasks.routing import Place
from smallpeck.tasks.shuffling import ordinal_of
from smallpeck.tasks.skill import counted, knowledge, skill_ref
from smallpeck.tasks.skips import skips_in
from smallpeck.tasks.sweeping import Tickets

COUNTED_PAGES = 1_000
_NEVER = 2**62
# All shards of a batch are read side by side, tasks and inputs: 32 runs are held at a time.
_SIDE_BY_SIDE = 500
_BATCH_FIELDS = frozenset(one.name for one in fields(Batch))
_PAGE_FIELDS = frozenset(one.name for one in fields(Page))


@dataclass(frozen=True)
class TaskStore:
    """Reads of the tasks feature; every read of an item is consistent, every list from an index is not."""

    table: Table

    # Batches

    def batch(self, batch_id: str) -> Batch | None:
        """The batch, or None."""
        item = self.table.get(batch_ref(batch_id))
        return None if item is None else batch_of(item)

    def batches_of(self, requester_id: str, *, after: str | None, limit: int) -> tuple[list[Batch], str | None]:
        """A requester's batches, newest first, and where the list goes on."""
        listed = self.table.listed("batch_of", requester_id, after=after, limit=limit, newest_first=True)
        return self._batches(listed, limit), listed.next_after

    def open_batches(self, *, after: str | None, limit: int) -> tuple[list[Batch], str | None]:
        """Batches that are offered or closing, those with the nearest deadline first, and where the list goes on."""
        listed = self.table.listed("open", after=after, limit=limit)
        return self._batches(listed, limit), listed.next_after

    def progress(self, batch_id: str) -> Progress:
        """What the settlement rounds of a batch have counted so far."""
        counts = list(self.table.every("progress", batch_id))
        total = _summed(counts)
        return Progress(
            answers=sum(item.get("answers", 0) for item in counts),
            rejected=sum(item.get("rejected", 0) for item in counts),
            closed=sum(item.get("closed", 0) for item in counts),
            disputed=sum(item.get("disputed", 0) for item in counts),
            rejections=sum(item.get("rejections", 0) for item in counts),
            median_seconds=median_seconds(total),
            skips=skips_in(total),
        )

    def offered(self, *, after: str | None, limit: int) -> tuple[list[tuple[str, Batch]], str | None]:
        """Open batches, each with its place in the list; perhaps a moment old, which is enough to choose from them."""
        listed = self.table.listed("open", after=after, limit=limit)
        places = {item[keys.index_names("open")[2]]: item for item in listed.items}
        refs = {place: batch_ref(keys.parts_of_item("batch", item)[0]) for place, item in places.items()}
        found = self.table.get_many(list(refs.values()), consistent=False)
        return [(place, batch_of(found[one])) for place, one in refs.items() if one in found], listed.next_after

    def in_work(self, batch: Batch, *, now_ms: int) -> InWork:
        """What workers have in their hands and what is not decided, counted from the indexes' keys alone."""
        most, unexpired = COUNTED_PAGES + 1, keys.index_bound("lease", now_ms + 1)
        leases = [
            self.table.listed("lease", batch.batch_id, shard, first=unexpired, limit=most)
            for shard in range(batch.shards)
        ]
        submitted = [self.table.listed("submitted", shard, limit=most) for shard in range(SUBMITTED_SHARDS)]
        waiting = self.table.listed("review", batch.batch_id, limit=most)
        handed_in = (keys.parts_of_index("submitted", item) for run in submitted for item in run.items)
        return InWork(
            leased=sum(int(keys.parts_of_index("lease", item)[1]) for run in leases for item in run.items),
            submitted=sum(int(answers) for _, batch_id, answers, _ in handed_in if batch_id == batch.batch_id),
            in_review=sum(int(keys.parts_of_index("review", item)[1]) for item in waiting.items),
            complete=all(run.next_after is None for run in (*leases, *submitted, waiting)),
        )

    def _batches(self, listed: Slice, limit: int) -> list[Batch]:
        refs = [batch_ref(keys.parts_of_item("batch", item)[0]) for item in listed.items[:limit]]
        found = self.table.get_many(refs)
        return [batch_of(found[one]) for one in refs if one in found]

    # Tasks

    def tasks(self, batch: Batch, ordinals: Sequence[int]) -> dict[int, Task]:
        """The tasks that exist, by ordinal."""
        found = self.table.get_many([task_ref(batch, ordinal) for ordinal in ordinals])
        return {task.ordinal: task for task in (task_of(batch.batch_id, item) for item in found.values())}

    def task(self, batch: Batch, ordinal: int) -> Task | None:
        """One task."""
        item = self.table.get(task_ref(batch, ordinal))
        return None if item is None else task_of(batch.batch_id, item)

    def task_by_id(self, batch: Batch, task_id: str) -> Task | None:
        """The task with this id, or None where the batch has none."""
        ordinal = ordinal_of(task_id, batch.shuffle_key)
        task = self.task(batch, ordinal) if ordinal is not None and ordinal < batch.task_count else None
        return task if task is not None and task.task_id == task_id else None

    def tasks_between(self, batch: Batch, shard: int, first: int, last: int) -> list[Task]:
        """The tasks of a run of positions (both included) in one shard."""
        run = self.table.slice(
            "task",
            batch.batch_id,
            shard,
            first=keys.sort_key("task", first),
            last=keys.sort_key("task", last),
        )
        return [task_of(batch.batch_id, item) for item in run.items]

    def every_task(self, batch: Batch, shard: int) -> Iterator[Task]:
        """All tasks of a shard by position."""
        return (task_of(batch.batch_id, item) for item in self.table.every("task", batch.batch_id, shard))

    def every_task_with_input(self, batch: Batch) -> Iterator[tuple[Task, dict[str, Any]]]:
        """All tasks of a batch by ordinal, each with its `input` item."""
        shards = [
            zip(self._tasks_of(batch, shard), self._inputs_of(batch, shard), strict=True)
            for shard in range(batch.shards)
        ]
        return (pair for round_ in zip_longest(*shards) for pair in round_ if pair is not None)

    def _tasks_of(self, batch: Batch, shard: int) -> Iterator[Task]:
        items = self.table.every("task", batch.batch_id, shard, at_once=_SIDE_BY_SIDE)
        return (task_of(batch.batch_id, item) for item in items)

    def _inputs_of(self, batch: Batch, shard: int) -> Iterator[dict[str, Any]]:
        return self.table.every("input", batch.batch_id, shard, at_once=_SIDE_BY_SIDE)

    def inputs(self, batch: Batch, ordinals: Sequence[int]) -> dict[int, dict[str, Any]]:
        """The `input` items (task_id, row_id, line, input as JSON text) of tasks, by ordinal."""
        refs = {ref("input", batch.batch_id, *batch.place(ordinal)): ordinal for ordinal in ordinals}
        found = self.table.get_many(list(refs), consistent=False)
        missing = [one for one in refs if one not in found]
        if missing:
            found |= self.table.get_many(missing)
        return {refs[one]: item for one, item in found.items()}

    def known(self, batch: Batch, workers: Collection[str]) -> Knowledge:
        """What is known of these workers in the batch, and of all its workers together; perhaps a moment old."""
        refs = {skill_ref(batch.batch_id, worker): worker for worker in workers}
        found = self.table.get_many(list(refs), consistent=False)
        skills = {worker: counted(found.get(one, {})) for one, worker in refs.items()}
        return knowledge(skills, self.table.every("progress", batch.batch_id))

    def skill(self, batch: Batch, worker_id: str) -> SkillCounts:
        """What is known of one worker in the batch; perhaps a moment old."""
        return counted(self.table.get(skill_ref(batch.batch_id, worker_id), consistent=False) or {})

    def listed_tasks(self, batch: Batch, *, after: int | None, limit: int) -> tuple[list[Task], int | None]:
        """Tasks by ordinal from after one ordinal on, and after which one the list goes on."""
        first = 0 if after is None else after + 1
        ordinals = range(first, min(first + limit, batch.task_count))
        found = self.tasks(batch, ordinals)
        tasks = [found[ordinal] for ordinal in ordinals if ordinal in found]
        return tasks, ordinals[-1] if ordinals and ordinals[-1] + 1 < batch.task_count else None

    # Dispatch

    def take_tickets(self, batch_id: str, shard: int, count: int, *, end: int) -> int | None:
        """Takes `count` tickets of a shard and returns the number of the first; None where `end` are taken."""
        after = self.table.increment(ref("tickets", batch_id, shard), "next", count, below=end)
        return None if after is None else after - count

    def tickets(self, batch_id: str, shard: int) -> Tickets:
        """How far the tickets of a shard are drawn."""
        item = self.table.get(ref("tickets", batch_id, shard)) or {}
        return Tickets(item.get("next", 0), item.get("mended_at_ms", 0))

    def next_to_ask(self, batch_id: str, shard: int) -> int:
        """The number of whoever looks into a shard's index, counted from 1."""
        return self.table.increment(ref("tickets", batch_id, shard), "asked", 1, below=_NEVER) or 0

    def wanted(self, batch: Batch, shard: int, *, first: Place, before: Place, limit: int) -> list[tuple[int, int]]:
        """(band, ordinal) of tasks that seem to have a free seat, from one place of the index to before another."""
        listed = self.table.listed(
            "want",
            batch.batch_id,
            shard,
            first=keys.index_bound("want", *first),
            before=keys.index_bound("want", *before),
            limit=limit,
        )
        bands = [int(keys.parts_of_index("want", item)[0]) for item in listed.items]
        return list(zip(bands, _ordinals(batch, listed), strict=True))

    def controls(self, batch: Batch, shard: int, *, first: int, before: int, limit: int) -> list[int]:
        """Ordinals of control tasks that seem to have a free seat, among ranks first <= r < before."""
        listed = self.table.listed(
            "control",
            batch.batch_id,
            shard,
            first=keys.index_bound("control", first),
            before=keys.index_bound("control", before),
            limit=limit,
        )
        return _ordinals(batch, listed)

    def due_leases(self, batch_id: str, shard: int, *, now_ms: int, limit: int) -> list[str]:
        """Ids of pages whose lease seems to have run out, or whose seats still have to be opened."""
        listed = self.table.listed("lease", batch_id, shard, before=keys.index_bound("lease", now_ms + 1), limit=limit)
        return [keys.parts_of_item("page", item)[0] for item in listed.items]

    def membership(self, worker_id: str, batch_id: str) -> Membership:
        """A worker's open pages in a batch."""
        item = self.table.get(member_ref(worker_id, batch_id)) or {}
        return Membership(open_pages=item.get("open", {}), version=item.get("version", 0))

    # Pages

    def page(self, page_id: str) -> Page | None:
        """The page, or None."""
        item = self.table.get(page_ref(page_id))
        return None if item is None else page_of(item)

    def pages(self, page_ids: Collection[str]) -> dict[str, Page]:
        """The pages that exist, by id."""
        found = self.table.get_many([page_ref(page_id) for page_id in page_ids])
        return {page.page_id: page for page in map(page_of, found.values())}

    def pages_of(self, worker_id: str, *, after: str | None, limit: int) -> tuple[list[Page], str | None]:
        """A worker's pages, newest first, and where the list goes on."""
        listed = self.table.listed("page_of", worker_id, after=after, limit=limit, newest_first=True)
        refs = [page_ref(keys.parts_of_item("page", item)[0]) for item in listed.items[:limit]]
        found = self.table.get_many(refs)
        return [page_of(found[one]) for one in refs if one in found], listed.next_after

    def in_review(self, batch_id: str, *, after: str | None, limit: int) -> tuple[list[Page], str | None]:
        """Pages of a batch that wait for decisions, those whose review ends first in front; where the list goes on."""
        listed = self.table.listed("review", batch_id, after=after, limit=limit)
        refs = [page_ref(keys.parts_of_item("page", item)[0]) for item in listed.items[:limit]]
        found = self.table.get_many(refs)
        return [page_of(found[one]) for one in refs if one in found], listed.next_after

    def reviews_over(self, batch_id: str, *, now_ms: int, limit: int) -> list[str]:
        """Ids of pages whose review seems to have ended without all decisions."""
        listed = self.table.listed("review", batch_id, before=keys.index_bound("review", now_ms + 1), limit=limit)
        return [keys.parts_of_item("page", item)[0] for item in listed.items]

    def submitted_before(self, shard: int, *, moment_ms: int, limit: int) -> list[str]:
        """Ids of pages that were submitted before a moment and seem not to be decided."""
        listed = self.table.listed("submitted", shard, before=keys.index_bound("submitted", moment_ms), limit=limit)
        return [keys.parts_of_item("page", item)[0] for item in listed.items]


def _ordinals(batch: Batch, listed: Slice) -> list[int]:
    """The ordinals of listed tasks."""
    parts = (keys.parts_of_item("task", item) for item in listed.items)
    return [int(position) * batch.shards + int(shard) for _, shard, position in parts]


def _summed(counts: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for item in counts:
        for name, value in item.items():
            if isinstance(value, int):
                total[name] = total.get(name, 0) + value
    return total


def batch_of(item: Mapping[str, Any]) -> Batch:
    """A batch from its item."""
    known = {name: value for name, value in item.items() if name in _BATCH_FIELDS}
    final, median = known.get("final"), known.get("median_seconds")
    return Batch(
        **{
            **known,
            "state": BatchState(known["state"]),
            "review": Review(known["review"]),
            "countries": frozenset(known["countries"]),
            "languages": frozenset(known["languages"]),
            "rubric": tuple(known["rubric"]),
            "final": None if final is None else BatchState(final),
            "median_seconds": None if median is None else float(median),
        }
    )


def task_of(batch_id: str, item: Mapping[str, Any]) -> Task:
    """A task from its item."""
    result = item.get("result")
    return Task(
        batch_id=batch_id,
        task_id=item["task_id"],
        ordinal=item["ordinal"],
        status=TaskStatus(item["status"]),
        seats_taken=item["seats_taken"],
        version=item["version"],
        holders={worker: Holder(one["page_id"], one["expires_at_ms"]) for worker, one in item["holders"].items()},
        votes={
            worker: Vote(one["page_id"], one["answer"], one["accepted_at_ms"], one.get("accuracy_ppm", 0), counted(one))
            for worker, one in item["votes"].items()
        },
        refused_by=item.get("refused_by", frozenset()),
        wanted="queue_pk" in item,
        result=None
        if result is None
        else Result(result["answer"], result["confidence_ppm"], result["tied"], tuple(result.get("parts_ppm", ()))),
        closed_by=item.get("closed_by"),
        disputed=item.get("disputed", False),
        closing_credit=SkillCounts(item.get("closing_hits_ppm", 0), item.get("closing_weight_ppm", 0)),
        gold=item.get("gold"),
    )


def page_of(item: Mapping[str, Any]) -> Page:
    """A page from its item."""
    known = {name: value for name, value in item.items() if name in _PAGE_FIELDS}
    return Page(
        **{
            **known,
            "state": PageState(known["state"]),
            "assignments": tuple(
                Assignment(one["task_id"], one["ordinal"], AssignmentState(one["state"]))
                for one in known["assignments"]
            ),
        }
    )
