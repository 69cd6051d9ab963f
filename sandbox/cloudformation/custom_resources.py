"""Lambda function for custom resources, which replace resource types that the emulator does not support."""

import json
import urllib.request
from contextlib import suppress
from functools import cache

import boto3

ROOT = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}  # the sandbox accepts alarms only from root


def handle(event: dict, context: object) -> None:
    answer = {"Status": "SUCCESS", **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")}}
    try:
        answer |= MAKERS[event["ResourceType"]](event)
    except Exception as error:
        known = event.get("PhysicalResourceId", event["LogicalResourceId"])
        answer |= {"Status": "FAILED", "Reason": str(error), "PhysicalResourceId": known}
    body = json.dumps(answer).encode()
    request = urllib.request.Request(event["ResponseURL"], data=body, method="PUT")
    urllib.request.urlopen(request).close()


def archive(event: dict) -> dict:
    """Creates, updates or deletes an archive. CloudFormation deletes the old one if the name changes."""
    events, wanted, known = boto3.client("events"), event["ResourceProperties"], event.get("PhysicalResourceId")
    if event["RequestType"] == "Delete":
        with suppress(events.exceptions.ResourceNotFoundException):
            events.delete_archive(ArchiveName=known)
        return {"PhysicalResourceId": known}
    generated = f"{event['StackId'].split('/')[1]}-{event['LogicalResourceId']}"[:48]
    name = wanted.get("ArchiveName") or generated
    settings = {"RetentionDays": int(wanted.get("RetentionDays", 0)), "Description": wanted.get("Description", "")}
    if pattern := wanted.get("EventPattern"):
        settings["EventPattern"] = pattern if isinstance(pattern, str) else json.dumps(with_booleans(pattern))
    if name == known:
        arn = events.update_archive(ArchiveName=name, **settings)["ArchiveArn"]
    else:
        arn = events.create_archive(ArchiveName=name, EventSourceArn=wanted["SourceArn"], **settings)["ArchiveArn"]
    return {"PhysicalResourceId": name, "Data": {"Arn": arn, "ArchiveName": name}}


def with_booleans(pattern: object) -> object:
    """Returns the pattern with booleans, which custom resources receive as text. Only `exists` has them."""
    if isinstance(pattern, list):
        return [with_booleans(part) for part in pattern]
    if isinstance(pattern, dict):
        return {
            name: part == "true" if name == "exists" and isinstance(part, str) else with_booleans(part)
            for name, part in pattern.items()
        }
    return pattern


def classifier(event: dict) -> dict:
    """Creates, replaces or deletes a CSV classifier."""
    glue, wanted, known = boto3.client("glue"), event["ResourceProperties"], event.get("PhysicalResourceId")
    if event["RequestType"] == "Delete":
        with suppress(glue.exceptions.EntityNotFoundException):
            glue.delete_classifier(Name=known)
        return {"PhysicalResourceId": known}
    settings = dict(wanted["CsvClassifier"])
    settings.setdefault("Name", f"{event['StackId'].split('/')[1]}-{event['LogicalResourceId']}")
    for flag in {"AllowSingleColumn", "DisableValueTrimming", "CustomDatatypeConfigured"} & settings.keys():
        settings[flag] = str(settings[flag]).lower() == "true"  # custom resources receive text
    if settings["Name"] == known:
        glue.delete_classifier(Name=known)
    glue.create_classifier(CsvClassifier=settings)
    return {"PhysicalResourceId": settings["Name"]}


@cache
def cloudwatch() -> object:
    return boto3.client("cloudwatch", **ROOT)


def alarm(event: dict) -> dict:
    """Creates, updates or deletes a metric or composite alarm."""
    client, known = cloudwatch(), event.get("PhysicalResourceId")
    if event["RequestType"] == "Delete":
        client.delete_alarms(AlarmNames=[known])
        return {"PhysicalResourceId": known}
    operation = {"Custom::Alarm": "PutMetricAlarm", "Custom::CompositeAlarm": "PutCompositeAlarm"}
    shape = client.meta.service_model.operation_model(operation[event["ResourceType"]]).input_shape
    wanted = typed({"AlarmName": generated_name(event)} | event["ResourceProperties"], shape)
    put = client.put_metric_alarm if event["ResourceType"] == "Custom::Alarm" else client.put_composite_alarm
    put(**wanted)
    arn = f"arn:aws:cloudwatch:{client.meta.region_name}:{event['StackId'].split(':')[4]}:alarm:{wanted['AlarmName']}"
    return {"PhysicalResourceId": wanted["AlarmName"], "Data": {"Arn": arn}}


def query_definition(event: dict) -> dict:
    """Creates, updates or deletes a saved query."""
    logs, wanted, known = boto3.client("logs"), event["ResourceProperties"], event.get("PhysicalResourceId")
    if event["RequestType"] == "Delete":
        with suppress(logs.exceptions.ResourceNotFoundException):
            logs.delete_query_definition(queryDefinitionId=known)
        return {"PhysicalResourceId": known}
    settings = {"name": wanted["Name"], "queryString": wanted["QueryString"]}
    if "LogGroupNames" in wanted:
        settings["logGroupNames"] = wanted["LogGroupNames"]
    if known:
        settings["queryDefinitionId"] = known
    made = logs.put_query_definition(**settings)["queryDefinitionId"]
    return {"PhysicalResourceId": made, "Data": {"QueryDefinitionId": made}}


def security_configuration(event: dict) -> dict:
    """Creates or deletes a security configuration. It cannot change, so CloudFormation deletes the one before."""
    glue, wanted, known = boto3.client("glue"), event["ResourceProperties"], event.get("PhysicalResourceId")
    if event["RequestType"] == "Delete":
        with suppress(glue.exceptions.EntityNotFoundException):
            glue.delete_security_configuration(Name=known)
    elif wanted["Name"] != known:
        given = wanted["EncryptionConfiguration"]
        lists = {"S3Encryptions": "S3Encryption"}
        encryption = {lists.get(name, name): value for name, value in given.items()}
        glue.create_security_configuration(Name=wanted["Name"], EncryptionConfiguration=encryption)
    return {"PhysicalResourceId": wanted["Name"] if event["RequestType"] != "Delete" else known}


def generated_name(event: dict) -> str:
    return f"{event['StackId'].split('/')[1]}-{event['LogicalResourceId']}"


def typed(value: object, shape: object) -> object:
    """Returns the value with the types of the API. Custom resources receive text, and a ServiceToken in addition."""
    if shape.type_name == "structure":
        known = {name: inner for name, inner in value.items() if name in shape.members}
        return {name: typed(inner, shape.members[name]) for name, inner in known.items()}
    if shape.type_name == "list":
        return [typed(inner, shape.member) for inner in value]
    if shape.type_name == "boolean":
        return str(value).lower() == "true"
    return {"integer": int, "long": int, "double": float}.get(shape.type_name, str)(value)


MAKERS = {
    "Custom::EventsArchive": archive,
    "Custom::GlueClassifier": classifier,
    "Custom::GlueSecurityConfiguration": security_configuration,
    "Custom::Alarm": alarm,
    "Custom::CompositeAlarm": alarm,
    "Custom::QueryDefinition": query_definition,
}
