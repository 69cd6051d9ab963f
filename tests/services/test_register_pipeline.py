import json
import re
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest
from examples import NOW, an_export

import register_pipeline.handler as register_pipeline
from register_pipeline import origin
from table_exports.aws.stacks import ResourceOperation
from table_exports.domain.errors import InvalidRequest
from table_exports.domain.stages import Stage

STACK = "arn:aws:cloudformation:us-east-1:123456789012:stack/my-table/1"
OTHER_ROLE = "arn:aws:iam::123456789012:role/table-exports/other"


def a_change(request_type="Create", stack=STACK, physical_id=None, **properties):
    event = {
        "RequestType": request_type,
        "StackId": stack,
        "RequestId": "r1",
        "LogicalResourceId": "Pipeline",
        "ResponseURL": "http://127.0.0.1/answer",
        "ResourceProperties": {
            "TableName": "My-Table",
            "OutputFormat": "parquet",
            "CatalogName": "",
            "Bucket": "bucket",
            "TimeoutMinutes": "60",
            "ReadPercentage": "0.25",
            "ReadCapacityCap": "0",
            "CatalogUpdate": "always",
            "ReadMode": "export",
            "MaxReadCost": "2.5",
            "WorkerType": "G.2X",
            "NumberOfWorkers": "10",
            "TableRoleArn": "arn:aws:iam::123456789012:role/table-exports/x",
        }
        | properties,
    }
    return event | ({"PhysicalResourceId": physical_id} if physical_id else {})


def table_stack_changed(event, cloud, now=NOW):
    """CloudFormation carries out the change that it sends."""
    asked_for = event.get("PhysicalResourceId", "") if event["RequestType"] == "Delete" else ""
    cloud.stacks.operations[event["StackId"], asked_for] = [carried_out(event)]
    return register_pipeline.on_table_stack_changed(event, cloud, now)


def carried_out(event, stack="IN_PROGRESS", **parameters):
    """The operation of CloudFormation that the event belongs to, on a stack with these other parameters."""
    return ResourceOperation(
        resource_type="Custom::TableExportsPipeline",
        resource_status=event["RequestType"].upper() + "_IN_PROGRESS",
        stack_status=f"UPDATE_{stack}",
        parameters=event["ResourceProperties"] | parameters,
    )


def test_a_new_table_stack_registers_its_pipeline_and_learns_its_names(cloud):
    answer = table_stack_changed(a_change(), cloud)

    assert (answer["Status"], answer["PhysicalResourceId"]) == ("SUCCESS", "my_table-parquet")
    assert answer["Data"] == {
        "CatalogName": "my_table",
        "JobName": "table-exports-my_table-parquet",
        "CrawlerName": "table-exports-my_table-parquet",
        "OutputPrefix": "s3://bucket/exports/snapshots_my_table",
        "SnapshotTable": "snapshots_my_table",
    }
    pipeline = cloud.records.pipeline("my_table-parquet")
    assert (pipeline.table_name, pipeline.timeout_minutes) == ("My-Table", 60)
    assert (pipeline.read_mode, pipeline.max_read_cost, pipeline.read_capacity_cap) == ("export", Decimal("2.5"), 0)
    assert pipeline.catalog_update == "always"
    assert (pipeline.dpus, pipeline.table_role_arn) == (20, "arn:aws:iam::123456789012:role/table-exports/x")


def test_a_table_stack_of_an_earlier_version_can_be_updated_rolled_back_and_deleted(cloud):
    older = a_change("Update", physical_id="my_table-parquet")
    for name in ("CatalogUpdate", "ReadMode", "MaxReadCost", "WorkerType", "NumberOfWorkers", "TableRoleArn"):
        del older["ResourceProperties"][name]
    table_stack_changed(a_change(), cloud)

    table_stack_changed(older, cloud)

    pipeline = cloud.records.pipeline("my_table-parquet")
    assert (pipeline.read_mode, pipeline.max_read_cost, pipeline.table_role_arn) == ("auto", 0, "")
    assert table_stack_changed(older | {"RequestType": "Delete"}, cloud)["Status"] == "SUCCESS"


@pytest.mark.parametrize(
    "second",
    [
        {"OutputFormat": "csv"},  # the same table in another format
        {"TableName": "my.table"},  # another table whose name folds to the same
        {"TableName": "Orders", "CatalogName": "my_table"},
        {},
    ],
)
def test_a_second_stack_cannot_take_a_catalog_name_in_use(cloud, second):
    table_stack_changed(a_change(), cloud)

    with pytest.raises(InvalidRequest, match=r"^CatalogName: my_table is taken by another stack: give this one"):
        table_stack_changed(a_change(stack="another", **second), cloud)


def test_a_second_format_of_a_table_has_a_catalog_name_of_its_own(cloud):
    table_stack_changed(a_change(), cloud)

    answer = table_stack_changed(a_change(stack="another", OutputFormat="csv", CatalogName="my_table_csv"), cloud)

    assert answer["PhysicalResourceId"] == "my_table_csv-csv"


def test_an_update_changes_the_configuration_and_keeps_where_the_pipeline_stands(cloud):
    table_stack_changed(a_change(), cloud)
    export = cloud.records.pipeline("my_table-parquet").begin("e1", "0.25", NOW)
    assert cloud.records.begin(export)

    table_stack_changed(a_change("Update", TimeoutMinutes="90"), cloud)

    pipeline = cloud.records.pipeline("my_table-parquet")
    assert (pipeline.timeout_minutes, pipeline.export_in_flight) == (90, export.record_key)


def test_a_deleted_stack_frees_its_name_and_its_pipeline_is_unknown(cloud):
    table_stack_changed(a_change(), cloud)

    table_stack_changed(a_change("Delete", physical_id="my_table-parquet"), cloud)

    assert cloud.records.pipeline("my_table-parquet") is None
    assert table_stack_changed(a_change(stack="another"), cloud)["Status"] == "SUCCESS"


def test_the_rollback_of_a_refused_stack_takes_nothing_from_the_first(cloud):
    table_stack_changed(a_change(), cloud)

    for physical_id in ("my_table-parquet", "not-registered"):
        table_stack_changed(a_change("Delete", stack="another", physical_id=physical_id), cloud)

    assert cloud.records.pipeline("my_table-parquet").stack_id == STACK


def test_the_format_of_a_pipeline_cannot_be_changed(cloud):
    """Its snapshots are in the folder, and its snapshot table reads them all in one format."""
    table_stack_changed(a_change(), cloud)
    csv = {"OutputFormat": "csv", "physical_id": "my_table-parquet"}

    with pytest.raises(InvalidRequest) as refused:
        table_stack_changed(a_change("Update", **csv), cloud)
    table_stack_changed(a_change("Update", physical_id="my_table-parquet"), cloud)  # rolled back

    assert str(refused.value) == (
        "OutputFormat: the snapshots of my_table are parquet. For csv, deploy another table stack with "
        "another CatalogName"
    )
    assert cloud.records.pipeline("my_table-csv") is None
    assert cloud.records.pipeline("my_table-parquet").catalog_name == "my_table"


def test_the_format_may_change_together_with_the_catalog_name(cloud):
    table_stack_changed(a_change(), cloud)

    changed = a_change("Update", OutputFormat="csv", CatalogName="my_table_csv", physical_id="my_table-parquet")
    table_stack_changed(changed, cloud)
    table_stack_changed(a_change("Delete", physical_id="my_table-parquet"), cloud)  # the old one

    assert cloud.records.pipeline("my_table-parquet") is None
    assert cloud.records.pipeline("my_table_csv-csv").catalog_name == "my_table_csv"
    assert table_stack_changed(a_change(stack="another"), cloud)["Status"] == "SUCCESS"


def test_an_export_that_outlives_its_pipeline_still_ends(cloud):
    export = an_export()
    assert cloud.records.begin(export)
    cloud.records.unregister("reviews-parquet", cloud.registered.stack_id)

    assert cloud.records.move(export, export.fail("the stack is gone", NOW))
    assert cloud.records.export("reviews-parquet", export.record_key).stage is Stage.FAILED
    assert cloud.records.pipeline("reviews-parquet") is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (a_change(CatalogName="snapshots_x"), "CatalogName: snapshots_x starts with snapshots_"),
        (a_change(TimeoutMinutes="1.5"), "TimeoutMinutes: is 1.5: write a whole number of minutes"),
        (a_change(ReadPercentage=".5"), "ReadPercentage: is .5: write a number such as 0.25"),
        (a_change(ReadPercentage="nan"), "ReadPercentage: is nan"),
        (a_change(ReadCapacityCap="1e3"), "ReadCapacityCap: is 1e3"),
        (a_change(MaxReadCost="-1"), "MaxReadCost: is -1: write an amount in USD such as 5 or 0.5"),
        (a_change(NumberOfWorkers="2.5"), "NumberOfWorkers: is 2.5: write a whole number of workers"),
        (a_change(TableName=None), "TableName: is missing"),
    ],
)
def test_cloudformation_gets_an_answer_also_when_it_is_no(cloud, change, reason, monkeypatch):
    sent = []
    monkeypatch.setattr(register_pipeline, "the_cloud", lambda: cloud)
    monkeypatch.setattr(register_pipeline, "urlopen", lambda request, timeout: sent.append(request))
    cloud.stacks.operations[STACK, ""] = [carried_out(change)]
    context = SimpleNamespace(
        function_name="f", memory_limit_in_mb=256, invoked_function_arn="arn", aws_request_id="request-7"
    )

    register_pipeline.handle(change, context)

    [request] = sent
    answer = json.loads(request.data)
    assert (request.full_url, request.get_method()) == ("http://127.0.0.1/answer", "PUT")
    assert (answer["Status"], answer["RequestId"]) == ("FAILED", "r1")
    assert reason in answer["Reason"]


SCHEDULED = {"ScheduleState": "ENABLED", "ScheduleExpression": "cron(0 2 ? * MON-FRI *)"}


def registered(cloud, now=NOW, **properties):
    table_stack_changed(a_change("Update", **properties), cloud, now)
    return cloud.records.pipeline("my_table-parquet")


def test_a_schedule_says_when_an_export_is_to_succeed(cloud):
    pipeline = registered(cloud, **SCHEDULED, ScheduleTimezone="Europe/Zurich")

    assert (pipeline.scheduled, pipeline.scheduled_since) == (True, NOW)
    assert (pipeline.schedule_expression, pipeline.schedule_time_zone) == ("cron(0 2 ? * MON-FRI *)", "Europe/Zurich")


def test_of_a_disabled_schedule_nothing_is_expected(cloud):
    pipeline = registered(cloud, **SCHEDULED | {"ScheduleState": "DISABLED"})

    assert (pipeline.scheduled, pipeline.scheduled_since) == (False, None)


@pytest.mark.parametrize(
    ("before", "after", "starts_over"),
    [
        (SCHEDULED, SCHEDULED, False),
        (SCHEDULED, SCHEDULED | {"StaleAfterHours": "48"}, False),
        (SCHEDULED, SCHEDULED | {"ScheduleExpression": "rate(1 hour)"}, True),
        (SCHEDULED | {"ScheduleTimezone": "UTC"}, SCHEDULED | {"ScheduleTimezone": "Asia/Tokyo"}, True),
        (SCHEDULED | {"ScheduleState": "DISABLED"}, SCHEDULED, True),
    ],
)
def test_another_schedule_is_waited_for_from_now_on(cloud, before, after, starts_over):
    registered(cloud, **before)
    later = NOW + timedelta(days=7)

    assert registered(cloud, now=later, **after).scheduled_since == (later if starts_over else NOW)


def test_the_stack_of_an_earlier_version_says_no_time_zone_and_its_update_does_not_begin_anew(cloud):
    assert registered(cloud, **SCHEDULED).schedule_time_zone == ""

    updated = registered(cloud, now=NOW + timedelta(days=7), **SCHEDULED, ScheduleTimezone="Asia/Tokyo")

    assert (updated.schedule_time_zone, updated.scheduled_since) == ("Asia/Tokyo", NOW)


@pytest.mark.parametrize("state", ["ENABLED", "DISABLED"])
@pytest.mark.parametrize(
    ("schedule", "reason"),
    [
        (
            {"ScheduleExpression": "cron(0 2 * * *)"},
            r"^ScheduleExpression: cron\(0 2 \* \* \*\) has 5 fields instead of 6",
        ),
        ({"ScheduleExpression": "cron(0 25 * * ? *)"}, r"^ScheduleExpression: .* has an invalid hours field, 25"),
        ({"ScheduleTimezone": "Europe/Zurick"}, r"^ScheduleTimezone: Europe/Zurick is not a time zone"),
    ],
)
def test_an_invalid_schedule_is_refused_whatever_is_said_of_staleness(cloud, state, schedule, reason):
    for hours in ("0", "48"):
        with pytest.raises(InvalidRequest, match=reason):
            registered(cloud, **SCHEDULED | schedule | {"ScheduleState": state, "StaleAfterHours": hours})


@pytest.mark.parametrize("output_format", ["parquet", "csv"])
def test_the_name_of_a_stack_that_is_gone_is_taken_over(cloud, output_format):
    """Its custom resource was retained, so no event said that it was deleted."""
    table_stack_changed(a_change(stack="vanished"), cloud)
    cloud.stacks.gone.add("vanished")

    answer = table_stack_changed(a_change(OutputFormat=output_format), cloud)

    assert answer["PhysicalResourceId"] == f"my_table-{output_format}"
    assert {pipeline.pipeline: pipeline.stack_id for pipeline in cloud.records.pipelines()} == {
        cloud.registered.pipeline: cloud.registered.stack_id,
        f"my_table-{output_format}": STACK,
    }
    assert (f"my_table-{output_format}", STACK) in cloud.records.holders().values()


def test_the_name_of_a_stack_that_exists_is_refused_with_its_id(cloud):
    table_stack_changed(a_change(stack="another"), cloud)

    with pytest.raises(
        InvalidRequest, match=r"CatalogName: my_table is taken by another stack: .* The other is another$"
    ):
        table_stack_changed(a_change(), cloud)


def hold_an_entity(cloud, name, stack):
    """Another pipeline, my-parquet, holds the name for an entity."""
    holder = replace(
        cloud.registered,
        pipeline="my-parquet",
        catalog_name="my",
        stack_id=stack,
        output_prefix="s3://bucket/exports/snapshots_my",
    )
    assert cloud.records.register(holder)
    export = holder.begin("e1", Decimal("0.25"), NOW)
    assert cloud.records.begin(export)
    assert cloud.records.claim_entities(export, cloud.records.pipeline("my-parquet"), [name])


def test_the_name_of_an_entity_is_refused_with_its_holder(cloud):
    hold_an_entity(cloud, "my_table", "another")

    with pytest.raises(
        InvalidRequest, match="CatalogName: my_table is an entity of the pipeline my-parquet, in stack another: give"
    ):
        table_stack_changed(a_change(), cloud)


def test_the_name_of_an_entity_whose_stack_is_gone_is_taken_over(cloud):
    hold_an_entity(cloud, "my_table", "vanished")
    cloud.stacks.gone.add("vanished")

    answer = table_stack_changed(a_change(), cloud)

    assert answer["PhysicalResourceId"] == "my_table-parquet"
    assert cloud.records.holder("my_table") == ("my_table-parquet", STACK)
    assert cloud.records.pipeline("my-parquet") is None


def test_a_deletion_frees_the_name_whatever_the_parameters_are(cloud):
    """A version that refuses a parameter must still delete what an earlier one registered."""
    answer = table_stack_changed(a_change(), cloud)
    event = a_change("Delete", physical_id=answer["PhysicalResourceId"], KeepSnapshots="2.5", TableName="a/b")

    assert table_stack_changed(event, cloud)["Status"] == "SUCCESS"
    assert ("my_table-parquet", STACK) not in cloud.records.holders().values()


def test_a_deletion_that_was_interrupted_frees_the_name_the_next_time(cloud):
    answer = table_stack_changed(a_change(), cloud)
    cloud.records._client.delete_item(  # as the runbook's last command does
        TableName=cloud.records._table, Key={"pipeline": {"S": "my_table-parquet"}, "record": {"S": "pipeline"}}
    )

    table_stack_changed(a_change("Delete", physical_id=answer["PhysicalResourceId"]), cloud)

    assert ("my_table-parquet", STACK) not in cloud.records.holders().values()


# --------------------------------------------------------------------------------------------------- forged events

PIPELINE = "my_table-parquet"


@pytest.fixture
def victim(cloud, monkeypatch):
    """A pipeline that keeps ten snapshots, of a stack that nobody deploys at the moment."""
    waited = []
    monkeypatch.setattr(origin.time, "sleep", waited.append)
    table_stack_changed(a_change(KeepSnapshots="10"), cloud)
    cloud.stacks.operations.clear()
    idle = replace(carried_out(a_change("Update", KeepSnapshots="10")), resource_status="CREATE_COMPLETE")
    cloud.stacks.operations[STACK, ""] = cloud.stacks.operations[STACK, PIPELINE] = [idle]
    return SimpleNamespace(cloud=cloud, waited=waited, pipeline=lambda: cloud.records.pipeline(PIPELINE))


def sent_by_anyone(event, cloud):
    return register_pipeline.on_table_stack_changed(event, cloud, NOW)


@pytest.mark.parametrize("request_type", ["Create", "Update"])
def test_a_forged_event_lowers_no_retention(victim, request_type):
    with pytest.raises(InvalidRequest, match=rf"^StackId: CloudFormation is not carrying out this {request_type}"):
        sent_by_anyone(a_change(request_type, KeepSnapshots="1"), victim.cloud)

    assert victim.pipeline().keep_snapshots == 10
    assert victim.waited == list(origin.WAITS)


def test_a_forged_deletion_unregisters_nothing(victim):
    with pytest.raises(InvalidRequest, match=r"^StackId: CloudFormation is not carrying out this Delete"):
        sent_by_anyone(a_change("Delete", physical_id=PIPELINE), victim.cloud)

    assert victim.pipeline().stack_id == STACK


def test_a_forged_deletion_during_an_update_unregisters_nothing(victim):
    update = a_change("Update", KeepSnapshots="12")
    victim.cloud.stacks.operations[STACK, PIPELINE] = [carried_out(update)]

    with pytest.raises(InvalidRequest, match=r"^StackId: "):
        sent_by_anyone(a_change("Delete", physical_id=PIPELINE), victim.cloud)

    assert victim.pipeline().stack_id == STACK


@pytest.mark.parametrize(
    ("forged", "reason"),
    [
        ({"KeepSnapshots": "1"}, "KeepSnapshots: is 1, which is not what CloudFormation has for the stack"),
        ({"TableName": "Payroll"}, "TableName: is Payroll"),
        ({"OutputFormat": "csv"}, "OutputFormat: is csv, which is not what CloudFormation has for the stack"),
        ({"OutputFormat": "exe"}, "OutputFormat: is exe: use parquet, orc, avro, json, csv"),
        ({"Bucket": "foreign"}, "Bucket: is foreign: snapshots are written to bucket only"),
        (
            {"TableRoleArn": "arn:aws:iam::123456789012:role/Admin"},
            "TableRoleArn: is arn:aws:iam::123456789012:role/Adm",
        ),
        ({"TableRoleArn": "arn:aws:iam::999999999999:role/table-exports/x"}, "TableRoleArn: is arn:aws:iam::99999"),
    ],
)
def test_an_event_that_is_forged_during_an_update_must_agree_with_the_stack(victim, forged, reason):
    update = a_change("Update", KeepSnapshots="12")
    victim.cloud.stacks.operations[STACK, ""] = [carried_out(update)]

    with pytest.raises(InvalidRequest, match=f"^{re.escape(reason)}"):
        sent_by_anyone(a_change("Update", **{"KeepSnapshots": "12"} | forged), victim.cloud)

    assert victim.pipeline().keep_snapshots == 10


def test_another_resource_of_a_stack_is_no_pipeline(victim):
    update = a_change("Update", KeepSnapshots="1")
    victim.cloud.stacks.operations[STACK, ""] = [replace(carried_out(update), resource_type="AWS::S3::Bucket")]

    with pytest.raises(InvalidRequest, match=r"^StackId: "):
        sent_by_anyone(update, victim.cloud)


def test_the_update_of_a_stack_that_is_gone_is_refused(victim):
    victim.cloud.stacks.gone.add(STACK)

    with pytest.raises(InvalidRequest, match=r"^StackId: .* \(no such resource\)"):
        sent_by_anyone(a_change("Update", KeepSnapshots="1"), victim.cloud)


def test_the_pipeline_of_a_stack_that_is_gone_can_be_unregistered(victim):
    victim.cloud.stacks.gone.add(STACK)

    assert sent_by_anyone(a_change("Delete", physical_id=PIPELINE), victim.cloud)["Status"] == "SUCCESS"
    assert victim.pipeline() is None


def test_cloudformations_own_event_may_be_late(victim):
    update = a_change("Update", KeepSnapshots="3")
    [idle] = victim.cloud.stacks.operations[STACK, ""]
    victim.cloud.stacks.operations[STACK, ""] = [idle, idle, carried_out(update)]

    assert sent_by_anyone(update, victim.cloud)["Status"] == "SUCCESS"
    assert victim.pipeline().keep_snapshots == 3
    assert victim.waited == [1, 2]


def test_numbers_are_compared_as_numbers(victim):
    update = a_change("Update", ReadPercentage="0.50")
    victim.cloud.stacks.operations[STACK, ""] = [carried_out(update, ReadPercentage="0.5")]

    assert sent_by_anyone(update, victim.cloud)["Status"] == "SUCCESS"


def test_the_properties_that_cloudformation_records_are_enough(victim):
    """Whatever the parameters of the stack are by then."""
    update = a_change("Update", KeepSnapshots="3")
    found = replace(carried_out(update, KeepSnapshots="99"), properties=update["ResourceProperties"])
    victim.cloud.stacks.operations[STACK, ""] = [found]

    sent_by_anyone(update, victim.cloud)

    assert victim.pipeline().keep_snapshots == 3


@pytest.mark.parametrize("changed", [{"KeepSnapshots": ...}, {"MaxReadCost": ...}, {"TableRoleArn": OTHER_ROLE}])
def test_what_a_forged_event_omits_or_adds_is_compared_with_the_properties_that_cloudformation_records(victim, changed):
    update = a_change("Update", KeepSnapshots="12", MaxReadCost="5", TableRoleArn=f"{OTHER_ROLE}-of-the-stack")
    recorded = update["ResourceProperties"]
    victim.cloud.stacks.operations[STACK, ""] = [replace(carried_out(update), properties=recorded)]
    forged = {name: value for name, value in (recorded | changed).items() if value is not ...}

    with pytest.raises(InvalidRequest, match=rf"^{next(iter(changed))}: "):
        sent_by_anyone(update | {"ResourceProperties": forged}, victim.cloud)

    assert victim.pipeline().keep_snapshots == 10


def test_a_deletion_whose_events_are_late_is_confirmed_by_the_state_of_the_stack(victim):
    [idle] = victim.cloud.stacks.operations[STACK, ""]
    victim.cloud.stacks.operations[STACK, PIPELINE] = [replace(idle, stack_status="DELETE_IN_PROGRESS")]

    assert sent_by_anyone(a_change("Delete", physical_id=PIPELINE), victim.cloud)["Status"] == "SUCCESS"
    assert victim.pipeline() is None


BEFORE = a_change("Update", KeepSnapshots="10", TimeoutMinutes="30")["ResourceProperties"]
FAILED = BEFORE | {"KeepSnapshots": "99", "TimeoutMinutes": "90"}


@pytest.mark.parametrize(
    "recorded",
    [
        {"properties": BEFORE},
        {"properties": FAILED, "earlier": BEFORE},
        {"properties": {}, "earlier": BEFORE},
        {"properties": {}, "parameters": BEFORE},
    ],
    ids=["by its own event", "by the event of before", "by that alone", "by the parameters, if events are shortened"],
)
def test_a_rollback_restores_what_cloudformation_confirms(victim, recorded):
    rollback = a_change("Update") | {"ResourceProperties": BEFORE}
    found = carried_out(rollback, stack="ROLLBACK_IN_PROGRESS", **FAILED)
    victim.cloud.stacks.operations[STACK, ""] = [replace(found, **recorded)]

    assert sent_by_anyone(rollback, victim.cloud)["Status"] == "SUCCESS"

    assert (victim.pipeline().timeout_minutes, victim.pipeline().keep_snapshots) == (30, 10)


@pytest.mark.parametrize(
    "forged",
    [
        {"KeepSnapshots": "1"},
        {"TimeoutMinutes": "1"},
        {"TableName": "Payroll", "CatalogName": "My-Table"},
        {"ReadPercentage": "1.0"},
        {"MaxReadCost": "0"},
        {"ReadMode": "scan"},
        {"ScheduleState": "ENABLED"},
        {"TableRoleArn": OTHER_ROLE},
        {"KeepSnapshots": "10", "TimeoutMinutes": "90"},  # half of the one, half of the other
    ],
    ids=str,
)
@pytest.mark.parametrize("recorded", [True, False])
def test_a_rollback_that_cloudformation_does_not_confirm_changes_nothing(victim, forged, recorded):
    rollback = a_change("Update") | {"ResourceProperties": BEFORE | forged}
    known = {"properties": FAILED, "earlier": BEFORE} if recorded else {"parameters": FAILED}
    found = replace(carried_out(rollback, stack="ROLLBACK_IN_PROGRESS"), **known)
    victim.cloud.stacks.operations[STACK, ""] = [found]
    before = victim.pipeline()

    answered = sent_by_anyone(rollback, victim.cloud)

    assert victim.pipeline() == before
    assert (answered["Status"], answered["PhysicalResourceId"]) == ("SUCCESS", PIPELINE)


@pytest.mark.parametrize(("lowered", "restored", "kept"), [("1", "10", 10), ("1", "0", 0), ("10", "1", 10)])
def test_a_rollback_that_is_not_confirmed_deletes_no_snapshots(victim, lowered, restored, kept):
    """It may be true: CloudFormation can shorten what it records. The update before it lowered KeepSnapshots."""
    table_stack_changed(a_change("Update", KeepSnapshots=lowered), victim.cloud)
    rollback = a_change("Update") | {"ResourceProperties": BEFORE | {"KeepSnapshots": restored, "TimeoutMinutes": "7"}}
    found = replace(carried_out(rollback, stack="ROLLBACK_IN_PROGRESS"), properties=FAILED, earlier={})
    victim.cloud.stacks.operations[STACK, ""] = [found]
    before = victim.pipeline()

    assert sent_by_anyone(rollback, victim.cloud)["Status"] == "SUCCESS"

    assert victim.pipeline() == replace(before, keep_snapshots=kept)


def test_a_forged_rollback_takes_no_other_name(victim):
    table_stack_changed(a_change(stack=f"{STACK}2", CatalogName="others"), victim.cloud)
    rollback = a_change("Update") | {"ResourceProperties": BEFORE | {"CatalogName": "others"}}
    found = replace(carried_out(rollback, stack="ROLLBACK_IN_PROGRESS"), properties=FAILED, earlier=BEFORE)
    victim.cloud.stacks.operations[STACK, ""] = [found]

    with pytest.raises(InvalidRequest, match="CatalogName: is not confirmed by CloudFormation, and its stack has no"):
        sent_by_anyone(rollback, victim.cloud)


@pytest.mark.parametrize("request_type", ["Create", "Update"])
@pytest.mark.parametrize("status", ["ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS"])
def test_no_other_state_of_a_stack_restores_properties(victim, request_type, status):
    forged = a_change(request_type) | {"ResourceProperties": BEFORE | {"KeepSnapshots": "11"}}
    found = replace(carried_out(forged), properties=BEFORE, stack_status=status)
    victim.cloud.stacks.operations[STACK, ""] = [found]

    with pytest.raises(InvalidRequest, match=r"^KeepSnapshots: is 11, which is not what CloudFormation has"):
        sent_by_anyone(forged, victim.cloud)


def test_a_forged_event_gets_no_success(victim, monkeypatch):
    sent = []
    monkeypatch.setattr(register_pipeline, "the_cloud", lambda: victim.cloud)
    monkeypatch.setattr(register_pipeline, "urlopen", lambda request, timeout: sent.append(json.loads(request.data)))
    context = SimpleNamespace(
        function_name="f", memory_limit_in_mb=256, invoked_function_arn="arn", aws_request_id="request-7"
    )

    register_pipeline.handle(a_change("Update", KeepSnapshots="1"), context)

    assert [answer["Status"] for answer in sent] == ["FAILED"]
    assert "only a table stack can register or remove its pipeline" in sent[0]["Reason"]
