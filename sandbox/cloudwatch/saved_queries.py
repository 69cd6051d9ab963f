"""Saved queries of CloudWatch Logs Insights, which the emulator does not have: put, listed and deleted, no more."""

import uuid
from typing import Any

from sandbox.gateway.calls import Answer, Call, Refused
from sandbox.gateway.routes import Routes


class SavedQueries:
    """Each call was refused by the emulator, for it does not know it; it has checked who calls."""

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

    def put(self, call: Call, answer: Answer) -> dict[str, Any]:
        definition = dict(call.json)
        known = definition.setdefault("queryDefinitionId", str(uuid.uuid4()))
        definition.pop("clientToken", None)
        self._kept[known] = definition
        return {"queryDefinitionId": known}

    def describe(self, call: Call, answer: Answer) -> dict[str, Any]:
        prefix = call.json.get("queryDefinitionNamePrefix", "")
        return {"queryDefinitions": [one for one in self._kept.values() if one["name"].startswith(prefix)]}

    def delete(self, call: Call, answer: Answer) -> dict[str, Any]:
        if self._kept.pop(call.json["queryDefinitionId"], None) is None:
            raise Refused("ResourceNotFoundException", f"There is no query {call.json['queryDefinitionId']}")
        return {"success": True}
