"""What is certain of the books while the platform works, look by look.

No moment stands still, so a difference is believed only where nothing moved while it was looked at. Balance items and
claims are read first, then the ledger, then, of whatever looks wrong, balance items and claims again. What is
unchanged was still in between, and everything recorded before the ledger was read is seen by reading it: the difference
is real. What changed is looked at again, with the ledger read anew, up to `MAX_PASSES` times, and after that counted as
`in_motion`: neither found wrong nor proven right. Entries and rows never change, so what is wrong with one of them
needs no second look.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from smallpeck.ledger.accounts import MAX_ESCROW_SHARDS, escrow
from smallpeck.ledger.audit import (
    AccountSums,
    Claim,
    Difference,
    Differences,
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

Group = tuple[str, str]
"""(group of accounts, currency)."""


@dataclass(frozen=True)
class PlatformFacts:
    """What the platform table says: balance items by name, and the claims of the features."""

    balances: Mapping[str, StoredBalance]
    claims: Mapping[Group, Claim]


class BooksAgain(Protocol):
    """Single reads, of what looks wrong. All are consistent."""

    def balances(self, names: Collection[str]) -> Mapping[str, StoredBalance]:
        """Those of these balance items that exist, as they are now."""
        ...

    def claims(self, groups: Collection[Group]) -> Mapping[Group, Claim]:
        """The claims on these groups, as they are now."""
        ...


@dataclass
class Look:
    """What was seen so far. `totals` are micros by class of accounts and currency.

    `balances` (by "<account>:<currency>") and `claims` are what looked wrong and moved, as they were when last read
    (None: there was none): another pass over the ledger has to follow. Without any, the look is `done`.
    """

    entries: int = 0
    statement_rows: int = 0
    accounts: int = 0
    totals: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    found: Differences = field(default_factory=Differences)
    passes: int = 0
    in_motion: int = 0
    anything_moved: bool = False
    balances: dict[str, StoredBalance | None] = field(default_factory=dict)
    claims: dict[Group, Claim | None] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        """Whether nothing is left to look at."""
        return not self.balances and not self.claims

    @property
    def names(self) -> frozenset[str]:
        """The accounts ("<account>:<currency>") that the next pass has to fold."""
        return frozenset(self.balances) | {":".join(group) for group in self.claims}


def look_first(sums: Sums, facts: PlatformFacts, reader: BooksAgain) -> Look:
    """Looks at everything. `facts` were read before `sums`, and `sums` are of the whole ledger."""
    look = Look(
        entries=sums.entries,
        statement_rows=sums.rows,
        accounts=len(sums.accounts.keys() | facts.balances.keys()),
        totals=totals(sums.accounts, facts.balances),
    )
    look.found.merge(sums.defects)
    _at_accounts(look, sums.accounts.keys() | facts.balances.keys(), sums.accounts, facts.balances, reader)
    standing = _standing(sums.accounts, facts.balances)
    doubtful = [
        group
        for group in sorted(standing.keys() | facts.claims.keys())
        if claim_difference(group, facts.claims.get(group), standing.get(group, 0))
    ]
    for group in doubtful:
        if _is_escrow(group):
            _at_escrow(look, group, reader)
    clearing = {group: facts.claims.get(group) for group in doubtful if not _is_escrow(group)}
    _at_clearing(look, clearing, sums.accounts, reader)
    return _after_pass(look)


def look_again(look: Look, sums: Sums, reader: BooksAgain) -> Look:
    """Looks at what moved. `sums` are of the whole ledger, read after the last look, of `look.names` only."""
    balances = {name: balance for name, balance in look.balances.items() if balance is not None}
    names, claims = list(look.balances), look.claims
    look.balances, look.claims = {}, {}
    _at_accounts(look, names, sums.accounts, balances, reader)
    _at_clearing(look, claims, sums.accounts, reader)
    return _after_pass(look)


def _after_pass(look: Look) -> Look:
    look.passes += 1
    look.anything_moved |= not look.done
    if look.passes >= MAX_PASSES:
        look.in_motion += len(look.balances) + len(look.claims)
        look.balances, look.claims = {}, {}
    if look.done and not look.found.count and not look.anything_moved:
        look.found.add(*unbalanced(look.totals))
    return look


def _at_accounts(
    look: Look,
    names: Collection[str],
    sums: Mapping[str, AccountSums],
    balances: Mapping[str, StoredBalance],
    reader: BooksAgain,
) -> None:
    """Balance items and statements against entries."""
    nothing = AccountSums()
    doubts: dict[str, list[Difference]] = {}
    for name in names:
        differences = list(differences_of(name, sums.get(name, nothing), balances.get(name)))
        if differences:
            doubts[name] = differences
    now = reader.balances(doubts.keys()) if doubts else {}
    for name in sorted(doubts):
        if now.get(name) == balances.get(name):
            look.found.add(*doubts[name])
        else:
            look.balances[name] = now.get(name)


def _at_escrow(look: Look, group: Group, reader: BooksAgain) -> None:
    # A claim changes in the same transaction as the escrow, so one read while the escrow stands still is current.
    reference = group[0].partition(":")[2]
    names = [f"{escrow(reference, shard).path}:{group[1]}" for shard in range(MAX_ESCROW_SHARDS)]
    before = reader.balances(names)
    for _ in range(MAX_PASSES):
        claim = reader.claims([group]).get(group)
        after = reader.balances(names)
        if before == after:
            difference = claim_difference(group, claim, sum(one.balance_micros for one in after.values()))
            look.found.add(*([difference] if difference else []))
            return
        look.anything_moved = True
        before = after
    look.in_motion += 1


def _at_clearing(
    look: Look, claims: Mapping[Group, Claim | None], sums: Mapping[str, AccountSums], reader: BooksAgain
) -> None:
    doubts: dict[Group, Difference] = {}
    for group, claim in claims.items():
        difference = claim_difference(group, claim, held(":".join(group), sums, {}))
        if difference is not None:
            doubts[group] = difference
    now = reader.claims(doubts.keys()) if doubts else {}
    for group, difference in doubts.items():
        if now.get(group) == claims[group]:
            look.found.add(difference)
        else:
            look.claims[group] = now.get(group)


def _standing(sums: Mapping[str, AccountSums], balances: Mapping[str, StoredBalance]) -> dict[Group, int]:
    standing: dict[Group, int] = {}
    for name in sums.keys() | balances.keys():
        group = group_of(name)
        if group is not None and account_of(name) is not None:
            standing[group] = standing.get(group, 0) + held(name, sums, balances)
    return standing


def _is_escrow(group: Group) -> bool:
    return group[0].startswith("escrow:")
