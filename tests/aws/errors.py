"""Errors as boto3 raises them: real `botocore` classes, one `ClientError` subclass per error code."""

from __future__ import annotations

from functools import cache
from typing import Any, NoReturn

from botocore.exceptions import ClientError

_MODELLED = {"NonExistentQueue": "QueueDoesNotExist", "QueueAlreadyExists": "QueueNameExists"}
"""Error code -> name of the class, where `client.exceptions` spells it differently."""


def error_class(code: str) -> type[ClientError]:
    """The `ClientError` subclass of an error code or of a name in `client.exceptions`; always the same
    class.
    """
    name = code.rsplit(".", 1)[-1]
    return _named_class(_MODELLED.get(name, name))


@cache
def _named_class(name: str) -> type[ClientError]:
    return type(name, (ClientError,), {"__module__": "botocore.errorfactory"})


def client_error(operation: str, code: str, message: str, status: int = 400, **extra: Any) -> ClientError:
    """A `ClientError` of `operation` with the HTTP `status`; `extra` joins the response (`Item`, for one)."""
    response: dict[str, Any] = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "virtual", "RetryAttempts": 0},
        **extra,
    }
    return error_class(code)(response, operation)  # type: ignore[arg-type]


class Rejection(Exception):
    """What the inside of a service raises; the client turns it into a `ClientError` of its operation."""

    def __init__(self, code: str, message: str, status: int = 400, **extra: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status, self.extra = code, message, status, extra


def invalid(message: str) -> NoReturn:
    """Refuse a request with a ValidationException."""
    raise Rejection("ValidationException", message)


class Exceptions:
    """Stands for `client.exceptions`: every attribute is the class of the error code of that name."""

    def __getattr__(self, code: str) -> type[ClientError]:
        if code == "ClientError":
            return ClientError
        if code.startswith("_"):
            raise AttributeError(code)
        return error_class(code)
