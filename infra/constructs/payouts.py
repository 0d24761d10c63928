"""Money that leaves: the payout run, and the schedule that starts it."""

from aws_cdk import ArnFormat, CfnParameter, Stack
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
from infra.constructs.schedule import once_a_day
from infra.constructs.workflow import Workflow
from infra.stacks.stateful import StatefulStack
from infra.stages import Stage

SIGNALS = {
    "BankAnswerHeld": "a file of a bank's answers, or a line of one, fits no payout",
    "PayoutFrozen": "a payout run stopped in the middle; its members wait for a person",
    "PayoutHeld": "a provider holds a payment until somebody has spoken with it",
    "PayoutStuck": "a payout's outcome is unknown and it is too late to ask again",
    "PayoutsUnresolved": "a payout run ended with outcomes still unknown",
    "RailEventHeld": "a provider told of a payout that is unknown here, or that was never sent",
    "RailTotalsDiffer": "what the provider says it paid is not what the books say",
}
"""What the payout run counts when a person is needed -> what that means."""


_BY_PARCEL = "Files are named after a run and its parcel, answers by the bank, references by the provider."


def mailbox_url(stage: Stage, state: StatefulStack) -> str:
    """The bank mailbox; nothing where the stage does not pay by it."""
    return f"s3://{state.work.bucket_name}/sepa" if "sepa" in stage.rails else ""


def list_work(state: StatefulStack, *prefixes: str) -> Allow:
    """The right to list what begins so. Reading what is not there asks for it too, without naming a prefix."""
    where = {"StringLikeIfExists": {"s3:prefix": [f"{prefix}*" for prefix in prefixes]}}
    return Allow(("s3:ListBucket",), (state.work.bucket_arn,), only_where=where)


def payout_run_arn(scope: Construct, stage: Stage) -> str:
    """The machine by its name: it calls the functions, so they cannot refer to it."""
    return Stack.of(scope).format_arn(
        service="states",
        resource="stateMachine",
        resource_name=f"small-peck-{stage.name}-payout-run",
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )


def _mailbox_and_references(state: StatefulStack) -> tuple[Allow, ...]:
    out, sent, answers, references = (
        state.objects(state.work, prefix) for prefix in ("sepa/out/", "sepa/sent/", "sepa/in/", "circle/")
    )
    return (
        Allow(("s3:PutObject",), (out, sent, references), _BY_PARCEL),
        Allow(("s3:GetObject",), (sent, answers), _BY_PARCEL),
        list_work(state, "sepa/", "circle/"),
    )


class Payouts(Construct):
    """`payout_run` and its workflow, and `payout_events`, which providers call. Nothing else knows them."""

    def __init__(self, scope: Construct, construct_id: str, *, shared: Shared, state: StatefulStack) -> None:
        super().__init__(scope, construct_id)
        # A parameter and not context: the local run knows its provider's port only after synthesis.
        gateway_url = CfnParameter(
            Stack.of(self),
            "GatewayUrl",
            default=shared.stage.gateway_url,
            description="Where the payout provider answers; without it no payout run starts",
        )
        urls = {
            f"{name}_url": CfnParameter(
                Stack.of(self),
                f"{name.capitalize()}Url",
                default=default if name in shared.stage.rails else "",
                description=f"Where {name} answers; without it nobody speaks to it",
            ).value_as_string
            for name, default in {
                "paypal": shared.stage.paypal_url,
                "stripe": shared.stage.stripe_url,
                "circle": shared.stage.circle_url,
            }.items()
        }
        urls["sepa_url"] = mailbox_url(shared.stage, state)
        told_secrets = {name: secret.secret_arn for name, secret in state.rail_secrets.items()}
        secrets = (state.gateway_secret.secret_arn, *told_secrets.values())
        machine_arn = payout_run_arn(self, shared.stage)
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
                    "rails": ",".join(shared.stage.rails),
                    **urls,
                    **{f"{name}_secret_arn": arn for name, arn in told_secrets.items()},
                },
                allow=(
                    Allow(("kms:Decrypt",), (state.data_key.key_arn,)),
                    Allow(("secretsmanager:GetSecretValue",), secrets),
                    Allow(("states:SendTaskSuccess",), (machine_arn,)),
                    *_mailbox_and_references(state),
                ),
                rails=True,
            ),
        )
        self.workflow = Workflow(
            self, "PayoutRunWorkflow", shared=shared, name="payout_run", functions={"PayoutRun": self.payout_run}
        )
        self.events = Function(
            self,
            "PayoutEvents",
            shared=shared,
            spec=FunctionSpec(
                name="payout_events",
                memory_mb=512,
                timeout_seconds=20,
                tables={"platform": (*READ, *CHANGE), "ledger": ENTRIES_APPEND},
                settings={"rail_events_secret_arn": state.rail_events_secret.secret_arn},
                allow=(
                    Allow(("secretsmanager:GetSecretValue",), (state.rail_events_secret.secret_arn,)),
                    Allow(("states:SendTaskSuccess",), (machine_arn,)),
                ),
            ),
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
                    "rails": ",".join(shared.stage.rails),
                },
                allow=(Allow(("states:StartExecution",), (run_arn,)),),
            ),
        )
        self.workflow = Workflow(
            self, "Workflow", shared=shared, name="payout_schedule", functions={"PayoutSchedule": self.function}
        )
        once_a_day(
            self,
            self.workflow,
            name="PayoutSchedule",
            description="Pays out what is due and what was asked for",
            hour=shared.stage.payout_hour_utc,
            minute=0,
            alarms=shared.alarms,
        )
