"""Whatever calls a function calls its alias, and nothing that cannot be delivered is lost in silence."""

import json
import re
from typing import Any

import pytest

from infra.constructs.payouts import SIGNALS
from infra.packaging import ROOT
from infra.stages import STAGES
from smallpeck.runtime.settings import METRICS_NAMESPACE, Settings, variable
from tests.infra.templates import Deployment, flat

AUDIENCES = ("worker", "requester", "operator")
FORMS = [{"prefix": "uploads/"}]
SPECS = [{"wildcard": "inbox/*.yaml"}, {"wildcard": "inbox/*.yml"}, {"wildcard": "inbox/*.json"}]
ANSWERS = [{"prefix": "sepa/in/"}]
METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
VISIBLE, AGE = "ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"


def test_every_function_is_reached_through_a_published_version(deployment: Deployment) -> None:
    assert sorted(deployment.aliases.values()) == sorted(deployment.functions)
    versions = deployment.resources("AWS::Lambda::Version")
    for properties in deployment.properties("AWS::Lambda::Alias").values():
        assert properties["Name"] == "live"
        assert properties["FunctionVersion"]["Fn::GetAtt"][0] in versions


def test_every_trigger_calls_the_alias(deployment: Deployment) -> None:
    callers: list[Any] = [
        *(one["FunctionName"] for one in deployment.properties("AWS::Lambda::Permission").values()),
        *(one["FunctionName"] for one in deployment.properties("AWS::Lambda::EventSourceMapping").values()),
        *(one["Target"]["Arn"] for one in schedules(deployment) if not starts_workflow(deployment, one)),
        *(one["IntegrationUri"] for one in deployment.properties("AWS::ApiGatewayV2::Integration").values()),
    ]
    assert len(callers) > len(AUDIENCES)
    assert [caller for caller in callers if deployment.alias_in(caller) is None] == []


def test_roles_may_invoke_aliases_only(deployment: Deployment) -> None:
    invoked = [
        resource
        for role in deployment.properties("AWS::IAM::Role")
        for statement in deployment.statements(role)
        if "lambda:InvokeFunction" in statement.actions
        for resource in statement.resources
    ]
    assert invoked
    assert [resource for resource in invoked if deployment.alias_in(resource) is None] == []


def test_the_user_pool_calls_the_alias_by_its_name(deployment: Deployment) -> None:
    (pool,) = deployment.properties("AWS::Cognito::UserPool").values()
    trigger = pool["LambdaConfig"]["PreTokenGenerationConfig"]
    name = deployment.functions["token_groups"]["FunctionName"]
    assert trigger["LambdaVersion"] == "V2_0"
    assert flat(trigger["LambdaArn"]).endswith(f":function:{name}:live")
    allowed = [
        one
        for one in deployment.properties("AWS::Lambda::Permission").values()
        if one["Principal"] == "cognito-idp.amazonaws.com"
    ]
    assert [deployment.alias_in(one["FunctionName"]) for one in allowed] == ["token_groups"]
    assert "Users" in flat(allowed[0]["SourceArn"])


@pytest.mark.parametrize("audience", AUDIENCES)
def test_all_of_an_audience_goes_to_its_function_with_an_access_token(deployment: Deployment, audience: str) -> None:
    routes = {
        route["RouteKey"]: route
        for route in deployment.properties("AWS::ApiGatewayV2::Route").values()
        if f"/v1/{audience}/" in route["RouteKey"]
    }
    assert set(routes) == {f"{method} /v1/{audience}/{{proxy+}}" for method in METHODS}
    integrations = deployment.properties("AWS::ApiGatewayV2::Integration")
    for route in routes.values():
        assert route["AuthorizationType"] == "JWT"
        assert route["AuthorizationScopes"] == ["aws.cognito.signin.user.admin"]
        (integration,) = [one for name, one in integrations.items() if f"<{name}>" in flat(route["Target"])]
        assert deployment.alias_in(integration["IntegrationUri"]) == f"{audience}_api"
        assert integration["PayloadFormatVersion"] == "2.0"


def test_keys_and_roots_are_there_for_everybody(deployment: Deployment) -> None:
    integrations = deployment.properties("AWS::ApiGatewayV2::Integration")
    for key in ("GET /v1/keys", "GET /v1/root"):
        (route,) = [one for one in deployment.properties("AWS::ApiGatewayV2::Route").values() if one["RouteKey"] == key]
        assert route["AuthorizationType"] == "NONE"
        (integration,) = [one for name, one in integrations.items() if f"<{name}>" in flat(route["Target"])]
        assert deployment.alias_in(integration["IntegrationUri"]) == "worker_api"


def test_nothing_else_is_reached_but_health(deployment: Deployment) -> None:
    routes = deployment.properties("AWS::ApiGatewayV2::Route").values()
    open_routes = {one["RouteKey"] for one in routes if one["AuthorizationType"] == "NONE"}
    assert {"GET /healthz", "GET /v1/keys", "GET /v1/root"} <= open_routes
    assert {route["RouteKey"] for route in routes if "/v1/" not in route["RouteKey"]} == {"GET /healthz"}
    assert not [one for one in routes if one["RouteKey"].startswith(("ANY", "OPTIONS", "$"))]


def test_the_authorizer_takes_tokens_of_our_pool_and_clients(deployment: Deployment) -> None:
    (authorizer,) = deployment.properties("AWS::ApiGatewayV2::Authorizer").values()
    issuer = flat(authorizer["JwtConfiguration"]["Issuer"])
    assert issuer.startswith("https://cognito-idp.<AWS::Region>.amazonaws.com/<")
    assert "Users" in issuer
    audiences = [flat(one) for one in authorizer["JwtConfiguration"]["Audience"]]
    assert len(set(audiences)) == len(AUDIENCES)
    for audience in AUDIENCES:
        assert any(f"Users{audience.capitalize()}" in one for one in audiences)


def test_the_api_is_throttled_and_its_log_names_nobody(deployment: Deployment) -> None:
    (stage,) = deployment.properties("AWS::ApiGatewayV2::Stage").values()
    assert stage["DefaultRouteSettings"]["ThrottlingRateLimit"] > 0
    assert stage["DefaultRouteSettings"]["ThrottlingBurstLimit"] > 0
    log = stage["AccessLogSettings"]["Format"]
    for name in ("sourceIp", "identity", "claims", "userAgent", "path", "principalId"):
        assert name not in log


def test_a_submission_is_tried_five_times_and_longer_apart_than_it_can_take(deployment: Deployment) -> None:
    (mapping,) = deployment.properties("AWS::Lambda::EventSourceMapping").values()
    assert deployment.alias_in(mapping["FunctionName"]) == "grader"
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["BatchSize"] == 10
    assert mapping["ScalingConfig"]["MaximumConcurrency"] >= 2
    queue = deployment.properties("AWS::SQS::Queue")[mapping["EventSourceArn"]["Fn::GetAtt"][0]]
    assert queue["VisibilityTimeout"] >= 6 * deployment.functions["grader"]["Timeout"]
    assert queue["RedrivePolicy"]["maxReceiveCount"] == 5


def dead_letter_queues(deployment: Deployment) -> set[str]:
    """Logical ids of all that something is redriven or delivered to in the end."""
    targets = [
        *(one.get("RedrivePolicy", {}).get("deadLetterTargetArn") for one in queues(deployment).values()),
        *(one["Target"]["DeadLetterConfig"]["Arn"] for one in schedules(deployment)),
        *(target["DeadLetterConfig"]["Arn"] for one in rules(deployment) for target in one["Targets"]),
    ]
    return {target["Fn::GetAtt"][0] for target in targets if target}


def queues(deployment: Deployment) -> dict[str, dict[str, Any]]:
    """All queues."""
    return deployment.properties("AWS::SQS::Queue")


def rules(deployment: Deployment) -> list[dict[str, Any]]:
    """All EventBridge rules."""
    return list(deployment.properties("AWS::Events::Rule").values())


def schedules(deployment: Deployment) -> list[dict[str, Any]]:
    """All schedules."""
    return list(deployment.properties("AWS::Scheduler::Schedule").values())


def starts_workflow(deployment: Deployment, schedule: dict[str, Any]) -> bool:
    """Whether a schedule starts a workflow of ours."""
    return flat(schedule["Target"]["Arn"]).strip("<>") in deployment.properties("AWS::StepFunctions::StateMachine")


def test_every_queue_rule_and_schedule_has_a_dead_letter_queue_with_an_alarm(deployment: Deployment) -> None:
    assert rules(deployment)
    assert schedules(deployment)
    last = dead_letter_queues(deployment)
    for name, queue in queues(deployment).items():
        assert name in last or "RedrivePolicy" in queue
    assert {f"<{name}.QueueName>" for name in last} == deployment.alarmed(VISIBLE)
    assert {f"<{name}.QueueName>" for name in queues(deployment) if name not in last} == deployment.alarmed(AGE)


def test_what_waits_for_a_person_waits_for_two_weeks(deployment: Deployment) -> None:
    for name in dead_letter_queues(deployment):
        assert queues(deployment)[name]["MessageRetentionPeriod"] == 14 * 24 * 3600


def test_queues_are_encrypted_and_speak_tls_only(deployment: Deployment) -> None:
    policies = deployment.properties("AWS::SQS::QueuePolicy").values()
    for name, queue in queues(deployment).items():
        assert queue["SqsManagedSseEnabled"] is True
        denied = [
            statement
            for policy in policies
            if {"Ref": name} in policy["Queues"]
            for statement in policy["PolicyDocument"]["Statement"]
            if statement["Effect"] == "Deny"
        ]
        assert [one["Condition"] for one in denied] == [{"Bool": {"aws:SecureTransport": "false"}}]


def test_the_sweeper_runs_every_minute_and_deposits_are_looked_after(deployment: Deployment) -> None:
    calling = {
        deployment.alias_in(one["Target"]["Arn"]): one["ScheduleExpression"]
        for one in schedules(deployment)
        if not starts_workflow(deployment, one)
    }
    assert calling == {
        "sweeper": "rate(1 minute)",
        "funding_watch": "rate(15 minutes)",
        "bank_inbox": "rate(1 day)",
    }
    assert deployment.functions["sweeper"]["Timeout"] < 60


def starting(deployment: Deployment, name: str) -> dict[str, Any]:
    """The schedule that starts a workflow, by the beginning of its machine's id."""
    (found,) = [
        one
        for one in schedules(deployment)
        if starts_workflow(deployment, one) and flat(one["Target"]["Arn"]).startswith(f"<{name}")
    ]
    return found


def test_the_books_are_sealed_soon_after_each_day_under_the_moment_it_was_due(deployment: Deployment) -> None:
    schedule = starting(deployment, "BooksSeal")
    assert schedule["ScheduleExpression"] == "cron(15 0 * * ? *)"
    assert schedule["ScheduleExpressionTimezone"] == "Etc/UTC"
    assert json.loads(schedule["Target"]["Input"]) == {"scheduled_at": "<aws.scheduler.scheduled-time>"}
    role = schedule["Target"]["RoleArn"]["Fn::GetAtt"][0]
    allowed = {action: one.resources for one in deployment.statements(role) for action in one.actions}
    assert allowed["states:StartExecution"] == {f"<{schedule['Target']['Arn']['Ref']}>"}


def test_the_books_are_audited_once_a_day_before_payouts_go_out(deployment: Deployment) -> None:
    schedule = starting(deployment, "LedgerBooksAudit")
    assert schedule["ScheduleExpression"] == "cron(30 3 * * ? *)"
    assert STAGES[deployment.stage].payout_hour_utc > 3
    assert schedule["ScheduleExpressionTimezone"] == "Etc/UTC"
    assert json.loads(schedule["Target"]["Input"]) == {"scheduled_at": "<aws.scheduler.scheduled-time>"}
    role = schedule["Target"]["RoleArn"]["Fn::GetAtt"][0]
    allowed = {action: one.resources for one in deployment.statements(role) for action in one.actions}
    assert allowed["states:StartExecution"] == {f"<{schedule['Target']['Arn']['Ref']}>"}


def test_payouts_go_out_once_a_day_under_the_moment_they_were_due(deployment: Deployment) -> None:
    schedule = starting(deployment, "PayoutSchedule")
    assert schedule["ScheduleExpression"] == f"cron(0 {STAGES[deployment.stage].payout_hour_utc} * * ? *)"
    assert schedule["ScheduleExpressionTimezone"] == "Etc/UTC"
    assert schedule["Target"]["Arn"]["Ref"].startswith("PayoutSchedule")
    assert json.loads(schedule["Target"]["Input"]) == {"scheduled_at": "<aws.scheduler.scheduled-time>"}
    role = schedule["Target"]["RoleArn"]["Fn::GetAtt"][0]
    allowed = {action: one.resources for one in deployment.statements(role) for action in one.actions}
    assert allowed["states:StartExecution"] == {f"<{schedule['Target']['Arn']['Ref']}>"}
    told = (deployment.environment(name)[variable("payout_hour_utc")] for name in ("worker_api",))
    assert set(told) == {str(STAGES[deployment.stage].payout_hour_utc)}


def test_an_upload_starts_the_import_with_its_version(deployment: Deployment) -> None:
    (rule,) = [one for one in rules(deployment) if one["EventPattern"]["detail"]["object"]["key"] == FORMS]
    pattern = rule["EventPattern"]
    assert pattern["detail-type"] == ["Object Created"]
    assert "Uploads" in flat(pattern["detail"]["bucket"]["name"][0])
    (target,) = rule["Targets"]
    assert "Import" in flat(target["Arn"])
    paths = set(target["InputTransformer"]["InputPathsMap"].values())
    assert {"$.detail.bucket.name", "$.detail.object.key", "$.detail.object.version-id"} <= paths
    assert target["RetryPolicy"]["MaximumRetryAttempts"] > 0


def test_a_spec_in_an_inbox_starts_the_drop_with_its_version_and_data_alone_starts_nothing(
    deployment: Deployment,
) -> None:
    (rule,) = [one for one in rules(deployment) if one["EventPattern"]["detail"]["object"]["key"] == SPECS]
    pattern = rule["EventPattern"]
    assert pattern["detail-type"] == ["Object Created"]
    assert pattern["detail"]["object"]["key"] == SPECS
    assert "Uploads" in flat(pattern["detail"]["bucket"]["name"][0])
    (target,) = rule["Targets"]
    assert "InboxWorkflow" in flat(target["Arn"])
    paths = set(target["InputTransformer"]["InputPathsMap"].values())
    assert paths == {"$.detail.bucket.name", "$.detail.object.key", "$.detail.object.version-id"}
    assert target["RetryPolicy"]["MaximumRetryAttempts"] > 0


def test_an_answer_of_the_bank_is_taken_in_when_it_arrives_and_no_other_file_is(deployment: Deployment) -> None:
    (rule,) = [one for one in rules(deployment) if one["EventPattern"]["detail"]["object"]["key"] == ANSWERS]
    pattern = rule["EventPattern"]
    assert pattern["detail-type"] == ["Object Created"]
    assert "Work" in flat(pattern["detail"]["bucket"]["name"][0])
    (target,) = rule["Targets"]
    assert deployment.alias_in(target["Arn"]) == "bank_inbox"
    assert set(target["InputTransformer"]["InputPathsMap"].values()) == {"$.detail.object.key"}
    assert target["RetryPolicy"]["MaximumRetryAttempts"] > 0
    assert len(rules(deployment)) == 3


def test_every_function_and_workflow_has_an_alarm(deployment: Deployment) -> None:
    assert deployment.alarmed("Errors") == {f"<{name}>" for name in deployment.function_ids}
    machines = {f"<{name}>" for name in deployment.properties("AWS::StepFunctions::StateMachine")}
    assert deployment.alarmed("ExecutionsFailed") == deployment.alarmed("ExecutionsTimedOut") == machines
    assert len(deployment.alarms("Throttles")) == 1
    assert len(deployment.alarms("5xx")) == 1


def test_every_alarm_is_heard(deployment: Deployment) -> None:
    (topic,) = deployment.properties("AWS::SNS::Topic")
    alarms = deployment.properties("AWS::CloudWatch::Alarm").values()
    assert alarms
    for alarm in alarms:
        assert alarm["AlarmActions"] == [{"Ref": topic}]
        assert alarm["TreatMissingData"] == "notBreaching"


def test_every_signal_that_asks_for_a_person_has_an_alarm(deployment: Deployment) -> None:
    raised = {
        name
        for room in ("layers/core/python/smallpeck", "functions")
        for path in (ROOT / room).rglob("*.py")
        for name in re.findall(r"\.alarm\(\s*\"(\w+)\"", path.read_text())
    }
    assert raised == set(SIGNALS)
    for name in raised:
        (alarm,) = deployment.alarms(name)
        assert alarm["Namespace"] == METRICS_NAMESPACE
        function = next(iter(deployment.functions.values()))
        service = Settings.from_environment(function["Environment"]["Variables"]).service
        assert alarm["Dimensions"] == [{"Name": "service", "Value": service}]


def test_an_address_for_alarms_is_subscribed_where_one_is_given(deployments: dict[str, Deployment]) -> None:
    subscribed = {
        stage: [one["Endpoint"] for one in deployment.properties("AWS::SNS::Subscription").values()]
        for stage, deployment in deployments.items()
    }
    assert subscribed == {"local": [], "dev": [], "prod": ["oncall@example.com"]}
