"""Starts MiniStack so that it refuses web pages, with what its CloudFormation, IAM and Lambda lack.

That is drift-aware change sets, the encryption of tables and buckets, permissions boundaries, the validation of
properties, events of deletions, properties in events of custom resources, policies of event buses, conditions on the
keys of items, the results of event source mappings, patterns of Glue tables, and some properties of Glue jobs. The
sandbox's gateway validates the properties of each resource when MiniStack has resolved them. This file runs in the
emulator's environment, which contains nothing of the sandbox.
"""

import json
import os
import runpy
import urllib.request
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from ministack import app as emulator
from ministack.services import cloudformation, dynamodb, iam, lambda_svc, s3
from ministack.services.cloudformation import handlers, provisioners, stacks

Application = Callable[[dict, Callable, Callable], Awaitable[None]]  # of ASGI

VALIDATE = f"{os.environ['AWS_ENDPOINT_URL']}/_sandbox/properties"
describe_sse = dynamodb._sse_description_from_spec
create, update, delete = stacks._provision_resource, stacks._update_resource, stacks._delete_resource


def create_valid(resource_type: str, logical_id: str, props: dict, stack_name: str) -> tuple:
    record(resource_type, stack_of(stack_name), logical_id, props)
    ensure_valid(resource_type, logical_id, props)
    created = create(resource_type, logical_id, props, stack_name)
    if resource_type == "AWS::DynamoDB::Table" and "SSESpecification" in props:
        dynamodb._tables[created[0]]["SSEDescription"] = sse_description(props["SSESpecification"])
    if resource_type == "AWS::IAM::Role" and "PermissionsBoundary" in props:
        iam._roles[created[0]]["PermissionsBoundary"] = props["PermissionsBoundary"]
    return created


def update_valid(
    resource_type: str,
    physical_id: str,
    old_props: dict,
    new_props: dict,
    stack_name: str,
    logical_id: str | None = None,
    old_attrs: dict | None = None,
) -> tuple:
    record(resource_type, stack_of(stack_name), logical_id or "", new_props)
    if new_props != old_props:
        ensure_valid(resource_type, logical_id or physical_id, new_props)
    return update(resource_type, physical_id, old_props, new_props, stack_name, logical_id, old_attrs)


def delete_with_events(resource_type: str, physical_id: str, props: dict, stack_name: str, *more: object) -> object:
    """Adds the events that MiniStack leaves out when an update removes or replaces a resource."""
    events = cloudformation._stack_events.get(stack_of(stack_name), [])
    logical_id = str(more[0]) if more else ""
    latest = next((found for found in reversed(events) if found["PhysicalResourceId"] == physical_id), {})
    has_event = latest.get("ResourceStatus") == "DELETE_IN_PROGRESS"
    add = partial(stacks._add_event, stack_of(stack_name), stack_name, logical_id, resource_type)
    if not has_event:
        add("DELETE_IN_PROGRESS", physical_id=physical_id)
    answer = delete(resource_type, physical_id, props, stack_name, *more)
    if not has_event:
        add("DELETE_COMPLETE", physical_id=physical_id)
    return answer


def stack_of(name: str) -> str:
    return (cloudformation._stacks.get(name) or {}).get("StackId", "")


def ensure_valid(resource_type: str, logical_id: str, props: dict) -> None:
    """Raises ValueError, which becomes the reason of CREATE_FAILED or UPDATE_FAILED."""
    content = {"type": resource_type, "logical_id": logical_id, "properties": props}
    request = urllib.request.Request(VALIDATE, data=json.dumps(content, default=str).encode(), method="POST")
    with urllib.request.urlopen(request) as response:
        if problem := json.load(response)["problem"]:
            raise ValueError(problem)


def without_web_pages(app: Application) -> Application:
    """Returns the ASGI application without requests of web pages, which can find the emulator's port by trying."""
    refusal = runpy.run_path(str(Path(__file__).parents[1] / "gateway" / "browsers.py"))["refusal"]
    ports = int(os.environ["GATEWAY_PORT"]), urlsplit(os.environ["AWS_ENDPOINT_URL"]).port

    async def guarded(scope: dict, receive: Callable, send: Callable) -> None:
        if scope["type"] in ("http", "websocket"):
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
            if reason := refusal(headers, ports):
                if scope["type"] == "websocket":
                    return await send({"type": "websocket.close"})
                await send(
                    {"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]}
                )
                return await send({"type": "http.response.body", "body": reason.encode()})
        return await app(scope, receive, send)

    return guarded


def sse_description(specification: dict | None) -> dict | None:
    """Returns what DescribeTable says of an encryption, which CloudFormation spells another way than the API."""
    given = specification or {}
    return describe_sse({**given, "Enabled": given["SSEEnabled"]} if "SSEEnabled" in given else specification)


def encryption_xml(properties: dict) -> bytes:
    """Returns the default encryption of a bucket as PutBucketEncryption takes it."""
    [rule] = properties["ServerSideEncryptionConfiguration"]
    default = rule["ServerSideEncryptionByDefault"]
    key = f"<KMSMasterKeyID>{default['KMSMasterKeyID']}</KMSMasterKeyID>" if "KMSMasterKeyID" in default else ""
    applied = f"<SSEAlgorithm>{default['SSEAlgorithm']}</SSEAlgorithm>{key}"
    return (
        '<ServerSideEncryptionConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Rule>'
        f"<ApplyServerSideEncryptionByDefault>{applied}</ApplyServerSideEncryptionByDefault>"
        "</Rule></ServerSideEncryptionConfiguration>"
    ).encode()


stacks._provision_resource, stacks._update_resource = create_valid, update_valid
dynamodb._sse_description_from_spec = sse_description
provisioners._S3_BUCKET_CONFIGURATIONS += (
    ("BucketEncryption", encryption_xml, s3._put_bucket_encryption, s3._delete_bucket_encryption),
)
mappings = runpy.run_path(str(Path(__file__).with_name("event_source_mappings.py")))
lambda_svc._esm_response = mappings["describe"]
stacks._delete_resource = delete_with_events
record = runpy.run_path(str(Path(__file__).with_name("event_properties.py")))["record"]
drift_aware = runpy.run_path(str(Path(__file__).with_name("drift_aware.py")))
handlers._ACTION_HANDLERS |= {"CreateChangeSet": drift_aware["create"], "ExecuteChangeSet": drift_aware["execute"]}
runpy.run_path(str(Path(__file__).with_name("event_buses.py")))["install"](provisioners._RESOURCE_HANDLERS)
runpy.run_path(str(Path(__file__).with_name("glue_jobs.py")))
runpy.run_path(str(Path(__file__).with_name("glue_tables.py")))
runpy.run_path(str(Path(__file__).with_name("leading_keys.py")))
emulator.app = without_web_pages(emulator.app)
emulator.main()
