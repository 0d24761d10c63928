"""Deploying a cloud assembly: order, assets, outputs, what CloudFormation here forgets, and how failures read."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from rich.console import Console

from local import assembly
from local.assets import zip_directory
from local.deploy import DeployFailed, Deployment, deploy
from tests.contract.ministack.lab import ROLE, RUNTIME, Lab

PLACE = "cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}"
TABLE: dict[str, Any] = {
    "Type": "AWS::DynamoDB::Table",
    "Properties": {
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "TimeToLiveSpecification": {"AttributeName": "ttl", "Enabled": True},
        "DeletionProtectionEnabled": True,
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
    },
}


def _write(directory: Path, stacks: Mapping[str, Any], *, needs: Mapping[str, list[str]] | None = None) -> Path:
    """An assembly as the CDK writes it, with the directories under `files` as zipped assets of every stack."""
    artifacts: dict[str, Any] = {}
    for name, template in stacks.items():
        (directory / f"{name}.template.json").write_text(json.dumps(template))
        assets = {
            path.name: {
                "source": {"path": f"files/{path.name}", "packaging": "zip"},
                "destinations": {"here": {"bucketName": PLACE, "objectKey": f"{path.name}.zip"}},
            }
            for path in sorted((directory / "files").glob("*"))
        }
        (directory / f"{name}.assets.json").write_text(json.dumps({"files": assets}))
        artifacts[f"{name}.assets"] = {
            "type": "cdk:asset-manifest",
            "properties": {"file": f"{name}.assets.json"},
        }
        artifacts[name] = {
            "type": "aws:cloudformation:stack",
            "properties": {"templateFile": f"{name}.template.json"},
            "dependencies": [*(needs or {}).get(name, []), f"{name}.assets"],
        }
    (directory / "manifest.json").write_text(json.dumps({"artifacts": artifacts}))
    return directory


def _deploy(lab: Lab, directory: Path) -> tuple[Deployment, str]:
    told = io.StringIO()
    return deploy(lab.engine, directory, console=Console(file=told)), told.getvalue()


def test_stacks_are_created_in_order_with_their_assets_and_outputs(lab: Lab, tmp_path: Path) -> None:
    code = lab.name("asset")
    folder = tmp_path / "files" / code
    folder.mkdir(parents=True)
    (folder / "index.py").write_text("import os\ndef handler(event, context): return os.environ['TABLE']")
    data, api, export = lab.name("data"), lab.name("a-api"), lab.name("export")
    function = {
        "Runtime": RUNTIME,
        "Handler": "index.handler",
        "Role": ROLE,
        "Code": {"S3Bucket": {"Fn::Sub": PLACE}, "S3Key": f"{code}.zip"},
        "Environment": {"Variables": {"TABLE": {"Fn::ImportValue": export}}},
    }
    stacks = {
        api: {
            "Parameters": {
                "BootstrapVersion": {
                    "Type": "AWS::SSM::Parameter::Value<String>",
                    "Default": "/cdk-bootstrap/hnb659fds/version",
                }
            },
            "Resources": {"Function": {"Type": "AWS::Lambda::Function", "Properties": function}},
            "Outputs": {"FunctionName": {"Value": {"Ref": "Function"}}},
        },
        data: {
            "Resources": {"Table": TABLE},
            "Outputs": {"TableName": {"Value": {"Ref": "Table"}, "Export": {"Name": export}}},
        },
    }
    deployment, told = _deploy(lab, _write(tmp_path, stacks, needs={api: [data]}))
    assert told.index(data) < told.index(api)
    table = deployment.output("TableName")
    assert deployment.resources[data]["Table"] == table
    assert lab.invoke(deployment.output("FunctionName")) == table
    with pytest.raises(KeyError, match="there are FunctionName, TableName"):
        deployment.output("Nothing")


def test_time_to_live_is_set_after_the_deployment_because_the_template_is_not_heard(lab: Lab, tmp_path: Path) -> None:
    dynamodb = lab.client("dynamodb")
    table = lab.stack({"Table": TABLE})["Table"]
    assert dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]["TimeToLiveStatus"] == "DISABLED"
    name = lab.name("stack")
    deployment, _ = _deploy(lab, _write(tmp_path, {name: {"Resources": {"Table": TABLE}}}))
    told = dynamodb.describe_time_to_live(TableName=deployment.resources[name]["Table"])["TimeToLiveDescription"]
    assert told == {"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"}


def test_a_lock_is_set_after_the_deployment_because_the_template_is_not_heard(lab: Lab, tmp_path: Path) -> None:
    s3, name = lab.client("s3"), lab.name("stack")
    retention = {"Mode": "COMPLIANCE", "Days": 1}
    bucket = {
        "Type": "AWS::S3::Bucket",
        "Properties": {
            "VersioningConfiguration": {"Status": "Enabled"},
            "ObjectLockEnabled": True,
            "ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": retention}},
        },
    }
    forgotten = lab.stack({"Bucket": bucket})["Bucket"]
    with pytest.raises(ClientError, match="ObjectLockConfigurationNotFound"):
        s3.get_object_lock_configuration(Bucket=forgotten)

    deployment, _ = _deploy(lab, _write(tmp_path, {name: {"Resources": {"Bucket": bucket}}}))

    locked = deployment.resources[name]["Bucket"]
    told = s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"]
    assert told["Rule"]["DefaultRetention"] == retention
    version = s3.put_object(Bucket=locked, Key="k", Body=b"x", IfNoneMatch="*", ChecksumAlgorithm="SHA256")["VersionId"]
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(Bucket=locked, Key="k", VersionId=version, BypassGovernanceRetention=True)


def test_recovery_of_tables_is_not_heard_either(lab: Lab) -> None:
    """It is proven over the template."""
    dynamodb, table = lab.client("dynamodb"), lab.stack({"Table": TABLE})["Table"]
    assert dynamodb.describe_table(TableName=table)["Table"]["DeletionProtectionEnabled"]
    backups = dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "DISABLED"


def test_a_stack_that_fails_names_the_resource_and_the_reason(lab: Lab, tmp_path: Path) -> None:
    endless = {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": 9_999_999}}
    with pytest.raises(DeployFailed, match=r"(?s)ROLLBACK.*Endless \(AWS::SQS::Queue\): .*VisibilityTimeout"):
        _deploy(lab, _write(tmp_path, {lab.name("stack"): {"Resources": {"Endless": endless}}}))


def test_much_that_aws_would_refuse_is_created(lab: Lab) -> None:
    """A deployment that succeeds here proves that the parts fit, not that each of them is valid."""
    broken = {"StartAt": "Nowhere", "States": {"Here": {"Type": "Pass", "Next": "Gone"}}}
    machine = {"RoleArn": ROLE, "DefinitionString": json.dumps(broken)}
    alias = {"FunctionName": "no-such-function", "FunctionVersion": "1", "Name": "live"}
    lab.stack(
        {
            "Machine": {"Type": "AWS::StepFunctions::StateMachine", "Properties": machine},
            "Alias": {"Type": "AWS::Lambda::Alias", "Properties": alias},
        }
    )


def test_code_that_is_not_there_is_not_missed_until_the_function_is_invoked(lab: Lab) -> None:
    """So `deploy` uploads every asset before the first stack."""
    function = {
        "Runtime": RUNTIME,
        "Handler": "index.handler",
        "Role": ROLE,
        "Code": {"S3Bucket": "no-such-bucket", "S3Key": "code.zip"},
    }
    made = lab.stack({"Function": {"Type": "AWS::Lambda::Function", "Properties": function}})
    assert "Mock response" in lab.invoke(made["Function"])["body"]


def test_a_type_the_emulator_does_not_know_is_refused_before_anything_is_made(lab: Lab) -> None:
    """The local stage has to leave these out."""
    for kind in ("AWS::CloudWatch::CompositeAlarm", "AWS::Budgets::Budget", "AWS::WAFv2::WebACLAssociation"):
        with pytest.raises(ClientError, match=f"Unrecognized resource types.*{kind}"):
            lab.stack({"Unknown": {"Type": kind, "Properties": {}}, "Table": TABLE})


def test_what_watches_and_protects_deploys(lab: Lab) -> None:
    alarm = {
        "MetricName": "Errors",
        "Namespace": "AWS/Lambda",
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 1,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
    }
    bucket = {
        "ObjectLockEnabled": True,
        "VersioningConfiguration": {"Status": "Enabled"},
        "ObjectLockConfiguration": {
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 30}},
        },
    }
    made = lab.stack(
        {
            "Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": alarm},
            "Dashboard": {
                "Type": "AWS::CloudWatch::Dashboard",
                "Properties": {"DashboardBody": '{"widgets": []}'},
            },
            "Locked": {"Type": "AWS::S3::Bucket", "Properties": bucket},
            "Topic": {"Type": "AWS::SNS::Topic"},
            "Log": {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 30}},
        }
    )
    assert lab.client("cloudwatch").describe_alarms(AlarmNames=[made["Alarm"]])["MetricAlarms"]
    with pytest.raises(ClientError, match="ObjectLockConfigurationNotFound"):  # accepted, then not heard
        lab.client("s3").get_object_lock_configuration(Bucket=made["Locked"])


def test_a_template_too_long_for_a_request_goes_through_the_bucket(lab: Lab, tmp_path: Path) -> None:
    name, topics = lab.name("stack"), {f"Topic{number}": {"Type": "AWS::SNS::Topic"} for number in range(40)}
    padding = {"Padding": {"Value": "x" * 60_000}}
    deployment, _ = _deploy(lab, _write(tmp_path, {name: {"Resources": topics, "Metadata": padding}}))
    assert len(deployment.resources[name]) == 40


def test_a_broken_assembly_is_refused(tmp_path: Path) -> None:
    def read() -> object:
        return assembly.read(tmp_path, account="000000000000", region="us-east-1")

    with pytest.raises(assembly.BrokenAssembly, match="nothing was synthesized"):
        read()
    _write(tmp_path, {"one": {}, "two": {}}, needs={"one": ["two"], "two": ["one"]})
    with pytest.raises(assembly.BrokenAssembly, match="one -> two -> one"):
        read()
    _write(tmp_path, {"one": {}})
    (tmp_path / "one.assets.json").write_text('{"dockerImages": {"image": {}}}')
    with pytest.raises(assembly.BrokenAssembly, match="Docker"):
        read()


def test_a_directory_zips_the_same_whatever_its_dates(tmp_path: Path) -> None:
    archives = []
    for number in (1, 2):
        folder = tmp_path / f"source{number}" / "package"
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("x = 1\n")
        (folder / "__init__.py").touch()
        archives.append(tmp_path / f"{number}.zip")
        zip_directory(folder.parent, archives[-1])
    assert archives[0].read_bytes() == archives[1].read_bytes()
