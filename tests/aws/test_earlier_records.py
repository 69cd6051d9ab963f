"""State records of the previous version, as its functions wrote them: in each stage, deferred, resumed and ended."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from table_exports.aws.overviews import overview_of
from table_exports.aws.record_items import export_of, pipeline_of, plain
from table_exports.domain import public_events
from table_exports.domain.export import Export
from table_exports.domain.pipeline import Pipeline
from table_exports.domain.reports import metrics
from table_exports.domain.reports.timeline import timeline
from table_exports.domain.stages import IN_FLIGHT, STAGES, Stage, parse_waiting_on

ITEMS = [json.loads(line) for line in (Path(__file__).parent / "records_of_0_1_0.jsonl").read_text().splitlines()]
EXPORTS = [item for item in ITEMS if item["record"]["S"].startswith("export#")]
HEADS = [item for item in ITEMS if item["record"]["S"] == "pipeline"]
LATER = datetime(2026, 12, 1, tzinfo=UTC)
each_export = pytest.mark.parametrize("item", EXPORTS, ids=lambda item: item["stage"]["S"])
in_flight = pytest.mark.parametrize(
    "item", [item for item in EXPORTS if item["stage"]["S"] in IN_FLIGHT], ids=lambda item: item["stage"]["S"]
)


@pytest.fixture
def stored(records, dynamodb):
    """Puts a record of the previous version into the table, with its pipeline's head. Returns the export."""

    def store(item) -> Export:
        head = HEADS[0] | {"pipeline": item["pipeline"], "export_in_flight": item["record"]}
        for each in (item, head):
            dynamodb.put_item(TableName="table-exports", Item=each)
        found = records.export(item["pipeline"]["S"], item["record"]["S"])
        assert found is not None
        return found

    return store


def written(records, dynamodb, export):
    """The record's attributes as DynamoDB has them."""
    key = {"pipeline": {"S": export.pipeline}, "record": {"S": export.record_key}}
    return plain(dynamodb.get_item(TableName="table-exports", Key=key)["Item"])


def test_the_records_are_of_each_stage():
    assert {item["stage"]["S"] for item in EXPORTS} == set(Stage)
    assert any("held_up_by" in item for item in EXPORTS)
    assert any("resumed_by" in item for item in EXPORTS)
    assert any("recent" in head for head in HEADS)


@each_export
def test_every_attribute_is_read(item):
    attributes, export = plain(item), export_of(plain(item))

    assert export.blocked_reason == attributes.get("held_up_by")
    assert (export.attempt, len(export.steps)) == (attributes["attempt"], len(attributes["steps"]))
    for name in attributes.keys() - {"record", "expires_at", "held_up_by", "last_attempt", "steps"}:
        value = getattr(export, name)
        assert (value.isoformat() if isinstance(value, datetime) else value) == attributes[name]


@each_export
def test_attempts_are_counted_from_the_request_or_the_last_resume(item):
    attributes, export = plain(item), export_of(plain(item))
    first = [step["attempt"] for step in attributes["steps"] if step["stage"] == "STARTING"][-1]

    assert export.max_attempts == attributes["last_attempt"] - first + 1
    assert export.attempts_made <= export.attempt - first + 1


@pytest.mark.parametrize("item", HEADS)
def test_the_head_of_a_pipeline_is_read(item):
    attributes, pipeline = plain(item), pipeline_of(plain(item))

    assert isinstance(pipeline, Pipeline)
    assert [end.export_id for end in pipeline.recent] == [end["export_id"] for end in attributes.get("recent", [])]
    assert pipeline.max_attempts == attributes["max_attempts"]


@each_export
def test_reports_read_it(item):
    export = export_of(plain(item))

    waits = timeline(export, None, LATER).waits

    assert [wait.stage for wait in waits] == [step["stage"] for step in plain(item)["steps"]]
    assert {parse_waiting_on(wait.waiting_on).operation for wait in waits} <= {
        row.operation for row in STAGES.values() if row.operation
    }


@in_flight
def test_it_is_found_by_what_it_waits_for_and_ends(records, dynamodb, stored, item):
    export = stored(item)

    assert [found.export_id for found in records.waiting_on(export.waiting_on)] == [export.export_id]
    assert overview_of(records, LATER).in_flight == 1
    failed = export.fail("no luck", LATER)
    assert records.move(export, failed)

    after = written(records, dynamodb, export)
    assert (after["stage"], after["failed_stage"]) == ("FAILED", export.stage)
    assert not {"held_up_by", "blocked_reason", "waiting_on"} & after.keys()
    assert [event.detail_type for event in public_events.of_change(export, failed)] == ["Export Failed"]
    assert metrics.of_change(export, failed)


@in_flight
def test_the_previous_version_reads_what_this_one_writes(records, dynamodb, stored, item):
    """Both versions run side by side during a deployment."""
    export = stored(item)
    before = written(records, dynamodb, export)

    assert records.move(export, export.claim(LATER).defer("AWS is busy"))

    after = written(records, dynamodb, export)
    assert after["held_up_by"] == "AWS is busy"
    assert after["last_attempt"] >= after["attempt"]
    assert after.keys() - before.keys() <= {"held_up_by", "max_attempts", "interrupted_at"}
    assert export_of(after).blocked_reason == "AWS is busy"


def test_only_attributes_that_changed_are_written(records, dynamodb, stored):
    """What a newer version has added is still there afterwards."""
    [item, *_] = [item for item in EXPORTS if item["stage"]["S"] == Stage.EXPORTING]
    export = stored(item | {"from_the_future": {"S": "kept"}})

    assert records.move(export, export.claim(LATER))

    after = written(records, dynamodb, export)
    assert after["from_the_future"] == "kept"
    assert after.keys() - item.keys() <= {"claimed_at", "from_the_future", "max_attempts"}


@pytest.mark.parametrize("item", [item for item in EXPORTS if item["stage"]["S"] == "FAILED"])
def test_a_failed_export_is_resumed(records, dynamodb, stored, item):
    export = stored(item | {"pipeline": {"S": "another-parquet"}})
    assert records.free(export.pipeline, export.record_key)
    resumed = export.resume("r1", 2, LATER)

    assert records.resume(export, resumed)

    after = written(records, dynamodb, export)
    assert (after["attempt"], after["last_attempt"]) == (export.attempt + 1, export.attempt + 2)
    assert export_of(after).can_retry
