"""A small world for tests: the platform's tables on the in-memory AWS, and use cases in a line each."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from smallpeck.kernel.writes import Change, Equals, ref
from smallpeck.ledger.accounts import funding, requester_available, worker_available
from smallpeck.ledger.posting import Balance, Entry, EntryKind, Posting
from smallpeck.ledger.service import post
from smallpeck.ledger.store import LedgerStore
from smallpeck.table import keys
from smallpeck.table.client import Table
from smallpeck.table.marshal import to_item
from smallpeck.tasks import batches, dispatch, finishing, grading, seats, submissions, sweeping
from smallpeck.tasks.model import (
    Batch,
    BatchState,
    WorkerFacts,
    batch_ref,
    control_key,
    new_task_fields,
    shards_for,
)
from smallpeck.tasks.pages import Page
from smallpeck.tasks.shuffling import id_of_task
from smallpeck.tasks.store import TaskStore
from tests.aws import Aws

TABLE_NAMES = {name: name for name in keys.TABLES}
REQUESTER = "requester-1"
CHOICE = {"enum": ["cat", "dog", "bird"]}


def create_tables(dynamodb: Any) -> None:
    """The four tables, as infra creates them."""
    for name in keys.TABLES:
        indexes = keys.INDEXES if name == "platform" else ()
        attributes = [keys.PARTITION_KEY, keys.SORT_KEY, *(f"{i}_{k}" for i in indexes for k in ("pk", "sk"))]
        arguments: dict[str, Any] = {
            "TableName": name,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": one, "AttributeType": "S"} for one in attributes],
            "KeySchema": _key(keys.PARTITION_KEY, keys.SORT_KEY),
        }
        if indexes:
            arguments["GlobalSecondaryIndexes"] = [
                {
                    "IndexName": index,
                    "KeySchema": _key(f"{index}_pk", f"{index}_sk"),
                    "Projection": {"ProjectionType": "KEYS_ONLY"},
                }
                for index in indexes
            ]
        dynamodb.create_table(**arguments)


def _key(partition: str, sort: str) -> list[dict[str, str]]:
    return [{"AttributeName": partition, "KeyType": "HASH"}, {"AttributeName": sort, "KeyType": "RANGE"}]


class AnyAnswer:
    """An answer schema that lets everything pass."""

    def problems(self, _value: object, /) -> list[Any]:
        return []


@dataclass
class World:
    """Everything that a use case asks for, and what it did to the outside."""

    aws: Aws = field(default_factory=Aws)
    nudged: list[str] = field(default_factory=list)
    told_to_finish: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        create_tables(self.aws.dynamodb)
        self.table = Table(api=self.aws.dynamodb, names=TABLE_NAMES, pause=lambda _seconds: None)
        self.tasks = TaskStore(self.table)
        self.books = LedgerStore(self.table)

    @property
    def now_ms(self) -> int:
        return self.aws.clock.millis()

    def deposit(self, micros: int, *, key: str = "1", currency: str = "USD", requester: str = REQUESTER) -> None:
        entry = Entry(
            f"deposit-{requester}-{key}",
            EntryKind.DEPOSIT,
            currency,
            requester,
            (Posting(funding("test"), requester_available(requester), micros),),
            self.now_ms,
        )
        post(entry=entry, alongside=[], books=self.books, unit=self.table)

    def draft(self, **facts: Any) -> Batch:
        """A draft batch of three-fold choice tasks at 0.50 = 0.30 + 0.20 USD, stored."""
        defaults: dict[str, Any] = {
            "batch_id": "b1",
            "requester_id": REQUESTER,
            "title": "Cats and dogs",
            "instructions": "Say what you see.",
            "kind": "choice",
            "currency": "USD",
            "price_micros": 500_000,
            "reward_micros": 300_000,
            "fee_micros": 200_000,
            "min_answers": 3,
            "max_answers": 3,
            "page_size": 10,
            "lease_seconds": 600,
            "task_schema": "{}",
            "answer_schema": json.dumps(CHOICE),
            "named": False,
            "countries": frozenset(),
            "languages": frozenset(),
            "deadline_ms": self.now_ms + 30 * 86_400_000,
            "created_at_ms": self.now_ms,
            "request_hash": "h",
        }
        return batches.create_batch(batch=Batch(**(defaults | facts)), reads=self.tasks, unit=self.table)

    def ready(self, task_count: int, *, controls: Mapping[int, str] | None = None, **facts: Any) -> Batch:
        """A batch whose tasks stand, as an import leaves it; `controls` are known answers by ordinal, as JSON text."""
        batch = self.draft(**facts)
        shards = facts.get("shards", shards_for(task_count))
        self.table.commit(
            [
                Change(
                    batch_ref(batch.batch_id),
                    set={
                        "state": BatchState.READY,
                        "task_count": task_count,
                        "shards": shards,
                        "largest_input_bytes": 20,
                        "control_count": len(controls or {}),
                    },
                    when=(Equals("state", BatchState.DRAFT),),
                )
            ]
        )
        batch = self.batch(batch.batch_id)
        self.aws.dynamodb.seed("platform", self._task_items(batch, controls or {}))
        return batch

    def _task_items(self, batch: Batch, controls: Mapping[int, str]) -> Iterator[dict[str, Any]]:
        for ordinal in range(batch.task_count):
            identifier = id_of_task(ordinal, str(ordinal).encode(), batch.batch_id, batch.shuffle_key)
            gold = controls.get(ordinal)
            known = control_key(batch.batch_id, ordinal, batch.control_count)
            place = batch.place(ordinal)
            yield to_item(
                {
                    **keys.key_of(ref("input", batch.batch_id, *place))[1],
                    "task_id": identifier,
                    "row_id": str(ordinal),
                    "line": ordinal + 2,
                    "input": '{"n":1}',
                }
            )
            yield to_item(
                {
                    **keys.key_of(ref("task", batch.batch_id, *place))[1],
                    **new_task_fields(identifier, ordinal, gold),
                    **(keys.index_key("control", known) if gold is not None else {}),
                }
            )

    def active(self, task_count: int, *, controls: Mapping[int, str] | None = None, **facts: Any) -> Batch:
        """A published batch, paid for to the micro."""
        batch = self.ready(task_count, controls=controls, **facts)
        self.deposit(batch.cost_micros, key=batch.batch_id)
        return self.publish(batch)

    def publish(self, batch: Batch) -> Batch:
        return batches.publish(batch=batch, now_ms=self.now_ms, reads=self.tasks, books=self.books, unit=self.table)

    def batch(self, batch_id: str = "b1") -> Batch:
        found = self.tasks.batch(batch_id)
        assert found is not None
        return found

    def page(self, page_id: str) -> Page:
        found = self.tasks.page(page_id)
        assert found is not None
        return found

    def lease(
        self, worker: str, *, batch: Batch | None = None, key: str = "k1", tasks: Sequence[str] | None = None
    ) -> Page | dispatch.NothingToDo:
        return dispatch.lease_page(
            worker=WorkerFacts(worker),
            batch=batch or self.batch(),
            idempotency_key=key,
            named_tasks=tasks,
            now_ms=self.now_ms,
            reads=self.tasks,
            unit=self.table,
        )

    def leased(self, worker: str, **facts: Any) -> Page:
        page = self.lease(worker, **facts)
        assert isinstance(page, Page), page
        return page

    def give_back(self, page: Page) -> None:
        seats.return_page(
            page=self.page(page.page_id),
            batch=self.batch(page.batch_id),
            now_ms=self.now_ms,
            reads=self.tasks,
            unit=self.table,
        )

    def submit(self, page: Page, answer: object = "cat", *, answers: list[tuple[str, object]] | None = None) -> Page:
        return submissions.submit(
            page=self.page(page.page_id),
            batch=self.batch(page.batch_id),
            answers=answers if answers is not None else [(one.task_id, answer) for one in page.assignments],
            check=AnyAnswer(),
            now_ms=self.now_ms,
            reads=self.tasks,
            unit=self.table,
            nudge=self.nudged.append,
        )

    def grade(self, page_id: str) -> grading.Graded | None:
        return grading.grade(
            page_id=page_id,
            now_ms=self.now_ms,
            reads=self.tasks,
            books=self.books,
            unit=self.table,
        )

    def answer(self, worker: str, answer: object = "cat", **facts: Any) -> Page:
        """Leases, answers and grades one page."""
        page = self.leased(worker, **facts)
        self.submit(page, answer)
        self.grade(page.page_id)
        return self.page(page.page_id)

    def finish(self, batch_id: str = "b1", final: BatchState = BatchState.CLOSED) -> Batch:
        """The steps of the finishing workflow, once the batch is ready for them."""
        finishing.begin(batch_id=batch_id, final=final, reads=self.tasks, unit=self.table)
        while not self.recount(batch_id).ready:
            self.aws.clock.advance(60)
        finishing.refund(batch_id=batch_id, now_ms=self.now_ms, reads=self.tasks, books=self.books, unit=self.table)
        return finishing.end(batch_id=batch_id, now_ms=self.now_ms, reads=self.tasks, unit=self.table)

    def recount(self, batch_id: str = "b1") -> finishing.Recount:
        return finishing.recount(batch_id=batch_id, now_ms=self.now_ms, reads=self.tasks, unit=self.table)

    def sweep(self) -> None:
        sweeping.nudge_forgotten(now_ms=self.now_ms, reads=self.tasks, nudge=self.nudged.append)
        sweeping.look_after_batches(
            now_ms=self.now_ms,
            reads=self.tasks,
            unit=self.table,
            nudge=self.nudged.append,
            start_finish=self.told_to_finish.append,
        )

    def earned(self, worker: str, currency: str = "USD") -> int:
        return self.balance(worker_available(worker), currency).balance_micros

    def balance(self, account: Any, currency: str = "USD") -> Balance:
        return self.books.balances([account], currency)[account]

    def every_task(self, batch: Batch) -> list[Any]:
        return [task for shard in range(batch.shards) for task in self.tasks.every_task(batch, shard)]
