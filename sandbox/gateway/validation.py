"""Validates calls against AWS's service models and quotas, as AWS does before it carries them out.

The emulator accepts names, lengths and values that AWS rejects. The AWS clients check only required members, types and
minimum lengths.
"""

import json
from typing import Any
from urllib.parse import parse_qsl

from moto.core.model import OperationModel
from moto.core.parse import QueryParser, RestJSONParser
from werkzeug.datastructures import MultiDict

from sandbox.gateway.calls import AwsError, Call, Response
from sandbox.gateway.constraints import WrongType
from sandbox.gateway.quotas import ENFORCED, with_response_limit
from sandbox.gateway.services import Service, operation_of, service_of


def validate(call: Call) -> None:
    """Raises AwsError with the service's own error if the call does not match the model, or is over a quota."""
    service = service_of(call)
    if service is None:
        return
    operation, labels = operation_of(service, call)
    if operation is None or operation.input_shape is None:
        return
    check = service.checks(serialized=is_json(call)).of(operation.input_shape)
    enforce = ENFORCED.get((call.service, operation.name))
    if check is None and enforce is None:
        return
    found: list[str] = []
    try:
        content = content_of(call, operation, labels)
        if check:
            check(content, (), found)
    except (WrongType, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise AwsError("SerializationException", str(error)) from error
    if found:
        raise rejection(service, found)
    if enforce:
        enforce(content)


def validated_response(call: Call, response: Response) -> Response:
    """Returns the response, or the error that AWS returns if it is too large."""
    return with_response_limit(response) if call.service == "lambda" and "/invocations" in call.path else response


def rejection(service: Service, found: list[str]) -> AwsError:
    count = f"{len(found)} validation error{'s' if len(found) > 1 else ''} detected"
    return AwsError(service.error, f"{count}: {'; '.join(found)}")


def content_of(call: Call, operation: OperationModel, labels: dict[str, str]) -> Any:
    """Returns the input of the call: as sent in JSON, otherwise by the names of the model."""
    if is_json(call):
        return call.json
    if is_form(call):
        return QueryParser(operation).parse(parts(call, parse_qsl(call.body.decode(), keep_blank_values=True), labels))
    query = parse_qsl(call.path.partition("?")[2], keep_blank_values=True)
    return RestJSONParser(operation).parse(parts(call, query, labels))


def parts(call: Call, values: list[tuple[str, str]], labels: dict[str, str]) -> Any:
    return {
        "body": call.body,
        "headers": call.headers,
        "method": call.method,
        "url_params": labels,
        "url_path": call.path,
        "values": MultiDict(values),
    }


def is_json(call: Call) -> bool:
    return "X-Amz-Target" in call.headers


def is_form(call: Call) -> bool:
    return call.headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded")
