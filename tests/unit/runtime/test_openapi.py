"""The API's description says what the routes do, and a change of them shows."""

import json
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from local import openapi
from local.openapi_document import build
from smallpeck.kernel.clock import SystemClock
from smallpeck.kernel.errors import Conflict, NotFound
from smallpeck.runtime.http import Api, Call
from smallpeck.runtime.schemas import Health, View
from tests.unit.runtime.sample_api import sample


def described() -> dict[str, Any]:
    return build([sample()[0]], version="1.2.3")


def resolved(document: dict[str, Any], value: dict[str, Any]) -> Any:
    """What a reference stands for."""
    while "$ref" in value:
        found: Any = document
        for step in value["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        value = found
    return value


def operation(method: str, path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    document = described()
    return document, document["paths"][path][method]


def parameters(method: str, path: str) -> dict[str, dict[str, Any]]:
    document, found = operation(method, path)
    return {one["name"]: one for one in (resolved(document, parameter) for parameter in found["parameters"])}


def codes(method: str, path: str) -> dict[str, set[str]]:
    document, found = operation(method, path)
    return {
        status: set(resolved(document, answer)["content"].get("application/problem+json", {}).get("examples", {}))
        for status, answer in found["responses"].items()
        if status >= "400"
    }


def test_it_is_openapi_3_1() -> None:
    document = described()
    OpenAPIV31SpecValidator(document).validate()
    assert document["openapi"] == "3.1.0"
    assert document["info"]["version"] == "1.2.3"


def test_every_route_is_in_it_once() -> None:
    operations = [
        (method, path, found["operationId"])
        for path, methods in described()["paths"].items()
        for method, found in methods.items()
    ]
    assert {(method.upper(), path) for method, path, _ in operations} == {
        (route.method, route.path) for route in sample()[0].table.routes
    }
    assert len({name for _, _, name in operations}) == len(operations)


def test_a_route_that_makes_something() -> None:
    _, found = operation("post", "/v1/worker/things")
    assert (found["operationId"], found["tags"]) == ("worker_make_thing", ["worker"])
    assert (found["summary"], found["description"]) == ("Make a thing", "Makes a thing of its parts.")
    assert found["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/ThingBody"}
    assert found["responses"]["201"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Thing"}
    assert parameters("post", "/v1/worker/things")["Idempotency-Key"]["required"] is True


def test_every_refusal_has_its_code() -> None:
    assert codes("post", "/v1/worker/things") == {
        "400": {"bad_parameter", "body_required", "bad_json", "bad_idempotency_key", "idempotency_key_required"},
        "401": {"access_token_required"},
        "403": {"wrong_role"},
        "409": {"gone"},
        "413": {"too_large"},
        "415": {"unsupported_media_type"},
        "422": {"invalid"},
        "429": set(),
        "500": {"internal"},
        "503": {"unavailable"},
    }
    assert codes("get", "/v1/worker/things/{thing_id}")["404"] == {"not_found"}
    assert codes("get", "/v1/worker/things")["400"] == {"bad_parameter", "bad_cursor"}


def test_a_route_that_succeeds_in_two_ways() -> None:
    _, found = operation("post", "/v1/worker/things/{thing_id}/parts/{part_id}/move")
    assert list(found["responses"])[:2] == ["200", "202"]
    assert found["responses"]["202"]["description"] == "Moved later"
    assert found["responses"]["202"]["content"] == found["responses"]["200"]["content"]


def test_problems_and_the_gateways_own_words_are_told_apart() -> None:
    document, found = operation("get", "/v1/worker/things")
    content = resolved(document, found["responses"]["401"])["content"]
    assert content["application/problem+json"]["schema"] == {"$ref": "#/components/schemas/Problem"}
    assert content["application/json"]["schema"] == {"$ref": "#/components/schemas/GatewayMessage"}


def test_parameters_of_the_path_and_the_query() -> None:
    assert parameters("get", "/v1/worker/things/{thing_id}")["thing_id"]["required"] is True
    listed = parameters("get", "/v1/worker/things")
    limit = listed["limit"]
    assert limit["in"] == "query"
    assert limit["required"] is False
    assert (limit["schema"]["minimum"], limit["schema"]["maximum"], limit["schema"]["default"]) == (1, 100, 20)
    assert listed["cursor"]["schema"]["type"] == "string"
    assert "default" not in listed["cursor"]["schema"]
    assert "ListQuery" not in described()["components"]["schemas"]


def test_a_model_knows_all_its_fields_and_nested_ones_are_named() -> None:
    schemas = described()["components"]["schemas"]
    assert schemas["ThingBody"]["additionalProperties"] is False
    assert schemas["ThingBody"]["properties"]["price"]["examples"] == ["0.05"]
    assert schemas["Part"]["required"] == ["name"]


def test_the_public_route_needs_no_token() -> None:
    document, found = operation("get", "/healthz")
    assert found["security"] == []
    assert set(found["responses"]) == {"200", "400", "422", "500", "503"}
    assert document["security"] == [{"token": []}]


def audience(name: str, fields: dict[str, type]) -> Api:
    api = Api(name, clock=SystemClock())
    model = type("Batch", (View,), {"__annotations__": fields, "__module__": f"functions.{name}_api.schemas"})

    @api.route("GET", "/batches", reply=model, summary="Batches")
    def list_batches(_call: Call) -> Any:
        """Lists."""

    return api


def test_two_audiences_may_call_a_model_the_same() -> None:
    apis = [audience("worker", {"reward": str}), audience("requester", {"price": str})]
    document = build(apis, version="1")
    OpenAPIV31SpecValidator(document).validate()
    assert {"WorkerBatch", "RequesterBatch"} <= set(document["components"]["schemas"])
    answer = document["paths"]["/v1/requester/batches"]["get"]["responses"]["200"]
    assert answer["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/RequesterBatch"}
    assert [tag["name"] for tag in document["tags"]] == ["worker", "requester"]


def test_a_code_has_one_meaning() -> None:
    class Gone(Conflict):
        code = "ambiguous"

    class Absent(NotFound):
        code = "ambiguous"

    api = Api("worker", clock=SystemClock())
    api.route("GET", "/a", reply=Health, errors=(Gone,))(lambda _call: Health(status="ok"))
    api.route("GET", "/b", reply=Health, errors=(Absent,))(lambda _call: Health(status="ok"))
    with pytest.raises(ValueError, match="the code ambiguous stands for conflict and for not_found"):
        build([api], version="1")


def test_an_api_without_routes_is_described_too() -> None:
    OpenAPIV31SpecValidator(build([Api("worker")], version="1")).validate()


def test_the_same_code_gives_the_same_text() -> None:
    assert openapi.rendered(described()) == openapi.rendered(described())


def test_drift_is_told_by_place() -> None:
    committed = {"paths": {"/a/b": {"get": 1, "put": [1, 2]}}, "x": 1}
    present = {"paths": {"/a/b": {"get": 1, "put": [1, 3]}, "/c": {}}, "y": 1}
    assert list(openapi.drift(committed, present)) == ["~ #/paths/~1a~1b/put/1", "+ #/paths/~1c", "- #/x", "+ #/y"]


def test_a_committed_document_is_checked(tmp_path: Path) -> None:
    file = tmp_path / "openapi.json"
    present = openapi.rendered({"a": 1})
    assert openapi.check(file, present) == ["openapi.json is missing"]
    file.write_text(present)
    assert openapi.check(file, present) == []
    file.write_text('{"a": 1}')
    assert openapi.check(file, present) == ["only the layout differs"]
    file.write_text("{")
    assert openapi.check(file, present) == ["only the layout differs"]
    file.write_text(json.dumps({str(n): n for n in range(100)}))
    differences = openapi.check(file, present)
    assert differences[0] == "- #/0"
    assert differences[-1] == "and 61 more"


def test_the_command_writes_and_checks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(openapi, "DOCUMENT", tmp_path / "docs" / "openapi.json")
    monkeypatch.setattr(openapi, "document", described)
    assert openapi.main(["--check"]) == 1
    assert "openapi.json is missing" in capsys.readouterr().err
    assert openapi.main([]) == 0
    assert openapi.main(["--check"]) == 0
