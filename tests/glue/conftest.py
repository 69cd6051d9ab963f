"""The job on local Spark, with DynamoDB and S3 by moto's server."""

import json

import boto3
import pytest

from sandbox.glue.spark import environment as spark_environment
from tests.glue.dynalite_server import dynamodb_server, endpoint  # noqa: F401
from tests.glue.job_places import BUCKET, SCRIPT, SNAPSHOT_TIMESTAMP, keys_below, read_rows


@pytest.fixture(scope="session")
def aws():
    """DynamoDB and S3 by moto's server. One for all: Spark's workers keep the address that the first test gave them."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture(scope="module")
def environment(aws, tmp_path_factory):
    """What the job finds around it: AWS at moto's server, and Spark as in the sandbox."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": aws,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "PYTHONPATH": str(SCRIPT.parent),  # executors import the job's modules
            **spark_environment(tmp_path_factory.mktemp("spark")),
        }.items():
            patch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield


@pytest.fixture(scope="module")
def spark(environment):
    from pyspark.sql import SparkSession

    session = SparkSession.builder.getOrCreate()
    yield session
    session.stop()


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
        for item in items:
            dynamodb.put_item(TableName=name, Item=item)

    yield make
    for name in made:
        dynamodb.delete_table(TableName=name)


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
