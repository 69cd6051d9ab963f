"""Records that someone edited: each is valid, or reported with its attribute and a remedy. It affects no other."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from examples import NOW, a_pipeline, an_export
from hostile import NAMES

from table_exports.aws.overviews import overview_of
from table_exports.aws.record_items import export_of, pipeline_of, plain
from table_exports.domain import public_events
from table_exports.domain.errors import InvalidRecord
from table_exports.domain.reports import health, metrics, overview
from table_exports.domain.reports.timeline import timeline
from table_exports.domain.retention import superseded
from table_exports.domain.stages import STAGES, Stage
from table_exports_cli import output

ITEMS = [
    plain(json.loads(line)) for line in (Path(__file__).parent / "records_of_0_1_0.jsonl").read_text().splitlines()
]
EXPORTS = [item for item in ITEMS if item["record"].startswith("export#")]
HEADS = [item for item in ITEMS if item["record"] == "pipeline"]
LATER = datetime(2026, 12, 1, tzinfo=UTC)
REMOVED = object()
GARBAGE = (
    REMOVED,
    None,
    "",
    "GONE",
    "yesterday",
    "9999-12-31T23:59:59+00:00",
    "0001-01-01T00:00:00",
    Decimal(-1),
    Decimal("0.5"),
    Decimal("1e30"),
    True,
    [],
    ["GONE", Decimal(7)],
    {"stage": "GONE"},
    *NAMES[:3],
)


def edited(items):
    """Each item with each attribute edited in each way."""
    for item in items:
        for name in item.keys() - {"pipeline", "record"}:
            for garbage in GARBAGE:
                changed = item | {name: garbage}
                if garbage is REMOVED:
                    del changed[name]
                yield name, changed


def parsed(read, item):
    """The parsed record. None if it is invalid: then the message names the pipeline, and there is a remedy."""
    try:
        return read(item)
    except InvalidRecord as error:
        invalid = error
    assert item["pipeline"] in str(invalid)
    assert invalid.remedy


def test_an_edited_export_is_invalid_or_can_be_reported_on():
    pipeline = pipeline_of(HEADS[0])
    valid = 0
    for _, item in edited(EXPORTS):
        if export := parsed(export_of, item):
            valid += 1
            output.timeline(timeline(export, pipeline, LATER), LATER, "us-east-1")
            output.timeline_as_data(timeline(export, pipeline, LATER), LATER)
            output.exports([export], LATER)
            in_flight = [] if export.ended else [export]
            output.status(overview.overview([pipeline], in_flight, LATER))
            assert export.ended or isinstance(export.is_overdue(LATER), bool)
            assert isinstance(export.can_retry, bool)
            before = an_export(stage=Stage.EXPORTING, waiting_on="glue-job-run/jr_1")
            public_events.of_change(before, export)
            metrics.of_change(before, export)
    assert valid > 500


def test_an_edited_head_is_invalid_or_can_be_reported_on():
    valid = 0
    for _, item in edited(HEADS):
        if pipeline := parsed(pipeline_of, item):
            valid += 1
            found = overview.overview([pipeline], [], LATER)
            output.status(found)
            output.status_as_data(found)
            health.problems(pipeline, None, LATER)
            metrics.of_pipeline(pipeline, None, LATER)
            superseded(["2026-11-01T00-00-00Z"], pipeline)
            pipeline.begin("e9", pipeline.read_percentage, LATER)
    assert valid > 100


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stage": "GONE"}, f'stage is "GONE": it must be one of {", ".join(STAGES)}, unless a newer version'),
        ({"table_name": None}, "table_name is missing"),
        ({"timeout_minutes": "many"}, 'timeout_minutes is "many": it must be a whole number'),
        ({"requested_at": "yesterday"}, 'requested_at is "yesterday": it must be a time in UTC'),
        ({"stage": "FAILED"}, "waiting_on is"),
        ({"waiting_on": "athena-query/q"}, 'waiting_on is "athena-query/q": in EXPORTING it is glue-job-run/…'),
        ({"export_id": "another"}, "record is not export#"),
        ({"steps": [{"stage": "EXPORTING"}]}, "steps[0].since is missing"),
    ],
)
def test_the_message_names_the_attribute_and_what_it_must_be(changes, message):
    [item, *_] = [item for item in EXPORTS if item["stage"] == "EXPORTING"]

    with pytest.raises(InvalidRecord) as invalid:
        export_of(item | changes)

    assert message in str(invalid.value)
    assert invalid.value.remedy.startswith(f"table-exports cancel {item['export_id']}")


@pytest.fixture
def stored(records, dynamodb):
    """Two pipelines with an export each. The record of the first export was edited."""
    for name in ("reviews", "orders"):
        pipeline = a_pipeline(pipeline=f"{name}-parquet", catalog_name=name)
        assert records.register(pipeline)
        begun = pipeline.begin(f"e-{name}", Decimal("0.25"), NOW)
        assert records.begin(begun)
    edit(dynamodb, records, "stage", {"S": "GONE"})
    return records


def edit(dynamodb, records, name, value, pipeline="reviews-parquet", record=None):
    record = record or records.pipeline(pipeline).export_in_flight
    dynamodb.update_item(
        TableName="table-exports",
        Key={"pipeline": {"S": pipeline}, "record": {"S": record}},
        UpdateExpression="SET #n = :v" if value else "REMOVE #n",
        ExpressionAttributeNames={"#n": name},
        **({"ExpressionAttributeValues": {":v": value}} if value else {}),
    )


def test_the_other_exports_are_found(stored):
    [invalid, valid] = sorted(stored.in_flight(), key=lambda found: isinstance(found, InvalidRecord), reverse=True)

    assert (invalid.pipeline, invalid.attribute, valid.pipeline) == ("reviews-parquet", "stage", "orders-parquet")
    [of_request] = stored.waiting_on("export-request/e-reviews")
    assert of_request.attribute == "stage"
    found = overview_of(stored, NOW)
    assert [record.pipeline for record in found.invalid] == ["reviews-parquet"]
    assert (len(found.rows), found.in_flight, found.needing_attention) == (2, 1, 1)


def test_a_record_that_no_index_has_any_more_is_found_by_its_lock(stored, dynamodb):
    edit(dynamodb, stored, "waiting_on", None)

    assert [record.attribute for record in overview_of(stored, NOW).invalid] == ["stage"]


def test_an_invalid_head_does_not_keep_an_export_from_ending(stored, dynamodb):
    orders = stored.find_export("e-orders")
    for name in ("recent", "published_snapshots", "keep_snapshots", "published_snapshot"):
        edit(dynamodb, stored, name, {"M": {}}, "orders-parquet", "pipeline")
    with pytest.raises(InvalidRecord, match=r"orders-parquet is invalid: \w+ is"):
        stored.pipeline("orders-parquet")

    assert stored.move(orders, orders.fail("no luck", NOW))

    assert stored.find_export("e-orders").stage == Stage.FAILED


def test_a_new_registration_cures_an_invalid_head(stored, dynamodb):
    pipeline = stored.pipeline("orders-parquet")
    for name in ("published_snapshot", "asked_to_show", "max_attempts", "table_name"):
        edit(dynamodb, stored, name, {"BOOL": True}, "orders-parquet", "pipeline")

    stored.unregister("orders-parquet", pipeline.stack_id)
    assert stored.register(a_pipeline(pipeline="orders-parquet", catalog_name="orders", stack_id="another"))

    found = stored.pipeline("orders-parquet")
    assert (found.published_snapshot, found.max_attempts, found.table_name) == (None, 2, "Reviews")
    assert found.export_in_flight == pipeline.export_in_flight
