"""What must outlive any release: tables, buckets, the people key, the user pool, secrets."""

from collections.abc import Mapping
from typing import Any, cast

from aws_cdk import ArnFormat, CfnOutput, Duration, RemovalPolicy, Stack
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra.constructs.function import ALIAS, function_name
from infra.nag import explain
from infra.stages import Stage
from smallpeck.table import keys

AUDIENCES = ("worker", "requester", "operator")
TTL_ATTRIBUTE = "ttl_seconds"

# Erasing a person's key erases the person, and is complete when the last backup that holds it has gone. A week finds
# what went wrong on a Friday night, and is well inside the month that the law gives for an erasure.
_RECOVERY_DAYS = {"platform": 35, "ledger": 35, "people": 35, "keys": 7}


_DAYS_KEPT = 90

_UPLOADS_RULES = [
    s3.LifecycleRule(
        abort_incomplete_multipart_upload_after=Duration.days(1),
        expiration=Duration.days(_DAYS_KEPT),
        noncurrent_version_expiration=Duration.days(30),
    ),
    # A version of a spec is one batch's, and its data was read when that was imported; reports come anew with each.
    s3.LifecycleRule(prefix="inbox/", expiration=Duration.days(30), noncurrent_version_expiration=Duration.days(7)),
]
_WORK_RULES = [
    s3.LifecycleRule(prefix="seal-runs/", expiration=Duration.days(7)),
    s3.LifecycleRule(prefix="audit-parts/", expiration=Duration.days(7)),
    s3.LifecycleRule(abort_incomplete_multipart_upload_after=Duration.days(1)),
    s3.LifecycleRule(prefix="imports/", expiration=Duration.days(_DAYS_KEPT)),
    s3.LifecycleRule(prefix="reestimates/", expiration=Duration.days(_DAYS_KEPT)),
    # Payment files and the bank's answers name people and their accounts; the rail looks at them for a week.
    s3.LifecycleRule(prefix="sepa/out/", expiration=Duration.days(14)),
    s3.LifecycleRule(prefix="sepa/in/", expiration=Duration.days(30)),
    # A bank may ask for money back for 13 months.
    *(s3.LifecycleRule(prefix=one, expiration=Duration.days(400)) for one in ("sepa/sent/", "sepa/held/", "circle/")),
]


class StatefulStack(Stack):
    """Data and identities. `tables` are by the names of `smallpeck.table.keys`, `clients` by audience."""

    def __init__(self, scope: Construct, construct_id: str, *, stage: Stage, **options: Any) -> None:
        super().__init__(scope, construct_id, termination_protection=stage.retain, **options)
        self._stage = stage
        self._removal = RemovalPolicy.RETAIN if stage.retain else RemovalPolicy.DESTROY
        self.tables: Mapping[str, dynamodb.TableV2] = {name: self._table(name) for name in keys.TABLES}
        self.data_key = kms.Key(
            self,
            "DataKey",
            description="Wraps the key that each person's data is encrypted under",
            enable_key_rotation=True,
            removal_policy=self._removal,
        )
        self.uploads = self._bucket("Uploads", versioned=True, rules=_UPLOADS_RULES, methods=[s3.HttpMethods.POST])
        self.work = self._bucket("Work", versioned=False, rules=_WORK_RULES, methods=[s3.HttpMethods.GET])
        self.seals = self._seals()
        self.statement_key = self._signing_key("StatementKey", "Signs the statements that workers are given")
        self.root_key = self._signing_key("RootKey", "Signs the daily roots of the books")
        self._tell_event_bridge(self.uploads)
        self._tell_event_bridge(self.work)
        self.pool = self._user_pool()
        self.clients = {audience: self._client(audience) for audience in AUDIENCES}
        self.cursor_secret = self._secret("CursorSecret", "Signs the cursors that callers hold")
        self.gateway_secret = self._secret("GatewaySecret", "What the payout provider knows us by")
        self.rail_secrets = {
            "paypal": self._told_secret("PaypalSecret", "Our account at PayPal: client_id, client_secret"),
            "stripe": self._told_secret("StripeSecret", "Our account at Stripe: api_key"),
            "sepa": self._told_secret("SepaSecret", "The bank account that pays: name, iban, schema, key_id"),
            "circle": self._told_secret("CircleSecret", "Our account at Circle: api_key, wallet_id, references"),
        }
        self.rail_events_secret = self._told_secret(
            "RailEventsSecret",
            "What webhooks are checked with: paypal.webhook_id, stripe.signing_secrets, circle.topic_arn",
        )
        self.checkout_secret = self._secret("CheckoutSecret", "Our key at the provider of requesters' checkouts")
        self.checkout_events_secret = self._secret("CheckoutEventsSecret", "What that provider signs its webhooks with")
        self._outputs()

    def objects(self, bucket: s3.IBucket, prefix: str) -> str:
        """The ARN of all objects under `prefix`, for another stack's roles."""
        return f"{self.export_value(bucket.bucket_arn)}/{prefix}*"

    def _table(self, name: str) -> dynamodb.TableV2:
        def key(attribute: str) -> dynamodb.Attribute:
            return dynamodb.Attribute(name=attribute, type=dynamodb.AttributeType.STRING)

        platform = name == "platform"
        indexes = sorted({keys.index_names(entry) for entry in keys.INDEX_ENTRIES}) if platform else []
        return dynamodb.TableV2(
            self,
            f"{name.capitalize()}Table",
            partition_key=key(keys.PARTITION_KEY),
            sort_key=key(keys.SORT_KEY),
            billing=dynamodb.Billing.on_demand(),
            global_secondary_indexes=[
                dynamodb.GlobalSecondaryIndexPropsV2(
                    index_name=index,
                    partition_key=key(pk),
                    sort_key=key(sk),
                    projection_type=dynamodb.ProjectionType.KEYS_ONLY,
                )
                for index, pk, sk in indexes
            ],
            dynamo_stream=dynamodb.StreamViewType.NEW_AND_OLD_IMAGES if platform else None,
            time_to_live_attribute=TTL_ATTRIBUTE if platform else None,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True, recovery_period_in_days=_RECOVERY_DAYS[name]
            ),
            deletion_protection=self._stage.retain,
            removal_policy=self._removal,
        )

    def _seals(self) -> s3.Bucket:
        days = Duration.days(self._stage.seal_retention_days)
        lock = s3.ObjectLockRetention.compliance if self._stage.seal_compliance else s3.ObjectLockRetention.governance
        bucket = self._bucket("Seals", versioned=True, rules=[], methods=[], lock=lock(days))
        # The lock keeps every version; these two keep the first one in sight.
        self._deny(bucket, "NothingIsReplaced", "s3:PutObject", {"Null": {"s3:if-none-match": "true"}})
        self._deny(bucket, "NothingIsHidden", "s3:DeleteObject", None)
        return bucket

    def _deny(self, bucket: s3.Bucket, sid: str, action: str, conditions: Mapping[str, Any] | None) -> None:
        bucket.add_to_resource_policy(
            iam.PolicyStatement(
                sid=sid,
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=[action],
                resources=[bucket.arn_for_objects("*")],
                conditions=conditions,
            )
        )

    def _signing_key(self, construct_id: str, description: str) -> kms.Key:
        return kms.Key(
            self,
            construct_id,
            description=description,
            key_spec=kms.KeySpec.ECC_NIST_P256,
            key_usage=kms.KeyUsage.SIGN_VERIFY,
            removal_policy=self._removal,
        )

    def _bucket(
        self,
        construct_id: str,
        *,
        versioned: bool,
        rules: list[s3.LifecycleRule],
        methods: list[s3.HttpMethods],
        lock: s3.ObjectLockRetention | None = None,
    ) -> s3.Bucket:
        cors = s3.CorsRule(
            allowed_methods=methods, allowed_origins=list(self._stage.allowed_origins), allowed_headers=["*"]
        )
        bucket = s3.Bucket(
            self,
            construct_id,
            versioned=versioned,
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            lifecycle_rules=rules,
            cors=[cors] if methods else None,
            object_lock_enabled=True if lock else None,
            object_lock_default_retention=lock,
            removal_policy=self._removal,
        )
        reason = (
            "Objects are reached through one function's role or a presigned URL that it made; access logs would "
            "keep the addresses of people for nothing that the API's log does not tell."
        )
        explain(bucket, {"AwsSolutions-S1": reason})
        return bucket

    def _tell_event_bridge(self, bucket: s3.Bucket) -> None:
        # The L2 option does this through a custom resource, whose function could change every bucket of the account.
        resource = cast("s3.CfnBucket", bucket.node.default_child)
        resource.notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
            event_bridge_configuration=s3.CfnBucket.EventBridgeConfigurationProperty(event_bridge_enabled=True)
        )

    def _user_pool(self) -> cognito.UserPool:
        pool = cognito.UserPool(
            self,
            "Users",
            self_sign_up_enabled=True,
            sign_in_aliases=cognito.SignInAliases(email=True),
            sign_in_case_sensitive=False,
            auto_verify=cognito.AutoVerifiedAttrs(email=True),
            keep_original=cognito.KeepOriginalAttrs(email=True),
            account_recovery=cognito.AccountRecovery.EMAIL_ONLY,
            password_policy=cognito.PasswordPolicy(
                min_length=12, require_lowercase=True, require_uppercase=True, require_digits=True, require_symbols=True
            ),
            mfa=cognito.Mfa.OPTIONAL,
            mfa_second_factor=cognito.MfaSecondFactor(sms=False, otp=True),
            feature_plan=cognito.FeaturePlan.ESSENTIALS,
            deletion_protection=self._stage.retain,
            removal_policy=self._removal,
        )
        pool.add_trigger(
            cognito.UserPoolOperation.PRE_TOKEN_GENERATION_CONFIG,
            self._token_groups_by_name(),
            cognito.LambdaVersion.V2_0,
        )
        cognito.CfnUserPoolGroup(
            self, "OperatorGroup", user_pool_id=pool.user_pool_id, group_name="operator", description="By admins only"
        )
        explain(
            pool,
            {
                "AwsSolutions-COG2": "Workers on phones may use a one-time password generator; making them would "
                "keep out those without one, and what they can lose has its own cooling-off time.",
                "AwsSolutions-COG8": "The Plus plan costs more per user than most workers bring; Cognito throttles "
                "sign-in attempts on every plan.",
            },
        )
        return pool

    def _token_groups_by_name(self) -> lambda_.IFunction:
        # By its name and not by reference: the function is told the pool's clients, so the pool must come first.
        arn = self.format_arn(
            service="lambda",
            resource="function",
            resource_name=f"{function_name(self._stage, 'token_groups')}:{ALIAS}",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        return lambda_.Function.from_function_attributes(self, "TokenGroups", function_arn=arn, skip_permissions=True)

    def _client(self, audience: str) -> cognito.UserPoolClient:
        return self.pool.add_client(
            audience.capitalize(),
            user_pool_client_name=audience,
            auth_flows=cognito.AuthFlow(user_password=True, user_srp=True),
            disable_o_auth=True,
            generate_secret=False,
            prevent_user_existence_errors=True,
            enable_token_revocation=True,
            access_token_validity=Duration.hours(1),
            id_token_validity=Duration.hours(1),
            refresh_token_validity=Duration.hours(12) if audience == "operator" else Duration.days(30),
        )

    def _secret(self, construct_id: str, description: str) -> secretsmanager.Secret:
        secret = secretsmanager.Secret(
            self,
            construct_id,
            description=description,
            generate_secret_string=secretsmanager.SecretStringGenerator(password_length=64, exclude_punctuation=True),
            removal_policy=self._removal,
        )
        reason = (
            "Changed by hand when it must be: cursors that were signed before stop working, and the payout "
            "provider has to be told the new one at the same moment."
        )
        explain(secret, {"AwsSolutions-SMG4": reason})
        return secret

    def _told_secret(self, construct_id: str, description: str) -> secretsmanager.Secret:
        secret = secretsmanager.Secret(
            self,
            construct_id,
            description=description,
            # Whoever deploys puts in what the provider gave them; until then it is an object without it.
            generate_secret_string=secretsmanager.SecretStringGenerator(
                secret_string_template="{}",  # noqa: S106 - what a secret is made from
                generate_string_key="unused",
                exclude_punctuation=True,
            ),
            removal_policy=self._removal,
        )
        explain(secret, {"AwsSolutions-SMG4": "The provider makes it; nobody here could make another."})
        return secret

    def _outputs(self) -> None:
        values = {
            **{f"{name.capitalize()}TableName": table.table_name for name, table in self.tables.items()},
            "UploadsBucketName": self.uploads.bucket_name,
            "WorkBucketName": self.work.bucket_name,
            "SealsBucketName": self.seals.bucket_name,
            "UserPoolId": self.pool.user_pool_id,
            **{f"{name.capitalize()}ClientId": client.user_pool_client_id for name, client in self.clients.items()},
            "GatewaySecretArn": self.gateway_secret.secret_arn,
            **{f"{name.capitalize()}SecretArn": secret.secret_arn for name, secret in self.rail_secrets.items()},
            "RailEventsSecretArn": self.rail_events_secret.secret_arn,
            "CheckoutSecretArn": self.checkout_secret.secret_arn,
            "CheckoutEventsSecretArn": self.checkout_events_secret.secret_arn,
        }
        for name, value in values.items():
            CfnOutput(self, name, value=value)
