"""The route for how good the results of a batch are, once it has ended."""

from pydantic import Field

from functions.requester_api.api import api
from smallpeck.kernel.clock import to_rfc3339
from smallpeck.runtime import wiring
from smallpeck.runtime.http import Call
from smallpeck.runtime.schemas import Query, View
from smallpeck.tasks.model import BatchNotFound
from smallpeck.tasks.reporting import NoReport, ReportForm, report_key, reported


class QualityQuery(Query):
    """In which format."""

    format: ReportForm = Field(default="html", description="html is a page to read, json the same for programs.")


class QualityView(View):
    """Where the quality report of a finished batch can be fetched; short-lived."""

    format: str
    url: str
    expires_at: str


@api.route(
    "GET",
    "/batches/{batch_id}/quality",
    query=QualityQuery,
    reply=QualityView,
    errors=(BatchNotFound, NoReport),
    summary="Where to fetch the report on how good the results are",
)
def get_quality(call: Call[None, QualityQuery]) -> QualityView:
    owned = reported(wiring.own_batch(call.path["batch_id"], call.user_id))
    form = call.query.format
    return QualityView(
        format=form,
        url=wiring.signed_link(wiring.current(), report_key(owned.batch_id, form)),
        expires_at=to_rfc3339(call.now_ms + wiring.LINK_SECONDS * 1000),
    )
