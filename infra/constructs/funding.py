"""Money that comes in: where requesters pay, what the provider says by itself, and who looks after deposits."""

from collections.abc import Mapping

from aws_cdk import CfnParameter, Duration, Stack
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_apigatewayv2_integrations as integrations
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as scheduler_targets
from constructs import Construct

from infra.constructs.function import CHANGE, ENTRIES_APPEND, READ, Allow, Function, FunctionSpec, Shared
from infra.constructs.queue import DeadLetterQueue
from infra.nag import explain
from infra.stacks.stateful import StatefulStack

WEBHOOK_PATH = "/v1/webhooks/funding/stripe"

SIGNALS = {
    "FundingHeld": "money came in that could not be assigned, or a message about money that the books do not know",
    "FundingContradicted": "the provider said two different things about one payment",
    "FundingDisputed": "a requester disputes a payment; their work is paused",
}
"""What funding counts when a person is needed -> what that means."""

_PARAMETERS = {
    "checkout_url": "Where requesters' checkouts are opened (https://api.stripe.com); without it there are none",
    "checkout_success_url": "Where a requester is sent who has paid",
    "checkout_cancel_url": "Where a requester is sent who has not",
    "bank_iban": "The account that requesters send money to; without it nobody is told to",
    "bank_bic": "Its bank",
    "bank_holder": "Whose account it is",
}


class FundingSettings(Construct):
    """Where money comes in, as parameters: the same template goes to accounts of different owners."""

    def __init__(self, scope: Construct, construct_id: str, *, state: StatefulStack) -> None:
        super().__init__(scope, construct_id)
        self._values = {
            name: CfnParameter(
                Stack.of(self), "".join(word.capitalize() for word in name.split("_")), default="", description=says
            ).value_as_string
            for name, says in _PARAMETERS.items()
        }
        self._secret_arn = state.checkout_secret.secret_arn

    @property
    def checkouts(self) -> Mapping[str, str]:
        """What speaks to the provider of checkouts is told."""
        names = [name for name in self._values if name.startswith("checkout_")]
        return {**{name: self._values[name] for name in names}, "checkout_secret_arn": self._secret_arn}

    @property
    def bank(self) -> Mapping[str, str]:
        """What tells requesters of the bank account is told."""
        return {name: value for name, value in self._values.items() if name.startswith("bank_")}

    @property
    def allow(self) -> Allow:
        """The right to the provider's key."""
        return Allow(("secretsmanager:GetSecretValue",), (self._secret_arn,))


class Funding(Construct):
    """`funding_events`, which the provider calls, and `funding_watch`, which asks where it did not."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        shared: Shared,
        state: StatefulStack,
        settings: FundingSettings,
        api: apigateway.HttpApi,
    ) -> None:
        super().__init__(scope, construct_id)
        signing_arn = state.checkout_events_secret.secret_arn
        self.events = Function(
            self,
            "Events",
            shared=shared,
            spec=FunctionSpec(
                name="funding_events",
                memory_mb=1_024,
                timeout_seconds=20,
                tables={"platform": (*READ, *CHANGE), "ledger": ENTRIES_APPEND},
                settings={**settings.checkouts, "checkout_events_secret_arn": signing_arn},
                allow=(settings.allow, Allow(("secretsmanager:GetSecretValue",), (signing_arn,))),
                rails=True,
            ),
        )
        self.watch = Function(
            self,
            "Watch",
            shared=shared,
            spec=FunctionSpec(
                name="funding_watch",
                memory_mb=512,
                timeout_seconds=300,
                tables={"platform": (*READ, *CHANGE), "ledger": ENTRIES_APPEND},
                settings=settings.checkouts,
                allow=(settings.allow,),
                rails=True,
            ),
        )
        routes = api.add_routes(
            path=WEBHOOK_PATH,
            methods=[apigateway.HttpMethod.POST],
            integration=integrations.HttpLambdaIntegration("FundingEventsFunction", self.events.live),
        )
        for route in routes:
            explain(route, {"AwsSolutions-APIG4": "Each call is signed by the provider; the function checks that."})
        self._schedule(shared)
        for name, says in SIGNALS.items():
            shared.alarms.signal(name, says=says)

    def _schedule(self, shared: Shared) -> None:
        missed = DeadLetterQueue(self, "WatchDeadLetters", name="FundingWatch", alarms=shared.alarms)
        scheduler.Schedule(
            self,
            "EveryQuarterHour",
            description="Finishes what was interrupted, asks about checkouts of which nothing was heard",
            schedule=scheduler.ScheduleExpression.rate(Duration.minutes(15)),
            target=scheduler_targets.LambdaInvoke(
                self.watch.live,
                dead_letter_queue=missed.queue,
                retry_attempts=2,
                max_event_age=Duration.minutes(15),
            ),
        )
