import json
from dataclasses import replace
from datetime import timedelta

import pytest
from examples import NOW, an_export
from fakes import TABLE_EXPORT

from reconcile_exports.handler import make_a_pass, reconcile
from table_exports.domain.aws_events import CrawlEnded, JobRunEnded, QueryEnded, SummaryWritten, TableExportFailed
from table_exports.domain.request import ResumeRequest
from table_exports.domain.stages import Stage
from table_exports.functions.telemetry import metrics

SINCE = NOW - timedelta(minutes=11)
RUN = JobRunEnded(job_name="table-exports-reviews-parquet", run_id="jr_1", state="SUCCEEDED", message="-")
CRAWL = CrawlEnded(crawler="table-exports-reviews-parquet", state="Succeeded", began=SINCE, ended=NOW, message="-")
QUERY = QueryEnded(workgroup="table-exports", query_id="q", state="SUCCEEDED", message="-")
SUMMARY = SummaryWritten(bucket="bucket", key="staging/…/manifest-summary.json", arn=TABLE_EXPORT)
FAILURE = TableExportFailed(arn=TABLE_EXPORT, message="AccessDenied: no")

WAITS = {
    Stage.STAGING: f"table-export/{TABLE_EXPORT}",
    Stage.EXPORTING: "glue-job-run/jr_1",
    Stage.CATALOGING: "glue-crawler/table-exports-reviews-parquet",
    Stage.PUBLISHING: "athena-query/q",
}


@pytest.fixture
def waits(in_flight):
    """Puts an export in flight, that waits in the stage for so long. An earlier pass saw what it waits for end."""

    def begin(stage, since=SINCE, end_seen_at=NOW - timedelta(minutes=2), **known):
        return in_flight(stage, WAITS[stage], waiting_since=since, end_seen_at=end_seen_at, **known)

    return begin


def all_ended(cloud):
    cloud.glue.ends["jr_1"], cloud.glue.crawl, cloud.athena.end, cloud.tables.end = RUN, CRAWL, QUERY, SUMMARY


@pytest.mark.parametrize(
    ("stage", "end"),
    [
        (Stage.STAGING, SUMMARY),
        (Stage.EXPORTING, RUN),
        (Stage.CATALOGING, CRAWL),
        (Stage.PUBLISHING, QUERY),
    ],
)
def test_an_end_that_no_event_told_of_is_told_in_its_stead(cloud, waits, stage, end):
    export = waits(stage)
    all_ended(cloud)
    metrics.clear_metrics()

    reconcile(cloud, NOW)

    assert cloud.bus.republished == [end]
    assert cloud.the_export() == export  # whoever it is told to moves it
    assert metrics.metric_set["ReconciledEvents"]["Value"] == [1.0]


@pytest.mark.parametrize("stage", WAITS)
def test_an_end_of_just_now_is_noted_for_its_event_may_be_on_its_way(cloud, waits, stage):
    """A wait of hours is no sign that its end is late."""
    export = waits(stage, since=NOW - timedelta(hours=1), end_seen_at=None)
    all_ended(cloud)
    metrics.clear_metrics()

    reconcile(cloud, NOW)
    reconcile(cloud, NOW + timedelta(seconds=119))

    assert cloud.bus.republished == []
    assert "ReconciledEvents" not in metrics.metric_set
    assert cloud.the_export() == replace(export, end_seen_at=NOW)
    reconcile(cloud, NOW + timedelta(seconds=120))
    assert len(cloud.bus.republished) == 1


def test_an_export_that_went_on_has_no_end_to_wait_for(cloud, waits):
    export = waits(Stage.EXPORTING)

    after = export.advance(Stage.CATALOGING, "c", NOW)

    assert (after.end_seen_at, export.fail("-", NOW).end_seen_at) == (None, None)


def test_a_table_export_that_failed_has_no_event_of_its_own(cloud, waits):
    waits(Stage.STAGING)
    cloud.tables.end = FAILURE

    reconcile(cloud, NOW)

    assert cloud.bus.republished == [FAILURE]


@pytest.mark.parametrize("stage", WAITS)
def test_what_has_not_ended_is_left_alone(cloud, waits, stage):
    export = waits(stage)

    reconcile(cloud, NOW)

    assert (cloud.bus.republished, cloud.glue.stopped, cloud.athena.stopped) == ([], [], [])
    assert cloud.the_export() == export


@pytest.mark.parametrize("stage", WAITS)
def test_nobody_asks_before_an_event_can_be_late(cloud, waits, stage):
    waits(stage, since=NOW - cloud.late_after)
    all_ended(cloud)

    reconcile(cloud, NOW)

    assert cloud.bus.republished == []


def test_a_start_that_died_is_requested_again(cloud):
    export = an_export(waiting_since=SINCE, claimed_at=SINCE)
    assert cloud.records.begin(export)

    reconcile(cloud, NOW)

    assert cloud.bus.republished == [ResumeRequest(export)]
    assert cloud.bus.republished[0].detail == {"pipeline": "reviews-parquet", "resume_export_id": "e1"}


def test_a_start_that_another_delivery_is_at_is_left_to_it(cloud):
    assert cloud.records.begin(an_export(waiting_since=SINCE, claimed_at=NOW - timedelta(seconds=59)))

    reconcile(cloud, NOW)

    assert cloud.bus.republished == []


@pytest.mark.parametrize(
    ("stage", "known", "stopped"),
    [
        (Stage.EXPORTING, {}, ["jr_1"]),
        (Stage.CATALOGING, {"own_crawl": True}, ["table-exports-reviews-parquet"]),
        (Stage.PUBLISHING, {}, ["q"]),
    ],
)
def test_what_is_overdue_is_stopped_and_the_record_says_so(cloud, waits, stage, known, stopped):
    export = waits(stage, **known)
    overdue = export.deadline + timedelta(seconds=1)

    reconcile(cloud, overdue)

    assert cloud.glue.stopped + cloud.athena.stopped == stopped
    after = cloud.the_export()
    assert (after.stage, after.blocked_reason) == (
        stage,
        f"stopped because it ran past {export.deadline:%Y-%m-%d %H:%M:%S} UTC",
    )


def test_a_job_run_in_glues_queue_is_shown_until_it_runs(cloud, waits):
    export = waits(Stage.EXPORTING)
    cloud.glue.queued = "Concurrent runs exceeded"

    for _ in range(2):
        reconcile(cloud, NOW)
        assert cloud.the_export() == replace(
            export, blocked_reason="Glue has queued the job run: Concurrent runs exceeded"
        )
    cloud.glue.queued = None
    reconcile(cloud, NOW)

    assert cloud.the_export() == export
    assert cloud.glue.stopped == []


def test_what_else_holds_up_an_export_stays_recorded_while_its_run_goes_on(cloud, waits):
    export = waits(Stage.EXPORTING, blocked_reason="Athena is busy")

    reconcile(cloud, NOW)

    assert cloud.the_export() == export


def test_a_job_run_that_never_leaves_the_queue_is_stopped_and_the_record_says_so(cloud, waits):
    export = waits(Stage.EXPORTING)
    cloud.glue.queued = "Concurrent runs exceeded"

    reconcile(cloud, export.deadline + timedelta(seconds=1))

    assert cloud.glue.stopped == ["jr_1"]
    assert cloud.the_export().blocked_reason == (
        f"stopped because it was still in Glue's queue at {export.deadline:%Y-%m-%d %H:%M:%S} UTC "
        "(Concurrent runs exceeded)"
    )


@pytest.mark.parametrize("stage", WAITS)
def test_what_does_not_end_even_so_is_given_up(cloud, waits, stage):
    export = waits(stage)

    reconcile(cloud, export.deadline + timedelta(hours=1, seconds=1))

    after = cloud.the_export()
    assert (after.stage, after.failed_stage) == (Stage.FAILED, stage)
    assert after.reason.startswith(f"Waited for {WAITS[stage]} since")
    assert cloud.records.pipeline("reviews-parquet").export_in_flight is None


def test_a_start_that_never_succeeds_is_given_up(cloud):
    export = an_export(waiting_since=SINCE).defer("Glue job cannot be started: ConcurrentRunsExceededException: 1")
    assert cloud.records.begin(export)

    reconcile(cloud, export.deadline + timedelta(hours=1, seconds=1))

    assert cloud.bus.republished == []
    assert cloud.the_export().reason.endswith("(Glue job cannot be started: ConcurrentRunsExceededException: 1)")


def test_it_is_too_late_to_give_up_a_view_that_shows(cloud, waits):
    export = waits(Stage.PUBLISHING)
    all_ended(cloud)

    reconcile(cloud, export.deadline + timedelta(days=1))

    assert cloud.bus.republished == [QUERY]
    assert cloud.the_export() == export


def test_an_export_that_cannot_be_asked_about_does_not_keep_the_others_from_it(cloud, waits, caplog):
    waits(Stage.EXPORTING)
    cloud.glue.refuses = "AccessDeniedException"
    other = an_export(pipeline="orders-parquet", export_id="e2", waiting_since=SINCE)
    cloud.records._client.put_item(
        TableName=cloud.records._table,
        Item={
            "pipeline": {"S": "orders-parquet"},
            "record": {"S": other.record_key},
            **{
                name: value
                for name, value in cloud.records._client.get_item(
                    TableName=cloud.records._table,
                    Key={"pipeline": {"S": "reviews-parquet"}, "record": {"S": cloud.the_export().record_key}},
                )["Item"].items()
                if name not in ("pipeline", "record")
            },
            "export_id": {"S": "e2"},
            "waiting_on": {"S": "athena-query/q"},
            "stage": {"S": "PUBLISHING"},
        },
    )
    cloud.athena.end = QUERY

    metrics.clear_metrics()

    reconcile(cloud, NOW)

    assert cloud.bus.republished == [QUERY]
    assert metrics.metric_set["ExportsNotReconciled"]["Value"] == [1.0]
    assert "Export not reconciled" in [line.message for line in caplog.records]


def test_a_record_that_cannot_be_read_keeps_nobody_from_the_others(cloud, waits):
    waits(Stage.EXPORTING)
    all_ended(cloud)
    cloud.records._client.put_item(
        TableName=cloud.records._table,
        Item={"pipeline": {"S": "a"}, "record": {"S": "export#a#a"}, "waiting_on": {"S": "x"}, "stage": {"S": "LATER"}},
    )

    reconcile(cloud, NOW)

    assert cloud.bus.republished == [RUN]


def test_why_aws_cannot_be_asked_is_part_of_the_reason_in_the_end(cloud, waits):
    export = waits(Stage.EXPORTING)
    cloud.glue.refuses = "AccessDeniedException: no"
    reconcile(cloud, NOW)

    reconcile(cloud, export.deadline + timedelta(hours=1, seconds=1))

    assert cloud.the_export().reason.endswith("(Its status could not be read: AccessDeniedException: no)")


def test_what_cannot_be_asked_about_is_given_up_in_the_end(cloud, waits):
    export = waits(Stage.EXPORTING)
    cloud.glue.refuses = "AccessDeniedException"

    reconcile(cloud, export.deadline + timedelta(hours=1, seconds=1))

    assert cloud.the_export().stage is Stage.FAILED


def test_what_was_told_and_not_handled_until_it_is_given_up_says_so(cloud, waits):
    export = waits(Stage.EXPORTING)
    all_ended(cloud)

    reconcile(cloud, export.deadline + timedelta(hours=1, seconds=1))

    assert cloud.the_export().reason.endswith(
        "Glue Job State Change was published again and not handled. Find the error in the functions' log, correct its "
        "cause, then resume the export"
    )


@pytest.mark.parametrize("stage", [Stage.STARTING, Stage.STAGING])
def test_an_export_that_has_not_read_its_table_ends_with_its_stack(cloud, waits, stage):
    if stage == Stage.STARTING:
        assert cloud.records.begin(an_export(waiting_since=SINCE))
    else:
        waits(stage)
    cloud.records.unregister("reviews-parquet", cloud.registered.stack_id)

    reconcile(cloud, NOW)

    assert cloud.bus.republished == []
    assert cloud.the_export().reason.startswith("The table stack was deleted or renamed while the export was running")


def test_what_an_interrupted_start_started_is_stopped_before_its_export_ends(cloud):
    export = an_export(waiting_since=SINCE, claimed_at=SINCE)
    assert cloud.records.begin(export)
    run_id = cloud.glue.start_job_run(export)
    cloud.records.unregister("reviews-parquet", cloud.registered.stack_id)
    cloud.glue.busy = "Rate exceeded"

    reconcile(cloud, NOW)
    assert (cloud.the_export().stage, cloud.the_export().blocked_reason) == (Stage.STARTING, "Rate exceeded")

    cloud.glue.busy = None
    reconcile(cloud, NOW)

    failed = cloud.the_export()
    assert (failed.stage, failed.glue_job_run_id, cloud.glue.stopped) == (Stage.FAILED, run_id, [run_id])
    assert f"An interrupted step started Glue job run {run_id}, which was stopped" in failed.reason


def test_what_a_delivery_is_at_is_left_to_it(cloud, waits):
    export = waits(Stage.EXPORTING, claimed_at=NOW - timedelta(seconds=59))
    all_ended(cloud)

    reconcile(cloud, NOW)

    assert (cloud.bus.republished, cloud.the_export()) == ([], export)


@pytest.fixture
def lines(capsys):
    """The EMF lines: dimensions and values of each."""

    def read():
        found = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith('{"_aws"')]
        return [{name: value for name, value in line.items() if name != "_aws"} for line in found]

    return read


def test_a_pass_measures_each_pipeline_and_ends_with_a_heartbeat(cloud, lines):
    metrics.clear_metrics()

    make_a_pass(cloud, NOW)

    assert lines() == []  # of a pipeline that has done nothing yet
    assert metrics.metric_set["PipelinesInTrouble"]["Value"] == [0.0]
    assert cloud.heartbeat.beats == 1


def test_a_pipeline_in_trouble_is_measured_in_every_pass(cloud, in_flight, lines):
    export = in_flight(Stage.EXPORTING, WAITS[Stage.EXPORTING])
    assert cloud.records.move(export, export.fail("out of memory", NOW))

    for _ in range(2):
        metrics.clear_metrics()
        make_a_pass(cloud, NOW + timedelta(minutes=5))

        assert lines() == [{"pipeline": "reviews-parquet", "Failing": [1.0]}]
        assert metrics.metric_set["PipelinesInTrouble"]["Value"] == [1.0]


def test_a_pipeline_that_cannot_be_read_hides_no_other(cloud, in_flight, lines):
    export = in_flight(Stage.EXPORTING, WAITS[Stage.EXPORTING])
    assert cloud.records.move(export, export.fail("out of memory", NOW))
    odd = {"pipeline": "a", "record": "pipeline", "stack_id": "s", "timeout_minutes": "many"}
    item = {name: {"S": value} for name, value in odd.items()}
    cloud.records._client.put_item(TableName=cloud.records._table, Item=item)
    metrics.clear_metrics()

    make_a_pass(cloud, NOW)

    assert lines() == [{"pipeline": "reviews-parquet", "Failing": [1.0]}]
    assert metrics.metric_set["ExportsNotReconciled"]["Value"] == [1.0]
    assert cloud.heartbeat.beats == 1


def test_a_pass_that_dies_says_nothing_of_living(cloud, monkeypatch):
    def nothing_to_be_had():
        raise ConnectionError

    monkeypatch.setattr(cloud.records, "pipelines", nothing_to_be_had)

    with pytest.raises(ConnectionError):
        make_a_pass(cloud, NOW)
    assert cloud.heartbeat.beats == 0
