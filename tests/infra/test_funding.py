"""Who reaches the provider of checkouts, who hears it, and what wakes a person."""

from infra.constructs.funding import SIGNALS, WEBHOOK_PATH
from local.checkout_server import WEBHOOK_PATH as TOLD_PATH
from local.checkout_server import parameters
from smallpeck.funding.model import Alarm
from tests.infra.templates import Deployment

SECRET = "secretsmanager:GetSecretValue"
KNOWS_THE_KEY = {"requester_api", "funding_events", "funding_watch"}


def knowing(deployment: Deployment, secret: str) -> set[str]:
    return {
        name
        for name in deployment.functions
        if any(f"{secret}" in resource for resource in deployment.allowed(name, SECRET))
    }


def test_the_key_and_the_signing_secret_are_read_by_those_who_need_them(deployment: Deployment) -> None:
    assert knowing(deployment, "CheckoutSecret") == KNOWS_THE_KEY
    assert knowing(deployment, "CheckoutEventsSecret") == {"funding_events"}


def test_who_hears_of_money_reaches_no_people(deployment: Deployment) -> None:
    for name in ("funding_events", "funding_watch"):
        assert deployment.table_actions(name, "ledger") == {"GetItem", "PutItem", "ConditionCheckItem"}
        assert not deployment.table_actions(name, "people")
        assert not deployment.table_actions(name, "keys")
        assert "DeleteItem" not in deployment.table_actions(name, "platform")
        assert not deployment.allowed(name, "s3:GetObject")


def test_the_webhook_needs_no_token_and_takes_nothing_but_posts(deployment: Deployment) -> None:
    routes = deployment.properties("AWS::ApiGatewayV2::Route").values()
    (route,) = [one for one in routes if WEBHOOK_PATH in one["RouteKey"]]
    assert route["RouteKey"] == f"POST {TOLD_PATH}"
    assert route["AuthorizationType"] == "NONE"


def test_every_signal_of_funding_has_an_alarm(deployment: Deployment) -> None:
    assert {alarm.value for alarm in Alarm} == set(SIGNALS)
    for name in SIGNALS:
        assert len(deployment.alarms(name)) == 1


def test_what_the_local_run_tells_are_parameters(deployment: Deployment) -> None:
    known = deployment.service["Parameters"]
    assert parameters(1).keys() <= known.keys()
    assert all(known[name]["Default"] == "" for name in parameters(1))
