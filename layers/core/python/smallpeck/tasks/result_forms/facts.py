"""What the forms of other tools need to know: the methods of answers, what a row shows, and the objects in an answer.

A row says it in properties of these names, the first that it has: `IMAGE_NAMES` (an address or path), `WIDTH_NAMES` and
`HEIGHT_NAMES` (pixels, whole, also as text), `AUDIO_NAMES`, `TEXT_NAMES`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from smallpeck.kernel.ids import canonical_json
from smallpeck.tasks.results import TaskResult

IMAGE_NAMES: Final = ("image", "image_url", "image_uri", "image_path", "file_name", "source-ref", "source_ref", "url")
WIDTH_NAMES: Final = ("width", "image_width")
HEIGHT_NAMES: Final = ("height", "image_height")
DEPTH_NAMES: Final = ("depth", "channels")
AUDIO_NAMES: Final = ("audio", "audio_url", "audio_uri", "audio_path")
TEXT_NAMES: Final = ("text", "source")

SHAPES: Final = frozenset({"boxes", "polygons", "points", "lines"})
"""The methods whose answers are objects in an image."""
CLASSES: Final = frozenset({"plurality", "choice"})
"""The methods whose answer is one class."""
METHODS: Final = frozenset({*SHAPES, *CLASSES, "multiple", "numeric", "ranking", "text", "fields"})
LISTS: Final = frozenset({*SHAPES, "multiple"})
"""The methods whose answers are lists: of objects, or of options."""
WITH_PARTS: Final = frozenset({*LISTS, "fields"})
"""The methods of whose answers every part has its own confidence."""

UNLABELLED: Final = "object"
"""The class of objects that have no label."""
MAX_CLASSES: Final = 10_000
FARTHEST: Final = 1_000_000_000  # pixels; what is farther is a mistake, and its area no number
_LEAST_POINTS: Final = {"polygons": 3, "lines": 2}
_POINT: Final = 2


class Unfit(Exception):
    """A form cannot hold this task's answer; the text says why."""


@dataclass(frozen=True)
class Subject:
    """What a file of results is about: a batch, by what the forms need to know of it.

    `columns` are the declared properties of rows, `classes` the declared labels in their order, `fields` the declared
    properties of answers that are objects, `options` what the confidences of a multiple choice are of. `dated_at`
    (RFC 3339) is a moment of the batch, so that a file that is written again is the same.
    """

    batch_id: str
    title: str
    method: str
    columns: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    dated_at: str = "1970-01-01T00:00:00.000Z"

    @cached_property
    def labels(self) -> frozenset[str]:
        """The declared labels."""
        return frozenset(self.classes)


@dataclass(frozen=True)
class Image:
    """An image of a row; the size is None where the row does not say both width and height."""

    address: str
    size: tuple[int, int] | None
    depth: int


@dataclass(frozen=True)
class Shape:
    """An object in an image, in pixels from its upper left corner. A box has one point, its own corner, and `size`."""

    label: str | None
    points: tuple[tuple[float, float], ...]
    size: tuple[float, float] = (0.0, 0.0)

    @property
    def of_class(self) -> str:
        """The label, or what stands for it."""
        return UNLABELLED if self.label is None else self.label

    def within(self, width: int, height: int) -> "Shape":
        """The part of it that lies in the image; raises Unfit where a box lies beside it."""
        inside = tuple((_between(x, width), _between(y, height)) for x, y in self.points)
        (x, y), (wide, high) = self.points[0], self.size
        right, bottom = _between(x + wide, width), _between(y + high, height)
        size = (right - inside[0][0], bottom - inside[0][1])
        if (wide and high) and not (size[0] and size[1]):
            raise Unfit("an object lies outside of the image")
        return Shape(self.label, inside, size if wide or high else self.size)


class ClassIds:
    """Numbers of classes: the declared ones in their order, then others as they are met."""

    def __init__(self, declared: Iterable[str], *, first: int) -> None:
        self._first = first
        self._ids = {name: first + place for place, name in enumerate(dict.fromkeys(declared))}

    def __getitem__(self, name: str) -> int:
        """The number of a class; raises Unfit where there are too many."""
        known = self._ids.get(name)
        if known is None:
            if len(self._ids) >= MAX_CLASSES:
                raise Unfit(f"there are more than {MAX_CLASSES} different labels")
            known = self._ids[name] = self._first + len(self._ids)
        return known

    def items(self) -> Iterable[tuple[str, int]]:
        """Names and numbers, by number."""
        return self._ids.items()


# Rows


def text_of(row: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """The first of these properties that holds text."""
    found = (row.get(name) for name in names)
    return next((one for one in found if isinstance(one, str) and one), None)


def image_of(row: Mapping[str, Any]) -> Image | None:
    """The image of a row, None where it names none."""
    address = text_of(row, IMAGE_NAMES)
    if address is None:
        return None
    width, height = _pixels(row, WIDTH_NAMES), _pixels(row, HEIGHT_NAMES)
    size = None if width is None or height is None else (width, height)
    return Image(address, size, _pixels(row, DEPTH_NAMES) or 3)


def needed_image(row: Mapping[str, Any]) -> Image:
    """The image of a row; raises Unfit where it names none."""
    image = image_of(row)
    if image is None:
        raise Unfit(f"the row names no image: it has none of {', '.join(IMAGE_NAMES)}")
    return image


def needed_size(row: Mapping[str, Any]) -> tuple[int, int]:
    """Width and height of the row's image; raises Unfit where it lacks one."""
    for name, names in (("width", WIDTH_NAMES), ("height", HEIGHT_NAMES)):
        if _pixels(row, names) is None:
            raise Unfit(f"the row lacks `{name}`, the {name} of the image in whole pixels")
    size = needed_image(row).size
    assert size is not None  # noqa: S101  both were found above
    return size


def kind_of(method: str, row: Mapping[str, Any]) -> str:
    """What a row shows: `image`, `audio` or `text`. An address alone is only an image where objects are drawn."""
    if method in SHAPES or text_of(row, IMAGE_NAMES[:-1]) is not None:
        return "image"
    return "audio" if text_of(row, AUDIO_NAMES) is not None else "text"


def shown(kind: str, row: Mapping[str, Any]) -> str:
    """What a row shows of this kind; a row without text is shown whole as JSON. Raises Unfit."""
    if kind == "image":
        return needed_image(row).address
    if kind == "audio":
        address = text_of(row, AUDIO_NAMES)
        if address is None:
            raise Unfit(f"the row names no recording: it has none of {', '.join(AUDIO_NAMES)}")
        return address
    return text_of(row, TEXT_NAMES) or canonical_json(row)


def _pixels(row: Mapping[str, Any], names: Sequence[str]) -> int | None:
    for name in names:
        value: Any = row.get(name)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= len(str(FARTHEST)):
            value = int(value)
        whole = isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1
        if whole and 0 < value <= FARTHEST:
            return int(value)
    return None


# Answers


def class_text(value: Any) -> str:
    """The name of a class: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else canonical_json(value)


def shapes_of(method: str, answer: Any) -> list[Shape]:
    """The objects of an answer; raises Unfit where it is not made as answers of this method are."""
    if not isinstance(answer, list):
        raise Unfit(f"the answer is no list of {method}")
    return [_shape(method, one) for one in answer]


def options_of(answer: Any) -> list[str]:
    """The names of the classes in an answer to a multiple choice; raises Unfit where it is no list."""
    if not isinstance(answer, list):
        raise Unfit("the answer is no list of options")
    return [class_text(one) for one in answer]


def part_scores(subject: Subject, result: TaskResult) -> list[float]:
    """The confidences of the objects, options or fields in an answer; that of the whole where they are not known."""
    parts: Sequence[float] = result.parts
    if subject.method == "multiple":
        known = dict(zip(subject.options, parts, strict=False))
        parts = [known.get(class_text(one), result.confidence) for one in result.answer]
    if len(parts) != len(result.answer):
        parts = [result.confidence] * len(result.answer)
    return [share(one) for one in parts]


def share(confidence: float) -> float:
    """A confidence from 0 to 1, to the millionth."""
    return round(min(max(float(confidence), 0.0), 1.0), 6)


def declared_classes(method: str, answer_schema: Any) -> tuple[str, ...]:
    """The labels that the schema of answers lists, in its order: in an `enum`, or as `const` of alternatives."""
    inner = answer_schema
    if method in LISTS:
        inner = _inside(inner, "items")
    if method in SHAPES:
        inner = _inside(_inside(inner, "properties"), "label")
    return tuple(dict.fromkeys(class_text(one) for one in _listed(inner) if one is not None))


def declared_properties(schema: Any) -> tuple[str, ...]:
    """The properties that a schema of objects names, in its order."""
    return tuple(_inside(schema, "properties"))


def _listed(schema: Any) -> list[Any]:
    if not isinstance(schema, Mapping):
        return []
    if "enum" in schema:
        return list(schema["enum"])
    if "const" in schema:
        return [schema["const"]]
    return [value for word in ("oneOf", "anyOf") for inner in schema.get(word, ()) for value in _listed(inner)]


def _inside(schema: Any, name: str) -> Mapping[str, Any]:
    inner = schema.get(name) if isinstance(schema, Mapping) else None
    return inner if isinstance(inner, Mapping) else {}


def _shape(method: str, given: Any) -> Shape:
    if not isinstance(given, Mapping):
        raise Unfit(f"one of the {method} is no object")
    label = given.get("label")
    name = None if label is None else class_text(label)
    if method == "boxes":
        x, y, width, height = (_number(given.get(side)) for side in ("x", "y", "width", "height"))
        if width < 0 or height < 0:
            raise Unfit("a box is less than nothing wide or high")
        return Shape(name, ((x, y),), (width, height))
    if method == "points":
        return Shape(name, ((_number(given.get("x")), _number(given.get("y"))),))
    points = given.get("points")
    if not isinstance(points, list) or len(points) < _LEAST_POINTS[method]:
        raise Unfit(f"one of the {method} has fewer than {_LEAST_POINTS[method]} points")
    return Shape(name, tuple(_pair(one) for one in points))


def _pair(given: Any) -> tuple[float, float]:
    if not isinstance(given, list) or len(given) != _POINT:
        raise Unfit("a point is a list of two numbers")
    return _number(given[0]), _number(given[1])


def _number(given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise Unfit("a coordinate is no number")
    if not -FARTHEST <= given <= FARTHEST:
        raise Unfit(f"a coordinate is farther than {FARTHEST} pixels")
    return given


def _between(value: float, most: int) -> float:
    return min(max(value, 0), most)
