"""Glue's resources in IAM. The emulator takes a crawler or a database for a table, and a table for its database.

So the sandbox checks its own calls in a role before the emulator does, and asks IAM again after the emulator's denials:
each time about the resources that AWS would check.
"""

from typing import Any

from sandbox.cloud import ACCOUNT, REGION, Cloud
from sandbox.gateway.calls import Answer, Call, Refused
from sandbox.gateway.permissions import denied_role, is_allowed, role_arn
from sandbox.gateway.routes import Routes

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

    def routes(self) -> Routes:
        actions = [("glue", action) for action in (*OF_CRAWLERS, *OF_DATABASES, *OF_TABLES)]
        return Routes(
            requests=dict.fromkeys(actions, self.check),
            denials=dict.fromkeys(actions, self.is_wrongly_denied),
        )

    def check(self, call: Call) -> Call:
        """The call itself. Raises Refused if the sandbox makes it in a role, and the role may not make it."""
        role = self._cloud.role_of(call.access_key)
        if role and (denied := self._denied(call, role)):
            raise Refused(
                "AccessDeniedException",
                f"User: {role.replace(':iam:', ':sts:').replace(':role/', ':assumed-role/')} is not authorized to "
                f"perform: glue:{call.action} on resource: {denied} because no identity-based policy allows the "
                f"glue:{call.action} action",
            )
        return call

    def is_wrongly_denied(self, call: Call, answer: Answer) -> bool:
        role = denied_role(answer)
        return role is not None and not self._denied(call, role_arn(role))

    def _denied(self, call: Call, role: str) -> str | None:
        """The first resource that the role may not do this to."""
        action = f"glue:{call.action}"
        return next((one for one in resources(call) if not is_allowed(self._cloud, role, action, one)), None)


def resources(call: Call) -> list[str]:
    """What AWS checks the call against."""
    of_catalog = f"arn:aws:glue:{REGION}:{ACCOUNT}"
    if call.action in OF_CRAWLERS:
        return [f"{of_catalog}:crawler/{call.json.get('Name')}"]
    if call.action in OF_DATABASES:
        return [f"{of_catalog}:catalog", f"{of_catalog}:database/{call.json.get('Name')}"]
    database, table = call.json.get("DatabaseName"), table_name(call.json) or "*"
    return [f"{of_catalog}:catalog", f"{of_catalog}:database/{database}", f"{of_catalog}:table/{database}/{table}"]


def table_name(request: dict[str, Any]) -> str | None:
    return request.get("TableName") or request.get("Name") or request.get("TableInput", {}).get("Name")
