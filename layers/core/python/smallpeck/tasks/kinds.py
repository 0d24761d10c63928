"""The kinds of tasks: what an answer looks like, and how answers become a result."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from smallpeck.consensus.method import NOTHING_KNOWN, Budget, Method, Vote, method_of
from smallpeck.kernel.errors import Invalid, Problem
from smallpeck.kernel.ids import canonical_json

Schema = Mapping[str, Any]
_SCALARS = (str, int, float, bool)


@dataclass(frozen=True)
class Kind:
    """`answer_schema` is what answers look like where a batch says nothing else; None: a batch has to say it.

    `settings` names the method of consensus for a batch's answer schema, and what that method wants to know.
    """

    answer_schema: Schema | None
    settings: Callable[[Schema], Mapping[str, Any]]


def _same(method: str) -> Callable[[Schema], Mapping[str, Any]]:
    return lambda _schema: {"method": method}


def _choice(schema: Schema) -> Mapping[str, Any]:
    """One of a few values is right; where a schema does not list them, plurality among whatever is given."""
    options = _listed(schema)
    return {"method": "choice", "options": len(options)} if len(options) > 1 else {"method": "plurality"}


def _multiple(schema: Schema) -> Mapping[str, Any]:
    items = schema.get("items")
    options = _listed(items) if isinstance(items, dict) else []
    return {"method": "multiple", "options": options} if options else {"method": "plurality"}


def _rating(schema: Schema) -> Mapping[str, Any]:
    """Numbers listed are the levels of a scale; else the bounds and the step of one say what near means."""
    levels = [one for one in _listed(schema) if isinstance(one, int | float) and not isinstance(one, bool)]
    if len(levels) > 1:
        return {"method": "ordinal", "levels": levels}
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None or high is None:
        return {"method": "plurality"}
    step = schema.get("multipleOf", 1 if schema.get("type") == "integer" else None)
    return {"method": "numeric", "low": low, "high": high, **({"step": step} if step is not None else {})}


def _ranking(schema: Schema) -> Mapping[str, Any]:
    items = schema.get("maxItems")
    return {"method": "ranking", **({"items": items} if isinstance(items, int) else {})}


def _fields(schema: Schema) -> Mapping[str, Any]:
    """Every property is a field of its own, compared as it is typed unless the batch's settings name a normaliser."""
    names = schema.get("properties")
    if not isinstance(names, dict) or not names:
        return {"method": "plurality"}
    return {"method": "fields", "fields": {name: {"normaliser": "plain"} for name in names}}


def _listed(schema: Schema) -> list[Any]:
    options = schema.get("enum")
    return [one for one in options if isinstance(one, _SCALARS)] if isinstance(options, list) else []


def _array(item: Schema, required: list[str]) -> Schema:
    named = {**item, "label": {"type": "string", "minLength": 1, "maxLength": 100}}
    of = {"type": "object", "properties": named, "required": required, "additionalProperties": False}
    return {"type": "array", "maxItems": 50, "items": of}


_NUMBER: Final = {"type": "number"}
_SIDE: Final = {"type": "number", "exclusiveMinimum": 0}


def _path(least: int) -> Schema:
    corner = {"type": "array", "prefixItems": [_NUMBER, _NUMBER], "minItems": 2, "maxItems": 2}
    return {"points": {"type": "array", "minItems": least, "maxItems": 100, "items": corner}}


KINDS: Final[Mapping[str, Kind]] = {
    "choice": Kind(None, _choice),
    "multiple": Kind(None, _multiple),
    "rating": Kind(None, _rating),
    "ranking": Kind({"type": "array", "items": {"type": "string"}, "uniqueItems": True, "maxItems": 30}, _ranking),
    "boxes": Kind(
        _array({"x": _NUMBER, "y": _NUMBER, "width": _SIDE, "height": _SIDE}, ["x", "y", "width", "height"]),
        _same("boxes"),
    ),
    "polygons": Kind(_array(_path(3), ["points"]), _same("polygons")),
    "points": Kind(_array({"x": _NUMBER, "y": _NUMBER}, ["x", "y"]), _same("points")),
    "lines": Kind(_array(_path(2), ["points"]), _same("lines")),
    "text": Kind({"type": "string", "maxLength": 2_000}, _same("text")),
    "fields": Kind(None, _fields),
}
"""By name. A kind is one line."""


def answer_schema_of(kind: str, given: Schema | None) -> Schema:
    """What answers have to look like; raises Invalid where neither the batch nor its kind says it."""
    schema = given if given is not None else KINDS[kind].answer_schema
    if schema is None:
        detail = f"a batch of kind {kind} says what its answers look like"
        raise Invalid(detail, problems=[Problem("/answer_schema", detail)])
    return schema


def _try(method: Method) -> None:
    """Two answers that nobody would give: settings of a wrong type show here, not when the first answer is graded."""
    votes: dict[str, Vote] = {}
    for worker in ("a", "b"):
        accuracy_ppm = method.accuracy_ppm(worker=NOTHING_KNOWN, population=NOTHING_KNOWN)
        votes[worker] = method.cast(votes=votes, answer=canonical_json(worker), accuracy_ppm=accuracy_ppm)
        method.decide(task_id="t", votes=votes, budget=Budget(1, len(votes) + 1))
        method.expected_change(votes=votes, accuracy_ppm=accuracy_ppm)


def consensus_of(kind: str, schema: Schema, *, method: str | None, settings: Mapping[str, Any]) -> str:
    """The method of consensus and its settings, as canonical JSON text; raises Invalid where they make no sense."""
    wanted = {**({"method": method} if method is not None else KINDS[kind].settings(schema)), **settings}
    try:
        _try(method_of(wanted))
    except (TypeError, ValueError, AttributeError, ArithmeticError) as error:
        detail = str(error)
        raise Invalid("consensus cannot work so", problems=[Problem("/consensus/settings", detail)]) from error
    return canonical_json(wanted)
