"""Which tasks to try for a worker's next page.

First by ticket: each draw hands out another run of positions, so that workers who ask at the same moment look at
different tasks. When a shard's tickets of the first `min_answers` rounds are gone, from its index of tasks that want
another answer: those whose seat was opened again, whose ticket was drawn by somebody who could not use it, or which are
still undecided. They are ordered by what an answer would change (`smallpeck.tasks.routing`), and everybody who asks
begins at another place. Last, from leases that have run out, so that nobody is told "none" while a seat could be open.

Control tasks come from an index of their own, so many a page as `routing.controls_on` says. Tickets pass them over, and
where there is no other work there are none.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from operator import itemgetter
from typing import Protocol

from smallpeck.consensus.method import NOTHING_KNOWN, SkillCounts
from smallpeck.consensus.online import Knowledge
from smallpeck.kernel.ids import spread
from smallpeck.kernel.writes import Change, UnitOfWork, WriteConflict
from smallpeck.tasks.model import CONTROL_RANKS, Batch, Task, shards_for, task_ref
from smallpeck.tasks.pages import Page
from smallpeck.tasks.routing import ALL_BANDS, Place, controls_on, first_band, in_shown_order, place_of
from smallpeck.tasks.seats import as_read, release_due, want
from smallpeck.tasks.shuffling import shuffled
from smallpeck.tasks.voting import method_of

DRAWS_PER_SHARD = 5
LISTED_AT_ONCE = 40  # or four pages: tasks that the worker cannot do may stand before those they can
READ_AT_ONCE = 5
DUE_LEASES_AT_ONCE = 5


class SuggestingReads(Protocol):
    """What suggesting reads."""

    def page(self, page_id: str) -> Page | None: ...
    def take_tickets(self, batch_id: str, shard: int, count: int, *, end: int) -> int | None: ...
    def next_to_ask(self, batch_id: str, shard: int) -> int: ...
    def tasks(self, batch: Batch, ordinals: Sequence[int]) -> dict[int, Task]: ...
    def task(self, batch: Batch, ordinal: int) -> Task | None: ...
    def tasks_between(self, batch: Batch, shard: int, first: int, last: int) -> list[Task]: ...
    def wanted(self, batch: Batch, shard: int, *, first: Place, before: Place, limit: int) -> list[tuple[int, int]]: ...
    def controls(self, batch: Batch, shard: int, *, first: int, before: int, limit: int) -> list[int]: ...
    def due_leases(self, batch_id: str, shard: int, *, now_ms: int, limit: int) -> list[str]: ...
    def skill(self, batch: Batch, worker_id: str) -> SkillCounts: ...
    def known(self, batch: Batch, workers: Collection[str]) -> Knowledge: ...


@dataclass(frozen=True)
class Asking:
    """Who asks, for which page, how often they found all seats taken, and whether it is their first of the batch."""

    worker_id: str
    page_id: str
    attempt: int = 0
    first_page: bool = False

    @property
    def seed(self) -> str:
        """Says where among equals to begin."""
        return f"{self.page_id}:{self.attempt}"


def suggest(*, asking: Asking, batch: Batch, now_ms: int, reads: SuggestingReads, unit: UnitOfWork) -> list[Task]:
    """Up to a page of tasks, as they were read, that seem to have a seat for the worker.

    A task whose ticket was drawn in vain is listed for others.
    """
    controls = _controls(asking, batch, reads, unit)
    search = _Search(asking, batch, max(1, batch.page_size - len(controls)), now_ms, reads, unit)
    search.run()
    work = list(search.chosen.values())
    if not work:
        return []
    room = batch.page_size - len(controls)
    want(batch, work[room:], reads, unit)
    page = [*work[:room], *controls]
    return sorted(page, key=lambda task: in_shown_order(asking.page_id, task.task_id)) if batch.control_count else page


def _controls(asking: Asking, batch: Batch, reads: SuggestingReads, unit: UnitOfWork) -> list[Task]:
    """The page's control tasks, from anywhere in their index: those that are asked least, of the few that are read."""
    if not batch.control_count:
        return []
    skill = reads.skill(batch, asking.worker_id)
    count = controls_on(batch, page_id=asking.page_id, skill=skill, first_page=asking.first_page)
    if not count:
        return []
    start = spread(CONTROL_RANKS, asking.worker_id, asking.seed, "controls")
    shard, limit = start % shards_for(batch.control_count), 2 * count + 2
    listed = reads.controls(batch, shard, first=start, before=CONTROL_RANKS, limit=limit)
    if len(listed) < limit:
        listed += reads.controls(batch, shard, first=0, before=start, limit=limit - len(listed))
    found = reads.tasks(batch, listed).values() if listed else ()
    for task in found:
        if not task.asks(batch):
            _take_off(batch, task, unit)
    free = [task for task in found if task.offers_seat_to(asking.worker_id, batch)]
    free.sort(key=lambda task: (task.seats_taken, spread(CONTROL_RANKS, asking.seed, task.task_id)))
    return free[:count]


@dataclass
class _Search:
    """Looks for `room` tasks that are no control tasks."""

    asking: Asking
    batch: Batch
    room: int
    now_ms: int
    reads: SuggestingReads
    unit: UnitOfWork
    chosen: dict[int, Task] = field(default_factory=dict)
    accuracies: tuple[int, int] | None = None

    @property
    def lacking(self) -> int:
        return self.room - len(self.chosen)

    def _begin(self, shard: int) -> Place:
        """Where in the index to begin: by what is known of the worker, and by how many have asked before."""
        number = self.reads.next_to_ask(self.batch.batch_id, shard)
        if self.accuracies is None:
            worker, method = self.asking.worker_id, method_of(self.batch)
            known = self.reads.known(self.batch, {worker})
            usual = method.accuracy_ppm(worker=NOTHING_KNOWN, population=known.population)
            self.accuracies = known.accuracy_ppm(worker, method), usual
        return first_band(*self.accuracies, number), place_of(number, self.batch.shard_size(shard))

    def run(self) -> None:
        start = spread(self.batch.shards, self.asking.worker_id, self.asking.seed)
        shards = [(start + offset) % self.batch.shards for offset in range(self.batch.shards)]
        for shard in shards:
            if self.lacking:
                self.draw(shard)
            if self.lacking:
                self.look_up(shard)
        for shard in shards:
            if self.lacking:
                self.open_due(shard)

    def draw(self, shard: int) -> None:
        """Draws as many tickets of a shard as the page has room for, a few times."""
        size = self.batch.shard_size(shard)
        end = size * self.batch.min_answers
        for _ in range(DRAWS_PER_SHARD):
            count = min(self.lacking, size)
            if count == 0:
                return
            first = self.reads.take_tickets(self.batch.batch_id, shard, count, end=end)
            if first is None:
                return
            drawn = [one for one in self._drawn(shard, first, min(first + count, end)) if not one.is_control]
            usable = {task.ordinal: task for task in drawn if self._suits(task)}
            in_vain = [task for task in drawn if task.ordinal not in usable or task.ordinal in self.chosen]
            want(self.batch, in_vain, self.reads, self.unit)
            self.chosen.update(usable)
            if count == size or first + count >= end:
                return  # more tickets would only name the same tasks again, or there are none

    def _drawn(self, shard: int, first: int, after: int) -> list[Task]:
        """The tasks of tickets first <= t < after; a run may go round the end of the shard once.

        They are neighbours, but where a control task among them would be noticed.
        """
        batch, size = self.batch, self.batch.shard_size(shard)
        if batch.control_count:
            key = f"{shard}:{batch.shuffle_key or batch.batch_id}"
            positions = [shuffled(ticket % size, size, key) for ticket in range(first, after)]
            return list(self.reads.tasks(batch, [one * batch.shards + shard for one in positions]).values())
        begin, end = first % size, (after - 1) % size
        if begin <= end:
            return self.reads.tasks_between(batch, shard, begin, end)
        return [
            *self.reads.tasks_between(batch, shard, begin, size - 1),
            *self.reads.tasks_between(batch, shard, 0, end),
        ]

    def look_up(self, shard: int) -> None:
        """Takes tasks from the index."""
        if not self.reads.wanted(self.batch, shard, first=ALL_BANDS[0], before=ALL_BANDS[1], limit=1):
            return
        listed = self._listed(shard, self._begin(shard))
        while self.lacking:
            ordinals = list(islice(listed, max(self.lacking, READ_AT_ONCE)))
            if not ordinals:
                return
            found = self.reads.tasks(self.batch, ordinals)
            for task in (found[ordinal] for ordinal in ordinals if ordinal in found):
                if not task.asks(self.batch):
                    _take_off(self.batch, task, self.unit)
                elif self.lacking and self._suits(task):
                    self.chosen[task.ordinal] = task

    def _listed(self, shard: int, begin: Place) -> Iterator[int]:
        """Ordinals from the index: from one place on to the last band, then from the first band to that place; each
        band from the same position on and then round.
        """
        limit = max(LISTED_AT_ONCE, 4 * self.batch.page_size)
        for leg, before in ((begin, ALL_BANDS[1]), (ALL_BANDS[0], begin)):
            first = leg
            while first < before:
                listed = self.reads.wanted(self.batch, shard, first=first, before=before, limit=limit)
                more = len(listed) == limit
                for band, run in groupby(listed, key=itemgetter(0)):
                    ordinals = [ordinal for _, ordinal in run]
                    ahead = [one for one in ordinals if self.batch.place(one)[1] >= begin[1]]
                    if more and band != begin[0] and band == listed[-1][0]:
                        place, end = (band, begin[1]), (band + 1, 0)
                        beyond = self.reads.wanted(self.batch, shard, first=place, before=end, limit=limit)
                        ahead = [ordinal for _, ordinal in beyond]
                    yield from ahead
                    yield from (one for one in ordinals if self.batch.place(one)[1] < begin[1])
                if not more:
                    break
                first = listed[-1][0] + 1, 0

    def open_due(self, shard: int) -> None:
        """Opens the seats of leases that have run out, and takes what that frees."""
        due = self.reads.due_leases(self.batch.batch_id, shard, now_ms=self.now_ms, limit=DUE_LEASES_AT_ONCE)
        for page_id in due:
            if not self.lacking:
                return
            opened = release_due(
                page_id=page_id, batch=self.batch, now_ms=self.now_ms, reads=self.reads, unit=self.unit
            )
            for task in self.reads.tasks(self.batch, opened).values():
                if self.lacking and self._suits(task):
                    self.chosen[task.ordinal] = task

    def _suits(self, task: Task) -> bool:
        return not task.is_control and task.offers_seat_to(self.asking.worker_id, self.batch)


def _take_off(batch: Batch, task: Task, unit: UnitOfWork) -> None:
    """Drops a task that asks for nobody; claims that filled it side by side may have left it in the index."""
    try:
        unit.commit([Change(task_ref(batch, task.ordinal), when=as_read(task), index={"want": None})])
    except WriteConflict:
        return  # a seat was opened or a vote counted meanwhile; whoever did that has set the index
