"""A small audience to ask: one route of each kind, remembering what reached it."""

from typing import Any

from smallpeck.kernel.errors import Conflict, InProgress, NotFound
from smallpeck.runtime.cursors import Cursors
from smallpeck.runtime.http import Api, Call, Reply
from smallpeck.runtime.schemas import (
    AmountText,
    Body,
    CurrencyText,
    Health,
    IdText,
    ListQuery,
    MomentText,
    View,
    amount_micros,
    moment_ms,
)
from tests.gateway import Answer, ask, event

NOW_MS = 1_795_340_347_250  # 2026-11-22T09:39:07.250Z
PERSON = "anna@example.com"
CURSORS = Cursors(b"a secret of enough bytes")


class FixedClock:
    """It is always the same moment."""

    def now_ms(self) -> int:
        return NOW_MS


class Gone(Conflict):
    """The thing is closed."""

    code = "gone"


class Part(Body):
    """A nested object."""

    name: str
    parts: tuple[int, ...] = ()


class ThingBody(Body):
    """What a thing is made of."""

    owner_id: IdText
    price: AmountText
    currency: CurrencyText
    deadline: MomentText | None = None
    part: Part | None = None
    count: int = 1


class Thing(View):
    """A thing."""

    thing_id: str
    price_micros: int
    deadline_ms: int | None = None


class Things(View):
    """A run of things."""

    things: list[int]
    next_cursor: str | None


class Moved(View):
    """That something was moved."""

    path: dict[str, str]


def sample() -> tuple[Api, list[Call[Any, Any]]]:
    """A new audience, and the calls that reached its routes."""
    api = Api("worker", clock=FixedClock())
    reached: list[Call[Any, Any]] = []

    @api.route(
        "POST",
        "/things",
        body=ThingBody,
        reply=Thing,
        status=201,
        idempotency="required",
        summary="Make a thing",
        errors=(Gone,),
    )
    def make_thing(call: Call[ThingBody]) -> Thing:
        """Makes a thing of its parts."""
        micros = amount_micros(call.body.price, call.body.currency, at="/price")
        deadline = call.body.deadline
        until = moment_ms(deadline, now_ms=call.now_ms, at="/deadline") if deadline else None
        reached.append(call)
        return Thing(thing_id=call.new_id("th"), price_micros=micros, deadline_ms=until)

    @api.route("GET", "/things", query=ListQuery, reply=Things, summary="The caller's things")
    def list_things(call: Call[None, ListQuery]) -> Things:
        first = int(CURSORS.read(call.query.cursor, call.scope) or 0)
        reached.append(call)
        last = first + call.query.limit
        return Things(things=list(range(first, last)), next_cursor=CURSORS.sign(str(last), call.scope))

    @api.route("GET", "/things/{thing_id}", reply=Moved, summary="One thing", errors=(NotFound,))
    def get_thing(call: Call) -> Moved:
        reached.append(call)
        match call.path["thing_id"]:
            case "other":
                raise NotFound("there is no such thing")
            case "closed":
                raise Gone("the thing is closed")
            case "busy":
                raise InProgress("the same request is being worked on", retry_after_seconds=3)
            case "broken":
                raise RuntimeError(PERSON)
        return Moved(path=dict(call.path))

    @api.route(
        "POST",
        "/things/{thing_id}/parts/{part_id}/move",
        reply=Moved,
        idempotency="optional",
        summary="Move a part",
        also={202: "Moved later"},
    )
    def move_part(call: Call) -> Reply:
        reached.append(call)
        return Reply(Moved(path=dict(call.path)), status=202, headers={"location": "/elsewhere"})

    @api.route("GET", "/things/newest", reply=Moved, summary="The newest thing")
    def newest_thing(call: Call) -> Moved:
        reached.append(call)
        return Moved(path={})

    @api.route("GET", "/healthz", public=True, reply=Health, summary="Whether the function runs")
    def healthz(call: Call) -> Health:
        reached.append(call)
        return Health(status="ok")

    return api, reached


GOOD: dict[str, Any] = {"owner_id": "o1", "price": "0.05", "currency": "USD"}


def post(api: Api, path: str = "/v1/worker/things", **asked: Any) -> Answer:
    """POST with an Idempotency-Key."""
    return ask(api.handler, event("POST", path, **{"key": "key-1", **asked}))


def get(api: Api, path: str, **asked: Any) -> Answer:
    """GET."""
    return ask(api.handler, event("GET", path, **asked))
