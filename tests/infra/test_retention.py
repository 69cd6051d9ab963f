"""The plan says which snapshots a lower KeepSnapshots deletes."""

from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace

import boto3
import pytest
from botocore.exceptions import ClientError
from examples import NOW, a_pipeline

from infra.deploy import retention
from infra.deploy.deployment import Deployment
from infra.deploy.settings import Settings
from infra.deploy.stacks import Plan, Stack
from table_exports.domain.stages import Stage

BUCKET, DATABASE = "bucket", "exports"
NAME = "table-exports-reviews-parquet"


@pytest.mark.parametrize(
    ("before", "after", "lowered"),
    [("0", "3", True), ("30", "3", True), ("3", "3", False), ("3", "30", False), ("3", "0", False), ("0", "0", False)],
)
def test_zero_keeps_all(before, after, lowered):
    assert retention.is_lowered(before, after) is lowered


def described(keep):
    return {
        "StackName": NAME,
        "Parameters": [{"ParameterKey": "KeepSnapshots", "ParameterValue": keep}],
        "Outputs": [{"OutputKey": "Pipeline", "OutputValue": "reviews-parquet"}],
    }


@pytest.fixture
def account(records):
    """A pipeline with three published snapshots."""
    s3 = boto3.client("s3")
    if BUCKET not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=BUCKET)
    assert records.register(a_pipeline())
    for day in range(3):
        moment = NOW + timedelta(days=day)
        begun = a_pipeline().begin(f"e{day}", Decimal("0.25"), moment)
        assert records.begin(begun)
        exporting = begun.run_job(f"jr_{day}", moment)
        publishing = exporting.advance(Stage.PUBLISHING, "q", moment)
        assert records.move(begun, exporting)
        assert records.ask_to_show(begun)
        assert records.move(exporting, publishing)
        assert records.move(publishing, publishing.succeed(moment))
        folder = f"exports/snapshots_reviews/snapshot_timestamp={begun.snapshot_timestamp}"
        s3.put_object(Bucket=BUCKET, Key=f"{folder}/part-0.parquet", Body=b"PAR1")
    table = records._table
    yield SimpleNamespace(client=boto3.client, records=SimpleNamespace(client=records._client, table=table))
    for found in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        s3.delete_object(Bucket=BUCKET, Key=found["Key"])


def planned(account, monkeypatch, before, after):
    """What the deployment of the stack shows."""
    monkeypatch.setattr(retention, "COMMON_STACK", account.records.table)
    shown = []
    settings = Settings(account="1", region="r", artifacts_bucket="b", parameters={"DatabaseName": DATABASE})
    screen = SimpleNamespace(show=lambda text, style="": shown.append(text))
    stacks = SimpleNamespace(ours=lambda: {NAME: described(before)})
    deployment = Deployment(account, screen, stacks, settings, build=None, only_plan=True)
    stack = Stack(name=NAME, template_url="", parameters={"KeepSnapshots": after})
    deployment._warn_of_retention([Plan(stack=stack, creates=False, change_set="c")])
    return shown


def test_a_lower_value_names_the_snapshots_that_the_next_export_deletes(account, monkeypatch):
    days = [f"{(NOW + timedelta(days=day)).strftime('%Y-%m-%dT%H-%M-%SZ')}" for day in range(3)]

    assert planned(account, monkeypatch, "0", "1") == [
        f"{NAME}: KeepSnapshots is lowered from 0 to 1. The next successful export deletes 3 snapshots, "
        f"from {days[0]} to {days[2]}"
    ]
    assert planned(account, monkeypatch, "5", "3") == [
        f"{NAME}: KeepSnapshots is lowered from 5 to 3. The next successful export deletes the snapshot {days[0]}"
    ]


def test_a_lower_value_that_deletes_nothing_yet_says_so(account, monkeypatch):
    [text] = planned(account, monkeypatch, "30", "10")

    assert text.endswith("At the moment, it would delete no snapshot")


@pytest.mark.parametrize(("before", "after"), [("3", "3"), ("3", "5"), ("3", "0")])
def test_another_value_needs_no_warning(account, monkeypatch, before, after):
    assert planned(account, monkeypatch, before, after) == []


def test_what_cannot_be_read_is_said(account, monkeypatch):
    def denied(*_):
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetItem")

    monkeypatch.setattr(retention, "superseded", denied)

    [text] = planned(account, monkeypatch, "30", "3")

    assert "Which snapshots the next export deletes is unknown" in text
