"""How a service takes part in the calls of its API: each service's classes declare their routes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.gateway.calls import Call, Response

Action = tuple[str, str]  # the service as in a signature's scope, and the API action: ("glue", "StartJobRun")
Prepare = Callable[[Call], Call]
Recheck = Callable[[Call, Response], bool]
Handler = Callable[[Call, Response], Response | dict[str, Any]]


@dataclass(frozen=True)
class Routes:
    """What happens to a call before, and after, the emulator has answered it.

    `requests` change a call, or refuse it (`AwsError`), before the emulator gets it.
    `denials` decide whether the emulator denied its caller what AWS would allow. If so, the call is repeated as root.
    `handlers` complete or replace the emulator's response. They are not asked about a caller that was denied.
    """

    requests: dict[Action, Prepare] = field(default_factory=dict)
    denials: dict[Action, Recheck] = field(default_factory=dict)
    handlers: dict[Action, Handler] = field(default_factory=dict)

    def add(self, more: "Routes") -> None:
        """Raises ValueError if an action already has such a route."""
        for mine, theirs in (
            (self.requests, more.requests),
            (self.denials, more.denials),
            (self.handlers, more.handlers),
        ):
            if twice := mine.keys() & theirs.keys():
                raise ValueError(f"{sorted(twice)} have two routes of the same kind")
            mine.update(theirs)
