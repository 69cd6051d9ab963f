import pytest
from examples import NOW

from on_glue_complete.handler import on_job_run_ended
from table_exports.domain.aws_events import JobRunEnded
from table_exports.domain.export import Stage
from table_exports.telemetry import metrics

SUCCEEDED = "glue-job-run/jr_abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789"
FAILED = "glue-job-run/jr_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"


@pytest.fixture
def react(cloud):
    return lambda event: on_job_run_ended(JobRunEnded.from_event(event), cloud, NOW)


def test_a_run_that_succeeded_is_proven_and_crawled(cloud, in_flight, aws_event, react):
    in_flight(Stage.EXPORTING, SUCCEEDED)

    react(aws_event("glue_job_succeeded"))

    export = cloud.the_export()
    assert (export.stage, export.waiting_on) == (Stage.CATALOGING, "glue-crawler/table-exports-reviews-parquet")
    assert (export.waiting_since, export.own_crawl) == (NOW, True)
    assert (export.items, export.files, export.bytes) == (2, 1, 1234)


def test_another_crawl_that_runs_already_is_waited_for(cloud, in_flight, aws_event, react):
    in_flight(Stage.EXPORTING, SUCCEEDED)
    cloud.glue.another_crawl_runs = True

    react(aws_event("glue_job_succeeded"))

    assert (cloud.the_export().stage, cloud.the_export().own_crawl) == (Stage.CATALOGING, False)


@pytest.mark.parametrize("state", ["FAILED", "TIMEOUT", "STOPPED"])
def test_a_run_that_did_not_succeed_fails_the_export_in_glues_own_words(cloud, in_flight, aws_event, react, state):
    in_flight(Stage.EXPORTING, FAILED)

    react(aws_event("glue_job_failed", state=state, message="Requested resource not found"))

    export = cloud.the_export()
    assert (export.stage, export.failed_stage) == (Stage.FAILED, Stage.EXPORTING)
    run = FAILED.removeprefix("glue-job-run/")
    assert export.reason == f"Glue job run {run} ended {state}: Requested resource not found"
    assert cloud.records.pipeline("reviews-parquet").export_in_flight is None
    assert cloud.glue.crawled == []


def test_a_run_that_leaves_no_proof_fails_the_export(cloud, in_flight, aws_event, react):
    in_flight(Stage.EXPORTING, SUCCEEDED)
    cloud.manifests.refuses = "Incomplete snapshot: DynamoDB counted 2 items, 1 were written"

    react(aws_event("glue_job_succeeded"))

    assert (cloud.the_export().stage, cloud.the_export().reason) == (Stage.FAILED, cloud.manifests.refuses)
    assert cloud.glue.crawled == []


def test_the_same_event_again_changes_nothing(cloud, in_flight, aws_event, react):
    in_flight(Stage.EXPORTING, SUCCEEDED)
    for _ in range(3):
        react(aws_event("glue_job_succeeded"))

    assert len(cloud.glue.crawled) == 1


def test_of_two_deliveries_at_once_one_moves_the_export(cloud, in_flight, aws_event, react, monkeypatch):
    export = in_flight(Stage.EXPORTING, SUCCEEDED)
    monkeypatch.setattr(cloud.records, "waiting_on", lambda _: [export])  # the index, lagging
    react(aws_event("glue_job_succeeded"))
    after_one = cloud.the_export()

    react(aws_event("glue_job_failed"))

    assert cloud.the_export() == after_one


@pytest.mark.parametrize(
    "stranger",
    [{"jobRunId": "jr_of_someone_else"}, {"jobName": "their-job", "jobRunId": "jr_1"}, {"state": "RUNNING"}],
)
def test_an_event_that_nobody_waits_for_changes_nothing(cloud, in_flight, aws_event, react, stranger):
    export = in_flight(Stage.EXPORTING, SUCCEEDED)

    react(aws_event("glue_job_succeeded", **stranger))

    assert cloud.the_export() == export
    assert cloud.glue.crawled == []


def test_what_nobody_waits_for_is_logged_and_counted(cloud, aws_event, react, caplog):
    metrics.clear_metrics()

    react(aws_event("glue_job_succeeded"))

    assert metrics.metric_set["UnmatchedEvents"]["Value"] == [1.0]
    [line] = caplog.records
    assert (line.message, line.waiting_on) == ("No export waits for this event", SUCCEEDED)
