"""What is written about an invocation, and what never is."""

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from smallpeck.kernel.errors import Conflict, Unavailable
from smallpeck.runtime import observability
from smallpeck.runtime.observability import count, describe, logger, observed, workflow_step
from tests.gateway import Context, event
from tests.unit.runtime.sample_api import GOOD, PERSON, get, post, sample

Lines = Callable[[], list[dict[str, Any]]]


class Stdout:
    """Whatever the standard output is at the moment of writing."""

    def write(self, text: str) -> None:
        sys.stdout.write(text)

    def flush(self) -> None:
        sys.stdout.flush()


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Lines:
    """The JSON lines that were written, logs and metrics."""
    for handler in logger.handlers:
        monkeypatch.setattr(handler, "stream", Stdout())

    def read() -> list[dict[str, Any]]:
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return read


def metrics(written: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        metric["Name"]: line[metric["Name"]]
        for line in written
        if "_aws" in line
        for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]
    }


def test_a_request_is_one_line_without_anything_that_was_sent(lines: Lines) -> None:
    api, _ = sample()
    post(
        api,
        body=GOOD | {"owner_id": "secret-owner"},
        key="secret-key",
        headers={"authorization": "Bearer secret-token", "x-correlation-id": "c-1"},
    )
    (line,) = lines()
    assert (line["route"], line["status"], line["correlation_id"]) == ("POST /v1/worker/things", 201, "c-1")
    assert (line["level"], line["function"], line["request_id"]) == ("INFO", "a-function", "lambda-request-1")
    text = json.dumps(line)
    assert "secret" not in text
    assert "user-1" not in text


def test_a_path_that_is_no_route_is_not_written(lines: Lines) -> None:
    get(sample()[0], "/v1/worker/anna@example.com")
    (line,) = lines()
    assert line["route"] == "none"
    assert "anna" not in json.dumps(line)


def test_a_fault_is_written_with_its_stack_and_counted_and_its_message_withheld(lines: Lines) -> None:
    answer = get(sample()[0], "/v1/worker/things/broken")
    written = lines()
    fault = next(line for line in written if line.get("level") == "ERROR")
    assert fault["correlation_id"] == answer.json["correlation_id"]
    assert "RuntimeError: (message withheld)" in fault["exception"]
    assert "in get_thing" in fault["exception"]
    assert PERSON not in json.dumps(written)
    assert metrics(written) == {"Faults": [1.0]}


def test_nothing_of_one_request_is_written_with_the_next(lines: Lines) -> None:
    api, _ = sample()
    get(api, "/v1/worker/things/t", headers={"x-correlation-id": "first"})
    logger.append_keys(batch_id="b1")
    get(api, "/v1/worker/things/t")
    first, second = lines()
    assert first["correlation_id"] == "first"
    assert second["correlation_id"] == "request-1"
    assert "batch_id" not in second


def test_secrets_are_left_out_wherever_they_stand(lines: Lines) -> None:
    logger.info("x", extra={"Authorization": "Bearer t", "inside": [{"body": "answers", "status": 7}]})
    (line,) = lines()
    assert line["Authorization"] == "[redacted]"
    assert line["inside"] == [{"body": "[redacted]", "status": 7}]


def test_a_function_of_a_queue_has_ids_and_metrics(lines: Lines) -> None:
    @observed
    def handler(given: dict[str, Any], _context: Any) -> int:
        logger.info("working")
        count("PagesSettled", 3)
        return len(given)

    assert handler({"correlation_id": "c-9"}, Context()) == 1
    written = lines()
    assert written[0]["correlation_id"] == "c-9"
    assert metrics(written) == {"PagesSettled": [3.0]}


def test_a_function_of_a_queue_that_fails_says_so_and_fails(lines: Lines) -> None:
    @observed
    def handler(_given: list[int], _context: Any) -> None:
        count("PagesSettled")
        raise KeyError(PERSON)

    with pytest.raises(KeyError):
        handler([], Context())
    written = lines()
    assert written[0]["correlation_id"] == "lambda-request-1"
    assert "KeyError: (message withheld)" in written[0]["exception"]
    assert metrics(written) == {"PagesSettled": [1.0], "Faults": [1.0]}


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (Conflict("closed"), "SmallPeck.Conflict"),
        (Unavailable("busy"), "SmallPeck.Unavailable"),
        (ClientError({"Error": {"Code": "SlowDown", "Message": ""}}, "PutObject"), "SmallPeck.Unavailable"),
    ],
)
def test_a_step_of_a_workflow_fails_by_category(error: Exception, name: str, lines: Lines) -> None:
    @workflow_step
    def handler(_given: dict[str, Any], _context: Any) -> None:
        raise error

    with pytest.raises(Exception, match=r".+") as caught:
        handler({}, Context())
    assert type(caught.value).__name__ == name
    assert lines()[0]["level"] == "WARNING"


def test_a_step_with_a_fault_of_ours_fails_under_its_own_name(lines: Lines) -> None:
    @workflow_step
    def handler(_given: dict[str, Any], _context: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        handler({}, Context())
    assert metrics(lines()) == {"Faults": [1.0]}


def test_a_step_that_succeeds_answers_as_it_is() -> None:
    assert workflow_step(lambda given, _context: given)({"a": 1}, Context()) == {"a": 1}


def test_the_stack_names_every_error_in_the_chain_and_quotes_only_ours_and_aws() -> None:
    def fail() -> None:
        try:
            int("4111 1111")
        except ValueError as error:
            raise ClientError(
                {
                    "Error": {"Code": "TransactionCanceledException", "Message": PERSON},
                    "CancellationReasons": [{"Code": "None"}, {"Code": "ConditionalCheckFailed", "Message": PERSON}],
                },
                "TransactWriteItems",
            ) from error

    try:
        try:
            fail()
        except ClientError as error:
            raise Conflict("the thing was changed") from error
    except Conflict as error:
        text = describe(error)
    assert "smallpeck.kernel.errors.Conflict: the thing was changed" in text
    assert "TransactWriteItems TransactionCanceledException ['None', 'ConditionalCheckFailed']" in text
    assert "builtins.ValueError: (message withheld)" in text
    assert PERSON not in text


def test_without_metrics_nothing_is_written(lines: Lines) -> None:
    observability.flush()
    assert lines() == []


def test_an_event_of_the_gateway_is_never_logged(lines: Lines) -> None:
    api, _ = sample()
    api.handler(event("POST", "/v1/worker/things", raw="{", key="k", headers={"cookie": "s"}), Context())
    assert all("headers" not in line and "rawPath" not in line for line in lines())
