"""Asking again by EventBridge's replays: by the very calls of docs/run.md, "Ask for it again"."""

import json
import time
import uuid
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError

pytestmark = pytest.mark.slow  # it waits for archives and several exports

EVENTS = "arn:aws:events:us-east-1:123456789012"
REQUESTS = {
    "EventSourceArn": f"{EVENTS}:archive/table-exports-requests",
    "Destination": {"Arn": f"{EVENTS}:event-bus/table-exports"},
}
AWS_EVENTS = {
    "EventSourceArn": f"{EVENTS}:archive/table-exports-aws-events",
    "Destination": {"Arn": f"{EVENTS}:event-bus/default"},
}


@pytest.fixture(scope="module")
def since(user):
    """From when on only this module asked for exports. Events have whole seconds."""
    time.sleep(1 - time.time() % 1)
    return datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
def pipelines(user, since):
    """Two whose tables were not there when their exports were requested, and are now."""
    tables = ["Replayed", "Repeated"]
    for table in tables:
        user.make_table(table, [{"id": "1"}], {"id": "S"})
    deployed = [user.deploy_pipeline(table) for table in tables]
    for table in tables:
        user.client("dynamodb").delete_table(TableName=table)
    for pipeline in deployed:
        user.request(pipeline)
        assert stages(user, pipeline, 1) == ["FAILED"]
    for table in tables:
        user.make_table(table, [{"id": "1"}, {"id": "2"}], {"id": "S"})
    return deployed


def stages(user, pipeline, count):
    """Of so many exports when all have ended, oldest first: their records have whole seconds to go by."""
    exports = sorted(user.ended_exports(pipeline, count), key=lambda export: export["requested_at"])
    return [export["stage"] for export in exports]


def replayed(user, since, archive, **destination):
    """Starts a replay of all since then, and waits for its end."""
    events, name = user.client("events"), f"again-{uuid.uuid4().hex[:8]}"
    events.start_replay(
        ReplayName=name,
        EventSourceArn=archive["EventSourceArn"],
        EventStartTime=since,
        EventEndTime=datetime.now(UTC),
        Destination=archive["Destination"] | destination,
    )

    def completed():
        replay = events.describe_replay(ReplayName=name)
        return replay if replay["State"] not in ("STARTING", "RUNNING") else None

    replay = user.wait_for(completed, f"end of replay {name}")
    assert replay["State"] == "COMPLETED"
    return replay


def test_replayed_requests_of_one_pipeline_are_exported_again(user, since, pipelines):
    replayed_pipeline, other = pipelines
    events, rule = user.client("events"), "table-exports-replay-one"
    pattern = {
        "source": ["table-exports"],
        "detail-type": ["Export Requested"],
        "replay-name": [{"exists": True}],
        "detail": {"pipeline": [replayed_pipeline["Pipeline"]]},
    }
    arn = events.put_rule(EventBusName="table-exports", Name=rule, EventPattern=json.dumps(pattern))["RuleArn"]
    function = user.client("lambda").get_function_configuration(FunctionName="table-exports-start_export")
    target = {"Id": "start_export", "Arn": function["FunctionArn"]}
    events.put_targets(EventBusName="table-exports", Rule=rule, Targets=[target])

    replayed(user, since, REQUESTS, FilterArns=[arn])

    assert stages(user, replayed_pipeline, 2) == ["FAILED", "SUCCEEDED"]
    assert len(user.query("SELECT id FROM replayed")) == 2
    events.remove_targets(EventBusName="table-exports", Rule=rule, Ids=["start_export"])
    events.delete_rule(EventBusName="table-exports", Name=rule)
    assert stages(user, other, 1) == ["FAILED"]


def test_replayed_requests_of_a_time_window_are_all_exported_again(user, since, pipelines):
    before = [len(user.exports(pipeline)) for pipeline in pipelines]

    replayed(user, since, REQUESTS)

    for pipeline, count in zip(pipelines, before, strict=True):
        assert stages(user, pipeline, count + 1)[-1] == "SUCCEEDED"
    assert len(user.query("SELECT id FROM repeated")) == 2


def test_replayed_aws_events_move_a_stuck_export_on_and_leave_ended_ones_alone(user, since, pipelines):
    stuck, finished = pipelines
    events = user.client("events")
    before = user.exports(finished), user.exports(stuck)
    archived = events.describe_archive(ArchiveName="table-exports-aws-events")["EventCount"]
    events.disable_rule(Name="table-exports-on_glue_complete")
    user.request(stuck)

    def told():
        found = events.describe_archive(ArchiveName="table-exports-aws-events")["EventCount"]
        return found if found > archived else None

    user.wait_for(told, "event of the job run in the archive")
    events.enable_rule(Name="table-exports-on_glue_complete")
    assert user.exports(stuck)[0]["stage"] == "EXPORTING"

    rules = events.list_rules(NamePrefix="table-exports-on_")["Rules"]
    replayed(user, since, AWS_EVENTS, FilterArns=[rule["Arn"] for rule in rules])

    assert stages(user, stuck, len(before[1]) + 1)[-1] == "SUCCEEDED"
    assert (user.exports(finished), user.exports(stuck)[1:]) == before


# ------------------------------------------------------------------------------------------- archives of anyone's own


@pytest.fixture
def bus(user):
    """A bus with a rule per colour and a queue that hears of it, and an archive of everything but `ping`."""
    name = f"bus-{uuid.uuid4().hex[:8]}"
    events, sqs = user.client("events"), user.client("sqs")
    arn = events.create_event_bus(Name=name)["EventBusArn"]
    bus = {"name": name, "arn": arn, "archive": f"{EVENTS}:archive/{name}", "rules": {}, "queues": {}}
    for colour in ("red", "blue"):
        url = sqs.create_queue(QueueName=f"{name}-{colour}")["QueueUrl"]
        queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        pattern = json.dumps({"detail": {"colour": [colour]}})
        rule = events.put_rule(EventBusName=name, Name=colour, EventPattern=pattern)["RuleArn"]
        events.put_targets(EventBusName=name, Rule=colour, Targets=[{"Id": "queue", "Arn": queue}])
        bus["rules"][colour], bus["queues"][colour] = rule, url
    pattern = json.dumps({"detail-type": [{"anything-but": "ping"}]})
    events.create_archive(ArchiveName=name, EventSourceArn=arn, EventPattern=pattern)
    return bus


def put(user, bus, detail_type, colour):
    entry = {"EventBusName": bus["name"], "Source": "test", "DetailType": detail_type}
    user.client("events").put_events(Entries=[entry | {"Detail": json.dumps({"colour": colour})}])


def heard(user, bus, colour):
    sqs, url = user.client("sqs"), bus["queues"][colour]
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    for message in messages:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return [json.loads(message["Body"]) for message in messages]


def test_a_replay_tells_the_given_rules_what_the_archive_holds_of_the_time(user, bus):
    since = datetime.now(UTC).replace(microsecond=0)
    for detail_type, colour in [("made", "red"), ("made", "blue"), ("ping", "red")]:
        put(user, bus, detail_type, colour)
    [first, _], _ = heard(user, bus, "red"), heard(user, bus, "blue")
    archive = {"EventSourceArn": bus["archive"], "Destination": {"Arn": bus["arn"]}}

    replay = replayed(user, since, archive, FilterArns=[bus["rules"]["red"]])

    [again] = heard(user, bus, "red")
    assert again == first | {"replay-name": replay["ReplayName"]}
    assert heard(user, bus, "blue") == []

    replayed(user, datetime(2026, 1, 1, tzinfo=UTC), archive)
    assert [len(heard(user, bus, colour)) for colour in ("red", "blue")] == [1, 1]
    assert user.client("events").describe_archive(ArchiveName=bus["name"])["EventCount"] == 2  # none of a replay

    user.client("events").start_replay(
        ReplayName=f"before-{bus['name']}",
        EventStartTime=datetime(2026, 1, 1, tzinfo=UTC),
        EventEndTime=datetime(2026, 1, 2, tzinfo=UTC),
        **archive,
    )
    listed = user.client("events").list_replays(NamePrefix=f"before-{bus['name']}")["Replays"]
    assert [replay["EventSourceArn"] for replay in listed] == [bus["archive"]]
    assert heard(user, bus, "red") == []


def test_the_events_of_s3_are_archived_too(user):
    bucket, events, s3 = f"bucket-{uuid.uuid4().hex[:8]}", user.client("events"), user.client("s3")
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}})
    pattern = json.dumps({"source": ["aws.s3"], "detail": {"bucket": {"name": [bucket]}}})
    events.create_archive(ArchiveName=bucket, EventSourceArn=f"{EVENTS}:event-bus/default", EventPattern=pattern)

    s3.put_object(Bucket=bucket, Key="a", Body=b"")

    described = events.describe_archive(ArchiveName=bucket)
    assert (described["EventCount"], described["EventPattern"]) == (1, pattern)
    events.delete_archive(ArchiveName=bucket)


def test_an_archive_takes_what_its_new_pattern_says_and_goes_with_its_rule(user, bus):
    events = user.client("events")
    events.update_archive(ArchiveName=bus["name"], EventPattern=json.dumps({"detail-type": ["ping"]}))

    put(user, bus, "ping", "red")
    put(user, bus, "made", "red")

    described = events.describe_archive(ArchiveName=bus["name"])
    assert (described["EventCount"], described["EventPattern"]) == (1, '{"detail-type": ["ping"]}')
    events.delete_archive(ArchiveName=bus["name"])
    assert {rule["Name"] for rule in events.list_rules(EventBusName=bus["name"])["Rules"]} >= {"red", "blue"}
    assert f"Events-Archive-{bus['name']}" not in str(events.list_rules(EventBusName=bus["name"]))


def test_a_replay_of_no_archive_or_to_another_bus_is_refused(user, bus):
    events, moment = user.client("events"), datetime.now(UTC)
    times = {"EventStartTime": moment, "EventEndTime": moment}

    with pytest.raises(ClientError, match="ResourceNotFound"):
        events.start_replay(
            ReplayName="x", EventSourceArn=f"{EVENTS}:archive/none", Destination={"Arn": bus["arn"]}, **times
        )
    with pytest.raises(ClientError, match="Validation"):
        events.start_replay(
            ReplayName="x",
            EventSourceArn=bus["archive"],
            **times,
            Destination={"Arn": f"{EVENTS}:event-bus/default"},
        )
