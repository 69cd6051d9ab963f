"""The Glue job: one DynamoDB table becomes one snapshot in S3.

Runs as it is on AWS Glue 5.1 (Spark 3.5.6, Python 3.11) and on plain PySpark. Arguments, all of them required:

--table_name           the DynamoDB table
--read_percentage      0.1 to 1.0: the share of the table's read capacity (on-demand: of its warm throughput) to use
--read_capacity_cap    read capacity units per second that are not exceeded whatever the percentage; 0 for no cap
--read_mode            scan
--output_format        parquet
--output_prefix        s3://bucket/folder; the snapshot goes to {output_prefix}/snapshot_timestamp={snapshot_timestamp}/
--snapshot_timestamp   UTC, to the second: 2026-11-23T02-00-07Z
--export_id            handed on to the manifest
--staging_prefix       s3://bucket/folder; staged files go to {staging_prefix}/{snapshot_timestamp}/, a lifecycle rule
                       expires them
--manifest             s3://bucket/key; written last, and only beside a complete snapshot

Two steps. *Stage*: the items go to S3 as gzipped DynamoDB JSON lines, the form of DynamoDB's own export to S3.
*Convert*: the staged items become rows. Their columns follow from every value of every item: see `column`.

What it guarantees:
- Each item is read from DynamoDB once; only a Spark task that is retried reads its own segment again.
- Items that DynamoDB counted = items staged = items read back from the snapshot. Otherwise the run fails.
- Run again for the same snapshot_timestamp, it leaves one snapshot. Failed, it leaves none, and no manifest; but
  killed from outside it can clear nothing, and what Spark had written by then stays.
- No value is lost: what fits no exact column type is kept as text.
"""

import gzip
import io
import json
import math
import re
import sys
import time
import zlib
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields
from decimal import Context, Decimal
from functools import reduce
from typing import Any, NamedTuple

import boto3
from awsglue.utils import GlueArgumentError, getResolvedOptions
from botocore.config import Config
from pyspark.sql import SparkSession
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DataType,
    DecimalType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
)

READ_MODES = ["scan"]
OUTPUT_FORMATS = ["parquet"]
PARTITION_COLUMN = "snapshot_timestamp"

MB = 1024 * 1024
SEGMENT_BYTES = 32 * MB  # of table: a smaller table is read by one task
STAGED_FILE_BYTES = 16 * MB  # gzipped: what a reading task holds in memory
SNAPSHOT_FILE_BYTES = 256 * MB  # of staged files per snapshot file: parquet comes out about as large
BUSY_FILE_BYTES = 64 * MB  # the same, where larger files would leave cores idle

ON_DEMAND_READ_UNITS = 12_000  # per second: the warm throughput that AWS documents for a new on-demand table
READ_UNIT_BYTES = 8192  # eventually consistent: two blocks of 4 KB
PAGE_SECONDS = 5  # a page may cost what its reader is granted for this long: a slow export reads small pages
PAGE_ITEMS = 100_000  # no page of 1 MB holds more

MAP_KEYS = 100  # a map with more distinct keys than this has data for keys
DIGITS = 38  # the most that a number of DynamoDB, and a decimal of Athena, has
NAME_BYTES = 255  # the longest column name that the Glue catalog takes

EXACT = Context(prec=2 * DIGITS)

Value = dict[str, Any]  # as DynamoDB writes it: {"N": "5"}
Item = dict[str, Value]
Reader = Callable[[Value], Any]  # makes a column's value of a DynamoDB value


class ExportFailed(Exception):
    """There is no snapshot. The message is for the operator: what is wrong, and what to do about it."""


def main(argv: list[str]) -> None:
    """Export the table that `argv` names. Raises ExportFailed, whose message Glue shows as the run's ErrorMessage."""
    export = Export.from_arguments(argv)
    spark = SparkSession.builder.appName(f"export {export.table_name}").getOrCreate()
    try:
        clear(spark, export)
        table = connect("dynamodb").describe_table(TableName=export.table_name)["Table"]
        staged = scan(spark, export, table)
        schema, read_item = snapshot_columns(infer(spark, staged.files), table)
        write(spark, export, staged.files, schema, read_item)
        manifest = prove(spark, export, staged, schema)
        put(export.manifest, json.dumps(manifest, indent=2).encode())
    except Exception as error:
        try:
            clear(spark, export)
        finally:
            raise ExportFailed(explain(error, export)) from error
    print(f"Wrote {manifest['items_written']} items as {manifest['files']} files to {export.location}")


# ------------------------------------------------------------------------------------------------------------ stage


class StagedFile(NamedTuple):
    """One object of gzipped DynamoDB JSON lines."""

    uri: str
    items: int
    bytes: int


class Staged(NamedTuple):
    """A table, or one segment of it, as staged files."""

    items_counted: int  # by DynamoDB
    read_capacity_units: float
    files: list[StagedFile]


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
        stage = Stage(f"{export.staging}{segment:05d}", region)
        request = {"TableName": export.table_name, "Segment": segment, "TotalSegments": segments}
        for page in pages(connect("dynamodb", region), request, pace):
            stage.add(page)
        return stage.close()

    parts = context.parallelize(range(segments), segments).map(scan_segment).collect()
    return Staged(
        items_counted=sum(part.items_counted for part in parts),
        read_capacity_units=sum(part.read_capacity_units for part in parts),
        files=[file for part in parts for file in part.files],
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
        return max(1, min(PAGE_ITEMS, int(self._rate * PAGE_SECONDS / self._units_per_item)))

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
            page = json.loads(response_dict["body"])
            customized_response_dict["Items"] = page.pop("Items")
            response_dict["body"] = json.dumps(page).encode()

    dynamodb.meta.events.register("before-parse.dynamodb.Scan", keep_items)
    while True:
        page = dynamodb.scan(**request, Limit=pace.items_per_page, ReturnConsumedCapacity="TOTAL")
        yield page
        if "LastEvaluatedKey" not in page:
            return
        request = request | {"ExclusiveStartKey": page["LastEvaluatedKey"]}
        pace.pay(page["ConsumedCapacity"]["CapacityUnits"], page["Count"])


class Stage:
    """Writes the pages of one segment to files of bounded size.

    Their names depend on the segment alone: what a failed attempt left is overwritten, or not named in the result.
    """

    def __init__(self, prefix: str, region: str | None) -> None:
        self._prefix, self._region = prefix, region
        self._counted, self._units, self._files = 0, 0.0, []
        self._open()

    def _open(self) -> None:
        self._items, self._content = 0, io.BytesIO()
        self._lines = gzip.GzipFile(fileobj=self._content, mode="wb", compresslevel=1, mtime=0)

    def add(self, page: dict[str, Any]) -> None:
        lines = [json.dumps({"Item": item}, ensure_ascii=False, separators=(",", ":")) for item in page["Items"]]
        self._lines.write("".join(f"{line}\n" for line in lines).encode())
        self._items += len(lines)
        self._counted += page["Count"]
        self._units += page["ConsumedCapacity"]["CapacityUnits"]
        if self._content.tell() >= STAGED_FILE_BYTES:
            self._put()
            self._open()

    def _put(self) -> None:
        self._lines.close()
        file = StagedFile(f"{self._prefix}-{len(self._files):05d}.json.gz", self._items, self._content.tell())
        put(file.uri, self._content.getvalue(), self._region)
        self._files.append(file)

    def close(self) -> Staged:
        if self._items:
            self._put()
        return Staged(self._counted, self._units, self._files)


def read_staged(files: Iterable[StagedFile], region: str | None) -> Iterator[Item]:
    """The items of staged files. Raises ExportFailed if a file does not hold the items that it was staged with."""
    s3 = connect("s3", region)
    for file in files:
        count = 0
        try:
            content = s3.get_object(**bucket_and_key(file.uri))["Body"].read()
            with gzip.open(io.BytesIO(content)) as lines:
                for line in lines:
                    yield json.loads(line)["Item"]
                    count += 1
        except (EOFError, gzip.BadGzipFile, zlib.error, ValueError) as error:
            raise ExportFailed(f"The staged file {file.uri} is damaged ({error}). Run the export again.") from error
        if count != file.items:
            raise ExportFailed(
                f"{file.uri} was staged with {file.items} items, but holds {count}. Run the export again."
            )


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

    def add(self, value: Value) -> None:
        [(kind, content)] = value.items()
        self.kinds.add(kind)
        if kind == "N":
            self._add_number(content)
        elif kind == "L":
            for element in content:
                self._element().add(element)
        elif kind in ("SS", "NS", "BS"):
            for element in content:
                self._element().add({kind[0]: element})
        elif kind == "M":
            for key, inner in content.items():
                self._field(key).add(inner)

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

    def _add_number(self, text: str) -> None:
        digits = text.lstrip("-")
        if len(digits) < 19 and digits.isdigit():  # as nearly all are: an integer, and sure to have 64 bits
            self.digits = max(self.digits, len(digits))
            return
        number = Decimal(text).normalize(EXACT)
        self.digits = max(self.digits, number.adjusted() + 1)
        self.scale = max(self.scale, -number.as_tuple().exponent)
        self.is_beyond_int64 |= not -(2**63) <= number < 2**63

    def _element(self) -> "Seen":
        if not self.element:
            self.element = Seen()
        return self.element

    def _field(self, key: str) -> "Seen":
        if self.fields is not None and key not in self.fields:
            if len(self.fields) == MAP_KEYS:
                self._take_keys_for_data()
            else:
                self.fields[key] = Seen()
        return self._element() if self.fields is None else self.fields[key]

    def _take_keys_for_data(self) -> None:
        for inner in (self.fields or {}).values():
            self._element().merge(inner)
        self.fields = None


Attributes = dict[str, Seen]


def see(items: Iterable[Item]) -> Attributes:
    """What the attributes of these items were."""
    attributes: Attributes = {}
    for item in items:
        for name, value in item.items():
            if name not in attributes:
                attributes[name] = Seen()
            attributes[name].add(value)
    return attributes


def merge(one: Attributes, other: Attributes) -> Attributes:
    """The union, into `one`."""
    for name, seen in other.items():
        one[name] = one[name].merge(seen) if name in one else seen
    return one


def infer(spark: SparkSession, files: list[StagedFile]) -> Attributes:
    """What the attributes of all staged items were."""
    context, region = spark.sparkContext, boto3.Session().region_name
    tasks = min(len(files), 4 * context.defaultParallelism) or 1
    parts = context.parallelize(files, tasks).mapPartitions(lambda some: [see(read_staged(some, region))]).collect()
    return reduce(merge, parts)


def snapshot_columns(attributes: Attributes, table: dict[str, Any]) -> tuple[StructType, Reader]:
    """The snapshot's columns, key attributes first, and what makes a row of an item.

    The key attributes come from DescribeTable, so that the snapshot of an empty table has columns too.
    """
    types = {definition["AttributeName"]: definition["AttributeType"] for definition in table["AttributeDefinitions"]}
    keys = [element["AttributeName"] for element in sorted(table["KeySchema"], key=lambda element: element["KeyType"])]
    for key in keys:
        attributes.setdefault(key, Seen()).kinds.add(types[key])
    return struct(attributes, first=keys, taken=[PARTITION_COLUMN])


def column(seen: Seen) -> tuple[DataType, Reader]:
    """The column type of an attribute, and what makes its values. The one place of the rules.

    - S string, BOOL boolean, B binary.
    - N bigint if all are integers of 64 bits, else decimal(38, s) with the digits after the point that the values
      need, else (no 38 digits hold them all) string: exact where a double would round in silence.
    - L array, SS NS BS array; M struct of all its fields.
    - M with more than 100 distinct keys, or with none at all: map<string, ...>, for its keys are data.
    - NULL leaves the type to the other values; nothing but NULL is string.
    - Several of these kinds in one attribute: string, scalars as their text, the rest as JSON. So no value is lost.
    """
    kinds = seen.kinds - {"NULL"}
    kind = kinds.pop() if len(kinds) == 1 else None
    if kind == "S":
        return StringType(), lambda value: value.get("S")
    if kind == "BOOL":
        return BooleanType(), lambda value: value.get("BOOL")
    if kind == "B":
        return BinaryType(), reader("B", b64decode)
    if kind == "N" and seen.scale == 0 and not seen.is_beyond_int64:
        return LongType(), reader("N", integer)
    if kind == "N" and seen.digits + seen.scale <= DIGITS:
        return DecimalType(DIGITS, seen.scale), reader("N", Decimal)
    if kind == "M" and seen.fields:
        fields_type, read_fields = struct(seen.fields)
        return fields_type, reader("M", read_fields)
    if kind in ("L", "M", "SS", "NS", "BS"):
        element_type, read = column(seen.element or Seen())
        if kind == "L":
            return ArrayType(element_type), reader("L", lambda content: [read(value) for value in content])
        if kind == "M":
            values = reader("M", lambda content: {key: read(value) for key, value in content.items()})
            return MapType(StringType(), element_type), values
        return ArrayType(element_type), reader(kind, lambda content: [read({kind[0]: text}) for text in content])
    return StringType(), as_text


def struct(attributes: Attributes, first: Iterable[str] = (), taken: Iterable[str] = ()) -> tuple[StructType, Reader]:
    """A struct of these attributes, `first` and then by column name, and what makes a row of their values."""
    names = column_names([*first, *sorted(attributes)], taken)
    order = [*first, *sorted(attributes.keys() - set(first), key=names.__getitem__)]
    columns = {attribute: column(attributes[attribute]) for attribute in order}
    schema = StructType([StructField(names[attribute], columns[attribute][0]) for attribute in order])
    places = {attribute: (place, columns[attribute][1]) for place, attribute in enumerate(order)}
    nothing = [None] * len(order)

    def read(content: Item) -> tuple[Any, ...]:
        row = nothing.copy()
        for attribute, value in content.items():
            place, read_value = places[attribute]
            row[place] = read_value(value)
        return tuple(row)

    return schema, read


def column_names(attributes: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """The column name of each attribute: lower case as in the catalog, letters, digits and `_` only, no two alike.

    Hive's types, Spark and SQL each refuse some of the other characters. Of attributes that come to the same name
    the first keeps it, the others have `_2`, `_3`, ... added.
    """
    taken, names = set(taken), {}
    for attribute in dict.fromkeys(attributes):
        name = candidate = shorten(re.sub(r"\W", "_", attribute.lower()), NAME_BYTES)
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


# ---------------------------------------------------------------------------------------------------------- convert


def reader(kind: str, convert: Callable[[Any], Any]) -> Reader:
    return lambda value: convert(value[kind]) if kind in value else None  # else it is NULL


def integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:  # an integer still: 1.0, 1E+2
        return int(Decimal(text))


def as_text(value: Value) -> str | None:
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
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def write(
    spark: SparkSession, export: "Export", files: list[StagedFile], schema: StructType, read_item: Reader
) -> None:
    """Write the staged items as the snapshot: a task reads whole staged files and writes one file."""
    context, region = spark.sparkContext, boto3.Session().region_name
    tasks = snapshot_files(sum(file.bytes for file in files), context.defaultParallelism)
    by_size = sorted(files, key=lambda file: file.bytes)
    shares = context.parallelize([by_size[task::tasks] for task in range(tasks)], tasks)
    rows = shares.flatMap(lambda share: map(read_item, read_staged(share, region)))
    (
        spark.createDataFrame(rows, schema, verifySchema=False)
        .write.mode("overwrite")
        .option("compression", "snappy")
        .option("mapreduce.fileoutputcommitter.marksuccessfuljobs", "false")  # no _SUCCESS beside the data
        .format(export.output_format)
        .save(export.location)
    )


def snapshot_files(staged_bytes: int, cores: int) -> int:
    return max(1, math.ceil(staged_bytes / SNAPSHOT_FILE_BYTES), min(cores, staged_bytes // BUSY_FILE_BYTES))


# ------------------------------------------------------------------------------------------------------------ prove


def prove(spark: SparkSession, export: "Export", staged: Staged, schema: StructType) -> dict[str, Any]:
    """The manifest of a complete snapshot. Raises ExportFailed if a single item is missing, or there twice."""
    items_staged = sum(file.items for file in staged.files)
    items_written = spark.read.format(export.output_format).load(export.location).count()
    if not staged.items_counted == items_staged == items_written:
        raise ExportFailed(
            f"The snapshot is not complete: DynamoDB counted {staged.items_counted} items, {items_staged} were staged, "
            f"{items_written} written. Run the export again."
        )
    filesystem, path = folder(spark, export.location)
    content = filesystem.getContentSummary(path)
    return {
        "version": 1,
        "export_id": export.export_id,
        "table_name": export.table_name,
        "snapshot_timestamp": export.snapshot_timestamp,
        "read_mode": export.read_mode,
        "output_format": export.output_format,
        "location": export.location,
        "items_counted": staged.items_counted,
        "items_written": items_written,
        "files": content.getFileCount(),
        "bytes": content.getLength(),
        "read_capacity_units": staged.read_capacity_units,
        "schema": [{"name": column.name, "type": column.dataType.simpleString()} for column in schema],
    }


def clear(spark: SparkSession, export: "Export") -> None:
    """Remove what an earlier run for this snapshot left: snapshot, staged files, manifest.

    The snapshot both as Spark sees it and as S3 does, for only on AWS these are sure to be the same.
    """
    filesystem, path = folder(spark, export.location)
    filesystem.delete(path, True)
    s3 = connect("s3")
    for uri in (export.location, export.staging):
        place = bucket_and_key(uri)
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=place["Bucket"], Prefix=place["Key"]):
            if keys := [{"Key": found["Key"]} for found in page.get("Contents", [])]:
                answer = s3.delete_objects(Bucket=place["Bucket"], Delete={"Objects": keys, "Quiet": True})
                for refused in answer.get("Errors", []):
                    raise ExportFailed(f"Could not delete {uri}: {refused['Code']} for {refused['Key']}.")
    s3.delete_object(**bucket_and_key(export.manifest))


def explain(error: Exception, export: "Export") -> str:
    """What went wrong, for the operator. An executor's error comes wrapped in Spark's, as text."""
    text = str(error)
    if isinstance(error, ExportFailed):
        return text
    if failed := re.search(rf"{ExportFailed.__name__}: (.+)", text):
        return failed[1]
    if refused := re.search(r"An error occurred \((\w+)\) when calling the (\w+) operation.*?: (.*)", text):
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
    output_format: str
    output_prefix: str
    snapshot_timestamp: str
    export_id: str
    staging_prefix: str
    manifest: str

    @property
    def location(self) -> str:
        return f"{self.output_prefix}/{PARTITION_COLUMN}={self.snapshot_timestamp}/"

    @property
    def staging(self) -> str:
        return f"{self.staging_prefix}/{self.snapshot_timestamp}/"

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
        return cls(**{argument.name: argument.type(given[argument.name]) for argument in fields(cls)})


S3_FOLDER = r"s3://[^/]+/.*[^/]", "s3://bucket/folder, with no slash at its end"
ARGUMENTS = {
    "table_name": (r"[a-zA-Z0-9_.-]{3,255}", "the name of a DynamoDB table"),
    "read_percentage": (r"0?\.[1-9]\d*|1(\.0*)?", "a number from 0.1 to 1.0"),
    "read_capacity_cap": (r"\d+(\.\d+)?", "read capacity units per second, or 0 for no cap"),
    "read_mode": ("|".join(READ_MODES), f"one of: {', '.join(READ_MODES)}"),
    "output_format": ("|".join(OUTPUT_FORMATS), f"one of: {', '.join(OUTPUT_FORMATS)}"),
    "output_prefix": S3_FOLDER,
    "snapshot_timestamp": (r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ", "UTC to the second, such as 2026-11-23T02-00-07Z"),
    "staging_prefix": S3_FOLDER,
    "manifest": (r"s3://[^/]+/.*[^/]", "s3://bucket/key"),
}


# --------------------------------------------------------------------------------------------------------------- S3


def connect(service: str, region: str | None = None) -> Any:
    """A client that waits out throttling for some minutes."""
    return boto3.client(service, region_name=region, config=Config(retries={"mode": "adaptive", "max_attempts": 12}))


def bucket_and_key(uri: str) -> dict[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return {"Bucket": bucket, "Key": key}


def put(uri: str, content: bytes, region: str | None = None) -> None:
    connect("s3", region).put_object(**bucket_and_key(uri), Body=content)


def folder(spark: SparkSession, location: str) -> tuple[Any, Any]:
    """The Hadoop file system and path that Spark writes to at this location."""
    path = spark.sparkContext._jvm.org.apache.hadoop.fs.Path(location)
    return path.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration()), path


if __name__ == "__main__":
    main(sys.argv)
