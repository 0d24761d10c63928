"""What outlives a release: tables, buckets, keys, the user pool."""

from typing import Any

import pytest

from infra.stages import STAGES
from smallpeck.table import keys
from tests.infra.templates import Deployment

KEPT = (
    "AWS::DynamoDB::GlobalTable",
    "AWS::S3::Bucket",
    "AWS::KMS::Key",
    "AWS::Cognito::UserPool",
    "AWS::SecretsManager::Secret",
)


def table(deployment: Deployment, name: str) -> dict[str, Any]:
    """The properties of one table."""
    (found,) = [
        properties
        for logical, properties in deployment.properties("AWS::DynamoDB::GlobalTable").items()
        if logical.startswith(f"{name.capitalize()}Table")
    ]
    return found


def recovery(properties: dict[str, Any]) -> dict[str, Any]:
    """A table's point-in-time recovery."""
    (replica,) = properties["Replicas"]
    specification: dict[str, Any] = replica["PointInTimeRecoverySpecification"]
    return specification


def test_there_are_the_four_tables_and_all_are_on_demand(deployment: Deployment) -> None:
    assert len(deployment.properties("AWS::DynamoDB::GlobalTable")) == len(keys.TABLES)
    for name in keys.TABLES:
        assert table(deployment, name)["BillingMode"] == "PAY_PER_REQUEST"


@pytest.mark.parametrize("name", keys.TABLES)
def test_a_table_has_the_key_that_the_code_spells(deployment: Deployment, name: str) -> None:
    assert table(deployment, name)["KeySchema"] == [
        {"AttributeName": keys.PARTITION_KEY, "KeyType": "HASH"},
        {"AttributeName": keys.SORT_KEY, "KeyType": "RANGE"},
    ]


def test_the_platform_table_has_the_indexes_that_the_code_reads(deployment: Deployment) -> None:
    indexes = {
        (one["IndexName"], *(part["AttributeName"] for part in one["KeySchema"]), one["Projection"]["ProjectionType"])
        for one in table(deployment, "platform")["GlobalSecondaryIndexes"]
    }
    assert indexes == {(*keys.index_names(entry), "KEYS_ONLY") for entry in keys.INDEX_ENTRIES}
    assert {name for name, *_ in indexes} == set(keys.INDEXES)


def test_only_the_platform_table_has_a_stream_a_time_to_live_and_indexes(deployment: Deployment) -> None:
    platform = table(deployment, "platform")
    assert platform["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert platform["TimeToLiveSpecification"] == {"AttributeName": "ttl_seconds", "Enabled": True}
    for name in ("ledger", "people", "keys"):
        for part in ("StreamSpecification", "TimeToLiveSpecification", "GlobalSecondaryIndexes"):
            assert part not in table(deployment, name)


def test_an_erased_key_is_gone_from_backups_long_before_other_data(deployment: Deployment) -> None:
    days = {name: recovery(table(deployment, name)) for name in keys.TABLES}
    assert all(one["PointInTimeRecoveryEnabled"] for one in days.values())
    assert days["keys"]["RecoveryPeriodInDays"] == 7
    assert {days[name]["RecoveryPeriodInDays"] for name in ("platform", "ledger", "people")} == {35}


def test_what_holds_data_outlives_its_stack_where_it_matters(deployment: Deployment) -> None:
    policy = "Retain" if STAGES[deployment.stage].retain else "Delete"
    for kind in KEPT:
        assert deployment.resources(kind)
        for resource in deployment.resources(kind).values():
            assert resource["DeletionPolicy"] == policy
            assert resource["UpdateReplacePolicy"] == policy
    assert all(kind.split("::")[1] != "S3" for kind in _types(deployment.service))


def _types(template: Any) -> set[str]:
    return {resource["Type"] for resource in template["Resources"].values()}


def test_only_the_local_stage_may_be_thrown_away() -> None:
    assert {name for name, stage in STAGES.items() if not stage.retain} == {"local"}


def test_tables_and_pool_refuse_to_be_deleted_outside_the_local_run(deployment: Deployment) -> None:
    retain = STAGES[deployment.stage].retain
    for name in keys.TABLES:
        (replica,) = table(deployment, name)["Replicas"]
        assert bool(replica.get("DeletionProtectionEnabled")) is retain
    (pool,) = deployment.properties("AWS::Cognito::UserPool").values()
    assert (pool.get("DeletionProtection") == "ACTIVE") is retain


def test_buckets_are_private_and_speak_tls_only(deployment: Deployment) -> None:
    buckets = deployment.properties("AWS::S3::Bucket")
    assert len(buckets) == 3
    for name, bucket in buckets.items():
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
        assert bucket["BucketEncryption"]
        denied = [
            statement.get("Condition")
            for policy in deployment.properties("AWS::S3::BucketPolicy").values()
            if policy["Bucket"] == {"Ref": name}
            for statement in policy["PolicyDocument"]["Statement"]
            if statement["Effect"] == "Deny"
        ]
        assert {"Bool": {"aws:SecureTransport": "false"}} in denied


def seals(deployment: Deployment) -> tuple[str, dict[str, Any]]:
    """Logical id and properties of the bucket of the seals."""
    (found,) = [one for one in deployment.properties("AWS::S3::Bucket").items() if one[0].startswith("Seals")]
    return found


def test_what_seals_the_books_is_locked_for_as_long_as_the_stage_says(deployment: Deployment) -> None:
    stage, (_, bucket) = STAGES[deployment.stage], seals(deployment)
    assert bucket["ObjectLockEnabled"] is True
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert bucket["ObjectLockConfiguration"] == {
        "ObjectLockEnabled": "Enabled",
        "Rule": {
            "DefaultRetention": {
                "Days": stage.seal_retention_days,
                "Mode": "COMPLIANCE" if stage.seal_compliance else "GOVERNANCE",
            }
        },
    }
    assert "LifecycleConfiguration" not in bucket
    assert "CorsConfiguration" not in bucket


def test_where_money_is_real_nobody_may_shorten_the_lock() -> None:
    assert {name for name, stage in STAGES.items() if stage.seal_compliance} == {"prod"}
    assert STAGES["prod"].seal_retention_days >= 10 * 365


def test_a_seal_is_never_replaced_or_hidden(deployment: Deployment) -> None:
    name, _ = seals(deployment)
    denied = {
        statement["Sid"]: (statement["Action"], statement.get("Condition"), statement["Principal"])
        for policy in deployment.properties("AWS::S3::BucketPolicy").values()
        if policy["Bucket"] == {"Ref": name}
        for statement in policy["PolicyDocument"]["Statement"]
        if "Sid" in statement
    }
    assert denied == {
        "NothingIsReplaced": ("s3:PutObject", {"Null": {"s3:if-none-match": "true"}}, {"AWS": "*"}),
        "NothingIsHidden": ("s3:DeleteObject", None, {"AWS": "*"}),
    }


def test_signing_keys_sign_and_do_nothing_else(deployment: Deployment) -> None:
    keys_ = deployment.properties("AWS::KMS::Key")
    signing = {name: one for name, one in keys_.items() if name.startswith(("StatementKey", "RootKey"))}
    assert len(signing) == 2
    for key in signing.values():
        assert (key["KeySpec"], key["KeyUsage"]) == ("ECC_NIST_P256", "SIGN_VERIFY")


def test_uploads_keep_versions_tell_eventbridge_and_clean_up(deployment: Deployment) -> None:
    (uploads,) = [one for name, one in deployment.properties("AWS::S3::Bucket").items() if name.startswith("Uploads")]
    assert uploads["VersioningConfiguration"] == {"Status": "Enabled"}
    assert uploads["NotificationConfiguration"] == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}
    whole, inbox = uploads["LifecycleConfiguration"]["Rules"]
    assert whole["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
    assert whole["NoncurrentVersionExpiration"]
    assert (inbox["Prefix"], inbox["ExpirationInDays"]) == ("inbox/", 30)
    assert inbox["NoncurrentVersionExpiration"] == {"NoncurrentDays": 7}


def test_the_banks_mailbox_tells_eventbridge_and_forgets_people_first(deployment: Deployment) -> None:
    (work,) = [one for name, one in deployment.properties("AWS::S3::Bucket").items() if name.startswith("Work")]
    assert work["NotificationConfiguration"] == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}
    days = {
        one["Prefix"]: one["ExpirationInDays"] for one in work["LifecycleConfiguration"]["Rules"] if "Prefix" in one
    }
    assert {name: kept for name, kept in days.items() if name.startswith(("sepa/", "circle/"))} == {
        "sepa/out/": 14, "sepa/in/": 30, "sepa/sent/": 400, "sepa/held/": 400, "circle/": 400,
    }  # fmt: skip


def test_clients_are_public_and_sign_in_by_password_or_srp(deployment: Deployment) -> None:
    clients = {one["ClientName"]: one for one in deployment.properties("AWS::Cognito::UserPoolClient").values()}
    assert set(clients) == {"worker", "requester", "operator"}
    for client in clients.values():
        assert {"ALLOW_USER_PASSWORD_AUTH", "ALLOW_USER_SRP_AUTH"} <= set(client["ExplicitAuthFlows"])
        assert not client.get("GenerateSecret")
        assert client["PreventUserExistenceErrors"] == "ENABLED"
        assert client["AllowedOAuthFlowsUserPoolClient"] is False


def test_only_administrators_make_operators(deployment: Deployment) -> None:
    groups = deployment.properties("AWS::Cognito::UserPoolGroup").values()
    assert [group["GroupName"] for group in groups] == ["operator"]


def test_the_people_key_is_changed_every_year(deployment: Deployment) -> None:
    (key,) = [one for name, one in deployment.properties("AWS::KMS::Key").items() if name.startswith("DataKey")]
    assert key["EnableKeyRotation"] is True


def test_no_custom_resource_stands_between_us_and_cloudformation(deployment: Deployment) -> None:
    kinds = _types(deployment.stateful) | _types(deployment.service)
    assert not [kind for kind in kinds if kind.startswith(("Custom::", "AWS::CloudFormation::CustomResource"))]
