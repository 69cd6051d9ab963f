import json

import pytest
from examples import an_export

from table_exports.domain.errors import Refused
from table_exports.domain.manifest import Manifest

COMPLETE = {
    "version": 1,
    "export_id": "e1",
    "snapshot_timestamp": "2026-11-23T02-00-07Z",
    "items_counted": 2,
    "items_written": 2,
    "files": 1,
    "bytes": 1234,
    "schema": [{"name": "asin", "type": "string"}],
    "of_a_later_job": "ignored",
}


def test_a_complete_snapshot_is_proven():
    manifest = Manifest.from_json(json.dumps(COMPLETE))

    manifest.prove(an_export())
    assert (manifest.items_written, manifest.files, manifest.bytes) == (2, 1, 1234)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"items_written": 1}, "Incomplete snapshot: DynamoDB counted 2 items, 1 were written"),
        ({"items_written": 3}, "Incomplete snapshot: DynamoDB counted 2 items, 3 were written"),
        ({"export_id": "e2"}, "another export's, e2 of 2026-11-23T02-00-07Z"),
        ({"snapshot_timestamp": "2026-11-22T02-00-07Z"}, "another export's"),
        ({"version": 2}, "version 2, not 1"),
    ],
)
def test_any_other_manifest_proves_nothing(change, reason):
    with pytest.raises(Refused, match=reason):
        Manifest.from_json(json.dumps(COMPLETE | change)).prove(an_export())


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"version": 1}'])
def test_what_is_no_manifest_is_refused(text):
    with pytest.raises(Refused, match="cannot be read"):
        Manifest.from_json(text)


@pytest.mark.parametrize(
    ("written", "cataloged"),
    [
        ({"total": "decimal(38,2)"}, {"total": "decimal(38,2)", "gone": "string"}),
        ({"total": "bigint", "new": "string"}, {"total": "bigint"}),
        ({"m": "struct<a:bigint,b:string>"}, {"m": "struct<a:bigint>"}),
    ],
)
def test_a_snapshot_is_readable_with_columns_more_or_less_and_nested_fields_too(written, cataloged):
    schema = [{"name": name, "type": hive} for name, hive in written.items()]

    Manifest.from_json(json.dumps(COMPLETE | {"schema": schema})).must_be_readable_as(cataloged)


@pytest.mark.parametrize(
    ("written", "cataloged"),
    [("decimal(38,3)", "decimal(38,2)"), ("bigint", "string"), ("string", "boolean"), ("array<string>", "string")],
)
def test_a_column_of_another_type_than_the_catalogs_is_not(written, cataloged):
    manifest = Manifest.from_json(json.dumps(COMPLETE | {"schema": [{"name": "x", "type": written}]}))

    with pytest.raises(Refused, match=r"^Column x is .* remove the earlier snapshots and the table, or export under"):
        manifest.must_be_readable_as({"x": cataloged})
