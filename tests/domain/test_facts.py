import json
from datetime import timedelta

import jsonschema
import pytest
from examples import NOW, a_pipeline, a_request, a_resumption, an_export

from table_exports.domain import facts
from table_exports.domain.export import Stage

STARTING = an_export()
EXPORTING = STARTING.advance(Stage.EXPORTING, waiting_on="glue-job-run/jr_1", now=NOW)
TABLE_EXPORT = "arn:aws:dynamodb:us-east-1:123456789012:table/Reviews/export/01795399210000-06e2188f"
STAGING = an_export(read_mode="export").advance(Stage.STAGING, waiting_on=f"table-export/{TABLE_EXPORT}", now=NOW)
STAGED = STAGING.advance(Stage.EXPORTING, waiting_on="glue-job-run/jr_1", now=NOW)
CATALOGING = EXPORTING.advance(
    Stage.CATALOGING, waiting_on="glue-crawler/x", now=NOW, own_crawl=False, items=2, files=1, bytes=1234
)
CRAWLING_AGAIN = CATALOGING.advance(
    Stage.CATALOGING, waiting_on="glue-crawler/x", now=NOW + timedelta(seconds=9), own_crawl=True
)
PUBLISHING = CATALOGING.advance(Stage.PUBLISHING, waiting_on="athena-query/q", now=NOW)
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
def test_a_change_of_stage_makes_one_fact_true(before, after, detail_type, more):
    [fact] = facts.of_change(before, after)

    assert (fact.detail_type, fact.detail) == (detail_type, EXPORT | more)


@pytest.mark.parametrize(
    ("before", "after"), [(CATALOGING, CRAWLING_AGAIN), (EXPORTING, EXPORTING), (None, STARTING), (STAGING, STAGED)]
)
def test_a_change_that_is_none_of_stage_or_was_told_before_is_no_fact(before, after):
    assert facts.of_change(before, after) == []


def test_a_snapshot_that_needs_no_crawl_is_written_and_cataloged_at_once():
    published = EXPORTING.advance(Stage.PUBLISHING, waiting_on="athena-query/q", now=NOW, **WRITTEN)

    written, cataloged = facts.of_change(EXPORTING, published)

    assert (written.detail_type, written.detail) == (
        "Snapshot Written",
        EXPORT | {"location": STARTING.snapshot_location, **WRITTEN},
    )
    assert (cataloged.detail_type, cataloged.detail) == (
        "Snapshot Cataloged",
        EXPORT | {"snapshot_table": "snapshots_reviews"},
    )


WARNED = EXPORTING.advance(
    Stage.PUBLISHING, waiting_on="athena-query/q", now=NOW, warning="Far off", items=2, files=1, bytes=1234
)


def test_a_warning_is_told_with_the_snapshot_and_at_the_end():
    told = [*facts.of_change(EXPORTING, WARNED), *facts.of_change(WARNED, WARNED.succeed(NOW))]

    assert {fact.detail_type for fact in told if fact.detail.get("warning") == "Far off"} == {
        "Snapshot Written",
        "Export Succeeded",
    }


ALL = [
    facts.of_change(STARTING, EXPORTING)[0],
    facts.of_change(STARTING, STAGING)[0],
    facts.of_change(STAGING, STAGING.fail("nobody told", NOW))[0],
    facts.of_change(EXPORTING, CATALOGING)[0],
    facts.of_change(CATALOGING, PUBLISHING)[0],
    facts.of_change(PUBLISHING, SUCCEEDED)[0],
    facts.of_change(EXPORTING, WARNED)[0],
    facts.of_change(WARNED, WARNED.succeed(NOW))[0],
    facts.of_change(EXPORTING, FAILED)[0],
    facts.skipped(a_pipeline(export_in_flight="export#2026-11-23T02-00-07Z#e0"), "e1"),
    facts.refused(a_request(), "read_percentage: is 1.5"),
    facts.refused({"detail": None}, "detail: is null"),
    facts.Fact("Export Requested", a_request()["detail"]),
    facts.Fact("Export Requested", a_resumption("5f0d1c9a7be34f1c2a6e")["detail"]),
]


@pytest.mark.parametrize("fact", ALL, ids=lambda fact: fact.detail_type)
def test_every_fact_is_as_its_schema_says(fact, schema):
    jsonschema.validate(json.loads(json.dumps(fact.detail)), schema(fact.detail_type))


@pytest.mark.parametrize("fact", ALL, ids=lambda fact: fact.detail_type)
def test_a_schema_refuses_a_field_that_it_does_not_know(fact, schema):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(json.dumps(fact.detail)) | {"surprise": 1}, schema(fact.detail_type))


def test_every_schema_is_of_a_fact_that_is_tested(schemas):
    assert {path.stem for path in schemas} == {fact.detail_type.lower().replace(" ", "_") for fact in ALL}
