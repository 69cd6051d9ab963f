"""The timeline of an export, from its record alone: each wait, how long it took, and how the export ended."""

from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from table_exports.domain.export import Export, Step
from table_exports.domain.pipeline import Pipeline
from table_exports.domain.stages import Stage, parse_waiting_on


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """One wait for an operation."""

    stage: Stage
    since: datetime
    until: datetime | None  # None: it continues
    seconds: int  # until its end, or until now
    attempt: int
    waiting_on: str

    @property
    def operation(self) -> str:
        return parse_waiting_on(self.waiting_on).operation

    @property
    def awaited_id(self) -> str:
        return parse_waiting_on(self.waiting_on).awaited_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    export: Export
    waits: tuple[Wait, ...]
    seconds: int  # since it was requested or resumed
    may_resume: bool
    may_run: bool  # whether its pipeline may start another export
    why_not_resume: str | None = None  # of a failed export


def timeline(export: Export, pipeline: Pipeline | None, now: datetime) -> Timeline:
    """Return the timeline. `pipeline` is the export's, or None if its table stack was deleted."""
    why_not = None
    if export.stage == Stage.FAILED:
        if pipeline is None:
            why_not = "its table stack was deleted"
        elif pipeline.export_in_flight:
            why_not = "another export of its pipeline is in flight"
        else:
            why_not = pipeline.why_not_resume(export)
    return Timeline(
        export=export,
        waits=_waits(export, now),
        seconds=export.seconds(now),
        may_resume=export.stage == Stage.FAILED and why_not is None,
        may_run=pipeline is not None and pipeline.export_in_flight is None,
        why_not_resume=why_not,
    )


def _waits(export: Export, now: datetime) -> tuple[Wait, ...]:
    steps = export.steps or _current_step(export)
    if not steps:
        return ()
    ends = [*(step.until or after.since for step, after in pairwise(steps)), export.ended_at]
    return tuple(
        Wait(
            stage=step.stage,
            since=step.since,
            until=until,
            seconds=max(0, round(((until or now) - step.since).total_seconds())),
            attempt=step.attempt,
            waiting_on=step.waiting_on,
        )
        for step, until in zip(steps, ends, strict=True)
    )


def _current_step(export: Export) -> tuple[Step, ...]:
    """Return the only wait that a record of an earlier version has, if it is in flight."""
    if export.waiting_since is None or export.waiting_on is None:
        return ()
    return (Step(export.stage, export.waiting_since, export.waiting_on, export.attempt),)
