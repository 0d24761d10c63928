"""Builds an OpenAPI 3.1 document from route tables and their models. Runs at build time only."""

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic.json_schema import models_json_schema

from smallpeck.kernel.errors import Category, Invalid, SmallPeckError, TooLarge, Unavailable, Unsupported
from smallpeck.runtime import problems, requests
from smallpeck.runtime.access import NotAccessToken, WrongAudience
from smallpeck.runtime.cursors import BadCursor
from smallpeck.runtime.http import Api
from smallpeck.runtime.problems import BadParameter
from smallpeck.runtime.routes import BadPathParameter, Route
from smallpeck.runtime.schemas import NoBody
from smallpeck.runtime.strict_json import BadJson

Json = dict[str, Any]
Mode = Literal["validation", "serialization"]

_REF = "#/components/schemas/"
_QUALIFIED = re.compile(r"(?:\w+__)?functions__(\w+?)_api__schemas__(\w+?)((?:-Input|-Output)?)")
_TAGS = {
    "worker": "For those who do tasks.",
    "requester": "For those who pay for work.",
    "operator": "For those who run the platform.",
    "webhooks": "For payment providers, who sign what they say.",
}
_DESCRIPTION = """\
Amounts are decimal strings in currency units, never numbers. Moments are RFC 3339. Lists have signed cursors.
A request that makes or moves something takes an `Idempotency-Key`; sent again with the same key, it names the same
thing.

Errors are RFC 9457 problems with a stable `code`, and change nothing. The exception is what the gateway answers before
a function is reached (no or bad token, too many requests, a body over 10 MB): `{"message": "..."}`, sent as
`application/json`.
"""
_GATEWAY_STATUSES = (401, 403, 429, 500, 503)
PROBLEM: Json = {
    "type": "object",
    "description": "An RFC 9457 problem.",
    "required": ["type", "title", "status", "detail", "instance", "code", "errors", "correlation_id"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "Names the kind of problem; ends in the code."},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "instance": {"type": "string", "format": "uri-reference", "description": "The path that was asked."},
        "code": {"type": "string", "description": "Stable: what a client may match on."},
        "errors": {
            "type": "array",
            "maxItems": problems.MAX_PROBLEMS,
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {
                    "in": {
                        "type": "string",
                        "enum": ["query", "path", "header"],
                        "description": "Where the pointer points into; absent: the body.",
                    },
                    "pointer": {"type": "string", "description": "An RFC 6901 JSON Pointer."},
                    "detail": {"type": "string"},
                },
                "additionalProperties": False,
            },
        },
        "correlation_id": {"type": "string", "description": "What the logs of this request carry."},
    },
    "additionalProperties": False,
}


def build(apis: Sequence[Api], *, version: str) -> Json:
    """The document of these audiences' routes."""
    routes = [(api.audience, route) for api in apis for route in api.table.routes]
    schemas, names = _schemas([route for _, route in routes])
    refused = _refused(route for _, route in routes)
    refusals: Json = {}
    paths: Json = {}
    for audience, route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(audience, route, schemas, names)
        refusals.update(_refusals(route))
    for query in {names[route.query, "validation"] for _, route in routes if route.query}:
        del schemas[query]
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {"title": "Small Peck", "version": version, "description": _DESCRIPTION},
        "servers": [
            {
                "url": "{origin}",
                "variables": {
                    "origin": {
                        "default": "https://api.example.com",
                        "description": "The deployment's output `ApiUrl`, or what `make local` prints.",
                    }
                },
            }
        ],
        "security": [{"token": []}],
        "tags": [
            {"name": audience, "description": _TAGS.get(audience, "")}
            for audience in dict.fromkeys(api.audience for api in apis)
        ],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "An access token of the user pool; the role comes from its groups.",
                }
            },
            "parameters": _parameters(),
            "responses": dict(sorted(refusals.items())),
            "headers": {"CorrelationId": {"description": "What the logs carry.", "schema": {"type": "string"}}},
            "schemas": {**dict(sorted(schemas.items())), "GatewayMessage": _gateway_message(), "Problem": PROBLEM},
            "examples": {code: _example(refused[code]) for code in sorted(refused)} | {"internal": _example(None)},
        },
    }


def _operation(audience: str, route: Route, schemas: Mapping[str, Json], names: Mapping[Any, str]) -> Json:
    operation: Json = {
        "operationId": f"{audience}_{route.function.__name__}",
        "tags": [audience],
        "summary": route.summary,
        "description": inspect.getdoc(route.function) or route.summary,
        "parameters": [*_path_parameters(route), *_query_parameters(route, schemas, names), *_header_parameters(route)],
    }
    if route.public:
        operation["security"] = []
    if route.raw:
        content = {"application/json": {"schema": {"type": "object", "description": "As its signature covers it."}}}
        operation["requestBody"] = {"required": True, "content": content}
    elif route.body:
        operation["requestBody"] = {
            "required": route.body is not NoBody,
            "content": {"application/json": {"schema": {"$ref": _REF + names[route.body, "validation"]}}},
        }
    answer: Json = {
        "description": route.summary or "Done.",
        "headers": {"x-correlation-id": {"$ref": "#/components/headers/CorrelationId"}},
    }
    if route.reply:
        schema = {"$ref": _REF + names[route.reply, "serialization"]}
        answer["content"] = {"application/json": {"schema": schema}}
    if route.text:
        answer["content"] = {route.text: {"schema": {"type": "string"}}}
    refusals = {name[:3]: {"$ref": f"#/components/responses/{name}"} for name in _refusals(route)}
    others = {str(status): {**answer, "description": meaning} for status, meaning in route.also.items()}
    operation["responses"] = dict(sorted({str(route.status): answer, **others}.items())) | refusals
    return operation


def _schemas(routes: Iterable[Route]) -> tuple[dict[str, Json], dict[tuple[Any, Mode], str]]:
    wanted: dict[tuple[Any, Mode], None] = {}
    for route in routes:
        for model in filter(None, (route.body, route.query)):
            wanted[model, "validation"] = None
        if route.reply:
            wanted[route.reply, "serialization"] = None
    if not wanted:
        return {}, {}
    references, whole = models_json_schema(list(wanted), ref_template=_REF + "{model}")
    schemas = whole.get("$defs", {})
    short = {name: _short(name) for name in schemas}
    if len(set(short.values())) < len(short):
        raise ValueError("two models of one audience have the same name")
    # Generators of clients name classes by title, so a title must be as unique as the component's name.
    renamed = {short[name]: {**_renamed(schema, short), "title": short[name]} for name, schema in schemas.items()}
    return renamed, {key: short[reference["$ref"].removeprefix(_REF)] for key, reference in references.items()}


def _short(name: str) -> str:
    # Models of two audiences that share a name come qualified by their modules.
    match = _QUALIFIED.fullmatch(name)
    return f"{match[1].title()}{match[2]}{match[3]}" if match else name


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {
            key: _REF + names[inner.removeprefix(_REF)]
            if key == "$ref" and isinstance(inner, str)
            else _renamed(inner, names)
            for key, inner in value.items()
        }
    return [_renamed(inner, names) for inner in value] if isinstance(value, list) else value


def _path_parameters(route: Route) -> Iterator[Json]:
    for name in route.parameters:
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,79}$"},
        }


def _query_parameters(route: Route, schemas: Mapping[str, Json], names: Mapping[Any, str]) -> Iterator[Json]:
    if route.query is None:
        return
    model = schemas[names[route.query, "validation"]]
    for name, schema in model.get("properties", {}).items():
        parameter = {
            "name": name,
            "in": "query",
            "required": name in model.get("required", []),
            "schema": _without_null(schema),
        }
        yield parameter if "description" not in schema else {**parameter, "description": schema["description"]}


def _without_null(schema: Json) -> Json:
    choices = [one for one in schema.get("anyOf", []) if one != {"type": "null"}]
    plain = {name: value for name, value in schema.items() if name != "anyOf" and (name, value) != ("default", None)}
    if len(choices) == 1:
        return {**plain, **choices[0]}
    return {**plain, "anyOf": choices} if choices else plain


def _header_parameters(route: Route) -> Iterator[Json]:
    if route.idempotency == "required":
        yield {"$ref": "#/components/parameters/IdempotencyKey"}
    elif route.idempotency == "optional":
        yield {"$ref": "#/components/parameters/OptionalIdempotencyKey"}
    yield {"$ref": "#/components/parameters/CorrelationId"}


def _parameters() -> Json:
    key = {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Chosen by the client, one per thing wanted: the same key gives the same thing, however late.",
        "schema": {"type": "string", "minLength": 1, "maxLength": requests.MAX_KEY_LENGTH, "pattern": "^[ -~]+$"},
    }
    return {
        "IdempotencyKey": {**key, "required": True},
        "OptionalIdempotencyKey": {**key, "required": False},
        "CorrelationId": {
            "name": "x-correlation-id",
            "in": "header",
            "required": False,
            "description": "Answered and logged as it is where it is well-formed; else the request's own id is.",
            "schema": {"type": "string", "maxLength": 128, "pattern": "^[A-Za-z0-9][A-Za-z0-9._:=-]{0,127}$"},
        },
    }


def _errors(route: Route) -> list[type[SmallPeckError]]:
    found: list[type[SmallPeckError]] = [BadParameter, Invalid, Unavailable]
    if not route.public:
        found += [NotAccessToken, WrongAudience]
    if route.parameters:
        found.append(BadPathParameter)
    if route.query is not None and "cursor" in route.query.model_fields:
        found.append(BadCursor)
    if route.body not in (None, NoBody):
        found.append(requests.NoBodyGiven)
    if route.method != "GET":
        found += [BadJson, TooLarge, Unsupported]
    if route.idempotency is not None:
        found.append(requests.BadIdempotencyKey)
    if route.idempotency == "required":
        found.append(requests.NoIdempotencyKey)
    return list(dict.fromkeys([*found, *route.errors]))


def _refused(routes: Iterable[Route]) -> dict[str, type[SmallPeckError]]:
    found: dict[str, type[SmallPeckError]] = {}
    for error in (error for route in routes for error in _errors(route)):
        known = found.setdefault(error.code, error)
        if known.category != error.category:
            raise ValueError(f"the code {error.code} stands for {known.category} and for {error.category}")
    return found


def _refusals(route: Route) -> Json:
    """Its error responses, named by status and codes, so that routes share them."""
    by_status: dict[int, list[type[SmallPeckError]]] = {problems.INTERNAL.status: []}
    for error in _errors(route):
        by_status.setdefault(problems.MEANINGS[error.category].status, []).append(error)
    if not route.public:
        by_status.setdefault(problems.MEANINGS[Category.TOO_MANY].status, [])
    return {
        ".".join([str(status), *(error.code for error in errors)]): _refusal(status, errors)
        for status, errors in sorted(by_status.items())
    }


def _refusal(status: int, errors: Sequence[type[SmallPeckError]]) -> Json:
    examples = {error.code: {"$ref": f"#/components/examples/{error.code}"} for error in errors}
    if status == problems.INTERNAL.status:
        examples = {"internal": {"$ref": "#/components/examples/internal"}}
    content: Json = {}
    if examples:
        content[problems.MEDIA_TYPE] = {"schema": {"$ref": _REF + "Problem"}, "examples": examples}
    if status in _GATEWAY_STATUSES:
        content["application/json"] = {"schema": {"$ref": _REF + "GatewayMessage"}}
    return {
        "description": "; ".join(f"`{error.code}`: {_told(error)}" for error in errors) or _title(status),
        "headers": {"x-correlation-id": {"$ref": "#/components/headers/CorrelationId"}},
        "content": content,
    }


def _told(error: type[SmallPeckError]) -> str:
    own = inspect.cleandoc(error.__doc__ or "").partition("\n\n")[0].replace("\n", " ").rstrip(".")
    return own or problems.MEANINGS[error.category].title


def _title(status: int) -> str:
    titles = {meaning.status: meaning.title for meaning in problems.MEANINGS.values()}
    return titles.get(status, problems.INTERNAL.title)


def _example(error: type[SmallPeckError] | None) -> Json:
    meaning = problems.MEANINGS[error.category] if error else problems.INTERNAL
    code = error.code if error else problems.INTERNAL_CODE
    return {
        "summary": _told(error) if error else meaning.title,
        "value": {
            "type": problems.TYPE_PREFIX + code,
            "title": meaning.title,
            "status": meaning.status,
            "detail": meaning.title,
            "instance": "/v1/...",
            "code": code,
            "errors": [],
            "correlation_id": "abc123",
        },
    }


def _gateway_message() -> Json:
    return {
        "type": "object",
        "description": "What the gateway says before a function is reached.",
        "required": ["message"],
        "properties": {"message": {"type": "string"}},
    }
