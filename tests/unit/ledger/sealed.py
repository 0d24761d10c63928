"""A world whose books are sealed day by day, and its statements as documents."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from smallpeck.ledger import chain, seal_service, statement_document
from smallpeck.ledger.accounts import Account, escrow, funding, platform_revenue, requester_available, worker_available
from smallpeck.ledger.posting import Entry, EntryKind, Posting
from smallpeck.ledger.seal_service import SealPorts, SealReport
from smallpeck.ledger.seal_store import LISTS, RUNS, HashedFiles, LedgerScan, RootStore
from smallpeck.ledger.seals import day_of
from smallpeck.ledger.service import post
from smallpeck.ledger.signatures import ROOT, STATEMENT, Document
from smallpeck.ledger.statement_document import ProofPorts
from smallpeck.runtime.proving import KmsSigner
from smallpeck.table import keys
from smallpeck.table.marshal import from_item, to_item
from tests.support import World
from tests.unit.people.fake_kms import FakeKms

ANN = worker_available("ann")
DAY_SECONDS = 86_400
SEALS, WORK = "seals", "work"


@dataclass(frozen=True)
class WorldClock:
    world: World

    def now_ms(self) -> int:
        return self.world.now_ms


@dataclass
class Books(World):
    """Entries, seals and statements in a line each. `faults` is the hook of its AWS."""

    credited: int = 0
    kms: FakeKms = field(default_factory=FakeKms)

    def __post_init__(self) -> None:
        super().__post_init__()
        for bucket in (SEALS, WORK):
            self.aws.s3.create_bucket(Bucket=bucket)
        self.aws.s3.put_bucket_versioning(Bucket=SEALS, VersioningConfiguration={"Status": "Enabled"})
        s3: Any = self.aws.s3
        self.scratch = HashedFiles(s3, WORK, RUNS)
        self.lists = HashedFiles(s3, SEALS, LISTS)
        self.roots = RootStore(s3, SEALS, self.table)
        kms: Any = self.kms
        self.signer = KmsSigner(kms, "arn:statements", STATEMENT)
        self.root_signer = KmsSigner(kms, "arn:roots", ROOT)
        self.faults = self.aws.faults

    @property
    def ports(self) -> SealPorts:
        """New ones each time, as a new process has: nothing is remembered but what is stored."""
        s3: Any = self.aws.s3
        return SealPorts(
            items=LedgerScan(self.table),
            scratch=self.scratch,
            lists=HashedFiles(s3, SEALS, LISTS),
            roots=self.roots,
            signer=self.root_signer,
            keys=[self.signer.key(), self.root_signer.key()],
            clock=WorldClock(self),
        )

    # Money

    def credit(self, micros: int = 300_000, *, account: Account = ANN, at_ms: int | None = None) -> str:
        """An entry that pays a worker out of escrow, and the platform its fee."""
        self.credited += 1
        source = escrow("b1", 0)
        if self.credited == 1:
            self.fund()
        entry = Entry(
            f"page-{self.credited}/1",
            EntryKind.CREDIT,
            "USD",
            f"page-{self.credited}",
            (Posting(source, account, micros), Posting(source, platform_revenue(), 7)),
            self.now_ms if at_ms is None else at_ms,
            units=1,
        )
        post(entry=entry, alongside=[], books=self.books, unit=self.table)
        return entry.entry_id

    def fund(self) -> None:
        """Money in escrow."""
        for entry in (
            Entry("deposit", EntryKind.DEPOSIT, "USD", "r", (Posting(funding("t"), self.payer, 10**12),), self.now_ms),
            Entry(
                "publish", EntryKind.ESCROW, "USD", "b1", (Posting(self.payer, escrow("b1", 0), 10**12),), self.now_ms
            ),
        ):
            post(entry=entry, alongside=[], books=self.books, unit=self.table)

    @property
    def payer(self) -> Account:
        return requester_available("requester-1")

    # Seals

    def next_day(self, days: int = 1) -> str:
        """Goes to a quarter past midnight, some days later; the moment that a schedule would give."""
        now = self.now_ms // 1_000
        self.aws.clock.advance((now // DAY_SECONDS + days) * DAY_SECONDS + 900 - now)
        return self.due

    @property
    def due(self) -> str:
        return f"{day_of(self.now_ms)}T00:15:00Z"

    def scans(self) -> list[str]:
        """The runs of all parts."""
        segments = range(seal_service.SEGMENTS)
        return [
            seal_service.scan(segment=n, segments=len(segments), items=self.ports.items, scratch=self.scratch).runs
            for n in segments
        ]

    def seal(self, scheduled_at: str | None = None) -> SealReport:
        """All steps for the day before the present one."""
        begun = seal_service.begin(scheduled_at=scheduled_at or self.due, roots=self.roots)
        if begun.sealed:
            return SealReport(begun.day, begun.known)
        return seal_service.seal(day=begun.day, known=begun.known, runs=self.scans(), ports=self.ports)

    def seal_next_day(self) -> Document:
        """The root of the present day, sealed once it is over."""
        self.next_day()
        self.seal()
        newest = self.roots.newest()
        assert newest is not None
        return self.roots.get(newest.number)

    def look(self) -> SealReport:
        """What a look at everything that is sealed finds."""
        begun = seal_service.begin(scheduled_at=self.due, roots=self.roots)
        return seal_service.verify(known=begun.known, runs=self.scans(), ports=self.ports)

    # Tampering

    def ledger_items(self) -> list[dict[str, Any]]:
        return [from_item(item) for item in self.aws.dynamodb.dump("ledger")]

    def put(self, item: dict[str, Any]) -> None:
        """Overwrites an item of the ledger table, as nobody may."""
        self.aws.dynamodb.put_item(TableName="ledger", Item=to_item(item))

    def remove(self, item: dict[str, Any]) -> None:
        key = {name: {"S": item[name]} for name in (keys.PARTITION_KEY, keys.SORT_KEY)}
        self.aws.dynamodb.delete_item(TableName="ledger", Key=key)

    def replace(self, key: str, text: bytes) -> None:
        """Puts another version of an object in the place of one of the seals."""
        self.aws.s3.put_object(Bucket=SEALS, Key=key, Body=text)

    def objects(self) -> dict[str, bytes]:
        """Every object of the seals: the newest version by key."""
        bucket = self.aws.s3.bucket(SEALS)
        found = {key: bucket.current(key) for key in bucket.keys}
        return {key: one.data for key, one in found.items() if one is not None and one.data is not None}

    # Statements

    def document(self, account: Account = ANN, *, after_seq: int = 0, limit: int = 100, currency: str = "USD") -> Any:
        """A statement as its owner receives it."""
        s3: Any = self.aws.s3
        ports = ProofPorts(self.books, HashedFiles(s3, SEALS, LISTS), self.roots, self.signer)
        issued = statement_document.issue(
            account=account, currency=currency, after_seq=after_seq, limit=limit, now_ms=self.now_ms, ports=ports
        )
        return json.loads(json.dumps(issued))


def rechained(document: Any, rows: Sequence[dict[str, Any]]) -> Any:
    """The document with these rows, their numbers, balances and hashes made right again by who can do that."""
    name = f"{document['account']}:{document['currency']}"
    head, seq, balance = document["opening"]["row_hash"], document["opening"]["seq"], 0
    balance = document["opening"]["balance_micros"]
    linked = []
    for row in rows:
        seq, balance = seq + 1, balance + row["amount_micros"]
        plain = {field: value for field, value in row.items() if field not in ("row_hash", "previous_hash")}
        linked.append(chain.chained(name, {**plain, "seq": seq, "balance_micros": balance}, head))
        head = linked[-1]["row_hash"]
    return document | {
        "rows": linked,
        "head": {"seq": seq, "balance_micros": balance, "row_hash": head},
        "period": document["period"] | {"last_seq": seq, "from_ms": linked[0]["at_ms"], "to_ms": linked[-1]["at_ms"]},
    }
