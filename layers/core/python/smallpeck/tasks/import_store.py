"""Import reports and what importing reads, in DynamoDB. Its writes go through the unit of work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from smallpeck.kernel.writes import Ref
from smallpeck.table.client import Table
from smallpeck.tasks.importing import ImportReport, ImportState, ImportTarget, import_ref
from smallpeck.tasks.model import batch_ref
from smallpeck.tasks.rows import BadRow, Rejection

__all__ = ["ImportReport", "ImportStore"]

_REPORT_FIELDS = frozenset(one.name for one in fields(ImportReport))


@dataclass(frozen=True)
class ImportStore:
    """Reads of imports (`smallpeck.tasks.importing.ImportReads`)."""

    table: Table

    def target(self, batch_id: str) -> ImportTarget | None:
        """What importing needs to know of a batch; None where there is none."""
        item = self.table.get(batch_ref(batch_id))
        if item is None:
            return None
        return ImportTarget(
            batch_id=item["batch_id"],
            requester_id=item["requester_id"],
            state=item["state"],
            task_schema=item["task_schema"],
            import_id=item.get("import_id"),
            answer_schema=item["answer_schema"],
            control_column=item.get("control_column"),
            shuffle_key=item.get("shuffle_key"),
        )

    def report(self, batch_id: str) -> ImportReport | None:
        """The report of the batch's latest import; None where nothing was uploaded yet."""
        item = self.table.get(import_ref(batch_id))
        return None if item is None else report_of(item)

    def part_rows(self, batch_id: str) -> Mapping[int, int]:
        """How many rows each part that is written has."""
        return {item["part"]: item["rows"] for item in self.table.every("import_part", batch_id)}

    def task_ids(self, tasks: Sequence[Ref]) -> Mapping[Ref, str]:
        """The ids of those of these tasks that stand."""
        return {task: str(item["task_id"]) for task, item in self.table.get_many(tasks).items()}


def report_of(item: Mapping[str, Any]) -> ImportReport:
    """A report from its item."""
    known = {name: value for name, value in item.items() if name in _REPORT_FIELDS}
    sample = tuple(BadRow(bad["line"], Rejection(bad["reason"]), bad["detail"]) for bad in known["sample"])
    return ImportReport(**{**known, "state": ImportState(known["state"]), "sample": sample})
