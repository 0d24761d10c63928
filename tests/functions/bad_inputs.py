"""The numbered bad inputs: what a row of the table is, and what most rows about the API need."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from smallpeck.runtime.routes import Route
from smallpeck.runtime.schemas import NoBody
from tests.functions.world import ROUTES, Client, Platform
from tests.support import REQUESTER

BATCH: dict[str, Any] = {
    "title": "Cats and dogs",
    "instructions": "Say what you see.",
    "price": "0.50",
    "answer_schema": {"enum": ["cat", "dog"]},
}
DESTINATION = {"rail": "gateway", "address": "ann@example.com"}
DOLLAR: dict[str, Any] = {"price_micros": 1_000_000, "reward_micros": 600_000, "fee_micros": 400_000}
USERS = {"worker": "ann", "requester": REQUESTER, "operator": "op"}


@dataclass(frozen=True)
class Row:
    """One bad input. `run` does it on a fresh platform and fails unless it gets what it should.

    API rows without a number of their own in the list are 0.
    """

    number: int
    what: str
    run: Callable[[Platform], None]

    @property
    def name(self) -> str:
        return f"{self.number} {self.what}"


Asked = tuple[Client, Route, str, dict[str, Any]]
"""Who asks, for which route, by which path, and the rest of a request that would be fine but for its body."""


def stage(platform: Platform) -> dict[str, str]:
    """One thing of each kind, and its id by the name that paths give it; ann has 6.00 and a destination."""
    if platform.ids:
        return platform.ids
    platform.world.active(30, **DOLLAR)
    ann, op = platform.worker("ann"), platform.operator()
    first, page = ann.leased("k1"), ann.leased("k2")
    ann.submitted(first)
    platform.deliver()
    ann.put("/payout-destination", DESTINATION)
    platform.ids = {
        "batch_id": "b1",
        "page_id": page["page_id"],
        "task_id": page["assignments"][0]["task_id"],
        "payout_id": ann.post("/payouts", {}, key="p1").json["payout_id"],
        "audit_id": op.post("/audits", key="a1").json["audit_id"],
        "export_id": platform.requester().post("/batches/b1/exports", {}, key="e1").json["export_id"],
        "run_id": op.post("/payout-runs", {}, key="r1").json["run_id"],
        "deposit_id": "dNOTOPENED",
        "suspense_id": op.post("/bank-credits", UNKNOWN_CREDIT, key="c1").json["suspense_id"],
    }
    return platform.ids


UNKNOWN_CREDIT = {"bank_entry_id": "b-0", "reference": "who knows", "amount": "1.00"}
BODIES: dict[str, Any] = {
    "POST /v1/worker/pages": {"batch_id": "b1"},
    "PUT /v1/worker/profile": {},
    "PUT /v1/worker/payout-destination": DESTINATION,
    "POST /v1/worker/payouts": {},
    "POST /v1/worker/pages/{page_id}/submission": {"answers": []},
    "POST /v1/requester/deposits": {"amount": "1.00"},
    "POST /v1/requester/batches": BATCH,
    "POST /v1/requester/batches/{batch_id}/upload": {},
    "POST /v1/requester/batches/{batch_id}/extend": {"more_answers": 1},
    "POST /v1/requester/batches/{batch_id}/exports": {},
    "POST /v1/requester/batches/{batch_id}/decisions": {"decisions": [{"page_id": "p1", "decision": "approve"}]},
    "POST /v1/requester/checkouts": {"amount": "1.00"},
    "POST /v1/requester/bank-transfers": {},
    "POST /v1/operator/payout-runs": {},
    "POST /v1/operator/bank-credits": {"bank_entry_id": "b-1", "reference": "who knows", "amount": "1.00"},
    "POST /v1/operator/suspense/{suspense_id}/resolution": {"requester_id": None},
}


def every_route(platform: Platform, chosen: Callable[[Route], bool]) -> Iterator[Asked]:
    """A request to each route that is `chosen`, with ids of things that are there."""
    ids = stage(platform)
    found = 0
    for audience, route in ROUTES:
        if route.public or not chosen(route):
            continue
        found += 1
        path = route.path.removeprefix(f"/v1/{audience}").format(**ids)
        key = {"key": "a new key"} if route.idempotency else {}
        yield platform.client(audience, USERS[audience]), route, path, key
    assert found


def with_body(route: Route) -> bool:
    assert (route.body in (None, NoBody)) == (route.name not in BODIES), route.name
    return route.body not in (None, NoBody)


def with_path(route: Route) -> bool:
    return bool(route.parameters)


def with_list(route: Route) -> bool:
    return route.query is not None and "cursor" in route.query.model_fields


def with_key(route: Route) -> bool:
    return route.idempotency == "required"


def any_route(_route: Route) -> bool:
    return True


def on_every(number: int, what: str, chosen: Callable[[Route], bool], *, status: int, code: str, **changed: Any) -> Row:
    """A row that every chosen route refuses alike: the request, with `changed` parts of it, gets status and code."""

    def run(platform: Platform) -> None:
        for client, route, path, asked in every_route(platform, chosen):
            client.refused(route.method, path, status, code, **(asked | changed))

    return Row(number, what, run)


def on_every_path(number: int, what: str, segment: str, *, status: int, code: str) -> Row:
    """A row about one part of a path: in the place of each id."""

    def run(platform: Platform) -> None:
        ids = stage(platform)
        for audience, route in ROUTES:
            for name in route.parameters:
                path = route.path.removeprefix(f"/v1/{audience}").format(**(ids | {name: segment}))
                platform.client(audience, USERS[audience]).refused(route.method, path, status, code, key="a new key")

    return Row(number, what, run)


# Who sends an amount, where, in which field, beside what.
AMOUNT_FIELDS: tuple[tuple[str, str, str, str, dict[str, Any]], ...] = (
    ("requester", "POST", "/deposits", "/amount", {}),
    ("requester", "POST", "/batches", "/price", BATCH),
    ("worker", "PUT", "/profile", "/payout_threshold", {}),
    ("worker", "POST", "/payouts", "/amount", {}),
)


def amount(number: int, what: str, value: Any, *, currency: str | None = None, at_currency: bool = False) -> Row:
    """A row about an amount: at every route that takes one (and a currency, where the row names one)."""

    def run(platform: Platform) -> None:
        stage(platform)
        for audience, method, path, field, rest in AMOUNT_FIELDS:
            if path == "/profile" and (currency or at_currency):
                continue  # its threshold has no currency of its own
            wrong = value(path) if callable(value) else value
            body = {**rest, field[1:]: wrong, **({"currency": currency} if currency else {})}
            client = platform.client(audience, USERS[audience])
            answer = client.ask(method, path, body=body, key="a new key")
            code = answer.json["code"]
            assert code in ("invalid", "bad_amount"), answer.text
            answer = client.refused(method, path, 422, code, body=body, key="a new key")
            pointers = [one["pointer"] for one in answer.json["errors"]]
            assert pointers == ["/currency" if at_currency else field], (path, pointers)

    return Row(number, what, run)


def raw(number: int, what: str, text: str | bytes, *, status: int, code: str) -> Row:
    """A row about the bytes of a body, at every route that takes one."""
    return on_every(number, what, with_body, status=status, code=code, raw=text)


def inside(number: int, what: str, make: Callable[[Any], Any], *, status: int, code: str) -> Row:
    """A row about a body that would be fine but for what `make` does to it, at every route that takes one."""

    def run(platform: Platform) -> None:
        for client, route, path, asked in every_route(platform, with_body):
            client.refused(route.method, path, status, code, **asked, raw=make(BODIES[route.name]))

    return Row(number, what, run)
