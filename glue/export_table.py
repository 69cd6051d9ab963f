"""The Glue job: one DynamoDB table becomes one snapshot in S3.

Runs as it is on AWS Glue 5.1 (Spark 3.5.6, Python 3.11) and on plain PySpark. Arguments, all of them required:

--table_name           the DynamoDB table
--read_percentage      0.1 to 1.0: the share of the table's read capacity (on-demand: of its warm throughput) to use
--read_capacity_cap    read capacity units per second that are not exceeded whatever the percentage; 0 for no cap
--read_mode            scan, or export: the items come from DynamoDB's own export to S3
--table_export         s3://bucket/key of that export's manifest-summary.json; - in read mode scan
--output_format        parquet, orc, avro, json or csv
--output_prefix        s3://bucket/folder; the snapshot goes to {output_prefix}/snapshot_timestamp={snapshot_timestamp}/
--snapshot_timestamp   UTC, to the second: 2026-11-23T02-00-07Z
--export_id            handed on to the manifest
--staging_prefix       s3://bucket/folder; staged files go to {staging_prefix}/{snapshot_timestamp}/, a lifecycle rule
                       expires them
--manifest             s3://bucket/folder/key; written last, and only beside a complete snapshot. The latest one of its
                       folder tells which columns the snapshot table has

Two steps. *Stage*: the items are in S3 as gzipped DynamoDB JSON lines, as DynamoDB's own export writes them.
*Convert*: the staged items become rows. Their columns follow from every value of every item (`shape`) and from the
columns that earlier snapshots have (`snapshot_columns`). Spark hands out the work; Arrow and orjson do it.

What it guarantees:
- Each item is read from DynamoDB once; only a Spark task that is retried reads its own segment again.
- Items that DynamoDB counted = items staged = items counted in the finished files. Otherwise the run fails.
- No file of a snapshot can be seen before all are proven: they are uploads that S3 has not been told to complete.
- Run again for the same export, it leaves the snapshot that is there; for another of the same snapshot_timestamp, its
  own. Failed, it leaves none, and no manifest. Before it completes the uploads it leaves a note: if it is killed then,
  the next run removes what there is of the snapshot, unless its manifest is there: then it is whole, and stays.
- No value is lost: what fits no exact column type is kept as text. Only csv has no form for all of them: it does not
  tell NULL from empty text, nor a line break from the two characters that stand for it.
- No snapshot's columns contradict an earlier one's: where they cannot be known, or the format is another, the run fails
  before it reads the table.
"""

import base64
import csv
import gc
import gzip
import hashlib
import io
import json
import math
import os
import re
import sys
import tempfile
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, fields
from decimal import Context, Decimal
from functools import reduce
from itertools import accumulate, chain, count
from operator import itemgetter
from typing import Any, BinaryIO, NamedTuple, Protocol

import boto3
import orjson
import pyarrow as pa
import pyarrow.json
import pyarrow.orc
import pyarrow.parquet
from awsglue.utils import GlueArgumentError, getResolvedOptions
from botocore.config import Config
from pyspark.sql import SparkSession

READ_MODES = ["scan", "export"]
OUTPUT_FORMATS = ["parquet", "orc", "avro", "json", "csv"]
MANIFEST_VERSION = 2
PARTITION_COLUMN = "snapshot_timestamp"
NOTE = ".publishing"  # after the name of a manifest: its snapshot's files are being completed
TIMESTAMP = r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ"
KINDS = {"S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", "L", "M"}
BEGIN_ANEW = 'begin anew: docs/schema.md, "To begin anew"'

MB = 1024 * 1024
SEGMENT_BYTES = 32 * MB  # of table: a smaller table is read by one task
STAGED_FILE_BYTES = 16 * MB  # gzipped: what a reading task holds in memory
SNAPSHOT_FILE_BYTES = 256 * MB  # of staged files per snapshot file: parquet comes out about as large
BUSY_FILE_BYTES = 64 * MB  # the same, where larger files would leave cores idle
BATCH_BYTES = 8 * MB  # of lines that are converted at once
BATCH_CELLS = 4_000_000  # rows times columns
ROW_GROUP_BYTES = 128 * MB  # of rows in memory, before parquet encodes them
UPLOAD_PART_BYTES = 32 * MB  # S3 takes 10,000 parts
CONNECTIONS = 16  # to S3, of the driver, as uploads are completed

ON_DEMAND_READ_UNITS = 12_000  # per second: the warm throughput that AWS documents for a new on-demand table
READ_UNIT_BYTES = 8192  # eventually consistent: two blocks of 4 KB
PAGE_SECONDS = 5  # a page may cost what its reader is granted for this long: a slow export reads small pages
LEAST_PAGE_UNITS = 1  # DynamoDB charges half a unit for the smallest page
PAGE_ITEMS = 100_000  # no page of 1 MB holds more

MAP_KEYS = 100  # a map with more distinct keys than this has data for keys
DIGITS = 38  # the most that a number of DynamoDB, and a decimal of Athena, has
NAME_BYTES = 255  # the longest column name that the Glue catalog takes
TYPE_CHARACTERS = 100_000  # the catalog takes column types of 131,072

EXACT = Context(prec=2 * DIGITS)

Value = dict[str, Any]  # as DynamoDB writes it: {"N": "5"}
Item = dict[str, Value]


class ExportFailed(Exception):
    """There is no snapshot. The message is for the operator: what is wrong, and what to do about it."""


def main(argv: list[str]) -> None:
    """Export the table that `argv` names. Raises ExportFailed, whose message Glue shows as the run's ErrorMessage."""
    export = Export.from_arguments(argv)
    s3 = connect("s3")
    try:
        if done := is_done(s3, export):
            delete(s3, export.note)  # that run may have been killed right behind its manifest
    except Exception as error:
        raise ExportFailed(explain(error, export)) from error
    if done:
        return print(f"An earlier run for this export wrote {export.location}")
    spark = SparkSession.builder.appName(f"export {export.table_name}").getOrCreate()
    try:
        clear(s3, export)
        clear_what_killed_runs_left(s3, export)
        earlier = earlier_snapshot(s3, export)
        table = connect("dynamodb").describe_table(TableName=export.table_name)["Table"]
        staged = scan(spark, export, table) if export.read_mode == "scan" else table_export(spark, s3, export)
        columns, attributes = snapshot_columns(staged.attributes, table, earlier, export.output_format)
        files = write(spark, export, staged.files, columns, attributes)
        prove(staged, files)
        publish(s3, export, files)
        manifest = describe(export, table, staged, files, columns, attributes)
        put(s3, export.manifest, json.dumps(manifest, indent=1, ensure_ascii=False).encode())
        delete(s3, export.note)
    except Exception as error:
        try:
            clear(s3, export)
        finally:
            raise ExportFailed(explain(error, export)) from error
    print(f"Wrote {manifest['items_written']} items as {manifest['files']} files to {export.location}")


# ------------------------------------------------------------------------------------------------------------ stage


class StagedFile(NamedTuple):
    """One object of gzipped DynamoDB JSON lines."""

    uri: str
    items: int
    bytes: int
    md5: str  # of its content, in base64


class Staged(NamedTuple):
    """A table, or one segment of it, as staged files."""

    items_counted: int  # by DynamoDB
    read_capacity_units: float
    files: list[StagedFile]
    attributes: "Attributes"


def scan(spark: SparkSession, export: "Export", table: dict[str, Any]) -> Staged:
    """Stage the table by a parallel scan: one Spark task per segment, all at once, each with its share of the rate.

    What a task did comes back as its result, never through an accumulator: a retried task would count twice.
    """
    context, region = spark.sparkContext, boto3.Session().region_name  # executors may not know their region
    cores = context.defaultParallelism
    # DescribeTable's size is hours old: 0 may be an empty table, or one just loaded. That costs an empty page per core.
    segments = min(cores, math.ceil(table["TableSizeBytes"] / SEGMENT_BYTES) or cores)
    rate = read_rate(table, export.read_percentage, export.read_capacity_cap)
    item_bytes = table["TableSizeBytes"] / (table["ItemCount"] or 1) or 1024
    print(f"Scanning {export.table_name} in {segments} segments at {rate:g} read capacity units per second")

    def scan_segment(segment: int) -> Staged:
        pace = Pace(rate / segments, item_bytes / READ_UNIT_BYTES)
        stage = Stage(connect("s3", region), f"{export.staging}{segment:05d}")
        request = {"TableName": export.table_name, "Segment": segment, "TotalSegments": segments}
        with no_garbage_collection():
            for page in pages(connect("dynamodb", region), request, pace):
                stage.add(page)
        return stage.close()

    parts = context.parallelize(range(segments), segments).map(scan_segment).collect()
    return Staged(
        items_counted=sum(part.items_counted for part in parts),
        read_capacity_units=sum(part.read_capacity_units for part in parts),
        files=[file for part in parts for file in part.files],
        attributes=reduce(merge, (part.attributes for part in parts)),
    )


def read_rate(table: dict[str, Any], percentage: float, cap: float) -> float:
    """Read capacity units per second that the export may consume, from what DescribeTable says of the table."""
    if table.get("BillingModeSummary", {}).get("BillingMode") == "PAY_PER_REQUEST":
        capacity = table.get("WarmThroughput", {}).get("ReadUnitsPerSecond") or ON_DEMAND_READ_UNITS
        limit = table.get("OnDemandThroughput", {}).get("MaxReadRequestUnits", -1)  # -1: the table sets none
        capacity = min(capacity, limit) if limit > 0 else capacity
    else:
        capacity = table["ProvisionedThroughput"]["ReadCapacityUnits"]
    return min(capacity * percentage, cap or math.inf)


class Pace:
    """Holds a reader to a rate of capacity units per second.

    What a page consumes is known once it was read. So it is paid afterwards, by waiting before the next page; and a
    page is limited to the items that the rate affords, by what items have cost so far. Time not used is not saved up.
    """

    def __init__(
        self,
        rate: float,
        units_per_item: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate, self._units_per_item, self._clock, self._sleep = rate, units_per_item, clock, sleep
        self._paid_until = clock()

    @property
    def items_per_page(self) -> int:
        granted = max(LEAST_PAGE_UNITS, self._rate * PAGE_SECONDS)
        return max(1, min(PAGE_ITEMS, int(granted / self._units_per_item)))

    def pay(self, units: float, items: int) -> None:
        """Wait until the units that a page of so many items consumed are paid."""
        if units and items:
            self._units_per_item = units / items
        self._paid_until += units / self._rate
        now = self._clock()
        if self._paid_until > now:
            self._sleep(self._paid_until - now)
        else:
            self._paid_until = now


def pages(dynamodb: Any, request: dict[str, Any], pace: Pace) -> Iterator[dict[str, Any]]:
    """The pages of a scan, in pace. Their items are as DynamoDB sent them, binary values in base64.

    botocore's own parser would take most of the job's time, only to decode what we encode again.
    """

    def keep_items(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
        if response_dict["status_code"] == 200:
            try:
                page = orjson.loads(response_dict["body"])
            except ValueError:  # broken off: left to botocore, which asks again
                return
            customized_response_dict["Items"] = page.pop("Items")
            response_dict["body"] = orjson.dumps(page)

    dynamodb.meta.events.register("before-parse.dynamodb.Scan", keep_items)
    while True:
        page = dynamodb.scan(**request, Limit=pace.items_per_page, ReturnConsumedCapacity="TOTAL")
        yield page
        if "LastEvaluatedKey" not in page:
            return
        request = request | {"ExclusiveStartKey": page["LastEvaluatedKey"]}
        pace.pay(page["ConsumedCapacity"]["CapacityUnits"], page["Count"])


class Stage:
    """Writes the pages of one segment to files of bounded size, and sees on the way what the attributes are.

    Their names depend on the segment alone: what a failed attempt left is overwritten, or not named in the result.
    """

    def __init__(self, s3: Any, prefix: str) -> None:
        self._s3, self._prefix = s3, prefix
        self._counted, self._units, self._files, self._attributes = 0, 0.0, [], {}
        self._open()

    def _open(self) -> None:
        self._items, self._content = 0, io.BytesIO()
        self._lines = gzip.GzipFile(fileobj=self._content, mode="wb", compresslevel=1, mtime=0)

    def add(self, page: dict[str, Any]) -> None:
        items = page["Items"]
        self._lines.write(b"".join(orjson.dumps({"Item": item}, option=orjson.OPT_APPEND_NEWLINE) for item in items))
        see(items, self._attributes)
        self._items += len(items)
        self._counted += page["Count"]
        self._units += page["ConsumedCapacity"]["CapacityUnits"]
        if self._content.tell() >= STAGED_FILE_BYTES:
            self._put()
            self._open()

    def _put(self) -> None:
        self._lines.close()
        content = self._content.getvalue()
        file = StagedFile(
            f"{self._prefix}-{len(self._files):05d}.json.gz", self._items, len(content), as_md5(hashlib.md5(content))
        )
        put(self._s3, file.uri, content)
        self._files.append(file)

    def close(self) -> Staged:
        if self._items:
            self._put()
        return Staged(self._counted, self._units, self._files, self._attributes)


def table_export(spark: SparkSession, s3: Any, export: "Export") -> Staged:
    """The table as DynamoDB's own export to S3 staged it. Raises ExportFailed unless the export is whole.

    Its form: DynamoDB developer guide, "DynamoDB table export output format".
    """
    folder = os.path.dirname(export.table_export)  # the manifests' own paths may lack the prefix
    summary = json.loads(get(s3, export.table_export))
    for name, wanted in {"outputFormat": "DYNAMODB_JSON", "exportType": "FULL_EXPORT"}.items():
        if summary.get(name, wanted) != wanted:
            raise ExportFailed(f"{export.table_export} has {name} {summary[name]}, not {wanted}. Run the export again.")
    if summary["tableArn"].rpartition("/")[2] != export.table_name:
        raise ExportFailed(f"{export.table_export} is of {summary['tableArn']}, not of table {export.table_name}.")
    listed = [json.loads(line) for line in get(s3, f"{folder}/manifest-files.json").splitlines() if line]
    sizes = {os.path.basename(found["Key"]): found["Size"] for found in objects(s3, f"{folder}/data/")}
    files = []
    for file in listed:
        name = os.path.basename(file["dataFileS3Key"])
        if name not in sizes:
            raise ExportFailed(f"The table export lacks its file {folder}/data/{name}. Run the export again.")
        files.append(StagedFile(f"{folder}/data/{name}", file["itemCount"], sizes[name], file["md5Checksum"]))
    return Staged(summary["itemCount"], 0.0, files, infer(spark, files))


def infer(spark: SparkSession, files: list[StagedFile]) -> "Attributes":
    """What the attributes of all staged items are."""
    context, region = spark.sparkContext, boto3.Session().region_name
    tasks = min(len(files), 4 * context.defaultParallelism) or 1

    def see_files(some: Iterable[StagedFile]) -> "list[Attributes]":
        with no_garbage_collection():
            return [see_lines(read_staged(connect("s3", region), some, lambda lines: lines))]

    return reduce(merge, context.parallelize(files, tasks).mapPartitions(see_files).collect())


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Items are trees without cycles, and so many that looking for cycles would take most of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def read_staged(s3: Any, files: Iterable[StagedFile], parse: Callable[[bytes], Any]) -> Iterator[Any]:
    """What `parse` makes of the lines of staged files, some at a time.

    Raises ExportFailed if a file is not as it was staged.
    """
    for file in files:
        count = 0
        content = Hashed(s3.get_object(**bucket_and_key(file.uri))["Body"])
        try:
            for lines in whole_lines(content):
                count += lines.count(b"\n")
                yield parse(lines)
        except (EOFError, gzip.BadGzipFile, zlib.error, ValueError, KeyError) as error:
            raise ExportFailed(f"The staged file {file.uri} is damaged ({error}). Run the export again.") from error
        if count != file.items:
            raise ExportFailed(
                f"{file.uri} was staged with {file.items} items, but holds {count}. Run the export again."
            )
        if content.md5 != file.md5:
            raise ExportFailed(f"The staged file {file.uri} is damaged (its checksum differs). Run the export again.")


def whole_lines(packed: io.RawIOBase) -> Iterator[bytes]:
    """The lines of a gzipped file in parts of some megabytes, each of which ends with a line."""
    rest = b""
    with gzip.GzipFile(fileobj=io.BufferedReader(packed, MB)) as file:
        while part := file.read(BATCH_BYTES):
            ended = part.rfind(b"\n") + 1
            if ended:
                yield rest + part[:ended]
                rest = part[ended:]
            else:
                rest += part
    if rest:
        yield rest + b"\n"


def items_of(lines: bytes) -> list[Item]:
    return [orjson.loads(line)["Item"] for line in lines.splitlines()]


class Hashed(io.RawIOBase):
    """A body of S3 as a stream that keeps its checksum."""

    def __init__(self, body: Any) -> None:
        self._body, self._md5 = body, hashlib.md5()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._body.read(len(buffer))
        self._md5.update(data)
        buffer[: len(data)] = data
        return len(data)

    @property
    def md5(self) -> str:
        while self.read(MB):
            pass
        return as_md5(self._md5)


def as_md5(md5: Any) -> str:
    return base64.b64encode(md5.digest()).decode()


# ----------------------------------------------------------------------------------------------------------- schema


@dataclass
class Seen:
    """What the values of one attribute were, over all items: as much as its column depends on.

    The order in which values are added and parts are merged makes no difference.
    """

    kinds: set[str] = field(default_factory=set)  # of N S BOOL B NULL SS NS BS L M
    digits: int = 0  # of numbers, before the decimal point, at most
    scale: int = 0  # digits after it, at most
    is_beyond_int64: bool = False
    element: "Seen | None" = None  # of lists, of sets, and of maps that have data for keys
    fields: "dict[str, Seen] | None" = field(default_factory=dict)  # of maps; None once their keys proved to be data

    def add(self, values: list[Value]) -> None:
        for kind, found in by_kind(values).items():
            self.kinds.add(kind)
            if kind == "N":
                self._add_numbers(found)
            elif kind == "L":
                self._element().add(list(chain.from_iterable(found)))
            elif kind in ("SS", "NS", "BS"):
                self._element().add([{kind[0]: element} for element in chain.from_iterable(found)])
            elif kind == "M":
                self._add_maps(found)

    def add_array(self, values: pa.StructArray, kind: str) -> None:
        """Add values of one kind and NULL, as Arrow read them from lines."""
        found, null = values.flatten()
        self.kinds.update(name for name, each in ((kind, found), ("NULL", null)) if each.null_count < len(each))
        if kind == "N":
            self._add_numbers(found.unique().drop_null().to_pylist())
        elif kind == "L":
            self._element().add_array(found.flatten(), found.type.value_type[0].name)
        elif kind == "NS":
            self._element()._add_numbers(found.flatten().unique().to_pylist())
        elif kind == "M":
            for place, each in enumerate(found.flatten()):
                self.fields[found.type[place].name].add_array(each, found.type[place].type[0].name)

    def merge(self, other: "Seen") -> "Seen":
        self.kinds |= other.kinds
        self.digits = max(self.digits, other.digits)
        self.scale = max(self.scale, other.scale)
        self.is_beyond_int64 |= other.is_beyond_int64
        if other.element:
            self._element().merge(other.element)
        if other.fields is None:
            self._take_keys_for_data()
        for key, inner in (other.fields or {}).items():
            self._field(key).merge(inner)
        return self

    def _add_numbers(self, texts: list[str]) -> None:
        for text in set(texts):
            if len(text) < 19 and text.isdigit():  # as nearly all are: an integer, and sure to have 64 bits
                self.digits = max(self.digits, len(text))
                continue
            whole, _, fraction = text.removeprefix("-").partition(".")
            if len(whole) < 19 and whole.isdigit() and fraction.isdigit():
                self.digits = max(self.digits, len(whole.lstrip("0")))
                self.scale = max(self.scale, len(fraction.rstrip("0")))
                continue
            number = Decimal(text).normalize(EXACT)
            self.digits = max(self.digits, number.adjusted() + 1)
            self.scale = max(self.scale, -number.as_tuple().exponent)
            self.is_beyond_int64 |= not -(2**63) <= number < 2**63

    def _add_maps(self, maps: list[Item]) -> None:
        for key, values in by_name(maps).items():
            self._field(key).add(values)

    def _element(self) -> "Seen":
        if not self.element:
            self.element = Seen()
        return self.element

    def _field(self, key: str) -> "Seen":
        if self.fields is not None and key not in self.fields:
            self.fields[key] = Seen()
            if len(self.fields) > MAP_KEYS:
                self._take_keys_for_data()
        return self._element() if self.fields is None else self.fields[key]

    def _take_keys_for_data(self) -> None:
        for inner in (self.fields or {}).values():
            self._element().merge(inner)
        self.fields = None

    def sort(self) -> None:
        """Put fields in an order that does not depend on which item came first."""
        if self.fields:
            self.fields = dict(sorted(self.fields.items()))
        for inner in [self.element, *(self.fields or {}).values()]:
            if inner:
                inner.sort()

    def to_json(self) -> dict[str, Any]:
        """What differs from an attribute never seen."""
        known = {
            "kinds": sorted(self.kinds),
            "digits": self.digits,
            "scale": self.scale,
            "is_beyond_int64": self.is_beyond_int64,
            "element": self.element.to_json() if self.element else None,
        }
        fields = None if self.fields is None else {key: inner.to_json() for key, inner in self.fields.items()}
        return {name: value for name, value in known.items() if value} | ({} if fields == {} else {"fields": fields})

    @classmethod
    def from_json(cls, known: dict[str, Any]) -> "Seen":
        """Raises ValueError or its like if that is nothing that `to_json` made."""
        seen = cls(**known)
        if not isinstance(seen.kinds, list | set) or not KINDS.issuperset(seen.kinds):
            raise ValueError(f"kinds {seen.kinds!r}")
        if not all(isinstance(number, int) for number in (seen.digits, seen.scale, seen.is_beyond_int64)):
            raise ValueError(f"digits {seen.digits!r}, scale {seen.scale!r}")
        seen.kinds = set(seen.kinds)
        seen.element = cls.from_json(seen.element) if seen.element else None
        seen.fields = None if seen.fields is None else {k: cls.from_json(inner) for k, inner in seen.fields.items()}
        return seen


Attributes = dict[str, Seen]


def by_kind(values: list[Value]) -> dict[str, list[Any]]:
    kinds = set(chain.from_iterable(values))  # each value has one
    if len(kinds) == 1:
        return {kind: list(map(itemgetter(kind), values)) for kind in kinds}
    found = defaultdict(list)
    for value in values:
        for kind, content in value.items():
            found[kind].append(content)
    return found


def see(items: list[Item], attributes: Attributes) -> None:
    """Add what these items show."""
    for name, values in by_name(items).items():
        if name not in attributes:
            attributes[name] = Seen()
        attributes[name].add(values)


def see_lines(parts: Iterable[bytes]) -> Attributes:
    """What staged lines show. Arrow reads them, much faster, where they have nothing but what was seen before."""
    attributes: Attributes = {}
    shapes, parsing = {}, None
    for lines in parts:
        try:
            found = read_items(lines, parsing) if parsing else None
        except pa.ArrowInvalid:  # something new, or something that is wrong
            found = None
        if found is None:
            see(items_of(lines), attributes)
            shapes = {name: shape(seen, "parquet") for name, seen in attributes.items()}
            parsing = parsing_of(shapes)
        else:
            for (name, known), values in zip(shapes.items(), found, strict=True):
                attributes[name].add_array(values, known.kind)
    return attributes


def by_name(items: list[Item]) -> dict[str, list[Value]]:
    columns = defaultdict(list)
    for item in items:
        for name, value in item.items():
            columns[name].append(value)
    return columns


def merge(one: Attributes, other: Attributes) -> Attributes:
    """The union, into `one`."""
    for name, seen in other.items():
        one[name] = one[name].merge(seen) if name in one else seen
    return one


class Column(NamedTuple):
    """A column of the snapshot table."""

    name: str
    type: str  # as the catalog writes it
    attribute: str


class Snapshot(NamedTuple):
    """What an earlier snapshot's manifest tells of the snapshot table."""

    columns: list[Column]
    attributes: Attributes


def earlier_snapshot(s3: Any, export: "Export") -> Snapshot:
    """The latest one: its columns are all that the snapshot table has.

    Raises ExportFailed where that cannot be told, or this export's snapshot would not go with those before. Columns
    that began anew would show old values under other names, where a format is read by position.
    """
    latest = max((name for name in names_in(s3, export.manifests) if name.endswith(".json")), default="")
    after = latest.removesuffix(".json")
    if lost := snapshot_without_manifest(s3, export, after):
        raise ExportFailed(
            f"The columns of the snapshot table are unknown: {lost} has no manifest in {export.manifests}. Restore the "
            f"manifests from a copy; or {BEGIN_ANEW}."
        )
    if not latest:
        return Snapshot([], {})
    uri = f"{export.manifests}{latest}"
    try:
        manifest = json.loads(get(s3, uri))
        output_format, earlier = manifest["output_format"], snapshot_of(manifest)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ExportFailed(
            f"The columns of the snapshot table are unknown: {uri} is no manifest of version {MANIFEST_VERSION} "
            f"({error!r}). Restore that file, or delete it if no export wrote it; or {BEGIN_ANEW}."
        ) from error
    if output_format != export.output_format:
        raise ExportFailed(
            f"No folder holds two formats: by {uri} the snapshots there are {output_format}, and this one was to be "
            f"{export.output_format}. Deploy another table stack with a CatalogName of its own; or {BEGIN_ANEW}."
        )
    if latest > os.path.basename(export.manifest):
        raise ExportFailed(
            f"{uri} is of a later snapshot than {export.snapshot_timestamp}, so that columns which this one adds would "
            "be lost. Request a new export; or delete that file if no export wrote it."
        )
    return earlier


def snapshot_of(manifest: dict[str, Any]) -> Snapshot:
    """What a manifest tells. Raises ValueError or its like if it is none that `describe` made."""
    if manifest["version"] != MANIFEST_VERSION:
        raise ValueError(f"version {manifest['version']}")
    columns = [Column(**column) for column in manifest["columns"]]
    for column in columns:
        arrow_type(column.type)
    if not columns or not all(isinstance(text, str) for column in columns for text in column):
        raise ValueError(f"columns {columns!r}")
    return Snapshot(columns, {name: Seen.from_json(known) for name, known in manifest["attributes"].items()})


def snapshot_without_manifest(s3: Any, export: "Export", after: str) -> str | None:
    """The folder of a snapshot later than `after`, if there is one: this one's own was cleared."""
    folder = f"{export.output_prefix}/{PARTITION_COLUMN}="
    end = chr(ord("/") + 1)  # sorts behind all files of that snapshot
    for found in objects(s3, folder, StartAfter=bucket_and_key(f"{folder}{after}{end}" if after else folder)["Key"]):
        if snapshot := re.search(rf"/{PARTITION_COLUMN}=({TIMESTAMP})/.", found["Key"]):
            return export.location_of(snapshot[1])
    return None


def snapshot_columns(
    attributes: Attributes, table: dict[str, Any], earlier: Snapshot, output_format: str
) -> tuple[list[Column], Attributes]:
    """Every column of the snapshot table, and all that was ever seen of each attribute.

    Columns are only ever added, at the end, and keep their types: so Athena reads old snapshots and new, by name and
    by position alike. An attribute whose values no longer fit its column has a new one from then on. New columns come
    key attributes first, then by name. DescribeTable tells the keys, so the snapshot of an empty table has columns too.
    """
    types = {definition["AttributeName"]: definition["AttributeType"] for definition in table["AttributeDefinitions"]}
    keys = [element["AttributeName"] for element in sorted(table["KeySchema"], key=lambda element: element["KeyType"])]
    attributes = merge({key: Seen({types[key]}) for key in keys}, attributes)
    for seen in attributes.values():
        seen.sort()
    attributes = merge(deepcopy(earlier.attributes), attributes)
    current = {column.attribute: column.type for column in earlier.columns}
    needed = {name: hive_type(column_shape(seen, output_format).type) for name, seen in attributes.items()}
    added = [name for name in [*keys, *sorted(attributes.keys() - set(keys))] if current.get(name) != needed[name]]
    taken = [PARTITION_COLUMN, *(column.name for column in earlier.columns)]
    names = column_names(added, taken, output_format)
    added.sort(key=lambda name: (keys.index(name) if name in keys else len(keys), names[name]))
    return [*earlier.columns, *(Column(names[name], needed[name], name) for name in added)], attributes


class Shape(NamedTuple):
    """A type, and what makes arrays of it: of the values in items, and, much faster, of lines that Arrow has read.

    Both give the same. Arrow reads no maps that have data for keys, and no attributes of several kinds.
    """

    type: pa.DataType
    kind: str | None  # of the values that it takes, the others are NULL; None if it takes them whole
    make: Callable[[list[Any]], pa.Array]  # of what values hold, None where there is none
    in_line: pa.DataType | None = None  # what Arrow reads a value's content as; None: it cannot
    read: Callable[[pa.Array], pa.Array] = lambda found: found  # of such contents

    def build(self, values: list[Value | None]) -> pa.Array:
        return self.make(contents(values, self.kind) if self.kind else values)

    @property
    def tagged_in_line(self) -> pa.DataType | None:
        return pa.struct([(self.kind, self.in_line), ("NULL", pa.bool_())]) if self.in_line else None

    def read_tagged(self, values: pa.StructArray) -> pa.Array:
        return self.read(values.flatten()[0])


def column_shape(seen: Seen, output_format: str) -> Shape:
    """The shape of a column: of `csv` text whatever the values, and text where a type would be too long to catalog."""
    if output_format == "csv":
        kinds = seen.kinds - {"NULL"} or {"S"}
        return text_of(*kinds) if len(kinds) == 1 and kinds <= {"S", "N", "B"} else TEXT
    found = shape(seen, output_format)
    return found if len(hive_type(found.type)) <= TYPE_CHARACTERS else TEXT


def shape(seen: Seen, output_format: str) -> Shape:
    """The type of an attribute, and what makes its values. The one place of the rules.

    - S string, BOOL boolean, B binary.
    - N bigint if all are integers of 64 bits, else decimal(38, s) with the digits after the point that the values
      need, else (no 38 digits hold them all) string: exact where a double would round in silence.
    - L array, SS NS BS array; M struct of all its fields.
    - M with more than 100 distinct keys, or with none at all: map<string, ...>, for its keys are data.
    - NULL leaves the type to the other values; nothing but NULL is string.
    - Several of these kinds in one attribute: string, scalars as their text, the rest as JSON. So no value is lost.
    - json has no binary values: they are text, in base64.
    """
    kinds = seen.kinds - {"NULL"} or {"S"}
    kind = kinds.pop() if len(kinds) == 1 else None
    if kind == "S" or (kind == "B" and output_format == "json"):
        return text_of(kind)
    if kind == "BOOL":
        return Shape(pa.bool_(), kind, lambda flags: pa.array(flags, pa.bool_()), pa.bool_())
    if kind == "B":
        return Shape(pa.binary(), kind, binary, pa.string(), lambda texts: binary(texts.to_pylist()))
    if kind == "N" and seen.scale == 0 and not seen.is_beyond_int64:
        return number(pa.int64())
    if kind == "N" and seen.digits + seen.scale <= DIGITS:
        return number(pa.decimal128(DIGITS, seen.scale))
    if kind == "N":
        return text_of(kind)
    if kind == "M" and seen.fields:
        return struct(seen.fields, output_format)
    if kind in ("L", "SS", "NS", "BS"):
        return array(kind, shape(seen.element or Seen(), output_format))
    if kind == "M":
        element = shape(seen.element or Seen(), output_format)
        return Shape(pa.map_(pa.string(), element.type), kind, lambda found: maps(found, element))
    return TEXT


def text_of(kind: str) -> Shape:
    return Shape(pa.string(), kind, lambda texts: pa.array(texts, pa.string()), pa.string())


def number(type: pa.DataType) -> Shape:
    return Shape(
        type,
        "N",
        lambda texts: numbers(pa.array(texts, pa.string()), type),
        pa.string(),
        lambda texts: numbers(texts, type),
    )


def array(kind: str, element: Shape) -> Shape:
    """Of a list, whose elements have kinds of their own, or of a set, whose elements have one and do not say so."""
    is_list = kind == "L"
    make, read = (element.build, element.read_tagged) if is_list else (element.make, element.read)

    def read_all(found: pa.ListArray) -> pa.Array:
        return pa.ListArray.from_arrays(found.offsets, read(found.values), mask=found.is_null())

    inner = element.tagged_in_line if is_list else element.in_line
    in_line = pa.list_(inner) if inner else None
    return Shape(pa.list_(element.type), kind, lambda found: lists(found, make), in_line, read_all)


def struct(attributes: Attributes, output_format: str) -> Shape:
    names = column_names(attributes, [], output_format)  # in the order in which they came: once given, a name stays
    order = sorted(attributes, key=names.__getitem__)
    shapes = {name: shape(attributes[name], output_format) for name in order}
    members = [pa.field(names[name], shapes[name].type) for name in order]

    def make(found: list[Item | None]) -> pa.Array:
        arrays = [shapes[name].build(values) for name, values in in_columns(found, order).items()]
        return pa.StructArray.from_arrays(arrays, fields=members, mask=nulls(found))

    def read(found: pa.StructArray) -> pa.Array:
        arrays = [shapes[name].read_tagged(values) for name, values in zip(order, found.flatten(), strict=True)]
        return pa.StructArray.from_arrays(arrays, fields=members, mask=found.is_null())

    return Shape(pa.struct(members), "M", make, line_struct({name: shapes[name] for name in order}), read)


def parsing_of(shapes: dict[str, Shape]) -> pyarrow.json.ParseOptions | None:
    """How Arrow reads items of these attributes and no others; None if it cannot."""
    items = line_struct(shapes)
    if items is None:
        return None
    return pyarrow.json.ParseOptions(explicit_schema=pa.schema([("Item", items)]), unexpected_field_behavior="error")


def read_items(lines: bytes, parsing: pyarrow.json.ParseOptions) -> list[pa.StructArray]:
    """An array for each attribute that the parsing knows. Raises ArrowInvalid."""
    reading = pyarrow.json.ReadOptions(use_threads=False, block_size=len(lines))
    table = pyarrow.json.read_json(pa.py_buffer(lines), reading, parsing)
    return table["Item"].combine_chunks().flatten()


def line_struct(shapes: dict[str, Shape]) -> pa.DataType | None:
    """What Arrow reads an item or a map as, or None if it cannot."""
    types = {name: each.tagged_in_line for name, each in shapes.items()}
    return pa.struct(list(types.items())) if all(types.values()) else None


def in_columns(items: list[Item | None], names: list[str]) -> dict[str, list[Value | None]]:
    columns = {name: [None] * len(items) for name in names}
    for row, item in enumerate(items):
        for name, value in (item or {}).items():
            columns[name][row] = value
    return columns


def column_names(attributes: Iterable[str], taken: Iterable[str], output_format: str) -> dict[str, str]:
    """The column name of each attribute: lower case as in the catalog, letters, digits and `_` only, no two alike.

    Hive's types, Arrow and SQL each refuse some of the other characters. Avro's names are ASCII and do not start with
    a digit. Of attributes that come to the same name the first keeps it, the others have `_2`, `_3`, ... added.
    """
    taken, names = set(taken), {}
    for attribute in dict.fromkeys(attributes):
        if output_format == "avro":
            name = re.sub(r"[^a-z0-9_]", "_", attribute.lower())
            name = name if re.match(r"[a-z_]", name) else f"_{name}"
        else:
            name = "".join(c if c.isalpha() or c.isdecimal() else "_" for c in attribute.lower()) or "_"
        name = candidate = shorten(name, NAME_BYTES)
        number = 1
        while candidate in taken:
            number += 1
            candidate = shorten(name, NAME_BYTES - len(f"_{number}")) + f"_{number}"
        taken.add(candidate)
        names[attribute] = candidate
    return names


def shorten(name: str, size: int) -> str:
    """As much of the name as `size` bytes hold."""
    return name.encode()[:size].decode(errors="ignore")


def hive_type(kind: pa.DataType) -> str:
    if pa.types.is_struct(kind):
        return f"struct<{','.join(f'{inner.name}:{hive_type(inner.type)}' for inner in kind)}>"
    if pa.types.is_map(kind):
        return f"map<string,{hive_type(kind.item_type)}>"
    if pa.types.is_list(kind):
        return f"array<{hive_type(kind.value_type)}>"
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    return {pa.string(): "string", pa.bool_(): "boolean", pa.binary(): "binary", pa.int64(): "bigint"}[kind]


def arrow_type(hive: str) -> pa.DataType:
    """What `hive_type` made of it. Field names hold none of the characters that divide types."""
    kind, _, inner = hive.partition("<")
    parts, depth = [""], 0
    for character in inner[:-1]:
        depth += (character in "<(") - (character in ">)")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    if kind == "struct":
        named = (part.partition(":") for part in parts)
        return pa.struct([pa.field(name, arrow_type(inner)) for name, _, inner in named])
    if kind == "map":
        return pa.map_(pa.string(), arrow_type(parts[1]))
    if kind == "array":
        return pa.list_(arrow_type(parts[0]))
    if decimal := re.fullmatch(r"decimal\((\d+),(\d+)\)", hive):
        return pa.decimal128(int(decimal[1]), int(decimal[2]))
    return {"string": pa.string(), "boolean": pa.bool_(), "binary": pa.binary(), "bigint": pa.int64()}[hive]


# ----------------------------------------------------------------------------------------------------------- values


def contents(values: list[Value | None], kind: str) -> list[Any]:
    try:
        return list(map(itemgetter(kind), values))
    except (KeyError, TypeError):  # some are NULL, or not there
        return [value.get(kind) if value else None for value in values]


def binary(texts: list[str | None]) -> pa.Array:
    return pa.array([None if text is None else base64.b64decode(text) for text in texts], pa.binary())


def numbers(texts: pa.Array, type: pa.DataType) -> pa.Array:
    try:
        return texts.cast(type)
    except pa.ArrowInvalid:  # forms that Arrow does not take for this type: 1.0 or 1E+2 for an integer, say
        decimal = pa.types.is_decimal(type)
        make = (lambda text: Decimal(text).normalize(EXACT)) if decimal else lambda text: int(Decimal(text))
        return pa.array([None if text is None else make(text) for text in texts.to_pylist()], type)


def lists(values: list[list[Any] | None], make: Callable[[list[Any]], pa.Array]) -> pa.Array:
    elements = make(list(chain.from_iterable(value or () for value in values)))
    return pa.ListArray.from_arrays(offsets(values), elements, mask=nulls(values))


def maps(values: list[Item | None], element: Shape) -> pa.Array:
    keys = pa.array(chain.from_iterable(value or () for value in values), pa.string())
    elements = element.build([inner for value in values for inner in (value or {}).values()])
    return pa.MapArray.from_arrays(offsets(values), keys, elements, mask=nulls(values))


def offsets(values: list[Any]) -> pa.Array:
    return pa.array([0, *accumulate(len(value) if value else 0 for value in values)], pa.int32())


def nulls(values: list[Any]) -> pa.Array:
    return pa.array([value is None for value in values], pa.bool_())


def as_text(value: Value | None) -> str | None:
    if value is None:
        return None
    [(kind, content)] = value.items()
    if kind == "NULL":
        return None
    return content if kind in ("S", "N", "B") else as_json(value)


def as_json(value: Value) -> str:
    """Plain JSON. Numbers keep all their digits, binary values are base64."""
    [(kind, content)] = value.items()
    if kind == "NULL":
        return "null"
    if kind == "N":
        return content
    if kind == "NS":
        return f"[{','.join(content)}]"
    if kind == "L":
        return f"[{','.join(map(as_json, content))}]"
    if kind == "M":
        return "{" + ",".join(f"{as_json({'S': key})}:{as_json(inner)}" for key, inner in content.items()) + "}"
    return orjson.dumps(content).decode()


TEXT = Shape(pa.string(), None, lambda values: pa.array(map(as_text, values), pa.string()))


# ---------------------------------------------------------------------------------------------------------- convert


class SnapshotFile(NamedTuple):
    """A file of the snapshot, uploaded and not yet to be seen."""

    uri: str
    items: int
    bytes: int
    upload_id: str
    parts: list[dict[str, Any]]  # as CompleteMultipartUpload wants them


def write(
    spark: SparkSession, export: "Export", files: list[StagedFile], columns: list[Column], attributes: Attributes
) -> list[SnapshotFile]:
    """Make the files of the snapshot: a task reads whole staged files and makes one."""
    context, region = spark.sparkContext, boto3.Session().region_name
    tasks = snapshot_files(sum(file.bytes for file in files), context.defaultParallelism)
    by_size = sorted(files, key=lambda file: file.bytes)
    format = FORMATS[export.output_format]

    def write_file(task: int) -> SnapshotFile:
        s3, rows = connect("s3", region), Rows(columns, attributes, export.output_format)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "snapshot")
            with open(path, "wb") as file, closing(format.writer(file, rows.schema)) as writer, no_garbage_collection():
                for batches in read_staged(s3, by_size[task::tasks], rows.of):
                    for batch in batches:
                        writer.write(batch)
            return upload(s3, path, f"{export.location}part-{task:05d}{format.suffix}", format.count(path))

    return context.parallelize(range(tasks), tasks).map(write_file).collect()


def snapshot_files(staged_bytes: int, cores: int) -> int:
    return max(1, math.ceil(staged_bytes / SNAPSHOT_FILE_BYTES), min(cores, staged_bytes // BUSY_FILE_BYTES))


def upload(s3: Any, path: str, uri: str, items: int) -> SnapshotFile:
    """All but the end of an upload: the object is there once `publish` completes it."""
    place, parts = bucket_and_key(uri), []
    upload_id = s3.create_multipart_upload(**place)["UploadId"]
    with open(path, "rb") as file:
        while content := file.read(UPLOAD_PART_BYTES):
            number = len(parts) + 1
            answer = s3.upload_part(**place, UploadId=upload_id, PartNumber=number, Body=content)
            checksums = {name: value for name, value in answer.items() if name.startswith("Checksum")}
            parts.append({"PartNumber": number, "ETag": answer["ETag"], **checksums})
    return SnapshotFile(uri, items, os.path.getsize(path), upload_id, parts)


class Rows:
    """Makes rows of staged lines, in the columns of the snapshot table. Those that are outgrown stay empty."""

    def __init__(self, columns: list[Column], attributes: Attributes, output_format: str) -> None:
        current = {column.attribute: column for column in columns}
        self._fed = [column.attribute if current[column.attribute] is column else None for column in columns]
        self.schema = pa.schema([pa.field(column.name, arrow_type(column.type)) for column in columns])
        self._shapes = {name: column_shape(seen, output_format) for name, seen in attributes.items()}
        self._read_by_arrow = {name: each for name, each in self._shapes.items() if each.in_line}
        self._made_of_items = {name: each for name, each in self._shapes.items() if not each.in_line}
        self._parsing = parsing_of(self._read_by_arrow)
        if self._made_of_items:
            self._parsing.unexpected_field_behavior = "ignore"

    def of(self, lines: bytes) -> list[pa.RecordBatch]:
        """In batches of a bounded number of cells: a table may have thousands of columns."""
        size = max(1, BATCH_CELLS // (len(self._shapes) or 1))
        if lines.count(b"\n") <= size:
            return [self._batch(lines)]
        each = lines.splitlines(keepends=True)
        return [self._batch(b"".join(each[start : start + size])) for start in range(0, len(each), size)]

    def _batch(self, lines: bytes) -> pa.RecordBatch:
        found = dict(zip(self._read_by_arrow, read_items(lines, self._parsing), strict=True))
        made = {name: self._read_by_arrow[name].read_tagged(values) for name, values in found.items()}
        if self._made_of_items:
            items = items_of(lines)
            made |= {name: each.build([item.get(name) for item in items]) for name, each in self._made_of_items.items()}
        arrays = [
            pa.nulls(lines.count(b"\n"), column.type) if attribute is None else made[attribute]
            for attribute, column in zip(self._fed, self.schema, strict=True)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


class Writer(Protocol):
    """Writes one file of a format."""

    def __init__(self, file: BinaryIO, schema: pa.Schema) -> None: ...
    def write(self, rows: pa.RecordBatch) -> None: ...
    def close(self) -> None: ...


class ParquetWriter:
    """Row groups as large as query engines like them, whatever the size of the batches."""

    def __init__(self, file: BinaryIO, schema: pa.Schema) -> None:
        self._file = pyarrow.parquet.ParquetWriter(file, schema, compression="zstd", store_schema=False)
        self._schema, self._group = schema, []

    def write(self, rows: pa.RecordBatch) -> None:
        self._group.append(rows)
        if sum(batch.nbytes for batch in self._group) >= ROW_GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._group:
            self._file.write_table(pa.Table.from_batches(self._group, self._schema), row_group_size=MB * MB)
        self._group = []

    def close(self) -> None:
        self._flush()
        self._file.close()


class OrcWriter:
    def __init__(self, file: BinaryIO, schema: pa.Schema) -> None:
        self._file = pyarrow.orc.ORCWriter(file, compression="zstd")
        self._file.write(schema.empty_table())  # a file of no rows has columns too

    def write(self, rows: pa.RecordBatch) -> None:
        self._file.write(pa.Table.from_batches([rows]))

    def close(self) -> None:
        self._file.close()


class AvroWriter:
    def __init__(self, file: BinaryIO, schema: pa.Schema) -> None:
        import fastavro.write

        self._file = fastavro.write.Writer(file, avro_schema(schema), codec="deflate")

    def write(self, rows: pa.RecordBatch) -> None:
        for row in rows.to_pylist(maps_as_pydicts="strict"):
            self._file.write(row)

    def close(self) -> None:
        self._file.flush()


class JsonWriter:
    """A line a row, without what is NULL. Decimals are numbers with all their digits."""

    def __init__(self, file: BinaryIO, schema: pa.Schema) -> None:
        self._file = gzip.GzipFile(fileobj=file, mode="wb", compresslevel=6)

    def write(self, rows: pa.RecordBatch) -> None:
        for row in rows.to_pylist(maps_as_pydicts="strict"):
            known = {name: value for name, value in row.items() if value is not None}
            self._file.write(orjson.dumps(known, default=exact, option=orjson.OPT_APPEND_NEWLINE))

    def close(self) -> None:
        self._file.close()


class CsvWriter:
    """As Athena's OpenCSVSerDe reads it: a header, everything quoted, a backslash to escape, no line breaks."""

    def __init__(self, file: BinaryIO, schema: pa.Schema) -> None:
        packed = gzip.GzipFile(fileobj=file, mode="wb", compresslevel=6)
        self._file = io.TextIOWrapper(packed, encoding="utf-8", newline="")
        form = {"quoting": csv.QUOTE_ALL, "escapechar": "\\", "lineterminator": "\n"}
        self._rows = csv.writer(self._file, **form)
        self._rows.writerow(schema.names)

    def write(self, rows: pa.RecordBatch) -> None:
        columns = [map(on_one_line, column.to_pylist()) for column in rows.columns]
        self._rows.writerows(zip(*columns, strict=True))

    def close(self) -> None:
        self._file.close()


def exact(value: Any) -> orjson.Fragment:
    """For orjson: what has no form of its own in it."""
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f"))
    raise TypeError(f"{value!r} has no form in JSON")


def on_one_line(text: str | None) -> str | None:
    return text and text.replace("\r", "\\r").replace("\n", "\\n")


def avro_schema(schema: pa.Schema) -> dict[str, Any]:
    """Records need names of their own. Numbered in order, they keep them as columns are added at the end."""
    numbers = count(1)

    def of(kind: pa.DataType) -> Any:
        if pa.types.is_struct(kind):
            name = f"record_{next(numbers)}"
            members = [{"name": inner.name, "type": ["null", of(inner.type)], "default": None} for inner in kind]
            return {"type": "record", "name": name, "fields": members}
        if pa.types.is_map(kind):
            return {"type": "map", "values": ["null", of(kind.item_type)]}
        if pa.types.is_list(kind):
            return {"type": "array", "items": ["null", of(kind.value_type)]}
        if pa.types.is_decimal(kind):
            return {"type": "bytes", "logicalType": "decimal", "precision": kind.precision, "scale": kind.scale}
        return {pa.string(): "string", pa.bool_(): "boolean", pa.binary(): "bytes", pa.int64(): "long"}[kind]

    return of(pa.struct(list(schema)))


def count_avro(path: str) -> int:
    import fastavro

    with open(path, "rb") as file:
        return sum(block.num_records for block in fastavro.block_reader(file))


def count_lines(path: str) -> int:
    with gzip.open(path) as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(MB), b""))


class Format(NamedTuple):
    suffix: str
    writer: type[Writer]
    count: Callable[[str], int]  # the items of a finished file, as its readers find them


FORMATS = {
    "parquet": Format(".zstd.parquet", ParquetWriter, lambda path: pyarrow.parquet.read_metadata(path).num_rows),
    "orc": Format(".orc", OrcWriter, lambda path: pyarrow.orc.ORCFile(path).nrows),
    "avro": Format(".avro", AvroWriter, count_avro),
    "json": Format(".json.gz", JsonWriter, count_lines),
    "csv": Format(".csv.gz", CsvWriter, lambda path: count_lines(path) - 1),  # the header
}


# ------------------------------------------------------------------------------------------------------------ prove


def prove(staged: Staged, files: list[SnapshotFile]) -> None:
    """Raises ExportFailed if a single item is missing, or there twice."""
    items_staged, items_written = sum(file.items for file in staged.files), sum(file.items for file in files)
    if not staged.items_counted == items_staged == items_written:
        raise ExportFailed(
            f"The snapshot is not complete: DynamoDB counted {staged.items_counted} items, {items_staged} were staged, "
            f"{items_written} written. Run the export again."
        )


def publish(s3: Any, export: "Export", files: list[SnapshotFile]) -> None:
    """Let the files be seen, all that were proven and no others. Should it be killed meanwhile, its note tells."""

    def complete(file: SnapshotFile) -> None:
        parts = {"Parts": file.parts}
        s3.complete_multipart_upload(**bucket_and_key(file.uri), UploadId=file.upload_id, MultipartUpload=parts)

    put(s3, export.note, b"")
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(complete, files))
    expected = {bucket_and_key(file.uri)["Key"]: file.bytes for file in files}
    found = {seen["Key"]: seen["Size"] for seen in objects(s3, export.location)}
    if found != expected:
        lost, strange = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
        raise ExportFailed(
            f"{export.location} does not hold the {len(expected)} files written: {len(lost)} are missing {lost[:3]}, "
            f"{len(strange)} are others {strange[:3]}. Run the export again."
        )


def describe(
    export: "Export",
    table: dict[str, Any],
    staged: Staged,
    files: list[SnapshotFile],
    columns: list[Column],
    attributes: Attributes,
) -> dict[str, Any]:
    """The manifest of a complete snapshot."""
    schema = pa.schema([pa.field(column.name, arrow_type(column.type)) for column in columns])
    is_avro = export.output_format == "avro"
    return {
        "version": MANIFEST_VERSION,
        "export_id": export.export_id,
        "table_name": export.table_name,
        "snapshot_timestamp": export.snapshot_timestamp,
        "read_mode": export.read_mode,
        "output_format": export.output_format,
        "location": export.location,
        "items_counted": staged.items_counted,
        "items_written": sum(file.items for file in files),
        "items_expected": table["ItemCount"],
        "files": len(files),
        "bytes": sum(file.bytes for file in files),
        "read_capacity_units": staged.read_capacity_units,
        "columns": [column._asdict() for column in columns],
        "serde_parameters": {"avro.schema.literal": json.dumps(avro_schema(schema))} if is_avro else {},
        "attributes": {name: seen.to_json() for name, seen in attributes.items()},
    }


def is_done(s3: Any, export: "Export") -> bool:
    """Whether an earlier run for this export came to its end: where its manifest is, its snapshot is whole.

    And may be queried already, so none of it is touched then.
    """
    if bucket_and_key(export.manifest)["Key"] not in {found["Key"] for found in objects(s3, export.manifest)}:
        return False
    try:
        return json.loads(get(s3, export.manifest))["export_id"] == export.export_id
    except (ValueError, KeyError, TypeError):
        return False


def clear(s3: Any, export: "Export") -> None:
    """Remove what an earlier run for this snapshot left: snapshot, staged files, manifest.

    Should it be killed meanwhile, the note has the next run go on. Where a manifest is, its snapshot is whole.
    """
    put(s3, export.note, b"")
    delete(s3, export.manifest)
    abort_uploads(s3, export.location)
    delete_all(s3, export.location)
    if export.read_mode == "scan":  # what DynamoDB exported, another run can use
        delete_all(s3, export.staging)
    delete(s3, export.note)


def clear_what_killed_runs_left(s3: Any, export: "Export") -> None:
    """A note without a manifest: of that snapshot there may be a part."""
    names = names_in(s3, export.manifests)
    for name in sorted(names):
        if name.endswith(NOTE):
            if name.removesuffix(NOTE) not in names:
                delete_all(s3, export.location_of(name.removesuffix(f".json{NOTE}")))
            delete(s3, f"{export.manifests}{name}")


def explain(error: Exception, export: "Export") -> str:
    """What went wrong, for the operator. An executor's error comes wrapped in Spark's, as text."""
    text = str(error)
    if isinstance(error, ExportFailed):
        return text
    if failed := re.search(rf"{ExportFailed.__name__}: (.+)", text):
        return failed[1]
    if refused := re.search(
        r"An error occurred \((\w+)\) when calling the (\w+) operation(?: \(reached max retries: \d+\))?: (.*)", text
    ):
        code, operation, message = refused.groups()
        return f"{operation} failed with {code}: {message}. {remedy(code, export)}"
    causes = re.findall(
        r"^(?:Caused by: |: )?([\w.$]+(?:Error|Exception): .*(?<!Traceback \(most recent call last\):))$", text, re.M
    )
    return causes[-1] if causes else f"{type(error).__name__}: {text}"


def remedy(code: str, export: "Export") -> str:
    if code == "ResourceNotFoundException":
        return f"There is no table {export.table_name} in this account and Region: check --table_name."
    if code in ("AccessDenied", "AccessDeniedException", "UnrecognizedClientException"):
        return "Allow this to the job's role."
    if code == "NoSuchBucket":
        return "Check --output_prefix, --staging_prefix and --manifest."
    if code in ("ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"):
        return "Others use the table's capacity: lower --read_percentage, raise the capacity, or choose another time."
    return "Run the export again."


# -------------------------------------------------------------------------------------------------------- arguments


@dataclass(frozen=True)
class Export:
    """The job's arguments."""

    table_name: str
    read_percentage: float
    read_capacity_cap: float
    read_mode: str
    table_export: str
    output_format: str
    output_prefix: str
    snapshot_timestamp: str
    export_id: str
    staging_prefix: str
    manifest: str

    @property
    def location(self) -> str:
        return self.location_of(self.snapshot_timestamp)

    def location_of(self, snapshot_timestamp: str) -> str:
        return f"{self.output_prefix}/{PARTITION_COLUMN}={snapshot_timestamp}/"

    @property
    def staging(self) -> str:
        return f"{self.staging_prefix}/{self.snapshot_timestamp}/"

    @property
    def manifests(self) -> str:
        return f"{os.path.dirname(self.manifest)}/"

    @property
    def note(self) -> str:
        return f"{self.manifest}{NOTE}"

    @classmethod
    def from_arguments(cls, argv: list[str]) -> "Export":
        """Raises ExportFailed: the message names the argument and says what it takes."""
        try:
            given = getResolvedOptions(argv, [argument.name for argument in fields(cls)])
        except GlueArgumentError as error:
            raise ExportFailed(f"Bad job arguments: {error}") from error
        for name, (pattern, wanted) in ARGUMENTS.items():
            if not re.fullmatch(pattern, given[name]):
                raise ExportFailed(f"--{name} is {given[name]!r}, but must be {wanted}.")
        if (given["read_mode"] == "export") != (given["table_export"] != "-"):
            raise ExportFailed("--table_export must be the summary of a table export in --read_mode export, else -.")
        return cls(**{argument.name: argument.type(given[argument.name]) for argument in fields(cls)})


S3_FOLDER = r"s3://[^/]+/.*[^/]", "s3://bucket/folder, with no slash at its end"
ARGUMENTS = {
    "table_name": (r"[a-zA-Z0-9_.-]{3,255}", "the name of a DynamoDB table"),
    "read_percentage": (r"0?\.[1-9]\d*|1(\.0*)?", "a number from 0.1 to 1.0"),
    "read_capacity_cap": (r"\d+(\.\d+)?", "read capacity units per second, or 0 for no cap"),
    "read_mode": ("|".join(READ_MODES), f"one of: {', '.join(READ_MODES)}"),
    "table_export": (r"-|s3://[^/]+/.+/manifest-summary\.json", "s3://bucket/.../manifest-summary.json, or -"),
    "output_format": ("|".join(OUTPUT_FORMATS), f"one of: {', '.join(OUTPUT_FORMATS)}"),
    "output_prefix": S3_FOLDER,
    "snapshot_timestamp": (TIMESTAMP, "UTC to the second, such as 2026-11-23T02-00-07Z"),
    "staging_prefix": S3_FOLDER,
    "manifest": (r"s3://[^/]+/.*[^/]", "s3://bucket/key"),
}


# --------------------------------------------------------------------------------------------------------------- S3


def connect(service: str, region: str | None = None) -> Any:
    """A client that waits out throttling for some minutes."""
    config = Config(retries={"mode": "adaptive", "max_attempts": 12}, max_pool_connections=CONNECTIONS)
    return boto3.client(service, region_name=region, config=config)


def bucket_and_key(uri: str) -> dict[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return {"Bucket": bucket, "Key": key}


def bucket_and_prefix(uri: str) -> dict[str, str]:
    place = bucket_and_key(uri)
    return {"Bucket": place["Bucket"], "Prefix": place["Key"]}


def get(s3: Any, uri: str) -> bytes:
    return s3.get_object(**bucket_and_key(uri))["Body"].read()


def put(s3: Any, uri: str, content: bytes) -> None:
    s3.put_object(**bucket_and_key(uri), Body=content)


def delete(s3: Any, uri: str) -> None:
    s3.delete_object(**bucket_and_key(uri))


def objects(s3: Any, folder: str, **only: str) -> Iterator[dict[str, Any]]:
    for page in s3.get_paginator("list_objects_v2").paginate(**bucket_and_prefix(folder), **only):
        yield from page.get("Contents", [])


def names_in(s3: Any, folder: str) -> set[str]:
    """Of the objects in a folder itself, not of those in folders below."""
    prefix = bucket_and_prefix(folder)["Prefix"]
    names = {found["Key"].removeprefix(prefix) for found in objects(s3, folder)}
    return {name for name in names if name and "/" not in name}


def delete_all(s3: Any, folder: str) -> None:
    bucket = bucket_and_key(folder)["Bucket"]
    for page in s3.get_paginator("list_objects_v2").paginate(**bucket_and_prefix(folder)):
        if keys := [{"Key": found["Key"]} for found in page.get("Contents", [])]:
            answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
            for refused in answer.get("Errors", []):
                raise ExportFailed(f"Could not delete {folder}: {refused['Code']} for {refused['Key']}.")


def abort_uploads(s3: Any, folder: str) -> None:
    bucket = bucket_and_key(folder)["Bucket"]
    for page in s3.get_paginator("list_multipart_uploads").paginate(**bucket_and_prefix(folder)):
        for upload in page.get("Uploads", []):
            s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])


if __name__ == "__main__":
    main(sys.argv)
