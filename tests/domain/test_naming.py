from datetime import datetime, timedelta, timezone

import pytest

from table_exports.domain import naming
from table_exports.domain.errors import InvalidRequest


@pytest.mark.parametrize(
    ("table_name", "expected"),
    [
        ("Reviews", "reviews"),
        ("my-table.v2", "my_table_v2"),
        ("2026_Orders", "2026_orders"),
        ("ÄpfelTable", "_pfeltable"),
    ],
)
def test_catalog_names_are_what_a_crawler_would_make_of_the_folder(table_name, expected):
    assert naming.catalog_name(table_name) == expected


def test_a_chosen_catalog_name_goes_before_the_tables():
    assert naming.catalog_name("Reviews", "book_reviews") == "book_reviews"


@pytest.mark.parametrize("table_name", ["x" * 119, "snapshots_reviews", "Snapshots-Reviews"])
def test_names_that_the_catalog_cannot_keep_apart_are_refused_with_the_remedy(table_name):
    with pytest.raises(InvalidRequest, match=r"^CatalogName: .*choose a"):
        naming.catalog_name(table_name)


def test_the_longest_name_still_fits_a_crawlers_table():
    assert len(naming.snapshot_table(naming.catalog_name("x" * 118))) == 128


def test_snapshot_timestamps_are_utc_whatever_the_clock():
    moment = datetime(2026, 11, 23, 4, 0, 7, 999999, tzinfo=timezone(timedelta(hours=2)))

    assert naming.snapshot_timestamp(moment) == "2026-11-23T02-00-07Z"


def test_snapshot_staged_items_and_manifest_lie_apart_so_that_a_crawl_sees_snapshots_alone():
    prefix = naming.output_prefix("bucket", "reviews")

    assert prefix == "s3://bucket/exports/snapshots_reviews"
    assert naming.snapshot_location(prefix, "T") == "s3://bucket/exports/snapshots_reviews/snapshot_timestamp=T/"
    assert naming.staging_prefix(prefix) == "s3://bucket/staging/reviews"
    assert naming.manifest_uri(prefix, "T") == "s3://bucket/exports/manifests_reviews/T.json"
