"""Glue's resources in IAM. The emulator takes a crawler or database for a table, and a table for its database.

So a refusal is looked at again, and what a stand-in does in a role is looked at first: IAM is asked about the resources
that AWS would check.
"""

import json
import re
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

from sandbox.calls import Answer, Call, Refused
from sandbox.cloud import ACCOUNT, REGION, ROOT, Cloud

REFUSED_ROLE = re.compile(r"User: (arn:aws:sts::\d+:assumed-role/([^/]+)/\S+) is not authorized")
OF_CRAWLERS = {"StartCrawler", "StopCrawler", "GetCrawler"}
OF_DATABASES = {"GetDatabase", "UpdateDatabase", "DeleteDatabase"}
OF_TABLES = {
    "GetTable",
    "GetTables",
    "CreateTable",
    "UpdateTable",
    "DeleteTable",
    "GetPartition",
    "GetPartitions",
    "BatchGetPartition",
    "CreatePartition",
    "BatchCreatePartition",
    "UpdatePartition",
    "BatchUpdatePartition",
    "DeletePartition",
    "BatchDeletePartition",
}


class Permissions:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def check(self, call: Call) -> None:
        """Raises Refused if the call is in a stand-in's role, and the role may not make it."""
        role = self._cloud.role_of(call.access_key)
        if role and (denied := self._denied(call, role)):
            raise Refused(
                "AccessDeniedException",
                f"User: {role.replace(':iam:', ':sts:').replace(':role/', ':assumed-role/')} is not authorized to "
                f"perform: glue:{call.action} on resource: {denied} because no identity-based policy allows the "
                f"glue:{call.action} action",
            )

    def wrongly_refused(self, call: Call, answer: Answer) -> bool:
        """Whether the emulator refused its caller what AWS would not."""
        found = REFUSED_ROLE.search(answer.json.get("message", "")) if answer.denied and resources(call) else None
        return found is not None and not self._denied(call, f"arn:aws:iam::{ACCOUNT}:role/{found[2]}")

    def _denied(self, call: Call, role: str) -> str | None:
        """The first resource that the role may not do this to."""
        for resource in resources(call):
            answer = self._cloud.client("iam").simulate_principal_policy(
                PolicySourceArn=role, ActionNames=[f"glue:{call.action}"], ResourceArns=[resource]
            )
            if answer["EvaluationResults"][0]["EvalDecision"] != "allowed":
                return resource
        return None


def may_put_after_all(cloud: Cloud, call: Call, answer: Answer) -> bool:
    """Whether the role may put these events: the emulator knows no condition of them."""
    role = REFUSED_ROLE.search(answer.json.get("message", ""))
    if role is None:
        return False
    iam = cloud.client("iam")
    names = iam.list_role_policies(RoleName=role[2])["PolicyNames"]
    policies = [iam.get_role_policy(RoleName=role[2], PolicyName=name)["PolicyDocument"] for name in names]
    for entry in call.json.get("Entries", []):
        bus = entry.get("EventBusName", "default")
        arn = bus if bus.startswith("arn:") else f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{bus}"
        known = {"events:source": entry.get("Source"), "events:detail-type": entry.get("DetailType")}
        asked = iam.simulate_custom_policy(
            PolicyInputList=[json.dumps(where_it_holds(policy, known)) for policy in policies],
            ActionNames=["events:PutEvents"],
            ResourceArns=[arn],
        )
        if asked["EvaluationResults"][0]["EvalDecision"] != "allowed":
            return False
    return True


def where_it_holds(policy: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """The policy without conditions on what is known, and without the statements whose conditions are not met."""
    kept = []
    for statement in policy["Statement"]:
        equal = statement.get("Condition", {}).get("StringEquals", {})
        of_events = {name: value for name, value in equal.items() if name in known}
        if all(known[name] in (value if isinstance(value, list) else [value]) for name, value in of_events.items()):
            kept.append(statement | ({"Condition": {}} if of_events.keys() == equal.keys() else {}))
    return policy | {"Statement": kept}


def may_after_all(cloud: Cloud, answer: Answer, action: str, resource: str) -> bool:
    """Whether the role that the answer refuses may do this to the resource that AWS would check."""
    role = REFUSED_ROLE.search(answer.json.get("message", ""))
    if role is None:
        return False
    asked = cloud.client("iam").simulate_principal_policy(
        PolicySourceArn=f"arn:aws:iam::{ACCOUNT}:role/{role[2]}", ActionNames=[action], ResourceArns=[resource]
    )
    return asked["EvaluationResults"][0]["EvalDecision"] == "allowed"


def resources(call: Call) -> list[str]:
    """What AWS checks the call against; nothing where the emulator is right."""
    if call.service != "glue":
        return []
    of_catalog = f"arn:aws:glue:{REGION}:{ACCOUNT}"
    if call.action in OF_CRAWLERS:
        return [f"{of_catalog}:crawler/{call.json.get('Name')}"]
    if call.action in OF_DATABASES:
        return [f"{of_catalog}:catalog", f"{of_catalog}:database/{call.json.get('Name')}"]
    if call.action in OF_TABLES:
        database = call.json.get("DatabaseName")
        table = table_name(call.json) or "*"
        return [
            f"{of_catalog}:catalog",
            f"{of_catalog}:database/{database}",
            f"{of_catalog}:table/{database}/{table}",
        ]
    return []


def table_name(request: dict[str, Any]) -> str | None:
    return request.get("TableName") or request.get("Name") or request.get("TableInput", {}).get("Name")


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
