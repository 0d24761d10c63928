"""Results in every form: what asks for exports and what writes them, and whether a form fits, on this platform."""

from smallpeck.runtime.problems import ParameterProblem
from smallpeck.runtime.wiring import Wiring, start_workflow
from smallpeck.tasks import exporting, publishing
from smallpeck.tasks.export_store import ExportStore
from smallpeck.tasks.exporting import Export
from smallpeck.tasks.model import Batch
from smallpeck.tasks.object_store import ResultFolder
from smallpeck.tasks.result_forms import FormUnfit, ResultForm


def export_store(wiring: Wiring) -> ExportStore:
    return ExportStore(wiring.table)


def start_export(wiring: Wiring, batch: Batch, form: ResultForm, idempotency_key: str) -> Export:
    """Asks for the results so far of a batch."""

    def start(batch_id: str, export_id: str) -> None:
        payload = {"batch_id": batch_id, "export_id": export_id}
        start_workflow(wiring, wiring.settings.batch_export_arn, export_id, payload)

    return exporting.start_export(
        batch=batch,
        form=form,
        idempotency_key=idempotency_key,
        now_ms=wiring.clock.now_ms(),
        reads=wiring.once(export_store),
        unit=wiring.table,
        start=start,
    )


def get_export(wiring: Wiring, batch: Batch, export_id: str) -> Export:
    """One export of a batch."""
    return exporting.get_export(batch=batch, export_id=export_id, reads=wiring.once(export_store))


def write_export(wiring: Wiring, batch_id: str, export_id: str) -> Export:
    """Writes the file of an export."""
    return exporting.write_export(
        batch_id=batch_id,
        export_id=export_id,
        now_ms=wiring.clock.now_ms(),
        reads=wiring.once(export_store),
        files=ResultFolder(wiring.client("s3"), wiring.settings.work_bucket),
        unit=wiring.table,
    )


def fail_export(wiring: Wiring, batch_id: str, export_id: str) -> Export:
    """Records that an export could not be written."""
    return exporting.fail_export(
        batch_id=batch_id,
        export_id=export_id,
        now_ms=wiring.clock.now_ms(),
        reads=wiring.once(export_store),
        unit=wiring.table,
    )


def check_form(wiring: Wiring, batch: Batch, form: ResultForm) -> None:
    """Raises FormUnfit, with a pointer to the query's `format`, where a form cannot hold the results of a batch."""
    problem = publishing.form_problem(batch=batch, form=form, reads=wiring.once(export_store))
    if problem is not None:
        raise FormUnfit(problem, problems=[ParameterProblem("/format", problem)])


def label_config(wiring: Wiring, batch: Batch, form: ResultForm) -> str | None:
    """The labelling configuration that goes with a file for Label Studio."""
    return publishing.label_config(batch=batch, form=form, reads=wiring.once(export_store))
