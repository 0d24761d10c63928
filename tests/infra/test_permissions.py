"""What each function may do. IAM is not enforced by the local run, so it is proven here, over the templates."""

import pytest

from smallpeck.table import keys
from tests.infra.templates import Deployment, Statement

APPEND = {"PutItem", "ConditionCheckItem"}
READS = {"GetItem", "BatchGetItem", "Query", "Scan"}

LEDGER_WRITERS = {
    "worker_api",
    "requester_api",
    "grader",
    "batch_finish",
    "inbox_open",
    "operator_api",
    "funding_events",
    "funding_watch",
    "payout_run",
    "payout_schedule",
    "payout_events",
    "bank_inbox",
}
LEDGER_SCANNERS = {"books_audit", "books_seal"}
PERSONAL = {"worker_api", "payout_run"}

# A role's wildcard -> why no narrower resource can be named.
PREFIXES = (
    "/uploads/*", "/inbox/*", "/inbox/*.report.json", "/imports/*", "/results/*", "/reestimates/*",
    "/lists/*", "/roots/*", "/seal-runs/*", "/audit-parts/*",
)  # fmt: skip
MAILBOX = ("/sepa/out/*", "/sepa/sent/*", "/sepa/in/*", "/sepa/held/*", "/circle/*")
WITHOUT_RESOURCES = {
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    "logs:CreateLogDelivery",
    "logs:GetLogDelivery",
    "logs:UpdateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:DescribeResourcePolicies",
    "logs:DescribeLogGroups",
}


def everything(deployment: Deployment) -> list[Statement]:
    """The statements of every role, of functions, workflows and schedules."""
    roles = deployment.properties("AWS::IAM::Role")
    return [statement for role in roles for statement in deployment.statements(role)]


def test_no_role_can_change_or_delete_an_entry(deployment: Deployment) -> None:
    on_ledger = [one for one in everything(deployment) if any("LedgerTable" in name for name in one.resources)]
    assert len(on_ledger) >= len(LEDGER_WRITERS)
    for statement in on_ledger:
        actions = {action.removeprefix("dynamodb:") for action in statement.actions}
        assert actions <= APPEND | READS


def test_entries_are_written_by_the_functions_that_move_money_and_no_other(deployment: Deployment) -> None:
    writers = {name for name in deployment.functions if deployment.table_actions(name, "ledger") & APPEND}
    assert writers == LEDGER_WRITERS


def test_only_the_audit_and_the_seal_read_whole_tables(deployment: Deployment) -> None:
    scanners = {
        name
        for name in deployment.functions
        if any("Scan" in deployment.table_actions(name, table) for table in keys.TABLES)
    }
    assert scanners == LEDGER_SCANNERS


def test_nothing_deletes_items(deployment: Deployment) -> None:
    actions = {action for statement in everything(deployment) for action in statement.actions}
    assert not actions & {"dynamodb:DeleteItem", "dynamodb:PartiQLDelete", "dynamodb:DeleteTable"}


@pytest.mark.parametrize("table", ["people", "keys"])
def test_personal_data_is_reached_by_those_who_need_it(deployment: Deployment, table: str) -> None:
    # The schedule sees who has a destination, sealed; it has no key to open it with.
    sees = PERSONAL | ({"payout_schedule"} if table == "people" else set())
    assert {name for name in deployment.functions if deployment.table_actions(name, table)} == sees
    assert all(deployment.table_actions(name, table) == {"GetItem"} for name in sees - {"worker_api"})


def test_a_wrapped_key_is_made_once_and_never_changed(deployment: Deployment) -> None:
    assert deployment.table_actions("worker_api", "keys") == {"GetItem", "PutItem"}


def test_the_people_key_is_used_by_those_who_reach_personal_data(deployment: Deployment) -> None:
    assert {name for name in deployment.functions if deployment.allowed(name, "kms:Decrypt")} == PERSONAL
    assert {name for name in deployment.functions if deployment.allowed(name, "kms:GenerateDataKey")} == {"worker_api"}


def signs(deployment: Deployment, action: str) -> dict[str, set[str]]:
    """Function -> the signing keys with which it may do something."""
    return {
        name: {"statement" if "StatementKey" in one else "root" if "RootKey" in one else one for one in allowed}
        for name in deployment.functions
        if (allowed := deployment.allowed(name, action))
    }


def test_each_signing_key_is_used_by_one_function_and_shown_by_two(deployment: Deployment) -> None:
    assert signs(deployment, "kms:Sign") == {"worker_api": {"statement"}, "books_seal": {"root"}}
    both = {"statement", "root"}
    assert signs(deployment, "kms:GetPublicKey") == {"worker_api": both, "books_seal": both}


def test_seals_are_written_by_the_seal_alone_and_read_by_who_proves_with_them(deployment: Deployment) -> None:
    def ends(folder: str, action: str) -> set[str]:
        return {"/" + one.split("/", 1)[1] for one in deployment.allowed(folder, action) if "Seals" in one}

    def those(action: str) -> set[str]:
        return {name for name in deployment.functions if ends(name, action)}

    assert those("s3:PutObject") == {"books_seal"}
    assert those("s3:GetObject") == {"books_seal", "worker_api"}
    assert ends("worker_api", "s3:GetObject") == ends("books_seal", "s3:PutObject") == {"/lists/*", "/roots/*"}
    for statement in everything(deployment):
        if any("Seals" in resource for resource in statement.resources):
            assert statement.actions <= {"s3:GetObject", "s3:PutObject"}


def test_the_seal_reads_entries_and_remembers_days_and_nothing_else(deployment: Deployment) -> None:
    assert deployment.table_actions("books_seal", "ledger") == {"Scan"}
    assert deployment.table_actions("books_seal", "platform") == {"Query", "PutItem"}
    role = deployment.properties("AWS::IAM::Role")[deployment.role_of("books_seal")]
    (put,) = [
        statement["Condition"]
        for policy in role["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Action"] == "dynamodb:PutItem"
    ]
    assert put == {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["SEALS"]}}


def test_the_audit_reads_the_books_and_writes_reports_and_nothing_else(deployment: Deployment) -> None:
    assert deployment.table_actions("books_audit", "ledger") == {"Scan"}
    written = {"PutItem", "UpdateItem"}
    assert deployment.table_actions("books_audit", "platform") == {"Scan", "Query", "GetItem", "BatchGetItem"} | written
    role = deployment.properties("AWS::IAM::Role")[deployment.role_of("books_audit")]
    (condition,) = [
        statement["Condition"]
        for policy in role["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
        if "dynamodb:PutItem" in statement["Action"]
    ]
    assert condition == {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["AUDIT#*"]}}
    for action in ("s3:GetObject", "s3:PutObject"):
        (parts,) = deployment.allowed("books_audit", action)
        assert parts.endswith("/audit-parts/*")


def test_the_audits_workflow_alone_speaks_to_who_is_on_call(deployment: Deployment) -> None:
    telling = [
        name
        for name in deployment.properties("AWS::IAM::Role")
        for statement in deployment.statements(name)
        if "sns:Publish" in statement.actions
    ]
    assert len(telling) == 1
    assert telling[0].startswith("LedgerBooksAuditWorkflow")


def test_only_the_payout_run_knows_the_provider(deployment: Deployment) -> None:
    action = "secretsmanager:GetSecretValue"
    knowing = {
        name
        for name in deployment.functions
        if any("GatewaySecret" in resource for resource in deployment.allowed(name, action))
    }
    assert knowing == {"payout_run"}


def test_those_who_check_webhooks_cannot_pay(deployment: Deployment) -> None:
    action = "secretsmanager:GetSecretValue"
    knowing = {
        secret: {
            name
            for name in deployment.functions
            if any(f"{secret}Secret" in resource for resource in deployment.allowed(name, action))
        }
        for secret in ("Paypal", "Stripe", "Circle", "RailEvents")
    }
    paying = {secret: {"payout_run"} for secret in ("Paypal", "Stripe", "Circle")}
    assert knowing == paying | {"RailEvents": {"payout_events"}}


def test_payment_files_are_written_by_the_payout_run_and_answers_read_by_the_bank_inbox(
    deployment: Deployment,
) -> None:
    def ends(folder: str, action: str) -> set[str]:
        there = deployment.allowed(folder, action)
        return {"/" + one.split("/", 1)[1] for one in there if "/" in one and one.endswith(MAILBOX)}

    def all_ends(action: str) -> dict[str, set[str]]:
        return {name: found for name in deployment.functions if (found := ends(name, action))}

    assert all_ends("s3:PutObject") == {
        "payout_run": {"/sepa/out/*", "/sepa/sent/*", "/circle/*"},
        "bank_inbox": {"/sepa/held/*"},
    }
    assert all_ends("s3:GetObject") == {
        "payout_run": {"/sepa/sent/*", "/sepa/in/*"},
        "bank_inbox": {"/sepa/sent/*", "/sepa/in/*"},
    }
    account = {
        name
        for name in deployment.functions
        if any("SepaSecret" in one for one in deployment.allowed(name, "secretsmanager:GetSecretValue"))
    }
    assert account == {"payout_run", "bank_inbox"}


def test_who_lists_the_mailbox_lists_nothing_else(deployment: Deployment) -> None:
    wanted = {"payout_run": ["sepa/*", "circle/*"], "bank_inbox": ["sepa/*"]}
    for folder, prefixes in wanted.items():
        policies = deployment.properties("AWS::IAM::Role")[deployment.role_of(folder)]["Policies"]
        (listing,) = [
            statement
            for policy in policies
            for statement in policy["PolicyDocument"]["Statement"]
            if statement["Action"] == "s3:ListBucket"
        ]
        (prefix,) = listing["Condition"]["StringLikeIfExists"].values()
        assert (prefix if isinstance(prefix, list) else [prefix]) == prefixes


def test_the_payout_run_alone_is_told_to_go_on(deployment: Deployment) -> None:
    told = {name: deployment.allowed(name, "states:SendTaskSuccess") for name in deployment.functions}
    telling = {"payout_run", "payout_events", "bank_inbox"}
    assert {name for name, resources in told.items() if resources} == telling
    for name in telling:
        (resource,) = told[name]
        assert resource.endswith(f":stateMachine:small-peck-{deployment.stage}-payout-run")


def test_workflows_are_started_by_those_who_may(deployment: Deployment) -> None:
    started = {
        name: len(deployment.allowed(name, "states:StartExecution"))
        for name in deployment.functions
        if deployment.allowed(name, "states:StartExecution")
    }
    assert started == {"grader": 1, "sweeper": 1, "requester_api": 2, "operator_api": 2, "payout_schedule": 1}


def test_uploads_are_written_by_requesters_and_read_by_the_splitter_only(deployment: Deployment) -> None:
    def on_uploads(action: str) -> set[str]:
        return {
            name
            for name in deployment.functions
            if any("Uploads" in resource for resource in deployment.allowed(name, action))
        }

    assert on_uploads("s3:PutObject") == {"requester_api", "inbox_open"}
    assert on_uploads("s3:GetObject") == on_uploads("s3:GetObjectVersion") == {"import_split", "inbox_open"}


def test_no_form_reaches_an_inbox_and_only_reports_are_written_there(deployment: Deployment) -> None:
    def ends(folder: str, action: str) -> set[str]:
        return {
            "/" + one.split("/", 1)[1] for one in deployment.allowed(folder, action) if "Uploads" in one and "/" in one
        }

    assert ends("requester_api", "s3:PutObject") == {"/uploads/*"}
    assert ends("inbox_open", "s3:PutObject") == {"/inbox/*.report.json"}
    assert ends("inbox_open", "s3:GetObjectVersion") == {"/inbox/*"}
    assert ends("import_split", "s3:GetObjectVersion") == {"/uploads/*", "/inbox/*"}


def test_who_estimates_again_changes_tasks_and_writes_its_notes_and_reports(deployment: Deployment) -> None:
    assert deployment.table_actions("reestimate", "platform") == {"GetItem", "BatchGetItem", "Query", "UpdateItem"}
    assert not deployment.table_actions("reestimate", "ledger")
    read = {"/" + one.split("/", 1)[1] for one in deployment.allowed("reestimate", "s3:GetObject")}
    written = {"/" + one.split("/", 1)[1] for one in deployment.allowed("reestimate", "s3:PutObject")}
    assert (read, written) == ({"/reestimates/*"}, {"/reestimates/*", "/results/*"})


def test_requesters_drop_with_a_role_that_only_the_api_hands_out(deployment: Deployment) -> None:
    (role,) = [name for name in deployment.properties("AWS::IAM::Role") if name.startswith("InboxDrop")]
    properties = deployment.properties("AWS::IAM::Role")[role]
    (trust,) = properties["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"AWS": {"Fn::GetAtt": [deployment.role_of("requester_api"), "Arn"]}}
    assert properties["MaxSessionDuration"] == 3_600
    assert deployment.allowed("requester_api", "sts:AssumeRole") == {f"<{role}.Arn>"}
    assert {name for name in deployment.functions if deployment.allowed(name, "sts:AssumeRole")} == {"requester_api"}
    assert {action for one in deployment.statements(role) for action in one.actions} == {
        "s3:GetObject", "s3:PutObject", "s3:ListBucket",
    }  # fmt: skip
    (listing,) = [
        one for one in properties["Policies"][0]["PolicyDocument"]["Statement"] if one["Action"] == "s3:ListBucket"
    ]
    assert listing["Condition"] == {"StringLike": {"s3:prefix": "inbox/*"}}


def test_the_function_that_gives_roles_has_no_rights(deployment: Deployment) -> None:
    actions = {
        action
        for statement in deployment.statements(deployment.role_of("token_groups"))
        for action in statement.actions
    }
    assert {action.split(":")[0] for action in actions} == {"logs", "xray"}


def test_no_action_is_a_wildcard(deployment: Deployment) -> None:
    assert not [action for statement in everything(deployment) for action in statement.actions if "*" in action]


def test_a_wildcard_resource_is_a_prefix_of_objects_or_has_no_narrower_form(deployment: Deployment) -> None:
    for statement in everything(deployment):
        for resource in statement.resources:
            if resource == "*":
                assert statement.actions <= WITHOUT_RESOURCES
            elif "*" in resource and ":execution:" in resource:
                assert statement.actions == {"states:DescribeExecution", "states:StopExecution"}
            elif "*" in resource:
                assert resource.endswith(PREFIXES + MAILBOX)
                assert {action.split(":")[0] for action in statement.actions} == {"s3"}


def test_each_function_has_a_role_of_its_own_and_no_managed_policy(deployment: Deployment) -> None:
    roles = [deployment.role_of(name) for name in deployment.functions]
    assert len(set(roles)) == len(roles)
    for name, properties in deployment.properties("AWS::IAM::Role").items():
        assert not properties.get("ManagedPolicyArns")
        (trust,) = properties["AssumeRolePolicyDocument"]["Statement"]
        assert set(trust["Principal"]) == ({"AWS"} if name.startswith("InboxDrop") else {"Service"})


def test_index_rights_name_the_indexes(deployment: Deployment) -> None:
    expected = {f"/index/{index}" for index in keys.INDEXES}
    for name in deployment.functions:
        if "Query" in deployment.table_actions(name, "platform"):
            queried = deployment.allowed(name, "dynamodb:Query")
            assert {"/index/" + one.split("/index/")[1] for one in queried if "/index/" in one} == expected


def test_stages_give_the_same_rights(deployments: dict[str, Deployment]) -> None:
    def rights(deployment: Deployment) -> dict[str, set[frozenset[str]]]:
        return {
            name: {statement.actions for statement in deployment.statements(deployment.role_of(name))}
            for name in deployment.functions
        }

    assert rights(deployments["local"]) == rights(deployments["dev"]) == rights(deployments["prod"])
