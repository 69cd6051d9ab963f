"""What is measured of exports and pipelines.

Dimensions have few values: stages, and the deployed pipelines. CloudWatch charges for a metric in each hour in which
it is sent. A metric of a pipeline is therefore sent only when an export ends, and while there is a problem.
"""

from dataclasses import dataclass
from datetime import datetime

from table_exports.domain.export import Export
from table_exports.domain.pipeline import Pipeline
from table_exports.domain.reports import health
from table_exports.domain.stages import Stage

METRICS = {health.FAILING: "Failing", health.STALE: "Stale", health.SLOW: "Slow"}  # 1 while it is so, else not sent


@dataclass(frozen=True, slots=True)
class Measurement:
    dimensions: dict[str, str]
    values: dict[str, float]


def of_change(before: Export | None, after: Export, *, each_pipeline: bool = True) -> list[Measurement]:
    """Return what to measure when a state record changed from `before` to `after`.

    Without `each_pipeline`, a success is not measured by its pipeline. A failure always is, for its alarm.
    """
    if before is None or before.stage == after.stage or before.ended:
        return []
    entered, left = before.stage_since, after.ended_at or after.waiting_since
    found = []
    if entered and left:
        seconds = max(0, (left - entered).total_seconds())
        found.append(Measurement({"stage": before.stage}, {"StageDuration": seconds}))
    pipeline = {"pipeline": after.pipeline}
    match after.stage:
        case Stage.SUCCEEDED if each_pipeline:
            values: dict[str, float | None] = {"Items": after.items, "Bytes": after.bytes}
            if after.ended_at:
                values["ExportDuration"] = after.seconds(after.ended_at)
            known = {name: value for name, value in values.items() if value is not None}
            found.append(Measurement(pipeline, known))
        case Stage.FAILED:
            found.append(Measurement({"stage": before.stage}, {"ExportsFailed": 1}))
            found.append(Measurement(pipeline, {METRICS[health.FAILING]: 1}))
    return found


def of_pipeline(pipeline: Pipeline, in_flight: Export | None, now: datetime) -> Measurement | None:
    """Return the problems of a pipeline, to be measured in every pass. None if it has none."""
    values: dict[str, float] = {METRICS[problem]: 1 for problem in health.problems(pipeline, in_flight, now)}
    return Measurement({"pipeline": pipeline.pipeline}, values) if values else None
