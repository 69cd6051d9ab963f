"""A client as botocore makes them: its model checks the arguments, its exceptions are raised, its paginators page.

What an operation does is in the model of its service, a method named as the client's. Who is slowed down, crashed or
told no, on the way to it and back, is the business of `functions.Functions.call`.
"""

from collections import Counter
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from botocore import xform_name
from botocore.errorfactory import ClientExceptionsFactory
from botocore.exceptions import ParamValidationError
from botocore.paginate import Paginator, PaginatorModel
from botocore.session import Session
from botocore.validate import ParamValidator

CHECKED_AT_MOST = 20
_checked: Counter[tuple[str, ...]] = Counter()


class AwsError(Exception):
    """What a model raises; the client turns it into botocore's."""

    def __init__(self, code: str, message: str, **more: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.more = more


@cache
def _session() -> Session:
    return Session()


@cache
def _model(service: str) -> Any:
    return _session().get_service_model(service)


@cache
def _operations(service: str) -> dict[str, str]:
    return {xform_name(name): name for name in _model(service).operation_names}


@cache
def _exceptions(service: str) -> Any:
    return ClientExceptionsFactory().create_client_exceptions(_model(service))


@cache
def _pages(service: str) -> PaginatorModel:
    return PaginatorModel(_session().get_component("data_loader").load_service_model(service, "paginators-1"))


class Client:
    def __init__(self, service: str, model: Any, call: Callable[..., Any], retries: bool = True) -> None:
        self.service = service
        self.exceptions = _exceptions(service)
        self.retries = retries  # botocore's own, of calls whose answer it did not get
        self._model = model
        self._call = call

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if method.startswith("__"):
            raise AttributeError(method)
        return partial(self._ask, method)

    def get_paginator(self, method: str) -> Paginator:
        name = _operations(self.service)[method]
        pages, model = _pages(self.service).get_paginator(name), _model(self.service).operation_model(name)
        return Paginator(getattr(self, method), pages, model)

    def _ask(self, method: str, **asked: Any) -> Any:
        operation = _operations(self.service)[method]
        _check(self.service, operation, asked)
        return self._call(self, operation, partial(self.carry_out, method, operation, asked), asked)

    def carry_out(self, method: str, operation: str, asked: dict[str, Any]) -> Any:
        try:
            return getattr(self._model, method)(**asked)
        except AwsError as error:
            raise self.error(operation, error) from None

    def error(self, operation: str, error: AwsError) -> Exception:
        answer = {"Error": {"Code": error.code, "Message": error.message}, **error.more}
        return self.exceptions.from_code(error.code)(answer, operation)


def _check(service: str, operation: str, asked: dict[str, Any]) -> None:
    """Each combination of arguments a few times: that is enough to find a wrong one."""
    form = (service, operation, *asked)
    if _checked[form] == CHECKED_AT_MOST:
        return
    _checked[form] += 1
    shape = _model(service).operation_model(operation).input_shape
    report = ParamValidator().validate(asked, shape)
    if report.has_errors():
        raise ParamValidationError(report=report.generate_report())
