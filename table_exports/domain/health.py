"""Whether a pipeline needs a person: its last export failed, none succeeds any more, or one takes far too long."""

from datetime import datetime, timedelta

from table_exports.domain.export import Export, Stage
from table_exports.domain.pipeline import Pipeline

FAILING, STALE, SLOW = TROUBLES = ("failing", "stale", "slow")  # the worst first
PREDECESSORS = 3  # successes that tell how long an export usually takes
FAR_LONGER = 3  # times the usual
GRACE = timedelta(minutes=30)  # longer than usual: no matter, for queues and starts vary
LEAST_SLACK, MOST_SLACK = timedelta(hours=1), timedelta(days=1)


def troubles(pipeline: Pipeline, in_flight: Export | None, now: datetime) -> tuple[str, ...]:
    """For which a person is needed."""
    holds = {
        FAILING: is_failing(pipeline),
        STALE: is_stale(pipeline, now),
        SLOW: in_flight is not None and is_slow(pipeline, in_flight, now),
    }
    return tuple(trouble for trouble in TROUBLES if holds[trouble])


def is_failing(pipeline: Pipeline) -> bool:
    """Whether the last export to end failed. A pipeline of an earlier version remembers none."""
    return bool(pipeline.recent) and pipeline.recent[-1].stage == Stage.FAILED


def stale_from(pipeline: Pipeline) -> datetime | None:
    """When it will be stale, unless an export succeeds before. None if nothing asks for exports by itself.

    Half an interval more than the schedule's longest, within bounds: exports of one table take their time, and not
    always the same.
    """
    if not pipeline.scheduled or pipeline.scheduled_since is None:
        return None
    patience = timedelta(seconds=pipeline.stale_after_seconds)
    if not patience:
        interval = timedelta(seconds=pipeline.interval_seconds)
        patience = interval + min(max(interval / 2, LEAST_SLACK), MOST_SLACK)
        if not interval:
            return None
    return max(pipeline.last_succeeded_at or pipeline.scheduled_since, pipeline.scheduled_since) + patience


def is_stale(pipeline: Pipeline, now: datetime) -> bool:
    stale = stale_from(pipeline)
    return stale is not None and stale < now


def usual_seconds(pipeline: Pipeline) -> int | None:
    """How long its exports take: the median of the last successes. None if there are too few."""
    from statistics import median  # with it come fractions and random: not for a cold start that asks no health

    took = [end.seconds for end in pipeline.recent if end.stage == Stage.SUCCEEDED]
    return round(median(took)) if len(took) >= PREDECESSORS else None


def is_slow(pipeline: Pipeline, export: Export, now: datetime) -> bool:
    """Whether an export in flight runs far longer than its predecessors."""
    usual = usual_seconds(pipeline)
    if usual is None:
        return False
    return export.seconds(now) > max(FAR_LONGER * usual, usual + GRACE.total_seconds())
