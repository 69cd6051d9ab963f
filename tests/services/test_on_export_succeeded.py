from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from examples import NOW, a_pipeline, an_event_of_ours

from on_export_succeeded.handler import on_export_succeeded
from table_exports.domain.naming import snapshot_timestamp
from table_exports.domain.stages import Stage
from table_exports.functions.telemetry import metrics

KNOWN = ["2026-11-20T02-00-07Z", "2026-11-21T02-00-07Z", "2026-11-22T02-00-07Z", "2026-11-23T02-00-07Z"]
SUCCEEDED = an_event_of_ours({"pipeline": "reviews-parquet", "export_id": "e1"}) | {"detail-type": "Export Succeeded"}


@pytest.fixture
def published(cloud):
    """A pipeline that keeps so many snapshots, and shows the last of four."""

    def deploy(keep):
        state = {"published_snapshot": KNOWN[-1], "published_snapshots": tuple(KNOWN)}
        assert cloud.records.register(a_pipeline(keep_snapshots=keep, **state))
        cloud.snapshots.there = set(KNOWN)

    return deploy


def run_one(cloud, export_id, now, ends_well):
    """Run an export to its end. Returns the export."""
    export = a_pipeline().begin(export_id, Decimal("0.25"), now)
    assert cloud.records.begin(export)
    running = replace(export.run_job(f"jr_{export_id}", now), claimed_at=None)
    publishing = running.advance(Stage.PUBLISHING, f"query-{export_id}", now)
    ended = publishing.succeed(now) if ends_well else publishing.fail("The query failed", now)
    for before, after in pairwise([export, running, publishing, ended]):
        assert cloud.records.move(before, after)
    return ended


def test_snapshots_that_are_kept_no_more_are_removed_the_oldest_first(cloud, published):
    published(keep=2)
    metrics.clear_metrics()

    on_export_succeeded(SUCCEEDED, cloud)

    assert cloud.snapshots.removed == KNOWN[:2]
    assert metrics.metric_set["SnapshotsRemoved"]["Value"] == [1.0, 1.0]


def test_a_snapshot_that_was_never_published_does_not_push_out_published_ones(cloud):
    """A and B succeed. C writes its snapshot and then fails. D succeeds."""
    assert cloud.records.register(a_pipeline(keep_snapshots=2))
    for day, ends_well in enumerate([True, True, False, True]):
        export = run_one(cloud, f"e{day}", NOW + timedelta(days=day), ends_well)
        cloud.snapshots.there.add(export.snapshot_timestamp)
        if ends_well:
            on_export_succeeded(SUCCEEDED, cloud)

    assert [name[:10] for name in cloud.snapshots.removed] == ["2026-11-23", "2026-11-25"]
    assert sorted(name[:10] for name in cloud.snapshots.there) == ["2026-11-24", "2026-11-26"]


def test_what_was_published_after_a_backup_of_the_records_is_kept_when_the_backup_is_restored(cloud):
    assert cloud.records.register(a_pipeline(keep_snapshots=3))
    run_one(cloud, "e0", NOW, ends_well=True)
    run_one(cloud, "e3", NOW + timedelta(days=3), ends_well=True)
    days = [NOW + timedelta(days=day) for day in range(4)]
    cloud.snapshots.there = {snapshot_timestamp(day) for day in days}

    on_export_succeeded(SUCCEEDED, cloud)

    assert cloud.snapshots.removed == []


def test_a_fact_told_twice_does_no_more(cloud, published):
    published(keep=2)

    on_export_succeeded(SUCCEEDED, cloud)
    on_export_succeeded(SUCCEEDED | {"replay-name": "again"}, cloud)

    assert cloud.snapshots.removed == KNOWN[:2]


def test_a_pipeline_that_keeps_all_is_not_even_looked_at(cloud, published):
    published(keep=0)
    cloud.snapshots.refuses = PermissionError("not to be asked")

    on_export_succeeded(SUCCEEDED, cloud)


def test_nothing_is_removed_of_a_pipeline_whose_stack_is_gone(cloud, published):
    published(keep=1)
    cloud.records.unregister("reviews-parquet", a_pipeline().stack_id)

    on_export_succeeded(SUCCEEDED, cloud)

    assert cloud.snapshots.removed == []


def test_a_removal_that_aws_refuses_is_tried_again_by_lambda(cloud, published):
    published(keep=1)
    cloud.snapshots.refuses = PermissionError("s3:DeleteObject")

    with pytest.raises(PermissionError):
        on_export_succeeded(SUCCEEDED, cloud)


def test_what_is_no_success_of_ours_is_passed_over(cloud, published):
    published(keep=1)

    for event in (
        SUCCEEDED | {"account": "999999999999"},
        SUCCEEDED | {"detail": "?"},
        {"detail-type": "Export Succeeded"},
    ):
        on_export_succeeded(event, cloud)

    assert cloud.snapshots.removed == []
