"""Money that leaves: the payout run, and the schedule that starts it."""

from aws_cdk import CfnParameter, Duration, Stack, TimeZone
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as scheduler_targets
from constructs import Construct

from infra.constructs.function import (
    CHANGE,
    ENTRIES_APPEND,
    READ,
    Allow,
    Function,
    FunctionSpec,
    Shared,
)
from infra.constructs.queue import DeadLetterQueue
from infra.constructs.workflow import Workflow
from infra.stacks.stateful import StatefulStack

SIGNALS = {
    "PayoutFrozen": "a payout run stopped in the middle; its members wait for a person",
    "PayoutStuck": "a payout's outcome is unknown and it is too late to ask again",
    "PayoutsUnresolved": "a payout run ended with outcomes still unknown",
    "RailTotalsDiffer": "what the provider says it paid is not what the books say",
}
"""What the payout run counts when a person is needed -> what that means."""


class Payouts(Construct):
    """`payout_run` and its workflow. Nothing else knows the payout provider."""

    def __init__(self, scope: Construct, construct_id: str, *, shared: Shared, state: StatefulStack) -> None:
        super().__init__(scope, construct_id)
        # A parameter and not context: the local run knows its provider's port only after synthesis.
        gateway_url = CfnParameter(
            Stack.of(self),
            "GatewayUrl",
            default=shared.stage.gateway_url,
            description="Where the payout provider answers; without it no payout run starts",
        )
        self.payout_run = Function(
            self,
            "PayoutRun",
            shared=shared,
            spec=FunctionSpec(
                name="payout_run",
                memory_mb=512,
                timeout_seconds=300,
                tables={
                    "platform": (*READ, *CHANGE),
                    "ledger": ENTRIES_APPEND,
                    "people": ("GetItem",),
                    "keys": ("GetItem",),
                },
                settings={
                    "data_key_arn": state.data_key.key_arn,
                    "gateway_secret_arn": state.gateway_secret.secret_arn,
                    "gateway_url": gateway_url.value_as_string,
                },
                allow=(
                    Allow(("kms:Decrypt",), (state.data_key.key_arn,)),
                    Allow(("secretsmanager:GetSecretValue",), (state.gateway_secret.secret_arn,)),
                ),
            ),
        )
        self.workflow = Workflow(
            self, "PayoutRunWorkflow", shared=shared, name="payout_run", functions={"PayoutRun": self.payout_run}
        )
        for name, says in SIGNALS.items():
            shared.alarms.signal(name, says=says)


class PayoutSchedule(Construct):
    """`payout_schedule` and its workflow, once a day. It asks for payouts, and has no key to where they go."""

    def __init__(self, scope: Construct, construct_id: str, *, shared: Shared, payout_run: Workflow) -> None:
        super().__init__(scope, construct_id)
        run_arn = payout_run.machine.state_machine_arn
        self.function = Function(
            self,
            "Function",
            shared=shared,
            spec=FunctionSpec(
                name="payout_schedule",
                memory_mb=1_024,
                timeout_seconds=300,
                tables={"platform": (*READ, *CHANGE), "ledger": ENTRIES_APPEND, "people": ("GetItem",)},
                settings={
                    "payout_run_arn": run_arn,
                    "payout_threshold_micros": shared.stage.payout_threshold_micros,
                    "cooling_off_seconds": shared.stage.cooling_off_seconds,
                },
                allow=(Allow(("states:StartExecution",), (run_arn,)),),
            ),
        )
        self.workflow = Workflow(
            self, "Workflow", shared=shared, name="payout_schedule", functions={"PayoutSchedule": self.function}
        )
        missed = DeadLetterQueue(self, "ScheduleDeadLetters", name="PayoutSchedule", alarms=shared.alarms)
        scheduler.Schedule(
            self,
            "Daily",
            description="Pays out what is due and what was asked for",
            schedule=scheduler.ScheduleExpression.cron(
                minute="0", hour=str(shared.stage.payout_hour_utc), time_zone=TimeZone.ETC_UTC
            ),
            target=scheduler_targets.StepFunctionsStartExecution(
                self.workflow.machine,
                # The moment it was due, however late it is delivered, or how often: all ids follow from its day.
                input=scheduler.ScheduleTargetInput.from_object(
                    {"scheduled_at": scheduler.ContextAttribute.scheduled_time}
                ),
                dead_letter_queue=missed.queue,
                retry_attempts=10,
                max_event_age=Duration.hours(6),
            ),
        )
