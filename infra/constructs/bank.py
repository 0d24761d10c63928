"""What the bank answers: the function that takes it in, when a file arrives and once a day."""

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as scheduler_targets
from constructs import Construct

from infra.constructs.function import CHANGE, ENTRIES_APPEND, READ, Allow, Function, FunctionSpec, Shared
from infra.constructs.payouts import list_work, mailbox_url, payout_run_arn
from infra.constructs.queue import DeadLetterQueue
from infra.stacks.stateful import StatefulStack

ANSWERS_PREFIX = "sepa/in/"
_BY_FILE = "The bank names its answers; notes are named after payment files and held answers."


class BankInbox(Construct):
    """`bank_inbox`. It reads answers and cannot write a payment file."""

    def __init__(self, scope: Construct, construct_id: str, *, shared: Shared, state: StatefulStack) -> None:
        super().__init__(scope, construct_id)
        answers, sent, held = (
            state.objects(state.work, prefix) for prefix in (ANSWERS_PREFIX, "sepa/sent/", "sepa/held/")
        )
        secret_arn = state.rail_secrets["sepa"].secret_arn
        self.function = Function(
            self,
            "Function",
            shared=shared,
            spec=FunctionSpec(
                name="bank_inbox",
                memory_mb=1_024,
                timeout_seconds=900,
                tables={"platform": (*READ, *CHANGE), "ledger": ENTRIES_APPEND},
                settings={"sepa_url": mailbox_url(shared.stage, state), "sepa_secret_arn": secret_arn},
                allow=(
                    Allow(("s3:GetObject",), (answers, sent), _BY_FILE),
                    Allow(("s3:PutObject",), (held,), _BY_FILE),
                    list_work(state, "sepa/"),
                    Allow(("secretsmanager:GetSecretValue",), (secret_arn,)),
                    Allow(("states:SendTaskSuccess",), (payout_run_arn(self, shared.stage),)),
                ),
                rails=True,
            ),
        )
        self._on_arrival(shared, state)
        self._daily(shared)

    def _on_arrival(self, shared: Shared, state: StatefulStack) -> None:
        missed = DeadLetterQueue(self, "ArrivalDeadLetters", name="BankAnswer", alarms=shared.alarms)
        rule = events.Rule(
            self,
            "Arrived",
            description="The bank has answered",
            event_pattern=events.EventPattern(
                source=["aws.s3"],
                detail_type=["Object Created"],
                detail={
                    "bucket": {"name": [state.work.bucket_name]},
                    "object": {"key": [{"prefix": ANSWERS_PREFIX}]},
                },
            ),
        )
        rule.add_target(
            targets.LambdaFunction(
                self.function.live,
                event=events.RuleTargetInput.from_object(
                    {"step": "take_in", "key": events.EventField.from_path("$.detail.object.key")}
                ),
                dead_letter_queue=missed.queue,
                retry_attempts=24,
                max_event_age=Duration.hours(6),
            )
        )

    def _daily(self, shared: Shared) -> None:
        missed = DeadLetterQueue(self, "DailyDeadLetters", name="BankInbox", alarms=shared.alarms)
        scheduler.Schedule(
            self,
            "Daily",
            description="Takes in again what the bank answered in the last days",
            schedule=scheduler.ScheduleExpression.rate(Duration.days(1)),
            target=scheduler_targets.LambdaInvoke(
                self.function.live,
                input=scheduler.ScheduleTargetInput.from_object({"step": "take_in_all"}),
                dead_letter_queue=missed.queue,
                retry_attempts=5,
                max_event_age=Duration.hours(6),
            ),
        )
