"""Validates the properties of resources against AWS's schemas of resource types, which cfn-lint contains.

CloudFormation does this when it creates or updates a resource, with the values that functions like `Fn::GetAtt` return.
"""

import asyncio
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from aiohttp import web

from sandbox.cloud import REGION
from sandbox.cloudformation.templates import CUSTOM_RESOURCES
from sandbox.gateway.calls import AwsError
from sandbox.gateway.quotas import enforce_in_resource

TYPES = {custom: resource_type for resource_type, custom in CUSTOM_RESOURCES.items()}
OF_CUSTOM_RESOURCES = {"ServiceToken", "ServiceTimeout"}


class Properties:
    @staticmethod
    async def serve(request: web.Request) -> web.Response:
        """Answers the emulator: what is wrong with the properties of a resource, or None."""
        asked = json.loads(await request.read())
        found = await asyncio.to_thread(problem, asked["type"], asked["logical_id"], asked["properties"])
        return web.json_response({"problem": found})


def problem(resource_type: str, logical_id: str, properties: dict[str, Any]) -> str | None:
    """Returns what is wrong with the properties, as CloudFormation reports it."""
    if resource_type in TYPES:
        resource_type = TYPES[resource_type]
        properties = {name: value for name, value in properties.items() if name not in OF_CUSTOM_RESOURCES}
    if found := sorted(violations(resource_type, properties)):
        return f"Properties validation failed for resource {logical_id} with message: [{', '.join(found)}]"
    try:
        enforce_in_resource(resource_type, properties)
    except AwsError as error:
        return f"{error} (Error Code: {error.content['__type']})"
    return None


def violations(resource_type: str, properties: dict[str, Any]) -> Iterator[str]:
    """Yields the paths of values, and what their schemas say. Types without a schema have none."""
    validator = validator_of(resource_type)
    for error in validator.iter_errors(properties) if validator else ():
        if error.validator == "type" and can_be_converted(error.instance, error.validator_value):
            continue
        parts = list(error.absolute_path)
        if error.validator == "additionalProperties" and error.validator_value is False:
            yield f"{pointer(parts[:-1])}: extraneous key [{parts[-1]}] is not permitted"
        else:
            yield f"{pointer(parts)}: {described(error)}"


def pointer(parts: list[Any]) -> str:
    return "#" + "".join(f"/{part}" for part in parts)


@cache
def validator_of(resource_type: str) -> Any:
    # cfn-lint takes a second to import, and only a deployment needs it
    from cfnlint.jsonschema import StandardValidator
    from cfnlint.schema import PROVIDER_SCHEMA_MANAGER, ResourceNotFoundError

    try:
        return StandardValidator(schema=PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, resource_type).schema)
    except ResourceNotFoundError:
        return None


def can_be_converted(value: Any, types: Any) -> bool:
    """Whether CloudFormation converts the value: `"300"` is a number, and `300` is text."""
    wanted = {types} if isinstance(types, str) else set(types)
    if isinstance(value, (bool, int, float)) and "string" in wanted:
        return True
    if not isinstance(value, str):
        return False
    if "boolean" in wanted and value.lower() in ("true", "false"):
        return True
    if "object" in wanted:
        return is_json(value)
    return bool({"integer", "number"} & wanted) and is_number(value)


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def described(error: Any) -> str:
    limit, value = error.validator_value, error.instance
    match error.validator:
        case "maxLength" | "minLength":
            return f"expected {error.validator}: {limit}, actual: {len(value)}"
        case "maxItems" | "minItems":
            return f"expected {error.validator[:3]}imum item count: {limit}, found: {len(value)}"
        case "maximum" | "minimum":
            return f"{value} is not {'less' if error.validator == 'maximum' else 'greater'} or equal to {limit}"
        case "required":
            missing = [name for name in limit if name not in value]
            return ", ".join(f"required key [{name}] not found" for name in missing)
        case "enum":
            return f"{value} is not a valid enum value"
        case "pattern":
            return f"string [{value}] does not match pattern {limit}"
    return str(error.message)
