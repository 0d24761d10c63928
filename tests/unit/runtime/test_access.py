"""Who is let in, from the claims that the gateway has verified."""

from typing import Any

import pytest

from smallpeck.runtime.access import Caller, NotAccessToken, WrongAudience, admit, caller_of, groups_of
from tests.gateway import claims, event


@pytest.mark.parametrize(
    ("claim", "groups"),
    [
        ("[worker operator]", {"worker", "operator"}),
        ("[worker]", {"worker"}),
        ("worker,operator", {"worker", "operator"}),
        ("worker operator", {"worker", "operator"}),
        ('["worker", "operator"]', {"worker", "operator"}),
        (["worker", "operator"], {"worker", "operator"}),
        (["worker", 7, None], {"worker"}),
        ("[]", set()),
        ("", set()),
        (None, set()),
        ({"worker": True}, set()),
    ],
)
def test_groups_however_the_gateway_writes_them(claim: Any, groups: set[str]) -> None:
    assert groups_of(claim) == groups


def test_the_caller_is_the_subject_of_an_access_token() -> None:
    asked = event("GET", "/", token=claims("4f1c-9d", "[worker]"))
    assert caller_of(asked) == Caller("4f1c-9d", frozenset({"worker"}))


@pytest.mark.parametrize(
    "token",
    [
        {},
        claims(token_use="id"),
        {name: value for name, value in claims().items() if name != "token_use"},
        {name: value for name, value in claims().items() if name != "sub"},
        claims(user=""),
        claims(user="a#b"),
        claims(sub=7),
    ],
)
def test_anything_else_is_nobody(token: dict[str, Any]) -> None:
    with pytest.raises(NotAccessToken):
        caller_of(event("GET", "/", token=token))


def test_an_event_that_no_authorizer_has_seen_is_nobodys() -> None:
    with pytest.raises(NotAccessToken):
        caller_of({"requestContext": {}})


def test_a_role_opens_its_own_audience_only() -> None:
    admit(Caller("u", frozenset({"worker"})), "worker")
    for groups in (frozenset[str](), frozenset({"worker", "workers"})):
        with pytest.raises(WrongAudience):
            admit(Caller("u", groups), "operator")
