"""Deploy a cloud assembly into the emulator: the same templates that go to AWS, through CreateStack."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from cli.wait import until
from local import assembly as assemblies
from local import assets
from local.assembly import AssembledStack
from local.engine import Engine

_CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
_LONGEST_IN_A_REQUEST = 51_200
_BOOTSTRAP = {"/cdk-bootstrap/hnb659fds/version": "30"}


class DeployFailed(RuntimeError):
    """A stack was not created; the message lists the resources that failed and why."""


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """What stands after a deployment."""

    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    resources: dict[str, dict[str, str]] = field(default_factory=dict)

    def output(self, name: str) -> str:
        """The one output of that name, whatever its stack."""
        found = {stack: outputs[name] for stack, outputs in self.outputs.items() if name in outputs}
        if len(found) != 1:
            known = sorted(key for outputs in self.outputs.values() for key in outputs)
            raise KeyError(f"{len(found)} stacks have an output {name}; there are {', '.join(known)}")
        return next(iter(found.values()))


def deploy(
    engine: Engine,
    directory: Path,
    *,
    parameters: Mapping[str, str] | None = None,
    console: Console | None = None,
) -> Deployment:
    """Deploy every stack of the assembly in `directory`, in the order of their dependencies.

    `parameters` go to the stacks whose templates have them, before those that the assembly gives.
    """
    say = console or Console(stderr=True)
    assembly = assemblies.read(directory, account=engine.account, region=engine.region)
    with say.status("uploading layers and functions"):
        for name, value in _BOOTSTRAP.items():
            engine.client("ssm").put_parameter(Name=name, Value=value, Type="String", Overwrite=True)
        sent = assets.upload(assembly, s3=engine.client("s3"), region=engine.region)
    say.print(f"  assets    {len(assembly.assets)} files, {sent / 1_000_000:.0f} MB", highlight=False)
    result = Deployment()
    for stack in assembly.stacks:
        with say.status(f"creating {stack.name}"):
            _create(engine, stack, parameters or {})
            _read_back(engine, stack, result)
            _set_time_to_live(engine, stack, result.resources[stack.name])
            _set_object_locks(engine, stack, result.resources[stack.name])
        count = len(result.resources[stack.name])
        say.print(f"  {stack.name:<24} {count} resources", highlight=False)
    return result


def _create(engine: Engine, stack: AssembledStack, parameters: Mapping[str, str]) -> None:
    known = json.loads(stack.template_path.read_text()).get("Parameters", {})
    given = stack.parameters | {name: value for name, value in parameters.items() if name in known}
    cloudformation = engine.client("cloudformation")
    cloudformation.create_stack(
        StackName=stack.name,
        Capabilities=_CAPABILITIES,
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
        **_template(engine, stack),
    )

    def settled() -> str | None:
        status: str = cloudformation.describe_stacks(StackName=stack.name)["Stacks"][0]["StackStatus"]
        return None if status.endswith("_IN_PROGRESS") else status

    status = until(settled, what=f"stack {stack.name}", seconds=300, every=0.2)
    if status != "CREATE_COMPLETE":
        raise DeployFailed(f"{stack.name} is {status}\n" + "\n".join(_failures(cloudformation, stack.name)))


def _template(engine: Engine, stack: AssembledStack) -> dict[str, str]:
    body = stack.template_path.read_text()
    if len(body.encode()) <= _LONGEST_IN_A_REQUEST:
        return {"TemplateBody": body}
    bucket, key = f"cdk-hnb659fds-assets-{engine.account}-{engine.region}", f"templates/{stack.name}.json"
    s3 = engine.client("s3")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key=key, Body=body.encode())
    return {"TemplateURL": f"{engine.url}/{bucket}/{key}"}


def _failures(cloudformation: Any, stack: str) -> Iterator[str]:
    pages = cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack)
    for event in reversed([event for page in pages for event in page["StackEvents"]]):
        if event["ResourceStatus"].endswith("_FAILED"):
            reason = event.get("ResourceStatusReason", "no reason given")
            yield f"  {event['LogicalResourceId']} ({event['ResourceType']}): {reason}"


def _read_back(engine: Engine, stack: AssembledStack, result: Deployment) -> None:
    cloudformation = engine.client("cloudformation")
    described = cloudformation.describe_stacks(StackName=stack.name)["Stacks"][0]
    result.outputs[stack.name] = {one["OutputKey"]: one["OutputValue"] for one in described.get("Outputs", [])}
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack.name)
    result.resources[stack.name] = {
        one["LogicalResourceId"]: one.get("PhysicalResourceId", "")
        for page in pages
        for one in page["StackResourceSummaries"]
    }


def _set_time_to_live(engine: Engine, stack: AssembledStack, resources: dict[str, str]) -> None:
    """The emulator's CloudFormation forgets a table's TimeToLiveSpecification; say it again."""
    dynamodb = engine.client("dynamodb")
    for logical, resource in stack.template["Resources"].items():
        wanted = resource.get("Properties", {}).get("TimeToLiveSpecification")
        if not resource["Type"].startswith("AWS::DynamoDB::") or not wanted or not wanted.get("Enabled"):
            continue
        table = resources[logical]
        now = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
        if now["TimeToLiveStatus"] == "DISABLED":
            dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification=wanted)


def _set_object_locks(engine: Engine, stack: AssembledStack, resources: dict[str, str]) -> None:
    """It forgets a bucket's ObjectLockConfiguration too; the emulator's S3 keeps to one that it is told itself."""
    for logical, resource in stack.template["Resources"].items():
        wanted = resource.get("Properties", {}).get("ObjectLockConfiguration")
        if resource["Type"] == "AWS::S3::Bucket" and wanted:
            engine.client("s3").put_object_lock_configuration(Bucket=resources[logical], ObjectLockConfiguration=wanted)
