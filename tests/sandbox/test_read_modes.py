"""Both ways to read a table, and the reads that are refused, with the roles enforced."""

import time
from decimal import Decimal

import pytest
from botocore.exceptions import ClientError

pytestmark = pytest.mark.slow  # tests/glue and tests/services have both read modes, too


@pytest.fixture(scope="module")
def ledger(user):
    """A table with point-in-time recovery, of all that makes a difference between reading and having it exported."""
    items = [{"id": f"i{n}", "amount": Decimal(n) / 4, "raw": bytes([n]), "tags": {"a", f"t{n}"}} for n in range(200)]
    user.make_table("Ledger", items, {"id": "S"})
    recover(user, "Ledger")
    return "Ledger"


def recover(user, table, on=True):
    user.client("dynamodb").update_continuous_backups(
        TableName=table, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": on}
    )


def calls(user, since, caller):
    return [call["action"] for call in user.calls(since) if call["caller"] == caller]


@pytest.fixture(scope="module")
def exported(user, ledger):
    """The pipeline in read mode export, its only export, and what the job called for it."""
    pipeline = user.deploy_pipeline(ledger, ReadMode="export", CatalogName="ledger_exported")
    since = time.time()
    [export] = user.export(pipeline)
    return pipeline, export, calls(user, since, "glue")


def test_a_table_export_becomes_a_view_without_a_scan(user, exported):
    _, export, called = exported

    assert (export["read_mode"], export["items"]) == ("export", 200)
    assert export["read_plan"].startswith("By table export, because ReadMode is export: ")
    assert export["table_export"].startswith(
        f"s3://table-exports-123456789012-us-east-1/staging/ledger_exported/{export['snapshot_timestamp']}/AWSDynamoDB/"
    )
    assert "Scan" not in called
    assert user.query("SELECT count(*) AS items, sum(amount) AS amount FROM ledger_exported") == [
        {"items": "200", "amount": "4975.00"}
    ]


def test_both_ways_give_the_same_view(user, ledger, exported):
    pipeline = user.deploy_pipeline(ledger, ReadMode="scan", CatalogName="ledger_scanned")
    user.request(pipeline)
    [export] = user.ended_exports(pipeline, 1)

    assert (export["stage"], export["read_mode"]) == ("SUCCEEDED", "scan"), export.get("reason")
    asked = "SELECT id, amount, raw, array_sort(tags) AS tags FROM {} ORDER BY id"
    assert user.query(asked.format("ledger_scanned")) == user.query(asked.format("ledger_exported"))

    def columns(table):
        found = user.client("glue").get_table(DatabaseName="dynamodb_exports", Name=table)["Table"]
        return found["StorageDescriptor"]["Columns"]

    assert columns("snapshots_ledger_scanned") == columns("snapshots_ledger_exported")


def test_a_small_table_is_scanned_though_it_could_be_exported(user, ledger):
    pipeline = user.deploy_pipeline(ledger)
    user.request(pipeline)
    [export] = user.ended_exports(pipeline, 1)

    assert (export["stage"], export["read_mode"]) == ("SUCCEEDED", "scan"), export.get("reason")
    assert export["read_plan"].startswith("By scan, because the table export would not save enough: ")


def test_read_mode_export_needs_point_in_time_recovery(user):
    user.make_table("Unprotected", [{"id": "1"}], {"id": "S"})
    pipeline = user.deploy_pipeline("Unprotected", ReadMode="export")
    since = time.time()

    user.request(pipeline)

    [export] = user.ended_exports(pipeline, 1)
    assert (export["stage"], export["failed_stage"]) == ("FAILED", "STARTING")
    assert "point-in-time recovery of table Unprotected is off: enable it, or" in export["reason"]
    assert not {"StartJobRun", "ExportTableToPointInTime"} & set(calls(user, since, "start_export"))


def test_a_read_above_its_budget_is_refused_before_anything_is_read(user):
    items = [{"id": str(n), "text": "x" * 10_000} for n in range(100)]
    user.make_table("Costly", items, {"id": "S"})
    pipeline = user.deploy_pipeline("Costly", ReadCapacityCap="0.1", MaxReadCost="0.001")
    since = time.time()

    user.request(pipeline)

    [export] = user.ended_exports(pipeline, 1)
    assert export["stage"] == "FAILED"
    assert "above the budget of $0.001: deploy the table stack with MaxReadCost 0.00" in export["reason"]
    assert not {"StartJobRun", "ExportTableToPointInTime"} & set(calls(user, since, "start_export"))


def test_the_role_of_a_table_is_for_that_table_and_that_service_alone(user, exported):
    role = user.table("table-exports").get_item(Key={"pipeline": exported[0]["Pipeline"], "record": "pipeline"})[
        "Item"
    ]["table_role_arn"]
    starter, other = user.function_role("start_export"), user.function_role("on_view_complete")

    with pytest.raises(ClientError, match="AccessDenied"):
        user.client_of_role("dynamodb", role, assumed_by=other)
    with pytest.raises(ClientError, match="AccessDenied"):
        user.client_of_role("dynamodb", other, assumed_by=starter)
    dynamodb = user.client_of_role("dynamodb", role, assumed_by=starter)
    assert dynamodb.describe_table(TableName="Ledger")["Table"]["TableName"] == "Ledger"
    with pytest.raises(ClientError, match="AccessDenied"):
        dynamodb.describe_table(TableName="Costly")
    with pytest.raises(ClientError, match="AccessDenied"):
        dynamodb.scan(TableName="Ledger")
