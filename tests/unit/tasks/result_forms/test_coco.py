"""COCO, read by pycocotools."""

import json
import tracemalloc
from hashlib import sha512
from pathlib import Path
from typing import Any

import pytest
from pycocotools import mask  # type: ignore[import-untyped]
from pycocotools.coco import COCO  # type: ignore[import-untyped]
from pycocotools.cocoeval import COCOeval  # type: ignore[import-untyped]

from smallpeck.tasks.result_forms.facts import Subject
from smallpeck.tasks.result_forms.spool import MEMORY_BYTES, Spool
from smallpeck.tasks.results import TaskResult
from tests.unit.tasks.result_forms.made import ANSWERS, DATED_AT, LABELS, read, result, subject, written

PLACED = ("boxes", "polygons", "points")


def opened(folder: Path, about: Subject, results: list[TaskResult]) -> Any:
    """The file, as pycocotools opens it."""
    path = folder / "results.coco.json"
    path.write_bytes(written("coco", about, results))
    return COCO(str(path))


def painted(coco: Any, annotation: Any) -> float:
    """How many pixels its mask has."""
    return float(mask.area(coco.annToRLE(annotation)))


@pytest.mark.parametrize("method", PLACED)
def test_pycocotools_reads_it_and_its_objects_as_detections(method: str, tmp_path: Path) -> None:
    answer = ANSWERS[method]
    results = [result(1, answer=answer, parts=[0.5] * len(answer)), result(2), result(3, answer=[])]
    coco = opened(tmp_path, subject(method), results)
    assert coco.getImgIds() == [1, 3]
    assert coco.getAnnIds() == list(range(1, len(answer) + 1))
    assert [coco.cats[number]["name"] for number in coco.getCatIds()] == [*LABELS]
    assert [(one["width"], one["height"]) for one in coco.loadImgs([1, 3])] == [(200, 100)] * 2
    first = coco.loadAnns([1])[0]
    assert (first["image_id"], first["category_id"], first["iscrowd"], first["score"]) == (1, 1, 0, 0.5)
    found = coco.loadRes(json.loads(json.dumps(coco.dataset["annotations"])))
    assert [one["score"] for one in found.loadAnns(found.getAnnIds())] == [0.5] * len(answer)


def test_a_box_is_found_again_in_place_and_area(tmp_path: Path) -> None:
    coco = opened(tmp_path, subject("boxes"), [result(answer=ANSWERS["boxes"])])
    box = coco.loadAnns([1])[0]
    assert (box["bbox"], box["area"]) == ([10, 20, 30.5, 40], 30.5 * 40)
    assert painted(coco, box) == pytest.approx(box["area"], rel=0.05)


def test_a_polygon_becomes_a_mask_of_its_area(tmp_path: Path) -> None:
    triangle = [{"points": [[10, 10], [90, 10], [10, 90]], "label": "cat"}]
    coco = opened(tmp_path, subject("polygons"), [result(answer=triangle)])
    found = coco.loadAnns([1])[0]
    assert (found["bbox"], found["area"]) == ([10, 10, 80, 80], 3_200)
    assert painted(coco, found) == pytest.approx(3_200, rel=0.05)


def test_a_point_is_an_annotation_with_one_keypoint(tmp_path: Path) -> None:
    coco = opened(tmp_path, subject("points"), [result(answer=ANSWERS["points"])])
    second = coco.loadAnns([2])[0]
    assert (second["keypoints"], second["num_keypoints"], second["bbox"]) == ([7.5, 8, 2], 1, [7.5, 8, 0, 0])
    assert coco.loadCats([2])[0]["keypoints"] == [LABELS[1]]


def test_detections_that_are_the_truth_score_perfectly(tmp_path: Path) -> None:
    boxes = [[{"x": 10 * n, "y": 5, "width": 30, "height": 40, "label": "cat"}] for n in range(1, 4)]
    coco = opened(tmp_path, subject("boxes"), [result(n, answer=answer) for n, answer in enumerate(boxes)])
    found = coco.loadRes([dict(one) for one in coco.dataset["annotations"]])
    judged = COCOeval(coco, found, "bbox")
    judged.evaluate()
    judged.accumulate()
    judged.summarize()
    assert judged.stats[0] == pytest.approx(1.0)


def test_an_image_is_there_once_it_has_an_answer_whatever_the_row_says_of_its_size() -> None:
    empty, unsized = result(2, answer=[]), result(3, input={"url": "b.jpg"}, answer=[])
    found = read("coco", subject(), [result(1, status="open"), empty, unsized])
    assert found["images"] == [
        {
            "id": 2,
            "file_name": "s3://pictures/ä/2.jpg",
            "width": 200,
            "height": 100,
            "task_id": "t2",
            "row_id": "r2",
        },
        {"id": 3, "file_name": "b.jpg", "task_id": "t3", "row_id": "r3"},
    ]
    assert (found["annotations"], found["info"]["unanswered"], found["info"]["left_out"]) == ([], 1, 0)


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"input": {"text": "no picture"}}, "names no image"),
        ({"answer": "cat"}, "no list"),
        ({"answer": [{"x": 1, "y": 1, "width": -1, "height": 1}]}, "less than nothing"),
        ({"answer": [{"x": 1, "y": 1, "width": 1}]}, "no number"),
        ({"answer": [{"x": 1e300, "y": 1, "width": 1, "height": 1}]}, "farther"),
    ],
)
def test_what_it_cannot_hold_is_left_out_and_counted(facts: dict[str, Any], why: str) -> None:
    found = read("coco", subject(), [result(1, **{"answer": ANSWERS["boxes"]} | facts), result(2, answer=[])])
    assert [one["id"] for one in found["images"]] == [2]
    assert (found["annotations"], found["info"]["left_out"]) == ([], 1)
    assert found["info"]["first_left_out"]["row_id"] == "r1"
    assert why in found["info"]["first_left_out"]["reason"]


def test_labels_that_nobody_declared_are_numbered_as_they_come() -> None:
    bare = {"x": 1, "y": 1, "width": 1, "height": 1}
    answer = [bare | {"label": "dog"}, bare, bare | {"label": 7}]
    found = read("coco", subject(classes=()), [result(answer=answer)])
    assert [(one["id"], one["name"]) for one in found["categories"]] == [(1, "dog"), (2, "object"), (3, "7")]


def test_without_tasks_it_is_a_valid_document_dated_by_the_batch(tmp_path: Path) -> None:
    coco = opened(tmp_path, subject(), [])
    assert (coco.getImgIds(), coco.getAnnIds()) == ([], [])
    assert (coco.dataset["info"]["year"], coco.dataset["info"]["date_created"]) == (2026, DATED_AT)
    assert coco.dataset["info"]["description"] == 'Finde "Tiere" 🐈'


def test_images_wait_on_disk_compressed_and_come_back_as_they_were() -> None:
    pieces = [sha512(str(n).encode()).digest() * 16 for n in range(6_000)]
    tracemalloc.start()
    spool = Spool()
    for piece in pieces:
        spool.write(piece)
    back = sha512()
    for piece in spool.pieces():
        assert len(piece) <= 64 * 1024
        back.update(piece)
    spool.close()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert back.digest() == sha512(b"".join(pieces)).digest()
    assert most < 3 * MEMORY_BYTES < sum(map(len, pieces))
