"""Repairs what Athena needs to query a pipeline, from the manifests of its snapshots. It changes no data.

A manifest that was deleted or overwritten is restored first, from its versions in S3.

A running export changes the same tables and the same view, so the repair refuses to start. An export that begins while
the repair runs may publish a newer snapshot. The repair is then repeated, so that the view does not move backwards. It
first waits until that export has ended, which decides what the view must show.
"""

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from table_exports.aws.athena import Athena
from table_exports.aws.bucket_owner import expect_owner
from table_exports.aws.glue import Glue
from table_exports.aws.manifests import Manifests
from table_exports.aws.snapshots import Snapshots
from table_exports.domain import naming, retention
from table_exports.domain.aws_events import QueryEnded
from table_exports.domain.datasets import Dataset, datasets, names_not_held
from table_exports.domain.errors import PermanentError
from table_exports.domain.export import VIEWS_AT_ONCE, Export
from table_exports.domain.manifest import OtherVersion
from table_exports.domain.pipeline import Pipeline
from table_exports.domain.stages import Stage
from table_exports_cli.problems import CommandError
from table_exports_cli.queries import wait_for_end
from table_exports_cli.system import NAME, System, the_time

QUERY_ENDS_WITHIN_SECONDS = 300  # queries may be in Athena's queue
EXPORT_ENDS_WITHIN_SECONDS = 600  # an export that publishes already
POLL_SECONDS = 1.0
TRIES = 3
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
AT_ONCE = 8  # concurrent calls, as each snapshot needs a few


@dataclass(frozen=True, slots=True)
class Repaired:
    snapshot_timestamp: str  # that the view shows
    partitions_added: tuple[str, ...]  # the snapshots that the table lacked
    database_created: bool
    manifests_restored: tuple[str, ...]  # the snapshots whose manifest was lost
    notes: tuple[str, ...]  # what was done, and which snapshots were left out


def repair(system: System, name: str) -> Repaired:
    """Make all published snapshots of the pipeline queryable, and its view show the latest of them.

    Raises CommandError if an export is running, or there is nothing to show.
    """
    pipeline = system.pipeline(name)
    if running := system.running(pipeline):
        raise CommandError(
            f"Export {running.export_id} of {name} is running and changes the same tables. {_wait_until_ended(name)}, "
            "or cancel it, then repeat the command"
        )
    for _ in range(TRIES):
        repaired = _Repair(system, pipeline).carry_out()
        asked, pipeline = pipeline.newest_snapshot, _published(system, name)
        if pipeline.newest_snapshot == asked:
            return repaired
    raise CommandError(f"{name} publishes new snapshots all the time: repeat the command")


def _published(system: System, name: str) -> Pipeline:
    """Return the pipeline when no export is publishing a snapshot. Raises CommandError if one does not end."""
    deadline = time.monotonic() + EXPORT_ENDS_WITHIN_SECONDS
    while (running := system.running(pipeline := system.pipeline(name))) and running.stage == Stage.PUBLISHING:
        if time.monotonic() >= deadline:
            raise CommandError(
                f"Export {running.export_id} of {name} began to publish {running.snapshot_timestamp} meanwhile, and "
                f"the view may show the snapshot before it. {_wait_until_ended(name)}, then repeat the command"
            )
        time.sleep(POLL_SECONDS)
    return pipeline


def _wait_until_ended(name: str) -> str:
    return f"Wait until it has ended (table-exports watch {name} --until-done)"


class _Repair:
    def __init__(self, system: System, pipeline: Pipeline) -> None:
        glue = system.client("glue")
        self._system, self._pipeline = system, pipeline
        self._glue = Glue(glue, lambda: glue, system.database)
        self._athena = Athena(system.client("athena"), NAME, system.database)
        s3 = expect_owner(system.client("s3"), system.account)
        self._manifests = Manifests(s3)
        self._snapshots = Snapshots(s3, glue, system.database)
        self._notes: list[str] = []

    def carry_out(self) -> Repaired:
        latest = self._latest()
        restored = self._restore_manifests(latest)
        tables = self._complete(latest)
        if created := self._glue.ensure_database():
            self._notes.append(f"Created the database {self._system.database}")
        for export, _ in tables:
            self._glue.ensure_own_names(export)
        for table in tables:
            self._glue.restore_table(*table)
        added = self._add_partitions(latest, tables)
        for table in tables:
            self._glue.correct_partitions(*table, self._pipeline.published_snapshot)
        for start in range(0, len(tables), VIEWS_AT_ONCE):
            self._show(tables[start : start + VIEWS_AT_ONCE])
        return Repaired(latest, added, created, restored, tuple(self._notes))

    def _latest(self) -> str:
        """Return the latest published snapshot, or a newer one that a view shows already: a query that seems to have
        failed may have changed the view, or someone restored an earlier state of the records. No view moves backwards.
        """
        name, shown = self._pipeline.pipeline, map(self._shown, self._pipeline.tables)
        latest = self._pipeline.snapshot_to_show(shown)
        if latest is None:
            raise CommandError(f"{name} has not published a snapshot yet: table-exports run {name}")
        return latest

    def _shown(self, table: Pipeline) -> str | None:
        return self._glue.shown_snapshot(table.catalog_name)

    def _restore_manifests(self, latest: str) -> tuple[str, ...]:
        """Restore lost manifests from their versions. Returns the timestamps of the snapshots.

        A manifest is restored only if S3 has all files that it lists: the job and retention delete both.
        """
        snapshots = [name for name in self._snapshots.of(self._pipeline) if re.fullmatch(retention.SNAPSHOT, name)]
        needed = {latest, max(snapshots, default=latest)}  # by the view, and by the next export
        lost = {*self._snapshots.without_manifest(self._pipeline), *(each for each in needed if self._is_damaged(each))}
        restored = tuple(snapshot for snapshot in sorted(lost) if self._restore_manifest(snapshot))
        if restored:
            self._notes.append(f"Restored the manifest of {', '.join(restored)} from an earlier version")
        return restored

    def _is_damaged(self, snapshot: str) -> bool:
        try:
            self._manifests.of_snapshot(self._pipeline, snapshot)
        except OtherVersion:
            return False
        except PermanentError:
            return True
        return False

    def _restore_manifest(self, snapshot: str) -> bool:
        for export, manifest, content in self._manifests.versions(self._pipeline, snapshot):
            try:
                self._ensure_complete(datasets(export, manifest))
            except PermanentError:
                continue
            self._manifests.restore(self._pipeline, snapshot, content)
            return True
        return False

    def _complete(self, snapshot: str) -> list[Dataset]:
        """Return the tables of a snapshot. Raises CommandError unless S3 has all of its files."""
        try:
            tables = self._proven(snapshot)
        except PermanentError as error:
            remedy = f"To export again: table-exports run {self._pipeline.pipeline}"
            if snapshot in self._snapshots.without_manifest(self._pipeline):
                remedy = (
                    'No version of it can be restored. Exports need it, so start over: docs/schema.md, "Start over"'
                )
            raise CommandError(f"Snapshot {snapshot} cannot be shown: {error}. {remedy}") from error
        if not_held := names_not_held(tables, self._pipeline):
            raise CommandError(
                f"{self._pipeline.pipeline} does not hold the names {', '.join(not_held)} at present. An export claims "
                f"them: table-exports run {self._pipeline.pipeline}"
            )
        return tables

    def _proven(self, snapshot: str) -> list[Dataset]:
        tables = datasets(*self._manifests.of_snapshot(self._pipeline, snapshot))
        self._ensure_complete(tables)
        return tables

    def _ensure_complete(self, tables: Iterable[Dataset]) -> None:
        for table in tables:
            self._snapshots.ensure_complete(*table)

    def _add_partitions(self, latest: str, tables: Sequence[Dataset]) -> tuple[str, ...]:
        """Add the published snapshots that the tables lack. Returns their timestamps.

        A snapshot has no partition of an entity that appeared later. Only its manifest shows that.
        """
        snapshots = [*self._published(), latest]
        pipelines = {table.catalog_name: table for table in self._pipeline.tables}
        missing: dict[str, set[str]] = {}  # by snapshot: the names of tables
        for export, _ in tables:
            for snapshot in self._snapshots.without_partition(pipelines[export.catalog_name], snapshots):
                missing.setdefault(snapshot, set()).add(export.catalog_name)
        lacking = sorted(missing)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            put = pool.map(self._put, lacking, [missing[snapshot] for snapshot in lacking])
            added = [snapshot for snapshot, number in zip(lacking, put, strict=True) for _ in range(number)]
        if added:
            number, distinct = len(added), ", ".join(dict.fromkeys(added))
            self._notes.append(f"Added {number} partition{'' if number == 1 else 's'}: {distinct}")
        return tuple(dict.fromkeys(added))

    def _put(self, snapshot: str, names: set[str]) -> int:
        """Add a snapshot to the tables of these names that it has. Returns how many these are."""
        try:
            tables = self._proven(snapshot)
        except PermanentError as error:
            self._notes.append(f"Left out snapshot {snapshot}: {error}")
            return 0
        lacking = [table for table in tables if table[0].catalog_name in names]
        for table in lacking:
            self._glue.ensure_partition(*table)
        return len(lacking)

    def _published(self) -> list[str]:
        existing = self._snapshots.of(self._pipeline)
        return retention.published_among(existing, self._pipeline, self._unpublished())

    def _unpublished(self) -> Iterator[str]:
        """Yield the snapshots whose export has not succeeded, of those that are older than all known published ones."""
        known_from = naming.snapshot_moment(min(self._pipeline.published))
        for found in self._system.records.begun_between(self._pipeline.pipeline, LONG_AGO, known_from):
            if isinstance(found, Export) and found.stage != Stage.SUCCEEDED:
                yield found.snapshot_timestamp

    def _show(self, tables: Sequence[Dataset]) -> None:
        """Create the views, and wait until they exist. Raises CommandError if a query fails."""
        queries: dict[str, QueryEnded | None] = {}
        attempt = int(the_time().timestamp())  # Athena runs a query again only for a new attempt
        try:
            for export, manifest in tables:
                queries[self._athena.create_view(replace(export, attempt=attempt), manifest)] = None
            for query_id in queries:
                queries[query_id] = wait_for_end(self._athena, query_id, QUERY_ENDS_WITHIN_SECONDS)
        finally:  # Athena could carry a query out when the view shows a newer snapshot already
            for query_id, end in queries.items():
                if end is None:
                    self._athena.stop_query(query_id)
        for query_id, end in queries.items():
            if end is None:
                raise CommandError(
                    f"Athena query {query_id} has not ended after {QUERY_ENDS_WITHIN_SECONDS} seconds and was stopped: "
                    "repeat the command"
                )
            if end.state != "SUCCEEDED":
                raise CommandError(
                    f"The view was not created: Athena query {query_id} ended {end.state}: {end.message}"
                )
