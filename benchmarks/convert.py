"""What it costs to make parquet of staged items, beside DuckDB and Polars on the same lines.

Staged items are gzipped DynamoDB JSON lines. Each contestant reads the same file into one parquet file, compressed
with zstd, in a process of its own that is held to one core. They are run in turn. The figures are megabytes of lines,
unpacked, per CPU second, and CPU seconds as ratios to ours; imports are not counted.

The job comes three times. `known`: it knows the columns, as in read mode scan, where reading sees them. `expected`: the
latest manifest says what to expect, and the job verifies it, as in read mode export. `first export`: as before, but
there is no manifest.

The others come twice. `as it comes`: the lines as they infer them, so columns are structs of one field, named
for DynamoDB's type, and a number is text. `given the types`: they are handed the columns that our job found, and turn
values into them, by the shortest query we know. That is the like of `known`.

    python -m benchmarks.convert [--megabytes 40] [--rounds 3]
"""

import argparse
import gzip
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pyarrow as pa
import pyarrow.parquet

from benchmarks import items
from benchmarks.items import Item
from table_export_job.attributes import Seen, observe
from table_export_job.names import column_names
from table_export_job.types import TypeRules, hive_type_of_arrow, value_type

ROOT = Path(__file__).parent.parent
OURS, OTHERS = Path(sys.executable), ROOT / ".venv-bench/bin/python"
KEY = {"KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}]}
KEY |= {"AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}]}

MEASURE = """
import json, sys, time
lines, parquet, task = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
{imports}
started, used = time.perf_counter(), time.process_time()
{work}
wall, cpu = time.perf_counter() - started, time.process_time() - used
peak = int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0]) / 1024
sys.stdout.write(json.dumps({"cpu": cpu, "wall": wall, "peak": peak}))
"""

JOB = """
import base64, hashlib
from contextlib import closing
from functools import partial
from pathlib import Path
import pyarrow.parquet
from table_export_job.attributes import Seen
from table_export_job.columns import SnapshotTable, snapshot_columns
from table_export_job.formats import ParquetWriter
from table_export_job.one_pass import ObservingConverter, observe_start
from table_export_job.staged_lines import RowConverter
from table_export_job.staging import StagedFile, as_base64, no_garbage_collection, read_staged
from table_export_job.types import TypeRules

class S3:
    def get_object(self, Bucket, Key):
        return {"Body": open(f"/{Key}", "rb")}

make = pyarrow.parquet.ParquetWriter
pyarrow.parquet.ParquetWriter = lambda *to, **how: make(*to, **how | {"compression": task["compression"]})
content = Path(lines).read_bytes()
file = StagedFile(f"s3://x{lines}", task["items"], len(content), as_base64(hashlib.md5(content)))
del content
attributes = {name: Seen.from_json(seen) for name, seen in task["attributes"].items()}
"""
WRITE = """
with open(parquet, "wb") as out, closing(ParquetWriter(out, rows.schema, {})) as writing, no_garbage_collection():
    for batches in read_staged(S3(), [file], rows.convert):
        for batch in batches:
            writing.write(batch)
"""
KNOWN = f"""
columns, attributes = snapshot_columns(attributes, task["table"], SnapshotTable([], {{}}), TypeRules())
rows = RowConverter(columns, attributes, TypeRules())
{WRITE}
"""
ONE_PASS = f"""
describe = partial(snapshot_columns, table=task["table"], earlier=earlier, rules=TypeRules())
columns, expected = describe(observe_start(S3(), file, describe({{}})[1]))
rows = ObservingConverter(columns, expected, TypeRules(), describe)
{WRITE}
assert rows.fits
"""
EXPECTED = f"""
earlier = SnapshotTable(*snapshot_columns(attributes, task["table"], SnapshotTable([], {{}}), TypeRules()))
{ONE_PASS}
"""
FIRST = f"""
earlier = SnapshotTable([], {{}})
{ONE_PASS}
"""
DUCKDB = "import duckdb\nduckdb.execute('SET threads = 1; SET enable_progress_bar = false')"
POLARS = "import polars as pl"

# Per contestant: the interpreter, what it imports, what it does.
CONTESTANTS = {
    "job, known": (OURS, JOB, KNOWN),
    "job, expected": (OURS, JOB, EXPECTED),
    "job, first export": (OURS, JOB, FIRST),
    "job, known, snappy": (OURS, JOB, KNOWN),
    "DuckDB, as it comes": (OTHERS, DUCKDB, "duckdb.execute(task['as_it_comes'], [lines])"),
    "DuckDB, given the types": (OTHERS, DUCKDB, "duckdb.execute(task['given_the_types'], [lines])"),
    "Polars, as it comes": (
        OTHERS,
        POLARS,
        "pl.scan_ndjson(lines, infer_schema_length=None).sink_parquet(parquet, compression='zstd')",
    ),
    "Polars, given the types": (
        OTHERS,
        POLARS,
        "pl.scan_ndjson(lines, schema={'Item': eval(task['schema'])})"
        ".select(eval(task['expressions'])).sink_parquet(parquet, compression='zstd')",
    ),
}


def names_of(attributes: dict[str, Seen]) -> dict[str, str]:
    return column_names(sorted(attributes), [], ascii_only=False)


class NotExpressible(Exception):
    """There is no short query for this."""


def kind_of(seen: Seen) -> str:
    """The one kind that the values are."""
    kinds = seen.kinds - {"NULL"}
    if len(kinds) != 1 or seen.fields is None:
        raise NotExpressible("no short query")
    return kinds.pop()


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def sql_type(seen: Seen) -> str:
    """Of a DynamoDB value as it is in the lines, in DuckDB."""
    kind = kind_of(seen)
    if kind == "M":
        inner = f"STRUCT({', '.join(f'{quoted(name)} {sql_type(value)}' for name, value in seen.fields.items())})"
    elif kind == "L":
        inner = f"{sql_type(seen.element)}[]"
    else:
        inner = {"BOOL": "BOOLEAN", "SS": "VARCHAR[]", "NS": "VARCHAR[]", "BS": "VARCHAR[]"}.get(kind, "VARCHAR")
    return f"STRUCT({kind} {inner})"


def sql_value(value: str, seen: Seen, depth: int = 0) -> str:
    """The column value of a DynamoDB value, in DuckDB."""
    kind, each = kind_of(seen), f"x{depth}"
    content = f"{value}.{kind}"
    if kind == "N":
        hive = hive_type_of_arrow(value_type(seen, TypeRules()).arrow)
        return f"CAST({content} AS {hive})"
    if kind == "B":
        return f"from_base64({content})"
    if kind == "L":
        return f"list_transform({content}, lambda {each}: {sql_value(each, seen.element, depth + 1)})"
    if kind in ("NS", "BS"):
        make = hive_type_of_arrow(value_type(seen, TypeRules()).arrow)[len("array<") : -1]
        one = f"CAST({each} AS {make})" if kind == "NS" else f"from_base64({each})"
        return f"list_transform({content}, lambda {each}: {one})"
    if kind == "M":
        names = names_of(seen.fields)
        members = ", ".join(
            f"{quoted(names[name])}: {sql_value(f'{content}.{quoted(name)}', inner, depth)}"
            for name, inner in sorted(seen.fields.items())
        )
        return f"CASE WHEN {content} IS NOT NULL THEN {{{members}}} END"
    return content


def pl_type(seen: Seen) -> str:
    """The same for Polars."""
    kind = kind_of(seen)
    if kind == "M":
        inner = f"pl.Struct({{{', '.join(f'{name!r}: {pl_type(value)}' for name, value in seen.fields.items())}}})"
    elif kind == "L":
        inner = f"pl.List({pl_type(seen.element)})"
    else:
        inner = "pl.Boolean" if kind == "BOOL" else "pl.List(pl.String)" if kind in ("SS", "NS", "BS") else "pl.String"
    return f"pl.Struct({{{kind!r}: {inner}}})"


def pl_value(value: str, seen: Seen) -> str:
    kind = kind_of(seen)
    content = f"{value}.struct.field({kind!r})"

    def number(some: Seen) -> str:
        made = value_type(some, TypeRules()).arrow
        return "pl.Int64" if str(made) == "int64" else f"pl.Decimal({made.precision}, {made.scale})"

    if kind == "N":
        return f"{content}.cast({number(seen)})"
    if kind == "B":
        return f"{content}.str.decode('base64')"
    if kind == "L":
        return f"{content}.list.eval({pl_value('pl.element()', seen.element)})"
    if kind == "NS":
        return f"{content}.list.eval(pl.element().cast({number(seen.element)}))"
    if kind == "BS":
        return f"{content}.list.eval(pl.element().str.decode('base64'))"
    if kind == "M":
        names = names_of(seen.fields)
        members = ", ".join(
            f"{pl_value(f'{content}.struct.field({name!r})', inner)}.alias({names[name]!r})"
            for name, inner in sorted(seen.fields.items())
        )
        return f"pl.when({content}.is_not_null()).then(pl.struct({members}))"
    return content


def queries(attributes: dict[str, Seen], parquet: str) -> dict[str, str]:
    names = names_of(attributes)
    copy = f"COPY ({{}}) TO '{parquet}' (FORMAT parquet, COMPRESSION zstd)"
    inner = ", ".join(f"{quoted(name)} {sql_type(seen)}" for name, seen in attributes.items())
    values = ", ".join(
        f"{sql_value(f'Item.{quoted(name)}', seen)} AS {quoted(names[name])}"
        for name, seen in sorted(attributes.items())
    )
    statement = (
        f"SELECT {values} FROM read_json(?, format = 'newline_delimited', columns = {{Item: 'STRUCT({inner})'}})"
    )
    return {
        "as_it_comes": copy.format("FROM read_json(?, format = 'newline_delimited', sample_size = -1)"),
        "given_the_types": copy.format(statement),
        "schema": f"pl.Struct({{{', '.join(f'{name!r}: {pl_type(seen)}' for name, seen in attributes.items())}}})",
        "expressions": "["
        + ", ".join(
            f"{pl_value(f'pl.col({chr(39)}Item{chr(39)}).struct.field({name!r})', seen)}.alias({names[name]!r})"
            for name, seen in sorted(attributes.items())
        )
        + "]",
    }


def run_once(name: str, task: dict, lines: str, parquet: str) -> dict[str, float]:
    """What one fresh process needs, on one core."""
    interpreter, imports, work = CONTESTANTS[name]
    code = MEASURE.replace("{imports}", imports).replace("{work}", work)
    task = task | {"compression": "snappy" if "snappy" in name else "zstd"}
    ran = subprocess.run(
        [interpreter, "-c", code, lines, parquet, json.dumps(task)],
        env=os.environ | {"PYTHONPATH": str(ROOT / "glue"), "POLARS_MAX_THREADS": "1"},
        preexec_fn=lambda: os.sched_setaffinity(0, {max(os.sched_getaffinity(0))}),
        capture_output=True,
        text=True,
    )
    if ran.returncode:
        said = [line for line in ran.stderr.splitlines() if "Error" in line or "Exception" in line]
        raise RuntimeError(said[-1] if said else f"ended with {ran.returncode}")
    return json.loads(ran.stdout) | {"bytes": os.path.getsize(parquet)}


def judge(parquet: str, ours: pa.Table) -> str:
    """Whether a file has our columns, types and values."""
    theirs = pyarrow.parquet.read_table(parquet)
    if set(theirs.schema.names) != set(ours.schema.names):
        return "other columns"
    differ = [field.name for field in ours.schema if plain(field.type) != plain(theirs.schema.field(field.name).type)]
    if differ:
        return f"other types: {len(differ)}, {differ[0]}"
    theirs = theirs.select(ours.schema.names).cast(ours.schema)
    differ = [name for name in ours.schema.names if ours[name].to_pylist() != theirs[name].to_pylist()]
    return f"other values: {len(differ)}, {differ[0]}" if differ else "ours"


def plain(kind: pa.DataType) -> str:
    """A type without what differs between writers and means nothing: how wide offsets are, what elements are called."""
    return re.sub(r"large_|(?<=list<)\w+: | not null", "", str(kind))


class Staged(NamedTuple):
    """A file of lines, and what the job knows of it."""

    lines: str
    items: int
    bytes: int
    attributes: dict[str, Seen]


def stage(some: Iterator[Item], folder: str, megabytes: int) -> Staged:
    path = f"{folder}/staged.json.gz"
    count, size, attributes = 0, 0, {}
    with gzip.open(path, "wb", compresslevel=1) as file:
        for item in some:
            line = orjson.dumps({"Item": item}, option=orjson.OPT_APPEND_NEWLINE)
            file.write(line)
            observe([item], attributes)
            count, size = count + 1, size + len(line)
            if size >= megabytes * 1e6:
                break
    return Staged(path, count, size, attributes)


def task_of(staged: Staged, parquet: str) -> dict[str, Any]:
    attributes = {name: seen.to_json() for name, seen in staged.attributes.items()}
    return {"items": staged.items, "table": KEY, "attributes": attributes} | queries(staged.attributes, parquet)


def measure(table: str, megabytes: int, rounds: int, folder: str, contestants: list[str]) -> None:
    staged, parquet = stage(items.items(items.TABLES[table], sys.maxsize), folder, megabytes), f"{folder}/parquet"
    _, count, size, _ = staged
    task = task_of(staged, parquet)
    runs, failures, verdicts, ours = {name: [] for name in contestants}, {}, {}, None
    for _ in range(rounds):
        for name in contestants:
            if name not in failures:
                try:
                    runs[name].append(run_once(name, task, staged.lines, parquet))
                except RuntimeError as failure:
                    failures[name] = str(failure)
                    continue
            if name not in verdicts:
                ours = ours or pyarrow.parquet.read_table(parquet)
                verdicts[name] = judge(parquet, ours)
    print(f"\n{table}: {count} items, {size / 1e6:.0f} MB of lines, {size / count:.0f} bytes each")
    heads = f"{'MB/s':>8}{'CPU s':>8}{'of known':>10}{'wall s':>8}{'peak MiB':>10}{'MB parquet':>12}"
    print(f"{'medians':26}{heads}  columns, types, values")
    for name in contestants:
        if name in failures:
            print(f"{name:26}  fails: {failures[name][:90]}")
            continue
        cpu, wall, peak, written = (
            statistics.median(run[figure] for run in runs[name]) for figure in ("cpu", "wall", "peak", "bytes")
        )
        known = statistics.median(run["cpu"] for run in runs["job, known"])
        print(
            f"{name:26}{size / 1e6 / cpu:8.1f}{cpu:8.2f}{cpu / known:10.2f}{wall:8.2f}{peak:10.0f}{written / 1e6:12.1f}"
            f"  {verdicts[name]}"
        )


def try_awkward_values(folder: str) -> None:
    """Whether those that were given the types get right what the job gets right."""
    typed = [name for name in CONTESTANTS if name.endswith("given the types")]
    print(f"\n{'given the types':30}" + "".join(f"{name.partition(',')[0]:32}" for name in typed))
    for case, turns in items.AWKWARD.items():
        some = ({"id": {"S": f"{n:04d}"}} | turns[n % len(turns)] for n in range(1000))
        staged, ours, theirs = stage(some, folder, sys.maxsize), f"{folder}/ours", f"{folder}/theirs"
        verdicts = []
        try:
            task = task_of(staged, theirs)
        except NotExpressible as failure:
            verdicts = [str(failure)] * len(typed)
        else:
            run_once("job, known", task, staged.lines, ours)
            for name in typed:
                try:
                    run_once(name, task, staged.lines, theirs)
                    verdicts.append(judge(theirs, pyarrow.parquet.read_table(ours)))
                except RuntimeError as failure:
                    verdicts.append(f"fails: {failure}")
        print(f"{case:30}" + "".join(f"{verdict[:30]:32}" for verdict in verdicts))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--megabytes", type=int, default=40)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--tables", nargs="+", choices=items.TABLES, default=list(items.TABLES))
    options.add_argument("--alone", action="store_true", help="measure only the job, which needs no .venv-bench")
    given = options.parse_args()
    contestants = [name for name, (python, *_) in CONTESTANTS.items() if python == OURS or not given.alone]
    for table in given.tables:
        with tempfile.TemporaryDirectory() as folder:
            measure(table, given.megabytes, given.rounds, folder, contestants)
    if given.alone:
        return
    with tempfile.TemporaryDirectory() as folder:
        try_awkward_values(folder)


if __name__ == "__main__":
    main()
