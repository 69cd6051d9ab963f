"""All pipelines at once: the state of each, and which need attention. The dashboard and the command line show it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from table_exports.domain import naming, view_sql
from table_exports.domain.errors import InvalidRecord
from table_exports.domain.export import Export
from table_exports.domain.pipeline import End, Pipeline
from table_exports.domain.reports import health

BY_SEVERITY = (health.UNQUERYABLE, *health.PROBLEMS)


@dataclass(frozen=True, slots=True)
class Cataloged:
    """What the Glue database has."""

    tables: frozenset[str]
    views: Mapping[str, str | None]  # by name: the snapshot that it shows. None: it is not a view of ours

    @classmethod
    def of(cls, tables: Iterable[Mapping[str, Any]], database: str) -> "Cataloged":
        """Return what the database has, from the `TableList` of `GetTables`."""
        found = {table["Name"]: table for table in tables}
        views = {
            name: view_sql.shown_snapshot(table.get("ViewOriginalText", ""), database, naming.snapshot_table(name))
            for name, table in found.items()
            if table.get("TableType") == "VIRTUAL_VIEW"
        }
        return cls(frozenset(found.keys() - views.keys()), views)

    def snapshot_to_show(self, pipeline: Pipeline) -> str | None:
        """Return the snapshot that all views of the pipeline must show. None before its first success."""
        return pipeline.snapshot_to_show(self.views.get(table.catalog_name) for table in pipeline.tables)

    def lost_views(self, pipeline: Pipeline) -> tuple[str, ...]:
        """Return the names of the pipeline's views that do not exist, are not its own, or show an older snapshot."""
        expected = self.snapshot_to_show(pipeline)
        if expected is None:
            return ()
        names = (table.catalog_name for table in pipeline.published_tables(self.tables))
        return tuple(name for name in names if (self.views.get(name) or "") < expected)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The current state of one pipeline."""

    pipeline: Pipeline
    in_flight: Export | None
    seconds: int | None  # that the export in flight has taken
    usual_seconds: int | None  # that its exports take. None if there are too few
    problems: tuple[str, ...]
    snapshot_age: timedelta | None  # of the snapshot that the view shows
    items: int | None  # in that snapshot. None if a version exported it that did not record the number
    lost_views: tuple[str, ...] = ()  # the views that do not exist, are not its own, or show an older snapshot

    @property
    def name(self) -> str:
        return self.pipeline.pipeline

    @property
    def last_end(self) -> End | None:
        return self.pipeline.recent[-1] if self.pipeline.recent else None

    def checked(self, cataloged: Cataloged) -> "Row":
        """Return the row with a problem if the pipeline has published, and not all of its views show that."""
        lost = cataloged.lost_views(self.pipeline)
        return replace(self, lost_views=lost, problems=(health.UNQUERYABLE, *self.problems)) if lost else self

    @property
    def _order(self) -> tuple[int, bool, str]:
        severity = [n for n, problem in enumerate(BY_SEVERITY) if problem in self.problems]
        return (min(severity, default=len(BY_SEVERITY)), self.in_flight is None, self.name)


@dataclass(frozen=True, slots=True)
class Overview:
    rows: tuple[Row, ...]  # those that need attention first, then those in flight, then by name
    invalid: tuple[InvalidRecord, ...] = ()  # records that cannot be parsed

    def with_problem(self, problem: str) -> int:
        """Return how many pipelines have the problem."""
        return sum(problem in row.problems for row in self.rows)

    def with_views(self, cataloged: Cataloged) -> "Overview":
        """Return the overview with a problem for each pipeline whose views do not all show what it has published."""
        rows = [row.checked(cataloged) for row in self.rows]
        return replace(self, rows=tuple(sorted(rows, key=lambda row: row._order)))

    @property
    def in_flight(self) -> int:
        return sum(row.in_flight is not None for row in self.rows)

    @property
    def needing_attention(self) -> int:
        return len({row.name for row in self.rows if row.problems} | {record.pipeline for record in self.invalid})


def overview(
    pipelines: Iterable[Pipeline], in_flight: Iterable[Export], now: datetime, invalid: Iterable[InvalidRecord] = ()
) -> Overview:
    exports = {export.pipeline: export for export in in_flight}
    rows = [_row(pipeline, exports.get(pipeline.pipeline), now) for pipeline in pipelines]
    return Overview(tuple(sorted(rows, key=lambda row: row._order)), tuple(sorted(invalid, key=str)))


def _row(pipeline: Pipeline, export: Export | None, now: datetime) -> Row:
    published = pipeline.published_snapshot
    items = {end.snapshot_timestamp: end.items for end in pipeline.recent if end.items is not None}
    return Row(
        pipeline=pipeline,
        in_flight=export,
        seconds=export.seconds(now) if export else None,
        usual_seconds=health.usual_seconds(pipeline),
        problems=health.problems(pipeline, export, now),
        snapshot_age=now - naming.snapshot_moment(published) if published else None,
        items=items.get(published) if published else None,
    )
