"""Label Studio JSON: a list of tasks to import, and the labelling configuration that they fit.

Each task has the row as its `data`, and the result twice: as an annotation, which Label Studio exports and trains on,
and as a prediction, which carries its confidence as `score`. Places are percentages of the image's size, so a row with
objects has to say width and height; what lies beyond the edge is cut off.

What is shown stands in `data` as `image`, `audio` or `text`, whatever the row calls it; which one it is, the first row
of the batch decides for all. Where the schema of answers lists no labels, each task brings its own in
`data.result_labels`.
"""

import html
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from smallpeck.tasks.result_forms.facts import (
    CLASSES,
    SHAPES,
    UNLABELLED,
    Shape,
    Subject,
    Unfit,
    class_text,
    kind_of,
    needed_size,
    options_of,
    part_scores,
    shapes_of,
    share,
    shown,
)
from smallpeck.tasks.result_forms.facts import METHODS as ALL_METHODS
from smallpeck.tasks.results import TaskResult, TextLines, spelled

METHODS: Final = ALL_METHODS - {"ranking"}
MODEL: Final = "small-peck"
OWN_LABELS: Final = "result_labels"
_CONTROL: Final = "label"
_TAGS: Final[Mapping[str, str]] = {
    "boxes": "RectangleLabels",
    "polygons": "PolygonLabels",
    "points": "KeyPointLabels",
    "lines": "VectorLabels",
}
_OBJECTS: Final[Mapping[str, str]] = {"image": "Image", "audio": "Audio", "text": "Text"}
_POINT_SIZE: Final = 0.5
_NOT_IN_XML: Final = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\ufffe\\uffff]")


def label_config(subject: Subject, first_row: Mapping[str, Any]) -> str:
    """The labelling configuration (XML) of a project that the file can be imported into."""
    kind = kind_of(subject.method, first_row)
    seen = f'  <{_OBJECTS[kind]} name="{kind}" value="${kind}"/>'
    return "\n".join(["<View>", seen, *_controls(subject, kind), "</View>", ""])


class LabelStudioLines(TextLines):
    """See `smallpeck.tasks.results.Lines`."""

    def __init__(self, subject: Subject) -> None:
        super().__init__()
        self._subject = subject
        self._kind: str | None = None
        self._tasks = 0
        self.text.write("[\n")

    def add(self, result: TaskResult, /) -> bytes:
        """See `Lines`."""
        kind = self._kind = self._kind or kind_of(self._subject.method, result.input)
        data = {**result.input, kind: ""}
        meta = {"task_id": result.task_id, "row_id": result.row_id, "status": result.status}
        found: list[dict[str, Any]] | None = None
        try:
            data[kind] = shown(kind, result.input)
            if result.answer is not None:
                found = _regions(self._subject, kind, result)
        except Unfit as unfit:
            if result.answer is not None:
                meta["left_out"] = str(unfit)
                self.left_out += 1
        if self._subject.method in SHAPES and not self._subject.classes:
            data[OWN_LABELS] = [{"value": name} for name in _labels(self._subject.method, found or [])]
        told = spelled({"id": self._tasks + 1, "data": data, "meta": meta})
        self.text.write((",\n" if self._tasks else "") + told[:-1] + _twice(found, result) + "}")
        self._tasks += 1
        return self.piece()

    def end(self) -> Iterator[bytes]:
        """See `Lines`."""
        self.text.write("\n]\n")
        yield self.taken()


# The configuration


def _controls(subject: Subject, kind: str) -> Iterator[str]:
    method = subject.method
    if method in SHAPES:
        tag = _TAGS[method]
        if subject.classes:
            yield f'  <{tag} name="{_CONTROL}" toName="{kind}">'
            yield from (f"    <Label value={_quoted(name)}/>" for name in (*subject.classes, *_unlabelled(subject)))
            yield f"  </{tag}>"
        else:
            yield f'  <{tag} name="{_CONTROL}" toName="{kind}" value="${OWN_LABELS}"/>'
    elif _is_choice(subject):
        many = "multiple" if method == "multiple" else "single"
        yield f'  <Choices name="{_CONTROL}" toName="{kind}" choice="{many}">'
        yield from (f"    <Choice value={_quoted(name)}/>" for name in subject.classes)
        yield "  </Choices>"
    elif method == "numeric":
        yield f'  <Number name="{_CONTROL}" toName="{kind}"/>'
    elif method == "fields" and subject.fields:
        for name in subject.fields:
            yield f"  <Header value={_quoted(name)}/>"
            yield f'  <TextArea name={_quoted(_field(name))} toName="{kind}"/>'
    else:
        yield f'  <TextArea name="{_CONTROL}" toName="{kind}"/>'


def _is_choice(subject: Subject) -> bool:
    """Whether the answers are choices of a list; without a list they are shown as text."""
    return subject.method in {*CLASSES, "multiple"} and bool(subject.classes)


def _unlabelled(subject: Subject) -> tuple[str, ...]:
    return () if UNLABELLED in subject.classes else (UNLABELLED,)


def _field(name: str) -> str:
    return f"answer-{name}"


def _quoted(text: str) -> str:
    escaped = html.escape(_NOT_IN_XML.sub("", text), quote=True)
    for blank in "\n\r\t":  # blanks that are not spelled as numbers are read as spaces
        escaped = escaped.replace(blank, f"&#{ord(blank)};")
    return f'"{escaped}"'


# Results


def _regions(subject: Subject, kind: str, result: TaskResult) -> list[dict[str, Any]]:
    method, answer = subject.method, result.answer
    if method in SHAPES:
        return _drawn(subject, result)
    if _is_choice(subject):
        chosen = options_of(answer) if method == "multiple" else [class_text(answer)]
        if not subject.labels.issuperset(chosen):
            raise Unfit("the answer is not in the list of the schema")
        return [_region(kind, _CONTROL, "choices", {"choices": chosen}, 0, result)] if chosen else []
    if method == "numeric":
        if isinstance(answer, bool) or not isinstance(answer, int | float):
            raise Unfit("the answer is no number")
        return [_region(kind, _CONTROL, "number", {"number": answer}, 0, result)]
    if method == "fields" and subject.fields:
        if not isinstance(answer, Mapping) or not answer.keys() <= {*subject.fields}:
            raise Unfit("the answer has fields that its schema does not declare")
        scores = dict(zip(answer, part_scores(subject, result), strict=True))
        filled = [(name, answer[name]) for name in subject.fields if answer.get(name) is not None]
        return [
            _region(kind, _field(name), "textarea", {"text": [class_text(value)]}, place, result)
            | {"score": scores[name]}
            for place, (name, value) in enumerate(filled)
        ]
    texts = options_of(answer) if method == "multiple" else [class_text(answer)]
    return [_region(kind, _CONTROL, "textarea", {"text": texts}, 0, result)]


def _twice(found: list[dict[str, Any]] | None, result: TaskResult) -> str:
    """The result as annotation and as prediction, encoded once."""
    if found is None:
        return ',"annotations":[],"predictions":[]'
    told = spelled(found)
    said = spelled({"was_cancelled": False, "ground_truth": False})
    sure = spelled({"model_version": MODEL, "score": share(result.confidence)})
    return f',"annotations":[{said[:-1]},"result":{told}}}],"predictions":[{sure[:-1]},"result":{told}}}]'


def _region(
    kind: str, control: str, what: str, value: Mapping[str, Any], place: int, result: TaskResult
) -> dict[str, Any]:
    return {
        "id": f"{result.task_id}-{place}",
        "from_name": control,
        "to_name": kind,
        "type": what,
        "value": value,
        "score": share(result.confidence),
    }


def _drawn(subject: Subject, result: TaskResult) -> list[dict[str, Any]]:
    method = subject.method
    width, height = needed_size(result.input)
    shapes = [shape.within(width, height) for shape in shapes_of(method, result.answer)]
    if subject.classes and not subject.labels.issuperset(one.label for one in shapes if one.label is not None):
        raise Unfit("a label is not in the list of the schema")
    what = _TAGS[method].lower()
    sized = {"original_width": width, "original_height": height, "image_rotation": 0}
    scores = part_scores(subject, result)
    values = [_placed(method, shape, width, height) | {what: [shape.of_class]} for shape in shapes]
    return [
        _region("image", _CONTROL, what, value, place, result) | sized | {"score": score}
        for place, (value, score) in enumerate(zip(values, scores, strict=True))
    ]


def _placed(method: str, shape: Shape, width: int, height: int) -> dict[str, Any]:
    points = [[_percent(x, width), _percent(y, height)] for x, y in shape.points]
    x, y = points[0]
    if method == "boxes":
        wide, high = shape.size
        return {"x": x, "y": y, "width": _percent(wide, width), "height": _percent(high, height), "rotation": 0}
    if method == "points":
        return {"x": x, "y": y, "width": _POINT_SIZE}
    if method == "polygons":
        return {"points": points, "closed": True}
    names = [f"v{place}" for place in range(len(points))]
    before = [None, *names]
    return {
        "vertices": [
            {"id": name, "prevPointId": last, "x": x, "y": y, "isBezier": False}
            for name, last, (x, y) in zip(names, before, points, strict=False)
        ],
        "closed": False,
    }


def _labels(method: str, found: list[dict[str, Any]]) -> list[str]:
    what = _TAGS[method].lower()
    return sorted({UNLABELLED}.union(*(region["value"][what] for region in found)))


def _percent(pixels: float, whole: int) -> float:
    return round(100 * pixels / whole, 6)
