"""Converts items whose attributes are not known yet: in one pass, if they are as expected.

The latest manifest and a sample of the items say what to expect. Each task observes all of its items while it converts
them. If the columns of all items are the expected ones, its files are those of the snapshot. Otherwise they are written
again, now that all attributes are known.
"""

import math
from collections.abc import Callable
from copy import deepcopy
from functools import partial, reduce
from itertools import islice
from typing import Any, NamedTuple

import boto3
import pyarrow as pa
from pyspark.sql import SparkSession

from table_export_job.arguments import JobArguments
from table_export_job.attributes import Attributes, merge
from table_export_job.clients import connect
from table_export_job.columns import SnapshotColumn, SnapshotTable, arrow_schema, expected_columns, snapshot_columns
from table_export_job.contract import Contract
from table_export_job.s3 import abort_uploads
from table_export_job.snapshot import (
    FileGroup,
    NotConverted,
    SnapshotFile,
    file_groups,
    local_file,
    upload,
    write_groups,
)
from table_export_job.staged_lines import LineObserver, RowConverter, batches, observe_lines
from table_export_job.staging import MB, StagedFile, no_garbage_collection, read_staged
from table_export_job.types import TypeRules

SAMPLE_BYTES = MB  # of the lines of a file
SAMPLED_FILES = 4  # for each core

Describe = Callable[[Attributes], tuple[list[SnapshotColumn], Attributes]]  # the columns for observed attributes


class WrittenFiles(NamedTuple):
    """The files of the snapshot, and what is in them."""

    files: list[SnapshotFile]
    columns: list[SnapshotColumn]
    attributes: Attributes


class GroupWritten(NamedTuple):
    """What a task did."""

    number: int  # of the group
    file: SnapshotFile | None  # None if the items need other columns than expected
    added: Attributes  # that have something that was not expected


def write_as_expected(
    spark: SparkSession,
    s3: Any,
    arguments: JobArguments,
    files: list[StagedFile],
    table: dict[str, Any],
    earlier: SnapshotTable,
    contract: Contract,
) -> WrittenFiles:
    """Write the files of the snapshot, and observe the attributes of all staged items."""
    context, region, rules = spark.sparkContext, boto3.Session().region_name, arguments.format.rules
    given: dict[str, Any] = {"table": table, "earlier": earlier, "rules": rules, "contract": contract}
    describe: Describe = partial(expected_columns, **given)
    _, known = describe({})
    columns, expected = describe(observe_sample(spark, files, known))
    if not columns:  # a file of no columns cannot be written
        columns, expected = snapshot_columns(observe_all(spark, files), **given)
    schema = arrow_schema(columns)
    serde_parameters = arguments.format.serde_parameters(schema, earlier.serde_parameters)

    def write(group: FileGroup) -> GroupWritten:
        converter, counts = ObservingConverter(columns, expected, rules, describe), NotConverted(columns, contract)
        rows = read_staged(connect("s3", region), group.files, counts.counted(converter.convert))
        with local_file(arguments, schema, serde_parameters, rows) as path:
            file = upload(connect("s3", region), arguments, group.number, path) if converter.fits else None
        file = file and file._replace(not_converted=counts.found)
        return GroupWritten(group.number, file, converter.added)

    groups = file_groups(files, context.defaultParallelism)
    written = context.parallelize(groups, len(groups)).map(write).collect()
    needed, attributes = describe(reduce(merge, (each.added for each in written), deepcopy(expected)))
    if needed != columns:  # all files of a snapshot have the same columns
        abort_uploads(s3, arguments.location)
        written = []
    kept = {each.number: each.file for each in written if each.file}
    rest = [group for group in groups if group.number not in kept]
    if rest:
        print(f"Writing {len(rest)} of {len(groups)} files again: their items need other columns than expected")
    others = write_groups(spark, arguments, rest, needed, attributes, earlier, contract)
    return WrittenFiles([*kept.values(), *others], needed, attributes)


def observe_sample(spark: SparkSession, files: list[StagedFile], known: Attributes) -> Attributes:
    """The known attributes, and those of some items of some files."""
    context, region = spark.sparkContext, boto3.Session().region_name
    some = sample_of(files, context.defaultParallelism)
    tasks = context.parallelize(some, len(some) or 1).map(
        lambda file: observe_start(connect("s3", region), file, known)
    )
    return reduce(merge, tasks.collect(), known)


def sample_of(files: list[StagedFile], cores: int) -> list[StagedFile]:
    return files[:: math.ceil(len(files) / (SAMPLED_FILES * cores)) or 1]


def observe_start(s3: Any, file: StagedFile, known: Attributes) -> Attributes:
    """The known attributes, and those of the first items of a file."""
    with no_garbage_collection():
        return observe_lines(islice(read_staged(s3, [file], first_lines), 1), deepcopy(known))


def observe_all(spark: SparkSession, files: list[StagedFile]) -> Attributes:
    """The attributes of all items of all files."""
    context, region = spark.sparkContext, boto3.Session().region_name
    tasks = context.parallelize(files, len(files) or 1).map(lambda file: observe_file(connect("s3", region), file))
    nothing: Attributes = {}
    return reduce(merge, tasks.collect(), nothing)


def observe_file(s3: Any, file: StagedFile) -> Attributes:
    with no_garbage_collection():
        return observe_lines(read_staged(s3, [file], bytes), {})


def first_lines(lines: bytes) -> bytes:
    """As many lines as are in the sample, but at least one."""
    return lines[: lines.rfind(b"\n", 0, SAMPLE_BYTES) + 1] or lines[: lines.index(b"\n") + 1]


class ObservingConverter:
    """Converts lines and observes their attributes. If these need other columns, it only observes the other lines."""

    def __init__(
        self, columns: list[SnapshotColumn], expected: Attributes, rules: TypeRules, describe: Describe
    ) -> None:
        self._columns, self._rules, self._describe = columns, rules, describe
        self._observer = LineObserver(deepcopy(expected))
        self._rows = RowConverter(columns, expected, rules)
        self.schema = self._rows.schema
        self._added: set[str] = set()
        self.fits = True  # whether the columns are those of all lines so far

    @property
    def added(self) -> Attributes:
        """The attributes of which something was observed that was not expected."""
        return {name: self._observer.attributes[name] for name in self._added}

    def convert(self, lines: bytes) -> list[pa.RecordBatch]:
        """The rows of the lines, if they fit."""
        rows = []
        for some in batches(lines, len(self._observer.attributes)):
            parsed = self._observer.observe(some)
            if added := self._observer.take_added():
                self._added |= added
                self._adapt()
            if self.fits:
                rows.append(self._rows.rows(parsed))
        return rows

    def _adapt(self) -> None:
        """Convert attributes as what they are known to be now, if the columns can stay as they are."""
        if self.fits:
            columns, attributes = self._describe(deepcopy(self._observer.attributes))
            self.fits = columns == self._columns
        if self.fits:
            self._rows = RowConverter(columns, attributes, self._rules)
