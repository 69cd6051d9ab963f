"""The condition key `dynamodb:LeadingKeys`, which MiniStack's IAM lacks. Runs in the emulator's process.

It is the partition key of the item that a call names, and of each item of a transaction. Queries and batches have none
here, so a policy that requires the key denies them.
"""

import json
from typing import Any

from ministack.core import iam_actions, iam_evaluator
from ministack.services import dynamodb

KEY = "dynamodb:LeadingKeys"
enforce = iam_evaluator.enforce
service_context, transaction_checks = iam_actions.dynamodb_service_context, iam_actions.dynamodb_transaction_checks


class TableOfItem(str):
    """The ARN of a table that brings the partition key of an item to the evaluation of a call."""

    leading_keys: list[str]


def leading_keys(named: Any) -> list[str]:
    """Returns the values of the condition key for a call, or a part of a transaction, that names an item."""
    if not isinstance(named, dict):
        return []
    table = dynamodb._tables.get(str(named.get("TableName", "")).rpartition("/")[2])
    item = named.get("Key") or named.get("Item")
    value = item.get(table["pk_name"]) if table and isinstance(item, dict) else None
    return [str(key) for key in value.values()] if isinstance(value, dict) else []


def with_keys(context: dict[str, Any], keys: list[str]) -> dict[str, Any]:
    return context | ({KEY: keys} if keys else {})


def parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return {}


def context_with_keys(body: bytes) -> dict[str, Any]:
    return with_keys(service_context(body), leading_keys(parsed(body)))


def checks_with_keys(iam_action: str, body: bytes, region: str, account_id: str) -> list[tuple[str, str]]:
    """Returns the checks of a transaction, each with the key of its own item."""
    content, checks = parsed(body), []
    for item in content.get("TransactItems") or [] if isinstance(content, dict) else []:
        part = json.dumps({"TransactItems": [item]}).encode()
        for action, arn in transaction_checks(iam_action, part, region, account_id):
            table = TableOfItem(arn)
            table.leading_keys = [key for named in item.values() for key in leading_keys(named)]
            checks.append((action, table))
    return checks


def enforce_with_keys(
    access_key: str, action: str, service: str, region: str, resource_arn: str = "*", service_context: Any = None
) -> Any:
    context = with_keys(service_context or {}, getattr(resource_arn, "leading_keys", []))
    return enforce(access_key, action, service, region, resource_arn=resource_arn, service_context=context)


iam_evaluator.enforce = enforce_with_keys
iam_actions.dynamodb_service_context, iam_actions.dynamodb_transaction_checks = context_with_keys, checks_with_keys
