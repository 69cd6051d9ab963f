"""Exports that the job refuses: before it starts Spark, reads the table, or changes anything."""

import json

import boto3
import pytest

import export_table
from table_export_job.arguments import JobArguments
from table_export_job.columns import SnapshotTable, read_snapshot_table
from table_export_job.errors import ExportFailed, PermanentError
from table_export_job.s3 import list_objects
from table_export_job.snapshot import clear_after_killed_runs
from tests.glue.job_places import BUCKET, SNAPSHOT_TIMESTAMP, TWO_REVIEWS, all_objects

pytestmark = [  # boto3 leaves the closing of sockets to the garbage collector
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

MANIFESTS, SNAPSHOTS = "exports/manifests_refused", "exports/snapshots_refused"
A_DAY_BEFORE, A_DAY_AFTER = "2026-11-22T02-00-07Z", "2026-11-24T02-00-07Z"


def a_manifest(**changes):
    """What a run for a table of one key leaves, as far as later runs ask for it."""
    known = {
        "version": 2,
        "output_format": "parquet",
        "columns": [{"name": "id", "type": "string", "attribute": "id"}],
        "attributes": {"id": {"kinds": ["S"]}},
    }
    return json.dumps(known | changes).encode()


class NoSpark:
    @property
    def builder(self):
        pytest.fail("Spark was started")


@pytest.fixture
def no_spark(monkeypatch):
    monkeypatch.setattr(export_table, "SparkSession", NoSpark())


@pytest.fixture
def put(environment):
    """Writes an object, which is removed after the test."""
    s3, written = boto3.client("s3"), []

    def put(key, content=b"x"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=content)
        written.append(key)

    yield put
    for key in written:
        s3.delete_object(Bucket=BUCKET, Key=key)


@pytest.mark.parametrize(
    ("objects", "output_format", "message"),
    [
        pytest.param(
            {f"{MANIFESTS}/{A_DAY_BEFORE}.json": a_manifest()},
            "csv",
            r"its snapshots are parquet, but --output_format is csv\. Deploy another table stack with its own Cat",
            id="in another format",
        ),
        pytest.param(
            {f"{MANIFESTS}/{A_DAY_BEFORE}.json": b"{}"},
            "parquet",
            "is not a manifest of version 2",
            id="after a damaged manifest",
        ),
        pytest.param(
            {f"{SNAPSHOTS}/snapshot_timestamp={A_DAY_BEFORE}/part-00000.orc": b"x"},
            "orc",
            r"has no manifest in s3://.*\. Restore it with table-exports repair, or start over: docs/schema\.md",
            id="without any manifest",
        ),
        pytest.param(
            {
                f"{MANIFESTS}/2026-11-21T02-00-07Z.json": a_manifest(),
                f"{SNAPSHOTS}/snapshot_timestamp=2026-11-21T02-00-07Z/part-00000.zstd.parquet": b"x",
                f"{SNAPSHOTS}/snapshot_timestamp={A_DAY_BEFORE}/part-00000.zstd.parquet": b"x",
            },
            "parquet",
            rf"/snapshot_timestamp={A_DAY_BEFORE}/ has no manifest in s3://",
            id="without the latest manifest",
        ),
        pytest.param(
            {f"{MANIFESTS}/{A_DAY_AFTER}.json": a_manifest()},
            "parquet",
            rf"/{A_DAY_AFTER}\.json belongs to a later snapshot .* Request a new export",
            id="before a later snapshot",
        ),
    ],
)
def test_a_snapshot_that_would_not_fit_the_earlier_ones_is_refused(
    make_table, arguments, no_spark, put, objects, output_format, message
):
    """Its columns would start over, so that old values show under other names; or be missing in later snapshots."""
    make_table("Refused", TWO_REVIEWS)
    for key, content in objects.items():
        put(key, content)
    before = all_objects()

    with pytest.raises(PermanentError, match=message):
        export_table.main(arguments("Refused", output_format=output_format))

    assert all_objects() == before


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b'{"version": 1, "schema": []}',
        b"[]",
        b"\xff\xfe",
        a_manifest(columns=[]),
        a_manifest(columns=None),
        a_manifest(columns=[{"name": "id", "type": "a string", "attribute": "id"}]),
        a_manifest(columns=[{"name": 1, "type": "string", "attribute": "id"}]),
        a_manifest(columns=[{"name": "id", "type": "string"}]),
        a_manifest(attributes={"id": {"kinds": ["S"], "digits": "x"}}),
        a_manifest(attributes={"id": {"kinds": "S"}}),
        a_manifest(attributes={"id": {"kinds": ["X"]}}),
        a_manifest(attributes={"id": {"colour": "red"}}),
        a_manifest(attributes={"id": {"element": 7}}),
        a_manifest(attributes={"id": {"fields": [7]}}),
        a_manifest(attributes={"id": "S"}),
        a_manifest(attributes=[]),
    ],
)
def test_a_manifest_that_no_export_wrote_is_refused_with_what_to_do(environment, arguments, content):
    key = "exports/manifests_unknown/2026-11-22T02-00-07Z.json"
    boto3.client("s3").put_object(Bucket=BUCKET, Key=key, Body=content)

    with pytest.raises(PermanentError) as failed:
        read_snapshot_table(boto3.client("s3"), JobArguments.from_argv(arguments("Unknown")))

    said = str(failed.value)
    assert f"{key} is not a manifest of version 2" in said
    assert "Restore that file with table-exports repair, or delete it if no export wrote it" in said
    assert "start over: docs/schema.md" in said


def test_only_files_in_the_manifests_folder_itself_are_manifests(arguments, put):
    for name in ("sub/9999.json", "sub/2026-11-22T02-00-07Z.json.publishing", "notes.txt"):
        put(f"exports/manifests_nested/{name}")
    before, s3, given = all_objects(), boto3.client("s3"), JobArguments.from_argv(arguments("Nested"))

    clear_after_killed_runs(s3, given)

    assert read_snapshot_table(s3, given) == SnapshotTable([], {})
    assert all_objects() == before


def test_an_object_that_is_not_a_file_of_a_snapshot_needs_no_manifest(arguments, put):
    for name in ("readme.txt", "snapshot_timestamp=9999/x.parquet", f"snapshot_timestamp={A_DAY_BEFORE}/", ""):
        put(f"exports/snapshots_strewn/{name}")

    found = read_snapshot_table(boto3.client("s3"), JobArguments.from_argv(arguments("Strewn")))

    assert found == SnapshotTable([], {})


def test_a_table_that_is_not_there_is_named(arguments, no_spark):
    with pytest.raises(PermanentError, match=r"There is no table Nowhere .*: check --table_name"):
        export_table.main(arguments("Nowhere"))


def test_a_table_export_that_lacks_a_file_is_refused(make_table, arguments, export_by_dynamodb, no_spark):
    make_table("Lacking")
    summary = export_by_dynamodb([{"id": {"S": str(number)}} for number in range(10)], "lacking", "Lacking")
    [first, _] = list_objects(boto3.client("s3"), summary.removesuffix("manifest-summary.json") + "data/")
    boto3.client("s3").delete_object(Bucket=BUCKET, Key=first["Key"])

    with pytest.raises(PermanentError, match=r"The table export lacks its file .*/data/.*\.json\.gz"):
        export_table.main(arguments("Lacking", read_mode="export", table_export=summary))


def test_a_table_export_of_another_table_is_refused(make_table, arguments, export_by_dynamodb, no_spark):
    make_table("Other")
    summary = export_by_dynamodb([{"id": {"S": "1"}}], "other", "Zoo")

    with pytest.raises(PermanentError, match=r"is an export of arn:.*:table/Zoo, not of table Other"):
        export_table.main(arguments("Other", read_mode="export", table_export=summary))


@pytest.mark.parametrize(("field", "value"), [("outputFormat", "ION"), ("exportType", "INCREMENTAL_EXPORT")])
def test_a_table_export_of_another_kind_is_refused(
    make_table, arguments, export_by_dynamodb, no_spark, put, field, value
):
    make_table("Kind")
    summary = export_by_dynamodb([{"id": {"S": "1"}}], "kind", "Kind")
    key = summary.removeprefix(f"s3://{BUCKET}/")
    content = json.loads(boto3.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read())
    put(key, json.dumps(content | {field: value}).encode())

    with pytest.raises(PermanentError, match=f"has {field} {value}, not "):
        export_table.main(arguments("Kind", read_mode="export", table_export=summary))


def test_a_table_export_that_is_not_there_fails(make_table, arguments, no_spark):
    make_table("Absent")
    summary = f"s3://{BUCKET}/staging/absent/{SNAPSHOT_TIMESTAMP}/AWSDynamoDB/0123-abcd/manifest-summary.json"

    with pytest.raises(ExportFailed, match="GetObject failed with NoSuchKey"):
        export_table.main(arguments("Absent", read_mode="export", table_export=summary))
