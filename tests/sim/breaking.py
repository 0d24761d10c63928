"""How mutants break the platform: by patching functions while it runs, and by dropping conditions from writes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from smallpeck.kernel.writes import Change, Check, Condition, Create, Path, Present, Value, Write
from smallpeck.table.client import Table

Patch = Callable[[], Any]
"""Makes a context manager inside of which the platform is broken."""
Rewrite = Callable[[Write], Write | None]


def instead(owner: object, name: str, make: Callable[[Any], Any]) -> Patch:
    """The function `name` of a module or class is what `make` makes of the real one."""
    return lambda: patch.object(owner, name, make(getattr(owner, name)))


def returning(owner: object, name: str, value: object) -> Patch:
    """The function answers always the same."""
    return instead(owner, name, lambda _real: lambda *_args, **_more: value)


def rewriting(rewrite: Rewrite) -> Patch:
    """Every write that is committed is what `rewrite` makes of it; None leaves it out."""

    def make(real: Callable[[Table, Sequence[Write]], None]) -> Callable[[Table, Sequence[Write]], None]:
        def commit(table: Table, writes: Sequence[Write], /) -> None:
            kept = [after for write in writes for after in (rewrite(write),) if after is not None]
            if kept:
                real(table, kept)

        return commit

    return instead(Table, "commit", make)


def no_condition(entity: str, *paths: str) -> Patch:
    """Changes of these items are made whatever stands there; with `paths`, only conditions on these fields are off."""

    def off(condition: Condition) -> bool:
        path = condition.path if isinstance(condition.path, str) else condition.path[0]
        return not paths or path in paths

    def rewrite(write: Write) -> Write | None:
        if write.ref.entity != entity or isinstance(write, Create):
            return write
        kept = tuple(condition for condition in write.when if not off(condition))
        if isinstance(write, Check):
            return replace(write, when=kept or (Present(),))
        return replace(write, when=kept)

    return rewriting(rewrite)


def overwriting(entity: str) -> Patch:
    """A new item replaces the one that stands there."""

    def rewrite(write: Write) -> Write | None:
        if write.ref.entity != entity or not isinstance(write, Create):
            return write
        fields: dict[Path, Value] = dict(write.fields.items())
        return Change(write.ref, set=fields, index=write.index)

    return rewriting(rewrite)


def left_out(entity: str, concerns: Callable[[Write], bool] = lambda _write: True) -> Patch:
    """These writes are not made."""
    return rewriting(lambda write: None if write.ref.entity == entity and concerns(write) else write)


def apart(*entities: str, before: bool) -> Patch:
    """Writes of these items leave their transaction: they are committed by themselves, before or after the others."""

    def make(real: Callable[[Table, Sequence[Write]], None]) -> Callable[[Table, Sequence[Write]], None]:
        def commit(table: Table, writes: Sequence[Write], /) -> None:
            own = [write for write in writes if write.ref.entity in entities]
            others = [write for write in writes if write.ref.entity not in entities]
            for some in (own, others) if before else (others, own):
                if some:
                    real(table, some)

        return commit

    return instead(Table, "commit", make)


@contextmanager
def broken(patches: Sequence[Patch]) -> Iterator[None]:
    """All of these at once."""
    with ExitStack() as stack:
        for one in patches:
            stack.enter_context(one())
        yield
