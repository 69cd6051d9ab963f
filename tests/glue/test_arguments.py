"""Which arguments the job accepts, and what it says about others."""

import pytest

from table_export_job.arguments import JobArguments
from table_export_job.errors import PermanentError


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("read_percentage", "1.5", "a number from 0.1 to 1.0"),
        ("read_percentage", "0.05", "a number from 0.1 to 1.0"),
        ("read_percentage", "half", "a number from 0.1 to 1.0"),
        ("read_capacity_cap", "-1", "read capacity units per second, or 0 for no cap"),
        ("read_mode", "auto", "one of: scan, export"),
        ("table_export", "s3://bucket/folder/", "s3://bucket/.../manifest-summary.json, or -"),
        ("output_format", "xml", "one of: parquet, orc, avro, json, csv"),
        ("output_prefix", "exports/snapshots_x", "s3://bucket/folder, with no slash at its end"),
        ("staging_prefix", "s3://bucket/folder/", "s3://bucket/folder, with no slash at its end"),
        ("snapshot_timestamp", "2026-11-23T02:00:07Z", "UTC to the second, such as 2026-11-23T02-00-07Z"),
        ("manifest", "s3://bucket/", "s3://bucket/key"),
        ("table_name", "a table", "the name of a DynamoDB table"),
    ],
)
def test_a_bad_argument_is_named_with_what_it_takes(arguments, argument, value, message):
    with pytest.raises(PermanentError) as failed:
        JobArguments.from_argv(arguments("Reviews", **{argument: value}))

    assert str(failed.value) == f"Permanent error: --{argument} is {value!r}, but must be {message}."


@pytest.mark.parametrize(
    ("read_mode", "table_export"), [("export", "-"), ("scan", "s3://bucket/AWSDynamoDB/0-a/manifest-summary.json")]
)
def test_a_table_export_goes_with_its_read_mode(arguments, read_mode, table_export):
    with pytest.raises(PermanentError, match="--table_export must be the summary of a table export in --read_mode"):
        JobArguments.from_argv(arguments("Reviews", read_mode=read_mode, table_export=table_export))


@pytest.mark.parametrize("percentage", ["0.1", "0.25", ".5", "0.99", "1", "1.0"])
def test_percentages_from_a_tenth_to_one_are_taken(arguments, percentage):
    assert JobArguments.from_argv(arguments("Reviews", read_percentage=percentage)).read_percentage == float(percentage)


def test_a_missing_argument_is_named(arguments):
    given = [part for part in arguments("Reviews") if part not in ("--export_id", "e1")]

    with pytest.raises(PermanentError, match="the following arguments are required: --export_id"):
        JobArguments.from_argv(given)


@pytest.mark.parametrize("name", ["columns", "hash_secret", "entities"])
def test_an_argument_that_older_templates_do_not_give_has_a_default(arguments, name):
    given = arguments("Reviews")
    at = given.index(f"--{name}")
    del given[at : at + 2]

    assert getattr(JobArguments.from_argv(given), name) == "-"
