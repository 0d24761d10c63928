"""Routes that answer with text of a media type instead of JSON."""

from typing import Any

import pytest

from local.openapi_document import build
from smallpeck.runtime.http import Api, Call, Reply
from smallpeck.runtime.schemas import Health
from tests.gateway import Answer, ask, event
from tests.unit.runtime.sample_api import FixedClock

SVG = "image/svg+xml"


def answered(given: Any, **details: Any) -> Answer:
    api = Api("worker", clock=FixedClock())

    @api.route("GET", "/plot", summary="A plot", **details)
    def plot(_call: Call) -> Any:
        """A plot."""
        return given

    return ask(api.handler, event("GET", "/v1/worker/plot"))


def test_text_comes_as_it_is_with_its_media_type() -> None:
    answer = answered(Reply("<svg/>é"), text=SVG)
    assert (answer.status, answer.text) == (200, "<svg/>é")
    assert answer.headers["content-type"] == "image/svg+xml; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"


def test_text_runs_nothing_where_a_browser_opens_it() -> None:
    headers = answered(Reply("<html></html>"), text="text/html").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("default-src 'none';")
    assert headers["content-security-policy"].endswith("sandbox")


def test_an_empty_text_is_a_body_too() -> None:
    assert answered(Reply(""), text=SVG).headers["content-type"].startswith(SVG)


@pytest.mark.parametrize(
    ("given", "details"),
    [(Reply("text"), {"reply": Health}), (Reply("text"), {}), (Reply(Health(status="ok")), {"text": SVG})],
)
def test_what_a_route_did_not_promise_is_a_fault(given: Reply, details: dict[str, Any]) -> None:
    assert answered(given, **details).status == 500


def test_the_document_says_which_media_type() -> None:
    api = Api("worker")
    api.route("GET", "/plot", text=SVG, summary="A plot")(lambda _call: Reply(""))
    found = build([api], version="1")["paths"]["/v1/worker/plot"]["get"]["responses"]["200"]
    assert found["content"] == {SVG: {"schema": {"type": "string"}}}
