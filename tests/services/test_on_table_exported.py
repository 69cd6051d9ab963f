import pytest
from examples import NOW
from fakes import TABLE_EXPORT

from on_table_exported.handler import on_table_export_ended
from table_exports.domain.stages import Stage
from table_exports.functions.telemetry import metrics

STAGING = f"table-export/{TABLE_EXPORT}"
SUMMARY = "s3://bucket/staging/reviews/2026-11-23T02-00-07Z/AWSDynamoDB/01795399210000-06e2188f/manifest-summary.json"


@pytest.fixture
def react(cloud):
    return lambda event: on_table_export_ended(event, cloud, NOW)


def test_the_job_starts_on_what_dynamodb_exported(cloud, in_flight, aws_event, react):
    in_flight(Stage.STAGING, STAGING, read_mode="export")

    react(aws_event("s3_object_created"))

    export = cloud.the_export()
    assert (export.stage, export.waiting_on) == (Stage.EXPORTING, "glue-job-run/jr_of_e1")
    assert (export.table_export, export.waiting_since) == (SUMMARY, NOW)
    [started] = cloud.glue.started
    assert (started.read_mode, started.table_export) == ("export", SUMMARY)


def test_the_same_event_again_starts_nothing(cloud, in_flight, aws_event, react):
    in_flight(Stage.STAGING, STAGING, read_mode="export")

    react(aws_event("s3_object_created"))
    react(aws_event("s3_object_created"))

    assert len(cloud.glue.started) == 1


def test_a_run_that_an_earlier_delivery_started_is_taken_up(cloud, in_flight, aws_event, react):
    cloud.glue.start_job_run(in_flight(Stage.STAGING, STAGING, read_mode="export"))

    react(aws_event("s3_object_created"))

    assert len(cloud.glue.started) == 1
    assert cloud.the_export().waiting_on == "glue-job-run/jr_of_e1"


def test_of_two_deliveries_at_once_one_starts_the_job(cloud, in_flight, aws_event, react, monkeypatch):
    in_flight(Stage.STAGING, STAGING, read_mode="export")
    find = cloud.glue.find_job_run

    def slowly(export):
        monkeypatch.setattr(cloud.glue, "find_job_run", find)
        react(aws_event("s3_object_created"))
        return find(export)

    monkeypatch.setattr(cloud.glue, "find_job_run", slowly)
    react(aws_event("s3_object_created"))

    assert len(cloud.glue.started) == 1


def test_a_table_export_that_failed_fails_the_export(cloud, in_flight, aws_event, react):
    in_flight(Stage.STAGING, STAGING, read_mode="export")
    event = aws_event("s3_object_created") | {"detail-type": "Table Export State Change"}

    react(event | {"detail": {"exportArn": TABLE_EXPORT, "state": "FAILED", "message": "S3NoSuchBucket: gone"}})

    assert cloud.the_export().reason == "DynamoDB's export of the table failed: S3NoSuchBucket: gone"


def test_a_job_that_cannot_be_started_fails_the_export(cloud, in_flight, aws_event, react):
    in_flight(Stage.STAGING, STAGING, read_mode="export")
    cloud.glue.refuses = "Glue job table-exports-reviews-parquet cannot be started: EntityNotFoundException"

    react(aws_event("s3_object_created"))

    export = cloud.the_export()
    assert (export.stage, export.failed_stage, export.reason) == (Stage.FAILED, Stage.STAGING, cloud.glue.refuses)
    assert export.table_export == SUMMARY  # so that it need not be exported again


@pytest.mark.parametrize(
    ("arn", "key"),
    [
        pytest.param(TABLE_EXPORT.replace("06e2188f", "00000000"), None, id="of another table export"),
        pytest.param(TABLE_EXPORT, "staging/orders/t/AWSDynamoDB/1-a/manifest-summary.json", id="a copy elsewhere"),
        pytest.param(None, None, id="no summary, or gone"),
    ],
)
def test_a_summary_that_nobody_waits_for_changes_nothing(cloud, in_flight, aws_event, react, arn, key):
    export = in_flight(Stage.STAGING, STAGING, read_mode="export")
    cloud.summaries.arn = arn
    metrics.clear_metrics()

    react(aws_event("s3_object_created", **({"object": {"key": key}} if key else {})))

    assert cloud.the_export() == export
    assert cloud.glue.started == []
    assert "UnmatchedEvents" in metrics.metric_set
