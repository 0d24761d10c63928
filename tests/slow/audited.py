"""Books of any size for the audit's measurement, made page by page while they are scanned.

Every item is what the ledger would have written: credits of a page of work to a tenth as many workers, each with its
statement row, all hashed and chained. Making them is not what is measured: `Scanned.seconds` says what it took.
"""

import io
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from smallpeck.kernel.writes import Create, ref
from smallpeck.ledger import audit_service
from smallpeck.ledger.accounts import escrow, funding, platform_revenue, worker_available
from smallpeck.ledger.audit_service import AuditPorts, Looked
from smallpeck.ledger.audit_store import AuditStore
from smallpeck.ledger.posting import Balance, Entry, EntryKind, Posting, entry_fields, entry_ref, record
from smallpeck.ledger.seal_store import HashedFiles
from smallpeck.runtime.claims import claimants
from smallpeck.table import keys
from smallpeck.table.client import Table
from smallpeck.table.marshal import to_item
from smallpeck.tasks.model import BatchState, batch_ref
from tests.support import World
from tests.unit.ledger.auditing import WorldClock, asked

ENTRIES_PER_WORKER = 10
REWARD, FEE = 300_000, 200_000
_PAGE_ITEMS = 1_000


@dataclass
class Scanned:
    """DynamoDB with these books: answers scans, as JSON text that is read like the wire's."""

    entries: int
    seconds: float = 0.0
    heads: dict[int, Balance] = field(default_factory=dict)
    _scans: dict[tuple[str, int], Iterator[str]] = field(default_factory=dict)

    def scan(self, **asked: Any) -> Any:
        started = time.process_time()
        key = asked["TableName"], asked["Segment"]
        if "ExclusiveStartKey" not in asked:
            items = (self._platform if key[0] == "platform" else self._ledger)(*key[1:], asked["TotalSegments"])
            self._scans[key] = _pages(items)
        text = next(self._scans[key], "")
        self.seconds += time.process_time() - started
        return json.loads(text) if text else {"Items": []}

    @property
    def workers(self) -> int:
        return self.entries // ENTRIES_PER_WORKER

    def _platform(self, segment: int, segments: int) -> Iterator[dict[str, Any]]:
        if segment == 0:
            batch = {"batch_id": "b1", "state": BatchState.ACTIVE, "currency": "USD", "price_micros": REWARD + FEE}
            whole = batch | {"max_answers": 1, "task_count": self.entries}
            yield to_item({**keys.key_of(batch_ref("b1"))[1], **whole})
            yield to_item({**keys.key_of(ref("progress", "b1", 0))[1], "answers": self.entries})
            escrow_name = f"{escrow('b1', 0).path}:USD"
            yield to_item({"pk": f"ACCOUNT#{escrow_name}", "sk": "BALANCE", "balance_micros": 0})
        for worker in range(segment, self.workers, segments):
            for _ in self._rows(worker):
                pass
            head, name = self.heads[worker], f"{_account(worker).path}:USD"
            fields = {"balance_micros": head.balance_micros, "seq": head.seq, "head_hash": head.head_hash or ""}
            yield to_item({"pk": f"ACCOUNT#{name}", "sk": "BALANCE", **fields})

    def _ledger(self, segment: int, segments: int) -> Iterator[dict[str, Any]]:
        if segment == 0:
            postings = (Posting(funding("test"), escrow("b1", 0), self.entries * (REWARD + FEE)),)
            yield _stored(Create(entry_ref("fund"), entry_fields(_entry("fund", EntryKind.DEPOSIT, postings))))
        # An entry lies in another part of the table than its row.
        for number in range(segment, self.entries, segments):
            entry = self._credit(number)
            yield _stored(Create(entry_ref(entry.entry_id), entry_fields(entry)))
        for worker in range(segments - 1 - segment, self.workers, segments):
            yield from self._rows(worker)

    def _rows(self, worker: int) -> Iterator[dict[str, Any]]:
        account, balance = _account(worker), Balance()
        for number in range(worker * ENTRIES_PER_WORKER, (worker + 1) * ENTRIES_PER_WORKER):
            writes = record(self._credit(number), {account: balance})
            (row,) = [one for one in writes if isinstance(one, Create) and one.ref.entity == "statement_row"]
            fields: dict[str, Any] = dict(row.fields)
            balance = Balance(fields["balance_micros"], fields["seq"], fields["row_hash"])
            yield _stored(row)
        self.heads[worker] = balance

    def _credit(self, number: int) -> Entry:
        page, worker = f"pg_{number:026d}", _account(number // ENTRIES_PER_WORKER)
        from_escrow = escrow("b1", 0)
        postings = (Posting(from_escrow, worker, REWARD), Posting(from_escrow, platform_revenue(), FEE))
        return _entry(f"{page}/1", EntryKind.CREDIT, postings)


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
    platform = [timed(audit_service.scan_platform, segment=one) for one in segments]
    ledger = [timed(audit_service.scan_ledger, segment=one, again="") for one in segments]
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


@cache
def _account(worker: int) -> Any:
    return worker_available(f"w_{worker:026d}")


def _entry(entry_id: str, kind: EntryKind, postings: tuple[Posting, ...]) -> Entry:
    return Entry(entry_id, kind, "USD", entry_id.partition("/")[0], postings, 1_790_000_000_000, units=10)


def _stored(write: Create) -> dict[str, Any]:
    return to_item({**keys.key_of(write.ref)[1], **write.fields})


def _pages(items: Iterator[dict[str, Any]]) -> Iterator[str]:
    page: list[dict[str, Any]] = []
    for item in items:
        page.append(item)
        if len(page) == _PAGE_ITEMS:
            last = {name: item[name] for name in ("pk", "sk")}
            yield json.dumps({"Items": page, "LastEvaluatedKey": last})
            page = []
    yield json.dumps({"Items": page})
