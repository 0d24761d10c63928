"""The four tables, empty."""

from typing import Any

from smallpeck.table.client import Table
from tests.aws import Aws
from tests.support import TABLE_NAMES, create_tables


def fresh_table(aws: Aws | None = None, pauses: list[float] | None = None) -> Table:
    """A `Table` over new tables; how long it would have waited is put into `pauses`."""
    world = aws or Aws()
    create_tables(world.dynamodb)
    api: Any = world.dynamodb
    waited: list[float] = [] if pauses is None else pauses
    return Table(api=api, names=TABLE_NAMES, pause=waited.append)
