"""A recording stand-in for `boto3.client("stepfunctions")`: what was started and answered; it runs no
workflow.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.aws.client import Client, Params, Response
from tests.aws.clock import Clock
from tests.aws.errors import Rejection
from tests.aws.faults import Faults


@dataclass(slots=True)
class Execution:
    """A started execution; `input` is the JSON text as sent, `started` in virtual time."""

    arn: str
    state_machine: str
    name: str
    input: str
    started: datetime
    status: str = "RUNNING"


@dataclass(frozen=True, slots=True)
class TaskAnswer:
    """An answer to a task token: its output (success) or its error and cause (failure)."""

    token: str
    output: str | None = None
    error: str = ""
    cause: str = ""


class Sfn(Client):
    """Records executions and task answers.

    Names of executions are unique per state machine: started again with the same input while running, the
    same execution is returned; with another input, or once it has ended, ExecutionAlreadyExists.
    """

    service = "stepfunctions"

    def __init__(self, clock: Clock, faults: Faults, *, validate: bool = True) -> None:
        super().__init__(clock, faults, validate=validate)
        self.executions: list[Execution] = []
        self.answers: list[TaskAnswer] = []
        self.refused_tokens: set[str] = set()
        """Tokens whose task has timed out; answers to them raise TaskTimedOut."""
        self._answered: set[str] = set()
        self._by_arn: dict[str, Execution] = {}

    def finish(self, arn: str, status: str = "SUCCEEDED") -> None:
        """End an execution, outside of AWS."""
        self._by_arn[arn].status = status

    def start_execution(self, **params: Any) -> Response:
        """Start an execution; see the class about names. InvalidExecutionInput when `input` is not JSON."""
        return self.invoke("StartExecution", params, self._start_execution)

    def _start_execution(self, params: Params) -> Response:
        machine = params["stateMachineArn"]
        text = params.get("input", "{}")
        try:
            json.loads(text)
        except ValueError as error:
            message = f"Invalid State Machine Execution Input: '{error}'"
            raise Rejection("InvalidExecutionInput", message) from None
        name = params.get("name") or f"execution-{len(self.executions) + 1}"
        arn = f"{machine.replace(':stateMachine:', ':execution:')}:{name}"
        existing = self._by_arn.get(arn)
        if existing is not None:
            if existing.input != text or existing.status != "RUNNING":
                raise Rejection("ExecutionAlreadyExists", f"Execution Already Exists: '{arn}'")
            return {"executionArn": arn, "startDate": existing.started}
        execution = Execution(arn, machine, name, text, self.clock.datetime())
        self._by_arn[arn] = execution
        self.executions.append(execution)
        return {"executionArn": arn, "startDate": execution.started}

    def describe_execution(self, **params: Any) -> Response:
        """Input and status of an execution."""
        return self.invoke("DescribeExecution", params, self._describe_execution)

    def _describe_execution(self, params: Params) -> Response:
        execution = self._by_arn.get(params["executionArn"])
        if execution is None:
            raise Rejection("ExecutionDoesNotExist", f"Execution Does Not Exist: '{params['executionArn']}'")
        return {
            "executionArn": execution.arn,
            "stateMachineArn": execution.state_machine,
            "name": execution.name,
            "status": execution.status,
            "input": execution.input,
        }

    def send_task_success(self, **params: Any) -> Response:
        """Record the output of a task."""
        return self.invoke("SendTaskSuccess", params, lambda p: self._answer(TaskAnswer(p["taskToken"], p["output"])))

    def send_task_failure(self, **params: Any) -> Response:
        """Record the failure of a task."""
        return self.invoke(
            "SendTaskFailure",
            params,
            lambda p: self._answer(TaskAnswer(p["taskToken"], None, p.get("error", ""), p.get("cause", ""))),
        )

    def _answer(self, answer: TaskAnswer) -> Response:
        if answer.token in self.refused_tokens or answer.token in self._answered:
            raise Rejection("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")
        self._answered.add(answer.token)
        self.answers.append(answer)
        return {}
