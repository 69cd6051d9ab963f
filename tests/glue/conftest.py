"""The job with DynamoDB and S3 by moto's server, on a stand-in for Spark; or, where Spark matters, on Spark."""

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime

import boto3
import pytest

import export_table
from sandbox.dynamodb.table_exports import export_files
from sandbox.glue.spark import environment as spark_environment
from tests.glue.dynalite_server import dynamodb_server, endpoint  # noqa: F401
from tests.glue.job_places import BUCKET, SCRIPT, SNAPSHOT_TIMESTAMP, keys_below, read_rows
from tests.local_spark.pyspark.sql import SparkSession
from tests.single_table.libraries import KEY


@pytest.fixture(scope="session")
def aws():
    """The address of DynamoDB and S3, by moto's server."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture(scope="module")
def environment(aws):
    """The environment of the job: AWS is moto's server."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": aws,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            patch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield


@pytest.fixture(autouse=True)
def local_spark(monkeypatch):
    """The job in this process runs on the stand-in for Spark."""
    monkeypatch.setattr(export_table, "SparkSession", SparkSession)


@pytest.fixture
def run_on_spark(environment, tmp_path):
    """Runs the script on Spark, in its own process. Driver and executors find its modules in a zip, as on Glue."""
    shutil.copy(SCRIPT, tmp_path)
    modules = shutil.make_archive(tmp_path / "modules", "zip", SCRIPT.parent, "table_export_job")

    def run(argv):
        return subprocess.run(
            [sys.executable, SCRIPT.name, *argv[1:]],
            cwd=tmp_path,
            env=os.environ | spark_environment(tmp_path / "spark") | {"PYTHONPATH": modules},
            capture_output=True,
            text=True,
            timeout=180,
        )

    return run


@pytest.fixture
def export_by_dynamodb(environment):
    """Writes items to S3 as DynamoDB's own export does. Returns the URI of its summary."""

    def export(items, folder, table="Zoo"):
        files = export_files(
            items,
            bucket=BUCKET,
            prefix=f"staging/{folder}/{SNAPSHOT_TIMESTAMP}",
            table_arn=f"arn:aws:dynamodb:us-east-1:123456789012:table/{table}",
            export_id="01234567890123-a1b2c3d4",
            at=datetime(2026, 11, 23, 2, 0, 8, tzinfo=UTC),
        )
        for key, content in files.items():
            boto3.client("s3").put_object(Bucket=BUCKET, Key=key, Body=content)
        return f"s3://{BUCKET}/{list(files)[-1]}"

    return export


@pytest.fixture
def make_table(environment):
    """Creates a DynamoDB table that holds these items, and deletes it after the test."""
    dynamodb, made = boto3.client("dynamodb"), []

    def make(name, items=(), *, hash_key=("id", "S"), range_key=None, **settings):
        keys = [key for key in (hash_key, range_key) if key]
        dynamodb.create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": kind} for key, kind in keys],
            KeySchema=[
                {"AttributeName": key, "KeyType": role} for (key, _), role in zip(keys, ("HASH", "RANGE"), strict=False)
            ],
            **settings or {"BillingMode": "PAY_PER_REQUEST"},
        )
        made.append(name)
        puts = [{"PutRequest": {"Item": item}} for item in items]
        for start in range(0, len(puts), 25):
            dynamodb.batch_write_item(RequestItems={name: puts[start : start + 25]})

    yield make
    for name in made:
        dynamodb.delete_table(TableName=name)


@pytest.fixture
def single_table(make_table):
    """Creates a table for the applications of tests/single_table."""

    def make(name):
        hash_key, range_key = KEY.items()
        make_table(name, hash_key=hash_key, range_key=range_key)
        return name

    return make


@pytest.fixture
def arguments():
    """The job's command line for a table, with some arguments changed."""

    def build(table_name, /, **changed):
        folder = table_name.lower()
        given = {
            "JOB_NAME": "table-exports-x",
            "table_name": table_name,
            "read_percentage": "1.0",
            "read_capacity_cap": "0",
            "read_mode": "scan",
            "table_export": "-",
            "output_format": "parquet",
            "output_prefix": f"s3://{BUCKET}/exports/snapshots_{folder}",
            "snapshot_timestamp": SNAPSHOT_TIMESTAMP,
            "export_id": "e1",
            "staging_prefix": f"s3://{BUCKET}/staging/{folder}",
            "manifest": f"s3://{BUCKET}/exports/manifests_{folder}/{SNAPSHOT_TIMESTAMP}.json",
            "columns": "-",
            "hash_secret": "-",
            "entities": "-",
        } | changed
        return ["export_table.py", *(part for name, value in given.items() for part in (f"--{name}", value))]

    return build


@pytest.fixture
def snapshot_files(environment):
    """The keys of a written snapshot's files."""
    return lambda table_name: keys_below(
        f"exports/snapshots_{table_name.lower()}/snapshot_timestamp={SNAPSHOT_TIMESTAMP}/"
    )


@pytest.fixture
def snapshot(snapshot_files):
    """The rows of a written snapshot, as its format's own readers read them."""
    return lambda table_name: [row for key in snapshot_files(table_name) for row in read_rows(key)]


@pytest.fixture
def manifest(environment):
    def read(table_name):
        key = f"exports/manifests_{table_name.lower()}/{SNAPSHOT_TIMESTAMP}.json"
        return json.loads(boto3.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read())

    return read
