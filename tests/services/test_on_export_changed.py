import json

import pytest
from examples import NOW, an_export

from on_export_changed.handler import on_export_changed
from table_exports.domain.stages import Stage
from table_exports.functions.telemetry import metrics

EXPORTING = an_export(stage=Stage.EXPORTING, waiting_on="glue-job-run/jr_1")


def image(cloud, export):
    """The record of an export as DynamoDB's stream shows it, written by the records themselves."""
    begun = an_export(export_id=export.export_id, snapshot_timestamp=export.snapshot_timestamp)
    assert cloud.records.begin(begun)
    assert export == begun or cloud.records.move(begun, export)
    table, client = cloud.records._table, cloud.records._client
    [item] = client.query(
        TableName=table,
        KeyConditionExpression="pipeline = :p AND #r = :r",
        ExpressionAttributeNames={"#r": "record"},
        ExpressionAttributeValues={":p": {"S": export.pipeline}, ":r": {"S": export.record_key}},
    )["Items"]
    client.delete_item(TableName=table, Key={name: item[name] for name in ("pipeline", "record")})
    client.delete_item(TableName=table, Key={"pipeline": item["pipeline"], "record": {"S": "pipeline"}})
    cloud.records.register(cloud.registered)
    return item


def test_a_record_that_changed_its_stage_is_told_on_the_bus(cloud):
    before, after = image(cloud, EXPORTING), image(cloud, EXPORTING.fail("out of memory", NOW))

    on_export_changed([{"eventName": "MODIFY", "dynamodb": {"OldImage": before, "NewImage": after}}], cloud)

    [fact] = cloud.bus.events
    assert (fact.detail_type, fact.detail["reason"]) == ("Export Failed", "out of memory")


def test_attributes_of_a_newer_version_are_passed_over(cloud):
    before, after = image(cloud, EXPORTING), image(cloud, EXPORTING.fail("out of memory", NOW))
    after["of_a_later_version"] = {"L": [{"S": "?"}]}

    on_export_changed([{"dynamodb": {"OldImage": before, "NewImage": after}}], cloud)

    assert len(cloud.bus.events) == 1


def test_what_is_begun_or_expires_is_no_fact(cloud):
    export = image(cloud, EXPORTING)

    on_export_changed([{"dynamodb": {"NewImage": export}}, {"dynamodb": {"OldImage": export}}], cloud)

    assert cloud.bus.events == []


def test_a_change_is_measured_by_stage_and_pipeline(cloud, capsys):
    before, after = image(cloud, EXPORTING), image(cloud, EXPORTING.fail("out of memory", NOW))

    on_export_changed([{"dynamodb": {"OldImage": before, "NewImage": after}}], cloud)

    measured = [line for line in capsys.readouterr().out.splitlines() if line.startswith('{"_aws"')]
    assert [json.loads(line)["_aws"]["CloudWatchMetrics"][0]["Dimensions"] for line in measured] == [
        [["stage"]],
        [["stage"]],
        [["pipeline"]],
    ]


def test_metrics_of_each_pipeline_can_be_switched_off_but_not_those_of_alarms(cloud, capsys):
    succeeded = an_export(stage=Stage.PUBLISHING, waiting_on="athena-query/q").succeed(NOW)
    publishing = an_export(stage=Stage.PUBLISHING, waiting_on="athena-query/q")
    cloud.measures_each_pipeline = False
    changes = [(publishing, succeeded), (EXPORTING, EXPORTING.fail("out of memory", NOW))]
    records = [{"dynamodb": {"OldImage": image(cloud, old), "NewImage": image(cloud, new)}} for old, new in changes]

    on_export_changed(records, cloud)

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith('{"_aws"')]
    of_pipelines = [{name for name in line if name != "_aws"} for line in lines if "pipeline" in line]
    assert of_pipelines == [{"pipeline", "Failing"}]


@pytest.mark.parametrize("odd", [{"stage": {"S": "GONE"}}, {"requested_at": {"S": "?"}}, {"waiting_on": {"N": "7"}}])
def test_an_edited_record_keeps_no_other_event_back(cloud, odd):
    before, after = image(cloud, EXPORTING), image(cloud, EXPORTING.fail("out of memory", NOW))
    changes = [(before, before | odd), (before, after), (before | odd, before | odd)]
    metrics.clear_metrics()

    on_export_changed([{"dynamodb": {"OldImage": old, "NewImage": new}} for old, new in changes], cloud)

    assert [fact.detail_type for fact in cloud.bus.events] == ["Export Failed"]
    assert metrics.metric_set["InvalidRecords"]["Value"] == [1.0, 1.0]


def test_the_failure_of_a_record_that_was_invalid_is_told(cloud):
    before, after = image(cloud, EXPORTING), image(cloud, EXPORTING.fail("cancelled", NOW))

    changed = {"OldImage": before | {"stage": {"S": "GONE"}}, "NewImage": after}
    on_export_changed([{"dynamodb": changed}], cloud)

    assert [fact.detail["reason"] for fact in cloud.bus.events] == ["cancelled"]
