"""People of the platform on this machine: they sign up and sign in."""

import secrets
from typing import Any

from cli.client import Client
from local.running import Platform


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
