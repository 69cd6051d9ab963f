"""A Lambda function: the custom resource that stands in for AWS::Events::Archive."""

import json
import urllib.request
from contextlib import suppress

import boto3


def handle(event: dict, context: object) -> None:
    answer = {"Status": "SUCCESS", **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")}}
    try:
        answer |= archive(event)
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
        settings["EventPattern"] = pattern if isinstance(pattern, str) else json.dumps(pattern)
    if name == known:
        arn = events.update_archive(ArchiveName=name, **settings)["ArchiveArn"]
    else:
        arn = events.create_archive(ArchiveName=name, EventSourceArn=wanted["SourceArn"], **settings)["ArchiveArn"]
    return {"PhysicalResourceId": name, "Data": {"Arn": arn, "ArchiveName": name}}
