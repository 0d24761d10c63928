"""How funding is read from DynamoDB. Writes go through the unit of work."""

from dataclasses import dataclass

from smallpeck.funding.bank import (
    BankCredit,
    BankReference,
    bank_credit_from,
    bank_credit_ref,
    bank_reference_from,
    bank_reference_ref,
)
from smallpeck.funding.events import HeardBefore, event_ref, heard_before
from smallpeck.funding.model import Deposit, deposit_from, deposit_ref
from smallpeck.funding.suspense import Suspended, suspended_from, suspense_ref
from smallpeck.ledger.freezing import Freeze, freeze_from, freeze_ref
from smallpeck.table import keys
from smallpeck.table.client import Slice, Table


@dataclass(frozen=True)
class FundingStore:
    """Deposits, events, bank transfers, suspense and freezes. Reads of an item are consistent, lists are not."""

    table: Table

    def deposit(self, deposit_id: str) -> Deposit | None:
        """The deposit, or None."""
        item = self.table.get(deposit_ref(deposit_id))
        return None if item is None else deposit_from(item)

    def event(self, source: str, event_id: str) -> HeardBefore | None:
        """What became of a provider's event; None where it was never heard."""
        item = self.table.get(event_ref(source, event_id))
        return None if item is None else heard_before(item)

    def watched(self, *, after: str | None, limit: int) -> tuple[list[Deposit], str | None]:
        """Deposits of which something is still to come or to be done, oldest first, and where the list goes on."""
        listed = self.table.listed("watched", after=after, limit=limit)
        refs = [deposit_ref(keys.parts_of_item("deposit", item)[0]) for item in listed.items]
        found = self.table.get_many(refs)
        return [deposit_from(found[one]) for one in refs if one in found], listed.next_after

    def deposits_of(self, requester_id: str, *, after: str | None, limit: int) -> tuple[list[Deposit], str | None]:
        """A requester's deposits, newest first, and where the list goes on."""
        listed = self.table.listed("deposit_of", requester_id, after=after, limit=limit, newest_first=True)
        refs = [deposit_ref(keys.parts_of_item("deposit", item)[0]) for item in listed.items]
        found = self.table.get_many(refs)
        return [deposit_from(found[one]) for one in refs if one in found], listed.next_after

    def freeze(self, requester_id: str) -> Freeze:
        """See `smallpeck.ledger.freezing.FreezeReads`."""
        return freeze_from(requester_id, self.table.get(freeze_ref(requester_id)))

    def bank_reference(self, reference: str) -> BankReference | None:
        """Whose a payment reference is, or None."""
        item = self.table.get(bank_reference_ref(reference))
        return None if item is None else bank_reference_from(item)

    def bank_credit(self, credit_id: str) -> BankCredit | None:
        """What a bank booked, or None."""
        item = self.table.get(bank_credit_ref(credit_id))
        return None if item is None else bank_credit_from(item)

    def suspended(self, suspense_id: str) -> Suspended | None:
        """Money in suspense, or None."""
        item = self.table.get(suspense_ref(suspense_id))
        return None if item is None else suspended_from(item)

    def in_suspense(self, *, after: str | None, limit: int) -> tuple[list[Suspended], str | None]:
        """Money that waits for a decision, oldest first, and where the list goes on."""
        listed: Slice = self.table.listed("suspended", after=after, limit=limit)
        refs = [suspense_ref(keys.parts_of_item("suspense", item)[0]) for item in listed.items]
        found = self.table.get_many(refs)
        return [suspended_from(found[one]) for one in refs if one in found], listed.next_after
