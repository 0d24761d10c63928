"""Who is asking: the claims that the gateway's authorizer has verified, and the role they give."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from smallpeck.kernel.errors import Forbidden, Unauthenticated
from smallpeck.kernel.ids import is_id

_BETWEEN_GROUPS: Final = re.compile(r"[\s,\[\]\"']+")


class NotAccessToken(Unauthenticated):
    """A token that says who somebody is, not what they may do; or none."""

    code = "access_token_required"


class WrongAudience(Forbidden):
    """A role that this part of the API is not for."""

    code = "wrong_role"


@dataclass(frozen=True)
class Caller:
    """Who is asking, by the token's subject, and the groups that the token carries."""

    user_id: str
    groups: frozenset[str]


def caller_of(event: Mapping[str, Any]) -> Caller:
    """The caller of an HTTP API event; raises NotAccessToken."""
    authorizer = event.get("requestContext", {}).get("authorizer") or {}
    claims = (authorizer.get("jwt") or {}).get("claims") or {}
    if claims.get("token_use") != "access":
        raise NotAccessToken("an access token is needed")
    user_id = claims.get("sub")
    if not isinstance(user_id, str) or not is_id(user_id):
        raise NotAccessToken("the token names nobody")
    return Caller(user_id, groups_of(claims.get("cognito:groups")))


def admit(caller: Caller, audience: str) -> None:
    """Raises WrongAudience where the caller is not in the audience's group."""
    if audience not in caller.groups:
        raise WrongAudience(f"this is for the role {audience}")


def groups_of(claim: object) -> frozenset[str]:
    """The groups in a claim: a list, or a string as API Gateway writes lists, such as `[worker operator]`."""
    if isinstance(claim, str):
        return frozenset(filter(None, _BETWEEN_GROUPS.split(claim)))
    if isinstance(claim, list | tuple):
        return frozenset(group for group in claim if isinstance(group, str))
    return frozenset()
