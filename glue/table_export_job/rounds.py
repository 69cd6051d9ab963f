"""The rounds of a scan: what each task reads next, at which rate and for how long.

A Spark task cannot be given another share of the read rate while it runs. So a scan is read in rounds. When a round
ends, the rate is shared among the segments that are not finished. A segment that holds much more than the others, for
example the many items of one partition key, is therefore read at the whole rate when it is the last one.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

ROUND_SECONDS = 50  # at least, because tasks end a round up to a page later, which is five seconds
ROUND_ITEMS = 10  # or as long as so many items take, if one takes longer than five seconds
ROUND_SHARE = 0.1  # of the time so far, or of the time that is left: what a round may waste when segments finish early
PARTITION_UNITS = 3000  # per second: no DynamoDB partition serves more, and a segment is in one of them at a time


class Position(NamedTuple):
    """How far a segment has been read."""

    segment: int
    start_key: dict[str, Any] | None = None  # None: not begun
    parts: int = 0  # rounds in which it was read


class Task(NamedTuple):
    """What one Spark task does in a round: it reads these segments one after another until the time is over."""

    positions: Sequence[Position]
    rate: float
    seconds: float
    is_alone: bool


def next_round(
    unfinished: Sequence[Position], cores: int, rate: float, item_units: float, elapsed: float, left: float
) -> list[Task]:
    """Return the tasks of the next round.

    `elapsed` and `left`: the seconds that the scan has taken, and that the rest will take at the whole rate as far as
    that is known. `item_units`: what an item consumes on average.
    """
    tasks = min(cores, len(unfinished))
    share = min(rate / tasks, PARTITION_UNITS)
    seconds = max(ROUND_SECONDS, ROUND_ITEMS * item_units / share, ROUND_SHARE * elapsed, ROUND_SHARE * left)
    return [Task(positions, share, seconds, is_alone=tasks == 1) for positions in share_out(unfinished, tasks)]


def share_out(unfinished: Sequence[Position], tasks: int) -> list[list[Position]]:
    """Return the segments of each task. A task goes on with a segment that was begun before it begins others."""
    begun = [position for position in unfinished if position.start_key]
    lists = [[position] for position in begun] + [[] for _ in range(tasks - len(begun))]
    for number, position in enumerate(position for position in unfinished if not position.start_key):
        lists[(len(begun) + number) % tasks].append(position)
    return lists


def hot_share(units: Sequence[float]) -> float:
    """Return the share of the segment that has far more than the others of what was read. 0 if there is none."""
    total, most = sum(units), max(units, default=0)
    if len(units) < 2 or most < max(0.2, 4 / len(units)) * total or not total:
        return 0.0
    return most / total


def hot_segment(units: Sequence[float]) -> str:
    """Return a sentence about such a segment, or an empty text if there is none."""
    share = hot_share(units)
    if not share:
        return ""
    return (
        f"Segment {list(units).index(max(units))} of {len(units)} has {share:.0%} of what was read: one partition key "
        "has many or large items. No more than one task can read them"
    )
