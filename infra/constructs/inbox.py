"""Publishing by a drop: the inbox prefix of the uploads bucket, what starts when a spec arrives, and who may drop."""

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.constructs.api import RequesterApi
from infra.constructs.function import (
    CHANGE,
    ENTRIES_APPEND,
    READ,
    Allow,
    Function,
    FunctionSpec,
    Shared,
    output,
)
from infra.constructs.queue import DeadLetterQueue
from infra.constructs.tasks import Import
from infra.constructs.workflow import Workflow
from infra.nag import explain_wildcard
from infra.stacks.stateful import StatefulStack
from smallpeck.runtime.settings import Settings

INBOX_PREFIX = "inbox/"
SPEC_KEYS = tuple(f"{INBOX_PREFIX}*{ending}" for ending in (".yaml", ".yml", ".json"))
_NAMED_BY_REQUESTER = "Requesters name what they drop; the prefix is all that a role can know."
_BESIDE_THE_SPEC = "A report is named after its spec; the ending keeps this function from writing anything else."


class Inbox(Construct):
    """A dropped spec becomes a batch: the function, the workflow around the import, and the rule that starts it."""

    def __init__(
        self, scope: Construct, construct_id: str, *, shared: Shared, state: StatefulStack, imports: Import
    ) -> None:
        super().__init__(scope, construct_id)
        dropped = state.objects(state.uploads, INBOX_PREFIX)
        reports = f"{dropped}.report.json"
        self.function = Function(
            self,
            "Function",
            shared=shared,
            spec=FunctionSpec(
                name="inbox_open",
                memory_mb=1_024,
                timeout_seconds=60,
                tables={"platform": (*READ, *CHANGE), "ledger": ENTRIES_APPEND},
                settings={"fee_basis_points": shared.stage.fee_basis_points},
                allow=(
                    Allow(("s3:GetObject", "s3:GetObjectVersion"), (dropped,), _NAMED_BY_REQUESTER),
                    # Without it a version that is gone looks like one that may not be read.
                    Allow(("s3:ListBucket", "s3:ListBucketVersions"), (state.uploads.bucket_arn,)),
                    Allow(("s3:PutObject",), (reports,), _BESIDE_THE_SPEC),
                ),
            ),
        )
        self.workflow = Workflow(
            self,
            "Workflow",
            shared=shared,
            name="inbox",
            functions={"InboxOpen": self.function},
            values={"ImportMachine": imports.workflow.machine.state_machine_arn},
            allow=imports.workflow.run_to_the_end(),
        )
        self._start_on_drop(shared, state)

    def _start_on_drop(self, shared: Shared, state: StatefulStack) -> None:
        missed = DeadLetterQueue(self, "DropDeadLetters", name="Drop", alarms=shared.alarms)
        rule = events.Rule(
            self,
            "Dropped",
            description="A spec has arrived in an inbox",
            event_pattern=events.EventPattern(
                source=["aws.s3"],
                detail_type=["Object Created"],
                detail={
                    "bucket": {"name": [state.uploads.bucket_name]},
                    "object": {"key": [{"wildcard": key} for key in SPEC_KEYS]},
                },
            ),
        )
        rule.add_target(
            targets.SfnStateMachine(
                self.workflow.machine,
                input=events.RuleTargetInput.from_object(
                    {
                        "bucket": events.EventField.from_path("$.detail.bucket.name"),
                        "key": events.EventField.from_path("$.detail.object.key"),
                        "version_id": events.EventField.from_path("$.detail.object.version-id"),
                    }
                ),
                dead_letter_queue=missed.queue,
                retry_attempts=24,
                max_event_age=Duration.hours(6),
            )
        )


class InboxDrop(Construct):
    """The role that requesters drop with, each within their own prefix: `requester_api` hands it out for an hour."""

    def __init__(self, scope: Construct, construct_id: str, *, state: StatefulStack, requester: RequesterApi) -> None:
        super().__init__(scope, construct_id)
        dropped = state.objects(state.uploads, INBOX_PREFIX)
        self.role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ArnPrincipal(requester.function.role.role_arn),
            description="Narrowed to one requester's inbox by the policy of each session",
            max_session_duration=Duration.hours(1),
            inline_policies={
                "Own": iam.PolicyDocument(
                    statements=[
                        iam.PolicyStatement(actions=["s3:GetObject", "s3:PutObject"], resources=[dropped]),
                        iam.PolicyStatement(
                            actions=["s3:ListBucket"],
                            resources=[state.uploads.bucket_arn],
                            conditions={"StringLike": {"s3:prefix": f"{INBOX_PREFIX}*"}},
                        ),
                    ]
                )
            },
        )
        explain_wildcard(self.role, dropped, "Each session's own policy narrows it to one requester's prefix.")
        # Beside the function's role and not in it: this role names that one in its trust, so that one comes first.
        iam.Policy(
            self,
            "HandOut",
            roles=[requester.function.role],
            statements=[iam.PolicyStatement(actions=["sts:AssumeRole"], resources=[self.role.role_arn])],
        )
        for name, value in Settings.environment(inbox_role_arn=self.role.role_arn).items():
            requester.function.function.add_environment(name, value)
        output(self, "InboxRoleArn", self.role.role_arn)
