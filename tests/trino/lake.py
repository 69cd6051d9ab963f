"""Snapshots in a sandbox: made by the Glue job, cataloged by the services' own code, with views if there is a Trino."""

import json
import os
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from contracts_of_columns import store_contract
from examples import an_export

from acceptance.zoo import as_boto3, value_as_boto3
from sandbox.trino.client import TrinoClient, TrinoResult
from sandbox.trino.server import CATALOG
from table_exports.aws.glue import Glue
from table_exports.domain.manifest import Manifest
from table_exports.domain.view_sql import create_view

ROOT = Path(__file__).parents[2]
DATABASE = "dynamodb_exports"
BUCKET = "lake"
CRAWL_SECONDS = 120
CRAWLER_CONFIGURATION = json.dumps(  # as in infra/table.yaml
    {
        "Version": 1.0,
        "CrawlerOutput": {
            "Partitions": {"AddOrUpdateBehavior": "InheritFromTable"},
            "Tables": {"AddOrUpdateBehavior": "MergeNewColumns"},
        },
    }
)
Item = dict[str, dict[str, Any]]  # as DynamoDB writes it; binary values are base64


class Job:
    """The Glue job, in a process that runs it many times."""

    def __init__(self, endpoint: str, log: Path) -> None:
        folders = [ROOT / "tests" / "local_spark", ROOT, ROOT / "glue", ROOT / "tests"]
        self._log = log.open("wb")
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("job_server.py")],
            env=os.environ | aws(endpoint) | {"PYTHONPATH": os.pathsep.join(map(str, folders))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def run(self, **arguments: str) -> None:
        words = [word for name, value in arguments.items() for word in (f"--{name}", value)]
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer == "null\n", answer or f"the job's process ended: see {self._log.name}"

    def stop(self) -> None:
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()
        self._log.close()


class Lake:
    """`trino_url` is of the Trino that creates and queries views. Without it, there are none."""

    def __init__(self, endpoint: str, job: Job, trino_url: str | None = None) -> None:
        session = boto3.Session("test", "test", region_name="us-east-1")
        self.s3, self.glue, self.dynamodb, self.iam = (
            session.client(service, endpoint_url=endpoint) for service in ("s3", "glue", "dynamodb", "iam")
        )
        self.trino = TrinoClient(trino_url, CATALOG, DATABASE) if trino_url else None
        self.catalog = Glue(self.glue, lambda: self.glue, DATABASE)
        self._job = job
        self._items: dict[str, list[dict[str, Any]]] = {}  # in each table, by their keys
        self.s3.create_bucket(Bucket=BUCKET)
        self.glue.create_database(DatabaseInput={"Name": DATABASE})

    def make_table(self, name: str, **key: str) -> None:
        """`key` is attribute=type, the partition key first."""
        self.dynamodb.create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, t in key.items()],
            KeySchema=[{"AttributeName": n, "KeyType": k} for n, k in zip(key, ("HASH", "RANGE"), strict=False)],
            BillingMode="PAY_PER_REQUEST",
        )
        self._items[name] = []

    def write(self, table: str, items: list[Item]) -> None:
        """Have these items in the table, and no others."""
        for key in self._items[table]:
            self.dynamodb.delete_item(TableName=table, Key=key)
        described = self.dynamodb.describe_table(TableName=table)["Table"]
        names = [element["AttributeName"] for element in described["KeySchema"]]
        self._items[table] = [{name: value_as_boto3(item[name]) for name in names} for item in items]
        for item in items:
            self.dynamodb.put_item(TableName=table, Item=as_boto3(item))

    def snapshot(
        self,
        table: str,
        name: str,
        output_format: str,
        day: int,
        *,
        table_export: str | None = None,
        keep_partitions: bool = False,
        crawl: bool = False,
        columns: dict[str, Any] | None = None,
    ) -> Manifest:
        """Export the table, catalog the snapshot as `snapshots_{name}`, and have Trino create the view `name`.

        `keep_partitions` leaves older partitions with the columns that they were cataloged with. `crawl` has a crawler
        catalog the snapshot first. `columns` is the column contract.
        """
        timestamp = timestamp_of(day)
        export = an_export(
            export_id=f"{name}-{day}",
            table_name=table,
            catalog_name=name,
            output_format=output_format,
            snapshot_timestamp=timestamp,
            output_prefix=f"s3://{BUCKET}/exports/snapshots_{name}",
        )
        self._job.run(
            JOB_NAME="verify",
            table_name=table,
            read_percentage="1.0",
            read_capacity_cap="0",
            read_mode="export" if table_export else "scan",
            table_export=table_export or "-",
            output_format=output_format,
            output_prefix=export.output_prefix,
            snapshot_timestamp=timestamp,
            export_id=export.export_id,
            staging_prefix=f"s3://{BUCKET}/staging/{name}",
            manifest=export.manifest_uri,
            columns=store_contract(self.s3, BUCKET, columns) if columns else "-",
            hash_secret="-",
        )
        bucket, _, key = export.manifest_uri.removeprefix("s3://").partition("/")
        manifest = Manifest.from_json(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        if crawl:
            self.catalog.prepare_crawl(export, manifest)
            self._crawl(export.output_prefix, name)
        self.catalog.ensure_table(export, manifest)
        if not keep_partitions:
            self.catalog.correct_partitions(export, manifest, timestamp_of(day - 1))
        self.catalog.ensure_partition(export, manifest)
        if self.trino:
            self.trino.run(create_view(export, DATABASE, manifest.view_columns))
        return manifest

    def _crawl(self, folder: str, name: str) -> None:
        if name not in [crawler["Name"] for crawler in self.glue.get_crawlers()["Crawlers"]]:
            self.glue.create_crawler(
                Name=name,
                Role=self._crawlers_role(),
                DatabaseName=DATABASE,
                Targets={"S3Targets": [{"Path": f"{folder}/"}]},
                Configuration=CRAWLER_CONFIGURATION,
            )
        self.glue.start_crawler(Name=name)
        deadline = time.monotonic() + CRAWL_SECONDS
        while (crawler := self.glue.get_crawler(Name=name)["Crawler"])["State"] != "READY":
            assert time.monotonic() < deadline, f"the crawler {name} does not end"
            time.sleep(0.1)
        assert crawler["LastCrawl"]["Status"] == "SUCCEEDED", crawler["LastCrawl"]

    @cache  # noqa: B019
    def _crawlers_role(self) -> str:
        trust = {"Effect": "Allow", "Principal": {"Service": "glue.amazonaws.com"}, "Action": "sts:AssumeRole"}
        may = {"Effect": "Allow", "Action": ["s3:*", "glue:*"], "Resource": "*"}
        self.iam.create_role(RoleName="crawlers", AssumeRolePolicyDocument=policy(trust))
        self.iam.put_role_policy(RoleName="crawlers", PolicyName="its", PolicyDocument=policy(may))
        return "arn:aws:iam::123456789012:role/crawlers"

    def export_by_dynamodb(self, table: str, folder: str) -> str:
        """The URI of the summary of a table export that DynamoDB has written."""
        self.dynamodb.update_continuous_backups(
            TableName=table, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
        arn = self.dynamodb.describe_table(TableName=table)["Table"]["TableArn"]
        export = self.dynamodb.export_table_to_point_in_time(
            TableArn=arn, S3Bucket=BUCKET, S3Prefix=folder, ExportFormat="DYNAMODB_JSON"
        )["ExportDescription"]
        deadline = time.monotonic() + CRAWL_SECONDS
        while export["ExportStatus"] == "IN_PROGRESS":
            assert time.monotonic() < deadline, f"the export of {table} does not end"
            time.sleep(0.1)
            export = self.dynamodb.describe_export(ExportArn=export["ExportArn"])["ExportDescription"]
        assert export["ExportStatus"] == "COMPLETED", export
        return f"s3://{BUCKET}/{export['ExportManifest']}"

    def query(self, sql: str) -> TrinoResult:
        return self.trino.run(sql)


def policy(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def timestamp_of(day: int) -> str:
    return f"2026-11-{day:02d}T02-00-07Z"


def aws(endpoint: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
