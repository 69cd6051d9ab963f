"""Whether a pipeline needs attention: its last export failed, it has not succeeded for too long, or it is too slow."""

from datetime import datetime, timedelta

from table_exports.domain import schedules
from table_exports.domain.errors import InvalidRequest
from table_exports.domain.export import Export
from table_exports.domain.pipeline import Pipeline
from table_exports.domain.stages import Stage

FAILING, STALE, SLOW = PROBLEMS = ("failing", "stale", "slow")  # the most severe first
UNQUERYABLE = "unqueryable"  # has no alarm, because only the command line looks for the view
PREDECESSORS = 3  # successes that it takes to know how long an export usually takes
SLOW_FACTOR = 3  # times the usual duration
SLOW_GRACE = timedelta(minutes=30)  # above the usual duration: queues and starts vary
LEAST_SLACK, MOST_SLACK = timedelta(hours=1), timedelta(days=1)  # the least is twice the longest ScheduleWindowMinutes
EARLIEST_ZONE, LATEST_ZONE = timedelta(hours=14), timedelta(hours=12)  # ahead of UTC, and behind it


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
    """Return when the pipeline becomes stale unless an export succeeds before. None if no scheduled run is to come.

    That is when the first run after the last success is late: by the usual duration of an export, and half the time
    until the next run, with at least LEAST_SLACK and at most MOST_SLACK. If an operator has set a time without a
    success, that time must be over, and the run late by LEAST_SLACK.
    """
    if not pipeline.scheduled or pipeline.scheduled_since is None:
        return None
    since = max(pipeline.last_succeeded_at or pipeline.scheduled_since, pipeline.scheduled_since)
    allowed = timedelta(seconds=pipeline.stale_after_seconds)
    try:
        schedule = schedules.parse(pipeline.schedule_expression, pipeline.schedule_time_zone or "UTC")
    except InvalidRequest:  # an earlier version registered it, which could not evaluate every expression
        return since + allowed if allowed else None
    due = _due(pipeline, schedule, since)
    if due is None:
        return None
    duration = timedelta(seconds=expected_seconds(pipeline))
    if allowed:
        return max(since + allowed, due + duration + LEAST_SLACK)
    following = schedule.after(due, since)
    slack = min(max((following - due) / 2, LEAST_SLACK), MOST_SLACK) if following else MOST_SLACK
    return due + duration + slack


def _due(pipeline: Pipeline, schedule: schedules.Schedule, since: datetime) -> datetime | None:
    """Return when the first run after a success is due at the latest. None if there is none.

    A rate counts from `since`, because a schedule may exist for longer than it is enabled. The record of an earlier
    version does not say in which time zone its schedule runs: the run may be due in any.
    """
    if pipeline.schedule_time_zone or isinstance(schedule, schedules.Rate):
        return schedule.after(since, since)
    due = schedule.after(since + EARLIEST_ZONE, since + EARLIEST_ZONE)
    return due and due + LATEST_ZONE


def is_stale(pipeline: Pipeline, now: datetime) -> bool:
    stale = stale_from(pipeline)
    return stale is not None and stale < now


def usual_seconds(pipeline: Pipeline) -> int | None:
    """Return the median duration of the last successful exports. None if there are too few."""
    from statistics import median  # imports fractions and random: too slow for a cold start that needs no health

    durations = [end.seconds for end in pipeline.recent if end.stage == Stage.SUCCEEDED]
    return round(median(durations)) if len(durations) >= PREDECESSORS else None


def expected_seconds(pipeline: Pipeline) -> int:
    """Return how long an export of the pipeline may usually take. 0 if none has succeeded."""
    usual = usual_seconds(pipeline)
    if usual is not None:
        return usual
    return max((end.seconds for end in pipeline.recent if end.stage == Stage.SUCCEEDED), default=0)


def is_slow(pipeline: Pipeline, export: Export, now: datetime) -> bool:
    """Return whether an export in flight takes far longer than the last successful ones."""
    usual = usual_seconds(pipeline)
    if usual is None:
        return False
    return export.seconds(now) > max(SLOW_FACTOR * usual, usual + SLOW_GRACE.total_seconds())
