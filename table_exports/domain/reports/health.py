"""Whether a pipeline needs attention: its last export failed, it has not succeeded for too long, or it is too slow."""

from datetime import datetime, timedelta

from table_exports.domain.export import Export
from table_exports.domain.pipeline import Pipeline
from table_exports.domain.stages import Stage

FAILING, STALE, SLOW = PROBLEMS = ("failing", "stale", "slow")  # the most severe first
PREDECESSORS = 3  # successes that it takes to know how long an export usually takes
SLOW_FACTOR = 3  # times the usual duration
SLOW_GRACE = timedelta(minutes=30)  # above the usual duration: queues and starts vary
LEAST_SLACK, MOST_SLACK = timedelta(hours=1), timedelta(days=1)


def problems(pipeline: Pipeline, in_flight: Export | None, now: datetime) -> tuple[str, ...]:
    """Return the pipeline's problems, the most severe first."""
    holds = {
        FAILING: is_failing(pipeline),
        STALE: is_stale(pipeline, now),
        SLOW: in_flight is not None and is_slow(pipeline, in_flight, now),
    }
    return tuple(problem for problem in PROBLEMS if holds[problem])


def is_failing(pipeline: Pipeline) -> bool:
    """Return whether the last export that ended failed. The head of an earlier version does not say."""
    return bool(pipeline.recent) and pipeline.recent[-1].stage == Stage.FAILED


def stale_from(pipeline: Pipeline) -> datetime | None:
    """Return when the pipeline becomes stale unless an export succeeds before. None if it has no schedule.

    That is the schedule's longest interval and half as much again, with at least LEAST_SLACK and at most MOST_SLACK,
    because exports of one table do not always take the same time.
    """
    if not pipeline.scheduled or pipeline.scheduled_since is None:
        return None
    allowed = timedelta(seconds=pipeline.stale_after_seconds)
    if not allowed:
        interval = timedelta(seconds=pipeline.interval_seconds)
        allowed = interval + min(max(interval / 2, LEAST_SLACK), MOST_SLACK)
        if not interval:
            return None
    return max(pipeline.last_succeeded_at or pipeline.scheduled_since, pipeline.scheduled_since) + allowed


def is_stale(pipeline: Pipeline, now: datetime) -> bool:
    stale = stale_from(pipeline)
    return stale is not None and stale < now


def usual_seconds(pipeline: Pipeline) -> int | None:
    """Return the median duration of the last successful exports. None if there are too few."""
    from statistics import median  # imports fractions and random: too slow for a cold start that needs no health

    durations = [end.seconds for end in pipeline.recent if end.stage == Stage.SUCCEEDED]
    return round(median(durations)) if len(durations) >= PREDECESSORS else None


def is_slow(pipeline: Pipeline, export: Export, now: datetime) -> bool:
    """Return whether an export in flight takes far longer than the last successful ones."""
    usual = usual_seconds(pipeline)
    if usual is None:
        return False
    return export.seconds(now) > max(SLOW_FACTOR * usual, usual + SLOW_GRACE.total_seconds())
