"""People of the platform as HTTP clients: they sign up, sign in, and call the API with their token."""

import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import urllib3

from local.up import Platform

ATTEMPTS = 12
_BUSY = frozenset({429, 500, 502, 503, 504})

_pool = urllib3.PoolManager(maxsize=16, retries=False, timeout=urllib3.Timeout(connect=5, read=60))


class Refused(Exception):
    """The API answered with a problem."""

    def __init__(self, method: str, path: str, status: int, problem: Any) -> None:
        super().__init__(f"{method} {path}: {status} {json.dumps(problem)[:600]}")
        self.status = status
        self.problem = problem

    @property
    def code(self) -> str:
        """The problem's stable code."""
        return str(self.problem.get("code", "")) if isinstance(self.problem, dict) else ""


@dataclass(frozen=True)
class Client:
    """One signed-in person. Paths are relative to `/v1/<audience>`."""

    api: str
    audience: str
    name: str
    token: str = field(repr=False)

    def get(self, path: str, **query: str | int) -> Any:
        """The answer to a GET."""
        return self.call("GET", path + ("?" + urlencode(query) if query else ""))

    def put(self, path: str, body: Any) -> Any:
        """The answer to a PUT."""
        return self.call("PUT", path, body)

    def post(self, path: str, body: Any = None, *, key: str | None = None) -> Any:
        """The answer to a POST under an Idempotency-Key, so that repeating it after a lost answer is safe."""
        return self.call("POST", path, {} if body is None else body, key=key or secrets.token_hex(8))

    def call(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> Any:
        """The JSON answer; raises Refused for a problem. What is busy is asked again, as any client should."""
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        if key is not None:
            headers["idempotency-key"] = key
        content = None if body is None else json.dumps(body).encode()
        for attempt in range(ATTEMPTS):
            answer = _pool.request(method, f"{self.api}/v1/{self.audience}{path}", body=content, headers=headers)
            document = json.loads(answer.data) if answer.data else None
            if answer.status < 300:
                return document
            wait_seconds = float(answer.headers.get("retry-after", 0.2 * 2**attempt))
            in_progress = isinstance(document, dict) and document.get("code") == "in_progress"
            if (answer.status not in _BUSY and not in_progress) or attempt + 1 == ATTEMPTS:
                raise Refused(method, path, answer.status, document)
            time.sleep(min(wait_seconds, 5.0))
        raise AssertionError("unreachable")

    def every(self, path: str, items: str) -> list[Any]:
        """All items of a list, following its cursors."""
        found: list[Any] = []
        query: dict[str, str | int] = {"limit": 100}
        while True:
            answer = self.get(path, **query)
            found += answer[items]
            if answer["next_cursor"] is None:
                return found
            query["cursor"] = answer["next_cursor"]


def sign_up(platform: Platform, audience: str, name: str) -> Client:
    """A new person of one audience, signed in. Operators are put into their group, as an administrator would."""
    pool_id = platform.deployment.output("UserPoolId")
    client_id = platform.deployment.output(f"{audience.capitalize()}ClientId")
    cognito = platform.engine.client("cognito-idp")
    email, password = f"{name}@example.com", "Aa1!" + secrets.token_urlsafe(12)
    cognito.sign_up(
        ClientId=client_id,
        Username=email,
        Password=password,
        UserAttributes=[{"Name": "email", "Value": email}],
    )
    cognito.admin_confirm_sign_up(UserPoolId=pool_id, Username=email)
    if audience == "operator":
        cognito.admin_add_user_to_group(UserPoolId=pool_id, Username=email, GroupName="operator")
    tokens = cognito.initiate_auth(
        ClientId=client_id, AuthFlow="USER_PASSWORD_AUTH", AuthParameters={"USERNAME": email, "PASSWORD": password}
    )["AuthenticationResult"]
    return Client(api=platform.api, audience=audience, name=name, token=tokens["AccessToken"])


def upload(form: Any, content: bytes) -> None:
    """Puts a file where the API's form says."""
    fields = {**form["fields"], "file": ("file", content, "application/octet-stream")}
    answer = _pool.request("POST", form["url"], fields=fields)
    if answer.status >= 300:
        raise Refused("POST", "the upload form", answer.status, answer.data.decode(errors="replace"))


def fetch(url: str) -> bytes:
    """The content of a signed link."""
    answer = _pool.request("GET", url)
    if answer.status != 200:
        raise Refused("GET", "a signed link", answer.status, answer.data.decode(errors="replace"))
    return bytes(answer.data)
