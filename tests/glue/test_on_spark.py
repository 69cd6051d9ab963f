"""The script on Spark, in its own process: what the stand-in for Spark cannot show."""

import hmac
import re
from datetime import datetime
from decimal import Decimal
from operator import itemgetter

import boto3
import pytest
from contracts_of_columns import store_contract, store_entities

from acceptance.zoo import ZOO, as_boto3, columns_of
from table_export_job.formats import FORMATS
from table_export_job.s3 import get, list_objects
from tests.glue.job_places import BUCKET, keys_below, read_rows

pytestmark = [  # boto3 leaves the closing of sockets to the garbage collector
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def test_the_script_exports_every_type(run_on_spark, make_table, arguments, snapshot, manifest):
    items = [
        {
            "id": {"S": "1"},
            "userId": {"S": "upper"},
            "stars": {"N": "5"},
            "price": {"N": "1.25"},
            "big": {"N": "12345678901234567890123456789012345678"},
            "wide": {"N": "0.1"},
            "ok": {"BOOL": True},
            "raw": {"B": b"\x00\xff"},
            "ss": {"SS": ["x", "y"]},
            "ns": {"NS": ["1", "2.5"]},
            "bs": {"BS": [b"\x01", b"\x02"]},
            "place": {"M": {"a b": {"N": "1"}, "deep": {"L": [{"M": {"x": {"S": "q"}}}, {"NULL": True}]}}},
            "by_day": {"M": {f"day {day}": {"N": str(day)} for day in range(101)}},
            "mixed": {"N": "7"},
            "nothing": {"NULL": True},
        },
        {
            "id": {"S": "2"},
            "userid": {"S": "lower"},
            "price": {"NULL": True},
            "wide": {"N": "1" + 37 * "0"},
            "mixed": {"M": {"k": {"L": [{"N": "1"}, {"SS": ["é"]}]}}},
            "snapshot_timestamp": {"S": "mine"},
        },
    ]
    make_table("Every.Type", items)

    run = run_on_spark(arguments("Every.Type"))

    assert run.returncode == 0, run.stderr
    proof = manifest("Every.Type")
    assert {column["name"]: column["type"] for column in proof["columns"]} == {
        "id": "string",
        "big": "decimal(38,0)",
        "bs": "array<binary>",
        "by_day": "map<string,bigint>",
        "mixed": "string",
        "nothing": "string",
        "ns": "array<decimal(38,1)>",
        "ok": "boolean",
        "place": "struct<a_b:bigint,deep:array<struct<x:string>>>",
        "price": "decimal(38,2)",
        "raw": "binary",
        "snapshot_timestamp_2": "string",
        "ss": "array<string>",
        "stars": "bigint",
        "userid": "string",
        "userid_2": "string",
        "wide": "string",
    }
    first, second = sorted(snapshot("Every.Type"), key=itemgetter("id"))
    assert list(first) == [column["name"] for column in proof["columns"]]
    assert first == {
        "id": "1",
        "big": Decimal("12345678901234567890123456789012345678"),
        "bs": [b"\x01", b"\x02"],
        "by_day": {f"day {day}": day for day in range(101)},
        "mixed": "7",
        "nothing": None,
        "ns": [Decimal("1"), Decimal("2.5")],
        "ok": True,
        "place": {"a_b": 1, "deep": [{"x": "q"}, None]},
        "price": Decimal("1.25"),
        "raw": b"\x00\xff",
        "snapshot_timestamp_2": None,
        "ss": ["x", "y"],
        "stars": 5,
        "userid": None,  # of the attribute whose name needs no change
        "userid_2": "upper",
        "wide": "0.1",
    }
    assert {name: value for name, value in second.items() if value is not None} == {
        "id": "2",
        "mixed": '{"k":[1,["é"]]}',
        "snapshot_timestamp_2": "mine",
        "userid": "lower",
        "wide": "1" + 37 * "0",
    }


@pytest.mark.slow
def test_the_error_of_an_executor_is_the_error_of_the_run(run_on_spark, make_table, arguments, export_by_dynamodb):
    make_table("Torn")
    summary = export_by_dynamodb([{"id": {"S": str(number)}} for number in range(10)], "torn", "Torn")
    s3, folder = boto3.client("s3"), summary.removesuffix("manifest-summary.json") + "data/"
    key = next(list_objects(s3, folder))["Key"]
    s3.put_object(Bucket=BUCKET, Key=key, Body=get(s3, f"s3://{BUCKET}/{key}")[:-10])

    run = run_on_spark(arguments("Torn", read_mode="export", table_export=summary))

    assert run.returncode == 1
    error = error_of(run)
    assert error.startswith("table_export_job.errors.ExportFailed: The staged file s3://"), run.stderr
    assert error.endswith("Run the export again.")


@pytest.mark.slow
@pytest.mark.parametrize("output_format", FORMATS)
def test_every_format_is_written_by_executors(run_on_spark, make_table, arguments, manifest, snapshot, output_format):
    items = [item for case in ZOO for item in case.keyed_items]
    make_table("Zoo", map(as_boto3, items))

    run = run_on_spark(arguments("Zoo", output_format=output_format, export_id=output_format))

    assert run.returncode == 0, run.stderr
    expected = {"id": "string"}
    for case in ZOO:
        expected |= columns_of(case, output_format)
    assert {column["name"]: column["type"] for column in manifest("Zoo")["columns"]} == expected
    assert sorted(row["id"] for row in snapshot("Zoo")) == sorted(item["id"]["S"] for item in items)


@pytest.mark.slow
@pytest.mark.parametrize("read_mode", ["scan", "export"])
def test_a_column_contract_reaches_the_executors(
    run_on_spark, make_table, arguments, snapshot, manifest, export_by_dynamodb, read_mode
):
    """With its key, which is in no output of driver or executors."""
    table, key = f"Declared-{read_mode}", "key-of-these-hashes-" + "k" * 20
    items = [
        {"id": {"S": str(number)}, "email": {"S": "ana@example.com"}, "secret": {"S": "x"}, "at": {"N": "1700000000"}}
        for number in range(3)
    ] + [{"id": {"S": "3"}, "at": {"S": "soon"}}]
    make_table(table, items)
    summary = export_by_dynamodb(items, table.lower(), table=table) if read_mode == "export" else "-"
    secret = boto3.client("secretsmanager").create_secret(Name=table, SecretString=key)["ARN"]
    rules = {
        "email": {"hash": "sha256"},
        "secret": {"omit": True},
        "at": {"as": "timestamp", "from": "epoch_s"},
        "id": {"name": "number"},
    }
    uri = store_contract(boto3.client("s3"), BUCKET, rules)

    run = run_on_spark(arguments(table, columns=uri, hash_secret=secret, read_mode=read_mode, table_export=summary))

    assert run.returncode == 0, run.stderr
    assert key not in run.stdout + run.stderr
    assert manifest(table)["not_converted"] == {"at": 1}
    rows = sorted(snapshot(table), key=itemgetter("number"))
    hashed = hmac.new(key.encode(), b"ana@example.com", "sha256").hexdigest()
    assert [row["email"] for row in rows] == [hashed] * 3 + [None]
    assert rows[0] == {
        "number": "0", "at": datetime(2023, 11, 14, 22, 13, 20), "at_not_converted": None, "email": hashed
    }  # fmt: skip
    assert (rows[3]["at"], rows[3]["at_not_converted"]) == (None, "soon")


@pytest.mark.slow
def test_a_conversion_that_fails_on_an_executor_is_a_permanent_error(run_on_spark, make_table, arguments):
    make_table("Colliding", [{"id": {"S": "1"}, "at": {"S": "soon"}, "at (not converted)": {"S": ""}}])
    uri = store_contract(boto3.client("s3"), BUCKET, {"at": {"as": "timestamp", "from": "epoch_s"}})

    run = run_on_spark(arguments("Colliding", columns=uri))

    assert run.returncode != 0
    message = "Permanent error: An item has an attribute at (not converted). Rename it, or remove `as` of at."
    assert message in error_of(run)


@pytest.mark.slow
def test_entities_are_written_by_executors(run_on_spark, make_table, arguments, manifest):
    items = [{"id": {"S": f"{n}"}, "type": {"S": f"t{n % 3}"}, f"x{n % 3}": {"N": f"{n}"}} for n in range(30)]
    make_table("Entities", items)
    block = {"by": "type", "types": {"t0": {"when": {"id": "{number}"}}, "t2": {"omit": True}}, "wide": True}
    uri = store_entities(boto3.client("s3"), BUCKET, block)

    run = run_on_spark(arguments("Entities", entities=uri))

    assert run.returncode == 0, run.stderr
    written = manifest("Entities")
    assert {each["name"]: [column["name"] for column in each["columns"]] for each in written["entities"]} == {
        "entities": ["id", "type", "x0", "x1"],
        "entities_t0": ["id", "number", "type", "x0"],
        "entities_t1": ["id", "type", "x1"],
    }
    assert (written["items_written"], written["items_omitted"]) == (20, 10)
    [first] = keys_below("exports/entities_entities/entities_t0/")
    assert sorted(row["number"] for row in read_rows(first)) == sorted(f"{n}" for n in range(0, 30, 3))


@pytest.mark.slow
def test_too_many_entities_on_executors_are_a_permanent_error(run_on_spark, make_table, arguments):
    make_table("Values", [{"id": {"S": f"{n}"}} for n in range(30)])
    uri = store_entities(boto3.client("s3"), BUCKET, {"by": "id", "max_entities": 20})

    run = run_on_spark(arguments("Values", entities=uri))

    assert run.returncode != 0
    assert "Permanent error: There are more than 20 entities." in error_of(run)


def error_of(run):
    """The error that ended the script. Spark can still log its own errors after it."""
    [*_, error] = re.findall(
        r'^Traceback .*\n  File "[^"]*export_table\.py", line \d+, in <module>\n(?:  .*\n)+(\S.*)', run.stderr, re.M
    )
    return error
