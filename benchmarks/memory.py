"""How much memory the job needs for wide, large and many items and files.

Each case runs in a process of its own. The figures are MiB: what the process has when the step starts (Python and the
libraries), and how much more it has at most. On Glue, the executor of a G.1X worker runs up to four tasks at a time.

- `scan`: what a task needs to stage and to observe pages of a scan.
- a format: what a task needs to convert staged items to it. `first export`: as before, of unknown attributes.
- `driver`: what the driver needs for a number of staged files, without Spark, and the bytes that a task gets.

    python -m benchmarks.memory [--megabytes 100] [--files 100000] [--formats parquet csv]
"""

import argparse
import base64
import gzip
import hashlib
import json
import multiprocessing
import os
import pickle
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson

from benchmarks import items
from benchmarks.convert import KEY
from benchmarks.items import Item
from table_export_job.attributes import observe
from table_export_job.columns import SnapshotTable, snapshot_columns
from table_export_job.contract import NO_RULES
from table_export_job.formats import FORMATS
from table_export_job.one_pass import ObservingConverter, observe_start
from table_export_job.reading import find_table_export
from table_export_job.snapshot import file_groups
from table_export_job.staged_lines import RowConverter
from table_export_job.staging import SegmentWriter, StagedFile, as_base64, no_garbage_collection, read_staged

MIB = 1024 * 1024
PAGE_BYTES = 1024 * 1024  # of a scan
CORES = 4  # of a worker of type G.1X
NOTHING = SnapshotTable([], {})


def some_attributes(n: int, some: random.Random) -> Item:
    """Twenty of 2,000 attributes."""
    numbers = some.sample(range(2000), 19)
    return {"id": {"S": f"{n:09d}"}} | {f"attribute_{m:04d}": {"N": str(some.randrange(10**6))} for m in numbers}


def all_attributes(n: int, some: random.Random) -> Item:
    return {"id": {"S": f"{n:09d}"}} | {f"attribute_{m:04d}": {"S": some.choice(items.WORDS)} for m in range(1999)}


def map_keys(n: int, some: random.Random) -> Item:
    counts = {f"key-{m:05d}": {"N": str(some.randrange(1000))} for m in range(10_000)}
    return {"id": {"S": f"{n:09d}"}, "counts": {"M": counts}}


def large_text(n: int, some: random.Random) -> Item:
    """Bytes that gzip cannot make shorter."""
    return {"id": {"S": f"{n:09d}"}, "content": {"B": base64.b64encode(some.randbytes(390_000)).decode()}}


def large_list(n: int, some: random.Random) -> Item:
    """As many elements as an item of 400 KB can have."""
    return {"id": {"S": f"{n:09d}"}, "list": {"L": [{"N": str(some.randrange(10))} for _ in range(125_000)]}}


TABLES: dict[str, Callable[[int, random.Random], Item]] = {
    "small items": items.small,
    "20 of 2,000 attributes": some_attributes,
    "2,000 attributes": all_attributes,
    "10,000 map keys": map_keys,
    "400 KB of binary": large_text,
    "400 KB of list": large_list,
}


class LocalFiles:
    """S3 with local files: the key is the path."""

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        return {"Body": open(f"/{Key}", "rb")}

    def put_object(self, Bucket: str, Key: str, Body: bytes) -> None:
        """Nobody reads it."""


def stage(table: str, path: str, megabytes: float) -> StagedFile:
    count, size = 0, 0
    with gzip.open(path, "wb", compresslevel=1) as file:
        for item in items.items(TABLES[table], sys.maxsize):
            line = orjson.dumps({"Item": item}, option=orjson.OPT_APPEND_NEWLINE)
            file.write(line)
            count, size = count + 1, size + len(line)
            if size >= megabytes * 1e6:
                break
    content = Path(path).read_bytes()
    return StagedFile(f"s3://x{path}", count, len(content), as_base64(hashlib.md5(content)))


def scan(table: str, megabytes: float) -> None:
    """A segment of the table, page by page, from the body of the answers."""
    writer = SegmentWriter(LocalFiles(), "s3://x/segment")
    with no_garbage_collection():
        for body in pages(table, megabytes):
            page = orjson.loads(body)
            writer.add(page | {"Count": len(page["Items"]), "ConsumedCapacity": {"CapacityUnits": 1.0}})
        writer.close()


def pages(table: str, megabytes: float) -> Iterator[bytes]:
    page, page_size, size = [], 0, 0
    for item in items.items(TABLES[table], sys.maxsize):
        page.append(orjson.dumps(item))
        page_size += items.stored_bytes(item)
        size += len(page[-1])
        if page_size >= PAGE_BYTES or size >= megabytes * 1e6:
            yield b'{"Items":[' + b",".join(page) + b"]}"
            page, page_size = [], 0
        if size >= megabytes * 1e6:
            return


def convert(file: StagedFile, output_format: str, known: dict[str, Any] | None) -> None:
    """As a task does it. The attributes are those of the first items, which are like all others."""
    format, s3 = FORMATS[output_format], LocalFiles()
    describe = partial(snapshot_columns, table=KEY, earlier=NOTHING, rules=format.rules)
    columns, attributes = describe(known if known is not None else observe_start(s3, file, describe({})[1]))
    converter: RowConverter | ObservingConverter = RowConverter(columns, attributes, format.rules)
    if known is None:
        converter = ObservingConverter(columns, attributes, format.rules, describe)
    parameters = format.serde_parameters(converter.schema, None)
    with (
        tempfile.TemporaryFile() as out,
        closing(format.writer(out, converter.schema, parameters)) as writer,
        no_garbage_collection(),
    ):
        for batches in read_staged(s3, [file], converter.convert):
            for batch in batches:
                writer.write(batch)


def driver(files: int) -> str:
    """A table export with so many files of 16 MB, and the groups of files that tasks get."""
    table = "arn:aws:dynamodb:us-east-1:123456789012:table/Reviews"
    folder = "staging/reviews/AWSDynamoDB/01234567890123-a1b2c3d4"
    objects = {
        f"{folder}/manifest-summary.json": json.dumps({"tableArn": table, "itemCount": files}),
        f"{folder}/manifest-files.json": "\n".join(
            json.dumps({"itemCount": 1, "md5Checksum": "1B2M2Y8AsgTpgAmY7PhCfg==", "dataFileS3Key": key})
            for key in (f"{folder}/data/{number:026d}.json.gz" for number in range(files))
        ),
    }
    listed = ({"Key": f"{folder}/data/{number:026d}.json.gz", "Size": 16 * MIB} for number in range(files))
    s3 = SimpleNamespace(
        get_object=lambda Bucket, Key: {"Body": SimpleNamespace(read=objects[Key].encode)},
        get_paginator=lambda name: SimpleNamespace(paginate=lambda **place: [{"Contents": listed}]),
    )
    arguments = SimpleNamespace(table_export=f"s3://b/{folder}/manifest-summary.json", table_name="Reviews")
    staged = find_table_export(s3, arguments, NO_RULES)
    groups = file_groups(staged.files, CORES)
    largest = max(len(pickle.dumps(group)) for group in groups)
    return f"{len(groups)} tasks, each gets {largest / 1024:.0f} KiB"


def measured(step: Callable[[], str | None], reports: Any) -> None:
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
    before = memory("VmRSS")
    note = step()
    reports.put((before, memory("VmHWM") - before, note or ""))


def memory(field: str) -> float:
    """MiB."""
    return int(Path("/proc/self/status").read_text().partition(f"{field}:")[2].split()[0]) / 1024


def in_a_process(name: str, step: Callable[[], str | None]) -> None:
    """Run the step and print its row."""
    context = multiprocessing.get_context("spawn")
    reports: multiprocessing.Queue = context.Queue()
    process = context.Process(target=measured, args=(step, reports))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{name} ended with {process.exitcode}")
    before, more, note = reports.get()
    print(f"{name:40}{before:10.0f}{more:10.0f}  {note}", flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--megabytes", type=float, default=100)
    options.add_argument("--files", type=int, default=100_000)
    options.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    options.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS))
    given = options.parse_args()
    print(f"{'MiB':40}{'at start':>10}{'more':>10}")
    in_a_process(f"driver, {given.files} files", partial(driver, given.files))
    for table in given.tables:
        in_a_process(f"{table}, scan", partial(scan, table, given.megabytes))
        with tempfile.TemporaryDirectory() as folder:
            file = stage(table, os.path.join(folder, "staged"), given.megabytes)
            known: dict[str, Any] = {}
            observe(list(items.items(TABLES[table], file.items)), known)
            for name in given.formats:
                in_a_process(f"{table}, {name}", partial(convert, file, name, known))
            in_a_process(f"{table}, parquet, first export", partial(convert, file, "parquet", None))


if __name__ == "__main__":
    main()
