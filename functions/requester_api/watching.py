"""Routes that show how far a batch is: as JSON, as a plot, and as a page to read."""

from functions.requester_api import plot, report_page, views
from functions.requester_api.api import api
from functions.requester_api.schemas import ProgressView
from smallpeck.runtime import wiring
from smallpeck.runtime.http import Call, Reply
from smallpeck.tasks import quoting
from smallpeck.tasks.batches import InWork
from smallpeck.tasks.model import Batch, BatchNotFound


@api.route(
    "GET", "/batches/{batch_id}/progress", reply=ProgressView, errors=(BatchNotFound,), summary="How far a batch is"
)
def get_progress(call: Call) -> ProgressView:
    return _watched(wiring.own_batch(call.path["batch_id"], call.user_id), call.now_ms)


@api.route(
    "GET",
    "/batches/{batch_id}/progress.svg",
    text="image/svg+xml",
    errors=(BatchNotFound,),
    summary="How far a batch is, as a plot",
)
def get_progress_plot(call: Call) -> Reply:
    owned = wiring.own_batch(call.path["batch_id"], call.user_id)
    return Reply(plot.progress_svg(owned.title, _watched(owned, call.now_ms)))


@api.route(
    "GET",
    "/batches/{batch_id}/report",
    text="text/html",
    errors=(BatchNotFound,),
    summary="Import, progress and costs of a batch as one page to read",
)
def get_report(call: Call) -> Reply:
    here = wiring.current()
    owned = wiring.own_batch(call.path["batch_id"], call.user_id)
    imported = here.once(wiring.import_store).report(owned.batch_id)
    return Reply(report_page.html_page(views.batch(owned), imported, _watched(owned, call.now_ms), call.now_ms))


def _watched(batch: Batch, now_ms: int) -> ProgressView:
    """Where a batch stands. What was never published, or has ended, has nothing in work."""
    reads = wiring.current().once(wiring.task_store)
    running = batch.published_at_ms is not None and batch.closed_at_ms is None
    in_work = reads.in_work(batch, now_ms=now_ms) if running else InWork()
    counted = reads.progress(batch.batch_id)
    forecast = quoting.forecast(batch=batch, progress=counted, in_work=in_work, now_ms=now_ms)
    return views.progress(batch, counted, in_work, forecast)
