"""People of the platform as HTTP clients: they sign up, sign in, and call the API with their token."""

import json
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import urllib3

from local.running import Platform
from local.wait import pause

ATTEMPTS = 12
LONGEST_PAUSE_SECONDS = 5.0
_FIRST_PAUSE_SECONDS = 0.1
_LIST_LIMIT = 100
_BUSY = frozenset({429, 500, 502, 503, 504})
_NO_ANSWER = 0
_OK = 200
_FIRST_THAT_IS_NO_SUCCESS = 300

_pool = urllib3.PoolManager(maxsize=16, retries=False, timeout=urllib3.Timeout(connect=5, read=60))


class Refused(Exception):
    """The API answered with a problem; status 0 where it did not answer at all."""

    def __init__(self, method: str, path: str, status: int, problem: Any) -> None:
        super().__init__(f"{method} {path}: {status} {json.dumps(problem)[:600]}")
        self.status = status
        self.problem = problem

    @property
    def code(self) -> str:
        """The problem's stable code."""
        return str(self.problem.get("code", "")) if isinstance(self.problem, dict) else ""


@dataclass(frozen=True)
class Answer:
    """What came back: the status, and the body as JSON where it is JSON."""

    status: int
    document: Any
    retry_after_seconds: float | None = None


@dataclass(frozen=True)
class Client:
    """One signed-in person. Paths are relative to `/v1/<audience>`."""

    api: str
    audience: str
    name: str
    token: str = field(repr=False)
    email: str = ""
    password: str = field(default="", repr=False)

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
        attempt = 0
        while True:
            answer = self.once(method, path, body, key=key)
            if _OK <= answer.status < _FIRST_THAT_IS_NO_SUCCESS:
                return answer.document
            attempt += 1
            refused = Refused(method, path, answer.status, answer.document)
            again = answer.status in _BUSY or answer.status == _NO_ANSWER or refused.code == "in_progress"
            if not again or attempt == ATTEMPTS:
                raise refused
            wait_seconds = answer.retry_after_seconds or _FIRST_PAUSE_SECONDS * 2**attempt
            pause(min(wait_seconds, LONGEST_PAUSE_SECONDS))

    def once(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> Answer:
        """One request, whatever comes of it."""
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        if key is not None:
            headers["idempotency-key"] = key
        content = None if body is None else json.dumps(body).encode()
        try:
            got = _pool.request(method, f"{self.api}/v1/{self.audience}{path}", body=content, headers=headers)
        except urllib3.exceptions.HTTPError as lost:
            return Answer(_NO_ANSWER, str(lost))
        after = got.headers.get("retry-after")
        return Answer(got.status, _json(got.data), float(after) if after else None)

    def every(self, path: str, items: str) -> list[Any]:
        """All items of a list, following its cursors."""
        found: list[Any] = []
        query: dict[str, str | int] = {"limit": _LIST_LIMIT}
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
    token = sign_in(platform, audience, email, password)["AccessToken"]
    return Client(platform.api, audience, name, token, email, password)


def sign_in(platform: Platform, audience: str, email: str, password: str) -> Any:
    """The tokens of a login, as Cognito names them: AccessToken, IdToken, RefreshToken."""
    return platform.engine.client("cognito-idp").initiate_auth(
        ClientId=platform.deployment.output(f"{audience.capitalize()}ClientId"),
        AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": email, "PASSWORD": password},
    )["AuthenticationResult"]


def upload(form: Any, content: bytes) -> None:
    """Puts a file where the API's form says."""
    fields = {**form["fields"], "file": ("file", content, "application/octet-stream")}
    answer = _pool.request("POST", form["url"], fields=fields)
    if answer.status >= _FIRST_THAT_IS_NO_SUCCESS:
        raise Refused("POST", "the upload form", answer.status, answer.data.decode(errors="replace"))


def fetch(url: str) -> bytes:
    """The content of a signed link."""
    answer = _pool.request("GET", url)
    if answer.status != _OK:
        raise Refused("GET", "a signed link", answer.status, answer.data.decode(errors="replace"))
    return bytes(answer.data)


def _json(content: bytes) -> Any:
    try:
        return json.loads(content) if content else None
    except ValueError:
        return content.decode(errors="replace")
