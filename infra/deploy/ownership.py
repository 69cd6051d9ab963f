"""Whether a stack is one of table-exports. Only such a stack may be changed or deleted.

A name or a tag alone proves nothing: users choose both. The template of a stack shows what the stack is.
"""

from typing import Any

TAG = "table-exports"  # on every stack, with its kind as the value
COMMON, TABLE = "common", "table"
PIPELINE = "Custom::TableExportsPipeline"  # only table stacks have it
STATE_TABLE = "table-exports"  # the DynamoDB table that only the common stack has

Template = dict[str, Any]


def is_tagged(kind: str, stack: dict[str, Any]) -> bool:
    return any(tag["Key"] == TAG and tag["Value"] == kind for tag in stack.get("Tags", []))


def has_marker(kind: str, template: Template) -> bool:
    """Return whether the template has the resource that only stacks of this kind have."""
    resources = [each for each in (template.get("Resources") or {}).values() if isinstance(each, dict)]
    if kind == TABLE:
        return any(resource.get("Type") == PIPELINE for resource in resources)
    return any(
        resource.get("Type") == "AWS::DynamoDB::Table"
        and (resource.get("Properties") or {}).get("TableName") == STATE_TABLE
        for resource in resources
    )


def is_adopted(stack: dict[str, Any], template: Template, common: Template) -> bool:
    """Return whether an adoption created the stack and the update that follows did not complete.

    Such a stack has no tag, because CloudFormation refuses tags in an import. It may lack any resource, but it has none
    that the common stack does not have.
    """
    known = {name: resource["Type"] for name, resource in common["Resources"].items()}
    resources = template.get("Resources") or {}
    return stack["StackStatus"].startswith("IMPORT_") and all(
        known.get(name) == resource.get("Type") for name, resource in resources.items()
    )


def refusal(kind: str, stack: dict[str, Any], template: Template) -> str | None:
    """Return why the stack must not be changed, with the remedy. None if it is a stack of this kind."""
    name = stack["StackName"]
    if not has_marker(kind, template):
        return f"stack {name} exists, and it is not a {kind} stack of table-exports: it would lose its resources"
    if not is_tagged(kind, stack):
        parameters = [
            f"ParameterKey={each['ParameterKey']},UsePreviousValue=true" for each in stack.get("Parameters", [])
        ]
        tags = [f"Key={each['Key']},Value={each['Value']}" for each in stack.get("Tags", []) if each["Key"] != TAG]
        options = ["--parameters", *parameters] if parameters else []
        return (
            f"stack {name} has no tag {TAG}={kind}, so it may belong to someone else. If it is yours, add the tag: "
            f"aws cloudformation update-stack --stack-name {name} --use-previous-template "
            f"--capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND "
            f"{' '.join([*options, '--tags', f'Key={TAG},Value={kind}', *tags])}"
        )
    return None
