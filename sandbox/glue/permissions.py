"""IAM checks for Glue. The emulator checks crawlers and databases as if they were tables, and tables as their database.

So calls that the sandbox makes in a role are checked before the emulator gets them, and denials of the emulator are
checked again. Both checks use the resources that AWS checks.
"""

from typing import Any

from sandbox.cloud import ACCOUNT, REGION, Cloud
from sandbox.gateway.calls import AwsError, Call, Response
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
        """Returns the call. Raises AwsError if the sandbox makes it in a role that does not allow it."""
        role = self._cloud.role_of(call.access_key)
        if role and (denied := self._denied(call, role)):
            raise AwsError(
                "AccessDeniedException",
                f"User: arn:aws:sts::{ACCOUNT}:assumed-role/{role.rpartition('/')[2]} is not authorized to "
                f"perform: glue:{call.action} on resource: {denied} because no identity-based policy allows the "
                f"glue:{call.action} action",
            )
        return call

    def is_wrongly_denied(self, call: Call, response: Response) -> bool:
        role = denied_role(response)
        return role is not None and not self._denied(call, role_arn(role))

    def _denied(self, call: Call, role: str) -> str | None:
        """Returns the first resource for which the role does not allow the action."""
        action = f"glue:{call.action}"
        return next((one for one in resources(call) if not is_allowed(self._cloud, role, action, one)), None)


def resources(call: Call) -> list[str]:
    """Returns the resources that AWS checks for the call."""
    of_catalog = f"arn:aws:glue:{REGION}:{ACCOUNT}"
    if call.action in OF_CRAWLERS:
        return [f"{of_catalog}:crawler/{call.json.get('Name')}"]
    if call.action in OF_DATABASES:
        return [f"{of_catalog}:catalog", f"{of_catalog}:database/{call.json.get('Name')}"]
    database, table = call.json.get("DatabaseName"), table_name(call.json) or "*"
    return [f"{of_catalog}:catalog", f"{of_catalog}:database/{database}", f"{of_catalog}:table/{database}/{table}"]


def table_name(request: dict[str, Any]) -> str | None:
    return request.get("TableName") or request.get("Name") or request.get("TableInput", {}).get("Name")
