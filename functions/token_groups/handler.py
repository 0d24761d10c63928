"""Puts a person's role into their tokens, by the app client they signed in with."""

import os
from typing import Any

from smallpeck.runtime.settings import Settings

_GROUP_BY_ADMIN = "operator"


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Cognito's pre token generation trigger, event version 2: the groups of both tokens become the role alone.

    Workers and requesters have the role of their client. An operator needs both the operator client and the pool's
    group, which only an administrator gives.
    """
    settings = Settings.from_environment(os.environ)
    standing = event["request"]["groupConfiguration"].get("groupsToOverride") or []
    roles = {
        settings.worker_client_id: ["worker"],
        settings.requester_client_id: ["requester"],
        settings.operator_client_id: [_GROUP_BY_ADMIN] if _GROUP_BY_ADMIN in standing else [],
    }
    groups = roles.get(event["callerContext"]["clientId"], [])
    event["response"] = {"claimsAndScopeOverrideDetails": {"groupOverrideDetails": {"groupsToOverride": groups}}}
    return event
