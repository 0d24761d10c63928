"""The HTTP API and its authorizer over a Cognito user pool: who gets in, and what the function is told."""

import base64
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.ministack.lab import WITNESS, Answer, Lab

SCOPE = "aws.cognito.signin.user.admin"
PASSWORD = "Correct-Horse-9"

ECHO = """
    import base64, json
    def handler(event, context):
        if event.get("body") == "raise":
            raise ValueError("on purpose")
        return {
            "statusCode": 418,
            "headers": {"content-type": "application/problem+json", "x-mine": "kept", "location": "/there"},
            "cookies": ["a=1", "b=2"],
            "body": json.dumps(event),
        }
"""


class Gate:
    """An API with one guarded and one open route, and a user pool."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.users = lab, lab.client("cognito-idp")
        self.pool = self.users.create_user_pool(
            PoolName=lab.name("pool"), UsernameAttributes=["email"], AutoVerifiedAttributes=["email"]
        )["UserPool"]["Id"]
        self.app, self.other_app = (self._app() for _ in range(2))
        for group in ("worker", "operator"):
            self.users.create_group(UserPoolId=self.pool, GroupName=group)
        function = lab.function(ECHO)
        api = lab.client("apigatewayv2")
        self.api = api.create_api(Name=lab.name("api"), ProtocolType="HTTP")["ApiId"]
        self.jwt = {
            "Issuer": f"https://cognito-idp.us-east-1.amazonaws.com/{self.pool}",
            "Audience": [self.app],
        }
        authorizer = api.create_authorizer(
            ApiId=self.api,
            AuthorizerType="JWT",
            Name="users",
            IdentitySource=["$request.header.Authorization"],
            JwtConfiguration=self.jwt,
        )["AuthorizerId"]
        target = (
            "integrations/"
            + api.create_integration(
                ApiId=self.api,
                IntegrationType="AWS_PROXY",
                IntegrationUri=function,
                PayloadFormatVersion="2.0",
            )["IntegrationId"]
        )
        api.create_route(
            ApiId=self.api,
            RouteKey="ANY /v1/worker/{proxy+}",
            Target=target,
            AuthorizationType="JWT",
            AuthorizerId=authorizer,
            AuthorizationScopes=[SCOPE],
        )
        api.create_route(ApiId=self.api, RouteKey="GET /healthz", Target=target)
        api.create_route(ApiId=self.api, RouteKey="GET /health", Target=target)
        api.create_stage(ApiId=self.api, StageName="$default", AutoDeploy=True)

    def _app(self) -> str:
        app: str = self.users.create_user_pool_client(
            UserPoolId=self.pool,
            ClientName=self.lab.name("app"),
            ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
            AccessTokenValidity=15,
            TokenValidityUnits={"AccessToken": "minutes"},
        )["UserPoolClient"]["ClientId"]
        return app

    def user(self, *groups: str) -> str:
        """A confirmed user in these groups; returns the address."""
        address = f"{self.lab.name('user')}@example.org"
        self.users.sign_up(ClientId=self.app, Username=address, Password=PASSWORD)
        self.users.admin_confirm_sign_up(UserPoolId=self.pool, Username=address)
        for group in groups:
            self.users.admin_add_user_to_group(UserPoolId=self.pool, Username=address, GroupName=group)
        return address

    def tokens(self, address: str, *, app: str | None = None) -> Any:
        """The tokens of a login."""
        return self.users.initiate_auth(
            ClientId=app or self.app,
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": address, "PASSWORD": PASSWORD},
        )["AuthenticationResult"]

    def ask(
        self,
        path: str,
        *,
        token: str | None = None,
        method: str = "GET",
        body: bytes | None = None,
        kind: str = "application/json",
    ) -> Answer:
        """One request through the gateway."""
        headers = {"content-type": kind} if body is not None else {}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        url = self.lab.engine.api_url(self.api) + path
        return self.lab.ask(url, method=method, body=body, headers=headers)


@pytest.fixture(scope="module")
def gate(lab: Lab) -> Gate:
    """The gate all tests here go through."""
    return Gate(lab)


def test_no_token_and_broken_tokens_are_refused_by_the_gateway(gate: Gate) -> None:
    token = gate.tokens(gate.user())["AccessToken"]
    head, claims, signature = token.split(".")
    forged = f"{head}.{claims}.{signature[::-1]}"
    for wrong in (None, "nonsense", forged):
        answer = gate.ask("/v1/worker/batches", token=wrong)
        assert (answer.status, answer.json) == (401, {"message": "Unauthorized"})


def test_a_token_of_another_app_is_refused(gate: Gate) -> None:
    token = gate.tokens(gate.user(), app=gate.other_app)["AccessToken"]
    assert gate.ask("/v1/worker/batches", token=token).status == 401


def test_a_token_of_another_pool_is_refused(gate: Gate, lab: Lab) -> None:
    other = Gate(lab)
    assert gate.ask("/v1/worker/x", token=other.tokens(other.user())["AccessToken"]).status == 401


def test_an_id_token_lacks_the_scope(gate: Gate) -> None:
    answer = gate.ask("/v1/worker/batches", token=gate.tokens(gate.user())["IdToken"])
    assert (answer.status, answer.json) == (403, {"message": "Forbidden"})


def test_what_the_function_learns_of_the_caller(gate: Gate) -> None:
    tokens = gate.tokens(gate.user("worker", "operator"))
    assert tokens["ExpiresIn"] == 15 * 60
    answer = gate.ask("/v1/worker/batches/7?n=1&n=2", token=tokens["AccessToken"])
    event = answer.json
    claims = event["requestContext"]["authorizer"]["jwt"]["claims"]
    assert sorted(claims["cognito:groups"].strip("[]").split()) == ["operator", "worker"]
    assert (claims["token_use"], claims["client_id"], claims["scope"]) == ("access", gate.app, SCOPE)
    assert claims["username"] == claims["sub"]
    assert int(claims["exp"]) - int(claims["iat"]) == 15 * 60
    assert all(isinstance(value, str) for value in claims.values())
    assert event["routeKey"] == "ANY /v1/worker/{proxy+}"
    assert event["rawPath"] == "/v1/worker/batches/7"
    assert event["pathParameters"] == {"proxy": "batches/7"}
    assert event["queryStringParameters"] == {"n": "1,2"}
    assert event["requestContext"]["http"]["method"] == "GET"
    assert "body" not in event


def test_a_caller_without_a_group_has_no_such_claim(gate: Gate) -> None:
    event = gate.ask("/v1/worker/x", token=gate.tokens(gate.user())["AccessToken"]).json
    assert "cognito:groups" not in event["requestContext"]["authorizer"]["jwt"]["claims"]


def test_status_headers_and_cookies_come_through(gate: Gate) -> None:
    answer = gate.ask("/healthz")
    assert answer.status == 418
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.headers["x-mine"], answer.headers["location"]) == ("kept", "/there")


@pytest.mark.parametrize(
    ("kind", "encoded"),
    [
        ("application/json", False),
        ("text/csv", False),
        ("application/x-www-form-urlencoded", True),
        ("application/octet-stream", True),
    ],
)
def test_which_bodies_come_in_base64(gate: Gate, kind: str, *, encoded: bool) -> None:
    token = gate.tokens(gate.user())["AccessToken"]
    event = gate.ask("/v1/worker/x", token=token, method="POST", body=b"{}", kind=kind).json
    assert (event["isBase64Encoded"], event["body"]) == (encoded, "e30=" if encoded else "{}")


def test_an_exception_is_shown_to_the_caller(gate: Gate) -> None:
    """AWS answers 500 `Internal Server Error` and keeps the rest to itself: handlers must catch everything."""
    token = gate.tokens(gate.user())["AccessToken"]
    answer = gate.ask("/v1/worker/x", token=token, method="POST", body=b"raise")
    assert answer.status == 502
    assert answer.json["errorType"] == "ValueError"


def test_paths_without_a_route_are_not_found(gate: Gate) -> None:
    assert gate.ask("/elsewhere").status == 404
    assert gate.ask("/healthz", method="POST", body=b"{}").status == 404


def test_health_is_the_emulators_own_unless_asked_by_path(gate: Gate, lab: Lab) -> None:
    """So ours is /healthz. By path our route answers; on the API's own host name the emulator does."""
    assert gate.ask("/health").status == 418
    answer = lab.ask("/health", headers={"host": f"{gate.api}.execute-api.127.0.0.1:{lab.engine.port}"})
    assert "services" in answer.json


def test_sign_up_needs_confirmation_and_a_strong_password(gate: Gate) -> None:
    address = f"{gate.lab.name('user')}@example.org"
    with pytest.raises(ClientError, match="InvalidPasswordException"):
        gate.users.sign_up(ClientId=gate.app, Username=address, Password="short")
    gate.users.sign_up(ClientId=gate.app, Username=address, Password=PASSWORD)
    with pytest.raises(ClientError, match="UsernameExistsException"):
        gate.users.sign_up(ClientId=gate.app, Username=address, Password=PASSWORD)
    with pytest.raises(ClientError, match="UserNotConfirmedException"):
        gate.tokens(address)


def test_a_wrong_password_is_refused(gate: Gate) -> None:
    with pytest.raises(ClientError, match="NotAuthorizedException"):
        gate.users.initiate_auth(
            ClientId=gate.app,
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": gate.user(), "PASSWORD": PASSWORD + "!"},
        )


def test_a_login_can_be_refreshed_and_a_global_sign_out_does_not_end_it(gate: Gate) -> None:
    """On AWS the refresh token dies with the sign-out; the access token lives on in both until it expires."""
    address = gate.user()
    tokens = gate.tokens(address)
    gate.users.admin_user_global_sign_out(UserPoolId=gate.pool, Username=address)
    again = gate.users.initiate_auth(
        ClientId=gate.app,
        AuthFlow="REFRESH_TOKEN_AUTH",
        AuthParameters={"REFRESH_TOKEN": tokens["RefreshToken"]},
    )["AuthenticationResult"]
    assert gate.ask("/v1/worker/x", token=again["AccessToken"]).status == 418


def test_the_post_confirmation_trigger_is_never_invoked(lab: Lab) -> None:
    """So nothing may depend on it: a person's records are made at the first request."""
    users = lab.client("cognito-idp")
    witness, _ = lab.queue()
    trigger = lab.function(WITNESS, environment={"WITNESS": witness})
    pool = users.create_user_pool(
        PoolName=lab.name("pool"), LambdaConfig={"PostConfirmation": trigger, "PreSignUp": trigger}
    )["UserPool"]["Id"]
    app = users.create_user_pool_client(UserPoolId=pool, ClientName="app")["UserPoolClient"]["ClientId"]
    users.sign_up(ClientId=app, Username="someone", Password=PASSWORD)
    users.admin_confirm_sign_up(UserPoolId=pool, Username="someone")
    # The trigger before sign-up runs, so the witness works; nothing follows it before this later word.
    lab.client("lambda").invoke(FunctionName=trigger, Payload=b'{"triggerSource": "last"}')
    assert [event["triggerSource"] for event in lab.hear(witness, 2)] == ["PreSignUp_SignUp", "last"]


CHANGING_GROUPS = """
    def handler(event, context):
        groups = {"groupsToOverride": ["worker", "of-the-app"]}
        event["response"] = {"claimsAndScopeOverrideDetails": {"groupOverrideDetails": groups}}
        return event
"""


def test_the_groups_that_a_trigger_gives_stand_in_both_tokens(lab: Lab) -> None:
    """As on AWS, for version 2 of the trigger's event; the groups of the pool do not count beside them."""
    users = lab.client("cognito-idp")
    trigger = {"LambdaArn": lab.function(CHANGING_GROUPS), "LambdaVersion": "V2_0"}
    pool = users.create_user_pool(PoolName=lab.name("pool"), LambdaConfig={"PreTokenGenerationConfig": trigger})[
        "UserPool"
    ]["Id"]
    app = users.create_user_pool_client(
        UserPoolId=pool, ClientName="app", ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]
    )["UserPoolClient"]["ClientId"]
    users.create_group(UserPoolId=pool, GroupName="operator")
    users.sign_up(ClientId=app, Username="someone", Password=PASSWORD)
    users.admin_confirm_sign_up(UserPoolId=pool, Username="someone")
    users.admin_add_user_to_group(UserPoolId=pool, Username="someone", GroupName="operator")

    tokens = users.initiate_auth(
        ClientId=app, AuthFlow="USER_PASSWORD_AUTH", AuthParameters={"USERNAME": "someone", "PASSWORD": PASSWORD}
    )["AuthenticationResult"]
    again = users.initiate_auth(
        ClientId=app, AuthFlow="REFRESH_TOKEN_AUTH", AuthParameters={"REFRESH_TOKEN": tokens["RefreshToken"]}
    )["AuthenticationResult"]

    for token in (tokens["AccessToken"], tokens["IdToken"], again["AccessToken"]):
        assert _claims(token)["cognito:groups"] == ["worker", "of-the-app"]


def _claims(token: str) -> Any:
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
