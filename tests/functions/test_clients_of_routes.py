"""Which AWS clients a route makes: one that it does not use would be tens of milliseconds of every cold start."""

import importlib
import re
from typing import Any

import pytest

from smallpeck.runtime.clients import Clients
from smallpeck.runtime.http import Api
from smallpeck.runtime.routes import Route
from smallpeck.runtime.schemas import NoBody
from smallpeck.runtime.settings import Settings
from smallpeck.runtime.wiring import Wiring, wired
from tests.aws import Aws
from tests.gateway import NO_BODY, Answer, ask, claims, event
from tests.support import TABLE_NAMES, create_tables
from tests.unit.people.fake_kms import FakeKms

AUDIENCES = ("worker", "requester", "operator")
APIS: dict[str, Api] = {name: importlib.import_module(f"functions.{name}_api.handler").api for name in AUDIENCES}
ROUTES = [(name, route) for name, api in APIS.items() for route in api.table.routes]
READS = [(name, route) for name, route in ROUTES if route.method == "GET"]
WITH_BODY = [(name, route) for name, route in ROUTES if route.body not in (None, NoBody)]
IDS = re.compile(r"\{[a-z_]+\}")
SETTINGS: dict[str, Any] = {
    "stage": "local",
    "uploads_bucket": "uploads",
    "work_bucket": "work",
    "seals_bucket": "seals",
    "statement_key_arn": "arn:statements",
    "root_key_arn": "arn:roots",
    "submissions_queue_url": "https://queue",
    "batch_finish_arn": "arn:batch-finish",
    "payout_run_arn": "arn:payout-run",
    "books_audit_arn": "arn:books-audit",
    "data_key_arn": "arn:key",
    "cursor_secret_arn": "arn:secret",
    **{f"{table}_table": name for table, name in TABLE_NAMES.items()},
}

# What signs, or shows the keys that do, asks KMS.
SIGNING = {"GET /v1/worker/statement.json": ["dynamodb", "kms"], "GET /v1/keys": ["kms"]}


class Recording(Clients):
    """Makes the clients of the store and of keys, and remembers what was made."""

    def __init__(self) -> None:
        super().__init__({})
        self.aws = Aws()
        create_tables(self.aws.dynamodb)
        self.made: list[str] = []

    def make(self, service: str) -> Any:
        self.made.append(service)
        assert service in ("dynamodb", "kms"), f"a client of {service} was made"
        return self.aws.dynamodb if service == "dynamodb" else FakeKms()


def asked(audience: str, route: Route, body: Any = NO_BODY, role: str = "") -> tuple[Answer, list[str]]:
    """What a newcomer gets from a route that they ask about things that are not there."""
    clients = Recording()
    request = event(
        route.method,
        IDS.sub("absent", route.path),
        body=body,
        key="key-1" if route.idempotency else None,
        token={} if route.public else claims(groups=f"[{role or audience}]"),
    )
    with wired(Wiring(Settings(**SETTINGS), clients=clients)):
        return ask(APIS[audience].handler, request), clients.made


def name_of(value: Any) -> str:
    return value.name if isinstance(value, Route) else ""


@pytest.mark.parametrize(("audience", "route"), READS, ids=name_of)
def test_a_read_needs_the_store_alone(audience: str, route: Route) -> None:
    answer, made = asked(audience, route)
    assert answer.status in (200, 404, 422), answer.text
    assert made == SIGNING[route.name] if route.name in SIGNING else made in ([], ["dynamodb"])


@pytest.mark.parametrize(("audience", "route"), WITH_BODY, ids=name_of)
def test_a_bad_body_is_refused_before_any_client_is_made(audience: str, route: Route) -> None:
    answer, made = asked(audience, route, {"no such field": 1})
    assert answer.status == 422, answer.text
    assert made == []


@pytest.mark.parametrize(("audience", "route"), [one for one in ROUTES if not one[1].public], ids=name_of)
def test_another_role_is_refused_before_any_client_is_made(audience: str, route: Route) -> None:
    answer, made = asked(audience, route, role="another")
    assert (answer.status, answer.json["code"]) == (403, "wrong_role")
    assert made == []
