"""One permission that a role needs."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Place:
    """A resource, and what else AWS knows of the request for it, by condition key."""

    arn: str
    context: dict[str, str] = field(default_factory=dict, hash=False)


def at(*arns: str) -> list[Place]:
    return [Place(arn) for arn in arns]


@dataclass(frozen=True)
class Requirement:
    role: str
    call: str  # what needs it
    action: str
    place: Place
    source: str  # the page that says so

    def __str__(self) -> str:
        return f"{self.role}: {self.call} requires {self.action} on {self.place.arn}. Source: {self.source}"
