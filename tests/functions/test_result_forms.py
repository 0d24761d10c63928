"""Results in the forms of other tools: fetched when a batch has ended, exported while it runs, refused where unfit."""

import csv
import io
import json
from typing import Any

import pytest

from tests.functions.requester_tour import Tour, ready
from tests.functions.test_batch_export import run
from tests.functions.world import Platform

BOXES: dict[str, Any] = {
    "kind": "boxes",
    "consensus": {"method": "plurality"},
    "answer_schema": None,
    "task_schema": {"type": "object"},
    "min_answers": 1,
    "max_answers": 1,
}
SIZED = b"image,width,height\n" + b"".join(b"s3://b/%d.jpg,200,100\n" % n for n in range(4))
UNSIZED = b"image\n" + b"".join(b"s3://b/%d.jpg\n" % n for n in range(4))
FOUND = [{"x": 10, "y": 20, "width": 30, "height": 40, "label": "Hündin"}]


def boxes(platform: Platform, rows: bytes = SIZED, **changed: Any) -> Tour:
    """A batch of four images, of which one worker has marked all."""
    tour = ready(platform, file=rows, **(BOXES | changed)).published()
    client = platform.worker("ann")
    client.submitted(client.leased("k1", tour.batch_id), FOUND)
    platform.deliver()
    return tour


def ended(platform: Platform, tour: Tour) -> Tour:
    if tour.me.get(tour.path).json["state"] == "active":
        tour.post("close", key="c1")
    platform.finish(tour.batch_id)
    return tour


def fetched(platform: Platform, tour: Tour, form: str) -> tuple[dict[str, Any], str]:
    """The answer that has the link, and the file behind it."""
    link = tour.get("results", f"format={form}")
    assert link["format"] == form
    return link, platform.fetch(link["url"]).decode()


def test_a_batch_that_has_ended_is_fetched_in_all_five_forms(platform: Platform) -> None:
    tour = ended(platform, boxes(platform))
    assert [json.loads(row["answer"]) for row in csv.DictReader(io.StringIO(fetched(platform, tour, "csv")[1]))] == (
        [FOUND] * 4
    )
    lines = [json.loads(line) for line in fetched(platform, tour, "jsonl")[1].splitlines()]
    assert [one["answer"] for one in lines] == [FOUND] * 4

    coco = json.loads(fetched(platform, tour, "coco")[1])
    assert [one["file_name"] for one in coco["images"]] == [f"s3://b/{n}.jpg" for n in range(4)]
    assert [one["bbox"] for one in coco["annotations"]] == [[10, 20, 30, 40]] * 4
    assert [one["name"] for one in coco["categories"]] == ["Hündin"]

    link, text = fetched(platform, tour, "labelstudio")
    assert [len(one["annotations"]) for one in json.loads(text)] == [1] * 4
    assert '<Image name="image" value="$image"/>' in link["label_config"]
    assert "RectangleLabels" in link["label_config"]

    link, text = fetched(platform, tour, "groundtruth")
    manifest = [json.loads(line) for line in text.splitlines()]
    assert [one["source-ref"] for one in manifest] == [f"s3://b/{n}.jpg" for n in range(4)]
    assert {one["label-metadata"]["creation-date"][:10] for one in manifest} == {"2026-01-01"}
    assert link["label_config"] is None


def test_a_running_batch_is_exported_in_them(platform: Platform) -> None:
    tour = boxes(platform, min_answers=2, max_answers=2)
    for form in ("coco", "labelstudio", "groundtruth"):
        asked = tour.post("exports", {"format": form}, key=form)
        assert (asked["format"], asked["state"], asked["label_config"]) == (form, "running", None)
        run(platform)
        done = tour.get(f"exports/{asked['export_id']}")
        assert (done["state"], done["tasks"], done["closed_tasks"], done["left_out"]) == ("done", 4, 0, 0)
        assert (done["label_config"] is not None) == (form == "labelstudio")
        text = platform.fetch(done["url"]).decode()
        assert '"unanswered":4' in text if form == "coco" else "s3://b/3.jpg" in text


@pytest.mark.parametrize("form", ["coco", "labelstudio", "groundtruth"])
def test_an_export_of_a_batch_that_has_ended_is_the_file_that_it_ended_with(platform: Platform, form: str) -> None:
    tour = ended(platform, boxes(platform))
    asked = tour.post("exports", {"format": form})
    run(platform)
    exported = platform.fetch(tour.get(f"exports/{asked['export_id']}")["url"]).decode()
    assert exported == fetched(platform, tour, form)[1]


def test_a_form_that_cannot_hold_the_answers_is_refused_and_says_so(platform: Platform) -> None:
    tour = ready(platform).published()
    refused = tour.me.refused("POST", f"{tour.path}/exports", 422, "form_unfit", body={"format": "coco"}, key="k")
    assert [one["pointer"] for one in refused.json["errors"]] == ["/format"]
    ended(platform, tour)
    refused = tour.me.refused("GET", f"{tour.path}/results", 422, "form_unfit", query="format=coco")
    (problem,) = refused.json["errors"]
    assert (problem["in"], problem["pointer"]) == ("query", "/format")
    assert "it is for boxes, points, polygons" in problem["detail"]
    tour.me.refused("GET", f"{tour.path}/results", 422, "invalid", query="format=yolo")


def test_images_without_sizes_are_refused_where_the_form_needs_them(platform: Platform) -> None:
    tour = boxes(platform, UNSIZED)
    for form in ("labelstudio", "groundtruth"):
        refused = tour.me.refused("POST", f"{tour.path}/exports", 422, "form_unfit", body={"format": form}, key=form)
        assert "the row lacks `width`" in refused.json["detail"]
    ended(platform, tour)
    tour.me.refused("GET", f"{tour.path}/results", 422, "form_unfit", query="format=labelstudio")
    assert len(json.loads(fetched(platform, tour, "coco")[1])["annotations"]) == 4


def test_a_row_that_lacks_them_among_others_is_left_out_and_counted(platform: Platform) -> None:
    tour = boxes(platform, SIZED.replace(b"2.jpg,200,100", b"2.jpg,,100"))
    for form in ("coco", "labelstudio", "groundtruth"):
        asked = tour.post("exports", {"format": form}, key=form)
        run(platform)
        done = tour.get(f"exports/{asked['export_id']}")
        assert (done["tasks"], done["left_out"]) == (4, 0 if form == "coco" else 1)
