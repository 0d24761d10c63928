"""The frame around a step of a workflow: its payload is read by a model, its answer is one."""

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from smallpeck.kernel.errors import Invalid
from smallpeck.runtime.observability import workflow_step
from smallpeck.runtime.schemas import problems_of

S = TypeVar("S")
Handler: TypeAlias = Callable[[dict[str, Any], Any], dict[str, Any] | None]


class BadStep(Invalid):
    """A payload that is no step of this workflow."""

    code = "bad_step"


def step(payload: type[S] | Any) -> Callable[[Callable[[S], BaseModel | None]], Handler]:
    """Makes a function of a step (a model, or a union of models told apart by `step`) what AWS calls.

    Errors have the names that the workflow's Retry and Catch read; a payload that is no step is BadStep.
    """
    adapter: TypeAdapter[S] = TypeAdapter(payload)

    def frame(run: Callable[[S], BaseModel | None]) -> Handler:
        @workflow_step
        def handler(event: dict[str, Any], _context: Any) -> dict[str, Any] | None:
            try:
                asked = adapter.validate_python(event)
            except ValidationError as error:
                raise BadStep("this is no step of this workflow", problems=problems_of(error, event)) from error
            answer = run(asked)
            return None if answer is None else answer.model_dump()

        return handler

    return frame
