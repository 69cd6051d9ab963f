"""The rules of docs/schema.md, on tables made for each, read in both modes and written in every format."""

import base64
from datetime import UTC, datetime

import boto3
import pytest
from zoo import ZOO, columns_of

import export_table
from sandbox.dynamodb.table_exports import export_files
from table_export_job.arguments import OUTPUT_FORMATS
from table_export_job.errors import ExportFailed
from table_export_job.s3 import get, list_objects
from tests.glue.job_places import BUCKET, SNAPSHOT_TIMESTAMP

pytestmark = [  # Spark and boto3 leave the closing of sockets to the garbage collector
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

TABLE_ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/Zoo"


def as_boto3(value):
    """boto3 takes binary values as bytes."""
    [(kind, content)] = value.items()
    match kind:
        case "B":
            return {"B": base64.b64decode(content)}
        case "BS":
            return {"BS": [base64.b64decode(element) for element in content]}
        case "L":
            return {"L": [as_boto3(element) for element in content]}
        case "M":
            return {"M": {key: as_boto3(inner) for key, inner in content.items()}}
    return value


@pytest.fixture
def export_by_dynamodb():
    """Leaves these items in S3 as DynamoDB's own export does. Returns the URI of its summary."""

    def export(items, folder):
        files = export_files(
            items,
            bucket=BUCKET,
            prefix=f"staging/{folder}/{SNAPSHOT_TIMESTAMP}",
            table_arn=TABLE_ARN,
            export_id="01234567890123-a1b2c3d4",
            at=datetime(2026, 11, 23, 2, 0, 8, tzinfo=UTC),
        )
        for key, content in files.items():
            boto3.client("s3").put_object(Bucket=BUCKET, Key=key, Body=content)
        return f"s3://{BUCKET}/{list(files)[-1]}"

    return export


def by_id(rows):
    return sorted(rows, key=lambda row: row["id"])


@pytest.mark.parametrize("case", ZOO, ids=str)
def test_both_read_modes_give_the_same_columns_and_values(
    make_table, arguments, export_by_dynamodb, manifest, snapshot, case
):
    items = list(case.keyed_items)
    make_table("Zoo", [{name: as_boto3(value) for name, value in item.items()} for item in items])

    export_table.main(arguments("Zoo", read_mode="scan", export_id=f"{case.name}-scan"))
    scanned = manifest("Zoo"), by_id(snapshot("Zoo"))
    summary = export_by_dynamodb(items, "zoo")
    given = {"read_mode": "export", "table_export": summary, "export_id": f"{case.name}-export"}
    export_table.main(arguments("Zoo", **given))
    exported = manifest("Zoo"), by_id(snapshot("Zoo"))

    assert {column["name"]: column["type"] for column in scanned[0]["columns"]} == {"id": "string"} | case.columns
    assert exported[1] == scanned[1]
    assert (exported[0]["read_mode"], scanned[0]["read_mode"]) == ("export", "scan")
    for fact in ("columns", "attributes", "items_counted", "items_written"):
        assert exported[0][fact] == scanned[0][fact]


@pytest.mark.parametrize("output_format", OUTPUT_FORMATS)
def test_all_cases_fit_in_one_table_of_every_format(
    make_table, arguments, export_by_dynamodb, manifest, snapshot, output_format
):
    items = [item for case in ZOO for item in case.keyed_items]
    make_table("Zoo")

    summary = export_by_dynamodb(items, "zoo")
    given = {"read_mode": "export", "table_export": summary, "output_format": output_format}
    export_table.main(arguments("Zoo", **given, export_id=f"all-{output_format}"))

    expected = {"id": "string"}
    for case in ZOO:
        expected |= columns_of(case, output_format)
    assert {column["name"]: column["type"] for column in manifest("Zoo")["columns"]} == expected
    assert [row["id"] for row in by_id(snapshot("Zoo"))] == sorted(item["id"]["S"] for item in items)


def test_a_table_export_that_lacks_a_file_fails(make_table, arguments, export_by_dynamodb):
    make_table("Zoo")
    summary = export_by_dynamodb([{"id": {"S": str(number)}} for number in range(10)], "lacking")
    folder = summary.removesuffix("manifest-summary.json") + "data/"
    [first, _] = list_objects(boto3.client("s3"), folder)
    boto3.client("s3").delete_object(Bucket=BUCKET, Key=first["Key"])

    with pytest.raises(ExportFailed, match=r"The table export lacks its file .*/data/.*\.json\.gz"):
        export_table.main(arguments("Zoo", read_mode="export", table_export=summary))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-10], "is damaged"),
        (lambda content: content + b"\0" * 7, "is damaged .its checksum differs"),
        (lambda content: b"", "was staged with 5 items, but holds 0"),
    ],
)
def test_a_table_export_with_a_damaged_file_fails(make_table, arguments, export_by_dynamodb, damage, message):
    make_table("Zoo")
    summary = export_by_dynamodb([{"id": {"S": str(number)}} for number in range(10)], "damaged")
    s3, folder = boto3.client("s3"), summary.removesuffix("manifest-summary.json") + "data/"
    key = next(list_objects(s3, folder))["Key"]
    s3.put_object(Bucket=BUCKET, Key=key, Body=damage(get(s3, f"s3://{BUCKET}/{key}")))

    with pytest.raises(ExportFailed, match=message):
        export_table.main(arguments("Zoo", read_mode="export", table_export=summary))


def test_a_table_export_of_another_table_fails(make_table, arguments, export_by_dynamodb):
    make_table("Other")
    summary = export_by_dynamodb([{"id": {"S": "1"}}], "other")

    with pytest.raises(ExportFailed, match=r"is an export of arn:.*:table/Zoo, not of table Other"):
        export_table.main(arguments("Other", read_mode="export", table_export=summary))


def test_a_table_export_that_is_not_there_fails(make_table, arguments):
    make_table("Zoo")
    summary = f"s3://{BUCKET}/staging/zoo/{SNAPSHOT_TIMESTAMP}/AWSDynamoDB/0123-abcd/manifest-summary.json"

    with pytest.raises(ExportFailed, match="GetObject failed with NoSuchKey"):
        export_table.main(arguments("Zoo", read_mode="export", table_export=summary))
