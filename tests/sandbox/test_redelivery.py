"""What lands in the dead-letter queues is redelivered, as docs/run.md says, and does what it should have done."""

import json
import time
from contextlib import contextmanager

import pytest
from botocore.exceptions import ClientError

pytestmark = pytest.mark.slow  # it waits for retries and queues

ARN = "arn:aws:sqs:us-east-1:123456789012"
UNDELIVERED = "table-exports-undelivered-events"
UNHANDLED = "table-exports-unhandled-events"
SENT_BACK = "table-exports-redelivered-events"


class Queues:
    """An operator's view of the three queues."""

    def __init__(self, user):
        self.user, self.sqs = user, user.client("sqs")

    def url(self, queue):
        return self.sqs.get_queue_url(QueueName=queue)["QueueUrl"]

    def look(self, queue):
        """What docs/run.md says: nothing is lost by it, or hidden."""
        found = self.sqs.receive_message(
            QueueUrl=self.url(queue), VisibilityTimeout=0, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        )
        return found.get("Messages", [])

    def holds(self, queue, text):
        """Waits for a message with the text in its body."""

        def look():
            return next((message for message in self.look(queue) if text in message["Body"]), None)

        return self.user.wait_for(look, f"{text} in {queue}")

    def is_empty(self, queue):
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        counts = self.sqs.get_queue_attributes(QueueUrl=self.url(queue), AttributeNames=names)["Attributes"]
        return set(counts.values()) == {"0"}

    def send_back(self, queue):
        """Waits until SQS has moved the messages, and our function has taken them."""
        source = f"{ARN}:{queue}"
        self.sqs.start_message_move_task(SourceArn=source, DestinationArn=f"{ARN}:{SENT_BACK}")

        def status():
            [task] = self.sqs.list_message_move_tasks(SourceArn=source)["Results"]
            return task if task["Status"] != "RUNNING" else None

        task = self.user.wait_for(status, "the move")
        assert task["Status"] == "COMPLETED", task
        self.user.wait_for(lambda: self.is_empty(SENT_BACK) or None, f"{SENT_BACK} to be empty")


@pytest.fixture
def queues(user):
    queues = Queues(user)
    for queue in (UNDELIVERED, UNHANDLED, SENT_BACK):
        queues.sqs.purge_queue(QueueUrl=queues.url(queue))
    return queues


@pytest.fixture(scope="module")
def kept(user):
    user.make_table("Kept", [{"id": "1"}], {"id": "S"})
    return user.deploy_pipeline("Kept")


@contextmanager
def closed_to_its_rules(user, service):
    """No rule may invoke the function."""
    client, function = user.client("lambda"), f"table-exports-{service}"
    statements = json.loads(client.get_policy(FunctionName=function)["Policy"])["Statement"]
    for statement in statements:
        client.remove_permission(FunctionName=function, StatementId=statement["Sid"])
    try:
        yield
    finally:
        for statement in statements:
            client.add_permission(
                FunctionName=function,
                StatementId=statement["Sid"],
                Action=statement["Action"],
                Principal=statement["Principal"]["Service"],
                SourceArn=next(iter(next(iter(statement["Condition"].values())).values())),
            )


def listening(user, detail_type, **detail):
    return user.listening({"detail-type": [detail_type], "detail": {name: [value] for name, value in detail.items()}})


def invoked(user, since):
    """The functions that redeliver_events invoked: their names."""
    return [
        call["action"].removesuffix("/invocations").rpartition(":")[2]
        for call in user.calls(since)
        if call["caller"] == "redeliver_events" and call["status"] == 202
    ]


def test_an_export_continues_when_its_unhandled_and_undelivered_events_are_sent_back(user, kept, queues):
    begun = time.time()
    with closed_to_its_rules(user, "on_view_complete"):
        with user.denied(user.function_role("on_glue_complete"), "dynamodb:*"):
            user.request(kept)
            unhandled = json.loads(queues.holds(UNHANDLED, kept["JobName"])["Body"])
        assert "AccessDenied" in json.dumps(unhandled["responsePayload"])
        queues.send_back(UNHANDLED)
        undelivered = queues.holds(UNDELIVERED, "Athena Query State Change")
    assert undelivered["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "NO_PERMISSIONS"
    [export] = user.exports(kept)
    assert export["stage"] == "PUBLISHING"

    queues.send_back(UNDELIVERED)

    [export] = user.ended_exports(kept, 1)
    assert export["stage"] == "SUCCEEDED", export.get("reason")
    assert {"table-exports-on_glue_complete", "table-exports-on_view_complete"} == set(invoked(user, begun))
    assert queues.is_empty(UNHANDLED)
    assert queues.is_empty(UNDELIVERED)


def test_a_change_that_was_not_told_is_read_again_from_the_stream(user, orders, queues):
    _, export = orders
    streams = user.client("dynamodbstreams")
    [stream] = streams.list_streams(TableName="table-exports")["Streams"]
    [shard] = streams.describe_stream(StreamArn=stream["StreamArn"])["StreamDescription"]["Shards"]
    place = {"StreamArn": stream["StreamArn"], "ShardId": shard["ShardId"]}
    iterator = streams.get_shard_iterator(**place, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    records = []
    while found := (page := streams.get_records(ShardIterator=iterator))["Records"]:
        records, iterator = records + found, page["NextShardIterator"]
    change = next(
        record["dynamodb"]
        for record in records
        if record["dynamodb"].get("NewImage", {}).get("stage") == {"S": "SUCCEEDED"}
        and record["dynamodb"]["NewImage"]["export_id"] == {"S": export["export_id"]}
    )
    function = "arn:aws:lambda:us-east-1:123456789012:function:table-exports-on_export_changed"
    unpublished = {
        "requestContext": {"functionArn": function, "condition": "MaxRecordAgeExceeded"},
        "DDBStreamBatchInfo": {
            "shardId": shard["ShardId"],
            "startSequenceNumber": change["SequenceNumber"],
            "endSequenceNumber": change["SequenceNumber"],
            "streamArn": stream["StreamArn"],
        },
    }
    queues.sqs.send_message(QueueUrl=queues.url(UNHANDLED), MessageBody=json.dumps(unpublished))
    with listening(user, "Export Succeeded", export_id=export["export_id"]) as events:
        queues.send_back(UNHANDLED)

        assert events.wait_for("Export Succeeded")["detail"]["items"] == export["items"]


def test_a_request_that_a_schedule_could_not_put_on_the_bus_is_put_there(user, orders, queues):
    pipeline, _ = orders
    asked = json.loads(pipeline["ExportRequest"]) | {"read_percentage": 1.5}  # so that nothing is started
    attributes = {
        "SCHEDULE_ARN": "arn:aws:scheduler:us-east-1:123456789012:schedule/default/orders",
        "SCHEDULED_TIME": "2026-11-23T02:00:00Z",
    }
    queues.sqs.send_message(
        QueueUrl=queues.url(UNDELIVERED),
        MessageBody=json.dumps(asked | {"scheduled_time": "<aws.scheduler.scheduled-time>"}),
        MessageAttributes={name: {"DataType": "String", "StringValue": text} for name, text in attributes.items()},
    )
    with listening(user, "Export Requested", scheduled_time="2026-11-23T02:00:00Z") as events:
        queues.send_back(UNDELIVERED)

        assert events.wait_for("Export Requested")["detail"] == asked | {"scheduled_time": "2026-11-23T02:00:00Z"}


def test_what_nobody_can_make_sense_of_comes_back(user, queues):
    settings = {"QueueUrl": queues.url(SENT_BACK)}
    patience = queues.sqs.get_queue_attributes(**settings, AttributeNames=["VisibilityTimeout"])["Attributes"]
    queues.sqs.set_queue_attributes(**settings, Attributes={"VisibilityTimeout": "1"})
    queues.sqs.send_message(QueueUrl=queues.url(UNHANDLED), MessageBody="hello")

    queues.send_back(UNHANDLED)

    assert queues.holds(UNDELIVERED, "hello")
    assert queues.is_empty(UNHANDLED)
    queues.sqs.set_queue_attributes(**settings, Attributes=patience)
    queues.sqs.purge_queue(QueueUrl=queues.url(UNDELIVERED))


def test_sqs_moves_messages_only_from_the_dead_letter_queue_of_a_queue(queues):
    with pytest.raises(ClientError, match="Source queue must be configured as a Dead Letter Queue"):
        queues.sqs.start_message_move_task(SourceArn=f"{ARN}:{SENT_BACK}", DestinationArn=f"{ARN}:{UNHANDLED}")
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        queues.sqs.start_message_move_task(SourceArn=f"{ARN}:nobodys")
