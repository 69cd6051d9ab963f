"""All pipelines at once: how each is, and which need a person. For people to look at, whatever shows it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from table_exports.domain import health, naming
from table_exports.domain.export import Export
from table_exports.domain.pipeline import End, Pipeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One pipeline, as it is now."""

    pipeline: Pipeline
    in_flight: Export | None
    seconds: int | None  # that the export in flight has taken
    usual_seconds: int | None  # that its exports take; None if there are too few
    troubles: tuple[str, ...]
    snapshot_age: timedelta | None  # of what the view shows
    items: int | None  # in it; None if a version wrote it that did not remember

    @property
    def name(self) -> str:
        return self.pipeline.pipeline

    @property
    def last_end(self) -> End | None:
        return self.pipeline.recent[-1] if self.pipeline.recent else None

    @property
    def _order(self) -> tuple[int, bool, str]:
        worst = [n for n, trouble in enumerate(health.TROUBLES) if trouble in self.troubles]
        return (min(worst, default=len(health.TROUBLES)), self.in_flight is None, self.name)


@dataclass(frozen=True, slots=True)
class Overview:
    rows: tuple[Row, ...]  # those that need a person first, then those in flight, then by name
    unreadable: tuple[str, ...] = ()  # pipelines with a record that cannot be read: another version wrote it

    def of_trouble(self, trouble: str) -> int:
        return sum(trouble in row.troubles for row in self.rows)

    @property
    def in_flight(self) -> int:
        return sum(row.in_flight is not None for row in self.rows)

    @property
    def in_trouble(self) -> int:
        return sum(bool(row.troubles) for row in self.rows) + len(self.unreadable)


def overview(
    pipelines: Iterable[Pipeline], in_flight: Iterable[Export], now: datetime, unreadable: Iterable[str] = ()
) -> Overview:
    exports = {export.pipeline: export for export in in_flight}
    rows = [_row(pipeline, exports.get(pipeline.pipeline), now) for pipeline in pipelines]
    return Overview(tuple(sorted(rows, key=lambda row: row._order)), tuple(sorted({*unreadable})))


def _row(pipeline: Pipeline, export: Export | None, now: datetime) -> Row:
    shown = pipeline.published_snapshot
    written = {end.snapshot_timestamp: end.items for end in pipeline.recent if end.items is not None}
    return Row(
        pipeline=pipeline,
        in_flight=export,
        seconds=export.seconds(now) if export else None,
        usual_seconds=health.usual_seconds(pipeline),
        troubles=health.troubles(pipeline, export, now),
        snapshot_age=now - naming.snapshot_moment(shown) if shown else None,
        items=written.get(shown) if shown else None,
    )
