"""Limits of AWS that no service model contains and that the emulator does not enforce: one table, with the sources."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.gateway.calls import AwsError, Response
from sandbox.gateway.constraints import utf8_length

KB, MB = 1024, 1024 * 1024
DOCS = "https://docs.aws.amazon.com"


@dataclass(frozen=True)
class Quota:
    what: str
    shown: str
    limit: int
    source: str
    error: str
    message: str  # of the error, with {size} and {limit}

    def enforce(self, size: int) -> None:
        """Raises AwsError if the size is over the limit."""
        if size > self.limit:
            raise AwsError(self.error, self.message.format(size=size, limit=self.limit))


EVENTS = Quota(
    "Entries of one PutEvents call",
    "1 MB",
    MB,
    f"{DOCS}/eventbridge/latest/APIReference/API_PutEvents.html",
    "ValidationException",
    "Total size of the entries in the request is over the limit.",
)
SYNCHRONOUS = Quota(
    "Request and response of a synchronous invocation",
    "6 MB",
    6 * MB,
    f"{DOCS}/lambda/latest/api/API_Invoke.html",
    "RequestEntityTooLargeException",
    "{size} byte payload is too large for the RequestResponse invocation type (limit {limit} bytes)",
)
ASYNCHRONOUS = Quota(
    "Event of an asynchronous invocation",
    "1 MB",
    MB,
    f"{DOCS}/lambda/latest/api/API_Invoke.html",
    "RequestEntityTooLargeException",
    "{size} byte payload is too large for the Event invocation type (limit {limit} bytes)",
)
ENVIRONMENT = Quota(
    "Environment variables of a function",
    "4 KB",
    4 * KB,
    f"{DOCS}/lambda/latest/dg/gettingstarted-limits.html",
    "InvalidParameterValueException",
    "Lambda was unable to configure your environment variables because the environment variables you have provided "
    "exceeded the 4KB limit.",
)
WIDGETS = Quota(
    "Widgets of a dashboard",
    "500",
    500,
    f"{DOCS}/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html",
    "InvalidParameterInput",
    "The dashboard has {size} widgets, and can have {limit}",
)
INLINE_POLICIES = Quota(
    "Inline policies of a role, without white space",
    "10,240 characters",
    10240,
    f"{DOCS}/IAM/latest/UserGuide/reference_iam-quotas.html",
    "LimitExceeded",
    "Maximum policy size of {limit} bytes exceeded for the role",
)
TRUST_POLICY = Quota(
    "Trust policy of a role, without white space",
    "2,048 characters",
    2048,
    f"{DOCS}/IAM/latest/UserGuide/reference_iam-quotas.html",
    "LimitExceeded",
    "Cannot exceed quota for ACLSizePerRole: {limit}",
)
TRACE_SEGMENT = Quota(  # the tracing library sends segments by UDP, which does not pass the gateway
    "Segment document of a trace",
    "64 KB",
    64 * KB,
    f"{DOCS}/xray/latest/devguide/xray-api-segmentdocuments.html",
    "",
    "",
)
TEMPLATE_IN_REQUEST = Quota(
    "CloudFormation template in a request",
    "51,200 bytes",
    51200,
    f"{DOCS}/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html",
    "ValidationError",
    "1 validation error detected: Value at 'templateBody' failed to satisfy constraint: "
    "Member must have length less than or equal to {limit}",
)
TEMPLATE_IN_S3 = Quota(
    "CloudFormation template in S3",
    "1 MB",
    MB,
    f"{DOCS}/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html",
    "ValidationError",
    "Template may not exceed {limit} bytes in size.",
)
QUOTAS = (
    EVENTS, SYNCHRONOUS, ASYNCHRONOUS, ENVIRONMENT, WIDGETS, INLINE_POLICIES, TRUST_POLICY, TRACE_SEGMENT,
    TEMPLATE_IN_REQUEST, TEMPLATE_IN_S3,
)  # fmt: skip


def size_of_events(entries: list[dict[str, Any]]) -> int:
    """Returns the size of PutEvents entries, as EventBridge's guide calculates it."""
    return sum(
        (14 if entry.get("Time") else 0)
        + sum(utf8_length(entry.get(name) or "") for name in ("Source", "DetailType", "Detail"))
        + sum(map(utf8_length, entry.get("Resources") or []))
        for entry in entries
    )


def size_of_policy(document: Any) -> int:
    """Returns the number of characters without white space, which IAM does not count."""
    text = document if isinstance(document, str) else json.dumps(document)
    return len(re.sub(r"\s", "", text))


def size_of_environment(variables: Mapping[str, Any]) -> int:
    return sum(utf8_length(name) + utf8_length(str(value)) for name, value in variables.items())


def number_of_widgets(body: str) -> int:
    """Returns 0 if the body is not a dashboard: then CloudWatch reports what is wrong with it."""
    try:
        return len(json.loads(body)["widgets"])
    except (ValueError, KeyError, TypeError):
        return 0


def enforce_in_invocation(content: dict[str, Any]) -> None:
    size = len(content.get("Payload") or b"")
    (ASYNCHRONOUS if content.get("InvocationType") == "Event" else SYNCHRONOUS).enforce(size)


ENFORCED: dict[tuple[str, str], Callable[[dict[str, Any]], None]] = {
    ("events", "PutEvents"): lambda content: EVENTS.enforce(size_of_events(content["Entries"])),
    ("lambda", "Invoke"): enforce_in_invocation,
    ("lambda", "CreateFunction"): lambda content: enforce_in_environment(content.get("Environment")),
    ("lambda", "UpdateFunctionConfiguration"): lambda content: enforce_in_environment(content.get("Environment")),
    ("iam", "PutRolePolicy"): lambda content: INLINE_POLICIES.enforce(size_of_policy(content["PolicyDocument"])),
    ("iam", "CreateRole"): lambda content: TRUST_POLICY.enforce(size_of_policy(content["AssumeRolePolicyDocument"])),
    ("iam", "UpdateAssumeRolePolicy"): lambda content: TRUST_POLICY.enforce(size_of_policy(content["PolicyDocument"])),
    **{
        ("cloudformation", action): lambda content: TEMPLATE_IN_REQUEST.enforce(
            utf8_length(content.get("TemplateBody") or "")
        )
        for action in ("CreateStack", "UpdateStack", "CreateChangeSet", "ValidateTemplate")
    },
    ("monitoring", "PutDashboard"): lambda content: WIDGETS.enforce(number_of_widgets(content["DashboardBody"])),
}


def enforce_in_environment(environment: Any) -> None:
    ENVIRONMENT.enforce(size_of_environment((environment or {}).get("Variables") or {}))


def enforce_in_resource(resource_type: str, properties: dict[str, Any]) -> None:
    """Raises AwsError if the resource is over a limit. The emulator creates resources of stacks without API calls."""
    match resource_type:
        case "AWS::IAM::Role":
            policies = [policy.get("PolicyDocument") or {} for policy in properties.get("Policies") or []]
            INLINE_POLICIES.enforce(sum(map(size_of_policy, policies)))
            TRUST_POLICY.enforce(size_of_policy(properties.get("AssumeRolePolicyDocument") or {}))
        case "AWS::CloudWatch::Dashboard":
            WIDGETS.enforce(number_of_widgets(properties.get("DashboardBody") or ""))
        case "AWS::Lambda::Function":
            enforce_in_environment(properties.get("Environment"))


def with_response_limit(response: Response) -> Response:
    """Returns the response of a function, or Lambda's error if the response is over the limit."""
    if len(response.body) <= SYNCHRONOUS.limit:
        return response
    error = {
        "errorMessage": f"Response payload size exceeded maximum allowed payload size ({SYNCHRONOUS.limit} bytes).",
        "errorType": "Function.ResponseSizeTooLarge",
    }
    headers = {"Content-Type": "application/json", "X-Amz-Function-Error": "Unhandled"}
    return Response(200, headers, json.dumps(error).encode())
