"""Records every call that passes the gateway, so that you can see what an export costs."""

import re
import time
from dataclasses import asdict, dataclass
from typing import Any

APP = re.compile(r"\bapp/([^\s/]+)")


@dataclass(frozen=True, slots=True)
class Entry:
    time: float  # seconds since the epoch
    caller: str | None  # the `app/<caller>` of the User-Agent
    service: str  # as in the signature's scope: dynamodb, glue, ...
    action: str
    status: int


class CallLog:
    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def record(self, caller: str | None, service: str, action: str, status: int) -> None:
        self._entries.append(Entry(time.time(), caller, service, action, status))

    def since(self, moment: float) -> list[dict[str, Any]]:
        return [asdict(entry) for entry in self._entries if entry.time >= moment]


def caller_of(user_agent: str) -> str | None:
    found = APP.search(user_agent)
    return found and found[1]
