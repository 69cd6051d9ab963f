"""The whole job, beside a plain parallel scan and beside awswrangler, against one endpoint.

- `scan`: boto3 reads the table in two processes, a segment each, and throws the items away. The floor for readers
  that take boto3 as it is.
- `job`: glue/export_table.py on Spark with two cores, from the start of Python to the end of Spark.
- `awswrangler`: read_items with two threads, then to_parquet.

They run in turn, each in processes of its own, with S3 by moto's server. The endpoint is Dynalite, a true DynamoDB that
is slow itself and shares the machine's cores; or, with --endpoint pages, a server that has the pages ready and costs
next to nothing, which shows the readers alone. A megabyte is one of items as DynamoDB JSON lines.

    python -m benchmarks.export [--items 100000] [--rounds 3] [--table small] [--endpoint dynalite]
"""

import argparse
import json
import logging
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import orjson
from moto.server import ThreadedMotoServer

from benchmarks import items
from sandbox.glue import spark
from tests.dynalite import FOLDER, NODE

ROOT = Path(__file__).parent.parent
OURS, OTHERS = Path(sys.executable), ROOT / ".venv-bench/bin/python"
BUCKET, SNAPSHOT, SEGMENTS = "exports", "2026-11-23T02-00-07Z", 2
PAGE_BYTES = 1024 * 1024

LOAD = """
const { create, createKey } = require('dynalite/db')
const store = create({ path: process.argv[1], createTableMs: 0 })
const table = JSON.parse(process.argv[2])
require('dynalite/actions/createTable')(store, table, async () => {
  const items = store.getItemDb(table.TableName)
  const put = batch => new Promise((done, failed) => items.batch(batch, error => error ? failed(error) : done()))
  let batch = []
  for await (const line of require('readline').createInterface({ input: process.stdin })) {
    const item = JSON.parse(line)
    batch.push({ type: 'put', key: createKey(item, table), value: item })
    if (batch.length === 1000) { await put(batch); batch = [] }
  }
  await put(batch)
  setTimeout(() => store.db.close(() => process.exit()), 100)  // the table becomes ACTIVE meanwhile
})
"""
SERVE = """
const server = require('dynalite')({ path: process.argv[1] })
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
process.stdin.on('end', () => process.exit()).resume()
"""

SCAN = """
import boto3, multiprocessing, sys

def read(segment):
    request = {"TableName": sys.argv[1], "Segment": segment, "TotalSegments": 2, "ReturnConsumedCapacity": "TOTAL"}
    return sum(page["Count"] for page in boto3.client("dynamodb").get_paginator("scan").paginate(**request))

with multiprocessing.Pool(2) as pool:
    print(sum(pool.map(read, range(2))))
"""
# The script as it is, with a clock around its steps.
JOB = """
import json, sys, time
began = time.perf_counter()
import export_table as job
took = {"imports": time.perf_counter() - began}

def timed(name, run):
    def timing(*arguments):
        start = time.perf_counter()
        try:
            return run(*arguments)
        finally:
            took[name] = time.perf_counter() - start
    return timing

timed("Spark start", job.SparkSession.builder.getOrCreate)()
for name, step in {"stage": "scan", "convert": "write_snapshot", "publish": "publish"}.items():
    setattr(job, step, timed(name, getattr(job, step)))
job.main(["export_table.py", *json.loads(sys.argv[2])])
timed("Spark stop", job.SparkSession.getActiveSession().stop)()
print(json.dumps(took | {"whole": time.perf_counter() - began}))
"""
AWSWRANGLER = """
import sys, warnings
warnings.simplefilter("ignore")
import awswrangler as wr
frame = wr.dynamodb.read_items(table_name=sys.argv[1], allow_full_scan=True, use_threads=2)
wr.s3.to_parquet(frame, sys.argv[2])
print(len(frame))
"""


def table_of(name: str) -> dict[str, Any]:
    return {
        "TableName": name,
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    }


@contextmanager
def dynalite(table: str, lines: Iterator[bytes], folder: str) -> Iterator[str]:
    """Dynalite with the table, loaded into its storage: BatchWriteItem takes only 25 items at a time."""
    load = [NODE, "-e", LOAD, f"{folder}/db", json.dumps(table_of(table))]
    with subprocess.Popen(load, cwd=FOLDER, stdin=subprocess.PIPE) as loading:
        for line in lines:
            loading.stdin.write(line)
    if loading.returncode:
        raise SystemExit("Dynalite could not be loaded")
    serve = [NODE, "-e", SERVE, f"{folder}/db"]
    with subprocess.Popen(serve, cwd=FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


@contextmanager
def ready_pages(table: str, lines: Iterator[bytes], folder: str) -> Iterator[str]:
    """A server that has all answers ready, in a process of its own. It knows two segments, and no Limit."""
    ready: multiprocessing.Queue = multiprocessing.get_context("fork").Queue()
    process = multiprocessing.get_context("fork").Process(target=serve_pages, args=(table, lines, ready), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ready.get()}"
    finally:
        process.kill()


def serve_pages(table: str, lines: Iterator[bytes], ready: multiprocessing.Queue) -> None:
    described = table_of(table) | {"TableStatus": "ACTIVE", "ItemCount": 0, "TableSizeBytes": 0}
    described |= {"BillingModeSummary": {"BillingMode": described.pop("BillingMode")}}
    pages: list[list[bytes]] = [[] for _ in range(SEGMENTS)]  # of each segment
    numbers: dict[str, int] = {}  # of the page after each ExclusiveStartKey
    page, size = [], 0
    turn = 0

    def close(last: bool) -> None:
        segment = pages[turn % SEGMENTS]
        answer = {"Count": len(page), "ScannedCount": len(page)}
        answer |= {"ConsumedCapacity": {"TableName": table, "CapacityUnits": -(-size // 4096) / 2}}
        if not last and page:
            answer["LastEvaluatedKey"] = {"id": orjson.loads(page[-1])["id"]}
            numbers[answer["LastEvaluatedKey"]["id"]["S"]] = len(segment) + 1
        head = orjson.dumps(answer)[:-1] + b',"Items":['
        segment.append(head + b",".join(page) + b"]}")

    for line in lines:
        page.append(line.rstrip())
        size += items.stored_bytes(orjson.loads(line))
        if size >= PAGE_BYTES:
            close(last=False)
            page, size, turn = [], 0, turn + 1
    for _ in range(SEGMENTS):
        close(last=True)
        page, size, turn = [], 0, turn + 1
    checksums = [[zlib.crc32(page) for page in segment] for segment in pages]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            request = orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.headers["X-Amz-Target"].endswith(".DescribeTable"):
                body = orjson.dumps({"Table": described})
                checksum = zlib.crc32(body)
            else:
                segment = request.get("Segment", 0)
                number = numbers[request["ExclusiveStartKey"]["id"]["S"]] if "ExclusiveStartKey" in request else 0
                body, checksum = pages[segment][number], checksums[segment][number]
            self.send_response(200)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("x-amz-crc32", str(checksum))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # a process that ends hangs up
    ready.put(server.server_port)
    server.serve_forever()


ENDPOINTS = {"dynalite": dynalite, "pages": ready_pages}


class Cpu:
    """CPU seconds of a process and all that it started, also of those nobody waits for: Spark's are such."""

    def __init__(self, pid: int) -> None:
        self._root, self._used, self._over = pid, {}, threading.Event()
        self._sampling = threading.Thread(target=self._sample)
        self._sampling.start()

    def _sample(self) -> None:
        tick = os.sysconf("SC_CLK_TCK")
        while not self._over.wait(0.2):
            parents, used = {}, {}
            for folder in Path("/proc").glob("[0-9]*"):
                try:
                    fields = folder.joinpath("stat").read_text().rpartition(")")[2].split()
                except OSError:  # it has ended
                    continue
                parents[int(folder.name)] = int(fields[1])
                used[int(folder.name)] = (int(fields[11]) + int(fields[12])) / tick
            family = {self._root} | self._used.keys()
            while more := {pid for pid, parent in parents.items() if parent in family} - family:
                family |= more
            self._used |= {pid: used[pid] for pid in family & used.keys()}

    def close(self) -> float:
        self._over.set()
        self._sampling.join()
        return sum(self._used.values())


def run_once(command: list[Any], environment: dict[str, str], count: int) -> dict[str, Any]:
    """Seconds, and what it printed last."""
    start = time.perf_counter()
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        cpu = Cpu(run.pid)
        try:
            out, err = run.communicate()
        finally:
            used = cpu.close()
    if run.returncode:
        raise SystemExit(f"{out}{err}")
    wall = time.perf_counter() - start
    printed = json.loads(out.splitlines()[-1])
    if not isinstance(printed, dict) and printed != count:
        raise SystemExit(f"{printed} items of {count} were read")
    return {"wall": wall, "cpu": used, "steps": printed}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--items", type=int, default=100_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--table", choices=items.TABLES, default="small")
    options.add_argument("--endpoint", choices=ENDPOINTS, default="dynalite")
    options.add_argument("--alone", action="store_true", help="leave out awswrangler, which needs .venv-bench")
    given = options.parse_args()
    size = 0

    def lines() -> Iterator[bytes]:
        nonlocal size
        for item in items.items(items.TABLES[given.table], given.items):
            line = orjson.dumps(item, option=orjson.OPT_APPEND_NEWLINE)
            size += len(line) + len('{"Item":}')
            yield line

    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        with ENDPOINTS[given.endpoint](given.table, lines(), folder) as dynamodb:
            size = size or sum(len(line) + len('{"Item":}') for line in lines())  # another process loaded it
            loading = time.perf_counter() - start
            print(f"{given.items} items, {size / 1e6:.0f} MB, in {given.endpoint} after {loading:.0f} s")
            compare(given, size, dynamodb, Path(folder))


def compare(given: argparse.Namespace, size: int, dynamodb: str, folder: Path) -> None:
    table, count = given.table, given.items
    logging.getLogger("werkzeug").disabled = True  # it would print each request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    s3 = "http://{}:{}".format(*server.get_host_and_port())
    access = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
    places = {"AWS_ENDPOINT_URL": s3, "AWS_ENDPOINT_URL_DYNAMODB": dynamodb}
    environment = (
        os.environ
        | access
        | places
        | spark.environment(folder)
        | {"PYTHONPATH": str(ROOT / "glue"), "JDK_JAVA_OPTIONS": ""}  # compiled as on Glue, for runs of minutes
    )
    boto3.client(
        "s3", endpoint_url=s3, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    ).create_bucket(Bucket=BUCKET)
    commands = {
        "scan": [OURS, "-c", SCAN, table],
        "job": [OURS, "-c", JOB, table, json.dumps(arguments(table))],
        "awswrangler": [OTHERS, "-c", AWSWRANGLER, table, f"s3://{BUCKET}/awswrangler.parquet"],
    }
    if given.alone:
        del commands["awswrangler"]
    runs = {name: [] for name in commands}
    for _ in range(given.rounds):
        for name, command in commands.items():
            runs[name].append(run_once(command, environment, count))
    server.stop()

    print(f"{'medians':16}{'seconds':>10}{'of scan':>10}{'items/s':>10}{'MB/s':>8}{'CPU s':>8}{'of scan':>10}")
    walls = {name: statistics.median(run["wall"] for run in runs[name]) for name in commands}
    cpus = {name: statistics.median(run["cpu"] for run in runs[name]) for name in commands}
    for name, wall in walls.items():
        print(
            f"{name:16}{wall:10.1f}{wall / walls['scan']:10.2f}{count / wall:10.0f}{size / 1e6 / wall:8.1f}"
            f"{cpus[name]:8.1f}{cpus[name] / cpus['scan']:10.2f}"
        )
    print("\nthe job's steps")
    steps = [run["steps"] | {"rest": 2 * run["steps"]["whole"] - sum(run["steps"].values())} for run in runs["job"]]
    for step in steps[0]:
        if step != "whole":
            seconds = statistics.median(taken[step] for taken in steps)
            print(f"  {step:14}{seconds:10.1f}{seconds / statistics.median(taken['whole'] for taken in steps):10.0%}")


def arguments(table: str) -> list[str]:
    given = {
        "table_name": table,
        "read_percentage": "1.0",
        "read_capacity_cap": "0",
        "read_mode": "scan",
        "table_export": "-",
        "output_format": "parquet",
        "output_prefix": f"s3://{BUCKET}/exports/snapshots_{table}",
        "snapshot_timestamp": SNAPSHOT,
        "export_id": "e1",
        "staging_prefix": f"s3://{BUCKET}/staging/{table}",
        "manifest": f"s3://{BUCKET}/exports/manifests_{table}/{SNAPSHOT}.json",
        "columns": "-",
        "hash_secret": "-",
    }
    return [part for name, value in given.items() for part in (f"--{name}", value)]


if __name__ == "__main__":
    main()
