"""An export's story, told from its record alone: each wait, how long it was, and what came of it all."""

from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from table_exports.domain.export import Export, Stage, Step
from table_exports.domain.pipeline import Pipeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """One wait."""

    stage: Stage
    since: datetime
    until: datetime | None  # None: it goes on
    seconds: int  # that it was, or has been by now
    attempt: int
    waiting_on: str  # `glue-job-run/jr_…` and its like

    @property
    def kind(self) -> str:
        return self.waiting_on.partition("/")[0]

    @property
    def awaited_id(self) -> str:
        return self.waiting_on.partition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    export: Export
    chapters: tuple[Chapter, ...]
    seconds: int  # since it was requested, or resumed
    may_resume: bool
    may_run: bool  # another export of its pipeline
    why_not_resume: str | None = None  # of one that failed


def story(export: Export, pipeline: Pipeline | None, now: datetime) -> Story:
    """`pipeline` is the export's; None if its table stack is gone."""
    why_not = None
    if export.stage == Stage.FAILED:
        if pipeline is None:
            why_not = "its table stack was deleted"
        elif pipeline.export_in_flight:
            why_not = "another export of its pipeline is in flight"
        else:
            why_not = pipeline.why_not_resume(export)
    return Story(
        export=export,
        chapters=_chapters(export, now),
        seconds=export.seconds(now),
        may_resume=export.stage == Stage.FAILED and why_not is None,
        may_run=pipeline is not None and pipeline.export_in_flight is None,
        why_not_resume=why_not,
    )


def _chapters(export: Export, now: datetime) -> tuple[Chapter, ...]:
    steps = export.steps or _of_an_earlier_version(export)
    if not steps:
        return ()
    ends = [*(step.until or after.since for step, after in pairwise(steps)), export.ended_at]
    return tuple(
        Chapter(
            stage=step.stage,
            since=step.since,
            until=until,
            seconds=max(0, round(((until or now) - step.since).total_seconds())),
            attempt=step.attempt,
            waiting_on=step.waiting_on,
        )
        for step, until in zip(steps, ends, strict=True)
    )


def _of_an_earlier_version(export: Export) -> tuple[Step, ...]:
    """It noted its last wait alone."""
    if export.waiting_since is None or export.waiting_on is None:
        return ()
    return (Step(export.stage, export.waiting_since, export.waiting_on, export.attempt),)
