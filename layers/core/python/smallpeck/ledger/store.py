"""The ledger's reads in DynamoDB. Its writes go through the unit of work."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from smallpeck.ledger.accounts import Account
from smallpeck.ledger.posting import (
    BALANCE_FIELDS,
    Balance,
    Entry,
    account_ref,
    entry_from,
    entry_ref,
    row_ref,
    statement_name,
)
from smallpeck.table import keys
from smallpeck.table.client import Slice, Table


@dataclass(frozen=True)
class LedgerStore:
    """Balances, entries and statements."""

    table: Table

    def balances(self, accounts: Collection[Account], currency: str) -> Mapping[Account, Balance]:
        """See `smallpeck.ledger.service.Books`."""
        if len(accounts) == 1:
            (account,) = accounts
            item = self.table.get(account_ref(account, currency))
            return {account: _balance(item or {})}
        found = self.table.get_many([account_ref(account, currency) for account in accounts])
        return {account: _balance(found.get(account_ref(account, currency), {})) for account in accounts}

    def input_hash(self, entry_id: str) -> str | None:
        """See `smallpeck.ledger.service.Books`."""
        item = self.table.get(entry_ref(entry_id))
        return None if item is None else str(item["input_hash"])

    def entry(self, entry_id: str) -> Entry | None:
        """See `smallpeck.ledger.service.Books`."""
        item = self.table.get(entry_ref(entry_id))
        return None if item is None else entry_from(item)

    def statement(self, account: Account, currency: str, *, before: str | None, limit: int) -> Slice:
        """Statement rows, newest first; `before` is where the last slice ended."""
        return self.table.slice(
            "statement_row", statement_name(account, currency), after=before, limit=limit, newest_first=True
        )

    def statement_row(self, account: Account, currency: str, seq: int) -> dict[str, Any] | None:
        """One row of a statement."""
        return self.table.get(row_ref(account, currency, seq))

    def statement_rows(self, account: Account, currency: str, first: int, last: int) -> Iterator[dict[str, Any]]:
        """The rows `first` to `last` of a statement, oldest first, read as they are asked for."""
        after: str | None = None
        while True:
            run = self.table.slice(
                "statement_row",
                statement_name(account, currency),
                first=keys.sort_key("statement_row", first),
                last=keys.sort_key("statement_row", last),
                after=after,
            )
            yield from run.items
            after = run.next_after
            if after is None:
                return

    def entries(self) -> Iterator[dict[str, Any]]:
        """Every entry as it is stored; see `smallpeck.ledger.rebuilding.ProjectionReads`."""
        prefix = keys.ENTITIES["entry"].pk.partition("{")[0]
        return (item for item in self.everything(0, 1) if item[keys.PARTITION_KEY].startswith(prefix))

    def stored_balances(self) -> Mapping[str, Mapping[str, Any]]:
        """See `smallpeck.ledger.rebuilding.ProjectionReads`."""
        prefix = keys.ENTITIES["account"].pk.partition("{")[0]
        return {
            keys.parts_of_item("account", item)[0]: {field: item[field] for field in BALANCE_FIELDS if field in item}
            for item in self.table.segment("platform", 0, 1)
            if item[keys.PARTITION_KEY].startswith(prefix)
        }

    def everything(self, segment: int, segments: int) -> Iterator[dict[str, Any]]:
        """Every entry and statement row in one of `segments` parts of the ledger table."""
        return self.table.segment("ledger", segment, segments)


def _balance(item: Mapping[str, Any]) -> Balance:
    return Balance(int(item.get("balance_micros", 0)), int(item.get("seq", 0)), item.get("head_hash"))
