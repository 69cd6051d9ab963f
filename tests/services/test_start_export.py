from datetime import timedelta
from decimal import Decimal

import pytest
from examples import NOW, a_pipeline, a_request, a_table, an_export
from fakes import TABLE_EXPORT

from start_export.handler import STARTED_WITHIN, TryAgain, on_export_requested, planned
from table_exports.domain.export import Stage
from table_exports.domain.request import export_id

LATER = NOW + STARTED_WITHIN + timedelta(seconds=1)


def the_id(**changes):
    return export_id(a_request(**changes))


def test_a_request_starts_the_job_and_takes_the_lock(cloud):
    on_export_requested(a_request(), cloud, NOW)

    export = cloud.the_export(the_id())
    assert (export.stage, export.waiting_on) == (Stage.EXPORTING, f"glue-job-run/jr_of_{the_id()}")
    assert export.snapshot_timestamp == "2026-11-23T02-08-10Z"
    assert cloud.records.pipeline("reviews-parquet").export_in_flight == export.record_key
    assert cloud.bus.facts == []


def test_how_the_table_is_read_is_recorded_with_reason_and_price(cloud):
    on_export_requested(a_request(), cloud, NOW)

    export = cloud.the_export(the_id())
    assert (export.read_mode, export.read_cost_usd) == ("scan", Decimal("0.0271"))
    assert export.read_plan.startswith("By scan, because the table export would not pay: a scan at 3000 read units")
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


@pytest.mark.parametrize("later", [timedelta(0), timedelta(seconds=1)])
def test_a_plan_that_another_delivery_made_first_is_left_to_it(cloud, later):
    begun = a_pipeline().begin("e1", Decimal("0.25"), NOW)
    assert cloud.records.begin(begun)
    planned(begun, a_pipeline(), cloud, NOW)

    with pytest.raises(TryAgain, match="Another delivery is starting the export"):
        planned(begun, a_pipeline(), cloud, NOW + later)


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


def test_a_table_that_cannot_be_looked_at_fails_the_export(cloud):
    cloud.tables.refuses = "There is no table Reviews in this account and Region"

    on_export_requested(a_request(), cloud, NOW)

    assert cloud.the_export(the_id()).reason == cloud.tables.refuses
    assert cloud.glue.started == []


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
    assert cloud.bus.facts == []


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

    with pytest.raises(TryAgain, match="delivered a moment ago"):
        on_export_requested(a_request(), cloud, NOW)

    assert len(cloud.glue.started) == 1
    assert cloud.bus.facts == []


def test_a_delivery_that_died_before_the_job_started_is_taken_up_again(cloud):
    assert cloud.records.begin(an_export(export_id=the_id(), requested_at=NOW))

    with pytest.raises(TryAgain, match="may still be starting"):
        on_export_requested(a_request(), cloud, NOW + timedelta(seconds=1))
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
    [fact] = cloud.bus.facts
    assert fact.detail_type == "Export Skipped"
    assert fact.detail["export_id"] == the_id(scheduled_time="2026-11-24T02:00:00Z")
    assert fact.detail["reason"].startswith(f"export#2026-11-23T02-08-10Z#{the_id()} is in flight")


def test_an_export_past_its_deadline_is_failed_and_its_lock_taken_over(cloud):
    on_export_requested(a_request(), cloud, NOW)
    overdue = cloud.the_export(the_id()).deadline + timedelta(seconds=1)

    on_export_requested(a_request(scheduled_time="2026-11-24T02:00:00Z"), cloud, overdue)

    first = cloud.the_export(the_id())
    assert first.stage is Stage.FAILED
    assert first.reason == (f"Still waiting on glue-job-run/jr_of_{the_id()} at its deadline, 2026-11-23 12:08:10 UTC")
    second = cloud.the_export(the_id(scheduled_time="2026-11-24T02:00:00Z"))
    assert cloud.records.pipeline("reviews-parquet").export_in_flight == second.record_key


def test_an_export_that_never_started_holds_the_lock_for_minutes_not_hours(cloud):
    assert cloud.records.begin(an_export(requested_at=NOW))

    on_export_requested(a_request(), cloud, NOW + timedelta(minutes=14))
    assert [fact.detail_type for fact in cloud.bus.facts] == ["Export Skipped"]

    on_export_requested(a_request(request_id="once-more"), cloud, NOW + timedelta(minutes=16))
    assert cloud.the_export("e1").reason == (
        "Still waiting on export-request/e1 at its deadline, 2026-11-23 02:23:10 UTC"
    )
    assert len(cloud.glue.started) == 1


def test_a_lock_that_changes_hands_meanwhile_is_left_to_the_next_try(cloud, monkeypatch):
    monkeypatch.setattr(cloud.records, "begin", lambda _: False)

    with pytest.raises(TryAgain, match="free when we looked why"):
        on_export_requested(a_request(), cloud, NOW)


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
        ({"table_name": "Orders"}, "table_name: is Orders, but reviews-parquet is deployed with Reviews: send that"),
    ],
)
def test_a_bad_request_ends_as_export_failed_and_touches_nothing(cloud, change, reason):
    before = cloud.records.pipeline("reviews-parquet")

    on_export_requested(a_request(**change), cloud, NOW)

    [fact] = cloud.bus.facts
    assert fact.detail_type == "Export Failed"
    assert fact.detail["reason"].startswith(reason)
    assert cloud.glue.started == []
    assert cloud.records.pipeline("reviews-parquet") == before
