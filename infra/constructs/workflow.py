"""The one way a Step Functions workflow is made: from its file, with its own role, log and alarm."""

import json
import re
from collections.abc import Mapping, Sequence

from aws_cdk import ArnFormat, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as stepfunctions
from constructs import Construct

from infra.constructs.function import Allow, Function, Shared, explain_wildcards, log_retention, statements
from infra.nag import explain, explain_wildcard
from infra.packaging import WORKFLOWS, MissingPart

_SUBSTITUTION = re.compile(r"\$\{([A-Za-z0-9_]+)\}")


def substitutions(definition: str) -> frozenset[str]:
    """The names that a definition wants filled in."""
    return frozenset(_SUBSTITUTION.findall(definition))


class Workflow(Construct):
    """A standard state machine of `infra/workflows/`. `${Name}` in its file is the function or value of that name."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        shared: Shared,
        name: str,
        functions: Mapping[str, Function],
        values: Mapping[str, str] | None = None,
        allow: Sequence[Allow] = (),
        maps_in_children: bool = False,
    ) -> None:
        super().__init__(scope, construct_id)
        arns = {key: function.live.function_arn for key, function in functions.items()}
        self._machine_name = machine_name = f"small-peck-{shared.stage.name}-{name.replace('_', '-')}"
        self.role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("states.amazonaws.com"),
            inline_policies={"Own": statements((Allow(("lambda:InvokeFunction",), tuple(arns.values())), *allow))},
        )
        self.machine = stepfunctions.StateMachine(
            self,
            "Machine",
            state_machine_name=machine_name,
            state_machine_type=stepfunctions.StateMachineType.STANDARD,
            definition_body=stepfunctions.DefinitionBody.from_string(_definition(name)),
            definition_substitutions=arns | dict(values or {}),
            role=self.role,
            tracing_enabled=True,
            logs=stepfunctions.LogOptions(
                destination=logs.LogGroup(
                    self,
                    "Log",
                    log_group_name=f"/aws/vendedlogs/states/{machine_name}",
                    retention=log_retention(shared.stage),
                    removal_policy=RemovalPolicy.DESTROY,
                ),
                level=stepfunctions.LogLevel.ERROR,
                include_execution_data=False,
            ),
        )
        self._executions = [self._named_executions(children) for children in ("/*", ":*")]
        if maps_in_children:
            self._start_children()
        shared.alarms.workflow("".join(word.capitalize() for word in name.split("_")), self.machine)
        explain_wildcards(self.role, allow)
        explain(
            self.role,
            {
                "AwsSolutions-IAM5[Resource::*]": "Log delivery and X-Ray know no resources; the CDK lists exactly "
                "the actions that Step Functions documents for them."
            },
        )
        explain(
            self.machine,
            {
                "AwsSolutions-SF1": "Only errors are logged: an execution's input and output hold what people "
                "uploaded, and its history keeps every event for 90 days anyway."
            },
        )

    def run_to_the_end(self) -> tuple[Allow, ...]:
        """What another workflow's role needs to run this one and wait for its end."""
        waiting = Stack.of(self).format_arn(
            service="events",
            resource="rule",
            resource_name="StepFunctionsGetEventsForStepFunctionsExecutionRule",
        )
        return (
            Allow(("states:StartExecution",), (self.machine.state_machine_arn,)),
            Allow(
                ("states:DescribeExecution", "states:StopExecution"),
                (self._executions[1],),
                "The executions of a workflow get their names when they start.",
            ),
            Allow(("events:PutTargets", "events:PutRule", "events:DescribeRule"), (waiting,)),
        )

    def _named_executions(self, children: str) -> str:
        # A child's ARN is that of the machine's executions with the map's label in between.
        return Stack.of(self).format_arn(
            service="states",
            resource="execution",
            resource_name=f"{self._machine_name}{children}",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )

    def _start_children(self) -> None:
        # Beside the role and not in it: the machine needs the role first, and this policy needs the machine.
        arn, executions = self.machine.state_machine_arn, self._executions
        policy = iam.Policy(
            self,
            "Children",
            roles=[self.role],
            statements=[
                iam.PolicyStatement(actions=["states:StartExecution"], resources=[arn]),
                iam.PolicyStatement(actions=["states:DescribeExecution", "states:StopExecution"], resources=executions),
            ],
        )
        for resource in executions:
            explain_wildcard(policy, resource, "The executions of a map's children get their names when they start.")


def _definition(name: str) -> str:
    path = WORKFLOWS / f"{name}.asl.json"
    if not path.is_file():
        raise MissingPart(f"infra/workflows/{path.name} is missing")
    text = path.read_text()
    return json.dumps(json.loads(text), separators=(",", ":"))
