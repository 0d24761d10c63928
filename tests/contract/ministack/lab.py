"""What the emulator's contract tests share: small pieces of AWS, made and observed in a line."""

import http.client
import io
import itertools
import json
import textwrap
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cli.wait import until
from local.engine import HOST, Engine

ROLE = "arn:aws:iam::000000000000:role/anyone"
RUNTIME = "python3.11"

WITNESS = """
    import json, os
    import boto3
    sqs = boto3.client("sqs")

    def handler(event, context):
        sqs.send_message(QueueUrl=os.environ["WITNESS"], MessageBody=json.dumps(event))
        return {"seen": True}
"""
"""A function that sends every event it gets to the queue in WITNESS."""


def zipped(files: Mapping[str, str]) -> bytes:
    """A zip with these text files."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, textwrap.dedent(text))
    return held.getvalue()


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back over HTTP."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


class Lab:
    """One emulator and short ways to use it. Names are never used twice, so tests do not meet."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._numbers = itertools.count(1)

    def client(self, service: str) -> Any:
        """A boto3 client of the emulator."""
        return self.engine.client(service)

    def name(self, what: str) -> str:
        """A name nobody else has."""
        return f"{what}-{next(self._numbers)}"

    def ask(
        self, url: str, *, method: str = "GET", body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One HTTP request, whatever the status of its answer. Names of headers come in lower case."""
        path = url.removeprefix(self.engine.url)
        connection = http.client.HTTPConnection(HOST, self.engine.port, timeout=30)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            told = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(status=answer.status, headers=told, body=answer.read())
        finally:
            connection.close()

    def function(
        self,
        code: str,
        *,
        layers: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        timeout: int = 20,
        reserved: int | None = None,
    ) -> str:
        """A function of one module, published, behind the alias `live`. Returns the alias's ARN."""
        functions, name = self.client("lambda"), self.name("function")
        functions.create_function(
            FunctionName=name,
            Runtime=RUNTIME,
            Role=ROLE,
            Handler="index.handler",
            Code={"ZipFile": zipped({"index.py": code})},
            Layers=list(layers),
            Timeout=timeout,
            Environment={"Variables": dict(environment or {})},
        )
        if reserved is not None:
            functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=reserved)
        version = functions.publish_version(FunctionName=name)["Version"]
        alias: str = functions.create_alias(FunctionName=name, Name="live", FunctionVersion=version)["AliasArn"]
        return alias

    def layer(self, files: Mapping[str, str], *, name: str | None = None) -> str:
        """A layer with these files. Returns the ARN of its version."""
        published = self.client("lambda").publish_layer_version(
            LayerName=name or self.name("layer"), Content={"ZipFile": zipped(files)}
        )
        arn: str = published["LayerVersionArn"]
        return arn

    def invoke(self, function: str, event: Any = None) -> Any:
        """What the function answers; its error's payload if it fails."""
        answer = self.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event).encode())
        return json.loads(answer["Payload"].read())

    def queue(self, **attributes: str) -> tuple[str, str]:
        """A queue: its URL and its ARN."""
        sqs = self.client("sqs")
        url = sqs.create_queue(QueueName=self.name("queue"), Attributes=attributes)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        return url, arn

    def take(self, url: str) -> list[dict[str, Any]]:
        """Take and delete what the queue holds now."""
        sqs = self.client("sqs")
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"])
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        for message in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return messages

    def hear(self, url: str, count: int = 1, *, seconds: float = 30.0) -> list[Any]:
        """Wait until the queue has given `count` JSON messages; return them."""
        heard: list[Any] = []

        def enough() -> bool:
            heard.extend(json.loads(message["Body"]) for message in self.take(url))
            return len(heard) >= count

        until(enough, what=f"{count} messages", seconds=seconds)
        return heard

    def table(self, *, stream: bool = False, index: bool = False) -> str:
        """A table keyed by pk and sk, with an index by g and h if asked."""
        letters = "gh" if index else ""
        extra: dict[str, Any] = {}
        if stream:
            extra["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
        if index:
            keys = [{"AttributeName": "g", "KeyType": "HASH"}, {"AttributeName": "h", "KeyType": "RANGE"}]
            extra["GlobalSecondaryIndexes"] = [
                {"IndexName": "by-g", "KeySchema": keys, "Projection": {"ProjectionType": "KEYS_ONLY"}}
            ]
        created = self.client("dynamodb").create_table(
            TableName=self.name("table"),
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", *letters)],
            KeySchema=[
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            **extra,
        )
        name: str = created["TableDescription"]["TableName"]
        return name

    def bucket(self, *, eventbridge: bool = False) -> str:
        """A versioned bucket."""
        s3, name = self.client("s3"), self.name("bucket")
        s3.create_bucket(Bucket=name)
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        if eventbridge:
            s3.put_bucket_notification_configuration(
                Bucket=name, NotificationConfiguration={"EventBridgeConfiguration": {}}
            )
        return name

    def machine(self, states: Mapping[str, Any], *, start: str | None = None) -> str:
        """A state machine that starts at the first of these states."""
        definition = {"StartAt": start or next(iter(states)), "States": states}
        arn: str = self.client("stepfunctions").create_state_machine(
            name=self.name("machine"), definition=json.dumps(definition), roleArn=ROLE
        )["stateMachineArn"]
        return arn

    def ended(self, execution: str, *, seconds: float = 30.0) -> dict[str, Any]:
        """The execution's description, once it has ended."""

        def description() -> dict[str, Any] | None:
            told: dict[str, Any] = self.client("stepfunctions").describe_execution(executionArn=execution)
            return None if told["status"] == "RUNNING" else told

        return until(description, what="the end of the execution", seconds=seconds)

    def run(self, machine: str, event: Any = None) -> Any:
        """Run the machine to its end: its output if it succeeds, else its error's name."""
        started = self.client("stepfunctions").start_execution(stateMachineArn=machine, input=json.dumps(event or {}))
        told = self.ended(started["executionArn"])
        return json.loads(told["output"]) if told["status"] == "SUCCEEDED" else told.get("error")

    def stack(self, resources: Mapping[str, Any], *, name: str | None = None) -> dict[str, str]:
        """Create a stack; returns the physical ids by logical id."""
        cloudformation, stack = self.client("cloudformation"), name or self.name("stack")
        cloudformation.create_stack(StackName=stack, TemplateBody=json.dumps({"Resources": resources}))
        self.settled(stack, "CREATE_COMPLETE")
        told = cloudformation.describe_stack_resources(StackName=stack)["StackResources"]
        return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in told}

    def settled(self, stack: str, wanted: str) -> None:
        """Wait until the stack is no longer in progress, and check how it ended."""

        def status() -> str | None:
            told = self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
            return None if told["StackStatus"].endswith("_IN_PROGRESS") else str(told["StackStatus"])

        assert until(status, what=f"stack {stack}") == wanted
