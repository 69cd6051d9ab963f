import pytest
from examples import a_pipeline, an_event_of_ours

from on_export_succeeded.handler import on_export_succeeded
from table_exports.functions.telemetry import metrics

KNOWN = ["2026-11-20T02-00-07Z", "2026-11-21T02-00-07Z", "2026-11-22T02-00-07Z", "2026-11-23T02-00-07Z"]
SUCCEEDED = an_event_of_ours({"pipeline": "reviews-parquet", "export_id": "e1"}) | {"detail-type": "Export Succeeded"}


@pytest.fixture
def published(cloud):
    """A pipeline that keeps so many snapshots, and shows the last of four."""

    def deploy(keep):
        assert cloud.records.register(a_pipeline(keep_snapshots=keep, published_snapshot=KNOWN[-1]))
        cloud.snapshots.there = set(KNOWN)

    return deploy


def test_snapshots_that_are_kept_no_more_are_removed_the_oldest_first(cloud, published):
    published(keep=2)
    metrics.clear_metrics()

    on_export_succeeded(SUCCEEDED, cloud)

    assert cloud.snapshots.removed == KNOWN[:2]
    assert metrics.metric_set["SnapshotsRemoved"]["Value"] == [1.0, 1.0]


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
