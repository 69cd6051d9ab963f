"""The clock, the agenda of what is to happen, and the trace of what did."""

import heapq
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count

START = datetime(2026, 11, 23, tzinfo=UTC)
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
VIEWS_AT_ONCE = 2  # so that the views of three entities are published in two turns


class Violation(AssertionError):
    """A promise was broken. The text begins with the promise's name."""

    def __init__(self, promise: str, what: str) -> None:
        super().__init__(f"{promise}: {what}")
        self.promise = promise
        self.what = what


class World:
    """Time passes only from one thing on the agenda to the next. What is to happen at once, happens as it was put."""

    def __init__(self, jitter: int = 0) -> None:
        self.seconds = 0.0
        self.trace: list[tuple[float, str, str]] = []
        self.steps = 0
        self.uneventful: set[str] = set()  # who did nothing worth telling
        self.pending = 0  # of what is on the agenda and will surely matter
        self.undisturbed_until = 0.0  # by anything that is not on the agenda
        self._agenda: list[tuple[float, int, bool, Callable[[], None]]] = []
        self._order = count()
        self._jitter = random.Random(jitter) if jitter else None

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    @property
    def idle_until(self) -> float:
        return self._agenda[0][0] if self._agenda else float("inf")

    def after(self, seconds: float, action: Callable[[], None], *, awaited: bool = True) -> None:
        """A history is not over before all that is `awaited` has happened."""
        heapq.heappush(self._agenda, (self.seconds + seconds, next(self._order), awaited, action))
        self.pending += awaited

    def passes_by(self, seconds: float) -> bool:
        """Whether so much time could pass at once, because nothing else happens in it. It counts as a step."""
        then = self.seconds + seconds
        if then >= self.idle_until or then > self.undisturbed_until:
            return False
        self.seconds = then
        self.steps += 1
        return True

    def step(self) -> None:
        self.seconds, _, awaited, action = heapq.heappop(self._agenda)
        self.steps += 1
        self.pending -= awaited
        action()

    def note(self, who: str, what: str) -> None:
        self.trace.append((self.seconds, who, what))

    def varies(self, usual: float, *others: float) -> float:
        """How long something takes: as usual, unless this history is one of varying times."""
        return self._jitter.choice((usual, *others)) if self._jitter else usual

    def told(self, first: int = 150, last: int = 250) -> str:
        """The trace, as a reader wants it."""
        told = [line for line in self.trace if line[1] not in self.uneventful]
        lines = [f"{clock(seconds)}  {who:<24} {what}" for seconds, who, what in told]
        if len(lines) > first + last:
            lines[first:-last] = [f"({len(lines) - first - last} lines of the same kind)"]
        return "\n".join(lines)


def clock(seconds: float) -> str:
    days, rest = divmod(seconds, DAY)
    hours, rest = divmod(rest, HOUR)
    minutes, rest = divmod(rest, MINUTE)
    return f"{f'{days:.0f}d ' if days else ''}{hours:02.0f}:{minutes:02.0f}:{rest:05.2f}"
