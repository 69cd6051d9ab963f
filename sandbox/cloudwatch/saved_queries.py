"""Saved queries of CloudWatch Logs Insights: put, list and delete. The emulator does not have them."""

import uuid
from typing import Any

from sandbox.gateway.calls import AwsError, Call, Response
from sandbox.gateway.routes import Routes


class SavedQueries:
    """The emulator has authenticated the caller and returned an error, because it does not know these actions."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[str, Any]] = {}

    def routes(self) -> Routes:
        return Routes(
            handlers={
                ("logs", "PutQueryDefinition"): self.put,
                ("logs", "DescribeQueryDefinitions"): self.describe,
                ("logs", "DeleteQueryDefinition"): self.delete,
            }
        )

    def put(self, call: Call, response: Response) -> dict[str, Any]:
        definition = dict(call.json)
        known = definition.setdefault("queryDefinitionId", str(uuid.uuid4()))
        definition.pop("clientToken", None)
        self._kept[known] = definition
        return {"queryDefinitionId": known}

    def describe(self, call: Call, response: Response) -> dict[str, Any]:
        prefix = call.json.get("queryDefinitionNamePrefix", "")
        return {"queryDefinitions": [one for one in self._kept.values() if one["name"].startswith(prefix)]}

    def delete(self, call: Call, response: Response) -> dict[str, Any]:
        if self._kept.pop(call.json["queryDefinitionId"], None) is None:
            raise AwsError("ResourceNotFoundException", f"There is no saved query {call.json['queryDefinitionId']}")
        return {"success": True}
