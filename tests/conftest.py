"""Fixtures of every folder: events as AWS sends them, records on moto, a cloud with an export in flight."""

import copy
import json
import os
import random
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
from examples import NOW, a_pipeline, an_export
from fakes import FakeCloud
from moto import mock_aws
from templates import resource

from table_exports.aws.records import Records
from table_exports.domain.export import Export
from table_exports.domain.stages import Stage

EVENTS = Path(__file__).parent / "events"
# Each new session reads the descriptions of the services again, which takes most of the time to make a client.
botocore.session.create_loader = cache(botocore.session.create_loader)

LONGEST = ["sandbox", "simulation", "glue"]

os.environ |= {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "POWERTOOLS_SERVICE_NAME": "tests",
    "POWERTOOLS_METRICS_NAMESPACE": "tests",
    "POWERTOOLS_TRACE_DISABLED": "true",
}


def pytest_addoption(parser):
    parser.addoption(
        "--engine",
        choices=("duckdb", "trino"),
        default="duckdb",
        help="what runs the queries of Athena in the sandboxes of tests/sandbox (default: %(default)s)",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Runs the folders with the longest tests first, so that all workers end at the same time."""
    items.sort(
        key=lambda item: LONGEST.index(item.path.parent.name) if item.path.parent.name in LONGEST else len(LONGEST)
    )


@pytest.fixture(autouse=True)
def jitter(request):
    """The same random numbers at every run of a test: botocore's retries, for example, wait for random times."""
    random.seed(request.node.nodeid)


@pytest.fixture
def aws_event():
    """An AWS event as AWS documents it, with a few fields changed: `aws_event("glue_job_failed", message="…")`."""

    def load(name: str, **changes: Any) -> dict[str, Any]:
        event = json.loads((EVENTS / f"{name}.json").read_text())
        event["detail"] |= changes
        return event

    return load


@pytest.fixture(scope="module")
def dynamodb():
    with mock_aws():
        yield boto3.client("dynamodb")


@pytest.fixture
def records(dynamodb):
    """Records on a table with the key schema and the indexes of infra/common.yaml."""
    described = resource("common", "StateTable")["Properties"]
    names = ("TableName", "BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
    dynamodb.create_table(**{name: copy.deepcopy(described[name]) for name in names})
    yield Records(dynamodb, described["TableName"], history_days=90)
    dynamodb.delete_table(TableName=described["TableName"])


@pytest.fixture(scope="session")
def written():
    """Of `write_once`: the items by name."""
    return {}


@pytest.fixture
def write_once(records, dynamodb, written):
    """Writes records as the functions do, and copies them for later tests, because moto takes long over conditions."""
    table = resource("common", "StateTable")["Properties"]["TableName"]

    def write(name: str, make: Callable[[], object]) -> None:
        for item in written.get(name, []):
            dynamodb.put_item(TableName=table, Item=item)
        if name not in written:
            make()
            written[name] = dynamodb.scan(TableName=table)["Items"]

    return write


@pytest.fixture
def registered(records, write_once):
    """Records with a registered pipeline."""

    def register():
        assert records.register(a_pipeline())

    write_once("a pipeline", register)
    return records


@pytest.fixture
def cloud(registered):
    return FakeCloud(registered)


@pytest.fixture
def in_flight(cloud):
    """Puts an export in flight, in the stage and with the wait that the test says."""

    def begin(stage: Stage, waiting_on: str, **learned: Any) -> Export:
        begun = an_export()
        assert cloud.records.begin(begun)
        since = learned.pop("waiting_since", NOW - timedelta(seconds=1))
        export = an_export(stage=stage, waiting_on=waiting_on, waiting_since=since, **learned)
        assert cloud.records.move(begun, export)
        return export

    return begin
