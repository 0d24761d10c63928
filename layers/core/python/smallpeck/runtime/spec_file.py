"""The spec of a batch as a file: strict JSON, or the part of YAML that says the same as JSON.

Of YAML only the parser is used, never its constructors: what it reports is put together here, bounded in depth, in
aliases and in the number of values, so that a small file cannot become a large thing. Plain `true`, `null`, `12` and
`0.5` mean what they mean in JSON; every other plain scalar is text (`no` is Norway, a date is a date's text).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from pydantic import Field, ValidationError

from smallpeck.kernel.errors import Invalid, Malformed
from smallpeck.kernel.ids import content_hash
from smallpeck.runtime import strict_json
from smallpeck.runtime.describing import Description, described
from smallpeck.runtime.problems import pointer
from smallpeck.runtime.schemas import Body, problems_of
from smallpeck.tasks.dropping import MAX_SPEC_BYTES
from smallpeck.tasks.model import Batch
from smallpeck.tasks.schema import unfit_for_json

MAX_DEPTH: Final = 32
MAX_ALIASES: Final = 50
MAX_VALUES: Final = 20_000

_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_WORDS: Final[Mapping[str, bool]] = {"true": True, "True": True, "false": False, "False": False}
_WHOLE: Final = re.compile(r"0|-?[1-9][0-9]{0,18}", re.ASCII)
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,18})(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)


class BadSpec(Malformed):
    """A file that is no spec: neither JSON nor the YAML that is read here. `line` is where it was noticed."""

    code = "bad_spec"

    def __init__(self, detail: str, line: int | None = None) -> None:
        super().__init__(detail)
        self.line = line


class DataFile(Body):
    """Which version of which file holds the rows."""

    key: str = Field(min_length=1, max_length=1_024, description="From your inbox folder on, or whole.")
    version_id: str = Field(min_length=1, max_length=1_024)


class SpecBody(Description):
    """A batch to be made of a dropped file."""

    data: DataFile
    publish: Annotated[bool, Field(description="Whether to pay for it and offer it to workers at once.")]


@dataclass(frozen=True)
class ReadSpec:
    """See `smallpeck.tasks.dropping.Spec`."""

    body: SpecBody
    now_ms: int
    fee_basis_points: int

    @property
    def data_key(self) -> str:
        """See `Spec`."""
        return self.body.data.key

    @property
    def data_version_id(self) -> str:
        """See `Spec`."""
        return self.body.data.version_id

    @property
    def publish(self) -> bool:
        """See `Spec`."""
        return self.body.publish

    def batch(self, batch_id: str, requester_id: str) -> Batch:
        """See `Spec`."""
        return described(
            self.body,
            batch_id=batch_id,
            requester_id=requester_id,
            request_hash=content_hash(self.body.model_dump(mode="json")),
            now_ms=self.now_ms,
            fee_basis_points=self.fee_basis_points,
        )


@dataclass(frozen=True)
class Parsed:
    """What a file says, and the line of each value by its JSON Pointer (none for JSON)."""

    value: Any
    lines: Mapping[str, int] = field(default_factory=dict)


def parse(name: str, text: bytes) -> Parsed:
    """The value of a spec file; raises BadSpec."""
    if len(text) > MAX_SPEC_BYTES:
        raise BadSpec(f"a spec has at most {MAX_SPEC_BYTES} bytes")
    if not name.endswith(".json"):
        return _parse_yaml(text)
    try:
        return Parsed(strict_json.parse(text))
    except strict_json.BadJson as error:
        raise BadSpec(error.detail.replace("the body", "the spec")) from error


def check(parsed: Parsed) -> SpecBody:
    """The spec that a value is; raises Invalid with a pointer to each field that is not allowed."""
    unfit = unfit_for_json(parsed.value, max_depth=strict_json.MAX_DEPTH)
    if unfit is not None:
        raise Invalid("the spec is not allowed as it is", problems=[unfit])
    try:
        return SpecBody.model_validate(parsed.value)
    except ValidationError as error:
        raise Invalid("the spec is not allowed as it is", problems=problems_of(error, parsed.value)) from None


def _parse_yaml(text: bytes) -> Parsed:
    import yaml

    try:
        content = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadSpec("the spec is not UTF-8") from error
    builder = _Builder()
    try:
        for event in yaml.parse(content, Loader=yaml.SafeLoader):
            builder.take(event)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        detail = getattr(error, "problem", None) or "this cannot be read"
        raise BadSpec(f"the spec is not YAML: {detail}", None if mark is None else mark.line + 1) from error
    return builder.parsed()


@dataclass
class _Open:
    """A list or mapping whose end has not come. `name` is the key that waits for its value."""

    value: Any
    path: tuple[str | int, ...]
    anchor: str | None
    line: int
    name: str | None = None


@dataclass
class _Builder:
    """Puts a document together from what the parser reports."""

    root: Any = None
    open: list[_Open] = field(default_factory=list)
    anchors: dict[str, tuple[Any, int]] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    documents: int = 0
    aliases: int = 0
    values: int = 0

    def parsed(self) -> Parsed:
        """The one document."""
        if self.documents != 1:
            raise BadSpec("the spec is empty")
        return Parsed(self.root, self.lines)

    def take(self, event: Any) -> None:
        """One event, by its name."""
        line = event.start_mark.line + 1
        match type(event).__name__:
            case "DocumentStartEvent":
                self.documents += 1
                if self.documents > 1:
                    raise BadSpec("a spec is one document", line)
            case "ScalarEvent":
                self._put(self._scalar(event, line), event.anchor, line)
            case "AliasEvent":
                self._put(self._alias(event.anchor, line), None, line)
            case "SequenceStartEvent" | "MappingStartEvent" as kind:
                self._begin([] if kind.startswith("Sequence") else {}, event, line)
            case "SequenceEndEvent" | "MappingEndEvent":
                ended = self.open.pop()
                if ended.anchor is not None:
                    self.anchors[ended.anchor] = (ended.value, _size(ended.value))

    def _begin(self, value: Any, event: Any, line: int) -> None:
        if event.tag is not None:
            raise BadSpec("a spec has no tags", line)
        if len(self.open) == MAX_DEPTH:
            raise BadSpec(f"the spec is nested deeper than {MAX_DEPTH}", line)
        path = self._put(value, None, line)
        self.open.append(_Open(value, path, event.anchor, line))

    def _put(self, value: Any, anchor: str | None, line: int) -> tuple[str | int, ...]:
        self._count(1, line)
        if anchor is not None:
            self.anchors[anchor] = (value, 1)
        path: tuple[str | int, ...] = ()
        if not self.open:
            self.root = value
        else:
            around = self.open[-1]
            if isinstance(around.value, list):
                path = (*around.path, len(around.value))
                around.value.append(value)
            elif around.name is None:
                self._name(around, value, line)
                return path
            else:
                path = (*around.path, around.name)
                around.value[around.name] = value
                around.name = None
        self.lines[pointer(*path)] = line
        return path

    def _name(self, around: _Open, name: Any, line: int) -> None:
        if not isinstance(name, str):
            raise BadSpec("a name is text", line)
        if name in around.value:
            raise BadSpec("a mapping names a member twice", line)
        around.name = name

    def _alias(self, anchor: str, line: int) -> Any:
        self.aliases += 1
        if self.aliases > MAX_ALIASES:
            raise BadSpec(f"a spec has at most {MAX_ALIASES} aliases", line)
        if anchor not in self.anchors:
            raise BadSpec("an alias names nothing that ended before it", line)
        value, size = self.anchors[anchor]
        self._count(size, line)
        return value

    def _count(self, size: int, line: int) -> None:
        self.values += size
        if self.values > MAX_VALUES:
            raise BadSpec(f"a spec has at most {MAX_VALUES} values, those that aliases repeat included", line)

    def _scalar(self, event: Any, line: int) -> Any:
        text: str = event.value
        if event.tag is not None:
            raise BadSpec("a spec has no tags", line)
        if not event.implicit[0]:
            return text
        # What stands where a name is due is text, whatever it looks like.
        around = self.open[-1] if self.open else None
        if around is not None and isinstance(around.value, dict) and around.name is None:
            return text
        return _plain(text, line)


def _plain(text: str, line: int) -> Any:
    if text in _NULLS:
        return None
    if text in _WORDS:
        return _WORDS[text]
    if _WHOLE.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        number = float(text)
        if number in (float("inf"), float("-inf")):
            raise BadSpec("a number is out of range", line)
        return number
    return text


def _size(value: Any) -> int:
    """How many values a value holds, itself included; shared ones count as often as they stand."""
    waiting, count = [value], 0
    while waiting:
        one = waiting.pop()
        count += 1
        if count > MAX_VALUES:
            break
        if isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return count
