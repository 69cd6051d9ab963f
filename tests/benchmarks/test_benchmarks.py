"""Each benchmark runs. At this size its figures mean nothing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.cold_start import CASES, TEMPLATE, variables

ROOT = Path(__file__).parents[2]


TINY = [
    ("cold_start", "--runs 1", ["start_export", "on_glue_complete", "on_export_changed"]),
    ("page", "--runs 1 --sizes 3", ["        3 "]),
    (
        "convert",
        "--megabytes 1 --rounds 1 --tables small --alone",
        ["job, known", "job, expected", "job, first export"],
    ),
    (
        "formats",
        "--megabytes 0.2 --rounds 1",
        ["small:", "orders:", "sparse:", "parquet ", "orc ", "avro ", "json ", "csv "],
    ),
    ("entities", "--megabytes 0.2 --rounds 1", ["parquet, own ", "parquet, same ", "orc, half "]),
    (
        "memory",
        "--megabytes 0.2 --files 100 --formats parquet",
        ["driver, 100 files", "small items, scan", "10,000 map keys, parquet", "400 KB of list, parquet, first export"],
    ),
    ("export", "--items 500 --rounds 1 --endpoint pages --alone", ["scan ", "job ", "  Spark start"]),
    ("export", "--items 500 --rounds 1 --endpoint dynalite --alone", ["scan ", "job ", "  Spark start"]),
]


@pytest.mark.slow
@pytest.mark.parametrize(("benchmark", "options", "rows"), TINY)
def test_it_prints_a_row_for_each_contestant(benchmark, options, rows):
    path = os.pathsep.join(str(ROOT / folder) for folder in (".", "services", "glue"))

    ran = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{benchmark}", *options.split()],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert [row for row in rows if not any(line.startswith(row) for line in lines)] == []


def test_every_benchmark_runs_here_and_in_make_bench():
    """So that none stops to work when what it measures changes."""
    runnable = {path.stem for path in (ROOT / "benchmarks").glob("*.py") if "__main__" in path.read_text()}

    assert {name for name, _, _ in TINY} == runnable
    assert set(re.findall(r"-m benchmarks\.(\w+)", (ROOT / "Makefile").read_text())) == runnable


@pytest.mark.parametrize("service", CASES)
def test_a_cold_start_has_the_environment_of_the_template(service):
    [function] = [
        each["Properties"]
        for each in TEMPLATE["Resources"].values()
        if each["Type"] == "AWS::Serverless::Function" and each["Properties"]["Handler"].startswith(f"{service}.")
    ]
    everywhere = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]

    given = variables(service)

    assert given.keys() == everywhere.keys() | function["Environment"]["Variables"].keys()
    assert given["ACCOUNT"] == "123456789012"
    assert all(isinstance(value, str) and value for value in given.values())
