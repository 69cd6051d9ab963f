"""Validates calls against AWS's service models, as AWS does before it carries them out.

The emulator accepts names, lengths and values that AWS rejects. The AWS clients check only required members, types and
minimum lengths.
"""

import json
from typing import Any
from urllib.parse import parse_qsl

from moto.core.model import OperationModel
from moto.core.parse import QueryParser, RestJSONParser
from werkzeug.datastructures import MultiDict

from sandbox.gateway.calls import AwsError, Call
from sandbox.gateway.constraints import WrongType
from sandbox.gateway.services import operation_of, service_of


def validate(call: Call) -> None:
    """Raises AwsError with the service's own error if the call does not match the model of its operation."""
    service = service_of(call)
    if service is None:
        return
    operation, labels = operation_of(service, call)
    if operation is None or operation.input_shape is None:
        return
    in_json = "X-Amz-Target" in call.headers
    check = service.checks(serialized=in_json).of(operation.input_shape)
    if check is None:
        return
    found: list[str] = []
    try:
        check(content_of(call, operation, labels), (), found)
    except (WrongType, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise AwsError("SerializationException", str(error)) from error
    if found:
        count = f"{len(found)} validation error{'s' if len(found) > 1 else ''} detected"
        raise AwsError(service.error, f"{count}: {'; '.join(found)}")


def content_of(call: Call, operation: OperationModel, labels: dict[str, str]) -> Any:
    """Returns the input of the call: as sent in JSON, otherwise by the names of the model."""
    if "X-Amz-Target" in call.headers:
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


def is_form(call: Call) -> bool:
    return call.headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded")
