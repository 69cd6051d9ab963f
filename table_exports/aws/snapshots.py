"""The snapshots of a pipeline: which exist in S3 and in the catalog, and how they are removed from both."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from table_exports.domain import naming
from table_exports.domain.errors import PermanentError
from table_exports.domain.export import Export
from table_exports.domain.limits import OBJECTS_PER_CALL, PARTITIONS_PER_CALL
from table_exports.domain.manifest import Manifest
from table_exports.domain.pipeline import Pipeline

MARKER_SUFFIX = ".publishing"  # of the object that the job writes while a snapshot may be incomplete


class Snapshots:
    def __init__(self, s3: Any, glue: Any, database: str) -> None:
        self._s3, self._glue, self._database = s3, glue, database

    def of(self, pipeline: Pipeline) -> set[str]:
        """Return the timestamps of all snapshots that have files, a manifest or a partition."""
        names = {name.removesuffix(".json") for name in self._manifests(pipeline)}
        return self._folders(pipeline) | names | set(self.partitions(pipeline))

    def without_manifest(self, pipeline: Pipeline) -> list[str]:
        """Return the snapshots that have files and no manifest, the oldest first.

        The job marks a snapshot that it has not completed, so its manifest is not lost.
        """
        names = self._manifests(pipeline)
        return sorted(
            snapshot
            for snapshot in self._folders(pipeline)
            if f"{snapshot}.json" not in names and f"{snapshot}.json{MARKER_SUFFIX}" not in names
        )

    def _folders(self, pipeline: Pipeline) -> set[str]:
        """Return the snapshots that have files, of the table of all items or of an entity."""
        return {name for table in [pipeline, *self._entities(pipeline)] for name in self.with_files(table)}

    def with_files(self, table: Pipeline) -> set[str]:
        """Return the snapshots that one table has files of: that of all items, or that of an entity."""
        return {name.partition("=")[2] for name in self._folders_in(f"{table.output_prefix}/")}

    def _entities(self, pipeline: Pipeline) -> list[Pipeline]:
        """Return the pipeline as each of its entities, including those that only a failed export has written.

        None if the pipeline has not claimed the name of any entity, so that other pipelines need no further call.
        """
        if not pipeline.entities:
            return []
        found = self._folders_in(f"{naming.entities_prefix(pipeline.output_prefix)}/")
        names = {*pipeline.entities, *(name for name in found if naming.is_entity_of(pipeline.catalog_name, name))}
        return [pipeline.of_entity(name) for name in sorted(names)]

    def _folders_in(self, uri: str) -> set[str]:
        bucket, folder = _place(uri)
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder, Delimiter="/")
        found = [found["Prefix"] for page in pages for found in page.get("CommonPrefixes", [])]
        return {name.removeprefix(folder).rstrip("/") for name in found}

    def _manifests(self, pipeline: Pipeline) -> set[str]:
        """Return the names of the objects in the folder of manifests."""
        bucket, folder = _place(naming.manifests_prefix(pipeline.output_prefix))
        return {key.removeprefix(folder) for key in self._keys(bucket, folder)}

    def ensure_complete(self, export: Export, manifest: Manifest) -> None:
        """Raise PermanentError unless S3 has as many files of the snapshot as its manifest lists."""
        found = sum(1 for _ in self._keys(*_place(export.snapshot_location)))
        if found != manifest.files:
            raise PermanentError(
                f"{export.snapshot_location} has {found} files, and its manifest lists {manifest.files}"
            )

    def without_partition(self, pipeline: Pipeline, snapshots: Iterable[str]) -> list[str]:
        """Return those of the snapshots that the table has no partition of, the oldest first."""
        return sorted({*snapshots} - {*self.partitions(pipeline)})

    def remove(self, pipeline: Pipeline, snapshot: str) -> int:
        """Remove a snapshot of all the pipeline's tables, and return how many files it had.

        A partition is removed first, so that no query looks for files that are gone. The manifest is removed last,
        so that an interrupted removal is found again. Raises ClientError if anything remains.
        """
        files = 0
        for table in pipeline.tables:
            self._remove_partition(table, snapshot)
        for table in [pipeline, *self._entities(pipeline)]:
            files += self._remove_objects(naming.snapshot_location(table.output_prefix, snapshot))
        self._remove_objects(naming.manifest_uri(pipeline.output_prefix, snapshot))
        return files

    def partitions(self, pipeline: Pipeline) -> Iterator[str]:
        """Yield the partitions' timestamps, without partitions whose files are elsewhere."""
        pages = self._glue.get_paginator("get_partitions").paginate(
            **self._table(pipeline), ExcludeColumnSchema=True, PaginationConfig={"PageSize": PARTITIONS_PER_CALL}
        )
        try:
            for partition in (partition for page in pages for partition in page["Partitions"]):
                [snapshot] = partition["Values"]
                location = naming.snapshot_location(pipeline.output_prefix, snapshot)
                if partition["StorageDescriptor"]["Location"].rstrip("/") == location.rstrip("/"):
                    yield snapshot
        except self._glue.exceptions.EntityNotFoundException:
            return

    def _remove_partition(self, pipeline: Pipeline, snapshot: str) -> None:
        try:
            self._glue.delete_partition(**self._table(pipeline), PartitionValues=[snapshot])
        except self._glue.exceptions.EntityNotFoundException:
            return

    def _remove_objects(self, uri: str) -> int:
        bucket, prefix = _place(uri)
        keys, removed = self._keys(bucket, prefix), 0
        while batch := [{"Key": key} for key in islice(keys, OBJECTS_PER_CALL)]:
            answer = self._s3.delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
            for error in answer.get("Errors", []):
                raise ClientError({"Error": error}, "DeleteObjects")
            removed += len(batch)
        return removed

    def _keys(self, bucket: str, prefix: str) -> Iterator[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return (found["Key"] for page in pages for found in page.get("Contents", []))

    def _table(self, pipeline: Pipeline) -> dict[str, str]:
        return {"DatabaseName": self._database, "TableName": naming.snapshot_table(pipeline.catalog_name)}


def _place(uri: str) -> tuple[str, str]:
    """Return bucket and key."""
    split = urlsplit(uri)
    return split.netloc, split.path.lstrip("/")
