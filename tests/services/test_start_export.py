from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from unittest.mock import Mock

import pytest
from examples import NOW, a_pipeline, a_request, a_resumption, a_table, an_export
from fakes import TABLE_EXPORT

from start_export.handler import UnsettledLock, on_export_requested
from table_exports.domain.aws_events import JobRunEnded
from table_exports.domain.errors import RetryableError
from table_exports.domain.export import CLAIM
from table_exports.domain.request import request_identity
from table_exports.domain.stages import Stage

LATER = NOW + CLAIM + timedelta(seconds=1)


def the_id(**changes):
    return request_identity(a_request(**changes))


def test_a_request_starts_the_job_and_takes_the_lock(cloud):
    on_export_requested(a_request(), cloud, NOW)

    export = cloud.the_export(the_id())
    assert (export.stage, export.waiting_on) == (Stage.EXPORTING, f"glue-job-run/jr_of_{the_id()}")
    assert export.snapshot_timestamp == "2026-11-23T02-08-10Z"
    assert cloud.records.pipeline("reviews-parquet").export_in_flight == export.record_key
    assert cloud.bus.events == []


def test_how_the_table_is_read_is_recorded_with_reason_and_price(cloud):
    on_export_requested(a_request(), cloud, NOW)

    export = cloud.the_export(the_id())
    assert (export.read_mode, export.read_cost_usd) == ("scan", Decimal("0.0271"))
    assert export.read_plan.startswith(
        "By scan, because the table export would not save enough: a scan at 3000 read units"
    )
    assert cloud.glue.started[0].read_mode == "scan"
    assert cloud.tables.exported == []


@pytest.fixture
def export_pays(cloud):
    cloud.tables.table = a_table(on_demand=False, read_units=400)


def test_where_it_pays_dynamodb_exports_the_table_and_the_job_waits_for_it(cloud, export_pays):
    on_export_requested(a_request(), cloud, NOW)

    export = cloud.the_export(the_id())
    assert (export.stage, export.waiting_on) == (Stage.STAGING, f"table-export/{TABLE_EXPORT}")
    assert (export.read_mode, export.read_cost_usd) == ("export", Decimal("0.1"))
    assert cloud.tables.exported == [the_id()]
    assert cloud.glue.started == []


def test_the_requests_share_of_the_capacity_counts_not_the_stacks(cloud, export_pays):
    cloud.tables.table = a_table(on_demand=False, read_units=1000)

    assert cloud.records.register(replace(cloud.registered, read_percentage=Decimal("1.0")))
    on_export_requested(a_request(read_percentage=1.0), cloud, NOW)

    assert cloud.the_export(the_id()).read_mode == "scan"


def test_a_delivery_that_died_after_the_plan_keeps_to_it(cloud, export_pays, monkeypatch):
    """Even if it would be another by now: the table must not be read in both ways."""
    with monkeypatch.context() as patch:
        patch.setattr(cloud.tables, "start_export", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            on_export_requested(a_request(), cloud, NOW)
    cloud.tables.table = a_table(point_in_time_recovery=False)

    on_export_requested(a_request(), cloud, LATER)

    assert (cloud.the_export(the_id()).stage, cloud.tables.exported) == (Stage.STAGING, [the_id()])
    assert cloud.tables.described == [the_id()]
    assert cloud.glue.started == []


def test_a_delivery_that_lost_its_claim_while_it_planned_leaves_the_read_to_the_other(cloud, monkeypatch):
    describe = cloud.tables.describe

    def slowly(export, role_arn):
        monkeypatch.setattr(cloud.tables, "describe", describe)
        on_export_requested(a_request(), cloud, LATER)
        return describe(export, role_arn)

    monkeypatch.setattr(cloud.tables, "describe", slowly)
    on_export_requested(a_request(), cloud, NOW)

    assert len(cloud.glue.started) == 1
    assert cloud.the_export(the_id()).waiting_since == LATER


@pytest.mark.parametrize(
    ("configured", "table", "reason"),
    [
        ({"max_read_cost": Decimal("0.01")}, {}, "Reading table Reviews would cost about $0.03, above the budget"),
        ({"read_mode": "export"}, {"point_in_time_recovery": False}, "ReadMode is export, but point-in-time recovery"),
    ],
)
def test_a_read_that_is_refused_fails_the_export_before_anything_is_read(cloud, configured, table, reason):
    assert cloud.records.register(a_pipeline(**configured))
    cloud.tables.table = a_table(**table)

    on_export_requested(a_request(), cloud, NOW)

    export = cloud.the_export(the_id())
    assert (export.stage, export.failed_stage) == (Stage.FAILED, Stage.STARTING)
    assert export.reason.startswith(reason)
    assert (cloud.glue.started, cloud.tables.exported) == ([], [])
    assert cloud.records.pipeline("reviews-parquet").export_in_flight is None


@pytest.mark.parametrize("way", ["scan", "export"])
def test_a_name_that_is_taken_fails_the_export_before_anything_is_read(cloud, way):
    if way == "export":
        cloud.tables.table = a_table(on_demand=False, read_units=400)
    cloud.glue.names_taken = "view exports.reviews is not a view of snapshots_reviews"

    on_export_requested(a_request(), cloud, NOW)

    assert (cloud.the_export(the_id()).stage, cloud.the_export(the_id()).reason) == (
        Stage.FAILED,
        cloud.glue.names_taken,
    )
    assert (cloud.glue.started, cloud.tables.exported) == ([], [])


def test_an_export_whose_name_was_taken_goes_on_when_it_is_free(cloud):
    cloud.glue.names_taken = "view exports.reviews is not a view of snapshots_reviews"
    on_export_requested(a_request(), cloud, NOW)
    cloud.glue.names_taken = None

    on_export_requested(a_resumption(the_id()), cloud, LATER)

    assert cloud.the_export(the_id()).stage is Stage.EXPORTING


def test_a_table_that_cannot_be_looked_at_fails_the_export(cloud):
    cloud.tables.refuses = "There is no table Reviews in this account and Region"

    on_export_requested(a_request(), cloud, NOW)

    assert cloud.the_export(the_id()).reason == cloud.tables.refuses
    assert cloud.glue.started == []


def test_a_catalog_that_lake_formation_denies_fails_the_export_before_anything_is_read(cloud):
    cloud.glue.lake_formation = "Database exports cannot be used: Insufficient Lake Formation permission(s)"

    on_export_requested(a_request(), cloud, NOW)

    assert cloud.the_export(the_id()).reason == cloud.glue.lake_formation
    assert (cloud.glue.started, cloud.tables.exported) == ([], [])


def test_a_table_stack_of_an_earlier_version_is_still_scanned(cloud):
    assert cloud.records.register(a_pipeline(table_role_arn=""))

    on_export_requested(a_request(), cloud, NOW)

    export = cloud.the_export(the_id())
    assert (export.stage, export.read_mode, export.read_cost_usd) == (Stage.EXPORTING, "scan", None)
    assert "update it" in export.read_plan
    assert cloud.tables.described == []


@pytest.mark.parametrize("seconds", [0, 1, 600])
def test_the_same_request_again_starts_nothing(cloud, seconds):
    on_export_requested(a_request(), cloud, NOW)
    on_export_requested(a_request(), cloud, NOW + timedelta(seconds=seconds))

    assert len(cloud.glue.started) == 1
    assert cloud.bus.events == []


def test_the_same_request_after_its_export_has_ended_starts_nothing(cloud):
    on_export_requested(a_request(), cloud, NOW)
    running = cloud.the_export(the_id())
    assert cloud.records.move(running, running.fail("out of memory", NOW))

    on_export_requested(a_request(), cloud, LATER)

    assert len(cloud.glue.started) == 1
    assert cloud.the_export(the_id()).stage is Stage.FAILED


def test_of_two_deliveries_at_once_one_starts_the_job(cloud, monkeypatch):
    on_export_requested(a_request(), cloud, NOW)
    monkeypatch.setattr(cloud.records, "find", lambda *_: None)  # the index, lagging

    on_export_requested(a_request(), cloud, NOW)

    assert len(cloud.glue.started) == 1
    assert cloud.bus.events == []


def test_a_delivery_that_died_before_the_job_started_is_taken_up_again(cloud):
    assert cloud.records.begin(an_export(export_id=the_id(), requested_at=NOW, claimed_at=NOW))

    on_export_requested(a_request(), cloud, NOW + CLAIM - timedelta(seconds=1))  # it may be at it still
    assert cloud.glue.started == []

    on_export_requested(a_request(), cloud, LATER)
    assert len(cloud.glue.started) == 1
    assert cloud.the_export(the_id()).stage is Stage.EXPORTING


def test_a_delivery_that_died_after_the_job_started_finds_the_run(cloud):
    export = an_export(export_id=the_id(), requested_at=NOW)
    assert cloud.records.begin(export)
    cloud.glue.start_job_run(export)

    on_export_requested(a_request(), cloud, LATER)

    assert len(cloud.glue.started) == 1
    assert cloud.the_export(the_id()).waiting_on == f"glue-job-run/jr_of_{the_id()}"


def test_a_request_of_a_deleted_stack_ends_the_export_that_it_began_and_stops_its_run(cloud):
    export = an_export(export_id=the_id(), requested_at=NOW, claimed_at=NOW)
    assert cloud.records.begin(export)
    run_id = cloud.glue.start_job_run(export)
    cloud.records.unregister("reviews-parquet", cloud.registered.stack_id)

    on_export_requested(a_request(), cloud, NOW + CLAIM - timedelta(seconds=1))  # another delivery may be at it
    assert (cloud.the_export(the_id()), cloud.glue.stopped) == (export, [])

    on_export_requested(a_request(), cloud, LATER)
    on_export_requested(a_request(), cloud, LATER)

    failed = cloud.the_export(the_id())
    assert (failed.stage, failed.glue_job_run_id, cloud.glue.stopped) == (Stage.FAILED, run_id, [run_id])
    assert failed.reason.endswith(f"An interrupted step started Glue job run {run_id}, which was stopped")
    assert cloud.bus.events == []  # no refusal: the request became an export


def test_a_request_of_a_deleted_stack_is_found_before_the_index_shows_it(cloud, monkeypatch):
    assert cloud.records.begin(an_export(export_id=the_id(), requested_at=NOW, claimed_at=NOW))
    cloud.records.unregister("reviews-parquet", cloud.registered.stack_id)
    monkeypatch.setattr(cloud.records, "_query", lambda index, value: [])

    on_export_requested(a_request(), cloud, NOW)

    assert cloud.bus.events == []


def test_a_replayed_request_is_a_new_export(cloud):
    on_export_requested(a_request(), cloud, NOW)
    running = cloud.the_export(the_id())
    assert cloud.records.move(running, running.fail("out of memory", NOW))

    on_export_requested(a_request() | {"replay-name": "once-more"}, cloud, LATER)

    assert [export.snapshot_timestamp for export in cloud.glue.started] == [
        "2026-11-23T02-08-10Z",
        "2026-11-23T02-09-11Z",
    ]


def test_a_request_while_another_export_is_in_flight_is_skipped(cloud):
    on_export_requested(a_request(), cloud, NOW)
    on_export_requested(a_request(scheduled_time="2026-11-24T02:00:00Z"), cloud, LATER)

    assert len(cloud.glue.started) == 1
    [fact] = cloud.bus.events
    assert fact.detail_type == "Export Skipped"
    assert fact.detail["export_id"] == the_id(scheduled_time="2026-11-24T02:00:00Z")
    assert fact.detail["reason"] == f"Export {the_id()} of the pipeline is already running"


def test_a_lock_that_changes_hands_meanwhile_is_left_to_the_next_try(cloud, monkeypatch):
    monkeypatch.setattr(cloud.records, "begin", lambda _: False)

    with pytest.raises(UnsettledLock, match="is free now"):
        on_export_requested(a_request(), cloud, NOW)


def test_a_lock_of_an_export_that_was_deleted_is_freed_for_the_next_try(cloud):
    on_export_requested(a_request(), cloud, NOW)
    gone = cloud.the_export(the_id())
    key = {"pipeline": {"S": gone.pipeline}, "record": {"S": gone.record_key}}
    cloud.records._client.delete_item(TableName=cloud.records._table, Key=key)

    with pytest.raises(UnsettledLock, match="which has no record"):
        on_export_requested(a_request(request_id="next"), cloud, LATER)
    on_export_requested(a_request(request_id="next"), cloud, LATER)

    assert len(cloud.glue.started) == 2


def test_a_job_that_glue_does_not_know_fails_the_export_and_frees_the_lock(cloud):
    cloud.glue.refuses = "Glue job table-exports-reviews-parquet cannot be started: EntityNotFoundException"

    on_export_requested(a_request(), cloud, NOW)

    export = cloud.the_export(the_id())
    assert (export.stage, export.failed_stage, export.reason) == (Stage.FAILED, Stage.STARTING, cloud.glue.refuses)
    assert cloud.records.pipeline("reviews-parquet").export_in_flight is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"read_percentage": 1.5}, "read_percentage: is 1.5: it must be a number from 0.1 to 1.0"),
        ({"pipeline": "orders-parquet"}, "pipeline: orders-parquet is unknown: deploy its table stack"),
        ({"crawler_name": ...}, "crawler_name: is missing"),
        (
            {"read_percentage": 0.26},
            "read_percentage: is 0.26, but reviews-parquet is deployed with ReadPercentage 0.25",
        ),
        ({"table_name": "Orders"}, "table_name: is Orders, but reviews-parquet is deployed with Reviews: use Reviews"),
    ],
)
def test_a_bad_request_ends_as_export_failed_and_touches_nothing(cloud, change, reason):
    before = cloud.records.pipeline("reviews-parquet")

    on_export_requested(a_request(**change), cloud, NOW)

    [fact] = cloud.bus.events
    assert fact.detail_type == "Export Failed"
    assert fact.detail["reason"].startswith(reason)
    assert cloud.glue.started == []
    assert cloud.records.pipeline("reviews-parquet") == before


# ---------------------------------------------------------------------------------------------- not now, and go on


def test_when_aws_says_not_now_the_export_waits_and_says_why(cloud):
    cloud.glue.busy = "Glue job table-exports-reviews-parquet cannot be started: ConcurrentRunsExceededException: 1"

    on_export_requested(a_request(), cloud, NOW)

    export = cloud.the_export(the_id())
    assert (export.stage, export.blocked_reason, export.claimed_at) == (Stage.STARTING, cloud.glue.busy, None)
    assert cloud.bus.events == []

    cloud.glue.busy = None
    on_export_requested(a_resumption(the_id()), cloud, NOW + timedelta(seconds=1))

    export = cloud.the_export(the_id())
    assert (export.stage, export.blocked_reason) == (Stage.EXPORTING, None)
    assert cloud.tables.described == [the_id()]  # planned once


def failed(cloud, reason="no luck", **known):
    """An export that got as far as it `known`, and failed."""
    begun = an_export(export_id="0" * 20)
    assert cloud.records.begin(begun)
    export = an_export(export_id="0" * 20, stage=Stage.EXPORTING, waiting_on="glue-job-run/jr_1", **known)
    assert cloud.records.move(begun, export)
    assert cloud.records.move(export, export.fail(reason, NOW))
    return "0" * 20


def ended(run_id, state):
    return JobRunEnded(job_name="table-exports-reviews-parquet", run_id=run_id, state=state, message="-")


def test_an_export_whose_snapshot_is_written_goes_on_without_another_run(cloud):
    export_id = failed(cloud, glue_job_run_id="jr_1")
    cloud.glue.ends["jr_1"] = ended("jr_1", "SUCCEEDED")

    on_export_requested(a_resumption(export_id), cloud, LATER)

    export = cloud.the_export(export_id)
    assert (export.stage, export.waiting_on, export.reason) == (Stage.EXPORTING, "glue-job-run/jr_1", None)
    assert cloud.bus.republished == [cloud.glue.ends["jr_1"]]
    assert cloud.glue.started == []
    assert cloud.records.pipeline("reviews-parquet").export_in_flight == export.record_key


def test_an_export_whose_run_is_still_at_it_waits_for_that_one(cloud):
    export_id = failed(cloud, glue_job_run_id="jr_1")

    on_export_requested(a_resumption(export_id), cloud, LATER)

    assert cloud.the_export(export_id).waiting_on == "glue-job-run/jr_1"
    assert (cloud.bus.republished, cloud.glue.started) == ([], [])


def test_an_export_whose_run_failed_runs_the_job_again_for_the_same_snapshot(cloud):
    export_id = failed(cloud, glue_job_run_id="jr_1", read_plan="By scan")
    cloud.glue.ends["jr_1"] = ended("jr_1", "FAILED")

    on_export_requested(a_resumption(export_id), cloud, LATER)

    export = cloud.the_export(export_id)
    assert (export.stage, export.waiting_on) == (Stage.EXPORTING, f"glue-job-run/jr_of_{export_id}_2")
    assert (export.attempt, export.max_attempts) == (2, 2)
    assert export.snapshot_timestamp == "2026-11-23T02-00-07Z"
    assert cloud.tables.described == []


def test_of_a_run_that_failed_long_ago_nobody_is_told(cloud):
    export_id = failed(cloud, glue_job_run_id="jr_1", read_plan="By scan")
    cloud.glue.ends["jr_1"] = ended("jr_1", "FAILED")
    cloud.glue.start_job_run = Mock(side_effect=RetryableError("Glue is busy"))

    on_export_requested(a_resumption(export_id), cloud, LATER)

    assert cloud.the_export(export_id).blocked_reason == "Glue is busy"
    assert cloud.bus.republished == []


def test_an_export_that_failed_before_its_job_ran_is_planned_anew(cloud):
    """The budget may be another by now."""
    assert cloud.records.register(a_pipeline(max_read_cost=Decimal("0.01")))
    on_export_requested(a_request(), cloud, NOW)
    assert cloud.the_export(the_id()).stage is Stage.FAILED
    assert cloud.records.register(a_pipeline(max_read_cost=Decimal("5")))

    on_export_requested(a_resumption(the_id()), cloud, LATER)

    assert cloud.the_export(the_id()).stage is Stage.EXPORTING


def test_what_dynamodb_exported_already_is_not_exported_again(cloud):
    summary = "s3://bucket/staging/reviews/t/AWSDynamoDB/1-a/manifest-summary.json"
    export_id = failed(cloud, read_mode="export", read_plan="By export", table_export=summary)

    on_export_requested(a_resumption(export_id), cloud, LATER)

    assert [run.table_export for run in cloud.glue.started] == [summary]
    assert cloud.tables.exported == []


def test_a_resumption_delivered_again_starts_nothing(cloud):
    export_id = failed(cloud)

    for later in (LATER, LATER + timedelta(seconds=1), LATER + timedelta(hours=1)):
        on_export_requested(a_resumption(export_id), cloud, later)

    assert len(cloud.glue.started) == 1


def test_a_resumption_delivered_again_after_it_failed_once_more_starts_nothing(cloud):
    export_id = failed(cloud)
    on_export_requested(a_resumption(export_id), cloud, LATER)
    running = cloud.the_export(export_id)
    assert cloud.records.move(running, running.fail("no luck again", LATER))

    on_export_requested(a_resumption(export_id), cloud, LATER + timedelta(days=2))
    assert cloud.the_export(export_id).stage is Stage.FAILED

    on_export_requested(a_resumption(export_id, request_id="once-more"), cloud, LATER + timedelta(days=2))
    assert cloud.the_export(export_id).stage is Stage.EXPORTING


def test_an_export_is_not_resumed_while_another_is_in_flight(cloud):
    export_id = failed(cloud)
    on_export_requested(a_request(), cloud, NOW)

    on_export_requested(a_resumption(export_id), cloud, LATER)

    [fact] = cloud.bus.events
    assert (fact.detail_type, fact.detail["export_id"]) == ("Export Skipped", export_id)
    assert cloud.the_export(export_id).stage is Stage.FAILED


@pytest.mark.parametrize(
    ("head", "asked", "reason"),
    [
        (
            {"published_snapshot": "2026-11-24T02-00-07Z"},
            "0" * 20,
            "resume_export_id: the view already shows, or was asked to show, the newer snapshot 2026-11-24T02",
        ),
        ({}, "1" * 20, "resume_export_id: reviews-parquet has no record of this export"),
        ({}, "no-id", 'resume_export_id: is "no-id": it must be the id of an export, 20 hexadecimal digits'),
    ],
)
def test_what_cannot_be_resumed_is_refused(cloud, head, asked, reason):
    failed(cloud)
    cloud.set_head(**head)

    on_export_requested(a_resumption(asked), cloud, LATER)

    [fact] = cloud.bus.events
    assert (fact.detail_type, fact.detail["reason"][: len(reason)]) == ("Export Failed", reason)
    assert cloud.glue.started == []


def test_an_export_that_runs_or_has_succeeded_is_not_resumed(cloud):
    on_export_requested(a_request(), cloud, NOW)
    on_export_requested(a_resumption(the_id()), cloud, LATER)
    running = cloud.the_export(the_id())
    publishing = running.advance(Stage.PUBLISHING, "q", LATER)
    assert cloud.records.move(running, publishing)
    assert cloud.records.move(publishing, publishing.succeed(LATER))
    on_export_requested(a_resumption(the_id()), cloud, LATER)

    assert len(cloud.glue.started) == 1
    assert cloud.bus.events == []


def test_what_failed_is_resumed_by_a_person_alone(cloud):
    """The reconciler asks for starts that died; delivered late, its request may meet an export that failed since."""
    export_id = failed(cloud)

    on_export_requested(a_resumption(export_id) | {"source": "table-exports.reconciler"}, cloud, LATER)

    assert cloud.the_export(export_id).stage is Stage.FAILED


def test_a_lock_of_an_export_that_someone_ended_by_hand_is_freed_for_the_next_try(cloud):
    on_export_requested(a_request(), cloud, NOW)
    held = cloud.the_export(the_id())
    cloud.records._client.update_item(
        TableName=cloud.records._table,
        Key={"pipeline": {"S": held.pipeline}, "record": {"S": held.record_key}},
        UpdateExpression="SET stage = :failed REMOVE waiting_on, waiting_since",
        ExpressionAttributeValues={":failed": {"S": "FAILED"}},
    )

    with pytest.raises(UnsettledLock, match="which has ended"):
        on_export_requested(a_request(request_id="next"), cloud, LATER)
    on_export_requested(a_request(request_id="next"), cloud, LATER)

    assert len(cloud.glue.started) == 2


@pytest.mark.parametrize("request_id", [None, "next"])
def test_an_invalid_record_refuses_the_requests_of_its_pipeline_with_the_remedy(cloud, request_id):
    """A redelivered request finds the record by its id, another one by the pipeline's lock."""
    on_export_requested(a_request(), cloud, NOW)
    held = cloud.the_export(the_id())
    cloud.records._client.update_item(
        TableName=cloud.records._table,
        Key={"pipeline": {"S": held.pipeline}, "record": {"S": held.record_key}},
        UpdateExpression="SET stage = :gone",
        ExpressionAttributeValues={":gone": {"S": "GONE"}},
    )
    cloud.bus.events.clear()

    on_export_requested(a_request(**({"request_id": request_id} if request_id else {})), cloud, LATER)

    [fact] = cloud.bus.events
    assert fact.detail_type == "Export Failed"
    assert 'is invalid: stage is "GONE"' in fact.detail["reason"]
    assert f"table-exports cancel {the_id()}" in fact.detail["reason"]
    assert len(cloud.glue.started) == 1


def test_a_job_run_that_is_being_stopped_is_not_waited_for_again(cloud):
    run = "jr_1"
    export_id = failed(cloud, glue_job_run_id=run)
    cloud.glue.stopped.append(run)

    on_export_requested(a_resumption(export_id), cloud, LATER)

    export = cloud.the_export(export_id)
    assert (export.stage, export.blocked_reason) == (
        Stage.STARTING,
        f"Glue job run {run} was stopped and has not ended yet",
    )
