"""Signing in to a stage, and keeping the token where only its owner can read it."""

import base64
import contextlib
import getpass
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from cli.client import Client
from cli.stages import BadUsage, Failed, Stage
from smallpeck.kernel.clock import SystemClock

ROLES: Final = ("requester", "worker", "operator")
PASSWORD_VARIABLE: Final = "SMALLPECK_PASSWORD"  # noqa: S105 - a name
_MARGIN_MS: Final = 60_000


def tokens_path() -> Path:
    """Where tokens are kept."""
    place = os.environ.get("XDG_CONFIG_HOME")
    return (Path(place) if place else Path.home() / ".config") / "smallpeck" / "tokens.json"


def login(stage: Stage, role: str, email: str | None) -> dict[str, Any]:
    """Signs somebody in and keeps the token; says who that is and until when."""
    demo = stage.person(role)
    if email is None and demo is not None:
        email, password = demo.email, demo.password
    elif email is None:
        raise BadUsage("say as whom: --email")
    else:
        known = next((one.password for one in stage.people if (one.email, one.audience) == (email, role)), None)
        password = known or _password(email)
    token = _sign_in(stage, role, email, password)
    kept = _kept()
    kept[f"{stage.name}/{role}"] = {"api": stage.api, "email": email, "token": token}
    _keep(kept)
    return {"stage": stage.name, "role": role, "email": email, "expires_at_ms": _expires_at_ms(token)}


def signed_in(stage: Stage, role: str) -> Client:
    """A client for somebody of that role: who has signed in, or else who was put there to try the platform with."""
    kept = _kept().get(f"{stage.name}/{role}")
    if kept is not None and kept["api"] == stage.api and _is_good(kept["token"]):
        return Client(stage.api, role, role, kept["token"], kept["email"])
    demo = stage.person(role)
    if demo is None:
        raise Failed(f"nobody is signed in: smallpeck login {role} --stage {stage.name} --email you@example.com")
    token = demo.token if _is_good(demo.token) else _sign_in(stage, role, demo.email, demo.password)
    return Client(stage.api, role, demo.name, token, demo.email)


def _sign_in(stage: Stage, role: str, email: str, password: str) -> str:
    answer = stage.client("cognito-idp").initiate_auth(
        ClientId=stage.output(f"{role.capitalize()}ClientId"),
        AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": email, "PASSWORD": password},
    )
    if "AuthenticationResult" not in answer:
        raise Failed(f"{email} has to answer {answer.get('ChallengeName')} first, which this command does not")
    return str(answer["AuthenticationResult"]["AccessToken"])


def _password(email: str) -> str:
    given = os.environ.get(PASSWORD_VARIABLE)
    if given:
        return given
    if sys.stdin.isatty():
        return getpass.getpass(f"Password of {email}: ")
    return sys.stdin.readline().rstrip("\n")


def _is_good(token: str) -> bool:
    return _expires_at_ms(token) > SystemClock().now_ms() + _MARGIN_MS


def _expires_at_ms(token: str) -> int:
    """When a token ends, as it says itself: whether it is genuine is for the API to know."""
    try:
        claims = token.split(".")[1]
        return int(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["exp"]) * 1000
    except (IndexError, ValueError, KeyError, TypeError):
        return 0


def _kept() -> dict[str, Any]:
    try:
        kept: dict[str, Any] = json.loads(tokens_path().read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return kept


def _keep(kept: dict[str, Any]) -> None:
    path = tokens_path()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Made by mkstemp for its owner alone, before anything is in it.
    handle, making = tempfile.mkstemp(dir=path.parent, prefix=".tokens-")
    try:
        with os.fdopen(handle, "w") as file:
            json.dump(kept, file)
        Path(making).replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            Path(making).unlink()
