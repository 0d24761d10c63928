"""What the in-memory clients share: parameter checks, the fault hook, error classes and paginators."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from types import SimpleNamespace
from typing import Any, ClassVar

from botocore.exceptions import OperationNotPageableError, ParamValidationError
from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape
from botocore.validate import ParamValidator

from tests.aws.clock import Clock
from tests.aws.errors import Exceptions, Rejection, client_error
from tests.aws.faults import Faults

Params = dict[str, Any]
Response = dict[str, Any]
Action = Callable[[Params], Response]

REGION = "eu-central-1"
ACCOUNT = "123456789012"


@cache
def _service_model(service: str) -> ServiceModel:
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


@cache
def _input_shape(service: str, operation: str) -> Shape:
    shape = _service_model(service).operation_model(operation).input_shape
    if shape is None:
        raise ValueError(f"{operation} takes no parameters")
    return shape


def check_params(service: str, operation: str, params: Params) -> None:
    """Raise botocore's own ParamValidationError where boto3 would refuse `params` before sending."""
    report = ParamValidator().validate(params, _input_shape(service, operation))
    if report.has_errors():
        raise ParamValidationError(report=report.generate_report())


class Client:
    """Base of the in-memory clients.

    Every public operation passes `invoke`, which checks the parameters as botocore does (unless `validate` is
    off, which is faster) and hands the call to the one fault hook of the world.
    """

    service: ClassVar[str]
    pageable: ClassVar[Mapping[str, tuple[str, str]]] = {}
    """Operation method -> (parameter that continues a list, field of the answer that carries it)."""

    def __init__(self, clock: Clock, faults: Faults, *, validate: bool = True) -> None:
        self.clock = clock
        self.faults = faults
        self.validate = validate
        self.exceptions = Exceptions()
        self.meta = SimpleNamespace(region_name=REGION, service_model=SimpleNamespace(service_name=self.service))

    def invoke(self, operation: str, params: Params, action: Action) -> Response:
        """Run one API call: check, hook, act, hook. Raises what boto3 raises."""
        if self.validate:
            check_params(self.service, operation, params)

        def act() -> Response:
            try:
                result = action(params)
            except Rejection as refused:
                raise client_error(operation, refused.code, refused.message, refused.status, **refused.extra) from None
            result["ResponseMetadata"] = {"HTTPStatusCode": 200, "RequestId": "virtual", "RetryAttempts": 0}
            return result

        return self.faults.run(self.service, operation, params, act)

    def can_paginate(self, operation_name: str) -> bool:
        """Whether `get_paginator` knows the operation."""
        return operation_name in self.pageable

    def get_paginator(self, operation_name: str) -> Paginator:
        """A paginator over one of the listing operations; others raise OperationNotPageableError."""
        if operation_name not in self.pageable:
            raise OperationNotPageableError(operation_name=operation_name)
        return Paginator(getattr(self, operation_name), *self.pageable[operation_name])

    def close(self) -> None:
        """Nothing to close; boto3 clients have it."""


class Paginator:
    """Repeats a listing operation until it returns no continuation."""

    def __init__(self, operation: Callable[..., Response], request_field: str, response_field: str) -> None:
        self._operation = operation
        self._request_field = request_field
        self._response_field = response_field

    def paginate(self, **params: Any) -> Iterator[Response]:
        """Yield each answer in turn."""
        while True:
            answer = self._operation(**params)
            yield answer
            following = answer.get(self._response_field)
            if not following:
                return
            params = {**params, self._request_field: following}
