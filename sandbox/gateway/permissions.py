"""Asks IAM again where the emulator denied a call because it checked the wrong resource."""

import re

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

from sandbox.cloud import ACCOUNT, REGION, ROOT, Cloud
from sandbox.gateway.calls import Call, Response

DENIED_ROLE = re.compile(r"User: arn:aws:sts::\d+:assumed-role/([^/]+)/\S+ is not authorized")


def denied_role(response: Response) -> str | None:
    """The name of the role that the emulator denied; None if it did not deny a role."""
    found = DENIED_ROLE.search(response.json.get("message", ""))
    return found[1] if found else None


def is_allowed(cloud: Cloud, role_arn: str, action: str, resource: str, context: dict[str, str] | None = None) -> bool:
    """Whether the policies of the role allow the action on the resource, with these condition keys of the request."""
    simulated = cloud.client("iam").simulate_principal_policy(
        PolicySourceArn=without_path(role_arn),
        ActionNames=[action],
        ResourceArns=[resource],
        ContextEntries=[
            {"ContextKeyName": name, "ContextKeyType": "string", "ContextKeyValues": [value]}
            for name, value in (context or {}).items()
        ],
    )
    return simulated["EvaluationResults"][0]["EvalDecision"] == "allowed"


def is_wrongly_denied(cloud: Cloud, response: Response, action: str, resource: str) -> bool:
    """Whether the denied role may perform the action on the resource that AWS would check."""
    role = denied_role(response)
    return role is not None and is_allowed(cloud, role_arn(role), action, resource)


def role_arn(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


def without_path(arn: str) -> str:
    """Returns the ARN of a role as the emulator's simulator knows it."""
    return role_arn(arn.rpartition("/")[2])


def as_root(call: Call) -> Call:
    """The same call, signed by root."""
    kept = {
        name: value
        for name, value in call.headers.items()
        if name.lower() in ("content-type", "x-amz-target", "host", "user-agent")
    }
    request = AWSRequest(call.method, f"http://{call.headers['Host']}{call.path}", headers=kept, data=call.body)
    SigV4Auth(BotocoreCredentials(ROOT.access_key, ROOT.secret_key), call.service, REGION).add_auth(request)
    return call.with_headers(dict(request.headers.items()))
