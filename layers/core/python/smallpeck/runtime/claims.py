"""What the features say they have reserved, for the books audit to hold against the ledger.

The ledger knows nothing of batches and payouts, and they know nothing of the audit: here the one is told of the others.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from smallpeck.kernel.ids import content_hash
from smallpeck.ledger.audit import Claim
from smallpeck.ledger.audit_look import Group
from smallpeck.payouts.model import payout_from
from smallpeck.table import keys
from smallpeck.table.client import Table
from smallpeck.tasks.model import BatchState, batch_ref


@dataclass
class EscrowClaims:
    """Published work: the price of every answer that is not approved yet. Elsewhere a batch has nothing set aside."""

    batches: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: dict[str, int] = field(default_factory=dict)

    def see(self, item: Mapping[str, Any]) -> None:
        """A batch, or a counter of its approved answers."""
        if _is(item, "batch"):
            names = ("batch_id", "state", "currency", "price_micros", "max_answers", "task_count")
            self.batches[item["batch_id"]] = {name: item.get(name, 0) for name in names}
        elif _is(item, "progress"):
            batch_id = keys.parts_of_item("progress", item)[0]
            self.answers[batch_id] = self.answers.get(batch_id, 0) + item.get("answers", 0)

    def seen(self) -> Any:
        """The batches, and the answers approved of each."""
        return [self.batches, self.answers]

    def add(self, seen: Any) -> None:
        """What was seen in another part of the table: a batch is in one, its counters are in many."""
        batches, answers = seen
        self.batches.update(batches)
        for batch_id, count in answers.items():
            self.answers[batch_id] = self.answers.get(batch_id, 0) + count

    def claims(self) -> Sequence[Claim]:
        """One claim for each batch."""
        return [_escrow_claim(batch, self.answers.get(batch_id, 0)) for batch_id, batch in self.batches.items()]

    def again(self, table: Table, group: Group) -> Claim | None:
        """The claim of one batch; None where the group is no batch's."""
        kind, _, batch_id = group[0].partition(":")
        if kind != "escrow":
            return None
        batch = table.get(batch_ref(batch_id))
        if batch is None:
            return Claim(*group, (0,), "no such batch")
        return _escrow_claim(batch, sum(item.get("answers", 0) for item in table.every("progress", batch_id)))


@dataclass
class _Payouts:
    open_micros: int = 0
    versions: int = 0


@dataclass
class PayoutClaims:
    """Payouts that are reserved or on their way, by rail and currency.

    A claim's basis covers the settled ones too: a payout may come and go between two looks.
    """

    groups: dict[Group, _Payouts] = field(default_factory=dict)

    def see(self, item: Mapping[str, Any]) -> None:
        """A payout."""
        if not _is(item, "payout"):
            return
        seen = self.groups.setdefault((f"rail:{item['rail']}:clearing", item["currency"]), _Payouts())
        seen.versions += int(content_hash([item["payout_id"], item["version"]]), 16)
        if payout_from(item).is_reserved:
            seen.open_micros += item["amount_micros"]

    def seen(self) -> Any:
        """[group, currency, micros on their way, versions] of each."""
        return [[*group, seen.open_micros, seen.versions] for group, seen in self.groups.items()]

    def add(self, seen: Any) -> None:
        """Payouts in another part of the table."""
        for group, currency, open_micros, versions in seen:
            mine = self.groups.setdefault((group, currency), _Payouts())
            mine.open_micros += open_micros
            mine.versions += versions

    def claims(self) -> Sequence[Claim]:
        """One claim for each rail and currency."""
        return [Claim(*group, (seen.open_micros,), f"{seen.versions:x}") for group, seen in self.groups.items()]

    def again(self, table: Table, group: Group) -> Claim | None:
        """None: it takes a scan to see every payout."""
        del table, group
        return None


def claimants() -> Sequence[EscrowClaims | PayoutClaims]:
    """New claimants for one scan of the platform table."""
    return (EscrowClaims(), PayoutClaims())


def _escrow_claim(batch: Mapping[str, Any], answers: int) -> Claim:
    unpaid = (batch["max_answers"] * batch["task_count"] - answers) * batch["price_micros"]
    allowed: Iterable[int]
    match BatchState(batch["state"]):
        case BatchState.ACTIVE | BatchState.PAUSED:
            allowed = (unpaid,)
        case BatchState.CLOSING:
            # The refund is a transaction of its own; the state follows after it.
            allowed = (unpaid, 0)
        case _:
            allowed = (0,)
    basis = content_hash([batch["state"], unpaid])
    return Claim(f"escrow:{batch['batch_id']}", batch["currency"], tuple(allowed), basis)


def _is(item: Mapping[str, Any], entity: str) -> bool:
    kind = keys.ENTITIES[entity]
    return bool(
        item[keys.PARTITION_KEY].startswith(kind.pk.partition("{")[0])
        and item[keys.SORT_KEY].startswith(kind.sk.partition("{")[0])
        and len(item[keys.SORT_KEY].split("#")) == len(kind.sk.split("#"))
    )
