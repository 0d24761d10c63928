"""The chart of accounts.

    account                        balance item   statement   what stands there
    requester:<id>:available       yes            yes         prepaid money, free to spend
    escrow:<reference>:<shard>     yes            no          money set aside for published work, spread over shards
    worker:<id>:available          yes            yes         earned money, free to withdraw
    platform:revenue               no             no          fees the platform keeps
    rail:<rail>:clearing           no             no          payouts reserved or on their way; drains to zero
    rail:<rail>:cash               no             no          what a rail has paid out of the platform's money
    funding:<source>               no             no          where requesters' money comes from (negative: paid in)

An account without a balance item is written by everyone, so it has no item to be busy: its balance is the sum of the
journal. No account with a balance item may fall below zero.
"""

from dataclasses import dataclass

MAX_ESCROW_SHARDS = 64


@dataclass(frozen=True, order=True)
class Account:
    """One account; `path` is its name. The currency belongs to the entry: one account item per currency."""

    path: str
    has_balance: bool
    has_statement: bool


def requester_available(requester_id: str) -> Account:
    """A requester's prepaid money."""
    return Account(f"requester:{requester_id}:available", has_balance=True, has_statement=True)


def escrow(reference: str, shard: int) -> Account:
    """One shard of the money set aside under an opaque reference."""
    return Account(f"escrow:{reference}:{shard:02d}", has_balance=True, has_statement=False)


def worker_available(worker_id: str) -> Account:
    """A worker's earned money."""
    return Account(f"worker:{worker_id}:available", has_balance=True, has_statement=True)


def platform_revenue() -> Account:
    """The fees the platform keeps."""
    return Account("platform:revenue", has_balance=False, has_statement=False)


def rail_clearing(rail: str) -> Account:
    """Payouts that are reserved but not yet settled on a rail."""
    return Account(f"rail:{rail}:clearing", has_balance=False, has_statement=False)


def rail_cash(rail: str) -> Account:
    """Money that left through a rail."""
    return Account(f"rail:{rail}:cash", has_balance=False, has_statement=False)


def funding(source: str) -> Account:
    """Where requesters' money comes from."""
    return Account(f"funding:{source}", has_balance=False, has_statement=False)


def from_path(path: str) -> Account:
    """The account of a path as it stands in an entry; raises ValueError where no such account can exist."""
    match path.split(":"):
        case ["requester", identifier, "available"]:
            return requester_available(identifier)
        case ["worker", identifier, "available"]:
            return worker_available(identifier)
        case ["escrow", reference, shard]:
            return escrow(reference, int(shard))
        case ["platform", "revenue"]:
            return platform_revenue()
        case ["rail", rail, "clearing"]:
            return rail_clearing(rail)
        case ["rail", rail, "cash"]:
            return rail_cash(rail)
        case ["funding", source]:
            return funding(source)
    raise ValueError(f"no such account: {path}")
