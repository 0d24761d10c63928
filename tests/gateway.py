"""Events as the HTTP API writes them (payload format 2.0), and answers as a client reads them."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

NO_BODY = object()


@dataclass(frozen=True)
class Context:
    """What Lambda passes beside the event."""

    function_name: str = "a-function"
    aws_request_id: str = "lambda-request-1"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def claims(user: str = "user-1", groups: Any = "[worker]", **more: Any) -> dict[str, Any]:
    """The claims of an access token, as the gateway's authorizer hands them on."""
    return {
        "sub": user,
        "token_use": "access",
        "scope": "aws.cognito.signin.user.admin",
        "client_id": "a-client",
        "cognito:groups": groups,
        **more,
    }


def event(
    method: str,
    path: str,
    *,
    body: Any = NO_BODY,
    raw: str | bytes | None = None,
    query: str = "",
    headers: Mapping[str, str] | None = None,
    token: Mapping[str, Any] | None = None,
    key: str | None = None,
) -> dict[str, Any]:
    """One request. `body` is sent as JSON, `raw` as it is (bytes as the gateway sends what it does not take for text).

    A header of "" is left out; `token` are its claims, {} for nobody's.
    """
    sent: str | bytes | None = raw if body is NO_BODY else json.dumps(body)
    encoded = isinstance(sent, bytes)
    shown = {
        "host": "api.example.com",
        **({"content-type": "application/json"} if sent is not None else {}),
        **({"idempotency-key": key} if key is not None else {}),
        **(headers or {}),
    }
    made: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "ANY /v1/{audience}/{proxy+}",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {name: value for name, value in shown.items() if value != ""},
        "requestContext": {
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"},
            "requestId": "request-1",
            "stage": "$default",
        },
        "isBase64Encoded": encoded,
    }
    who = claims() if token is None else token
    if who:
        made["requestContext"]["authorizer"] = {"jwt": {"claims": dict(who), "scopes": None}}
    if sent is not None:
        made["body"] = base64.b64encode(sent).decode() if isinstance(sent, bytes) else sent
    return made


def ask(handler: Callable[[Mapping[str, Any], Any], dict[str, Any]], asked: Mapping[str, Any]) -> Answer:
    """Hands an event to a function."""
    answer = handler(asked, Context())
    assert answer["isBase64Encoded"] is False
    return Answer(answer["statusCode"], answer["headers"], answer.get("body", ""))
