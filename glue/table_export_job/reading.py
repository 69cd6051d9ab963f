"""Reading a table: a parallel scan at a limited rate, or the files of DynamoDB's own export to S3."""

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import boto3
import orjson
from pyspark.sql import SparkSession

from table_export_job.arguments import JobArguments
from table_export_job.clients import connect
from table_export_job.contract import Contract
from table_export_job.errors import PermanentError
from table_export_job.rounds import Position, Task, hot_segment, hot_share, next_round
from table_export_job.s3 import delete_all_versions, get, list_objects
from table_export_job.staging import SegmentWriter, StagedFile, StagedItems, no_garbage_collection

SEGMENT_BYTES = 32 * 1024 * 1024  # of the table: one task reads a smaller table
SEGMENTS_PER_CORE = 8  # at most: the smaller the segments are, the more evenly the cores are used
ON_DEMAND_READ_UNITS = 12_000  # per second: the warm throughput that AWS documents for a new on-demand table
READ_UNIT_BYTES = 8192  # eventually consistent: two blocks of 4 KB
PAGE_SECONDS = 5  # a page may consume what its reader is granted in this time, so a slow export reads small pages
LEAST_PAGE_UNITS = 1  # DynamoDB charges half a unit for the smallest page
PAGE_ITEMS = 100_000  # no page of 1 MB holds more


def scan(spark: SparkSession, arguments: JobArguments, table: dict[str, Any], contract: Contract) -> StagedItems:
    """Stage the table by a parallel scan: in rounds of Spark tasks, each with its share of the rate.

    A task reports what it did as its result, not through an accumulator: a retried task would count twice.
    """
    context, region = spark.sparkContext, boto3.Session().region_name  # executors may not know their Region
    cores, size = context.defaultParallelism, table["TableSizeBytes"]
    segments = segment_count(size, cores)
    rate = read_rate(table, arguments.read_percentage, arguments.read_capacity_cap)
    item_units = (size / (table["ItemCount"] or 1) or 1024) / READ_UNIT_BYTES
    observes = arguments.entities == "-"  # the attributes of entities are observed while they are converted
    print(f"Scanning {arguments.table_name} in {segments} segments at {rate:g} read capacity units per second")

    def read_segments(task: Task) -> SegmentsRead:
        limiter, dynamodb, read = RateLimiter(task.rate, item_units), connect("dynamodb", region), []
        with no_garbage_collection():
            for position in task.positions:
                if limiter.elapsed() >= task.seconds:
                    break
                name = f"{position.segment:05d}" + (f"-{position.parts}" if position.parts else "")
                prefix = f"{arguments.staging}{name}"
                writer = SegmentWriter(connect("s3", region), prefix, contract, observes=observes)
                request = {"TableName": arguments.table_name, "Segment": position.segment, "TotalSegments": segments}
                if position.start_key:
                    request["ExclusiveStartKey"] = position.start_key
                next_key = None
                for page in pages(dynamodb, request, limiter, task.seconds):
                    writer.add(page)
                    next_key = page.get("LastEvaluatedKey")
                read.append(SegmentRead(Position(position.segment, next_key, position.parts + 1), writer.close()))
        if not task.is_alone:
            limiter.wait()  # the next round may begin
        return SegmentsRead(read, limiter.elapsed())

    staged, elapsed, units = StagedItems(0, 0.0, [], {}), 0.0, [0.0] * segments
    unfinished = [Position(segment) for segment in range(segments)]
    while unfinished:
        left = max(0.0, size / READ_UNIT_BYTES - staged.read_capacity_units) / rate
        tasks = next_round(unfinished, cores, rate, item_units, elapsed, left)
        results = context.parallelize(tasks, len(tasks)).map(read_segments).collect()
        elapsed += max(result.seconds for result in results)
        positions = {position.segment: position for position in unfinished}
        for read in (read for result in results for read in result.segments):
            staged = staged.with_more(read.staged)
            units[read.position.segment] += read.staged.read_capacity_units
            positions[read.position.segment] = read.position
        unfinished = [position for position in positions.values() if position.start_key or not position.parts]
    if hot := hot_segment(units):
        print(hot)
    return staged._replace(hot_share=round(hot_share(units), 3))


def segment_count(table_bytes: int, cores: int) -> int:
    """In how many segments a table is read.

    The size in DescribeTable is hours old: a table of 0 bytes may have been loaded since. Then all cores read it. If it
    is empty, that costs an empty page for each core.
    """
    return min(SEGMENTS_PER_CORE * cores, math.ceil(table_bytes / SEGMENT_BYTES) or cores)


def read_rate(table: dict[str, Any], percentage: float, cap: float) -> float:
    """The read capacity units per second that the export may consume, according to the table's description."""
    if table.get("BillingModeSummary", {}).get("BillingMode") == "PAY_PER_REQUEST":
        capacity = table.get("WarmThroughput", {}).get("ReadUnitsPerSecond") or ON_DEMAND_READ_UNITS
        limit = table.get("OnDemandThroughput", {}).get("MaxReadRequestUnits", -1)  # -1: the table sets none
        capacity = min(capacity, limit) if limit > 0 else capacity
    else:
        capacity = table["ProvisionedThroughput"]["ReadCapacityUnits"]
    return min(capacity * percentage, cap or math.inf)


class RateLimiter:
    """Limits a reader to a rate of capacity units per second.

    The consumption of a page is known only after it was read, so the reader waits before the next one. A page is
    limited to as many items as the rate allows, according to the consumption so far. Unused time is not saved up.
    """

    def __init__(
        self,
        rate: float,
        units_per_item: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate, self._units_per_item, self._clock, self._sleep = rate, units_per_item, clock, sleep
        self._began = self._paid_until = clock()

    @property
    def items_per_page(self) -> int:
        granted = max(LEAST_PAGE_UNITS, self._rate * PAGE_SECONDS)
        return max(1, min(PAGE_ITEMS, int(granted / self._units_per_item)))

    def elapsed(self) -> float:
        """The seconds since the reader began."""
        return self._clock() - self._began

    def charge(self, units: float, items: int) -> None:
        """Note what a page of so many items consumed."""
        if units and items:
            self._units_per_item = units / items
        self._paid_until += units / self._rate

    def wait(self) -> None:
        """Wait until the rate has granted what was consumed."""
        now = self._clock()
        if self._paid_until > now:
            self._sleep(self._paid_until - now)
        else:
            self._paid_until = now


def pages(
    dynamodb: Any, request: dict[str, Any], limiter: RateLimiter, seconds: float = math.inf
) -> Iterator[dict[str, Any]]:
    """The pages of a scan, at the limited rate, until the limiter is so many seconds old. There is at least one.

    Items are as DynamoDB sent them, with binary values in base64.

    botocore's own parser would take most of the job's time, only to decode what is encoded again for staging.
    """

    def keep_items(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
        if response_dict["status_code"] == 200:
            try:
                page = orjson.loads(response_dict["body"])
            except ValueError:  # the answer is incomplete: botocore retries the call
                return
            customized_response_dict["Items"] = page.pop("Items")
            response_dict["body"] = orjson.dumps(page)

    dynamodb.meta.events.register("before-parse.dynamodb.Scan", keep_items, unique_id="keep-items")
    limiter.wait()
    while True:
        page = dynamodb.scan(**request, Limit=limiter.items_per_page, ReturnConsumedCapacity="TOTAL")
        limiter.charge(page["ConsumedCapacity"]["CapacityUnits"], page["Count"])
        yield page
        if "LastEvaluatedKey" not in page:
            return
        request = request | {"ExclusiveStartKey": page["LastEvaluatedKey"]}
        limiter.wait()
        if limiter.elapsed() >= seconds:
            return


class SegmentRead(NamedTuple):
    """What a task read of a segment in a round."""

    position: Position  # after it
    staged: StagedItems


class SegmentsRead(NamedTuple):
    segments: list[SegmentRead]
    seconds: float


def find_table_export(s3: Any, arguments: JobArguments, contract: Contract) -> StagedItems:
    """The items as DynamoDB's own export staged them. Their attributes are not known yet.

    Raises PermanentError if the table export that the arguments name is not complete, or not of the table.
    DynamoDB wrote its files without the contract, so whoever reads them applies it.
    Its files: DynamoDB developer guide, "DynamoDB table export output format".
    """
    folder = os.path.dirname(arguments.table_export)  # paths in the export's manifests may lack the prefix
    summary = json.loads(get(s3, arguments.table_export))
    for name, wanted in {"outputFormat": "DYNAMODB_JSON", "exportType": "FULL_EXPORT"}.items():
        if summary.get(name, wanted) != wanted:
            raise PermanentError(
                f"{arguments.table_export} has {name} {summary[name]}, not {wanted}. Run the export again."
            )
    if summary["tableArn"].rpartition("/")[2] != arguments.table_name:
        raise PermanentError(
            f"{arguments.table_export} is an export of {summary['tableArn']}, not of table {arguments.table_name}."
        )
    listed = [json.loads(line) for line in get(s3, f"{folder}/manifest-files.json").splitlines() if line]
    sizes = {os.path.basename(found["Key"]): found["Size"] for found in list_objects(s3, f"{folder}/data/")}
    files = []
    for file in listed:
        name = os.path.basename(file["dataFileS3Key"])
        if name not in sizes:
            raise PermanentError(f"The table export lacks its file {folder}/data/{name}. Run the export again.")
        uri, items, md5 = f"{folder}/data/{name}", file["itemCount"], file["md5Checksum"]
        files.append(StagedFile(uri, items, sizes[name], md5, contract))
    return StagedItems(summary["itemCount"], 0.0, files, {})


def delete_table_export(s3: Any, arguments: JobArguments) -> None:
    """Delete the items that DynamoDB's export holds, with all versions: no later step and no other run needs them."""
    delete_all_versions(s3, f"{os.path.dirname(arguments.table_export)}/data/")
