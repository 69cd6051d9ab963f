"""The whole job with a column contract, on a stand-in for Spark: what reaches S3, and what every format shows."""

import gzip
import json
from datetime import UTC, date, datetime

import boto3
import pytest
from contracts_of_columns import store_contract

import export_table
from table_export_job.arguments import OUTPUT_FORMATS
from table_export_job.errors import PermanentError
from table_export_job.s3 import get
from tests.glue.job_places import BUCKET, keys_below, read_rows, the_day_after

pytestmark = [  # boto3 leaves the closing of sockets to the garbage collector
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

CANARY = "canary-7f3a"
PERSONAL = [
    {
        "id": {"S": str(number)},
        "passport": {"S": CANARY},
        "address": {"M": {"city": {"S": "Rome"}, "street": {"S": CANARY}}},
        "orders": {"L": [{"M": {"price": {"N": "1"}, "to": {"S": CANARY}}}]},
        "by_user": {"M": {CANARY: {"N": "1"}}},
    }
    for number in range(3)
]
PRIVATE = {
    "passport": {"omit": True},
    "address.street": {"omit": True},
    "orders.to": {"omit": True},
    "by_user": {"omit": True},
}


@pytest.fixture
def contract(environment):
    return lambda columns: store_contract(boto3.client("s3"), BUCKET, columns)


@pytest.fixture
def versioned(environment):
    boto3.client("s3").put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})


def places_of(text):
    """The keys of all versions of objects in the bucket that contain the text, also if it is compressed."""
    s3 = boto3.client("s3")
    versions = s3.list_object_versions(Bucket=BUCKET).get("Versions", [])
    found = set()
    for each in versions:
        content = s3.get_object(Bucket=BUCKET, Key=each["Key"], VersionId=each["VersionId"])["Body"].read()
        plain = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
        if text.encode() in plain:
            found.add(each["Key"])
    return found


@pytest.mark.parametrize("output_format", ["json", "csv"])
def test_omitted_values_never_reach_s3_when_the_table_is_scanned(
    versioned, make_table, arguments, contract, snapshot, manifest, capsys, output_format
):
    make_table("Personal", PERSONAL)

    export_table.main(arguments("Personal", columns=contract(PRIVATE), output_format=output_format))

    assert len(snapshot("Personal")) == 3
    assert places_of(CANARY) == set()
    assert places_of("Rome") != set()
    assert CANARY not in "".join(capsys.readouterr())
    assert [column["name"] for column in manifest("Personal")["columns"]] == ["id", "address", "orders"]
    assert "street" not in str(manifest("Personal"))


def test_omitted_values_are_gone_from_s3_when_dynamodbs_export_was_read(
    versioned, make_table, arguments, contract, snapshot, export_by_dynamodb
):
    make_table("Own", PERSONAL)
    summary = export_by_dynamodb(PERSONAL, "own", table="Own")
    argv = arguments("Own", read_mode="export", table_export=summary, columns=contract(PRIVATE), output_format="json")
    assert places_of(CANARY) != set()

    export_table.main(argv)

    assert [row["address"] for row in snapshot("Own")] == [{"city": "Rome"}] * 3
    assert places_of(CANARY) == set()


def test_a_run_that_was_killed_before_it_deleted_the_export_is_finished_by_the_next(
    versioned, make_table, arguments, contract, export_by_dynamodb, manifest, monkeypatch
):
    make_table("Cut-Short", PERSONAL)
    summary = export_by_dynamodb(PERSONAL, "cut-short", table="Cut-Short")
    argv = arguments("Cut-Short", read_mode="export", table_export=summary, columns=contract(PRIVATE))
    with monkeypatch.context() as patch:
        patch.setattr(export_table, "delete_table_export", interrupt)
        with pytest.raises(KeyboardInterrupt):
            export_table.main(argv)
    before = manifest("Cut-Short")
    assert places_of(CANARY) != set()

    export_table.main(argv)

    assert places_of(CANARY) == set()
    assert manifest("Cut-Short") == before


def interrupt(*_):
    raise KeyboardInterrupt


def test_an_export_without_omitted_values_stays(make_table, arguments, contract, export_by_dynamodb):
    make_table("Stays", PERSONAL)
    summary = export_by_dynamodb(PERSONAL, "stays", table="Stays")

    export_table.main(
        arguments("Stays", read_mode="export", table_export=summary, columns=contract({"id": {"name": "key"}}))
    )

    assert boto3.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="staging/stays/")["KeyCount"] > 1


EVENTS = [
    {
        "id": {"S": "1"},
        "at": {"N": "1700000000123"},
        "day": {"S": "14.11.2023"},
        "price": {"N": "12.5"},
        "x": {"N": "1.5"},
    },
    {"id": {"S": "2"}, "at": {"N": "-1000"}, "day": {"S": "01.01.1969"}, "price": {"S": "0.25"}, "x": {"S": "0.5"}},
    {"id": {"S": "3"}, "at": {"S": "soon"}, "day": {"NULL": True}, "price": {"N": "0.001"}},
]
TYPED = {
    "at": {"as": "timestamp", "from": "epoch_ms"},
    "day": {"as": "date", "from": "%d.%m.%Y"},
    "price": {"as": "decimal(18,2)", "name": "net_price"},
    "x": {"as": "double"},
}
TYPES = {
    "id": "string",
    "at": "timestamp",
    "at_not_converted": "string",
    "day": "date",
    "net_price": "decimal(18,2)",
    "net_price_not_converted": "decimal(38,3)",
    "x": "double",
}


def shown(row):
    """The values as text, the same for the readers of all formats."""
    return {name: as_text(value) for name, value in row.items() if value not in (None, "")}


def as_text(value):
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC) if value.tzinfo else value:%Y-%m-%d %H:%M:%S.%f}"[:-3]
    return str(value) if not isinstance(value, date) else value.isoformat()


@pytest.mark.parametrize("read_mode", ["scan", "export"])
@pytest.mark.parametrize("output_format", OUTPUT_FORMATS)
def test_every_format_has_the_declared_types_and_values(
    make_table, arguments, contract, snapshot, manifest, export_by_dynamodb, output_format, read_mode
):
    table = f"Typed-{output_format}-{read_mode}"
    make_table(table, EVENTS)
    table_export = export_by_dynamodb(EVENTS, table.lower(), table=table) if read_mode == "export" else "-"

    uri = contract(TYPED)
    export_table.main(
        arguments(table, output_format=output_format, columns=uri, read_mode=read_mode, table_export=table_export)
    )

    written = manifest(table)
    types = dict.fromkeys(TYPES, "string") if output_format == "csv" else TYPES
    assert {column["name"]: column["type"] for column in written["columns"]} == types
    assert written["not_converted"] == {"at": 1, "price": 1}
    assert written["contract"] == uri
    assert sorted(map(shown, snapshot(table)), key=lambda row: row["id"]) == [
        {"id": "1", "at": "2023-11-14 22:13:20.123", "day": "2023-11-14", "net_price": "12.50", "x": "1.5"},
        {"id": "2", "at": "1969-12-31 23:59:59.000", "day": "1969-01-01", "net_price": "0.25", "x": "0.5"},
        {"id": "3", "at_not_converted": "soon", "net_price_not_converted": "0.001"},
    ]


@pytest.mark.parametrize("read_mode", ["scan", "export"])
def test_a_strict_attribute_fails_the_run_and_nothing_is_published(
    make_table, arguments, contract, export_by_dynamodb, snapshot_files, read_mode
):
    table = f"Strict-{read_mode}"
    make_table(table, EVENTS)
    summary = export_by_dynamodb(EVENTS, table.lower(), table=table) if read_mode == "export" else "-"
    columns = contract({"at": TYPED["at"] | {"strict": True}})

    with pytest.raises(PermanentError, match=r"with strict: at \(1\)\. Nothing was published"):
        export_table.main(arguments(table, columns=columns, read_mode=read_mode, table_export=summary))

    assert snapshot_files(table) == []


def test_a_contract_that_was_replaced_fails_before_the_table_is_read(make_table, arguments, contract):
    make_table("Replaced", EVENTS)
    uri = contract({"passport": {"omit": True}})
    boto3.client("s3").put_object(Bucket=BUCKET, Key=uri.removeprefix(f"s3://{BUCKET}/"), Body=b"{}")

    with pytest.raises(PermanentError, match="was changed: its SHA-256 is not its name"):
        export_table.main(arguments("Replaced", columns=uri))


def test_dynamodbs_export_is_converted_as_declared_whatever_earlier_snapshots_have(
    make_table, arguments, contract, manifest, export_by_dynamodb
):
    """The second time, the attributes are known from the manifest: as text, and without the map and the last item."""
    items = [{"id": {"S": str(number)}, "at": {"S": "2023-11-14T22:13:20Z"}} for number in range(600)]
    make_table("Known", items[:1])
    export_by = {"read_mode": "export", "table_export": export_by_dynamodb(items, "known", table="Known")}
    export_table.main(arguments("Known", **export_by))
    items += [{"id": {"S": "x"}, "at": {"S": "soon"}, "events": {"M": {"day": {"N": "1"}}}, "late": {"N": "1"}}]
    later = the_day_after("Known")
    summary = export_by_dynamodb(items, "known-later", table="Known")
    rules = {
        "at": {"as": "timestamp", "from": "iso8601"},
        "events": {"map": True},
        "late": {"as": "boolean"},
    }

    export_table.main(arguments("Known", **export_by | {"table_export": summary}, columns=contract(rules), **later))

    written = json.loads(get(boto3.client("s3"), later["manifest"]))
    assert {column["name"]: column["type"] for column in written["columns"]} == {
        "id": "string",
        "at": "string",
        "at_2": "timestamp",
        "at_not_converted": "string",
        "events": "map<string,bigint>",
        "late": "boolean",
    }
    assert (written["items_written"], written["not_converted"]) == (601, {"at": 1})
    [key] = keys_below(f"exports/snapshots_known/snapshot_timestamp={later['snapshot_timestamp']}/")
    rows = {row.pop("id"): row for row in read_rows(key)}
    assert rows["x"] == {
        "at": None, "at_2": None, "at_not_converted": "soon", "events": {"day": 1}, "late": True
    }  # fmt: skip
    assert rows["0"] == dict.fromkeys(rows["x"]) | {"at_2": datetime(2023, 11, 14, 22, 13, 20)}
