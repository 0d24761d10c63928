"""What the re-estimation of a batch reads from DynamoDB, and the files that its steps leave for each other in S3."""

import gzip
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from smallpeck.consensus.method import SkillCounts
from smallpeck.table import keys
from smallpeck.tasks.model import Batch, Task
from smallpeck.tasks.object_store import ObjectApi, ObjectWriter
from smallpeck.tasks.skill import SKILL_SHARDS, counted
from smallpeck.tasks.store import TaskStore, task_of

_PIECE_BYTES = 1024 * 1024


@dataclass(frozen=True)
class ReestimationStore(TaskStore):
    """See `smallpeck.tasks.reestimating.ReestimationReads`."""

    def tasks_from(self, batch: Batch, shard: int, first: int, last: int) -> Iterator[Task]:
        """The tasks of a run of positions (both included) in one shard, read as they are asked for."""
        after: str | None = None
        begin, end = keys.sort_key("task", first), keys.sort_key("task", last)
        while True:
            run = self.table.slice("task", batch.batch_id, shard, first=begin, last=end, after=after)
            yield from (task_of(batch.batch_id, item) for item in run.items)
            after = run.next_after
            if after is None:
                return

    def skills(self, batch: Batch) -> dict[str, SkillCounts]:
        """What is known of every worker of the batch."""
        return {
            keys.parts_of_item("skill", item)[-1]: counted(item)
            for shard in range(SKILL_SHARDS)
            for item in self.table.every("skill", batch.batch_id, shard)
        }


@dataclass(frozen=True)
class NoteFiles:
    """See `smallpeck.tasks.reestimating.Notes`. The same rows are the same bytes."""

    api: ObjectApi
    work_bucket: str
    batch_id: str

    def put(self, name: str, rows: Iterable[Any], /) -> int:
        """Writes them down, compressed and held piece by piece; returns how many there were."""
        writer = ObjectWriter(self.api, self.work_bucket, self._key(name), "application/gzip")
        held, written = io.BytesIO(), 0
        try:
            # Without a name and a date in its head: the same rows are the same bytes.
            with gzip.GzipFile(filename="", fileobj=held, mode="wb", compresslevel=5, mtime=0) as packer:
                for row in rows:
                    packer.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
                    written += 1
                    if held.tell() >= _PIECE_BYTES:
                        writer.write(held.getvalue())
                        held.seek(0)
                        held.truncate()
            writer.write(held.getvalue())
        except BaseException:
            writer.abandon()
            raise
        writer.close()
        return written

    def rows(self, name: str, /) -> Iterator[Any]:
        """What was written down, row by row."""
        body = self.api.get_object(Bucket=self.work_bucket, Key=self._key(name))["Body"].read()
        with gzip.open(io.BytesIO(body), "rt", encoding="utf-8") as lines:
            yield from map(json.loads, lines)

    def _key(self, name: str) -> str:
        return f"reestimates/{self.batch_id}/{name}.gz"
