"""Whether an event of a custom resource comes from CloudFormation.

Whoever deploys table stacks may invoke the function, and could send it an event of another stack. So the function asks
CloudFormation whether it is doing this to the stack's resource at the moment, and with these properties.
"""

import re
import time
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from table_exports.aws.cloud import Cloud
from table_exports.aws.stacks import ROLLS_BACK, ResourceOperation
from table_exports.domain.catalog import FORMATS
from table_exports.domain.errors import InvalidRequest
from table_exports.domain.parameters import PARAMETERS

RESOURCE_TYPE = "Custom::TableExportsPipeline"
EXPECTED = {"Create": "CREATE_IN_PROGRESS", "Update": "UPDATE_IN_PROGRESS", "Delete": "DELETE_IN_PROGRESS"}
CONFIRMED = (*PARAMETERS, "TableRoleArn")
WAITS = (1, 2, 4)  # seconds


def verify(event: Mapping[str, Any], cloud: Cloud) -> list[str]:
    """Raise InvalidRequest unless CloudFormation is carrying out the event.

    Return the properties that CloudFormation does not confirm. Only those of a rollback can be without confirmation.

    The waits are for CloudFormation's own events, which are eventually consistent.
    """
    found = in_progress(event, cloud)
    return verify_properties(event["ResourceProperties"], found, cloud) if found else []


def in_progress(event: Mapping[str, Any], cloud: Cloud) -> ResourceOperation | None:
    """Return the operation that the event belongs to. None for a deletion, which needs no properties."""
    deletes = event["RequestType"] == "Delete"
    physical_id = event.get("PhysicalResourceId", "") if deletes else ""
    for wait in (*WAITS, None):
        found = cloud.stacks.operation(event["StackId"], event["LogicalResourceId"], physical_id)
        if deletes and (found is None or found.stack_status == "DELETE_IN_PROGRESS"):
            return None  # the pipeline goes with its stack
        if found and found.resource_type == RESOURCE_TYPE and found.resource_status == EXPECTED[event["RequestType"]]:
            return None if deletes else found
        if wait is not None:
            time.sleep(wait)
    seen = (found and found.resource_status) or "no such resource"
    raise InvalidRequest(
        "StackId",
        f"CloudFormation is not carrying out this {event['RequestType']} of {event['LogicalResourceId']} "
        f"({seen}): only a table stack can register or remove its pipeline",
    )


def verify_properties(properties: Mapping[str, str], found: ResourceOperation, cloud: Cloud) -> list[str]:
    """Raise InvalidRequest unless the properties are the stack's, and name our bucket, a format and a TableRole.

    A rollback has the properties of before the update. The event of the rollback or the one of before can have recorded
    them. If neither did, the properties that differ are returned.
    """
    if properties["Bucket"] != cloud.bucket:
        raise InvalidRequest("Bucket", f"is {properties['Bucket']}: snapshots are written to {cloud.bucket} only")
    if (chosen := PARAMETERS["OutputFormat"].value(properties)) not in FORMATS:
        raise InvalidRequest("OutputFormat", f"is {chosen}: use {', '.join(FORMATS)}")
    role = properties.get("TableRoleArn", "")
    if role and not re.fullmatch(
        rf"arn:[\w-]+:iam::{cloud.account}:role/([\w+=,.@-]+/)*table-exports/[\w+=,.@-]+", role
    ):
        raise InvalidRequest("TableRoleArn", f"is {role}: it must be the TableRole of a table stack of this account")
    if recorded := [known for known in (found.properties, found.earlier) if known]:
        unconfirmed = min((different(CONFIRMED, properties, known) for known in recorded), key=len)
    else:  # CloudFormation may shorten what it records. Then the parameters of the stack are all that is known
        given = [name for name in PARAMETERS if name in properties]
        unconfirmed = different(given, properties, found.parameters)
    if unconfirmed and found.stack_status != ROLLS_BACK:
        name = unconfirmed[0]
        raise InvalidRequest(name, f"is {properties.get(name)}, which is not what CloudFormation has for the stack")
    return unconfirmed


def different(names: Iterable[str], properties: Mapping[str, str], known: Mapping[str, str]) -> list[str]:
    return [name for name in names if not same(properties.get(name), known.get(name))]


def same(one: str | None, other: str | None) -> bool:
    """Return whether two values of a parameter are equal, as numbers if they are numbers."""
    if one == other:
        return True
    try:
        return Decimal(str(one)) == Decimal(str(other))
    except InvalidOperation:
        return False
