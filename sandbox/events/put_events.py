"""IAM conditions of PutEvents, which the emulator does not evaluate."""

import json
from typing import Any

from sandbox.cloud import ACCOUNT, REGION, Cloud
from sandbox.gateway.calls import Call, Response
from sandbox.gateway.permissions import denied_role
from sandbox.gateway.routes import Routes


class PutEventsConditions:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def routes(self) -> Routes:
        return Routes(denials={("events", "PutEvents"): self.is_wrongly_denied})

    def is_wrongly_denied(self, call: Call, response: Response) -> bool:
        """Whether the role allows these events, with their sources and detail types."""
        role = denied_role(response)
        if role is None:
            return False
        iam = self._cloud.client("iam")
        names = iam.list_role_policies(RoleName=role)["PolicyNames"]
        policies = [iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names]
        for entry in call.json.get("Entries", []):
            bus = entry.get("EventBusName", "default")
            arn = bus if bus.startswith("arn:") else f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{bus}"
            known = {"events:source": entry.get("Source"), "events:detail-type": entry.get("DetailType")}
            simulated = iam.simulate_custom_policy(
                PolicyInputList=[json.dumps(where_it_holds(policy, known)) for policy in policies],
                ActionNames=["events:PutEvents"],
                ResourceArns=[arn],
            )
            if simulated["EvaluationResults"][0]["EvalDecision"] != "allowed":
                return False
        return True


def where_it_holds(policy: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """Returns the policy without the statements whose conditions are not met, and without conditions that are met."""
    kept = []
    for statement in policy["Statement"]:
        equal = statement.get("Condition", {}).get("StringEquals", {})
        of_events = {name: value for name, value in equal.items() if name in known}
        if all(known[name] in (value if isinstance(value, list) else [value]) for name, value in of_events.items()):
            kept.append(statement | ({"Condition": {}} if of_events.keys() == equal.keys() else {}))
    return policy | {"Statement": kept}
