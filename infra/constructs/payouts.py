"""Money that leaves: the payout run."""

from aws_cdk import CfnParameter, Stack
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
