"""Logs, metrics and the frame around an invocation. Nothing that a person sent or that names one is written.

Logs are JSON lines under one correlation id; metrics go out with them (embedded metric format). Tracing is switched
on at the function, so nothing of it is loaded here.
"""

import functools
import logging
import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from aws_lambda_powertools.metrics import Metrics, MetricUnit

from smallpeck.kernel.errors import SmallPeckError
from smallpeck.runtime.problems import WorkflowError, known, workflow_error
from smallpeck.runtime.settings import METRICS_NAMESPACE, Settings

REDACTED: Final = "[redacted]"
_SECRET_KEYS: Final = frozenset(
    {
        "access_token", "answer", "answers", "authorization", "body", "cookie", "cookies", "destination", "email",
        "headers", "id_token", "input", "name", "password", "phone", "refresh_token", "secret", "token",
    }
)  # fmt: skip

Event = TypeVar("Event")
Answer = TypeVar("Answer")


class _Formatter(LambdaPowertoolsFormatter):
    """JSON lines without the values of keys that could hold a secret or a person's data."""

    def serialize(self, log: Any) -> str:
        return super().serialize(_redacted(log))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name is logging's
        return describe(ei[1])


_settings = Settings.from_environment(os.environ)
logger = Logger(
    service=_settings.service,
    level=_settings.log_level,
    logger_formatter=_Formatter(serialize_stacktrace=False),
    log_uncaught_exceptions=False,
)
_metrics = Metrics(namespace=METRICS_NAMESPACE, service=_settings.service)


def begin(context: Any, *, correlation_id: str) -> None:
    """Starts an invocation: what is logged from here on carries its ids and nothing of the one before."""
    logger.clear_state()
    logger.append_keys(
        correlation_id=correlation_id,
        function=getattr(context, "function_name", ""),
        request_id=getattr(context, "aws_request_id", ""),
    )


def count(name: str, amount: int = 1) -> None:
    """Adds to a metric, such as `count("PagesSettled")`."""
    _metrics.add_metric(name=name, unit=MetricUnit.Count, value=amount)


def flush() -> None:
    """Writes the metrics of an invocation, if it counted anything."""
    if _metrics.metric_set:
        _metrics.flush_metrics()


def observed(handler: Callable[[Event, Any], Answer]) -> Callable[[Event, Any], Answer]:
    """The frame around a function that a queue, a stream or a schedule calls: ids in the logs, faults, metrics."""

    @functools.wraps(handler)
    def run(event: Event, context: Any) -> Answer:
        begin(context, correlation_id=_correlation_of(event, context))
        try:
            return handler(event, context)
        except Exception:
            count("Faults")
            logger.exception("the invocation failed")
            raise
        finally:
            flush()

    return run


def workflow_step(handler: Callable[[Event, Any], Answer]) -> Callable[[Event, Any], Answer]:
    """The frame around a step of a workflow: as `observed`, and errors have the names that its Retry and Catch read."""

    @functools.wraps(handler)
    def run(event: Event, context: Any) -> Answer:
        begin(context, correlation_id=_correlation_of(event, context))
        try:
            return handler(event, context)
        except Exception as error:
            told = known(error)
            if told is None:
                count("Faults")
                logger.exception("the step failed")
                raise
            logger.warning("the step was refused", extra={"code": told.code, "detail": told.detail})
            raise workflow_error(told) from error
        finally:
            flush()

    return run


def describe(error: BaseException) -> str:
    """The stack trace of an error. Messages that could quote what somebody sent are left out."""
    return "\n".join(_lines(error))


def _lines(error: BaseException) -> Iterator[str]:
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        name = f"{type(one).__module__}.{type(one).__qualname__}"
        yield f"{name}: {_message(one)}"
        yield "".join(traceback.format_tb(one.__traceback__)).rstrip()
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def _message(error: BaseException) -> str:
    if isinstance(error, SmallPeckError | WorkflowError) or type(error).__module__.startswith("smallpeck."):
        return str(error)
    response = getattr(error, "response", None)
    if isinstance(response, dict) and type(error).__module__.startswith("botocore."):
        code = response.get("Error", {}).get("Code", "")
        reasons = [reason.get("Code") for reason in response.get("CancellationReasons", [])]
        return " ".join(filter(None, (getattr(error, "operation_name", ""), code, str(reasons) if reasons else "")))
    return "(message withheld)"


def _correlation_of(event: object, context: Any) -> str:
    given = event.get("correlation_id") if isinstance(event, Mapping) else None
    return given if isinstance(given, str) and given else getattr(context, "aws_request_id", "")


def _redacted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key: REDACTED if isinstance(key, str) and key.lower() in _SECRET_KEYS else _redacted(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_redacted(inner) for inner in value]
    return value


# What Powertools itself warns of would repeat what it was given.
logging.getLogger("aws_lambda_powertools").setLevel(logging.ERROR)
