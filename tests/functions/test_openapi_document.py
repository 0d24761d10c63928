"""The committed description of the API is valid, and says what the functions do."""

import json
import re

from openapi_spec_validator import OpenAPIV31SpecValidator

from local import openapi

DOCUMENT = openapi.document()


def test_the_committed_document_is_what_the_code_says() -> None:
    assert openapi.check(openapi.DOCUMENT, openapi.rendered(DOCUMENT)) == []


def test_the_committed_document_is_openapi_3_1() -> None:
    OpenAPIV31SpecValidator(json.loads(openapi.DOCUMENT.read_text(encoding="utf-8"))).validate()


def test_every_audience_is_described() -> None:
    assert [tag["name"] for tag in DOCUMENT["tags"]] == [*openapi.AUDIENCES, "webhooks"]
    assert "/healthz" in DOCUMENT["paths"]


def test_every_operation_says_what_it_is_for() -> None:
    operations = [found for methods in DOCUMENT["paths"].values() for found in methods.values()]
    assert len({found["operationId"] for found in operations}) == len(operations)
    assert [found["operationId"] for found in operations if not found["summary"]] == []


def test_what_creates_or_moves_something_takes_a_key() -> None:
    # Rule 16 asks it of every POST; what names its own thing in the path may be repeated without one.
    required = {"$ref": "#/components/parameters/IdempotencyKey"}
    for path, methods in DOCUMENT["paths"].items():
        # A webhook's events have ids of the sender's own.
        if "post" in methods and re.fullmatch(r"/v1/(?!webhooks)\w+/[\w-]+", path):
            assert required in methods["post"]["parameters"], path


def test_no_amount_is_a_number() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        for field, described in schema.get("properties", {}).items():
            if re.search(r"amount|price|reward|fee|balance|threshold|escrow|earned|paid", field):
                assert '"number"' not in json.dumps(described), f"{name}.{field}"
