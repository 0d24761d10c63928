"""The augmented manifest of SageMaker Ground Truth, held against what AWS publishes about it.

No package reads such a manifest and says what is wrong with it, so the published rules stand here: the chapter
"Labeling job output data" of the SageMaker AI Developer Guide, and for boxes and images also the rules of Rekognition
Custom Labels, which reads the same lines.
"""

import re
from datetime import datetime
from typing import Any

import pytest

from smallpeck.tasks.result_forms.facts import METHODS
from tests.unit.tasks.result_forms.made import ANSWERS, LABELS, read, result, subject

NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,126}")
JOB = re.compile(r"labeling-job/[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}")
TEXT = {"text": "Wie schön!"}


def is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def is_class_map(value: Any) -> bool:
    return isinstance(value, dict) and all(key.isdigit() and isinstance(name, str) for key, name in value.items())


def check_classification(label: Any, facts: dict[str, Any]) -> None:
    assert type(label) is int
    assert label >= 0
    assert isinstance(facts["class-name"], str)
    assert is_share(facts["confidence"])


def check_multilabel(label: Any, facts: dict[str, Any]) -> None:
    assert all(type(one) is int for one in label)
    assert is_class_map(facts["class-map"])
    assert {str(one) for one in label} == facts["class-map"].keys() == facts["confidence-map"].keys()
    assert all(map(is_share, facts["confidence-map"].values()))


def check_boxes(label: Any, facts: dict[str, Any]) -> None:
    assert label.keys() == {"image_size", "annotations"}
    (size,) = label["image_size"]
    assert size.keys() == {"width", "height", "depth"}
    assert all(type(one) is int and one > 0 for one in size.values())
    assert is_class_map(facts["class-map"])
    for box in label["annotations"]:
        assert box.keys() == {"class_id", "left", "top", "width", "height"}
        assert all(type(one) is int for one in box.values())
        assert str(box["class_id"]) in facts["class-map"]
        assert min(box["left"], box["top"]) >= 0
        assert min(box["width"], box["height"]) > 0
        assert box["left"] + box["width"] <= size["width"]
        assert box["top"] + box["height"] <= size["height"]
    assert len(facts["objects"]) == len(label["annotations"])
    assert all(one.keys() == {"confidence"} and is_share(one["confidence"]) for one in facts["objects"])


def check_custom(_label: Any, facts: dict[str, Any]) -> None:
    assert is_share(facts["confidence"])


CHECKS = {
    "groundtruth/image-classification": check_classification,
    "groundtruth/text-classification": check_classification,
    "groundtruth/image-classification-multilabel": check_multilabel,
    "groundtruth/text-classification-multilabel": check_multilabel,
    "groundtruth/object-detection": check_boxes,
    "groundtruth/custom": check_custom,
}


def checked(line: dict[str, Any]) -> dict[str, Any]:
    """A labelled line that keeps to what is published; its metadata."""
    assert len(line.keys() & {"source", "source-ref"}) == 1
    assert isinstance(line.get("source", line.get("source-ref")), str)
    (attribute,) = [name.removesuffix("-metadata") for name in line if name.endswith("-metadata")]
    assert NAME.fullmatch(attribute)
    assert not attribute.endswith("-ref")
    facts: dict[str, Any] = line[f"{attribute}-metadata"]
    assert facts["human-annotated"] == "yes"
    assert JOB.fullmatch(facts["job-name"])
    assert MOMENT.fullmatch(facts["creation-date"])
    datetime.fromisoformat(facts["creation-date"])
    CHECKS[facts["type"]](line[attribute], facts)
    return facts


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        ("choice", "image-classification"),
        ("plurality", "image-classification"),
        ("multiple", "image-classification-multilabel"),
        ("boxes", "object-detection"),
        *[(method, "custom") for method in ("fields", "lines", "numeric", "points", "polygons", "ranking", "text")],
    ],
)
def test_every_kind_of_answer_keeps_to_what_is_published(method: str, kind: str) -> None:
    assert method in METHODS
    (line,) = read("groundtruth", subject(method), [result(answer=ANSWERS[method])])
    assert checked(line)["type"] == f"groundtruth/{kind}"
    assert (line["source-ref"], line["note"]) == ("s3://pictures/ä/1.jpg", "für später")
    if kind == "custom":
        assert line["label"] == ANSWERS[method]


@pytest.mark.parametrize(("method", "kind"), [("choice", ""), ("multiple", "-multilabel")])
def test_texts_stand_in_the_line_itself(method: str, kind: str) -> None:
    (line,) = read("groundtruth", subject(method), [result(answer=ANSWERS[method], input=TEXT)])
    assert checked(line)["type"] == f"groundtruth/text-classification{kind}"
    assert line["source"] == "Wie schön!"


def test_a_choice_is_the_number_of_its_class() -> None:
    first, second = read("groundtruth", subject("choice"), [result(answer=LABELS[1]), result(answer=LABELS[0])])
    assert (first["label"], first["label-metadata"]["class-name"]) == (1, LABELS[1])
    assert first["label-metadata"]["confidence"] == 0.75
    assert (second["label"], second["label-metadata"]["class-name"]) == (0, LABELS[0])


def test_options_have_the_confidence_of_their_own() -> None:
    (line,) = read("groundtruth", subject("multiple"), [result(answer=[LABELS[1]], parts=[0.2, 0.9])])
    assert (line["label"], line["label-metadata"]["confidence-map"]) == ([1], {"1": 0.9})
    assert line["label-metadata"]["class-map"] == {"1": LABELS[1]}


def test_boxes_are_whole_pixels_within_the_image() -> None:
    (line,) = read("groundtruth", subject(), [result(answer=ANSWERS["boxes"], parts=[0.8, 0.4])])
    facts = checked(line)
    assert line["label"] == {
        "image_size": [{"width": 200, "height": 100, "depth": 3}],
        "annotations": [
            {"class_id": 0, "left": 10, "top": 20, "width": 31, "height": 40},
            {"class_id": 1, "left": 190, "top": 90, "width": 10, "height": 10},
        ],
    }
    assert facts["objects"] == [{"confidence": 0.8}, {"confidence": 0.4}]
    assert facts["class-map"] == {"0": LABELS[0], "1": LABELS[1]}


def test_a_box_thinner_than_a_pixel_keeps_one() -> None:
    thin = [{"x": 199.8, "y": 99.9, "width": 0.1, "height": 0, "label": "cat"}]
    (line,) = read("groundtruth", subject(), [result(answer=thin)])
    checked(line)
    assert line["label"]["annotations"] == [{"class_id": 0, "left": 199, "top": 99, "width": 1, "height": 1}]


def test_a_label_is_dated_by_its_last_answer_or_else_by_the_batch() -> None:
    first, second = read("groundtruth", subject("text"), [result(answer="a"), result(answer="a", answered_at=None)])
    assert first["label-metadata"]["creation-date"] == "2026-01-03T00:00:00.250000"
    assert second["label-metadata"]["creation-date"] == "2026-01-02T03:04:05.678000"


def test_an_open_task_is_its_row_and_nothing_else() -> None:
    (line,) = read("groundtruth", subject(), [result(status="open")])
    assert line == {"source-ref": "s3://pictures/ä/1.jpg", "width": 200, "height": 100,
                    "image": "s3://pictures/ä/1.jpg", "note": "für später"}  # fmt: skip


def test_properties_of_the_row_never_stand_in_for_the_label() -> None:
    row = {"source": "a", "source-ref": "s3://b/c.jpg", "label": "mine", "label-metadata": {}, "label-ref": "x"}
    line, unanswered = read("groundtruth", subject("choice"), [result(input=row, answer="cat"), result(input=row)])
    checked(line)
    assert (line["source-ref"], line["label"]) == ("s3://b/c.jpg", 0)
    assert unanswered == {"source-ref": "s3://b/c.jpg"}


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"input": {"image": "a.jpg", "height": 1}}, "`width`"),
        ({"input": {"text": "no picture"}}, "lacks"),
        ({"answer": [{"x": -50, "y": 1, "width": 10, "height": 10}]}, "outside"),
    ],
)
def test_what_it_cannot_hold_has_the_reason_instead_of_a_label(facts: dict[str, Any], why: str) -> None:
    (line,) = read("groundtruth", subject(), [result(**{"answer": ANSWERS["boxes"]} | facts)])
    assert "label" not in line
    assert why in line["label-metadata"]["failure-reason"]


def test_sounds_are_labelled_by_custom_jobs() -> None:
    row = {"audio": "s3://sounds/1.wav"}
    (line,) = read("groundtruth", subject("choice"), [result(answer="cat", input=row)])
    assert (checked(line)["type"], line["label"], line["source-ref"]) == ("groundtruth/custom", "cat", row["audio"])


def test_without_tasks_it_is_empty() -> None:
    assert read("groundtruth", subject(), []) == []
