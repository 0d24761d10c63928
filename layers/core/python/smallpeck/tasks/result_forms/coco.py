"""COCO: one JSON document of images, annotations and categories, as pycocotools reads it.

Boxes are annotations with `bbox` and the box as its segmentation, polygons have themselves as segmentation, and a point
is an annotation with one keypoint. Numbers begin at 1: an image has the place of its task in the file, annotations are
counted, categories stand as the schema of answers lists their labels. `score` is the confidence of the object.

An image without annotations says that there is nothing on it. So tasks without an answer, and those whose answer cannot
be held, are no images; `info` counts them.

Annotations are written as they come and the images kept in a spool until then, so that memory does not grow with the
batch.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

from smallpeck.tasks.result_forms.facts import (
    ClassIds,
    Shape,
    Subject,
    Unfit,
    needed_image,
    part_scores,
    shapes_of,
)
from smallpeck.tasks.result_forms.spool import Spool
from smallpeck.tasks.results import TaskResult, TextLines, spelled

METHODS: Final = frozenset({"boxes", "polygons", "points"})
_VISIBLE: Final = 2


class CocoLines(TextLines):
    """See `smallpeck.tasks.results.Lines`."""

    def __init__(self, subject: Subject) -> None:
        super().__init__()
        self._subject = subject
        self._classes = ClassIds(subject.classes, first=1)
        self._spool = Spool()
        self._tasks = 0
        self._images = 0
        self._annotations = 0
        self._unanswered = 0
        self._first_left_out: dict[str, str] | None = None
        self.text.write('{"annotations":[\n')

    def add(self, result: TaskResult, /) -> bytes:
        """See `Lines`."""
        self._tasks += 1
        if result.answer is None:
            self._unanswered += 1
            return b""
        try:
            image, annotations = needed_image(result.input), self._annotated(result)
        except Unfit as unfit:
            self.left_out += 1
            self._first_left_out = self._first_left_out or {"row_id": result.row_id, "reason": str(unfit)}
            return b""
        told: dict[str, Any] = {"id": self._tasks, "file_name": image.address}
        if image.size is not None:
            told["width"], told["height"] = image.size
        told |= {"task_id": result.task_id, "row_id": result.row_id}
        for annotation in annotations:
            self.text.write((",\n" if self._annotations else "") + spelled({"id": self._annotations + 1} | annotation))
            self._annotations += 1
        self._spool.write(((",\n" if self._images else "") + spelled(told)).encode())
        self._images += 1
        return self.piece()

    def end(self) -> Iterator[bytes]:
        """See `Lines`."""
        self.text.write('\n],\n"images":[\n')
        yield self.taken()
        yield from self._spool.pieces()
        at = self._subject.dated_at
        rest = {
            "categories": [self._category(name, number) for name, number in self._classes.items()],
            "licenses": [],
            "info": {
                "description": self._subject.title,
                "url": "",
                "version": "1.0",
                "year": int(at[:4]),
                "contributor": "",
                "date_created": at,
                "unanswered": self._unanswered,
                "left_out": self.left_out,
                "first_left_out": self._first_left_out,
            },
        }
        self.text.write("\n],\n" + spelled(rest)[1:] + "\n")
        yield self.taken()

    def close(self) -> None:
        """See `Lines`."""
        self._spool.close()

    def _annotated(self, result: TaskResult) -> list[dict[str, Any]]:
        shapes = shapes_of(self._subject.method, result.answer)
        scores = part_scores(self._subject, result)
        return [
            {"image_id": self._tasks, "category_id": self._classes[shape.of_class]}
            | _geometry(self._subject.method, shape)
            | {"iscrowd": 0, "score": score}
            for shape, score in zip(shapes, scores, strict=True)
        ]

    def _category(self, name: str, number: int) -> dict[str, Any]:
        told: dict[str, Any] = {"id": number, "name": name, "supercategory": ""}
        return told | {"keypoints": [name], "skeleton": []} if self._subject.method == "points" else told


def _geometry(method: str, shape: Shape) -> dict[str, Any]:
    x, y = shape.points[0]
    if method == "points":
        return {"keypoints": [x, y, _VISIBLE], "num_keypoints": 1, "bbox": [x, y, 0, 0], "area": 0}
    if method == "boxes":
        width, height = shape.size
        corners = [x, y, x + width, y, x + width, y + height, x, y + height]
        return {"segmentation": [corners], "bbox": [x, y, width, height], "area": width * height}
    across, down = zip(*shape.points, strict=True)
    left, top = min(across), min(down)
    return {
        "segmentation": [[side for point in shape.points for side in point]],
        "bbox": [left, top, max(across) - left, max(down) - top],
        "area": _area(shape.points),
    }


def _area(points: Sequence[tuple[float, float]]) -> float:
    """The area of a polygon by the shoelace formula, from its first point so that large coordinates lose nothing."""
    (x, y), *others = points
    moved = [(right - x, down - y) for right, down in others]
    return abs(math.fsum(one[0] * two[1] - two[0] * one[1] for one, two in pairwise(moved))) / 2
