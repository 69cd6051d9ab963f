"""The whole path, moved along by events alone, with the functions' IAM policies enforced."""

import json
import time
import uuid
from decimal import Decimal
from urllib.request import urlopen

import pytest
from botocore.exceptions import ClientError
from permissions.calls import calls_of_handler, calls_of_job
from sandbox_user import StackRefused


def test_a_table_goes_in_and_a_view_of_its_latest_snapshot_comes_out(user, orders):
    pipeline, export = orders

    assert (pipeline["Pipeline"], pipeline["View"]) == ("customer_orders_v2-parquet", "customer_orders_v2")
    assert (export["items"], export["read_percentage"]) == (3000, Decimal("0.5"))
    [counted] = user.query(
        "SELECT count(*) AS items, count(DISTINCT customer) AS customers, count(note) AS notes, sum(total) AS total "
        "FROM customer_orders_v2"
    )
    assert counted == {"items": "3000", "customers": "97", "notes": "3", "total": "44985.00"}


def test_nested_items_can_be_queried_and_joined_with_the_snapshots(user, orders):
    _, export = orders

    rows = user.query(
        "SELECT v.number, v.lines[1].count AS count, s.snapshot_timestamp AS snapshot FROM customer_orders_v2 v "
        "JOIN snapshots_customer_orders_v2 s ON s.customer = v.customer AND s.number = v.number "
        "WHERE v.number IN (7, 9) ORDER BY 1"
    )

    assert rows == [
        {"number": "7", "count": "2", "snapshot": export["snapshot_timestamp"]},
        {"number": "9", "count": "4", "snapshot": export["snapshot_timestamp"]},
    ]


def test_the_catalog_holds_the_snapshot_as_a_partition_and_the_view_as_a_view(user, orders):
    _, export = orders
    glue = user.client("glue")
    here = {"DatabaseName": "dynamodb_exports"}

    table = glue.get_table(**here, Name="snapshots_customer_orders_v2")["Table"]
    assert [key["Name"] for key in table["PartitionKeys"]] == ["snapshot_timestamp"]
    assert {column["Name"]: column["Type"] for column in table["StorageDescriptor"]["Columns"]} == {
        "customer": "string",
        "number": "bigint",
        "lines": "array<struct<count:bigint,sku:string>>",
        "note": "string",
        "total": "decimal(38,2)",
    }
    [partition] = glue.get_partitions(**here, TableName="snapshots_customer_orders_v2")["Partitions"]
    assert partition["Values"] == [export["snapshot_timestamp"]]
    assert glue.get_table(**here, Name="customer_orders_v2")["Table"]["TableType"] == "VIRTUAL_VIEW"


def test_one_query_of_the_log_shows_an_export_across_the_services(user, orders):
    """What the saved query in the stack filters by."""
    pipeline, export = orders

    moves = [
        ("start_export", "STARTING", "STARTING"),  # planned
        ("start_export", "STARTING", "EXPORTING"),
        ("on_glue_complete", "EXPORTING", "CATALOGING"),
        ("on_crawler_complete", "CATALOGING", "PUBLISHING"),
        ("on_view_complete", "PUBLISHING", "SUCCEEDED"),
    ]

    def log_lines():
        pages = user.client("logs").get_paginator("filter_log_events").paginate(logGroupName="/table-exports/functions")
        texts = [event["message"] for page in pages for event in page["events"]]
        lines = [json.loads(text) for text in texts if text.startswith("{") and export["export_id"] in text]
        succeeded = any(line["message"] == "Export Succeeded" for line in lines)
        return lines if succeeded and len(moves_in(lines)) >= len(moves) else None  # functions log in no order

    def moves_in(lines):
        moved = [line for line in lines if line["message"] == "Export moved on"]
        return [(line["service"], line["stage"], line["became"]) for line in moved]

    lines = user.wait_for(log_lines, "the log lines of all functions")

    named = [(line["pipeline"], line["export_id"]) for line in lines]
    assert set(named) == {(pipeline["Pipeline"], export["export_id"])}
    assert all(line["stage"] for line in lines)
    assert moves_in(lines) == moves


def test_the_next_export_adds_a_snapshot_and_moves_the_view(user):
    user.make_table("Reviews", [{"asin": "a"}, {"asin": "b", "stars": 5}], {"asin": "S"})
    pipeline = user.deploy_pipeline("Reviews")
    user.request(pipeline)
    user.ended_exports(pipeline, 1)
    user.client("dynamodb").put_item(TableName="Reviews", Item={"asin": {"S": "c"}, "verified": {"BOOL": True}})

    request_id = uuid.uuid4().hex
    for _ in range(3):  # delivered thrice, it is one export
        user.request(pipeline, request_id=request_id)
    second, first = user.ended_exports(pipeline, 2)

    assert (first["stage"], second["stage"]) == ("SUCCEEDED", "SUCCEEDED")
    assert [first["items"], second["items"]] == [2, 3]
    assert len(user.query("SELECT asin FROM snapshots_reviews")) == 5
    rows = user.query("SELECT * FROM reviews ORDER BY asin")
    assert [row["asin"] for row in rows] == ["a", "b", "c"]
    assert {row["snapshot_timestamp"] for row in rows} == {second["snapshot_timestamp"]}
    assert rows[2]["verified"] == "true"  # a column that the first snapshot does not have
    runs = user.client("glue").get_job_runs(JobName=pipeline["JobName"])["JobRuns"]
    assert sorted(run["Arguments"]["--export_id"] for run in runs) == sorted([first["export_id"], second["export_id"]])


@pytest.fixture
def published(user):
    """The events that exports publish, as any user of them receives them."""
    with user.listening(
        {"source": ["table-exports"], "detail-type": [{"anything-but": "Export Requested"}]}
    ) as published:
        yield published


def test_an_export_publishes_its_events_on_the_bus(user, orders, published):
    pipeline, _ = orders
    user.request(pipeline)

    succeeded = published.wait_for("Export Succeeded")

    assert [event["detail-type"] for event in published.received] == [
        "Export Started",
        "Snapshot Written",
        "Snapshot Cataloged",
        "Export Succeeded",
    ]
    assert {event["detail"]["export_id"] for event in published.received} == {succeeded["detail"]["export_id"]}
    assert succeeded["detail"]["items"] == 3000


def test_a_bad_request_ends_as_export_failed_and_starts_nothing(user, orders, published):
    pipeline, _ = orders
    before = user.exports(pipeline)

    user.request(pipeline, read_percentage=1.5)

    failed = published.wait_for("Export Failed")["detail"]
    assert failed["reason"] == "read_percentage: is 1.5: it must be a number from 0.1 to 1.0"
    assert failed["pipeline"] == pipeline["Pipeline"]
    assert user.exports(pipeline) == before


def test_a_table_that_is_gone_ends_the_export_before_the_job(user, published):
    user.make_table("Vanishing", [{"id": "1"}], {"id": "S"})
    pipeline = user.deploy_pipeline("Vanishing")
    user.client("dynamodb").delete_table(TableName="Vanishing")

    user.request(pipeline)

    failed = published.wait_for("Export Failed")["detail"]
    assert failed["stage"] == "STARTING"
    assert failed["reason"].startswith("There is no table Vanishing in this account and Region: create it, or delete")
    assert user.client("glue").get_job_runs(JobName=pipeline["JobName"])["JobRuns"] == []


def test_a_failed_job_ends_the_export_with_its_reason(user, published):
    user.make_table("Forbidden", [{"id": "1"}], {"id": "S"})
    pipeline = user.deploy_pipeline("Forbidden")
    role = user.client("glue").get_job(JobName=pipeline["JobName"])["Job"]["Role"]

    with user.denied(role, "dynamodb:Scan"):
        user.request(pipeline)
        failed = published.wait_for("Export Failed")["detail"]

    assert failed["stage"] == "EXPORTING"
    assert "Scan failed with AccessDenied" in failed["reason"]
    assert "Allow this action in the job's role." in failed["reason"]
    [export] = user.ended_exports(pipeline, 1)
    assert export["stage"] == "FAILED"


def test_a_stopped_job_run_ends_the_export(user, published):
    user.make_table("Stopped", [{"id": "1"}], {"id": "S"})
    pipeline = user.deploy_pipeline("Stopped")
    user.request(pipeline)
    run = published.wait_for("Export Started")["detail"]["glue_job_run_id"]

    user.client("glue").batch_stop_job_run(JobName=pipeline["JobName"], JobRunIds=[run])

    assert published.wait_for("Export Failed")["detail"]["reason"].startswith(f"Glue job run {run} ended STOPPED")


@pytest.mark.slow
def test_an_export_whose_run_waits_for_another_in_glues_queue_succeeds_after_it(user):
    user.make_table("Queued", [{"id": "1"}], {"id": "S"})
    pipeline = user.deploy_pipeline("Queued")
    glue, job = user.client("glue"), pipeline["JobName"]
    by_hand = glue.start_job_run(JobName=job)["JobRunId"]  # fails soon: it lacks arguments

    [export] = user.export(pipeline)

    runs = {run["Id"]: run for run in glue.get_job_runs(JobName=job)["JobRuns"]}
    assert {run["JobRunState"] for run in runs.values()} == {"FAILED", "SUCCEEDED"}
    assert runs[export["glue_job_run_id"]]["StartedOn"] >= runs[by_hand]["CompletedOn"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"ReadPercentage": "1.5"},
        {"ReadPercentage": "0.05"},
        {"OutputFormat": "xlsx"},
        {"ScheduleExpression": "daily"},
        {"CatalogName": "Not-A-Name"},
    ],
)
def test_cloudformation_refuses_a_stack_with_a_bad_value(user, parameters):
    with pytest.raises(ClientError, match="ValidationError"):
        user.deploy_pipeline("Reviews", **parameters)


def test_a_second_pipeline_cannot_take_a_catalog_name_in_use(user, orders):
    with pytest.raises(StackRefused, match="customer_orders_v2 is taken by another stack"):
        user.deploy_pipeline("customer_orders.v2")


def test_an_event_that_nobody_waits_for_leaves_no_trace(user, orders, aws_event):
    pipeline, _ = orders
    before = user.exports(pipeline)
    awaited = {
        "on_glue_complete": aws_event("glue_job_succeeded", jobName=pipeline["JobName"]),
        "on_crawler_complete": aws_event("glue_crawler_succeeded", crawlerName=pipeline["CrawlerName"]),
        "on_view_complete": aws_event("athena_query_succeeded"),
    }

    for service, event in awaited.items():
        user.invoke(service, event)

    assert user.exports(pipeline) == before


def test_a_function_may_do_no_more_than_its_step(user, orders):
    """The policies are enforced: the role of one function is refused what another's may do."""

    def as_role(function, service):
        return user.client_of_role(service, user.function_role(function))

    pipeline, _ = orders
    with pytest.raises(ClientError, match="AccessDenied"):
        as_role("on_view_complete", "glue").start_job_run(JobName=pipeline["JobName"])
    with pytest.raises(ClientError, match="AccessDenied"):
        as_role("start_export", "glue").start_job_run(JobName="their-job")
    with pytest.raises(ClientError, match="AccessDenied"):
        as_role("start_export", "dynamodb").scan(TableName="Customer-Orders.v2")


def test_the_schedule_is_disabled_and_asks_for_the_pipeline(user, orders):
    pipeline, _ = orders

    schedule = user.client("scheduler").get_schedule(Name=pipeline["ScheduleName"])

    assert schedule["State"] == "DISABLED"
    asked = json.loads(schedule["Target"]["Input"])
    assert asked == json.loads(pipeline["ExportRequest"]) | {"scheduled_time": "<aws.scheduler.scheduled-time>"}


@pytest.mark.parametrize(
    ("schedule", "reason"),
    [
        ({"ScheduleExpression": "cron(0 25 * * ? *)"}, "has an invalid hours field, 25: use 0-23"),
        ({"ScheduleTimezone": "Europe/Zurick"}, "Europe/Zurick is not a time zone"),
    ],
)
def test_a_schedule_that_cannot_be_evaluated_is_refused_before_it_exists(user, schedule, reason):
    with pytest.raises(StackRefused, match=reason):
        user.deploy_pipeline("Reviews", CatalogName="never_scheduled", **schedule)


def test_scheduler_refuses_a_time_zone_that_does_not_exist(user, orders):
    pipeline, _ = orders
    scheduler = user.client("scheduler")
    kept = ("Name", "ScheduleExpression", "FlexibleTimeWindow", "Target", "State", "Description")
    schedule = scheduler.get_schedule(Name=pipeline["ScheduleName"])
    changed = {name: schedule[name] for name in kept}

    with pytest.raises(ClientError, match="ValidationException"):
        scheduler.update_schedule(**changed, ScheduleExpressionTimezone="Europe/Zurick")
    with pytest.raises(ClientError, match="ValidationException"):
        scheduler.create_schedule(**changed | {"Name": "another"}, ScheduleExpressionTimezone="Europe/Zurick")
    assert scheduler.get_schedule(Name=pipeline["ScheduleName"])["ScheduleExpressionTimezone"] == "UTC"
    scheduler.update_schedule(**changed, ScheduleExpressionTimezone="Europe/Zurich")
    scheduler.update_schedule(**changed, ScheduleExpressionTimezone="UTC")


def test_requests_are_archived(user, orders):
    archive = user.client("events").describe_archive(ArchiveName="table-exports-requests")

    assert archive["EventCount"] >= 1
    assert json.loads(archive["EventPattern"])["detail-type"] == ["Export Requested"]
    assert user.client("events").describe_archive(ArchiveName="table-exports-aws-events")["State"] == "ENABLED"


def test_an_enabled_schedule_exports_without_anyone_asking(user):
    user.make_table("Scheduled", [{"id": "1"}], {"id": "S"})
    soon = time.strftime("at(%Y-%m-%dT%H:%M:%S)", time.gmtime(time.time() + 1))

    pipeline = user.deploy_pipeline("Scheduled", ScheduleState="ENABLED", ScheduleExpression=soon)

    [export] = user.ended_exports(pipeline, 1)
    assert (export["stage"], export["items"]) == ("SUCCEEDED", 1)


def test_no_function_or_job_makes_a_call_whose_permissions_nobody_looked_up(user, orders):
    """`tests/permissions` reads the calls from the code: none of those that are made may escape it.

    The log has no names of operations of S3 and Lambda, only methods and paths.
    """
    with urlopen(f"{user.endpoint}/_sandbox/calls?since=0") as answer:
        made = {(call["caller"], call["action"]) for call in json.load(answer) if " " not in call["action"]}
    handlers = {caller: f"{caller}.handler.handle" for caller, _ in made if caller and caller.startswith("on_")}
    handlers["start_export"] = "start_export.handler.handle"
    looked_up = {"glue": {name for _, name in calls_of_job()}}
    for caller, handler in handlers.items():
        calls = calls_of_handler(handler)
        looked_up[caller] = {name for _, name in calls.own | calls.assumed}

    assert {"on_glue_complete", "on_crawler_complete", "on_view_complete"} < looked_up.keys()
    assert [call for call in sorted(made, key=str) if call[0] in looked_up and call[1] not in looked_up[call[0]]] == []
