"""Who somebody is to the platform: the function that puts the role into every token."""

from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.constructs.function import Function, FunctionSpec, Shared
from infra.stacks.stateful import StatefulStack


class People(Construct):
    """`token_groups`, which the user pool knows by its name."""

    def __init__(self, scope: Construct, construct_id: str, *, shared: Shared, state: StatefulStack) -> None:
        super().__init__(scope, construct_id)
        self.token_groups = Function(
            self,
            "TokenGroups",
            shared=shared,
            spec=FunctionSpec(
                name="token_groups",
                memory_mb=256,
                timeout_seconds=5,  # Cognito waits no longer
                settings={
                    f"{audience}_client_id": client.user_pool_client_id for audience, client in state.clients.items()
                },
                vendor=False,
            ),
        )
        self.token_groups.live.add_permission(
            "UserPool",
            principal=iam.ServicePrincipal("cognito-idp.amazonaws.com"),
            source_arn=state.pool.user_pool_arn,
        )
