"""Where a requester finds the report on how good the results of their batch are."""

import json
from urllib.parse import urlsplit

from smallpeck.tasks.object_store import ResultFolder
from smallpeck.tasks.report_counts import ReportCounts
from smallpeck.tasks.report_page import page, write_report
from smallpeck.tasks.reporting import report
from tests.functions.requester_tour import Tour, ready
from tests.functions.world import WORK, Platform


def ended(platform: Platform) -> Tour:
    """A batch that was published and has ended."""
    tour = ready(platform).published()
    tour.answered("ann")
    tour.post("close", key="c")
    platform.finish(tour.batch_id)
    return tour


def test_the_report_of_a_batch_that_has_ended_is_fetched_as_a_page_or_as_json(platform: Platform) -> None:
    tour = ended(platform)
    found = report(batch=platform.world.batch(tour.batch_id), counts=ReportCounts(), workers=[])
    write_report(batch_id=tour.batch_id, report=found, files=ResultFolder(platform.aws.s3, WORK))
    links = {form: tour.get("quality", f"format={form}") for form in ("html", "json")}
    assert platform.fetch(links["html"]["url"]).decode() == page(found)
    assert json.loads(platform.fetch(links["json"]["url"])) == found
    for form, link in links.items():
        assert link["format"] == form
        assert urlsplit(link["url"]).path.endswith(f"/results/{tour.batch_id}/report.{form}")
        assert link["expires_at"].startswith("2026-01-01T01:")
    assert tour.get("quality")["format"] == "html"


def test_there_is_no_report_before_a_batch_ends_or_where_nobody_was_asked(platform: Platform) -> None:
    tour = ready(platform)
    path = f"{tour.path}/quality"
    tour.me.refused("GET", path, 409, "no_report_yet")
    tour.published()
    tour.me.refused("GET", path, 409, "no_report_yet")
    never = ready(platform, "b2")
    never.post("cancel", key="x")
    never.me.refused("GET", f"{never.path}/quality", 409, "no_report_yet")


def test_a_report_is_its_requesters_alone_and_comes_in_two_formats(platform: Platform) -> None:
    tour = ended(platform)
    platform.requester("somebody").refused("GET", f"{tour.path}/quality", 404, "batch_not_found")
    tour.me.refused("GET", f"{tour.path}/quality", 422, "invalid", query="format=pdf")
