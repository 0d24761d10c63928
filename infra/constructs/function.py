"""The one way a Lambda function is made: its own role, its own log, a published version, and the alias `live`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from aws_cdk import CfnOutput, Duration, RemovalPolicy, Size, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.constructs.alarms import Alarms
from infra.nag import explain, explain_wildcard
from infra.packaging import Target
from infra.stages import Stage
from smallpeck.runtime.settings import Settings
from smallpeck.table import keys

ALIAS = "live"

# What a function does with a table, by the operations of `smallpeck.table.client`. Nothing deletes items.
READ = ("GetItem", "BatchGetItem", "Query")
CHANGE = ("PutItem", "UpdateItem", "ConditionCheckItem")
BULK = ("BatchWriteItem",)
SCAN = ("Scan",)
# The ledger's own: an entry is put on condition of its absence and found again by its id; statements list its rows.
ENTRIES_APPEND = ("GetItem", "PutItem", "ConditionCheckItem")
STATEMENTS = ("Query",)


def function_name(stage: Stage, name: str) -> str:
    """The physical name of a function: known before it stands."""
    return f"small-peck-{stage.name}-{name.replace('_', '-')}"


def log_retention(stage: Stage) -> logs.RetentionDays:
    """How long this stage keeps logs."""
    return {1: logs.RetentionDays.ONE_DAY, 7: logs.RetentionDays.ONE_WEEK, 90: logs.RetentionDays.THREE_MONTHS}[
        stage.log_retention_days
    ]


@dataclass(frozen=True)
class Allow:
    """One statement of a role. Where a resource holds a `*`, `because` says why it cannot be narrower."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    because: str = ""
    only_where: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    """Conditions of the statement, as IAM spells them."""


def statements(allows: Iterable[Allow]) -> iam.PolicyDocument:
    """The policy that a role has inline."""
    return iam.PolicyDocument(
        statements=[
            iam.PolicyStatement(
                actions=list(allow.actions), resources=list(allow.resources), conditions=allow.only_where or None
            )
            for allow in allows
        ]
    )


def explain_wildcards(role: Construct, allows: Iterable[Allow]) -> None:
    """Pass on the reasons for wildcards; one without a reason stays a finding."""
    for allow in allows:
        for resource in allow.resources:
            if "*" in resource and allow.because:
                explain_wildcard(role, resource, allow.because)


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What every function of a stage is made with."""

    stage: Stage
    target: Target
    core: lambda_.ILayerVersion
    vendor: lambda_.ILayerVersion
    science: lambda_.ILayerVersion
    rails: lambda_.ILayerVersion
    tables: Mapping[str, dynamodb.ITableV2]
    alarms: Alarms


@dataclass(frozen=True, kw_only=True)
class FunctionSpec:
    """What one function is: its folder, its size, what it is told and what it may do."""

    name: str
    memory_mb: int
    timeout_seconds: int
    tables: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Table -> DynamoDB actions. A function is told the names of exactly these tables."""
    settings: Mapping[str, str | int] = field(default_factory=dict)
    """Fields of `smallpeck.runtime.settings.Settings` besides those that all functions have."""
    allow: Sequence[Allow] = ()
    disk_mb: int = 512
    """What it may write beside what it holds in memory."""
    vendor: bool = True
    """Whether it loads third-party packages."""
    science: bool = False
    """Whether it calculates with whole batches: numpy is in a layer of its own, so that nobody else carries it."""
    rails: bool = False
    """Whether it speaks to payment providers through packages of theirs, which are in a layer of their own too."""


class Function(Construct):
    """A function of `functions/`. Everything that calls it calls `live`."""

    def __init__(self, scope: Construct, construct_id: str, *, shared: Shared, spec: FunctionSpec) -> None:
        super().__init__(scope, construct_id)
        self._shared, self.spec = shared, spec
        stage = shared.stage
        log_group = logs.LogGroup(self, "Log", retention=log_retention(stage), removal_policy=RemovalPolicy.DESTROY)
        self.role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            inline_policies={"Own": self._policy(log_group)},
        )
        self.function = lambda_.Function(
            self,
            "Function",
            function_name=function_name(stage, spec.name),
            runtime=shared.target.runtime,
            architecture=shared.target.architecture,
            handler=f"functions.{spec.name}.handler.handler",
            code=shared.target.function_code(spec.name),
            layers=self._layers(),
            role=self.role,
            log_group=log_group,
            memory_size=spec.memory_mb,
            ephemeral_storage_size=Size.mebibytes(spec.disk_mb),
            timeout=Duration.seconds(spec.timeout_seconds),
            tracing=lambda_.Tracing.ACTIVE,
            environment=self._environment(),
            current_version_options=lambda_.VersionOptions(
                removal_policy=RemovalPolicy.RETAIN if stage.retain else RemovalPolicy.DESTROY
            ),
        )
        self.live = lambda_.Alias(self, "Live", alias_name=ALIAS, version=self.function.current_version)
        shared.alarms.function(spec.name, self.function)
        explain_wildcards(self.role, spec.allow)
        explain(
            self.role,
            {"AwsSolutions-IAM5[Resource::*]": "X-Ray's write actions know no resources."},
        )
        explain(
            self.function,
            {"AwsSolutions-L1": "The vendor layer is locked and built for one Python; a newer one is a new lock."},
        )

    def _layers(self) -> list[lambda_.ILayerVersion]:
        shared, spec = self._shared, self.spec
        return [
            shared.core,
            *([shared.vendor] if spec.vendor else []),
            *([shared.science] if spec.science else []),
            *([shared.rails] if spec.rails else []),
        ]

    def _environment(self) -> dict[str, str]:
        names = {f"{table}_table": self._shared.tables[table].table_name for table in self.spec.tables}
        return Settings.environment(
            stage=self._shared.stage.name, log_level=self._shared.stage.log_level, **names, **self.spec.settings
        )

    def _policy(self, log_group: logs.LogGroup) -> iam.PolicyDocument:
        log = Allow(("logs:CreateLogStream", "logs:PutLogEvents"), (log_group.log_group_arn,))
        tables = [self._on_table(name, actions) for name, actions in self.spec.tables.items()]
        return statements((log, *tables, *self.spec.allow))

    def _on_table(self, name: str, actions: Sequence[str]) -> Allow:
        arn = self._shared.tables[name].table_arn
        indexes = keys.INDEXES if name == "platform" and "Query" in actions else ()
        return Allow(
            tuple(f"dynamodb:{action}" for action in actions),
            (arn, *(f"{arn}/index/{index}" for index in indexes)),
        )


def output(scope: Construct, name: str, value: str) -> None:
    """An output under exactly this name, wherever in the stack it is made."""
    CfnOutput(Stack.of(scope), name, value=value)
