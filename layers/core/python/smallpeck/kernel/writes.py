"""Storage-neutral writes, and the unit of work that commits them together or not at all.

A feature says *what* must become true and *under which condition*; `smallpeck.table` spells it for DynamoDB.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from smallpeck.kernel.errors import Conflict, Unavailable

Value: TypeAlias = "bool | int | str | bytes | frozenset[str] | Sequence[Value] | Mapping[str, Value] | None"
Path: TypeAlias = str | tuple[str, ...]
Fields: TypeAlias = Mapping[str, Value]


@dataclass(frozen=True)
class Ref:
    """Names one stored item: an entity of `smallpeck.table.keys` and the parts of its key."""

    entity: str
    parts: tuple[str | int, ...]


def ref(entity: str, *parts: str | int) -> Ref:
    """The item of `entity` with these key parts."""
    return Ref(entity, parts)


@dataclass(frozen=True)
class Equals:
    """The field has this value."""

    path: Path
    value: Value


@dataclass(frozen=True)
class AtLeast:
    """The number in the field is `minimum` or more (an absent field is not)."""

    path: Path
    minimum: int


@dataclass(frozen=True)
class Below:
    """The number in the field is less than `limit` (an absent field is not)."""

    path: Path
    limit: int


@dataclass(frozen=True)
class Absent:
    """The field, or with an empty path the whole item, is not there."""

    path: Path = ""


@dataclass(frozen=True)
class Present:
    """The field, or with an empty path the whole item, is there."""

    path: Path = ""


@dataclass(frozen=True)
class Lacks:
    """The set in the field, if there is one, does not hold `member`."""

    path: Path
    member: str


Condition: TypeAlias = Equals | AtLeast | Below | Absent | Present | Lacks


@dataclass(frozen=True)
class Create:
    """A new item; conflicts where one stands already. `index` maps an index's name to the parts of its key."""

    ref: Ref
    fields: Fields
    index: Mapping[str, tuple[str | int, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """A change of some fields of one item, made only where every condition of `when` holds.

    `add` adds to numbers (absent counts as 0), `extend` adds members to string sets, `index` sets an index's key
    parts or, with None, takes the item out of that index. Without `Present` among the conditions an absent item
    is created.
    """

    ref: Ref
    set: Mapping[Path, Value] = field(default_factory=dict)
    add: Mapping[Path, int] = field(default_factory=dict)
    extend: Mapping[Path, frozenset[str]] = field(default_factory=dict)
    remove: tuple[Path, ...] = ()
    when: tuple[Condition, ...] = ()
    index: Mapping[str, tuple[str | int, ...] | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    """Nothing changes here, but every condition must hold at the moment of the commit."""

    ref: Ref
    when: tuple[Condition, ...]


Write: TypeAlias = Create | Change | Check


class WriteConflict(Conflict):
    """At least one condition did not hold, so nothing was written. `failed` are the writes it did not hold for."""

    code = "write_conflict"

    def __init__(self, failed: Sequence[Write]) -> None:
        super().__init__("the thing was changed by somebody else meanwhile")
        self.failed = tuple(failed)

    def hit(self, item: Ref) -> bool:
        """Whether a condition on this item was among those that failed."""
        return any(write.ref == item for write in self.failed)


class Contention(Unavailable):
    """Other transactions kept the items busy for every attempt; trying again later is safe."""

    code = "contention"


class UnitOfWork(Protocol):
    """Commits writes: one item's alone as a conditional write, several items' as one transaction."""

    def commit(self, writes: Sequence[Write], /) -> None:
        """All of `writes` (at most 100 items, each once) or none; raises WriteConflict."""
        ...
