"""Running the books audit while the platform works.

No moment stands still, so a difference is believed only where nothing moved while it was looked at. Balance items and
claims are read first, then the ledger, then, of whatever looks wrong, balance items and claims again. What is
unchanged was still in between, and everything recorded before the ledger was read is seen by reading it: the difference
is real. What changed is looked at again, up to `MAX_PASSES` times, and after that counted as `in_motion`: neither found
wrong nor proven right. Entries and rows never change, so what is wrong with one of them needs no second look.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Protocol

from smallpeck.kernel.clock import Clock
from smallpeck.kernel.errors import NotFound
from smallpeck.kernel.ids import canonical_json, derived_id
from smallpeck.kernel.writes import Change, Create, Equals, Path, Ref, UnitOfWork, Value, WriteConflict, ref
from smallpeck.ledger.accounts import MAX_ESCROW_SHARDS, escrow
from smallpeck.ledger.audit import (
    AccountSums,
    Claim,
    Difference,
    Differences,
    LedgerItem,
    StoredBalance,
    Sums,
    account_of,
    claim_difference,
    differences_of,
    group_of,
    held,
    totals,
    unbalanced,
)

MAX_PASSES = 3
SEGMENTS = 8
START_ROUTE = "POST /v1/operator/audits"

Group = tuple[str, str]
"""(group of accounts, currency)."""


class AuditState(StrEnum):
    """running -> finished | failed."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"


class AuditNotFound(NotFound):
    """There is no such audit."""

    code = "audit_not_found"

    def __init__(self) -> None:
        super().__init__("there is no such audit")


@dataclass(frozen=True)
class AuditReport:
    """What an audit found. `totals` are micros by class of accounts and currency."""

    entries: int
    statement_rows: int
    accounts: int
    difference_count: int
    differences: tuple[Difference, ...]
    in_motion: int
    totals: Mapping[str, Mapping[str, int]]
    started_at_ms: int
    finished_at_ms: int

    @property
    def books_balanced(self) -> bool:
        """Whether nothing was found wrong."""
        return self.difference_count == 0


@dataclass(frozen=True)
class Audit:
    """An audit that an operator asked for."""

    audit_id: str
    state: AuditState
    requested_by: str
    requested_at_ms: int
    report: AuditReport | None = None


@dataclass(frozen=True)
class PlatformFacts:
    """What the platform table says: balance items by name, and the claims of the features."""

    balances: Mapping[str, StoredBalance]
    claims: Mapping[Group, Claim]


class BooksReader(Protocol):
    """Everything the audit reads. All reads are consistent."""

    def ledger(self, segment: int, segments: int) -> Iterator[LedgerItem]:
        """The items of one part of the ledger table."""
        ...

    def platform(self) -> PlatformFacts:
        """Every balance item and claim."""
        ...

    def balances(self, names: Collection[str]) -> Mapping[str, StoredBalance]:
        """Those of these balance items that exist, as they are now."""
        ...

    def claims(self, groups: Collection[Group]) -> Mapping[Group, Claim]:
        """The claims on these groups, as they are now."""
        ...


class Audits(Protocol):
    """Reads of audits."""

    def audit(self, audit_id: str) -> Audit | None:
        """The audit, or None; consistent."""
        ...


class AuditStarter(Protocol):
    """Starts the audit workflow; starting the same audit again does nothing."""

    def __call__(self, audit_id: str, /) -> None:
        """Starts it."""
        ...


def start_audit(
    *, operator_id: str, idempotency_key: str, now_ms: int, audits: Audits, unit: UnitOfWork, start: AuditStarter
) -> Audit:
    """The audit of this request, started now or before."""
    audit_id = derived_id("au_", operator_id, START_ROUTE, idempotency_key)
    audit = Audit(audit_id, AuditState.RUNNING, operator_id, now_ms)
    fields: dict[str, Value] = {
        "audit_id": audit_id,
        "state": audit.state,
        "requested_by": operator_id,
        "requested_at_ms": now_ms,
    }
    try:
        unit.commit([Create(audit_ref(audit_id), fields)])
    except WriteConflict:
        audit = get_audit(audit_id=audit_id, audits=audits)
    if audit.state is AuditState.RUNNING:
        start(audit_id)
    return audit


def get_audit(*, audit_id: str, audits: Audits) -> Audit:
    """An audit; raises AuditNotFound."""
    audit = audits.audit(audit_id)
    if audit is None:
        raise AuditNotFound
    return audit


def run_audit(*, audit_id: str, reader: BooksReader, audits: Audits, unit: UnitOfWork, clock: Clock) -> AuditReport:
    """The report of an audit: made and recorded now, or made before. An audit that failed may be run again."""
    audit = get_audit(audit_id=audit_id, audits=audits)
    if audit.report is not None:
        return audit.report
    report = audit_books(reader=reader, clock=clock)
    if _end(audit, AuditState.FINISHED, unit, report=canonical_json(asdict(report))):
        return report
    return get_audit(audit_id=audit_id, audits=audits).report or report


def fail_audit(*, audit_id: str, audits: Audits, unit: UnitOfWork) -> None:
    """Records that no report came of an audit; one that has a report stays finished."""
    audit = get_audit(audit_id=audit_id, audits=audits)
    if audit.state is AuditState.RUNNING:
        _end(audit, AuditState.FAILED, unit)


def report_of(text: str) -> AuditReport:
    """A report from the text that is stored."""
    fields = json.loads(text)
    return AuditReport(**{**fields, "differences": tuple(Difference(**one) for one in fields["differences"])})


def audit_ref(audit_id: str) -> Ref:
    """The item of an audit."""
    return ref("audit", audit_id)


def audit_books(*, reader: BooksReader, clock: Clock) -> AuditReport:
    """Looks at every entry, statement row, balance and claim."""
    started_at_ms = clock.now_ms()
    facts = reader.platform()
    sums = _fold(reader)
    found = Differences()
    found.merge(sums.defects)
    look = _Look(reader, found)
    look.at_accounts(sums.accounts, facts)
    look.at_claims(sums.accounts, facts)
    by_class = totals(sums.accounts, facts.balances)
    if not found.count and not look.anything_moved:
        found.add(*unbalanced(by_class))
    return AuditReport(
        entries=sums.entries,
        statement_rows=sums.rows,
        accounts=len(sums.accounts.keys() | facts.balances.keys()),
        difference_count=found.count,
        differences=tuple(found.listed),
        in_motion=look.in_motion,
        totals=by_class,
        started_at_ms=started_at_ms,
        finished_at_ms=clock.now_ms(),
    )


@dataclass
class _Look:
    """Looks again at whatever seems wrong, until it is certain or has moved too often."""

    reader: BooksReader
    found: Differences
    in_motion: int = 0
    anything_moved: bool = field(default=False)

    def at_accounts(self, sums: Mapping[str, AccountSums], facts: PlatformFacts) -> None:
        """Balance items and statements against entries."""
        balances = facts.balances
        names: Collection[str] = sums.keys() | balances.keys()
        for attempt in range(MAX_PASSES):
            if attempt:
                sums = _fold(self.reader, names).accounts
            doubts = _doubts(names, sums, balances)
            now = self.reader.balances(doubts.keys())
            names = [name for name in doubts if now.get(name) != balances.get(name)]
            for name in sorted(doubts.keys() - set(names)):
                self.found.add(*doubts[name])
            if not names:
                return
            self.anything_moved = True
            balances = now
        self.in_motion += len(names)

    def at_claims(self, sums: Mapping[str, AccountSums], facts: PlatformFacts) -> None:
        """What features say is set aside or on its way, against what stands there."""
        standing = _standing(sums, facts.balances)
        doubtful = [
            group
            for group in sorted(standing.keys() | facts.claims.keys())
            if claim_difference(group, facts.claims.get(group), standing.get(group, 0))
        ]
        for group in doubtful:
            if group[0].startswith("escrow:"):
                self._at_escrow(group)
        self._at_clearing([group for group in doubtful if not group[0].startswith("escrow:")], sums, facts.claims)

    def _at_escrow(self, group: Group) -> None:
        # A claim changes in the same transaction as the escrow, so one read while the escrow stands still is current.
        reference = group[0].partition(":")[2]
        names = [f"{escrow(reference, shard).path}:{group[1]}" for shard in range(MAX_ESCROW_SHARDS)]
        before = self.reader.balances(names)
        for _ in range(MAX_PASSES):
            claim = self.reader.claims([group]).get(group)
            after = self.reader.balances(names)
            if before == after:
                difference = claim_difference(group, claim, sum(one.balance_micros for one in after.values()))
                self.found.add(*([difference] if difference else []))
                return
            self.anything_moved = True
            before = after
        self.in_motion += 1

    def _at_clearing(self, groups: list[Group], sums: Mapping[str, AccountSums], claims: Mapping[Group, Claim]) -> None:
        for attempt in range(MAX_PASSES):
            if not groups:
                return
            names = {":".join(group): group for group in groups}
            if attempt:
                sums = _fold(self.reader, names.keys()).accounts
            doubts: dict[Group, Difference] = {}
            for name, group in names.items():
                difference = claim_difference(group, claims.get(group), held(name, sums, {}))
                if difference is not None:
                    doubts[group] = difference
            now = self.reader.claims(doubts.keys()) if doubts else {}
            self.found.add(*(one for group, one in doubts.items() if now.get(group) == claims.get(group)))
            groups = [group for group in doubts if now.get(group) != claims.get(group)]
            self.anything_moved |= bool(groups)
            claims = now
        self.in_motion += len(groups)


def _end(audit: Audit, state: AuditState, unit: UnitOfWork, **changes: Value) -> bool:
    fields: dict[Path, Value] = {"state": state}
    fields.update(changes)
    try:
        unit.commit([Change(audit_ref(audit.audit_id), set=fields, when=(Equals("state", audit.state),))])
    except WriteConflict:
        return False
    return True


def _fold(reader: BooksReader, only: Collection[str] | None = None) -> Sums:
    chosen = None if only is None else frozenset(only)
    whole = Sums(chosen)
    for segment in range(SEGMENTS):
        part = Sums(chosen)
        for item in reader.ledger(segment, SEGMENTS):
            part.add(item)
        whole.merge(part)
    return whole


def _doubts(
    names: Collection[str], sums: Mapping[str, AccountSums], balances: Mapping[str, StoredBalance]
) -> dict[str, list[Difference]]:
    nothing = AccountSums()
    doubts = {}
    for name in names:
        differences = list(differences_of(name, sums.get(name, nothing), balances.get(name)))
        if differences:
            doubts[name] = differences
    return doubts


def _standing(sums: Mapping[str, AccountSums], balances: Mapping[str, StoredBalance]) -> dict[Group, int]:
    standing: dict[Group, int] = {}
    for name in sums.keys() | balances.keys():
        group = group_of(name)
        if group is not None and account_of(name) is not None:
            standing[group] = standing.get(group, 0) + held(name, sums, balances)
    return standing
