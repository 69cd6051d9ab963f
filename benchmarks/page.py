"""What the page of all pipelines costs: CPU, bytes and reads, for 3, 50 and 500 pipelines.

Each page is made as the function makes it, from answers in DynamoDB's own form, to the HTML. Beside it what no
page can do without: botocore reading the same answers. Medians of interleaved runs, in this process.

    PYTHONPATH=services python -m benchmarks.page [--runs 15]
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from botocore.awsrequest import AWSResponse
from botocore.config import Config

from pipeline_widget.handler import widget
from table_exports.aws.records import Records

SIZES = (3, 50, 500)
NOW = datetime(2026, 11, 23, 2, 8, tzinfo=UTC)
PAGE_BYTES = 1_000_000  # of a Scan's page, about
ENDPOINT = "arn:aws:lambda:us-east-1:123456789012:function:table-exports-pipeline_widget"


class Cloud:
    """State records whose reads are answered here."""

    def __init__(self, heads: list[dict[str, Any]]) -> None:
        self.reads, self.region = 0, "us-east-1"
        per_page = max(1, PAGE_BYTES * len(heads) // len(json.dumps(heads)))
        self._pages = [heads[start : start + per_page] for start in range(0, len(heads), per_page)]
        keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
        self.client = boto3.client(
            "dynamodb", region_name=self.region, config=Config(retries={"mode": "standard"}), **keys
        )
        self.client.meta.events.register("before-send.dynamodb.Scan", self._answer)
        self.records = Records(self.client, "table-exports", 90)

    def _answer(self, request: Any, **_: Any) -> AWSResponse:
        self.reads += 1
        asked = json.loads(request.body)
        number = int(asked.get("ExclusiveStartKey", {}).get("pipeline", {"S": "0"})["S"])
        found = self._pages[number] if asked["IndexName"] == "stack_id" else []
        more = asked["IndexName"] == "stack_id" and number + 1 < len(self._pages)
        next_page = {"LastEvaluatedKey": {"pipeline": {"S": str(number + 1)}}} if more else {}
        answer = AWSResponse(request.url, 200, {}, None)
        answer._content = json.dumps({"Items": found, "Count": len(found)} | next_page).encode()
        return answer


def a_head(number: int) -> dict[str, Any]:
    """Of a pipeline that remembers as many ends as a head keeps, the last of them a failure with a long reason."""
    texts = {
        "pipeline": f"orders_{number:03}-parquet",
        "record": "pipeline",
        "stack_id": f"arn:aws:cloudformation:us-east-1:123456789012:stack/table-exports-orders_{number:03}-parquet/1",
        "table_name": f"Orders_{number:03}",
        "catalog_name": f"orders_{number:03}",
        "output_format": "parquet",
        "output_prefix": f"s3://table-exports-123456789012-us-east-1/exports/snapshots_orders_{number:03}",
        "glue_job_name": f"table-exports-orders_{number:03}-parquet",
        "crawler_name": f"table-exports-orders_{number:03}-parquet",
        "schedule_expression": "cron(0 4 * * ? *)",
        "schedule_time_zone": "UTC",
        "scheduled_since": "2026-10-01T00:00:00+00:00",
        "published_snapshot": "2026-11-22T02-00-00Z",
        "last_succeeded_at": "2026-11-22T02:03:00+00:00",
    }
    numbers = {"timeout_minutes": 480}
    ends = [an_end(NOW - timedelta(days=14 - n), failed=n == 14) for n in range(15)]
    known = {name: {"S": text} for name, text in texts.items()} | {name: {"N": str(n)} for name, n in numbers.items()}
    return known | {"scheduled": {"BOOL": True}, "recent": {"L": [{"M": end} for end in ends]}}


def an_end(moment: datetime, failed: bool) -> dict[str, Any]:
    texts = {
        "export_id": "5f0d1c9a7be34f1c2a6e",
        "snapshot_timestamp": f"{moment:%Y-%m-%dT%H-%M-%SZ}",
        "stage": "FAILED" if failed else "SUCCEEDED",
        "ended_at": moment.isoformat(),
    }
    texts |= {"failed_stage": "EXPORTING", "reason": "The job ran out of memory. " * 11} if failed else {}
    numbers = {"seconds": 190} | ({} if failed else {"items": 1_234_567})
    return {name: {"S": text} for name, text in texts.items()} | {name: {"N": str(n)} for name, n in numbers.items()}


def cpu_of(work: Callable[[], Any]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def read_alone(cloud: Cloud) -> int:
    pages = cloud.client.get_paginator("scan")
    return sum(
        len(page["Items"])
        for index in ("stack_id", "waiting_on")
        for page in pages.paginate(TableName="table-exports", IndexName=index)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of pipelines")
    given = parser.parse_args()
    runs, sizes = given.runs, given.sizes
    clouds = {size: Cloud([a_head(number) for number in range(size)]) for size in sizes}
    asked = {"widgetContext": {"theme": "light"}}

    def page(size: int) -> str:
        return widget(asked, ENDPOINT, "bench", clouds[size], NOW)

    shown = {size: page(size) for size in sizes}  # which warms up, too
    reads = {size: cloud.reads for size, cloud in clouds.items()}
    pages: dict[int, list[float]] = {size: [] for size in sizes}
    reading: dict[int, list[float]] = {size: [] for size in sizes}
    for _ in range(runs):
        for size in sizes:
            pages[size].append(cpu_of(lambda size=size: page(size)))
            reading[size].append(cpu_of(lambda size=size: read_alone(clouds[size])))
    print("pipelines  requests  KB of HTML  CPU ms  to reading alone")
    for size in sizes:
        took, alone = statistics.median(pages[size]), statistics.median(reading[size])
        kilobytes = len(shown[size].encode()) / 1000
        print(f"{size:9}  {reads[size]:8}  {kilobytes:10.0f}  {took * 1000:6.0f}  {took / alone:16.2f}")


if __name__ == "__main__":
    main()
