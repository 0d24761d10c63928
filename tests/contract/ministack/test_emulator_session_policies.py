"""With its IAM switched on, the emulator enforces what a session policy leaves of a role: one requester's inbox."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local.engine import Engine
from smallpeck.runtime.inboxes import inbox_credentials
from smallpeck.runtime.settings import Settings
from smallpeck.runtime.wiring import Wiring
from tests.support import World

BUCKET = "uploads"
OWN, OTHER = "requester-1", "requester-2"


class GuardedEngine(Engine):
    """An emulator that checks signatures, tokens and policies."""

    def _environment(self, data: Path) -> dict[str, str]:
        return super()._environment(data) | {"AUTH": "true"}


ROLE_POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": f"arn:aws:s3:::{BUCKET}/inbox/*"},
        {
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": f"arn:aws:s3:::{BUCKET}",
            "Condition": {"StringLike": {"s3:prefix": "inbox/*"}},
        },
    ],
}
"""What the role has that requesters drop with (`infra.constructs.inbox.InboxDrop`)."""


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with GuardedEngine() as running:
        running.client("s3").create_bucket(Bucket=BUCKET)
        running.client("s3").put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        yield running


def speaking(engine: Engine, service: str, held: Mapping[str, Any]) -> Any:
    """A client with somebody's credentials."""
    return boto3.client(  # type: ignore[call-overload]
        service,
        endpoint_url=engine.url,
        region_name=engine.region,
        aws_access_key_id=held["AccessKeyId"],
        aws_secret_access_key=held["SecretAccessKey"],
        aws_session_token=held.get("SessionToken"),
        config=Config(s3={"addressing_style": "path"}),
    )


def allowing(actions: str, resource: str) -> str:
    statement = {"Effect": "Allow", "Action": actions, "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def trusting(principal: str) -> str:
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": principal}}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@dataclass(frozen=True)
class Roles:
    """The role of the API, by its credentials, and the role that it hands out."""

    api: Mapping[str, Any]
    drop: str


@pytest.fixture(scope="module")
def roles(engine: Engine) -> Roles:
    iam = engine.client("iam")
    user = iam.create_user(UserName="deployer")["User"]["Arn"]
    key = iam.create_access_key(UserName="deployer")["AccessKey"]
    api = iam.create_role(RoleName="requester-api", AssumeRolePolicyDocument=trusting(user))["Role"]["Arn"]
    drop = iam.create_role(RoleName="inbox-drop", AssumeRolePolicyDocument=trusting(api))["Role"]["Arn"]
    iam.put_user_policy(UserName="deployer", PolicyName="p", PolicyDocument=allowing("sts:AssumeRole", api))
    iam.put_role_policy(RoleName="requester-api", PolicyName="p", PolicyDocument=allowing("sts:AssumeRole", drop))
    iam.put_role_policy(RoleName="inbox-drop", PolicyName="p", PolicyDocument=json.dumps(ROLE_POLICY))
    held = speaking(engine, "sts", key).assume_role(RoleArn=api, RoleSessionName="api")["Credentials"]
    return Roles(held, drop)


@pytest.fixture
def dropper(engine: Engine, roles: Roles) -> Any:
    """S3 as the first requester reaches it."""
    world = World()
    settings = Settings(stage="local", platform_table="platform", uploads_bucket=BUCKET, inbox_role_arn=roles.drop)
    clients = {"sts": speaking(engine, "sts", roles.api), "dynamodb": world.aws.dynamodb}
    given = inbox_credentials(Wiring(settings, clients=clients), OWN)
    assert (given["bucket"], given["prefix"]) == (BUCKET, f"inbox/{OWN}/")
    names = {"access_key_id": "AccessKeyId", "secret_access_key": "SecretAccessKey", "session_token": "SessionToken"}
    return speaking(engine, "s3", {names[name]: given[name] for name in names})


def refused(call: Callable[[], Any]) -> None:
    with pytest.raises(ClientError) as told:
        call()
    assert told.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_a_requester_drops_reads_and_lists_in_their_own_inbox(dropper: Any) -> None:
    put = dropper.put_object(Bucket=BUCKET, Key=f"inbox/{OWN}/a/batch.csv", Body=b"id\n1\n")
    assert put["VersionId"]
    assert dropper.get_object(Bucket=BUCKET, Key=f"inbox/{OWN}/a/batch.csv")["Body"].read() == b"id\n1\n"
    assert dropper.list_objects_v2(Bucket=BUCKET, Prefix=f"inbox/{OWN}/")["KeyCount"] == 1


@pytest.mark.parametrize(
    "key", [f"inbox/{OTHER}/x.yaml", f"inbox/{OWN}2/x.yaml", "inbox/x.yaml", f"uploads/{OWN}/b1/x.csv", "x.yaml"]
)
def test_under_any_other_prefix_they_are_refused(engine: Engine, dropper: Any, key: str) -> None:
    engine.client("s3").put_object(Bucket=BUCKET, Key=key, Body=b"theirs")
    refused(lambda: dropper.put_object(Bucket=BUCKET, Key=key, Body=b"mine"))
    refused(lambda: dropper.get_object(Bucket=BUCKET, Key=key))
    assert engine.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"theirs"


def test_they_list_nobody_elses_inbox_and_delete_nothing(dropper: Any) -> None:
    dropper.put_object(Bucket=BUCKET, Key=f"inbox/{OWN}/kept", Body=b"")
    refused(lambda: dropper.list_objects_v2(Bucket=BUCKET, Prefix=f"inbox/{OTHER}/"))
    refused(lambda: dropper.list_objects_v2(Bucket=BUCKET, Prefix="inbox/"))
    refused(lambda: dropper.list_objects_v2(Bucket=BUCKET))
    refused(lambda: dropper.delete_object(Bucket=BUCKET, Key=f"inbox/{OWN}/kept"))


def test_without_the_session_policy_the_role_would_reach_every_inbox(engine: Engine, roles: Roles) -> None:
    sts = speaking(engine, "sts", roles.api)
    held = sts.assume_role(RoleArn=roles.drop, RoleSessionName="wide")["Credentials"]
    speaking(engine, "s3", held).put_object(Bucket=BUCKET, Key=f"inbox/{OTHER}/wide.yaml", Body=b"")


def test_the_role_is_handed_out_by_the_api_alone(engine: Engine, roles: Roles) -> None:
    iam = engine.client("iam")
    iam.create_user(UserName="stranger")
    key = iam.create_access_key(UserName="stranger")["AccessKey"]
    iam.put_user_policy(UserName="stranger", PolicyName="p", PolicyDocument=allowing("sts:*", "*"))
    refused(lambda: speaking(engine, "sts", key).assume_role(RoleArn=roles.drop, RoleSessionName="stranger"))
