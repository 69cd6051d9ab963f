"""Injects faults into calls and events, at `/_sandbox/faults`.

POST adds one fault or a list of faults, GET lists those that have not happened yet, DELETE removes them:

    {"when": {"caller": "start_export", "service": "glue", "action": "StartJobRun"}, "do": "kill", "times": 1}

Faults do not affect the sandbox's own calls.
"""

import json
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any

from aiohttp import web

from sandbox.cloud import CALLER
from sandbox.emulator import processes

THROTTLED = "ThrottlingException"
OF_CALLS = {
    "refuse": "the call returns `error` and is not carried out",
    "lose": "the call is carried out and the connection closes without a response",
    "kill": "the call is carried out and the caller's process is killed before it gets the response",
}
OF_EVENTS = {
    "drop": "the event is not delivered",
    "repeat": "the event is delivered twice",
    "slow": "the operation that sends the event takes `seconds` longer after it",
}

Matcher = Callable[[str], bool]  # whether an event pattern matches the event


@dataclass(eq=False)
class Fault:
    when: dict[str, Any]
    do: str
    times: int = 1
    error: str = THROTTLED
    message: str = "Rate exceeded"
    seconds: float = 10

    def is_of(self, **call: str) -> bool:
        return self.do in OF_CALLS and all(fnmatchcase(call[name], wanted) for name, wanted in self.when.items())


class Faults:
    """The faults that have not happened yet. A fault is removed when it has happened `times` times."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []
        self._lock = threading.Lock()

    async def serve(self, request: web.Request) -> web.Response:
        try:
            if request.method == "POST":
                given = json.loads(await request.read())
                self.add([checked(one) for one in (given if isinstance(given, list) else [given])])
            elif request.method == "DELETE":
                self.clear()
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response([asdict(fault) for fault in self._waiting])

    def add(self, faults: list[Fault]) -> None:
        with self._lock:
            self._waiting += faults

    def clear(self) -> None:
        with self._lock:
            self._waiting.clear()

    def of_call(self, caller: str | None, service: str, action: str) -> Fault | None:
        """Returns the first fault that matches the call, and counts it."""
        if caller == CALLER:
            return None
        return self._take(lambda fault: fault.is_of(caller=caller or "", service=service, action=action))

    def of_event(self, matches: Matcher, *kinds: str) -> Fault | None:
        """Returns the first fault of these kinds that matches the event, and counts it."""
        return self._take(lambda fault: fault.do in kinds and matches(json.dumps(fault.when["event"])))

    def _take(self, applies: Callable[[Fault], bool]) -> Fault | None:
        with self._lock:
            waiting = list(self._waiting)
        for fault in filter(applies, waiting):
            with self._lock:
                if fault in self._waiting:
                    fault.times -= 1
                    if not fault.times:
                        self._waiting.remove(fault)
                    return fault
        return None


def checked(given: Any) -> Fault:
    """Returns the fault. Raises ValueError with the field and its allowed values."""
    try:
        fault = Fault(**given)
    except TypeError as error:
        raise ValueError(f"A fault has when, do, times, error, message and seconds: {error}") from error
    if fault.do not in [*OF_CALLS, *OF_EVENTS]:
        raise ValueError(f"do: is {fault.do!r}: it must be one of {', '.join([*OF_CALLS, *OF_EVENTS])}")
    expected, kind = ({"event"}, dict) if fault.do in OF_EVENTS else ({"caller", "service", "action"}, str)
    if not isinstance(fault.when, dict) or not fault.when or not fault.when.keys() <= expected:
        raise ValueError(f"when: is {fault.when!r}: to {fault.do} it must name {', '.join(sorted(expected))}")
    for name, value in fault.when.items():
        if not isinstance(value, kind):
            raise ValueError(f"when.{name}: is {value!r}: it must be {'text' if kind is str else 'an event pattern'}")
    if not isinstance(fault.times, int) or fault.times < 1:
        raise ValueError(f"times: is {fault.times!r}: it must be a whole number from 1 on")
    if isinstance(fault.seconds, bool) or not isinstance(fault.seconds, int | float) or not 0 < fault.seconds <= 600:
        raise ValueError(f"seconds: is {fault.seconds!r}: it must be a number above 0, at most 600")
    if fault.do == "kill" and not processes.can_find_callers():
        raise ValueError("do: kill works only on Linux")
    return fault
