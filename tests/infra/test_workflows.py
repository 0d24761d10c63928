"""The workflows as they will run: their definitions with everything filled in."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from infra.constructs.workflow import substitutions
from infra.packaging import WORKFLOWS
from tests.infra.templates import Deployment

NAMES = (
    "import",
    "inbox",
    "batch_finish",
    "batch_export",
    "payout_run",
    "payout_schedule",
    "books_audit",
    "books_seal",
)
TRANSIENT = {"Lambda.ServiceException", "Lambda.SdkClientException", "Lambda.TooManyRequestsException"}
FUNCTION_OF = {
    "BatchFinish": "batch_finish", "Reestimate": "reestimate", "PayoutRun": "payout_run", "BooksAudit": "books_audit",
    "BooksSeal": "books_seal",
    "PayoutSchedule": "payout_schedule",
    "ImportSplit": "import_split", "ImportPart": "import_part", "ImportReport": "import_report",
    "InboxOpen": "inbox_open",
}  # fmt: skip


def definition(name: str) -> dict[str, Any]:
    """A workflow's file."""
    parsed: dict[str, Any] = json.loads((WORKFLOWS / f"{name}.asl.json").read_text())
    return parsed


def machine(deployment: Deployment, name: str) -> dict[str, Any]:
    """The state machine of a workflow."""
    physical = f"small-peck-{deployment.stage}-{name.replace('_', '-')}"
    (found,) = [
        one
        for one in deployment.properties("AWS::StepFunctions::StateMachine").values()
        if one["StateMachineName"] == physical
    ]
    return found


def machines_states(scope: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, dict[str, Any]]]:
    """(machine, name, state) of every state, those of maps included."""
    for name, state in scope["States"].items():
        yield scope, name, state
        for inner in (state.get("ItemProcessor"), *state.get("Branches", [])):
            if inner:
                yield from machines_states(inner)


@pytest.mark.parametrize("name", NAMES)
def test_every_substitution_is_given_and_used(deployment: Deployment, name: str) -> None:
    properties = machine(deployment, name)
    wanted = substitutions(properties["DefinitionString"])
    assert wanted == set(properties["DefinitionSubstitutions"])


@pytest.mark.parametrize("name", NAMES)
def test_functions_are_called_by_alias_and_the_role_allows_exactly_these(deployment: Deployment, name: str) -> None:
    properties = machine(deployment, name)
    given = properties["DefinitionSubstitutions"]
    called = {FUNCTION_OF[key]: deployment.alias_in(given[key]) for key in given if key in FUNCTION_OF}
    assert called
    assert called == {folder: folder for folder in called}
    role = properties["RoleArn"]["Fn::GetAtt"][0]
    invoked = {
        deployment.alias_in(resource)
        for statement in deployment.statements(role)
        if "lambda:InvokeFunction" in statement.actions
        for resource in statement.resources
    }
    assert invoked == set(called)


@pytest.mark.parametrize("name", NAMES)
def test_workflows_log_errors_but_nothing_that_passed_through(deployment: Deployment, name: str) -> None:
    properties = machine(deployment, name)
    assert properties["StateMachineType"] == "STANDARD"
    assert properties["TracingConfiguration"] == {"Enabled": True}
    assert properties["LoggingConfiguration"]["Level"] == "ERROR"
    assert properties["LoggingConfiguration"]["IncludeExecutionData"] is False


@pytest.mark.parametrize("name", NAMES)
def test_every_state_can_be_reached_and_leads_somewhere(name: str) -> None:
    for scope in {id(scope): scope for scope, _, _ in machines_states(definition(name))}.values():
        reached, ahead = set(), [scope["StartAt"]]
        while ahead:
            state = ahead.pop()
            if state not in reached:
                reached.add(state)
                ahead += _next(scope["States"][state])
        assert reached == set(scope["States"])


def _next(state: dict[str, Any]) -> list[str]:
    following = [state.get("Next"), state.get("Default")]
    following += [choice["Next"] for choice in state.get("Choices", [])]
    following += [catch["Next"] for catch in state.get("Catch", [])]
    found = [name for name in following if name]
    assert found or state.get("End") or state["Type"] in ("Succeed", "Fail")
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_step_is_tried_again_when_something_is_only_away_for_a_moment(name: str) -> None:
    tasks = [(step, state) for _, step, state in machines_states(definition(name)) if state["Type"] == "Task"]
    assert tasks
    for step, state in tasks:
        retried = {error for retry in state.get("Retry", []) for error in retry["ErrorEquals"]}
        assert TRANSIENT | {"SmallPeck.Unavailable"} <= retried, step
        assert any(retry.get("BackoffRate", 1) > 1 for retry in state["Retry"]), step


@pytest.mark.parametrize("name", NAMES)
def test_a_definition_names_no_account_region_or_stage(name: str) -> None:
    text = (WORKFLOWS / f"{name}.asl.json").read_text()
    assert not re.search(r"\d{12}|us-east-1|small-peck-(local|dev|prod)", text)


def test_finishing_goes_through_its_steps_in_order() -> None:
    states = definition("batch_finish")["States"]
    steps, name, turns = [], states["Check"]["Choices"][0]["Next"], {"IsEstimatedAgain": ["Default"]}
    turns["IsFitted"] = ["Default"]
    while name != "Finished":
        state = states[name]
        if state["Type"] == "Map":
            (each,) = state["ItemProcessor"]["States"].values()
            steps.append(each["Parameters"]["Payload"]["step"])
        if state["Type"] == "Task":
            steps.append(state["Parameters"]["Payload"]["step"])
        if state["Type"] != "Choice":
            name = state["Next"]
        elif turns.get(name):
            name = state[turns[name].pop()]
        else:
            name = state["Choices"][0]["Next"]
    assert steps == [
        "begin", "recount", "refund", "plan", "gather", "fit", "tally", "fit", "decide", "conclude", "publish", "end",
    ]  # fmt: skip


def test_a_batch_that_nothing_is_estimated_of_is_counted_for_its_report() -> None:
    states = definition("batch_finish")["States"]
    (skipped,) = states["IsEstimatedAgain"]["Choices"]
    assert (skipped["StringEquals"], skipped["Next"]) == ("none", "DecideChunks")


def test_the_chunks_of_a_batch_go_through_a_map_that_gathers_nothing() -> None:
    maps = [state for state in definition("batch_finish")["States"].values() if state["Type"] == "Map"]
    assert len(maps) == 3
    for state in maps:
        assert state["MaxConcurrency"] == 10
        assert state["ResultPath"] is None
        (each,) = state["ItemProcessor"]["States"].values()
        assert each["ResultSelector"] == {}
        assert state["ItemProcessor"]["ProcessorConfig"] == {"Mode": "INLINE"}


def test_finishing_waits_and_counts_again_while_work_is_open() -> None:
    states = definition("batch_finish")["States"]
    assert states["IsReady"]["Default"] == "WaitForOpenWork"
    assert states["WaitForOpenWork"] == {
        "Type": "Wait", "SecondsPath": "$.recount.wait_seconds", "Next": "Recount",
    }  # fmt: skip


def test_finishing_ends_with_the_cause_of_what_went_wrong() -> None:
    states = definition("batch_finish")["States"]
    for state in states.values():
        if state["Type"] in ("Task", "Map"):
            assert state["Catch"] == [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.failure", "Next": "Failed"}]
    assert states["Failed"] == {"Type": "Fail", "ErrorPath": "$.failure.Error", "CausePath": "$.failure.Cause"}
    assert states[states["Check"]["Default"]]["Error"] == "SmallPeck.Malformed"


def test_a_map_may_start_and_watch_its_own_children_only(deployment: Deployment) -> None:
    role = machine(deployment, "import")["RoleArn"]["Fn::GetAtt"][0]
    started = [one for one in deployment.statements(role) if "states:StartExecution" in one.actions]
    assert [len(one.resources) for one in started] == [1]
    assert "ImportWorkflowMachine" in next(iter(started[0].resources))


def test_a_drop_runs_the_import_to_its_end_and_nothing_else(deployment: Deployment) -> None:
    statements = deployment.statements(machine(deployment, "inbox")["RoleArn"]["Fn::GetAtt"][0])
    (started,) = [one.resources for one in statements if "states:StartExecution" in one.actions]
    (watched,) = [one.resources for one in statements if "states:DescribeExecution" in one.actions]
    (rule,) = [one.resources for one in statements if "events:PutRule" in one.actions]
    assert "ImportWorkflowMachine" in next(iter(started))
    assert [len(one) for one in (started, watched, rule)] == [1, 1, 1]
    assert next(iter(watched)).endswith(f":execution:small-peck-{deployment.stage}-import:*")
    assert next(iter(rule)).endswith(":rule/StepFunctionsGetEventsForStepFunctionsExecutionRule")


def test_whatever_fails_in_a_drop_is_reported_before_the_execution_fails() -> None:
    states = definition("inbox")["States"]
    steps = [name for name, state in states.items() if state["Type"] == "Task" and name != "Fail"]
    assert steps == ["Open", "Import", "Conclude"]
    for name in steps:
        assert states[name]["Catch"] == [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Fail"}]
    assert states["Fail"]["Parameters"]["step"] == "fail"
    assert states["Fail"]["Next"] == states["Fail"]["Catch"][0]["Next"] == "Failed"
    assert states["Failed"]["Type"] == "Fail"
