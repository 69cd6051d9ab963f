"""Each benchmark runs. At this size its figures mean nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("benchmark", "options", "rows"),
    [
        ("cold_start", "--runs 1", ["start_export", "on_glue_complete", "on_export_changed"]),
        ("page", "--runs 1 --sizes 3", ["        3 "]),
        ("convert", "--megabytes 1 --rounds 1 --tables small --alone", ["job, known", "job, found"]),
        ("export", "--items 500 --rounds 1 --endpoint pages --alone", ["scan ", "job ", "  Spark start"]),
        ("export", "--items 500 --rounds 1 --endpoint dynalite --alone", ["scan ", "job ", "  Spark start"]),
    ],
)
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
