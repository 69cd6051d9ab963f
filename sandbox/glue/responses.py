"""Glue's responses without the fields that AWS omits: the emulator fills what was never set with empty values.

Clients tell a field that is empty from one that is not there. Trino, for one, does not recognize a view whose
description is empty: it takes the description for the comment by which it recognizes views.
"""

from typing import Any

from sandbox.gateway.calls import Call, Response
from sandbox.gateway.routes import Routes

FILLED = {
    "Configuration",
    "CrawlerSecurityConfiguration",
    "Description",
    "ErrorMessage",
    "Owner",
    "Schedule",
    "SecurityConfiguration",
    "TablePrefix",
    "WorkflowName",
}
ACTIONS = (
    "GetDatabase",
    "GetDatabases",
    "GetTable",
    "GetTables",
    "GetPartition",
    "BatchGetPartition",
    "GetJob",
    "GetJobs",
    "GetTrigger",
    "GetTriggers",
)


class Responses:
    def routes(self) -> Routes:
        return Routes(handlers={("glue", action): omit_unset for action in ACTIONS})


def omit_unset(call: Call, response: Response) -> Response | dict[str, Any]:
    """The response's resources without the fields that nobody has set."""
    return {name: only_set(content) for name, content in response.json.items()} if response.ok else response


def only_set(content: Any) -> Any:
    """A resource, or each of a list of them, without such fields."""
    match content:
        case list():
            return [only_set(each) for each in content]
        case dict():
            return {name: value for name, value in content.items() if is_set(name, value)}
        case _:
            return content


def is_set(name: str, value: Any) -> bool:
    return value is not None and (value not in ("", {}) or name not in FILLED)
