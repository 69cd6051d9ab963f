"""The snapshot: its files, their verification and publication, its manifest, and what is left of earlier runs."""

import json
import math
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

import boto3
import pyarrow as pa
from pyspark.sql import SparkSession

from table_export_job.arguments import MARKER_SUFFIX, JobArguments
from table_export_job.attributes import Attributes
from table_export_job.clients import CONNECTIONS, connect
from table_export_job.columns import (
    MANIFEST_VERSION,
    SnapshotColumn,
    SnapshotTable,
    arrow_schema,
    column_comments,
    view_names,
)
from table_export_job.contract import Contract
from table_export_job.errors import ExportFailed
from table_export_job.folders import abort_uploads_of_snapshot, of_all_tables
from table_export_job.s3 import (
    bucket_and_key,
    delete,
    delete_all,
    get,
    list_objects,
    names_in,
    put,
)
from table_export_job.staged_lines import RowConverter
from table_export_job.staging import StagedFile, StagedItems, no_garbage_collection, read_staged

MB = 1024 * 1024
SNAPSHOT_FILE_BYTES = 256 * MB  # of staged files per snapshot file: a Parquet file has about the same size
BUSY_FILE_BYTES = 64 * MB  # the same, if larger files would leave cores idle
UPLOAD_PART_BYTES = 32 * MB  # S3 accepts 10,000 parts


class SnapshotFile(NamedTuple):
    """A file of the snapshot. It is uploaded, but not visible until the upload is completed."""

    uri: str
    items: int
    bytes: int
    upload_id: str
    parts: list[dict[str, Any]]  # for CompleteMultipartUpload
    not_converted: dict[str, int]  # by attribute: how many values do not fit the type that the contract declares


class FileGroup(NamedTuple):
    """The staged files of which a task makes one file of the snapshot."""

    number: int
    files: list[StagedFile]


# ----------------------------------------------------------------------------------------------------------- write


def write_snapshot(
    spark: SparkSession,
    arguments: JobArguments,
    files: list[StagedFile],
    columns: list[SnapshotColumn],
    attributes: Attributes,
    earlier: SnapshotTable,
    contract: Contract,
) -> list[SnapshotFile]:
    """Write the files of the snapshot. The attributes of all staged items are known."""
    groups = file_groups(files, spark.sparkContext.defaultParallelism)
    return write_groups(spark, arguments, groups, columns, attributes, earlier, contract)


def write_groups(
    spark: SparkSession,
    arguments: JobArguments,
    groups: list[FileGroup],
    columns: list[SnapshotColumn],
    attributes: Attributes,
    earlier: SnapshotTable,
    contract: Contract,
) -> list[SnapshotFile]:
    """Write a file for each of these groups of staged files, whose attributes are known."""
    if not groups:
        return []
    region, schema = boto3.Session().region_name, arrow_schema(columns)
    serde_parameters = arguments.format.serde_parameters(schema, earlier.serde_parameters)

    def write(group: FileGroup) -> SnapshotFile:
        counts = NotConverted(columns, contract)
        convert = counts.counted(RowConverter(columns, attributes, arguments.format.rules).convert)
        rows = read_staged(connect("s3", region), group.files, convert)
        with local_file(arguments, schema, serde_parameters, rows) as path:
            return upload(connect("s3", region), arguments, group.number, path)._replace(not_converted=counts.found)

    return spark.sparkContext.parallelize(groups, len(groups)).map(write).collect()


class NotConverted:
    """Counts the values that do not fit the types that the contract declares: those in columns of other values."""

    def __init__(self, columns: list[SnapshotColumn], contract: Contract) -> None:
        attributes = [contract.other_values.get(column.attribute) for column in columns]
        self._places = [(place, attribute) for place, attribute in enumerate(attributes) if attribute]
        self._counts: Counter[str] = Counter()

    def counted(self, convert: Callable[[bytes], list[pa.RecordBatch]]) -> Callable[[bytes], list[pa.RecordBatch]]:
        """The same conversion, whose rows are counted."""

        def convert_and_count(lines: bytes) -> list[pa.RecordBatch]:
            batches = convert(lines)
            for batch in batches:
                for place, attribute in self._places:
                    self._counts[attribute] += len(batch) - batch.column(place).null_count
            return batches

        return convert_and_count

    @property
    def found(self) -> dict[str, int]:
        return dict(+self._counts)


def file_groups(files: list[StagedFile], cores: int) -> list[FileGroup]:
    count = file_count(sum(file.bytes for file in files), cores)
    by_size = sorted(files, key=lambda file: file.bytes)
    return [FileGroup(number, by_size[number::count]) for number in range(count)]


@contextmanager
def local_file(
    arguments: JobArguments, schema: pa.Schema, serde_parameters: dict[str, str], rows: Iterable[list[pa.RecordBatch]]
) -> Iterator[str]:
    """The path of a file with these rows. The file exists as long as the context."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "snapshot")
        with (
            open(path, "wb") as file,
            closing(arguments.format.writer(file, schema, serde_parameters)) as writer,
            no_garbage_collection(),
        ):
            for batches in rows:
                for batch in batches:
                    writer.write(batch)
        yield path


def file_count(staged_bytes: int, cores: int) -> int:
    """How many files the snapshot gets: few for a small table, large ones for a large table."""
    return max(1, math.ceil(staged_bytes / SNAPSHOT_FILE_BYTES), min(cores, staged_bytes // BUSY_FILE_BYTES))


def upload(s3: Any, arguments: JobArguments, number: int, path: str) -> SnapshotFile:
    """Upload a file, but do not complete the upload: only `publish` makes the object visible."""
    uri = f"{arguments.location}part-{number:05d}{arguments.format.suffix}"
    place, parts = bucket_and_key(uri), []
    upload_id = s3.create_multipart_upload(**place)["UploadId"]
    with open(path, "rb") as file:
        while content := file.read(UPLOAD_PART_BYTES):
            number = len(parts) + 1
            answer = s3.upload_part(**place, UploadId=upload_id, PartNumber=number, Body=content)
            checksums = {name: value for name, value in answer.items() if name.startswith("Checksum")}
            parts.append({"PartNumber": number, "ETag": answer["ETag"], **checksums})
    return SnapshotFile(uri, arguments.format.count_items(path), os.path.getsize(path), upload_id, parts, {})


# ----------------------------------------------------------------------------------------- verify, publish, describe


def verify_counts(staged: StagedItems, files: list[SnapshotFile], items_omitted: int = 0) -> None:
    """Raises ExportFailed if an item is missing or was written twice."""
    items_staged, items_written = sum(file.items for file in staged.files), sum(file.items for file in files)
    if not staged.items_counted == items_staged == items_written + items_omitted:
        raise ExportFailed(
            f"The snapshot is not complete: DynamoDB counted {staged.items_counted} items, {items_staged} were staged, "
            f"{items_written} written{f', {items_omitted} omitted' if items_omitted else ''}. Run the export again."
        )


def values_not_converted(files: list[SnapshotFile]) -> dict[str, int]:
    """By attribute: how many values do not fit the type that the contract declares, if there are any."""
    found = Counter()
    for file in files:
        found.update(file.not_converted)
    return dict(sorted(found.items()))


def publish(s3: Any, arguments: JobArguments, files: list[SnapshotFile]) -> None:
    """Make the verified files visible, and no others. If the run is killed meanwhile, its marker stays."""

    def complete(file: SnapshotFile) -> None:
        parts = {"Parts": file.parts}
        s3.complete_multipart_upload(**bucket_and_key(file.uri), UploadId=file.upload_id, MultipartUpload=parts)

    put(s3, arguments.marker, b"")
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(complete, files))
    expected = {bucket_and_key(file.uri)["Key"]: file.bytes for file in files}
    tables = of_all_tables(s3, arguments)
    found = {each["Key"]: each["Size"] for table in tables for each in list_objects(s3, table.location)}
    if found != expected:
        missing, unexpected = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
        raise ExportFailed(
            f"{arguments.location} does not hold exactly the {len(expected)} files of the snapshot. Missing: "
            f"{count_and_first(missing)}, unexpected: {count_and_first(unexpected)}. Run the export again."
        )


def count_and_first(keys: list[str]) -> str:
    """How many there are, with the first three: `2 (a, b)`."""
    return f"{len(keys)} ({', '.join(keys[:3])})" if keys else "0"


def build_manifest(
    arguments: JobArguments,
    table: dict[str, Any],
    staged: StagedItems,
    files: list[SnapshotFile],
    columns: list[SnapshotColumn],
    serde_parameters: dict[str, str],
    attributes: Attributes,
    contract: Contract,
) -> dict[str, Any]:
    """The manifest of a complete snapshot."""
    return {
        "version": MANIFEST_VERSION,
        "export_id": arguments.export_id,
        "table_name": arguments.table_name,
        "snapshot_timestamp": arguments.snapshot_timestamp,
        "read_mode": arguments.read_mode,
        "output_format": arguments.output_format,
        "location": arguments.location,
        "items_counted": staged.items_counted,
        "items_written": sum(file.items for file in files),
        "items_expected": table["ItemCount"],
        "files": len(files),
        "bytes": sum(file.bytes for file in files),
        "read_capacity_units": staged.read_capacity_units,
        "hot_share": staged.hot_share,
        "columns": [{"name": each.name, "type": each.type, "attribute": each.attribute} for each in columns],
        "comments": column_comments(columns),
        "fields": {column.name: column.fields for column in columns if column.fields},
        "view_names": view_names(columns, contract),
        "not_converted": values_not_converted(files),
        "contract": arguments.columns,
        "hashed": contract.hashed_paths,
        "serde_parameters": serde_parameters,
        "attributes": {name: seen.to_json() for name, seen in attributes.items()},
    }


def write_manifest(s3: Any, arguments: JobArguments, manifest: dict[str, Any]) -> None:
    """From now on the snapshot is complete: the marker is not needed any more."""
    put(s3, arguments.manifest, json.dumps(manifest, indent=1, ensure_ascii=False).encode())
    delete(s3, arguments.marker)


# ------------------------------------------------------------------------------------------------------ earlier runs


def is_complete(s3: Any, arguments: JobArguments) -> bool:
    """Whether an earlier run for this export wrote its manifest. Then the snapshot is complete and may be in use."""
    if bucket_and_key(arguments.manifest)["Key"] not in {each["Key"] for each in list_objects(s3, arguments.manifest)}:
        return False
    try:
        return json.loads(get(s3, arguments.manifest))["export_id"] == arguments.export_id
    except (ValueError, KeyError, TypeError):
        return False


def clear(s3: Any, arguments: JobArguments) -> None:
    """Remove what an earlier run for this snapshot left: manifest, snapshot and staged files.

    If this is interrupted, the marker makes the next run continue. A snapshot with a manifest is complete.
    """
    put(s3, arguments.marker, b"")
    delete(s3, arguments.manifest)
    abort_uploads_of_snapshot(s3, arguments)
    for table in of_all_tables(s3, arguments):
        delete_all(s3, table.location)
    if arguments.read_mode == "scan":  # another run can use the files of DynamoDB's export
        delete_all(s3, arguments.staging)
    delete(s3, arguments.marker)


def clear_after_killed_runs(s3: Any, arguments: JobArguments) -> None:
    """Remove snapshots that have a marker and no manifest: they may be incomplete."""
    names = names_in(s3, arguments.manifests)
    for name in sorted(names):
        if name.endswith(MARKER_SUFFIX):
            if name.removesuffix(MARKER_SUFFIX) not in names:
                for table in of_all_tables(s3, arguments):
                    delete_all(s3, table.location_of(name.removesuffix(f".json{MARKER_SUFFIX}")))
            delete(s3, f"{arguments.manifests}{name}")
