"""The augmented manifest of SageMaker Ground Truth: JSON Lines, one data object a line, as published in "Labeling job
output data" of the SageMaker AI Developer Guide.

Each line has `source-ref` (image or recording) or `source` (text, or the whole row as JSON), the properties of the
row, the label under `label` and its facts under `label-metadata`. Choices are `groundtruth/image-classification` or
`text-classification`, multiple choices the same with `-multilabel`, boxes `groundtruth/object-detection` in whole
pixels within the image; everything else is `groundtruth/custom`, whose label is the answer as it was given. A task
without an answer has no label, one whose answer the form cannot hold has `failure-reason` instead.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

from smallpeck.tasks.result_forms.facts import (
    CLASSES,
    WITH_PARTS,
    ClassIds,
    Shape,
    Subject,
    Unfit,
    class_text,
    kind_of,
    needed_image,
    needed_size,
    options_of,
    part_scores,
    shapes_of,
    share,
    shown,
)
from smallpeck.tasks.result_forms.facts import (
    METHODS as ALL_METHODS,
)
from smallpeck.tasks.results import TaskResult, TextLines, spelled

METHODS: Final = ALL_METHODS
LABEL: Final = "label"
METADATA: Final = f"{LABEL}-metadata"
_OURS: Final = frozenset({"source", "source-ref", LABEL, METADATA, f"{LABEL}-ref", f"{LABEL}-ref-metadata"})


class GroundTruthLines(TextLines):
    """See `smallpeck.tasks.results.Lines`."""

    def __init__(self, subject: Subject) -> None:
        super().__init__()
        self._subject = subject
        self._classes = ClassIds(subject.classes, first=0)

    def add(self, result: TaskResult, /) -> bytes:
        """See `Lines`."""
        self.text.write(spelled(self._line(result)) + "\n")
        return self.piece()

    def _line(self, result: TaskResult) -> dict[str, Any]:
        kind = kind_of(self._subject.method, result.input)
        try:
            line = {"source" if kind == "text" else "source-ref": shown(kind, result.input)}
        except Unfit:
            kind = "text"
            line = {"source": shown(kind, result.input)}
        line |= {name: value for name, value in result.input.items() if name not in _OURS}
        if result.answer is None:
            return line
        facts = {
            "job-name": f"labeling-job/{self._subject.batch_id}",
            "human-annotated": "yes",
            "creation-date": _moment(result.answered_at or self._subject.dated_at),
        }
        try:
            label, told = self._labelled(kind, result)
        except Unfit as unfit:
            self.left_out += 1
            return line | {METADATA: facts | {"failure-reason": str(unfit)}}
        return line | {LABEL: label, METADATA: told | facts}

    def _labelled(self, kind: str, result: TaskResult) -> tuple[Any, dict[str, Any]]:
        method = self._subject.method
        if method in CLASSES and kind != "audio":
            name = class_text(result.answer)
            return self._classes[name], {"class-name": name} | _sure(result, f"{kind}-classification")
        if method == "multiple" and kind != "audio":
            return self._several(kind, result)
        if method == "boxes":
            return self._boxes(result)
        told = _sure(result, "custom")
        if method in WITH_PARTS and isinstance(result.answer, list | dict):
            told["objects"] = [{"confidence": one} for one in part_scores(self._subject, result)]
        return result.answer, told

    def _several(self, kind: str, result: TaskResult) -> tuple[Any, dict[str, Any]]:
        names = options_of(result.answer)
        numbers = [self._classes[name] for name in names]
        told = {
            "class-map": dict(zip(map(str, numbers), names, strict=True)),
            "confidence-map": dict(zip(map(str, numbers), part_scores(self._subject, result), strict=True)),
            "type": f"groundtruth/{kind}-classification-multilabel",
        }
        return numbers, told

    def _boxes(self, result: TaskResult) -> tuple[Any, dict[str, Any]]:
        width, height = needed_size(result.input)
        size = {"width": width, "height": height, "depth": needed_image(result.input).depth}
        shapes = [shape.within(width, height) for shape in shapes_of("boxes", result.answer)]
        numbers = {shape.of_class: self._classes[shape.of_class] for shape in shapes}
        told = {
            "objects": [{"confidence": one} for one in part_scores(self._subject, result)],
            "class-map": {str(number): name for name, number in numbers.items()},
            "type": "groundtruth/object-detection",
        }
        boxes = [{"class_id": numbers[shape.of_class], **_whole(shape, width, height)} for shape in shapes]
        return {"image_size": [size], "annotations": boxes}, told


def _sure(result: TaskResult, kind: str) -> dict[str, Any]:
    return {"confidence": share(result.confidence), "type": f"groundtruth/{kind}"}


def _whole(shape: Shape, width: int, height: int) -> Mapping[str, int]:
    """The box in whole pixels: its edges rounded, and at least one pixel wide and high."""
    (x, y), (wide, high) = shape.points[0], shape.size
    left, top = min(_rounded(x), width - 1), min(_rounded(y), height - 1)
    right, bottom = max(_rounded(x + wide), left + 1), max(_rounded(y + high), top + 1)
    return {"left": left, "top": top, "width": right - left, "height": bottom - top}


def _rounded(value: float) -> int:
    return math.floor(value + 0.5)


def _moment(rfc3339: str) -> str:
    """As Ground Truth writes moments: in UTC without saying so, with microseconds."""
    return rfc3339.removesuffix("Z") + "000"
