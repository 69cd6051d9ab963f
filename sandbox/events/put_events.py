"""IAM conditions of PutEvents, which the emulator does not evaluate."""

import json

from sandbox.cloud import ACCOUNT, REGION, Cloud
from sandbox.gateway.calls import Call, Response
from sandbox.gateway.permissions import denied_role, where_it_holds
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
