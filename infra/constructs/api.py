"""The HTTP API: one function per audience behind one authorizer."""

import json
from typing import cast

from aws_cdk import ArnFormat, Aws, Duration, RemovalPolicy, Stack
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_apigatewayv2_authorizers as authorizers
from aws_cdk import aws_apigatewayv2_integrations as integrations
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.constructs.function import (
    CHANGE,
    ENTRIES_APPEND,
    READ,
    STATEMENTS,
    Allow,
    Function,
    FunctionSpec,
    Shared,
    log_retention,
    output,
)
from infra.constructs.funding import FundingSettings
from infra.constructs.queue import WorkQueue
from infra.constructs.workflow import Workflow
from infra.nag import explain
from infra.stacks.stateful import StatefulStack

# Only access tokens carry it, so that an ID token is refused.
SCOPE = "aws.cognito.signin.user.admin"

_BY_BATCH = "The batch is in the object's name; a presigned URL narrows the right to that one object."
_METHODS = apigateway.HttpMethod
# Every method but OPTIONS, which the gateway answers itself as long as no route takes it. `ANY` would: a browser's
# preflight carries no token and would be refused by the authorizer.
METHODS = (_METHODS.DELETE, _METHODS.GET, _METHODS.HEAD, _METHODS.PATCH, _METHODS.POST, _METHODS.PUT)

# No address, no user, no path: paths hold ids, and a route is enough to see what is slow or wrong.
_ACCESS_LOG = {
    "request_id": "$context.requestId",
    "at": "$context.requestTime",
    "route": "$context.routeKey",
    "status": "$context.status",
    "bytes": "$context.responseLength",
    "latency_ms": "$context.responseLatency",
    "function_latency_ms": "$context.integrationLatency",
    "function_error": "$context.integrationErrorMessage",
    "authorizer_error": "$context.authorizer.error",
}


class Gateway(Construct):
    """The API's front: routes, authorizer, throttling, CORS and access log."""

    def __init__(self, scope: Construct, construct_id: str, *, shared: Shared, state: StatefulStack) -> None:
        super().__init__(scope, construct_id)
        stage = shared.stage
        self.api = apigateway.HttpApi(
            self,
            "Api",
            api_name=f"small-peck-{stage.name}",
            create_default_stage=False,
            cors_preflight=apigateway.CorsPreflightOptions(
                allow_origins=list(stage.allowed_origins),
                allow_methods=[apigateway.CorsHttpMethod.ANY],
                allow_headers=["authorization", "content-type", "idempotency-key"],
                expose_headers=["location", "retry-after", "x-correlation-id"],
                max_age=Duration.hours(1),
            ),
        )
        self._authorizer = authorizers.HttpJwtAuthorizer(
            "Tokens",
            f"https://cognito-idp.{Aws.REGION}.amazonaws.com/{state.pool.user_pool_id}",
            jwt_audience=[client.user_pool_client_id for client in state.clients.values()],
        )
        log = logs.LogGroup(
            self,
            "AccessLog",
            log_group_name=f"/aws/vendedlogs/apis/small-peck-{stage.name}",
            retention=log_retention(stage),
            removal_policy=RemovalPolicy.DESTROY,
        )
        self.stage = apigateway.HttpStage(
            self,
            "Stage",
            http_api=self.api,
            stage_name="$default",
            auto_deploy=True,
            throttle=apigateway.ThrottleSettings(rate_limit=stage.requests_per_second, burst_limit=stage.burst),
        )
        resource = cast("apigateway.CfnStage", self.stage.node.default_child)
        resource.access_log_settings = apigateway.CfnStage.AccessLogSettingsProperty(
            destination_arn=Stack.of(self).format_arn(
                service="logs",
                resource="log-group",
                resource_name=log.log_group_name,
                arn_format=ArnFormat.COLON_RESOURCE_NAME,
            ),
            format=json.dumps(_ACCESS_LOG, separators=(",", ":")),
        )
        shared.alarms.api(self.api)
        output(self, "ApiUrl", self.api.api_endpoint)
        output(self, "ApiId", self.api.api_id)

    def serve(self, audience: str, function: Function) -> None:
        """All of `/v1/<audience>/` goes to this function, with a token of this pool."""
        self.api.add_routes(
            path=f"/v1/{audience}/{{proxy+}}",
            methods=list(METHODS),
            integration=integrations.HttpLambdaIntegration(f"{audience.capitalize()}Function", function.live),
            authorizer=self._authorizer,
            authorization_scopes=[SCOPE],
        )

    def serve_proof(self, function: Function) -> None:
        """`GET /v1/keys` and `GET /v1/root`, for anybody: what a proof is checked against must not need a token."""
        integration = integrations.HttpLambdaIntegration("ProofFunction", function.live)
        for path in ("/v1/keys", "/v1/root"):
            for route in self.api.add_routes(path=path, methods=[_METHODS.GET], integration=integration):
                explain(route, {"AwsSolutions-APIG4": "Public keys and hashes are there for everybody to check with."})

    def serve_webhooks(self, function: Function) -> None:
        """`POST /v1/webhooks/<rail>`: providers have no token of ours, they sign what they say."""
        routes = self.api.add_routes(
            path="/v1/webhooks/{rail}",
            methods=[_METHODS.POST],
            integration=integrations.HttpLambdaIntegration("WebhooksFunction", function.live),
        )
        for route in routes:
            explain(route, {"AwsSolutions-APIG4": "Each call is signed by the provider; the function checks that."})

    def serve_health(self, function: Function) -> None:
        """`GET /healthz`, for anybody."""
        routes = self.api.add_routes(
            path="/healthz",
            methods=[_METHODS.GET],
            integration=integrations.HttpLambdaIntegration("HealthFunction", function.live),
        )
        for route in routes:
            explain(route, {"AwsSolutions-APIG4": "Says only whether the API answers; load balancers have no token."})


class WorkerApi(Construct):
    """`worker_api`: the one function with the keys to write personal data, and that starts a payout."""

    def __init__(
        self, scope: Construct, construct_id: str, *, shared: Shared, state: StatefulStack, submissions: WorkQueue
    ) -> None:
        super().__init__(scope, construct_id)
        statement_key, root_key = state.statement_key.key_arn, state.root_key.key_arn
        seals = (state.objects(state.seals, "lists/"), state.objects(state.seals, "roots/"))
        self.function = Function(
            self,
            "Function",
            shared=shared,
            spec=FunctionSpec(
                name="worker_api",
                memory_mb=1_024,
                timeout_seconds=15,
                tables={
                    "platform": (*READ, *CHANGE),
                    "ledger": (*ENTRIES_APPEND, *STATEMENTS),
                    "people": ("GetItem", *CHANGE),
                    "keys": ("GetItem", "PutItem"),
                },
                settings={
                    "submissions_queue_url": submissions.queue.queue_url,
                    "cursor_secret_arn": state.cursor_secret.secret_arn,
                    "data_key_arn": state.data_key.key_arn,
                    "seals_bucket": state.seals.bucket_name,
                    "statement_key_arn": statement_key,
                    "root_key_arn": root_key,
                    "payout_threshold_micros": shared.stage.payout_threshold_micros,
                    "cooling_off_seconds": shared.stage.cooling_off_seconds,
                    "payout_hour_utc": shared.stage.payout_hour_utc,
                    "rails": ",".join(shared.stage.rails),
                },
                allow=(
                    Allow(("sqs:SendMessage",), (submissions.queue.queue_arn,)),
                    Allow(("secretsmanager:GetSecretValue",), (state.cursor_secret.secret_arn,)),
                    Allow(("kms:GenerateDataKey", "kms:Decrypt"), (state.data_key.key_arn,)),
                    Allow(("kms:Sign",), (statement_key,)),
                    Allow(("kms:GetPublicKey",), (statement_key, root_key)),
                    Allow(("s3:GetObject",), seals, "Which seals prove a statement follows from its rows."),
                ),
                # To check an IBAN; nobody else would carry that.
                rails="sepa" in shared.stage.rails,
            ),
        )


class RequesterApi(Construct):
    """`requester_api`: hands out uploads and results as presigned URLs, which carry this role's rights."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        shared: Shared,
        state: StatefulStack,
        batch_finish: Workflow,
        batch_export: Workflow,
        submissions: WorkQueue,
        funding: FundingSettings,
    ) -> None:
        super().__init__(scope, construct_id)
        finish_arn, export_arn = (one.machine.state_machine_arn for one in (batch_finish, batch_export))
        uploads = state.objects(state.uploads, "uploads/")
        downloads = (state.objects(state.work, "results/"), state.objects(state.work, "imports/"))
        self.function = Function(
            self,
            "Function",
            shared=shared,
            spec=FunctionSpec(
                name="requester_api",
                memory_mb=1_024,
                timeout_seconds=15,
                tables={"platform": (*READ, *CHANGE), "ledger": (*ENTRIES_APPEND, *STATEMENTS)},
                settings={
                    "uploads_bucket": state.uploads.bucket_name,
                    "work_bucket": state.work.bucket_name,
                    "batch_finish_arn": finish_arn,
                    "batch_export_arn": export_arn,
                    "submissions_queue_url": submissions.queue.queue_url,
                    "cursor_secret_arn": state.cursor_secret.secret_arn,
                    "fee_basis_points": shared.stage.fee_basis_points,
                    "max_deposit_micros": shared.stage.max_deposit_micros,
                    **funding.checkouts,
                    **funding.bank,
                },
                allow=(
                    Allow(("s3:PutObject",), (uploads,), _BY_BATCH),
                    Allow(("s3:GetObject",), downloads, _BY_BATCH),
                    Allow(("states:StartExecution",), (finish_arn, export_arn)),
                    Allow(("sqs:SendMessage",), (submissions.queue.queue_arn,)),
                    Allow(("secretsmanager:GetSecretValue",), (state.cursor_secret.secret_arn,)),
                    funding.allow,
                ),
                rails=True,
            ),
        )


class OperatorApi(Construct):
    """`operator_api`: starts audits and payout runs, shows what became of them, and enters what a bank booked."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        shared: Shared,
        state: StatefulStack,
        books_audit: Workflow,
        payout_run: Workflow,
    ) -> None:
        super().__init__(scope, construct_id)
        arns = (books_audit.machine.state_machine_arn, payout_run.machine.state_machine_arn)
        self.function = Function(
            self,
            "Function",
            shared=shared,
            spec=FunctionSpec(
                name="operator_api",
                memory_mb=1_024,
                timeout_seconds=15,
                tables={"platform": (*READ, *CHANGE), "ledger": ENTRIES_APPEND},
                settings={
                    "books_audit_arn": arns[0],
                    "payout_run_arn": arns[1],
                    "cursor_secret_arn": state.cursor_secret.secret_arn,
                },
                allow=(
                    Allow(("states:StartExecution",), arns),
                    Allow(("secretsmanager:GetSecretValue",), (state.cursor_secret.secret_arn,)),
                ),
            ),
        )
