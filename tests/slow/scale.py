"""Measures the code that handles whole files, in a process of its own: `python -m tests.slow.scale import 1000000`.

Says, as one line of JSON, how many rows there were, what CPU time each took, and by how much the process's peak of
resident memory grew. S3 takes everything and keeps nothing, so what is measured is ours.
"""

import io
import json
import random
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from smallpeck.consensus.batch import Answered
from smallpeck.kernel.ids import canonical_json, task_id
from smallpeck.tasks.import_store import ImportStore
from smallpeck.tasks.importing import Begun, Upload, begin, split_upload
from smallpeck.tasks.model import Batch, BatchState, Result, Task, TaskStatus, Vote, shards_for
from smallpeck.tasks.object_store import ImportFiles, ResultFolder
from smallpeck.tasks.publishing import publish_results
from smallpeck.tasks.reestimate_store import NoteFiles
from smallpeck.tasks.reestimating import fit, spans
from tests.slow.audited import audit
from tests.support import World

SCHEMA = {
    "type": "object",
    "properties": {"id": {"type": "string", "maxLength": 40}, "text": {"type": "string"}, "n": {"type": "integer"}},
    "required": ["id", "text"],
}
BAD_EVERY = 100
WORKERS = ("w-ann-0000000000000000000000", "w-bob-0000000000000000000000", "w-cyd-0000000000000000000000")


class Body:
    """An object that is made while it is read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def iter_chunks(self, size: int) -> Iterator[bytes]:
        held = bytearray()
        for piece in self._pieces:
            held += piece
            while len(held) >= size:
                yield bytes(held[:size])
                del held[:size]
        yield bytes(held)


@dataclass
class Nowhere:
    """S3 that counts what it is given."""

    pieces: Iterator[bytes] = field(default_factory=lambda: iter(()))
    written: int = 0

    def get_object(self, **_: Any) -> Any:
        return {"Body": Body(self.pieces)}

    def put_object(self, **arguments: Any) -> Any:
        self.written += len(arguments["Body"])
        return {}

    def create_multipart_upload(self, **_: Any) -> Any:
        return {"UploadId": "u"}

    def upload_part(self, **arguments: Any) -> Any:
        self.written += len(arguments["Body"])
        return {"ETag": str(arguments["PartNumber"])}

    def complete_multipart_upload(self, **_: Any) -> Any:
        return {}

    def abort_multipart_upload(self, **_: Any) -> Any:
        return {}


def csv_file(rows: int) -> Iterator[bytes]:
    """A CSV file, one row in a hundred of which is bad."""
    yield b"id,text,n\n"
    for n in range(rows):
        number = b"x" if n % BAD_EVERY == BAD_EVERY - 1 else b"%d" % n
        yield b'row-%08d,"What does picture %d show, a cat or a dog?",%s\n' % (n, n, number)


def import_rows(rows: int) -> Callable[[], dict[str, int]]:
    """The split step of an import of so many rows."""
    world = World()
    world.draft(task_schema=json.dumps(SCHEMA))
    reads, files = ImportStore(world.table), ImportFiles(Nowhere(csv_file(rows)), "work")
    upload = Upload("uploads", "uploads/requester-1/b1/tasks.csv", "v1")
    begun = begin(upload=upload, now_ms=world.now_ms, reads=reads, unit=world.table)
    assert isinstance(begun, Begun)

    def work() -> dict[str, int]:
        found = split_upload(
            begun=begun, upload=upload, now_ms=world.now_ms, reads=reads, files=files, unit=world.table
        )
        return {"read": found.read, "accepted": found.accepted, "rejected": found.rejected, "parts": found.parts}

    return work


@dataclass(frozen=True)
class MadeTasks:
    """Closed tasks with three votes, made while they are read."""

    count: int

    def every_task_with_input(self, batch: Batch) -> Iterator[tuple[Task, dict[str, Any]]]:
        for n in range(self.count):
            identifier = task_id(n, str(n).encode(), batch.batch_id)
            votes = {worker: Vote("p", '"cat"', 1) for worker in WORKERS}
            result = Result('"cat"', 1_000_000, tied=False)
            task = Task(batch.batch_id, identifier, n, status=TaskStatus.CLOSED, votes=votes, result=result)
            values = {"id": f"row-{n:08d}", "n": n, "text": f"What does picture {n} show, a cat or a dog?"}
            yield (
                task,
                {"task_id": identifier, "row_id": f"row-{n:08d}", "line": n + 2, "input": canonical_json(values)},
            )


def export_made(tasks: int) -> Callable[[], dict[str, int]]:
    """The results files of so many tasks, without a table."""
    batch, nowhere = World().draft(task_schema=json.dumps(SCHEMA)), Nowhere()

    def work() -> dict[str, int]:
        written = publish_results(batch=batch, reads=MadeTasks(tasks), files=ResultFolder(nowhere, "work"))
        return {"tasks": written, "bytes": nowhere.written}

    return work


def export_stored(tasks: int) -> Callable[[], dict[str, int]]:
    """The results files of so many tasks, read from the in-memory table."""
    world, nowhere = World(), Nowhere()
    batch = world.ready(tasks)

    def work() -> dict[str, int]:
        written = publish_results(batch=batch, reads=world.tasks, files=ResultFolder(nowhere, "work"))
        return {"tasks": written, "bytes": nowhere.written}

    return work


OPTIONS = tuple(canonical_json(one) for one in ("bird", "cat", "dog", "fish", "horse"))
ANSWERS_PER_TASK = 10
ANSWERS_PER_WORKER = 500
DIFFERENT_CHUNKS = 20


@dataclass
class Gathered:
    """S3 that has the answers of a batch, of `DIFFERENT_CHUNKS` chunks in turn, and counts what it is given."""

    bodies: Sequence[bytes]
    written: int = 0

    def get_object(self, **arguments: Any) -> Any:
        number = int(arguments["Key"].split("-")[-1].split(".")[0])
        return {"Body": io.BytesIO(self.bodies[number % len(self.bodies)])}

    def put_object(self, **arguments: Any) -> Any:
        self.written += len(arguments["Body"])
        return {}


@dataclass(frozen=True)
class EndedBatch:
    """Reads of a batch whose tasks nobody asks for: the fit goes by what was gathered."""

    ended: Batch

    def batch(self, _batch_id: str) -> Batch:
        return self.ended


def gathered(tasks: int, workers: int, seed: int) -> bytes:
    """The file of one chunk: workers of different skill, and what they said."""
    draw = random.Random(seed)
    skills = [0.5 + 0.48 * (n % 97) / 97 for n in range(workers)]
    kept: list[bytes] = []

    class Keep(Nowhere):
        def put_object(self, **arguments: Any) -> Any:
            kept.append(arguments["Body"])
            return {}

    def rows() -> Iterator[Any]:
        for number in range(tasks):
            truth = draw.choice(OPTIONS)
            answers = {}
            for worker in draw.sample(range(workers), ANSWERS_PER_TASK):
                right = draw.random() < skills[worker]
                answers[f"w-{worker:026d}"] = truth if right else draw.choice(OPTIONS)
            yield Answered(task_id(number, str(number).encode(), str(seed)), answers, ordinal=number, version=10).row

    NoteFiles(Keep(), "work", "b1").put("answers", rows())
    return kept[0]


def fit_answers(answers: int) -> Callable[[], dict[str, int]]:
    """The fit of a batch of single choice with so many answers, from its gathered chunks."""
    tasks = answers // ANSWERS_PER_TASK
    batch = World().draft(
        consensus='{"method":"choice","options":5}',
        max_answers=ANSWERS_PER_TASK,
        answer_schema=json.dumps({"enum": [json.loads(one) for one in OPTIONS]}),
    )
    ended = replace(batch, state=BatchState.CLOSING, task_count=tasks, shards=shards_for(tasks))
    chunks = spans(ended)
    workers = max(ANSWERS_PER_TASK, answers // ANSWERS_PER_WORKER)
    size = max(one.last - one.first + 1 for one in chunks)
    stored = Gathered([gathered(size, workers, seed) for seed in range(min(DIFFERENT_CHUNKS, len(chunks)))])

    def work() -> dict[str, int]:
        reads: Any = EndedBatch(ended)
        assert fit(batch_id="b1", round_=0, reads=reads, notes=NoteFiles(stored, "work", "b1")).done  # type: ignore[arg-type]
        return {"chunks": len(chunks), "workers": workers, "bytes": stored.written}

    return work


def audit_entries(entries: int) -> Callable[[], dict[str, float]]:
    """The audit of so many entries; see `tests.slow.audited`."""
    return lambda: audit(entries)


MEASURED: dict[str, Callable[[int], Callable[[], Mapping[str, float]]]] = {
    "audit": audit_entries,
    "fit": fit_answers,
    "import": import_rows,
    "export": export_made,
    "export-stored": export_stored,
}


def peak_bytes() -> int:
    """The most memory that this process has held so far."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Not ru_maxrss: that begins with the peak of the process that started this one.
    (line,) = [one for one in status.read_text().splitlines() if one.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def measure(what: str, rows: int) -> dict[str, Any]:
    """Does it once."""
    work = MEASURED[what](rows)
    before, started = peak_bytes(), time.process_time()
    counted = work()
    # Some know better what of it was theirs.
    seconds = counted.get("seconds", time.process_time() - started)
    return {
        "what": what,
        "rows": rows,
        "seconds": round(seconds, 1),
        "microseconds_per_row": round(seconds / rows * 1_000_000, 1),
        "peak_growth_mb": round((peak_bytes() - before) / 1_000_000),
        **counted,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(sys.argv[1], int(sys.argv[2]))) + "\n")
