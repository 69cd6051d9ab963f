"""How the job reads a table: each item once, at its rate, whatever happens. At a DynamoDB that says what was consumed.

A virtual clock makes reading instantaneous, so that only the pace holds a reader back; the cases in real time say so.
"""

import gzip
import json
import math
import random
import re
import threading
import time
import zlib
from collections import Counter
from functools import partial
from types import SimpleNamespace

import boto3
import botocore.endpoint
import pytest
from botocore.exceptions import ClientError
from botocore.retries.bucket import TokenBucket

import export_table
from table_export_job import reading, rounds
from table_export_job.arguments import JobArguments
from table_export_job.contract import NO_RULES
from table_export_job.errors import ExportFailed, run_error
from table_export_job.reading import scan
from table_export_job.s3 import get
from tests.glue.dynalite_server import DROPPED, THROTTLED, Clock, Threads, item_bytes
from tests.glue.job_places import BUCKET

pytestmark = [  # boto3 leaves the closing of sockets to the garbage collector
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

UNIT = 8192  # bytes, eventually consistent
PAGE_UNITS = (1024 + 400) * 1024 / UNIT  # of the dearest page: it ends with the item that exceeds 1 MB


def items_of(size, count):
    return [{"id": f"{number:04d}", "text": "x" * (size - 10)} for number in range(count)]


TABLES = {"Small": items_of(200, 3000), "Medium": items_of(20_000, 200), "Large": items_of(380_000, 24)}


@pytest.fixture(scope="module")
def tables(dynamodb_server):
    """The units that reading each table once consumes, but for the rounding of pages."""
    for name, items in TABLES.items():
        dynamodb_server.load(name, items)
    return {name: sum(map(item_bytes, items)) / UNIT for name, items in TABLES.items()}


@pytest.fixture
def clock(endpoint, monkeypatch):
    """Readers, their retries and the endpoint are on a clock that nobody waits for."""
    clock = Clock()
    endpoint.clock = clock
    monkeypatch.setattr(botocore.endpoint, "time", SimpleNamespace(sleep=clock.sleep))
    # botocore also holds back requests after throttling, by a wait that no clock of ours ends.
    monkeypatch.setattr(TokenBucket, "acquire", lambda *_, **__: True)
    return clock


@pytest.fixture
def read(endpoint, arguments, monkeypatch):
    """Scans a table as the job does, in so many segments. The clock is the reader's."""
    connect, one_at_a_time = reading.connect, threading.Lock()

    def connect_safely(*given):  # boto3.client is not for threads; Spark's tasks are processes
        with one_at_a_time:
            return connect(*given)

    def read_table(table_name, segments=1, clock=None, *, per_core=1, **changed):
        monkeypatch.setattr(reading, "SEGMENTS_PER_CORE", per_core)
        if clock:
            limiter = partial(reading.RateLimiter, clock=clock, sleep=clock.sleep)
            monkeypatch.setattr(reading, "RateLimiter", limiter)
        table = boto3.client("dynamodb").describe_table(TableName=table_name)["Table"]
        return scan(Threads(segments, clock), JobArguments.from_argv(arguments(table_name, **changed)), table, NO_RULES)

    monkeypatch.setattr(reading, "connect", connect_safely)
    monkeypatch.setattr(reading, "SEGMENT_BYTES", 1)  # as many segments as may be
    return read_table


@pytest.fixture
def in_one_round(monkeypatch):
    """No segment gets what others leave of the rate."""
    monkeypatch.setattr(rounds, "ROUND_SECONDS", math.inf)


@pytest.fixture
def staged_items(environment):
    """The items of staged files."""

    def items(files):
        s3 = boto3.client("s3")
        for file in files:
            yield from (json.loads(line)["Item"] for line in gzip.decompress(get(s3, file.uri)).splitlines())

    return items


def slow(*values):
    """These values, in the slow tier only."""
    return pytest.param(*values, marks=pytest.mark.slow)


def ids(items):
    return sorted(item["id"]["S"] for item in items)


def answered_ids(pages):
    return ids(item for page in pages for item in page.items)


def of_each_segment(pages):
    return [[page for page in pages if page.segment == segment] for segment in {page.segment for page in pages}]


def allowance(pages):
    """A page is paid after it was read: each segment may be ahead by its dearest."""
    return sum(max(page.units for page in segment) for segment in of_each_segment(pages))


def most_consumed_in(seconds, pages):
    return max(sum(page.units for page in pages if 0 <= page.at - first.at <= seconds) for first in pages)


# -------------------------------------------------------------------------------------------------------- read once


@pytest.mark.parametrize("segments", [1, 2, 4])
@pytest.mark.parametrize("table_name", TABLES)
def test_each_item_is_read_once_and_consumption_is_reported(
    endpoint, tables, read, staged_items, clock, table_name, segments
):
    staged = read(table_name, segments, clock)

    expected = [item["id"] for item in TABLES[table_name]]
    assert answered_ids(endpoint.pages) == expected
    assert ids(staged_items(staged.files)) == expected
    assert staged.items_counted == sum(file.items for file in staged.files) == len(expected)
    assert {page.segment for page in endpoint.pages} == set(range(segments))
    assert Counter(endpoint.requests) == {("DescribeTable", table_name): 1, ("Scan", table_name): len(endpoint.pages)}
    consumed = sum(page.units for page in endpoint.pages)
    assert tables[table_name] <= consumed <= tables[table_name] + 0.5 * len(endpoint.pages)
    assert staged.read_capacity_units == consumed


def test_a_large_table_is_read_in_pages_of_a_megabyte(endpoint, tables, read, clock):
    read("Medium", 1, clock)

    assert len(endpoint.pages) == math.ceil(200 * 20_000 / 1024**2)
    assert all(page.units == pytest.approx(129.5, abs=2) for page in endpoint.pages[:-1])


@pytest.mark.parametrize("rate", ["0.1", "0.4"])
def test_a_slow_reader_consumes_no_more_than_a_fast_one(endpoint, tables, read, clock, rate):
    read("Small", 2, clock, read_capacity_cap=rate)  # no page costs less than half a unit, however few its items

    assert sum(page.units for page in endpoint.pages) <= 1.05 * tables["Small"]


@pytest.mark.slow
def test_the_script_reads_each_item_once_on_spark(run_on_spark, endpoint, tables, arguments, manifest):
    run = run_on_spark(arguments("Medium"))

    assert run.returncode == 0, run.stderr
    expected = [item["id"] for item in TABLES["Medium"]]
    assert answered_ids(endpoint.pages) == expected
    assert {operation for operation, _ in endpoint.requests} == {"DescribeTable", "Scan"}
    proof = manifest("Medium")
    assert (proof["items_counted"], proof["items_written"]) == (200, 200)
    assert proof["read_capacity_units"] == sum(page.units for page in endpoint.pages)


# -------------------------------------------------------------------------------------------------------- rate held


@pytest.mark.parametrize("segments", [1, 2, 4])
@pytest.mark.parametrize("percentage", [slow(0.1), 0.25, slow(1.0)])
@pytest.mark.parametrize(
    ("table_name", "capacity", "dearest_item"), [("Small", 15, 0.5), ("Medium", 50, 2.5), ("Large", 40, 46.5)]
)
def test_the_rate_is_held_at_all_times_and_used(
    in_one_round, endpoint, tables, read, clock, table_name, capacity, dearest_item, percentage, segments
):
    endpoint.described = {"ProvisionedThroughput": {"ReadCapacityUnits": capacity}}

    read(table_name, segments, clock, read_percentage=str(percentage))

    pages, rate = endpoint.pages, capacity * percentage
    for page in pages:  # what five seconds pay for, to the next half unit, or else one item
        assert page.units <= max(5 * rate / segments + 0.5, dearest_item)
    for seconds in (0, 1, 5, 20, 60):
        assert most_consumed_in(seconds, pages) <= rate * seconds + allowance(pages)
    for segment in of_each_segment(pages):  # neither faster nor slower
        paid = sum(page.units for page in segment[:-1])
        assert segment[-1].at - segment[0].at == pytest.approx(paid / (rate / segments))


@pytest.mark.parametrize(
    ("table_name", "segments", "capacity", "percentage"),
    [slow("Small", 4, 32, 0.25), ("Medium", 1, 150, 1.0), slow("Large", 2, 1600, 0.25)],
)
def test_the_rate_is_held_in_real_time(endpoint, tables, read, table_name, segments, capacity, percentage):
    endpoint.described = {"ProvisionedThroughput": {"ReadCapacityUnits": capacity}}
    begun = time.monotonic()

    read(table_name, segments, read_percentage=str(percentage))

    pages, rate = endpoint.pages, capacity * percentage
    assert len(pages) > segments
    for now in pages:
        consumed = sum(page.units for page in pages if page.at <= now.at)
        assert consumed <= rate * (now.at - begun) + allowance(pages)


def test_a_reader_learns_what_items_cost_where_the_tables_size_is_out_of_date(endpoint, tables, read, clock):
    endpoint.described = {"ProvisionedThroughput": {"ReadCapacityUnits": 10}, "TableSizeBytes": 200 * 100}

    read("Medium", 1, clock)

    first, *others = endpoint.pages
    assert first.units <= PAGE_UNITS
    assert max(page.units for page in others) <= 5 * 10 + 0.5


@pytest.mark.parametrize(("cap", "rate"), [("0", 3000), ("50", 50)])
def test_an_on_demand_table_is_read_at_a_share_of_its_throughput_or_at_the_cap(
    in_one_round, endpoint, read, clock, tables, cap, rate
):
    endpoint.described = {
        "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
        "WarmThroughput": {"ReadUnitsPerSecond": 12_000},
    }

    read("Large", 2, clock, read_percentage="0.25", read_capacity_cap=cap)

    pages = endpoint.pages
    for seconds in (0, 1, 5, 20):
        assert most_consumed_in(seconds, pages) <= rate * seconds + allowance(pages)
    for segment in of_each_segment(pages):
        paid = sum(page.units for page in segment[:-1])
        assert segment[-1].at - segment[0].at == pytest.approx(paid / (rate / 2))


# ------------------------------------------------------------------------------------------------------------- skew


@pytest.fixture(scope="module")
def uneven(dynamodb_server):
    """One partition holds nearly everything: first small items, then large ones, then small ones again."""
    sizes = [100] * 400 + [300_000] * 12 + [100] * 400
    hot = [{"id": "hot", "at": f"{number:04d}", "text": "x" * size} for number, size in enumerate(sizes)]
    rest = [{"id": f"{number}", "at": "0000", "text": "x"} for number in range(20)]
    dynamodb_server.load("Uneven", hot + rest, keys=("id", "at"))
    return len(hot + rest)


@pytest.mark.parametrize("capacity", [40, 400])
@pytest.mark.parametrize("segments", [1, 4])
def test_one_segment_that_holds_nearly_everything_keeps_to_its_share(endpoint, uneven, read, clock, segments, capacity):
    endpoint.described = {"ProvisionedThroughput": {"ReadCapacityUnits": capacity}}

    staged = read("Uneven", segments, clock)

    pages = endpoint.pages
    assert staged.items_counted == uneven
    assert sum(page.count for page in pages) == uneven
    assert max(page.units for page in pages) <= PAGE_UNITS  # large items come unforeseen: at most a page of them
    for seconds in (0, 1, 5, 20, 60):
        assert most_consumed_in(seconds, pages) <= capacity * seconds + allowance(pages)
    busiest = max(of_each_segment(pages), key=lambda segment: sum(page.units for page in segment))
    paid = sum(page.units for page in busiest[:-1])
    assert busiest[-1].at - busiest[0].at == pytest.approx(paid / (capacity / segments))


@pytest.fixture(scope="module")
def skewed(dynamodb_server):
    """Half the bytes are in the 500 items of one partition key, and the other half is spread evenly."""
    hot = [{"id": "hot", "at": f"{number:04d}", "text": "x" * 4000} for number in range(500)]
    rest = [{"id": f"{number:04d}", "at": "0000", "text": "x" * 4000} for number in range(500)]
    dynamodb_server.load("Skewed", hot + rest, keys=("id", "at"))


@pytest.mark.parametrize(("cores", "per_core"), [(40, 1), slow(10, 4), slow(4, 10)])
def test_a_table_with_half_its_bytes_in_one_of_forty_segments_is_read_at_nearly_the_whole_rate(
    endpoint, skewed, read, staged_items, clock, monkeypatch, capsys, cores, per_core
):
    endpoint.described = {"ProvisionedThroughput": {"ReadCapacityUnits": 1}}
    begun = clock()

    staged = read("Skewed", cores, clock, per_core=per_core, read_percentage="0.1")

    pages, rate = endpoint.pages, 0.1
    units = sum(page.units for page in pages)
    took = max(page.at for page in pages) - begun
    with capsys.disabled():
        print(f"\n{cores} cores, {cores * per_core} segments: {took * rate / units:.2f} times the ideal time")
    assert took <= 1.3 * units / rate
    assert staged.items_counted == sum(page.count for page in pages) == 1000
    found = [(item["id"]["S"], item["at"]["S"]) for item in staged_items(staged.files)]
    assert len(found) == len({*found}) == 1000
    assert len({file.uri for file in staged.files}) == len(staged.files)
    ahead = cores * max(page.units for page in pages)  # a page is paid after it was read
    for seconds in (0, 1, 5, 20, 60, 600, 6000):
        assert most_consumed_in(seconds, pages) <= rate * seconds + ahead
    assert re.search(r"Segment \d+ of 40 has 5\d% of what was read", capsys.readouterr().out)


# ------------------------------------------------------------------------------------- throttling and broken answers


def test_throttling_is_waited_out_and_nothing_is_lost_or_read_twice(endpoint, tables, read, staged_items, clock):
    begun = clock()

    def throttle_for_a_while(request, ask):
        return THROTTLED if begun + 10 < clock() < begun + 30 else ask()

    endpoint.on_scan = throttle_for_a_while
    endpoint.described = {"ProvisionedThroughput": {"ReadCapacityUnits": 15}}
    staged = read("Small", 2, clock, read_percentage="0.1")

    expected = [item["id"] for item in TABLES["Small"]]
    assert endpoint.requests.count(("Scan", "Small")) > len(endpoint.pages)
    assert answered_ids(endpoint.pages) == expected
    assert ids(staged_items(staged.files)) == expected
    assert staged.read_capacity_units == sum(page.units for page in endpoint.pages)
    # The time that a page was waited for counts as paid, so the next one follows at once; no more is made up for.
    for seconds in (0, 1, 5, 20, 60):
        assert most_consumed_in(seconds, endpoint.pages) <= 1.5 * seconds + 2 * allowance(endpoint.pages)


def test_throttling_is_waited_out_in_real_time(endpoint, tables, read, staged_items):
    throttled = iter([False, True, False, True])
    endpoint.on_scan = lambda request, ask: THROTTLED if next(throttled, False) else ask()

    staged = read("Medium", 1)

    assert ids(staged_items(staged.files)) == answered_ids(endpoint.pages) == [item["id"] for item in TABLES["Medium"]]


def test_throttling_without_end_fails_after_minutes_with_what_to_do(endpoint, tables, read, clock):
    endpoint.on_scan = lambda request, ask: THROTTLED
    begun = clock()

    with pytest.raises(ClientError) as failed:
        read("Small", 1, clock)

    assert 30 < clock() - begun < 600
    assert str(run_error(failed.value, "Small")) == (
        "Scan failed with ProvisionedThroughputExceededException: The level of configured throughput was exceeded. "
        "Other clients use the table's capacity: lower --read_percentage, raise the capacity, or choose another time."
    )


def drop(answer):
    return DROPPED


def break_off(answer):
    whole = {"promised_bytes": len(answer.body), "checksum": zlib.crc32(answer.body)}
    return answer._replace(body=answer.body[:-1000], **whole)


def change(answer):
    return answer.changed(Items=[])._replace(checksum=zlib.crc32(answer.body))


@pytest.mark.parametrize("damage", [drop, break_off, change])
def test_a_page_that_did_not_arrive_is_asked_for_again(endpoint, tables, read, staged_items, clock, damage):
    asked = []

    def damage_every_third(request, ask):
        asked.append(request)
        return damage(ask()) if len(asked) % 3 == 0 else ask()

    endpoint.on_scan = damage_every_third
    staged = read("Medium", 1, clock)

    assert ids(staged_items(staged.files)) == [item["id"] for item in TABLES["Medium"]]
    assert staged.items_counted == 200
    assert len(endpoint.pages) == len(asked) > 4


# ------------------------------------------------------------------------------------------------ a table in use


def test_a_table_that_is_written_to_meanwhile_is_exported_as_its_pages_said(endpoint, read, staged_items, clock):
    steady = [f"steady {number:04d}" for number in range(1500)]
    leaving = [f"leaving {number:04d}" for number in range(500)]
    endpoint.load("Busy", [{"id": name, "text": "old" * 500} for name in steady + leaving])
    endpoint.described = {"ProvisionedThroughput": {"ReadCapacityUnits": 2}}  # pages of 40 items
    chance, ended, written = random.Random(1), threading.Event(), threading.Semaphore(0)

    def write():
        while not ended.is_set():
            new = {"id": {"S": f"new {chance.random()}"}, "text": {"S": "new" * 500}}
            endpoint.direct.put_item(TableName="Busy", Item=new)
            endpoint.direct.put_item(TableName="Busy", Item=new | {"id": {"S": chance.choice(steady)}})
            endpoint.direct.delete_item(TableName="Busy", Key={"id": {"S": chance.choice(leaving)}})
            written.release()

    def answer_after_a_write(request, ask):
        written.acquire()
        return ask()

    endpoint.on_scan = answer_after_a_write
    writer = threading.Thread(target=write)
    writer.start()
    try:
        staged = read("Busy", 2, clock)
    finally:
        ended.set()
        writer.join()

    found = Counter(item["id"]["S"] for item in staged_items(staged.files))
    assert (
        staged.items_counted == sum(file.items for file in staged.files) == sum(page.count for page in endpoint.pages)
    )
    assert sorted(found.elements()) == answered_ids(endpoint.pages)
    assert {name: found[name] for name in steady} == dict.fromkeys(steady, 1)
    assert set(found.values()) == {1}
    assert len(endpoint.pages) > 50


# ---------------------------------------------------------------------------------------------- a page that is lost


def test_items_that_dynamodb_counted_and_did_not_send_are_missing_in_what_was_staged(endpoint, tables, read, clock):
    def lose_the_second_page(request, ask):
        answer = ask()
        return answer.changed(Items=[]) if len(endpoint.pages) == 2 else answer

    endpoint.on_scan = lose_the_second_page
    staged = read("Medium", 1, clock)

    assert staged.items_counted == 200
    assert sum(file.items for file in staged.files) == 200 - endpoint.pages[1].count


def test_a_page_that_is_lost_fails_the_job(endpoint, tables, arguments, monkeypatch):
    def lose_an_item(request, ask):
        answer = ask()
        return answer.changed(Items=endpoint.pages[0].items[1:]) if len(endpoint.pages) == 1 else answer

    endpoint.on_scan = lose_an_item
    session = SimpleNamespace(getOrCreate=lambda: Threads(1))
    monkeypatch.setattr(
        export_table, "SparkSession", SimpleNamespace(builder=SimpleNamespace(appName=lambda _: session))
    )

    with pytest.raises(ExportFailed, match="DynamoDB counted 200 items, 199 were staged"):
        export_table.main(arguments("Medium", export_id="e2"))

    kept = boto3.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="exports/")
    assert [found["Key"] for found in kept.get("Contents", []) if "_medium" in found["Key"]] == []
