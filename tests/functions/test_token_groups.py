"""Who gets which role into their tokens."""

from typing import Any

import pytest

from functions.token_groups.handler import handler
from smallpeck.runtime.settings import MissingSetting, Settings

CLIENTS = {"worker_client_id": "app-w", "requester_client_id": "app-r", "operator_client_id": "app-o"}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in Settings.environment(**CLIENTS).items():
        monkeypatch.setenv(name, value)


def signing_in(client: str, *groups: str) -> dict[str, Any]:
    """What Cognito sends when somebody in `groups` of the pool signs in with `client`."""
    return {
        "version": "2",
        "triggerSource": "TokenGeneration_Authentication",
        "userName": "2f1d8c1e",
        "callerContext": {"awsSdkVersion": "3", "clientId": client},
        "request": {
            "userAttributes": {"sub": "2f1d8c1e"},
            "groupConfiguration": {
                "groupsToOverride": list(groups), "iamRolesToOverride": [], "preferredRole": None,
            },
            "scopes": ["aws.cognito.signin.user.admin"],
        },
        "response": {"claimsAndScopeOverrideDetails": None},
    }  # fmt: skip


def roles(event: dict[str, Any]) -> list[str]:
    """The groups that the tokens will carry."""
    details = handler(event, None)["response"]["claimsAndScopeOverrideDetails"]["groupOverrideDetails"]
    return list(details["groupsToOverride"])


@pytest.mark.parametrize(("client", "role"), [("app-w", "worker"), ("app-r", "requester")])
def test_a_client_gives_its_role(client: str, role: str) -> None:
    assert roles(signing_in(client)) == [role]


def test_the_operator_client_alone_gives_nothing() -> None:
    assert roles(signing_in("app-o")) == []
    assert roles(signing_in("app-o", "worker", "admin")) == []


def test_an_operator_by_admin_gets_the_role_from_the_operator_client_only() -> None:
    assert roles(signing_in("app-o", "operator")) == ["operator"]
    assert roles(signing_in("app-w", "operator")) == ["worker"]


def test_a_client_that_is_none_of_ours_gives_nothing_whatever_the_pool_says() -> None:
    assert roles(signing_in("another", "operator", "worker")) == []


def test_what_the_person_says_of_themselves_changes_nothing() -> None:
    event = signing_in("app-w")
    event["request"]["clientMetadata"] = {"role": "operator", "clientId": "app-o"}
    event["request"]["userAttributes"]["custom:role"] = "operator"
    assert roles(event) == ["worker"]


def test_a_person_without_any_group_in_the_pool() -> None:
    event = signing_in("app-r")
    event["request"]["groupConfiguration"] = {"groupsToOverride": None}
    assert roles(event) == ["requester"]


def test_the_rest_of_the_event_goes_back_as_it_came() -> None:
    before = signing_in("app-w")
    after = handler(signing_in("app-w"), None)
    assert {**after, "response": None} == {**before, "response": None}
    section = after["response"]["claimsAndScopeOverrideDetails"]
    assert section == {"groupOverrideDetails": {"groupsToOverride": ["worker"]}}


def test_a_function_that_was_not_told_the_clients_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SMALLPECK_OPERATOR_CLIENT_ID")
    with pytest.raises(MissingSetting, match="SMALLPECK_OPERATOR_CLIENT_ID"):
        handler(signing_in("app-w"), None)
