"""The registry of forms: which fits what, and what is said where one does not."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallpeck.consensus.method import METHODS as CONSENSUS
from smallpeck.tasks.result_forms import (
    FORM_NAMES,
    FORMS,
    answers_of,
    export_key,
    forms_for,
    label_config_of,
    method_of,
    misfit,
    results_key,
    subject_of,
)
from smallpeck.tasks.result_forms.facts import (
    MAX_CLASSES,
    METHODS,
    ClassIds,
    Unfit,
    declared_classes,
    image_of,
    kind_of,
    part_scores,
)
from tests.support import World
from tests.unit.tasks.result_forms.made import ANSWERS, begun, peak_bytes, result, subject, written

OTHERS = ("coco", "labelstudio", "groundtruth")
SIZED = {"image": "a.jpg", "width": 200, "height": 100}


def test_every_form_has_a_file_of_its_own() -> None:
    assert tuple(FORMS) == FORM_NAMES
    assert {form: results_key("b1", form) for form in FORMS} == {
        "csv": "results/b1/results.csv",
        "jsonl": "results/b1/results.jsonl",
        "coco": "results/b1/results.coco.json",
        "labelstudio": "results/b1/results.labelstudio.json",
        "groundtruth": "results/b1/results.manifest",
    }
    assert export_key("b1", "e1", "coco") == "results/b1/exports/e1.coco.json"


def test_csv_and_json_lines_hold_everything_and_others_what_they_can() -> None:
    assert {method for method in METHODS if {"csv", "jsonl", "groundtruth"} <= {*forms_for(method)}} == METHODS
    assert {method for method in METHODS if "coco" in forms_for(method)} == {"boxes", "polygons", "points"}
    assert {method for method in METHODS if "labelstudio" not in forms_for(method)} == {"ranking"}


@pytest.mark.parametrize(
    ("form", "method", "row", "says"),
    [
        ("coco", "choice", SIZED, "it is for boxes, points, polygons"),
        ("coco", "boxes", {"width": 1, "height": 1}, "image"),
        ("labelstudio", "ranking", SIZED, "ranking"),
        ("labelstudio", "boxes", {"image": "a.jpg", "height": 100}, "`width`"),
        ("labelstudio", "lines", {"image": "a.jpg", "width": 0.5, "height": 100}, "`width`"),
        ("labelstudio", "points", {"image": "a.jpg", "width": 5, "height": "tall"}, "`height`"),
        ("groundtruth", "boxes", {"image": "a.jpg", "width": 10}, "`height`"),
    ],
)
def test_a_form_that_does_not_fit_says_what_is_missing(form: str, method: str, row: dict[str, Any], says: str) -> None:
    found = misfit(form, method, [row, row])
    assert found is not None
    assert found.startswith(form)
    assert says in found
    if form != "coco" or method == "boxes":
        assert says in str(misfit(form, method, [row]))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("method", sorted(METHODS))
def test_one_row_that_fits_is_enough(form: str, method: str) -> None:
    if method in FORMS[form].methods:
        assert misfit(form, method, [{}, SIZED]) is None
    assert misfit(form, method, []) is None or method not in FORMS[form].methods


def test_every_method_of_consensus_has_its_files() -> None:
    for method in CONSENSUS:
        batch = World().draft(consensus=json.dumps({"method": method}))
        assert {"csv", "jsonl"} <= {*forms_for(answers_of(batch))}


def test_nothing_is_read_for_forms_that_need_nothing() -> None:
    def rows() -> Any:
        raise AssertionError("read")
        yield

    assert misfit("csv", "boxes", rows()) is None
    assert label_config_of("coco", World().draft(), rows()) is None


def test_a_batch_says_what_its_forms_are_about() -> None:
    items = {"type": "object", "properties": {"label": {"enum": ["cat", "dog"]}}}
    batch = World().draft(
        consensus='{"method":"boxes"}',
        task_schema=json.dumps({"properties": {"image": {}, "width": {}}}),
        answer_schema=json.dumps({"type": "array", "items": items}),
    )
    found = subject_of(batch)
    assert (method_of(batch), found.method, found.classes) == ("boxes", "boxes", ("cat", "dog"))
    assert (found.batch_id, found.columns, found.fields) == (batch.batch_id, ("image", "width"), ())
    several = World().draft(consensus='{"method":"multiple","options":["a","b"]}', answer_schema="true")
    assert (subject_of(several).classes, subject_of(several).options) == (("a", "b"), ("a", "b"))


@pytest.mark.parametrize(
    ("kind", "method", "answers"),
    [
        ("choice", "choice", "choice"),
        ("choice", "plurality", "choice"),
        ("choice", "boxes", "boxes"),
        ("multiple", "plurality", "multiple"),
        ("boxes", "plurality", "boxes"),
        ("survey", "plurality", "plurality"),
        ("choice", "ordinal", "numeric"),
        ("boxes", "one of tomorrow", "boxes"),
        ("survey", "one of tomorrow", "plurality"),
    ],
)
def test_plurality_says_nothing_about_answers_and_the_kind_does(kind: str, method: str, answers: str) -> None:
    batch = World().draft(kind=kind, consensus=json.dumps({"method": method}))
    assert (method_of(batch), answers_of(batch), subject_of(batch).method) == (method, answers, answers)


@pytest.mark.parametrize(
    ("method", "schema", "classes"),
    [
        ("choice", {"enum": ["b", "a", 1, True, None]}, ("b", "a", "1", "true")),
        ("choice", {"oneOf": [{"const": "x"}, {"enum": ["y", "x"]}]}, ("x", "y")),
        ("choice", {"type": "string"}, ()),
        ("choice", True, ()),
        ("multiple", {"items": {"enum": ["a"]}}, ("a",)),
        ("points", {"items": {"properties": {"label": {"const": "nose"}}}}, ("nose",)),
        ("boxes", {"items": {"properties": {"label": True}}}, ()),
        ("boxes", {"enum": ["a"]}, ()),
    ],
)
def test_labels_are_those_that_the_schema_of_answers_lists(method: str, schema: Any, classes: tuple[str, ...]) -> None:
    assert declared_classes(method, schema) == classes


def test_a_row_says_its_image_in_one_of_several_names() -> None:
    found = image_of({"image_url": "https://x/1.png", "image_width": "640", "height": 480.0, "channels": 1})
    assert found is not None
    assert (found.address, found.size, found.depth) == ("https://x/1.png", (640, 480), 1)
    unsized = image_of({"image": "", "file_name": "a.png", "width": True, "height": 10**400})
    assert unsized is not None
    assert (unsized.address, unsized.size, unsized.depth) == ("a.png", None, 3)
    assert image_of({"text": "a.png"}) is None


@pytest.mark.parametrize(
    ("method", "row", "kind"),
    [
        ("choice", {"image": "a.png"}, "image"),
        ("choice", {"url": "https://example.org"}, "text"),
        ("boxes", {"url": "https://example.org/a.png"}, "image"),
        ("text", {"audio_url": "a.wav", "text": "hint"}, "audio"),
        ("text", {"anything": 1}, "text"),
    ],
)
def test_what_a_row_shows_follows_from_its_properties(method: str, row: dict[str, Any], kind: str) -> None:
    assert kind_of(method, row) == kind


def test_parts_are_of_objects_or_of_options_or_as_sure_as_the_whole() -> None:
    boxes = result(answer=ANSWERS["boxes"], parts=[0.9, 1.2])
    assert part_scores(subject("boxes"), boxes) == [0.9, 1.0]
    assert part_scores(subject("boxes"), result(answer=ANSWERS["boxes"], parts=[0.9])) == [0.75, 0.75]
    second = result(answer=["Hündin & <Rüde>", "unknown"], parts=[0.1, 0.6])
    assert part_scores(subject("multiple"), second) == [0.6, 0.75]


def test_there_is_an_end_to_labels_that_nobody_declared() -> None:
    ids = ClassIds(["a"], first=1)
    assert [ids["b"], ids["a"], ids["b"]] == [2, 1, 2]
    for number in range(MAX_CLASSES - 2):
        assert ids[str(number)] == number + 3
    with pytest.raises(Unfit, match="labels"):
        ids["one too many"]


@pytest.mark.parametrize("form", OTHERS)
@pytest.mark.parametrize("method", sorted(METHODS))
def test_written_again_it_is_the_same(form: str, method: str) -> None:
    results = [result(n, answer=ANSWERS[method] if n % 2 else None) for n in range(4)]
    assert written(form, subject(method), results) == written(form, subject(method), results)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["x", "y", "width", "height", "points", "label", "name", "image"]), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(answer=JSON, row=st.dictionaries(st.sampled_from(["image", "width", "height", "text", "audio"]), JSON))
def test_no_answer_and_no_row_keeps_a_file_from_being_written(answer: Any, row: dict[str, Any]) -> None:
    for form in OTHERS:
        for method in FORMS[form].methods:
            lines = begun(form, subject(method))
            lines.add(result(input=row, answer=answer))
            text = b"".join(lines.end())
            lines.close()
            json.loads(text)
            assert lines.left_out in (0, 1)


@pytest.mark.parametrize("form", OTHERS)
def test_memory_does_not_grow_with_the_results(form: str) -> None:
    def peak(count: int) -> int:
        many = (result(n, answer=ANSWERS["boxes"]) for n in range(count))
        return peak_bytes(form, subject("boxes"), many)

    peak(100)
    assert peak(1_200) < peak(300) + 150_000
