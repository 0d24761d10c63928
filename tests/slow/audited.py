"""Books of any size for the audit's measurement, made page by page while they are scanned.

Every item is what the ledger would have written: credits of a page of work to a tenth as many workers, each with its
statement row, all hashed and chained. Making them is not what is measured: `Scanned.seconds` says what it took.
"""

import io
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from smallpeck.kernel.writes import Create, ref
from smallpeck.ledger import audit_service
from smallpeck.ledger.accounts import escrow, funding, platform_revenue, worker_available
from smallpeck.ledger.audit_service import AuditPorts, Looked
from smallpeck.ledger.audit_store import AuditStore
from smallpeck.ledger.chain import chained, leaf
from smallpeck.ledger.posting import Balance, Entry, EntryKind, Posting, entry_fields, input_hash, record
from smallpeck.ledger.seal_store import HashedFiles
from smallpeck.runtime.claims import claimants
from smallpeck.table import keys
from smallpeck.table.client import Table
from smallpeck.table.marshal import to_item
from smallpeck.tasks.model import BatchState, batch_ref
from tests.support import World
from tests.unit.ledger.auditing import WorldClock, asked

ENTRIES_PER_WORKER = 10
REWARD, FEE, AT_MS = 300_000, 200_000, 1_790_000_000_000
_PAGE_ITEMS = 1_000

Item = dict[str, Any]


@dataclass
class Scanned:
    """DynamoDB with these books: answers scans with items as boto3's client gives them."""

    entries: int
    seconds: float = 0.0
    heads: dict[int, Balance] = field(default_factory=dict)
    _scans: dict[tuple[str, int], Iterator[Item]] = field(default_factory=dict)

    def scan(self, **asked: Any) -> Any:
        started = time.process_time()
        key = asked["TableName"], asked["Segment"]
        if "ExclusiveStartKey" not in asked:
            items = self._platform if key[0] == "platform" else self._ledger
            self._scans[key] = items(key[1], asked["TotalSegments"])
        page = [to_item(item) for item in islice(self._scans[key], _PAGE_ITEMS)]
        more = {"LastEvaluatedKey": {name: page[-1][name] for name in ("pk", "sk")}} if page else {}
        self.seconds += time.process_time() - started
        return {"Items": page, **more}

    @property
    def workers(self) -> int:
        return self.entries // ENTRIES_PER_WORKER

    def _platform(self, segment: int, segments: int) -> Iterator[Item]:
        if segment == 0:
            batch: Item = {"batch_id": "b1", "state": "active", "currency": "USD", "price_micros": REWARD + FEE}
            assert batch["state"] == BatchState.ACTIVE
            yield {**keys.key_of(batch_ref("b1"))[1], **batch, "max_answers": 1, "task_count": self.entries}
            yield {**keys.key_of(ref("progress", "b1", 0))[1], "answers": self.entries}
            yield {**keys.key_of(ref("account", f"{escrow('b1', 0).path}:USD"))[1], "balance_micros": 0}
        for worker in range(segment, self.workers, segments):
            head = self.heads[worker]
            fields: Item = {"balance_micros": head.balance_micros, "seq": head.seq, "head_hash": head.head_hash}
            yield {**keys.key_of(ref("account", _name(worker)))[1], **fields}

    def _ledger(self, segment: int, segments: int) -> Iterator[Item]:
        if segment == 0:
            posting = Posting(funding("test"), escrow("b1", 0), self.entries * (REWARD + FEE))
            whole = Entry("fund", EntryKind.DEPOSIT, "USD", "r", (posting,), AT_MS)
            yield {**keys.key_of(ref("entry", "fund"))[1], **entry_fields(whole)}
        # An entry lies in another part of the table than its row.
        yield from (credit(number) for number in range(segment, self.entries, segments))
        for worker in range(segments - 1 - segment, self.workers, segments):
            yield from self._rows(worker)

    def _rows(self, worker: int) -> Iterator[Item]:
        balance = Balance()
        for number in range(worker * ENTRIES_PER_WORKER, (worker + 1) * ENTRIES_PER_WORKER):
            written = row(number, balance)
            balance = Balance(written["balance_micros"], written["seq"], written["row_hash"])
            yield written
        self.heads[worker] = balance


@dataclass
class Shelf:
    """S3 that keeps everything."""

    kept: dict[str, bytes] = field(default_factory=dict)

    def put_object(self, **asked: Any) -> Any:
        self.kept[asked["Key"]] = asked["Body"]
        return {}

    def get_object(self, **asked: Any) -> Any:
        return {"Body": io.BytesIO(self.kept[asked["Key"]])}


def audit(entries: int) -> dict[str, float]:
    """Audits so many entries, each part and the join as the workflow does it; CPU seconds of each."""
    as_the_ledger_writes()
    world, books, shelf = World(), Scanned(entries), Shelf()
    store = AuditStore(world.table, claimants)
    reader = AuditStore(Table(books, world.table.names), claimants)  # type: ignore[arg-type]
    audit_id, clock = asked(world).audit_id, WorldClock(world)

    def ports() -> AuditPorts:
        # New for each part: every one of them runs in a process of its own.
        return AuditPorts(reader, HashedFiles(shelf, "work", "audit-parts"), store, world.table, clock)

    def timed(work: Any, **given: Any) -> tuple[Any, float]:
        started, made = time.process_time(), books.seconds
        done = work(**given, ports=ports())
        return done, time.process_time() - started - (books.seconds - made)

    segments = range(audit_service.SEGMENTS)
    # Nothing moves here, so the order is no matter: the ledger first, for then the heads of the chains are known.
    ledger = [timed(audit_service.scan_ledger, segment=one, again="") for one in segments]
    platform = [timed(audit_service.scan_platform, segment=one) for one in segments]
    given = {"platform": [file for file, _ in platform], "ledger": [file for file, _ in ledger], "again": ""}
    looked, joining = timed(audit_service.look, audit_id=audit_id, started_at_ms=0, **given)
    assert isinstance(looked, Looked)
    assert looked.report is not None
    assert looked.report.books_balanced, looked.report.differences
    assert (looked.report.entries, looked.report.statement_rows) == (entries + 1, entries)
    seconds = [one for _, one in (*platform, *ledger)]
    return {
        "seconds": round(sum(seconds) + joining, 1),
        "longest_part_seconds": round(max(seconds), 1),
        "join_seconds": round(joining, 1),
        "making_seconds": round(books.seconds, 1),
        "part_bytes": sum(map(len, shelf.kept.values())),
        "accounts": looked.report.accounts,
    }


def as_the_ledger_writes() -> None:
    """The first credit and its row are exactly what the ledger would write."""
    worker, shard = worker_available(_name(0).split(":")[1]), escrow("b1", 0)
    postings = (Posting(shard, worker, REWARD), Posting(shard, platform_revenue(), FEE))
    made = credit(0)
    entry = Entry(made["entry_id"], EntryKind.CREDIT, "USD", made["reference"], postings, AT_MS, units=10)
    written = [one for one in record(entry, {worker: Balance()}) if isinstance(one, Create)]
    assert [{**keys.key_of(one.ref)[1], **one.fields} for one in written] == [made, row(0, Balance())]


def credit(number: int) -> Item:
    """The entry of one settled page."""
    page = f"pg_{number:026d}"
    account = _name(number // ENTRIES_PER_WORKER).removesuffix(":USD")
    lines = (("escrow:b1:00", account, REWARD), ("escrow:b1:00", "platform:revenue", FEE))
    fields: Item = {
        "entry_id": f"{page}/1",
        "kind": "credit",
        "currency": "USD",
        "reference": page,
        "at_ms": AT_MS,
        "units": 10,
        "input_hash": input_hash(entry_id=f"{page}/1", kind="credit", currency="USD", reference=page, postings=lines),
        "postings": [{"source": one, "destination": other, "amount_micros": micros} for one, other, micros in lines],
    }
    return {"pk": f"ENTRY#{page}/1", "sk": "ENTRY", **fields, "entry_hash": leaf(fields).hex()}


def row(number: int, before: Balance) -> Item:
    """The statement row of that entry."""
    entry, name, seq = credit(number), _name(number // ENTRIES_PER_WORKER), before.seq + 1
    told = {one: entry[one] for one in ("entry_id", "kind", "currency", "reference", "at_ms", "units", "input_hash")}
    amounts = {"amount_micros": REWARD, "balance_micros": before.balance_micros + REWARD}
    linked = chained(name, {"seq": seq, **told, **amounts}, before.head_hash)
    return {"pk": f"STATEMENT#{name}", "sk": f"{seq:012d}", **linked}


def _name(worker: int) -> str:
    return f"worker:w_{worker:026d}:available:USD"
