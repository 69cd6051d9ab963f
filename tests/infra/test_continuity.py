"""Changes of Entities with which each later export would fail are refused, with the line and the remedy."""

import json
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from templates import INFRA

from infra.deploy import CannotDeploy, blocks, tables_file
from infra.deploy.deployment import Deployment
from infra.deploy.parameters import parameters
from infra.deploy.settings import Settings

BUCKET, FOLDER, STACK = "exports-bucket", "exports/manifests_app/", "table-exports-app-parquet"
TEMPLATES = {
    "common": {"Resources": {"S": {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": "table-exports"}}}},
    "table": {"Resources": {"Pipeline": {"Type": "Custom::TableExportsPipeline"}}},
}
SETTINGS = Settings(account="1", region="us-east-1", artifacts_bucket="artifacts")
START = "tables:\n  App:\n    Entities:\n      by: type\n"
NAMED = f"{START}      types:\n        order:\n          name: orders\n"
WITHOUT = "tables:\n  App:\n    ReadMode: scan\n"
ENTITIES = {"entities": [{"value": "order", "name": "app_orders"}, {"value": None, "name": "app_other"}]}
OTHERWISE = 'deploy another table stack with its own CatalogName, or start over: docs/schema.md, "Start over"'


class Stacks:
    """The common stack, and perhaps a table stack."""

    def __init__(self) -> None:
        self.table_stack: dict[str, str] | None = {}
        self.outputs = [{"OutputKey": "BucketName", "OutputValue": BUCKET}]

    def describe(self, name):
        kind = "common" if name == "table-exports" else "table"
        given = {} if kind == "common" else self.table_stack
        if given is None:
            return None
        return {
            "StackName": name,
            "StackId": kind,
            "StackStatus": "CREATE_COMPLETE",
            "Tags": [{"Key": "table-exports", "Value": kind}],
            "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
            "Outputs": self.outputs if kind == "common" else [],
        }

    def template(self, kind):
        return TEMPLATES[kind]


@pytest.fixture
def s3():
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        yield client


@pytest.fixture
def stacks():
    return Stacks()


@pytest.fixture
def check(tmp_path, monkeypatch, s3, stacks):
    """Checks a text of tables.yaml before a deployment. Returns what is shown."""
    monkeypatch.chdir(tmp_path)

    def check(text):
        shown = []
        account = SimpleNamespace(client=lambda service: s3)
        screen = SimpleNamespace(show=lambda text, style="": shown.append(text))
        deployment = Deployment(account, screen, stacks, SETTINGS, INFRA, only_plan=True)
        deployment.check(read(text), Path("tables.yaml"))
        return shown

    def read(text):
        Path("tables.yaml").write_text(text)
        return tables_file.read(Path("tables.yaml"), parameters(INFRA / "table.yaml"))

    check.read = read
    return check


def deployed(check, text):
    """The parameters of the stack that this text deployed."""
    [entry] = check.read(text)
    return blocks.parameters("artifacts", entry.blocks)


def exported(s3, manifest, timestamp="2026-11-23T02-00-07Z"):
    s3.put_object(Bucket=BUCKET, Key=f"{FOLDER}{timestamp}.json", Body=json.dumps(manifest).encode())


def remedied(message):
    """The text of tables.yaml after the remedy of a new name was carried out at the line that the message names."""
    lines = Path("tables.yaml").read_text().splitlines()
    number = int(message.split(":")[1]) - 1
    again = message.partition("Set it to ")[2].partition(" again")[0]
    lines[number] = f"{lines[number].partition(': ')[0]}: {again}"
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            NAMED,
            NAMED.replace("orders", "purchases"),
            "7: App.Entities.types.order.name: is purchases, but these items are in the table app_orders. Set it to "
            f"orders again, {OTHERWISE}",
        ),
        (
            NAMED,
            f"{NAMED}      rest: unknown",
            "8: App.Entities.rest: is unknown, but these items are in the table app_other. Set it to other again, "
            f"{OTHERWISE}",
        ),
    ],
)
def test_a_new_name_of_an_entity_is_refused_and_the_remedy_that_is_printed_works(
    check, s3, stacks, before, after, message
):
    exported(s3, ENTITIES)
    stacks.table_stack = deployed(check, before)

    with pytest.raises(CannotDeploy) as refused:
        check(after)

    assert str(refused.value) == f"tables.yaml:{message}"
    assert check(remedied(str(refused.value))) == []


@pytest.mark.parametrize(
    ("manifest", "before", "after", "message"),
    [
        (
            ENTITIES,
            NAMED,
            WITHOUT,
            f"3: App.Entities: the latest snapshot has tables of entities. Restore this block, {OTHERWISE}",
        ),
        (
            {"columns": []},
            WITHOUT,
            NAMED,
            f"4: App.Entities.wide: the table app of all items would no longer be updated. Set it to true, {OTHERWISE}",
        ),
        (
            {"entities": [*ENTITIES["entities"], {"value": None, "name": "app", "wide": True}]},
            f"{NAMED}      wide: true",
            f"{NAMED}      wide: false",
            f"8: App.Entities.wide: the table app of all items would no longer be updated. Set it to true, {OTHERWISE}",
        ),
        (
            ENTITIES,
            NAMED,
            f"{NAMED}      max_entities: 1",
            "8: App.Entities.max_entities: is 1, but earlier snapshots have 2 entities. Set it to 2 or more, or omit "
            "types",
        ),
    ],
)
def test_what_would_no_longer_be_published_is_refused(check, s3, stacks, manifest, before, after, message):
    exported(s3, manifest)
    stacks.table_stack = deployed(check, before)

    with pytest.raises(CannotDeploy) as refused:
        check(after)

    assert str(refused.value) == f"tables.yaml:{message}"


def test_a_pipeline_that_started_over_can_change_its_entities(check, s3, stacks):
    exported(s3, ENTITIES)
    stacks.table_stack = deployed(check, NAMED)
    with pytest.raises(CannotDeploy, match="start over"):
        check(WITHOUT)

    s3.delete_object(Bucket=BUCKET, Key=f"{FOLDER}2026-11-23T02-00-07Z.json")

    assert check(WITHOUT) == []
    assert check(NAMED.replace("orders", "purchases")) == []


def test_another_catalog_name_has_no_snapshots_to_go_on_with(check, s3, stacks):
    exported(s3, ENTITIES)
    stacks.table_stack = None

    assert (
        check(NAMED.replace("orders", "purchases").replace("    Entities", "    CatalogName: shop\n    Entities")) == []
    )


def test_the_snapshots_of_a_deleted_stack_count(check, s3, stacks):
    exported(s3, ENTITIES)
    stacks.table_stack = None

    assert check(NAMED) == []
    with pytest.raises(CannotDeploy, match="is purchases, but these items are in the table app_orders"):
        check(NAMED.replace("orders", "purchases"))
    with pytest.raises(CannotDeploy, match="start over"):
        check(WITHOUT)


def test_the_latest_manifest_decides(check, s3, stacks):
    exported(s3, {"columns": []}, "2026-11-22T02-00-07Z")
    exported(s3, ENTITIES)
    s3.put_object(Bucket=BUCKET, Key=f"{FOLDER}2026-11-24T02-00-07Z.json.publishing", Body=b"")
    stacks.table_stack = deployed(check, START)

    assert check(NAMED) == []


def test_a_first_deployment_reads_nothing(check, stacks, monkeypatch):
    stacks.outputs = []
    monkeypatch.setattr("infra.deploy.continuity.Continuity.problems", None)

    assert check(NAMED) == []


def test_a_block_that_does_not_change_is_not_compared(check, s3, stacks):
    exported(s3, ENTITIES)
    stacks.table_stack = deployed(check, NAMED.replace("orders", "purchases"))
    requests = []
    s3.meta.events.register("before-call.s3", lambda model, **_: requests.append(model.name))

    assert check(NAMED.replace("orders", "purchases")) == []
    stacks.table_stack = {}
    assert check(WITHOUT) == []
    assert requests == []


def test_a_manifest_that_cannot_be_read_is_left_to_the_job(check, s3, stacks):
    s3.put_object(Bucket=BUCKET, Key=f"{FOLDER}2026-11-23T02-00-07Z.json", Body=b"{")

    assert check(NAMED) == []


def test_without_permission_the_command_says_so_and_continues(check, s3, monkeypatch):
    def denied(**_):
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "ListObjectsV2")

    monkeypatch.setattr(s3, "get_paginator", lambda _: SimpleNamespace(paginate=denied))

    [text] = check(NAMED)
    assert text.startswith("App: Whether its next export can go on with the block Entities is unknown: ")
