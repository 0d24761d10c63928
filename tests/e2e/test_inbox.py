"""A batch is published by two files in S3, on the deployed platform: rule, workflow, import and all."""

import json
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from cli.wait import until
from smallpeck.runtime.inboxes import inbox_credentials
from smallpeck.runtime.settings import Settings
from smallpeck.runtime.wiring import Wiring
from tests.e2e.market import PATIENCE_SECONDS, Market, csv_file, csv_rows

SPEC = """
title: Cat or dog?
instructions: Look.
price: "0.50"
answer_schema: {{enum: [cat, dog]}}
data: {{key: pictures/batch.csv, version_id: "{version}"}}
publish: {publish}
"""


class Dropper:
    """S3 as one requester reaches it."""

    def __init__(self, market: Market, requester_id: str) -> None:
        platform = market.platform
        settings = Settings(
            stage="local",
            platform_table=platform.deployment.output("PlatformTableName"),
            uploads_bucket=platform.deployment.output("UploadsBucketName"),
            inbox_role_arn=platform.deployment.output("InboxRoleArn"),
        )
        clients = {name: platform.engine.client(name) for name in ("sts", "dynamodb")}
        given = inbox_credentials(Wiring(settings, clients=clients), requester_id)
        self.bucket, self.prefix = given["bucket"], given["prefix"]
        self.s3: Any = boto3.client(
            "s3",
            endpoint_url=platform.engine.url,
            region_name=platform.engine.region,
            aws_access_key_id=given["access_key_id"],
            aws_secret_access_key=given["secret_access_key"],
            aws_session_token=given["session_token"],
            config=Config(s3={"addressing_style": "path"}),
        )

    def put(self, name: str, body: bytes) -> str:
        """The version that it became."""
        version: str = self.s3.put_object(Bucket=self.bucket, Key=self.prefix + name, Body=body)["VersionId"]
        return version

    def report(self, name: str) -> Any:
        """The report beside a spec, once it is there."""

        def read() -> Any:
            try:
                answer = self.s3.get_object(Bucket=self.bucket, Key=f"{self.prefix}{name}.report.json")
            except ClientError:
                return None
            return json.loads(answer["Body"].read())

        return until(read, what="the report", seconds=PATIENCE_SECONDS, every=0.2)


def test_two_files_in_an_inbox_are_a_published_batch_with_its_report(market: Market) -> None:
    requester = market.person("requester")
    requester.post("/deposits", {"amount": "100.00"})
    dropper = Dropper(market, requester.get("/account")["requester_id"])
    version = dropper.put("pictures/batch.csv", csv_file(csv_rows(7)))

    dropper.put("pictures/batch.yaml", SPEC.format(version=version, publish="true").encode())

    report = dropper.report("pictures/batch.yaml")
    assert (report["state"], report["rows"]["accepted"], report["cost"]) == ("published", 7, "10.50"), report
    batch = requester.get(f"/batches/{report['batch_id']}")
    assert (batch["state"], batch["task_count"]) == ("active", 7)
    assert requester.get("/account")["available"] == "89.50"


def test_what_is_wrong_with_a_spec_stands_beside_it(market: Market) -> None:
    requester = market.person("requester")
    dropper = Dropper(market, requester.get("/account")["requester_id"])

    dropper.put("batch.yaml", SPEC.format(version="unknown", publish="maybe").encode())
    dropper.put("other.yaml", SPEC.format(version="unknown", publish="true").encode())

    wrong, missing = dropper.report("batch.yaml"), dropper.report("other.yaml")
    assert [(one["pointer"], one["line"]) for one in wrong["problems"]] == [("/publish", 7)]
    assert [one["code"] for one in missing["problems"]] == ["file_gone"]
    assert {one["state"] for one in (wrong, missing)} == {"refused"}
