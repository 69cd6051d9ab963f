"""What doctor reports can be cured by the remedy that it names. Each problem is caused, reported, cured and gone."""

import json
import re
import time
from dataclasses import dataclass
from typing import Any

import pytest
import remedies

from infra.deploy import CannotDeploy
from infra.deploy.stacks import Stacks
from table_exports.aws.records import Records
from table_exports_cli import doctor
from table_exports_cli.deployed import Deployed

DATABASE = "dynamodb_exports"
BUCKET = "table-exports-123456789012-us-east-1"
STREAM = "table-exports-on_export_changed"


@dataclass(frozen=True)
class Pipeline:
    user: Any
    outputs: dict[str, str]
    name: str
    view: str
    table: str
    snapshot: str

    def client(self, service):
        return self.user.client(service)

    @property
    def named(self):
        return {"DatabaseName": DATABASE, "TableName": self.table}


@pytest.fixture(scope="module")
def pipeline(user):
    user.make_table("Ailing", [{"id": "1"}], {"id": "S"})
    made = user.deploy_pipeline("Ailing")
    [export] = user.export(made)
    return Pipeline(user, made, made["Pipeline"], made["View"], made["SnapshotTable"], export["snapshot_timestamp"])


def delete_view(on):
    on.client("glue").delete_table(DatabaseName=DATABASE, Name=on.view)


def delete_table(on):
    on.client("glue").delete_table(DatabaseName=DATABASE, Name=on.table)


def delete_partition(on):
    on.client("glue").delete_partition(**on.named, PartitionValues=[on.snapshot])


def delete_database(on):
    on.client("glue").delete_database(Name=DATABASE)


def silence_bucket(on):
    on.client("s3").put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration={})


def disable_workgroup(on):
    on.client("athena").update_work_group(WorkGroup="table-exports", State="DISABLED")


def disable_rule(on):
    on.client("events").disable_rule(Name="table-exports-on_glue_complete")


def disable_mapping(on):
    [mapping] = on.client("lambda").list_event_source_mappings(FunctionName=STREAM)["EventSourceMappings"]
    on.client("lambda").update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)


def remove_permission(on):
    name = {"FunctionName": "table-exports-on_view_complete"}
    for statement in json.loads(on.client("lambda").get_policy(**name)["Policy"])["Statement"]:
        on.client("lambda").remove_permission(**name, StatementId=statement["Sid"])


def forbid_to_run(on):
    name = "table-exports-pipeline_widget"
    on.client("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)


def mute_alarm(on):
    on.client("cloudwatch").disable_alarm_actions(AlarmNames=["table-exports-health"])


def delete_files(on):
    folder = f"exports/{on.table}/snapshot_timestamp={on.snapshot}/"
    for found in on.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=folder)["Contents"]:
        on.client("s3").delete_object(Bucket=BUCKET, Key=found["Key"])


DAMAGE = [  # and which checks report it
    (delete_view, {"views"}),
    (delete_table, {"snapshots"}),
    (delete_partition, {"snapshots"}),
    (delete_database, {"database", "views", "snapshots"}),
    (silence_bucket, {"bucket"}),
    (disable_workgroup, {"workgroup"}),
    (disable_rule, {"rules"}),
    (disable_mapping, {"streams"}),
    (remove_permission, {"deliveries"}),
    (forbid_to_run, {"functions"}),
    (mute_alarm, {"alarms"}),
    (delete_files, {"snapshots"}),  # the last: its remedy publishes another snapshot
]


class System:
    def __init__(self, user):
        self.client = user.client
        self.records = Records(user.client("dynamodb"), "table-exports")


@pytest.mark.slow
def test_a_function_that_fails_is_reported_until_its_error_is_corrected(user):
    user.make_table("Failing", [{"id": "1"}], {"id": "S"})
    pipeline = user.deploy_pipeline("Failing")

    def problems():
        return [(found.subject, found.description) for found in doctor.streams(Deployed(System(user)))]

    events = {"detail": {"pipeline": [pipeline["Pipeline"]]}}
    assert problems() == []
    with user.listening(events) as listener:
        with user.denied(user.function_role("on_export_changed"), "events:PutEvents"):
            user.request(pipeline)
            found = user.wait_for(lambda: problems() or None, "problem")
            assert found == [(STREAM, "PROBLEM: Function call failed")]
            [remedy] = [problem.remedy for problem in doctor.streams(Deployed(System(user)))]
            assert remedy == 'correct the error: docs/runbook.md, "functions-fail". Lambda continues by itself'
            lines = user.client("logs").filter_log_events(
                logGroupName="/table-exports/functions", filterPattern='"not authorized to perform: events:PutEvents"'
            )
            assert lines["events"]
        user.wait_for(lambda: None if problems() else True, "end of the problem")  # it continues by itself
        assert listener.wait_for("Export Started")
    user.ended_exports(pipeline, 1)


@pytest.mark.slow
def test_a_failed_deletion_is_repeated_when_its_reason_is_corrected(user):
    user.make_table("Undeletable", [{"id": "1"}], {"id": "S"})
    made = user.deploy_pipeline("Undeletable")
    name, cloudformation = made["Pipeline"], user.client("cloudformation")
    [head] = [
        found for found in Records(user.client("dynamodb"), "table-exports").pipelines() if found.pipeline == name
    ]

    def status():
        found = cloudformation.describe_stacks(StackName=head.stack_id)["Stacks"][0]["StackStatus"]
        return None if found.endswith("_IN_PROGRESS") else found

    def problems():
        return [found for found in doctor.stacks(Deployed(System(user))) if found.subject == name]

    with user.denied(user.function_role("register_pipeline"), "dynamodb:*"):
        cloudformation.delete_stack(StackName=head.stack_id)
        assert user.wait_for(status, "end of the deletion") == "DELETE_FAILED"
    [problem] = problems()
    assert problem.description.startswith("its stack could not be deleted: ")
    correct, _, command = problem.remedy.partition(", then run ")
    assert correct == "correct the reason"
    remedies.carry_out(command, user.client)

    assert user.wait_for(status, "end of the deletion") == "DELETE_COMPLETE"
    assert problems() == []


@pytest.mark.slow
def test_a_failed_rollback_is_continued_when_its_reason_is_corrected(user):
    user.make_table("Stuck", [{"id": "1"}], {"id": "S"})
    made = user.deploy_pipeline("Stuck", KeepSnapshots="5")
    name, cloudformation = made["Pipeline"], user.client("cloudformation")
    [head] = [
        found for found in Records(user.client("dynamodb"), "table-exports").pipelines() if found.pipeline == name
    ]

    def update(keep):
        parameters = [
            {"ParameterKey": "TableName", "UsePreviousValue": True},
            {"ParameterKey": "KeepSnapshots", "ParameterValue": keep},
        ]
        cloudformation.update_stack(
            StackName=head.stack_id,
            UsePreviousTemplate=True,
            Parameters=parameters,
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )

    def status():
        found = cloudformation.describe_stacks(StackName=head.stack_id)["Stacks"][0]["StackStatus"]
        return None if found.endswith("_IN_PROGRESS") else found

    def problems():
        return [found for found in doctor.stacks(Deployed(System(user))) if found.subject == name]

    with user.denied(user.function_role("register_pipeline"), "dynamodb:*"):
        update("6")
        assert user.wait_for(status, "end of the update") == "UPDATE_ROLLBACK_FAILED"
    [problem] = problems()
    assert problem.description.startswith("its last deployment could not be rolled back: ")
    correct, command, deploy = problem.remedy.split(", ")
    assert (correct, deploy) == ("correct the reason", "then make deploy")
    with pytest.raises(CannotDeploy, match=re.escape(f"`{command.removeprefix('run ')}`")):
        Stacks(cloudformation).wait_until_idle(head.stack_id.split("/")[1])
    remedies.carry_out(command.removeprefix("run "), user.client)

    assert user.wait_for(status, "end of the rollback") == "UPDATE_ROLLBACK_COMPLETE"
    assert problems() == []
    record = {"Key": {"pipeline": name, "record": "pipeline"}}
    assert user.table("table-exports").get_item(**record)["Item"]["keep_snapshots"] == 5
    update("6")
    assert user.wait_for(status, "end of the update") == "UPDATE_COMPLETE"
    assert user.table("table-exports").get_item(**record)["Item"]["keep_snapshots"] == 6


@pytest.mark.slow
def test_a_pipeline_whose_record_was_deleted_comes_back_with_its_snapshots(user):
    """For example by the runbook's command for pipelines whose stack is deleted."""
    user.make_table("Forgotten", [{"id": "1"}], {"id": "S"})
    made = user.deploy_pipeline("Forgotten")
    name, cloudformation = made["Pipeline"], user.client("cloudformation")
    [first] = user.export(made)
    key = {"pipeline": name, "record": "pipeline"}
    stack = user.table("table-exports").get_item(Key=key)["Item"]["stack_id"]

    def problems():
        return [found for found in doctor.stacks(Deployed(System(user))) if found.subject in (name, stack_name)]

    stack_name = stack.split("/")[1]
    assert problems() == []
    user.table("table-exports").delete_item(Key=key)
    [problem] = problems()
    assert problem.description == "its pipeline is not registered, so every request is refused"
    delete, wait, deploy = problem.remedy.split(", ")
    assert (wait, deploy) == ("wait until it is deleted", "then make deploy: data stays")
    remedies.carry_out(delete, user.client)
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=stack, WaiterConfig={"Delay": 0.2})
    again = user.deploy_pipeline("Forgotten")

    assert problems() == []
    [second] = user.export(again)
    snapshots = user.query(f"SELECT DISTINCT snapshot_timestamp AS s FROM {again['SnapshotTable']} ORDER BY 1")
    assert [row["s"] for row in snapshots] == [each["snapshot_timestamp"] for each in (first, second)]


@pytest.mark.slow
def test_each_problem_is_reported_and_its_remedy_cures_it(user, pipeline, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", user.endpoint)
    checks = {check.__name__: check for check in doctor.CHECKS}
    watched = {name for _, names in DAMAGE for name in names}

    def problems():
        """Of the whole system and this pipeline, by check. The database is all tests' own."""
        deployed = Deployed(System(user))
        deployed.pipelines = [found for found in deployed.pipelines if found.pipeline == pipeline.name]
        found = {name: list(checks[name](deployed)) for name in watched}
        return {name: problems for name, problems in found.items() if problems}

    assert problems() == {}
    for damage, reported_by in DAMAGE:
        damage(pipeline)
        found = problems()
        assert set(found) == reported_by, damage.__name__
        for remedy in dict.fromkeys(problem.remedy for name in sorted(found) for problem in found[name]):
            remedies.carry_out(remedy, user.client)
        deadline = time.monotonic() + 60
        while problems() and time.monotonic() < deadline:  # an export takes a moment
            time.sleep(1)
        assert problems() == {}, damage.__name__
