"""One table says what a category is called over HTTP and in Step Functions."""

from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError, NoRegionError, ParamValidationError, ReadTimeoutError

from smallpeck.kernel.errors import Category, Conflict, InProgress, Invalid, Problem, SmallPeckError, Unavailable
from smallpeck.ledger.service import InsufficientFunds
from smallpeck.runtime.problems import (
    MEANINGS,
    ParameterProblem,
    WorkflowError,
    document,
    known,
    pointer,
    workflow_error,
)


def every_error(base: type[SmallPeckError] = SmallPeckError) -> Iterator[type[SmallPeckError]]:
    for error in base.__subclasses__():
        yield error
        yield from every_error(error)


def test_every_category_has_its_own_status_and_name() -> None:
    assert set(MEANINGS) == set(Category)
    assert len({meaning.status for meaning in MEANINGS.values()}) == len(Category)
    assert len({meaning.workflow_error for meaning in MEANINGS.values()}) == len(Category)


def test_a_code_is_stable_and_fit_for_a_uri() -> None:
    for error in every_error():
        assert error.code.replace("_", "").isalnum(), error
        assert error.code == error.code.lower(), error


def test_the_document_of_an_error() -> None:
    error = Invalid("no", problems=[Problem("/a", "too long"), ParameterProblem("/limit", "too large")])
    assert document(error, instance="/v1/worker/pages", correlation_id="c1") == {
        "type": "urn:small-peck:problem:invalid",
        "title": "The request is not allowed as it is",
        "status": 422,
        "detail": "no",
        "instance": "/v1/worker/pages",
        "code": "invalid",
        "errors": [
            {"pointer": "/a", "detail": "too long"},
            {"in": "query", "pointer": "/limit", "detail": "too large"},
        ],
        "correlation_id": "c1",
    }


def test_a_fault_of_ours_says_nothing_about_itself() -> None:
    problem = document(None, instance="/", correlation_id="c1")
    assert (problem["status"], problem["code"], problem["errors"]) == (500, "internal", [])


def test_a_thousand_problems_are_told_in_part() -> None:
    error = Invalid("no", problems=[Problem(f"/{n}", "wrong") for n in range(1_000)])
    assert len(document(error, instance="/", correlation_id="c1")["errors"]) == 20


def test_pointers_are_escaped() -> None:
    assert pointer("a/b", 0, "m~n", "") == "/a~1b/0/m~0n/"
    assert pointer() == ""


def test_a_workflow_reads_the_category_in_the_name_of_the_class() -> None:
    told = workflow_error(InsufficientFunds([]))
    assert type(told).__name__ == "SmallPeck.Conflict"
    assert isinstance(told, WorkflowError)
    assert str(told) == "insufficient_funds: there is not enough money for this"
    assert type(workflow_error(Unavailable("busy"))).__name__ == "SmallPeck.Unavailable"
    assert type(workflow_error(InProgress("wait"))) is type(workflow_error(Conflict("no")))


def aws_error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "..."}}, "PutItem")


@pytest.mark.parametrize(
    "error",
    [
        aws_error("ThrottlingException"),
        aws_error("ProvisionedThroughputExceededException"),
        aws_error("SlowDown"),
        aws_error("InternalServerError"),
        ReadTimeoutError(endpoint_url="https://dynamodb"),
    ],
)
def test_a_dependency_that_is_busy_is_worth_another_try(error: Exception) -> None:
    told = known(error)
    assert isinstance(told, Unavailable)
    assert told.retry_after_seconds == 2


@pytest.mark.parametrize(
    "error",
    [
        aws_error("AccessDeniedException"),
        aws_error("ValidationException"),
        ParamValidationError(report="x"),
        NoRegionError(),
        KeyError("x"),
    ],
)
def test_a_mistake_of_ours_is_not_called_busy(error: Exception) -> None:
    assert known(error) is None


def test_an_error_of_ours_is_told_as_it_is() -> None:
    error = Conflict("no")
    assert known(error) is error
