"""What we measure of exports and pipelines. Dimensions have few values: stages, and the pipelines that are deployed.

What is told of a pipeline all the time costs as a metric of each; what is told when an export ends, next to nothing.
"""

from dataclasses import dataclass
from datetime import datetime

from table_exports.domain import health, naming
from table_exports.domain.export import Export, Stage
from table_exports.domain.pipeline import Pipeline

METRICS = {health.FAILING: "Failing", health.STALE: "Stale", health.SLOW: "Slow"}  # 1 as long as it is so; else nothing


@dataclass(frozen=True, slots=True)
class Measure:
    dimensions: dict[str, str]
    values: dict[str, float]


def of_change(before: Export | None, after: Export) -> list[Measure]:
    """What is known when a state record turned from `before` to `after`."""
    if before is None or before.stage == after.stage or before.ended:
        return []
    entered, left = before.stage_since, after.ended_at or after.waiting_since
    found = []
    if entered and left:
        found.append(Measure({"stage": before.stage}, {"StageDuration": max(0, (left - entered).total_seconds())}))
    pipeline = {"pipeline": after.pipeline}
    match after.stage:
        case Stage.SUCCEEDED:
            took = after.seconds(after.ended_at)
            found.append(Measure(pipeline, {"ExportDuration": took, "Items": after.items, "Bytes": after.bytes}))
        case Stage.FAILED:
            found.append(Measure({"stage": before.stage}, {"ExportsFailed": 1}))
            found.append(Measure(pipeline, {METRICS[health.FAILING]: 1}))
    return found


def of_pipeline(pipeline: Pipeline, in_flight: Export | None, now: datetime) -> Measure | None:
    """How a pipeline is. None if there is nothing to say yet."""
    values: dict[str, float] = {}
    if pipeline.published_snapshot:
        age = now - naming.snapshot_moment(pipeline.published_snapshot)
        values["SnapshotAge"] = max(0, age.total_seconds())
    values |= {METRICS[trouble]: 1 for trouble in health.troubles(pipeline, in_flight, now)}
    return Measure({"pipeline": pipeline.pipeline}, values) if values else None


def in_trouble(measure: Measure) -> bool:
    return not measure.values.keys().isdisjoint(METRICS.values())
