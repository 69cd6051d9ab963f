"""What entities cost, and what they save: the same lines with 20 types of items, with and without entities.

A table has items of 20 types, mixed at random: from many to few. All have six attributes in common, and eight others.
`own`: the others are each type's own, and one of the common attributes has numbers or text. `half`: four of the others
are each type's own. `one`: one is. `same`: none is, so separate tables save nothing and cost the most.

A task of the job converts its staged file, with the columns of the latest manifest: to one file, or to a file for each
type. Both take turns in one process. The figures are medians.

- CPU seconds of the task with entities, compared with the task without.
- Bytes of the files of each type, compared with the file of a table that has only such items: what a query of one type
  reads at most. And compared with the file without entities.

    python -m benchmarks.entities [--megabytes 40] [--rounds 5] [--formats parquet orc]
"""

import argparse
import base64
import gzip
import hashlib
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.convert import KEY, stage
from benchmarks.items import WORDS, Item, items, words
from table_export_job import entity_files
from table_export_job.arguments import JobArguments
from table_export_job.columns import SnapshotTable, arrow_schema, expected_columns
from table_export_job.contract import NO_RULES
from table_export_job.entity_files import Plan, write_group
from table_export_job.entity_tables import EarlierTables, TableKey
from table_export_job.folders import of_entity
from table_export_job.formats import FORMATS
from table_export_job.one_pass import ObservingConverter
from table_export_job.routing import Router
from table_export_job.snapshot import FileGroup, local_file
from table_export_job.staged_lines import observe_lines
from table_export_job.staging import StagedFile, read_staged

TYPES = 20
BLOCK = {"by": "type", "types": {"type_0": {"when": {"pk": "USER#{user}", "sk": "EVENT#{event}"}}}}


def single_table(n: int, some: random.Random, *, own: int) -> Item:
    """An item of a single-table design, about 400 bytes: of each type there are fewer than of the one before.

    `own`: how many of eight attributes only its type has.
    """
    number = min(int(some.expovariate(0.2)), TYPES - 1)
    item = {
        "id": {"S": f"{n:09d}"},
        "pk": {"S": f"USER#{some.randrange(10**6):06d}"},
        "sk": {"S": f"EVENT#{some.randrange(10**9):09d}"},
        "type": {"S": f"type_{number}"},
        "status": {"S": some.choice(WORDS)} if number % 2 or own < 8 else {"N": str(some.randrange(10))},
        "created": {"N": str(1_700_000_000_000 + some.randrange(10**10))},
    }
    for place in range(8):
        name = f"t{number if place < own else 0}_{place}"
        match place % 4:
            case 0:
                item[name] = {"S": words(some, 4)}
            case 1:
                item[name] = {"N": f"{some.randint(100, 99_999) / 100:.2f}"}
            case 2:
                item[name] = {"BOOL": n % 3 > 0}
            case 3:
                item[name] = {"M": {"city": {"S": some.choice(WORDS)}, "zip": {"N": str(some.randint(1, 99_999))}}}
    return item


TABLES = {name: partial(single_table, own=own) for name, own in {"own": 8, "half": 4, "one": 1, "same": 0}.items()}


class S3:
    """Staged files on disk, and uploads that are measured only."""

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        return {"Body": open(f"/{Key}", "rb")}

    def create_multipart_upload(self, Bucket: str, Key: str) -> dict[str, Any]:
        return {"UploadId": Key}

    def upload_part(self, Body: bytes, **_: Any) -> dict[str, Any]:
        return {"ETag": ""}


def staged_file(path: str, items: int) -> StagedFile:
    content = Path(path).read_bytes()
    md5 = base64.b64encode(hashlib.md5(content).digest()).decode()
    return StagedFile(f"s3://x{path}", items, len(content), md5)


def arguments_for(output_format: str) -> JobArguments:
    given = dict.fromkeys(("table_export", "export_id", "staging_prefix", "manifest"), "-")
    return JobArguments(
        "App", 1.0, 0.0, "scan", output_format=output_format, output_prefix="s3://x/exports/snapshots_app",
        snapshot_timestamp="2026-11-23T02-00-07Z", **given,
    )  # fmt: skip


def plan_of(lines: list[bytes], arguments: JobArguments, placeholders: list[str]) -> Plan:
    """As if the latest snapshot had had these lines."""
    given: dict[str, Any] = {"table": KEY, "rules": arguments.format.rules, "placeholders": placeholders}
    earlier = SnapshotTable(*expected_columns(observe_lines(lines, {}), earlier=SnapshotTable([], {}), **given))
    describe = partial(expected_columns, earlier=earlier, **given)
    columns, attributes = describe({})
    parameters = arguments.format.serde_parameters(arrow_schema(columns), None)
    return Plan(arguments, columns, attributes, parameters, describe)


def without_entities(file: StagedFile, plan: Plan) -> int:
    """What a task does with its group of files. Returns the size of its file."""
    converter = plan.converter()
    rows = read_staged(S3(), [file], converter.convert)
    with local_file(plan.arguments, converter.schema, plan.serde_parameters, rows) as path:
        assert isinstance(converter, ObservingConverter)
        assert converter.fits
        assert plan.arguments.format.count_items(path) == file.items
        return Path(path).stat().st_size


def with_entities(file: StagedFile, router: Router, plans: dict[TableKey, Plan]) -> dict[TableKey, int]:
    written = write_group(None, FileGroup(0, [file]), router, EarlierTables({}, {}), plans, NO_RULES)
    assert sum(each.items for each in written.files.values()) == file.items
    return {key: each.bytes for key, each in written.files.items()}


def timed(step: Callable[[], Any]) -> tuple[float, Any]:
    started = time.process_time()
    result = step()
    return time.process_time() - started, result


def measure(table: str, file: StagedFile, lines: list[bytes], output_format: str, rounds: int, folder: str) -> None:
    arguments, router = arguments_for(output_format), Router(BLOCK)
    wide = plan_of(lines, arguments, [])
    parts = [router.split(each) for each in lines]
    values = sorted({value for part in parts for value in part}, key=str)
    by_type = {TableKey(value): [part[value] for part in parts if value in part] for value in values}
    plans = {
        key: plan_of(some, of_entity(arguments, f"app_{key.value}"), router.placeholders(key.value))
        for key, some in by_type.items()
    }
    seconds: dict[str, list[float]] = {"without": [], "with": []}
    sizes: dict[TableKey, int] = {}
    for _ in range(rounds):
        used, size = timed(lambda: without_entities(file, wide))
        seconds["without"].append(used)
        used, sizes = timed(lambda: with_entities(file, router, plans))
        seconds["with"].append(used)
    before, after = (statistics.median(each) for each in seconds.values())
    alone = {}
    for key, some in by_type.items():
        path = f"{folder}/alone.json.gz"
        with gzip.open(path, "wb", compresslevel=1) as staged:
            staged.writelines(some)
        alone[key] = without_entities(staged_file(path, sum(each.count(b"\n") for each in some)), plans[key])
    ratios = sorted(sizes[key] / alone[key] for key in sizes)
    rarest = min(sizes, key=lambda key: sizes[key])
    print(f"{f'{output_format}, {table}':26}{before:14.2f}{after:12.2f}{after / before:8.2f}", end="")
    print(f"{statistics.median(ratios):16.2f}{ratios[-1]:8.2f}{sum(sizes.values()) / size:14.2f}", end="")
    print(f"{sizes[rarest] / 1e3:12.1f}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--megabytes", type=float, default=40)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--formats", nargs="+", choices=FORMATS, default=["parquet", "orc"])
    given = options.parse_args()
    print(f"{'':26}{'CPU s without':>14}{'with':>12}{'ratio':>8}{'bytes of alone':>16}{'most':>8}", end="")
    print(f"{'of without':>14}{'KB, rarest':>12}")
    for table, make in TABLES.items():
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(entity_files, "connect", return_value=S3()):
            staged = stage(items(make, sys.maxsize), folder, given.megabytes)
            file = staged_file(staged.lines, staged.items)
            lines = list(read_staged(S3(), [file], bytes))
            for name in given.formats:
                measure(table, file, lines, name, given.rounds, folder)


if __name__ == "__main__":
    main()
