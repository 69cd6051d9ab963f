import json
from dataclasses import replace
from datetime import timedelta

import jsonschema
import pytest
from examples import NOW, a_manifest_of, a_pipeline, a_request, a_resumption, a_section, an_export

from table_exports.domain import public_events
from table_exports.domain.datasets import entity_items
from table_exports.domain.export import EntityItems
from table_exports.domain.stages import Stage

STARTING = an_export()
EXPORTING = STARTING.advance(Stage.EXPORTING, "jr_1", NOW)
TABLE_EXPORT = "arn:aws:dynamodb:us-east-1:123456789012:table/Reviews/export/01795399210000-06e2188f"
STAGING = an_export(read_mode="export").advance(Stage.STAGING, TABLE_EXPORT, NOW)
STAGED = STAGING.advance(Stage.EXPORTING, "jr_1", NOW)
CATALOGING = EXPORTING.wrote(items=2, files=1, size=1234, warning=None).crawl(False, NOW)
CRAWLING_AGAIN = CATALOGING.crawl(True, NOW + timedelta(seconds=9))
PUBLISHING = CATALOGING.advance(Stage.PUBLISHING, "q", NOW)
SUCCEEDED = PUBLISHING.succeed(NOW)
FAILED = EXPORTING.fail("out of memory", NOW)

EXPORT = {
    "version": "1",
    "pipeline": "reviews-parquet",
    "table_name": "Reviews",
    "export_id": "e1",
    "snapshot_timestamp": "2026-11-23T02-00-07Z",
}
RUN = {"glue_job_name": STARTING.glue_job_name, "glue_job_run_id": "jr_1"}
WRITTEN = {"items": 2, "files": 1, "bytes": 1234}


@pytest.mark.parametrize(
    ("before", "after", "detail_type", "more"),
    [
        (STARTING, EXPORTING, "Export Started", {"read_mode": "scan", **RUN}),
        (STARTING, STAGING, "Export Started", {"read_mode": "export", "table_export_arn": TABLE_EXPORT}),
        (EXPORTING, CATALOGING, "Snapshot Written", {"location": STARTING.snapshot_location, **WRITTEN}),
        (CATALOGING, PUBLISHING, "Snapshot Cataloged", {"snapshot_table": "snapshots_reviews"}),
        (PUBLISHING, SUCCEEDED, "Export Succeeded", {"view": "reviews", **WRITTEN}),
        (EXPORTING, FAILED, "Export Failed", {"stage": "EXPORTING", "reason": "out of memory"}),
    ],
)
def test_a_change_of_stage_publishes_one_event(before, after, detail_type, more):
    [event] = public_events.of_change(before, after)

    assert (event.detail_type, event.detail) == (detail_type, EXPORT | more)


@pytest.mark.parametrize(
    ("before", "after"), [(CATALOGING, CRAWLING_AGAIN), (EXPORTING, EXPORTING), (None, STARTING), (STAGING, STAGED)]
)
def test_a_change_that_is_none_of_stage_or_was_told_before_publishes_nothing(before, after):
    assert public_events.of_change(before, after) == []


def test_a_snapshot_that_needs_no_crawl_is_written_and_cataloged_at_once():
    published = EXPORTING.wrote(items=2, files=1, size=1234, warning=None).advance(Stage.PUBLISHING, "q", NOW)

    written, cataloged = public_events.of_change(EXPORTING, published)

    assert (written.detail_type, written.detail) == (
        "Snapshot Written",
        EXPORT | {"location": STARTING.snapshot_location, **WRITTEN},
    )
    assert (cataloged.detail_type, cataloged.detail) == (
        "Snapshot Cataloged",
        EXPORT | {"snapshot_table": "snapshots_reviews"},
    )


WARNED = EXPORTING.wrote(items=2, files=1, size=1234, warning="Far off").advance(Stage.PUBLISHING, "q", NOW)


def test_the_counts_of_values_that_do_not_fit_are_told_with_the_snapshot_and_at_the_end():
    written = EXPORTING.wrote(items=2, files=1, size=9, warning=None, not_converted={"at": 2}).crawl(True, NOW)
    done = written.advance(Stage.PUBLISHING, "q", NOW).succeed(NOW)

    told = public_events.of_change(EXPORTING, done)

    assert {event.detail_type: event.detail["not_converted"] for event in told if "not_converted" in event.detail} == {
        "Snapshot Written": {"at": 2},
        "Export Succeeded": {"at": 2},
    }


def test_a_warning_is_told_with_the_snapshot_and_at_the_end():
    told = [*public_events.of_change(EXPORTING, WARNED), *public_events.of_change(WARNED, WARNED.succeed(NOW))]

    assert {event.detail_type for event in told if event.detail.get("warning") == "Far off"} == {
        "Snapshot Written",
        "Export Succeeded",
    }


ENTITIES = [EntityItems("reviews_orders", 3, "order"), EntityItems("reviews_other", 2)]


def with_entities(*, wide, appeared=()):
    """An export with entities, whose snapshot was written, and which has succeeded."""
    run = EXPORTING.wrote(items=5, files=2, size=9, warning=None, entities=ENTITIES, wide=wide)
    publishing = replace(run, appeared=appeared).publish(["q1", "q2"], NOW)
    return publishing, publishing.succeed(NOW)


@pytest.mark.parametrize("wide", [True, False])
def test_the_items_of_each_entity_are_told_with_the_snapshot_and_at_the_end(wide):
    publishing, succeeded = with_entities(wide=wide)
    listed = [{"name": "reviews_orders", "items": 3}, {"name": "reviews_other", "items": 2}]

    written, cataloged = public_events.of_change(EXPORTING, publishing)
    [done] = public_events.of_change(publishing, succeeded)

    assert written.detail["entities"] == done.detail["entities"] == listed
    assert {"location" in written.detail, "snapshot_table" in cataloged.detail, "view" in done.detail} == {wide}


def test_a_new_entity_is_told_when_the_export_has_succeeded():
    publishing, succeeded = with_entities(wide=False, appeared=("reviews_other", "reviews_orders"))

    assert [event.detail_type for event in public_events.of_change(publishing, publishing.fail("no", NOW))] == [
        "Export Failed"
    ]
    _, orders, other = public_events.of_change(publishing, succeeded)

    assert (orders.detail_type, orders.detail) == (
        "Entity Appeared",
        EXPORT | {"entity": "reviews_orders", "value": "order", "items": 3},
    )
    assert (other.detail["entity"], other.detail["value"]) == ("reviews_other", None)
    assert public_events.of_change(succeeded, succeeded) == []


def test_a_value_that_is_data_is_shortened():
    manifest = a_manifest_of(a_section("reviews_x", value="x" * 256), a_section("reviews_y", value="y" * 255))

    assert [len(entity.value) for entity in entity_items(manifest)] == [255, 255]
    assert entity_items(manifest)[0].value.endswith("x…")


ALL = [
    *public_events.of_change(EXPORTING, with_entities(wide=False)[0]),
    *public_events.of_change(*with_entities(wide=False, appeared=("reviews_orders", "reviews_other"))),
    *public_events.of_change(*with_entities(wide=True)),
    public_events.of_change(STARTING, EXPORTING)[0],
    public_events.of_change(STARTING, STAGING)[0],
    public_events.of_change(STAGING, STAGING.fail("nobody told", NOW))[0],
    public_events.of_change(EXPORTING, CATALOGING)[0],
    public_events.of_change(CATALOGING, PUBLISHING)[0],
    public_events.of_change(PUBLISHING, SUCCEEDED)[0],
    public_events.of_change(EXPORTING, WARNED)[0],
    public_events.of_change(WARNED, WARNED.succeed(NOW))[0],
    public_events.of_change(EXPORTING, FAILED)[0],
    public_events.request_skipped(a_pipeline(export_in_flight="export#2026-11-23T02-00-07Z#e0"), "e1"),
    public_events.request_rejected(a_request(), "read_percentage: is 1.5"),
    public_events.request_rejected({"detail": None}, "detail: is null"),
    public_events.PublicEvent("Export Requested", a_request()["detail"]),
    public_events.PublicEvent("Export Requested", a_resumption("5f0d1c9a7be34f1c2a6e")["detail"]),
]


@pytest.mark.parametrize("event", ALL, ids=lambda event: event.detail_type)
def test_every_event_matches_its_schema(event, schema):
    jsonschema.validate(json.loads(json.dumps(event.detail)), schema(event.detail_type))


@pytest.mark.parametrize("event", ALL, ids=lambda event: event.detail_type)
def test_a_schema_refuses_a_field_that_it_does_not_know(event, schema):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(json.dumps(event.detail)) | {"surprise": 1}, schema(event.detail_type))


def test_every_schema_is_of_an_event_that_is_tested(schemas):
    assert {path.stem for path in schemas} == {event.detail_type.lower().replace(" ", "_") for event in ALL}
