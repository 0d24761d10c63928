"""The chart of accounts.

    account                          balance item   statement   sign   what stands there
    requester:<id>:available         yes            yes         >= 0   prepaid money, free to spend
    requester:<id>:held              yes            yes         >= 0   prepaid money that a pending entry holds
    requester:<id>:receivable        yes            yes         <= 0   what the requester owes after a chargeback
    escrow:<reference>:<shard>       yes            no          >= 0   money set aside for published work, in shards
    worker:<id>:available            yes            yes         >= 0   earned money, free to withdraw
    worker:<id>:pending              yes            yes         >= 0   earned money that a pending entry holds
    worker:<id>:receivable           yes            yes         <= 0   what the worker owes after a reversal
    reserve:<reference>:<shard>      yes            no          >= 0   money held back against reversals, in shards
    platform:revenue                 no             no          >= 0   fees the platform keeps
    platform:losses                  no             no          any    debts that were written off (negative: lost)
    rail:<rail>:clearing             no             no          >= 0   payouts reserved or on their way; drains to zero
    rail:<rail>:cash                 no             no          >= 0   what a rail has paid out of the platform's money
    funding:<source>                 no             no          any    where requesters' money comes from, below zero
    chargeback:<source>              no             no          >= 0   disputed payments; drains to zero
    suspense:<source>                no             no          any    money not assigned to anybody; drains to zero

A positive balance is money that the platform holds for whom the account names. An account without a balance item is
written by everyone, so it has no item to be busy: its balance is the sum of the journal. Of those with one, only a
receivable may be below zero, and it is never above: -3 units are a debt of 3, and paying it moves money into it.
"""

from dataclasses import dataclass

MAX_ESCROW_SHARDS = 64


@dataclass(frozen=True, order=True)
class Account:
    """One account; `path` is its name. The currency belongs to the entry: one account item per currency."""

    path: str
    has_balance: bool
    has_statement: bool
    is_debt: bool = False
    """A receivable: never above zero. Every other account with a balance item is never below."""

    @property
    def holds(self) -> bool:
        """Whether a pending entry may leave money here until it is resolved."""
        return self.path.endswith((":held", ":pending")) or self.path.startswith("reserve:")

    def allows(self, balance_micros: int) -> bool:
        """Whether this may stand in the account's balance item."""
        return balance_micros <= 0 if self.is_debt else balance_micros >= 0


def requester_available(requester_id: str) -> Account:
    """A requester's prepaid money."""
    return Account(f"requester:{requester_id}:available", has_balance=True, has_statement=True)


def requester_held(requester_id: str) -> Account:
    """A requester's prepaid money that a pending entry holds."""
    return Account(f"requester:{requester_id}:held", has_balance=True, has_statement=True)


def requester_receivable(requester_id: str) -> Account:
    """What a requester owes the platform, below zero."""
    return Account(f"requester:{requester_id}:receivable", has_balance=True, has_statement=True, is_debt=True)


def escrow(reference: str, shard: int) -> Account:
    """One shard of the money set aside under an opaque reference."""
    return Account(f"escrow:{reference}:{shard:02d}", has_balance=True, has_statement=False)


def worker_available(worker_id: str) -> Account:
    """A worker's earned money."""
    return Account(f"worker:{worker_id}:available", has_balance=True, has_statement=True)


def worker_pending(worker_id: str) -> Account:
    """A worker's earned money that a pending entry holds."""
    return Account(f"worker:{worker_id}:pending", has_balance=True, has_statement=True)


def worker_receivable(worker_id: str) -> Account:
    """What a worker owes the platform, below zero."""
    return Account(f"worker:{worker_id}:receivable", has_balance=True, has_statement=True, is_debt=True)


def reserve(reference: str, shard: int) -> Account:
    """One shard of the money held back against reversals under an opaque reference (a batch, an offer)."""
    return Account(f"reserve:{reference}:{shard:02d}", has_balance=True, has_statement=False)


def platform_revenue() -> Account:
    """The fees the platform keeps."""
    return Account("platform:revenue", has_balance=False, has_statement=False)


def platform_losses() -> Account:
    """What the platform has given up on."""
    return Account("platform:losses", has_balance=False, has_statement=False)


def rail_clearing(rail: str) -> Account:
    """Payouts that are reserved but not yet settled on a rail."""
    return Account(f"rail:{rail}:clearing", has_balance=False, has_statement=False)


def rail_cash(rail: str) -> Account:
    """Money that left through a rail."""
    return Account(f"rail:{rail}:cash", has_balance=False, has_statement=False)


def funding(source: str) -> Account:
    """Where requesters' money comes from."""
    return Account(f"funding:{source}", has_balance=False, has_statement=False)


def chargeback(source: str) -> Account:
    """Payments of a source that are disputed, until somebody has decided."""
    return Account(f"chargeback:{source}", has_balance=False, has_statement=False)


def suspense(source: str) -> Account:
    """Money of a source that could not be assigned to anybody yet."""
    return Account(f"suspense:{source}", has_balance=False, has_statement=False)


_OF_ONE_NAME = {"funding": funding, "chargeback": chargeback, "suspense": suspense}
_OF_A_SHARD = {"escrow": escrow, "reserve": reserve}
_OF_A_NAME_AND_WORD = {
    ("requester", "available"): requester_available,
    ("requester", "held"): requester_held,
    ("requester", "receivable"): requester_receivable,
    ("worker", "available"): worker_available,
    ("worker", "pending"): worker_pending,
    ("worker", "receivable"): worker_receivable,
    ("rail", "clearing"): rail_clearing,
    ("rail", "cash"): rail_cash,
}
_OF_THE_PLATFORM = {"revenue": platform_revenue, "losses": platform_losses}


def from_path(path: str) -> Account:
    """The account of a path as it stands in an entry; raises ValueError where no such account can exist."""
    account: Account | None = None
    match path.split(":"):
        case ["platform", word] if word in _OF_THE_PLATFORM:
            account = _OF_THE_PLATFORM[word]()
        case [kind, name] if name and kind in _OF_ONE_NAME:
            account = _OF_ONE_NAME[kind](name)
        case [kind, name, shard] if name and kind in _OF_A_SHARD and shard.isdecimal():
            account = _OF_A_SHARD[kind](name, int(shard))
        case [kind, name, word] if name and (kind, word) in _OF_A_NAME_AND_WORD:
            account = _OF_A_NAME_AND_WORD[kind, word](name)
    if account is None or account.path != path:
        raise ValueError(f"no such account: {path}")
    return account
