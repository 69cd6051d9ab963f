"""What a change set does to resources, and which of it destroys data."""

from dataclasses import dataclass
from typing import Any

DATA = {  # resource types that hold data, and what
    "AWS::DynamoDB::Table": "the items of a table",
    "AWS::DynamoDB::GlobalTable": "the items of a table",
    "AWS::S3::Bucket": "the objects of a bucket",
    "AWS::Glue::Database": "the catalog of snapshots and views",
    "AWS::Glue::Table": "an entry of the catalog",
    "AWS::Logs::LogGroup": "the logs",
    "AWS::Events::Archive": "the archived events",
    "AWS::SQS::Queue": "the messages of a queue",
}
SUBSCRIPTIONS = {  # someone has to confirm them again, but no data is lost
    "AWS::SNS::Topic": "the subscriptions of a topic",
    "AWS::SNS::Subscription": "a confirmed subscription",
}
RETAINED = ("Retain", "ReplaceAndRetain")  # policy actions: the resource stays, outside the stack


@dataclass(frozen=True, kw_only=True)
class Change:
    action: str
    name: str  # the logical id
    type: str
    replacement: str  # True, Conditional, False or empty
    physical_id: str = ""  # of a resource that is deleted or replaced
    policy: str = ""  # what becomes of the resource: Delete, Retain, ReplaceAndDelete …

    @property
    def loss(self) -> str | None:
        """Return what happens to the resource if it is deleted or replaced. None if it is neither."""
        if self.action == "Remove":
            return "leaves the stack but is kept" if self.policy in RETAINED else "is deleted"
        replaced = {
            "True": "is replaced by an empty resource",
            "Conditional": "may be replaced by an empty resource",
        }.get(self.replacement)
        return f"{replaced}. The old one is kept" if replaced and self.policy in RETAINED else replaced

    @property
    def at_risk(self) -> str | None:
        """Return what the deletion or replacement concerns, if it is worth a warning."""
        return (DATA | SUBSCRIPTIONS).get(self.type) if self.loss else None

    @property
    def destroys_data(self) -> bool:
        return bool(self.loss) and self.type in DATA and self.policy not in RETAINED

    @property
    def resource(self) -> str:
        """Return the resource as its owner knows it."""
        return f"{self.type} {self.physical_id or self.name}"


def parse_change(found: dict[str, Any]) -> Change:
    """Return the change. Only one with a loss has the physical id, so that changes of several stacks can be equal."""
    change = Change(
        action=found["Action"],
        name=found["LogicalResourceId"],
        type=found["ResourceType"],
        replacement=found.get("Replacement", ""),
        physical_id=found.get("PhysicalResourceId", ""),
        policy=found.get("PolicyAction", ""),
    )
    if change.loss:
        return change
    return Change(action=change.action, name=change.name, type=change.type, replacement=change.replacement)
