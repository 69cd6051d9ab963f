"""What each format costs, compared with Parquet: from staged lines to a finished file.

All formats get the same lines, unpacked, in one process and in turn. The figures are medians: CPU seconds of the
conversion, as the job does it with known columns (`RowConverter` and the format's writer), and their ratio to
Parquet's; bytes of the file, and the CPU seconds to count its items, which is how the job verifies it.

    python -m benchmarks.formats [--megabytes 20] [--rounds 5] [--formats json csv]
"""

import argparse
import gzip
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple

from benchmarks import items
from benchmarks.convert import KEY, Staged, stage
from table_export_job.columns import SnapshotTable, snapshot_columns
from table_export_job.formats import FORMATS, Format
from table_export_job.staged_lines import RowConverter
from table_export_job.staging import no_garbage_collection

PART_BYTES = 8 * 1024 * 1024  # of lines, as read_staged gives them to the converter


class Run(NamedTuple):
    conversion: float
    verification: float
    size: int


def parts_of(lines: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(lines):
        end = lines.rfind(b"\n", start, start + PART_BYTES) + 1
        yield lines[start:end]
        start = end


def run_once(format: Format, staged: Staged, parts: list[bytes], path: str) -> Run:
    columns, attributes = snapshot_columns(staged.attributes, KEY, SnapshotTable([], {}), format.rules)
    started = time.process_time()
    rows = RowConverter(columns, attributes, format.rules)
    known = format.serde_parameters(rows.schema, None)
    with open(path, "wb") as file, closing(format.writer(file, rows.schema, known)) as writer, no_garbage_collection():
        for part in parts:
            for batch in rows.convert(part):
                writer.write(batch)
    converted = time.process_time()
    counted = format.count_items(path)
    verified = time.process_time()
    if counted != staged.items:
        raise RuntimeError(f"{path} has {counted} items of {staged.items}")
    return Run(converted - started, verified - converted, os.path.getsize(path))


def measure(table: str, megabytes: float, rounds: int, formats: list[str], folder: str) -> None:
    staged = stage(items.items(items.TABLES[table], sys.maxsize), folder, megabytes)
    with gzip.open(staged.lines) as file:
        parts = list(parts_of(file.read()))
    runs = {name: [] for name in formats}
    for _ in range(rounds):
        for name in formats:
            runs[name].append(run_once(FORMATS[name], staged, parts, f"{folder}/snapshot"))
    print(f"\n{table}: {staged.items} items, {staged.bytes / 1e6:.0f} MB of lines")
    print(f"{'medians':12}{'CPU s':>8}{'of parquet':>12}{'MB':>8}{'of parquet':>12}{'CPU s to verify':>18}")
    of_parquet = [statistics.median(figures) for figures in zip(*runs["parquet"], strict=True)]
    for name in formats:
        cpu, verification, size = (statistics.median(figures) for figures in zip(*runs[name], strict=True))
        ratios = cpu / of_parquet[0], size / of_parquet[2]
        print(f"{name:12}{cpu:8.2f}{ratios[0]:12.2f}{size / 1e6:8.1f}{ratios[1]:12.2f}{verification:18.2f}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--megabytes", type=float, default=20)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--tables", nargs="+", choices=items.TABLES, default=list(items.TABLES))
    options.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS))
    given = options.parse_args()
    formats = [name for name in FORMATS if name in given.formats or name == "parquet"]
    for table in given.tables:
        with tempfile.TemporaryDirectory() as folder:
            measure(table, given.megabytes, given.rounds, formats, folder)


if __name__ == "__main__":
    main()
