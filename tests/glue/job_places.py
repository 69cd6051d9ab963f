"""Where the tests of the job find and keep things."""

from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "glue" / "export_table.py"
BUCKET = "exports-of-tests"
SNAPSHOT_TIMESTAMP = "2026-11-23T02-00-07Z"
