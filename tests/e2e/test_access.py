"""Who gets in: an access token of the right audience, and nothing else."""

from dataclasses import replace

import pytest

from cli.client import Client
from local.clients import sign_in
from tests.e2e.market import Market, fresh

ROUTES = {"worker": "/batches", "requester": "/account", "operator": "/audits/none"}


@pytest.fixture(scope="module")
def people(market: Market) -> dict[str, Client]:
    """Somebody of each audience."""
    return {audience: market.person(audience) for audience in ROUTES}


@pytest.mark.parametrize("audience", ROUTES)
def test_nobody_gets_in_without_a_token(people: dict[str, Client], audience: str) -> None:
    for token in ("", "nonsense", people[audience].token[:-4] + "AAAA"):
        assert replace(people[audience], token=token).once("GET", ROUTES[audience]).status == 401


@pytest.mark.parametrize("audience", ROUTES)
def test_an_id_token_is_no_access_token(people: dict[str, Client], market: Market, audience: str) -> None:
    """The gateway asks for a scope that only access tokens carry, and refuses with 403 itself."""
    person = people[audience]
    tokens = sign_in(market.platform, audience, person.email, person.password)
    answer = replace(person, token=tokens["IdToken"]).once("GET", ROUTES[audience])
    assert (answer.status, answer.document) == (403, {"message": "Forbidden"})
    assert replace(person, token=tokens["AccessToken"]).once("GET", ROUTES[audience]).status in (200, 404)


@pytest.mark.parametrize("audience", ROUTES)
@pytest.mark.parametrize("other", ROUTES)
def test_each_audience_has_its_own_routes(people: dict[str, Client], audience: str, other: str) -> None:
    answer = replace(people[audience], audience=other).once("GET", ROUTES[other])
    if audience == other:
        assert answer.status in (200, 404)
    else:
        assert (answer.status, answer.document["status"]) == (403, 403)


def test_a_worker_cannot_take_a_requesters_actions(people: dict[str, Client]) -> None:
    worker = replace(people["worker"], audience="requester")
    for path, body in (("/deposits", {"amount": "1.00", "currency": "USD"}), ("/batches/any/publish", {})):
        assert worker.once("POST", path, body, key=fresh()).status == 403


def test_a_worker_of_the_pool_is_no_operator_by_signing_in_as_one(market: Market) -> None:
    """The operator's app client is public; the group is what only an administrator gives."""
    worker = market.person("worker")
    token = sign_in(market.platform, "operator", worker.email, worker.password)["AccessToken"]
    assert replace(worker, audience="operator", token=token).once("POST", "/audits", {}, key=fresh()).status == 403


def test_one_requesters_batch_does_not_exist_for_another(market: Market) -> None:
    offer, stranger = market.offer(2), market.person("requester")
    for path in ("", "/progress", "/tasks", "/import", "/results"):
        answer = stranger.once("GET", f"/batches/{offer.batch_id}{path}")
        assert (answer.status, answer.document["code"]) == (404, "batch_not_found")
