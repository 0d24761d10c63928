"""The seam between HTTP and the use cases: finds the route, lets the caller in, reads the request, answers.

Everything from 401 to 422 is answered from here as RFC 9457 problems, before a route runs.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, overload

from pydantic import BaseModel
from typing_extensions import TypedDict, TypeVar, Unpack

from smallpeck.kernel.clock import Clock
from smallpeck.kernel.errors import SmallPeckError, Unauthenticated
from smallpeck.kernel.ids import content_hash, derived_id
from smallpeck.runtime import observability, problems, requests
from smallpeck.runtime.access import admit, caller_of
from smallpeck.runtime.cursors import Scope
from smallpeck.runtime.observability import logger
from smallpeck.runtime.routes import VERSION, Idempotency, Route, RouteTable, WrongMethod
from smallpeck.runtime.wiring import current

B = TypeVar("B", default=None)
Q = TypeVar("Q", default=None)
NewB = TypeVar("NewB", bound=BaseModel)
NewQ = TypeVar("NewQ", bound=BaseModel)
R = TypeVar("R", bound="BaseModel | Reply", default=Any)


@dataclass(frozen=True)
class Call(Generic[B, Q]):
    """A request that has been let in and read. Without a token, on a public route, `user_id` is empty."""

    user_id: str
    body: B
    query: Q
    path: Mapping[str, str]
    idempotency_key: str
    now_ms: int
    route: str
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)
    content: Any = field(default=None, repr=False)
    raw: "requests.Raw | None" = field(default=None, repr=False)
    """Of a route that takes bodies as they are: the body, and the headers by their lower-case names."""

    @property
    def scope(self) -> Scope:
        """What a cursor of this list is bound to: all of the request but how many, and from where."""
        filters = {name: value for name, value in self.parameters.items() if name not in ("limit", "cursor")}
        return Scope(self.user_id, self.route, {**filters, **self.path})

    @property
    def content_hash(self) -> str:
        """Tells "same Idempotency-Key, other request" apart."""
        return content_hash([dict(self.path), self.content])

    def new_id(self, prefix: str) -> str:
        """The id of what this request makes: the same whenever it is sent again with its Idempotency-Key."""
        if not self.idempotency_key:
            raise LookupError(f"{self.route} was asked without an Idempotency-Key")
        return derived_id(prefix, self.user_id, self.route, self.idempotency_key)


@dataclass(frozen=True)
class Reply:
    """An answer that needs another status or more headers than its route says, or that is text of its media type."""

    body: BaseModel | str | None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class RouteDetails(TypedDict, total=False):
    """What else is said of a route."""

    reply: type[BaseModel]
    text: str
    status: int
    idempotency: Idempotency
    summary: str
    errors: tuple[type[SmallPeckError], ...]
    public: bool
    also: Mapping[int, str]
    raw: bool


Function = Callable[[Call[B, Q]], R]


class Api:
    """The routes of one audience, and the function that AWS calls for them."""

    def __init__(self, audience: str, *, clock: Clock | None = None) -> None:
        self.audience = audience
        self.table = RouteTable()
        self._clock = clock

    @overload
    def route(
        self, method: str, path: str, *, body: type[NewB], query: type[NewQ], **details: Unpack[RouteDetails]
    ) -> Callable[[Function[NewB, NewQ, R]], Function[NewB, NewQ, R]]: ...
    @overload
    def route(
        self, method: str, path: str, *, body: type[NewB], **details: Unpack[RouteDetails]
    ) -> Callable[[Function[NewB, None, R]], Function[NewB, None, R]]: ...
    @overload
    def route(
        self, method: str, path: str, *, query: type[NewQ], **details: Unpack[RouteDetails]
    ) -> Callable[[Function[None, NewQ, R]], Function[None, NewQ, R]]: ...
    @overload
    def route(
        self, method: str, path: str, **details: Unpack[RouteDetails]
    ) -> Callable[[Function[None, None, R]], Function[None, None, R]]: ...
    def route(
        self,
        method: str,
        path: str,
        *,
        body: type[BaseModel] | None = None,
        query: type[BaseModel] | None = None,
        **details: Unpack[RouteDetails],
    ) -> Callable[[Any], Any]:
        """Names the function that answers `method` on `path`, which is relative to `/v1/<audience>`.

        A public route needs no token, and its path is whole. `errors` are the use case's own, for the documentation.
        `text` is the media type of a route that answers with text in the place of a `reply`. A `raw` route reads its
        body itself, for a signature over its bytes.
        """
        public = details.get("public", False)

        def add(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
            self.table.add(
                Route(
                    method=method,
                    path=path if public else f"/{VERSION}/{self.audience}{path}",
                    function=function,
                    body=body,
                    query=query,
                    reply=details.get("reply"),
                    text=details.get("text"),
                    status=details.get("status", 200),
                    idempotency=details.get("idempotency"),
                    summary=details.get("summary", ""),
                    errors=details.get("errors", ()),
                    public=public,
                    also=details.get("also", {}),
                    raw=details.get("raw", False),
                )
            )
            return function

        return add

    def handler(self, event: Mapping[str, Any], context: Any) -> dict[str, Any]:
        """What AWS calls with an HTTP API event (payload format 2.0)."""
        started = time.perf_counter()
        correlation_id = requests.correlation_id(event, context)
        observability.begin(context, correlation_id=correlation_id)
        asked = _Asked(event)
        try:
            answer = self._answer(asked)
        except Exception as error:  # noqa: BLE001 - this is where every error becomes an answer
            answer = _refuse(error, asked, correlation_id)
        answer["headers"]["x-correlation-id"] = correlation_id
        logger.info(
            "answered",
            extra={
                "route": asked.route.name if asked.route else "none",
                "status": answer["statusCode"],
                "duration_ms": round((time.perf_counter() - started) * 1_000, 1),
            },
        )
        observability.flush()
        return answer

    def _answer(self, asked: "_Asked") -> dict[str, Any]:
        event = asked.event
        public = any(route.public and route.path == asked.path for route in self.table.routes)
        user_id = ""
        if not public:
            caller = caller_of(event)
            admit(caller, self.audience)
            user_id = caller.user_id
        methods, path = self.table.find(asked.path)
        route = methods.get(event["requestContext"]["http"]["method"])
        if route is None:
            raise WrongMethod(frozenset(methods))
        asked.route = route
        headers = requests.headers(event)
        key = requests.idempotency_key(headers, route.idempotency)
        raw = requests.raw(event, headers) if route.raw else None
        content = None if raw else requests.content(event, headers)
        parameters = requests.parameters(event)
        call = Call(
            user_id=user_id,
            body=requests.body(content, route.body),
            query=requests.query(parameters, route.query),
            path=path,
            idempotency_key=key,
            now_ms=(self._clock or current().clock).now_ms(),
            route=route.name,
            parameters=parameters,
            content=content.value if content else None,
            raw=raw,
        )
        return _reply(route, route.function(call))


@dataclass
class _Asked:
    event: Mapping[str, Any]
    route: Route | None = None

    @property
    def path(self) -> str:
        return str(self.event.get("rawPath", ""))


_HEADERS: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}

# Where a browser opens it as a page, it runs nothing and fetches nothing.
_TEXT_HEADERS: Final = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox"}


def _reply(route: Route, given: Any) -> dict[str, Any]:
    reply = given if isinstance(given, Reply) else Reply(given)
    if reply.body is not None and not isinstance(reply.body, str if route.text else route.reply or ()):
        raise TypeError(f"{route.name} answered with a {type(reply.body).__name__}")
    answer: dict[str, Any] = {
        "statusCode": reply.status or route.status,
        "headers": {**_HEADERS, **reply.headers},
        "isBase64Encoded": False,
    }
    if isinstance(reply.body, str):
        answer["headers"] = {**_TEXT_HEADERS, **answer["headers"], "content-type": f"{route.text}; charset=utf-8"}
        answer["body"] = reply.body
    elif reply.body is not None:
        answer["headers"]["content-type"] = "application/json"
        answer["body"] = reply.body.model_dump_json()
    return answer


def _refuse(error: Exception, asked: _Asked, correlation_id: str) -> dict[str, Any]:
    told = problems.known(error)
    if told is None:
        observability.count("Faults")
        logger.exception("the route failed")
    elif told is not error:
        logger.warning("a dependency failed", exc_info=error)
    instance = requests.printable(asked.path)
    problem = problems.document(told, instance=instance, correlation_id=correlation_id)
    headers = {**_HEADERS, "content-type": problems.MEDIA_TYPE}
    if told is not None and told.retry_after_seconds is not None:
        headers["retry-after"] = str(told.retry_after_seconds)
    if isinstance(told, WrongMethod):
        headers["allow"] = ", ".join(sorted(told.allowed))
    if isinstance(told, Unauthenticated):
        headers["www-authenticate"] = 'Bearer error="invalid_token"'
    return {
        "statusCode": problem["status"],
        "headers": headers,
        "isBase64Encoded": False,
        "body": json.dumps(problem, ensure_ascii=True),
    }
