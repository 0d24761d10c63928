"""Label Studio JSON, checked by the SDK's labelling interface and read by its converter."""

import json
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from smallpeck.tasks.result_forms.facts import METHODS, Subject
from smallpeck.tasks.result_forms.label_studio import METHODS as HELD
from smallpeck.tasks.result_forms.label_studio import label_config
from smallpeck.tasks.results import TaskResult
from tests.unit.tasks.result_forms.made import ANSWERS, LABELS, read, result, subject, written

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # the SDK's own, as it is loaded
    Converter: Any = import_module("label_studio_sdk.converter").Converter
    LabelInterface: Any = import_module("label_studio_sdk.label_interface").LabelInterface

AUDIO, TEXT = {"audio": "s3://sounds/1.wav"}, {"text": 'Wer "war" <das>?'}


def imported(about: Subject, results: list[TaskResult]) -> list[Any]:
    """The tasks of the file, after Label Studio's own checks against the configuration that comes with it."""
    interface = LabelInterface(label_config(about, results[0].input if results else {}))
    interface.validate()
    tasks: list[Any] = read("labelstudio", about, results)
    for task in tasks:
        assert interface.validate_task({"data": task["data"]})
        for prediction in task["predictions"]:
            assert interface.validate_prediction(prediction, return_errors=True) == []
        for annotation in task["annotations"]:
            assert interface.validate_annotation(annotation)
    return tasks


@pytest.mark.parametrize("schema", [{}, {"classes": (), "fields": ()}], ids=["declared", "undeclared"])
@pytest.mark.parametrize("method", sorted(HELD))
def test_label_studio_takes_every_kind_of_answer(method: str, schema: dict[str, Any]) -> None:
    about = subject(method, **schema)
    first, second = imported(about, [result(1, answer=ANSWERS[method]), result(2, status="open")])
    (annotation,), (prediction,) = first["annotations"], first["predictions"]
    assert annotation["result"] == prediction["result"] != []
    assert (prediction["score"], prediction["model_version"]) == (0.75, "small-peck")
    assert first["data"]["note"] == "für später"
    assert first["meta"] == {"task_id": "t1", "row_id": "r1", "status": "closed"}
    assert (second["annotations"], second["predictions"], second["meta"]["status"]) == ([], [], "open")


@pytest.mark.parametrize("row", [AUDIO, TEXT])
@pytest.mark.parametrize("method", ["choice", "multiple", "text", "numeric", "fields"])
def test_sounds_and_texts_are_shown_as_what_they_are(method: str, row: dict[str, str]) -> None:
    (task,) = imported(subject(method), [result(input=row, answer=ANSWERS[method])])
    ((kind, value),) = row.items()
    assert task["data"] == row
    assert {one["to_name"] for one in task["annotations"][0]["result"]} == {kind}
    assert f'value="${kind}"' in label_config(subject(method), row)
    assert value in task["data"].values()


def test_a_row_without_text_is_shown_whole() -> None:
    (task,) = imported(subject("choice"), [result(input={"a": 1}, answer="cat")])
    assert task["data"] == {"a": 1, "text": '{"a":1}'}


def test_places_are_percentages_of_the_image_and_end_at_its_edge() -> None:
    (task,) = imported(subject(), [result(answer=ANSWERS["boxes"], parts=[0.9, 0.4])])
    first, second = task["predictions"][0]["result"]
    assert first["value"] == {
        "x": 5.0,
        "y": 20.0,
        "width": 15.25,
        "height": 40.0,
        "rotation": 0,
        "rectanglelabels": ["cat"],
    }
    assert (first["original_width"], first["original_height"], first["image_rotation"]) == (200, 100, 0)
    assert [second["value"][side] for side in ("x", "y", "width", "height")] == [95.0, 90.0, 5.0, 10.0]
    assert [first["score"], second["score"]] == [0.9, 0.4]


def test_shapes_keep_their_points() -> None:
    def value(method: str) -> Any:
        (task,) = imported(subject(method), [result(answer=ANSWERS[method])])
        return task["annotations"][0]["result"][0]["value"]

    assert value("polygons")["points"] == [[5.0, 10.0], [30.0, 10.0], [30.0, 40.0], [5.0, 40.0]]
    assert (value("points")["x"], value("points")["y"]) == (2.5, 6.0)
    vertices = value("lines")["vertices"]
    assert [(one["x"], one["y"]) for one in vertices] == [(0.0, 0.0), (5.0, 10.0), (10.0, 0.0)]
    assert [one["prevPointId"] for one in vertices] == [None, "v0", "v1"]


def test_the_converter_of_label_studio_writes_the_boxes_back_as_coco(tmp_path: Path) -> None:
    about, results = subject(), [result(1, answer=ANSWERS["boxes"][:1]), result(2)]
    file = tmp_path / "tasks.json"
    file.write_bytes(written("labelstudio", about, results))
    converter = Converter(label_config(about, results[0].input), str(tmp_path), download_resources=False)
    converter.convert_to_coco(str(file), str(tmp_path / "coco"), is_dir=False)
    coco = json.loads((tmp_path / "coco/result.json").read_text())
    (box,) = coco["annotations"]
    assert box["bbox"] == pytest.approx([10, 20, 30.5, 40])
    assert {one["id"]: one["name"] for one in coco["categories"]}[box["category_id"]] == "cat"


@pytest.mark.parametrize(("method", "told"), [("choice", "cat"), ("text", "ein Satz")])
def test_the_converter_of_label_studio_reads_choices_and_texts(method: str, told: str, tmp_path: Path) -> None:
    about, row = subject(method), result(answer=ANSWERS[method], input=TEXT)
    file = tmp_path / "tasks.json"
    file.write_bytes(written("labelstudio", about, [row]))
    Converter(label_config(about, row.input), str(tmp_path)).convert_to_json_min(str(file), str(tmp_path), is_dir=False)
    (found,) = json.loads((tmp_path / "result.json").read_text())
    assert (found["label"], found["text"]) == (told, TEXT["text"])


def test_labels_may_hold_anything() -> None:
    odd = ('a "b" <c> & d', "two\nlines", "nul\x01", "🐈‍⬛", "object")
    config = label_config(subject(classes=odd), {})
    assert list(LabelInterface(config).get_control("label").labels) == [
        'a "b" <c> & d', "two\nlines", "nul", "🐈‍⬛", "object",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "facts", "why"),
    [
        ("boxes", {"input": {"image": "a.jpg", "width": 200}}, "`height`"),
        ("boxes", {"input": {"width": 200, "height": 100}}, "names no image"),
        ("boxes", {"answer": [{"x": 500, "y": 5, "width": 5, "height": 5}]}, "outside"),
        ("boxes", {"answer": [{"x": 5, "y": 5, "width": 5, "height": 5, "label": "dog"}]}, "not in the list"),
        ("polygons", {"answer": [{"points": [[1, 1], [2, 2]]}]}, "fewer than 3"),
        ("lines", {"answer": [{"points": [[1, 1], [2, 2, 2]]}]}, "two numbers"),
        ("choice", {"answer": "dog"}, "not in the list"),
        ("numeric", {"answer": "many"}, "no number"),
        ("fields", {"answer": {"shoe size": 42}}, "does not declare"),
    ],
)
def test_what_it_cannot_hold_is_left_out_with_the_reason(method: str, facts: dict[str, Any], why: str) -> None:
    results = [result(1, **{"answer": ANSWERS[method]} | facts), result(2, answer=ANSWERS[method])]
    first, second = imported(subject(method), results)
    assert why in first["meta"]["left_out"]
    assert (first["annotations"], first["predictions"]) == ([], [])
    assert second["annotations"]


def test_labels_that_nobody_declared_come_with_each_task() -> None:
    tasks = imported(subject(classes=()), [result(1, answer=ANSWERS["boxes"]), result(2)])
    told = [[one["value"] for one in task["data"]["result_labels"]] for task in tasks]
    assert told == [["Hündin & <Rüde>", "cat", "object"], ["object"]]
    assert 'value="$result_labels"' in label_config(subject(classes=()), {})


def test_an_image_without_objects_is_an_answer_too() -> None:
    (task,) = imported(subject(), [result(answer=[])])
    assert [one["result"] for one in task["annotations"]] == [[]]


def test_without_tasks_it_is_an_empty_list() -> None:
    assert imported(subject(), []) == []


def test_rankings_are_all_that_it_does_not_hold() -> None:
    assert {*METHODS} - HELD == {"ranking"}
    assert LABELS[0] in label_config(subject(), {})
