"""Writes the files of entities: a task separates its lines on local disk, then converts one entity after another.

So each file is as compact as that of a table that has only such items, and a task needs no more memory than for one
table. The columns of each table are expected and verified as in one_pass.py. An entity that they do not fit is written
again, from those staged files that have items of it.
"""

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from functools import partial, reduce
from operator import itemgetter
from typing import Any, NamedTuple

import boto3
import pyarrow as pa
from pyspark.sql import SparkSession

from table_export_job.arguments import JobArguments
from table_export_job.attributes import Attributes, merge
from table_export_job.clients import connect
from table_export_job.columns import SnapshotColumn, arrow_schema, expected_columns, snapshot_columns
from table_export_job.contract import Contract
from table_export_job.entity_tables import (
    WIDE,
    EarlierTables,
    TableKey,
    ensure_not_too_many,
    is_too_many,
    names_of,
)
from table_export_job.folders import catalog_name, of_entity
from table_export_job.one_pass import Describe, ObservingConverter, first_lines, sample_of
from table_export_job.routing import Router, Value
from table_export_job.s3 import abort_uploads
from table_export_job.snapshot import (
    FileGroup,
    NotConverted,
    SnapshotFile,
    build_manifest,
    file_groups,
    local_file,
    upload,
    verify_counts,
)
from table_export_job.staged_lines import RowConverter, observe_lines
from table_export_job.staging import StagedFile, StagedItems, lines_in_parts, no_garbage_collection, read_staged

COMPRESSION = "lz4"  # of lines on local disk: they take about as much space as staged files, and little time


class Plan(NamedTuple):
    """How tasks write the rows of a snapshot table."""

    arguments: JobArguments  # whose location is the folder of the table's snapshot
    columns: list[SnapshotColumn]
    attributes: Attributes
    serde_parameters: dict[str, str]
    describe: Describe | None = None  # None when the attributes of all items are known

    def converter(self) -> RowConverter | ObservingConverter:
        rules = self.arguments.format.rules
        if self.describe:
            return ObservingConverter(self.columns, self.attributes, rules, self.describe)
        return RowConverter(self.columns, self.attributes, rules)


class GroupWritten(NamedTuple):
    """What a task did with a group of staged files."""

    number: int
    items: Counter[Value]  # of each type, also if it is omitted
    files: dict[TableKey, SnapshotFile]  # of the tables whose columns fit
    added: dict[TableKey, Attributes]  # what was not expected


class TableWritten(NamedTuple):
    """The files of a snapshot table, and what is in them. There are none if there are no items."""

    key: TableKey
    files: list[SnapshotFile]
    plan: Plan


class EntitiesWritten(NamedTuple):
    tables: list[TableWritten]
    items_omitted: int

    @property
    def entities(self) -> list[TableWritten]:
        """The tables that have each item once: all but that of all items."""
        return [each for each in self.tables if each.key != WIDE]


# ------------------------------------------------------------------------------------------------------------- tasks


class SeparatedLines:
    """The lines of some staged files by table, compressed on local disk."""

    def __init__(self, folder: str, router: Router, keys: set[TableKey] | None) -> None:
        self._folder, self._router, self._keys = folder, router, keys
        self._files: dict[TableKey, Any] = {}
        self.items: Counter[Value] = Counter()

    def add(self, lines: bytes) -> None:
        parts = self._router.split(lines)
        self.items.update({value: part.count(b"\n") for value, part in parts.items()})
        if len(self.items) > len(self._router.omitted) + self._router.max_entities:
            return  # the export fails: a wrong discriminator must not create millions of files
        for value, part in parts.items():
            if value not in self._router.omitted:
                self._write(TableKey(value), part)
        if self._router.wide:
            self._write(WIDE, self._router.without_omitted(lines))

    def _write(self, key: TableKey, lines: bytes) -> None:
        if self._keys is not None and key not in self._keys:
            return
        if key not in self._files:
            self._files[key] = pa.output_stream(self._path(key), compression=COMPRESSION)
        self._files[key].write(lines)

    def _path(self, key: TableKey) -> str:
        return os.path.join(self._folder, str([*self._files, key].index(key)))

    def by_table(self) -> Iterator[tuple[TableKey, Iterator[bytes]]]:
        """Each table and its lines. A table's lines are deleted when the next one is asked for."""
        if self._router.wide:
            self._write(WIDE, b"")  # as without entities, a snapshot of no items has a file
        for key, written in self._files.items():
            written.close()
            with pa.input_stream(self._path(key), compression=COMPRESSION) as file:
                yield key, lines_in_parts(file)
            os.remove(self._path(key))


def write_group(
    region: str | None,
    group: FileGroup,
    router: Router,
    earlier: EarlierTables,
    plans: dict[TableKey, Plan],
    contract: Contract,
    keys: set[TableKey] | None = None,
) -> GroupWritten:
    """Write a file for each table, or for each of these tables, that the group has items of.

    A table without a plan is only observed. If there are too many types, nothing is written.
    """
    s3, files, added = connect("s3", region), {}, {}
    with tempfile.TemporaryDirectory() as folder:
        lines = SeparatedLines(folder, router, keys)
        for _ in read_staged(s3, group.files, lines.add):
            if is_too_many(lines.items, earlier, router):
                return GroupWritten(group.number, most_frequent(lines.items, router), {}, {})
        for key, parts in lines.by_table():
            if plan := plans.get(key):
                converter, counts = plan.converter(), NotConverted(plan.columns, contract)
                rows = map(counts.counted(converter.convert), parts)
                with local_file(plan.arguments, converter.schema, plan.serde_parameters, rows) as path:
                    if isinstance(converter, ObservingConverter):
                        added[key] = converter.added
                    if isinstance(converter, RowConverter) or converter.fits:
                        file = upload(s3, plan.arguments, group.number, path)
                        files[key] = file._replace(not_converted=counts.found)
            else:
                with no_garbage_collection():
                    added[key] = observe_lines(parts, {})
    return GroupWritten(group.number, lines.items, files, added)


def most_frequent(items: Counter[Value], router: Router) -> Counter[Value]:
    """As many values as show that there are too many, because there may be millions."""
    return Counter(dict(items.most_common(len(router.omitted) + router.max_entities + 1)))


class Sample(NamedTuple):
    items: Counter[Value]
    attributes: dict[TableKey, Attributes]


def observe_start(
    s3: Any, file: StagedFile, router: Router, earlier: EarlierTables, known: dict[TableKey, Attributes]
) -> Sample:
    """The known attributes, and those of the first items of each type in a file."""
    lines = next(read_staged(s3, [file], bytes), b"")
    parts = router.split(lines)
    items = Counter({value: part.count(b"\n") for value, part in parts.items()})
    if is_too_many(items, earlier, router):
        return Sample(most_frequent(items, router), {})
    found = {TableKey(value): part for value, part in parts.items() if value not in router.omitted}
    if router.wide and (wide := router.without_omitted(lines)):
        found[WIDE] = wide
    with no_garbage_collection():
        attributes = {
            key: observe_lines([first_lines(part)], deepcopy(known.get(key, {}))) for key, part in found.items()
        }
    return Sample(items, attributes)


# ------------------------------------------------------------------------------------------------------------ driver


def write_entities(
    spark: SparkSession,
    s3: Any,
    arguments: JobArguments,
    files: list[StagedFile],
    table: dict[str, Any],
    earlier: EarlierTables,
    contract: Contract,
    router: Router,
) -> EntitiesWritten:
    """Write the files of all tables of the snapshot, and observe the attributes of all staged items."""
    context, region = spark.sparkContext, boto3.Session().region_name

    def given(key: TableKey) -> dict[str, Any]:
        placeholders = () if key == WIDE else router.placeholders(key.value)
        rules = arguments.format.rules
        return {"table": table, "earlier": earlier.of(key), "rules": rules, "contract": contract} | {
            "placeholders": placeholders
        }

    def plan_for(key: TableKey, names: dict[Value, str], described: tuple[list[SnapshotColumn], Attributes]) -> Plan:
        columns, attributes = described
        serde_parameters = arguments.format.serde_parameters(arrow_schema(columns), earlier.of(key).serde_parameters)
        place = arguments if key == WIDE else of_entity(arguments, names[key.value])
        return Plan(place, columns, attributes, serde_parameters)

    always = {key for key in earlier.tables if key.value not in router.omitted} | ({WIDE} if router.wide else set())
    known = {key: expected_columns({}, **given(key))[1] for key in always}
    sample = observe_sample(spark, files, router, earlier, known)
    ensure_not_too_many(sample.items, earlier, router)
    sampled = {key: sample.attributes.get(key, known.get(key, {})) for key in always | sample.attributes.keys()}
    expected: dict[TableKey, Plan] = {}
    names = names_of({key.value for key in sampled if key != WIDE}, arguments, earlier, router)
    for key, attributes in sampled.items():
        describe: Describe = partial(expected_columns, **given(key))
        described = describe(attributes)
        if described[0]:  # a file of no columns cannot be written
            expected[key] = plan_for(key, names, described)._replace(describe=describe)

    def write_all(group: FileGroup) -> GroupWritten:
        return write_group(region, group, router, earlier, expected, contract)

    groups = file_groups(files, context.defaultParallelism)
    written = context.parallelize(groups, len(groups)).map(write_all).collect()
    items: Counter[Value] = sum((each.items for each in written), Counter())
    ensure_not_too_many(items, earlier, router)

    tables = tables_of(items, earlier, router)
    names = names_of({key.value for key in tables if key != WIDE}, arguments, earlier, router)
    kept: dict[TableKey, dict[int, SnapshotFile]] = {}
    needed: dict[TableKey, Plan] = {}
    again: dict[int, set[TableKey]] = {}
    for key in tables:
        plan = expected.get(key)
        start: Attributes = deepcopy(plan.attributes) if plan else {}
        attributes = reduce(merge, (each.added[key] for each in written if key in each.added), start)
        needed[key] = plan_for(key, names, snapshot_columns(attributes, **given(key)))
        kept[key] = {each.number: each.files[key] for each in written if key in each.files}
        if plan and kept[key] and (plan.columns, plan.arguments) != (needed[key].columns, needed[key].arguments):
            abort_uploads(s3, plan.arguments.location)  # all files of a table have the same columns
            kept[key] = {}
        for each in written:
            if key in each.files.keys() | each.added.keys() and each.number not in kept[key]:
                again.setdefault(each.number, set()).add(key)

    def write_rest(group: FileGroup) -> GroupWritten:
        plans = {key: needed[key] for key in again[group.number]}
        return write_group(region, group, router, earlier, plans, contract, again[group.number])

    if again:
        print(f"Reading {len(again)} of {len(groups)} groups again: some items need other columns than expected")
        rest = [group for group in groups if group.number in again]
        for each in context.parallelize(rest, len(rest)).map(write_rest).collect():
            for key, file in each.files.items():
                kept[key][each.number] = file
    found = [TableWritten(key, list(kept[key].values()), plan) for key, plan in needed.items()]
    return EntitiesWritten(found, sum(items[value] for value in router.omitted))


def observe_sample(
    spark: SparkSession,
    files: list[StagedFile],
    router: Router,
    earlier: EarlierTables,
    known: dict[TableKey, Attributes],
) -> Sample:
    """The known attributes, and those of some items of some files."""
    context, region = spark.sparkContext, boto3.Session().region_name
    some = sample_of(files, context.defaultParallelism)
    tasks = context.parallelize(some, len(some) or 1).map(
        lambda file: observe_start(connect("s3", region), file, router, earlier, known)
    )
    items: Counter[Value] = Counter()
    attributes: dict[TableKey, Attributes] = {}
    for sample in tasks.collect():
        items.update(sample.items)
        for key, found in sample.attributes.items():
            attributes[key] = merge(attributes.get(key, {}), found)
    return Sample(items, attributes)


def tables_of(items: Counter[Value], earlier: EarlierTables, router: Router) -> list[TableKey]:
    """The tables of each type that has items, or that earlier snapshots have. There is at least one."""
    found = {TableKey(value) for value in items if value not in router.omitted} | earlier.tables.keys()
    if router.wide:
        found.add(WIDE)
    return sorted(found or {TableKey()}, key=str)


# ---------------------------------------------------------------------------------------------- verify and describe


def files_of(tables: list[TableWritten]) -> list[SnapshotFile]:
    return [file for each in tables for file in each.files]


def verify_entities(staged: StagedItems, written: EntitiesWritten) -> None:
    """Raises ExportFailed if an item is missing, or is in several entities."""
    verify_counts(staged, files_of(written.entities), written.items_omitted)
    for each in written.tables:
        if each.key == WIDE:
            verify_counts(staged, each.files, written.items_omitted)


SECTION = (  # of the manifest of a single table: what a section has for each table
    "location", "items_written", "files", "bytes", "columns", "comments", "fields", "view_names", "not_converted",
    "serde_parameters", "attributes",
)  # fmt: skip


def build_entities_manifest(
    arguments: JobArguments, table: dict[str, Any], staged: StagedItems, written: EntitiesWritten, contract: Contract
) -> dict[str, Any]:
    """The manifest of a complete snapshot: as that of a single table, but what describes a table is in sections."""
    sections = []
    for key, files, plan in written.tables:
        given = plan.columns, plan.serde_parameters, plan.attributes, contract
        described = build_manifest(plan.arguments, table, staged, files, *given)
        name = catalog_name(arguments) if key == WIDE else os.path.basename(plan.arguments.output_prefix)
        kind = {"wide": True} if key == WIDE else {}
        sections.append({"name": name, "value": key.value, **kind} | {field: described[field] for field in SECTION})
    sections.sort(key=itemgetter("name"))
    manifest = build_manifest(arguments, table, staged, files_of(written.entities), [], {}, {}, contract)
    totals = {total: sum(section[total] for section in sections) for total in ("files", "bytes")}
    return manifest | totals | {"items_omitted": written.items_omitted, "entities": sections}
