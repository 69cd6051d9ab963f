from decimal import Decimal
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError
from examples import NOW, a_manifest

from on_glue_complete.handler import on_job_run_ended
from table_exports.domain.export import CLAIM
from table_exports.domain.stages import Stage
from table_exports.functions.telemetry import metrics

SUCCEEDED = "glue-job-run/jr_abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789"
FAILED = "glue-job-run/jr_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"


@pytest.fixture
def react(cloud):
    return lambda event, at=NOW: on_job_run_ended(event, cloud, at)


def test_a_run_that_succeeded_is_proven_and_crawled(cloud, in_flight, aws_event, react):
    in_flight(Stage.EXPORTING, SUCCEEDED)

    react(aws_event("glue_job_succeeded"))

    export = cloud.the_export()
    assert (export.stage, export.waiting_on) == (Stage.CATALOGING, "glue-crawler/table-exports-reviews-parquet")
    assert (export.waiting_since, export.own_crawl) == (NOW, True)
    assert (export.items, export.files, export.bytes) == (2, 1, 1234)


def test_before_a_crawl_the_table_gets_the_new_columns(cloud, in_flight, aws_event, react):
    in_flight(Stage.EXPORTING, SUCCEEDED)

    react(aws_event("glue_job_succeeded"))

    assert cloud.glue.cataloged == ["columns before the crawl"]
    assert len(cloud.glue.crawled) == 1
    assert cloud.athena.published == []


def test_a_snapshot_whose_schema_the_catalog_has_is_published_without_a_crawl(cloud, in_flight, aws_event, react):
    in_flight(Stage.EXPORTING, SUCCEEDED)
    cloud.glue.schema_is_known = True

    react(aws_event("glue_job_succeeded"))

    export = cloud.the_export()
    assert (export.stage, export.waiting_on) == (Stage.PUBLISHING, "athena-query/query-of-e1")
    assert (export.items, export.files, export.bytes) == (2, 1, 1234)
    assert cloud.glue.cataloged == ["partition 2026-11-23T02-00-07Z"]
    assert cloud.athena.published == [("2026-11-23T02-00-07Z", [("asin", "asin"), ("stars", "stars")])]
    assert cloud.glue.crawled == []


def test_a_pipeline_that_always_crawls_does_so_with_a_known_schema_too(cloud, in_flight, aws_event, react):
    in_flight(Stage.EXPORTING, SUCCEEDED)
    cloud.glue.schema_is_known = True
    cloud.set_head(catalog_update="always")

    react(aws_event("glue_job_succeeded"))

    assert cloud.the_export().stage == Stage.CATALOGING
    assert len(cloud.glue.crawled) == 1


@pytest.mark.parametrize("schema_is_known", [True, False])
def test_an_export_whose_time_is_over_leaves_the_catalog_alone(cloud, in_flight, aws_event, react, schema_is_known):
    in_flight(Stage.EXPORTING, SUCCEEDED)
    cloud.glue.schema_is_known = schema_is_known
    cloud.set_head(export_in_flight="export#2026-11-23T09-00-00Z#e2")

    react(aws_event("glue_job_succeeded"))

    assert cloud.the_export().reason == "Another export took over: e2"
    assert (cloud.glue.cataloged, cloud.glue.crawled, cloud.athena.published) == ([], [], [])


def test_a_table_that_is_another_datasets_fails_the_export_before_a_crawl(cloud, in_flight, aws_event, react):
    in_flight(Stage.EXPORTING, SUCCEEDED)
    cloud.glue.refuses = "Table snapshots_reviews is partitioned by []: another dataset has its name"

    react(aws_event("glue_job_succeeded"))

    assert (cloud.the_export().stage, cloud.the_export().reason) == (Stage.FAILED, cloud.glue.refuses)


def test_a_count_far_from_the_tables_own_is_recorded_logged_and_measured(cloud, in_flight, aws_event, react, caplog):
    in_flight(Stage.EXPORTING, SUCCEEDED)
    cloud.manifests.manifest = a_manifest(items_expected=5000)
    metrics.clear_metrics()

    react(aws_event("glue_job_succeeded"))

    export = cloud.the_export()
    assert export.stage == Stage.CATALOGING
    assert export.warning.startswith("The snapshot has 2 items, the table's own ItemCount is 5000.")
    assert metrics.metric_set["ItemCountWarnings"]["Value"] == [1.0]
    assert [line.message for line in caplog.records if line.levelname == "WARNING"] == [export.warning]


def test_a_count_near_the_tables_own_is_nothing_to_tell(cloud, in_flight, aws_event, react):
    in_flight(Stage.EXPORTING, SUCCEEDED)
    metrics.clear_metrics()

    react(aws_event("glue_job_succeeded"))

    assert cloud.the_export().warning is None
    assert "ItemCountWarnings" not in metrics.metric_set


def test_a_hot_key_is_recorded_and_is_no_warning_about_the_count(cloud, in_flight, aws_event, react):
    in_flight(Stage.EXPORTING, SUCCEEDED)
    cloud.manifests.manifest = a_manifest(hot_share=Decimal("0.85"))
    metrics.clear_metrics()

    react(aws_event("glue_job_succeeded"))

    export = cloud.the_export()
    assert (export.hot_share, export.warning) == (Decimal("0.85"), cloud.manifests.manifest.hot_key)
    assert "ItemCountWarnings" not in metrics.metric_set


def dies_once_after(monkeypatch, part, step):
    """The function is killed when the step's call has been made, and not yet answered."""
    call = getattr(part, step)

    def killed(*arguments):
        monkeypatch.setattr(part, step, call)
        call(*arguments)
        raise ConnectionError("killed")

    monkeypatch.setattr(part, step, killed)


@pytest.mark.parametrize(
    ("part", "step"), [("glue", "ensure_partition"), ("athena", "create_view"), ("records", "move")]
)
def test_a_publication_that_died_goes_on_when_the_event_comes_again(
    cloud, in_flight, aws_event, react, monkeypatch, part, step
):
    in_flight(Stage.EXPORTING, SUCCEEDED)
    cloud.glue.schema_is_known = True
    dies_once_after(monkeypatch, getattr(cloud, part), step)

    with pytest.raises(ConnectionError):
        react(aws_event("glue_job_succeeded"))
    react(aws_event("glue_job_succeeded"), at=NOW + CLAIM)

    assert (cloud.the_export().stage, cloud.the_export().waiting_on) == (Stage.PUBLISHING, "athena-query/query-of-e1")
    assert len(set(map(str, cloud.athena.published))) == 1


@pytest.mark.parametrize(("step", "own"), [("prepare_crawl", True), ("start_crawler", False)])
def test_a_crawl_whose_start_died_is_waited_for_when_the_event_comes_again(
    cloud, in_flight, aws_event, react, monkeypatch, step, own
):
    """Whose the crawl is that runs, nobody knows by then: another comes after it."""
    in_flight(Stage.EXPORTING, SUCCEEDED)
    dies_once_after(monkeypatch, cloud.glue, step)

    with pytest.raises(ConnectionError):
        react(aws_event("glue_job_succeeded"))
    react(aws_event("glue_job_succeeded"), at=NOW + CLAIM)

    assert (cloud.the_export().stage, cloud.the_export().own_crawl) == (Stage.CATALOGING, own)


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
    assert export.reason.startswith(f"Glue job run {run} ended {state}: Requested resource not found")
    assert cloud.records.pipeline("reviews-parquet").export_in_flight is None
    assert cloud.glue.crawled == []


@pytest.mark.parametrize("state", ["FAILED", "ERROR", "EXPIRED", "DELETED"])
def test_a_run_that_failed_by_itself_is_followed_by_another_for_the_same_snapshot(
    cloud, in_flight, aws_event, react, state
):
    in_flight(Stage.EXPORTING, FAILED, max_attempts=2)

    for _ in range(3):
        react(aws_event("glue_job_failed", state=state))

    export = cloud.the_export()
    assert (export.stage, export.waiting_on, export.attempt) == (Stage.EXPORTING, "glue-job-run/jr_of_e1_2", 2)
    assert (export.glue_job_run_id, export.claimed_at) == ("jr_of_e1_2", None)
    assert len(cloud.glue.started) == 1


def test_a_run_that_reached_its_timeout_is_not_followed_by_another(cloud, in_flight, aws_event, react):
    in_flight(Stage.EXPORTING, FAILED, max_attempts=2)

    react(aws_event("glue_job_failed", state="TIMEOUT"))

    export = cloud.the_export()
    assert (export.stage, export.attempt, bool(export.final)) == (Stage.FAILED, 1, False)
    assert "ended TIMEOUT" in export.reason
    assert cloud.glue.started == []


@pytest.mark.parametrize(
    "message",
    [
        "PermanentError: Permanent error: --table_name is 'x'",
        "table_export_job.errors.PermanentError: Permanent error: --table_name is 'x'",
        "Error Category: QUERY_ERROR; Failed Line Number: 7; PermanentError: Permanent error: --table_name is 'x'",
    ],
)
def test_a_run_that_failed_permanently_fails_the_export_at_once(cloud, in_flight, aws_event, react, message):
    in_flight(Stage.EXPORTING, FAILED, max_attempts=2)

    react(aws_event("glue_job_failed", message=message))

    export = cloud.the_export()
    assert (export.stage, export.attempt) == (Stage.FAILED, 1)
    assert export.reason.endswith(f"ended FAILED: {message}")
    assert cloud.glue.started == []


@pytest.mark.parametrize(
    "message",
    [
        "ExportFailed: The snapshot is not complete",
        "PermanentError is a class",
        "Command failed with exit code 1",
        None,
    ],
)
def test_a_run_that_does_not_say_that_it_failed_permanently_is_followed_by_another(
    cloud, in_flight, aws_event, react, message
):
    in_flight(Stage.EXPORTING, FAILED, max_attempts=2)

    react(aws_event("glue_job_failed", message=message))

    assert (cloud.the_export().stage, cloud.the_export().attempt) == (Stage.EXPORTING, 2)


def test_an_attempt_that_is_refused_says_why_it_was_made(cloud, in_flight, aws_event, react):
    in_flight(Stage.EXPORTING, FAILED, max_attempts=2)
    cloud.glue.refuses = "Glue job cannot be started: EntityNotFoundException"

    react(aws_event("glue_job_failed", message="Out of memory"))

    assert cloud.the_export().reason.endswith(
        "ended FAILED: Out of memory. Another attempt could not start: "
        "Glue job cannot be started: EntityNotFoundException"
    )


def test_the_last_attempt_fails_the_export(cloud, in_flight, aws_event, react):
    in_flight(Stage.EXPORTING, FAILED, attempt=2, max_attempts=2)

    react(aws_event("glue_job_failed"))

    assert cloud.the_export().stage is Stage.FAILED
    assert cloud.glue.started == []


def test_a_run_that_a_person_stopped_is_not_started_again(cloud, in_flight, aws_event, react):
    in_flight(Stage.EXPORTING, FAILED, max_attempts=2)

    react(aws_event("glue_job_failed", state="STOPPED"))

    assert cloud.the_export().stage is Stage.FAILED
    assert cloud.glue.started == []


def test_of_two_deliveries_of_a_failure_at_once_one_starts_the_job(cloud, in_flight, aws_event, react, monkeypatch):
    in_flight(Stage.EXPORTING, FAILED, max_attempts=2)
    find = cloud.glue.find_job_run

    def slowly(export):
        monkeypatch.setattr(cloud.glue, "find_job_run", find)
        react(aws_event("glue_job_failed"))
        return find(export)

    monkeypatch.setattr(cloud.glue, "find_job_run", slowly)
    react(aws_event("glue_job_failed"))

    assert len(cloud.glue.started) == 1
    assert cloud.the_export().waiting_on == "glue-job-run/jr_of_e1_2"


def test_another_run_that_an_earlier_delivery_started_is_taken_up(cloud, in_flight, aws_event, react):
    export = in_flight(Stage.EXPORTING, FAILED, max_attempts=2, claimed_at=NOW - CLAIM)
    cloud.glue.start_job_run(export.retry())

    react(aws_event("glue_job_failed"))

    assert len(cloud.glue.started) == 1
    assert cloud.the_export().waiting_on == "glue-job-run/jr_of_e1_2"


def test_when_glue_says_not_now_the_failed_run_is_waited_for_until_it_is_told_of_again(
    cloud, in_flight, aws_event, react
):
    in_flight(Stage.EXPORTING, FAILED, max_attempts=2)
    cloud.glue.busy = "Glue job cannot be started: ResourceNumberLimitExceededException: 2000 runs"
    react(aws_event("glue_job_failed"))
    export = cloud.the_export()
    assert (export.waiting_on, export.blocked_reason, export.attempt) == (FAILED, cloud.glue.busy, 1)

    cloud.glue.busy = None
    react(aws_event("glue_job_failed"))

    assert cloud.the_export().waiting_on == "glue-job-run/jr_of_e1_2"


def test_an_export_that_is_resumed_after_its_crawl_is_not_crawled_again(cloud, in_flight, aws_event, react):
    in_flight(Stage.EXPORTING, SUCCEEDED, crawled=True)
    cloud.glue.schema_is_known = True
    cloud.set_head(catalog_update="always")

    react(aws_event("glue_job_succeeded"))

    assert (cloud.the_export().stage, cloud.glue.crawled) == (Stage.PUBLISHING, [])


def test_a_run_that_was_stopped_for_it_was_overdue_says_so(cloud, in_flight, aws_event, react):
    in_flight(Stage.EXPORTING, FAILED, blocked_reason="stopped because it ran past 2026-11-23 11:00:00 UTC")

    react(aws_event("glue_job_failed", state="STOPPED", message="Job run stopped"))

    assert cloud.the_export().reason.endswith(
        "ended STOPPED: Job run stopped (stopped because it ran past 2026-11-23 11:00:00 UTC)"
    )


def test_where_aws_says_no_the_claim_is_given_back_for_the_next_try(cloud, in_flight, aws_event, react, monkeypatch):
    in_flight(Stage.EXPORTING, SUCCEEDED)
    error = ClientError({"Error": {"Code": "InternalServiceException", "Message": "-"}}, "GetTable")
    monkeypatch.setattr(cloud.glue, "has_schema", Mock(side_effect=error))

    with pytest.raises(ClientError):
        react(aws_event("glue_job_succeeded"))

    assert cloud.the_export().claimed_at is None


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
