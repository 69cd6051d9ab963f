"""A Lambda function: the custom resources that stand in for AWS::Events::Archive and AWS::Glue::Classifier."""

import json
import urllib.request
from contextlib import suppress

import boto3


def handle(event: dict, context: object) -> None:
    answer = {"Status": "SUCCESS", **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")}}
    try:
        answer |= {"Custom::EventsArchive": archive, "Custom::GlueClassifier": classifier}[event["ResourceType"]](event)
    except Exception as error:
        known = event.get("PhysicalResourceId", event["LogicalResourceId"])
        answer |= {"Status": "FAILED", "Reason": str(error), "PhysicalResourceId": known}
    body = json.dumps(answer).encode()
    request = urllib.request.Request(event["ResponseURL"], data=body, method="PUT")
    urllib.request.urlopen(request).close()


def archive(event: dict) -> dict:
    """Create, update or delete it. Under another name it is another: CloudFormation deletes the one before."""
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
    """A custom resource is given text for them; in a pattern only `exists` has them."""
    if isinstance(pattern, list):
        return [with_booleans(part) for part in pattern]
    if isinstance(pattern, dict):
        return {
            name: part == "true" if name == "exists" and isinstance(part, str) else with_booleans(part)
            for name, part in pattern.items()
        }
    return pattern


def classifier(event: dict) -> dict:
    """Create, replace or delete one for CSV."""
    glue, wanted, known = boto3.client("glue"), event["ResourceProperties"], event.get("PhysicalResourceId")
    if event["RequestType"] == "Delete":
        with suppress(glue.exceptions.EntityNotFoundException):
            glue.delete_classifier(Name=known)
        return {"PhysicalResourceId": known}
    settings = dict(wanted["CsvClassifier"])
    settings.setdefault("Name", f"{event['StackId'].split('/')[1]}-{event['LogicalResourceId']}")
    for flag in {"AllowSingleColumn", "DisableValueTrimming", "CustomDatatypeConfigured"} & settings.keys():
        settings[flag] = str(settings[flag]).lower() == "true"  # a custom resource is given text
    if settings["Name"] == known:
        glue.delete_classifier(Name=known)
    glue.create_classifier(CsvClassifier=settings)
    return {"PhysicalResourceId": settings["Name"]}
