"""What must hold of the books, whatever happened. Reads the stored items themselves, past all stores and faults."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from smallpeck.ledger import chain
from smallpeck.ledger.accounts import Account, from_path
from smallpeck.ledger.posting import entry_from
from smallpeck.table.marshal import from_item
from tests.sim.scene import Scene

Item = Mapping[str, Any]


@dataclass(frozen=True)
class Stored:
    """Everything that is stored, in Python values. `items` are those of the platform table by the kind of their key."""

    entries: Sequence[Item]
    rows: Mapping[str, Sequence[Item]]
    """Statement rows by "<account>:<currency>", oldest first."""
    balances: Mapping[str, Item]
    """Balance items by "<account>:<currency>"."""
    items: Mapping[str, Sequence[Item]]

    def balance(self, path: str, currency: str = "USD") -> int:
        """What the balance item of an account says."""
        found = self.balances.get(f"{path}:{currency}", {})
        return int(found.get("balance_micros", 0))

    def sums(self) -> Mapping[tuple[str, str], int]:
        """What the entries make of each account and currency."""
        totals: dict[tuple[str, str], int] = defaultdict(int)
        for entry in self.entries:
            for posting in entry["postings"]:
                totals[posting["source"], entry["currency"]] -= posting["amount_micros"]
                totals[posting["destination"], entry["currency"]] += posting["amount_micros"]
        return totals

    def entry_ids(self) -> set[str]:
        """The ids of all entries."""
        return {str(entry["entry_id"]) for entry in self.entries}


def read(scene: Scene) -> Stored:
    """What the scene's tables hold."""
    entries: list[Item] = []
    rows: dict[str, list[Item]] = defaultdict(list)
    for raw in scene.aws.dynamodb.dump("ledger"):
        item = from_item(raw)
        kind, _, name = item["pk"].partition("#")
        if kind == "ENTRY":
            entries.append(item)
        else:
            rows[name].append(item)
    balances: dict[str, Item] = {}
    items: dict[str, list[Item]] = defaultdict(list)
    for raw in scene.aws.dynamodb.dump("platform"):
        kind, _, name = raw["pk"]["S"].partition("#")
        if kind == "INPUTS":
            continue
        item = from_item(raw)
        if kind == "ACCOUNT":
            balances[name] = item
        else:
            items[kind if kind not in _BY_SORT_KEY else item["sk"].partition("#")[0]].append(item)
    return Stored(entries, rows, balances, items)


_BY_SORT_KEY = frozenset({"BATCH", "RUN"})


def problems(stored: Stored) -> list[str]:
    """What is wrong with the books: entries, balances, statements."""
    sums = stored.sums()
    return [*_entries(stored), *_balances(stored, sums), *_statements(stored)]


def _entries(stored: Stored) -> list[str]:
    wrong = []
    totals: Counter[str] = Counter()
    for item in stored.entries:
        try:
            entry = entry_from(item)
        except (KeyError, ValueError) as error:
            wrong.append(f"entry {item['entry_id']} is none: {error}")
            continue
        deltas = entry.deltas()
        if sum(deltas.values()):
            wrong.append(f"entry {entry.entry_id} does not sum to zero")
        if item["input_hash"] != entry.input_hash():
            wrong.append(f"entry {entry.entry_id} is not what its hash says")
        if item["entry_hash"] != chain.leaf(item).hex():
            wrong.append(f"entry {entry.entry_id} was changed")
        for account, delta in deltas.items():
            totals[entry.currency] += delta
            if account.has_statement:
                name = f"{account.path}:{entry.currency}"
                told = [row for row in stored.rows.get(name, ()) if row["entry_id"] == entry.entry_id]
                if len(told) != 1 or told[0]["amount_micros"] != delta:
                    wrong.append(f"entry {entry.entry_id} stands {len(told)} times in the statement of {name}")
    return wrong + [f"all postings in {currency} come to {total}" for currency, total in totals.items() if total]


def _balances(stored: Stored, sums: Mapping[tuple[str, str], int]) -> list[str]:
    wrong = []
    for name in {*stored.balances, *(f"{path}:{currency}" for path, currency in sums)}:
        path, _, currency = name.rpartition(":")
        account, total = from_path(path), sums.get((path, currency), 0)
        if account.has_balance and stored.balance(path, currency) != total:
            wrong.append(f"{name} says {stored.balance(path, currency)}, its entries {total}")
        if not _may_be(account, total):
            wrong.append(f"{name} stands at {total}")
    return wrong


def _may_be(account: Account, total: int) -> bool:
    if account.has_balance:
        return account.allows(total)
    return total >= 0 or account.path.startswith(("funding:", "suspense:", "platform:losses"))


def _statements(stored: Stored) -> list[str]:
    wrong = []
    for name in {*stored.rows, *(one for one in stored.balances if "seq" in stored.balances[one])}:
        head, breaks = chain.verify(name, stored.rows.get(name, ()), after=chain.Head())
        wrong += [f"statement of {name}, row {one.seq}: {one.what}" for one in breaks]
        item = stored.balances.get(name, {})
        if (item.get("seq", 0), item.get("head_hash"), item.get("balance_micros", 0)) != (
            head.seq,
            head.row_hash,
            head.balance_micros,
        ):
            wrong.append(f"the statement of {name} ends elsewhere than its balance item says")
    return wrong
