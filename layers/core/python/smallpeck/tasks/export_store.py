"""Exports in DynamoDB, beside the tasks that they are written from."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from smallpeck.tasks.exporting import Export, ExportState, export_ref
from smallpeck.tasks.store import TaskStore

_EXPORT_FIELDS = frozenset(one.name for one in fields(Export))


@dataclass(frozen=True)
class ExportStore(TaskStore):
    """Reads of exports (`smallpeck.tasks.exporting.WritingReads`)."""

    def export(self, batch_id: str, export_id: str) -> Export | None:
        """The export, or None where the batch has none of this id."""
        item = self.table.get(export_ref(batch_id, export_id))
        return None if item is None else export_of(item)


def export_of(item: Mapping[str, Any]) -> Export:
    """An export from its item."""
    known = {name: value for name, value in item.items() if name in _EXPORT_FIELDS}
    return Export(**{**known, "state": ExportState(known["state"])})
