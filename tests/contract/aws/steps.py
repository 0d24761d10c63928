"""One list of calls for two implementations: steps, how they are run, and how answers are made comparable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError, ParamValidationError

Answer = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """One call. `raises` is the error code that both must give (None: both succeed); `shows` is a part of
    the answer that the in-memory AWS must give; `moto` says why moto answers differently, which is then
    asserted.
    """

    operation: str
    params: Any = field(default_factory=dict)
    raises: str | None = None
    shows: Answer | None = None
    moto: str = ""


@dataclass(frozen=True)
class Scenario:
    """Steps that run one after the other on a fresh world. Parameters may be a function of the answers so
    far.
    """

    name: str
    steps: Sequence[Step]


def scenarios(*listed: Scenario) -> pytest.MarkDecorator:
    """The parametrisation of a test by scenarios."""
    return pytest.mark.parametrize("scenario", listed, ids=[scenario.name for scenario in listed])


def outcome(client: Any, step: Step, so_far: list[Answer], normal: Callable[[Answer], Answer]) -> Answer:
    """Run a step on one client: its comparable answer, or its error as {"error": code, ...}."""
    params = step.params(so_far) if callable(step.params) else step.params
    try:
        answer = getattr(client, step.operation)(**params)
    except ParamValidationError:
        so_far.append({})
        return {"error": "ParamValidationError"}
    except ClientError as error:
        so_far.append({})
        response: Answer = dict(error.response)
        code = response["Error"]["Code"]
        if not isinstance(error, getattr(client.exceptions, class_name(code), ClientError)):
            return {"error": f"{code} of the wrong class"}
        seen: Answer = {"error": code}
        reasons = response.get("CancellationReasons")
        if reasons is not None:
            seen["reasons"] = [(reason["Code"], reason.get("Item")) for reason in reasons]
        if "Item" in response:
            seen["item"] = response["Item"]
        return seen
    except Exception as error:  # noqa: BLE001 - an answer like any other, to be compared
        so_far.append({})
        return {"error": f"{type(error).__name__} inside of the implementation"}
    so_far.append(answer)
    return normal({key: value for key, value in answer.items() if key != "ResponseMetadata"})


def class_name(code: str) -> str:
    """The attribute of `client.exceptions` for an error code."""
    renamed = {"AWS.SimpleQueueService.NonExistentQueue": "QueueDoesNotExist"}
    return renamed.get(code, code.rsplit(".", 1)[-1])


def compare(scenario: Scenario, fake: Any, moto: Any, normal: Callable[[Answer], Answer]) -> None:
    """Run all steps on both and compare each answer."""
    problems: list[str] = []
    fake_answers: list[Answer] = []
    moto_answers: list[Answer] = []
    for number, step in enumerate(scenario.steps):
        where = f"{scenario.name}[{number}] {step.operation}"
        ours = outcome(fake, step, fake_answers, normal)
        theirs = outcome(moto, step, moto_answers, normal)
        if ours.get("error") != step.raises:
            problems.append(f"{where}: expected {step.raises or 'success'}, got {ours}")
        if step.shows is not None and any(ours.get(name) != value for name, value in step.shows.items()):
            problems.append(f"{where}: {ours} does not show {step.shows}")
        if step.moto and ours == theirs:
            problems.append(f"{where}: moto answers alike, drop the note {step.moto!r}: {ours}")
        if not step.moto and ours != theirs:
            problems.append(f"{where}: {step.params}\n  in memory: {ours}\n  moto:      {theirs}")
    assert not problems, "\n".join(problems)


def s(text: str) -> dict[str, Any]:
    """A string value."""
    return {"S": text}


def n(value: object) -> dict[str, Any]:
    """A number value."""
    return {"N": str(value)}


def m(**entries: Any) -> dict[str, Any]:
    """A map value."""
    return {"M": entries}


def li(*members: Any) -> dict[str, Any]:
    """A list value."""
    return {"L": list(members)}
