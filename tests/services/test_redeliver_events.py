import json
from dataclasses import dataclass, field
from datetime import UTC, datetime

import boto3
import pytest
from botocore.stub import Stubber
from fakes import FakeBus
from moto import mock_aws
from moto.events.models import EventPattern, EventPatternParser
from templates import resource

from redeliver_events.cloud import Functions, Streams
from redeliver_events.handler import of_an_export, on_messages_redriven
from redeliver_events.messages import CannotRedeliver, StreamBatch, parse_dead_letter

OURS = "arn:aws:lambda:us-east-1:123456789012:function:table-exports-"
STREAM = "arn:aws:dynamodb:us-east-1:123456789012:table/table-exports/stream/2026-11-23T00:00:00.000"
EVENT = {"id": "1", "source": "aws.glue", "detail-type": "Glue Job State Change", "detail": {"jobRunId": "jr_1"}}
REQUEST = {"pipeline": "reviews-parquet", "table_name": "Reviews", "scheduled_time": "2026-11-23T02:00:00Z"}


def message(body, message_id="m1", **attributes):
    """As Lambda's event source for SQS has it."""
    return {
        "messageId": message_id,
        "body": body if isinstance(body, str) else json.dumps(body),
        "attributes": {"ApproximateReceiveCount": "1"},
        "messageAttributes": {name: {"stringValue": text, "dataType": "String"} for name, text in attributes.items()},
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:table-exports-redelivered-events",
        "awsRegion": "us-east-1",
    }


def undelivered(body=EVENT, **changes):
    """EventBridge's: user guide, "Using dead-letter queues to process undelivered events"."""
    attributes = {
        "RULE_ARN": "arn:aws:events:us-east-1:123456789012:rule/table-exports-on_glue_complete",
        "TARGET_ARN": f"{OURS}on_glue_complete",
        "ERROR_CODE": "NO_PERMISSIONS",
    }
    given = {name: text for name, text in (attributes | changes).items() if text}
    return message(body, **given)


def unscheduled(body=REQUEST, **changes):
    """Scheduler's: user guide, "Configuring a schedule's dead-letter queue"."""
    attributes = {
        "ERROR_CODE": "InternalException",
        "IS_PAYLOAD_TRUNCATED": "false",
        "SCHEDULED_TIME": "2026-11-23T02:00:00Z",
        "SCHEDULE_ARN": "arn:aws:scheduler:us-east-1:123456789012:schedule/default/reviews",
        "TARGET_ARN": "arn:aws:scheduler:::aws-sdk:eventbridge:putEvents",
    }
    given = {name: text for name, text in (attributes | changes).items() if text}
    return message(body, **given)


def unhandled(payload=EVENT, function=f"{OURS}on_glue_complete:$LATEST"):
    """Lambda's, of an asynchronous invocation: developer guide, "Capturing records of asynchronous invocations"."""
    context = {"requestId": "r1", "functionArn": function, "condition": "RetriesExhausted", "approximateInvokeCount": 3}
    answered = {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    return message({"requestContext": context, "requestPayload": payload, "responseContext": answered})


def unpublished(first="100", last="300"):
    """Lambda's, of a batch of a stream: developer guide, "Retain discarded records for a DynamoDB event source"."""
    batch = {"shardId": "shardId-1", "startSequenceNumber": first, "endSequenceNumber": last, "streamArn": STREAM}
    context = {"functionArn": f"{OURS}on_export_changed", "condition": "MaxRecordAgeExceeded"}
    return message({"requestContext": context, "DDBStreamBatchInfo": batch})


def change(number, event="MODIFY", record="export#2026-11-23T02-00-07Z#e1"):
    keys = {"pipeline": {"S": "reviews-parquet"}, "record": {"S": record}}
    return {"eventName": event, "dynamodb": {"Keys": keys, "SequenceNumber": number}}


@dataclass
class FakeFunctions:
    invoked: list = field(default_factory=list)
    fails_for: str = "-"

    def invoke(self, function, payload):
        if function.endswith(self.fails_for):
            raise ConnectionError("Lambda is out")
        self.invoked.append((function, payload))


@dataclass
class FakeStreams:
    kept: list = field(default_factory=list)
    asked: list = field(default_factory=list)

    def records(self, batch):
        self.asked.append(batch)
        return self.kept


@dataclass
class FakeCloud:
    functions: FakeFunctions = field(default_factory=FakeFunctions)
    streams: FakeStreams = field(default_factory=FakeStreams)
    bus: FakeBus = field(default_factory=FakeBus)


@pytest.fixture
def cloud():
    return FakeCloud()


def stay(*messages, cloud):
    """The ids of the messages that stay in the queue."""
    answer = on_messages_redriven({"Records": list(messages)}, cloud)
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def test_an_event_that_could_not_be_delivered_is_handed_to_the_rules_target(cloud):
    assert stay(undelivered(), cloud=cloud) == []

    assert cloud.functions.invoked == [(f"{OURS}on_glue_complete", EVENT)]


def test_an_event_that_a_function_could_not_handle_is_handed_to_it_again(cloud):
    assert stay(unhandled(), cloud=cloud) == []

    assert cloud.functions.invoked == [(f"{OURS}on_glue_complete", EVENT)]


@pytest.mark.parametrize(
    "body",
    [
        REQUEST,
        REQUEST | {"scheduled_time": "<aws.scheduler.scheduled-time>"},
        {"Entries": [{"EventBusName": "bus", "DetailType": "Export Requested", "Detail": json.dumps(REQUEST)}]},
    ],
    ids=["the input", "the input as it is written", "the call"],
)
def test_a_request_that_could_not_be_put_on_the_bus_is_put_there(cloud, body):
    assert stay(unscheduled(body), cloud=cloud) == []

    [request] = cloud.bus.events
    assert (request.detail_type, request.detail) == ("Export Requested", REQUEST)


@pytest.mark.parametrize("body", ["", "{}", '{"version": "0", "detail-type": "Scheduled Event"}'])
def test_a_run_of_the_reconciler_that_could_not_be_started_needs_nothing(cloud, body):
    reconciler = resource("common", "ReconcileExports")["Properties"]["FunctionName"]
    arn = f"arn:aws:lambda:us-east-1:123456789012:function:{reconciler}"

    assert stay(unscheduled(body, TARGET_ARN=arn), cloud=cloud) == []

    assert (cloud.functions.invoked, cloud.bus.events) == ([], [])


def test_changes_that_were_not_told_are_read_again_and_handed_over(cloud):
    cloud.streams.kept = [change("100"), change("300")]

    assert stay(unpublished(), cloud=cloud) == []

    assert cloud.streams.asked == [StreamBatch(f"{OURS}on_export_changed", STREAM, "shardId-1", "100", "300")]
    assert cloud.functions.invoked == [(f"{OURS}on_export_changed", {"Records": [change("100"), change("300")]})]


RECORDS = [
    change("1"),
    change("2", event="INSERT"),
    change("3", event="REMOVE"),
    change("4", record="pipeline"),
    change("5", record="claim"),
]


def test_a_change_that_the_stream_would_not_have_shown_the_function_is_left_out(cloud):
    cloud.streams.kept = RECORDS

    assert stay(unpublished(), cloud=cloud) == []

    assert cloud.functions.invoked == [(f"{OURS}on_export_changed", {"Records": [change("1")]})]


def test_where_no_change_was_of_an_export_nobody_is_invoked(cloud):
    cloud.streams.kept = RECORDS[1:]

    assert stay(unpublished(), cloud=cloud) == []

    assert cloud.functions.invoked == []


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["dynamodb"]["SequenceNumber"])
def test_the_template_filters_the_stream_in_the_same_way(record):
    source = resource("common", "OnExportChanged")["Properties"]["Events"]["StateRecordChanged"]["Properties"]
    [pattern] = [found["Pattern"] for found in source["FilterCriteria"]["Filters"]]

    shown = EventPattern(pattern, EventPatternParser(pattern).parse()).matches_event(record)

    assert of_an_export(record) == shown


@pytest.mark.parametrize(
    ("sent_back", "reason"),
    [
        (message("hello"), "The body is not JSON"),
        (message("[1]"), "not an object"),
        (message(EVENT), "The attributes RULE_ARN and SCHEDULE_ARN are missing, as is requestContext"),
        (undelivered(TARGET_ARN=""), "the attribute TARGET_ARN is missing"),
        (undelivered(body="hello"), "The body is not JSON"),
        (unscheduled(IS_PAYLOAD_TRUNCATED="true"), "Scheduler truncated the request"),
        (unscheduled({"action": "reconcile"}), "pipeline is missing"),
        (
            unscheduled(REQUEST | {"scheduled_time": "<aws.scheduler.scheduled-time>"}, SCHEDULED_TIME=""),
            "The attribute SCHEDULED_TIME is missing",
        ),
        (message({"requestContext": None}), "requestContext.functionArn is missing"),
        (message({"requestContext": {"functionArn": f"{OURS}start_export"}}), "requestPayload is missing"),
        (unpublished(last=None), "DDBStreamBatchInfo.endSequenceNumber is missing"),
        (unhandled(function=f"{OURS}x".replace("table-exports-", "nightly-")), "is not a function of table-exports"),
        (unhandled(function=f"{OURS}x".replace("123456789012", "210987654321")), "in this account and Region"),
        (undelivered(TARGET_ARN=f"{OURS}x".replace("us-east-1", "eu-west-1")), "in this account and Region"),
        (undelivered(TARGET_ARN="arn:aws:sqs:us-east-1:123456789012:theirs"), "is not a function of table-exports"),
    ],
    ids=range(15),
)
def test_what_cannot_be_handed_over_stays_and_the_log_says_what_is_missing(cloud, sent_back, reason):
    assert stay(sent_back, cloud=cloud) == ["m1"]

    assert cloud == FakeCloud()  # nothing was called
    with pytest.raises(CannotRedeliver, match=reason):
        parse_dead_letter(sent_back)


def test_one_message_that_stays_holds_up_no_other(cloud):
    cloud.functions.fails_for = "on_view_complete"
    others = [
        undelivered(),
        unhandled(function=f"{OURS}on_view_complete") | {"messageId": "m2"},
        message("hello", message_id="m3"),
        unhandled(function=f"{OURS}start_export") | {"messageId": "m4"},
    ]

    assert stay(*others, cloud=cloud) == ["m2", "m3"]

    assert [function for function, _ in cloud.functions.invoked] == [f"{OURS}on_glue_complete", f"{OURS}start_export"]


# ------------------------------------------------------------------------------------------------ on AWS


def test_a_function_is_invoked_as_eventbridge_does():
    client = boto3.client("lambda")
    payload = json.dumps(EVENT).encode()
    asked = {"FunctionName": f"{OURS}on_glue_complete", "InvocationType": "Event", "Payload": payload}
    with Stubber(client) as stubber:
        stubber.add_response("invoke", {"StatusCode": 202}, asked)

        Functions(client).invoke(f"{OURS}on_glue_complete", EVENT)

        stubber.assert_no_pending_responses()


@pytest.fixture
def stream():
    """A stream with four changes, and a client of it. As AWS, moto numbers them in order."""
    with mock_aws():
        dynamodb = boto3.client("dynamodb")
        dynamodb.create_table(
            TableName="told",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        for name in "abcd":
            dynamodb.put_item(TableName="told", Item={"id": {"S": name}, "binary": {"B": b"\x00\xff"}})
        client = boto3.client("dynamodbstreams")
        [found] = client.list_streams(TableName="told")["Streams"]
        yield client, found["StreamArn"]


def batch(client, stream, first, last):
    """Of the changes at these places."""
    [shard] = client.describe_stream(StreamArn=stream)["StreamDescription"]["Shards"]
    place = {"StreamArn": stream, "ShardId": shard["ShardId"]}
    iterator = client.get_shard_iterator(**place, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    numbers = [found["dynamodb"]["SequenceNumber"] for found in client.get_records(ShardIterator=iterator)["Records"]]
    return StreamBatch(f"{OURS}on_export_changed", stream, shard["ShardId"], numbers[first], numbers[last])


def test_a_batch_is_read_from_its_first_record_to_its_last(stream):
    client, arn = stream

    records = Streams(client).records(batch(client, arn, 1, 2))

    assert [record["dynamodb"]["NewImage"]["id"] for record in records] == [{"S": "b"}, {"S": "c"}]


def test_a_record_that_is_read_again_looks_as_lambda_shows_it(stream):
    client, arn = stream

    [record] = Streams(client).records(batch(client, arn, 0, 0))

    assert record["eventSourceARN"] == arn
    assert record["dynamodb"]["NewImage"]["binary"] == {"B": "AP8="}
    assert json.loads(json.dumps(record)) == record


def number(place):
    """A sequence number, of the length that DynamoDB gives it."""
    return f"{place}{'0' * 20}"


PAGED = StreamBatch(f"{OURS}on_export_changed", STREAM, "shardId-00000001795399207000-0a1b2c3d", number(1), number(3))


@pytest.fixture
def stubbed():
    client = boto3.client("dynamodbstreams")
    with Stubber(client) as stubber:
        yield client, stubber
        stubber.assert_no_pending_responses()


def record_of(place):
    arrived = datetime(2026, 11, 23, 2, 0, 7, tzinfo=UTC)
    return {"dynamodb": {"SequenceNumber": number(place), "ApproximateCreationDateTime": arrived}}


def test_a_batch_that_comes_in_pages_is_read_to_its_end(stubbed):
    client, stubber = stubbed
    stubber.add_response("get_shard_iterator", {"ShardIterator": "i1" * 10})
    stubber.add_response("get_records", {"Records": [record_of(1)], "NextShardIterator": "i2" * 10})
    stubber.add_response("get_records", {"Records": [], "NextShardIterator": "i3" * 10})
    stubber.add_response("get_records", {"Records": [record_of(3)], "NextShardIterator": "i4" * 10})

    records = Streams(client).records(PAGED)

    assert [record["dynamodb"]["SequenceNumber"] for record in records] == [number(1), number(3)]
    assert records[0]["dynamodb"]["ApproximateCreationDateTime"] == 1795399207.0


def test_a_batch_without_its_last_record_is_not_taken_for_the_whole(stubbed):
    client, stubber = stubbed
    stubber.add_response("get_shard_iterator", {"ShardIterator": "i1" * 10})
    stubber.add_response("get_records", {"Records": [record_of(1)]})  # and no next: the shard is closed

    with pytest.raises(LookupError, match="was not found"):
        Streams(client).records(PAGED)


@pytest.mark.parametrize("gone", ["TrimmedDataAccessException", "ResourceNotFoundException"])
def test_what_the_stream_keeps_no_more_is_said_to_be_gone(stubbed, gone):
    client, stubber = stubbed
    stubber.add_client_error("get_shard_iterator", gone)

    with pytest.raises(CannotRedeliver, match=r"The stream no longer has the records from 10+"):
        Streams(client).records(PAGED)


# ------------------------------------------------------------------------------------------------ the queues


def test_what_is_kept_can_be_sent_back():
    """SQS moves messages from a queue only if another queue calls it its dead-letter queue."""
    queues = ("UndeliveredEvents", "UnhandledEvents", "RedeliveredEvents")
    policies = {name: resource("common", name)["Properties"].get("RedrivePolicy") for name in queues}

    assert {name: policy and policy["deadLetterTargetArn"] for name, policy in policies.items()} == {
        "RedeliveredEvents": {"Fn::GetAtt": ["UndeliveredEvents", "Arn"]},
        "UndeliveredEvents": {"Fn::GetAtt": ["UnhandledEvents", "Arn"]},
        "UnhandledEvents": None,
    }
    assert policies["UndeliveredEvents"]["maxReceiveCount"] == 1000  # SQS knows no more: looking moves nothing


def test_a_message_is_not_handed_over_twice_while_it_is_being_handed_over():
    function = resource("common", "RedeliverEvents")["Properties"]
    queue = resource("common", "RedeliveredEvents")["Properties"]

    assert queue["VisibilityTimeout"] >= 6 * function["Timeout"]
    assert function["Events"]["EventSentBack"]["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
