"""What a batch's kind and answer schema say about how its answers become results."""

import json
from typing import Any

import pytest

from smallpeck.consensus.method import METHODS, method_of
from smallpeck.kernel.errors import Invalid
from smallpeck.tasks.kinds import KINDS, answer_schema_of, consensus_of
from smallpeck.tasks.schema import check_schema


def settings(kind: str, schema: dict[str, Any], **given: Any) -> Any:
    method = given.pop("method", None)
    return json.loads(consensus_of(kind, schema, method=method, settings=given))


@pytest.mark.parametrize(
    ("kind", "schema", "expected"),
    [
        ("choice", {"enum": ["a", "b", "c"]}, {"method": "choice", "options": 3}),
        ("choice", {"enum": [True, False]}, {"method": "choice", "options": 2}),
        ("choice", {"type": "string"}, {"method": "plurality"}),
        ("multiple", {"type": "array", "items": {"enum": ["x", "y"]}}, {"method": "multiple", "options": ["x", "y"]}),
        ("multiple", {"type": "array"}, {"method": "plurality"}),
        ("rating", {"enum": [1, 2, 3]}, {"method": "ordinal", "levels": [1, 2, 3]}),
        (
            "rating",
            {"type": "integer", "minimum": 0, "maximum": 10},
            {"method": "numeric", "low": 0, "high": 10, "step": 1},
        ),
        ("rating", {"type": "number"}, {"method": "plurality"}),
        (
            "fields",
            {"type": "object", "properties": {"phone": {"type": "string"}}},
            {"method": "fields", "fields": {"phone": {"normaliser": "plain"}}},
        ),
        ("ranking", {"type": "array", "maxItems": 5}, {"method": "ranking", "items": 5}),
    ],
)
def test_the_method_follows_from_what_answers_look_like(kind: str, schema: Any, expected: Any) -> None:
    assert settings(kind, schema) == expected


def test_a_batch_may_name_another_method_and_its_settings() -> None:
    assert settings("choice", {"enum": ["a", "b"]}, method="plurality") == {"method": "plurality"}
    assert settings("choice", {"enum": ["a", "b"]}, sure_lead=3) == {"method": "choice", "options": 2, "sure_lead": 3}


def test_settings_that_make_no_sense_are_refused_with_a_pointer() -> None:
    with pytest.raises(Invalid) as refused:
        settings("choice", {"enum": ["a", "b"]}, colour="blue")
    assert [one.pointer for one in refused.value.problems] == ["/consensus/settings"]
    for nonsense in ({"options": "three"}, {"target_ppm": "sure"}, {"best_ppm": None}):
        with pytest.raises(Invalid):
            settings("choice", {"enum": ["a", "b"]}, **nonsense)
    with pytest.raises(Invalid):
        settings("text", {}, model={"put_in": 1})
    with pytest.raises(Invalid):
        settings("multiple", {"type": "array", "items": {"enum": [1, 2]}})


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_schema_of_its_own_or_asks_for_one(kind: str) -> None:
    if KINDS[kind].answer_schema is None:
        with pytest.raises(Invalid) as refused:
            answer_schema_of(kind, None)
        assert [one.pointer for one in refused.value.problems] == ["/answer_schema"]
    else:
        schema = dict(answer_schema_of(kind, None))
        check_schema(schema)
        method_of(settings(kind, schema))
    assert answer_schema_of(kind, {"type": "string"}) == {"type": "string"}


def test_every_method_has_a_kind_or_stands_in_for_one() -> None:
    reached = {settings(kind, dict(KINDS[kind].answer_schema or {}))["method"] for kind in KINDS}
    reached |= {
        "choice",
        "multiple",
        "numeric",
        "ordinal",
        "fields",
    }  # these ask for a schema that lists what can be answered
    assert reached >= METHODS.keys()
