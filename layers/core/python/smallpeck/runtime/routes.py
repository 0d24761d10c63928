"""The route table of one audience: what each route takes, gives and refuses, and which one a path means."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import unquote

from pydantic import BaseModel

from smallpeck.kernel.errors import Invalid, NotAllowed, NotFound, SmallPeckError
from smallpeck.kernel.ids import is_id
from smallpeck.runtime.schemas import parameter_problem

VERSION: Final = "v1"
MAX_PATH: Final = 1_024
Idempotency: TypeAlias = Literal["required", "optional"] | None
_PARAMETER: Final = re.compile(r"\{([a-z][a-z_]*)\}")


class NoSuchPath(NotFound):
    """A path that is no route."""

    code = "no_such_path"


class BadPathParameter(Invalid):
    """A part of a path that should be an id and is none."""

    code = "bad_id"


class WrongMethod(NotAllowed):
    """A path that is a route, asked with another method. `allowed` are those it has."""

    def __init__(self, allowed: frozenset[str]) -> None:
        super().__init__(f"this path takes {', '.join(sorted(allowed))}")
        self.allowed = allowed


@dataclass(frozen=True)
class Route:
    """One route. `path` is whole, as in `/v1/worker/pages/{page_id}`; a public one needs no token.

    `text` is the media type of what it answers, where that is no JSON. `also` are the other statuses that it may
    succeed with, and what each means.
    """

    method: str
    path: str
    function: Callable[[Any], Any]
    body: type[BaseModel] | None
    query: type[BaseModel] | None
    reply: type[BaseModel] | None
    text: str | None
    status: int
    idempotency: Idempotency
    summary: str
    errors: tuple[type[SmallPeckError], ...]
    public: bool
    also: Mapping[int, str]
    raw: bool = False
    """Whether it takes the bytes of a body, whatever they are."""

    @property
    def name(self) -> str:
        """What names the route in ids, cursors and logs."""
        return f"{self.method} {self.path}"

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names in braces, in order."""
        return tuple(_PARAMETER.findall(self.path))


@dataclass
class RouteTable:
    """The routes of one audience in the order they were named."""

    routes: list[Route] = field(default_factory=list)
    _by_template: dict[tuple[str, ...], dict[str, Route]] = field(default_factory=dict)

    def add(self, route: Route) -> None:
        """Adds a route; the same method and path twice is a mistake."""
        methods = self._by_template.setdefault(tuple(route.path.split("/")), {})
        if route.method in methods:
            raise ValueError(f"{route.name} is there already")
        methods[route.method] = route
        self.routes.append(route)

    def find(self, path: str) -> tuple[Mapping[str, Route], dict[str, str]]:
        """The routes of a path by method, and what stands in its braces; raises NoSuchPath or BadPathParameter."""
        segments = _segments(path)
        for template, methods in self._candidates(segments):
            given = {
                form[1:-1]: segment for form, segment in zip(template, segments, strict=True) if form.startswith("{")
            }
            wrong = [
                parameter_problem(name, "this is not an id", where="path")
                for name, value in given.items()
                if not is_id(value)
            ]
            if wrong:
                raise BadPathParameter("the path names something that cannot be", problems=wrong)
            return methods, given
        raise NoSuchPath("there is nothing at this path")

    def _candidates(self, segments: tuple[str, ...]) -> list[tuple[tuple[str, ...], dict[str, Route]]]:
        exact = self._by_template.get(segments)
        if exact is not None and not any(segment.startswith("{") for segment in segments):
            return [(segments, exact)]
        return [
            (template, methods)
            for template, methods in self._by_template.items()
            if len(template) == len(segments)
            and all(form.startswith("{") or form == segment for form, segment in zip(template, segments, strict=True))
        ]


def _segments(path: str) -> tuple[str, ...]:
    # Each segment is decoded by itself, once: an encoded slash or a dot segment never makes another path.
    if len(path) > MAX_PATH or not path.startswith("/"):
        raise NoSuchPath("there is nothing at this path")
    try:
        decoded = tuple(unquote(segment, errors="strict") for segment in path.split("/"))
    except UnicodeDecodeError as error:
        raise NoSuchPath("there is nothing at this path") from error
    for segment in decoded[1:]:
        if not segment or segment in (".", "..") or "/" in segment or "\\" in segment:
            raise NoSuchPath("there is nothing at this path")
    return decoded
