"""What the policies of the templates grant, with intrinsic functions replaced by what CloudFormation makes of them."""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from templates import STACKS, expanded, template

from permissions import places

OWNER = "aws:ResourceAccount"
NO_VALUE = object()
PSEUDO = {
    "AWS::Partition": places.PARTITION,
    "AWS::Region": places.REGION,
    "AWS::AccountId": places.ACCOUNT,
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::NoValue": NO_VALUE,
}
GIVEN = {  # with everything that needs a permission more
    "TableName": places.TABLE_NAME,
    "OutputFormat": "avro",
    "TableKmsKeyArn": places.TABLE_KEY,
    "KmsKeyArn": places.KEY,
    "KmsKey": places.KEY,
    "RolePath": "/",
    "SubnetIds": "subnet-1",
    "SecurityGroupIds": "sg-1",
    "GlueConnection": "network",
    "HashSecretArn": places.SECRET,
    "Columns": places.CONTRACT.rpartition(":")[2],
    "Entities": places.ENTITIES.rpartition(":")[2],
}
PIPELINE = {  # the attributes of a table stack's custom resource
    "CatalogName": places.CATALOG_NAME,
    "JobName": f"table-exports-{places.PIPELINE}",
    "CrawlerName": f"table-exports-{places.PIPELINE}",
    "OutputPrefix": f"s3://{places.BUCKET.rpartition(':')[2]}/exports/snapshots_reviews",
    "SnapshotTable": "snapshots_reviews",
}
NAMES = {  # where a resource says its name, which `Ref` is, and its ARN but for partition, Region and account
    "AWS::Athena::WorkGroup": ("Name", "athena", "workgroup/{}"),
    "AWS::DynamoDB::Table": ("TableName", "dynamodb", "table/{}"),
    "AWS::Events::EventBus": ("Name", "events", "event-bus/{}"),
    "AWS::Glue::Crawler": ("Name", "glue", "crawler/{}"),
    "AWS::Glue::Job": ("Name", "glue", "job/{}"),
    "AWS::Lambda::Function": ("FunctionName", "lambda", "function:{}"),
    "AWS::Logs::LogGroup": ("LogGroupName", "logs", "log-group:{}:*"),
    "AWS::SNS::Topic": ("TopicName", "sns", "{}"),
    "AWS::SQS::Queue": ("QueueName", "sqs", "{}"),
}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@dataclass(frozen=True)
class Grant:
    role: str
    sid: str
    action: str
    resource: str  # a pattern
    condition: tuple[tuple[str, str, tuple[str, ...]], ...]  # operator, key, values

    def __str__(self) -> str:
        return f"{self.role}, statement {self.sid}: {self.action} on {self.resource}"

    def covers(self, action: str, resource: str, context: dict[str, str]) -> bool:
        known = {OWNER: places.ACCOUNT} | context  # whatever we touch is ours
        return (
            action == self.action
            and fnmatchcase(resource, self.resource)
            and all(_holds(operator, known.get(key), values) for operator, key, values in self.condition)
        )


def _holds(operator: str, given: str | None, values: tuple[str, ...]) -> bool:
    if operator == "Null":
        return (given is None) == (values == ("true",))
    if given is None:
        return operator.endswith("IfExists") or operator.startswith("ForAllValues:")
    match operator.removesuffix("IfExists").removeprefix("ForAllValues:"):
        case "StringEquals":
            return given in values
        case "StringLike":
            return any(fnmatchcase(given, value) for value in values)
    raise NotImplementedError(f"{operator} in a policy: say here what it means")


@cache
def grants() -> list[Grant]:
    return [grant for stack in STACKS for role in roles(stack) for grant in grants_of(stack, role)]


def roles(stack: str) -> list[str]:
    return [name for name, found in expanded(stack)["Resources"].items() if found["Type"] == "AWS::IAM::Role"]


def grants_of(stack: str, role: str) -> list[Grant]:
    found = expanded(stack)["Resources"]
    properties = found[role]["Properties"]
    documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
    documents += [found[arn["Ref"]]["Properties"]["PolicyDocument"] for arn in properties.get("ManagedPolicyArns", [])]
    documents += [
        other["Properties"]["PolicyDocument"]
        for other in found.values()
        if other["Type"] == "AWS::IAM::Policy" and {"Ref": role} in other["Properties"]["Roles"]
    ]
    return [
        Grant(role, statement.get("Sid", "unnamed"), action, resource, _condition(statement.get("Condition", {})))
        for document in documents
        for statement in as_list(resolved(stack, document["Statement"]))
        for action in as_list(statement["Action"])
        for resource in as_list(statement["Resource"])
    ]


def _condition(written: dict[str, dict[str, Any]]) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    return tuple(
        (operator, key, tuple(as_list(values))) for operator, keys in written.items() for key, values in keys.items()
    )


def resolved(stack: str, value: Any) -> Any:
    """The value as CloudFormation passes it on."""
    match value:
        case {"Ref": name}:
            return _ref(stack, name)
        case {"Fn::GetAtt": str(dotted)}:
            return _attribute(stack, *dotted.split(".", 1))
        case {"Fn::GetAtt": [name, attribute]}:
            return _attribute(stack, name, attribute)
        case {"Fn::Sub": [text, variables]}:
            return _filled_in(stack, text, {name: resolved(stack, found) for name, found in variables.items()})
        case {"Fn::Sub": str(text)}:
            return _filled_in(stack, text, {})
        case {"Fn::ImportValue": name}:
            [output] = [out for out in template("common")["Outputs"].values() if out.get("Export") == {"Name": name}]
            return resolved("common", output["Value"])
        case {"Fn::Select": [index, listed]}:
            return resolved(stack, listed)[index]
        case {"Fn::Split": [separator, text]}:
            return resolved(stack, text).split(separator)
        case {"Fn::If": [condition, yes, no]}:
            return resolved(stack, yes if _is_true(stack, condition) else no)
        case dict():
            found = {key: resolved(stack, inner) for key, inner in value.items()}
            return {key: inner for key, inner in found.items() if inner is not NO_VALUE}
        case list():
            return [inner for inner in (resolved(stack, inner) for inner in value) if inner is not NO_VALUE]
    return value


def _filled_in(stack: str, text: str, variables: dict[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        name, _, attribute = found[1].partition(".")
        if name in variables:
            return variables[name]
        return _attribute(stack, name, attribute) if attribute else str(_ref(stack, name))

    return re.sub(r"\$\{([^!}]+)\}", value, text)


def _ref(stack: str, name: str) -> Any:
    if name in PSEUDO:
        return PSEUDO[name]
    if parameter := template(stack)["Parameters"].get(name):
        looked_up = parameter["Type"].startswith("AWS::SSM::Parameter::Value")
        return GIVEN.get(name, f"artifacts/build/{name}" if looked_up else parameter.get("Default", name))
    found = expanded(stack)["Resources"][name]
    properties = found["Properties"]
    match found["Type"]:
        case "AWS::S3::Bucket":
            return resolved(stack, properties["BucketName"])
        case "AWS::Glue::Database":
            return resolved(stack, properties["DatabaseInput"]["Name"])
        case "Custom::TableExportsPipeline":
            return places.PIPELINE
        case "AWS::SNS::Topic":
            return _attribute(stack, name, "Arn")
        case kind if kind in NAMES:
            return _name(stack, properties, kind)
    return name  # as those are named that CloudFormation names


def _attribute(stack: str, name: str, attribute: str) -> str:
    found = expanded(stack)["Resources"][name]
    match found["Type"], attribute:
        case "Custom::TableExportsPipeline", _:
            return PIPELINE[attribute]
        case "AWS::S3::Bucket", "Arn":
            return f"arn:aws:s3:::{_ref(stack, name)}"
        case "AWS::IAM::Role", "Arn":
            path = resolved(stack, found["Properties"].get("Path", "/"))
            return f"arn:aws:iam::{places.ACCOUNT}:role{'/' if path is NO_VALUE else path}{name}"
        case "AWS::DynamoDB::Table", "StreamArn":
            return f"{_attribute(stack, name, 'Arn')}/stream/2026-11-23T01:00:00.000"
        case kind, "Arn" if kind in NAMES:
            _, service, form = NAMES[kind]
            resource = form.format(_name(stack, found["Properties"], kind))
            return f"arn:aws:{service}:{places.REGION}:{places.ACCOUNT}:{resource}"
    raise NotImplementedError(f"{name}.{attribute} of a {found['Type']}: say here what CloudFormation makes of it")


def _name(stack: str, properties: dict[str, Any], kind: str) -> str:
    return resolved(stack, properties[NAMES[kind][0]])


def _is_true(stack: str, condition: str) -> bool:
    match template(stack)["Conditions"][condition]:
        case {"Fn::Equals": [one, other]}:
            return resolved(stack, one) == resolved(stack, other)
        case {"Fn::Not": [{"Fn::Equals": [one, other]}]}:
            return resolved(stack, one) != resolved(stack, other)
    raise NotImplementedError(f"The condition {condition}: say here what CloudFormation makes of it")
