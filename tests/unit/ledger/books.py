"""A ledger alone, on the in-memory AWS, and what its tests do to it."""

from collections.abc import Sequence
from typing import Any

from smallpeck.kernel.writes import Write
from smallpeck.ledger.accounts import Account, escrow, funding, worker_available
from smallpeck.ledger.chain import Head, verify
from smallpeck.ledger.posting import Balance, Entry, EntryKind, Posting, statement_name
from smallpeck.ledger.service import Posted, post
from smallpeck.ledger.store import LedgerStore
from smallpeck.table.client import Table
from smallpeck.table.marshal import from_item, to_item
from tests.aws import Aws
from tests.aws.faults import Faults
from tests.unit.table.tables import fresh_table

WORKER, SHARD = worker_available("w1"), escrow("b1", 0)


class Ledger:
    def __init__(self) -> None:
        self.aws = Aws()
        self.table: Table = fresh_table(self.aws)
        self.books = LedgerStore(self.table)

    def post(
        self, entry_id: str, *postings: Posting, alongside: Sequence[Write] = (), currency: str = "USD", at_ms: int = 1
    ) -> Posted:
        entry = Entry(entry_id, EntryKind.CREDIT, currency, "ref", postings, at_ms)
        return post(entry=entry, alongside=alongside, books=self.books, unit=self.table)

    def fund(self, account: Account, micros: int, key: str = "0") -> None:
        self.post(f"fund-{account.path}-{key}", Posting(funding("test"), account, micros))

    def credit(self, entry_id: str = "c1", micros: int = 100, **facts: Any) -> Posted:
        return self.post(entry_id, Posting(SHARD, WORKER, micros), **facts)

    @property
    def faults(self) -> Faults:
        return self.aws.faults

    def stored(self, account: Account, currency: str = "USD") -> Balance:
        return self.books.balances([account], currency)[account]

    def balance(self, account: Account, currency: str = "USD") -> Balance:
        """What stands in an account, and how many rows it has; its chain is left out."""
        stored = self.stored(account, currency)
        return Balance(stored.balance_micros, stored.seq)

    def micros(self, *accounts: Account) -> list[int]:
        return [self.stored(account).balance_micros for account in accounts]

    def told(self, account: Account, currency: str = "USD") -> Balance:
        """What an account's statement ends with; every row follows from the one before it."""
        rows = list(self.books.statement_rows(account, currency, 1, 10**9))
        head, breaks = verify(statement_name(account, currency), rows, after=Head())
        assert breaks == []
        return Balance(head.balance_micros, head.seq, head.row_hash)

    def rows(self, account: Account = WORKER) -> list[dict[str, Any]]:
        return self.books.statement(account, "USD", before=None, limit=100).items

    def items(self, table: str, prefix: str = "") -> list[dict[str, Any]]:
        return [item for item in map(from_item, self.aws.dynamodb.dump(table)) if item["pk"].startswith(prefix)]

    def rewrite(self, table: str, item: dict[str, Any]) -> None:
        """Puts an item as nothing in the platform would."""
        self.aws.dynamodb.put_item(TableName=table, Item=to_item(item))

    def remove(self, table: str, item: dict[str, Any]) -> None:
        """Deletes an item as nothing in the platform would."""
        self.aws.dynamodb.delete_item(TableName=table, Key=to_item({"pk": item["pk"], "sk": item["sk"]}))
