"""The re-estimation of a batch that has ended, on this platform."""

from smallpeck.runtime.wiring import Wiring
from smallpeck.tasks import reestimating
from smallpeck.tasks.object_store import ResultFolder
from smallpeck.tasks.reestimate_store import NoteFiles, ReestimationStore
from smallpeck.tasks.reestimating import Decided, Fitted, Planned


def reestimation_store(wiring: Wiring) -> ReestimationStore:
    return ReestimationStore(wiring.table)


def notes_of(wiring: Wiring, batch_id: str) -> NoteFiles:
    """What the steps of a batch write down for each other."""
    return NoteFiles(wiring.client("s3"), wiring.settings.work_bucket, batch_id)


def plan_chunks(wiring: Wiring, batch_id: str) -> Planned:
    """How a batch is estimated again."""
    return reestimating.plan(batch_id=batch_id, reads=wiring.once(reestimation_store))


def gather_chunk(wiring: Wiring, batch_id: str, chunk: int) -> int:
    """Writes down the answers of a chunk."""
    reads, notes = wiring.once(reestimation_store), notes_of(wiring, batch_id)
    return reestimating.gather(batch_id=batch_id, chunk=chunk, reads=reads, notes=notes)


def fit_chunks(wiring: Wiring, batch_id: str, round_: int) -> Fitted:
    """What all chunks together say."""
    reads, notes = wiring.once(reestimation_store), notes_of(wiring, batch_id)
    return reestimating.fit(batch_id=batch_id, round_=round_, reads=reads, notes=notes)


def tally_chunk(wiring: Wiring, batch_id: str, chunk: int, round_: int) -> int:
    """What a round leaves of a chunk."""
    reads, notes = wiring.once(reestimation_store), notes_of(wiring, batch_id)
    return reestimating.tally(batch_id=batch_id, chunk=chunk, round_=round_, reads=reads, notes=notes)


def decide_chunk(wiring: Wiring, batch_id: str, chunk: int, round_: int) -> Decided:
    """What the tasks of a chunk come to."""
    return reestimating.decide(
        batch_id=batch_id,
        chunk=chunk,
        round_=round_,
        reads=wiring.once(reestimation_store),
        notes=notes_of(wiring, batch_id),
        unit=wiring.table,
    )


def conclude_chunks(wiring: Wiring, batch_id: str, round_: int) -> int:
    """Writes the report of a batch; returns how many tasks it is about."""
    counts = reestimating.conclude(
        batch_id=batch_id,
        round_=round_,
        reads=wiring.once(reestimation_store),
        notes=notes_of(wiring, batch_id),
        files=ResultFolder(wiring.client("s3"), wiring.settings.work_bucket),
    )
    return counts.tasks
