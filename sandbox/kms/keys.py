"""IAM checks for customer managed keys, which the emulator stores, but never asks for permission to use.

Checked are the role's own policies: key policies and grants are not. The check costs a few calls, so it begins with the
first key that is created.
"""

import json
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from sandbox.cloud import ACCOUNT, REGION, Cloud
from sandbox.gateway.calls import AwsError, Call, Response
from sandbox.gateway.permissions import where_it_holds
from sandbox.gateway.routes import Routes

OF_ITEMS = ("GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan", "ExportTableToPointInTime")
OF_SEVERAL = ("TransactWriteItems",)
DYNAMODB = f"dynamodb.{REGION}.amazonaws.com"


class Keys:
    def __init__(self, cloud: Cloud, emulator: Cloud) -> None:
        """`emulator` calls the emulator directly, so that no check is checked itself."""
        self._cloud, self._emulator = cloud, emulator
        self._exist = False

    def routes(self) -> Routes:
        actions = [("dynamodb", action) for action in (*OF_ITEMS, *OF_SEVERAL)]
        return Routes(requests=dict.fromkeys(actions, self.check), handlers={("kms", "CreateKey"): self.note_key})

    def note_key(self, call: Call, response: Response) -> Response:
        self._exist = True
        return response

    def check(self, call: Call) -> Call:
        """Returns the call. Raises AwsError if its role may not decrypt the tables that it names."""
        role = self._cloud.role_name(call.access_key, call.caller) if self._exist else None
        for table in sorted(tables(call)) if role else ():
            key = self._key_of(table)
            if role and key and not self._may(role, "kms:Decrypt", key, DYNAMODB):
                raise AwsError(
                    "AccessDeniedException",
                    f"User: arn:aws:sts::{ACCOUNT}:assumed-role/{role} is not authorized to perform: kms:Decrypt on "
                    f"resource: {key} because no identity-based policy allows the kms:Decrypt action",
                )
        return call

    def _key_of(self, table: str) -> str | None:
        """Returns the ARN of the customer managed key of the table, or None."""
        try:
            found = self._emulator.client("dynamodb").describe_table(TableName=table)["Table"]
        except ClientError:
            return None  # the emulator returns the error
        return found.get("SSEDescription", {}).get("KMSMasterKeyArn")

    def _may(self, role: str, action: str, key: str, via: str) -> bool:
        iam = self._emulator.client("iam")
        simulated = iam.simulate_custom_policy(
            PolicyInputList=[
                json.dumps(where_it_holds(found, {"kms:ViaService": via})) for found in policies(iam, role)
            ],
            ActionNames=[action],
            ResourceArns=[key],
        )
        return simulated["EvaluationResults"][0]["EvalDecision"] == "allowed"


def tables(call: Call) -> set[str]:
    """Returns the names or ARNs of the tables in the request."""
    named = [call.json.get("TableName") or call.json.get("TableArn")]
    for item in call.json.get("TransactItems", []):
        named += [request.get("TableName") for request in item.values()]
    return {name for name in named if name}


def policies(iam: Any, role: str) -> Iterator[dict[str, Any]]:
    """Yields the inline and the attached policies of the role."""
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        yield iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    for attached in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
        version = iam.get_policy(PolicyArn=attached["PolicyArn"])["Policy"]["DefaultVersionId"]
        yield iam.get_policy_version(PolicyArn=attached["PolicyArn"], VersionId=version)["PolicyVersion"]["Document"]
