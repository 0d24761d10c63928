"""The import workflow's part step: the rows of one part become tasks."""

from functions.import_part.schemas import PartStep, PartView
from smallpeck.runtime import wiring
from smallpeck.runtime.steps import step
from smallpeck.tasks.importing import Begun, write_part


@step(PartStep)
def handler(part: PartStep) -> PartView:
    """Writes one part."""
    here = wiring.current()
    tasks = write_part(
        begun=Begun(part.batch_id, part.import_id),
        part=part.part,
        shards=part.shards,
        body=here.once(wiring.import_files).part(part.key),
        reads=here.once(wiring.import_store),
        unit=here.table,
    )
    return PartView(tasks=tasks)
