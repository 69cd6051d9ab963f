"""A pipeline with a column contract, with the roles enforced: no omitted value is left anywhere."""

import gzip
import hmac
import io
import json
from decimal import Decimal

import pyarrow.parquet
import pytest
from contracts_of_columns import store_contract

pytestmark = pytest.mark.slow

CANARY = "canary-5d21e0"
BUCKET = "table-exports-123456789012-us-east-1"
COLUMNS = {
    "passport": {"omit": True},
    "address.street": {"omit": True},
    "orders.to": {"omit": True},
    "created_at": {"as": "timestamp", "from": "epoch_ms"},
    "custId": {"name": "customer_id"},
    "events": {"map": True},
    "email": {"hash": "sha256"},
}
KEY = "0123456789abcdef" * 2
ITEMS = [
    {
        "id": str(number),
        "passport": f"{CANARY}-{number}",
        "address": {"city": "Rome", "street": CANARY},
        "orders": [{"price": Decimal("1.5"), "to": CANARY}],
        "created_at": 1700000000123 if number else "soon",
        "custId": number,
        "email": f"{CANARY}@example.com",
        "events": {f"day-{number}": number},
    }
    for number in range(5)
]


@pytest.fixture(scope="module")
def customers(user):
    user.make_table("Customers", ITEMS, {"id": "S"})
    user.client("dynamodb").update_continuous_backups(
        TableName="Customers", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    return "Customers"


@pytest.fixture(scope="module")
def secret(user):
    return user.client("secretsmanager").create_secret(Name="hashes", SecretString=KEY)["ARN"]


def buckets(user):
    return [found["Name"] for found in user.client("s3").list_buckets()["Buckets"]]


def contents(user):
    """Every version of every object, as text that a search finds."""
    s3 = user.client("s3")
    for bucket in buckets(user):
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for each in page.get("Versions", []):
                place = {"Bucket": bucket, "Key": each["Key"], "VersionId": each["VersionId"]}
                yield f"{bucket}/{each['Key']}", plain(s3.get_object(**place)["Body"].read())


def plain(content):
    if content[:2] == b"\x1f\x8b":
        return gzip.decompress(content)
    if content[:4] == b"PAR1":
        return content + str(pyarrow.parquet.read_table(io.BytesIO(content)).to_pylist()).encode()
    return content


def records(user):
    dynamodb = user.client("dynamodb")
    for name in set(dynamodb.list_tables()["TableNames"]) - {"Customers"}:
        for page in dynamodb.get_paginator("scan").paginate(TableName=name):
            yield f"table {name}", json.dumps(page["Items"], default=str).encode()


def logs(user):
    client = user.client("logs")
    for group in client.describe_log_groups()["logGroups"]:
        for page in client.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"]):
            for event in page["events"]:
                yield group["logGroupName"], event["message"].encode()


def catalog(user):
    tables = user.client("glue").get_tables(DatabaseName="dynamodb_exports")["TableList"]
    yield "catalog", json.dumps(tables, default=str).encode()


def files(folder):
    """The sandbox's own logs, and the folders of the job runs."""
    for path in folder.rglob("*.log"):
        yield str(path), path.read_bytes()


@pytest.mark.parametrize("read_mode", ["scan", "export"])
def test_no_omitted_value_is_left_and_the_view_has_the_declared_columns(
    user, customers, secret, read_mode, tmp_path_factory
):
    uri = store_contract(user.client("s3"), BUCKET, COLUMNS)
    view = f"customers_{read_mode}"
    given = {"Columns": uri.removeprefix("s3://"), "HashSecretArn": secret}
    pipeline = user.deploy_pipeline(customers, ReadMode=read_mode, CatalogName=view, **given)
    with user.listening({"source": ["table-exports", "aws.glue", "aws.athena", "aws.s3"]}) as listener:
        [export] = user.export(pipeline)
        told = [listener.wait_for(name) for name in ("Snapshot Written", "Export Succeeded")]

    assert (export["read_mode"], export["items"]) == (read_mode, 5)
    assert [event["detail"]["not_converted"] for event in told] == [{"created_at": 1}] * 2
    assert user.query(
        "SELECT customer_id, CAST(created_at AS varchar) AS at, created_at_not_converted AS other, "
        "address.city AS city, orders[1].price AS price, element_at(events, concat('day-', id)) AS event "
        f"FROM {view} WHERE id <= '1' ORDER BY id"
    ) == [
        {"customer_id": "0", "at": None, "other": "soon", "city": "Rome", "price": "1.5", "event": "0"},
        {
            "customer_id": "1",
            "at": "2023-11-14 22:13:20.123",
            "other": None,
            "city": "Rome",
            "price": "1.5",
            "event": "1",
        },
    ]
    hashed = hmac.new(KEY.encode(), f"{CANARY}@example.com".encode(), "sha256").hexdigest()
    assert user.query(f"SELECT DISTINCT email FROM {view}") == [{"email": hashed}]
    searched = [*contents(user), *records(user), *logs(user), *catalog(user), *files(tmp_path_factory.getbasetemp())]
    assert any(b"Rome" in content for _, content in searched)
    assert [place for place, content in searched if CANARY.encode() in content] == []
    assert [place for place, content in searched if KEY.encode() in content] == []
    assert CANARY not in json.dumps(told)
    [view_columns] = [content for place, content in searched if place == "catalog"]
    assert b"passport" not in view_columns
    assert b"street" not in view_columns
