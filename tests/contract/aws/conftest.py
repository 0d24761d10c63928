"""Both sides of the contract: the in-memory AWS and moto, fresh for each test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tests.aws import Aws
from tests.contract.aws.tables import create

Pair = tuple[Any, Any, Any]


@pytest.fixture(scope="session", autouse=True)
def _no_account() -> Iterator[None]:
    """Nothing here may reach a real account."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "none")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "none")
        patch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


@pytest.fixture(scope="session")
def _clients(_no_account: None) -> dict[str, Any]:
    names: tuple[Any, ...] = ("dynamodb", "sqs", "s3")
    with mock_aws():
        return {name: boto3.client(name, region_name="eu-central-1") for name in names}


@pytest.fixture
def aws() -> Aws:
    """A fresh in-memory world."""
    return Aws()


@pytest.fixture
def dynamodb(aws: Aws, _clients: dict[str, Any]) -> Iterator[Pair]:
    """The two clients, each with the tables of the contract, and how to compare their answers."""
    with mock_aws():
        create(aws.dynamodb)
        create(_clients["dynamodb"])
        yield aws.dynamodb, _clients["dynamodb"], comparable


def comparable(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer of DynamoDB without what may differ: capacity, unasked metrics, order within sets."""
    result: dict[str, Any] = _plain(
        {k: v for k, v in answer.items() if k not in ("ConsumedCapacity", "ItemCollectionMetrics")}
    )
    return result


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: sorted(v) if k in ("SS", "NS", "BS") else _plain(v) for k, v in value.items()}
    return [_plain(member) for member in value] if isinstance(value, list) else value


@pytest.fixture
def sqs(aws: Aws, _clients: dict[str, Any]) -> Iterator[Pair]:
    """The two SQS clients."""
    with mock_aws():
        yield aws.sqs, _clients["sqs"], queue_comparable


def queue_comparable(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer of SQS without ids, handles, times and addresses."""
    made_up = ("MessageId", "ReceiptHandle", "SenderId", "SentTimestamp", "ApproximateFirstReceiveTimestamp")
    result: dict[str, Any] = {}
    for name, value in answer.items():
        if name in made_up or name == "Message":
            result[name] = "..."
        elif name == "QueueUrl":
            result[name] = value.rsplit("/", 1)[-1]
        elif value == []:
            continue
        elif isinstance(value, list) and isinstance(value[0], dict):
            result[name] = [queue_comparable(member) for member in value]
        elif isinstance(value, dict):
            result[name] = queue_comparable(value)
        else:
            result[name] = value
    return result


@pytest.fixture
def s3(aws: Aws, _clients: dict[str, Any]) -> Iterator[Pair]:
    """The two S3 clients, each with the bucket `plain` and the versioned bucket `kept`."""
    with mock_aws():
        for client in (aws.s3, _clients["s3"]):
            for bucket in ("plain", "kept"):
                where = {"LocationConstraint": "eu-central-1"}
                client.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
            client.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
        yield aws.s3, _clients["s3"], object_comparable


COMPARED = (
    *(
        "Body",
        "ETag",
        "ContentLength",
        "ContentRange",
        "ContentType",
        "Metadata",
        "DeleteMarker",
        "ContentEncoding",
    ),
    *("KeyCount", "IsTruncated", "CommonPrefixes", "Prefix", "MaxKeys", "Key", "Size", "Bucket"),
)


def object_comparable(answer: dict[str, Any]) -> dict[str, Any]:
    """What matters of an answer of S3; bodies are read, versions only counted as there."""
    result: dict[str, Any] = {name: answer[name] for name in COMPARED if name in answer}
    if "Body" in result:
        result["Body"] = result["Body"].read()
    if "VersionId" in answer:
        result["VersionId"] = "..."
    for name in ("Contents", "Deleted"):
        if name in answer:
            result[name] = [object_comparable(member) for member in answer[name]]
    if "CopyObjectResult" in answer:
        result["CopyObjectResult"] = object_comparable(answer["CopyObjectResult"])
    return result
