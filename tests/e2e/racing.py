"""What one of several processes does that race for the seats of a batch."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from threading import Barrier
from typing import Any

import boto3

from cli.client import Answer, Client
from smallpeck.table.client import Table
from smallpeck.tasks.store import TaskStore
from tests.e2e.market import answers, fresh

NO_MORE_WORK = "batch_not_active"


@dataclass(frozen=True)
class Seats:
    """A view of the seats themselves, beside the API. Seats of a batch that nobody returns only ever fill."""

    aws: Mapping[str, str]
    table: str
    batch_id: str

    @cached_property
    def _store(self) -> TaskStore:
        client: Any = boto3.client(
            "dynamodb",
            endpoint_url=self.aws["AWS_ENDPOINT_URL"],
            region_name=self.aws["AWS_REGION"],
            aws_access_key_id=self.aws["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.aws["AWS_SECRET_ACCESS_KEY"],
        )
        return TaskStore(Table(api=client, names={"platform": self.table}))

    def open_to(self, worker_id: str) -> int:
        """How many tasks have a seat that this worker could take."""
        batch = self._store.batch(self.batch_id)
        assert batch is not None
        tasks = (task for shard in range(batch.shards) for task in self._store.every_task(batch, shard))
        return sum(task.offers_seat_to(worker_id, batch) for task in tasks)


@dataclass
class Raced:
    """What became of one racer."""

    answered: int = 0
    nothing: int = 0
    in_vain: list[int] = field(default_factory=list)
    """For each time it was told that there is nothing while there was: how many seats it could have taken."""
    unexpected: Counter[str] = field(default_factory=Counter)


_start: list[Barrier] = []


def at_the_line(barrier: Barrier) -> None:
    """Called once in each process."""
    _start.append(barrier)


def race(worker: Client, seats: Seats) -> Raced:
    """Leases and submits until there is nothing left."""
    raced = Raced()
    worker_id = worker.get("/profile")["worker_id"]
    _start[0].wait(timeout=120)
    while True:
        leased = worker.once("POST", "/pages", {"batch_id": seats.batch_id}, key=fresh())
        if leased.status == 201:
            _submit(worker, leased.document["page"], raced)
        elif leased.status == 200:
            raced.nothing += 1
            could_take = seats.open_to(worker_id)
            if not could_take:
                return raced
            raced.in_vain.append(could_take)
        elif _code(leased) == NO_MORE_WORK:
            return raced
        else:
            raced.unexpected[f"{leased.status} {leased.document}"] += 1
            if sum(raced.unexpected.values()) > 20:
                return raced


def _submit(worker: Client, page: Any, raced: Raced) -> None:
    given = answers(page)
    submitted = worker.once("POST", f"/pages/{page['page_id']}/submission", given)
    if submitted.status == 202:
        raced.answered += len(given["answers"])
    else:
        raced.unexpected[f"{submitted.status} {submitted.document}"] += 1


def _code(answer: Answer) -> str:
    return str(answer.document.get("code")) if isinstance(answer.document, dict) else ""
