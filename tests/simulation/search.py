"""Many histories, in one process: until one breaks a promise, or all are played."""

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import HealthCheck, Phase, given, seed, settings

from simulation.history import Broken, History, Plan
from simulation.incidents import INCIDENTS
from simulation.plans import plans


@dataclass
class Coverage:
    """What was played."""

    histories: int = 0
    steps: int = 0
    days: float = 0.0
    exports: Counter[str] = field(default_factory=Counter)  # by how they ended
    befell: Counter[str] = field(default_factory=Counter)
    places: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # function, operation, fault

    def add(self, history: History) -> None:
        self.histories += 1
        self.steps += history.world.steps
        self.days += history.world.seconds / 86400
        self.exports += history.watcher.ended
        self.befell += history.faults.befell
        self.places += history.faults.places

    def __add__(self, other: "Coverage") -> "Coverage":
        return Coverage(
            self.histories + other.histories,
            self.steps + other.steps,
            self.days + other.days,
            self.exports + other.exports,
            self.befell + other.befell,
            self.places + other.places,
        )


def play_incidents() -> Broken | None:
    """Play each known incident. Returns the first that breaks a guarantee."""
    for plan in INCIDENTS.values():
        try:
            History(plan).run()
        except Broken as broken:
            return broken
    return None


def search(histories: int, number: int, *, shrink: bool = True) -> tuple[Coverage, Broken | None]:
    """`number` is the seed: the same one plays the same histories."""
    coverage = Coverage()
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]

    @seed(number)
    @settings(
        max_examples=histories,
        phases=phases,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(plans())
    def play(plan: Plan) -> None:
        history = History(plan)
        try:
            history.run()
        finally:
            coverage.add(history)

    try:
        play()
    except Broken as broken:
        return coverage, broken
    return coverage, None
