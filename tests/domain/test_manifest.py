import json

import pytest
from examples import a_manifest, an_export

from table_exports.domain.errors import PermanentError
from table_exports.domain.manifest import Column, Manifest

COMPLETE = {
    "version": 2,
    "export_id": "e1",
    "table_name": "Reviews",
    "snapshot_timestamp": "2026-11-23T02-00-07Z",
    "read_mode": "scan",
    "output_format": "parquet",
    "location": "s3://bucket/exports/snapshots_reviews/snapshot_timestamp=2026-11-23T02-00-07Z/",
    "items_counted": 2,
    "items_written": 2,
    "items_expected": 3,
    "files": 1,
    "bytes": 1234,
    "read_capacity_units": 2.0,
    "columns": [{"name": "asin", "type": "string", "attribute": "Asin"}],
    "comments": {"asin": 'DynamoDB attribute "Asin"'},
    "serde_parameters": {"avro.schema.literal": "{}"},
    "attributes": {"of": "the job's own"},
    "of_a_later_job": "ignored",
}


def read(**changes):
    """`COMPLETE` with changes. A change to `...` takes the field out."""
    content = {name: value for name, value in (COMPLETE | changes).items() if value is not ...}
    return Manifest.from_json(json.dumps(content))


def test_a_complete_snapshot_is_proven():
    manifest = read()

    manifest.prove(an_export())
    assert (manifest.items_written, manifest.files, manifest.bytes) == (2, 1, 1234)
    assert manifest.columns == (Column("asin", "string", "Asin"),)
    assert manifest.serde_parameters == {"avro.schema.literal": "{}"}


def test_a_manifest_of_version_0_1_0_has_no_comments():
    assert read().comments == {"asin": 'DynamoDB attribute "Asin"'}
    assert read(comments=...).comments == {}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"items_written": 1}, "Incomplete snapshot: DynamoDB counted 2 items, 1 were written"),
        ({"items_written": 3}, "Incomplete snapshot: DynamoDB counted 2 items, 3 were written"),
        ({"export_id": "e2"}, "another export's, e2 of 2026-11-23T02-00-07Z"),
        ({"snapshot_timestamp": "2026-11-22T02-00-07Z"}, "another export's"),
        ({"output_format": "orc"}, "The snapshot is orc, not parquet"),
        ({"version": 3}, "version 3, not 2"),
    ],
)
def test_any_other_manifest_proves_nothing(change, reason):
    with pytest.raises(PermanentError, match=reason):
        read(**change).prove(an_export())


def test_an_attribute_may_have_no_name():
    manifest = read(columns=[{"name": "_", "type": "string", "attribute": ""}])

    assert manifest.columns == (Column("_", "string", ""),)
    assert manifest.view_columns == [("_", "_")]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"version": 2}', b"\xff\xfe\x00"])
def test_what_is_no_manifest_is_refused(text):
    with pytest.raises(PermanentError, match="cannot be read"):
        Manifest.from_json(text)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"columns": ...}, "it lacks 'columns'. The job is of another version than the services: update"),
        ({"columns": []}, "it has no columns"),
        ({"columns": "asin"}, "cannot be read"),
        ({"columns": [{"name": "a", "type": "string"}]}, "it lacks 'attribute'"),
        ({"columns": [{"name": "", "type": "string", "attribute": "a"}]}, "is not a column"),
        ({"columns": [{"name": "a", "type": None, "attribute": "a"}]}, "is not a column"),
        ({"columns": [{"name": "a", "type": "", "attribute": "a"}]}, "is not a column"),
        ({"columns": [{"name": "a", "type": "string", "attribute": None}]}, "is not a column"),
        (
            {"columns": [{"name": name, "type": "string", "attribute": name} for name in ("a", "A")]},
            "two columns are named a",
        ),
        (
            {"columns": [{"name": "snapshot_timestamp", "type": "string", "attribute": "x"}]},
            "a column is named snapshot_timestamp, which is reserved for the partition key",
        ),
        ({"items_written": "2"}, "items_written is '2', which is not a count"),
        ({"items_expected": None}, "items_expected is None, which is not a count"),
        ({"bytes": -1}, "bytes is -1, which is not a count"),
        ({"files": True}, "files is True, which is not a count"),
        ({"export_id": 7}, "export_id is not text"),
        ({"hot_share": 1.5}, "hot_share is 1.5, not a share"),
        ({"hot_share": True}, "hot_share is True, not a share"),
        ({"hot_share": "much"}, "hot_share is much, not a share"),
        ({"serde_parameters": {"a": 1}}, "serde_parameters must map text to text"),
        ({"serde_parameters": None}, "serde_parameters must map text to text"),
    ],
)
def test_a_manifest_that_the_catalog_could_not_follow_is_refused_with_the_reason(change, reason):
    with pytest.raises(PermanentError, match=r"^The manifest cannot be read: ") as refused:
        read(**change)
    assert reason in str(refused.value)


def test_the_view_shows_each_attribute_once_by_its_first_name_from_its_last_column():
    manifest = a_manifest(
        ("id", "string"),
        ("price", "bigint", "Price"),
        ("note", "string"),
        ("price_2", "decimal(38,2)", "Price"),
        ("stars", "bigint"),
        ("price_3", "string", "Price"),
    )

    assert manifest.view_columns == [("id", "id"), ("price_3", "price"), ("note", "note"), ("stars", "stars")]


def test_an_attribute_whose_name_is_anothers_later_column_keeps_its_own():
    manifest = a_manifest(
        ("price", "bigint", "price"), ("price_2", "string", "price_2"), ("price_3", "string", "price")
    )

    assert manifest.view_columns == [("price_3", "price"), ("price_2", "price_2")]


@pytest.mark.parametrize(
    ("written", "expected"),
    [(2, 2), (0, 0), (2, 1002), (1002, 2), (10_000, 11_001), (90_000, 100_000), (110_000, 100_000)],
)
def test_a_count_near_the_tables_own_is_no_warning(written, expected):
    assert a_manifest(items_written=written, items_expected=expected).warning is None


@pytest.mark.parametrize(
    ("written", "expected"), [(2, 1003), (1003, 2), (1001, 0), (0, 1001), (89_999, 100_000), (110_001, 100_000)]
)
def test_a_count_off_by_more_than_a_tenth_and_a_thousand_is(written, expected):
    warning = a_manifest(items_written=written, items_expected=expected).warning

    assert warning.startswith(f"The snapshot has {written} items, the table's own ItemCount is {expected}. ")


@pytest.mark.parametrize(
    ("share", "expected"), [(..., None), (None, None), (0.0, None), (0, None), (0.853, "had 85% of")]
)
def test_a_hot_key_is_reported_with_its_share_and_a_remedy(share, expected):
    found = read(hot_share=share).hot_key

    if expected is None:
        assert found is None
    else:
        assert expected in found
        assert "read by a table export (ReadMode export)" in found


def test_the_view_has_the_declared_name():
    columns = (Column("id", "string", "id"), Column("custid", "bigint", "custId"), Column("x_2", "string", "custId"))

    manifest = a_manifest(columns=columns, view_names={"custId": "customer_id"})

    assert manifest.view_columns == [("id", "id"), ("x_2", "customer_id")]


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"view_names": {"other": "ID"}}, "two columns of the view have the same name"),
        ({"view_names": {"other": 1}}, "view_names must map text to text"),
        ({"not_converted": {"other": "2"}}, "not_converted must have counts"),
        ({"not_converted": []}, "not_converted must have counts"),
    ],
)
def test_a_manifest_that_no_job_wrote_is_refused(changed, problem):
    columns = [{"name": name, "type": "string", "attribute": name} for name in ("id", "other")]

    with pytest.raises(PermanentError, match=problem):
        read(columns=columns, **changed)
