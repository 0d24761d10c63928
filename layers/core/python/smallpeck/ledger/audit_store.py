"""How the books audit reads DynamoDB: whole tables by segment, and single items again."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from smallpeck.kernel.writes import ref
from smallpeck.ledger.audit import Claim, LedgerItem, StoredBalance, StoredEntry, StoredRow, UnreadableItem
from smallpeck.ledger.audit_look import Group, PlatformFacts
from smallpeck.ledger.audit_parts import PlatformPart
from smallpeck.ledger.audit_service import SEGMENTS, Audit, AuditState, audit_ref, report_of
from smallpeck.ledger.chain import leaf, row_hash
from smallpeck.ledger.store import LedgerStore
from smallpeck.table import keys
from smallpeck.table.client import Table

# Spelled out, for they are met a million times: no id has a "#" in it.
_ENTRY, _STATEMENT = (keys.ENTITIES[one].pk.partition("{")[0] for one in ("entry", "statement_row"))
_ENTRY_SORT_KEY = keys.ENTITIES["entry"].sk


class Claimant(Protocol):
    """A feature's view of its own items in a scan of the platform table: what it says it has reserved."""

    def see(self, item: Mapping[str, Any]) -> None:
        """Takes in one item of the table, whatever it is."""
        ...

    def seen(self) -> Any:
        """What was seen, as JSON."""
        ...

    def add(self, seen: Any) -> None:
        """Adds what another one has seen in another part of the table."""
        ...

    def claims(self) -> Sequence[Claim]:
        """The claims that follow from what was seen."""
        ...

    def again(self, table: Table, group: Group) -> Claim | None:
        """The claim on one group as it is now, or None where it takes another scan to say."""
        ...


@dataclass(frozen=True)
class AuditStore:
    """See `smallpeck.ledger.audit_service.BooksReader` and `Audits`. `claimants` makes new ones for each scan."""

    table: Table
    claimants: Callable[[], Sequence[Claimant]] = tuple

    def ledger(self, segment: int, segments: int) -> Iterator[LedgerItem]:
        """See `BooksReader`."""
        return map(_ledger_item, LedgerStore(self.table).everything(segment, segments))

    def platform_part(self, segment: int, segments: int) -> PlatformPart:
        """See `BooksReader`."""
        balances: dict[str, StoredBalance] = {}
        claimants = self.claimants()
        for item in self.table.segment("platform", segment, segments):
            if item[keys.PARTITION_KEY].startswith(keys.ENTITIES["account"].pk.partition("{")[0]):
                balances[keys.parts_of_item("account", item)[0]] = _balance(item)
            else:
                for claimant in claimants:
                    claimant.see(item)
        return PlatformPart(balances, [claimant.seen() for claimant in claimants])

    def joined(self, parts: Iterable[PlatformPart]) -> PlatformFacts:
        """See `BooksReader`."""
        balances: dict[str, StoredBalance] = {}
        claimants = self.claimants()
        for part in parts:
            balances.update(part.balances)
            for claimant, seen in zip(claimants, part.seen, strict=True):
                claimant.add(seen)
        claims = [claim for claimant in claimants for claim in claimant.claims()]
        return PlatformFacts(balances, {(claim.group, claim.currency): claim for claim in claims})

    def platform(self) -> PlatformFacts:
        """What the whole platform table says, read here and now."""
        return self.joined(self.platform_part(segment, SEGMENTS) for segment in range(SEGMENTS))

    def balances(self, names: Collection[str]) -> Mapping[str, StoredBalance]:
        """See `BooksReader`."""
        refs = {ref("account", name): name for name in names}
        return {refs[one]: _balance(item) for one, item in self.table.get_many(list(refs)).items()}

    def claims(self, groups: Collection[Group]) -> Mapping[Group, Claim]:
        """See `BooksReader`."""
        found: dict[Group, Claim] = {}
        claimants = self.claimants()
        for group in groups:
            for claimant in claimants:
                claim = claimant.again(self.table, group)
                if claim is not None:
                    found[group] = claim
        if found.keys() != set(groups):
            found = {**self.platform().claims, **found}
        return {group: found[group] for group in groups if group in found}

    def audit(self, audit_id: str) -> Audit | None:
        """See `Audits`."""
        item = self.table.get(audit_ref(audit_id))
        if item is None:
            return None
        report = item.get("report")
        return Audit(
            audit_id=audit_id,
            state=AuditState(item["state"]),
            requested_by=item["requested_by"],
            requested_at_ms=item["requested_at_ms"],
            report=None if report is None else report_of(report),
        )


def _balance(item: Mapping[str, Any]) -> StoredBalance:
    return StoredBalance(int(item.get("balance_micros", 0)), int(item.get("seq", 0)), item.get("head_hash"))


def _ledger_item(item: Mapping[str, Any]) -> LedgerItem:
    key = str(item[keys.PARTITION_KEY])
    try:
        if key.startswith(_ENTRY):
            return _entry(key[len(_ENTRY) :], item)
        if key.startswith(_STATEMENT):
            return _row(key[len(_STATEMENT) :], int(item[keys.SORT_KEY]), item)
        return UnreadableItem(key)
    except (KeyError, TypeError, ValueError):
        return UnreadableItem(key)


def _entry(key_id: str, item: Mapping[str, Any]) -> StoredEntry:
    if item[keys.SORT_KEY] != _ENTRY_SORT_KEY:
        raise ValueError("not where an entry stands")
    return StoredEntry(
        key_id=key_id,
        entry_id=str(item["entry_id"]),
        kind=str(item["kind"]),
        currency=str(item["currency"]),
        reference=str(item["reference"]),
        input_hash=str(item["input_hash"]),
        postings=tuple(
            [(str(one["source"]), str(one["destination"]), int(one["amount_micros"])) for one in item["postings"]]
        ),
        links=tuple(item.get("links", ())),
        onward=tuple(item.get("onward", ())),
        hash_holds="entry_hash" not in item or item["entry_hash"] == leaf(item).hex(),
    )


def _row(name: str, key_seq: int, item: Mapping[str, Any]) -> StoredRow:
    return StoredRow(
        name=name,
        key_seq=key_seq,
        seq=int(item["seq"]),
        entry_id=str(item["entry_id"]),
        kind=str(item["kind"]),
        currency=str(item["currency"]),
        reference=str(item["reference"]),
        amount_micros=int(item["amount_micros"]),
        balance_micros=int(item["balance_micros"]),
        row_hash=item.get("row_hash"),
        previous_hash=item.get("previous_hash"),
        hash_holds="row_hash" not in item or item["row_hash"] == row_hash(name, item),
    )
